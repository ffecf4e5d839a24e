/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "daemon/tl-admin-private.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-operator-policy.h"
#include "daemon/tl-wire.h"

/* Presence is the registry's. */
static void
fill_device (TlGateway *gateway, Twinlatch__V1__Device *message, const TlDeviceRecord *record)
{
  const TlNode *node = tl_node_registry_lookup (gateway->registry, record->device_id);

  tl_wire_device (message, record);
  if (node == NULL)
    return;
  message->connected = tl_node_is_connected (node);
  message->last_seen_unix_ms = MAX (message->last_seen_unix_ms, node->last_seen_at);
}

static void
on_devices (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (TlAdminWait) wait = user_data;
  const GPtrArray *records = result;
  Twinlatch__V1__ListDevicesResponse answer = TWINLATCH__V1__LIST_DEVICES_RESPONSE__INIT;
  g_autofree Twinlatch__V1__Device *devices = NULL;
  g_autofree Twinlatch__V1__Device **pointers = NULL;
  guint n;

  if (error != NULL)
    {
      tl_rpc_call_finish (wait->call, error);
      return;
    }
  n = MIN (records->len, wait->limit);
  devices = g_new0 (Twinlatch__V1__Device, n);
  pointers = g_new0 (Twinlatch__V1__Device *, n);
  for (guint i = 0; i < n; i++)
    {
      fill_device (wait->gateway, &devices[i], g_ptr_array_index (records, i));
      pointers[i] = &devices[i];
    }
  answer.n_devices = n;
  answer.devices = pointers;
  if (records->len > n)
    answer.next_page_token = devices[n - 1].device_id;
  tl_rpc_call_reply (wait->call, &answer.base);
  for (guint i = 0; i < n; i++)
    tl_wire_device_clear (&devices[i]);
}

void
tl_admin_on_list_devices (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__ListDevicesRequest *request = (const Twinlatch__V1__ListDevicesRequest *)message;
  TlAdminWait *wait = tl_admin_wait_new (gateway, call);
  const char *token;
  guint states = 0;
  TlRole role = TL_ROLE_NODE;
  gboolean any = request->role == TWINLATCH__V1__ROLE__ROLE_UNSPECIFIED || !tl_wire_role_from (request->role, &role);

  for (gsize i = 0; i < request->n_states; i++)
    if (request->states[i] >= 1 && request->states[i] <= TWINLATCH__V1__DEVICE_STATE__DEVICE_STATE_REMOVED)
      states |= 1u << (request->states[i] - 1);
  wait->limit = tl_admin_page (request->page, &token);
  tl_store_list_devices (gateway->store, states, any ? -1 : (int)role, token, wait->limit, on_devices, wait);
}

static void
on_device (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (TlAdminWait) wait = user_data;
  const TlDeviceRecord *record = result;
  Twinlatch__V1__GetDeviceResponse answer = TWINLATCH__V1__GET_DEVICE_RESPONSE__INIT;
  Twinlatch__V1__Device device;
  Twinlatch__V1__Node message;
  const TlNode *node;

  if (error != NULL)
    {
      tl_rpc_call_finish (wait->call, error);
      return;
    }
  fill_device (wait->gateway, &device, record);
  answer.device = &device;
  node = tl_node_registry_lookup (wait->gateway->registry, record->device_id);
  if (node != NULL && node->registration != NULL)
    {
      tl_node_wire (&message, node);
      answer.node = &message;
    }
  tl_rpc_call_reply (wait->call, &answer.base);
  if (answer.node != NULL)
    tl_node_wire_clear (&message);
  tl_wire_device_clear (&device);
}

void
tl_admin_on_get_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  tl_store_find_device (gateway->store, ((const Twinlatch__V1__GetDeviceRequest *)message)->device, on_device,
                        tl_admin_wait_new (gateway, call));
}

/* ---- revoke ---- */

static void
on_revoked (const TlGatewayRevocation *revocation, const GError *error, gpointer user_data)
{
  g_autoptr (TlAdminWait) wait = user_data;
  Twinlatch__V1__RevokeDeviceResponse answer = TWINLATCH__V1__REVOKE_DEVICE_RESPONSE__INIT;
  Twinlatch__V1__Device device;

  if (error != NULL)
    {
      tl_admin_fail (wait->gateway, wait->call, wait->subject, error);
      return;
    }
  fill_device (wait->gateway, &device, revocation->device);
  answer.device = &device;
  answer.already = revocation->already;
  answer.certificates = revocation->certificates;
  answer.calls_cancelled = revocation->calls;
  answer.connections_closed = revocation->connections;
  answer.requests_failed = revocation->requests;
  answer.duration_ms = (guint32)(revocation->duration_us / 1000);
  tl_rpc_call_reply (wait->call, &answer.base);
  tl_wire_device_clear (&device);
}

/* The store would take a device that revokes itself for one that gives itself up (NodeService.Unpair). */
static gboolean
check_not_own (TlRpcCall *call, const TlDeviceRecord *record, GError **error)
{
  const TlRpcPeer *peer = tl_rpc_call_peer (call);
  TlOperatorCaller caller = { .local = peer->kind == TL_RPC_PEER_LOCAL, .is_active_operator = TRUE };
  TlOperatorTarget target = { .role = record->role };

  target.is_own = !caller.local && g_str_equal (peer->admission.device_id, record->device_id);
  return !target.is_own || tl_operator_policy_check (&caller, TL_OPERATOR_REVOKE, &target, error);
}

static void
on_device_to_revoke (const GError *error, gpointer result, gpointer user_data)
{
  TlAdminWait *wait = user_data;
  const TlDeviceRecord *record = result;
  g_autoptr (GError) denied = NULL;

  if (error == NULL)
    {
      wait->subject = g_strdup (record->device_id);
      if (!check_not_own (wait->call, record, &denied))
        error = denied;
    }
  if (error != NULL)
    {
      tl_admin_fail (wait->gateway, wait->call, wait->subject, error);
      tl_admin_wait_free (wait);
      return;
    }
  tl_gateway_revoke_device (wait->gateway, record->device_id, tl_rpc_call_peer (wait->call)->actor, wait->text,
                            on_revoked, wait);
}

void
tl_admin_on_revoke_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__RevokeDeviceRequest *request = (const Twinlatch__V1__RevokeDeviceRequest *)message;
  TlAdminWait *wait;

  if (strlen (request->reason) > TL_PAIRING_REASON_MAX || !g_utf8_validate (request->reason, -1, NULL))
    {
      g_autoptr (GError) error = g_error_new (TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the reason is longer than %d bytes",
                                              TL_PAIRING_REASON_MAX);
      tl_rpc_call_finish (call, error);
      return;
    }
  wait = tl_admin_wait_new (gateway, call);
  wait->text = g_strdup (request->reason);
  tl_store_find_device (gateway->store, request->device, on_device_to_revoke, wait);
}
