/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-node-config.h"
#include "agent/node/tl-node-state.h"
#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/*
 * TlNodeRuntime: a paired node at work: keeps the gateway link up (jittered back-off), registers, reads the event log
 * from its cursor, runs capabilities after the policy hook, hands in results, acknowledges. At most once (PROTOCOL 4.1,
 * P): a request that is not idempotent is recorded as started, durably, before it runs and before its event is
 * acknowledged. Thread: main context.
 */
typedef enum
{
  TL_NODE_CONNECTING, /* no link; the next attempt is scheduled or under way */
  TL_NODE_CONNECTED,  /* registered, event stream open */
  TL_NODE_REFUSED, /* the gateway refuses this certificate (revoked, unknown); keeps trying slowly, identity is kept */
  TL_NODE_STOPPED,
} TlNodeRunState;

const char *tl_node_run_state_to_string (TlNodeRunState state);

typedef struct _TlNodeRuntime TlNodeRuntime;
typedef void (*TlNodeStateFunc) (TlNodeRuntime *runtime, TlNodeRunState state, const char *detail, gpointer user_data);

/* Takes ownership of neither; both outlive it. gRPC runs only while it is needed. */
TlNodeRuntime *tl_node_runtime_new (TlNodeState *state, TlNodeConfig *config, GError **error);
void tl_node_runtime_set_state_func (TlNodeRuntime *runtime, TlNodeStateFunc func, gpointer user_data);
gboolean tl_node_runtime_start (TlNodeRuntime *runtime, GError **error);
/* Tells the gateway (node.stopping), waits for what runs at most grace_ms; done (may be NULL) then. */
void tl_node_runtime_stop (TlNodeRuntime *runtime, guint grace_ms, GFunc done, gpointer user_data);
void tl_node_runtime_free (TlNodeRuntime *runtime);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeRuntime, tl_node_runtime_free)

G_END_DECLS
