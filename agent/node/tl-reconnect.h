/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-random.h"

G_BEGIN_DECLS

/*
 * TlReconnect: how long to wait before the next attempt to reach the gateway. No clock and no timer inside: times and
 * randomness are parameters. Full jitter (uniform below the doubling cap), so that a gateway that comes back does not
 * meet all its nodes at once. Thread: owner's.
 */
#define TL_RECONNECT_FIRST_MS       1000
#define TL_RECONNECT_DEFAULT_MAX_MS (60 * 1000)
#define TL_RECONNECT_REFUSED_MIN_MS (60 * 1000)
#define TL_RECONNECT_REFUSED_MAX_MS (15 * 60 * 1000)
#define TL_RECONNECT_STABLE_US      (30 * G_USEC_PER_SEC) /* a connection that held this long ends the back-off */

typedef struct _TlReconnect TlReconnect;

/* max_ms: cap of the ordinary schedule, >= TL_RECONNECT_FIRST_MS. random is borrowed. */
TlReconnect *tl_reconnect_new (gint64 max_ms, TlRandom *random);
void tl_reconnect_free (TlReconnect *reconnect);

/* Wait before the next attempt, in milliseconds. refused: the gateway does not admit this device; at least a minute. */
gint64 tl_reconnect_next (TlReconnect *reconnect, gboolean refused);
void tl_reconnect_connected (TlReconnect *reconnect, gint64 now_us);
/* Starts from the beginning when the connection held TL_RECONNECT_STABLE_US. */
void tl_reconnect_lost (TlReconnect *reconnect, gint64 now_us);
/* The world changed (network came back, resume): the next wait is a first one. */
void tl_reconnect_reset (TlReconnect *reconnect);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlReconnect, tl_reconnect_free)

G_END_DECLS
