/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-json-summary.h"

#include <string.h>

#define HIDDEN     "***"
#define CUT        "..."
#define NAME_LIMIT 64 /* of a name that is looked at; a longer one is hidden by its beginning or not at all */
#define STRING_CUT 32 /* bytes shown of a string that is too long */

static const char *const secret_parts[] = { "token",         "password", "passwd", "passphrase", "secret", "credential",
                                            "authorization", "cookie",   "apikey", "privatekey", "bearer" };
static const char *const secret_words[] = { "key", "keys", "pass", "pwd", "pin", "otp", "auth", "stdin" };
static const char *const secret_beginnings[] = { "Bearer ", "Basic ", "-----BEGIN " };

static gboolean
word_is_secret (const char *word, gsize length)
{
  for (guint i = 0; i < G_N_ELEMENTS (secret_words); i++)
    if (strlen (secret_words[i]) == length && memcmp (secret_words[i], word, length) == 0)
      return TRUE;
  return FALSE;
}

gboolean
tl_json_name_is_secret (const char *name, gsize length)
{
  char squeezed[NAME_LIMIT + 1]; /* lower case, letters and digits only */
  gsize n = 0, word = 0;

  for (gsize i = 0; i < MIN (length, NAME_LIMIT); i++)
    {
      gboolean ends = !g_ascii_isalnum (name[i]);

      /* accessKey: a capital after a small letter begins a word */
      if ((ends || (g_ascii_isupper (name[i]) && i > 0 && g_ascii_islower (name[i - 1])))
          && word_is_secret (squeezed + word, n - word))
        return TRUE;
      if (ends || (g_ascii_isupper (name[i]) && i > 0 && g_ascii_islower (name[i - 1])))
        word = n;
      if (!ends)
        squeezed[n++] = g_ascii_tolower (name[i]);
    }
  squeezed[n] = '\0';
  if (word_is_secret (squeezed + word, n - word))
    return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (secret_parts); i++)
    if (strstr (squeezed, secret_parts[i]) != NULL)
      return TRUE;
  return FALSE;
}

typedef struct
{
  GString *text;
  gboolean full; /* the rest is not looked at */
} Summary;

static void
add (Summary *summary, const char *text, gsize length)
{
  if (summary->full)
    return;
  g_string_append_len (summary->text, text, (gssize)length);
  summary->full = summary->text->len > TL_JSON_SUMMARY_MAX;
}

static void
add_text (Summary *summary, const char *text)
{
  add (summary, text, strlen (text));
}

/* Bytes of whole characters that fit into max. */
static gsize
whole_characters (const char *text, gsize length, gsize max)
{
  if (length <= max)
    return length;
  while (max > 0 && ((guchar)text[max] & 0xc0) == 0x80)
    max--;
  return max;
}

static void
add_escaped (Summary *summary, const char *text, gsize length)
{
  for (gsize i = 0; i < length && !summary->full; i++)
    {
      char code[8];

      if ((guchar)text[i] < 0x20 || text[i] == 0x7f)
        g_snprintf (code, sizeof code, "\\u%04x", (guchar)text[i]);
      else
        g_snprintf (code, sizeof code, text[i] == '"' || text[i] == '\\' ? "\\%c" : "%c", text[i]);
      add_text (summary, code);
    }
}

/* The length of "NAME=" or "NAME: " with a secret's name in front of the value; 0: neither. */
static gsize
secret_prefix (const char *text, gsize length)
{
  gsize end = 0;

  while (end < MIN (length, NAME_LIMIT) && (g_ascii_isalnum (text[end]) || text[end] == '-' || text[end] == '_'))
    end++;
  if (end == 0 || end >= length || (text[end] != '=' && text[end] != ':') || !tl_json_name_is_secret (text, end))
    return 0;
  return end + 1;
}

static gboolean
begins_as_secret (const char *text)
{
  for (guint i = 0; i < G_N_ELEMENTS (secret_beginnings); i++)
    if (g_ascii_strncasecmp (text, secret_beginnings[i], strlen (secret_beginnings[i])) == 0)
      return TRUE;
  return FALSE;
}

static void
add_string (Summary *summary, const char *text, gsize length)
{
  gsize prefix = secret_prefix (text, length);
  gsize shown = length > TL_JSON_SUMMARY_STRING ? whole_characters (text, length, STRING_CUT) : length;

  if (begins_as_secret (text))
    {
      add_text (summary, "\"" HIDDEN "\"");
      return;
    }
  add_text (summary, "\"");
  add_escaped (summary, text, prefix > 0 ? prefix : shown);
  if (prefix > 0)
    add_text (summary, HIDDEN "\"");
  else if (shown < length)
    {
      g_autofree char *note = g_strdup_printf (CUT "\"(%" G_GSIZE_FORMAT " bytes)", length);

      add_text (summary, note);
    }
  else
    add_text (summary, "\"");
}

static void add_value (Summary *summary, const json_t *value);

static void
add_object (Summary *summary, const json_t *object)
{
  const char *separator = "";

  add_text (summary, "{");
  for (void *iter = json_object_iter ((json_t *)object); iter != NULL && !summary->full;
       iter = json_object_iter_next ((json_t *)object, iter))
    {
      const char *name = json_object_iter_key (iter);
      gsize length = strlen (name);

      add_text (summary, separator);
      add_text (summary, "\"");
      add_escaped (summary, name, length);
      add_text (summary, "\":");
      if (tl_json_name_is_secret (name, length))
        add_text (summary, HIDDEN);
      else
        add_value (summary, json_object_iter_value (iter));
      separator = ",";
    }
  add_text (summary, "}");
}

/* "--password", whose value is the next string. */
static gboolean
announces_secret (const json_t *value)
{
  const char *text = json_string_value (value);

  return text != NULL && text[0] == '-' && tl_json_name_is_secret (text, strlen (text))
         && strpbrk (text, "=: ") == NULL;
}

static void
add_array (Summary *summary, const json_t *array)
{
  const json_t *before = NULL;

  add_text (summary, "[");
  for (size_t i = 0; i < json_array_size (array) && !summary->full; i++)
    {
      const json_t *value = json_array_get (array, i);

      if (i > 0)
        add_text (summary, ",");
      if (json_is_string (value) && announces_secret (before))
        add_text (summary, HIDDEN);
      else
        add_value (summary, value);
      before = value;
    }
  add_text (summary, "]");
}

static void
add_value (Summary *summary, const json_t *value)
{
  g_autofree char *text = NULL;

  switch (json_typeof (value))
    {
    case JSON_OBJECT:
      add_object (summary, value);
      return;
    case JSON_ARRAY:
      add_array (summary, value);
      return;
    case JSON_STRING:
      add_string (summary, json_string_value (value), json_string_length (value));
      return;
    case JSON_INTEGER:
    case JSON_REAL:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
      text = tl_json_to_string (value);
      add_text (summary, text);
      return;
    }
}

char *
tl_json_summary (const json_t *value)
{
  Summary summary = { .text = g_string_sized_new (TL_JSON_SUMMARY_MAX + 16) };

  if (value != NULL)
    add_value (&summary, value);
  if (summary.full)
    {
      gsize end = whole_characters (summary.text->str, summary.text->len, TL_JSON_SUMMARY_MAX - strlen (CUT));

      g_string_truncate (summary.text, end);
      g_string_append (summary.text, CUT);
    }
  return g_string_free (summary.text, FALSE);
}

char *
tl_json_summary_of_text (const char *text)
{
  tl_json_auto value = text != NULL ? tl_json_parse (text, -1, 0, NULL) : NULL;

  return tl_json_summary (value);
}
