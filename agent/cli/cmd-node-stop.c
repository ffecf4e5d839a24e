/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-node-service-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  g_autoptr (TlNodeService) service = tl_node_service_verb_open (cli, args, TRUE, error);

  return service != NULL && tl_node_service_stop (service, error)
         && tl_node_service_verb_print (cli, args, service, error);
}

static const TlOption options[] = {
  TL_NODE_SERVICE_OPTION_SYSTEM,
  TL_NODE_SERVICE_OPTION_GATEWAY,
  { NULL },
};

const TlVerb tl_verb_node_stop = {
  .path = "node stop",
  .arguments = "",
  .summary = N_ ("stop the node service"),
  .details = N_ ("It starts again with the computer (or the session); twinlatch node uninstall ends that. Stopping a "
                 "stopped one is success."),
  .options = options,
  .run = run,
};
