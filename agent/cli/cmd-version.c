/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-verb.h"
#include "tl-config-build.h"

#define PROTOCOL_VERSION 1

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  (void)args;
  (void)error;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, json_pack ("{s:s, s:i}", "version", TL_VERSION, "protocol", PROTOCOL_VERSION));
  else
    tl_cli_print (cli, "twinlatch %s\n", TL_VERSION);
  return TRUE;
}

const TlVerb tl_verb_version = {
  .path = "version",
  .arguments = "",
  .summary = N_ ("show the version"),
  .run = run,
};
