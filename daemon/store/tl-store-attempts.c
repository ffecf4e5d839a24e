/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include "daemon/store/tl-journal.h"

/* What strangers reach: a live code, and the attempt that it costs (PROTOCOL 3.2, 3.4). */

/* What a code has to be for a stranger. One text, so that no place forgets a clause; the parameter is now. */
#define CODE_IS_LIVE "state = " SQL_CODE_LIVE " AND attempts_left > 0 AND expires_at > ?"

/* PROTOCOL 3.4: strangers see one answer for unknown, expired, spent and wrong kind. */
void
tl_store_set_code_invalid (GError **error)
{
  g_set_error_literal (error, TL_ERROR, TL_ERROR_CODE_INVALID, "the pairing code is not valid; ask for a new one");
}

static gboolean
run_find_live_code (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  /* PROTOCOL 3.3: a slot selects PINs only, an id selects links only. */
  tl_query_auto query
      = operation->id == NULL
            ? tl_database_query (db, error,
                                 "SELECT " CODE_COLUMNS " FROM codes WHERE slot = ? AND slot > 0 AND method = 0"
                                 " AND " CODE_IS_LIVE,
                                 tl_int (operation->number), tl_int (operation->now))
            : tl_database_query (db, error,
                                 "SELECT " CODE_COLUMNS " FROM codes WHERE code_id = ? AND method = 1"
                                 " AND " CODE_IS_LIVE,
                                 tl_text (operation->id), tl_int (operation->now));
  TlCodeRecord *code;

  if (!tl_store_take_code (db, query, operation->now, &code, error))
    return FALSE;
  if (code == NULL)
    {
      tl_store_set_code_invalid (error);
      return FALSE;
    }
  operation->result = code;
  return TRUE;
}

void
tl_store_find_live_code (TlStore *store, guint slot, const char *code_id, gint64 now, TlStoreCallback callback,
                         gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_find_live_code, TL_STORE_READ, (GDestroyNotify)tl_code_record_free);

  operation->number = slot;
  operation->id = g_strdup (code_id);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

/* Failures from a future (the clock was set back) count only as far as the window reaches, else they would slow down
 * for ever. */
static gboolean
count_failures (TlDatabase *db, gint64 now, gint64 *failures, GError **error)
{
  return tl_database_integer (db, failures, error, "SELECT count (*) FROM pin_failures WHERE abs (time - ?) < ?",
                              tl_int (now), tl_int (TL_STORE_PIN_FAILURES_WINDOW_MS));
}

static gboolean
check_pin_rate (TlDatabase *db, gint64 now, GError **error)
{
  gint64 failures, last;

  if (!count_failures (db, now, &failures, error)
      || !tl_database_integer (db, &last, error, "SELECT value FROM counters WHERE name = 'last_pin_exchange'"))
    return FALSE;
  if (failures < TL_STORE_PIN_FAILURES_MAX || ABS (now - last) >= TL_STORE_PIN_SLOW_INTERVAL_MS)
    return TRUE;

  g_set_error_literal (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
                       "too many wrong pairing codes; try again in a minute, or use a link");
  return FALSE;
}

static gboolean
count_pin_exchange (TlDatabase *db, const char *attempt_id, gint64 now, GError **error)
{
  return tl_database_run (db, NULL, error, "INSERT INTO pin_failures (attempt_id, time) VALUES (?, ?)",
                          tl_text (attempt_id), tl_int (now))
         && tl_database_run (db, NULL, error,
                             "INSERT INTO counters (name, value) VALUES ('last_pin_exchange', ?)"
                             " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                             tl_int (now));
}

static gboolean
journal_attempt (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const TlCodeRecord *code = operation->result;

  return tl_store_journal_record (db, operation->now, TL_JOURNAL_CODE_ATTEMPTED, operation->actor, code->code_id,
                                  json_pack ("{s:i, s:s*}", "attempts_left", (int)code->attempts_left, "attempt_id",
                                             operation->event_id),
                                  error);
}

static gboolean
run_take_attempt (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  gint64 method_plus_one;
  guint changes;

  if (!tl_database_integer (db, &method_plus_one, error,
                            "SELECT method + 1 FROM codes WHERE code_id = ? AND " CODE_IS_LIVE, tl_text (operation->id),
                            tl_int (operation->now)))
    return FALSE;
  if (method_plus_one == 0)
    {
      tl_store_set_code_invalid (error);
      return FALSE;
    }
  if (method_plus_one == TL_PAIRING_PIN + 1
      && (!check_pin_rate (db, operation->now, error)
          || !count_pin_exchange (db, operation->event_id, operation->now, error)))
    return FALSE;

  if (!tl_database_run (db, &changes, error,
                        "UPDATE codes SET attempts_left = attempts_left - 1,"
                        " state = CASE attempts_left WHEN 1 THEN " SQL_CODE_EXHAUSTED " ELSE state END,"
                        " w0 = CASE attempts_left WHEN 1 THEN NULL ELSE w0 END,"
                        " ended_at = CASE attempts_left WHEN 1 THEN ? ELSE ended_at END"
                        " WHERE code_id = ? AND " CODE_IS_LIVE,
                        tl_int (operation->now), tl_text (operation->id), tl_int (operation->now)))
    return FALSE;
  g_assert (changes == 1); /* the same transaction saw it live */
  if (!tl_store_load_code (operation, db, operation->id, error) || !journal_attempt (operation, db, error))
    return FALSE;
  if (((TlCodeRecord *)operation->result)->state != TL_CODE_LIVE)
    db->erase_pending = TRUE;
  return TRUE;
}

void
tl_store_take_attempt (TlStore *store, const char *code_id, const char *attempt_id, const char *actor, gint64 now,
                       TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_take_attempt, TL_STORE_WRITE_DURABLE, (GDestroyNotify)tl_code_record_free);

  operation->id = g_strdup (code_id);
  operation->event_id = g_strdup (attempt_id);
  operation->actor = g_strdup (actor);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_give_back_failure (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  return tl_database_run (db, NULL, error, "DELETE FROM pin_failures WHERE attempt_id = ?",
                          tl_text (operation->event_id))
         && tl_store_journal_record (db, operation->now, TL_JOURNAL_PAIRING_REFUSED, operation->actor, operation->id,
                                     json_pack ("{s:s*, s:s*, s:s*}", "reason", operation->reason, "device_id",
                                                operation->device_id, "attempt_id", operation->event_id),
                                     error);
}

void
tl_store_give_back_failure (TlStore *store, const char *attempt_id, const char *code_id, const char *device_id,
                            const char *actor, const char *reason, gint64 now, TlStoreCallback callback,
                            gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_give_back_failure, TL_STORE_WRITE_DURABLE, NULL);

  operation->event_id = g_strdup (attempt_id);
  operation->id = g_strdup (code_id);
  operation->device_id = g_strdup (device_id);
  operation->actor = g_strdup (actor);
  operation->reason = g_strdup (reason);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_count_pin_failures (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  gint64 failures;
  guint32 *result;

  if (!count_failures (db, operation->now, &failures, error))
    return FALSE;
  result = g_new (guint32, 1);
  *result = (guint32)failures;
  operation->result = result;
  return TRUE;
}

void
tl_store_count_pin_failures (TlStore *store, gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_count_pin_failures, TL_STORE_READ, g_free);

  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}
