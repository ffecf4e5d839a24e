/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "quic/tl-quic-connection-private.h"
#include "quic/tl-quic-stream.h"

G_BEGIN_DECLS

/* What is queued: a frame with its length in front. ngtcp2 sends from it and again from it, until it is acknowledged.
 */
typedef struct _TlQuicChunk TlQuicChunk;

struct _TlQuicChunk
{
  TlQuicChunk *next;
  gsize length;
  guint8 data[];
};

struct _TlQuicStream
{
  TlQuicConnection *connection;
  gint64 id;
  const TlQuicStreamHandlers *handlers;
  gpointer user_data;
  TlQuicFrameReader *reader; /* NULL before the first byte and after the last frame */
  TlQuicChunk *first, *last; /* not acknowledged */
  TlQuicChunk *unsent;       /* where sending goes on; NULL: all is sent */
  gsize unsent_offset;       /* in it */
  gsize acknowledged_in_first;
  gsize queued;        /* not acknowledged */
  gsize withheld;      /* bytes of credit that the peer does not get yet */
  gsize stored;        /* as counted in connection->stored */
  guint64 deadline;    /* ns: of the frame that is not whole; 0: none is expected */
  guint64 code;        /* of the first reset */
  guint is_local : 1;  /* we opened it */
  guint was_above : 1; /* `queued` was at least TL_QUIC_STREAM_LOW: `drained` is to be called */
  guint wants_fin : 1;
  guint fin_sent : 1;
  guint write_ended : 1;      /* FIN queued, or reset by somebody: nothing more is taken */
  guint read_ended : 1;       /* FIN, reset, or stopped by us */
  guint is_over : 1;          /* reset, or closed: handlers hear only `closed` */
  guint was_told : 1;         /* `closed` */
  guint is_sending : 1;       /* in connection->sending */
  guint is_partial : 1;       /* in connection->partial */
  guint is_closed_queued : 1; /* in connection->closed */
  guint is_feeding : 1;       /* the reader is at work: it must not go */
  GList link, send_link, partial_link, closed_link;
};

TlQuicStream *tl_quic_stream_new (TlQuicConnection *connection, gint64 id, gboolean is_local);
/* Leaves the connection's lists, frees. Only when ngtcp2 holds nothing of it any more. */
void tl_quic_stream_free (TlQuicStream *stream);
/* ngtcp2's events. */
void tl_quic_stream_receive (TlQuicStream *stream, const guint8 *data, gsize length, gboolean fin);
void tl_quic_stream_acknowledged (TlQuicStream *stream, gsize length);
void tl_quic_stream_peer_reset (TlQuicStream *stream, guint64 code);
void tl_quic_stream_peer_stopped (TlQuicStream *stream);
void tl_quic_stream_unblocked (TlQuicStream *stream);
/* ngtcp2 forgets the stream: tells, frees. */
void tl_quic_stream_ended (TlQuicStream *stream, gboolean has_code, guint64 code);
/* Calls `closed` once. */
void tl_quic_stream_tell (TlQuicStream *stream, guint64 code);
/* The frame's time is over. */
void tl_quic_stream_too_slow (TlQuicStream *stream);
/* The oldest of the partial ones gets all its credit. */
void tl_quic_stream_release_credit (TlQuicConnection *connection);
/* What comes next: *n vectors of at most max; *fin: they are all there will be. FALSE: nothing. */
gboolean tl_quic_stream_next (TlQuicStream *stream, ngtcp2_vec *vectors, gsize max, gsize *n, gboolean *fin);
/* length bytes of that are on their way. */
void tl_quic_stream_sent (TlQuicStream *stream, gsize length, gboolean fin);
void tl_quic_stream_leave_sending (TlQuicStream *stream);

G_END_DECLS
