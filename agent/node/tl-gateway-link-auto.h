/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-gateway-link.h"
#include "base/tl-random.h"

G_BEGIN_DECLS

/*
 * The gateway link that uses what gets through (transport=auto): QUIC, and gRPC beside it when QUIC is not confirmed
 * soon. On gRPC it tries QUIC again and again and goes over to it: the new event stream takes the place of the old one,
 * which the gateway ends because it is of the same instance (PROTOCOL 5). Whoever refuses this device over QUIC has
 * refused it: that is no reason to try gRPC. Thread: main context.
 */
#define TL_AUTO_LINK_PATIENCE_MS   2000  /* for QUIC, before gRPC is started beside it */
#define TL_AUTO_LINK_HEAD_START_MS 200   /* the same when QUIC did not get through the last time */
#define TL_AUTO_LINK_RETRY_MIN_MS  25000 /* QUIC again, while on gRPC */
#define TL_AUTO_LINK_RETRY_MAX_MS  45000

/* How the two are made, and what one link leaves to the next. Zeroed but for what is set; reason is freed by the owner.
 */
typedef struct
{
  TlGatewayLinkFactory quic, grpc;
  gpointer quic_data, grpc_data;
  TlRandom *random;
  gboolean pinned; /* a gateway that QUIC refuses is refused by gRPC, too: its refusal counts */
  guint patience_ms, head_start_ms, retry_min_ms, retry_max_ms; /* 0: as above */

  gboolean blocked; /* QUIC did not get through the last time it was tried or used */
  char *reason;     /* why not QUIC; NULL */
} TlAutoLinkFactory;

/* A TlGatewayLinkFactory; factory_data is a TlAutoLinkFactory, which outlives the link. */
TlGatewayLink *tl_gateway_link_new_auto (const TlGatewayLinkHandlers *handlers, gpointer user_data,
                                         gpointer factory_data, GError **error);

G_END_DECLS
