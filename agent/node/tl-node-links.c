/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-links.h"

struct _TlNodeLinks
{
  TlRpcIdentity *rpc_identity;
  TlGrpcLinkFactory grpc;
};

TlRpcIdentity *
tl_node_rpc_identity (TlDeviceIdentity *identity, GError **error)
{
  g_autoptr (TlSecret) key = tl_device_identity_key_pem (identity, error);
  g_autofree char *chain = NULL;
  g_autofree char *roots = NULL;

  if (key == NULL)
    return NULL;
  chain = tl_device_identity_chain_pem (identity);
  roots = tl_trust_bundle_to_pem (tl_device_identity_bundle (identity));
  return tl_rpc_identity_new (chain, key, roots, error);
}

TlNodeLinks *
tl_node_links_new (TlRpcLoop *loop, TlDeviceIdentity *identity, TlClock *clock, GError **error)
{
  g_autoptr (TlNodeLinks) links = g_new0 (TlNodeLinks, 1);

  links->grpc
      = (TlGrpcLinkFactory){ .loop = loop, .identity = identity, .client_kind = TL_CLIENT_NODE, .clock = clock };
  return tl_node_links_follow (links, error) ? g_steal_pointer (&links) : NULL;
}

void
tl_node_links_free (TlNodeLinks *links)
{
  if (links == NULL)
    return;
  g_clear_pointer (&links->rpc_identity, tl_rpc_identity_unref);
  g_free (links);
}

TlGrpcLinkFactory *
tl_node_links_factory (TlNodeLinks *links)
{
  return &links->grpc;
}

gboolean
tl_node_links_follow (TlNodeLinks *links, GError **error)
{
  TlRpcIdentity *renewed = tl_node_rpc_identity (links->grpc.identity, error);

  if (renewed == NULL)
    return FALSE;
  g_clear_pointer (&links->rpc_identity, tl_rpc_identity_unref); /* connections keep their own reference */
  links->rpc_identity = renewed;
  links->grpc.rpc_identity = renewed;
  return TRUE;
}

TlRenewalTransport *
tl_node_links_renewal_transport (TlNodeLinks *links)
{
  TlRenewalGrpc parts = { .loop = links->grpc.loop, .identity = links->grpc.identity, .clock = links->grpc.clock };

  return tl_renewal_transport_new_grpc (&parts);
}
