/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-capabilities.h"

#include "base/tl-error.h"

static gboolean
check_policy (const TlNodeConfig *config, const TlCapabilitySet *set, GError **error)
{
  GHashTableIter iter;
  gpointer name;

  g_hash_table_iter_init (&iter, config->policy);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    {
      g_autofree char *group = NULL;
      const char *where;

      if (tl_capability_set_lookup (set, name) != NULL)
        continue;
      group = g_strdup_printf ("policy %s", (const char *)name);
      where = tl_config_where (config->config, group, "mode");
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s: [%s]: this node has no capability %s",
                   where != NULL ? where : "configuration", group, (const char *)name);
      return FALSE;
    }
  return TRUE;
}

TlCapabilitySet *
tl_node_capabilities_new (const TlNodeConfig *config, const TlNodeFacts *facts, TlFsRoots *roots,
                          const TlCapability *more, guint n_more, gpointer more_data, GError **error)
{
  g_autoptr (TlCapabilitySet) set = tl_capability_set_new ();

  tl_capability_add_echo (set);
  tl_capability_add_system (set, facts, roots);
  tl_capability_add_fs (set, roots);
  tl_capability_add_process (set, config);
  for (guint i = 0; i < n_more; i++)
    tl_capability_set_add (set, &more[i], more_data, NULL, NULL);
  return check_policy (config, set, error) ? g_steal_pointer (&set) : NULL;
}
