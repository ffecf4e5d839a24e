/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-rate-limit.h"

#define WINDOW_US (G_GINT64_CONSTANT (60) * G_USEC_PER_SEC)

typedef struct
{
  gint64 window; /* number of the minute that `current` counts */
  guint current, previous;
} Counter;

struct _TlRateLimit
{
  guint per_source, overall;
  Counter all;
  GHashTable *sources; /* char* -> Counter* */
  gint64 swept;        /* window of the last sweep */
};

TlRateLimit *
tl_rate_limit_new (guint per_minute_per_source, guint per_minute)
{
  TlRateLimit *self = g_new0 (TlRateLimit, 1);

  self->per_source = per_minute_per_source;
  self->overall = per_minute;
  self->sources = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

void
tl_rate_limit_free (TlRateLimit *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->sources);
  g_free (self);
}

static void
counter_roll (Counter *counter, gint64 window)
{
  if (counter->window == window)
    return;
  counter->previous = counter->window == window - 1 ? counter->current : 0;
  counter->current = 0;
  counter->window = window;
}

/* The last minute counts by the share of it that still lies within 60 s. Rounded up: never more than the limit in any 60 s of an even
 * stream, and at most one less than it in a burst. */
static gboolean
counter_allows (const Counter *counter, guint limit, gint64 now_us)
{
  gint64 left = WINDOW_US - now_us % WINDOW_US;
  guint64 carried = ((guint64) counter->previous * (guint64) left + WINDOW_US - 1) / WINDOW_US;
  return counter->current + carried < limit;
}

static gboolean
is_stale (gpointer key, gpointer value, gpointer user_data)
{
  const Counter *counter = value;
  return counter->window < *(gint64 *) user_data - 1;
}

gboolean
tl_rate_limit_take (TlRateLimit *self, const char *source, gint64 now_us)
{
  gint64 window = now_us / WINDOW_US;
  Counter *counter;

  if (self->swept != window)
    {
      g_hash_table_foreach_remove (self->sources, is_stale, &window);
      self->swept = window;
    }
  counter_roll (&self->all, window);
  if (!counter_allows (&self->all, self->overall, now_us))
    return FALSE;
  counter = g_hash_table_lookup (self->sources, source);
  if (counter == NULL)
    {
      if (g_hash_table_size (self->sources) >= TL_RATE_LIMIT_MAX_SOURCES)
        return FALSE;
      counter = g_new0 (Counter, 1);
      counter->window = window;
      g_hash_table_insert (self->sources, g_strdup (source), counter);
    }
  counter_roll (counter, window);
  if (!counter_allows (counter, self->per_source, now_us))
    return FALSE;
  counter->current++;
  self->all.current++;
  return TRUE;
}

guint
tl_rate_limit_sources (TlRateLimit *self)
{
  return g_hash_table_size (self->sources);
}
