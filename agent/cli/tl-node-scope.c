/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-node-scope.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-paths.h"

void
tl_node_scope_look (TlCli *cli, gboolean system)
{
  g_autofree char *folder = NULL;

  if (!system || tl_cli_state_dir (cli) != NULL)
    return;
  folder = tl_paths_system_node_dir ();
  tl_cli_set_state_dir (cli, folder);
}

static const struct passwd *
find_user (GError **error)
{
  const struct passwd *user = getpwnam (TL_NODE_USER);

  if (user == NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                 _ ("there is no user %s for the node of this computer; make it with systemd-sysusers, or: useradd "
                    "--system --home-dir /var/lib/%s --shell /usr/sbin/nologin %s"),
                 TL_NODE_USER, TL_NODE_USER, TL_NODE_USER);
  return user;
}

/* Only a folder that was made here becomes the user's: one that is there already is somebody's. */
static gboolean
make_folder (const char *path, const struct passwd *user, GError **error)
{
  struct stat info;

  if (mkdir (path, 0700) == 0)
    {
      if (lchown (path, user->pw_uid, user->pw_gid) == 0)
        return TRUE;
      tl_error_set_errno (error, errno, _ ("cannot give %s to the user %s"), path, TL_NODE_USER);
      return FALSE;
    }
  if (errno != EEXIST || stat (path, &info) != 0)
    {
      tl_error_set_errno (error, errno, _ ("cannot make %s"), path);
      return FALSE;
    }
  if (info.st_uid == user->pw_uid)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
               _ ("%s does not belong to the user %s; give it to them (chown), or name a folder that is not there yet"),
               path, TL_NODE_USER);
  return FALSE;
}

static gboolean
become (const struct passwd *user, GError **error)
{
  static const char *const of_root[] = { "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
                                         "XDG_DATA_HOME",   "XDG_CACHE_HOME", "DBUS_SESSION_BUS_ADDRESS" };

  if (initgroups (user->pw_name, user->pw_gid) != 0 || setresgid (user->pw_gid, user->pw_gid, user->pw_gid) != 0
      || setresuid (user->pw_uid, user->pw_uid, user->pw_uid) != 0)
    {
      tl_error_set_errno (error, errno, _ ("cannot become the user %s"), TL_NODE_USER);
      return FALSE;
    }
  for (guint i = 0; i < G_N_ELEMENTS (of_root); i++)
    g_unsetenv (of_root[i]);
  g_setenv ("HOME", user->pw_dir, TRUE);
  return TRUE;
}

gboolean
tl_node_scope_enter (TlCli *cli, gboolean system, GError **error)
{
  const struct passwd *user;

  if (!system)
    return TRUE;
  tl_node_scope_look (cli, TRUE);
  user = find_user (error);
  if (user == NULL)
    return FALSE;
  if (geteuid () == user->pw_uid)
    return TRUE;
  if (geteuid () != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                   _ ("--system is for root (or the user %s); try it with sudo"), TL_NODE_USER);
      return FALSE;
    }
  return make_folder (tl_cli_state_dir (cli), user, error) && become (user, error);
}

gboolean
tl_node_scope_open_from (gboolean system, const char **from, GError **error)
{
  int fd;

  if (!system || *from == NULL || g_str_equal (*from, "-"))
    return TRUE;
  fd = open (*from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0 || dup2 (fd, STDIN_FILENO) < 0)
    {
      tl_error_set_errno (error, errno, _ ("cannot open %s"), *from);
      if (fd >= 0)
        close (fd);
      return FALSE;
    }
  close (fd);
  *from = "-";
  return TRUE;
}
