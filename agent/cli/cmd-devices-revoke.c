/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-device-change.h"
#include "agent/cli/tl-verb.h"

static const TlDeviceVerb verb = {
  .method = "RevokeDevice",
  .request = &twinlatch__v1__revoke_device_request__descriptor,
  .question = N_ ("Revoke %s? It is cut off at once and has to pair anew."),
  .done = N_ ("Revoked %s in %u ms"),
  .would = N_ ("Would revoke %s"),
  .already = N_ ("%s was revoked already."),
};

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  return tl_device_change_run (cli, args, &verb, tl_args_count (args), 0, error);
}

static const TlOption options[] = {
  TL_DEVICE_OPTION_REASON,
  TL_DEVICE_OPTION_DRY_RUN,
  TL_DEVICE_OPTION_YES,
  { NULL },
};

const TlVerb tl_verb_devices_revoke = {
  .path = "devices revoke",
  .arguments = "DEVICE...",
  .min_arguments = 1,
  .max_arguments = G_MAXUINT,
  .summary = N_ ("cut a device off for good"),
  .details = N_ (
      "Its certificates stop working at once, its connections are closed, its requests fail and it stays banned until\n"
      "'devices clear'. Revoking a revoked device is no error. An operator's codes and undecided requests end with "
      "it."),
  .options = options,
  .run = run,
};
