/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-reconnect.h"

struct _TlReconnect
{
  TlRandom *random;
  gint64 max_ms;
  guint failures;
  guint refusals;
  gint64 connected_us; /* 0: not connected */
};

TlReconnect *
tl_reconnect_new (gint64 max_ms, TlRandom *random)
{
  TlReconnect *reconnect = g_new0 (TlReconnect, 1);

  reconnect->random = random;
  reconnect->max_ms = MAX (max_ms, TL_RECONNECT_FIRST_MS);
  return reconnect;
}

void
tl_reconnect_free (TlReconnect *reconnect)
{
  g_free (reconnect);
}

/* first_ms doubled `times` times, at most max_ms. */
static gint64
doubled (gint64 first_ms, guint times, gint64 max_ms)
{
  gint64 value = first_ms;

  while (times-- > 0 && value < max_ms)
    value *= 2;
  return MIN (value, max_ms);
}

static gint64
below (TlReconnect *reconnect, gint64 cap_ms)
{
  return tl_random_below (reconnect->random, (guint32)cap_ms + 1);
}

gint64
tl_reconnect_next (TlReconnect *reconnect, gboolean refused)
{
  gint64 cap;

  if (!refused)
    {
      reconnect->refusals = 0;
      cap = doubled (TL_RECONNECT_FIRST_MS, reconnect->failures++, reconnect->max_ms);
      return below (reconnect, cap);
    }
  cap = doubled (TL_RECONNECT_REFUSED_MIN_MS, reconnect->refusals++,
                 TL_RECONNECT_REFUSED_MAX_MS - TL_RECONNECT_REFUSED_MIN_MS);
  return TL_RECONNECT_REFUSED_MIN_MS + below (reconnect, cap);
}

void
tl_reconnect_connected (TlReconnect *reconnect, gint64 now_us)
{
  reconnect->refusals = 0;
  reconnect->connected_us = MAX (now_us, 1);
}

void
tl_reconnect_lost (TlReconnect *reconnect, gint64 now_us)
{
  if (reconnect->connected_us > 0 && now_us - reconnect->connected_us >= TL_RECONNECT_STABLE_US)
    reconnect->failures = 0;
  reconnect->connected_us = 0;
}

void
tl_reconnect_reset (TlReconnect *reconnect)
{
  reconnect->failures = 0;
  reconnect->refusals = 0;
}
