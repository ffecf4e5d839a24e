/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

#include "base/tl-random.h"
#include "daemon/store/tl-journal.h"

static gboolean
read_verifier (sqlite3_stmt *query, TlCodeRecord *code, int column, GError **error)
{
  g_autoptr (TlPairingVerifier) verifier = g_new0 (TlPairingVerifier, 1);

  if (!tl_pairing_kdf_check (code->method, (const char *)sqlite3_column_text (query, column),
                             (guint32)sqlite3_column_int64 (query, column + 1),
                             (guint32)sqlite3_column_int64 (query, column + 2),
                             (guint32)sqlite3_column_int64 (query, column + 3), &verifier->kdf, error))
    {
      g_prefix_error (error, "the stored code %s is damaged: ", code->code_id);
      return FALSE;
    }
  tl_column_array (query, column + 4, verifier->salt, sizeof verifier->salt);
  verifier->w0
      = tl_secret_new_copy (sqlite3_column_blob (query, column + 5), (gsize)sqlite3_column_bytes (query, column + 5));
  tl_column_array (query, column + 6, verifier->point, sizeof verifier->point);
  code->verifier = g_steal_pointer (&verifier);
  return TRUE;
}

/* A code whose time is over is shown as expired even before somebody came by to write that down. */
static TlCodeRecord *
read_code (sqlite3_stmt *query, gint64 now, gboolean with_verifier, GError **error)
{
  g_autoptr (TlCodeRecord) code = g_new0 (TlCodeRecord, 1);

  code->code_id = tl_column_text (query, 0);
  code->method = (TlPairingMethod)sqlite3_column_int (query, 1);
  code->slot = (guint)sqlite3_column_int (query, 2);
  code->state = (TlCodeState)sqlite3_column_int (query, 3);
  code->role = (TlRole)sqlite3_column_int (query, 4);
  code->label = tl_column_text (query, 5);
  code->auto_approve = sqlite3_column_int (query, 6) != 0;
  code->attempts = (guint)sqlite3_column_int (query, 7);
  code->attempts_left = (guint)sqlite3_column_int (query, 8);
  code->minted_by = tl_column_text (query, 9);
  code->created_at = sqlite3_column_int64 (query, 10);
  code->expires_at = sqlite3_column_int64 (query, 11);
  if (code->state == TL_CODE_LIVE && code->expires_at <= now)
    code->state = TL_CODE_EXPIRED;
  if (with_verifier && code->state == TL_CODE_LIVE && !read_verifier (query, code, 12, error))
    return NULL;
  return g_steal_pointer (&code);
}

gboolean
tl_store_take_code (TlDatabase *db, sqlite3_stmt *query, gint64 now, TlCodeRecord **code, GError **error)
{
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  *code = row ? read_code (query, now, TRUE, error) : NULL;
  return !row || *code != NULL;
}

gboolean
tl_store_load_code (TlStoreOperation *operation, TlDatabase *db, const char *code_id, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error, "SELECT " CODE_COLUMNS " FROM codes WHERE code_id = ?", tl_text (code_id));
  TlCodeRecord *code;

  if (!tl_store_take_code (db, query, operation->now, &code, error))
    return FALSE;
  if (code == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "there is no pairing code %s", code_id);
      return FALSE;
    }
  operation->result = code;
  return TRUE;
}

gboolean
tl_store_expire_codes (TlDatabase *db, gint64 now, GError **error)
{
  guint changes;

  if (!tl_database_run (db, &changes, error,
                        "UPDATE codes SET state = " SQL_CODE_EXPIRED ", w0 = NULL, ended_at = ?"
                        " WHERE state = " SQL_CODE_LIVE " AND expires_at <= ?",
                        tl_int (now), tl_int (now)))
    return FALSE;
  db->erase_pending = db->erase_pending || changes > 0;
  return TRUE;
}

/* ---- minting ---- */

/* Uniform among the free ones; with at most TL_STORE_MAX_LIVE_CODES of TL_PAIRING_SLOT_MAX taken, it rarely draws
 * twice. */
static gboolean
pick_slot (TlDatabase *db, guint *slot, GError **error)
{
  gint64 taken = 1;
  guint candidate = 0;

  G_STATIC_ASSERT (TL_STORE_MAX_LIVE_CODES < TL_PAIRING_SLOT_MAX);
  while (taken > 0)
    {
      candidate = 1 + tl_random_below (tl_random_system (), TL_PAIRING_SLOT_MAX);
      if (!tl_database_integer (db, &taken, error,
                                "SELECT count (*) FROM codes WHERE state = " SQL_CODE_LIVE " AND slot > 0 AND slot = ?",
                                tl_int (candidate)))
        return FALSE;
    }
  *slot = candidate;
  return TRUE;
}

static gboolean
insert_code (TlDatabase *db, const TlCodeRecord *code, guint slot, gint64 now, GError **error)
{
  const TlPairingVerifier *verifier = code->verifier;

  return tl_database_run (
      db, NULL, error,
      "INSERT INTO codes (code_id, method, slot, state, role, label, auto_approve, attempts, attempts_left, minted_by,"
      " created_at, expires_at, ended_at, kdf, kdf_n, kdf_r, kdf_p, salt, w0, point)"
      " VALUES (?, ?, ?, " SQL_CODE_LIVE ", ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?)",
      tl_text (code->code_id), tl_int (code->method), tl_int (slot), tl_int (code->role), tl_text (code->label),
      tl_int (code->auto_approve != FALSE), tl_int (code->attempts), tl_int (code->attempts), tl_text (code->minted_by),
      tl_int (code->created_at != 0 ? code->created_at : now), tl_int (code->expires_at), tl_text (verifier->kdf.name),
      tl_int (verifier->kdf.n), tl_int (verifier->kdf.r), tl_int (verifier->kdf.p),
      tl_blob (verifier->salt, sizeof verifier->salt),
      tl_blob (tl_secret_data (verifier->w0), tl_secret_length (verifier->w0)),
      tl_blob (verifier->point, sizeof verifier->point));
}

/* Codes that run out hold their slots until somebody writes that down. */
static gboolean
check_live_codes (TlDatabase *db, const char *actor, gint64 now, GError **error)
{
  gint64 live, own;

  if (!tl_store_expire_codes (db, now, error)
      || !tl_database_integer (db, &live, error, "SELECT count (*) FROM codes WHERE state = " SQL_CODE_LIVE)
      || !tl_database_integer (db, &own, error,
                               "SELECT count (*) FROM codes WHERE state = " SQL_CODE_LIVE " AND minted_by = ?",
                               tl_text (actor)))
    return FALSE;
  if (live >= TL_STORE_MAX_LIVE_CODES)
    g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
                 "there are %d live pairing codes already; cancel some or wait until they expire",
                 TL_STORE_MAX_LIVE_CODES);
  else if (own >= TL_STORE_MAX_LIVE_CODES_DEVICE && g_str_has_prefix (actor, "device:"))
    g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
                 "this operator has %d live pairing codes already; cancel some or wait until they expire",
                 TL_STORE_MAX_LIVE_CODES_DEVICE);
  else
    return TRUE;
  return FALSE;
}

static gboolean
journal_minted (TlDatabase *db, const TlCodeRecord *code, guint slot, gint64 now, GError **error)
{
  return tl_store_journal_record (db, now, TL_JOURNAL_CODE_MINTED, code->minted_by, code->code_id,
                                  json_pack ("{s:s, s:i, s:s, s:s*, s:b, s:i, s:I}", "method",
                                             code->method == TL_PAIRING_LINK ? "link" : "pin", "slot", (int)slot,
                                             "role", tl_role_to_string (code->role), "label", code->label,
                                             "auto_approve", code->auto_approve, "attempts", (int)code->attempts,
                                             "expires_at_unix_ms", (json_int_t)code->expires_at),
                                  error);
}

static gboolean
run_add_code (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const TlCodeRecord *code = operation->record;
  TlOperatorTarget target = { .role = code->role, .automatic = code->auto_approve };
  guint slot = 0;

  if (code->verifier == NULL || code->expires_at <= operation->now)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "a new pairing code needs a verifier and an end in the future");
      return FALSE;
    }
  if (!tl_store_authorise (db, code->minted_by, TL_OPERATOR_MINT, &target, error)
      || !check_live_codes (db, code->minted_by, operation->now, error))
    return FALSE;
  if (code->method == TL_PAIRING_PIN && !pick_slot (db, &slot, error))
    return FALSE;
  return insert_code (db, code, slot, operation->now, error) && journal_minted (db, code, slot, operation->now, error)
         && tl_store_load_code (operation, db, code->code_id, error);
}

void
tl_store_add_code (TlStore *store, const TlCodeRecord *code, gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_add_code, TL_STORE_WRITE_DURABLE, (GDestroyNotify)tl_code_record_free);

  operation->record = tl_code_record_copy (code);
  operation->free_record = (GDestroyNotify)tl_code_record_free;
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

/* ---- for operators ---- */

/* "1".."999": the slot; 0 for anything else. */
static guint
parse_slot (const char *text)
{
  gsize length = strspn (text, "0123456789");

  if (length == 0 || length > 3 || text[length] != '\0')
    return 0;
  return (guint)g_ascii_strtoull (text, NULL, 10);
}

static gboolean
set_no_code (GError **error, const char *text)
{
  g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "no pairing code has the slot or id \"%.64s\"", text);
  return FALSE;
}

/* The one code that an operator means. */
static gboolean
resolve_code (TlDatabase *db, const char *text, char **code_id, GError **error)
{
  guint slot = parse_slot (text);
  g_autofree char *prefix = tl_store_id_prefix (text);
  g_autofree char *found = NULL;
  tl_query_auto query = NULL;
  gboolean row;

  if (slot == 0 && prefix == NULL)
    return set_no_code (error, text);
  query = slot > 0 ? tl_database_query (db, error,
                                        "SELECT code_id FROM codes WHERE slot = ? AND slot > 0"
                                        " AND state = " SQL_CODE_LIVE,
                                        tl_int (slot))
                   : tl_database_query (db, error,
                                        "SELECT code_id FROM codes WHERE code_id >= ?1 AND code_id < ?1 || '~' LIMIT 2",
                                        tl_text (prefix));
  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  if (!row)
    return set_no_code (error, text);
  found = tl_column_text (query, 0);
  if (!tl_database_next (db, query, &row, error))
    return FALSE;
  if (row)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_AMBIGUOUS, "\"%s\" fits more than one pairing code; type more of the id",
                   text);
      return FALSE;
    }
  *code_id = g_steal_pointer (&found);
  return TRUE;
}

static gboolean
may_cancel (TlDatabase *db, const char *actor, const char *code_id, gint64 now, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error, "SELECT " CODE_COLUMNS " FROM codes WHERE code_id = ?", tl_text (code_id));
  g_autoptr (TlCodeRecord) code = NULL;

  return tl_store_take_code (db, query, now, &code, error) && tl_store_authorise_cancel (db, actor, code, error);
}

static gboolean
run_cancel_code (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autofree char *code_id = NULL;
  guint changes;

  if (!resolve_code (db, operation->id, &code_id, error)
      || !may_cancel (db, operation->actor, code_id, operation->now, error)
      || !tl_database_run (db, &changes, error,
                           "UPDATE codes SET state = " SQL_CODE_CANCELLED ", w0 = NULL, ended_at = ?"
                           " WHERE code_id = ? AND state = " SQL_CODE_LIVE " AND expires_at > ?",
                           tl_int (operation->now), tl_text (code_id), tl_int (operation->now)))
    return FALSE;
  db->erase_pending = db->erase_pending || changes > 0;
  return (changes == 0
          || tl_store_journal_append (db, operation->now, TL_JOURNAL_CODE_CANCELLED, operation->actor, code_id, NULL,
                                      error))
         && tl_store_load_code (operation, db, code_id, error);
}

void
tl_store_cancel_code (TlStore *store, const char *code, const char *actor, gint64 now, TlStoreCallback callback,
                      gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_cancel_code, TL_STORE_WRITE_DURABLE, (GDestroyNotify)tl_code_record_free);

  operation->id = g_strdup (code);
  operation->actor = g_strdup (actor);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_list_codes (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query = tl_database_query (db, error,
                                           "SELECT " CODE_COLUMNS " FROM codes WHERE (?1 = '' OR code_id < ?1)"
                                           " AND (?2 OR (state = " SQL_CODE_LIVE " AND expires_at > ?3))"
                                           " ORDER BY code_id DESC LIMIT ?4",
                                           tl_text (operation->token), tl_int (operation->flag),
                                           tl_int (operation->now), tl_int ((gint64)operation->limit + 1));
  g_autoptr (GPtrArray) codes = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_code_record_free);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      if (!row)
        {
          operation->result = g_steal_pointer (&codes);
          return TRUE;
        }
      g_ptr_array_add (codes, read_code (query, operation->now, FALSE, NULL));
    }
  return FALSE;
}

void
tl_store_list_codes (TlStore *store, gboolean all, const char *page_token, guint limit, gint64 now,
                     TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_list_codes, TL_STORE_READ, (GDestroyNotify)g_ptr_array_unref);

  operation->flag = all != FALSE;
  operation->token = g_strdup (page_token != NULL ? page_token : "");
  operation->limit = limit;
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}
