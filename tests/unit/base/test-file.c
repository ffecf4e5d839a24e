/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-file.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"

typedef struct
{
  char *folder;
  char *path;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  fixture->folder = g_dir_make_tmp ("tl-file-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->folder, "state", NULL);
}

static void
remove_all (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);

      if (g_file_test (child, G_FILE_TEST_IS_DIR) && !g_file_test (child, G_FILE_TEST_IS_SYMLINK))
        remove_all (child);
      else
        g_unlink (child);
    }
  g_rmdir (path);
}

static void
tear_down (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  remove_all (fixture->folder);
  g_free (fixture->folder);
  g_free (fixture->path);
}

static mode_t
mode_of (const char *path)
{
  struct stat info;

  g_assert_cmpint (stat (path, &info), ==, 0);
  return info.st_mode & 07777;
}

static guint
count_entries (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static void
assert_content (const char *path, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) content = tl_file_read (path, 1000, &error);

  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (content, NULL), g_bytes_get_size (content), expected, strlen (expected));
}

static void
test_write (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  mode_t mask = umask (077);

  g_assert_true (tl_file_write_atomic (fixture->path, "one", 3, 0600, &error));
  g_assert_no_error (error);
  assert_content (fixture->path, "one");
  g_assert_cmpint (mode_of (fixture->path), ==, 0600);
  g_assert_true (tl_file_write_atomic (fixture->path, "", 0, 0644, &error));
  assert_content (fixture->path, "");
  g_assert_cmpint (mode_of (fixture->path), ==, 0644);
  g_assert_cmpuint (count_entries (fixture->folder), ==, 1);
  umask (mask);
}

/* A reader that has the old file open keeps the old bytes: the new ones are another inode. */
static void
test_atomic (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *other = g_build_filename (fixture->folder, "link", NULL);

  g_assert_true (tl_file_write_atomic (fixture->path, "old", 3, 0600, NULL));
  g_assert_cmpint (link (fixture->path, other), ==, 0);
  g_assert_true (tl_file_write_atomic (fixture->path, "new", 3, 0600, NULL));
  assert_content (other, "old");
  assert_content (fixture->path, "new");
}

static void
test_write_failure (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *nowhere = g_build_filename (fixture->folder, "absent", "state", NULL);
  g_autofree char *below = g_build_filename (fixture->path, "x", NULL);

  g_assert_false (tl_file_write_atomic (nowhere, "x", 1, 0600, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  g_clear_error (&error);

  /* The rename fails on a directory that is not empty: the old thing and no temporary file stay. */
  g_assert_cmpint (g_mkdir_with_parents (below, 0700), ==, 0);
  g_assert_false (tl_file_write_atomic (fixture->path, "x", 1, 0600, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IO);
  g_assert_nonnull (strstr (error->message, fixture->path));
  g_assert_cmpuint (count_entries (fixture->folder), ==, 1);
}

static void
test_write_denied (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  if (geteuid () == 0)
    {
      g_test_skip ("root may write everywhere");
      return;
    }
  g_assert_cmpint (g_chmod (fixture->folder, 0500), ==, 0);
  g_assert_false (tl_file_write_atomic (fixture->path, "x", 1, 0600, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED);
  g_chmod (fixture->folder, 0700);
}

static void
test_read (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *fifo = g_build_filename (fixture->folder, "fifo", NULL);
  g_autofree char *text = g_strnfill (200000, 'x');
  g_autoptr (GBytes) all = NULL;

  g_assert_null (tl_file_read (fixture->path, 10, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_true (tl_file_write_atomic (fixture->path, text, 200000, 0600, NULL));
  all = tl_file_read (fixture->path, 200000, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (all), ==, 200000);
  g_assert_null (tl_file_read (fixture->path, 199999, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED);
  g_clear_error (&error);
  g_assert_null (tl_file_read (fixture->folder, 10, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IO);
  g_clear_error (&error);
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  g_assert_null (tl_file_read (fifo, 10, &error)); /* and does not hang */
  g_assert_error (error, TL_ERROR, TL_ERROR_IO);
}

/* /proc files say size 0 and have content: the limit must hold while reading. */
static void
test_read_growing (Fixture *fixture G_GNUC_UNUSED, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_file_read ("/proc/self/status", 10, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED);
}

static void
test_dir (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *deep = g_build_filename (fixture->folder, "a", "b", "c", NULL);
  g_autofree char *parent = g_build_filename (fixture->folder, "a", NULL);
  mode_t mask = umask (077);

  g_assert_true (tl_dir_ensure (deep, 0750, &error));
  g_assert_no_error (error);
  g_assert_cmpint (mode_of (deep), ==, 0750);
  g_assert_cmpint (mode_of (parent), ==, 0750);
  g_assert_true (tl_dir_ensure (deep, 0700, &error));
  g_assert_cmpint (mode_of (deep), ==, 0750); /* what exists is left alone */
  umask (mask);

  g_assert_cmpint (g_chmod (deep, 0757), ==, 0);
  g_assert_false (tl_dir_ensure (deep, 0700, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED);
  g_clear_error (&error);
  g_assert_true (tl_file_write_atomic (fixture->path, "x", 1, 0600, NULL));
  g_assert_false (tl_dir_ensure (fixture->path, 0700, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IO);
}

static void
test_remove (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (tl_file_remove (fixture->path, &error));
  g_assert_true (tl_file_write_atomic (fixture->path, "x", 1, 0600, NULL));
  g_assert_true (tl_file_remove (fixture->path, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (count_entries (fixture->folder), ==, 0);
  g_assert_false (tl_file_remove (fixture->folder, &error));
  g_assert_nonnull (error);
}

static void
test_errno (Fixture *fixture G_GNUC_UNUSED, gconstpointer data G_GNUC_UNUSED)
{
  static const struct
  {
    int number;
    TlErrorCode code;
  } rows[] = {
    { ENOENT, TL_ERROR_NOT_FOUND },
    { EROFS, TL_ERROR_READ_ONLY },
    { ENOSPC, TL_ERROR_READ_ONLY },
    { EACCES, TL_ERROR_PERMISSION_DENIED },
    { EPERM, TL_ERROR_PERMISSION_DENIED },
    { EADDRINUSE, TL_ERROR_IN_USE },
    { EIO, TL_ERROR_IO },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *expected = g_strdup_printf ("cannot do 7: %s", g_strerror (rows[i].number));

      tl_error_set_errno (&error, rows[i].number, "cannot do %d", 7);
      g_assert_error (error, TL_ERROR, (int)rows[i].code);
      g_assert_cmpstr (error->message, ==, expected);
    }
}

#define ADD(name, func) g_test_add ("/base/file/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  ADD ("write", test_write);
  ADD ("atomic", test_atomic);
  ADD ("write-failure", test_write_failure);
  ADD ("write-denied", test_write_denied);
  ADD ("read", test_read);
  ADD ("read-growing", test_read_growing);
  ADD ("dir", test_dir);
  ADD ("remove", test_remove);
  ADD ("errno", test_errno);
  return g_test_run ();
}
