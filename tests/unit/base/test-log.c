/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"

static int original_stderr = -1;

/* Sends stderr to a file; stop_capture() gives what came. */
static int
start_capture (void)
{
  int fd = open (g_get_tmp_dir (), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

  g_assert_cmpint (fd, >=, 0);
  original_stderr = dup (STDERR_FILENO);
  g_assert_cmpint (dup2 (fd, STDERR_FILENO), ==, STDERR_FILENO);
  return fd;
}

static char *
stop_capture (int fd)
{
  char *text = g_malloc0 (100000);

  g_assert_cmpint (dup2 (original_stderr, STDERR_FILENO), ==, STDERR_FILENO);
  close (original_stderr);
  g_assert_cmpint (pread (fd, text, 99999, 0), >=, 0);
  close (fd);
  return text;
}

/* Without the time in front. */
static void
assert_line (const char *text, const char *expected)
{
  const char *rest = strchr (text, ' ');

  g_assert_nonnull (rest);
  g_assert_cmpint (rest - text, ==, (gssize)strlen ("2026-11-21T10:00:00.000Z"));
  g_assert_cmpstr (rest + 1, ==, expected);
}

static void
test_line (void)
{
  int fd = start_capture ();
  g_autofree char *text = NULL;

  tl_log (TL_LOG_NOTICE, "device admitted", "device", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "skipped", NULL, "name", "my box",
          "empty", "", NULL);
  text = stop_capture (fd);
  assert_line (text, "notice device admitted device=01ARZ3NDEKTSV4RRFFQ69G5FAV name=\"my box\" empty=\"\"\n");
}

static void
test_injection (void)
{
  int fd = start_capture ();
  g_autofree char *text = NULL;

  tl_log (TL_LOG_WARNING, "odd\nmessage", "name",
          "x\n2026 error forged \"quoted\" \\ \x1b[31m\xff\xe2\x80\xa8\xe2\x80\xae", NULL);
  text = stop_capture (fd);
  assert_line (
      text,
      "warning odd\\nmessage name=\"x\\n2026 error forged \\\"quoted\\\" \\\\ \\u001b[31m\\xff\\u2028\\u202e\"\n");
}

static void
test_pair_cannot_be_forged (void)
{
  int fd = start_capture ();
  g_autofree char *text = NULL;

  tl_log (TL_LOG_INFO, "m", "name", "a role=operator", NULL);
  text = stop_capture (fd);
  assert_line (text, "info m name=\"a role=operator\"\n");
}

static void
test_level (void)
{
  int fd = start_capture ();
  g_autofree char *text = NULL;
  TlLogLevel level = TL_LOG_ERROR;

  tl_log (TL_LOG_DEBUG, "dropped", NULL);
  text = stop_capture (fd);
  g_assert_cmpstr (text, ==, "");
  g_assert_true (tl_log_level_parse ("debug", &level));
  g_assert_cmpint (level, ==, TL_LOG_DEBUG);
  g_assert_false (tl_log_level_parse ("loud", &level));
  g_assert_false (tl_log_level_parse (NULL, &level));
  g_assert_cmpint (level, ==, TL_LOG_DEBUG);
}

static void
test_cut (void)
{
  g_autofree char *large = g_strnfill (50000, 'x');
  int fd = start_capture ();
  g_autofree char *text = NULL;

  tl_log (TL_LOG_INFO, "m", "name", large, NULL);
  text = stop_capture (fd);
  g_assert_cmpuint (strlen (text), <, 4200);
  g_assert_true (g_str_has_suffix (text, "x...\n"));
}

static void
test_error (void)
{
  g_autoptr (GError) error = g_error_new (TL_ERROR, TL_ERROR_IN_USE, "the port is taken");
  int fd = start_capture ();
  g_autofree char *text = NULL;

  tl_log_error (TL_LOG_ERROR, "cannot listen", error);
  text = stop_capture (fd);
  assert_line (text, "error cannot listen: the port is taken reason=in_use\n");
}

static void
test_glib (void)
{
  int fd = start_capture ();
  g_autofree char *text = NULL;

  g_log_structured ("Somebody", G_LOG_LEVEL_MESSAGE, "MESSAGE", "two\nlines");
  text = stop_capture (fd);
  assert_line (text, "notice two\\nlines domain=Somebody\n");
}

/* A $JOURNAL_STREAM inherited by a program whose stderr was redirected must not send its lines away. */
static void
test_stale_journal_stream (void)
{
  int fd;
  g_autofree char *text = NULL;

  g_setenv ("JOURNAL_STREAM", "1:2", TRUE);
  tl_log_init ("test-log", TL_LOG_INFO);
  fd = start_capture ();
  tl_log (TL_LOG_INFO, "here", NULL);
  text = stop_capture (fd);
  assert_line (text, "info here\n");
  g_unsetenv ("JOURNAL_STREAM");
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_unsetenv ("JOURNAL_STREAM");
  tl_log_init ("test-log", TL_LOG_INFO);
  g_test_add_func ("/base/log/line", test_line);
  g_test_add_func ("/base/log/injection", test_injection);
  g_test_add_func ("/base/log/pair-cannot-be-forged", test_pair_cannot_be_forged);
  g_test_add_func ("/base/log/level", test_level);
  g_test_add_func ("/base/log/cut", test_cut);
  g_test_add_func ("/base/log/error", test_error);
  g_test_add_func ("/base/log/glib", test_glib);
  g_test_add_func ("/base/log/stale-journal-stream", test_stale_journal_stream);
  return g_test_run ();
}
