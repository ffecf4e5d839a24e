/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-fs-root.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "tl-node-fixture.h"

typedef struct
{
  char *base; /* holds root/ and outside.txt */
  char *path; /* base/root */
  TlFsRoot *root;
} Fixture;

static void
make_link (const char *directory, const char *name, const char *target)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);

  g_assert_cmpint (symlink (target, path), ==, 0);
}

static void
make_dir (const char *directory, const char *name)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);

  g_assert_cmpint (mkdir (path, 0755), ==, 0);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  (void)data;
  if (!tl_fs_root_is_supported ())
    {
      g_test_skip ("no openat2 here");
      return;
    }
  f->base = tl_fixture_directory ();
  f->path = g_build_filename (f->base, "root", NULL);
  make_dir (f->base, "root");
  tl_fixture_write (f->base, "outside.txt", "secret");
  tl_fixture_write (f->path, "inside.txt", "hello");
  make_dir (f->path, "sub");
  f->root = tl_fs_root_new ("docs", f->path, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_fs_root_free (f->root);
  if (f->base != NULL)
    tl_fixture_remove (f->base);
  g_free (f->base);
  g_free (f->path);
}

/* code < 0: opens. */
static void
assert_file (Fixture *f, const char *path, int code)
{
  g_autoptr (GError) error = NULL;
  struct stat info;
  int fd = tl_fs_root_open_file (f->root, path, &info, &error);

  if (code < 0)
    {
      g_assert_no_error (error);
      g_assert_cmpint (fd, >=, 0);
      close (fd);
      return;
    }
  if (fd >= 0)
    g_error ("\"%s\" was opened", path);
  g_assert_error (error, TL_ERROR, code);
}

static void
assert_no_directory (Fixture *f, const char *path, int code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_fs_root_open_directory (f->root, path, &error));
  g_assert_error (error, TL_ERROR, code);
}

static void
test_inside (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  struct stat info;
  DIR *dir;

  (void)data;
  make_link (f->path, "link.txt", "inside.txt");
  make_link (f->path, "sub/up.txt", "../inside.txt");
  assert_file (f, "inside.txt", -1);
  assert_file (f, "./sub/../inside.txt", -1);
  assert_file (f, "link.txt", -1);
  assert_file (f, "sub/up.txt", -1); /* leads up, but not out */
  assert_file (f, "missing.txt", TL_ERROR_NOT_FOUND);
  assert_file (f, "", TL_ERROR_FAILED_PRECONDITION);
  assert_file (f, "sub", TL_ERROR_FAILED_PRECONDITION);
  assert_no_directory (f, "inside.txt", TL_ERROR_FAILED_PRECONDITION);
  dir = tl_fs_root_open_directory (f->root, "", &error);
  g_assert_no_error (error);
  closedir (dir);
  g_assert_true (tl_fs_root_stat (f->root, "link.txt", &info, &error));
  g_assert_true (S_ISLNK (info.st_mode));
}

static void
test_escapes (Fixture *f, gconstpointer data)
{
  g_autofree char *absolute = g_build_filename (f->base, "outside.txt", NULL);
  g_autofree char *inside_absolute = g_build_filename (f->path, "inside.txt", NULL);
  const char *paths[] = { "..",
                          "../outside.txt",
                          "sub/../../outside.txt",
                          absolute,
                          inside_absolute,
                          "/etc/passwd",
                          "/",
                          "abs",
                          "rel",
                          "dir/outside.txt",
                          "chain",
                          "sub/../../../../../../../etc/passwd" };
  g_autoptr (GError) error = NULL;
  struct stat info;

  (void)data;
  make_link (f->path, "abs", absolute);
  make_link (f->path, "rel", "../outside.txt");
  make_link (f->path, "dir", "..");
  make_link (f->path, "chain", "sub/hop");
  make_link (f->path, "sub/hop", "../rel");
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    assert_file (f, paths[i], TL_ERROR_PERMISSION_DENIED);
  assert_no_directory (f, "dir", TL_ERROR_PERMISSION_DENIED);
  assert_no_directory (f, "..", TL_ERROR_PERMISSION_DENIED);
  g_assert_false (tl_fs_root_stat (f->root, "dir/outside.txt", &info, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED);
  g_clear_error (&error);
  /* The link itself may be looked at; what it points to may not. */
  g_assert_true (tl_fs_root_stat (f->root, "abs", &info, &error));
  g_assert_true (S_ISLNK (info.st_mode));
}

static void
test_loop (Fixture *f, gconstpointer data)
{
  (void)data;
  make_link (f->path, "a", "b");
  make_link (f->path, "b", "a");
  assert_file (f, "a", TL_ERROR_PERMISSION_DENIED);
}

/* Links of /proc lead anywhere without looking like "..": never followed, not even when the root is / itself. */
static void
test_magic_links (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlFsRoot) everything = tl_fs_root_new ("all", "/", &error);
  g_autofree char *outside = g_build_filename (f->base, "outside.txt", NULL);
  g_autofree char *link = NULL;
  struct stat info;
  int fd = open (outside, O_RDONLY);

  (void)data;
  g_assert_no_error (error);
  g_assert_cmpint (fd, >=, 0);
  link = g_strdup_printf ("proc/self/fd/%d", fd);
  g_assert_cmpint (tl_fs_root_open_file (everything, link, &info, &error), ==, -1);
  g_assert_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED);
  g_clear_error (&error);
  g_assert_cmpint (tl_fs_root_open_file (everything, "proc/self/root/etc/passwd", &info, &error), ==, -1);
  g_assert_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED);
  g_clear_error (&error);
  g_assert_cmpint (tl_fs_root_open_file (everything, "proc/self/exe", &info, &error), ==, -1);
  g_assert_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED);
  close (fd);
}

static void
test_special_files (Fixture *f, gconstpointer data)
{
  g_autofree char *fifo = g_build_filename (f->path, "fifo", NULL);
  g_autofree char *socket_path = g_build_filename (f->path, "socket", NULL);
  g_autofree char *device = g_build_filename (f->path, "device", NULL);
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_autoptr (GError) error = NULL;
  struct stat info;
  int fd = socket (AF_UNIX, SOCK_STREAM, 0);

  (void)data;
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  assert_file (f, "fifo", TL_ERROR_FAILED_PRECONDITION); /* and does not wait for a writer */
  assert_no_directory (f, "fifo", TL_ERROR_FAILED_PRECONDITION);
  g_assert_true (tl_fs_root_stat (f->root, "fifo", &info, &error));
  g_assert_true (S_ISFIFO (info.st_mode));

  g_strlcpy (address.sun_path, socket_path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  assert_file (f, "socket", TL_ERROR_FAILED_PRECONDITION);
  close (fd);

  if (mknod (device, S_IFCHR | 0666, makedev (1, 5)) == 0) /* root only */
    assert_file (f, "device", TL_ERROR_FAILED_PRECONDITION);
  else
    g_test_message ("no device node: %s", g_strerror (errno));
}

/* A device that exists everywhere, whoever runs the test. */
static void
test_dev_null (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlFsRoot) dev = tl_fs_root_new ("dev", "/dev", &error);
  struct stat info;

  (void)f, (void)data;
  g_assert_no_error (error);
  g_assert_cmpint (tl_fs_root_open_file (dev, "null", &info, &error), ==, -1);
  g_assert_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION);
}

static void
test_deep (Fixture *f, gconstpointer data)
{
  g_autoptr (GString) path = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  struct stat info;

  (void)data;
  for (guint i = 0; i < 200; i++)
    {
      g_string_append (path, "d");
      make_dir (f->path, path->str);
      g_string_append_c (path, '/');
    }
  tl_fixture_write (f->path, "probe", "");
  g_assert_true (tl_fs_root_stat (f->root, path->str, &info, &error));
  g_assert_true (S_ISDIR (info.st_mode));
  /* As many ".." as levels lead to the root, one more leads out. */
  for (guint i = 0; i < 200; i++)
    g_string_append (path, "../");
  g_string_append (path, "probe");
  assert_file (f, path->str, -1);
  g_string_insert (path, (gssize)path->len - 5, "../");
  assert_file (f, path->str, TL_ERROR_PERMISSION_DENIED);
  while (path->len <= TL_FS_PATH_MAX)
    g_string_append (path, "/x");
  assert_file (f, path->str, TL_ERROR_INVALID_ARGUMENT);
}

/* Somebody exchanges the root's directory for a link after the node started. */
static void
test_root_replaced (Fixture *f, gconstpointer data)
{
  g_autofree char *moved = g_build_filename (f->base, "moved", NULL);
  g_autofree char *trap = g_build_filename (f->base, "trap", NULL);

  (void)data;
  make_dir (f->base, "trap");
  tl_fixture_write (trap, "inside.txt", "trap");
  tl_fixture_write (trap, "only-in-trap.txt", "trap");
  g_assert_true (tl_fs_root_is_in_place (f->root));
  g_assert_cmpint (rename (f->path, moved), ==, 0);
  g_assert_cmpint (symlink (trap, f->path), ==, 0);
  assert_file (f, "only-in-trap.txt", TL_ERROR_NOT_FOUND);
  assert_file (f, "inside.txt", -1);
  g_assert_false (tl_fs_root_is_in_place (f->root));
}

static void
test_missing_root (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_fs_root_new ("x", "/nonexistent/directory", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_null (tl_fs_root_new ("x", "/etc/passwd", &error));
  g_assert_nonnull (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (!tl_fs_root_is_supported ())
    return 77;
  g_test_add ("/fs-root/inside", Fixture, NULL, set_up, test_inside, tear_down);
  g_test_add ("/fs-root/escapes", Fixture, NULL, set_up, test_escapes, tear_down);
  g_test_add ("/fs-root/loop", Fixture, NULL, set_up, test_loop, tear_down);
  g_test_add ("/fs-root/magic-links", Fixture, NULL, set_up, test_magic_links, tear_down);
  g_test_add ("/fs-root/special-files", Fixture, NULL, set_up, test_special_files, tear_down);
  g_test_add ("/fs-root/dev-null", Fixture, NULL, set_up, test_dev_null, tear_down);
  g_test_add ("/fs-root/deep", Fixture, NULL, set_up, test_deep, tear_down);
  g_test_add ("/fs-root/root-replaced", Fixture, NULL, set_up, test_root_replaced, tear_down);
  g_test_add_func ("/fs-root/missing-root", test_missing_root);
  return g_test_run ();
}
