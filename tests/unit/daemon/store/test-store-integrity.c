/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/store/tl-log-end.h"
#include "daemon/store/tl-page-sum.h"
#include "daemon/store/tl-wal.h"

/* What was written is what is read, or it is said that it is not: bytes that changed in each file of the store, at each
 * block of 512, at a place of it that differs with every run. */

#define BLOCK   512
#define PAGE    4096
#define COMMITS 12

typedef struct
{
  char *path;
  char *contents;
  gsize length;
} File;

static void
file_clear (File *file)
{
  g_free (file->path);
  g_free (file->contents);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (File, file_clear)

static File
read_file (Fixture *f, const char *suffix)
{
  g_autofree char *name = g_strconcat (TL_STORE_FILE, suffix, NULL);
  File file = { .path = g_build_filename (f->directory, name, NULL) };

  g_assert_true (g_file_get_contents (file.path, &file.contents, &file.length, NULL));
  return file;
}

/* In place: it stays the same file, as one that rots does. */
static void
write_file (const File *file)
{
  int fd = open (file->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, file->contents, file->length), ==, file->length);
  close (fd);
}

/* Another byte somewhere in the block, as rot or a bad cable makes it. */
static gsize
flip (File *file, gsize block)
{
  gsize end = MIN (block + BLOCK, file->length);
  gsize at = block + (gsize)g_test_rand_int_range (0, (gint32)(end - block));

  g_test_message ("%s: byte %" G_GSIZE_FORMAT, file->path, at);
  file->contents[at] = (char)(file->contents[at] ^ (1 << g_test_rand_int_range (0, 8)));
  return at;
}

/* Of page 1, what tells caches when to look again. */
static gboolean
is_for_caches (gsize at)
{
  return (at >= 24 && at < 28) || (at >= 40 && at < 44) || (at >= 92 && at < 100);
}

static void
close_store (Fixture *f)
{
  g_clear_pointer (&f->store, tl_store_close);
}

static void
assert_refused (Fixture *f, TlStoreOpenFlags flags, const char *word)
{
  g_autoptr (GError) error = NULL;
  TlStore *store = tl_store_open_with (f->directory, flags, NULL, &error);

  g_assert_null (store);
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
  g_assert_nonnull (strstr (error->message, word));
}

static void
open_with (Fixture *f, TlStoreOpenFlags flags)
{
  g_autoptr (GError) error = NULL;

  f->store = tl_store_open_with (f->directory, flags, NULL, &error);
  g_assert_no_error (error);
}

static void
assert_meta (Fixture *f, const char *key, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *value = tl_store_get_meta (f->store, key, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (value, ==, expected);
}

/* ---- the database ---- */

static void
test_database (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *fingerprint = pair_device (f, device_id, 1, TL_ROLE_NODE);
  g_auto (File) good = { 0 };

  close_store (f);
  good = read_file (f, "");
  for (gsize block = 0; block < good.length; block += BLOCK)
    {
      g_auto (File) bad = read_file (f, "");
      g_autoptr (GError) error = NULL;
      gsize at = flip (&bad, block);

      write_file (&bad);
      f->store = tl_store_open (f->directory, NULL, &error);
      if (f->store != NULL && is_for_caches (at))
        fixture_wait_check (f, TL_STORE_CHECK_GOOD, NULL);
      else if (f->store != NULL)
        fixture_wait_check (f, TL_STORE_CHECK_DAMAGED, "does not carry its checksum");
      else
        g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
      close_store (f);
      write_file (&good);
    }
  open_with (f, TL_STORE_OPEN_NORMAL);
  fixture_wait_check (f, TL_STORE_CHECK_GOOD, NULL);
}

/* A row on a damaged page: no answer, and health hears of it without waiting for the check. */
static void
test_met_in_passing (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  Answer answer = ANSWER (NULL);
  guint page;
  TlStoreCheck check = { 0 };

  close_store (f);
  page = fixture_root_page (f->directory, "sqlite_autoindex_requests_1");
  {
    g_auto (File) bad = read_file (f, "");

    flip (&bad, (page - 1) * PAGE);
    write_file (&bad);
  }
  open_with (f, TL_STORE_OPEN_NORMAL);
  tl_store_get_request (f->store, "01ABCDEFGH0000000000000001", answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_CORRUPT);
  tl_store_get_check (f->store, &check);
  g_assert_cmpint (check.verdict, ==, TL_STORE_CHECK_DAMAGED);
  g_assert_nonnull (strstr (check.problem, "does not carry its checksum"));
  tl_store_check_clear (&check);
}

static void
plain_sql (Fixture *f, const char *sql)
{
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
}

static void
test_changed_by_another (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (tl_store_set_meta (f->store, "key", "ours", &error));
  close_store (f);
  plain_sql (f, "SELECT * FROM meta, cas, codes"); /* reading is fine */
  open_with (f, TL_STORE_OPEN_NORMAL);
  fixture_wait_check (f, TL_STORE_CHECK_GOOD, NULL);
  assert_meta (f, "key", "ours");

  close_store (f);
  plain_sql (f, "UPDATE meta SET value = 'theirs' WHERE key = 'key'");
  open_with (f, TL_STORE_OPEN_NORMAL);
  g_assert_null (tl_store_get_meta (f->store, "key", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
  fixture_wait_check (f, TL_STORE_CHECK_DAMAGED, "does not carry its checksum");

  close_store (f);
  open_with (f, TL_STORE_ACCEPT_CHANGED_PAGES);
  fixture_wait_check (f, TL_STORE_CHECK_GOOD, NULL);
  assert_meta (f, "key", "theirs");
  fixture_reopen (f);
  assert_meta (f, "key", "theirs");
}

/* As an administrator makes a backup while the gateway runs. */
static void
test_backup_by_another (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);
  g_autofree char *copy = g_build_filename (f->directory, "copy", NULL);
  g_autoptr (GError) error = NULL;
  sqlite3 *from = NULL, *to = NULL;
  sqlite3_backup *backup;

  g_assert_true (tl_store_set_meta (f->store, "key", "kept", &error));
  g_assert_cmpint (sqlite3_open (path, &from), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_open (copy, &to), ==, SQLITE_OK);
  backup = sqlite3_backup_init (to, "main", from, "main");
  g_assert_cmpint (sqlite3_backup_step (backup, -1), ==, SQLITE_DONE);
  sqlite3_backup_finish (backup);
  sqlite3_close (to);
  sqlite3_close (from);

  close_store (f);
  g_assert_cmpint (rename (copy, path), ==, 0);
  open_with (f, TL_STORE_OPEN_NORMAL);
  fixture_wait_check (f, TL_STORE_CHECK_GOOD, NULL);
  assert_meta (f, "key", "kept");
}

/* ---- the log ---- */

/* A gateway that was killed: its commits are in the log only. */
static void
commit_and_die (Fixture *f)
{
  pid_t child;
  int status;

  close_store (f);
  child = fork ();
  g_assert_cmpint (child, >=, 0);
  if (child == 0)
    {
      TlStore *store = tl_store_open (f->directory, NULL, NULL);

      for (int i = 1; i <= COMMITS; i++)
        {
          g_autofree char *value = g_strdup_printf ("%d", i);

          tl_store_set_meta (store, "commit", value, NULL);
        }
      kill (getpid (), SIGKILL);
    }
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (WIFSIGNALED (status));
}

static void
test_log (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_auto (File) good = { 0 };
  g_auto (File) database = { 0 };
  g_auto (File) end = { 0 };

  commit_and_die (f);
  good = read_file (f, "-wal");
  database = read_file (f, "");
  end = read_file (f, "-end");
  g_assert_cmpuint (good.length, >=, COMMITS * PAGE);
  for (gsize block = 0; block < good.length; block += BLOCK)
    {
      g_auto (File) bad = read_file (f, "-wal");

      flip (&bad, block);
      write_file (&bad);
      assert_refused (f, TL_STORE_OPEN_NORMAL, "--accept-truncated-log");
      write_file (&good);
    }
  open_with (f, TL_STORE_OPEN_NORMAL);
  assert_meta (f, "commit", "12");
  fixture_wait_check (f, TL_STORE_CHECK_GOOD, NULL);
  close_store (f);

  /* Gone altogether, though its commits are nowhere else. */
  write_file (&database);
  write_file (&end);
  assert_refused (f, TL_STORE_OPEN_NORMAL, "twinlatch.db-wal");
  /* But an older copy put in its place has nothing to do with that log. */
  g_assert_true (g_file_set_contents (database.path, database.contents, (gssize)database.length, NULL));
  open_with (f, TL_STORE_OPEN_NORMAL);
}

static void
test_accept_truncated_log (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *value = NULL;
  g_auto (File) bad = { 0 };

  commit_and_die (f);
  bad = read_file (f, "-wal");
  bad.contents[bad.length - 100] ^= 1; /* in the last frame: nothing follows it */
  write_file (&bad);
  assert_refused (f, TL_STORE_OPEN_NORMAL, "--accept-truncated-log");
  open_with (f, TL_STORE_ACCEPT_TRUNCATED_LOG);
  value = tl_store_get_meta (f->store, "commit", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (value, ==, "11");
  fixture_reopen (f); /* and that is the end of it */
  fixture_wait_check (f, TL_STORE_CHECK_GOOD, NULL);
}

/* Another program recovered the log after the crash, as an administrator's look at the store does. */
static void
test_log_taken_in_by_another (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *log = NULL;

  commit_and_die (f);
  log = g_build_filename (f->directory, TL_STORE_FILE "-wal", NULL);
  plain_sql (f, "SELECT count(*) FROM sqlite_schema");
  g_assert_false (g_file_test (log, G_FILE_TEST_EXISTS));
  open_with (f, TL_STORE_OPEN_NORMAL);
  assert_meta (f, "commit", "12");
  fixture_wait_check (f, TL_STORE_CHECK_GOOD, NULL);
}

/* The record of the log's end knows less when it is damaged; nothing is lost by that. */
static void
test_end (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_auto (File) end = { 0 };
  g_auto (File) log = { 0 };
  g_auto (File) database = { 0 };

  commit_and_die (f);
  end = read_file (f, "-end");
  log = read_file (f, "-wal");
  database = read_file (f, "");
  for (guint i = 0; i < 20; i++)
    {
      g_auto (File) bad = read_file (f, "-end");

      flip (&bad, 0);
      write_file (&bad);
      open_with (f, TL_STORE_OPEN_NORMAL);
      assert_meta (f, "commit", "12");
      close_store (f);
      write_file (&end);
      write_file (&log);
      write_file (&database);
    }
  /* It still sees what is followed by more. */
  g_assert_cmpint (g_unlink (end.path), ==, 0);
  log.contents[TL_WAL_HEADER_LENGTH + 500] ^= 1;
  write_file (&log);
  assert_refused (f, TL_STORE_OPEN_NORMAL, "--accept-truncated-log");
}

/* As after a power loss: the same files under another boot. synced: how much of the log the disk had promised. */
static void
reboot (Fixture *f, guint64 synced)
{
  g_auto (File) end = read_file (f, "-end");
  guint64 value = GUINT64_TO_LE (synced);

  g_assert_cmpuint (end.length, ==, BLOCK);
  memset (end.contents + 8, 0x77, TL_BOOT_ID_LENGTH);
  memcpy (end.contents + 8 + TL_BOOT_ID_LENGTH + TL_LOG_SALTS + 8, &value, sizeof value);
  tl_page_seal ((guint8 *)end.contents, end.length, 0);
  write_file (&end);
}

static void
test_power_loss (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  const gsize frame = PAGE + TL_WAL_FRAME_HEADER;
  g_auto (File) log = { 0 };
  TlLogEndRecord record;
  gsize synced;

  commit_and_die (f);
  log = read_file (f, "-wal");
  {
    g_auto (File) end = read_file (f, "-end");

    g_assert_true (tl_log_end_parse ((guint8 *)end.contents, end.length, &record, NULL));
    g_assert_cmpuint (record.end, ==, log.length);
    g_assert_cmpuint (record.synced, ==, log.length); /* every commit was durable */
  }
  synced = log.length - 3 * frame;
  reboot (f, synced);

  /* Cut in what had been promised: that is no power loss. */
  log.length = synced - 10;
  write_file (&log);
  assert_refused (f, TL_STORE_OPEN_NORMAL, "--accept-truncated-log");
  /* Cut behind it, in the middle of a frame. */
  log.length = synced + frame + 1000;
  write_file (&log);
  open_with (f, TL_STORE_OPEN_NORMAL);
  fixture_wait_check (f, TL_STORE_CHECK_GOOD, NULL);
  assert_meta (f, "commit", "10");
}

/* Frames that a failed commit left are overwritten: the record never promises them. */
static void
test_end_shrinks (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE TL_LOG_END_SUFFIX, NULL);
  g_autoptr (GError) error = NULL;
  TlLogEndRecord first;
  Answer probe = ANSWER (NULL);

  tl_store_probe (f->store, STORE_NOW, answer_callback, &probe);
  assert_ok (f, &probe);
  g_assert_true (tl_log_end_load (path, &first, &error));
  g_assert_cmpuint (first.end, >, 0);
  close_store (f); /* the log goes */
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
}

/* ---- old databases ---- */

static gint64
count (Fixture *f, const char *sql)
{
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);
  sqlite3_stmt *query = NULL;
  sqlite3 *db = NULL;
  gint64 value;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (db, sql, -1, &query, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_step (query), ==, SQLITE_ROW);
  value = sqlite3_column_int64 (query, 0);
  sqlite3_finalize (query);
  sqlite3_close (db);
  return value;
}

static void
install_version_1 (Fixture *f)
{
  g_autofree char *fixture = g_build_filename (g_getenv ("TL_TEST_DATA"), "store-v1.db", NULL);
  File file = { .path = g_build_filename (f->directory, TL_STORE_FILE, NULL) };

  close_store (f);
  g_assert_true (g_file_get_contents (fixture, &file.contents, &file.length, NULL));
  write_file (&file);
  file_clear (&file);
}

/* Written by the gateway of commit 0e0674b: two nodes, a revoked device, five requests of which one is queued. */
static void
test_version_1 (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlDeviceRecord) node = NULL;
  g_autoptr (TlDeviceRecord) revoked = NULL;
  g_autoptr (GPtrArray) open = NULL;
  g_autoptr (GPtrArray) nodes = NULL;
  g_autoptr (GPtrArray) cas = NULL;
  g_autoptr (GError) error = NULL;
  Answer answer = ANSWER (tl_capability_record_copy);

  install_version_1 (f);
  open_with (f, TL_STORE_OPEN_NORMAL);
  fixture_wait_check (f, TL_STORE_CHECK_GOOD, NULL);
  assert_meta (f, "gateway_id", "01M88ZXCAFDT48XXAX99KJD8C3");
  node = find_device (f, "fixture-node");
  g_assert_cmpstr (node->device_id, ==, "01M88ZXCEQ6ZNQ0RAQ2PW79D18");
  g_assert_cmpint (node->state, ==, TL_DEVICE_ACTIVE);
  revoked = find_device (f, "fixture-revoked");
  g_assert_cmpint (revoked->state, ==, TL_DEVICE_REVOKED);
  open = tl_store_list_open_requests (f->store, &error);
  g_assert_cmpuint (open->len, ==, 1);
  g_assert_cmpstr (((TlCapabilityRecord *)open->pdata[0])->request_id, ==, "01M88ZXCYJY7N882HD2Z409MZD");
  nodes = tl_store_list_nodes (f->store, &error);
  g_assert_cmpuint (nodes->len, ==, 2);
  cas = tl_store_list_cas (f->store, &error);
  g_assert_cmpuint (cas->len, ==, 1);
  tl_store_get_request (f->store, "01M88ZXCR29ZJTWCD3RPY4CY31", answer_callback, &answer);
  assert_ok (f, &answer);
  g_assert_cmpint (((TlCapabilityRecord *)answer.result)->state, ==, TL_REQUEST_SUCCEEDED);
  tl_capability_record_free (answer.result);

  close_store (f);
  g_assert_cmpint (count (f, "SELECT count(*) FROM requests"), ==, 5);
  g_assert_cmpint (count (f, "SELECT count(*) FROM outputs"), ==, 4); /* in a table of their own since version 5 */
  g_assert_cmpint (count (f, "SELECT count(*) FROM outputs WHERE output = '\"0\"'"), ==, 1);
  g_assert_cmpint (count (f, "SELECT count(*) FROM codes"), ==, 5);
  g_assert_cmpint (count (f, "SELECT count(*) FROM pairings"), ==, 4);
  g_assert_cmpint (count (f, "SELECT count(*) FROM certificates"), ==, 3);
  g_assert_cmpint (count (f, "SELECT count(*) FROM events"), ==, 1);
  g_assert_cmpint (count (f, "PRAGMA user_version"), ==, TL_STORE_SCHEMA_VERSION);
}

static void
test_damaged_version_1 (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_auto (File) bad = { 0 };
  guint page;

  install_version_1 (f);
  page = fixture_root_page (f->directory, "requests");
  bad = read_file (f, "");
  memset (bad.contents + (page - 1) * PAGE, 0xa5, PAGE);
  write_file (&bad);
  assert_refused (f, TL_STORE_OPEN_NORMAL, "damaged");
  g_assert_cmpint (count (f, "PRAGMA user_version"), ==, 1); /* left as it was */
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  store_test ("/store/integrity/database", test_database);
  store_test ("/store/integrity/met-in-passing", test_met_in_passing);
  store_test ("/store/integrity/changed-by-another", test_changed_by_another);
  store_test ("/store/integrity/backup-by-another", test_backup_by_another);
  store_test ("/store/integrity/log", test_log);
  store_test ("/store/integrity/accept-truncated-log", test_accept_truncated_log);
  store_test ("/store/integrity/log-taken-in-by-another", test_log_taken_in_by_another);
  store_test ("/store/integrity/end", test_end);
  store_test ("/store/integrity/power-loss", test_power_loss);
  store_test ("/store/integrity/end-shrinks", test_end_shrinks);
  store_test ("/store/integrity/version-1", test_version_1);
  store_test ("/store/integrity/damaged-version-1", test_damaged_version_1);
  return g_test_run ();
}
