/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-pid-file.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/tl-error.h"

typedef struct
{
  char *folder;
  char *path;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  (void)data;
  f->folder = g_dir_make_tmp ("twinlatch-pid-XXXXXX", NULL);
  f->path = g_build_filename (f->folder, "node.pid", NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  (void)data;
  g_unlink (f->path);
  g_rmdir (f->folder);
  g_free (f->path);
  g_free (f->folder);
}

/* A process that holds the file until it is killed. */
static pid_t
spawn_holder (Fixture *f)
{
  int ends[2];
  char byte;
  pid_t child;

  g_assert_cmpint (pipe (ends), ==, 0);
  child = fork ();
  if (child == 0)
    {
      TlPidFile *file;

      prctl (PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
      file = tl_pid_file_acquire (f->path, NULL);
      byte = file != NULL ? 'y' : 'n';
      (void)!write (ends[1], &byte, 1);
      pause ();
      _exit (0);
    }
  g_assert_cmpint (read (ends[0], &byte, 1), ==, 1);
  g_assert_cmpint (byte, ==, 'y');
  close (ends[0]);
  close (ends[1]);
  return child;
}

static void
end_holder (pid_t child)
{
  kill (child, SIGKILL);
  g_assert_cmpint (waitpid (child, NULL, 0), ==, child);
}

static void
assert_nobody (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  gint64 pid = 0;

  g_assert_cmpint (tl_pid_file_open_holder (f->path, &pid, &error), ==, -1);
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
}

static void
test_held (Fixture *f, gconstpointer data)
{
  pid_t child = spawn_holder (f);
  g_autoptr (GError) error = NULL;
  gint64 pid = 0;
  int holder;

  (void)data;
  g_assert_null (tl_pid_file_acquire (f->path, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IN_USE);
  holder = tl_pid_file_open_holder (f->path, &pid, NULL);
  g_assert_cmpint (holder, >=, 0);
  g_assert_cmpint (pid, ==, child);
  g_assert_false (tl_pid_file_wait_end (holder, 0));
  g_assert_true (tl_pid_file_signal (holder, SIGKILL, NULL));
  g_assert_true (tl_pid_file_wait_end (holder, 10000));
  end_holder (child);
  g_assert_true (tl_pid_file_signal (holder, SIGKILL, NULL)); /* gone already: success */
  close (holder);
}

/* After kill -9 the file stays, and says nothing. */
static void
test_left_behind (Fixture *f, gconstpointer data)
{
  TlPidFile *file;

  (void)data;
  assert_nobody (f);
  end_holder (spawn_holder (f));
  g_assert_true (g_file_test (f->path, G_FILE_TEST_EXISTS));
  assert_nobody (f);
  file = tl_pid_file_acquire (f->path, NULL);
  g_assert_nonnull (file);
  tl_pid_file_release (file);
  g_assert_false (g_file_test (f->path, G_FILE_TEST_EXISTS));
}

/* The file names a living process that never held it: another program has the pid by now. Here the lock is held, so
 * that only the start time tells the two apart. */
static void
test_recycled (Fixture *f, gconstpointer data)
{
  pid_t child = spawn_holder (f);
  g_autofree char *other
      = g_strdup_printf ("%d %" G_GUINT64_FORMAT "\n", (int)getpid (), tl_pid_file_start_ticks (getpid ()) + 1);
  FILE *file = fopen (f->path, "r+"); /* in place: the lock belongs to the file */

  (void)data;
  fputs (other, file);
  fclose (file);
  assert_nobody (f);
  end_holder (child);
}

static void
test_nonsense (Fixture *f, gconstpointer data)
{
  static const char *const texts[] = { "", "x", "1 1\n", "-5 7\n", "99999999999999999999 1\n", "12\n", "12 0\n" };
  pid_t child = spawn_holder (f);

  (void)data;
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      FILE *file = fopen (f->path, "r+");

      g_assert_cmpint (ftruncate (fileno (file), 0), ==, 0);
      fputs (texts[i], file);
      fclose (file);
      assert_nobody (f);
    }
  end_holder (child);
  g_assert_cmpuint (tl_pid_file_start_ticks (getpid ()), >, 0);
  g_assert_cmpuint (tl_pid_file_start_ticks (G_MAXINT32), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/agent/pid-file/held", Fixture, NULL, set_up, test_held, tear_down);
  g_test_add ("/agent/pid-file/left-behind", Fixture, NULL, set_up, test_left_behind, tear_down);
  g_test_add ("/agent/pid-file/recycled", Fixture, NULL, set_up, test_recycled, tear_down);
  g_test_add ("/agent/pid-file/nonsense", Fixture, NULL, set_up, test_nonsense, tear_down);
  return g_test_run ();
}
