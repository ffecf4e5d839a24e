/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-node-service-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  g_autoptr (TlNodeService) service = tl_node_service_verb_open (cli, args, FALSE, error);

  return service != NULL && tl_node_service_install (service, error)
         && (!tl_args_flag (args, "start") || tl_node_service_start (service, error))
         && tl_node_service_verb_print (cli, args, service, error);
}

static const TlOption options[] = {
  TL_NODE_SERVICE_OPTION_SYSTEM,
  { "start", TL_OPTION_FLAG, NULL, N_ ("start it too") },
  { "config", TL_OPTION_TEXT, "FILE", N_ ("configuration of the node, see twinlatch-node.conf(5)") },
  { "dry-run", TL_OPTION_FLAG, NULL, N_ ("say what would be done, and do nothing") },
  TL_NODE_SERVICE_OPTION_GATEWAY,
  { NULL },
};

const TlVerb tl_verb_node_install = {
  .path = "node install",
  .arguments = "",
  .summary = N_ ("make the node a service that starts by itself"),
  .details
  = N_ ("With systemd a unit: of your own manager, or with --system of the computer's (state in "
        "/var/lib/twinlatch-node, user\n"
        "twinlatch-node; pair with twinlatch node pair --system). Elsewhere a supervised background process. Needs a\n"
        "pairing. Installing what is installed is success."),
  .options = options,
  .run = run,
};
