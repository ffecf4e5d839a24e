/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

#include "daemon/store/tl-journal.h"
#include "journal/tl-journal-row.h"

/* The journal: rows chained by SHA-256. */

/* The number that was given last, also when that row is not there any more: the gap it leaves is found by verify, which
 * a row in its place would hide. */
static gboolean
read_written (TlDatabase *db, guint64 *written, GError **error)
{
  gint64 seq;

  if (!tl_database_integer (db, &seq, error, "SELECT seq FROM sqlite_sequence WHERE name = 'journal'"))
    return FALSE;
  *written = (guint64)MAX (seq, 0);
  return TRUE;
}

gboolean
tl_store_journal_load_head (TlDatabase *db, GError **error)
{
  tl_query_auto query = NULL;
  guint64 written;
  gboolean row;

  if (db->head_known)
    return TRUE;
  query = tl_database_query (db, error, "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1");
  if (query == NULL || !tl_database_next (db, query, &row, error) || !read_written (db, &written, error))
    return FALSE;
  memset (db->journal_hash, 0, sizeof db->journal_hash);
  db->journal_seq = row ? (guint64)sqlite3_column_int64 (query, 0) : 0;
  db->journal_seq = MAX (db->journal_seq, written);
  if (row)
    tl_column_array (query, 1, db->journal_hash, sizeof db->journal_hash);
  db->head_known = TRUE;
  return TRUE;
}

void
tl_store_journal_forget_head (TlDatabase *db)
{
  db->head_known = FALSE;
}

gboolean
tl_store_journal_append (TlDatabase *db, gint64 now, const char *kind, const char *actor, const char *subject,
                         const char *detail, GError **error)
{
  TlJournalRow row = { .time = now,
                       .kind = kind,
                       .actor = actor != NULL ? actor : "gateway",
                       .subject = subject != NULL ? subject : "",
                       .detail = detail != NULL ? detail : "{}" };

  if (!tl_store_journal_load_head (db, error))
    return FALSE;
  row.seq = db->journal_seq + 1;
  tl_journal_row_hash (db->journal_hash, &row, row.hash);
  if (!tl_database_run (db, NULL, error,
                        "INSERT INTO journal (seq, time, kind, actor, subject, detail, hash)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?)",
                        tl_int ((gint64)row.seq), tl_int (now), tl_text (kind), tl_text (row.actor),
                        tl_text (row.subject), tl_text (row.detail), tl_blob (row.hash, sizeof row.hash)))
    return FALSE;
  db->journal_seq = row.seq;
  memcpy (db->journal_hash, row.hash, sizeof row.hash);
  return TRUE;
}

gboolean
tl_store_journal_record (TlDatabase *db, gint64 now, const char *kind, const char *actor, const char *subject,
                         json_t *detail, GError **error)
{
  tl_json_auto object = detail;
  g_autofree char *text = object != NULL ? tl_json_to_string (object) : NULL;

  return tl_store_journal_append (db, now, kind, actor, subject, text, error);
}

static gboolean
run_journal (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  return tl_store_journal_append (db, operation->now, operation->type, operation->actor, operation->id, operation->data,
                                  error);
}

void
tl_store_journal (TlStore *store, const char *kind, const char *actor, const char *subject, const char *detail,
                  gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_journal, TL_STORE_WRITE, NULL);

  operation->type = g_strdup (kind);
  operation->actor = g_strdup (actor);
  operation->id = g_strdup (subject);
  operation->data = g_strdup (detail);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_head (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  TlJournalHead head = { 0 };

  /* What is kept elsewhere has to outlive the power: a write makes this commit a synced one. */
  if (!tl_database_run (db, NULL, error,
                        "INSERT INTO counters (name, value) VALUES ('journal_head', ?)"
                        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                        tl_int (operation->now))
      || !tl_store_journal_load_head (db, error))
    return FALSE;
  head.seq = db->journal_seq;
  memcpy (head.hash, db->journal_hash, sizeof head.hash);
  operation->result = g_memdup2 (&head, sizeof head);
  return TRUE;
}

void
tl_store_journal_head (TlStore *store, gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_head, TL_STORE_WRITE_DURABLE, g_free);

  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_journal_meta (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "INSERT INTO meta (key, value) VALUES (?, ?)"
                          " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                          tl_text (operation->token), tl_text (operation->reason))
         && run_journal (operation, db, error);
}

gboolean
tl_store_journal_setting (TlStore *store, const char *kind, const char *subject, const char *detail, const char *key,
                          const char *value, gint64 now, GError **error)
{
  TlStoreOperation *operation = tl_store_operation_new (run_journal_meta, TL_STORE_WRITE_DURABLE, NULL);

  operation->type = g_strdup (kind);
  operation->id = g_strdup (subject);
  operation->data = g_strdup (detail);
  operation->token = g_strdup (key);
  operation->reason = g_strdup (value);
  operation->now = now;
  return tl_store_run_sync (store, operation, NULL, error);
}
