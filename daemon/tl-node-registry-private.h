/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-node-registry.h"

G_BEGIN_DECLS

/* What the registry's files share: tl-node-registry.c (which nodes), -stream.c (their event streams), -wire.c (what
 * operators see). Thread: main. */
struct _TlNodeRegistry
{
  TlGateway *gateway;
  GHashTable *nodes;   /* device id -> TlNode* */
  GPtrArray *watchers; /* TlRpcCall*: WatchNodes */
  guint connected;
  GError *load_error; /* between tl_node_registry_load() and its callback */
};

/* Tells the watchers. */
void tl_node_registry_announce (TlNodeRegistry *registry, TlNode *node);

G_END_DECLS
