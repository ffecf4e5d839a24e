/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-device-change.h"
#include "agent/cli/tl-verb.h"

static const TlDeviceVerb verb = {
  .method = "RemoveDevice",
  .request = &twinlatch__v1__remove_device_request__descriptor,
  .question = N_ ("Remove %s? It is cut off at once and forgotten."),
  .done = N_ ("Removed %s in %u ms"),
  .would = N_ ("Would remove %s"),
  .already = N_ ("%s was removed already."),
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

const TlVerb tl_verb_devices_remove = {
  .path = "devices remove",
  .arguments = "DEVICE...",
  .min_arguments = 1,
  .max_arguments = G_MAXUINT,
  .summary = N_ ("forget a device"),
  .details
  = N_ ("An active device is cut off first, as by 'devices revoke', but not banned: it may pair again. A removed "
        "device is in\n"
        "'devices list --all' only. A revoked one is not removed, since that would lift its ban: see 'devices clear'."),
  .options = options,
  .run = run,
};
