/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"

static gboolean
on_request (const ProtobufCMessage *message, gpointer user_data)
{
  TlCli *cli = user_data;
  const Twinlatch__V1__PairingRequest *request = (const Twinlatch__V1__PairingRequest *)message;
  g_autofree char *state = NULL;
  g_autofree char *name = NULL;
  g_autofree char *platform = NULL;
  g_autofree char *ends = NULL;

  if (tl_cli_is_json (cli))
    {
      tl_cli_print_json (cli, tl_json_from_message (message));
      return TRUE;
    }
  state = tl_enum_to_text (&twinlatch__v1__pairing_state__descriptor, request->state);
  name = tl_text_escape (request->device_name);
  platform = tl_text_escape (request->platform);
  ends = tl_cli_time (cli, request->expires_at_unix_ms);
  tl_cli_print (cli, _ ("%s  %s  %s, %s, from %s, ends %s\n"), request->request_id, state, name, platform,
                request->source, ends);
  return TRUE;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__WatchPairingRequestsRequest request = TWINLATCH__V1__WATCH_PAIRING_REQUESTS_REQUEST__INIT;

  (void)args;
  return tl_admin_watch (cli, "WatchPairingRequests", &request.base, &twinlatch__v1__pairing_request__descriptor,
                         on_request, cli, error);
}

const TlVerb tl_verb_pairing_watch = {
  .path = "pairing watch",
  .arguments = "",
  .summary = N_ ("show devices that want to pair as they come"),
  .details = N_ ("Every open request, then each change, one a line, until Ctrl-C (or --timeout)."),
  .run = run,
};
