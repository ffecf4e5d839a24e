/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-admin-socket.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-paths.h"

/* 0 or errno. */
static int
try_connect (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd, problem = 0;

  if (strlen (path) >= sizeof address.sun_path)
    return ENAMETOOLONG;
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return errno;
  if (connect (fd, (const struct sockaddr *)&address, sizeof address) != 0)
    problem = errno;
  close (fd);
  return problem;
}

/* All the places when it was looked for, the one when it was said. */
static char *
places_looked_at (const char *path, gboolean was_chosen)
{
  g_autofree char *mine = tl_paths_admin_socket (TRUE);

  if (was_chosen || g_str_equal (mine, path))
    return g_strdup (path);
  return g_strdup_printf (_ ("%s or %s"), mine, path);
}

char *
tl_admin_socket_find (const char *chosen, GError **error)
{
  const char *variable = g_getenv ("TWINLATCH_ADMIN_SOCKET");
  gboolean was_chosen = chosen != NULL || (variable != NULL && variable[0] != '\0');
  g_autofree char *path = chosen != NULL ? g_strdup (chosen) : tl_paths_find_admin_socket ();
  g_autofree char *places = places_looked_at (path, was_chosen);
  int problem = try_connect (path);

  switch (problem)
    {
    case 0:
      return g_steal_pointer (&path);
    case ENOENT:
    case ENOTDIR:
      g_set_error (
          error, TL_ERROR, TL_ERROR_UNAVAILABLE,
          _ ("there is no admin socket at %s; twinlatchd may not be running here, or give its socket with --socket, "
             "or --gateway to work over the network"),
          places);
      break;
    case EACCES:
    case EPERM:
      g_set_error (
          error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
          _ ("you may not use the admin socket %s; ask to be added to the group twinlatch-admin and log in again"),
          path);
      break;
    case ECONNREFUSED:
      g_set_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE, _ ("nobody listens on the admin socket %s; start twinlatchd"),
                   path);
      break;
    default:
      g_set_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE, _ ("cannot use the admin socket %s: %s"), path,
                   g_strerror (problem));
    }
  return NULL;
}
