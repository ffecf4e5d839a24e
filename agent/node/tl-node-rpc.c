/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-rpc.h"

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

TlRpcClient *
tl_node_rpc_client (const TlNodeRpc *rpc, const char *const *addresses, gboolean as_device, guint connect_timeout_ms,
                    GError **error)
{
  g_autoptr (TlRpcLoop) loop = NULL;
  g_autoptr (TlRpcIdentity) identity = NULL;
  TlRpcClientOptions options = { .addresses = addresses,
                                 .bundle = tl_device_identity_bundle (rpc->identity),
                                 .server_pin = rpc->server_pin,
                                 .clock = rpc->clock,
                                 .connect_timeout_ms = connect_timeout_ms };

  if (as_device)
    {
      identity = tl_node_rpc_identity (rpc->identity, error);
      if (identity == NULL)
        return NULL;
      options.identity = identity;
    }
  loop = rpc->loop != NULL ? tl_rpc_loop_ref (rpc->loop) : tl_rpc_loop_new (NULL);
  return tl_rpc_client_new (loop, &options, error);
}
