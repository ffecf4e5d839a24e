/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

static gboolean
rotate_one (TlCli *cli, const char *device, GError **error)
{
  Twinlatch__V1__RotateDeviceRequest request = TWINLATCH__V1__ROTATE_DEVICE_REQUEST__INIT;
  g_autoptr (TlRotateAnswer) answer = NULL;
  g_autofree char *name = NULL;

  request.device = (char *)device;
  answer = (TlRotateAnswer *)tl_admin_call (cli, "RotateDevice", &request.base,
                                            &twinlatch__v1__rotate_device_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  name = tl_text_escape (answer->device != NULL ? answer->device->name : device);
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_message (&answer->base));
  else if (answer->already)
    tl_cli_print (cli, _ ("%s was asked already and has not answered yet.\n"), name);
  else if (answer->device != NULL && answer->device->connected)
    tl_cli_print (cli, _ ("Asked %s to renew its certificate.\n"), name);
  else
    tl_cli_print (cli, _ ("%s is not connected; it is asked when it comes back.\n"), name);
  return TRUE;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  int exit_code = TL_EXIT_OK;

  if (tl_args_count (args) == 1)
    return rotate_one (cli, tl_args_argument (args, 0), error);
  for (guint i = 0; i < tl_args_count (args); i++)
    {
      g_autoptr (GError) failure = NULL;
      int code;

      if (rotate_one (cli, tl_args_argument (args, i), &failure))
        continue;
      g_prefix_error (&failure, "%s: ", tl_args_argument (args, i));
      code = tl_cli_report (cli, failure);
      exit_code = exit_code != TL_EXIT_OK ? exit_code : code;
    }
  tl_cli_set_exit_code (cli, exit_code);
  return TRUE;
}

const TlVerb tl_verb_devices_rotate = {
  .path = "devices rotate",
  .arguments = "DEVICE...",
  .min_arguments = 1,
  .max_arguments = G_MAXUINT,
  .summary = N_ ("ask a device to renew its certificate now"),
  .details = N_ ("A device that is not connected is asked when it comes back, within 7 days."),
  .run = run,
};
