/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-node-process.h"

#include "agent/node/tl-node-runtime.h"

#define PROGRAM_PREFIX "twinlatch" /* of all programs that run a node */

static gboolean
is_ours (gint64 pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%" G_GINT64_FORMAT "/comm", pid);
  g_autofree char *name = NULL;

  if (!g_file_get_contents (path, &name, NULL, NULL)) /* no /proc here: the pid has to do */
    return TRUE;
  return g_str_has_prefix (name, PROGRAM_PREFIX);
}

TlNodeStatus *
tl_node_process_find (const char *directory)
{
  g_autoptr (TlNodeStatus) status = tl_node_status_read (directory, NULL);

  if (status == NULL || g_str_equal (status->state, tl_node_run_state_to_string (TL_NODE_STOPPED)))
    return NULL;
  if (!tl_node_status_is_alive (status) || !is_ours (status->pid))
    return NULL;
  return g_steal_pointer (&status);
}
