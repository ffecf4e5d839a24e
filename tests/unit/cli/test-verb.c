/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/cli/tl-help.h"
#include "agent/cli/tl-verb.h"

/* A file of the source tree; tests/data is known. */
static char *
read_source (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *file = g_build_filename (g_getenv ("TL_TEST_DATA"), "..", "..", path, NULL);
  char *text = NULL;

  g_file_get_contents (file, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

static char *
section (const char *text, const char *start, const char *end)
{
  const char *from = strstr (text, start);
  const char *to;

  if (from == NULL)
    return NULL;
  from += strlen (start);
  to = strstr (from, end);
  return to != NULL ? g_strndup (from, (gsize)(to - from)) : g_strdup (from);
}

static void
test_rows (void)
{
  for (const TlVerb *const *verb = tl_verbs (); *verb != NULL; verb++)
    {
      g_test_message ("%s", (*verb)->path);
      g_assert_true (tl_verb_find ((*verb)->path) == *verb); /* also: no path twice */
      g_assert_nonnull ((*verb)->arguments);
      g_assert_nonnull ((*verb)->summary);
      g_assert_cmpuint (strlen ((*verb)->summary), >, 8);
      g_assert_nonnull ((*verb)->run);
      g_assert_cmpuint ((*verb)->min_arguments, <=, (*verb)->max_arguments);
      g_assert_cmpint ((*verb)->arguments[0] != '\0', ==, (*verb)->max_arguments > 0);
      for (const TlOption *option = (*verb)->options; option != NULL && option->name != NULL; option++)
        {
          g_assert_nonnull (option->help);
          g_assert_cmpint (option->value != NULL, ==, option->kind != TL_OPTION_FLAG);
        }
    }
}

static void
test_help (void)
{
  g_autofree char *all = tl_help_for ("");
  g_autofree char *group = tl_help_for ("pairing");
  g_autofree char *none = tl_help_for ("nonsense");

  g_assert_null (none);
  g_assert_nonnull (strstr (group, "pairing mint"));
  g_assert_null (strstr (group, "devices list"));
  g_assert_nonnull (strstr (all, "Exit status:"));
  for (const TlVerb *const *verb = tl_verbs (); *verb != NULL; verb++)
    {
      g_autofree char *text = tl_help_for ((*verb)->path);

      g_assert_nonnull (strstr (all, (*verb)->path));
      g_assert_nonnull (strstr (text, (*verb)->summary));
      for (const TlOption *option = (*verb)->options; option != NULL && option->name != NULL; option++)
        g_assert_nonnull (strstr (text, option->help));
    }
}

static char *
roff_option (const TlOption *option)
{
  g_auto (GStrv) parts = g_strsplit (option->name, "-", -1);
  g_autofree char *name = g_strjoinv ("\\-", parts);

  return g_strconcat ("\\-\\-", name, NULL);
}

static void
test_man_page (void)
{
  g_autofree char *page = read_source ("data/man/twinlatch.1");

  for (const TlVerb *const *verb = tl_verbs (); *verb != NULL; verb++)
    {
      g_autofree char *start = g_strdup_printf ("\n.TP\n.B %s", (*verb)->path);
      g_autofree char *text = section (page, start, "\n.TP");

      g_test_message ("%s", (*verb)->path);
      g_assert_nonnull (text);
      g_assert_true (text[0] == '\n' || text[0] == ' ');
      for (const TlOption *option = (*verb)->options; option != NULL && option->name != NULL; option++)
        {
          g_autofree char *name = roff_option (option);

          g_test_message ("  %s", name);
          g_assert_nonnull (strstr (text, name));
        }
    }
  for (const TlOption *option = tl_global_options (); option->name != NULL; option++)
    {
      g_autofree char *name = roff_option (option);
      g_autofree char *text = section (page, ".SH OPTIONS OF EVERY VERB", ".SH JSON");

      g_assert_nonnull (strstr (text, name));
    }
}

static char *
option_words (const TlOption *options)
{
  GString *words = g_string_new (NULL);

  for (; options != NULL && options->name != NULL; options++)
    g_string_append_printf (words, "%s--%s", words->len > 0 ? " " : "", options->name);
  return g_string_free (words, FALSE);
}

/* "pairing) COMPREPLY=($(compgen -W "mint codes ..."": every word of the group, and no other. */
static void
assert_bash_group (const char *script, const char *group)
{
  g_autofree char *words = tl_verb_group_words (group);
  g_auto (GStrv) parts = g_strsplit (words, ", ", -1);
  g_autofree char *joined = g_strjoinv (" ", parts);
  g_autofree char *line = g_strdup_printf ("    %s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")) ;;\n", group, joined);

  g_assert_nonnull (strstr (script, line));
}

static void
test_bash_completion (void)
{
  g_autofree char *script = read_source ("data/completions/twinlatch.bash");
  g_autofree char *global = option_words (tl_global_options ());
  g_autofree char *global_line = g_strdup_printf ("local global=\"%s\"\n", global);
  guint rows = 0;

  g_assert_nonnull (strstr (script, global_line));
  for (const TlVerb *const *verb = tl_verbs (); *verb != NULL; verb++, rows++)
    {
      g_autofree char *words = option_words ((*verb)->options);
      g_autofree char *line = g_strdup_printf ("    \"%s\") echo \"%s\" ;;\n", (*verb)->path, words);
      g_auto (GStrv) path = g_strsplit ((*verb)->path, " ", 2);

      g_test_message ("%s", line);
      g_assert_nonnull (strstr (script, line));
      if (path[1] != NULL)
        assert_bash_group (script, path[0]);
    }
  for (const char *p = script; (p = strstr (p, ") echo \"")) != NULL; p++)
    rows--;
  g_assert_cmpuint (rows, ==, 0); /* no verb that does not exist any more */
}

static guint
count (const char *text, const char *pattern)
{
  g_autoptr (GRegex) regex = g_regex_new (pattern, 0, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  guint n = 0;

  for (g_regex_match (regex, text, 0, &match); g_match_info_matches (match); g_match_info_next (match, NULL))
    n++;
  return n;
}

static void
test_zsh_completion (void)
{
  g_autofree char *script = read_source ("data/completions/_twinlatch");
  guint rows = 0;

  for (const TlVerb *const *verb = tl_verbs (); *verb != NULL; verb++, rows++)
    {
      g_autofree char *start = g_strdup_printf ("    '%s') _arguments $global", (*verb)->path);
      g_autofree char *line = section (script, start, ";;\n");
      guint options = 0;

      g_test_message ("%s", (*verb)->path);
      g_assert_nonnull (line);
      for (const TlOption *option = (*verb)->options; option != NULL && option->name != NULL; option++, options++)
        {
          g_autofree char *name = g_strdup_printf ("--%s[", option->name);

          g_assert_nonnull (strstr (line, name));
        }
      g_assert_cmpuint (count (line, "--[a-z-]+\\["), ==, options);
    }
  g_assert_cmpuint (count (script, "\\) _arguments \\$global"), ==, rows);
  for (const TlOption *option = tl_global_options (); option->name != NULL; option++)
    {
      g_autofree char *name = g_strdup_printf ("--%s", option->name);

      g_assert_nonnull (strstr (script, name));
    }
}

static void
test_list_verbs (void)
{
  g_autofree char *text = tl_help_list_verbs ();

  g_assert_nonnull (strstr (text, "pairing approve\t--code\n"));
  g_assert_nonnull (strstr (text, "status\t\n"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cli/verb/rows", test_rows);
  g_test_add_func ("/cli/verb/help", test_help);
  g_test_add_func ("/cli/verb/man-page", test_man_page);
  g_test_add_func ("/cli/verb/bash-completion", test_bash_completion);
  g_test_add_func ("/cli/verb/zsh-completion", test_zsh_completion);
  g_test_add_func ("/cli/verb/list-verbs", test_list_verbs);
  return g_test_run ();
}
