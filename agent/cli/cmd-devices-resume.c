/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-device-change.h"
#include "agent/cli/tl-verb.h"

static const TlDeviceVerb verb = {
  .method = "ResumeDevice",
  .request = &twinlatch__v1__resume_device_request__descriptor,
  .done = N_ ("Resumed %s in %u ms"),
  .already = N_ ("%s is not suspended."),
  .after = N_ (
      "its certificates are good again; a running node connects by itself within 15 minutes, a restarted one at once."),
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

const TlVerb tl_verb_devices_resume = {
  .path = "devices resume",
  .arguments = "DEVICE...",
  .min_arguments = 1,
  .max_arguments = G_MAXUINT,
  .summary = N_ ("admit a suspended device again"),
  .details = N_ ("Its certificates that have not ended are good again. If none is left it renews with its identity, or "
                 "pairs again."),
  .options = options,
  .run = run,
};
