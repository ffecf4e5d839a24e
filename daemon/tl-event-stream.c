/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-event-stream.h"

#include "base/tl-error.h"

#define READ_BATCH 64

struct _TlEventStream
{
  TlStore *store;
  char *device_id;
  const TlEventSink *sink;
  gpointer sink_data;
  guint pending; /* store operations under way */
  gboolean closed, resumed, live, reading;
  guint64 sent_seq; /* last event handed to the transport */
  char *sent_id;
  guint64 latest_seq; /* newest that we heard of */
  guint64 gap_told;   /* oldest seq of the last gap sent */
};

TlEventStream *
tl_event_stream_new (TlStore *store, const char *device_id, const TlEventSink *sink, gpointer sink_data)
{
  TlEventStream *self = g_new0 (TlEventStream, 1);

  self->store = store;
  self->device_id = g_strdup (device_id);
  self->sink = sink;
  self->sink_data = sink_data;
  self->sent_id = g_strdup ("");
  return self;
}

static void
maybe_free (TlEventStream *self)
{
  if (!self->closed || self->pending > 0)
    return;
  g_free (self->device_id);
  g_free (self->sent_id);
  g_free (self);
}

void
tl_event_stream_close (TlEventStream *self)
{
  if (self == NULL)
    return;
  self->closed = TRUE;
  maybe_free (self);
}

static void
fail (TlEventStream *self, const GError *error)
{
  self->sink->close (self->sink_data, error);
}

static gboolean
send_one (TlEventStream *self, const TlEventRecord *event)
{
  if (!self->sink->send_event (self->sink_data, event))
    return FALSE;
  self->sent_seq = event->seq;
  g_free (self->sent_id);
  self->sent_id = g_strdup (event->id);
  self->sink->sent (self->sink_data, event);
  return !self->closed;
}

static gboolean
has_room (TlEventStream *self)
{
  return self->sink->queued_bytes (self->sink_data) < TL_EVENT_STREAM_MAX_QUEUED;
}

static void read_more (TlEventStream *self);

/* What stands before the events: reset or gap, and on the first answer `ready`. FALSE: the stream is gone. */
static gboolean
send_preface (TlEventStream *self, const TlEventRange *range)
{
  if (range->kind == TL_CURSOR_RESET)
    {
      self->sent_seq = 0;
      g_free (self->sent_id);
      self->sent_id = g_strdup ("");
      if (!self->sink->send_reset (self->sink_data, range->latest_seq))
        return FALSE;
    }
  /* Told once: the next read of a log that is still empty finds the same gap. */
  if (range->kind == TL_CURSOR_GAP && range->oldest_seq != self->gap_told)
    {
      self->gap_told = range->oldest_seq;
      if (!self->sink->send_gap (self->sink_data, range->oldest_seq, range->oldest_id))
        return FALSE;
    }
  if (self->resumed)
    return TRUE;
  self->resumed = TRUE;
  return self->sink->send_ready (self->sink_data, range->latest_seq);
}

static void
on_read (const GError *error, gpointer result, gpointer user_data)
{
  TlEventStream *self = user_data;
  const TlEventRange *range = result;
  guint i = 0;

  self->pending--;
  self->reading = FALSE;
  if (self->closed)
    {
      maybe_free (self);
      return;
    }
  if (error != NULL)
    {
      fail (self, error);
      return;
    }
  self->latest_seq = MAX (self->latest_seq, range->latest_seq);
  if (!send_preface (self, range) || self->closed)
    return;
  for (i = 0; i < range->events->len && has_room (self); i++)
    if (!send_one (self, g_ptr_array_index (range->events, i)))
      return;
  if (i < range->events->len)
    return; /* no room: acknowledgements start the next read */
  self->live = range->events->len < READ_BATCH && self->latest_seq <= MAX (self->sent_seq, range->latest_seq);
  if (!self->live)
    read_more (self);
}

static void
read_more (TlEventStream *self)
{
  if (self->reading)
    return;
  self->reading = TRUE;
  self->live = FALSE;
  self->pending++;
  tl_store_read_events (self->store, self->device_id, self->sent_seq, self->sent_id, READ_BATCH, on_read, self);
}

void
tl_event_stream_resume (TlEventStream *self, guint64 seq, const char *event_id)
{
  self->sent_seq = seq;
  g_free (self->sent_id);
  self->sent_id = g_strdup (event_id);
  read_more (self);
}

void
tl_event_stream_push (TlEventStream *self, const TlEventRecord *event)
{
  self->latest_seq = MAX (self->latest_seq, event->seq);
  if (self->live && event->seq == self->sent_seq + 1 && has_room (self))
    send_one (self, event);
  else if (event->seq > self->sent_seq)
    {
      self->live = FALSE; /* the store has to be read before anything else goes out */
      if (!self->reading && self->resumed && has_room (self))
        read_more (self);
    }
}

void
tl_event_stream_drained (TlEventStream *self)
{
  if (!self->closed && !self->live && !self->reading && self->resumed && has_room (self))
    read_more (self);
}

typedef struct
{
  TlEventStream *stream;
  guint64 seq;
  TlEventAcknowledged done;
  gpointer user_data;
} AckWait;

static void
on_acknowledged (const GError *error, gpointer result, gpointer user_data)
{
  AckWait *wait = user_data;
  TlEventStream *self = wait->stream;

  if (error == NULL && !self->closed)
    self->sink->acknowledged (self->sink_data, wait->seq);
  if (wait->done != NULL)
    wait->done (error, wait->user_data);
  self->pending--; /* after it: it may close the stream */
  if (self->closed)
    maybe_free (self);
  else if (error != NULL && wait->done == NULL)
    fail (self, error);
  else if (!self->live && !self->reading && self->resumed)
    read_more (self);
  g_free (wait);
}

void
tl_event_stream_acknowledge (TlEventStream *self, guint64 seq, const char *event_id, TlEventAcknowledged done,
                             gpointer user_data)
{
  AckWait *wait;

  if (seq > self->sent_seq || !self->resumed)
    {
      g_autoptr (GError) error
          = g_error_new (TL_ERROR, TL_ERROR_OUT_OF_RANGE,
                         "acknowledged event %" G_GUINT64_FORMAT ", but only %" G_GUINT64_FORMAT " were sent", seq,
                         self->sent_seq);
      if (done != NULL)
        done (error, user_data);
      else
        fail (self, error);
      return;
    }
  wait = g_new (AckWait, 1);
  wait->stream = self;
  wait->seq = seq;
  wait->done = done;
  wait->user_data = user_data;
  self->pending++;
  tl_store_ack_events (self->store, self->device_id, seq, event_id, on_acknowledged, wait);
}

gboolean
tl_event_stream_is_live (TlEventStream *self)
{
  return self->live && !self->closed;
}
