/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-pairing-show.h"
#include "agent/cli/tl-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__ListPairingCodesRequest request = TWINLATCH__V1__LIST_PAIRING_CODES_REQUEST__INIT;
  g_autoptr (GPtrArray) codes = NULL;

  request.all = tl_args_flag (args, "all");
  codes = tl_admin_list (cli, "ListPairingCodes", &request.base,
                         &twinlatch__v1__list_pairing_codes_response__descriptor, error);
  if (codes == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_messages (codes));
  else if (codes->len == 0)
    tl_cli_note (cli, _ ("There are no codes. Make one with: twinlatch pairing mint\n"));
  else
    tl_pairing_show_codes (cli, codes);
  return TRUE;
}

static const TlOption options[] = {
  { "all", TL_OPTION_FLAG, NULL, N_ ("also used, spent, expired and cancelled codes") },
  { NULL },
};

const TlVerb tl_verb_pairing_codes = {
  .path = "pairing codes",
  .arguments = "",
  .summary = N_ ("list pairing codes (never the codes themselves)"),
  .options = options,
  .run = run,
};
