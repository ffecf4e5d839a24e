/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-help.h"

#include <glib/gi18n.h>
#include <string.h>

#include "agent/cli/tl-text.h"
#include "base/tl-error.h"

static const struct
{
  int code;
  const char *meaning;
} exit_codes[] = {
  { TL_EXIT_OK, N_ ("success") },
  { TL_EXIT_FAILURE, N_ ("anything without a code of its own; cancelled") },
  { TL_EXIT_USAGE, N_ ("command line or input malformed") },
  { TL_EXIT_UNREACHABLE, N_ ("daemon or gateway not reachable, or timed out") },
  { TL_EXIT_NOT_FOUND, N_ ("no such thing, or more than one") },
  { TL_EXIT_DENIED, N_ ("permission denied, revoked, rejected, refused by policy") },
  { TL_EXIT_CODE_INVALID, N_ ("pairing code not accepted") },
  { TL_EXIT_WRONG_CA, N_ ("the gateway is not the one expected") },
  { TL_EXIT_CAPABILITY, N_ ("the capability ran and failed") },
  { TL_EXIT_STATE, N_ ("state in use, read-only, newer or damaged") },
  { TL_EXIT_CONFIG, N_ ("configuration file") },
  { TL_EXIT_NOT_PAIRED, N_ ("this computer is not paired") },
};

/* "  name   text" lines with one column of names. */
static void
append_rows (GString *text, const GPtrArray *names, const GPtrArray *meanings)
{
  guint width = 0;

  for (guint i = 0; i < names->len; i++)
    width = MAX (width, tl_text_width (names->pdata[i]));
  for (guint i = 0; i < names->len; i++)
    g_string_append_printf (text, "  %s%*s  %s\n", (const char *)names->pdata[i],
                            (int)(width - tl_text_width (names->pdata[i])), "", (const char *)meanings->pdata[i]);
}

static gboolean
has_option (const TlOption *options, const char *name)
{
  for (; options != NULL && options->name != NULL; options++)
    {
      if (g_str_equal (options->name, name))
        return TRUE;
    }
  return FALSE;
}

/* hidden_by: options of the same name there hide these (`exec --timeout`); may be NULL. */
static void
append_options (GString *text, const TlOption *options, const TlOption *hidden_by)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) meanings = g_ptr_array_new ();

  for (; options->name != NULL; options++)
    {
      if (has_option (hidden_by, options->name))
        continue;
      g_ptr_array_add (names, options->value != NULL ? g_strdup_printf ("--%s %s", options->name, options->value)
                                                     : g_strdup_printf ("--%s", options->name));
      g_ptr_array_add (meanings, (gpointer)_ (options->help));
    }
  append_rows (text, names, meanings);
}

/* Verbs of a group, or all. */
static void
append_verbs (GString *text, const char *group)
{
  g_autofree char *prefix = group != NULL ? g_strconcat (group, " ", NULL) : g_strdup ("");
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) meanings = g_ptr_array_new ();

  for (const TlVerb *const *verb = tl_verbs (); *verb != NULL; verb++)
    {
      if (!g_str_has_prefix ((*verb)->path, prefix))
        continue;
      g_ptr_array_add (names, g_strstrip (g_strconcat ((*verb)->path, " ", (*verb)->arguments, NULL)));
      g_ptr_array_add (meanings, (gpointer)_ ((*verb)->summary));
    }
  append_rows (text, names, meanings);
}

static void
append_exit_codes (GString *text)
{
  g_string_append_printf (text, "\n%s\n", _ ("Exit status:"));
  for (guint i = 0; i < G_N_ELEMENTS (exit_codes); i++)
    g_string_append_printf (text, "  %2d  %s\n", exit_codes[i].code, _ (exit_codes[i].meaning));
}

static char *
help_for_verb (const TlVerb *verb)
{
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, _ ("Usage: twinlatch %s%s%s [OPTION...]\n\n%s\n"), verb->path,
                          verb->arguments[0] != '\0' ? " " : "", verb->arguments, _ (verb->summary));
  if (verb->details != NULL)
    g_string_append_printf (text, "\n%s\n", _ (verb->details));
  if (verb->options != NULL)
    {
      g_string_append_printf (text, "\n%s\n", _ ("Options:"));
      append_options (text, verb->options, NULL);
    }
  g_string_append_printf (text, "\n%s\n", _ ("Options of every verb:"));
  append_options (text, tl_global_options (), verb->options);
  return g_string_free (text, FALSE);
}

char *
tl_help_for (const char *words)
{
  const TlVerb *verb = tl_verb_find (words);
  GString *text;

  if (verb != NULL)
    return help_for_verb (verb);
  if (words[0] != '\0' && !tl_verb_is_group (words))
    return NULL;

  text = g_string_new (NULL);
  g_string_append_printf (text, "%s\n\n%s\n", _ ("Usage: twinlatch VERB [ARGUMENT...] [OPTION...]"), _ ("Verbs:"));
  append_verbs (text, words[0] != '\0' ? words : NULL);
  g_string_append_printf (text, "\n%s\n", _ ("Options of every verb:"));
  append_options (text, tl_global_options (), NULL);
  if (words[0] == '\0')
    {
      append_exit_codes (text);
      g_string_append_printf (text, "\n%s\n", _ ("See twinlatch help VERB, and twinlatch(1)."));
    }
  return g_string_free (text, FALSE);
}

char *
tl_help_list_verbs (void)
{
  GString *text = g_string_new (NULL);

  for (const TlVerb *const *verb = tl_verbs (); *verb != NULL; verb++)
    {
      g_string_append_printf (text, "%s\t", (*verb)->path);
      for (const TlOption *option = (*verb)->options; option != NULL && option->name != NULL; option++)
        g_string_append_printf (text, "%s--%s", option == (*verb)->options ? "" : " ", option->name);
      g_string_append_c (text, '\n');
    }
  return g_string_free (text, FALSE);
}
