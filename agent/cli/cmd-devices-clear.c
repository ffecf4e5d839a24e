/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-device-change.h"
#include "agent/cli/tl-verb.h"

static const TlDeviceVerb verb = {
  .method = "ClearDevice",
  .request = &twinlatch__v1__clear_device_request__descriptor,
  .done = N_ ("Cleared %s in %u ms"),
  .already = N_ ("%s is not banned."),
  .after = N_ ("its ban is lifted, it may pair again; its certificates stay dead."),
};

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  return tl_device_change_run (cli, args, &verb, tl_args_count (args), 0, error);
}

static const TlOption options[] = {
  TL_DEVICE_OPTION_REASON,
  { NULL },
};

const TlVerb tl_verb_devices_clear = {
  .path = "devices clear",
  .arguments = "DEVICE...",
  .min_arguments = 1,
  .max_arguments = G_MAXUINT,
  .summary = N_ ("lift a revoked device's ban"),
  .details = N_ ("The device is then as a removed one: it may pair again, with approval, as if it were new. Its "
                 "certificates stay dead."),
  .options = options,
  .run = run,
};
