/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "daemon/tl-admin-private.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-quic-runtime.h"
#include "daemon/tl-wire.h"
#include "pairing/tl-pairing-link.h"

void
tl_admin_fill_device (TlGateway *gateway, Twinlatch__V1__Device *message, const TlDeviceRecord *record)
{
  const TlNode *node = tl_node_registry_lookup (gateway->registry, record->device_id);

  tl_wire_device (message, record);
  if (node == NULL)
    return;
  message->connected = tl_node_is_connected (node);
  message->last_seen_unix_ms = MAX (message->last_seen_unix_ms, node->last_seen_at);
}

/* Filters that the store does not know of: a page may hold fewer, the token goes by what was looked at. */
static gboolean
is_wanted (const TlAdminWait *wait, const TlDeviceRecord *record)
{
  const TlNode *node = tl_node_registry_lookup (wait->gateway->registry, record->device_id);

  return (!wait->connected_only || (node != NULL && tl_node_is_connected (node)))
         && (wait->text == NULL || g_strcmp0 (wait->text, record->approved_by) == 0);
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
      const TlDeviceRecord *record = g_ptr_array_index (records, i);

      if (!is_wanted (wait, record))
        continue;
      tl_admin_fill_device (wait->gateway, &devices[answer.n_devices], record);
      pointers[answer.n_devices] = &devices[answer.n_devices];
      answer.n_devices++;
    }
  answer.devices = pointers;
  if (records->len > n && n > 0)
    answer.next_page_token = ((const TlDeviceRecord *)g_ptr_array_index (records, n - 1))->device_id;
  tl_rpc_call_reply (wait->call, &answer.base);
  for (gsize i = 0; i < answer.n_devices; i++)
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
  wait->connected_only = request->connected_only;
  wait->text = request->approved_by[0] != '\0' ? g_strdup (request->approved_by) : NULL;
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
  TlNode *node;

  if (error != NULL)
    {
      tl_rpc_call_finish (wait->call, error);
      return;
    }
  tl_admin_fill_device (wait->gateway, &device, record);
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

/* Fresh, as far as they are of QUIC connections. */
static void
on_paths_known (const TlQuicEndpointStats *stats, gpointer user_data)
{
  TlAdminWait *wait = user_data;

  tl_store_find_device (wait->gateway->store, wait->text, on_device, wait);
}

void
tl_admin_on_get_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  TlAdminWait *wait = tl_admin_wait_new (gateway, call);

  wait->text = g_strdup (((const Twinlatch__V1__GetDeviceRequest *)message)->device);
  tl_quic_runtime_report (gateway->quic, on_paths_known, wait);
}

/* ---- rename ---- */

static void
finish_change (TlAdminWait *wait, const GError *error)
{
  tl_admin_fail (wait->gateway, wait->call, wait->subject, error);
  tl_admin_wait_free (wait);
}

static void
on_renamed_device (const GError *error, gpointer result, gpointer user_data)
{
  TlAdminWait *wait = user_data;
  Twinlatch__V1__RenameDeviceResponse answer = TWINLATCH__V1__RENAME_DEVICE_RESPONSE__INIT;
  Twinlatch__V1__Device device;

  if (error != NULL)
    {
      finish_change (wait, error);
      return;
    }
  tl_admin_fill_device (wait->gateway, &device, result);
  answer.device = &device;
  answer.old_name = wait->old_name;
  answer.already = g_str_equal (wait->old_name, wait->text);
  tl_rpc_call_reply (wait->call, &answer.base);
  tl_wire_device_clear (&device);
  tl_admin_wait_free (wait);
}

static void
on_renamed (const GError *error, gpointer result, gpointer user_data)
{
  TlAdminWait *wait = user_data;

  if (error != NULL)
    {
      finish_change (wait, error);
      return;
    }
  wait->old_name = g_strdup (result);
  tl_node_registry_device_renamed (wait->gateway->registry, wait->subject, wait->text);
  tl_store_find_device (wait->gateway->store, wait->subject, on_renamed_device, wait);
}

static void
on_device_to_rename (const GError *error, gpointer result, gpointer user_data)
{
  TlAdminWait *wait = user_data;

  if (error != NULL)
    {
      finish_change (wait, error);
      return;
    }
  wait->subject = g_strdup (((const TlDeviceRecord *)result)->device_id);
  tl_store_rename_device (wait->gateway->store, wait->subject, wait->text, tl_rpc_call_peer (wait->call)->actor,
                          tl_clock_wall_ms (wait->gateway->clock), on_renamed, wait);
}

void
tl_admin_on_rename_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__RenameDeviceRequest *request = (const Twinlatch__V1__RenameDeviceRequest *)message;
  g_autoptr (GError) error = NULL;
  TlAdminWait *wait;

  if (!tl_pairing_name_check ("the new name", request->name, &error))
    {
      tl_rpc_call_finish (call, error);
      return;
    }
  wait = tl_admin_wait_new (gateway, call);
  wait->text = g_strdup (request->name);
  tl_store_find_device (gateway->store, request->device, on_device_to_rename, wait);
}

/* ---- rotate ---- */

static void
on_rotated_device (const GError *error, gpointer result, gpointer user_data)
{
  TlAdminWait *wait = user_data;
  Twinlatch__V1__RotateDeviceResponse answer = TWINLATCH__V1__ROTATE_DEVICE_RESPONSE__INIT;
  Twinlatch__V1__Device device;

  if (error != NULL)
    {
      finish_change (wait, error);
      return;
    }
  tl_admin_fill_device (wait->gateway, &device, result);
  answer.device = &device;
  answer.seq = wait->seq;
  answer.already = wait->already;
  tl_rpc_call_reply (wait->call, &answer.base);
  tl_wire_device_clear (&device);
  tl_admin_wait_free (wait);
}

static void
on_rotated (const GError *error, gpointer result, gpointer user_data)
{
  TlAdminWait *wait = user_data;
  const TlStoreRotation *rotation = result;

  if (error != NULL)
    {
      finish_change (wait, error);
      return;
    }
  wait->seq = rotation->event->seq;
  wait->already = rotation->already;
  if (!rotation->already)
    tl_node_registry_push (wait->gateway->registry, wait->subject, rotation->event);
  tl_store_find_device (wait->gateway->store, wait->subject, on_rotated_device, wait);
}

static void
on_device_to_rotate (const GError *error, gpointer result, gpointer user_data)
{
  TlAdminWait *wait = user_data;
  gint64 now = tl_clock_wall_ms (wait->gateway->clock);
  g_autofree char *event_id = NULL;

  if (error != NULL)
    {
      finish_change (wait, error);
      return;
    }
  event_id = tl_ulid_new (now, wait->gateway->random);
  wait->subject = g_strdup (((const TlDeviceRecord *)result)->device_id);
  tl_store_rotate_device (wait->gateway->store, wait->subject, event_id, tl_rpc_call_peer (wait->call)->actor, now,
                          on_rotated, wait);
}

void
tl_admin_on_rotate_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;

  tl_store_find_device (gateway->store, ((const Twinlatch__V1__RotateDeviceRequest *)message)->device,
                        on_device_to_rotate, tl_admin_wait_new (gateway, call));
}
