/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-node-service-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  g_autoptr (TlNodeService) service = tl_node_service_verb_open (cli, args, TRUE, error);

  return service != NULL && tl_node_service_uninstall (service, error)
         && tl_node_service_verb_print (cli, args, service, error);
}

static const TlOption options[] = {
  TL_NODE_SERVICE_OPTION_SYSTEM,
  { "dry-run", TL_OPTION_FLAG, NULL, N_ ("say what would be done, and do nothing") },
  TL_NODE_SERVICE_OPTION_GATEWAY,
  { NULL },
};

const TlVerb tl_verb_node_uninstall = {
  .path = "node uninstall",
  .arguments = "",
  .summary = N_ ("stop the node service and take it away"),
  .details = N_ ("The pairing stays; twinlatch node forget deletes it."),
  .options = options,
  .run = run,
};
