/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-device-change.h"
#include "agent/cli/tl-verb.h"
#include "agent/cli/tl-json-out.h"
#include "base/tl-error.h"

static const TlDeviceVerb verb = {
  .method = "SetDeviceRole",
  .request = &twinlatch__v1__set_device_role_request__descriptor,
  .question = N_ ("Change the role of %s?"),
  .done = N_ ("Changed the role of %s in %u ms"),
  .would = N_ ("Would change the role of %s"),
  .already = N_ ("%s has that role already."),
};

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  int role;

  if (!tl_enum_from_text (&twinlatch__v1__role__descriptor, tl_args_argument (args, 1), &role))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("'%s' is no role; it is node or operator"),
                   tl_args_argument (args, 1));
      return FALSE;
    }
  return tl_device_change_run (cli, args, &verb, 1, role, error);
}

static const TlOption options[] = {
  TL_DEVICE_OPTION_REASON,
  TL_DEVICE_OPTION_DRY_RUN,
  TL_DEVICE_OPTION_YES,
  { NULL },
};

const TlVerb tl_verb_devices_role = {
  .path = "devices role",
  .arguments = "DEVICE node|operator",
  .min_arguments = 2,
  .max_arguments = 2,
  .summary = N_ ("make a device an operator, or a node again"),
  .details
  = N_ ("The device's connections end and it connects again with the new role. An operator that becomes a node loses "
        "its\n"
        "codes and undecided requests, and the devices that it admitted are listed. Only at the gateway itself."),
  .options = options,
  .run = run,
};
