/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>
#include <string.h>

#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-node-process.h"
#include "agent/cli/tl-node-scope.h"
#include "agent/cli/tl-node-service.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"
#include "agent/node/tl-node-state.h"
#include "base/tl-error.h"
#include "base/tl-paths.h"

/* One gateway as it is on disk; identity NULL with problem set when its keys cannot be read. */
typedef struct
{
  TlNodeState *state;
  TlDeviceIdentity *identity;
  GError *problem;
  TlNodeStatus *process; /* NULL: none runs */
  gboolean has_service;
  TlNodeServiceKind kind;
  TlNodeServiceInfo service;
} View;

static void
view_clear (View *view)
{
  g_clear_pointer (&view->state, tl_node_state_free);
  g_clear_pointer (&view->identity, tl_device_identity_free);
  g_clear_pointer (&view->process, tl_node_status_free);
  g_clear_error (&view->problem);
  tl_node_service_info_clear (&view->service);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (View, view_clear)

static gboolean
look (TlCli *cli, gboolean system, const char *gateway, View *view, GError **error)
{
  view->state = tl_node_state_open (tl_cli_state_dir (cli), gateway, error);
  if (view->state == NULL)
    return FALSE;
  view->identity = tl_node_state_load_identity (view->state, &view->problem);
  view->process = tl_node_process_find (tl_node_state_directory (view->state));
  view->has_service = tl_node_service_find (cli, system, gateway, &view->kind, &view->service);
  return TRUE;
}

static gint64
certificate_end_ms (const View *view)
{
  X509 *certificate = view->identity != NULL ? tl_device_identity_certificate (view->identity) : NULL;

  return certificate != NULL ? tl_certificate_not_after_ms (certificate) : 0;
}

/* Two thirds of its life; the node's own moment lies up to a tenth of it around that. */
static gint64
certificate_renews_ms (const View *view)
{
  X509 *certificate = view->identity != NULL ? tl_device_identity_certificate (view->identity) : NULL;
  gint64 start = certificate != NULL ? tl_certificate_not_before_ms (certificate) : 0;

  return start + (certificate_end_ms (view) - start) / 3 * 2;
}

static json_t *
service_to_json (const View *view)
{
  json_t *object;

  if (!view->has_service)
    return json_null ();
  object = json_pack ("{s:s, s:b, s:b}", "kind", tl_node_service_kind_to_string (view->kind), "installed",
                      view->service.installed, "running", view->service.running);
  json_object_set_new (object, "name", tl_json_text (view->service.name));
  json_object_set_new (object, "state", tl_json_text (view->service.state));
  json_object_set_new (object, "log", tl_json_text (view->service.log));
  return object;
}

static void
add_process (json_t *object, const TlNodeStatus *process)
{
  gboolean linked = process != NULL && process->transport[0] != '\0';

  json_object_set_new (object, "running", json_boolean (process != NULL));
  json_object_set_new (object, "pid", process != NULL ? json_integer (process->pid) : json_null ());
  json_object_set_new (object, "version", process != NULL ? tl_json_text (process->version) : json_null ());
  json_object_set_new (object, "started_unix_ms", process != NULL ? json_integer (process->started_ms) : json_null ());
  json_object_set_new (object, "state", process != NULL ? tl_json_text (process->state) : json_null ());
  json_object_set_new (object, "detail", process != NULL ? tl_json_text (process->detail) : json_null ());
  json_object_set_new (object, "since_unix_ms", process != NULL ? json_integer (process->since_ms) : json_null ());
  json_object_set_new (object, "transport", linked ? tl_json_text (process->transport) : json_null ());
  json_object_set_new (object, "transport_reason",
                       process != NULL ? tl_json_text (process->transport_reason) : json_null ());
  json_object_set_new (object, "connected_since_unix_ms",
                       linked && process->connected_since_ms > 0 ? json_integer (process->connected_since_ms)
                                                                 : json_null ());
  json_object_set_new (object, "rtt_us", linked ? json_integer (process->rtt_us) : json_null ());
  json_object_set_new (object, "packets_lost", linked ? json_integer (process->packets_lost) : json_null ());
  json_object_set_new (object, "migrations", linked ? json_integer (process->migrations) : json_null ());
  json_object_set_new (object, "address",
                       linked && process->address[0] != '\0' ? tl_json_text (process->address) : json_null ());
  json_object_set_new (object, "attempts", process != NULL ? json_integer (process->attempts) : json_null ());
  json_object_set_new (object, "next_attempt_unix_ms",
                       process != NULL && process->next_attempt_ms > 0 ? json_integer (process->next_attempt_ms)
                                                                       : json_null ());
}

static json_t *
view_to_json (TlCli *cli, const View *view)
{
  const TlNodeMarker *marker = tl_node_state_marker (view->state);
  json_t *object = json_object ();
  json_t *addresses = json_array ();
  gint64 end = certificate_end_ms (view);

  for (guint i = 0; marker->addresses != NULL && marker->addresses[i] != NULL; i++)
    json_array_append_new (addresses, tl_json_text (marker->addresses[i]));
  json_object_set_new (object, "gateway_id", tl_json_text (marker->gateway_id));
  json_object_set_new (object, "gateway_name", tl_json_text (marker->gateway_name));
  json_object_set_new (object, "device_id", tl_json_text (marker->device_id));
  json_object_set_new (object, "device_name", tl_json_text (marker->device_name));
  json_object_set_new (object, "identity_fingerprint", tl_json_text (marker->fingerprint));
  json_object_set_new (object, "addresses", addresses);
  json_object_set_new (object, "paired_at_unix_ms", json_integer (marker->paired_at_ms));
  json_object_set_new (object, "ca_generation", json_integer (marker->ca_generation));
  json_object_set_new (object, "certificate_not_after_unix_ms", end != 0 ? json_integer (end) : json_null ());
  json_object_set_new (object, "certificate_renews_unix_ms",
                       end != 0 ? json_integer (certificate_renews_ms (view)) : json_null ());
  json_object_set_new (object, "certificate_ended", json_boolean (end != 0 && end <= tl_cli_now_ms (cli)));
  json_object_set_new (object, "problem", view->problem != NULL ? tl_json_text (view->problem->message) : json_null ());
  add_process (object, view->process);
  json_object_set_new (object, "service", service_to_json (view));
  return object;
}

static char *
certificate_in_words (TlCli *cli, const View *view)
{
  gint64 end = certificate_end_ms (view);
  g_autofree char *when = tl_cli_time (cli, end);
  g_autofree char *renews = NULL;

  if (view->problem != NULL)
    return g_strdup_printf (_ ("cannot be read: %s"), view->problem->message);
  if (end == 0)
    return g_strdup (_ ("none; pair again with twinlatch node pair --replace"));
  if (end <= tl_cli_now_ms (cli))
    return g_strdup_printf (
        _ ("ended %s; the node renews it when it reaches the gateway, for some weeks (30 days unless "
           "the gateway says otherwise), after that: pair again with twinlatch node pair --replace"),
        when);
  renews = tl_cli_time (cli, certificate_renews_ms (view));
  return g_strdup_printf (_ ("good, ends %s; the node renews it by itself around %s"), when, renews);
}

static char *
process_in_words (TlCli *cli, const View *view)
{
  const TlNodeStatus *process = view->process;
  g_autofree char *since = NULL;

  if (process == NULL)
    return g_strdup (view->has_service && view->service.installed
                         ? _ ("none; start it with twinlatch node start")
                         : _ ("none; start it with twinlatch node run, or twinlatch node install --start"));
  since = tl_cli_time (cli, process->since_ms);
  return g_strdup_printf (_ ("pid %d, %s; last change %s%s%s"), (int)process->pid, process->state, since,
                          process->detail[0] != '\0' ? ": " : "", process->detail);
}

static char *
open_link_in_words (TlCli *cli, const TlNodeStatus *process)
{
  const char *address = process->address[0] != '\0' ? process->address : _ ("an unknown address");
  g_autofree char *since = tl_cli_time (cli, process->connected_since_ms);

  if (strcmp (process->transport, "quic") == 0)
    return g_strdup_printf (
        _ ("%s, to %s, since %s; round trip %.2f ms, %lld packets lost, moved %lld times to another address"),
        process->transport, address, since, (double)process->rtt_us / 1000, (long long)process->packets_lost,
        (long long)process->migrations);
  return g_strdup_printf (_ ("%s, to %s, since %s"), process->transport, address, since);
}

static char *
link_in_words (TlCli *cli, const TlNodeStatus *process)
{
  g_autofree char *next = NULL;

  if (process->transport[0] != '\0')
    return open_link_in_words (cli, process);
  if (process->attempts == 0)
    return g_strdup (_ ("none yet"));
  if (process->next_attempt_ms == 0)
    return g_strdup_printf (_ ("none; attempt %d is under way"), (int)process->attempts);
  next = tl_cli_time (cli, process->next_attempt_ms);
  return g_strdup_printf (_ ("none after %d attempts; the next one %s"), (int)process->attempts, next);
}

static char *
service_in_words (const View *view)
{
  if (!view->has_service)
    return g_strdup (_ ("not installed; twinlatch node install makes the node start by itself"));
  return g_strdup_printf ("%s: %s, %s", tl_node_service_kind_to_string (view->kind), view->service.name,
                          view->service.state);
}

static void
print_view (TlCli *cli, const View *view)
{
  const TlNodeMarker *marker = tl_node_state_marker (view->state);
  g_autoptr (TlTable) table = tl_table_new_pairs ();
  g_autofree char *addresses = marker->addresses != NULL ? g_strjoinv (", ", (char **)marker->addresses) : NULL;

  tl_table_add_pair (table, _ ("Gateway"), marker->gateway_name);
  tl_table_add_pair (table, _ ("Gateway id"), marker->gateway_id);
  tl_table_add_pair (table, _ ("Addresses"), addresses);
  tl_table_add_pair (table, _ ("This device"), marker->device_name);
  tl_table_add_pair (table, _ ("Device id"), marker->device_id);
  tl_table_add_pair (table, _ ("Identity key"), marker->fingerprint);
  tl_table_take_pair (table, _ ("Paired"), tl_cli_time (cli, marker->paired_at_ms));
  tl_table_take_pair (table, _ ("Certificate"), certificate_in_words (cli, view));
  tl_table_take_pair (table, _ ("Node process"), process_in_words (cli, view));
  if (view->process != NULL)
    tl_table_take_pair (table, _ ("Connection"), link_in_words (cli, view->process));
  if (view->process != NULL && view->process->transport_reason[0] != '\0')
    tl_table_take_pair (table, _ ("Why not QUIC"), tl_text_escape (view->process->transport_reason));
  tl_table_take_pair (table, _ ("Service"), service_in_words (view));
  tl_cli_print_table (cli, table);
}

static void
set_not_paired (TlArgs *args, GError **error)
{
  g_autofree char *folder = tl_paths_system_node_dir ();

  if (!tl_args_flag (args, "system") && tl_args_text (args, "state-dir") == NULL
      && g_file_test (folder, G_FILE_TEST_IS_DIR))
    g_set_error_literal (error, TL_ERROR, TL_ERROR_NOT_PAIRED,
                         _ ("this user has no pairing with any gateway; the node of the whole computer is shown with "
                            "--system, a new one is made with twinlatch node pair"));
  else
    g_set_error_literal (error, TL_ERROR, TL_ERROR_NOT_PAIRED,
                         _ ("this computer is not paired with any gateway; pair it with twinlatch node pair"));
}

/* Looking makes nothing: the folder of the node of the computer has to be there. */
static gboolean
enter (TlCli *cli, TlArgs *args, GError **error)
{
  tl_node_scope_look (cli, tl_args_flag (args, "system"));
  if (tl_args_flag (args, "system") && !g_file_test (tl_cli_state_dir (cli), G_FILE_TEST_IS_DIR))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_PAIRED,
                   _ ("this computer has no pairing of its own (%s); make one with twinlatch node pair --system"),
                   tl_cli_state_dir (cli));
      return FALSE;
    }
  return tl_node_scope_enter (cli, tl_args_flag (args, "system"), error);
}

static gboolean
add_view (TlCli *cli, TlArgs *args, const char *gateway, json_t *items, GError **error)
{
  g_auto (View) view = { 0 };

  if (!look (cli, tl_args_flag (args, "system"), gateway, &view, error))
    return FALSE;
  if (tl_cli_is_json (cli))
    json_array_append_new (items, view_to_json (cli, &view));
  else
    print_view (cli, &view);
  return TRUE;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  g_autoptr (GPtrArray) gateways = NULL;
  tl_json_auto items = json_array ();

  if (!enter (cli, args, error))
    return FALSE;
  gateways = tl_node_state_list (tl_cli_state_dir (cli), error);
  if (gateways == NULL)
    return FALSE;
  if (gateways->len == 0)
    {
      set_not_paired (args, error);
      return FALSE;
    }
  for (guint i = 0; i < gateways->len; i++)
    {
      if (i > 0 && !tl_cli_is_json (cli))
        tl_cli_print (cli, "\n");
      if (!add_view (cli, args, gateways->pdata[i], items, error))
        return FALSE;
    }
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, json_pack ("{s:O}", "items", items));
  return TRUE;
}

static const TlOption options[] = {
  { "system", TL_OPTION_FLAG, NULL, N_ ("the node of the whole computer; needs root") },
  { NULL },
};

const TlVerb tl_verb_node_status = {
  .path = "node status",
  .arguments = "",
  .summary = N_ ("show this computer's pairings and whether a node runs"),
  .details = N_ ("Looks at this computer only; nothing goes over the network. Exit status 11 when it is not paired."),
  .options = options,
  .run = run,
};
