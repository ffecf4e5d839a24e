/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * The thin layer over gRPC core, common part: the loop. One thread takes completion-queue events, parses and
 * authenticates
 * ("hybrid" model); whole messages go to the main context in batches; replies may be sent from any thread. Everything a
 * callback of this layer is given is delivered on that main context.
 */
typedef struct _TlRpcLoop TlRpcLoop;

/* Initialises gRPC; context NULL = thread-default. */
TlRpcLoop *tl_rpc_loop_new (GMainContext *context);
TlRpcLoop *tl_rpc_loop_ref (TlRpcLoop *loop);
/* The last reference stops the thread (after what is under way ended) and shuts gRPC down. Servers and clients hold
 * one. */
void tl_rpc_loop_unref (TlRpcLoop *loop);

/* Trailing metadata key of the stable reason (PROTOCOL 4). */
#define TL_RPC_REASON_KEY "twinlatch-reason"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRpcLoop, tl_rpc_loop_unref)

G_END_DECLS
