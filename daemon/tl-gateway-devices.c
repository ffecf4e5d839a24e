/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "daemon/tl-dispatcher.h"
#include "daemon/tl-gateway.h"
#include "daemon/tl-lasting-secret.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-pairing-service.h"
#include "daemon/tl-quic-runtime.h"

/* Who is admitted, and what happens to those who are not any more (PROTOCOL 1, 4.4). */

#define LOG_KEY_NAME "admission-log-key"

/* ---- start ---- */

static void
admit_certificate (TlGateway *self, const TlCertificateRecord *record, TlRole role)
{
  TlAdmission admission = { .role = role, .not_after_ms = record->not_after, .ca_generation = record->ca_generation };

  g_strlcpy (admission.device_id, record->device_id, sizeof admission.device_id);
  tl_admitted_set_add (self->admitted, record->fingerprint, &admission);
}

static gboolean
load_admissions (TlGateway *self, GError **error)
{
  g_autoptr (TlAdmissions) admissions = tl_store_list_admissions (self->store, tl_clock_wall_ms (self->clock), error);

  if (admissions == NULL)
    return FALSE;
  for (guint i = 0; i < admissions->certificates->len; i++)
    {
      const TlCertificateRecord *record = g_ptr_array_index (admissions->certificates, i);

      admit_certificate (self, record, GPOINTER_TO_INT (g_hash_table_lookup (admissions->roles, record->device_id)));
    }
  return TRUE;
}

gboolean
tl_gateway_open_admission (TlGateway *self, GError **error)
{
  /* If there is a log already, it does not verify with a new key: a restored gateway. */
  g_autoptr (TlSecret) key = tl_lasting_secret_load (self->secrets, LOG_KEY_NAME, self->random, error);

  if (key == NULL)
    return FALSE;
  self->admission = tl_store_open_admission (self->store, tl_gateway_identity_id (self->identity), key,
                                             tl_clock_wall_ms (self->clock), error);
  if (self->admission == NULL)
    return FALSE;
  if (self->admission->applied > 0)
    {
      g_autofree char *applied = g_strdup_printf ("%u", self->admission->applied);

      tl_log (TL_LOG_WARNING, "the store was older than admission.log; its changes were applied", "changes", applied,
              NULL);
    }
  if (self->admission->restored)
    tl_log (TL_LOG_ERROR,
            "this gateway was restored from a backup: no device is admitted until 'twinlatch devices confirm'",
            "reason", self->admission->restored_reason, NULL);
  tl_admitted_set_set_closed (self->admitted, self->admission->restored);
  return load_admissions (self, error);
}

void
tl_gateway_notify_status (TlGateway *self, gboolean ready)
{
  g_autofree char *listeners = g_strjoinv (" ", self->listeners);

  sd_notifyf (0, "%sSTATUS=gateway %s on %s%s", ready ? "READY=1\n" : "", tl_gateway_identity_id (self->identity),
              listeners,
              self->admission->restored ? ": RESTORED, no device is admitted until 'twinlatch devices confirm'" : "");
}

static void
on_admission (const GError *error, gpointer result, gpointer user_data)
{
  TlGateway *self = user_data;
  const TlStoreAdmission *admission = result;

  if (error != NULL)
    return; /* the change was answered; this is for `status` */
  self->admission->counter = admission->counter;
  self->admission->log_bytes = admission->log_bytes;
}

/* ---- a change ---- */

typedef struct
{
  TlGateway *gateway;
  TlAdmissionKind kind;
  TlDeviceChange *stored; /* after the commit */
  TlGatewayChange change;
  TlGatewayChanged changed;
  gpointer user_data;
  gint64 started_us;
} ChangeWait;

static const char *
log_message (TlAdmissionKind kind)
{
  switch (kind)
    {
    case TL_ADMISSION_REVOKE:
      return "device revoked";
    case TL_ADMISSION_SUSPEND:
      return "device suspended";
    case TL_ADMISSION_RESUME:
      return "device resumed";
    case TL_ADMISSION_REMOVE:
      return "device removed";
    case TL_ADMISSION_CLEAR:
      return "device cleared";
    case TL_ADMISSION_ROLE:
      return "device's role changed";
    case TL_ADMISSION_RESTORED:
    case TL_ADMISSION_CONFIRM:
      break;
    }
  g_return_val_if_reached ("device changed");
}

static void
admit_again (TlGateway *self, const TlDeviceRecord *device, TlGatewayChange *change)
{
  gint64 now = tl_clock_wall_ms (self->clock);

  for (guint i = 0; i < device->certificates->len; i++)
    {
      const TlCertificateRecord *certificate = g_ptr_array_index (device->certificates, i);

      if (certificate->revoked || certificate->not_after <= now)
        continue;
      admit_certificate (self, certificate, device->role);
      change->certificates++;
    }
  tl_node_registry_device_state (self->registry, device->device_id, device->state);
}

/* Everything is done: who asked is told. */
static void
finish (ChangeWait *wait)
{
  TlGateway *self = wait->gateway;
  const TlDeviceChange *stored = wait->stored;

  if (!stored->dry_run)
    {
      tl_dispatcher_requests_failed (self->dispatcher, stored->requests);
      tl_pairing_service_ended (self->pairing, stored->pairings);
    }
  wait->change.duration_us = tl_clock_monotonic_us (self->clock) - wait->started_us;
  wait->changed (&wait->change, NULL, wait->user_data);
  tl_device_change_unref (wait->stored);
  g_free (wait);
}

static void
on_quic_cut (guint connections, gpointer user_data)
{
  ChangeWait *wait = user_data;

  wait->change.connections += connections;
  finish (wait);
}

/* QUIC connections are closed by their own thread: the answer waits for it. code 0: they are counted only. */
static void
cut_quic (ChangeWait *wait, guint64 code, const char *reason)
{
  TlGateway *self = wait->gateway;

  if (self->quic != NULL)
    tl_quic_runtime_cut_device (self->quic, wait->stored->device->device_id, code, reason, on_quic_cut, wait);
  else
    finish (wait);
}

/* Order: set, registry, calls, sockets; QUIC connections beside them (PROTOCOL 4.4). A registration that raced finds
 * the set without it. */
static void
cut (ChangeWait *wait, guint64 code, const char *reason)
{
  TlGateway *self = wait->gateway;
  const TlDeviceRecord *device = wait->stored->device;
  guint calls = 0, connections = 0;

  wait->change.certificates = tl_admitted_set_remove_device (self->admitted, device->device_id);
  tl_node_registry_device_state (self->registry, device->device_id, device->state);
  tl_rpc_server_drop_device (self->server, device->device_id, &calls, &connections);
  wait->change.calls = calls;
  wait->change.connections = connections;
  cut_quic (wait, code, reason);
}

static void
change_role (ChangeWait *wait)
{
  TlGateway *self = wait->gateway;
  const TlDeviceRecord *device = wait->stored->device;

  tl_admitted_set_set_role (self->admitted, device->device_id, device->role);
  tl_rpc_server_reset_device (self->server, device->device_id, &wait->change.calls, &wait->change.connections);
  cut_quic (wait, TL_QUIC_CLOSE_GOING_AWAY, "the device's role was changed");
}

static void
make_true (ChangeWait *wait)
{
  TlGateway *self = wait->gateway;
  const TlDeviceRecord *device = wait->stored->device;

  switch (wait->kind)
    {
    /* Also when it was so already: nothing of it may be left. */
    case TL_ADMISSION_REVOKE:
    case TL_ADMISSION_REMOVE:
      cut (wait, TL_QUIC_CLOSE_REVOKED, "the device was revoked");
      return;
    case TL_ADMISSION_SUSPEND:
      cut (wait, TL_QUIC_CLOSE_SUSPENDED, "the device was suspended");
      return;
    case TL_ADMISSION_ROLE:
      if (wait->stored->already)
        break;
      change_role (wait);
      return;
    case TL_ADMISSION_CLEAR:
      tl_node_registry_device_state (self->registry, device->device_id, device->state);
      break;
    case TL_ADMISSION_RESUME:
      if (!wait->stored->already)
        admit_again (self, device, &wait->change);
      break;
    case TL_ADMISSION_RESTORED:
    case TL_ADMISSION_CONFIRM:
      break;
    }
  finish (wait);
}

static void
count_only (ChangeWait *wait)
{
  TlGateway *self = wait->gateway;
  const char *device_id = wait->stored->device->device_id;

  if (wait->stored->already || wait->kind == TL_ADMISSION_RESUME || wait->kind == TL_ADMISSION_CLEAR)
    {
      finish (wait);
      return;
    }
  if (wait->kind != TL_ADMISSION_ROLE)
    wait->change.certificates = tl_admitted_set_count_device (self->admitted, device_id);
  tl_rpc_server_count_device (self->server, device_id, &wait->change.calls, &wait->change.connections);
  cut_quic (wait, 0, NULL);
}

static void
on_committed (const GError *error, gpointer result, gpointer user_data)
{
  ChangeWait *wait = user_data;
  TlGateway *self = wait->gateway;
  TlDeviceChange *stored = result;

  if (error != NULL)
    {
      wait->changed (NULL, error, wait->user_data);
      g_free (wait);
      return;
    }
  wait->stored = tl_device_change_ref (stored);
  wait->change.stored = stored;
  if (stored->dry_run)
    {
      count_only (wait);
      return;
    }
  if (!stored->already)
    {
      tl_log (TL_LOG_NOTICE, log_message (wait->kind), "device_id", stored->device->device_id, "name",
              stored->device->name, "by", stored->device->changed_by, NULL);
      tl_store_get_admission (self->store, on_admission, self);
    }
  make_true (wait);
}

void
tl_gateway_change_device (TlGateway *self, const TlGatewayChangeRequest *request, TlGatewayChanged changed,
                          gpointer user_data)
{
  ChangeWait *wait = g_new0 (ChangeWait, 1);

  wait->gateway = self;
  wait->kind = request->kind;
  wait->changed = changed;
  wait->user_data = user_data;
  wait->started_us = tl_clock_monotonic_us (self->clock);
  tl_store_change_device (self->store, request->kind, request->device_id, request->role, request->actor,
                          request->reason, request->dry_run, tl_clock_wall_ms (self->clock), on_committed, wait);
}

/* ---- a restored gateway ---- */

typedef struct
{
  TlGateway *gateway;
  TlStoreCallback callback;
  gpointer user_data;
} ConfirmWait;

static void
on_confirmed (const GError *error, gpointer result, gpointer user_data)
{
  ConfirmWait *wait = user_data;
  TlGateway *self = wait->gateway;
  const TlStoreConfirmation *confirmation = result;

  if (error == NULL && !confirmation->already)
    {
      self->admission->restored = FALSE;
      g_clear_pointer (&self->admission->restored_reason, g_free);
      tl_admitted_set_set_closed (self->admitted, FALSE);
      tl_log (TL_LOG_NOTICE, "the devices of this restored gateway were confirmed; they are admitted again", NULL);
      tl_gateway_notify_status (self, FALSE);
      tl_store_get_admission (self->store, on_admission, self);
    }
  wait->callback (error, result, wait->user_data);
  g_free (wait);
}

void
tl_gateway_confirm_devices (TlGateway *self, gint64 restored_at, const char *actor, const char *reason,
                            TlStoreCallback callback, gpointer user_data)
{
  ConfirmWait *wait = g_new0 (ConfirmWait, 1);

  wait->gateway = self;
  wait->callback = callback;
  wait->user_data = user_data;
  tl_store_confirm_devices (self->store, restored_at, actor, reason, tl_clock_wall_ms (self->clock), on_confirmed,
                            wait);
}
