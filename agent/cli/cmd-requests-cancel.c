/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

#define FIRST_FINAL TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_SUCCEEDED

static gboolean
on_answer (const ProtobufCMessage *message, gpointer user_data)
{
  Twinlatch__V1__RequestState *state = user_data;

  *state = ((const Twinlatch__V1__ExecuteCapabilityResponse *)message)->state;
  return TRUE; /* the gateway ends the stream */
}

/* Until the device has stopped, or the gateway has waited long enough for it. */
static gboolean
wait_for_end (TlCli *cli, char *request_id, Twinlatch__V1__RequestState *state, GError **error)
{
  Twinlatch__V1__WatchCapabilityRequestRequest request = TWINLATCH__V1__WATCH_CAPABILITY_REQUEST_REQUEST__INIT;
  TlAdminOutcome outcome;

  request.request_id = request_id;
  outcome = tl_admin_stream (cli, "WatchCapabilityRequest", &request.base,
                             &twinlatch__v1__execute_capability_response__descriptor, tl_cli_timeout_ms (cli),
                             on_answer, state, error);
  if (*state >= FIRST_FINAL)
    {
      g_clear_error (error);
      return TRUE;
    }
  if (outcome != TL_ADMIN_FAILED)
    g_set_error (error, TL_ERROR, TL_ERROR_CANCELLED,
                 _ ("stopped waiting; the device was asked to end request %s, see 'twinlatch requests show'"),
                 request_id);
  return FALSE;
}

static gboolean
report (TlCli *cli, const Twinlatch__V1__CapabilityRequest *request, Twinlatch__V1__RequestState state, GError **error)
{
  g_autofree char *word = tl_enum_to_text (&twinlatch__v1__request_state__descriptor, state);

  if (state >= FIRST_FINAL && state != TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_CANCELLED)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                   _ ("request %s ended before it was cancelled: it is %s"), request->request_id, word);
      return FALSE;
    }
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, json_pack ("{s:s, s:s}", "request_id", request->request_id, "state", word));
  else if (state >= FIRST_FINAL)
    tl_cli_print (cli, _ ("Cancelled request %s.\n"), request->request_id);
  else
    tl_cli_print (cli, _ ("Asked the device to end request %s; it is %s.\n"), request->request_id, word);
  return TRUE;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__CancelCapabilityRequest request = TWINLATCH__V1__CANCEL_CAPABILITY_REQUEST__INIT;
  g_autoptr (TlCancelRequestAnswer) answer = NULL;
  Twinlatch__V1__RequestState state;

  request.request_id = (char *)tl_args_argument (args, 0);
  if (tl_args_text (args, "reason") != NULL)
    request.reason = (char *)tl_args_text (args, "reason");
  answer = (TlCancelRequestAnswer *)tl_admin_call (cli, "CancelCapability", &request.base,
                                                   &twinlatch__v1__cancel_capability_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (answer->request == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, _ ("the gateway's answer names no request"));
      return FALSE;
    }
  state = answer->request->state;
  if (state < FIRST_FINAL && !tl_args_flag (args, "no-wait")
      && !wait_for_end (cli, answer->request->request_id, &state, error))
    return FALSE;
  return report (cli, answer->request, state, error);
}

static const TlOption options[] = {
  { "reason", TL_OPTION_TEXT, "TEXT", N_ ("kept with the request and told to the device, at most 240 bytes") },
  { "no-wait", TL_OPTION_FLAG, NULL, N_ ("do not wait until the device has stopped") },
  { NULL },
};

const TlVerb tl_verb_requests_cancel = {
  .path = "requests cancel",
  .arguments = "REQUEST",
  .min_arguments = 1,
  .max_arguments = 1,
  .summary = N_ ("end a capability request"),
  .details
  = N_ ("REQUEST is a request's id or a unique prefix of one. A request that waits for its device never runs; one "
        "that runs is ended by\n"
        "the device, and counts as cancelled after a few seconds even when the device does not answer. What it "
        "did until then is done."),
  .options = options,
  .run = run,
};
