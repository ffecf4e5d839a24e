/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-config.h"

#include <string.h>

#include "base/tl-clock.h"
#include "base/tl-error.h"
#include "base/tl-file.h"

#define MAX_FILE_BYTES ((gsize)256 * 1024)

typedef struct
{
  char *text;    /* NULL: unset */
  char **list;   /* STRING_LIST */
  gint64 number; /* INTEGER, DURATION, BOOLEAN */
  guint line;    /* 0: from the table */
  char *where;   /* "FILE:LINE" when line is not 0 */
} Value;

struct _TlConfig
{
  const TlConfigKey *table;
  char *name;          /* for messages; NULL: defaults only */
  GPtrArray *defaults; /* Value, by row of the table */
  GHashTable *values;  /* "group\nkey" -> Value */
  GPtrArray *groups;   /* names in order of the file, each once */
};

static const char *const empty_list[] = { NULL };

static void
value_free (gpointer data)
{
  Value *value = data;

  if (value == NULL)
    return;
  g_free (value->text);
  g_strfreev (value->list);
  g_free (value->where);
  g_free (value);
}

static char *
value_id (const char *group, const char *key)
{
  return g_strconcat (group, "\n", key, NULL);
}

/* "root *" fits "root documents", not "root ". */
static gboolean
group_matches (const char *pattern, const char *group)
{
  gsize length = strlen (pattern);

  if (length == 0 || pattern[length - 1] != '*')
    return g_str_equal (pattern, group);
  return strncmp (pattern, group, length - 1) == 0 && group[length - 1] != '\0';
}

static const TlConfigKey *
find_row (const TlConfigKey *table, const char *group, const char *key)
{
  for (const TlConfigKey *row = table; row->group != NULL; row++)
    {
      if (g_str_equal (row->key, key) && group_matches (row->group, group))
        return row;
    }
  return NULL;
}

static gboolean
parse_integer (const TlConfigKey *row, const char *text, gint64 *number, GError **error)
{
  g_autoptr (GError) ignored = NULL;

  if (!g_ascii_string_to_signed (text, 10, row->min, row->max, number, &ignored))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "'%s' is not a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, text, row->min,
                   row->max);
      return FALSE;
    }
  return TRUE;
}

static gboolean
parse_boolean (const char *text, gint64 *number, GError **error)
{
  static const char *const yes[] = { "true", "yes", "on", NULL };
  static const char *const no[] = { "false", "no", "off", NULL };

  if (g_strv_contains (yes, text))
    *number = TRUE;
  else if (g_strv_contains (no, text))
    *number = FALSE;
  else
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "'%s' is neither true nor false", text);
      return FALSE;
    }
  return TRUE;
}

static gboolean
parse_duration (const TlConfigKey *row, const char *text, gint64 *number, GError **error)
{
  gint64 ms;

  if (!tl_duration_parse (text, &ms, error))
    return FALSE;
  if (ms < row->min || ms > row->max)
    {
      g_autofree char *min = tl_duration_to_string (row->min);
      g_autofree char *max = tl_duration_to_string (row->max);

      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "'%s' is outside of %s to %s", text, min, max);
      return FALSE;
    }
  *number = ms;
  return TRUE;
}

static gboolean
check_choice (const TlConfigKey *row, const char *text, GError **error)
{
  g_auto (GStrv) choices = g_strsplit (row->choices, "|", -1);

  if (g_strv_contains ((const char *const *)choices, text))
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "'%s' is none of %s", text, row->choices);
  return FALSE;
}

/* An empty text is the empty list; that is how a default is switched off. */
static char **
parse_list (const char *text, GError **error)
{
  g_auto (GStrv) items = g_strsplit_set (text, ";,", -1);

  if (text[0] == '\0')
    return g_new0 (char *, 1);
  for (char **item = items; *item != NULL; item++)
    {
      g_strstrip (*item);
      if (**item == '\0')
        {
          g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the list has an empty item");
          return NULL;
        }
    }
  return g_steal_pointer (&items);
}

static Value *
value_parse (const TlConfigKey *row, const char *text, guint line, GError **error)
{
  g_auto (GStrv) list = NULL;
  gint64 number = 0;
  gboolean ok = TRUE;
  Value *value;

  switch (row->type)
    {
    case TL_CONFIG_STRING:
      break;
    case TL_CONFIG_STRING_LIST:
      list = parse_list (text, error);
      ok = list != NULL;
      break;
    case TL_CONFIG_INTEGER:
      ok = parse_integer (row, text, &number, error);
      break;
    case TL_CONFIG_BOOLEAN:
      ok = parse_boolean (text, &number, error);
      break;
    case TL_CONFIG_DURATION:
      ok = parse_duration (row, text, &number, error);
      break;
    case TL_CONFIG_CHOICE:
      ok = check_choice (row, text, error);
      break;
    }
  if (!ok)
    return NULL;

  value = g_new0 (Value, 1);
  value->text = g_strdup (text);
  value->list = g_steal_pointer (&list);
  value->number = number;
  value->line = line;
  return value;
}

static TlConfig *
config_new (const char *name, const TlConfigKey *table)
{
  TlConfig *config = g_new0 (TlConfig, 1);

  config->table = table;
  config->name = g_strdup (name);
  config->defaults = g_ptr_array_new_with_free_func (value_free);
  config->values = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, value_free);
  config->groups = g_ptr_array_new_with_free_func (g_free);
  for (const TlConfigKey *row = table; row->group != NULL; row++)
    {
      g_autoptr (GError) error = NULL;
      Value *value = row->fallback != NULL ? value_parse (row, row->fallback, 0, &error) : g_new0 (Value, 1);

      if (value == NULL)
        g_error ("default of %s in [%s]: %s", row->key, row->group, error->message);
      g_ptr_array_add (config->defaults, value);
    }
  return config;
}

void
tl_config_free (TlConfig *config)
{
  if (config == NULL)
    return;
  g_free (config->name);
  g_ptr_array_unref (config->defaults);
  g_hash_table_unref (config->values);
  g_ptr_array_unref (config->groups);
  g_free (config);
}

static char *
known_groups (const TlConfigKey *table)
{
  GString *names = g_string_new (NULL);
  const char *last = "";

  for (const TlConfigKey *row = table; row->group != NULL; row++)
    {
      if (!g_str_equal (row->group, last))
        g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", row->group);
      last = row->group;
    }
  return g_string_free (names, FALSE);
}

static char *
known_keys (const TlConfigKey *table, const char *group)
{
  GString *names = g_string_new (NULL);

  for (const TlConfigKey *row = table; row->group != NULL; row++)
    {
      if (group_matches (row->group, group))
        g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", row->key);
    }
  return g_string_free (names, FALSE);
}

static gboolean refuse (TlConfig *config, guint line, GError **error, const char *format, ...) G_GNUC_PRINTF (4, 5);

static gboolean
refuse (TlConfig *config, guint line, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s:%u: %s", config->name, line, what);
  return FALSE;
}

static gboolean
parse_group_line (TlConfig *config, char *text, guint line, const char **group, GError **error)
{
  gsize length = strlen (text);
  gboolean known = FALSE;

  if (length < 3 || text[length - 1] != ']' || strchr (text + 1, '[') != NULL
      || strchr (text, ']') != text + length - 1)
    return refuse (config, line, error, "malformed group line: expected [name]");
  text[length - 1] = '\0';
  text = g_strstrip (text + 1);

  for (const TlConfigKey *row = config->table; row->group != NULL && !known; row++)
    known = group_matches (row->group, text);
  if (!known)
    {
      g_autofree char *names = known_groups (config->table);

      return refuse (config, line, error, "unknown group [%s]; known: %s", text, names);
    }
  for (guint i = 0; i < config->groups->len; i++)
    {
      if (g_str_equal (config->groups->pdata[i], text))
        {
          *group = config->groups->pdata[i];
          return TRUE;
        }
    }
  g_ptr_array_add (config->groups, g_strdup (text));
  *group = config->groups->pdata[config->groups->len - 1];
  return TRUE;
}

static gboolean
parse_key_line (TlConfig *config, char *text, guint line, const char *group, GError **error)
{
  char *equals = strchr (text, '=');
  const TlConfigKey *row;
  g_autoptr (GError) cause = NULL;
  g_autofree char *id = NULL;
  Value *value;
  const Value *earlier;
  const char *key;

  if (equals == NULL || equals == text)
    return refuse (config, line, error, "malformed line: expected key=value, [group] or a comment");
  *equals = '\0';
  key = g_strstrip (text);
  if (group == NULL)
    return refuse (config, line, error, "'%s' stands before the first [group]", key);

  row = find_row (config->table, group, key);
  if (row == NULL)
    {
      g_autofree char *names = known_keys (config->table, group);

      return refuse (config, line, error, "unknown key '%s' in [%s]; known: %s", key, group, names);
    }
  id = value_id (group, key);
  earlier = g_hash_table_lookup (config->values, id);
  if (earlier != NULL)
    return refuse (config, line, error, "'%s' in [%s] was set in line %u already", key, group, earlier->line);

  value = value_parse (row, g_strstrip (equals + 1), line, &cause);
  if (value == NULL)
    return refuse (config, line, error, "%s in [%s]: %s", key, group, cause->message);
  value->where = g_strdup_printf ("%s:%u", config->name, line);
  g_hash_table_insert (config->values, g_steal_pointer (&id), value);
  return TRUE;
}

static gboolean
has_control_character (const char *text)
{
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (c != '\t' && g_unichar_iscntrl (c))
        return TRUE;
    }
  return FALSE;
}

static gboolean
parse_line (TlConfig *config, char *text, guint line, const char **group, GError **error)
{
  text = g_strstrip (text);
  if (text[0] == '\0' || text[0] == '#' || text[0] == ';')
    return TRUE;
  if (has_control_character (text))
    return refuse (config, line, error, "control character");
  if (text[0] == '[')
    return parse_group_line (config, text, line, group, error);
  return parse_key_line (config, text, line, *group, error);
}

static gboolean
parse (TlConfig *config, const char *data, gsize length, GError **error)
{
  g_auto (GStrv) lines = NULL;
  g_autofree char *text = NULL;
  const char *group = NULL;
  const char *bad;

  if (length > MAX_FILE_BYTES)
    return refuse (config, 1, error, "larger than %" G_GSIZE_FORMAT " bytes", MAX_FILE_BYTES);
  if (!g_utf8_validate_len (data, length, &bad))
    {
      guint line = 1;

      for (const char *p = data; p < bad; p++)
        line += *p == '\n';
      return refuse (config, line, error, *bad == '\0' ? "NUL byte" : "not UTF-8");
    }
  text = g_strndup (data, length);
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      if (!parse_line (config, lines[i], i + 1, &group, error))
        return FALSE;
    }
  return TRUE;
}

TlConfig *
tl_config_load_from_data (const char *name, const char *data, const TlConfigKey *table, GError **error)
{
  g_autoptr (TlConfig) config = config_new (name, table);

  if (!parse (config, data, strlen (data), error))
    return NULL;
  return g_steal_pointer (&config);
}

TlConfig *
tl_config_load (const char *path, gboolean optional, const TlConfigKey *table, GError **error)
{
  g_autoptr (TlConfig) config = config_new (path, table);
  g_autoptr (GBytes) content = NULL;
  g_autoptr (GError) cause = NULL;
  gsize length;
  const char *data;

  if (path == NULL)
    return g_steal_pointer (&config);
  content = tl_file_read (path, MAX_FILE_BYTES, &cause);
  if (content == NULL)
    {
      if (optional && tl_error_is_not_found (cause))
        return g_steal_pointer (&config);
      g_propagate_error (error, g_steal_pointer (&cause));
      return NULL;
    }
  data = g_bytes_get_data (content, &length);
  if (!parse (config, data != NULL ? data : "", length, error))
    return NULL;
  return g_steal_pointer (&config);
}

static const Value *
lookup (TlConfig *config, const char *group, const char *key, const TlConfigKey **row)
{
  g_autofree char *id = value_id (group, key);
  const Value *value = g_hash_table_lookup (config->values, id);

  *row = find_row (config->table, group, key);
  if (*row == NULL)
    g_error ("no configuration key '%s' in [%s]", key, group);
  return value != NULL ? value : config->defaults->pdata[*row - config->table];
}

const char *
tl_config_get_string (TlConfig *config, const char *group, const char *key)
{
  const TlConfigKey *row;

  return lookup (config, group, key, &row)->text;
}

const char *const *
tl_config_get_strings (TlConfig *config, const char *group, const char *key)
{
  const TlConfigKey *row;
  const Value *value = lookup (config, group, key, &row);

  g_assert (row->type == TL_CONFIG_STRING_LIST);
  return value->list != NULL ? (const char *const *)value->list : empty_list;
}

gint64
tl_config_get_integer (TlConfig *config, const char *group, const char *key)
{
  const TlConfigKey *row;
  const Value *value = lookup (config, group, key, &row);

  g_assert (row->type == TL_CONFIG_INTEGER || row->type == TL_CONFIG_DURATION);
  return value->number;
}

gboolean
tl_config_get_boolean (TlConfig *config, const char *group, const char *key)
{
  const TlConfigKey *row;
  const Value *value = lookup (config, group, key, &row);

  g_assert (row->type == TL_CONFIG_BOOLEAN);
  return value->number != 0;
}

char **
tl_config_list_groups (TlConfig *config, const char *pattern)
{
  GPtrArray *names = g_ptr_array_new ();

  for (guint i = 0; i < config->groups->len; i++)
    {
      if (group_matches (pattern, config->groups->pdata[i]))
        g_ptr_array_add (names, g_strdup (config->groups->pdata[i]));
    }
  g_ptr_array_add (names, NULL);
  return (char **)g_ptr_array_free (names, FALSE);
}

const char *
tl_config_where (TlConfig *config, const char *group, const char *key)
{
  const TlConfigKey *row;

  return lookup (config, group, key, &row)->where;
}
