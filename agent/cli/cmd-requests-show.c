/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-request-follow.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"

static char *
hex (ProtobufCBinaryData bytes)
{
  GString *text = g_string_new (NULL);

  for (size_t i = 0; i < bytes.len; i++)
    g_string_append_printf (text, "%02x", bytes.data[i]);
  return g_string_free (text, FALSE);
}

static void
add_times (TlCli *cli, TlTable *table, const Twinlatch__V1__CapabilityRequest *request)
{
  tl_table_take_pair (table, _ ("Created"), tl_cli_time (cli, request->created_at_unix_ms));
  tl_table_take_pair (table, _ ("Dispatched"), tl_cli_time (cli, request->dispatched_at_unix_ms));
  if (request->cancel_requested_at_unix_ms > 0)
    {
      tl_table_take_pair (table, _ ("Cancelled"), tl_cli_time (cli, request->cancel_requested_at_unix_ms));
      tl_table_add_pair (table, _ ("Cancelled by"), request->cancelled_by);
    }
  if (request->completed_at_unix_ms > 0)
    tl_table_take_pair (table, _ ("Ended"), tl_cli_time (cli, request->completed_at_unix_ms));
  else
    tl_table_take_pair (table, _ ("Expires"), tl_cli_time (cli, request->expires_at_unix_ms));
  tl_table_take_pair (table, _ ("Timeout"), tl_text_span (request->timeout_ms));
}

static void
print_request (TlCli *cli, const Twinlatch__V1__CapabilityRequest *request)
{
  g_autoptr (TlTable) table = tl_table_new_pairs ();

  tl_table_add_pair (table, _ ("Request"), request->request_id);
  tl_table_add_pair (table, _ ("Device"), request->device_id);
  tl_table_add_pair (table, _ ("Capability"), request->capability);
  tl_table_take_pair (table, _ ("State"), tl_enum_to_text (&twinlatch__v1__request_state__descriptor, request->state));
  tl_table_add_pair (table, _ ("Requested by"), request->requested_by);
  add_times (cli, table, request);
  tl_table_add_pair (table, _ ("Input"), request->input_summary);
  tl_table_take_pair (table, _ ("Input SHA-256"), hex (request->input_sha256));
  if (request->output_sha256.len > 0)
    {
      tl_table_add_pair (table, _ ("Output"), request->output_summary);
      tl_table_take_pair (table, _ ("Output SHA-256"), hex (request->output_sha256));
    }
  if (request->error[0] != '\0')
    tl_table_take_pair (table, _ ("Error"), g_strdup_printf ("%s (%s)", request->error, request->error_reason));
  if (request->receipt != NULL)
    tl_table_take_pair (table, _ ("Device's decision"),
                        g_strdup_printf (_ ("%s, by %s"), request->receipt->decision, request->receipt->by));
  tl_cli_print_table (cli, table);
  if (request->output_kept)
    {
      tl_json_auto value = tl_json_embed (request->output);
      g_autofree char *pretty = tl_json_to_pretty_string (value);
      g_autofree char *safe = tl_text_escape_lines (pretty);

      tl_cli_print (cli, "\n%s\n", safe);
    }
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__GetCapabilityRequestRequest request = TWINLATCH__V1__GET_CAPABILITY_REQUEST_REQUEST__INIT;
  Twinlatch__V1__WatchCapabilityRequestRequest watched = TWINLATCH__V1__WATCH_CAPABILITY_REQUEST_REQUEST__INIT;
  g_autoptr (TlRequestAnswer) answer = NULL;

  request.request_id = watched.request_id = (char *)tl_args_argument (args, 0);
  if (tl_args_flag (args, "follow"))
    return tl_request_follow (cli, "WatchCapabilityRequest", &watched.base,
                              tl_args_flag (args, "raw") ? TL_FOLLOW_RAW : 0, error);
  answer = (TlRequestAnswer *)tl_admin_call (cli, "GetCapabilityRequest", &request.base,
                                             &twinlatch__v1__get_capability_request_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, answer->request != NULL ? tl_json_from_message (&answer->request->base) : json_object ());
  else if (answer->request != NULL)
    print_request (cli, answer->request);
  return TRUE;
}

static const TlOption options[] = {
  { "follow", TL_OPTION_FLAG, NULL, N_ ("wait until it is over and print its output, as exec does") },
  { "raw", TL_OPTION_FLAG, NULL, N_ ("with --follow: print a file's bytes or a string as they are, not JSON") },
  { NULL },
};

const TlVerb tl_verb_requests_show = {
  .path = "requests show",
  .arguments = "REQUEST",
  .min_arguments = 1,
  .max_arguments = 1,
  .summary = N_ ("show one capability request, or wait for its end"),
  .details
  = N_ ("REQUEST is a request's id or a unique prefix of one. The output is kept for 24 hours; after that only "
        "a summary and its digest."),
  .options = options,
  .run = run,
};
