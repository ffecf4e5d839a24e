/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-gateway-link.h"
#include "agent/node/tl-node-rpc.h"
#include "pairing/tl-pairing-messages.h"

G_BEGIN_DECLS

/*
 * The gateway link over QUIC (PROTOCOL 5): one connection, the event stream on one of its streams, acknowledgements,
 * node events and results on streams of their own; registration, and what is too large for a frame, by a gRPC call of
 * its own. A gateway whose gRPC does not answer is registered with later. It notices silence: after an unanswered
 * request (tl-quic-requests.h), or TL_QUIC_LINK_SILENT_MS after the last sign of life. Thread: main context.
 */
#define TL_QUIC_LINK_SILENT_MS     25000 /* keep-alive asks for a sign of life every 20 s */
#define TL_QUIC_LINK_PATH_MS       2000  /* for an answer over the path there is after a change of network */
#define TL_QUIC_LINK_REGISTER_MS   2000  /* then it goes on without registration */
#define TL_QUIC_LINK_REREGISTER_MS 30000

typedef struct
{
  TlNodeRpc rpc;
  TlClientKind client_kind;
  const char *pin;            /* of the gateway's certificate (tl_quic_trust_new()); NULL: none */
  guint handshake_timeout_ms; /* 0: TL_QUIC_HANDSHAKE_TIMEOUT_MS */
  guint keep_alive_ms;        /* 0: TL_QUIC_KEEP_ALIVE_MS; silence is looked for a quarter later */
} TlQuicLinkFactory;

/* A TlGatewayLinkFactory; factory_data is a TlQuicLinkFactory. INVALID_ARGUMENT: certificate or key cannot be used. */
TlGatewayLink *tl_gateway_link_new_quic (const TlGatewayLinkHandlers *handlers, gpointer user_data,
                                         gpointer factory_data, GError **error);

G_END_DECLS
