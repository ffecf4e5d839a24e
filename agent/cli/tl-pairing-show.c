/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-pairing-show.h"

#include <glib/gi18n.h>

#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-text.h"
#include "base/tl-error.h"
#include "base/tl-ulid.h"

void
tl_pairing_show_codes (TlCli *cli, const GPtrArray *codes)
{
  g_autoptr (TlTable) table = tl_table_new (_ ("CODE"), _ ("METHOD"), _ ("SLOT"), _ ("STATE"), _ ("ROLE"),
                                            _ ("ATTEMPTS"), _ ("LABEL"), _ ("MINTED BY"), _ ("ENDS"), NULL);

  for (guint i = 0; i < codes->len; i++)
    {
      const Twinlatch__V1__PairingCode *code = g_ptr_array_index (codes, i);
      g_autofree char *method = tl_enum_to_text (&twinlatch__v1__code_method__descriptor, code->method);
      g_autofree char *slot = code->slot != 0 ? g_strdup_printf ("%u", code->slot) : NULL;
      g_autofree char *state = tl_enum_to_text (&twinlatch__v1__code_state__descriptor, code->state);
      g_autofree char *role = tl_enum_to_text (&twinlatch__v1__role__descriptor, code->role);
      g_autofree char *attempts = g_strdup_printf (_ ("%u of %u"), code->attempts_left, code->attempts);
      g_autofree char *ends = tl_cli_time (cli, code->expires_at_unix_ms);

      tl_table_add (table, code->code_id, method, slot, state, role, attempts, code->label, code->minted_by, ends);
    }
  tl_cli_print_table (cli, table);
}

void
tl_pairing_show_requests (TlCli *cli, const GPtrArray *requests)
{
  g_autoptr (TlTable) table = tl_table_new (_ ("REQUEST"), _ ("STATE"), _ ("NAME"), _ ("PLATFORM"), _ ("ROLE"),
                                            _ ("FROM"), _ ("REQUESTED"), _ ("ENDS"), NULL);

  for (guint i = 0; i < requests->len; i++)
    {
      const Twinlatch__V1__PairingRequest *request = g_ptr_array_index (requests, i);
      g_autofree char *state = tl_enum_to_text (&twinlatch__v1__pairing_state__descriptor, request->state);
      g_autofree char *role = tl_enum_to_text (&twinlatch__v1__role__descriptor, request->role);
      g_autofree char *requested = tl_cli_time (cli, request->requested_at_unix_ms);
      g_autofree char *ends = tl_cli_time (cli, request->expires_at_unix_ms);

      tl_table_add (table, request->request_id, state, request->device_name, request->platform, role, request->source,
                    requested, ends);
    }
  tl_cli_print_table (cli, table);
}

void
tl_pairing_show_request (TlCli *cli, const Twinlatch__V1__PairingRequest *request)
{
  g_autoptr (TlTable) table = tl_table_new_pairs ();

  tl_table_add_pair (table, _ ("Request"), request->request_id);
  tl_table_take_pair (table, _ ("State"), tl_enum_to_text (&twinlatch__v1__pairing_state__descriptor, request->state));
  tl_table_add_pair (table, _ ("Device name"), request->device_name);
  tl_table_add_pair (table, _ ("Device id"), request->device_id);
  tl_table_add_pair (table, _ ("Platform"), request->platform);
  tl_table_take_pair (table, _ ("Kind"),
                      tl_enum_to_text (&twinlatch__v1__client_kind__descriptor, request->client_kind));
  tl_table_take_pair (table, _ ("Role"), tl_enum_to_text (&twinlatch__v1__role__descriptor, request->role));
  tl_table_add_pair (table, _ ("From"), request->source);
  tl_table_add_pair (table, _ ("Identity key"), request->identity_fingerprint);
  tl_table_add_pair (table, _ ("Code minted by"), request->code_minted_by);
  if (request->label[0] != '\0')
    tl_table_add_pair (table, _ ("Label"), request->label);
  if (request->replaces_device_id[0] != '\0')
    tl_table_add_pair (table, _ ("Replaces device"), request->replaces_device_id);
  if (request->wrong_codes > 0)
    tl_table_take_pair (table, _ ("Wrong digits so far"), g_strdup_printf ("%u", request->wrong_codes));
  tl_table_take_pair (table, _ ("Ends"), tl_cli_time (cli, request->expires_at_unix_ms));
  tl_cli_print_table (cli, table);
}

Twinlatch__V1__PairingRequest *
tl_pairing_find_request (TlCli *cli, const char *request_id, GError **error)
{
  Twinlatch__V1__ListPairingRequestsRequest request = TWINLATCH__V1__LIST_PAIRING_REQUESTS_REQUEST__INIT;
  Twinlatch__V1__PairingState states[] = { TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_PENDING_APPROVAL };
  g_autoptr (GPtrArray) requests = NULL;
  gint found = -1;

  request.n_states = G_N_ELEMENTS (states);
  request.states = states;
  requests = tl_admin_list (cli, "ListPairingRequests", &request.base,
                            &twinlatch__v1__list_pairing_requests_response__descriptor, error);
  if (requests == NULL)
    return NULL;
  for (guint i = 0; i < requests->len; i++)
    {
      const Twinlatch__V1__PairingRequest *candidate = g_ptr_array_index (requests, i);

      if (!tl_ulid_has_prefix (candidate->request_id, request_id))
        continue;
      if (found >= 0)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_AMBIGUOUS,
                       _ ("more than one request begins with '%s'; give more of its id"), request_id);
          return NULL;
        }
      found = (gint)i;
    }
  if (found < 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND,
                   _ ("no request '%s' waits for approval; see twinlatch pairing list --all"), request_id);
      return NULL;
    }
  return g_ptr_array_steal_index (requests, (guint)found);
}

gboolean
tl_pairing_decide (TlCli *cli, const char *request_id, gboolean approve, const char *code, const char *reason,
                   GError **error)
{
  Twinlatch__V1__DecidePairingRequest request = TWINLATCH__V1__DECIDE_PAIRING_REQUEST__INIT;
  g_autoptr (TlDecideAnswer) answer = NULL;
  g_autofree char *name = NULL;

  request.request_id = (char *)request_id;
  request.approve = approve;
  if (code != NULL)
    request.code = (char *)code;
  if (reason != NULL)
    request.reason = (char *)reason;
  answer = (TlDecideAnswer *)tl_admin_call (cli, "DecidePairing", &request.base,
                                            &twinlatch__v1__decide_pairing_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    {
      tl_cli_print_json (cli, answer->request != NULL ? tl_json_from_message (&answer->request->base) : json_object ());
      return TRUE;
    }
  name = tl_text_escape (answer->request != NULL ? answer->request->device_name : request_id);
  tl_cli_print (cli, approve ? _ ("Approved %s.\n") : _ ("Rejected %s.\n"), name);
  return TRUE;
}
