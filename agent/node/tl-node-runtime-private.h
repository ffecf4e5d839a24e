/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-gateway-link.h"
#include "agent/node/tl-network-monitor.h"
#include "agent/node/tl-node-runtime.h"
#include "agent/node/tl-renewal.h"
#include "agent/node/tl-suspend-monitor.h"

G_BEGIN_DECLS

/*
 * The world around a runtime, for those who bring their own: tests, and the desktop agent (policy).
 */
typedef struct
{
  TlGatewayLinkFactory link_factory; /* NULL: as the configuration says */
  gpointer link_factory_data;
  TlNetworkMonitor *network;        /* borrowed, outlives the runtime; NULL: the system's */
  TlSuspendMonitor *suspend;        /* the same */
  TlPolicy *policy;                 /* the same; NULL: node.conf */
  TlClock *clock;                   /* NULL: system */
  TlRandom *random;                 /* NULL: system */
  const TlCapability *capabilities; /* more than the built-in ones */
  guint n_capabilities;
  gpointer capability_data;
  TlRenewalObserver renewal_observer; /* NULL: nobody */
  gpointer renewal_observer_data;
} TlNodeRuntimeParts;

/* loop: of gRPC, outlives the runtime; NULL: gRPC is started when it is needed and shut down after it. */
TlNodeRuntime *tl_node_runtime_new_with_parts (TlRpcLoop *loop, TlNodeState *state, TlNodeConfig *config,
                                               const TlNodeRuntimeParts *parts, GError **error);

G_END_DECLS
