/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-prompt.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

/* Asks about the device that the gateway means by this name; returns its id, so that exactly that one is revoked. */
static char *
confirm (TlCli *cli, const char *device, GError **error)
{
  Twinlatch__V1__GetDeviceRequest request = TWINLATCH__V1__GET_DEVICE_REQUEST__INIT;
  g_autoptr (TlDeviceAnswer) answer = NULL;
  g_autofree char *name = NULL;
  g_autofree char *question = NULL;

  request.device = (char *)device;
  answer = (TlDeviceAnswer *)tl_admin_call (cli, "GetDevice", &request.base,
                                            &twinlatch__v1__get_device_response__descriptor, error);
  if (answer == NULL)
    return NULL;
  if (answer->device == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, _ ("the gateway's answer holds no device"));
      return NULL;
    }
  name = tl_text_escape (answer->device->name);
  question = g_strdup_printf (_ ("Revoke %s (%s)? It is cut off at once and has to pair anew."), name,
                              answer->device->device_id);
  return tl_prompt_require (FALSE, question, error) ? g_strdup (answer->device->device_id) : NULL;
}

static void
print_for_people (TlCli *cli, const TlRevokeAnswer *answer, const char *device)
{
  gboolean has_name = answer->device != NULL && answer->device->name[0] != '\0';
  g_autofree char *name = tl_text_escape (has_name ? answer->device->name : device);

  if (answer->already)
    tl_cli_print (cli, _ ("%s was revoked already.\n"), name);
  else
    tl_cli_print (
        cli,
        _ ("Revoked %s in %u ms: %u certificates, %u calls cancelled, %u connections closed, %u requests failed.\n"),
        name, answer->duration_ms, answer->certificates, answer->calls_cancelled, answer->connections_closed,
        answer->requests_failed);
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__RevokeDeviceRequest request = TWINLATCH__V1__REVOKE_DEVICE_REQUEST__INIT;
  g_autoptr (TlRevokeAnswer) answer = NULL;
  g_autofree char *device = g_strdup (tl_args_argument (args, 0));

  if (!tl_args_flag (args, "yes"))
    {
      g_autofree char *confirmed = NULL;

      /* Without a terminal the missing --yes is reported before anything is asked of the gateway. */
      if (!tl_prompt_available () && !tl_prompt_require (FALSE, "", error))
        return FALSE;
      confirmed = confirm (cli, device, error);
      if (confirmed == NULL)
        return FALSE;
      g_free (device);
      device = g_steal_pointer (&confirmed);
    }
  request.device = device;
  if (tl_args_text (args, "reason") != NULL)
    request.reason = (char *)tl_args_text (args, "reason");
  answer = (TlRevokeAnswer *)tl_admin_call (cli, "RevokeDevice", &request.base,
                                            &twinlatch__v1__revoke_device_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_message (&answer->base));
  else
    print_for_people (cli, answer, device);
  return TRUE;
}

static const TlOption options[] = {
  { "reason", TL_OPTION_TEXT, "TEXT", N_ ("kept with the device, at most 240 bytes") },
  { "yes", TL_OPTION_FLAG, NULL, N_ ("do not ask; needed without a terminal") },
  { NULL },
};

const TlVerb tl_verb_devices_revoke = {
  .path = "devices revoke",
  .arguments = "DEVICE",
  .min_arguments = 1,
  .max_arguments = 1,
  .summary = N_ ("cut a device off for good"),
  .details = N_ ("Its certificates stop working at once, its connections are closed and it stays banned. Revoking a "
                 "revoked device\n"
                 "is no error."),
  .options = options,
  .run = run,
};
