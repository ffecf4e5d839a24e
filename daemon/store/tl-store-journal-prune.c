/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

#include "daemon/store/tl-journal.h"

/* Retention of the journal: the oldest rows go, a checkpoint row says which one was the last of them. */

/* Where the chain of what is left starts, as the newest checkpoint has it; kept besides so that the writer need not
 * look for that row among millions. */
#define META_BASE "journal_base"

typedef struct
{
  TlJournalHead base; /* the last row that is gone, then the last one looked at */
  guint64 first, count;
  gint64 first_time;
  guint64 over; /* rows too many */
  gint64 cutoff;
  gboolean by_age;
  guint limit;
} Prune;

static gboolean
read_base (TlDatabase *db, TlJournalHead *base, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, "SELECT value FROM meta WHERE key = ?", tl_text (META_BASE));
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  /* Unreadable: the first row will not fit, and that is what will be said. */
  if (row)
    tl_journal_head_parse ((const char *)sqlite3_column_text (query, 0), base, NULL);
  return TRUE;
}

static gboolean
read_bounds (TlDatabase *db, Prune *prune, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, "SELECT seq, time FROM journal ORDER BY seq LIMIT 1");
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error) || !tl_store_journal_load_head (db, error))
    return FALSE;
  if (!row)
    return TRUE;
  prune->first = (guint64)MAX (sqlite3_column_int64 (query, 0), 0);
  prune->first_time = sqlite3_column_int64 (query, 1);
  if (db->journal_seq >= prune->first)
    prune->count = db->journal_seq - prune->first + 1;
  return TRUE;
}

static void
plan (Prune *prune, gint64 now, gint64 age_ms, guint64 max_rows)
{
  if (prune->count <= TL_STORE_JOURNAL_KEEP)
    return;
  prune->limit = (guint)MIN (prune->count - TL_STORE_JOURNAL_KEEP, TL_STORE_JOURNAL_PRUNE_MAX);
  if (prune->count > max_rows + max_rows / TL_STORE_JOURNAL_SLACK_ROWS)
    prune->over = prune->count - max_rows;
  prune->cutoff = now - age_ms;
  prune->by_age = prune->first_time < prune->cutoff - TL_STORE_JOURNAL_SLACK_MS;
}

static void
read_row (sqlite3_stmt *query, TlJournalRow *row)
{
  *row = (TlJournalRow){ .seq = (guint64)sqlite3_column_int64 (query, 0),
                         .time = sqlite3_column_int64 (query, 1),
                         .kind = (const char *)sqlite3_column_text (query, 2),
                         .actor = (const char *)sqlite3_column_text (query, 3),
                         .subject = (const char *)sqlite3_column_text (query, 4),
                         .detail = (const char *)sqlite3_column_text (query, 5) };
  tl_column_array (query, 6, row->hash, sizeof row->hash);
}

/* Goes with the row, and with it what it could have proven: so it is looked at for the last time. */
static void
look_at (const Prune *prune, const TlJournalRow *row, TlJournalCheckpoint *checkpoint)
{
  guint8 hash[TL_JOURNAL_HASH_LENGTH];

  tl_journal_row_hash (prune->base.hash, row, hash);
  if (checkpoint->damaged == 0 && (row->seq != prune->base.seq + 1 || memcmp (hash, row->hash, sizeof hash) != 0))
    checkpoint->damaged = row->seq;
}

static gboolean
walk (TlDatabase *db, Prune *prune, TlJournalCheckpoint *checkpoint, GError **error)
{
  tl_query_auto query = tl_database_query (db, error,
                                           "SELECT seq, time, kind, actor, subject, detail, hash FROM journal"
                                           " ORDER BY seq LIMIT ?",
                                           tl_int (prune->limit));
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      TlJournalRow found;

      if (!row)
        return TRUE;
      read_row (query, &found);
      if (checkpoint->rows >= prune->over && !(prune->by_age && found.time < prune->cutoff))
        return TRUE;
      look_at (prune, &found, checkpoint);
      prune->base.seq = found.seq;
      memcpy (prune->base.hash, found.hash, sizeof found.hash);
      checkpoint->rows++;
    }
  return FALSE;
}

static gboolean
remove_rows (TlStoreOperation *operation, TlDatabase *db, const TlJournalCheckpoint *checkpoint, GError **error)
{
  g_autofree char *base = tl_journal_head_to_string (&checkpoint->last);
  g_autofree char *detail = tl_journal_checkpoint_to_detail (checkpoint);

  return tl_database_run (db, NULL, error, "DELETE FROM journal WHERE seq <= ?", tl_int ((gint64)checkpoint->last.seq))
         && tl_database_run (db, NULL, error,
                             "INSERT INTO meta (key, value) VALUES ('" META_BASE "', ?)"
                             " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                             tl_text (base))
         && tl_store_journal_append (db, operation->now, TL_JOURNAL_PRUNED, NULL, NULL, detail, error);
}

static gboolean
run_prune (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  TlJournalCheckpoint checkpoint = { 0 };
  Prune prune = { 0 };

  if (!read_base (db, &prune.base, error) || !read_bounds (db, &prune, error))
    return FALSE;
  plan (&prune, operation->now, operation->age, operation->seq);
  if (prune.limit > 0 && (prune.over > 0 || prune.by_age) && !walk (db, &prune, &checkpoint, error))
    return FALSE;
  checkpoint.last = prune.base;
  if (checkpoint.rows > 0 && !remove_rows (operation, db, &checkpoint, error))
    return FALSE;
  operation->result = g_memdup2 (&checkpoint, sizeof checkpoint);
  return TRUE;
}

void
tl_store_journal_prune (TlStore *store, gint64 age_ms, guint64 max_rows, gint64 now, TlStoreCallback callback,
                        gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_prune, TL_STORE_WRITE, g_free);

  operation->age = age_ms;
  operation->seq = max_rows;
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}
