/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/store/tl-checked-vfs.h"

/* ---- what is in the directory ---- */

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *)a, *(char *const *)b);
}

/* Names, contents and times of every file. */
static char *
describe_directory (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GString) text = g_string_new (NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *file = g_build_filename (path, names->pdata[i], NULL);
      g_autofree char *contents = NULL;
      g_autofree char *hash = NULL;
      gsize length;
      struct stat info;

      g_assert_true (g_file_get_contents (file, &contents, &length, NULL));
      g_assert_cmpint (stat (file, &info), ==, 0);
      hash = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *)contents, length);
      g_string_append_printf (text, "%s %s %ld.%09ld %o\n", (char *)names->pdata[i], hash, (long)info.st_mtim.tv_sec,
                              info.st_mtim.tv_nsec, info.st_mode);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
assert_open_fails (Fixture *f, TlErrorCode code)
{
  g_autoptr (GError) error = NULL;
  TlStore *store = tl_store_open (f->directory, NULL, &error);

  g_assert_null (store);
  g_assert_error (error, TL_ERROR, (int)code);
}

static void
close_store (Fixture *f)
{
  g_clear_pointer (&f->store, tl_store_close);
}

/* ---- tests ---- */

static void
test_create (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);
  g_autofree char *wal = g_strconcat (path, "-wal", NULL);
  g_autoptr (GError) error = NULL;
  struct stat info;

  g_assert_cmpint (stat (path, &info), ==, 0);
  g_assert_cmpint (info.st_mode & 0777, ==, 0600);
  g_assert_cmpint (stat (wal, &info), ==, 0);
  g_assert_cmpint (info.st_mode & 0777, ==, 0600);
  g_assert_true (tl_store_is_writable (f->store));

  g_assert_null (tl_store_get_meta (f->store, "gateway_id", &error));
  g_assert_no_error (error);
  g_assert_true (tl_store_set_meta (f->store, "gateway_id", "one", &error));
  g_assert_true (tl_store_set_meta (f->store, "gateway_id", "two", &error));
}

static void
test_reopen (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) first = g_bytes_new_static ("first", 5);
  g_autoptr (GBytes) second = g_bytes_new_static ("second", 6);
  g_autofree char *value = NULL;
  g_autoptr (GPtrArray) cas = NULL;

  tl_store_set_meta (f->store, "gateway_name", "Zuse", &error);
  g_assert_true (tl_store_add_ca (f->store, 1, first, STORE_NOW, &error));
  g_assert_true (tl_store_add_ca (f->store, 2, second, STORE_NOW, &error));
  g_assert_false (tl_store_add_ca (f->store, 2, first, STORE_NOW, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_ALREADY_EXISTS);
  g_clear_error (&error);

  fixture_reopen (f);
  value = tl_store_get_meta (f->store, "gateway_name", &error);
  g_assert_cmpstr (value, ==, "Zuse");
  cas = tl_store_list_cas (f->store, &error);
  g_assert_cmpuint (cas->len, ==, 2);
  g_assert_true (g_bytes_equal (cas->pdata[0], second));
}

static void
test_in_use (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *value = NULL;
  g_autoptr (GError) error = NULL;

  assert_open_fails (f, TL_ERROR_IN_USE);
  /* The refused second one harmed nothing. */
  g_assert_true (tl_store_set_meta (f->store, "key", "value", &error));
  assert_open_fails (f, TL_ERROR_IN_USE);
  value = tl_store_get_meta (f->store, "key", &error);
  g_assert_cmpstr (value, ==, "value");
}

static void
test_newer (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;

  close_store (f);
  fixture_sql (f->directory, "PRAGMA user_version = 99");
  before = describe_directory (f->directory);
  assert_open_fails (f, TL_ERROR_NEWER_VERSION);
  after = describe_directory (f->directory);
  g_assert_cmpstr (before, ==, after);
}

/* The newer gateway was killed: its version is in the write-ahead log only. */
static void
test_newer_in_wal (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  pid_t child;
  int status;

  close_store (f);
  child = fork ();
  g_assert_cmpint (child, >=, 0);
  if (child == 0)
    {
      g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);
      sqlite3 *db = NULL;

      tl_checked_vfs_register ();
      sqlite3_open_v2 (path, &db, SQLITE_OPEN_READWRITE, TL_CHECKED_VFS);
      sqlite3_exec (db, "PRAGMA user_version = 99", NULL, NULL, NULL);
      kill (getpid (), SIGKILL);
    }
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);

  before = describe_directory (f->directory);
  g_assert_nonnull (strstr (before, "twinlatch.db-wal"));
  assert_open_fails (f, TL_ERROR_NEWER_VERSION);
  after = describe_directory (f->directory);
  g_assert_cmpstr (before, ==, after);
}

static void
test_foreign_database (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  close_store (f);
  fixture_sql (f->directory, "PRAGMA application_id = 5");
  assert_open_fails (f, TL_ERROR_CORRUPT);
}

static void
test_garbage (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);
  g_autofree char *garbage = g_strnfill (5000, 'x');

  close_store (f);
  g_assert_true (g_file_set_contents (path, garbage, 5000, NULL));
  assert_open_fails (f, TL_ERROR_CORRUPT);
  g_assert_true (g_file_set_contents (path, garbage, 10, NULL));
  assert_open_fails (f, TL_ERROR_CORRUPT);
}

static void
test_damaged (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);
  g_autofree char *contents = NULL;
  gsize length;
  guint page;

  close_store (f);
  page = fixture_root_page (f->directory, "requests_final"); /* start-up does not come across it */
  g_assert_true (g_file_get_contents (path, &contents, &length, NULL));
  g_assert_cmpuint (length, >=, page * 4096);
  memset (contents + (page - 1) * 4096, 0xa5, 4096);
  g_assert_true (g_file_set_contents (path, contents, (gssize)length, NULL));
  fixture_reopen (f);
  fixture_wait_check (f, TL_STORE_CHECK_DAMAGED, "does not carry its checksum");
}

static void
test_missing_directory (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *missing = g_build_filename (f->directory, "missing", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_store_open (missing, NULL, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
}

/* An empty file is what a crash during creation leaves. */
static void
test_empty_file (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);

  close_store (f);
  g_assert_true (g_file_set_contents (path, "", 0, NULL));
  fixture_reopen (f);
}

static void
status_callback (const GError *error, gpointer result, gpointer user_data)
{
  g_assert_no_error (error);
  *(TlStoreStatus *)user_data = *(TlStoreStatus *)result;
}

static void
test_status (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *other_id = fixture_id (f);
  g_autofree char *fingerprint = pair_device (f, device_id, 1, TL_ROLE_NODE);
  g_autoptr (TlPairingRecord) request = request_pairing (f, other_id, 2, "k", TL_ROLE_NODE, REQUEST_OK);
  TlStoreStatus status = { 0 };

  tl_store_get_status (f->store, STORE_NOW, status_callback, &status);
  tl_store_flush (f->store);
  g_assert_cmpuint (status.codes_live, ==, 1);
  g_assert_cmpuint (status.devices_active, ==, 1);
  g_assert_cmpuint (status.pairings_pending, ==, 1);
  g_assert_cmpuint (status.requests_open, ==, 0);
  g_assert_cmpuint (status.bytes, >, 4096);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  store_test ("/store/open/create", test_create);
  store_test ("/store/open/reopen", test_reopen);
  store_test ("/store/open/in-use", test_in_use);
  store_test ("/store/open/newer", test_newer);
  store_test ("/store/open/newer-in-wal", test_newer_in_wal);
  store_test ("/store/open/foreign-database", test_foreign_database);
  store_test ("/store/open/garbage", test_garbage);
  store_test ("/store/open/damaged", test_damaged);
  store_test ("/store/open/missing-directory", test_missing_directory);
  store_test ("/store/open/empty-file", test_empty_file);
  store_test ("/store/open/status", test_status);
  return g_test_run ();
}
