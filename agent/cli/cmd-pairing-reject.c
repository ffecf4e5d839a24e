/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-pairing-show.h"
#include "agent/cli/tl-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  return tl_pairing_decide (cli, tl_args_argument (args, 0), FALSE, NULL, tl_args_text (args, "reason"), error);
}

static const TlOption options[] = {
  { "reason", TL_OPTION_TEXT, "TEXT", N_ ("told to the device's user, at most 240 bytes") },
  { NULL },
};

const TlVerb tl_verb_pairing_reject = {
  .path = "pairing reject",
  .arguments = "REQUEST",
  .min_arguments = 1,
  .max_arguments = 1,
  .summary = N_ ("turn a device away"),
  .options = options,
  .run = run,
};
