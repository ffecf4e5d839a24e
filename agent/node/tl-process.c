/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"

#define READ_CHUNK 65536

typedef struct
{
  TlCapabilityCall *call;
  TlProcessResult *result;
  gsize max_output;
  GPid pid;
  int pidfd;
  int output, errors; /* our ends of its pipes; -1 at their end */
  gint64 deadline_us; /* monotonic; 0: none */
  gint64 kill_us;     /* SIGTERM was sent: when SIGKILL follows; 0: not yet */
  gboolean cancelled, timed_out;
} Running;

void
tl_process_result_clear (TlProcessResult *result)
{
  g_clear_pointer (&result->output, g_byte_array_unref);
  g_clear_pointer (&result->errors, g_byte_array_unref);
}

static void
close_fd (int *fd)
{
  if (*fd >= 0)
    close (*fd);
  *fd = -1;
}

/* Between fork and exec: async-signal-safe calls only. */
static void
prepare_child (gpointer parent)
{
  sigset_t none;

  setsid ();
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  if (getppid () != GPOINTER_TO_INT (parent)) /* it ended before the line above */
    _exit (127);
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL); /* a worker's mask is not the program's */
  signal (SIGPIPE, SIG_DFL);
}

static char **
make_environment (void)
{
  char **environment = g_new0 (char *, 6);

  environment[0] = g_strdup ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  environment[1] = g_strdup ("LANG=C.UTF-8");
  environment[2] = g_strconcat ("HOME=", g_get_home_dir (), NULL);
  environment[3] = g_strconcat ("USER=", g_get_user_name (), NULL);
  environment[4] = g_strconcat ("LOGNAME=", g_get_user_name (), NULL);
  return environment;
}

/* A file, not a pipe: nothing to feed while it runs, no SIGPIPE when it does not read. */
static int
make_input (const char *input, GError **error)
{
  gsize length = strlen (input), done = 0;
  int fd = memfd_create ("twinlatch-stdin", MFD_CLOEXEC);

  while (fd >= 0 && done < length)
    {
      ssize_t n = write (fd, input + done, length - done);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        close_fd (&fd);
      else
        done += (gsize)n;
    }
  if (fd < 0 || lseek (fd, 0, SEEK_SET) < 0)
    {
      tl_error_set_errno (error, errno, "cannot keep the program's standard input");
      close_fd (&fd);
    }
  return fd;
}

static void
set_spawn_error (const GError *problem, const char *path, GError **error)
{
  TlErrorCode code = g_error_matches (problem, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT)     ? TL_ERROR_NOT_FOUND
                     : g_error_matches (problem, G_SPAWN_ERROR, G_SPAWN_ERROR_ACCES)   ? TL_ERROR_PERMISSION_DENIED
                     : g_error_matches (problem, G_SPAWN_ERROR, G_SPAWN_ERROR_TOO_BIG) ? TL_ERROR_RESOURCE_EXHAUSTED
                                                                                       : TL_ERROR_IO;

  g_set_error (error, TL_ERROR, code, "cannot start %s: %s", path, problem->message);
}

static gboolean
start (Running *running, const TlProcessOptions *options, GError **error)
{
  g_auto (GStrv) environment = make_environment ();
  g_autoptr (GError) problem = NULL;
  int input = make_input (options->input, error);
  gboolean started;

  if (input < 0)
    return FALSE;
  started = g_spawn_async_with_pipes_and_fds (options->directory, options->argv, (const char *const *)environment,
                                              G_SPAWN_DO_NOT_REAP_CHILD, prepare_child, GINT_TO_POINTER (getpid ()),
                                              input, -1, -1, NULL, NULL, 0, &running->pid, NULL, &running->output,
                                              &running->errors, &problem);
  close (input);
  if (!started)
    {
      set_spawn_error (problem, options->argv[0], error);
      return FALSE;
    }
  running->pidfd = pidfd_open (running->pid, 0);
  if (running->pidfd < 0)
    {
      tl_error_set_errno (error, errno, "cannot watch %s", options->argv[0]);
      kill (-running->pid, SIGKILL);
      waitpid (running->pid, NULL, 0);
      return FALSE;
    }
  fcntl (running->output, F_SETFL, O_NONBLOCK);
  fcntl (running->errors, F_SETFL, O_NONBLOCK);
  return TRUE;
}

/* Takes what is there; what is above the limit is read all the same, or the program would wait for ever. */
static void
take_output (int *fd, GByteArray *bytes, gsize max, gboolean *truncated)
{
  guint8 chunk[READ_CHUNK];

  while (*fd >= 0)
    {
      ssize_t n = read (*fd, chunk, sizeof chunk);
      gsize room = max - bytes->len;

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0 && errno == EAGAIN)
        return;
      if (n <= 0)
        {
          close_fd (fd);
          return;
        }
      *truncated = *truncated || (gsize)n > room;
      g_byte_array_append (bytes, chunk, (guint)MIN ((gsize)n, room));
    }
}

static void
take_all (Running *running)
{
  TlProcessResult *result = running->result;

  take_output (&running->output, result->output, running->max_output, &result->output_truncated);
  take_output (&running->errors, result->errors, running->max_output, &result->errors_truncated);
}

/* Its end is asked for once, and made sure of later. */
static void
check_end (Running *running)
{
  gint64 now = g_get_monotonic_time ();

  if (running->kill_us > 0)
    {
      if (now >= running->kill_us)
        kill (-running->pid, SIGKILL);
      return;
    }
  running->cancelled = tl_capability_call_is_cancelled (running->call);
  running->timed_out = !running->cancelled && running->deadline_us > 0 && now >= running->deadline_us;
  if (!running->cancelled && !running->timed_out)
    return;
  kill (-running->pid, SIGTERM);
  running->kill_us = now + TL_PROCESS_TERM_MS * 1000;
}

static int
wait_ms (const Running *running)
{
  gint64 until = running->kill_us > 0 ? running->kill_us : running->deadline_us;
  gint64 left = until - g_get_monotonic_time ();

  if (until == 0)
    return -1;
  return (int)CLAMP (left / 1000 + 1, 0, 60000);
}

static void
wait_for_end (Running *running)
{
  gboolean ended = FALSE;

  while (!ended)
    {
      struct pollfd fds[] = {
        { .fd = running->output, .events = POLLIN },
        { .fd = running->errors, .events = POLLIN },
        { .fd = running->pidfd, .events = POLLIN },
        { .fd = running->kill_us > 0 ? -1 : tl_capability_call_fd (running->call), .events = POLLIN },
      };

      if (poll (fds, G_N_ELEMENTS (fds), wait_ms (running)) < 0 && errno != EINTR)
        break;
      take_all (running);
      check_end (running);
      ended = (fds[2].revents & POLLIN) != 0;
    }
}

/* The leader is a zombie still, so that its group's number cannot be another's: what it left behind goes with it. */
static void
reap (Running *running)
{
  int status = 0;

  kill (-running->pid, SIGKILL);
  take_all (running);
  while (waitpid (running->pid, &status, 0) < 0 && errno == EINTR)
    continue;
  running->result->exit_status = WIFEXITED (status) ? WEXITSTATUS (status) : -1;
  running->result->signal = WIFSIGNALED (status) ? WTERMSIG (status) : 0;
}

gboolean
tl_process_run (const TlProcessOptions *options, TlCapabilityCall *call, TlProcessResult *result, GError **error)
{
  g_auto (TlProcessResult) done = { .output = g_byte_array_new (), .errors = g_byte_array_new () };
  Running running = { .call = call, .result = &done, .output = -1, .errors = -1, .pidfd = -1 };
  gboolean ok = FALSE;

  running.max_output = options->max_output;
  if (options->timeout_ms > 0)
    running.deadline_us = g_get_monotonic_time () + options->timeout_ms * 1000;
  if (start (&running, options, error))
    {
      wait_for_end (&running);
      reap (&running);
      if (running.cancelled)
        g_set_error (error, TL_ERROR, TL_ERROR_CANCELLED, "%s was ended", options->argv[0]);
      else if (running.timed_out)
        g_set_error (error, TL_ERROR, TL_ERROR_TIMED_OUT, "%s did not end within its time", options->argv[0]);
      else
        ok = TRUE;
    }
  close_fd (&running.output);
  close_fd (&running.errors);
  close_fd (&running.pidfd);
  if (ok)
    {
      *result = done;
      memset (&done, 0, sizeof done);
    }
  return ok;
}
