/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include "daemon/store/tl-journal.h"

/* Retention: what ran out moves on, what is old goes. Nothing in the store grows for ever. */

static gboolean
expire_pairings (TlDatabase *db, gint64 now, GPtrArray *expired, GError **error)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);
  gboolean row = TRUE;

  {
    tl_query_auto query = tl_database_query (db, error,
                                             "UPDATE pairings SET state = " SQL_PAIRING_EXPIRED
                                             " WHERE state <= " SQL_PAIRING_APPROVED " AND expires_at <= ?"
                                             " RETURNING request_id",
                                             tl_int (now));

    if (query == NULL)
      return FALSE;
    while (row)
      {
        if (!tl_database_next (db, query, &row, error))
          return FALSE;
        if (row)
          g_ptr_array_add (ids, tl_column_text (query, 0));
      }
  }

  for (guint i = 0; i < ids->len; i++)
    {
      TlPairingRecord *request = tl_store_load_pairing (db, ids->pdata[i], error);

      if (request == NULL)
        return FALSE;
      g_ptr_array_add (expired, request);
      if (!tl_store_journal_record (db, now, TL_JOURNAL_PAIRING_EXPIRED, NULL, request->request_id,
                                    json_pack ("{s:s}", "device_id", request->device_id), error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
drop_sealed_keys (TlDatabase *db, gint64 now, GError **error)
{
  guint changes;

  if (!tl_database_run (db, &changes, error,
                        "UPDATE pairings SET sealed_keys = NULL WHERE sealed_keys IS NOT NULL AND requested_at <= ?",
                        tl_int (now - TL_STORE_SEALED_KEYS_MS)))
    return FALSE;
  db->erase_pending = db->erase_pending || changes > 0;
  return TRUE;
}

static gboolean
drop_history (TlDatabase *db, gint64 now, GError **error)
{
  gint64 history = now - TL_STORE_HISTORY_MS;

  return tl_database_run (db, NULL, error, "DELETE FROM pin_failures WHERE abs (time - ?) >= ?", tl_int (now),
                          tl_int (TL_STORE_PIN_FAILURES_WINDOW_MS))
         && tl_database_run (db, NULL, error, "DELETE FROM codes WHERE state <> " SQL_CODE_LIVE " AND ended_at <= ?",
                             tl_int (history))
         && tl_database_run (db, NULL, error,
                             "DELETE FROM pairings WHERE state > " SQL_PAIRING_APPROVED
                             " AND max (requested_at, decided_at, expires_at) <= ?",
                             tl_int (history))
         /* The newest one of a device stays, so that the list can say since when it is out. */
         && tl_database_run (
             db, NULL, error,
             "DELETE FROM certificates WHERE not_after <= ?1 AND EXISTS (SELECT 1 FROM certificates AS c"
             " WHERE c.device_id = certificates.device_id AND c.not_after > certificates.not_after)",
             tl_int (now - TL_STORE_OLD_CERTIFICATES_MS));
}

static gboolean
run_expire (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autoptr (GPtrArray) expired = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_pairing_record_free);

  if (!tl_store_expire_codes (db, operation->now, error) || !expire_pairings (db, operation->now, expired, error)
      || !drop_sealed_keys (db, operation->now, error) || !drop_history (db, operation->now, error)
      || !tl_store_expire_requests (db, operation->now, error) || !tl_store_expire_events (db, operation->now, error))
    return FALSE;
  operation->result = g_steal_pointer (&expired);
  return TRUE;
}

void
tl_store_expire (TlStore *store, gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_expire, TL_STORE_WRITE_DURABLE, (GDestroyNotify)g_ptr_array_unref);

  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}
