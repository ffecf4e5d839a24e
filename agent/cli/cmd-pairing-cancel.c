/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__CancelPairingCodeRequest request = TWINLATCH__V1__CANCEL_PAIRING_CODE_REQUEST__INIT;
  g_autoptr (TlCancelAnswer) answer = NULL;

  request.code_id = (char *)tl_args_argument (args, 0);
  answer = (TlCancelAnswer *)tl_admin_call (cli, "CancelPairingCode", &request.base,
                                            &twinlatch__v1__cancel_pairing_code_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, answer->code != NULL ? tl_json_from_message (&answer->code->base) : json_object ());
  else
    tl_cli_print (cli, _ ("Cancelled code %s.\n"), answer->code != NULL ? answer->code->code_id : request.code_id);
  return TRUE;
}

const TlVerb tl_verb_pairing_cancel = {
  .path = "pairing cancel",
  .arguments = "CODE",
  .min_arguments = 1,
  .max_arguments = 1,
  .summary = N_ ("cancel a pairing code"),
  .details = N_ ("CODE is the code's id (or a unique prefix of it) or its slot, the digits before a PIN's first dash; "
                 "not the PIN."),
  .refuses_codes = TRUE,
  .run = run,
};
