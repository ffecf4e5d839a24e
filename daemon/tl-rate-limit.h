/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlRateLimit: at most N events in any 60 s, per source and overall (PROTOCOL 3.4), exactly. A source is forgotten
 * after a quiet minute; their number is bounded, because strangers choose them. Pure: time is a parameter. Thread:
 * owner's.
 */
#define TL_RATE_LIMIT_MAX_SOURCES 16384

typedef struct _TlRateLimit TlRateLimit;

/* Both limits >= 1. */
TlRateLimit *tl_rate_limit_new (guint per_minute_per_source, guint per_minute);
void tl_rate_limit_free (TlRateLimit *limit);
/* TRUE: counted and allowed. FALSE: not counted. now_us: monotonic microseconds, never decreasing. */
gboolean tl_rate_limit_take (TlRateLimit *limit, const char *source, gint64 now_us);
guint tl_rate_limit_sources (TlRateLimit *limit);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRateLimit, tl_rate_limit_free)

G_END_DECLS
