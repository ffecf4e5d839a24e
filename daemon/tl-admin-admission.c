/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "daemon/tl-admin-private.h"
#include "daemon/tl-operator-policy.h"
#include "daemon/tl-wire.h"

/* AdminService: changes of who is admitted (PROTOCOL 4.4), and the confirmation of a restored gateway. */

/* The parts of an answer that are lists; what they point to is borrowed from the change. */
typedef struct
{
  Twinlatch__V1__Device device;
  Twinlatch__V1__PairingCode *codes, **code_pointers;
  Twinlatch__V1__PairingRequest *pairings, **pairing_pointers;
  Twinlatch__V1__AdmittedDevice *admitted, **admitted_pointers;
  GPtrArray *fingerprints;
} Lists;

static void
lists_clear (Lists *lists)
{
  tl_wire_device_clear (&lists->device);
  g_free (lists->codes);
  g_free (lists->code_pointers);
  g_free (lists->pairings);
  g_free (lists->pairing_pointers);
  g_free (lists->admitted);
  g_free (lists->admitted_pointers);
  g_ptr_array_unref (lists->fingerprints);
}

static void
fill_codes (Lists *lists, const GPtrArray *codes)
{
  lists->codes = g_new (Twinlatch__V1__PairingCode, codes->len);
  lists->code_pointers = g_new (Twinlatch__V1__PairingCode *, codes->len);
  for (guint i = 0; i < codes->len; i++)
    {
      tl_wire_code (&lists->codes[i], g_ptr_array_index (codes, i));
      lists->code_pointers[i] = &lists->codes[i];
    }
}

static void
fill_pairings (Lists *lists, const GPtrArray *pairings)
{
  lists->pairings = g_new (Twinlatch__V1__PairingRequest, pairings->len);
  lists->pairing_pointers = g_new (Twinlatch__V1__PairingRequest *, pairings->len);
  for (guint i = 0; i < pairings->len; i++)
    {
      char *fingerprint = NULL;

      tl_wire_pairing (&lists->pairings[i], g_ptr_array_index (pairings, i), &fingerprint);
      g_ptr_array_add (lists->fingerprints, fingerprint);
      lists->pairing_pointers[i] = &lists->pairings[i];
    }
}

static void
fill_admitted (Lists *lists, const GPtrArray *admitted)
{
  lists->admitted = g_new (Twinlatch__V1__AdmittedDevice, admitted->len);
  lists->admitted_pointers = g_new (Twinlatch__V1__AdmittedDevice *, admitted->len);
  for (guint i = 0; i < admitted->len; i++)
    {
      const TlDeviceRecord *record = g_ptr_array_index (admitted, i);
      Twinlatch__V1__AdmittedDevice *message = &lists->admitted[i];

      twinlatch__v1__admitted_device__init (message);
      message->device_id = record->device_id;
      message->name = record->name;
      message->state = (Twinlatch__V1__DeviceState)(record->state + 1);
      message->paired_at_unix_ms = record->paired_at;
      lists->admitted_pointers[i] = message;
    }
}

static void
lists_fill (Lists *lists, TlGateway *gateway, const TlDeviceChange *stored)
{
  tl_admin_fill_device (gateway, &lists->device, stored->device);
  lists->fingerprints = g_ptr_array_new_with_free_func (g_free);
  fill_codes (lists, stored->codes);
  fill_pairings (lists, stored->pairings);
  fill_admitted (lists, stored->admitted);
}

/* RevokeDeviceResponse and DeviceChangeResponse have the same fields. */
#define FILL_ANSWER(answer, change, lists)                                                                             \
  do                                                                                                                   \
    {                                                                                                                  \
      (answer).device = &(lists)->device;                                                                              \
      (answer).certificates = (change)->certificates;                                                                  \
      (answer).calls_cancelled = (change)->calls;                                                                      \
      (answer).connections_closed = (change)->connections;                                                             \
      (answer).requests_failed = (change)->stored->requests->len;                                                      \
      (answer).duration_ms = (guint32)((change)->duration_us / 1000);                                                  \
      (answer).already = (change)->stored->already;                                                                    \
      (answer).dry_run = (change)->stored->dry_run;                                                                    \
      (answer).requests_kept = (change)->stored->requests_kept;                                                        \
      (answer).n_codes_cancelled = (change)->stored->codes->len;                                                       \
      (answer).codes_cancelled = (lists)->code_pointers;                                                               \
      (answer).n_pairing_requests_ended = (change)->stored->pairings->len;                                             \
      (answer).pairing_requests_ended = (lists)->pairing_pointers;                                                     \
      (answer).n_devices_admitted = (change)->stored->admitted->len;                                                   \
      (answer).devices_admitted = (lists)->admitted_pointers;                                                          \
    }                                                                                                                  \
  while (0)

static void
on_changed (const TlGatewayChange *change, const GError *error, gpointer user_data)
{
  g_autoptr (TlAdminWait) wait = user_data;
  Twinlatch__V1__RevokeDeviceResponse revoked = TWINLATCH__V1__REVOKE_DEVICE_RESPONSE__INIT;
  Twinlatch__V1__DeviceChangeResponse changed = TWINLATCH__V1__DEVICE_CHANGE_RESPONSE__INIT;
  Lists lists = { 0 };

  if (error != NULL)
    {
      tl_admin_fail (wait->gateway, wait->call, wait->subject, error);
      return;
    }
  lists_fill (&lists, wait->gateway, change->stored);
  if (wait->kind == TL_ADMISSION_REVOKE)
    {
      FILL_ANSWER (revoked, change, &lists);
      tl_rpc_call_reply (wait->call, &revoked.base);
    }
  else
    {
      FILL_ANSWER (changed, change, &lists);
      tl_rpc_call_reply (wait->call, &changed.base);
    }
  lists_clear (&lists);
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
on_device_to_change (const GError *error, gpointer result, gpointer user_data)
{
  TlAdminWait *wait = user_data;
  const TlDeviceRecord *record = result;
  g_autoptr (GError) denied = NULL;
  TlGatewayChangeRequest request = { .kind = wait->kind, .role = wait->role, .dry_run = wait->dry_run };

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
  request.device_id = wait->subject;
  request.actor = tl_rpc_call_peer (wait->call)->actor;
  request.reason = wait->text;
  tl_gateway_change_device (wait->gateway, &request, on_changed, wait);
}

static gboolean
check_reason (TlRpcCall *call, const char *reason)
{
  g_autoptr (GError) error = NULL;

  if (strlen (reason) <= TL_PAIRING_REASON_MAX && g_utf8_validate (reason, -1, NULL))
    return TRUE;
  g_set_error (&error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the reason is longer than %d bytes, or not UTF-8",
               TL_PAIRING_REASON_MAX);
  tl_rpc_call_finish (call, error);
  return FALSE;
}

static void
change (TlRpcCall *call, TlGateway *gateway, TlAdmissionKind kind, const char *device, TlRole role, const char *reason,
        gboolean dry_run)
{
  TlAdminWait *wait;

  if (!check_reason (call, reason))
    return;
  wait = tl_admin_wait_new (gateway, call);
  wait->kind = kind;
  wait->role = role;
  wait->text = g_strdup (reason);
  wait->dry_run = dry_run;
  tl_store_find_device (gateway->store, device, on_device_to_change, wait);
}

void
tl_admin_on_revoke_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__RevokeDeviceRequest *request = (const Twinlatch__V1__RevokeDeviceRequest *)message;

  change (call, user_data, TL_ADMISSION_REVOKE, request->device, TL_ROLE_NODE, request->reason, request->dry_run);
}

void
tl_admin_on_suspend_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__SuspendDeviceRequest *request = (const Twinlatch__V1__SuspendDeviceRequest *)message;

  change (call, user_data, TL_ADMISSION_SUSPEND, request->device, TL_ROLE_NODE, request->reason, request->dry_run);
}

void
tl_admin_on_resume_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__ResumeDeviceRequest *request = (const Twinlatch__V1__ResumeDeviceRequest *)message;

  change (call, user_data, TL_ADMISSION_RESUME, request->device, TL_ROLE_NODE, request->reason, FALSE);
}

void
tl_admin_on_remove_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__RemoveDeviceRequest *request = (const Twinlatch__V1__RemoveDeviceRequest *)message;

  change (call, user_data, TL_ADMISSION_REMOVE, request->device, TL_ROLE_NODE, request->reason, request->dry_run);
}

void
tl_admin_on_clear_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__ClearDeviceRequest *request = (const Twinlatch__V1__ClearDeviceRequest *)message;

  change (call, user_data, TL_ADMISSION_CLEAR, request->device, TL_ROLE_NODE, request->reason, FALSE);
}

void
tl_admin_on_set_device_role (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__SetDeviceRoleRequest *request = (const Twinlatch__V1__SetDeviceRoleRequest *)message;
  TlRole role = TL_ROLE_NODE;

  if (request->role == TWINLATCH__V1__ROLE__ROLE_UNSPECIFIED || !tl_wire_role_from (request->role, &role))
    {
      g_autoptr (GError) error
          = g_error_new_literal (TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "which role? it is node or operator");
      tl_rpc_call_finish (call, error);
      return;
    }
  change (call, user_data, TL_ADMISSION_ROLE, request->device, role, request->reason, request->dry_run);
}

/* ---- restored ---- */

static void
on_confirmed (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (TlAdminWait) wait = user_data;
  const TlStoreConfirmation *confirmation = result;
  Twinlatch__V1__ConfirmDevicesResponse answer = TWINLATCH__V1__CONFIRM_DEVICES_RESPONSE__INIT;

  if (error != NULL)
    {
      tl_rpc_call_finish (wait->call, error);
      return;
    }
  answer.devices = confirmation->devices;
  answer.already = confirmation->already;
  tl_rpc_call_reply (wait->call, &answer.base);
}

void
tl_admin_on_confirm_devices (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__ConfirmDevicesRequest *request = (const Twinlatch__V1__ConfirmDevicesRequest *)message;

  if (!check_reason (call, request->reason))
    return;
  tl_gateway_confirm_devices (gateway, request->restored_at_unix_ms, tl_rpc_call_peer (call)->actor, request->reason,
                              on_confirmed, tl_admin_wait_new (gateway, call));
}

void
tl_admin_fill_admission (TlGateway *gateway, const TlStoreStatus *store, Twinlatch__V1__GetStatusResponse *answer)
{
  const TlStoreAdmission *admission = gateway->admission;

  answer->restored = admission->restored;
  if (admission->restored)
    {
      answer->restored_reason = tl_wire_string (admission->restored_reason);
      answer->restored_at_unix_ms = admission->restored_at;
    }
  answer->admission_counter = admission->counter;
  answer->admission_log_bytes = admission->log_bytes;
  answer->devices_suspended = store->devices_suspended;
  answer->devices_revoked = store->devices_revoked;
}
