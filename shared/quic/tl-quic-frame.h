/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlQuicFrameReader: bytes of a stream in, frames out (PROTOCOL 5). Pure: no socket, no clock. It allocates nothing for
 * a frame whose length is over the limit, and no more than what has arrived plus a bounded step for one that is not. A
 * frame that arrives in one piece is not copied. Thread: owner's.
 */
typedef struct _TlQuicFrameReader TlQuicFrameReader;

typedef enum
{
  TL_QUIC_FRAMES_OK,
  TL_QUIC_FRAMES_TOO_LARGE, /* tl_quic_frame_reader_announced() says how large; the reader takes nothing more */
  TL_QUIC_FRAMES_EMPTY,     /* a frame of length 0; the same */
  TL_QUIC_FRAMES_STOPPED,   /* the function said so; the same */
} TlQuicFrames;

/* FALSE: stop. data: borrowed. */
typedef gboolean (*TlQuicFrameFunc) (const guint8 *data, gsize length, gpointer user_data);

TlQuicFrameReader *tl_quic_frame_reader_new (gsize max_frame);
void tl_quic_frame_reader_free (TlQuicFrameReader *reader);
TlQuicFrames tl_quic_frame_reader_feed (TlQuicFrameReader *reader, const guint8 *data, gsize length,
                                        TlQuicFrameFunc func, gpointer user_data);
/* Between two frames: a stream may end here. */
gboolean tl_quic_frame_reader_is_at_boundary (const TlQuicFrameReader *reader);
guint32 tl_quic_frame_reader_announced (const TlQuicFrameReader *reader);
/* Bytes it holds: for limits. */
gsize tl_quic_frame_reader_stored (const TlQuicFrameReader *reader);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicFrameReader, tl_quic_frame_reader_free)

G_END_DECLS
