/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-admin-service.h"

#include "daemon/tl-admin-private.h"
#include "daemon/tl-dispatcher.h"

#define ADMIN_PATH "/twinlatch.v1.AdminService/"
#define MAX_SMALL  (16u * 1024u)

#define ROW(name, kind, request, response, max, message_func, cancelled)                                               \
  {                                                                                                                    \
    ADMIN_PATH name, kind, TL_RPC_AUTH_LOCAL, &twinlatch__v1__##request##__descriptor,                                 \
        &twinlatch__v1__##response##__descriptor, max, message_func, NULL, cancelled                                   \
  }

/* All local for now: nothing here is reachable with a certificate, whatever its role. */
static const TlRpcMethod methods[] = {
  ROW ("MintNodePairingCode", TL_RPC_UNARY, mint_node_pairing_code_request, mint_node_pairing_code_response, MAX_SMALL,
       tl_admin_on_mint, NULL),
  ROW ("ListPairingCodes", TL_RPC_UNARY, list_pairing_codes_request, list_pairing_codes_response, MAX_SMALL,
       tl_admin_on_list_codes, NULL),
  ROW ("CancelPairingCode", TL_RPC_UNARY, cancel_pairing_code_request, cancel_pairing_code_response, MAX_SMALL,
       tl_admin_on_cancel_code, NULL),
  ROW ("ListPairingRequests", TL_RPC_UNARY, list_pairing_requests_request, list_pairing_requests_response, MAX_SMALL,
       tl_admin_on_list_pairings, NULL),
  ROW ("WatchPairingRequests", TL_RPC_SERVER_STREAM, watch_pairing_requests_request, pairing_request, MAX_SMALL,
       tl_admin_on_watch_pairings, tl_admin_on_watch_pairings_end),
  ROW ("DecidePairing", TL_RPC_UNARY, decide_pairing_request, decide_pairing_response, MAX_SMALL, tl_admin_on_decide,
       NULL),
  ROW ("ListDevices", TL_RPC_UNARY, list_devices_request, list_devices_response, MAX_SMALL, tl_admin_on_list_devices,
       NULL),
  ROW ("GetDevice", TL_RPC_UNARY, get_device_request, get_device_response, MAX_SMALL, tl_admin_on_get_device, NULL),
  ROW ("RevokeDevice", TL_RPC_UNARY, revoke_device_request, revoke_device_response, MAX_SMALL,
       tl_admin_on_revoke_device, NULL),
  ROW ("ListNodes", TL_RPC_UNARY, list_nodes_request, list_nodes_response, MAX_SMALL, tl_admin_on_list_nodes, NULL),
  ROW ("WatchNodes", TL_RPC_SERVER_STREAM, watch_nodes_request, node, MAX_SMALL, tl_admin_on_watch_nodes,
       tl_admin_on_watch_nodes_end),
  ROW ("ExecuteCapability", TL_RPC_SERVER_STREAM, execute_capability_request, execute_capability_response,
       TL_DISPATCH_MAX_PAYLOAD + MAX_SMALL, tl_admin_on_execute, tl_admin_on_execute_end),
  ROW ("SetNodeCapability", TL_RPC_UNARY, set_node_capability_request, set_node_capability_response, MAX_SMALL,
       tl_admin_on_set_node_capability, NULL),
  ROW ("CancelCapability", TL_RPC_UNARY, cancel_capability_request, cancel_capability_response, MAX_SMALL,
       tl_admin_on_cancel_request, NULL),
  ROW ("ListCapabilityRequests", TL_RPC_UNARY, list_capability_requests_request, list_capability_requests_response,
       MAX_SMALL, tl_admin_on_list_requests, NULL),
  ROW ("GetCapabilityRequest", TL_RPC_UNARY, get_capability_request_request, get_capability_request_response, MAX_SMALL,
       tl_admin_on_get_request, NULL),
  ROW ("WatchCapabilityRequest", TL_RPC_SERVER_STREAM, watch_capability_request_request, execute_capability_response,
       MAX_SMALL, tl_admin_on_watch_request, tl_admin_on_execute_end),
  ROW ("GetStatus", TL_RPC_UNARY, get_status_request, get_status_response, MAX_SMALL, tl_admin_on_status, NULL),
  ROW ("GetCaBundle", TL_RPC_UNARY, get_ca_bundle_request, get_ca_bundle_response, MAX_SMALL, tl_admin_on_ca_bundle,
       NULL),
};

void
tl_admin_service_register (TlGateway *gateway, TlRpcServer *server)
{
  tl_rpc_server_add_methods (server, methods, G_N_ELEMENTS (methods), gateway);
}

TlAdminWait *
tl_admin_wait_new (TlGateway *gateway, TlRpcCall *call)
{
  TlAdminWait *self = g_new0 (TlAdminWait, 1);

  self->gateway = gateway;
  self->call = tl_rpc_call_ref (call);
  return self;
}

void
tl_admin_wait_free (TlAdminWait *self)
{
  if (self == NULL)
    return;
  tl_rpc_call_unref (self->call);
  g_free (self->text);
  g_free (self);
}

guint
tl_admin_page (const Twinlatch__V1__Page *page, const char **token)
{
  guint size = page != NULL ? page->page_size : 0;

  *token = page != NULL ? page->page_token : "";
  return size == 0 ? TL_ADMIN_DEFAULT_PAGE : MIN (size, TL_ADMIN_MAX_PAGE);
}
