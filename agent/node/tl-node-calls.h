/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-node-rpc.h"

G_BEGIN_DECLS

/*
 * TlNodeCalls: what a node that is connected over QUIC still asks over gRPC (PROTOCOL 5): registration, results and
 * events that are too large for a frame. gRPC is started for the first call and shut down after the last one that is
 * under way. Thread: main context; functions are called there, later, none after tl_node_calls_free().
 */
typedef struct _TlNodeCalls TlNodeCalls;

/* answer NULL: error says why, as tl_rpc_client_call_finish() does. Borrowed. */
typedef void (*TlNodeCallFunc) (const ProtobufCMessage *answer, const GError *error, gpointer user_data);

/* rpc and addresses are copied, what rpc points to is borrowed. */
TlNodeCalls *tl_node_calls_new (const TlNodeRpc *rpc, const char *const *addresses);
/* Ends what is under way. NULL allowed. */
void tl_node_calls_free (TlNodeCalls *calls);
/* One unary call as the device. release (NULL: none) frees user_data, always. */
void tl_node_calls_start (TlNodeCalls *calls, const char *path, const ProtobufCMessage *request,
                          const ProtobufCMessageDescriptor *response, guint deadline_ms, TlNodeCallFunc func,
                          gpointer user_data, GDestroyNotify release);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeCalls, tl_node_calls_free)

G_END_DECLS
