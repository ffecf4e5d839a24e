/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>
#include <sys/stat.h>

/* Settings, certificate authorities, heartbeat, size. */

static gboolean
run_get_meta (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, "SELECT value FROM meta WHERE key = ?", tl_text (operation->id));
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  if (row)
    operation->result = tl_column_text (query, 0);
  return TRUE;
}

char *
tl_store_get_meta (TlStore *store, const char *key, GError **error)
{
  TlStoreOperation *operation = tl_store_operation_new (run_get_meta, TL_STORE_READ, g_free);
  gpointer value = NULL;

  operation->id = g_strdup (key);
  return tl_store_run_sync (store, operation, &value, error) ? value : NULL;
}

static gboolean
run_set_meta (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "INSERT INTO meta (key, value) VALUES (?, ?)"
                          " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                          tl_text (operation->id), tl_text (operation->data));
}

gboolean
tl_store_set_meta (TlStore *store, const char *key, const char *value, GError **error)
{
  TlStoreOperation *operation = tl_store_operation_new (run_set_meta, TL_STORE_WRITE_DURABLE, NULL);

  operation->id = g_strdup (key);
  operation->data = g_strdup (value);
  return tl_store_run_sync (store, operation, NULL, error);
}

static gboolean
run_list_cas (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, "SELECT der FROM cas ORDER BY generation DESC");
  g_autoptr (GPtrArray) cas = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      if (!row)
        {
          operation->result = g_steal_pointer (&cas);
          return TRUE;
        }
      g_ptr_array_add (cas, tl_column_bytes (query, 0));
    }
  return FALSE;
}

GPtrArray *
tl_store_list_cas (TlStore *store, GError **error)
{
  gpointer cas = NULL;

  return tl_store_run_sync (store,
                            tl_store_operation_new (run_list_cas, TL_STORE_READ, (GDestroyNotify)g_ptr_array_unref),
                            &cas, error)
             ? cas
             : NULL;
}

static gboolean
run_add_ca (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  return tl_database_run (db, NULL, error, "INSERT INTO cas (generation, der, not_after) VALUES (?, ?, ?)",
                          tl_int (operation->number), tl_bytes (operation->bytes), tl_int (operation->now));
}

gboolean
tl_store_add_ca (TlStore *store, guint generation, GBytes *der, gint64 not_after, GError **error)
{
  TlStoreOperation *operation = tl_store_operation_new (run_add_ca, TL_STORE_WRITE_DURABLE, NULL);

  operation->number = generation;
  operation->bytes = g_bytes_ref (der);
  operation->now = not_after;
  return tl_store_run_sync (store, operation, NULL, error);
}

static gboolean
run_probe (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "INSERT INTO counters (name, value) VALUES ('heartbeat', ?)"
                          " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                          tl_int (operation->now));
}

void
tl_store_probe (TlStore *store, gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_probe, TL_STORE_WRITE, NULL);

  operation->heartbeat = TRUE;
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

static guint64
file_size (const char *path, const char *suffix)
{
  g_autofree char *name = g_strconcat (path, suffix, NULL);
  struct stat info;

  return stat (name, &info) == 0 ? (guint64)info.st_size : 0;
}

static gboolean
fill_journal (TlDatabase *db, TlStoreStatus *status, GError **error)
{
  gint64 first;

  if (!tl_store_journal_load_head (db, error)
      || !tl_database_integer (db, &first, error, "SELECT min (seq) FROM journal")
      || !tl_database_integer (db, &status->journal_oldest, error, "SELECT time FROM journal ORDER BY seq LIMIT 1"))
    return FALSE;
  status->journal_head.seq = db->journal_seq;
  memcpy (status->journal_head.hash, db->journal_hash, sizeof status->journal_head.hash);
  if (first > 0 && db->journal_seq >= (guint64)first)
    status->journal_rows = db->journal_seq - (guint64)first + 1;
  return TRUE;
}

static gboolean
count_kept (TlDatabase *db, TlStoreStatus *status, GError **error)
{
  gint64 known;

  if (!tl_database_integer (db, &status->requests_kept, error,
                            "SELECT count (*) FROM requests WHERE state >= " SQL_REQUEST_FIRST_FINAL)
      || !tl_database_integer (db, &status->events_kept, error, "SELECT count (*) FROM events")
      || !tl_database_integer (db, &status->certificates_kept, error, "SELECT count (*) FROM certificates")
      || !tl_database_integer (db, &known, error, "SELECT count (*) FROM known_nodes"))
    return FALSE;
  status->known_nodes = (guint)known;
  return TRUE;
}

static gboolean
run_get_status (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autofree TlStoreStatus *status = g_new0 (TlStoreStatus, 1);
  gint64 devices, suspended, revoked, codes, pairings, requests;

  if (!tl_database_integer (db, &devices, error, "SELECT count (*) FROM devices WHERE state = " SQL_DEVICE_ACTIVE)
      || !tl_database_integer (db, &suspended, error,
                               "SELECT count (*) FROM devices WHERE state <> 0 AND state = " SQL_DEVICE_SUSPENDED)
      || !tl_database_integer (db, &revoked, error,
                               "SELECT count (*) FROM devices WHERE state <> 0 AND state = " SQL_DEVICE_REVOKED)
      || !tl_database_integer (db, &codes, error,
                               "SELECT count (*) FROM codes WHERE state = " SQL_CODE_LIVE " AND expires_at > ?",
                               tl_int (operation->now))
      || !tl_database_integer (db, &pairings, error,
                               "SELECT count (*) FROM pairings WHERE state <= " SQL_PAIRING_APPROVED
                               " AND state = " SQL_PAIRING_PENDING " AND expires_at > ?",
                               tl_int (operation->now))
      || !tl_database_integer (db, &requests, error,
                               "SELECT count (*) FROM requests WHERE state < " SQL_REQUEST_FIRST_FINAL)
      || !fill_journal (db, status, error))
    return FALSE;

  status->devices_active = (guint)devices;
  status->devices_suspended = (guint)suspended;
  status->devices_revoked = (guint)revoked;
  status->codes_live = (guint)codes;
  status->pairings_pending = (guint)pairings;
  status->requests_open = (guint)requests;
  status->wal_bytes = file_size (db->path, "-wal");
  status->bytes = file_size (db->path, "") + status->wal_bytes;
  if (!count_kept (db, status, error))
    return FALSE;
  operation->result = g_steal_pointer (&status);
  return TRUE;
}

void
tl_store_get_status (TlStore *store, gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_get_status, TL_STORE_READ, g_free);

  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}
