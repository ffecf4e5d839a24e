/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-pairing-show.h"
#include "agent/cli/tl-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__ListPairingRequestsRequest request = TWINLATCH__V1__LIST_PAIRING_REQUESTS_REQUEST__INIT;
  Twinlatch__V1__PairingState open_states[] = {
    TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_PENDING_APPROVAL,
    TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_APPROVED,
  };
  g_autoptr (GPtrArray) requests = NULL;

  if (!tl_args_flag (args, "all"))
    {
      request.n_states = G_N_ELEMENTS (open_states);
      request.states = open_states;
    }
  requests = tl_admin_list (cli, "ListPairingRequests", &request.base,
                            &twinlatch__v1__list_pairing_requests_response__descriptor, error);
  if (requests == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_messages (requests));
  else if (requests->len == 0)
    tl_cli_note (cli, _ ("No device waits for approval.\n"));
  else
    tl_pairing_show_requests (cli, requests);
  return TRUE;
}

static const TlOption options[] = {
  { "all", TL_OPTION_FLAG, NULL, N_ ("also completed, rejected and expired requests") },
  { NULL },
};

const TlVerb tl_verb_pairing_list = {
  .path = "pairing list",
  .arguments = "",
  .summary = N_ ("list devices that want to pair"),
  .options = options,
  .run = run,
};
