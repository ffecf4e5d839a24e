/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-json-writer.h"

#include <string.h>

#include "base/tl-json.h"

static const char hex_digits[] = "0123456789abcdef";

void
tl_json_writer_init (TlJsonWriter *writer, gsize size)
{
  writer->text = g_string_sized_new (size);
  writer->comma = FALSE;
  writer->malformed = FALSE;
  g_string_append_c (writer->text, '{');
}

GBytes *
tl_json_writer_end (TlJsonWriter *writer)
{
  GString *text = g_steal_pointer (&writer->text);

  if (writer->malformed)
    {
      g_string_free (text, TRUE);
      return NULL;
    }
  g_string_append_c (text, '}');
  return g_string_free_to_bytes (text);
}

static void
begin (TlJsonWriter *writer, const char *name)
{
  if (writer->comma)
    g_string_append_c (writer->text, ',');
  g_string_append_c (writer->text, '"');
  g_string_append (writer->text, name);
  g_string_append_len (writer->text, "\":", 2);
  writer->comma = TRUE;
}

static void
append_escape (GString *text, guchar c)
{
  static const char short_forms[] = "\bb\tt\nn\ff\rr\"\"\\\\";
  const char *found = NULL;

  for (gsize i = 0; i < sizeof short_forms - 1 && found == NULL; i += 2)
    if ((guchar)short_forms[i] == c)
      found = short_forms + i;
  g_string_append_c (text, '\\');
  if (found != NULL)
    g_string_append_c (text, found[1]);
  else
    {
      g_string_append_len (text, "u00", 3);
      g_string_append_c (text, hex_digits[c >> 4]);
      g_string_append_c (text, hex_digits[c & 0xf]);
    }
}

/* Runs that need no escape are copied whole: nearly everything is one. */
static void
append_text (GString *text, const char *value, gsize length)
{
  gsize from = 0;

  g_string_append_c (text, '"');
  for (gsize i = 0; i < length; i++)
    {
      guchar c = (guchar)value[i];

      if (c >= 0x20 && c != '"' && c != '\\')
        continue;
      g_string_append_len (text, value + from, (gssize)(i - from));
      append_escape (text, c);
      from = i + 1;
    }
  g_string_append_len (text, value + from, (gssize)(length - from));
  g_string_append_c (text, '"');
}

void
tl_json_writer_string (TlJsonWriter *writer, const char *name, const char *value)
{
  gsize length = value != NULL ? strlen (value) : 0;

  begin (writer, name);
  if (!g_utf8_validate_len (value != NULL ? value : "", length, NULL))
    writer->malformed = TRUE;
  else
    append_text (writer->text, value != NULL ? value : "", length);
}

/* By hand: printf's way through formats and locales costs more than the rest of a small frame. */
static void
append_uint (GString *text, guint64 value)
{
  char digits[20];
  gsize n = sizeof digits;

  do
    {
      digits[--n] = (char)('0' + value % 10);
      value /= 10;
    }
  while (value > 0);
  g_string_append_len (text, digits + n, (gssize)(sizeof digits - n));
}

void
tl_json_writer_uint (TlJsonWriter *writer, const char *name, guint64 value)
{
  begin (writer, name);
  writer->malformed = writer->malformed || value >= (guint64)TL_JSON_MAX_INTEGER;
  append_uint (writer->text, value);
}

void
tl_json_writer_int (TlJsonWriter *writer, const char *name, gint64 value)
{
  begin (writer, name);
  writer->malformed = writer->malformed || value <= -TL_JSON_MAX_INTEGER || value >= TL_JSON_MAX_INTEGER;
  if (value < 0)
    g_string_append_c (writer->text, '-');
  append_uint (writer->text, value < 0 ? -(guint64)value : (guint64)value);
}

void
tl_json_writer_bool (TlJsonWriter *writer, const char *name, gboolean value)
{
  begin (writer, name);
  g_string_append (writer->text, value ? "true" : "false");
}

void
tl_json_writer_bytes (TlJsonWriter *writer, const char *name, const void *data, gsize length)
{
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const guint8 *bytes = data;
  guint32 bits = 0;
  guint n_bits = 0;

  begin (writer, name);
  g_string_append_c (writer->text, '"');
  for (gsize i = 0; i < length; i++)
    {
      bits = bits << 8 | bytes[i];
      for (n_bits += 8; n_bits >= 6; n_bits -= 6)
        g_string_append_c (writer->text, alphabet[bits >> (n_bits - 6) & 0x3f]);
    }
  if (n_bits > 0)
    g_string_append_c (writer->text, alphabet[bits << (6 - n_bits) & 0x3f]);
  g_string_append_c (writer->text, '"');
}

void
tl_json_writer_raw (TlJsonWriter *writer, const char *name, const char *json)
{
  begin (writer, name);
  g_string_append (writer->text, json);
}

void
tl_json_writer_open (TlJsonWriter *writer, const char *name)
{
  begin (writer, name);
  g_string_append_c (writer->text, '{');
  writer->comma = FALSE;
}

void
tl_json_writer_close (TlJsonWriter *writer)
{
  g_string_append_c (writer->text, '}');
  writer->comma = TRUE;
}
