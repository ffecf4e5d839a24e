/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-device-change.h"
#include "agent/cli/tl-verb.h"

static const TlDeviceVerb verb = {
  .method = "SuspendDevice",
  .request = &twinlatch__v1__suspend_device_request__descriptor,
  .done = N_ ("Suspended %s in %u ms"),
  .would = N_ ("Would suspend %s"),
  .already = N_ ("%s was suspended already."),
};

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  return tl_device_change_run (cli, args, &verb, tl_args_count (args), 0, error);
}

static const TlOption options[] = {
  TL_DEVICE_OPTION_REASON,
  TL_DEVICE_OPTION_DRY_RUN,
  { NULL },
};

const TlVerb tl_verb_devices_suspend = {
  .path = "devices suspend",
  .arguments = "DEVICE...",
  .min_arguments = 1,
  .max_arguments = G_MAXUINT,
  .summary = N_ ("cut a device off until it is resumed"),
  .details = N_ ("As 'devices revoke', but reversible: its certificates and its queued requests stay, and 'devices "
                 "resume' admits it\n"
                 "again. Suspending a suspended device is no error."),
  .options = options,
  .run = run,
};
