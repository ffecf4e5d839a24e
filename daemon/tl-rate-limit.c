/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-rate-limit.h"

#define WINDOW_US (G_GINT64_CONSTANT (60) * G_USEC_PER_SEC)

/* The times of the last `limit` events: the next is allowed when the oldest of them is a window ago. Exact, where
 * counting by the minute would let almost twice the limit through around a minute's end. */
typedef struct
{
  guint limit, count, next;
  gint64 times[];
} Ring;

struct _TlRateLimit
{
  guint per_source;
  Ring *all;
  GHashTable *sources; /* char* -> Ring* */
  gint64 swept_us;
};

static Ring *
ring_new (guint limit)
{
  Ring *ring = g_malloc0 (sizeof (Ring) + limit * sizeof (gint64));

  ring->limit = limit;
  return ring;
}

static gboolean
ring_allows (const Ring *ring, gint64 now_us)
{
  return ring->count < ring->limit || now_us - ring->times[ring->next] >= WINDOW_US;
}

static void
ring_add (Ring *ring, gint64 now_us)
{
  ring->times[ring->next] = now_us;
  ring->next = (ring->next + 1) % ring->limit;
  ring->count = MIN (ring->count + 1, ring->limit);
}

TlRateLimit *
tl_rate_limit_new (guint per_minute_per_source, guint per_minute)
{
  TlRateLimit *self = g_new0 (TlRateLimit, 1);

  self->per_source = per_minute_per_source;
  self->all = ring_new (per_minute);
  self->sources = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

void
tl_rate_limit_free (TlRateLimit *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->sources);
  g_free (self->all);
  g_free (self);
}

static gboolean
is_stale (gpointer key, gpointer value, gpointer user_data)
{
  const Ring *ring = value;
  guint newest = (ring->next + ring->limit - 1) % ring->limit;
  return *(gint64 *)user_data - ring->times[newest] >= WINDOW_US;
}

gboolean
tl_rate_limit_take (TlRateLimit *self, const char *source, gint64 now_us)
{
  Ring *ring;

  if (now_us - self->swept_us >= WINDOW_US)
    {
      g_hash_table_foreach_remove (self->sources, is_stale, &now_us);
      self->swept_us = now_us;
    }
  if (!ring_allows (self->all, now_us))
    return FALSE;
  ring = g_hash_table_lookup (self->sources, source);
  if (ring == NULL)
    {
      if (g_hash_table_size (self->sources) >= TL_RATE_LIMIT_MAX_SOURCES)
        return FALSE;
      ring = ring_new (self->per_source);
      g_hash_table_insert (self->sources, g_strdup (source), ring);
    }
  if (!ring_allows (ring, now_us))
    return FALSE;
  ring_add (ring, now_us);
  ring_add (self->all, now_us);
  return TRUE;
}

guint
tl_rate_limit_sources (TlRateLimit *self)
{
  return g_hash_table_size (self->sources);
}
