/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/tl-quic-stream-private.h"

#include <string.h>

#define LENGTH_BYTES 4

/* ---- life ---- */

static void
enter_partial (TlQuicStream *stream)
{
  TlQuicConnection *connection = stream->connection;

  if (stream->is_local || stream->is_partial || stream->is_over || stream->read_ended)
    return;
  stream->deadline = tl_quic_connection_ts (connection) + (guint64)connection->endpoint->first_frame_ms * 1000000;
  stream->is_partial = TRUE;
  g_queue_push_tail_link (&connection->partial, &stream->partial_link);
}

static void
leave_partial (TlQuicStream *stream)
{
  if (!stream->is_partial)
    return;
  stream->is_partial = FALSE;
  stream->deadline = 0;
  g_queue_unlink (&stream->connection->partial, &stream->partial_link);
  tl_quic_stream_release_credit (stream->connection);
}

static void
enter_sending (TlQuicStream *stream)
{
  if (!stream->is_sending)
    {
      stream->is_sending = TRUE;
      g_queue_push_tail_link (&stream->connection->sending, &stream->send_link);
    }
  tl_quic_connection_mark_ready (stream->connection);
}

void
tl_quic_stream_leave_sending (TlQuicStream *stream)
{
  if (!stream->is_sending)
    return;
  stream->is_sending = FALSE;
  g_queue_unlink (&stream->connection->sending, &stream->send_link);
}

/* `closed` is called from the loop: nobody is in the middle of a handler there. */
static void
enter_closed (TlQuicStream *stream)
{
  if (stream->was_told || stream->is_closed_queued)
    return;
  stream->is_closed_queued = TRUE;
  g_queue_push_tail_link (&stream->connection->closed, &stream->closed_link);
  tl_quic_connection_mark_ready (stream->connection);
}

TlQuicStream *
tl_quic_stream_new (TlQuicConnection *connection, gint64 id, gboolean is_local)
{
  TlQuicStream *stream = g_new0 (TlQuicStream, 1);

  stream->connection = connection;
  stream->id = id;
  stream->is_local = is_local != FALSE;
  stream->link.data = stream->send_link.data = stream->partial_link.data = stream->closed_link.data = stream;
  g_queue_push_tail_link (&connection->streams, &stream->link);
  connection->n_streams++;
  enter_partial (stream);
  return stream;
}

static void
drop_reader (TlQuicStream *stream)
{
  g_clear_pointer (&stream->reader, tl_quic_frame_reader_free);
  stream->connection->stored -= stream->stored;
  stream->stored = 0;
}

void
tl_quic_stream_free (TlQuicStream *stream)
{
  TlQuicConnection *connection = stream->connection;

  drop_reader (stream);
  leave_partial (stream);
  tl_quic_stream_leave_sending (stream);
  if (stream->is_closed_queued)
    g_queue_unlink (&connection->closed, &stream->closed_link);
  g_queue_unlink (&connection->streams, &stream->link);
  connection->n_streams--;
  for (TlQuicChunk *next, *chunk = stream->first; chunk != NULL; chunk = next)
    {
      next = chunk->next;
      g_free (chunk);
    }
  g_free (stream);
}

void
tl_quic_stream_tell (TlQuicStream *stream, guint64 code)
{
  if (stream->is_closed_queued)
    {
      stream->is_closed_queued = FALSE;
      g_queue_unlink (&stream->connection->closed, &stream->closed_link);
    }
  stream->is_over = TRUE;
  if (stream->was_told)
    return;
  stream->was_told = TRUE;
  if (stream->handlers != NULL && stream->handlers->closed != NULL)
    stream->handlers->closed (stream, code, stream->user_data);
}

void
tl_quic_stream_ended (TlQuicStream *stream, gboolean has_code, guint64 code)
{
  tl_quic_stream_tell (stream, stream->code != 0 ? stream->code : has_code ? code : 0);
  tl_quic_stream_free (stream);
}

/* ---- receiving ---- */

static void
give_credit (TlQuicStream *stream)
{
  if (stream->withheld == 0 || stream->read_ended || stream->is_over)
    return;
  ngtcp2_conn_extend_max_stream_offset (stream->connection->conn, stream->id, stream->withheld);
  stream->withheld = 0;
}

void
tl_quic_stream_release_credit (TlQuicConnection *connection)
{
  gboolean is_first = TRUE;

  if (connection->conn == NULL || !tl_quic_connection_is_live (connection))
    return;
  for (GList *l = connection->partial.head; l != NULL; l = l->next)
    {
      if (!is_first && connection->stored > TL_QUIC_STORED_BUDGET)
        break;
      is_first = FALSE;
      if (((TlQuicStream *)l->data)->withheld == 0)
        continue;
      give_credit (l->data);
      tl_quic_connection_mark_ready (connection);
    }
}

static gboolean
on_frame (const guint8 *data, gsize length, gpointer user_data)
{
  TlQuicStream *stream = user_data;

  leave_partial (stream);
  if (stream->handlers->frame != NULL)
    stream->handlers->frame (stream, data, length, stream->user_data);
  return !stream->is_over && tl_quic_connection_is_live (stream->connection);
}

/* The reading side only: an answer may still go out. */
static void
refuse_frame (TlQuicStream *stream)
{
  guint32 length = tl_quic_frame_reader_announced (stream->reader);

  drop_reader (stream);
  stream->read_ended = TRUE;
  stream->code = TL_QUIC_STREAM_FRAME_TOO_LARGE;
  leave_partial (stream);
  if (stream->handlers->too_large == NULL)
    {
      tl_quic_stream_reset (stream, TL_QUIC_STREAM_FRAME_TOO_LARGE);
      return;
    }
  ngtcp2_conn_shutdown_stream_read (stream->connection->conn, 0, stream->id, TL_QUIC_STREAM_FRAME_TOO_LARGE);
  tl_quic_connection_mark_ready (stream->connection);
  stream->handlers->too_large (stream, length, stream->user_data);
}

static void
read_frames (TlQuicStream *stream, const guint8 *data, gsize length)
{
  TlQuicConnection *connection = stream->connection;
  TlQuicFrames verdict;

  if (stream->reader == NULL)
    stream->reader = tl_quic_frame_reader_new (TL_QUIC_MAX_FRAME);
  stream->is_feeding = TRUE;
  verdict = tl_quic_frame_reader_feed (stream->reader, data, length, on_frame, stream);
  stream->is_feeding = FALSE;
  connection->stored -= stream->stored;
  stream->stored = tl_quic_frame_reader_stored (stream->reader);
  connection->stored += stream->stored;
  if (stream->is_over || !tl_quic_connection_is_live (connection))
    return;
  if (verdict == TL_QUIC_FRAMES_TOO_LARGE)
    refuse_frame (stream);
  else if (verdict == TL_QUIC_FRAMES_EMPTY)
    tl_quic_stream_reset (stream, TL_QUIC_STREAM_MALFORMED);
  else if (!tl_quic_frame_reader_is_at_boundary (stream->reader))
    enter_partial (stream);
}

static void
receive_fin (TlQuicStream *stream)
{
  if (stream->reader != NULL && !tl_quic_frame_reader_is_at_boundary (stream->reader))
    {
      tl_quic_stream_reset (stream, TL_QUIC_STREAM_MALFORMED);
      return;
    }
  stream->read_ended = TRUE;
  drop_reader (stream);
  leave_partial (stream);
  if (stream->handlers->finished != NULL)
    stream->handlers->finished (stream, stream->user_data);
}

void
tl_quic_stream_receive (TlQuicStream *stream, const guint8 *data, gsize length, gboolean fin)
{
  TlQuicConnection *connection = stream->connection;

  /* The connection's credit comes back at once, also for what nobody wants: only the streams' own holds a peer back. */
  ngtcp2_conn_extend_max_offset (connection->conn, length);
  if (stream->is_over || stream->read_ended || !tl_quic_connection_is_live (connection))
    return;
  stream->withheld += length;
  if (length > 0)
    read_frames (stream, data, length);
  if (stream->is_over || stream->read_ended || !tl_quic_connection_is_live (connection))
    return;
  if (fin)
    receive_fin (stream);
  else if (!stream->is_partial || connection->stored <= TL_QUIC_STORED_BUDGET
           || connection->partial.head == &stream->partial_link)
    give_credit (stream);
}

void
tl_quic_stream_peer_reset (TlQuicStream *stream, guint64 code)
{
  if (stream->is_over || stream->read_ended) /* we stopped it: this is the echo */
    return;
  stream->read_ended = stream->write_ended = stream->is_over = TRUE;
  stream->code = stream->code != 0 ? stream->code : code;
  drop_reader (stream);
  leave_partial (stream);
  tl_quic_stream_leave_sending (stream);
  ngtcp2_conn_shutdown_stream_write (stream->connection->conn, 0, stream->id, code);
  enter_closed (stream);
}

void
tl_quic_stream_too_slow (TlQuicStream *stream)
{
  tl_quic_stream_reset (stream, TL_QUIC_STREAM_TOO_SLOW);
}

/* ---- sending ---- */

gboolean
tl_quic_stream_next (TlQuicStream *stream, ngtcp2_vec *vectors, gsize max, gsize *n, gboolean *fin)
{
  gsize offset = stream->unsent_offset;
  TlQuicChunk *chunk = stream->unsent;

  for (*n = 0; chunk != NULL && *n < max; chunk = chunk->next, offset = 0)
    vectors[(*n)++] = (ngtcp2_vec){ chunk->data + offset, chunk->length - offset };
  *fin = chunk == NULL && stream->wants_fin && !stream->fin_sent;
  return *n > 0 || *fin;
}

void
tl_quic_stream_sent (TlQuicStream *stream, gsize length, gboolean fin)
{
  while (length > 0)
    {
      gsize n = MIN (length, stream->unsent->length - stream->unsent_offset);

      length -= n;
      stream->unsent_offset += n;
      if (stream->unsent_offset == stream->unsent->length)
        {
          stream->unsent = stream->unsent->next;
          stream->unsent_offset = 0;
        }
    }
  if (stream->unsent == NULL && fin)
    stream->fin_sent = TRUE;
  if (stream->unsent == NULL && (!stream->wants_fin || stream->fin_sent))
    {
      tl_quic_stream_leave_sending (stream);
      return;
    }
  /* Others first now. */
  g_queue_unlink (&stream->connection->sending, &stream->send_link);
  g_queue_push_tail_link (&stream->connection->sending, &stream->send_link);
}

void
tl_quic_stream_acknowledged (TlQuicStream *stream, gsize length)
{
  stream->queued -= length;
  stream->acknowledged_in_first += length;
  while (stream->first != NULL && stream->acknowledged_in_first >= stream->first->length)
    {
      TlQuicChunk *chunk = stream->first;

      stream->acknowledged_in_first -= chunk->length;
      stream->first = chunk->next;
      if (stream->first == NULL)
        stream->last = NULL;
      g_free (chunk);
    }
  if (!stream->was_above || stream->queued >= TL_QUIC_STREAM_LOW)
    return;
  stream->was_above = FALSE;
  if (!stream->is_over && tl_quic_connection_is_live (stream->connection) && stream->handlers != NULL
      && stream->handlers->drained != NULL)
    stream->handlers->drained (stream, stream->user_data);
}

void
tl_quic_stream_unblocked (TlQuicStream *stream)
{
  if (!stream->is_over && (stream->unsent != NULL || (stream->wants_fin && !stream->fin_sent)))
    enter_sending (stream);
}

void
tl_quic_stream_peer_stopped (TlQuicStream *stream)
{
  stream->write_ended = TRUE;
  tl_quic_stream_leave_sending (stream);
}

/* ---- the owner's calls ---- */

void
tl_quic_stream_set_handlers (TlQuicStream *stream, const TlQuicStreamHandlers *handlers, gpointer user_data)
{
  stream->handlers = handlers;
  stream->user_data = user_data;
}

gboolean
tl_quic_stream_send (TlQuicStream *stream, const void *data, gsize length, gboolean last)
{
  TlQuicChunk *chunk;

  g_return_val_if_fail (length >= 1 && length <= TL_QUIC_MAX_FRAME, FALSE);
  if (stream->write_ended || stream->is_over || !tl_quic_connection_is_live (stream->connection))
    return FALSE;
  chunk = g_malloc (sizeof (TlQuicChunk) + LENGTH_BYTES + length);
  chunk->next = NULL;
  chunk->length = LENGTH_BYTES + length;
  for (int i = 0; i < LENGTH_BYTES; i++)
    chunk->data[i] = (guint8)(length >> (8 * (LENGTH_BYTES - 1 - i)));
  memcpy (chunk->data + LENGTH_BYTES, data, length);
  if (stream->last != NULL)
    stream->last->next = chunk;
  else
    stream->first = chunk;
  stream->last = chunk;
  if (stream->unsent == NULL)
    {
      stream->unsent = chunk;
      stream->unsent_offset = 0;
    }
  stream->queued += chunk->length;
  stream->was_above |= stream->queued >= TL_QUIC_STREAM_LOW;
  if (last)
    stream->wants_fin = stream->write_ended = TRUE;
  enter_sending (stream);
  return TRUE;
}

void
tl_quic_stream_finish (TlQuicStream *stream)
{
  if (stream->write_ended || stream->is_over || !tl_quic_connection_is_live (stream->connection))
    return;
  stream->wants_fin = stream->write_ended = TRUE;
  enter_sending (stream);
}

void
tl_quic_stream_reset (TlQuicStream *stream, guint64 code)
{
  if (stream->is_over || !tl_quic_connection_is_live (stream->connection))
    return;
  stream->read_ended = stream->write_ended = stream->is_over = TRUE;
  stream->code = stream->code != 0 ? stream->code : code;
  if (!stream->is_feeding)
    drop_reader (stream);
  leave_partial (stream);
  tl_quic_stream_leave_sending (stream);
  ngtcp2_conn_shutdown_stream (stream->connection->conn, 0, stream->id, code);
  enter_closed (stream);
}

gsize
tl_quic_stream_queued_bytes (TlQuicStream *stream)
{
  return stream->queued;
}

gint64
tl_quic_stream_id (TlQuicStream *stream)
{
  return stream->id;
}
