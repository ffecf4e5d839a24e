/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "identity/tl-state-lock.h"

#define CHILDREN    20
#define INCREMENTS  50
#define PATIENCE_MS 60000

typedef struct
{
  char *directory;
  char *lock_file;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  (void)data;
  fixture->directory = g_dir_make_tmp ("tl-lock-XXXXXX", NULL);
  fixture->lock_file = g_build_filename (fixture->directory, TL_STATE_LOCK_NAME, NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_unlink (fixture->lock_file);
  g_assert_cmpint (g_rmdir (fixture->directory), ==, 0);
  g_free (fixture->lock_file);
  g_free (fixture->directory);
}

static void
assert_in_use (const char *directory, const char *holder)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlStateLock) lock = tl_state_lock_acquire (directory, 0, &error);

  g_assert_null (lock);
  g_assert_error (error, TL_ERROR, TL_ERROR_IN_USE);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, holder));
}

static void
test_file (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autoptr (GError) error = NULL;
  g_autoptr (TlStateLock) lock = tl_state_lock_acquire (fixture->directory, 0, &error);
  g_assert_no_error (error);
  g_autofree char *contents = NULL;
  g_autofree char *pattern = g_strdup_printf ("^pid %d since [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z\n$", (int)getpid ());
  struct stat status;

  g_assert_cmpint (stat (fixture->lock_file, &status), ==, 0);
  g_assert_cmphex (status.st_mode & 0777, ==, 0600);
  g_assert_true (g_file_get_contents (fixture->lock_file, &contents, NULL, NULL));
  g_assert_true (g_regex_match_simple (pattern, contents, 0, 0));
}

static void
test_same_process (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autofree char *spelled = g_strconcat (fixture->directory, "/./", NULL);
  g_autofree char *holder = g_strdup_printf ("pid %d since ", (int)getpid ());
  TlStateLock *lock = tl_state_lock_acquire (fixture->directory, 0, NULL);

  g_assert_nonnull (lock);
  assert_in_use (fixture->directory, holder);
  assert_in_use (spelled, holder);
  /* Another gateway's state is another lock. */
  g_autofree char *other = g_dir_make_tmp ("tl-lock-XXXXXX", NULL);
  g_autofree char *other_file = g_build_filename (other, TL_STATE_LOCK_NAME, NULL);
  TlStateLock *other_lock = tl_state_lock_acquire (other, 0, NULL);
  g_assert_nonnull (other_lock);
  tl_state_lock_release (other_lock);
  g_unlink (other_file);
  g_rmdir (other);

  tl_state_lock_release (lock);
  lock = tl_state_lock_acquire (fixture->directory, 0, NULL);
  g_assert_nonnull (lock);
  tl_state_lock_release (lock);
  tl_state_lock_release (NULL);
}

static gpointer
wait_for_lock (gpointer directory)
{
  return tl_state_lock_acquire (directory, PATIENCE_MS, NULL);
}

/* A waiting thread gets it, and a lock may be released by another thread than took it. */
static void
test_thread_waits (Fixture *fixture, gconstpointer data)
{
  (void)data;
  TlStateLock *lock = tl_state_lock_acquire (fixture->directory, 0, NULL);
  GThread *thread = g_thread_new ("wait", wait_for_lock, fixture->directory);

  tl_state_lock_release (lock);
  lock = g_thread_join (thread);
  g_assert_nonnull (lock);
  assert_in_use (fixture->directory, "pid");
  tl_state_lock_release (lock);
}

static void
test_timeout (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autoptr (TlStateLock) lock = tl_state_lock_acquire (fixture->directory, 0, NULL);
  gint64 start = g_get_monotonic_time ();

  g_assert_null (tl_state_lock_acquire (fixture->directory, 50, NULL));
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 50 * 1000);
}

/* A child that takes the lock, says so, and waits to be told (byte) or killed. */
static pid_t
spawn_holder (const char *directory, int *talk)
{
  int to_child[2], from_child[2];
  char byte;

  g_assert_cmpint (pipe (to_child), ==, 0);
  g_assert_cmpint (pipe (from_child), ==, 0);
  pid_t child = fork ();
  if (child == 0)
    {
      close (to_child[1]);
      TlStateLock *lock = tl_state_lock_acquire (directory, PATIENCE_MS, NULL);
      if (lock == NULL || write (from_child[1], "x", 1) != 1 || read (to_child[0], &byte, 1) < 0)
        _exit (1);
      tl_state_lock_release (lock);
      _exit (0);
    }
  close (to_child[0]);
  close (from_child[1]);
  g_assert_cmpint (read (from_child[0], &byte, 1), ==, 1);
  close (from_child[0]);
  *talk = to_child[1];
  return child;
}

static void
test_other_process (Fixture *fixture, gconstpointer data)
{
  (void)data;
  int talk, status;
  pid_t child = spawn_holder (fixture->directory, &talk);
  g_autofree char *holder = g_strdup_printf ("pid %d since ", (int)child);
  gint64 start = g_get_monotonic_time ();

  assert_in_use (fixture->directory, holder);
  g_assert_null (tl_state_lock_acquire (fixture->directory, 50, NULL));
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 50 * 1000);
  close (talk);
  g_autoptr (TlStateLock) lock = tl_state_lock_acquire (fixture->directory, PATIENCE_MS, NULL);
  g_assert_nonnull (lock);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_cmpint (status, ==, 0);
}

static void
test_owner_killed (Fixture *fixture, gconstpointer data)
{
  (void)data;
  int talk, status;
  pid_t child = spawn_holder (fixture->directory, &talk);

  kill (child, SIGKILL);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_autoptr (TlStateLock) lock = tl_state_lock_acquire (fixture->directory, 0, NULL);
  g_assert_nonnull (lock);
  close (talk);
}

/* A child forked while the lock was held shares its file; the release must count all the same. */
static void
test_forked_child (Fixture *fixture, gconstpointer data)
{
  (void)data;
  int hold[2], status;
  char byte;
  TlStateLock *lock = tl_state_lock_acquire (fixture->directory, 0, NULL);

  g_assert_cmpint (pipe (hold), ==, 0);
  pid_t child = fork ();
  if (child == 0)
    {
      close (hold[1]);
      _exit (read (hold[0], &byte, 1) < 0);
    }
  tl_state_lock_release (lock);
  lock = tl_state_lock_acquire (fixture->directory, 0, NULL);
  g_assert_nonnull (lock);
  tl_state_lock_release (lock);
  close (hold[0]);
  close (hold[1]);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
}

static void
test_errors (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autofree char *missing = g_build_filename (fixture->directory, "missing", NULL);
  g_autofree char *victim = g_build_filename (fixture->directory, "victim", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_state_lock_acquire (missing, 0, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  /* A symbolic link put there must not make us truncate what it points to. */
  g_assert_true (g_file_set_contents (victim, "precious", -1, NULL));
  g_assert_cmpint (symlink ("victim", fixture->lock_file), ==, 0);
  g_assert_null (tl_state_lock_acquire (fixture->directory, 0, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IO);
  g_autofree char *contents = NULL;
  g_assert_true (g_file_get_contents (victim, &contents, NULL, NULL));
  g_assert_cmpstr (contents, ==, "precious");
  g_unlink (victim);
}

/* What a broken holder wrote cannot forge lines of our message. */
static void
test_foreign_holder_text (Fixture *fixture, gconstpointer data)
{
  (void)data;
  int talk, status;
  pid_t child = spawn_holder (fixture->directory, &talk);
  int fd = open (fixture->lock_file, O_WRONLY | O_TRUNC);

  g_assert_cmpint (write (fd, "evil\033[2J\nforged line", 20), ==, 20);
  close (fd);
  g_autoptr (GError) error = NULL;
  g_assert_null (tl_state_lock_acquire (fixture->directory, 0, &error));
  g_assert_null (strchr (error->message, '\033'));
  g_assert_null (strstr (error->message, "forged"));
  close (talk);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
}

static int
read_counter (const char *path)
{
  g_autofree char *text = NULL;

  return g_file_get_contents (path, &text, NULL, NULL) ? atoi (text) : -1;
}

/* Reads and writes in separate steps: without the lock, increments get lost. */
static void
increment_in_child (const char *directory, const char *counter)
{
  for (guint i = 0; i < INCREMENTS; i++)
    {
      TlStateLock *lock = tl_state_lock_acquire (directory, PATIENCE_MS, NULL);
      if (lock == NULL)
        _exit (1);
      int value = read_counter (counter);
      FILE *file = fopen (counter, "w");
      if (file == NULL || value < 0 || fprintf (file, "%d", value + 1) < 0 || fclose (file) != 0)
        _exit (2);
      tl_state_lock_release (lock);
    }
  _exit (0);
}

static void
test_contention (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autofree char *counter = g_build_filename (fixture->directory, "counter", NULL);
  pid_t children[CHILDREN];

  g_assert_true (g_file_set_contents (counter, "0", -1, NULL));
  for (guint i = 0; i < CHILDREN; i++)
    {
      children[i] = fork ();
      g_assert_cmpint (children[i], >=, 0);
      if (children[i] == 0)
        increment_in_child (fixture->directory, counter);
    }
  for (guint i = 0; i < CHILDREN; i++)
    {
      int status;
      g_assert_cmpint (waitpid (children[i], &status, 0), ==, children[i]);
      g_assert_cmpint (status, ==, 0);
    }
  g_assert_cmpint (read_counter (counter), ==, CHILDREN * INCREMENTS);
  g_unlink (counter);
}

typedef struct
{
  const char *directory;
  volatile int *counter;
} ThreadWork;

static gpointer
increment_in_thread (gpointer data)
{
  ThreadWork *work = data;

  for (guint i = 0; i < INCREMENTS; i++)
    {
      g_autoptr (TlStateLock) lock = tl_state_lock_acquire (work->directory, PATIENCE_MS, NULL);
      if (lock == NULL)
        return NULL;
      int value = *work->counter;
      g_thread_yield ();
      *work->counter = value + 1;
    }
  return work;
}

static void
test_thread_contention (Fixture *fixture, gconstpointer data)
{
  (void)data;
  volatile int counter = 0;
  ThreadWork work_item = { fixture->directory, &counter };
  GThread *threads[8];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("count", increment_in_thread, &work_item);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_assert_true (g_thread_join (threads[i]) == &work_item);
  g_assert_cmpint (counter, ==, (int)G_N_ELEMENTS (threads) * INCREMENTS);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  /* First, while this process has no threads: its children go on in C and not into exec. */
  g_test_add ("/state-lock/contention", Fixture, NULL, set_up, test_contention, tear_down);
  g_test_add ("/state-lock/other-process", Fixture, NULL, set_up, test_other_process, tear_down);
  g_test_add ("/state-lock/owner-killed", Fixture, NULL, set_up, test_owner_killed, tear_down);
  g_test_add ("/state-lock/forked-child", Fixture, NULL, set_up, test_forked_child, tear_down);
  g_test_add ("/state-lock/foreign-holder-text", Fixture, NULL, set_up, test_foreign_holder_text, tear_down);
  g_test_add ("/state-lock/file", Fixture, NULL, set_up, test_file, tear_down);
  g_test_add ("/state-lock/same-process", Fixture, NULL, set_up, test_same_process, tear_down);
  g_test_add ("/state-lock/timeout", Fixture, NULL, set_up, test_timeout, tear_down);
  g_test_add ("/state-lock/errors", Fixture, NULL, set_up, test_errors, tear_down);
  g_test_add ("/state-lock/thread-waits", Fixture, NULL, set_up, test_thread_waits, tear_down);
  g_test_add ("/state-lock/thread-contention", Fixture, NULL, set_up, test_thread_contention, tear_down);
  return g_test_run ();
}
