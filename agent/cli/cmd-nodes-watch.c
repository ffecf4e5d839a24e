/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"

static gboolean
on_node (const ProtobufCMessage *message, gpointer user_data)
{
  TlCli *cli = user_data;
  const Twinlatch__V1__Node *node = (const Twinlatch__V1__Node *)message;
  g_autofree char *state = NULL;
  g_autofree char *name = NULL;
  g_autofree char *address = NULL;

  if (tl_cli_is_json (cli))
    {
      tl_cli_print_json (cli, tl_json_from_message (message));
      return TRUE;
    }
  state = tl_enum_to_text (&twinlatch__v1__device_state__descriptor, node->state);
  name = tl_text_escape (node->name);
  address = tl_text_escape (node->address);
  if (node->connected)
    tl_cli_print (cli, _ ("%s  %s  connected from %s, %s\n"), node->device_id, name, address, state);
  else
    tl_cli_print (cli, _ ("%s  %s  not connected, %s\n"), node->device_id, name, state);
  return TRUE;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__WatchNodesRequest request = TWINLATCH__V1__WATCH_NODES_REQUEST__INIT;

  (void)args;
  return tl_admin_watch (cli, "WatchNodes", &request.base, &twinlatch__v1__node__descriptor, on_node, cli, error);
}

const TlVerb tl_verb_nodes_watch = {
  .path = "nodes watch",
  .arguments = "",
  .summary = N_ ("show nodes as they come and go"),
  .details = N_ ("Every known node, then each change, one a line, until Ctrl-C (or --timeout)."),
  .run = run,
};
