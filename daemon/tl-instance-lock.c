/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-instance-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"

#define LOCK_NAME "twinlatchd.lock"

struct _TlInstanceLock
{
  int fd;
};

static void
set_in_use (int fd, const char *directory, GError **error)
{
  char text[32] = "";
  ssize_t n = pread (fd, text, sizeof text - 1, 0);

  g_strstrip (text);
  g_set_error (error, TL_ERROR, TL_ERROR_IN_USE,
               "another twinlatchd (pid %s) runs on %s; stop it, or give this one a --state-dir of its own",
               n > 0 ? text : "unknown", directory);
}

TlInstanceLock *
tl_instance_lock_acquire (const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, LOCK_NAME, NULL);
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  TlInstanceLock *self;
  char text[32];
  int length;

  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot open %s", path);
      return NULL;
    }
  if (fcntl (fd, F_OFD_SETLK, &lock) != 0)
    {
      if (errno == EAGAIN || errno == EACCES)
        set_in_use (fd, directory, error);
      else
        tl_error_set_errno (error, errno, "cannot lock %s", path);
      close (fd);
      return NULL;
    }
  length = g_snprintf (text, sizeof text, "%d\n", (int)getpid ());
  if (ftruncate (fd, 0) != 0 || pwrite (fd, text, (size_t)length, 0) != length)
    {
      tl_error_set_errno (error, errno, "cannot write %s", path);
      close (fd);
      return NULL;
    }
  self = g_new0 (TlInstanceLock, 1);
  self->fd = fd;
  return self;
}

void
tl_instance_lock_release (TlInstanceLock *self)
{
  if (self == NULL)
    return;
  close (self->fd);
  g_free (self);
}
