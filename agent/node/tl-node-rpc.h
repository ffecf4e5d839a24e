/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/tl-device-identity.h"
#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/*
 * TlNodeRpc: how a device reaches its gateway over gRPC. Everything is borrowed, as long as anybody uses it. Without a
 * loop each client has its own: gRPC and its threads are there only while a client is. Thread: main context.
 */
typedef struct
{
  TlRpcLoop *loop;            /* NULL: see above */
  TlDeviceIdentity *identity; /* bundle, key and leaf, as they are when a client is made */
  TlClock *clock;             /* NULL = system */
  const char *server_pin;     /* hex SHA-256 of the gateway's leaf or its public key; NULL: none */
} TlNodeRpc;

/* What a device shows in the TLS handshake: its leaf, its key, the CAs it trusts. */
TlRpcIdentity *tl_node_rpc_identity (TlDeviceIdentity *identity, GError **error);
/* A client that has not connected yet. as_device: with the certificate. */
TlRpcClient *tl_node_rpc_client (const TlNodeRpc *rpc, const char *const *addresses, gboolean as_device,
                                 guint connect_timeout_ms, GError **error);

G_END_DECLS
