/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

#define LINK "twinlatch:pair?v=1&g=01KAB3DEFGH1JKMNPQRSTVWXYZ&t=0123456789ABCDEFGHJKMNPQRS"

/* A command line as one string; blanks separate. */
static TlArgs *
parse (const char *line, GError **error)
{
  g_autofree char *full = g_strconcat ("twinlatch ", line, NULL);
  g_auto (GStrv) argv = NULL;
  int argc = 0;

  g_assert_true (g_shell_parse_argv (full, &argc, &argv, NULL));
  return tl_args_parse (argc, (const char *const *)argv, error);
}

static TlArgs *
parse_well (const char *line)
{
  g_autoptr (GError) error = NULL;
  TlArgs *args = parse (line, &error);

  g_assert_no_error (error);
  g_assert_nonnull (args);
  return args;
}

static void
assert_refused (const char *line, const char *part_of_message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlArgs) args = parse (line, &error);

  g_assert_null (args);
  g_assert_true (tl_error_is (error, TL_ERROR_USAGE));
  if (g_strstr_len (error->message, -1, part_of_message) == NULL)
    g_error ("'%s' is not in: %s", part_of_message, error->message);
}

static void
test_options_anywhere (void)
{
  g_autoptr (TlArgs) args = parse_well (
      "--json pairing --socket=/x mint --ttl 2m --role operator --label 'a b' --attempts=7 --qr --no-color");

  g_assert_true (tl_args_verb (args) == &tl_verb_pairing_mint);
  g_assert_cmpstr (tl_args_words (args), ==, "pairing mint");
  g_assert_true (tl_args_flag (args, "json"));
  g_assert_true (tl_args_flag (args, "no-color"));
  g_assert_true (tl_args_flag (args, "qr"));
  g_assert_false (tl_args_flag (args, "pin"));
  g_assert_cmpstr (tl_args_text (args, "socket"), ==, "/x");
  g_assert_cmpstr (tl_args_text (args, "label"), ==, "a b");
  g_assert_cmpstr (tl_args_text (args, "role"), ==, "operator");
  g_assert_null (tl_args_text (args, "out"));
  g_assert_cmpint (tl_args_number (args, "ttl", 0), ==, 120000);
  g_assert_cmpint (tl_args_number (args, "attempts", 0), ==, 7);
  g_assert_cmpint (tl_args_number (args, "timeout", 5), ==, 5);
  g_assert_cmpuint (tl_args_count (args), ==, 0);
}

static void
test_arguments (void)
{
  g_autoptr (TlArgs) args = parse_well ("exec laptop echo - --timeout 10s");
  g_autoptr (TlArgs) dashes = parse_well ("exec --raw -- laptop --odd '{}'");

  g_assert_cmpuint (tl_args_count (args), ==, 3);
  g_assert_cmpstr (tl_args_argument (args, 0), ==, "laptop");
  g_assert_cmpstr (tl_args_argument (args, 2), ==, "-");
  g_assert_null (tl_args_argument (args, 3));
  g_assert_cmpint (tl_args_number (args, "timeout", 0), ==, 10000);
  g_assert_cmpstr (tl_args_argument (dashes, 1), ==, "--odd");
  g_assert_true (tl_args_flag (dashes, "raw"));
}

static void
test_list_option (void)
{
  g_autoptr (TlArgs) args = parse_well ("node run --root a=/a --root=b=/b");
  const char *const *roots = tl_args_list (args, "root");

  g_assert_cmpuint (g_strv_length ((char **)roots), ==, 2);
  g_assert_cmpstr (roots[0], ==, "a=/a");
  g_assert_cmpstr (roots[1], ==, "b=/b");
  g_clear_pointer (&args, tl_args_free);
  args = parse_well ("node run");
  g_assert_null (tl_args_list (args, "root")[0]);
}

static void
test_help_needs_no_arguments (void)
{
  g_autoptr (TlArgs) verb = parse_well ("exec --help");
  g_autoptr (TlArgs) group = parse_well ("pairing -h");

  g_assert_true (tl_args_flag (verb, "help"));
  g_assert_true (tl_args_verb (verb) == &tl_verb_exec);
  g_assert_null (tl_args_verb (group));
  g_assert_cmpstr (tl_args_words (group), ==, "pairing");
}

static void
test_refused (void)
{
  assert_refused ("pairing mint --nonsense", "--nonsense");
  assert_refused ("pairing mint --lin", "--lin"); /* no abbreviations */
  assert_refused ("pairing mint -q", "-q");
  assert_refused ("pairing mint --ttl", "needs a value");
  assert_refused ("pairing mint --ttl 1s", "--ttl"); /* shorter than 30 s */
  assert_refused ("pairing mint --ttl 25h", "--ttl");
  assert_refused ("pairing mint --ttl soon", "--ttl");
  assert_refused ("pairing mint --attempts 11", "1 to 10");
  assert_refused ("pairing mint --attempts 1x", "1 to 10");
  assert_refused ("pairing mint --role boss", "node|operator");
  assert_refused ("pairing mint --pin=yes", "takes no value");
  assert_refused ("pairing mint --label a --label b", "twice");
  assert_refused ("--timeout 5s exec --timeout 5s a b", "twice");
  assert_refused ("pairing mint extra", "too many arguments");
  assert_refused ("exec laptop", "DEVICE CAPABILITY");
  assert_refused ("exec a b {} c", "too many arguments");
  assert_refused ("status --all", "--all");
  assert_refused ("frobnicate", "there is no verb 'frobnicate'");
}

static void
test_suggestions (void)
{
  assert_refused ("paring mint", "twinlatch pairing mint");
  assert_refused ("pairing mnit", "twinlatch pairing mint");
  assert_refused ("device list", "twinlatch devices list");
  assert_refused ("sttaus", "twinlatch status");
  assert_refused ("approve 01K", "twinlatch pairing approve");
  assert_refused ("exce a b", "twinlatch exec");
  g_assert_cmpstr (tl_verb_suggest ("devices revok"), ==, "devices revoke");
  g_assert_null (tl_verb_suggest ("completely different"));
  g_assert_null (tl_verb_suggest (""));
}

/* P 3.1 and STYLE 7: the message says what to do and does not repeat the code. */
static void
assert_secret_refused (const char *line, const char *secret)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlArgs) args = parse (line, &error);

  g_assert_null (args);
  g_assert_true (tl_error_is (error, TL_ERROR_USAGE));
  g_assert_nonnull (g_strstr_len (error->message, -1, "--from"));
  g_assert_nonnull (g_strstr_len (error->message, -1, "every user of this computer"));
  g_assert_null (g_strstr_len (error->message, -1, secret));
}

static void
test_secrets_in_arguments (void)
{
  const char *token = "0123456789ABCDEFGHJKMNPQRS";

  assert_secret_refused ("node pair '" LINK "'", token);
  assert_secret_refused ("node pair --from '" LINK "'", token);
  assert_secret_refused ("node pair --from='" LINK "'", token);
  assert_secret_refused ("node run '" LINK "'", token);
  assert_secret_refused ("'" LINK "'", token);
  assert_secret_refused ("pairing cancel -- '" LINK "'", token);
  assert_secret_refused ("node pair --gateway gw 7-1234-5678", "1234");
  assert_secret_refused ("node pair 712345678", "712345678");
  assert_secret_refused ("node pair '12 3456 7890'", "3456");
  assert_secret_refused ("node pair --from 7-1234-5678", "1234");
  assert_secret_refused ("node run --from=7-1234-5678", "1234");
  assert_secret_refused ("pairing cancel 7-1234-5678", "1234");
}

static void
test_no_secret (void)
{
  g_autoptr (TlArgs) slot = parse_well ("pairing cancel 7");
  g_autoptr (TlArgs) id = parse_well ("pairing cancel 01KAB3DEFGH1JKMNPQRSTVWXYZ");
  g_autoptr (TlArgs) address = parse_well ("node pair --gateway 192.0.2.1:7444 --from code-12345678.txt");
  g_autoptr (TlArgs) digits = parse_well ("pairing approve 01K --code '042 917'");

  g_assert_cmpstr (tl_args_argument (slot, 0), ==, "7");
  g_assert_cmpstr (tl_args_text (address, "from"), ==, "code-12345678.txt");
  g_assert_cmpstr (tl_args_text (digits, "code"), ==, "042 917");
  g_assert_nonnull (tl_args_argument (id, 0));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cli/args/options-anywhere", test_options_anywhere);
  g_test_add_func ("/cli/args/arguments", test_arguments);
  g_test_add_func ("/cli/args/list-option", test_list_option);
  g_test_add_func ("/cli/args/help-needs-no-arguments", test_help_needs_no_arguments);
  g_test_add_func ("/cli/args/refused", test_refused);
  g_test_add_func ("/cli/args/suggestions", test_suggestions);
  g_test_add_func ("/cli/args/secrets-in-arguments", test_secrets_in_arguments);
  g_test_add_func ("/cli/args/no-secret", test_no_secret);
  return g_test_run ();
}
