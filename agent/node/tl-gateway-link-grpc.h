/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-gateway-link.h"
#include "agent/node/tl-node-rpc.h"
#include "pairing/tl-pairing-messages.h"

G_BEGIN_DECLS

/*
 * The gateway link over gRPC: RegisterNode, then StreamEvents; a client of its own for each link, so that no back-off
 * of gRPC's comes on top of ours. A gateway that answers strangers but not this device's certificate is told from one
 * that is not there by a health check without certificate. Thread: main context.
 */
typedef struct
{
  TlNodeRpc rpc;
  TlClientKind client_kind;
  guint connect_timeout_ms; /* 0 = 5000 */
  const char *reason;       /* why it is not QUIC that is used; static; NULL: not said */
} TlGrpcLinkFactory;

/* A TlGatewayLinkFactory; factory_data is a TlGrpcLinkFactory. */
TlGatewayLink *tl_gateway_link_new_grpc (const TlGatewayLinkHandlers *handlers, gpointer user_data,
                                         gpointer factory_data, GError **error);

G_END_DECLS
