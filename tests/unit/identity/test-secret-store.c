/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "identity/tl-secret-store.h"

typedef struct
{
  char *directory;
  TlSecret *key;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autofree char *parent = g_dir_make_tmp ("tl-secrets-XXXXXX", NULL);

  fixture->directory = g_build_filename (parent, "secrets", NULL);
  fixture->key = tl_secret_new_copy ("0123456789abcdef0123456789abcdef", 32);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  (void)data;
  GDir *directory = g_dir_open (fixture->directory, 0, NULL);
  const char *name;
  while (directory != NULL && (name = g_dir_read_name (directory)) != NULL)
    {
      g_autofree char *path = g_build_filename (fixture->directory, name, NULL);
      g_assert_cmpint (g_remove (path), ==, 0);
    }
  g_clear_pointer (&directory, g_dir_close);
  g_rmdir (fixture->directory);
  g_autofree char *parent = g_path_get_dirname (fixture->directory);
  g_assert_cmpint (g_rmdir (parent), ==, 0);
  g_free (fixture->directory);
  tl_secret_unref (fixture->key);
}

static TlSecretStore *
open_store (Fixture *fixture, gboolean encrypted)
{
  g_autoptr (GError) error = NULL;
  TlSecretStore *store = tl_secret_store_new_file (fixture->directory, encrypted ? fixture->key : NULL, &error);

  g_assert_no_error (error);
  return store;
}

static char *
path_of (Fixture *fixture, const char *name)
{
  g_autofree char *file = g_strconcat (name, ".secret", NULL);

  return g_build_filename (fixture->directory, file, NULL);
}

static void
put (TlSecretStore *store, const char *name, const char *text)
{
  g_autoptr (TlSecret) value = tl_secret_new_copy (text, strlen (text));
  g_autoptr (GError) error = NULL;
  gboolean stored = tl_secret_store_store_sync (store, name, value, &error);

  g_assert_no_error (error);
  g_assert_true (stored);
}

static void
assert_value (TlSecretStore *store, const char *name, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) value = tl_secret_store_lookup_sync (store, name, &error);

  g_assert_no_error (error);
  g_assert_cmpmem (tl_secret_data (value), tl_secret_length (value), text, strlen (text));
}

static void
assert_fails (TlSecretStore *store, const char *name, TlErrorCode code, const char *why)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) value = tl_secret_store_lookup_sync (store, name, &error);

  g_assert_null (value);
  g_assert_error (error, TL_ERROR, (int)code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, why));
}

/* The same for every back end. */
static void
check_back_end (TlSecretStore *store)
{
  g_autoptr (GError) error = NULL;

  assert_fails (store, "ca.1", TL_ERROR_NOT_FOUND, "ca.1");
  g_assert_true (tl_secret_store_delete_sync (store, "ca.1", &error));
  g_assert_no_error (error);
  put (store, "ca.1", "first");
  put (store, "ca.2", "");
  assert_value (store, "ca.1", "first");
  assert_value (store, "ca.2", "");
  put (store, "ca.1", "second, longer");
  assert_value (store, "ca.1", "second, longer");
  put (store, "ca.1", "3");
  assert_value (store, "ca.1", "3");
  g_assert_true (tl_secret_store_delete_sync (store, "ca.1", &error));
  g_assert_no_error (error);
  assert_fails (store, "ca.1", TL_ERROR_NOT_FOUND, "ca.1");
  assert_value (store, "ca.2", "");
}

static void
check_sizes (TlSecretStore *store)
{
  g_autoptr (TlSecret) largest = tl_secret_new (TL_SECRET_STORE_MAX_VALUE);
  g_autoptr (TlSecret) too_large = tl_secret_new (TL_SECRET_STORE_MAX_VALUE + 1);
  g_autoptr (GError) error = NULL;

  memset (tl_secret_data_mut (largest), 'x', TL_SECRET_STORE_MAX_VALUE);
  g_assert_true (tl_secret_store_store_sync (store, "size", largest, &error));
  g_assert_no_error (error);
  g_assert_false (tl_secret_store_store_sync (store, "size", too_large, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED);
  g_clear_error (&error);
  g_autoptr (TlSecret) found = tl_secret_store_lookup_sync (store, "size", &error);
  g_assert_no_error (error);
  g_assert_true (tl_secret_equal (found, largest));
}

static void
check_names (TlSecretStore *store)
{
  static const char *const bad[] = { "",
                                     ".",
                                     "..",
                                     ".a",
                                     "-a",
                                     "a/b",
                                     "../a",
                                     "A",
                                     "a_b",
                                     "a b",
                                     "a\n",
                                     "\xc3\xa9",
                                     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
  g_autoptr (TlSecret) value = tl_secret_new_copy ("x", 1);

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_false (tl_secret_store_store_sync (store, bad[i], value, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      g_clear_error (&error);
      g_assert_null (tl_secret_store_lookup_sync (store, bad[i], &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      g_clear_error (&error);
      g_assert_false (tl_secret_store_delete_sync (store, bad[i], &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
    }
  put (store, "9", "nine");
  put (store, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "64");
  assert_value (store, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "64");
}

static void
test_memory (void)
{
  g_autoptr (TlSecretStore) store = tl_secret_store_new_memory ();

  g_assert_false (tl_secret_store_is_encrypted (store));
  check_back_end (store);
  check_sizes (store);
  check_names (store);
}

static void
test_file (Fixture *fixture, gconstpointer encrypted)
{
  g_autoptr (TlSecretStore) store = open_store (fixture, encrypted != NULL);

  g_assert_cmpint (tl_secret_store_is_encrypted (store), ==, encrypted != NULL);
  check_back_end (store);
  check_sizes (store);
  check_names (store);
  /* Another process, another day. */
  g_autoptr (TlSecretStore) again = open_store (fixture, encrypted != NULL);
  assert_value (again, "9", "nine");
}

static void
test_modes (Fixture *fixture, gconstpointer encrypted)
{
  mode_t old = umask (0);
  g_autoptr (TlSecretStore) store = open_store (fixture, encrypted != NULL);
  g_autofree char *path = path_of (fixture, "ca");
  struct stat status;

  put (store, "ca", "my-secret-key");
  umask (old);
  g_assert_cmpint (stat (fixture->directory, &status), ==, 0);
  g_assert_cmphex (status.st_mode & 07777, ==, 0700);
  g_assert_cmpint (stat (path, &status), ==, 0);
  g_assert_cmphex (status.st_mode & 07777, ==, 0600);

  g_autofree char *contents = NULL;
  gsize length;
  g_assert_true (g_file_get_contents (path, &contents, &length, NULL));
  gboolean visible = memmem (contents, length, "my-secret-key", 13) != NULL;
  g_assert_cmpint (visible, ==, encrypted == NULL);
}

static void
assert_denied_everywhere (TlSecretStore *store, gboolean also_writing)
{
  g_autoptr (TlSecret) value = tl_secret_new_copy ("x", 1);
  g_autoptr (GError) error = NULL;

  assert_fails (store, "ca", TL_ERROR_PERMISSION_DENIED, "ca");
  if (!also_writing)
    return;
  g_assert_false (tl_secret_store_store_sync (store, "ca", value, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED);
  g_clear_error (&error);
  g_assert_false (tl_secret_store_delete_sync (store, "ca", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED);
}

static void
test_permissions (Fixture *fixture, gconstpointer data)
{
  static const mode_t open_modes[] = { 0040, 0020, 0010, 0004, 0002, 0001 };
  (void)data;
  g_autofree char *subdirectory = g_build_filename (fixture->directory, "ca-store", NULL);
  g_autofree char *path = g_build_filename (subdirectory, "ca.secret", NULL);
  g_mkdir_with_parents (fixture->directory, 0700);
  g_autoptr (TlSecretStore) store = tl_secret_store_new_file (subdirectory, NULL, NULL);
  put (store, "ca", "value");

  for (gsize i = 0; i < G_N_ELEMENTS (open_modes); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_cmpint (chmod (subdirectory, 0700 | open_modes[i]), ==, 0);
      assert_denied_everywhere (store, TRUE);
      g_assert_null (tl_secret_store_new_file (subdirectory, NULL, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED);
      g_assert_cmpint (chmod (subdirectory, 0700), ==, 0);
      g_assert_cmpint (chmod (path, 0600 | open_modes[i]), ==, 0);
      assert_denied_everywhere (store, FALSE);
      g_assert_cmpint (chmod (path, 0600), ==, 0);
      assert_value (store, "ca", "value");
    }
  if (geteuid () == 0)
    {
      g_assert_cmpint (chown (path, 12345, (gid_t)-1), ==, 0);
      assert_denied_everywhere (store, FALSE);
      g_assert_cmpint (chown (path, 0, (gid_t)-1), ==, 0);
      g_assert_cmpint (chown (subdirectory, 12345, (gid_t)-1), ==, 0);
      assert_denied_everywhere (store, TRUE);
      g_assert_cmpint (chown (subdirectory, 0, (gid_t)-1), ==, 0);
    }
  g_assert_true (tl_secret_store_delete_sync (store, "ca", NULL));
}

/* Any byte, the format line and the tag included. */
static void
test_tamper (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autoptr (TlSecretStore) store = open_store (fixture, TRUE);
  g_autofree char *path = path_of (fixture, "ca");
  g_autofree char *contents = NULL;
  gsize length;

  put (store, "ca", "value");
  g_assert_true (g_file_get_contents (path, &contents, &length, NULL));
  for (gsize i = 0; i < length; i++)
    {
      contents[i] ^= 1;
      g_assert_true (g_file_set_contents_full (path, contents, (gssize)length, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
      assert_fails (store, "ca", TL_ERROR_CORRUPT, path);
      contents[i] ^= 1;
    }
  for (gsize cut = 1; cut < length; cut += 5)
    {
      g_assert_true (
          g_file_set_contents_full (path, contents, (gssize)(length - cut), G_FILE_SET_CONTENTS_NONE, 0600, NULL));
      assert_fails (store, "ca", TL_ERROR_CORRUPT, path);
    }
  g_assert_true (g_file_set_contents_full (path, contents, (gssize)length, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  assert_value (store, "ca", "value");
}

static void
test_exchanged_files (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autoptr (TlSecretStore) store = open_store (fixture, TRUE);
  g_autofree char *first = path_of (fixture, "ca.1");
  g_autofree char *second = path_of (fixture, "ca.2");
  g_autofree char *between = path_of (fixture, "between");

  put (store, "ca.1", "value");
  put (store, "ca.2", "value");
  g_assert_cmpint (g_rename (first, between), ==, 0);
  g_assert_cmpint (g_rename (second, first), ==, 0);
  g_assert_cmpint (g_rename (between, second), ==, 0);
  assert_fails (store, "ca.1", TL_ERROR_CORRUPT, "does not decrypt");
  assert_fails (store, "ca.2", TL_ERROR_CORRUPT, "does not decrypt");
}

static void
test_wrong_kind (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autoptr (TlSecretStore) encrypted = open_store (fixture, TRUE);
  g_autoptr (TlSecretStore) plain = open_store (fixture, FALSE);
  g_autoptr (GError) error = NULL;

  put (encrypted, "sealed", "value");
  put (plain, "open", "value");
  assert_fails (plain, "sealed", TL_ERROR_CORRUPT, "provide the credential");
  assert_fails (encrypted, "open", TL_ERROR_CORRUPT, "not encrypted although a key is configured");

  g_autoptr (TlSecret) other_key = tl_secret_new_copy ("0123456789abcdef0123456789abcdeX", 32);
  g_autoptr (TlSecretStore) other = tl_secret_store_new_file (fixture->directory, other_key, &error);
  g_assert_no_error (error);
  assert_fails (other, "sealed", TL_ERROR_CORRUPT, "does not decrypt");
  g_autoptr (TlSecret) short_key = tl_secret_new_copy ("short", 5);
  g_assert_null (tl_secret_store_new_file (fixture->directory, short_key, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
}

static void
test_odd_files (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autoptr (TlSecretStore) store = open_store (fixture, FALSE);
  g_autofree char *huge = path_of (fixture, "huge");
  g_autofree char *fifo = path_of (fixture, "fifo");
  g_autofree char *link = path_of (fixture, "link");
  g_autofree char *empty = path_of (fixture, "empty");
  g_autofree char *folder = path_of (fixture, "folder");
  g_autofree char *large = g_malloc0 (TL_SECRET_STORE_MAX_VALUE + 200);

  g_strlcpy (large, "twinlatch-secret 1 plain\n", 30);
  g_assert_true (
      g_file_set_contents_full (huge, large, TL_SECRET_STORE_MAX_VALUE + 200, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  assert_fails (store, "huge", TL_ERROR_CORRUPT, "more than any secret");
  g_assert_true (
      g_file_set_contents_full (huge, large, TL_SECRET_STORE_MAX_VALUE + 26, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  assert_fails (store, "huge", TL_ERROR_CORRUPT, "more than any secret");
  g_assert_true (g_file_set_contents_full (empty, "", 0, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  assert_fails (store, "empty", TL_ERROR_CORRUPT, "does not start");
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  assert_fails (store, "fifo", TL_ERROR_CORRUPT, "regular file");
  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  assert_fails (store, "folder", TL_ERROR_CORRUPT, "regular file");
  put (store, "real", "value");
  g_assert_cmpint (symlink ("real.secret", link), ==, 0);
  assert_fails (store, "link", TL_ERROR_IO, "link");
}

/* A changed byte anywhere in the file of a plain store; and a file of before there were sums. */
static void
test_damaged_plain (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autoptr (TlSecretStore) store = open_store (fixture, FALSE);
  g_autofree char *path = path_of (fixture, "key");
  g_autofree char *good = NULL;
  gsize length = 0;

  put (store, "key", "a value");
  g_assert_true (g_file_get_contents (path, &good, &length, NULL));
  for (gsize i = 0; i < length; i++)
    {
      g_autoptr (GError) error = NULL;
      good[i] = (char)(good[i] ^ 1);
      g_unlink (path);
      g_assert_true (g_file_set_contents_full (path, good, (gssize)length, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
      g_assert_null (tl_secret_store_lookup_sync (store, "key", &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
      g_assert_nonnull (strstr (error->message, path));
      good[i] = (char)(good[i] ^ 1);
    }
  for (gsize i = 0; i < length; i++) /* cut short */
    {
      g_unlink (path);
      g_assert_true (g_file_set_contents_full (path, good, (gssize)i, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
      assert_fails (store, "key", TL_ERROR_CORRUPT, path);
    }
  g_unlink (path);
  g_assert_true (
      g_file_set_contents_full (path, "twinlatch-secret 1 plain\nold", -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  g_autoptr (TlSecret) old = tl_secret_store_lookup_sync (store, "key", NULL);
  g_assert_cmpuint (tl_secret_length (old), ==, 3);
}

static void
count_down (GObject *source, GAsyncResult *result, gpointer user_data)
{
  (void)source;
  (void)result;
  (*(guint *)user_data)--;
}

static void
on_lookup (GObject *source, GAsyncResult *result, gpointer user_data)
{
  (void)source;
  *(GAsyncResult **)user_data = g_object_ref (result);
}

/* What is asked for first happens first, and nothing blocks or calls back before the caller's loop turns. */
static void
test_order (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autoptr (TlSecretStore) store = open_store (fixture, TRUE);
  guint left = 40;

  for (guint i = 0; i < 40; i++)
    {
      g_autofree char *text = g_strdup_printf ("value %u", i);
      g_autoptr (TlSecret) value = tl_secret_new_copy (text, strlen (text));
      tl_secret_store_store_async (store, "ca", value, NULL, count_down, &left);
    }
  g_autoptr (GAsyncResult) result = NULL;
  tl_secret_store_lookup_async (store, "ca", NULL, on_lookup, &result);
  g_assert_cmpuint (left, ==, 40);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_autoptr (TlSecret) found = tl_secret_store_lookup_finish (store, result, NULL);
  g_assert_cmpstr ((const char *)tl_secret_data (found), ==, "value 39");
  while (left > 0)
    g_main_context_iteration (NULL, TRUE);
}

static void
test_cancel (void)
{
  g_autoptr (TlSecretStore) store = tl_secret_store_new_memory ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (TlSecret) value = tl_secret_new_copy ("x", 1);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  tl_secret_store_store_async (store, "ca", value, cancellable, on_lookup, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_false (tl_secret_store_store_finish (store, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  assert_fails (store, "ca", TL_ERROR_NOT_FOUND, "ca");
}

/* The caller may let go of store, name and value at once. */
static void
test_unref_while_pending (Fixture *fixture, gconstpointer data)
{
  (void)data;
  TlSecretStore *store = open_store (fixture, TRUE);
  TlSecret *value = tl_secret_new_copy ("kept", 4);
  char *name = g_strdup ("ca");
  guint left = 1;

  tl_secret_store_store_async (store, name, value, NULL, count_down, &left);
  memset (name, 'x', 2);
  g_free (name);
  tl_secret_unref (value);
  tl_secret_store_unref (store);
  while (left > 0)
    g_main_context_iteration (NULL, TRUE);
  g_autoptr (TlSecretStore) again = open_store (fixture, TRUE);
  assert_value (again, "ca", "kept");
}

static gpointer
use_store (gpointer data)
{
  g_autofree char *name = g_strdup_printf ("thread-%p", (void *)g_thread_self ());
  g_autofree char *lower = g_ascii_strdown (name, -1);

  for (guint i = 0; i < 20; i++)
    {
      g_autofree char *text = g_strdup_printf ("%u", i);
      put (data, lower, text);
      assert_value (data, lower, text);
    }
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr (TlSecretStore) store = tl_secret_store_new_memory ();
  GThread *threads[4];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("store", use_store, store);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  const gpointer encrypted = GINT_TO_POINTER (1);
  g_test_add_func ("/secret-store/memory", test_memory);
  g_test_add ("/secret-store/file-plain", Fixture, NULL, set_up, test_file, tear_down);
  g_test_add ("/secret-store/file-encrypted", Fixture, encrypted, set_up, test_file, tear_down);
  g_test_add ("/secret-store/damaged-plain", Fixture, NULL, set_up, test_damaged_plain, tear_down);
  g_test_add ("/secret-store/modes-plain", Fixture, NULL, set_up, test_modes, tear_down);
  g_test_add ("/secret-store/modes-encrypted", Fixture, encrypted, set_up, test_modes, tear_down);
  g_test_add ("/secret-store/permissions", Fixture, NULL, set_up, test_permissions, tear_down);
  g_test_add ("/secret-store/tamper", Fixture, NULL, set_up, test_tamper, tear_down);
  g_test_add ("/secret-store/exchanged-files", Fixture, NULL, set_up, test_exchanged_files, tear_down);
  g_test_add ("/secret-store/wrong-kind", Fixture, NULL, set_up, test_wrong_kind, tear_down);
  g_test_add ("/secret-store/odd-files", Fixture, NULL, set_up, test_odd_files, tear_down);
  g_test_add ("/secret-store/order", Fixture, NULL, set_up, test_order, tear_down);
  g_test_add_func ("/secret-store/cancel", test_cancel);
  g_test_add ("/secret-store/unref-while-pending", Fixture, NULL, set_up, test_unref_while_pending, tear_down);
  g_test_add_func ("/secret-store/threads", test_threads);
  return g_test_run ();
}
