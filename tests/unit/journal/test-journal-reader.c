/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/tl-journal-verification.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>

#include "base/tl-error.h"

#define ROWS 45000 /* more than two windows of a filtered read */

/* A database with a journal of ROWS rows, every 100th of kind "rare", and what verifying looks at besides. */
typedef struct
{
  char *directory, *path;
} Fixture;

static void
run_sql (const char *path, const char *sql)
{
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
}

static void
fill (const char *path)
{
  guint8 hash[TL_JOURNAL_HASH_LENGTH] = { 0 };
  sqlite3_stmt *insert = NULL;
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  sqlite3_exec (db, "BEGIN", NULL, NULL, NULL);
  sqlite3_prepare_v2 (db, "INSERT INTO journal VALUES (?, ?, ?, 'uid:0', ?, '{}', ?)", -1, &insert, NULL);
  for (guint i = 1; i <= ROWS; i++)
    {
      TlJournalRow row = { .seq = i,
                           .time = 1000 * (gint64)i,
                           .kind = i % 100 == 0 ? "rare.one" : "often",
                           .actor = "uid:0",
                           .subject = i == 777 ? "DEVICE" : "",
                           .detail = "{}" };

      tl_journal_row_hash (hash, &row, hash);
      sqlite3_bind_int64 (insert, 1, i);
      sqlite3_bind_int64 (insert, 2, row.time);
      sqlite3_bind_text (insert, 3, row.kind, -1, SQLITE_STATIC);
      sqlite3_bind_text (insert, 4, row.subject, -1, SQLITE_STATIC);
      sqlite3_bind_blob (insert, 5, hash, sizeof hash, SQLITE_STATIC);
      g_assert_cmpint (sqlite3_step (insert), ==, SQLITE_DONE);
      sqlite3_reset (insert);
    }
  sqlite3_finalize (insert);
  g_assert_cmpint (sqlite3_exec (db, "COMMIT", NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
}

static void
set_up (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  f->directory = g_dir_make_tmp ("twinlatch-journal-XXXXXX", NULL);
  f->path = g_build_filename (f->directory, "twinlatch.db", NULL);
  run_sql (f->path, "PRAGMA application_id = 1416382295;"
                    "CREATE TABLE journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, kind TEXT,"
                    " actor TEXT, subject TEXT, detail TEXT, hash BLOB);"
                    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT);"
                    "CREATE TABLE devices (device_id TEXT PRIMARY KEY, identity_public BLOB);"
                    "CREATE TABLE requests (request_id TEXT PRIMARY KEY, device_id TEXT, capability TEXT, input TEXT,"
                    " requested_by TEXT, expires_at INTEGER, receipt BLOB)");
  fill (f->path);
}

static void
tear_down (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_unlink (f->path);
  g_rmdir (f->directory);
  g_free (f->path);
  g_free (f->directory);
}

static TlJournalReader *
open_reader (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  TlJournalReader *reader = tl_journal_reader_open (f->path, TL_JOURNAL_STOPPED, &error);

  g_assert_no_error (error);
  return reader;
}

/* All rows that fit; *calls: how many slices it took. */
static GPtrArray *
read_all (TlJournalReader *reader, const TlJournalFilter *filter, gboolean down, guint *calls)
{
  GPtrArray *rows = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_journal_row_free);
  guint64 seq = down ? G_MAXINT64 : 0;
  gboolean end = FALSE;

  for (*calls = 0; !end; ++*calls)
    {
      g_autoptr (GError) error = NULL;

      g_assert_true (tl_journal_reader_read (reader, filter, down, 200, &seq, rows, &end, &error));
      g_assert_no_error (error);
      g_assert_cmpuint (*calls, <, 1000);
    }
  return rows;
}

static void
test_windows (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlJournalReader) reader = open_reader (f);

  for (guint down = 0; down < 2; down++)
    {
      const TlJournalFilter rare = { .kind = "rare." };
      const TlJournalFilter nothing = { .kind = "never" };
      const TlJournalFilter one = { .device = "DEVICE" };
      const TlJournalFilter when = { .since = 30000, .until = 39999 };
      g_autoptr (GPtrArray) found = NULL;
      g_autoptr (GPtrArray) none = NULL;
      g_autoptr (GPtrArray) single = NULL;
      g_autoptr (GPtrArray) ten = NULL;
      guint calls;

      found = read_all (reader, &rare, down, &calls);
      g_assert_cmpuint (found->len, ==, ROWS / 100);
      for (guint i = 0; i < found->len; i++)
        g_assert_cmpuint (((TlJournalRow *)found->pdata[i])->seq, ==, down ? ROWS - 100 * i : 100 * (i + 1));
      /* Bounded: nothing found in a window ends the call, not the reading. */
      none = read_all (reader, &nothing, down, &calls);
      g_assert_cmpuint (none->len, ==, 0);
      g_assert_cmpuint (calls, >=, 3);
      single = read_all (reader, &one, down, &calls);
      g_assert_cmpuint (single->len, ==, 1);
      ten = read_all (reader, &when, down, &calls);
      g_assert_cmpuint (ten->len, ==, 10);
    }
}

static void
test_goes_on_at_the_end (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlJournalReader) reader = tl_journal_reader_open (f->path, TL_JOURNAL_LIVE, NULL);
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_journal_row_free);
  const TlJournalFilter all = { 0 };
  guint64 seq = ROWS;
  gboolean end = FALSE;

  g_assert_true (tl_journal_reader_read (reader, &all, FALSE, 200, &seq, rows, &end, NULL));
  g_assert_true (end && rows->len == 0 && seq == ROWS);
  run_sql (f->path, "INSERT INTO journal (time, kind, actor, subject, detail, hash)"
                    " VALUES (1, 'new', 'gateway', '', '{}', zeroblob (32))");
  g_assert_true (tl_journal_reader_read (reader, &all, FALSE, 200, &seq, rows, &end, NULL));
  g_assert_true (end && rows->len == 1 && seq == ROWS + 1);
  g_assert_cmpstr (((TlJournalRow *)rows->pdata[0])->kind, ==, "new");
}

static TlJournalFinding
verify (Fixture *f, guint64 *bad_seq, guint *steps)
{
  g_autoptr (TlJournalReader) reader = open_reader (f);
  g_autoptr (TlJournalVerification) verification = tl_journal_verification_new (reader, NULL);
  g_autoptr (GError) error = NULL;
  gboolean done = FALSE;

  for (*steps = 0; !done; ++*steps)
    {
      g_assert_true (tl_journal_verification_step (verification, &done, &error));
      g_assert_no_error (error);
    }
  *bad_seq = tl_journal_verification_verdict (verification)->bad_seq;
  return tl_journal_verification_verdict (verification)->finding;
}

static void
test_verify (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  guint64 bad;
  guint steps;

  g_assert_cmpint (verify (f, &bad, &steps), ==, TL_JOURNAL_SOUND);
  g_assert_cmpuint (steps, >=, 10); /* in slices */
  run_sql (f->path, "UPDATE journal SET detail = '{\"a\":1}' WHERE seq = 44999");
  g_assert_cmpint (verify (f, &bad, &steps), ==, TL_JOURNAL_CHANGED);
  g_assert_cmpuint (bad, ==, 44999);
  run_sql (f->path, "UPDATE journal SET detail = NULL WHERE seq = 8000");
  g_assert_cmpint (verify (f, &bad, &steps), ==, TL_JOURNAL_CHANGED);
  g_assert_cmpuint (bad, ==, 8000);
  run_sql (f->path, "UPDATE journal SET hash = CAST ('text' AS TEXT) WHERE seq = 7000");
  g_assert_cmpint (verify (f, &bad, &steps), ==, TL_JOURNAL_CHANGED);
  g_assert_cmpuint (bad, ==, 7000);
  run_sql (f->path, "INSERT INTO journal VALUES (-3, 1, 'x', 'x', '', '{}', zeroblob (32))");
  g_assert_cmpint (verify (f, &bad, &steps), ==, TL_JOURNAL_CHANGED);
}

static guint8 *
hash_of (Fixture *f, guint64 seq)
{
  g_autoptr (TlJournalReader) reader = tl_journal_reader_open (f->path, TL_JOURNAL_LIVE, NULL);
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_journal_row_free);
  const TlJournalFilter all = { 0 };
  gboolean end;

  seq--;
  g_assert_true (tl_journal_reader_read (reader, &all, FALSE, 1, &seq, rows, &end, NULL));
  return g_memdup2 (((TlJournalRow *)rows->pdata[0])->hash, TL_JOURNAL_HASH_LENGTH);
}

/* Retention while a verification is under way: it begins anew, and does not take removed rows for missing ones. */
static void
test_pruned_meanwhile (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlJournalReader) reader = tl_journal_reader_open (f->path, TL_JOURNAL_LIVE, NULL);
  g_autoptr (TlJournalVerification) verification = tl_journal_verification_new (reader, NULL);
  TlJournalCheckpoint checkpoint = { .last = { .seq = 20000 }, .rows = 20000 };
  TlJournalRow row = { .seq = ROWS + 1, .time = 1, .kind = "journal.pruned", .actor = "gateway", .subject = "" };
  g_autofree guint8 *last = hash_of (f, 20000);
  g_autofree guint8 *head = hash_of (f, ROWS);
  g_autofree char *detail = NULL;
  g_autofree char *hex = NULL;
  g_autofree char *sql = NULL;
  gboolean done = FALSE;

  g_assert_true (tl_journal_verification_step (verification, &done, NULL));
  g_assert_cmpuint (tl_journal_verification_verdict (verification)->rows, <, 20000);
  memcpy (checkpoint.last.hash, last, sizeof checkpoint.last.hash);
  detail = tl_journal_checkpoint_to_detail (&checkpoint);
  row.detail = detail;
  tl_journal_row_hash (head, &row, row.hash);
  hex = tl_hex_encode (row.hash, sizeof row.hash);
  sql = g_strdup_printf ("DELETE FROM journal WHERE seq <= 20000;"
                         "INSERT INTO journal VALUES (%d, 1, 'journal.pruned', 'gateway', '', '%s', x'%s')",
                         ROWS + 1, detail, hex);
  run_sql (f->path, sql);
  while (!done)
    g_assert_true (tl_journal_verification_step (verification, &done, NULL));
  g_assert_cmpint (tl_journal_verification_verdict (verification)->finding, ==, TL_JOURNAL_SOUND);
  g_assert_cmpuint (tl_journal_verification_verdict (verification)->first_seq, ==, 20001);
}

static void
test_not_ours (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  run_sql (f->path, "PRAGMA application_id = 1");
  g_assert_null (tl_journal_reader_open (f->path, TL_JOURNAL_STOPPED, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
  g_clear_error (&error);
  run_sql (f->path, "PRAGMA application_id = 1416382295; DROP TABLE journal");
  g_assert_null (tl_journal_reader_open (f->path, TL_JOURNAL_STOPPED, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

#define add(path, function) g_test_add (path, Fixture, NULL, set_up, function, tear_down)
  add ("/journal/reader/windows", test_windows);
  add ("/journal/reader/goes-on-at-the-end", test_goes_on_at_the_end);
  add ("/journal/reader/verify", test_verify);
  add ("/journal/reader/pruned-meanwhile", test_pruned_meanwhile);
  add ("/journal/reader/not-ours", test_not_ours);
  return g_test_run ();
}
