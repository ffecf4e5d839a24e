/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

#include "crypto/tl-hash.h"
#include "daemon/store/tl-journal.h"

/* The journal: rows chained by SHA-256. */

static gboolean
read_head (TlDatabase *db, GError **error)
{
  tl_query_auto query = NULL;
  gboolean row;

  if (db->head_known)
    return TRUE;
  query = tl_database_query (db, error, "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1");
  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  memset (db->journal_hash, 0, sizeof db->journal_hash);
  db->journal_seq = row ? (guint64)sqlite3_column_int64 (query, 0) : 0;
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

static void
chain (guint8 hash[32], guint64 seq, gint64 now, const char *kind, const char *actor, const char *subject,
       const char *detail)
{
  g_autoptr (TlTranscript) transcript = tl_transcript_new ("journal");

  tl_transcript_add (transcript, hash, 32);
  tl_transcript_add_u64 (transcript, seq);
  tl_transcript_add_u64 (transcript, (guint64)now);
  tl_transcript_add_string (transcript, kind);
  tl_transcript_add_string (transcript, actor);
  tl_transcript_add_string (transcript, subject);
  tl_transcript_add_string (transcript, detail);
  tl_transcript_hash (transcript, hash);
}

gboolean
tl_store_journal_append (TlDatabase *db, gint64 now, const char *kind, const char *actor, const char *subject,
                         const char *detail, GError **error)
{
  guint8 hash[32];
  guint64 seq;

  if (!read_head (db, error))
    return FALSE;
  actor = actor != NULL ? actor : "gateway";
  subject = subject != NULL ? subject : "";
  detail = detail != NULL ? detail : "{}";
  seq = db->journal_seq + 1;
  memcpy (hash, db->journal_hash, sizeof hash);
  chain (hash, seq, now, kind, actor, subject, detail);
  if (!tl_database_run (db, NULL, error,
                        "INSERT INTO journal (seq, time, kind, actor, subject, detail, hash)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?)",
                        tl_int ((gint64)seq), tl_int (now), tl_text (kind), tl_text (actor), tl_text (subject),
                        tl_text (detail), tl_blob (hash, sizeof hash)))
    return FALSE;
  db->journal_seq = seq;
  memcpy (db->journal_hash, hash, sizeof hash);
  return TRUE;
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
