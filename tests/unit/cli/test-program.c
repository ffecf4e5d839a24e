/* SPDX-License-Identifier: Apache-2.0 */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"
#include "base/tl-json.h"
#include "pairing/tl-pairing-link.h"

/*
 * The program itself, without a daemon: what it does before it talks to one. It runs in a session of its own, so it has
 * no terminal even when the tests have one.
 */
typedef struct
{
  char *folder;
} Fixture;

typedef struct
{
  int exit_code;
  char *out;
  char *err;
} Outcome;

static void
outcome_clear (Outcome *outcome)
{
  g_free (outcome->out);
  g_free (outcome->err);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Outcome, outcome_clear)

static void
set_up (Fixture *fixture, gconstpointer data)
{
  (void)data;
  fixture->folder = g_dir_make_tmp ("twinlatch-cli-XXXXXX", NULL);
  g_assert_nonnull (fixture->folder);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (fixture->folder, 0, NULL);
  const char *name;

  (void)data;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (fixture->folder, name, NULL);

      g_assert_cmpint (g_remove (path), ==, 0);
    }
  g_assert_cmpint (g_rmdir (fixture->folder), ==, 0);
  g_free (fixture->folder);
}

static void
in_child (gpointer data)
{
  (void)data;
  setsid ();
}

static Outcome
run_argv (Fixture *fixture, const char *input, const char *const *argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (
      G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autoptr (GSubprocess) process = NULL;
  Outcome outcome = { 0 };

  g_subprocess_launcher_set_child_setup (launcher, in_child, NULL, NULL);
  g_subprocess_launcher_setenv (launcher, "XDG_STATE_HOME", fixture->folder, TRUE);
  g_subprocess_launcher_setenv (launcher, "XDG_CONFIG_HOME", fixture->folder, TRUE);
  g_subprocess_launcher_setenv (launcher, "XDG_RUNTIME_DIR", fixture->folder, TRUE);
  g_subprocess_launcher_setenv (launcher, "LC_ALL", "C.UTF-8", TRUE);
  g_subprocess_launcher_unsetenv (launcher, "TWINLATCH_ADMIN_SOCKET");
  process = g_subprocess_launcher_spawnv (launcher, argv, &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, input, NULL, &outcome.out, &outcome.err, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_if_exited (process)); /* not killed by a signal */
  outcome.exit_code = g_subprocess_get_exit_status (process);
  return outcome;
}

/* line: arguments as a shell takes them apart. */
static Outcome
run (Fixture *fixture, const char *input, const char *line)
{
  g_autofree char *full = g_strconcat (TL_TEST_TWINLATCH " ", line, NULL);
  g_auto (GStrv) argv = NULL;

  g_assert_true (g_shell_parse_argv (full, NULL, &argv, NULL));
  return run_argv (fixture, input, (const char *const *)argv);
}

/* One line "twinlatch: ..." on standard error, nothing on standard output. */
static void
assert_fails (Fixture *fixture, const char *input, const char *line, int exit_code, const char *part)
{
  g_auto (Outcome) outcome = run (fixture, input, line);
  const char *last;

  g_test_message ("%s: %s", line, outcome.err);
  g_assert_cmpint (outcome.exit_code, ==, exit_code);
  g_assert_cmpstr (outcome.out, ==, "");
  g_assert_true (g_str_has_suffix (outcome.err, "\n"));
  last = g_strrstr (outcome.err, "twinlatch: ");
  g_assert_nonnull (last);
  g_assert_true (strchr (last, '\n') == last + strlen (last) - 1);
  g_assert_nonnull (strstr (outcome.err, part));
}

static void
test_usage (Fixture *fixture, gconstpointer data)
{
  (void)data;
  assert_fails (fixture, NULL, "", TL_EXIT_USAGE, "twinlatch help");
  assert_fails (fixture, NULL, "pairing", TL_EXIT_USAGE, "mint, codes, cancel, list, watch, approve, reject");
  assert_fails (fixture, NULL, "paring mint", TL_EXIT_USAGE, "did you mean 'twinlatch pairing mint'?");
  assert_fails (fixture, NULL, "help exce", TL_EXIT_USAGE, "'exec'");
  assert_fails (fixture, NULL, "pairing mint --pin --qr", TL_EXIT_USAGE, "PIN or a link");
  assert_fails (fixture, NULL, "pairing mint --auto-approve", TL_EXIT_USAGE, "--link");
  assert_fails (fixture, NULL, "pairing approve 01K --code 12345", TL_EXIT_USAGE, "six digits");
  assert_fails (fixture, NULL, "pairing approve 01K", TL_EXIT_USAGE, "--code");
  assert_fails (fixture, NULL, "devices revoke laptop", TL_EXIT_USAGE, "--yes");
  assert_fails (fixture, NULL, "node run --root nonsense", TL_EXIT_USAGE, "NAME=PATH");
  assert_fails (fixture, NULL, "node pair", TL_EXIT_USAGE, "--from");
  assert_fails (fixture, NULL, "node pair --name 'a\033b' --from -", TL_EXIT_USAGE, "name");
}

static void
test_json_errors (Fixture *fixture, gconstpointer data)
{
  g_auto (Outcome) outcome = run (fixture, NULL, "--json pairing mint --nonsense");
  tl_json_auto object = tl_json_parse (outcome.err, -1, 0, NULL);
  json_t *error = json_object_get (object, "error");

  (void)data;
  g_assert_cmpint (outcome.exit_code, ==, TL_EXIT_USAGE);
  g_assert_cmpstr (outcome.out, ==, "");
  g_assert_cmpstr (json_string_value (json_object_get (error, "reason")), ==, "usage");
  g_assert_nonnull (strstr (json_string_value (json_object_get (error, "message")), "--nonsense"));
  g_assert_cmpint (json_integer_value (json_object_get (error, "exit_code")), ==, TL_EXIT_USAGE);
}

static void
test_input_is_checked_first (Fixture *fixture, gconstpointer data)
{
  (void)data; /* no socket: exit code 3 would mean that it tried to send */
  assert_fails (fixture, NULL, "exec laptop echo '{\"a\":'", TL_EXIT_USAGE, "line 1, column");
  assert_fails (fixture, "{\n oops\n}", "exec laptop echo -", TL_EXIT_USAGE, "line 2, column");
  assert_fails (fixture, "{}", "exec laptop echo -", TL_EXIT_UNREACHABLE, "admin socket");
}

static void
test_no_socket (Fixture *fixture, gconstpointer data)
{
  g_autofree char *mine = g_build_filename (fixture->folder, "twinlatch", "admin.sock", NULL);
  g_autofree char *other = g_build_filename (fixture->folder, "other.sock", NULL);
  g_autofree char *line = g_strconcat ("status --socket ", other, NULL);
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  (void)data;
  assert_fails (fixture, NULL, line, TL_EXIT_UNREACHABLE, other);
  if (!g_file_test ("/run/twinlatch/admin.sock", G_FILE_TEST_EXISTS))
    {
      assert_fails (fixture, NULL, "status", TL_EXIT_UNREACHABLE, mine);
      assert_fails (fixture, NULL, "devices list", TL_EXIT_UNREACHABLE, "twinlatchd may not be running");
    }

  /* A socket whose daemon is gone. */
  g_strlcpy (address.sun_path, other, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  close (fd);
  assert_fails (fixture, NULL, line, TL_EXIT_UNREACHABLE, "nobody listens");
}

static char *
make_link (void)
{
  const char *addresses[] = { "192.0.2.1:7444", NULL };
  const guint8 ca[32] = { 1 };
  g_autoptr (TlSecret) token = tl_secret_new_copy ("0123456789ABCDEFGHJKMNPQRR", 26);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlPairingLink) link = tl_pairing_link_new ("01KAB3DEFGH1JKMNPQRSTVWXYZ", "01KAB3DEFGH1JKMNPQRSTVWXY0",
                                                        token, ca, addresses, "Office", &error);
  g_autoptr (TlSecret) text = NULL;

  g_assert_no_error (error);
  text = tl_pairing_link_format (link);
  return g_strdup ((const char *)tl_secret_data (text));
}

static void
test_link_needs_confirmation (Fixture *fixture, gconstpointer data)
{
  g_autofree char *link = make_link ();
  g_autofree char *padded = g_strconcat ("\n  ", link, "  \r\n", NULL);
  g_autofree char *with_gateway = g_strdup ("node pair --from - --yes --gateway 192.0.2.1");

  (void)data;
  assert_fails (fixture, padded, "node pair --from -", TL_EXIT_USAGE, "--yes");
  assert_fails (fixture, padded, "node pair --from -", TL_EXIT_USAGE, "UNVERIFIED");
  assert_fails (fixture, padded, "node pair --from -", TL_EXIT_USAGE, "192.0.2.1:7444");
  assert_fails (fixture, padded, with_gateway, TL_EXIT_USAGE, "--gateway");
}

static void
test_codes_from_input (Fixture *fixture, gconstpointer data)
{
  (void)data;
  assert_fails (fixture, "", "node pair --from -", TL_EXIT_USAGE, "no PIN or link");
  assert_fails (fixture, "\n \n", "node pair --from -", TL_EXIT_USAGE, "no PIN or link");
  assert_fails (fixture, "7-1234-567\n", "node pair --from - --gateway 192.0.2.1", TL_EXIT_USAGE, "PIN");
  assert_fails (fixture, "7-1234-5678\n", "node pair --from -", TL_EXIT_USAGE, "--gateway");
  assert_fails (fixture, NULL, "node pair --from /nonexistent/code", TL_EXIT_NOT_FOUND, "/nonexistent/code");
}

static void
test_secrets_in_arguments (Fixture *fixture, gconstpointer data)
{
  g_autofree char *link = make_link ();
  const char *argv[] = { TL_TEST_TWINLATCH, "node", "pair", link, NULL };
  g_auto (Outcome) outcome = run_argv (fixture, NULL, argv);

  (void)data;
  g_assert_cmpint (outcome.exit_code, ==, TL_EXIT_USAGE);
  g_assert_nonnull (strstr (outcome.err, "--from"));
  g_assert_null (strstr (outcome.err, "0123456789ABCDEFGHJKMNPQRR"));
}

static void
test_not_paired (Fixture *fixture, gconstpointer data)
{
  (void)data;
  assert_fails (fixture, NULL, "node status", TL_EXIT_NOT_PAIRED, "twinlatch node pair");
  assert_fails (fixture, NULL, "node run", TL_EXIT_NOT_PAIRED, "twinlatch node pair");
  assert_fails (fixture, NULL, "node forget --yes", TL_EXIT_NOT_PAIRED, "");
}

static void
test_configuration (Fixture *fixture, gconstpointer data)
{
  g_autofree char *file = g_build_filename (fixture->folder, "node.conf", NULL);
  g_autofree char *line = g_strconcat ("node run --config ", file, NULL);

  (void)data;
  g_assert_true (g_file_set_contents (file, "[node]\nnonsense=1\n", -1, NULL));
  assert_fails (fixture, NULL, line, TL_EXIT_CONFIG, "node.conf:2");
}

static void
test_help_and_version (Fixture *fixture, gconstpointer data)
{
  g_auto (Outcome) version = run (fixture, NULL, "--version");
  g_auto (Outcome) json = run (fixture, NULL, "version --json");

  (void)data;
  g_assert_cmpint (version.exit_code, ==, 0);
  g_assert_true (g_str_has_prefix (version.out, "twinlatch "));
  g_assert_true (g_str_has_prefix (json.out, "{\"version\":\""));
  for (const TlVerb *const *verb = tl_verbs (); *verb != NULL; verb++)
    {
      g_autofree char *asked = g_strconcat ("help ", (*verb)->path, NULL);
      g_autofree char *option = g_strconcat ((*verb)->path, " --help", NULL);
      g_auto (Outcome) first = run (fixture, NULL, asked);
      g_auto (Outcome) second = run (fixture, NULL, option);

      g_assert_cmpint (first.exit_code, ==, 0);
      g_assert_cmpint (second.exit_code, ==, 0);
      g_assert_nonnull (strstr (first.out, (*verb)->summary));
      g_assert_cmpstr (first.out, ==, second.out);
      g_assert_cmpstr (first.err, ==, "");
    }
}

static void
test_full_disk (Fixture *fixture, gconstpointer data)
{
  const char *argv[] = { "/bin/sh", "-c", "exec \"$0\" help >/dev/full", TL_TEST_TWINLATCH, NULL };
  g_auto (Outcome) outcome = { 0 };

  (void)data;
  if (!g_file_test ("/dev/full", G_FILE_TEST_EXISTS))
    {
      g_test_skip ("no /dev/full here");
      return;
    }
  outcome = run_argv (fixture, NULL, argv);
  g_assert_cmpint (outcome.exit_code, ==, TL_EXIT_FAILURE);
  g_assert_nonnull (strstr (outcome.err, "standard output"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/cli/program/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("usage", test_usage);
  ADD ("json-errors", test_json_errors);
  ADD ("input-is-checked-first", test_input_is_checked_first);
  ADD ("no-socket", test_no_socket);
  ADD ("link-needs-confirmation", test_link_needs_confirmation);
  ADD ("codes-from-input", test_codes_from_input);
  ADD ("secrets-in-arguments", test_secrets_in_arguments);
  ADD ("not-paired", test_not_paired);
  ADD ("configuration", test_configuration);
  ADD ("help-and-version", test_help_and_version);
  ADD ("full-disk", test_full_disk);
#undef ADD
  return g_test_run ();
}
