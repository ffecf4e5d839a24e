/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-args.h"

#include <glib/gi18n.h>
#include <string.h>

#include "agent/cli/tl-argv-guard.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-clock.h"
#include "base/tl-error.h"

typedef struct
{
  const TlOption *option;
  GPtrArray *values; /* char*, NULL-terminated */
  gint64 number;
} Given;

struct _TlArgs
{
  const TlVerb *verb;
  GString *words;
  GPtrArray *arguments; /* char* */
  GPtrArray *given;     /* Given */
};

static void
given_free (gpointer data)
{
  Given *given = data;

  g_ptr_array_unref (given->values);
  g_free (given);
}

static TlArgs *
args_new (void)
{
  TlArgs *args = g_new0 (TlArgs, 1);

  args->words = g_string_new (NULL);
  args->arguments = g_ptr_array_new_with_free_func (g_free);
  args->given = g_ptr_array_new_with_free_func (given_free);
  return args;
}

void
tl_args_free (TlArgs *args)
{
  if (args == NULL)
    return;
  g_string_free (args->words, TRUE);
  g_ptr_array_unref (args->arguments);
  g_ptr_array_unref (args->given);
  g_free (args);
}

static gboolean
check_no_pin (TlArgs *args, GError **error)
{
  for (guint i = 0; i < args->arguments->len; i++)
    {
      if (!tl_argv_check_pin (g_ptr_array_index (args->arguments, i), error))
        return FALSE;
    }
  for (guint i = 0; i < args->given->len; i++)
    {
      const Given *given = g_ptr_array_index (args->given, i);

      if (given->option->kind == TL_OPTION_TEXT && !tl_argv_check_pin (given->values->pdata[0], error))
        return FALSE;
    }
  return TRUE;
}

static const TlOption *
find_in (const TlOption *options, const char *name, gsize length)
{
  for (; options != NULL && options->name != NULL; options++)
    {
      if (strlen (options->name) == length && strncmp (options->name, name, length) == 0)
        return options;
    }
  return NULL;
}

/* A verb's own option hides the global one of that name (`exec --timeout`). */
static const TlOption *
find_option (TlArgs *args, const char *name, gsize length)
{
  const TlOption *option = args->verb != NULL ? find_in (args->verb->options, name, length) : NULL;

  return option != NULL ? option : find_in (tl_global_options (), name, length);
}

static gboolean
parse_number (const TlOption *option, const char *value, gint64 *number, GError **error)
{
  gint64 parsed = 0;
  gboolean ok = option->kind == TL_OPTION_DURATION
                    ? tl_duration_parse (value, &parsed, NULL)
                    : g_ascii_string_to_signed (value, 10, option->min, option->max, &parsed, NULL);

  if (ok && parsed >= option->min && parsed <= option->max)
    {
      *number = parsed;
      return TRUE;
    }
  if (option->kind == TL_OPTION_DURATION)
    {
      g_autofree char *min = tl_duration_to_string (option->min);
      g_autofree char *max = tl_duration_to_string (option->max);

      g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("--%s must be a time such as 90s, 10m, 2h or 7d, from %s to %s"),
                   option->name, min, max);
    }
  else
    g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("--%s must be a whole number from %lld to %lld"), option->name,
                 (long long)option->min, (long long)option->max);
  return FALSE;
}

static gboolean
check_choice (const TlOption *option, const char *value, GError **error)
{
  g_auto (GStrv) choices = g_strsplit (option->value, "|", -1);

  if (g_strv_contains ((const char *const *)choices, value))
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("--%s must be one of %s"), option->name, option->value);
  return FALSE;
}

static Given *
find_given (TlArgs *args, const char *name)
{
  for (guint i = 0; i < args->given->len; i++)
    {
      Given *given = g_ptr_array_index (args->given, i);

      if (g_str_equal (given->option->name, name))
        return given;
    }
  return NULL;
}

static Given *
add_given (TlArgs *args, const TlOption *option)
{
  Given *given = g_new0 (Given, 1);

  given->option = option;
  given->values = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (given->values, NULL);
  g_ptr_array_add (args->given, given);
  return given;
}

static gboolean
set_option (TlArgs *args, const TlOption *option, const char *value, GError **error)
{
  Given *given = find_given (args, option->name);

  if (given != NULL && option->kind != TL_OPTION_LIST && option->kind != TL_OPTION_FLAG)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("--%s was given twice"), option->name);
      return FALSE;
    }
  if (given == NULL)
    given = add_given (args, option);
  if (option->kind == TL_OPTION_FLAG)
    return TRUE;

  g_ptr_array_insert (given->values, (int)given->values->len - 1, g_strdup (value));
  if (option->kind == TL_OPTION_CHOICE)
    return check_choice (option, value, error);
  if (option->kind == TL_OPTION_DURATION || option->kind == TL_OPTION_INTEGER)
    return parse_number (option, value, &given->number, error);
  return TRUE;
}

/* argv[*index] begins with '-'; moves on over a separate value. */
static gboolean
parse_option (TlArgs *args, int argc, const char *const *argv, int *index, GError **error)
{
  const char *text = g_str_equal (argv[*index], "-h") ? "--help" : argv[*index];
  const char *equals = strchr (text, '=');
  gsize length = equals != NULL ? (gsize)(equals - text) : strlen (text);
  const TlOption *option
      = length > 2 && g_str_has_prefix (text, "--") ? find_option (args, text + 2, length - 2) : NULL;
  const char *value = equals != NULL ? equals + 1 : NULL;

  if (option == NULL)
    {
      g_autofree char *name = g_strndup (text, length);
      g_autofree char *shown = tl_text_escape (name);

      g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("there is no option %s here; see twinlatch %s%s--help"), shown,
                   args->words->str, args->words->len > 0 ? " " : "");
      return FALSE;
    }
  if (option->kind == TL_OPTION_FLAG && value != NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("--%s takes no value"), option->name);
      return FALSE;
    }
  if (option->kind != TL_OPTION_FLAG && value == NULL)
    {
      if (*index + 1 >= argc)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("--%s needs a value: --%s %s"), option->name, option->name,
                       option->value);
          return FALSE;
        }
      value = argv[++*index];
    }
  return set_option (args, option, value, error);
}

static gboolean
unknown_verb (const char *words, GError **error)
{
  g_autofree char *shown = tl_text_escape (words);
  const char *near = tl_verb_suggest (words);

  if (near != NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("there is no verb '%s'; did you mean 'twinlatch %s'?"), shown,
                 near);
  else
    g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("there is no verb '%s'; see twinlatch help"), shown);
  return FALSE;
}

/* The next word of the verb's path. */
static gboolean
parse_word (TlArgs *args, const char *word, const char *next, GError **error)
{
  gboolean first = args->words->len == 0;

  if (!first)
    g_string_append_c (args->words, ' ');
  g_string_append (args->words, word);

  args->verb = tl_verb_find (args->words->str);
  if (args->verb != NULL || (first && tl_verb_is_group (word)))
    return TRUE;
  if (first && next != NULL && next[0] != '-') /* "paring mint": both words tell what was meant */
    {
      g_autofree char *both = g_strconcat (word, " ", next, NULL);

      if (tl_verb_suggest (both) != NULL)
        return unknown_verb (both, error);
    }
  return unknown_verb (args->words->str, error);
}

static gboolean
check_count (TlArgs *args, GError **error)
{
  const TlVerb *verb = args->verb;
  const char *blank = verb->arguments[0] != '\0' ? " " : "";
  guint n = args->arguments->len;

  if (n >= verb->min_arguments && n <= verb->max_arguments)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_USAGE,
               n > verb->max_arguments ? _ ("too many arguments; usage: twinlatch %s%s%s")
                                       : _ ("an argument is missing; usage: twinlatch %s%s%s"),
               verb->path, blank, verb->arguments);
  return FALSE;
}

TlArgs *
tl_args_parse (int argc, const char *const *argv, GError **error)
{
  g_autoptr (TlArgs) args = args_new ();
  gboolean options_end = FALSE;

  if (!tl_argv_check_links (argc, argv, error))
    return NULL;

  for (int i = 1; i < argc; i++)
    {
      const char *text = argv[i];

      if (!options_end && g_str_equal (text, "--"))
        options_end = TRUE;
      else if (!options_end && text[0] == '-' && text[1] != '\0')
        {
          if (!parse_option (args, argc, argv, &i, error))
            return NULL;
        }
      else if (args->verb != NULL)
        g_ptr_array_add (args->arguments, g_strdup (text));
      else if (!parse_word (args, text, i + 1 < argc ? argv[i + 1] : NULL, error))
        return NULL;
    }

  if (args->verb != NULL && args->verb->refuses_codes && !check_no_pin (args, error))
    return NULL;
  if (args->verb != NULL && !tl_args_flag (args, "help") && !check_count (args, error))
    return NULL;
  return g_steal_pointer (&args);
}

const TlVerb *
tl_args_verb (TlArgs *args)
{
  return args->verb;
}

const char *
tl_args_words (TlArgs *args)
{
  return args->words->str;
}

guint
tl_args_count (TlArgs *args)
{
  return args->arguments->len;
}

const char *
tl_args_argument (TlArgs *args, guint index)
{
  return index < args->arguments->len ? g_ptr_array_index (args->arguments, index) : NULL;
}

static Given *
lookup (TlArgs *args, const char *name)
{
  g_assert (find_option (args, name, strlen (name)) != NULL);
  return find_given (args, name);
}

gboolean
tl_args_flag (TlArgs *args, const char *name)
{
  return lookup (args, name) != NULL;
}

const char *
tl_args_text (TlArgs *args, const char *name)
{
  Given *given = lookup (args, name);

  return given != NULL ? given->values->pdata[0] : NULL;
}

const char *const *
tl_args_list (TlArgs *args, const char *name)
{
  static const char *const none[] = { NULL };
  Given *given = lookup (args, name);

  return given != NULL ? (const char *const *)given->values->pdata : none;
}

gint64
tl_args_number (TlArgs *args, const char *name, gint64 fallback)
{
  Given *given = lookup (args, name);

  return given != NULL ? given->number : fallback;
}
