/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-json.h"

#include <string.h>

#include "base/tl-error.h"

/* Digits of 2^53 - 1; a longer run (leading zeros are not JSON) is out of range without converting it. */
#define MAX_INTEGER_DIGITS 16

typedef struct
{
  const char *p;
  const char *end;
  guint line;
  guint column; /* characters, from 1, as jansson counts them */
  guint depth;
} Scanner;

static gboolean
refuse (const Scanner *scanner, GError **error, const char *what)
{
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "not valid JSON: line %u, column %u: %s", scanner->line,
               scanner->column, what);
  return FALSE;
}

static void
step (Scanner *scanner)
{
  if (*scanner->p == '\n')
    {
      scanner->line++;
      scanner->column = 1;
    }
  else if (((guint8)*scanner->p & 0xc0) != 0x80)
    scanner->column++;
  scanner->p++;
}

static void
skip_string (Scanner *scanner)
{
  step (scanner);
  while (scanner->p < scanner->end && *scanner->p != '"')
    {
      if (*scanner->p == '\\' && scanner->p + 1 < scanner->end)
        step (scanner);
      step (scanner);
    }
  if (scanner->p < scanner->end)
    step (scanner);
}

/* strchr() finds the set's own end as well: a NUL byte is part of no number. */
static gboolean
is_one_of (char c, const char *set)
{
  return c != '\0' && strchr (set, c) != NULL;
}

/* Reals are left to jansson; whole numbers must fit |x| < 2^53, where a double and a 64-bit integer agree. */
static gboolean
scan_number (Scanner *scanner, GError **error)
{
  Scanner start = *scanner;
  gint64 value = 0;
  guint n_digits = 0;

  if (*scanner->p == '-')
    step (scanner);
  for (; scanner->p < scanner->end && g_ascii_isdigit (*scanner->p); step (scanner))
    {
      if (++n_digits <= MAX_INTEGER_DIGITS)
        value = value * 10 + (*scanner->p - '0');
    }
  if (scanner->p < scanner->end && is_one_of (*scanner->p, ".eE"))
    {
      while (scanner->p < scanner->end && (g_ascii_isdigit (*scanner->p) || is_one_of (*scanner->p, ".eE+-")))
        step (scanner);
      return TRUE;
    }
  if (n_digits > MAX_INTEGER_DIGITS || value >= TL_JSON_MAX_INTEGER)
    return refuse (&start, error, "integer out of range (2^53)");
  return TRUE;
}

/* jansson builds as it reads, so what limits the building is checked beforehand. */
static gboolean
check_limits (const char *text, gsize length, GError **error)
{
  Scanner scanner = { .p = text, .end = text + length, .line = 1, .column = 1 };

  while (scanner.p < scanner.end)
    {
      switch (*scanner.p)
        {
        case '\0':
          return refuse (&scanner, error, "NUL byte");
        case '"':
          skip_string (&scanner);
          break;
        case '[':
        case '{':
          if (++scanner.depth > TL_JSON_MAX_DEPTH)
            return refuse (&scanner, error, "nested too deeply");
          step (&scanner);
          break;
        case ']':
        case '}':
          scanner.depth -= scanner.depth > 0 ? 1 : 0;
          step (&scanner);
          break;
        default:
          if (*scanner.p == '-' || g_ascii_isdigit (*scanner.p))
            {
              if (!scan_number (&scanner, error))
                return FALSE;
            }
          else
            step (&scanner);
        }
    }
  return TRUE;
}

json_t *
tl_json_parse (const char *text, gssize length, gsize max_bytes, GError **error)
{
  gsize n = length >= 0 ? (gsize)length : strlen (text);
  json_error_t detail;
  json_t *value;

  if (max_bytes == 0)
    max_bytes = TL_JSON_DEFAULT_MAX_BYTES;
  if (n > max_bytes)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
                   "JSON of %" G_GSIZE_FORMAT " bytes is larger than the limit of %" G_GSIZE_FORMAT, n, max_bytes);
      return NULL;
    }
  if (n == 0)
    text = ""; /* an empty GBytes has no data */
  if (!check_limits (text, n, error))
    return NULL;

  value = json_loadb (text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &detail);
  if (value == NULL)
    {
      /* What follows "near" is a piece of the input: it may hold anything, also secrets. */
      char *near = strstr (detail.text, " near ");

      if (near != NULL)
        *near = '\0';
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "not valid JSON: line %d, column %d: %s", detail.line,
                   detail.column, detail.text);
    }
  return value;
}

static char *
dump (const json_t *value, size_t flags)
{
  g_autofree char *text = json_dumps (value, flags | JSON_ENCODE_ANY);

  g_assert (text != NULL); /* a loop or bytes that are not UTF-8: put there by us */
  return g_steal_pointer (&text);
}

char *
tl_json_to_string (const json_t *value)
{
  return dump (value, JSON_COMPACT);
}

char *
tl_json_to_pretty_string (const json_t *value)
{
  return dump (value, JSON_INDENT (2));
}

/* FALSE: *error is set. TRUE with *found NULL: absent or null, and not required. */
static gboolean
lookup (const json_t *object, const char *member, gboolean required, json_t **found, GError **error)
{
  json_t *value;

  if (!json_is_object (object))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "'%s' is looked for in JSON that is not an object",
                   member);
      return FALSE;
    }
  value = json_object_get (object, member);
  if (json_is_null (value))
    value = NULL;
  if (value == NULL && required)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "member '%s' is missing", member);
      return FALSE;
    }
  *found = value;
  return TRUE;
}

static gboolean
wrong_type (const char *member, const char *expected, GError **error)
{
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "member '%s' must be %s", member, expected);
  return FALSE;
}

gboolean
tl_json_get_string (const json_t *object, const char *member, gboolean required, const char **value, GError **error)
{
  json_t *found;

  if (!lookup (object, member, required, &found, error))
    return FALSE;
  if (found != NULL && !json_is_string (found))
    return wrong_type (member, "a string", error);

  *value = found != NULL ? json_string_value (found) : NULL;
  return TRUE;
}

gboolean
tl_json_get_int (const json_t *object, const char *member, gboolean required, gint64 min, gint64 max, gint64 fallback,
                 gint64 *value, GError **error)
{
  json_t *found;

  if (!lookup (object, member, required, &found, error))
    return FALSE;
  if (found == NULL)
    {
      *value = fallback;
      return TRUE;
    }
  if (!json_is_integer (found))
    return wrong_type (member, "a whole number", error);
  if (json_integer_value (found) < min || json_integer_value (found) > max)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "member '%s' is %" G_GINT64_FORMAT ", must be %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, member,
                   (gint64)json_integer_value (found), min, max);
      return FALSE;
    }

  *value = json_integer_value (found);
  return TRUE;
}

gboolean
tl_json_get_bool (const json_t *object, const char *member, gboolean fallback, gboolean *value, GError **error)
{
  json_t *found;

  if (!lookup (object, member, FALSE, &found, error))
    return FALSE;
  if (found != NULL && !json_is_boolean (found))
    return wrong_type (member, "true or false", error);

  *value = found != NULL ? json_is_true (found) : fallback;
  return TRUE;
}
