/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "rpc/tl-rpc-denials.h"

G_BEGIN_DECLS

/*
 * TlRpcPeers: who is connected over TLS. gRPC gives no connections, so an entry is a peer address: made by the first
 * call from it or by the walk over our own sockets, gone when both are. Knows which certificate an address showed, its
 * calls, and how long a stranger has been there. Thread: any (one lock, never held across a call out).
 */
typedef struct _TlRpcPeers TlRpcPeers;

typedef struct
{
  guint max_strangers;
  guint max_strangers_per_source;
  gint64 stranger_lifetime_us;
} TlRpcPeerLimits;

/* Strangers over a limit go to `denials`. */
TlRpcPeers *tl_rpc_peers_new (const TlRpcPeerLimits *limits, TlRpcDenials *denials);
TlRpcPeers *tl_rpc_peers_ref (TlRpcPeers *peers);
void tl_rpc_peers_unref (TlRpcPeers *peers);
/* Before start: a port that TLS connections come in on. */
void tl_rpc_peers_add_port (TlRpcPeers *peers, guint16 port);

/* FALSE: a stranger with too many requests that have not arrived yet; the call is then not registered. */
gboolean tl_rpc_peers_add_call (TlRpcPeers *peers, TlRpcCall *call);
/* The request arrived (or never will): it does not count any more. */
void tl_rpc_peers_request_arrived (TlRpcPeers *peers, TlRpcCall *call);
void tl_rpc_peers_remove_call (TlRpcPeers *peers, TlRpcCall *call);
/* The next walk shuts this address's socket down. */
void tl_rpc_peers_doom (TlRpcPeers *peers, const char *address);

typedef enum
{
  TL_RPC_DROP_COUNT, /* nothing: only counts what the others would do */
  TL_RPC_DROP_CUT,   /* not admitted any more: UNAUTHENTICATED */
  TL_RPC_DROP_RESET, /* it may come back at once: UNAVAILABLE */
} TlRpcDrop;
/* Cancels calls and shuts sockets down; exactly one of device_id and fingerprint is given. Main context. */
void tl_rpc_peers_drop (TlRpcPeers *peers, TlRpcDrop how, const char *device_id, const char *fingerprint, guint *calls,
                        guint *connections);
/* Every half second: strangers over a limit, certificates that ended at now_ms, requests that do not arrive. Main
 * context. */
void tl_rpc_peers_walk (TlRpcPeers *peers, gint64 now_ms);
guint tl_rpc_peers_strangers (TlRpcPeers *peers);

G_END_DECLS
