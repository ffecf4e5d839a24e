/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-gateway-link.h"
#include "agent/node/tl-node-config.h"
#include "agent/node/tl-node-rpc.h"
#include "agent/node/tl-renewal-transport.h"
#include "base/tl-random.h"

G_BEGIN_DECLS

/*
 * TlNodeLinks: how a device's connections to its gateway are made: one identity behind the links of all transports and
 * the transport of renewals, and what one link leaves to the next (whether QUIC got through). Thread: main context.
 */
typedef struct _TlNodeLinks TlNodeLinks;

/* All borrowed, as long as the object or any link lives. */
typedef struct
{
  TlNodeRpc rpc;
  TlRandom *random;
  TlNodeTransport transport;
  const char *server_pin; /* hex SHA-256 of the gateway's leaf or its public key; NULL: none */
} TlNodeLinksOptions;

TlNodeLinks *tl_node_links_new (const TlNodeLinksOptions *options);
/* No link may live any more. NULL allowed. */
void tl_node_links_free (TlNodeLinks *links);

/* *factory_data is borrowed. Links show the certificate that the identity has when they are made. */
TlGatewayLinkFactory tl_node_links_factory (TlNodeLinks *links, gpointer *factory_data);
/* Another network, or the computer slept: what is known about QUIC is out of date. */
void tl_node_links_world_changed (TlNodeLinks *links);
/* Why the last attempt over QUIC did not get through; "". Borrowed until the next attempt. */
const char *tl_node_links_quic_failure (TlNodeLinks *links);
TlRenewalTransport *tl_node_links_renewal_transport (TlNodeLinks *links);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeLinks, tl_node_links_free)

G_END_DECLS
