/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

#include "daemon/store/tl-journal.h"

/* Who is let in: pairing again and bans (PROTOCOL 3.5), certificates. */

/* ---- PROTOCOL 3.5 and bans ---- */

/* What is recorded under the request's device id (SAME_ID) or identity key. A removed device is forgotten. */
static gboolean
check_known_device (const TlPairingRecord *request, sqlite3_stmt *query, GError **error)
{
  TlDeviceState state = (TlDeviceState)sqlite3_column_int (query, 1);
  TlRole role = (TlRole)sqlite3_column_int (query, 2);
  gboolean same_id = g_strcmp0 ((const char *)sqlite3_column_text (query, 0), request->device_id) == 0;
  guint8 identity[32];
  gboolean same_identity;

  tl_column_array (query, 3, identity, sizeof identity);
  same_identity = memcmp (identity, request->identity_public, sizeof identity) == 0;

  if (state == TL_DEVICE_REVOKED)
    g_set_error_literal (error, TL_ERROR, TL_ERROR_REVOKED,
                         "this device was revoked; the gateway's operator can clear it");
  else if (!same_identity)
    g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                 "device %s is known with another identity key; pair as a new device", request->device_id);
  else if (!same_id)
    g_set_error_literal (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                         "the identity key belongs to another device; pair with a new one");
  else if (state == TL_DEVICE_SUSPENDED)
    g_set_error_literal (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                         "this device is suspended; the gateway's operator can resume it");
  else if (request->role > role)
    g_set_error_literal (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                         "pairing again cannot raise a device's role; the gateway's operator can set it");
  else
    return TRUE;
  return FALSE;
}

static gboolean
check_known_devices (TlDatabase *db, const TlPairingRecord *request, GError **error)
{
  /* A ban speaks first, whichever of the two rows it is in. */
  tl_query_auto query
      = tl_database_query (db, error,
                           "SELECT device_id, state, role, identity_public FROM devices"
                           " WHERE (device_id = ? OR identity_public = ?) AND state <> " SQL_DEVICE_REMOVED
                           " ORDER BY state = " SQL_DEVICE_REVOKED " DESC",
                           tl_text (request->device_id),
                           tl_blob (request->identity_public, sizeof request->identity_public));
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      if (!row)
        return TRUE;
      if (!check_known_device (request, query, error))
        return FALSE;
    }
  return FALSE;
}

gboolean
tl_store_check_device (TlDatabase *db, const TlPairingRecord *request, GError **error)
{
  gint64 others;

  if (!check_known_devices (db, request, error)
      || !tl_database_integer (db, &others, error,
                               "SELECT count (*) FROM certificates WHERE tls_key_fingerprint = ? AND device_id <> ?",
                               tl_text (request->tls_key_fingerprint), tl_text (request->device_id)))
    return FALSE;
  if (others == 0)
    return TRUE;

  g_set_error_literal (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                       "the TLS key belongs to another device; make a new one");
  return FALSE;
}

gboolean
tl_store_put_device (TlDatabase *db, const TlPairingRecord *request, gint64 now, GError **error)
{
  /* An imported inventory may have named it; from now on it is paired. */
  if (!tl_database_run (db, NULL, error, "DELETE FROM known_nodes WHERE device_id = ?", tl_text (request->device_id)))
    return FALSE;
  return tl_database_run (
      db, NULL, error,
      "INSERT INTO devices (device_id, name, state, role, client_kind, platform, identity_public, paired_at,"
      " approved_by, replaced_device_id) VALUES (?, ?, " SQL_DEVICE_ACTIVE ", ?, ?, ?, ?, ?, ?, ?)"
      /* Pairing again keeps the name that the operators know (PROTOCOL 3.5), unless the code gives another. */
      " ON CONFLICT (device_id) DO UPDATE SET"
      " name = CASE WHEN ? OR state = " SQL_DEVICE_REMOVED " THEN excluded.name ELSE name END,"
      " state = excluded.state, role = excluded.role,"
      " client_kind = excluded.client_kind, platform = excluded.platform,"
      " identity_public = excluded.identity_public, paired_at = excluded.paired_at,"
      " approved_by = excluded.approved_by, replaced_device_id = excluded.replaced_device_id,"
      " revoked_at = 0, revoked_by = NULL, revoked_reason = NULL, changed_at = 0, changed_by = NULL,"
      " changed_reason = NULL",
      tl_text (request->device_id), tl_text (request->label != NULL ? request->label : request->device_name),
      tl_int (request->role), tl_int (request->client_kind), tl_text (request->platform),
      tl_blob (request->identity_public, sizeof request->identity_public), tl_int (now), tl_text (request->decided_by),
      tl_text (request->replaces_device_id), tl_int (request->label != NULL));
}

gboolean
tl_store_put_certificate (TlDatabase *db, const TlCertificateRecord *certificate, const char *request_id,
                          GError **error)
{
  return tl_database_run (
      db, NULL, error,
      "INSERT INTO certificates (fingerprint, device_id, serial, tls_key_fingerprint, not_before, not_after,"
      " ca_generation, used, revoked, request_id) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?)",
      tl_text (certificate->fingerprint), tl_text (certificate->device_id), tl_text (certificate->serial),
      tl_text (certificate->tls_key_fingerprint), tl_int (certificate->not_before), tl_int (certificate->not_after),
      tl_int (certificate->ca_generation), tl_text (request_id));
}

void
tl_admissions_free (TlAdmissions *admissions)
{
  if (admissions == NULL)
    return;

  g_ptr_array_unref (admissions->certificates);
  g_hash_table_unref (admissions->roles);
  g_free (admissions);
}

static gboolean
run_list_admissions (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error,
                           "SELECT " CERTIFICATE_COLUMNS
                           ", d.role FROM certificates AS c JOIN devices AS d USING (device_id)"
                           " WHERE d.state = " SQL_DEVICE_ACTIVE " AND NOT c.revoked AND c.not_after > ?",
                           tl_int (operation->now));
  g_autoptr (TlAdmissions) admissions = g_new0 (TlAdmissions, 1);
  gboolean row = query != NULL;

  admissions->certificates = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_certificate_record_free);
  admissions->roles = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  while (row && tl_database_next (db, query, &row, error))
    {
      TlCertificateRecord *certificate;

      if (!row)
        {
          operation->result = g_steal_pointer (&admissions);
          return TRUE;
        }
      certificate = tl_store_read_certificate (query);
      g_ptr_array_add (admissions->certificates, certificate);
      g_hash_table_insert (admissions->roles, g_strdup (certificate->device_id),
                           GINT_TO_POINTER (sqlite3_column_int (query, 9)));
    }
  return FALSE;
}

TlAdmissions *
tl_store_list_admissions (TlStore *store, gint64 now, GError **error)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_list_admissions, TL_STORE_READ, (GDestroyNotify)tl_admissions_free);
  gpointer admissions = NULL;

  operation->now = now;
  return tl_store_run_sync (store, operation, &admissions, error) ? admissions : NULL;
}

/* ---- changes ---- */

GPtrArray *
tl_store_revoke_certificates (TlDatabase *db, const char *device_id, const char *but, gboolean only_unused,
                              GError **error)
{
  tl_query_auto query = tl_database_query (db, error,
                                           "UPDATE certificates SET revoked = 1 WHERE device_id = ?"
                                           " AND fingerprint <> ? AND NOT revoked AND NOT (? AND used)"
                                           " RETURNING fingerprint",
                                           tl_text (device_id), tl_text (but), tl_int (only_unused));
  g_autoptr (GPtrArray) fingerprints = g_ptr_array_new_with_free_func (g_free);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      if (!row)
        return g_steal_pointer (&fingerprints);
      g_ptr_array_add (fingerprints, tl_column_text (query, 0));
    }
  return NULL;
}

static void
certificate_use_free (TlCertificateUse *use)
{
  if (use == NULL)
    return;

  g_clear_pointer (&use->ended, g_ptr_array_unref);
  g_free (use);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlCertificateUse, certificate_use_free)

static gboolean
journal_used (TlStoreOperation *operation, TlDatabase *db, const char *device_id, guint ended, GError **error)
{
  g_autofree char *actor = g_strconcat ("device:", device_id, NULL);

  return tl_store_journal_record (db, operation->now, TL_JOURNAL_CERT_USED, actor, operation->id,
                                  json_pack ("{s:s, s:i}", "device_id", device_id, "ended", (int)ended), error);
}

static gboolean
run_certificate_used (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autofree char *device_id = NULL;
  g_autofree char *request_id = NULL;
  g_autoptr (TlCertificateUse) use = g_new0 (TlCertificateUse, 1);

  {
    tl_query_auto query = tl_database_query (db, error,
                                             "UPDATE certificates SET used = 1, der = NULL WHERE fingerprint = ?"
                                             " AND NOT used AND NOT revoked RETURNING device_id, request_id",
                                             tl_text (operation->id));
    gboolean row;

    if (query == NULL || !tl_database_next (db, query, &row, error))
      return FALSE;
    if (row)
      {
        device_id = tl_column_text (query, 0);
        request_id = tl_column_text (query, 1);
      }
  }
  if (device_id == NULL)
    {
      use->ended = g_ptr_array_new_with_free_func (g_free);
      operation->result = g_steal_pointer (&use);
      return TRUE;
    }

  use->renewal = request_id == NULL;
  if (!tl_database_run (db, NULL, error, "UPDATE pairings SET sealed_keys = NULL WHERE request_id = ?",
                        tl_text (request_id)))
    return FALSE;
  db->erase_pending = TRUE;
  use->ended = tl_store_revoke_certificates (db, device_id, operation->id, FALSE, error);
  if (use->ended == NULL || !journal_used (operation, db, device_id, use->ended->len, error))
    return FALSE;
  operation->result = g_steal_pointer (&use);
  return TRUE;
}

void
tl_store_certificate_used (TlStore *store, const char *fingerprint, gint64 now, TlStoreCallback callback,
                           gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_certificate_used, TL_STORE_WRITE_DURABLE, (GDestroyNotify)certificate_use_free);

  operation->id = g_strdup (fingerprint);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}
