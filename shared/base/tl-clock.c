/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-clock.h"

#include "base/tl-error.h"

struct _TlClock
{
  gboolean is_virtual;
  gint64 wall_ms;
  gint64 monotonic_us;
};

typedef struct
{
  char suffix;
  const char *name;
  gint64 ms;
} DurationUnit;

static const DurationUnit units[] = {
  { 'd', "d", 24 * 60 * 60 * 1000 },
  { 'h', "h", 60 * 60 * 1000 },
  { 'm', "min", 60 * 1000 },
  { 's', "s", 1000 },
};

TlClock *
tl_clock_system (void)
{
  static TlClock clock = { .is_virtual = FALSE };

  return &clock;
}

TlClock *
tl_clock_new_virtual (gint64 wall_ms)
{
  TlClock *clock = g_new0 (TlClock, 1);

  clock->is_virtual = TRUE;
  clock->wall_ms = wall_ms;
  return clock;
}

void
tl_clock_free (TlClock *clock)
{
  if (clock != NULL && clock->is_virtual)
    g_free (clock);
}

gint64
tl_clock_wall_ms (TlClock *clock)
{
  return clock->is_virtual ? clock->wall_ms : g_get_real_time () / 1000;
}

gint64
tl_clock_monotonic_us (TlClock *clock)
{
  return clock->is_virtual ? clock->monotonic_us : g_get_monotonic_time ();
}

void
tl_clock_advance (TlClock *clock, gint64 ms)
{
  g_assert (clock->is_virtual && ms >= 0);

  clock->wall_ms += ms;
  clock->monotonic_us += ms * 1000;
}

char *
tl_time_to_string (gint64 wall_ms)
{
  gint64 seconds = wall_ms / 1000;
  gint64 fraction = wall_ms % 1000;
  g_autoptr (GDateTime) time = NULL;
  g_autofree char *text = NULL;

  if (fraction < 0)
    {
      fraction += 1000;
      seconds--;
    }
  time = g_date_time_new_from_unix_utc (seconds);
  if (time == NULL) /* outside the years 1..9999: nothing a message could say about it */
    return g_strdup ("-");
  text = g_date_time_format (time, "%Y-%m-%dT%H:%M:%S");
  return g_strdup_printf ("%s.%03dZ", text, (int)fraction);
}

gboolean
tl_duration_parse (const char *text, gint64 *ms, GError **error)
{
  gint64 value = 0;
  gint64 factor = 1000;
  const char *p = text;

  for (; p != NULL && g_ascii_isdigit (*p); p++)
    {
      if (__builtin_mul_overflow (value, 10, &value) || __builtin_add_overflow (value, *p - '0', &value))
        goto malformed;
    }
  if (p == text)
    goto malformed;
  if (*p != '\0')
    {
      factor = 0;
      for (guint i = 0; i < G_N_ELEMENTS (units); i++)
        {
          if (*p == units[i].suffix)
            factor = units[i].ms;
        }
      if (factor == 0 || p[1] != '\0')
        goto malformed;
    }
  if (__builtin_mul_overflow (value, factor, &value))
    goto malformed;

  *ms = value;
  return TRUE;

malformed:
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
               "'%s' is not a duration: give a number with s, m, h or d, such as 90s or 10m", text != NULL ? text : "");
  return FALSE;
}

char *
tl_duration_to_string (gint64 ms)
{
  if (ms <= 0)
    return g_strdup ("0 s");
  if (ms < 1000)
    return g_strdup_printf ("%" G_GINT64_FORMAT " ms", ms);

  for (guint i = 0; i < G_N_ELEMENTS (units); i++)
    {
      gint64 whole = ms / units[i].ms;
      gint64 rest = i + 1 < G_N_ELEMENTS (units) ? ms % units[i].ms / units[i + 1].ms : 0;

      if (whole == 0)
        continue;
      if (rest == 0)
        return g_strdup_printf ("%" G_GINT64_FORMAT " %s", whole, units[i].name);
      return g_strdup_printf ("%" G_GINT64_FORMAT " %s %" G_GINT64_FORMAT " %s", whole, units[i].name, rest,
                              units[i + 1].name);
    }
  g_assert_not_reached ();
}
