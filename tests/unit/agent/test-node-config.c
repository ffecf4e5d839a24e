/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-config.h"

#include <string.h>

#include "base/tl-error.h"
#include "tl-node-fixture.h"

static TlNodeConfig *
load (const char *text, GError **error)
{
  g_autofree char *directory = tl_fixture_directory ();
  g_autofree char *path = g_build_filename (directory, "node.conf", NULL);
  TlNodeConfig *config;

  tl_fixture_write (directory, "node.conf", text);
  config = tl_node_config_load (path, error);
  tl_fixture_remove (directory);
  return config;
}

static void
test_full (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlNodeConfig) config
      = load ("[node]\nreconnect-max=5s\n[root docs]\npath=/srv/docs/../pub\n"
              "[policy]\ndefault=deny\n[policy fs.read]\nmode=allow\n[policy echo]\nmode=deny\n",
              &error);
  const TlNodeRoot *root;

  g_assert_no_error (error);
  g_assert_cmpint (tl_config_get_integer (config->config, "node", "reconnect-max"), ==, 5000);
  g_assert_cmpuint (config->roots->len, ==, 1);
  root = config->roots->pdata[0];
  g_assert_cmpstr (root->name, ==, "docs");
  g_assert_cmpstr (root->path, ==, "/srv/pub");
  g_assert_false (config->policy_default);
  g_assert_true (GPOINTER_TO_INT (g_hash_table_lookup (config->policy, "fs.read")));
  g_assert_true (g_hash_table_contains (config->policy, "echo"));
  g_assert_false (GPOINTER_TO_INT (g_hash_table_lookup (config->policy, "echo")));
}

static void
test_programs (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlNodeConfig) config = load ("[program backup]\ncommand=/usr/bin/rsync -a '/srv/my data' $HOME\n"
                                          "arguments=append\ntimeout=5m\ndirectory=/srv\ndescription=Copies\n"
                                          "[program ls]\ncommand=/bin/ls\n",
                                          &error);
  const TlNodeProgram *program;

  g_assert_no_error (error);
  g_assert_cmpuint (config->programs->len, ==, 2);
  program = config->programs->pdata[0];
  g_assert_cmpstr (program->name, ==, "backup");
  g_assert_cmpuint (g_strv_length (program->command), ==, 4);
  g_assert_cmpstr (program->command[2], ==, "/srv/my data");
  g_assert_cmpstr (program->command[3], ==, "$HOME"); /* no shell, no expansions */
  g_assert_true (program->appends_arguments);
  g_assert_cmpint (program->timeout_ms, ==, 300 * 1000);
  program = config->programs->pdata[1];
  g_assert_false (program->appends_arguments);
  g_assert_cmpint (program->timeout_ms, ==, 0);
  g_assert_cmpstr (program->directory, ==, "/");
}

static void
test_defaults (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlNodeConfig) config = load ("", &error);

  g_assert_no_error (error);
  g_assert_cmpuint (config->roots->len, ==, 0);
  g_assert_true (config->policy_default);
}

static void
test_errors_name_the_line (void)
{
  static const struct
  {
    const char *text;
    const char *where; /* in the message */
  } cases[] = {
    { "[node]\nname=a\nnonsense=1\n", "node.conf:3" },
    { "[nodes]\nname=a\n", "node.conf:1" },
    { "[node]\nreconnect-max=10ms\n", "node.conf:2" },
    { "[root docs]\npath=relative/path\n", "node.conf:2" },
    { "\n[root a/b]\npath=/srv\n", "node.conf:3" },
    { "[root docs]\n", "[root docs] has no path" },
    { "[policy]\ndefault=ask\n", "node.conf:2" },
    { "[policy Fs.Read]\nmode=deny\n", "node.conf:2" },
    { "[policy fs.]\nmode=deny\n", "node.conf:2" },
    { "[policy fs.read]\n", "[policy fs.read] has no mode" },
    { "[program x]\narguments=none\n", "[program x]: it has no command" },
    { "[program x]\ncommand=ls -l\n", "node.conf:2" },
    { "[program x y]\ncommand=/bin/ls\n", "node.conf:2" },
    { "[program x]\ncommand=/bin/ls 'a\n", "node.conf:2" },
    { "[program x]\ntimeout=1s\ncommand=/bin/ls\ndirectory=tmp\n", "node.conf:3" },
    { "[program x]\ncommand=/bin/ls\narguments=any\n", "node.conf:3" },
    { "[program x]\ncommand=/bin/ls\ntimeout=0s\n", "node.conf:3" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (TlNodeConfig) config = load (cases[i].text, &error);

      g_assert_null (config);
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      if (strstr (error->message, cases[i].where) == NULL)
        g_error ("\"%s\" does not name %s", error->message, cases[i].where);
    }
}

static void
test_add_root (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlNodeConfig) config = load ("[root docs]\npath=/srv\n", &error);

  g_assert_true (tl_node_config_add_root (config, "more", "/tmp", &error));
  g_assert_false (tl_node_config_add_root (config, "docs", "/tmp", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_ALREADY_EXISTS);
  g_clear_error (&error);
  g_assert_false (tl_node_config_add_root (config, "", "/tmp", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_false (tl_node_config_add_root (config, "x", "tmp", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_assert_cmpuint (config->roots->len, ==, 2);
}

static void
test_named_file_must_exist (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_node_config_load ("/nonexistent/node.conf", &error));
  g_assert_nonnull (strstr (error->message, "/nonexistent/node.conf"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/node-config/full", test_full);
  g_test_add_func ("/node-config/programs", test_programs);
  g_test_add_func ("/node-config/defaults", test_defaults);
  g_test_add_func ("/node-config/errors-name-the-line", test_errors_name_the_line);
  g_test_add_func ("/node-config/add-root", test_add_root);
  g_test_add_func ("/node-config/named-file-must-exist", test_named_file_must_exist);
  return g_test_run ();
}
