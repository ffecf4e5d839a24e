/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tl-rpc-local.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-log.h"

#define BACKLOG      SOMAXCONN /* a full one looks like a broken connection to gRPC's client */
#define ACCEPT_BATCH 16
#define PAUSE_MS     1000 /* after accept() failed for want of descriptors */

struct _TlRpcLocal
{
  int fd;
  char *path;
  dev_t device;
  ino_t inode;
  GMainContext *context;
  GSource *source; /* the socket's, or the pause's */
  TlRpcLocalFunc func;
  gpointer user_data;
};

static gboolean
set_name (struct sockaddr_un *name, const char *path, GError **error)
{
  memset (name, 0, sizeof *name);
  name->sun_family = AF_UNIX;
  if (strlen (path) >= sizeof name->sun_path)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the socket path %s is longer than %zu bytes", path,
                   sizeof name->sun_path - 1);
      return FALSE;
    }
  strcpy (name->sun_path, path);
  return TRUE;
}

/* Somebody answers: in use. Nobody does: the file is a leftover and goes. */
static gboolean
clear_path (const char *path, const struct sockaddr_un *name, GError **error)
{
  struct stat status;
  int fd;
  int result;
  int saved;

  if (lstat (path, &status) != 0)
    return TRUE;
  if (!S_ISSOCK (status.st_mode))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IN_USE, "%s exists and is not a socket", path);
      return FALSE;
    }
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  result = fd < 0 ? -1 : connect (fd, (const struct sockaddr *)name, sizeof *name);
  saved = errno;
  if (fd >= 0)
    close (fd);
  if (result == 0 || saved == EAGAIN)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IN_USE, "another process is listening on %s", path);
      return FALSE;
    }
  if (saved != ECONNREFUSED && saved != ENOENT)
    {
      tl_error_set_errno (error, saved, "cannot tell who is behind %s", path);
      return FALSE;
    }
  if (unlink (path) != 0 && errno != ENOENT)
    {
      tl_error_set_errno (error, errno, "cannot remove the leftover socket %s", path);
      return FALSE;
    }
  return TRUE;
}

static gboolean
find_group (const char *group, gid_t *gid, GError **error)
{
  char buffer[16384];
  struct group entry;
  struct group *found = NULL;

  if (getgrnam_r (group, &entry, buffer, sizeof buffer, &found) != 0 || found == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "there is no group %s for the admin socket", group);
      return FALSE;
    }
  *gid = found->gr_gid;
  return TRUE;
}

/* Nobody can connect before listen(), so mode and group are right before anybody gets in. */
static gboolean
bind_path (TlRpcLocal *local, const struct sockaddr_un *name, mode_t mode, const char *group, GError **error)
{
  struct stat status;
  gid_t gid = (gid_t)-1;

  if (group != NULL && !find_group (group, &gid, error))
    return FALSE;
  local->fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (local->fd < 0 || bind (local->fd, (const struct sockaddr *)name, sizeof *name) != 0)
    {
      tl_error_set_errno (error, errno, "cannot make the socket %s", local->path);
      return FALSE;
    }
  if (lstat (local->path, &status) != 0)
    {
      tl_error_set_errno (error, errno, "cannot look at the socket %s", local->path);
      return FALSE;
    }
  local->device = status.st_dev;
  local->inode = status.st_ino;
  /* Not when it has that group already: a service that runs with it may be denied chown altogether (SystemCallFilter=).
   */
  if (gid == status.st_gid)
    gid = (gid_t)-1;
  if ((gid != (gid_t)-1 && lchown (local->path, (uid_t)-1, gid) != 0) || chmod (local->path, mode) != 0)
    {
      tl_error_set_errno (error, errno, "cannot set group and mode of %s", local->path);
      return FALSE;
    }
  return TRUE;
}

TlRpcLocal *
tl_rpc_local_new (const char *path, mode_t mode, const char *group, GError **error)
{
  struct sockaddr_un name;
  TlRpcLocal *local;

  if (!set_name (&name, path, error) || !clear_path (path, &name, error))
    return NULL;
  local = g_new0 (TlRpcLocal, 1);
  local->fd = -1;
  local->path = g_strdup (path);
  if (!bind_path (local, &name, mode, group, error))
    {
      tl_rpc_local_free (local);
      return NULL;
    }
  return local;
}

static void watch (TlRpcLocal *local);

static gboolean
on_pause_over (gpointer user_data)
{
  watch (user_data);
  return G_SOURCE_REMOVE;
}

static void
replace_source (TlRpcLocal *local, GSource *source)
{
  if (local->source != NULL)
    {
      g_source_destroy (local->source);
      g_source_unref (local->source);
    }
  local->source = source;
  if (source != NULL)
    g_source_attach (source, local->context);
}

static void
pause_accepting (TlRpcLocal *local, int saved_errno)
{
  GSource *source = g_timeout_source_new (PAUSE_MS);

  tl_log (TL_LOG_WARNING, "cannot accept a local connection, waiting", "error", g_strerror (saved_errno), NULL);
  g_source_set_callback (source, on_pause_over, local, NULL);
  replace_source (local, source);
}

static gboolean
on_readable (gint listener G_GNUC_UNUSED, GIOCondition condition G_GNUC_UNUSED, gpointer user_data)
{
  TlRpcLocal *local = user_data;

  for (guint i = 0; i < ACCEPT_BATCH; i++)
    {
      int fd = accept4 (local->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
      struct ucred credentials;
      socklen_t length = sizeof credentials;

      if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
        {
          pause_accepting (local, errno);
          return G_SOURCE_REMOVE;
        }
      if (fd < 0)
        break;
      if (getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
        {
          close (fd);
          continue;
        }
      local->func (fd, credentials.uid, credentials.pid, local->user_data);
    }
  return G_SOURCE_CONTINUE;
}

static void
watch (TlRpcLocal *local)
{
  GSource *source = g_unix_fd_source_new (local->fd, G_IO_IN);

  g_source_set_callback (source, G_SOURCE_FUNC (on_readable), local, NULL);
  replace_source (local, source);
}

gboolean
tl_rpc_local_start (TlRpcLocal *local, GMainContext *context, TlRpcLocalFunc func, gpointer user_data, GError **error)
{
  if (listen (local->fd, BACKLOG) != 0)
    {
      tl_error_set_errno (error, errno, "cannot listen on %s", local->path);
      return FALSE;
    }
  local->context = g_main_context_ref (context);
  local->func = func;
  local->user_data = user_data;
  watch (local);
  return TRUE;
}

void
tl_rpc_local_free (TlRpcLocal *local)
{
  struct stat status;

  if (local == NULL)
    return;
  replace_source (local, NULL);
  if (local->fd >= 0)
    close (local->fd);
  if (local->inode != 0 && lstat (local->path, &status) == 0 && status.st_dev == local->device
      && status.st_ino == local->inode)
    unlink (local->path);
  g_clear_pointer (&local->context, g_main_context_unref);
  g_free (local->path);
  g_free (local);
}
