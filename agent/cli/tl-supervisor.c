/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cli/tl-log-file.h"
#include "agent/node/tl-pid-file.h"
#include "agent/node/tl-reconnect.h"
#include "base/tl-error.h"
#include "base/tl-file.h"

#define STOP_GRACE_MS   15000 /* then SIGKILL; the node itself takes at most 5 s */
#define MAX_REPORT      512
#define REPORT_STARTED  "ok"
#define EXIT_NO_PROGRAM 127

typedef struct
{
  const TlSupervisorOptions *options;
  TlLogFile *log;
  TlReconnect *reconnect;
  int signals;          /* signalfd */
  int output;           /* read end of the program's pipe, -1 while none runs */
  pid_t child;          /* 0 while none runs */
  gint64 restart_at_us; /* monotonic; 0: none is planned */
  gint64 kill_at_us;    /* the same, for a program that does not end */
  gboolean stopping;
} Supervisor;

gboolean
tl_supervisor_is_final (int exit_status)
{
  return exit_status == TL_EXIT_OK || exit_status == TL_EXIT_USAGE || exit_status == TL_EXIT_NOT_FOUND
         || exit_status == TL_EXIT_STATE || exit_status == TL_EXIT_CONFIG || exit_status == TL_EXIT_NOT_PAIRED;
}

/* ---- the program ----------------------------------------------------------------------------------------------- */

static void
become_program (Supervisor *self, int output, pid_t supervisor)
{
  int null = open ("/dev/null", O_RDONLY);
  sigset_t none;

  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
  prctl (PR_SET_PDEATHSIG, SIGTERM);
  if (getppid () != supervisor) /* it died before the line above */
    _exit (EXIT_NO_PROGRAM);
  dup2 (null, STDIN_FILENO);
  dup2 (output, STDOUT_FILENO);
  dup2 (output, STDERR_FILENO);
  execv (self->options->argv[0], (char *const *)self->options->argv);
  _exit (EXIT_NO_PROGRAM);
}

static void
start_program (Supervisor *self)
{
  pid_t me = getpid ();
  int ends[2];

  self->restart_at_us = 0;
  if (pipe2 (ends, O_CLOEXEC) != 0)
    {
      self->restart_at_us = g_get_monotonic_time () + tl_reconnect_next (self->reconnect, FALSE) * 1000;
      return;
    }
  fcntl (ends[0], F_SETFL, O_NONBLOCK);
  self->child = fork ();
  if (self->child == 0)
    become_program (self, ends[1], me);
  close (ends[1]);
  self->output = ends[0];
  if (self->child > 0)
    {
      tl_log_file_print (self->log, "started %s as pid %d", self->options->argv[0], (int)self->child);
      tl_reconnect_connected (self->reconnect, g_get_monotonic_time ());
      return;
    }
  self->child = 0;
  close (ends[0]);
  self->output = -1;
  self->restart_at_us = g_get_monotonic_time () + tl_reconnect_next (self->reconnect, FALSE) * 1000;
}

static void
copy_output (Supervisor *self)
{
  char data[8192];
  ssize_t n;

  while (self->output >= 0 && (n = read (self->output, data, sizeof data)) != 0)
    {
      if (n < 0)
        return; /* nothing now */
      tl_log_file_write (self->log, data, (gsize)n);
    }
}

static void
on_ended (Supervisor *self, int status)
{
  int code = WIFEXITED (status) ? WEXITSTATUS (status) : -1;
  gint64 now_us = g_get_monotonic_time (), wait_ms;

  copy_output (self);
  close (self->output);
  self->output = -1;
  self->child = 0;
  self->kill_at_us = 0;
  if (code >= 0)
    tl_log_file_print (self->log, "the node ended with status %d", code);
  else
    tl_log_file_print (self->log, "the node was ended by signal %d", WTERMSIG (status));
  if (self->stopping || (code >= 0 && tl_supervisor_is_final (code)))
    {
      if (!self->stopping && code != TL_EXIT_OK)
        tl_log_file_print (self->log, "not started again: somebody has to look first");
      self->stopping = TRUE;
      return;
    }
  tl_reconnect_lost (self->reconnect, now_us);
  wait_ms = tl_reconnect_next (self->reconnect, FALSE);
  self->restart_at_us = now_us + wait_ms * 1000;
  tl_log_file_print (self->log, "starting it again in %lld ms", (long long)wait_ms);
}

static void
reap (Supervisor *self)
{
  int status;
  pid_t pid;

  while ((pid = waitpid (-1, &status, WNOHANG)) > 0)
    if (pid == self->child)
      on_ended (self, status);
}

static void
stop_program (Supervisor *self)
{
  if (self->stopping)
    return;
  self->stopping = TRUE;
  self->restart_at_us = 0;
  if (self->child == 0)
    return;
  kill (self->child, SIGTERM); /* our own child: its pid is ours until it is reaped */
  self->kill_at_us = g_get_monotonic_time () + (gint64)STOP_GRACE_MS * 1000;
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

static int
wait_ms (Supervisor *self)
{
  gint64 at = self->restart_at_us > 0 ? self->restart_at_us : self->kill_at_us;
  gint64 left = at - g_get_monotonic_time ();

  if (at == 0)
    return -1;
  return left > 0 ? (int)(left / 1000) + 1 : 0;
}

static void
look_at_signals (Supervisor *self)
{
  struct signalfd_siginfo info;

  while (read (self->signals, &info, sizeof info) == sizeof info)
    {
      if (info.ssi_signo == SIGCHLD)
        reap (self);
      else
        stop_program (self);
    }
}

static void
supervise (Supervisor *self)
{
  while (!self->stopping || self->child != 0)
    {
      struct pollfd items[2] = { { .fd = self->signals, .events = POLLIN }, { .fd = self->output, .events = POLLIN } };
      gint64 now_us;

      if (poll (items, 2, wait_ms (self)) < 0 && errno != EINTR)
        break;
      if (items[1].revents != 0)
        {
          copy_output (self);
          if ((items[1].revents & POLLIN) == 0 && self->child != 0) /* it closed its output; the end comes as SIGCHLD */
            {
              close (self->output);
              self->output = -1;
            }
        }
      look_at_signals (self);
      now_us = g_get_monotonic_time ();
      if (self->kill_at_us > 0 && now_us >= self->kill_at_us)
        {
          kill (self->child, SIGKILL);
          self->kill_at_us = 0;
        }
      if (self->restart_at_us > 0 && now_us >= self->restart_at_us)
        start_program (self);
    }
}

static int
watch_signals (void)
{
  sigset_t set;

  sigemptyset (&set);
  sigaddset (&set, SIGTERM);
  sigaddset (&set, SIGINT);
  sigaddset (&set, SIGHUP);
  sigaddset (&set, SIGCHLD);
  sigprocmask (SIG_SETMASK, &set, NULL);
  signal (SIGPIPE, SIG_IGN);
  return signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ---- detaching ------------------------------------------------------------------------------------------------- */

/* Nothing of the caller's stays open, but where to report: who reads the caller's output would wait for our end. */
static void
detach_files (int keep)
{
  int null;

  close_range (STDERR_FILENO + 1, (unsigned)keep - 1, 0);
  close_range ((unsigned)keep + 1, ~0u, 0);
  null = open ("/dev/null", O_RDWR | O_CLOEXEC);
  dup2 (null, STDIN_FILENO);
  dup2 (null, STDOUT_FILENO);
  dup2 (null, STDERR_FILENO);
  if (null > STDERR_FILENO)
    close (null);
}

static void
report (int fd, const char *text)
{
  ssize_t written = write (fd, text, strlen (text));

  (void)written; /* who asked may be gone */
  close (fd);
}

/* Never returns: the detached process. */
static void
run_supervisor (const TlSupervisorOptions *options, int report_fd)
{
  g_autoptr (GError) error = NULL;
  Supervisor self = { .options = options, .output = -1 };
  TlPidFile *pid_file;

  detach_files (report_fd);
  (void)!chdir ("/");
  self.signals = watch_signals ();
  pid_file = tl_pid_file_acquire (options->pid_file, &error);
  if (pid_file != NULL)
    self.log = tl_log_file_open (options->log_file, TL_SUPERVISOR_LOG_LIMIT, &error);
  if (self.log == NULL)
    {
      g_autofree char *line = g_strdup_printf ("%d %s", error->code, error->message);

      report (report_fd, line);
      tl_pid_file_release (pid_file);
      _exit (EXIT_FAILURE);
    }
  self.reconnect = tl_reconnect_new (options->restart_max_ms, tl_random_system ());
  start_program (&self);
  report (report_fd, REPORT_STARTED);
  supervise (&self);
  tl_log_file_print (self.log, "stopped");
  tl_pid_file_release (pid_file);
  _exit (EXIT_SUCCESS);
}

/* What the supervisor said; NULL when it died without a word. g_free() */
static char *
read_report (int fd)
{
  char text[MAX_REPORT + 1];
  gsize length = 0;
  ssize_t n;

  while (length < MAX_REPORT && (n = read (fd, text + length, MAX_REPORT - length)) != 0)
    {
      if (n < 0 && errno != EINTR)
        return NULL;
      length += n > 0 ? (gsize)n : 0;
    }
  text[length] = '\0';
  return length > 0 ? g_utf8_make_valid (text, (gssize)length) : NULL;
}

static gboolean
judge_report (const char *text, const TlSupervisorOptions *options, gint64 *pid, GError **error)
{
  char *message;
  gint64 code;
  int holder;

  if (text == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INTERNAL, "the background process died at its start; see %s",
                   options->log_file);
      return FALSE;
    }
  if (!g_str_equal (text, REPORT_STARTED))
    {
      code = g_ascii_strtoll (text, &message, 10);
      g_set_error_literal (error, TL_ERROR, (int)code, g_strchug (message));
      return FALSE;
    }
  holder = tl_pid_file_open_holder (options->pid_file, pid, error);
  if (holder < 0)
    {
      g_prefix_error (error, "the node ended right away, see %s: ", options->log_file);
      return FALSE;
    }
  close (holder);
  return TRUE;
}

gboolean
tl_supervisor_start (const TlSupervisorOptions *options, gint64 *pid, GError **error)
{
  g_autofree char *text = NULL;
  int ends[2];
  pid_t first;

  if (pipe2 (ends, O_CLOEXEC) != 0)
    {
      tl_error_set_errno (error, errno, "cannot make a pipe");
      return FALSE;
    }
  first = fork ();
  if (first == 0)
    {
      setsid ();
      if (fork () == 0) /* no session leader: it can never get a terminal */
        {
          close (ends[0]);
          run_supervisor (options, ends[1]);
        }
      _exit (EXIT_SUCCESS);
    }
  close (ends[1]);
  if (first > 0)
    {
      (void)waitpid (first, NULL, 0);
      text = read_report (ends[0]);
    }
  close (ends[0]);
  return judge_report (text, options, pid, error);
}
