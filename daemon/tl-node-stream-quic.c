/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-node-stream-quic.h"

#include "base/tl-error.h"

typedef struct
{
  TlNodeStream stream;
  TlQuicChannel *channel;
} QuicStream;

static gboolean
send_answer (TlNodeStream *stream, const TlQuicAnswer *answer)
{
  return tl_quic_channel_send (((QuicStream *)stream)->channel, tl_quic_answer_format (answer), FALSE);
}

static gboolean
send_event (TlNodeStream *stream, const TlEventRecord *event)
{
  TlQuicAnswer answer = { .kind = TL_QUIC_ANSWER_EVENT };

  answer.seq = event->seq;
  answer.id = event->id;
  answer.time_ms = event->time;
  answer.type = event->type;
  answer.data = event->data;
  return send_answer (stream, &answer);
}

static gboolean
send_gap (TlNodeStream *stream, guint64 oldest_seq, const char *oldest_id)
{
  TlQuicAnswer answer = { .kind = TL_QUIC_ANSWER_GAP };

  answer.seq = oldest_seq;
  answer.id = oldest_id != NULL ? oldest_id : "";
  return send_answer (stream, &answer);
}

static gboolean
send_reset (TlNodeStream *stream, guint64 latest_seq)
{
  TlQuicAnswer answer = { .kind = TL_QUIC_ANSWER_RESET };

  answer.latest_seq = latest_seq;
  return send_answer (stream, &answer);
}

static gboolean
send_ready (TlNodeStream *stream, guint64 latest_seq)
{
  TlQuicAnswer answer = { .kind = TL_QUIC_ANSWER_READY };

  answer.latest_seq = latest_seq;
  return send_answer (stream, &answer);
}

static gsize
queued_bytes (TlNodeStream *stream)
{
  return tl_quic_channel_queued_bytes (((QuicStream *)stream)->channel);
}

static void
get_path (TlNodeStream *stream, TlNodePath *path)
{
  tl_quic_channel_get_path (((QuicStream *)stream)->channel, path);
}

TlQuicRefusal
tl_quic_refusal_from_error (const GError *error)
{
  if (error->domain != TL_ERROR)
    return TL_QUIC_REFUSAL_INTERNAL;
  switch ((TlErrorCode)error->code)
    {
    case TL_ERROR_INVALID_ARGUMENT:
    case TL_ERROR_NOT_FOUND:
    case TL_ERROR_PERMISSION_DENIED:
    case TL_ERROR_FAILED_PRECONDITION:
    case TL_ERROR_OUT_OF_RANGE:
    case TL_ERROR_PROTOCOL:
    case TL_ERROR_REVOKED:
    case TL_ERROR_SUSPENDED:
      return TL_QUIC_REFUSAL_INVALID_REQUEST;
    case TL_ERROR_RESOURCE_EXHAUSTED:
      return TL_QUIC_REFUSAL_RATE_LIMITED;
    default:
      return TL_QUIC_REFUSAL_INTERNAL;
    }
}

/* What ends the device's connection, and not only this stream; 0: nothing. */
static guint64
close_code (const GError *error)
{
  if (tl_error_is (error, TL_ERROR_IN_USE))
    return TL_QUIC_CLOSE_SUPERSEDED;
  if (tl_error_is (error, TL_ERROR_SUSPENDED))
    return TL_QUIC_CLOSE_SUSPENDED;
  return tl_error_is (error, TL_ERROR_REVOKED) ? TL_QUIC_CLOSE_REVOKED : 0;
}

static void
end (TlNodeStream *stream, const GError *error)
{
  TlQuicChannel *channel = ((QuicStream *)stream)->channel;
  guint64 code = close_code (error);

  if (code == 0)
    tl_quic_channel_send (channel, tl_quic_answer_format_refusal (tl_quic_refusal_from_error (error), error), TRUE);
  else
    tl_quic_channel_close_connection (channel, code, tl_quic_close_code_to_string (code));
}

static void
free_stream (TlNodeStream *stream)
{
  tl_quic_channel_unref (((QuicStream *)stream)->channel);
  g_free (stream);
}

static const TlNodeStreamClass quic_class = {
  .transport = "quic",
  .send_event = send_event,
  .send_gap = send_gap,
  .send_reset = send_reset,
  .send_ready = send_ready,
  .queued_bytes = queued_bytes,
  .get_path = get_path,
  .end = end,
  .free = free_stream,
};

TlNodeStream *
tl_node_stream_quic_new (TlQuicChannel *channel, const char *instance_id)
{
  QuicStream *self = g_new0 (QuicStream, 1);

  self->stream.klass = &quic_class;
  g_strlcpy (self->stream.instance_id, instance_id, sizeof self->stream.instance_id);
  self->channel = tl_quic_channel_ref (channel);
  return &self->stream;
}

TlQuicChannel *
tl_node_stream_quic_get_channel (TlNodeStream *stream)
{
  return stream != NULL && stream->klass == &quic_class ? ((QuicStream *)stream)->channel : NULL;
}
