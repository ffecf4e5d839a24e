/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-paths.h"

#include <glib/gstdio.h>

#include "tl-config-build.h"

static void
assert_path (char *path, const char *expected)
{
  g_assert_cmpstr (path, ==, expected);
  g_free (path);
}

static void
test_system (void)
{
  assert_path (tl_paths_config_dir (FALSE), TL_SYSCONFDIR "/twinlatch");
  assert_path (tl_paths_state_dir (FALSE), TL_LOCALSTATEDIR "/lib/twinlatch");
  assert_path (tl_paths_runtime_dir (FALSE), TL_RUNSTATEDIR "/twinlatch");
  assert_path (tl_paths_admin_socket (FALSE), TL_RUNSTATEDIR "/twinlatch/admin.sock");
}

static void
test_user (void)
{
  g_setenv ("XDG_CONFIG_HOME", "/x/config", TRUE);
  g_setenv ("XDG_STATE_HOME", "/x/state", TRUE);
  g_setenv ("XDG_RUNTIME_DIR", "/x/run", TRUE);
  assert_path (tl_paths_config_dir (TRUE), "/x/config/twinlatch");
  assert_path (tl_paths_state_dir (TRUE), "/x/state/twinlatch/gateway");
  assert_path (tl_paths_runtime_dir (TRUE), "/x/run/twinlatch");
  assert_path (tl_paths_admin_socket (TRUE), "/x/run/twinlatch/admin.sock");
  assert_path (tl_paths_node_dir (), "/x/state/twinlatch/node");
  g_unsetenv ("XDG_RUNTIME_DIR");
  assert_path (tl_paths_runtime_dir (TRUE), "/x/state/twinlatch/run");
}

/* Relative values are to be ignored (XDG base directory specification). */
static void
test_fallback (void)
{
  g_autofree char *config = g_build_filename (g_get_home_dir (), ".config/twinlatch", NULL);
  g_autofree char *node = g_build_filename (g_get_home_dir (), ".local/state/twinlatch/node", NULL);
  g_autofree char *run = g_build_filename (g_get_home_dir (), ".local/state/twinlatch/run", NULL);

  g_unsetenv ("XDG_CONFIG_HOME");
  g_setenv ("XDG_STATE_HOME", "relative", TRUE);
  g_setenv ("XDG_RUNTIME_DIR", "", TRUE);
  assert_path (tl_paths_config_dir (TRUE), config);
  assert_path (tl_paths_node_dir (), node);
  assert_path (tl_paths_runtime_dir (TRUE), run);
}

static void
test_find (void)
{
  g_autofree char *folder = g_dir_make_tmp ("tl-paths-XXXXXX", NULL);
  g_autofree char *ours = g_build_filename (folder, "twinlatch", NULL);
  g_autofree char *sock = g_build_filename (ours, "admin.sock", NULL);

  g_unsetenv ("TWINLATCH_ADMIN_SOCKET");
  g_setenv ("XDG_RUNTIME_DIR", folder, TRUE);
  assert_path (tl_paths_find_admin_socket (), TL_RUNSTATEDIR "/twinlatch/admin.sock");
  g_assert_cmpint (g_mkdir (ours, 0700), ==, 0);
  g_assert_true (g_file_set_contents (sock, "", 0, NULL));
  assert_path (tl_paths_find_admin_socket (), sock);
  g_setenv ("TWINLATCH_ADMIN_SOCKET", "/chosen.sock", TRUE);
  assert_path (tl_paths_find_admin_socket (), "/chosen.sock");
  g_unlink (sock);
  g_rmdir (ours);
  g_rmdir (folder);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/paths/system", test_system);
  g_test_add_func ("/base/paths/user", test_user);
  g_test_add_func ("/base/paths/fallback", test_fallback);
  g_test_add_func ("/base/paths/find", test_find);
  return g_test_run ();
}
