/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-ack-tracker.h"

typedef struct
{
  guint64 seq;
  char *event_id;
  gboolean done;
} Entry;

struct _TlAckTracker
{
  guint64 seq;
  char *event_id;
  guint64 last;   /* highest received on this connection */
  GQueue entries; /* Entry, ascending, all above seq */
};

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  g_free (entry->event_id);
  g_free (entry);
}

TlAckTracker *
tl_ack_tracker_new (guint64 seq, const char *event_id)
{
  TlAckTracker *tracker = g_new0 (TlAckTracker, 1);

  tracker->seq = tracker->last = seq;
  tracker->event_id = g_strdup (event_id);
  g_queue_init (&tracker->entries);
  return tracker;
}

void
tl_ack_tracker_free (TlAckTracker *tracker)
{
  if (tracker == NULL)
    return;
  g_queue_clear_full (&tracker->entries, entry_free);
  g_free (tracker->event_id);
  g_free (tracker);
}

TlAckResult
tl_ack_tracker_received (TlAckTracker *tracker, guint64 seq, const char *event_id)
{
  Entry *entry;

  if (seq <= tracker->last)
    return TL_ACK_KNOWN;
  if (seq != tracker->last + 1)
    return TL_ACK_OUT_OF_ORDER;
  tracker->last = seq;
  entry = g_new0 (Entry, 1);
  entry->seq = seq;
  entry->event_id = g_strdup (event_id);
  g_queue_push_tail (&tracker->entries, entry);
  return TL_ACK_NEW;
}

gboolean
tl_ack_tracker_done (TlAckTracker *tracker, guint64 seq)
{
  gboolean moved = FALSE;
  Entry *head;

  for (GList *link = tracker->entries.head; link != NULL; link = link->next)
    {
      Entry *entry = link->data;

      if (entry->seq == seq)
        entry->done = TRUE;
      if (entry->seq >= seq)
        break;
    }
  while ((head = g_queue_peek_head (&tracker->entries)) != NULL && head->done)
    {
      g_queue_pop_head (&tracker->entries);
      tracker->seq = head->seq;
      g_free (tracker->event_id);
      tracker->event_id = g_steal_pointer (&head->event_id);
      entry_free (head);
      moved = TRUE;
    }
  return moved;
}

void
tl_ack_tracker_rewind (TlAckTracker *tracker)
{
  g_queue_clear_full (&tracker->entries, entry_free);
  tracker->last = tracker->seq;
}

void
tl_ack_tracker_gap (TlAckTracker *tracker, guint64 oldest)
{
  if (oldest > 0 && oldest - 1 > tracker->last)
    tracker->last = oldest - 1;
}

void
tl_ack_tracker_reset (TlAckTracker *tracker)
{
  g_queue_clear_full (&tracker->entries, entry_free);
  tracker->seq = tracker->last = 0;
  g_free (tracker->event_id);
  tracker->event_id = g_strdup ("");
}

guint64
tl_ack_tracker_seq (TlAckTracker *tracker)
{
  return tracker->seq;
}

const char *
tl_ack_tracker_event_id (TlAckTracker *tracker)
{
  return tracker->event_id;
}
