/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-fs-root.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"

#define RETRIES 32 /* EAGAIN: something was renamed while the kernel walked */

struct _TlFsRoot
{
  char *name;
  char *path;
  int fd; /* O_PATH */
};

typedef int Descriptor;

static void
descriptor_close (Descriptor *fd)
{
  if (*fd >= 0)
    close (*fd);
}

#define auto_descriptor __attribute__ ((cleanup (descriptor_close))) Descriptor

/* glibc has no wrapper. */
static int
open_beneath (int root, const char *path, guint64 flags)
{
  struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
  long fd = -1;

  for (guint i = 0; i < RETRIES; i++)
    {
      fd = syscall (SYS_openat2, root, path, &how, sizeof how);
      if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
        break;
    }
  return (int)fd;
}

gboolean
tl_fs_root_is_supported (void)
{
  auto_descriptor fd = open_beneath (AT_FDCWD, ".", O_PATH);

  /* Containers answer EPERM or ENOSYS for system calls that they do not know; an unreadable "." is another matter. */
  return fd >= 0 || (errno != ENOSYS && errno != EPERM);
}

TlFsRoot *
tl_fs_root_new (const char *name, const char *path, GError **error)
{
  auto_descriptor fd = open (path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  TlFsRoot *root;

  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "root %s: cannot open directory %s", name, path);
      return NULL;
    }
  if (!tl_fs_root_is_supported ())
    {
      g_set_error (error, TL_ERROR, TL_ERROR_UNSUPPORTED, "this kernel or container has no openat2 (Linux 5.6)");
      return NULL;
    }
  root = g_new0 (TlFsRoot, 1);
  root->name = g_strdup (name);
  root->path = g_strdup (path);
  root->fd = g_steal_fd (&fd);
  return root;
}

void
tl_fs_root_free (TlFsRoot *root)
{
  if (root == NULL)
    return;
  close (root->fd);
  g_free (root->name);
  g_free (root->path);
  g_free (root);
}

const char *
tl_fs_root_name (const TlFsRoot *root)
{
  return root->name;
}

const char *
tl_fs_root_path (const TlFsRoot *root)
{
  return root->path;
}

gboolean
tl_fs_root_is_in_place (const TlFsRoot *root)
{
  struct stat held, named;

  return fstat (root->fd, &held) == 0 && stat (root->path, &named) == 0 && held.st_dev == named.st_dev
         && held.st_ino == named.st_ino;
}

/* A descriptor that only names the thing (O_PATH): opening it touches no driver and waits for no writer. */
static int
look (const TlFsRoot *root, const char *path, int flags, struct stat *info, GError **error)
{
  auto_descriptor fd = -1;

  if (strlen (path) > TL_FS_PATH_MAX)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the path is longer than %d bytes", TL_FS_PATH_MAX);
      return -1;
    }
  fd = open_beneath (root->fd, *path != '\0' ? path : ".", O_PATH | flags);
  if (fd < 0 && (errno == EXDEV || errno == ELOOP))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED, "\"%s\" leads out of root %s%s", path, root->name,
                   errno == ELOOP ? ", or through too many links" : "");
      return -1;
    }
  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot open \"%s\" in root %s", path, root->name);
      return -1;
    }
  if (fstat (fd, info) < 0)
    {
      tl_error_set_errno (error, errno, "cannot look at \"%s\" in root %s", path, root->name);
      return -1;
    }
  return g_steal_fd (&fd);
}

/* The same file, not the same path: what was looked at is what is opened, whatever happened to the name in between. */
static int
reopen (int fd, int flags)
{
  char link[64];

  g_snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
  return open (link, flags | O_CLOEXEC | O_NOCTTY);
}

gboolean
tl_fs_root_stat (const TlFsRoot *root, const char *path, struct stat *info, GError **error)
{
  struct stat found;
  auto_descriptor fd = look (root, path, O_NOFOLLOW, &found, error);

  if (fd < 0)
    return FALSE;
  *info = found;
  return TRUE;
}

int
tl_fs_root_open_file (const TlFsRoot *root, const char *path, struct stat *info, GError **error)
{
  struct stat found;
  auto_descriptor seen = look (root, path, 0, &found, error);
  int fd;

  if (seen < 0)
    return -1;
  if (!S_ISREG (found.st_mode))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "\"%s\" in root %s is not a regular file", path,
                   root->name);
      return -1;
    }
  fd = reopen (seen, O_RDONLY | O_NONBLOCK);
  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot open \"%s\" in root %s", path, root->name);
      return -1;
    }
  *info = found;
  return fd;
}

DIR *
tl_fs_root_open_directory (const TlFsRoot *root, const char *path, GError **error)
{
  struct stat info;
  auto_descriptor seen = look (root, path, 0, &info, error);
  auto_descriptor fd = -1;
  DIR *dir;

  if (seen < 0)
    return NULL;
  if (!S_ISDIR (info.st_mode))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "\"%s\" in root %s is not a directory", path,
                   root->name);
      return NULL;
    }
  fd = reopen (seen, O_RDONLY | O_DIRECTORY);
  dir = fd >= 0 ? fdopendir (fd) : NULL;
  if (dir == NULL)
    {
      tl_error_set_errno (error, errno, "cannot list \"%s\" in root %s", path, root->name);
      return NULL;
    }
  fd = -1; /* the DIR's now */
  return dir;
}
