/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlQuicStream: one bidirectional stream of frames (PROTOCOL 5): 4-byte big-endian length, then so many bytes. The
 * length is looked at before a byte is stored. Owned by its connection; lives until `closed` returned. Thread: the
 * endpoint's.
 */
#define TL_QUIC_MAX_FRAME 524288u /* bytes without the length */
/* A stream of the peer's has so long for its first frame, and for a later one that it has begun; then 0x10b. */
#define TL_QUIC_FIRST_FRAME_MS 10000

/* Application error codes of RESET_STREAM and STOP_SENDING. */
enum
{
  TL_QUIC_STREAM_CANCELLED = 0x108,
  TL_QUIC_STREAM_FRAME_TOO_LARGE = 0x109,
  TL_QUIC_STREAM_MALFORMED = 0x10a, /* ended within a frame */
  TL_QUIC_STREAM_TOO_SLOW = 0x10b,
  TL_QUIC_STREAM_REFUSED = 0x10c,
};

typedef struct _TlQuicStream TlQuicStream;

typedef struct
{
  /* A whole frame. data: borrowed, not NUL-terminated. */
  void (*frame) (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data);
  /* A frame of `length` bytes was announced, which is more than TL_QUIC_MAX_FRAME: nothing of it is stored; the reading
   * side is stopped already (STOP_SENDING FRAME_TOO_LARGE). An answer may still be sent. NULL: the stream is reset. */
  void (*too_large) (TlQuicStream *stream, guint32 length, gpointer user_data);
  /* The peer sends nothing more (FIN at a frame's end). NULL allowed. */
  void (*finished) (TlQuicStream *stream, gpointer user_data);
  /* What waited to be sent went below TL_QUIC_STREAM_LOW bytes after it had been above. NULL allowed. */
  void (*drained) (TlQuicStream *stream, gpointer user_data);
  /* Once, last: both directions ended, or it was reset (code of the first reset, of either side; 0: ended in good
   * order), or the connection closed (TL_QUIC_STREAM_CANCELLED). */
  void (*closed) (TlQuicStream *stream, guint64 code, gpointer user_data);
} TlQuicStreamHandlers;

#define TL_QUIC_STREAM_LOW (64u * 1024u)

/* In the connection's `stream` handler. handlers: static. */
void tl_quic_stream_set_handlers (TlQuicStream *stream, const TlQuicStreamHandlers *handlers, gpointer user_data);
/* Queues one frame. length 1 .. TL_QUIC_MAX_FRAME. FALSE: the sending side has ended. last: and then FIN. */
gboolean tl_quic_stream_send (TlQuicStream *stream, const void *data, gsize length, gboolean last);
/* FIN behind what was queued. */
void tl_quic_stream_finish (TlQuicStream *stream);
/* Both directions; `closed` follows from the loop. */
void tl_quic_stream_reset (TlQuicStream *stream, guint64 code);
/* Bytes queued or not acknowledged yet. */
gsize tl_quic_stream_queued_bytes (TlQuicStream *stream);
gint64 tl_quic_stream_id (TlQuicStream *stream);

G_END_DECLS
