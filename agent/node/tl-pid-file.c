/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-pid-file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"

#define MAX_PID_BYTES  64
#define START_FIELD    22 /* of /proc/PID/stat, proc(5) */
#define ACQUIRE_ROUNDS 10 /* the file may be removed by its last holder between opening and locking */

struct _TlPidFile
{
  int fd;
  char *path;
};

guint64
tl_pid_file_start_ticks (gint64 pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%" G_GINT64_FORMAT "/stat", pid);
  g_autofree char *text = NULL;
  const char *at;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return 0;
  at = strrchr (text, ')'); /* the name in front may hold anything */
  for (int field = 2; at != NULL && field < START_FIELD; field++)
    at = strchr (at + 1, ' ');
  return at != NULL ? g_ascii_strtoull (at + 1, NULL, 10) : 0;
}

/* What the file says, "PID TICKS\n"; FALSE for anything else. */
static gboolean
read_file (int fd, gint64 *pid, guint64 *ticks)
{
  char text[MAX_PID_BYTES + 1];
  ssize_t n = pread (fd, text, MAX_PID_BYTES, 0);
  char *end;

  if (n <= 0)
    return FALSE;
  text[n] = '\0';
  *pid = g_ascii_strtoll (text, &end, 10);
  if (*pid <= 1 || *end != ' ')
    return FALSE;
  *ticks = g_ascii_strtoull (end + 1, &end, 10);
  return *ticks != 0 && *end == '\n';
}

static void
set_in_use (int fd, const char *path, GError **error)
{
  gint64 pid = 0;
  guint64 ticks;

  if (read_file (fd, &pid, &ticks))
    g_set_error (error, TL_ERROR, TL_ERROR_IN_USE, "it runs already, as pid %" G_GINT64_FORMAT " (%s)", pid, path);
  else
    g_set_error (error, TL_ERROR, TL_ERROR_IN_USE, "another process holds %s", path);
}

/* Locked, and still the file at that path; -1 without an error: try again. */
static int
open_locked (const char *path, GError **error)
{
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  struct stat mine, there;

  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot open %s", path);
      return -1;
    }
  if (flock (fd, LOCK_EX | LOCK_NB) != 0)
    {
      if (errno == EWOULDBLOCK)
        set_in_use (fd, path, error);
      else
        tl_error_set_errno (error, errno, "cannot lock %s", path);
      close (fd);
      return -1;
    }
  if (fstat (fd, &mine) == 0 && stat (path, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
    return fd;
  close (fd);
  return -1;
}

TlPidFile *
tl_pid_file_acquire (const char *path, GError **error)
{
  g_autoptr (GError) problem = NULL;
  TlPidFile *file;
  char text[MAX_PID_BYTES];
  int length, fd = -1;

  for (int i = 0; i < ACQUIRE_ROUNDS && fd < 0 && problem == NULL; i++)
    fd = open_locked (path, &problem);
  if (fd < 0)
    {
      if (problem != NULL)
        g_propagate_error (error, g_steal_pointer (&problem));
      else
        g_set_error (error, TL_ERROR, TL_ERROR_IN_USE, "%s is removed again and again", path);
      return NULL;
    }
  length = g_snprintf (text, sizeof text, "%d %" G_GUINT64_FORMAT "\n", (int)getpid (),
                       tl_pid_file_start_ticks (getpid ()));
  if (ftruncate (fd, 0) != 0 || pwrite (fd, text, (size_t)length, 0) != length)
    {
      tl_error_set_errno (error, errno, "cannot write %s", path);
      close (fd);
      return NULL;
    }
  file = g_new0 (TlPidFile, 1);
  file->fd = fd;
  file->path = g_strdup (path);
  return file;
}

void
tl_pid_file_release (TlPidFile *file)
{
  if (file == NULL)
    return;
  unlink (file->path);
  close (file->fd);
  g_free (file->path);
  g_free (file);
}

int
tl_pid_file_open_holder (const char *path, gint64 *pid, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  gint64 found = 0;
  guint64 ticks = 0;
  int pidfd = -1;

  if (fd < 0 && errno != ENOENT)
    {
      tl_error_set_errno (error, errno, "cannot open %s", path);
      return -1;
    }
  /* A shared lock that can be had: the owner is dead, whatever has its pid now. */
  if (fd >= 0 && flock (fd, LOCK_SH | LOCK_NB) != 0 && read_file (fd, &found, &ticks))
    pidfd = pidfd_open ((pid_t)found, 0);
  if (fd >= 0)
    close (fd);
  if (pidfd >= 0 && tl_pid_file_start_ticks (found) != ticks)
    {
      close (pidfd);
      pidfd = -1;
    }
  if (pidfd < 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "nothing runs (%s)", path);
      return -1;
    }
  *pid = found;
  return pidfd;
}

gboolean
tl_pid_file_signal (int pidfd, int number, GError **error)
{
  if (pidfd_send_signal (pidfd, number, NULL, 0) == 0 || errno == ESRCH)
    return TRUE;
  tl_error_set_errno (error, errno, "cannot signal the process");
  return FALSE;
}

gboolean
tl_pid_file_wait_end (int pidfd, int timeout_ms)
{
  struct pollfd item = { .fd = pidfd, .events = POLLIN };
  gint64 end = g_get_monotonic_time () + (gint64)timeout_ms * 1000;

  for (;;)
    {
      gint64 left = (end - g_get_monotonic_time ()) / 1000;
      int n = poll (&item, 1, (int)CLAMP (left, 0, G_MAXINT));

      if (n > 0)
        return TRUE;
      if (n == 0 || errno != EINTR)
        return FALSE;
    }
}
