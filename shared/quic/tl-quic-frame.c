/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/tl-quic-frame.h"

#include <string.h>

#define HEADER_LENGTH 4
#define STEP          16384 /* bytes of memory ahead of what has arrived */

struct _TlQuicFrameReader
{
  gsize max_frame;
  guint8 *buffer; /* of a frame that has arrived in part */
  gsize stored, capacity;
  guint32 announced;
  guint8 header[HEADER_LENGTH];
  guint8 n_header;
  guint8 verdict; /* TlQuicFrames; sticky once it is not OK */
};

TlQuicFrameReader *
tl_quic_frame_reader_new (gsize max_frame)
{
  TlQuicFrameReader *reader = g_new0 (TlQuicFrameReader, 1);

  reader->max_frame = max_frame;
  return reader;
}

static void
drop_buffer (TlQuicFrameReader *reader)
{
  g_clear_pointer (&reader->buffer, g_free);
  reader->stored = reader->capacity = 0;
}

void
tl_quic_frame_reader_free (TlQuicFrameReader *reader)
{
  if (reader == NULL)
    return;
  g_free (reader->buffer);
  g_free (reader);
}

static TlQuicFrames
stop (TlQuicFrameReader *reader, TlQuicFrames verdict)
{
  drop_buffer (reader);
  reader->verdict = verdict;
  return verdict;
}

/* FALSE: the header is not complete yet. */
static gboolean
take_header (TlQuicFrameReader *reader, const guint8 **data, gsize *length)
{
  gsize n = MIN (*length, (gsize)(HEADER_LENGTH - reader->n_header));

  memcpy (reader->header + reader->n_header, *data, n);
  reader->n_header += n;
  *data += n;
  *length -= n;
  if (reader->n_header < HEADER_LENGTH)
    return FALSE;
  reader->announced = (guint32)reader->header[0] << 24 | (guint32)reader->header[1] << 16
                      | (guint32)reader->header[2] << 8 | reader->header[3];
  return TRUE;
}

static void
store (TlQuicFrameReader *reader, const guint8 *data, gsize length)
{
  if (reader->capacity - reader->stored < length)
    {
      reader->capacity = MIN ((gsize)reader->announced, reader->stored + length + STEP);
      reader->buffer = g_realloc (reader->buffer, reader->capacity);
    }
  memcpy (reader->buffer + reader->stored, data, length);
  reader->stored += length;
}

TlQuicFrames
tl_quic_frame_reader_feed (TlQuicFrameReader *reader, const guint8 *data, gsize length, TlQuicFrameFunc func,
                           gpointer user_data)
{
  while (length > 0 && reader->verdict == TL_QUIC_FRAMES_OK)
    {
      if (reader->n_header < HEADER_LENGTH)
        {
          if (!take_header (reader, &data, &length))
            break;
          if (reader->announced > reader->max_frame)
            return stop (reader, TL_QUIC_FRAMES_TOO_LARGE);
          if (reader->announced == 0)
            return stop (reader, TL_QUIC_FRAMES_EMPTY);
          continue;
        }

      gsize n = MIN (length, reader->announced - reader->stored);
      gboolean go_on = TRUE;
      if (reader->stored == 0 && n == reader->announced)
        {
          reader->n_header = 0;
          go_on = func (data, n, user_data);
        }
      else
        {
          store (reader, data, n);
          if (reader->stored == reader->announced)
            {
              reader->n_header = 0;
              go_on = func (reader->buffer, reader->stored, user_data);
              drop_buffer (reader);
            }
        }
      if (!go_on)
        return stop (reader, TL_QUIC_FRAMES_STOPPED);
      data += n;
      length -= n;
    }
  return reader->verdict;
}

gboolean
tl_quic_frame_reader_is_at_boundary (const TlQuicFrameReader *reader)
{
  return reader->n_header == 0;
}

guint32
tl_quic_frame_reader_announced (const TlQuicFrameReader *reader)
{
  return reader->announced;
}

gsize
tl_quic_frame_reader_stored (const TlQuicFrameReader *reader)
{
  return reader->stored;
}
