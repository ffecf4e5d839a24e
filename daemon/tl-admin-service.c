/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-admin-service.h"

#include "base/tl-error.h"
#include "daemon/tl-admin-private.h"
#include "daemon/tl-dispatcher.h"
#include "daemon/tl-journal-service.h"

#define ADMIN_PATH "/twinlatch.v1.AdminService/"
#define MAX_SMALL  (16u * 1024u)

#define ROW_FOR(auth, name, kind, request, response, max, message_func, cancelled)                                     \
  {                                                                                                                    \
    ADMIN_PATH name, kind, auth, &twinlatch__v1__##request##__descriptor, &twinlatch__v1__##response##__descriptor,    \
        max, message_func, NULL, cancelled                                                                             \
  }
/* Local only: what a new method is until PROTOCOL 4 says otherwise. */
#define ROW(...) ROW_FOR (TL_RPC_AUTH_LOCAL, __VA_ARGS__)
/* Over the network too, for operators' devices. What of it is allowed there: tl-operator-policy.h. */
#define REMOTE_ROW(...) ROW_FOR (TL_RPC_AUTH_OPERATOR, __VA_ARGS__)

/* The first use of a certificate ends the older ones (PROTOCOL 4.3), also of a device that only operates. */
static void
note_certificate (TlRpcCall *call, gpointer user_data)
{
  if (tl_admin_is_remote (call))
    tl_gateway_certificate_seen (user_data, tl_rpc_call_peer (call)->fingerprint);
}

#define REMOTE_HANDLER(name)                                                                                           \
  static void on_##name (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)                         \
  {                                                                                                                    \
    note_certificate (call, user_data);                                                                                \
    tl_admin_on_##name (call, message, user_data);                                                                     \
  }

REMOTE_HANDLER (mint)
REMOTE_HANDLER (list_codes)
REMOTE_HANDLER (cancel_code)
REMOTE_HANDLER (list_pairings)
REMOTE_HANDLER (watch_pairings)
REMOTE_HANDLER (decide)
REMOTE_HANDLER (list_devices)
REMOTE_HANDLER (get_device)
REMOTE_HANDLER (revoke_device)
REMOTE_HANDLER (list_nodes)
REMOTE_HANDLER (watch_nodes)
REMOTE_HANDLER (execute)
REMOTE_HANDLER (cancel_request)
REMOTE_HANDLER (list_requests)
REMOTE_HANDLER (get_request)
REMOTE_HANDLER (watch_request)
REMOTE_HANDLER (status)
REMOTE_HANDLER (ca_bundle)

static void
on_watch_events (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  note_certificate (call, user_data);
  tl_journal_on_watch_events (call, message, user_data);
}

static const TlRpcMethod methods[] = {
  REMOTE_ROW ("MintNodePairingCode", TL_RPC_UNARY, mint_node_pairing_code_request, mint_node_pairing_code_response,
              MAX_SMALL, on_mint, NULL),
  REMOTE_ROW ("ListPairingCodes", TL_RPC_UNARY, list_pairing_codes_request, list_pairing_codes_response, MAX_SMALL,
              on_list_codes, NULL),
  REMOTE_ROW ("CancelPairingCode", TL_RPC_UNARY, cancel_pairing_code_request, cancel_pairing_code_response, MAX_SMALL,
              on_cancel_code, NULL),
  REMOTE_ROW ("ListPairingRequests", TL_RPC_UNARY, list_pairing_requests_request, list_pairing_requests_response,
              MAX_SMALL, on_list_pairings, NULL),
  REMOTE_ROW ("WatchPairingRequests", TL_RPC_SERVER_STREAM, watch_pairing_requests_request, pairing_request, MAX_SMALL,
              on_watch_pairings, tl_admin_on_watch_pairings_end),
  REMOTE_ROW ("DecidePairing", TL_RPC_UNARY, decide_pairing_request, decide_pairing_response, MAX_SMALL, on_decide,
              NULL),
  REMOTE_ROW ("ListDevices", TL_RPC_UNARY, list_devices_request, list_devices_response, MAX_SMALL, on_list_devices,
              NULL),
  REMOTE_ROW ("GetDevice", TL_RPC_UNARY, get_device_request, get_device_response, MAX_SMALL, on_get_device, NULL),
  REMOTE_ROW ("RevokeDevice", TL_RPC_UNARY, revoke_device_request, revoke_device_response, MAX_SMALL, on_revoke_device,
              NULL),
  ROW ("RenameDevice", TL_RPC_UNARY, rename_device_request, rename_device_response, MAX_SMALL,
       tl_admin_on_rename_device, NULL),
  ROW ("SuspendDevice", TL_RPC_UNARY, suspend_device_request, device_change_response, MAX_SMALL,
       tl_admin_on_suspend_device, NULL),
  ROW ("ResumeDevice", TL_RPC_UNARY, resume_device_request, device_change_response, MAX_SMALL,
       tl_admin_on_resume_device, NULL),
  ROW ("RemoveDevice", TL_RPC_UNARY, remove_device_request, device_change_response, MAX_SMALL,
       tl_admin_on_remove_device, NULL),
  ROW ("ClearDevice", TL_RPC_UNARY, clear_device_request, device_change_response, MAX_SMALL, tl_admin_on_clear_device,
       NULL),
  ROW ("RotateDevice", TL_RPC_UNARY, rotate_device_request, rotate_device_response, MAX_SMALL,
       tl_admin_on_rotate_device, NULL),
  ROW ("SetDeviceRole", TL_RPC_UNARY, set_device_role_request, device_change_response, MAX_SMALL,
       tl_admin_on_set_device_role, NULL),
  ROW ("ConfirmDevices", TL_RPC_UNARY, confirm_devices_request, confirm_devices_response, MAX_SMALL,
       tl_admin_on_confirm_devices, NULL),
  REMOTE_ROW ("ListNodes", TL_RPC_UNARY, list_nodes_request, list_nodes_response, MAX_SMALL, on_list_nodes, NULL),
  REMOTE_ROW ("WatchNodes", TL_RPC_SERVER_STREAM, watch_nodes_request, node, MAX_SMALL, on_watch_nodes,
              tl_admin_on_watch_nodes_end),
  REMOTE_ROW ("ExecuteCapability", TL_RPC_SERVER_STREAM, execute_capability_request, execute_capability_response,
              TL_DISPATCH_MAX_PAYLOAD + MAX_SMALL, on_execute, tl_admin_on_execute_end),
  ROW ("SetNodeCapability", TL_RPC_UNARY, set_node_capability_request, set_node_capability_response, MAX_SMALL,
       tl_admin_on_set_node_capability, NULL),
  REMOTE_ROW ("CancelCapability", TL_RPC_UNARY, cancel_capability_request, cancel_capability_response, MAX_SMALL,
              on_cancel_request, NULL),
  REMOTE_ROW ("ListCapabilityRequests", TL_RPC_UNARY, list_capability_requests_request,
              list_capability_requests_response, MAX_SMALL, on_list_requests, NULL),
  REMOTE_ROW ("GetCapabilityRequest", TL_RPC_UNARY, get_capability_request_request, get_capability_request_response,
              MAX_SMALL, on_get_request, NULL),
  REMOTE_ROW ("WatchCapabilityRequest", TL_RPC_SERVER_STREAM, watch_capability_request_request,
              execute_capability_response, MAX_SMALL, on_watch_request, tl_admin_on_execute_end),
  REMOTE_ROW ("GetStatus", TL_RPC_UNARY, get_status_request, get_status_response, MAX_SMALL, on_status, NULL),
  REMOTE_ROW ("GetCaBundle", TL_RPC_UNARY, get_ca_bundle_request, get_ca_bundle_response, MAX_SMALL, on_ca_bundle,
              NULL),
  REMOTE_ROW ("WatchEvents", TL_RPC_SERVER_STREAM, watch_events_request, watch_events_response, MAX_SMALL,
              on_watch_events, tl_journal_on_read_end),
  ROW ("ReadJournal", TL_RPC_SERVER_STREAM, read_journal_request, read_journal_response, MAX_SMALL, tl_journal_on_read,
       tl_journal_on_read_end),
  ROW ("VerifyJournal", TL_RPC_SERVER_STREAM, verify_journal_request, verify_journal_response, MAX_SMALL,
       tl_journal_on_verify, tl_journal_on_verify_end),
  ROW ("GetJournalHead", TL_RPC_UNARY, get_journal_head_request, get_journal_head_response, MAX_SMALL,
       tl_journal_on_head, NULL),
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
  g_free (self->subject);
  g_free (self->old_name);
  g_free (self);
}

void
tl_admin_fail (TlGateway *gateway, TlRpcCall *call, const char *subject, const GError *error)
{
  if (tl_error_is (error, TL_ERROR_NOT_OPERATOR) || tl_error_is (error, TL_ERROR_LOCAL_ONLY))
    tl_journal_service_denied (gateway->journal, TL_JOURNAL_CALL_DENIED, call, subject, error);
  tl_rpc_call_finish (call, error);
}

gboolean
tl_admin_is_remote (TlRpcCall *call)
{
  return tl_rpc_call_peer (call)->kind != TL_RPC_PEER_LOCAL;
}

guint
tl_admin_page (const Twinlatch__V1__Page *page, const char **token)
{
  guint size = page != NULL ? page->page_size : 0;

  *token = page != NULL ? page->page_token : "";
  return size == 0 ? TL_ADMIN_DEFAULT_PAGE : MIN (size, TL_ADMIN_MAX_PAGE);
}
