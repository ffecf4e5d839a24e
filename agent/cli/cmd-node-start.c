/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-node-service-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  g_autoptr (TlNodeService) service = tl_node_service_verb_open (cli, args, FALSE, error);

  return service != NULL && tl_node_service_start (service, error)
         && tl_node_service_verb_print (cli, args, service, error);
}

static const TlOption options[] = {
  TL_NODE_SERVICE_OPTION_SYSTEM,
  TL_NODE_SERVICE_OPTION_GATEWAY,
  { NULL },
};

const TlVerb tl_verb_node_start = {
  .path = "node start",
  .arguments = "",
  .summary = N_ ("start the installed node service"),
  .details = N_ ("Returns when the node works; it connects as soon as it can (twinlatch node status). Starting a "
                 "running one is success."),
  .options = options,
  .run = run,
};
