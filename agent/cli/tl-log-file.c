/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-log-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-file.h"

struct _TlLogFile
{
  char *path;
  char *older;
  gsize limit;
  gsize size;
  int fd; /* -1: could not be opened again after a turn */
};

static int
open_file (TlLogFile *log)
{
  struct stat info;
  int fd = open (log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

  log->size = fd >= 0 && fstat (fd, &info) == 0 ? (gsize)info.st_size : 0;
  return fd;
}

TlLogFile *
tl_log_file_open (const char *path, gsize limit, GError **error)
{
  TlLogFile *log = g_new0 (TlLogFile, 1);

  log->path = g_strdup (path);
  log->older = g_strconcat (path, ".1", NULL);
  log->limit = limit;
  log->fd = open_file (log);
  if (log->fd >= 0)
    return log;
  tl_error_set_errno (error, errno, "cannot open %s", path);
  tl_log_file_close (log);
  return NULL;
}

void
tl_log_file_close (TlLogFile *log)
{
  if (log == NULL)
    return;
  if (log->fd >= 0)
    close (log->fd);
  g_free (log->path);
  g_free (log->older);
  g_free (log);
}

static void
turn (TlLogFile *log)
{
  if (log->fd >= 0)
    close (log->fd);
  (void)rename (log->path, log->older);
  log->fd = open_file (log);
}

void
tl_log_file_write (TlLogFile *log, const void *data, gsize length)
{
  const char *at = data;

  while (length > 0)
    {
      gsize part = MIN (length, log->limit);
      ssize_t n;

      if (log->fd < 0 || log->size + part > log->limit)
        turn (log);
      if (log->fd < 0)
        return;
      n = write (log->fd, at, part);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return;
      log->size += (gsize)n;
      at += n;
      length -= (gsize)n;
    }
}

void
tl_log_file_print (TlLogFile *log, const char *format, ...)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *time = g_date_time_format_iso8601 (now);
  g_autofree char *text = NULL;
  g_autofree char *line = NULL;
  va_list list;

  va_start (list, format);
  text = g_strdup_vprintf (format, list);
  va_end (list);
  line = g_strdup_printf ("%s supervisor %s\n", time, text);
  tl_log_file_write (log, line, strlen (line));
}
