/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-supervisor.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/tl-log-file.h"
#include "agent/node/tl-pid-file.h"
#include "base/tl-error.h"

#define PATIENCE_US (20 * G_USEC_PER_SEC)

typedef struct
{
  char *folder;
  char *pid_file;
  char *log_file;
  char *script;
  const char *argv[4];
  TlSupervisorOptions options;
} Fixture;

static void
set_up (Fixture *f, gconstpointer script)
{
  f->folder = g_dir_make_tmp ("twinlatch-supervisor-XXXXXX", NULL);
  f->pid_file = g_build_filename (f->folder, "node.pid", NULL);
  f->log_file = g_build_filename (f->folder, "node.log", NULL);
  f->script = g_strdup (script);
  f->argv[0] = "/bin/sh";
  f->argv[1] = "-c";
  f->argv[2] = f->script;
  f->options = (TlSupervisorOptions){
    .argv = f->argv, .pid_file = f->pid_file, .log_file = f->log_file, .restart_max_ms = 1000
  };
}

static gint64
holder_pid (Fixture *f)
{
  gint64 pid = 0;
  int holder = tl_pid_file_open_holder (f->pid_file, &pid, NULL);

  if (holder >= 0)
    close (holder);
  return pid;
}

static char *
read_log (Fixture *f)
{
  char *text = NULL;

  return g_file_get_contents (f->log_file, &text, NULL, NULL) ? text : g_strdup ("");
}

static guint
count (const char *text, const char *what)
{
  guint n = 0;

  for (const char *at = text; (at = strstr (at, what)) != NULL; at++)
    n++;
  return n;
}

/* A file announces itself nowhere: looks until it says it `times` times. */
static void
wait_log (Fixture *f, const char *what, guint times)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;

  for (;;)
    {
      g_autofree char *text = read_log (f);

      if (count (text, what) >= times)
        return;
      if (g_get_monotonic_time () > end)
        g_error ("never %u times \"%s\" in:\n%s", times, what, text);
      g_usleep (10000);
    }
}

static void
wait_nobody (Fixture *f)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;

  while (holder_pid (f) != 0)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      g_usleep (10000);
    }
}

static void
stop (Fixture *f, int number)
{
  gint64 pid = 0;
  int holder = tl_pid_file_open_holder (f->pid_file, &pid, NULL);

  if (holder < 0)
    return;
  g_assert_true (tl_pid_file_signal (holder, number, NULL));
  g_assert_true (tl_pid_file_wait_end (holder, 20000));
  close (holder);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autofree char *older = g_strconcat (f->log_file, ".1", NULL);

  (void)data;
  stop (f, SIGKILL);
  g_unlink (f->pid_file);
  g_unlink (f->log_file);
  g_unlink (older);
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->folder);
  g_free (f->pid_file);
  g_free (f->log_file);
  g_free (f->script);
}

static void
start (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  gint64 pid = 0;
  gboolean ok = tl_supervisor_start (&f->options, &pid, &error);

  g_assert_no_error (error);
  g_assert_true (ok);
  g_assert_cmpint (pid, >, 1);
}

static void
test_starts_again (Fixture *f, gconstpointer data)
{
  (void)data;
  start (f);
  wait_log (f, "I am here", 3);
  wait_log (f, "ended with status 1", 2);
  wait_log (f, "starting it again in", 2);
  stop (f, SIGTERM);
  g_assert_false (g_file_test (f->pid_file, G_FILE_TEST_EXISTS));
}

static void
test_a_killed_program (Fixture *f, gconstpointer data)
{
  (void)data;
  start (f);
  wait_log (f, "ended by signal 9", 2);
  wait_log (f, "started /bin/sh", 3);
}

static void
test_gives_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  gint64 pid = 0;

  (void)data;
  /* On a busy machine it is over before anybody looked: start says so. */
  if (!tl_supervisor_start (&f->options, &pid, &error))
    g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  wait_nobody (f);
  text = read_log (f);
  g_assert_cmpuint (count (text, "started /bin/sh"), ==, 1);
  g_assert_nonnull (strstr (text, "somebody has to look"));
}

static void
test_only_one (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 pid = 0;

  (void)data;
  start (f);
  g_assert_false (tl_supervisor_start (&f->options, &pid, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IN_USE);
}

/* The program says its pid; SIGTERM lets it end in good order. */
static void
test_stops_both (Fixture *f, gconstpointer data)
{
  g_autofree char *text = NULL;
  gint64 child;

  (void)data;
  start (f);
  wait_log (f, "pid=", 1);
  text = read_log (f);
  child = g_ascii_strtoll (strstr (text, "pid=") + 4, NULL, 10);
  g_assert_cmpuint (tl_pid_file_start_ticks (child), >, 0);
  stop (f, SIGTERM);
  wait_log (f, "good bye", 1);
  g_assert_cmpuint (tl_pid_file_start_ticks (child), ==, 0);
}

/* kill -9 of the supervisor takes the program with it: no second one can be started beside it. */
static void
test_killed_supervisor (Fixture *f, gconstpointer data)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;
  g_autofree char *text = NULL;
  gint64 child;

  (void)data;
  start (f);
  wait_log (f, "pid=", 1);
  text = read_log (f);
  child = g_ascii_strtoll (strstr (text, "pid=") + 4, NULL, 10);
  stop (f, SIGKILL);
  while (tl_pid_file_start_ticks (child) != 0)
    {
      g_assert_cmpint (g_get_monotonic_time (), <, end);
      g_usleep (10000);
    }
  start (f);
}

static void
test_log_is_bounded (void)
{
  g_autofree char *folder = g_dir_make_tmp ("twinlatch-log-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "x.log", NULL);
  g_autofree char *older = g_strconcat (path, ".1", NULL);
  TlLogFile *log = tl_log_file_open (path, 1000, NULL);
  GStatBuf info;

  for (guint i = 0; i < 1000; i++)
    {
      g_autofree char *line = g_strdup_printf ("line %u\n", i);

      tl_log_file_write (log, line, strlen (line));
      g_assert_cmpint (g_stat (path, &info), ==, 0);
      g_assert_cmpint (info.st_size, <=, 1000);
      g_assert_cmpint (info.st_mode & 0777, ==, 0600);
    }
  tl_log_file_print (log, "%s", "the last word");
  tl_log_file_close (log);
  g_assert_cmpint (g_stat (older, &info), ==, 0);
  g_assert_cmpint (info.st_size, <=, 1000);
  log = tl_log_file_open (path, 1000, NULL); /* goes on where it ended */
  tl_log_file_write (log, "again\n", 6);
  tl_log_file_close (log);
  {
    g_autofree char *text = NULL;

    g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
    g_assert_nonnull (strstr (text, "the last word\nagain\n"));
  }
  g_unlink (path);
  g_unlink (older);
  g_rmdir (folder);
  g_assert_null (tl_log_file_open ("/nonexistent/x.log", 1000, NULL));
}

static void
test_final (void)
{
  g_assert_true (tl_supervisor_is_final (TL_EXIT_OK));
  g_assert_true (tl_supervisor_is_final (TL_EXIT_USAGE));
  g_assert_true (tl_supervisor_is_final (TL_EXIT_NOT_PAIRED));
  g_assert_true (tl_supervisor_is_final (TL_EXIT_CONFIG));
  g_assert_false (tl_supervisor_is_final (TL_EXIT_FAILURE));
  g_assert_false (tl_supervisor_is_final (TL_EXIT_UNREACHABLE));
  g_assert_false (tl_supervisor_is_final (127));
}

#define ADD(name, script, func) g_test_add ("/cli/supervisor/" name, Fixture, script, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("starts-again", "echo I am here; exit 1", test_starts_again);
  ADD ("a-killed-program", "kill -9 $$", test_a_killed_program);
  ADD ("gives-up", "exit 11", test_gives_up);
  ADD ("only-one", "exec sleep 1000", test_only_one);
  ADD ("stops-both", "trap 'echo good bye; exit 0' TERM; echo pid=$$; while :; do sleep 0.05; done", test_stops_both);
  ADD ("killed-supervisor", "echo pid=$$; exec sleep 1000", test_killed_supervisor);
  g_test_add_func ("/cli/supervisor/log-is-bounded", test_log_is_bounded);
  g_test_add_func ("/cli/supervisor/final", test_final);
  return g_test_run ();
}
