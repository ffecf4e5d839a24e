/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "quic/tl-quic-message-private.h"

/*
 * Health is what nodes ask most, thousands of them, and answering costs less than jansson does (0.7-2 us a frame
 * here). So a frame in the form that everybody writes is recognised without it: an object without blanks whose members
 * are plain strings and small numbers. Of that subset nothing is doubtful; every other frame, also one that is wrong,
 * is left to the parser, which then decides alone.
 */
#define MAX_MEMBERS 8
#define MAX_NAME    32
#define MAX_DIGITS  15 /* below 2^53 */

typedef struct
{
  const char *start;
  gsize length;
} Text;

static gboolean
is_text (Text text, const char *expected)
{
  return text.length == strlen (expected) && memcmp (text.start, expected, text.length) == 0;
}

/* The characters up to the closing quote, printable ASCII without escapes; *p behind the quote. */
static gboolean
take_string (const char **p, const char *end, Text *text)
{
  const char *at = *p;

  text->start = at;
  while (at < end && *at >= 0x20 && *at <= 0x7e && *at != '"' && *at != '\\')
    at++;
  text->length = (gsize)(at - text->start);
  if (at == end || *at != '"')
    return FALSE;
  *p = at + 1;
  return TRUE;
}

static gboolean
take_number (const char **p, const char *end, Text *text)
{
  const char *at = *p;

  text->start = at;
  while (at < end && g_ascii_isdigit (*at))
    at++;
  text->length = (gsize)(at - text->start);
  *p = at;
  return text->length > 0 && text->length <= MAX_DIGITS && (*text->start != '0' || text->length == 1);
}

static gboolean
take_byte (const char **p, const char *end, char byte)
{
  if (*p == end || **p != byte)
    return FALSE;
  (*p)++;
  return TRUE;
}

static gboolean
is_repeated (const Text *names, guint n)
{
  for (guint i = 0; i < n; i++)
    if (names[i].length == names[n].length && memcmp (names[i].start, names[n].start, names[n].length) == 0)
      return TRUE;
  return FALSE;
}

gboolean
tl_quic_request_is_plain_health (const guint8 *data, gsize length)
{
  const char *p = (const char *)data, *end = p + length;
  gboolean has_version = FALSE, is_health = FALSE;
  Text names[MAX_MEMBERS], value;

  if (!take_byte (&p, end, '{'))
    return FALSE;
  for (guint n = 0; n < MAX_MEMBERS; n++)
    {
      gboolean is_string;

      if (!take_byte (&p, end, '"') || !take_string (&p, end, &names[n]) || names[n].length > MAX_NAME
          || is_repeated (names, n) || !take_byte (&p, end, ':'))
        return FALSE;
      is_string = take_byte (&p, end, '"');
      if (is_string ? !take_string (&p, end, &value) : !take_number (&p, end, &value))
        return FALSE;
      if (is_text (names[n], "protocol_version"))
        has_version = !is_string && is_text (value, G_STRINGIFY (TL_QUIC_PROTOCOL_VERSION));
      else if (is_text (names[n], "method"))
        is_health = is_string && is_text (value, "node.health");
      if (!take_byte (&p, end, ','))
        return take_byte (&p, end, '}') && p == end && has_version && is_health;
    }
  return FALSE;
}
