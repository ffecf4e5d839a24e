/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-links.h"

#include "agent/node/tl-gateway-link-auto.h"
#include "agent/node/tl-gateway-link-grpc.h"
#include "agent/node/tl-gateway-link-quic.h"
#include "agent/node/tl-renewal-grpc.h"

struct _TlNodeLinks
{
  TlNodeTransport transport;
  char *server_pin;
  TlGrpcLinkFactory grpc;
  TlQuicLinkFactory quic;
  TlAutoLinkFactory both;
};

TlNodeLinks *
tl_node_links_new (const TlNodeLinksOptions *options)
{
  TlNodeLinks *links = g_new0 (TlNodeLinks, 1);
  TlNodeRpc rpc = options->rpc;

  links->transport = options->transport;
  links->server_pin = g_strdup (options->server_pin);
  rpc.server_pin = links->server_pin;
  links->grpc = (TlGrpcLinkFactory){ .rpc = rpc, .client_kind = TL_CLIENT_NODE };
  if (options->transport == TL_NODE_TRANSPORT_GRPC)
    links->grpc.reason = "the configuration says transport=grpc";
  links->quic = (TlQuicLinkFactory){ .rpc = rpc, .client_kind = TL_CLIENT_NODE, .pin = links->server_pin };
  links->both = (TlAutoLinkFactory){ .quic = tl_gateway_link_new_quic,
                                     .grpc = tl_gateway_link_new_grpc,
                                     .quic_data = &links->quic,
                                     .grpc_data = &links->grpc,
                                     .random = options->random,
                                     .pinned = links->server_pin != NULL };
  return links;
}

void
tl_node_links_free (TlNodeLinks *links)
{
  if (links == NULL)
    return;
  g_free (links->both.reason);
  g_free (links->server_pin);
  g_free (links);
}

TlGatewayLinkFactory
tl_node_links_factory (TlNodeLinks *links, gpointer *factory_data)
{
  switch (links->transport)
    {
    case TL_NODE_TRANSPORT_AUTO:
      *factory_data = &links->both;
      return tl_gateway_link_new_auto;
    case TL_NODE_TRANSPORT_QUIC:
      *factory_data = &links->quic;
      return tl_gateway_link_new_quic;
    case TL_NODE_TRANSPORT_GRPC:
      *factory_data = &links->grpc;
      return tl_gateway_link_new_grpc;
    }
  g_assert_not_reached ();
}

void
tl_node_links_world_changed (TlNodeLinks *links)
{
  links->both.blocked = FALSE;
}

const char *
tl_node_links_quic_failure (TlNodeLinks *links)
{
  return links->both.reason != NULL ? links->both.reason : "";
}

TlRenewalTransport *
tl_node_links_renewal_transport (TlNodeLinks *links)
{
  return tl_renewal_transport_new_grpc (&links->grpc.rpc);
}
