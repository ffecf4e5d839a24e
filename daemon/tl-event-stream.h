/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-store.h"

G_BEGIN_DECLS

/*
 * TlEventStream: one device's event log on its way over one transport (PROTOCOL 4.1): resume from a cursor, catch up
 * from the store, then push as events are committed; acknowledgements. It knows no transport: that is the sink. Thread:
 * main.
 */
typedef struct
{
  /* Each FALSE: the transport is gone. */
  gboolean (*send_event) (gpointer sink, const TlEventRecord *event);
  gboolean (*send_gap) (gpointer sink, guint64 oldest_seq, const char *oldest_id);
  gboolean (*send_reset) (gpointer sink, guint64 latest_seq);
  gboolean (*send_ready) (gpointer sink, guint64 latest_seq);
  /* Bytes that wait in the transport: back-pressure. */
  gsize (*queued_bytes) (gpointer sink);
  /* Ends the transport's stream with this error. */
  void (*close) (gpointer sink, const GError *error);
  /* An event was handed to the transport (first time for this stream). */
  void (*sent) (gpointer sink, const TlEventRecord *event);
  /* The device acknowledged up to seq; committed. */
  void (*acknowledged) (gpointer sink, guint64 seq);
} TlEventSink;

/* Above this many bytes waiting in the transport, events stay in the store until the device acknowledged. */
#define TL_EVENT_STREAM_MAX_QUEUED (4u * 1024u * 1024u)

typedef struct _TlEventStream TlEventStream;

/* sink functions: static; sink_data outlives tl_event_stream_close(). */
TlEventStream *tl_event_stream_new (TlStore *store, const char *device_id, const TlEventSink *sink, gpointer sink_data);
/* No call reaches the sink after this; the object goes when the store answered what is under way. */
void tl_event_stream_close (TlEventStream *stream);

/* Once, first. event_id "" with seq 0. */
void tl_event_stream_resume (TlEventStream *stream, guint64 seq, const char *event_id);
/* A new event was committed to this device's log. */
void tl_event_stream_push (TlEventStream *stream, const TlEventRecord *event);
/* error NULL: it is committed. The stream may be closed meanwhile. */
typedef void (*TlEventAcknowledged) (const GError *error, gpointer user_data);
/* Cumulative; beyond the last sent is OUT_OF_RANGE. done, once, now or later; NULL: an error closes the stream. */
void tl_event_stream_acknowledge (TlEventStream *stream, guint64 seq, const char *event_id, TlEventAcknowledged done,
                                  gpointer user_data);
/* The transport has room again. */
void tl_event_stream_drained (TlEventStream *stream);
/* Caught up: what is pushed now goes out at once. */
gboolean tl_event_stream_is_live (TlEventStream *stream);

G_END_DECLS
