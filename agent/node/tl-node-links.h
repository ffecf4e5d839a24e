/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-gateway-link-grpc.h"
#include "agent/node/tl-renewal-grpc.h"

G_BEGIN_DECLS

/*
 * TlNodeLinks: how a device's connections to its gateway are made: one identity behind the gRPC link factory and the
 * transport of renewals. Thread: main context.
 */
typedef struct _TlNodeLinks TlNodeLinks;

/* What a device shows in the TLS handshake: its leaf, its key, the CAs it trusts. */
TlRpcIdentity *tl_node_rpc_identity (TlDeviceIdentity *identity, GError **error);

/* All borrowed, as long as the object or any link lives. */
TlNodeLinks *tl_node_links_new (TlRpcLoop *loop, TlDeviceIdentity *identity, TlClock *clock, GError **error);
/* No link may live any more. NULL allowed. */
void tl_node_links_free (TlNodeLinks *links);

/* For tl_gateway_link_new_grpc(); borrowed. */
TlGrpcLinkFactory *tl_node_links_factory (TlNodeLinks *links);
/* The identity's certificate was renewed: links from now on show it. */
gboolean tl_node_links_follow (TlNodeLinks *links, GError **error);
TlRenewalTransport *tl_node_links_renewal_transport (TlNodeLinks *links);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeLinks, tl_node_links_free)

G_END_DECLS
