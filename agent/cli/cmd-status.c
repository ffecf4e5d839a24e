/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-clock.h"

static void
add_count (TlTable *table, const char *name, guint count)
{
  tl_table_take_pair (table, name, g_strdup_printf ("%u", count));
}

static void
add_joined (TlTable *table, const char *name, char **items, size_t n)
{
  GString *text = g_string_new (NULL);

  for (size_t i = 0; i < n; i++)
    g_string_append_printf (text, "%s%s", i > 0 ? ", " : "", items[i]);
  tl_table_take_pair (table, name, g_string_free (text, FALSE));
}

/* When the gateway's own certificate ends and what happens then; the same for those of its devices. */
static void
add_certificates (TlTable *table, TlCli *cli, const TlStatusAnswer *status)
{
  g_autofree char *ends = tl_cli_time (cli, status->server_leaf_not_after_unix_ms);
  g_autofree char *renews = tl_cli_time (cli, status->server_leaf_renews_at_unix_ms);
  g_autofree char *life = tl_duration_to_string (status->device_certificate_lifetime_ms);
  g_autofree char *grace = tl_duration_to_string (status->renewal_grace_ms);

  tl_table_take_pair (table, _ ("Server certificate"),
                      g_strdup_printf (_ ("ends %s; replaced by itself from %s on, nobody is cut off"), ends, renews));
  tl_table_take_pair (table, _ ("Device certificates"),
                      g_strdup_printf (_ ("for %s; renewed by the devices at two thirds of it, at the latest %s after "
                                          "the end"),
                                       life, grace));
}

static void
add_quic (TlTable *table, const TlStatusAnswer *status)
{
  if (status->n_quic_listeners == 0)
    {
      tl_table_add_pair (table, _ ("QUIC"), _ ("switched off"));
      return;
    }
  add_joined (table, _ ("QUIC listens on"), status->quic_listeners, status->n_quic_listeners);
  tl_table_take_pair (
      table, _ ("QUIC connections"),
      g_strdup_printf (_ ("%u, %u handshakes under way; %llu accepted, %llu refused, %llu over the limit"),
                       status->quic_connections, status->quic_half_open, (unsigned long long)status->quic_accepted,
                       (unsigned long long)status->quic_refused, (unsigned long long)status->quic_over_limit));
  tl_table_take_pair (table, _ ("QUIC addresses"),
                      g_strdup_printf (_ ("%llu to prove first, %llu proven badly, %llu changed on the way"),
                                       (unsigned long long)status->quic_retries,
                                       (unsigned long long)status->quic_bad_tokens,
                                       (unsigned long long)status->quic_migrations));
  tl_table_take_pair (table, _ ("QUIC datagrams of nobody"),
                      g_strdup_printf (_ ("%llu dropped, %llu answered with a reset, %llu with our versions"),
                                       (unsigned long long)status->quic_garbage,
                                       (unsigned long long)status->quic_resets,
                                       (unsigned long long)status->quic_versions));
  tl_table_add_pair (table, _ ("QUIC's TLS"), status->quic_tls);
}

static void
print_for_people (TlCli *cli, const TlStatusAnswer *status)
{
  g_autoptr (TlTable) table = tl_table_new_pairs ();

  if (status->restored)
    tl_table_take_pair (table, _ ("RESTORED"),
                        g_strdup_printf (_ ("NO DEVICE IS ADMITTED until 'twinlatch devices confirm': %s"),
                                         status->restored_reason));
  tl_table_add_pair (table, _ ("Gateway"), status->gateway_name);
  tl_table_add_pair (table, _ ("Id"), status->gateway_id);
  if (status->pid != 0)
    tl_table_take_pair (table, _ ("Version"), g_strdup_printf (_ ("%s, pid %u"), status->version, status->pid));
  else /* over the network */
    tl_table_add_pair (table, _ ("Version"), status->version);
  tl_table_take_pair (table, _ ("Started"), tl_cli_time (cli, status->started_at_unix_ms));
  add_joined (table, _ ("Listens on"), status->listeners, status->n_listeners);
  add_quic (table, status);
  add_joined (table, _ ("Advertises"), status->advertised, status->n_advertised);
  add_count (table, _ ("Devices"), status->devices_active);
  if (status->devices_suspended > 0)
    add_count (table, _ ("Suspended"), status->devices_suspended);
  if (status->devices_revoked > 0)
    add_count (table, _ ("Revoked"), status->devices_revoked);
  add_count (table, _ ("Nodes connected"), status->nodes_connected);
  add_count (table, _ ("Waiting for approval"), status->pairing_requests_pending);
  add_count (table, _ ("Live codes"), status->codes_live);
  add_count (table, _ ("Strangers connected"), status->strangers_connected);
  add_count (table, _ ("Open requests"), status->requests_open);
  if (status->state_dir[0] != '\0')
    tl_table_add_pair (table, _ ("State"), status->state_dir);
  tl_table_take_pair (table, _ ("Store"),
                      g_strdup_printf (_ ("%s, %llu kB"), status->store_writable ? _ ("writable") : _ ("NOT WRITABLE"),
                                       (unsigned long long)status->store_bytes / 1000));
  if (status->store_checked_at_unix_ms > 0)
    {
      g_autofree char *when = tl_cli_time (cli, status->store_checked_at_unix_ms);

      tl_table_take_pair (table, _ ("Store check"), g_strdup_printf ("%s, %s", status->store_check, when));
    }
  else if (status->store_check[0] != '\0')
    tl_table_add_pair (table, _ ("Store check"), status->store_check);
  if (status->store_problem[0] != '\0')
    tl_table_add_pair (table, _ ("STORE PROBLEM"), status->store_problem);
  tl_table_take_pair (table, _ ("Admission log"),
                      g_strdup_printf (_ ("%llu changes, %llu kB"), (unsigned long long)status->admission_counter,
                                       (unsigned long long)(status->admission_log_bytes + 999) / 1000));
  tl_table_take_pair (table, _ ("Journal"),
                      g_strdup_printf (_ ("%llu rows, head %llu"), (unsigned long long)status->journal_rows,
                                       (unsigned long long)status->journal_head_seq));
  tl_table_take_pair (table, _ ("Journal begins"), tl_cli_time (cli, status->journal_oldest_unix_ms));
  tl_table_take_pair (table, _ ("Kept"),
                      g_strdup_printf (_ ("%llu finished requests, %llu events, %llu certificates"),
                                       (unsigned long long)status->requests_kept,
                                       (unsigned long long)status->events_kept,
                                       (unsigned long long)status->certificates_kept));
  if (status->snapshot_error[0] != '\0')
    tl_table_take_pair (table, _ ("Inventory file"), g_strdup_printf (_ ("NOT WRITTEN: %s"), status->snapshot_error));
  else if (status->snapshot_written_unix_ms != 0)
    tl_table_take_pair (table, _ ("Inventory file"), tl_cli_time (cli, status->snapshot_written_unix_ms));
  if (status->nodes_not_paired > 0)
    tl_table_take_pair (table, _ ("Known, not paired"),
                        g_strdup_printf (_ ("%u nodes of an imported inventory; each has to pair"),
                                         status->nodes_not_paired));
  tl_table_add_pair (table, _ ("Secrets"), status->secrets_encrypted ? _ ("encrypted") : _ ("plain files, mode 0600"));
  tl_table_take_pair (table, _ ("CA generation"), g_strdup_printf ("G%u", status->ca_generation));
  tl_table_take_pair (table, _ ("CA ends"), tl_cli_time (cli, status->ca_not_after_unix_ms));
  add_certificates (table, cli, status);
  if (status->pin_failures_last_hour > 0)
    add_count (table, _ ("Wrong PINs in the last hour"), status->pin_failures_last_hour);
  if (status->pin_exchanges_slowed)
    tl_table_add_pair (table, _ ("PIN pairing"), _ ("SLOWED DOWN: somebody may be guessing PINs"));
  tl_cli_print_table (cli, table);
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__GetStatusRequest request = TWINLATCH__V1__GET_STATUS_REQUEST__INIT;
  g_autoptr (TlStatusAnswer) status = NULL;

  (void)args;
  status = (TlStatusAnswer *)tl_admin_call (cli, "GetStatus", &request.base,
                                            &twinlatch__v1__get_status_response__descriptor, error);
  if (status == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_message (&status->base));
  else
    print_for_people (cli, status);
  return TRUE;
}

const TlVerb tl_verb_status = {
  .path = "status",
  .arguments = "",
  .summary = N_ ("show how the gateway is"),
  .run = run,
};
