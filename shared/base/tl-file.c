/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"

#define READ_CHUNK ((gsize)64 * 1024)

static TlErrorCode
code_from_errno (int saved_errno)
{
  switch (saved_errno)
    {
    case ENOENT:
      return TL_ERROR_NOT_FOUND;
    case EROFS:
    case ENOSPC:
    case EDQUOT:
      return TL_ERROR_READ_ONLY;
    case EACCES:
    case EPERM:
      return TL_ERROR_PERMISSION_DENIED;
    case EADDRINUSE:
      return TL_ERROR_IN_USE;
    default:
      return TL_ERROR_IO;
    }
}

void
tl_error_set_errno (GError **error, int saved_errno, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, TL_ERROR, (int)code_from_errno (saved_errno), "%s: %s", message, g_strerror (saved_errno));
}

/* A rename or unlink is on disk only when the directory is. */
static gboolean
sync_parent (const char *path, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (path);
  int fd = open (parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;
  int saved_errno = errno;

  if (fd >= 0)
    close (fd);
  /* Some file systems cannot sync directories; they say so with EINVAL and order renames themselves. */
  if (!ok && saved_errno != EINVAL)
    {
      tl_error_set_errno (error, saved_errno, "cannot sync the directory %s", parent);
      return FALSE;
    }
  return TRUE;
}

static gboolean
write_fully (int fd, const guint8 *data, gsize length)
{
  while (length > 0)
    {
      ssize_t n = write (fd, data, length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return FALSE;
      data += n;
      length -= (gsize)n;
    }
  return TRUE;
}

gboolean
tl_file_write_atomic (const char *path, const void *data, gsize length, mode_t mode, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (path);
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *temporary = g_strdup_printf ("%s/.%s.XXXXXX", parent, name);
  gboolean ok;
  int saved_errno;
  int fd = g_mkstemp_full (temporary, O_RDWR | O_CLOEXEC, 0600);

  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot write %s", path);
      return FALSE;
    }
  ok = fchmod (fd, mode) == 0 && write_fully (fd, data, length) && fsync (fd) == 0;
  saved_errno = errno;
  /* A network file system may report the failed write only here. */
  if (close (fd) != 0 && ok)
    {
      ok = FALSE;
      saved_errno = errno;
    }
  if (ok && rename (temporary, path) != 0)
    {
      ok = FALSE;
      saved_errno = errno;
    }
  if (!ok)
    {
      unlink (temporary);
      tl_error_set_errno (error, saved_errno, "cannot write %s", path);
      return FALSE;
    }
  return sync_parent (path, error);
}

static GBytes *
read_fd (int fd, const char *path, gsize max_bytes, GError **error)
{
  g_autoptr (GByteArray) content = g_byte_array_new ();
  struct stat info;
  gsize used = 0;

  if (fstat (fd, &info) != 0)
    {
      tl_error_set_errno (error, errno, "cannot read %s", path);
      return NULL;
    }
  if (!S_ISREG (info.st_mode))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot read %s: not a regular file", path);
      return NULL;
    }
  for (;;)
    {
      ssize_t n;

      /* st_size is not trusted: the file may grow while it is read. */
      if (used > max_bytes || (used == 0 && (guint64)info.st_size > max_bytes))
        {
          g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, "%s is larger than %" G_GSIZE_FORMAT " bytes",
                       path, max_bytes);
          return NULL;
        }
      g_byte_array_set_size (content, (guint)(used + READ_CHUNK));
      n = read (fd, content->data + used, READ_CHUNK);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          tl_error_set_errno (error, errno, "cannot read %s", path);
          return NULL;
        }
      used += (gsize)n;
      if (n == 0)
        break;
    }
  g_byte_array_set_size (content, (guint)used);
  return g_byte_array_free_to_bytes (g_steal_pointer (&content));
}

GBytes *
tl_file_read (const char *path, gsize max_bytes, GError **error)
{
  GBytes *content;
  int fd;

  g_assert (max_bytes <= G_MAXUINT / 2);

  fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* NONBLOCK: a FIFO in its place would hang us */
  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot read %s", path);
      return NULL;
    }
  content = read_fd (fd, path, max_bytes, error);
  close (fd);
  return content;
}

static gboolean
check_directory (const char *path, GError **error)
{
  struct stat info;

  if (stat (path, &info) != 0)
    {
      tl_error_set_errno (error, errno, "cannot use the directory %s", path);
      return FALSE;
    }
  if (!S_ISDIR (info.st_mode))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "%s is not a directory", path);
      return FALSE;
    }
  if ((info.st_mode & S_IWOTH) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                   "the directory %s can be written by everybody: run chmod o-w on it", path);
      return FALSE;
    }
  /* Root tools work on the service user's directory; nobody else should use another user's. */
  if (geteuid () != 0 && info.st_uid != geteuid () && info.st_uid != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED, "the directory %s belongs to another user", path);
      return FALSE;
    }
  return TRUE;
}

static gboolean
make_directory (const char *path, mode_t mode, GError **error)
{
  if (mkdir (path, mode) == 0)
    {
      if (chmod (path, mode) != 0) /* the umask must not decide */
        {
          tl_error_set_errno (error, errno, "cannot set the mode of %s", path);
          return FALSE;
        }
      return sync_parent (path, error);
    }
  if (errno != EEXIST)
    {
      tl_error_set_errno (error, errno, "cannot create the directory %s", path);
      return FALSE;
    }
  return TRUE;
}

gboolean
tl_dir_ensure (const char *path, mode_t mode, GError **error)
{
  g_autofree char *partial = g_strdup (path);

  for (char *p = partial + 1; partial[0] != '\0' && *p != '\0'; p++)
    {
      struct stat info;

      if (*p != '/')
        continue;
      *p = '\0';
      /* Existing parents are not touched: mkdir on "/" or a read-only parent need not say EEXIST. */
      if (stat (partial, &info) != 0 && !make_directory (partial, mode, error))
        return FALSE;
      *p = '/';
    }
  return make_directory (partial, mode, error) && check_directory (path, error);
}

gboolean
tl_file_remove (const char *path, GError **error)
{
  if (unlink (path) != 0)
    {
      if (errno == ENOENT)
        return TRUE;
      tl_error_set_errno (error, errno, "cannot remove %s", path);
      return FALSE;
    }
  return sync_parent (path, error);
}
