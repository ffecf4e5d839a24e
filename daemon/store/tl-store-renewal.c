/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

#include "base/tl-clock.h"
#include "daemon/store/tl-journal.h"

/* Issuing a new leaf to a device that is known (PROTOCOL 4.3). */

typedef struct
{
  TlCertificateRecord *certificate;
  GBytes *der;
  guint8 identity_public[32];
  gint64 grace_ms;
  char *how;
} Renewal;

static void
renewal_free (Renewal *renewal)
{
  tl_certificate_record_free (renewal->certificate);
  g_bytes_unref (renewal->der);
  g_free (renewal->how);
  g_free (renewal);
}

static void
renewal_record_free (TlRenewalRecord *record)
{
  if (record == NULL)
    return;

  g_clear_pointer (&record->certificate, tl_certificate_record_free);
  g_clear_pointer (&record->der, g_bytes_unref);
  g_clear_pointer (&record->ended, g_ptr_array_unref);
  g_free (record);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRenewalRecord, renewal_record_free)

/* ---- what speaks against it ---- */

static gboolean
check_device_state (const TlDeviceRecord *device, const Renewal *renewal, GError **error)
{
  switch (device->state)
    {
    case TL_DEVICE_ACTIVE:
      break;
    case TL_DEVICE_SUSPENDED:
      g_set_error_literal (error, TL_ERROR, TL_ERROR_SUSPENDED,
                           "this device is suspended; the gateway's operator can resume it");
      return FALSE;
    case TL_DEVICE_REVOKED:
      g_set_error_literal (error, TL_ERROR, TL_ERROR_REVOKED,
                           "this device was revoked; the gateway's operator can clear it");
      return FALSE;
    case TL_DEVICE_REMOVED:
      g_set_error_literal (error, TL_ERROR, TL_ERROR_REVOKED,
                           "this device was removed from the gateway; pair it again");
      return FALSE;
    }
  if (memcmp (device->identity_public, renewal->identity_public, sizeof renewal->identity_public) == 0)
    return TRUE;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                       "this device is known with another identity key; pair as a new device");
  return FALSE;
}

/* The newest end counts, also of a leaf whose answer was lost: what was issued to this identity sets its grace. */
static gboolean
check_grace (TlStoreOperation *operation, TlDatabase *db, const Renewal *renewal, GError **error)
{
  gint64 end;
  g_autofree char *text = NULL;

  if (!tl_database_integer (db, &end, error, "SELECT max (not_after) FROM certificates WHERE device_id = ?",
                            tl_text (operation->device_id)))
    return FALSE;
  if (operation->now < end + renewal->grace_ms)
    return TRUE;
  text = tl_time_to_string (end);
  g_set_error (error, TL_ERROR, TL_ERROR_EXPIRED,
               "this device's last certificate ended at %s, and the grace after that is over: pair again", text);
  return FALSE;
}

static gboolean
check_key (TlStoreOperation *operation, TlDatabase *db, const Renewal *renewal, GError **error)
{
  const char *key = renewal->certificate->tls_key_fingerprint;
  gint64 others, used;

  if (!tl_database_integer (db, &others, error,
                            "SELECT count (*) FROM certificates WHERE tls_key_fingerprint = ? AND device_id <> ?",
                            tl_text (key), tl_text (operation->device_id))
      || !tl_database_integer (db, &used, error,
                               "SELECT count (*) FROM certificates WHERE tls_key_fingerprint = ? AND used",
                               tl_text (key)))
    return FALSE;
  if (others == 0 && used == 0)
    return TRUE;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                       others > 0 ? "the TLS key belongs to another device; make a new one"
                                  : "the TLS key was used before; a renewal takes a new one");
  return FALSE;
}

/* ---- issuing ---- */

/* The leaf that was issued for this key and never used, with more than half of its life left: its answer was lost. */
static gboolean
find_lost (TlStoreOperation *operation, TlDatabase *db, const Renewal *renewal, TlRenewalRecord *record, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error,
                           "SELECT " CERTIFICATE_COLUMNS ", c.der FROM certificates AS c WHERE c.device_id = ?"
                           " AND c.tls_key_fingerprint = ? AND NOT c.used AND NOT c.revoked AND c.der IS NOT NULL"
                           " AND (c.not_before + c.not_after) / 2 > ? ORDER BY c.not_after DESC LIMIT 1",
                           tl_text (operation->device_id), tl_text (renewal->certificate->tls_key_fingerprint),
                           tl_int (operation->now));
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  record->repeated = row;
  if (row)
    {
      record->certificate = tl_store_read_certificate (query);
      record->der = tl_column_bytes (query, 9);
    }
  return TRUE;
}

static gboolean
issue (TlStoreOperation *operation, TlDatabase *db, const Renewal *renewal, TlRenewalRecord *record, GError **error)
{
  record->ended = tl_store_revoke_certificates (db, operation->device_id, "", TRUE, error);
  if (record->ended == NULL || !tl_store_put_certificate (db, renewal->certificate, NULL, error)
      || !tl_database_run (db, NULL, error, "UPDATE certificates SET der = ? WHERE fingerprint = ?",
                           tl_bytes (renewal->der), tl_text (renewal->certificate->fingerprint)))
    return FALSE;
  record->certificate = tl_certificate_record_copy (renewal->certificate);
  record->der = g_bytes_ref (renewal->der);
  return TRUE;
}

static gboolean
journal_renewed (TlStoreOperation *operation, TlDatabase *db, const Renewal *renewal, const TlRenewalRecord *record,
                 GError **error)
{
  const TlCertificateRecord *certificate = record->certificate;

  return tl_store_journal_record (db, operation->now, TL_JOURNAL_CERT_RENEWED, operation->actor,
                                  certificate->fingerprint,
                                  json_pack ("{s:s, s:s, s:s, s:I, s:i, s:b}", "device_id", certificate->device_id,
                                             "how", renewal->how, "serial", certificate->serial, "not_after_unix_ms",
                                             (json_int_t)certificate->not_after, "ca_generation",
                                             (int)certificate->ca_generation, "repeated", record->repeated),
                                  error);
}

/* The refusal is on record although the operation fails. */
static void
journal_refused (TlStoreOperation *operation, TlDatabase *db, const Renewal *renewal, const GError *refusal)
{
  operation->keep_changes
      = tl_store_journal_record (db, operation->now, TL_JOURNAL_CERT_REFUSED, operation->actor, operation->device_id,
                                 json_pack ("{s:s, s:s, s:s}", "how", renewal->how, "reason",
                                            tl_error_to_reason (refusal), "error", refusal->message),
                                 NULL);
}

static gboolean
run_renew (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const Renewal *renewal = operation->record;
  g_autoptr (TlDeviceRecord) device = tl_store_load_device (db, operation->device_id, error);
  g_autoptr (TlRenewalRecord) record = g_new0 (TlRenewalRecord, 1);
  g_autoptr (GError) refusal = NULL;

  if (device == NULL)
    return FALSE;
  if (!check_device_state (device, renewal, &refusal) || !check_grace (operation, db, renewal, &refusal)
      || !check_key (operation, db, renewal, &refusal))
    {
      if (!tl_database_is_disk_error (refusal))
        journal_refused (operation, db, renewal, refusal);
      g_propagate_error (error, g_steal_pointer (&refusal));
      return FALSE;
    }
  if (!find_lost (operation, db, renewal, record, error)
      || (!record->repeated && !issue (operation, db, renewal, record, error))
      || !journal_renewed (operation, db, renewal, record, error))
    return FALSE;
  record->role = device->role;
  operation->result = g_steal_pointer (&record);
  return TRUE;
}

void
tl_store_renew_certificate (TlStore *store, const TlRenewalRequest *request, const char *actor, gint64 now,
                            TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_renew, TL_STORE_WRITE_DURABLE, (GDestroyNotify)renewal_record_free);
  Renewal *renewal = g_new0 (Renewal, 1);

  renewal->certificate = tl_certificate_record_copy (request->certificate);
  renewal->der = g_bytes_ref (request->der);
  memcpy (renewal->identity_public, request->identity_public, sizeof renewal->identity_public);
  renewal->grace_ms = request->grace_ms;
  renewal->how = g_strdup (request->how);
  operation->record = renewal;
  operation->free_record = (GDestroyNotify)renewal_free;
  operation->device_id = g_strdup (request->certificate->device_id);
  operation->actor = g_strdup (actor);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}
