/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-node-service-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  g_autoptr (TlNodeService) service = tl_node_service_verb_open (cli, args, FALSE, error);

  return service != NULL && tl_node_service_restart (service, error)
         && tl_node_service_verb_print (cli, args, service, error);
}

static const TlOption options[] = {
  TL_NODE_SERVICE_OPTION_SYSTEM,
  TL_NODE_SERVICE_OPTION_GATEWAY,
  { NULL },
};

const TlVerb tl_verb_node_restart = {
  .path = "node restart",
  .arguments = "",
  .summary = N_ ("restart the node service"),
  .details = N_ ("For a new configuration or a new version. A stopped one starts."),
  .options = options,
  .run = run,
};
