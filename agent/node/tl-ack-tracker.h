/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlAckTracker: which position in the event log may be acknowledged. Acknowledgements are cumulative (PROTOCOL 4.1),
 * events become ready for it in any order. Pure. Thread: owner's.
 */
typedef struct _TlAckTracker TlAckTracker;

typedef enum
{
  TL_ACK_NEW,          /* handle it */
  TL_ACK_KNOWN,        /* was received before on this log: nothing to do */
  TL_ACK_OUT_OF_ORDER, /* a hole that no gap announced */
} TlAckResult;

/* The position up to which everything was acknowledged. */
TlAckTracker *tl_ack_tracker_new (guint64 seq, const char *event_id);
void tl_ack_tracker_free (TlAckTracker *tracker);

TlAckResult tl_ack_tracker_received (TlAckTracker *tracker, guint64 seq, const char *event_id);
/* The event may be acknowledged as far as it is concerned; unknown ones (of a log that was reset) are ignored. TRUE
 * when the position moved. */
gboolean tl_ack_tracker_done (TlAckTracker *tracker, guint64 seq);
/* A new connection sends everything after the position again. */
void tl_ack_tracker_rewind (TlAckTracker *tracker);
/* The gateway no longer has events before `oldest`. */
void tl_ack_tracker_gap (TlAckTracker *tracker, guint64 oldest);
/* Another log: start at 0. */
void tl_ack_tracker_reset (TlAckTracker *tracker);

guint64 tl_ack_tracker_seq (TlAckTracker *tracker);
const char *tl_ack_tracker_event_id (TlAckTracker *tracker); /* borrowed; "" at 0 */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlAckTracker, tl_ack_tracker_free)

G_END_DECLS
