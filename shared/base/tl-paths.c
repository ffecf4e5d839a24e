/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-paths.h"

#include "tl-config-build.h"

#define FOLDER       "twinlatch"
#define ADMIN_SOCKET "admin.sock"

/* GLib's g_get_user_*_dir() accept relative values, which the XDG base directory specification tells to ignore. */
static char *
home_folder (const char *variable, const char *below_home)
{
  const char *value = g_getenv (variable);

  if (value != NULL && g_path_is_absolute (value))
    return g_build_filename (value, FOLDER, NULL);
  return g_build_filename (g_get_home_dir (), below_home, FOLDER, NULL);
}

static char *
state_home (void)
{
  return home_folder ("XDG_STATE_HOME", ".local/state");
}

char *
tl_paths_config_dir (gboolean user)
{
  return user ? home_folder ("XDG_CONFIG_HOME", ".config") : g_build_filename (TL_SYSCONFDIR, FOLDER, NULL);
}

char *
tl_paths_state_dir (gboolean user)
{
  g_autofree char *state = NULL;

  if (!user)
    return g_build_filename (TL_LOCALSTATEDIR, "lib", FOLDER, NULL);
  state = state_home ();
  return g_build_filename (state, "gateway", NULL);
}

char *
tl_paths_runtime_dir (gboolean user)
{
  const char *runtime = g_getenv ("XDG_RUNTIME_DIR");
  g_autofree char *state = NULL;

  if (!user)
    return g_build_filename (TL_RUNSTATEDIR, FOLDER, NULL);
  if (runtime != NULL && g_path_is_absolute (runtime))
    return g_build_filename (runtime, FOLDER, NULL);
  state = state_home ();
  return g_build_filename (state, "run", NULL);
}

char *
tl_paths_admin_socket (gboolean user)
{
  g_autofree char *folder = tl_paths_runtime_dir (user);

  return g_build_filename (folder, ADMIN_SOCKET, NULL);
}

char *
tl_paths_node_dir (void)
{
  g_autofree char *state = state_home ();

  return g_build_filename (state, "node", NULL);
}

char *
tl_paths_system_node_dir (void)
{
  return g_build_filename (TL_LOCALSTATEDIR, "lib", FOLDER "-node", NULL);
}

char *
tl_paths_find_admin_socket (void)
{
  const char *chosen = g_getenv ("TWINLATCH_ADMIN_SOCKET");
  g_autofree char *mine = NULL;

  if (chosen != NULL && chosen[0] != '\0')
    return g_strdup (chosen);
  mine = tl_paths_admin_socket (TRUE);
  if (g_file_test (mine, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&mine);
  return tl_paths_admin_socket (FALSE);
}
