/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlClock: time as a parameter (STYLE rule 4). Nothing in pairing, identity or dispatch reads the clock itself.
 * A virtual clock lets those run in tests without waiting. Thread: any (the system clock), owner's (virtual).
 */
typedef struct _TlClock TlClock;

/* The machine's clock; static, needs no unref. */
TlClock *tl_clock_system (void);
/* A clock that stands still at wall_ms until tl_clock_advance(). Free with tl_clock_free(). */
TlClock *tl_clock_new_virtual (gint64 wall_ms);
void tl_clock_free (TlClock *clock);

/* Wall clock, milliseconds since 1970-01-01 UTC. */
gint64 tl_clock_wall_ms (TlClock *clock);
/* Monotonic, microseconds since an arbitrary start; does not jump when the wall clock is set. */
gint64 tl_clock_monotonic_us (TlClock *clock);
/* Virtual clocks only: moves both times forward (ms >= 0). */
void tl_clock_advance (TlClock *clock, gint64 ms);

/* RFC 3339 in UTC with milliseconds, "2026-11-21T10:00:00.000Z". */
char *tl_time_to_string (gint64 wall_ms);
/* "90", "90s", "10m", "2h", "7d" to milliseconds; no sign, no blank; FALSE and TL_ERROR_INVALID_ARGUMENT otherwise. */
gboolean tl_duration_parse (const char *text, gint64 *ms, GError **error);
/* The inverse for people: "10 min", "2 h", "7 d". */
char *tl_duration_to_string (gint64 ms);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlClock, tl_clock_free)

G_END_DECLS
