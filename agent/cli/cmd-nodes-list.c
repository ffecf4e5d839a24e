/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"

static void
print_table (TlCli *cli, const GPtrArray *nodes)
{
  g_autoptr (TlTable) table = tl_table_new (_ ("NODE"), _ ("NAME"), _ ("CONNECTED"), _ ("PLATFORM"), _ ("VERSION"),
                                            _ ("CAPABILITIES"), _ ("LAST SEEN"), NULL);

  for (guint i = 0; i < nodes->len; i++)
    {
      const Twinlatch__V1__Node *node = g_ptr_array_index (nodes, i);
      const char *transport = node->transport[0] != '\0' ? node->transport : _ ("yes");
      g_autofree char *capabilities = g_strdup_printf ("%" G_GSIZE_FORMAT, node->n_capabilities);
      g_autofree char *seen = tl_cli_time (cli, node->last_seen_unix_ms);

      const char *connected = node->connected ? transport : _ ("no");

      if (node->state == TWINLATCH__V1__DEVICE_STATE__DEVICE_STATE_NOT_PAIRED)
        connected = _ ("not paired");
      tl_table_add (table, node->device_id, node->name, connected, node->platform, node->node_version, capabilities,
                    seen);
    }
  tl_cli_print_table (cli, table);
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__ListNodesRequest request = TWINLATCH__V1__LIST_NODES_REQUEST__INIT;
  g_autoptr (GPtrArray) nodes = NULL;

  (void)args;
  nodes = tl_admin_list (cli, "ListNodes", &request.base, &twinlatch__v1__list_nodes_response__descriptor, error);
  if (nodes == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_messages (nodes));
  else if (nodes->len == 0)
    tl_cli_note (cli, _ ("No node has registered yet.\n"));
  else
    print_table (cli, nodes);
  return TRUE;
}

const TlVerb tl_verb_nodes_list = {
  .path = "nodes list",
  .arguments = "",
  .summary = N_ ("list nodes and whether they are connected"),
  .run = run,
};
