/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__RenameDeviceRequest request = TWINLATCH__V1__RENAME_DEVICE_REQUEST__INIT;
  g_autoptr (TlRenameAnswer) answer = NULL;
  g_autofree char *before = NULL;
  g_autofree char *after = tl_text_escape (tl_args_argument (args, 1));

  request.device = (char *)tl_args_argument (args, 0);
  request.name = (char *)tl_args_argument (args, 1);
  answer = (TlRenameAnswer *)tl_admin_call (cli, "RenameDevice", &request.base,
                                            &twinlatch__v1__rename_device_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  before = tl_text_escape (answer->old_name);
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_message (&answer->base));
  else if (answer->already)
    tl_cli_print (cli, _ ("It is called \"%s\" already.\n"), after);
  else
    tl_cli_print (cli, _ ("\"%s\" is now called \"%s\".\n"), before, after);
  return TRUE;
}

const TlVerb tl_verb_devices_rename = {
  .path = "devices rename",
  .arguments = "DEVICE NAME",
  .min_arguments = 2,
  .max_arguments = 2,
  .summary = N_ ("give a device another name"),
  .details = N_ ("NAME has at most 64 bytes. The device is not told; it keeps the name when it pairs again."),
  .run = run,
};
