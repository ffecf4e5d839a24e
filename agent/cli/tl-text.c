/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-text.h"

#include <glib/gi18n.h>
#include <string.h>

#define SECOND_MS G_GINT64_CONSTANT (1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

static gboolean
is_shown_as_is (gunichar c)
{
  switch (g_unichar_type (c))
    {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_SURROGATE:
    case G_UNICODE_PRIVATE_USE:
    case G_UNICODE_UNASSIGNED:
      return FALSE;
    default:
      return TRUE;
    }
}

static char *
escape (const char *text, const char *allowed)
{
  g_autofree char *valid = g_utf8_make_valid (text != NULL ? text : "", -1);
  GString *line = g_string_sized_new (strlen (valid));

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (is_shown_as_is (c) || (c < 0x80 && strchr (allowed, (int)c) != NULL))
        g_string_append_unichar (line, c);
      else
        g_string_append_printf (line, "\\u{%x}", c);
    }
  return g_string_free (line, FALSE);
}

char *
tl_text_escape (const char *text)
{
  return escape (text, "");
}

char *
tl_text_escape_lines (const char *text)
{
  return escape (text, "\n\t");
}

guint
tl_text_width (const char *text)
{
  guint width = 0;

  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (!g_unichar_iszerowidth (c))
        width += g_unichar_iswide (c) ? 2 : 1;
    }
  return width;
}

char *
tl_text_group_digits (const char *digits)
{
  if (strlen (digits) != 6)
    return g_strdup (digits);
  return g_strdup_printf ("%.3s %s", digits, digits + 3);
}

/* To the nearest: a code of ten minutes that was made a moment ago ends "in 10 min". */
static int
rounded (gint64 ms, gint64 unit_ms)
{
  return (int)MIN (ms / unit_ms + (ms % unit_ms >= unit_ms / 2 ? 1 : 0), G_MAXINT);
}

char *
tl_text_span (gint64 ms)
{
  if (ms < 0)
    ms = 0;
  if (ms < 2 * MINUTE_MS)
    return g_strdup_printf (_ ("%d s"), rounded (ms, SECOND_MS));
  if (ms < 2 * HOUR_MS)
    return g_strdup_printf (_ ("%d min"), rounded (ms, MINUTE_MS));
  if (ms < 2 * DAY_MS)
    return g_strdup_printf (_ ("%d h"), rounded (ms, HOUR_MS));
  return g_strdup_printf (_ ("%d d"), rounded (ms, DAY_MS));
}

char *
tl_text_time (gint64 wall_ms, gint64 now_ms)
{
  g_autoptr (GDateTime) then = NULL;
  g_autoptr (GDateTime) now = NULL;
  g_autofree char *span = NULL;
  g_autofree char *absolute = NULL;
  gboolean same_day;

  if (wall_ms == 0)
    return g_strdup ("-");
  then = g_date_time_new_from_unix_local (wall_ms / SECOND_MS);
  now = g_date_time_new_from_unix_local (now_ms / SECOND_MS);
  if (then == NULL || now == NULL) /* a peer's number that no calendar has */
    return g_strdup_printf ("%" G_GINT64_FORMAT " ms", wall_ms);

  same_day = g_date_time_get_year (then) == g_date_time_get_year (now)
             && g_date_time_get_day_of_year (then) == g_date_time_get_day_of_year (now);
  absolute = g_date_time_format (then, same_day ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S");
  span = tl_text_span (ABS (wall_ms - now_ms));
  return g_strdup_printf (wall_ms > now_ms ? _ ("in %s (%s)") : _ ("%s ago (%s)"), span, absolute);
}
