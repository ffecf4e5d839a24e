/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-node-stream-grpc.h"

#include "daemon/tl-node-outbox.h"
#include "daemon/tl-wire.h"
#include "twinlatch/v1/node.pb-c.h"

typedef Twinlatch__V1__StreamEventsResponse Response;

typedef struct
{
  TlNodeStream stream;
  TlRpcCall *call;
  TlNodeOutbox *outbox;
} GrpcStream;

static gboolean
send_event (TlNodeStream *stream, const TlEventRecord *event)
{
  return tl_node_outbox_event (((GrpcStream *)stream)->outbox, event);
}

static gboolean
send_gap (TlNodeStream *stream, guint64 oldest_seq, const char *oldest_id)
{
  Response response = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__StreamEventsResponse__Gap gap = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__GAP__INIT;
  Twinlatch__V1__Cursor cursor = TWINLATCH__V1__CURSOR__INIT;

  cursor.seq = oldest_seq;
  cursor.event_id = tl_wire_string (oldest_id);
  gap.oldest = &cursor;
  response.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_GAP;
  response.gap = &gap;
  return tl_node_outbox_send (((GrpcStream *)stream)->outbox, &response);
}

static gboolean
send_reset (TlNodeStream *stream, guint64 latest_seq)
{
  Response response = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__StreamEventsResponse__Reset reset = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__RESET__INIT;

  reset.latest_seq = latest_seq;
  response.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_RESET;
  response.reset = &reset;
  return tl_node_outbox_send (((GrpcStream *)stream)->outbox, &response);
}

static gboolean
send_ready (TlNodeStream *stream, guint64 latest_seq)
{
  Response response = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__StreamEventsResponse__Ready ready = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__READY__INIT;

  ready.latest_seq = latest_seq;
  ready.takes_results = TRUE;
  response.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_READY;
  response.ready = &ready;
  return tl_node_outbox_send (((GrpcStream *)stream)->outbox, &response);
}

static gsize
queued_bytes (TlNodeStream *stream)
{
  return tl_node_outbox_queued_bytes (((GrpcStream *)stream)->outbox);
}

static void
get_path (TlNodeStream *stream, TlNodePath *path)
{
  *path = (TlNodePath){ 0 };
  g_strlcpy (path->address, tl_rpc_call_peer (((GrpcStream *)stream)->call)->address, sizeof path->address);
}

static void
end (TlNodeStream *stream, const GError *error)
{
  tl_rpc_call_finish (((GrpcStream *)stream)->call, error);
}

static void
free_stream (TlNodeStream *stream)
{
  GrpcStream *self = (GrpcStream *)stream;

  tl_node_outbox_free (self->outbox);
  tl_rpc_call_unref (self->call);
  g_free (self);
}

static const TlNodeStreamClass grpc_class = {
  .transport = "grpc",
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
tl_node_stream_grpc_new (TlRpcCall *call, const char *instance_id, gboolean takes_events)
{
  GrpcStream *self = g_new0 (GrpcStream, 1);

  self->stream.klass = &grpc_class;
  g_strlcpy (self->stream.instance_id, instance_id, sizeof self->stream.instance_id);
  self->call = tl_rpc_call_ref (call);
  self->outbox = tl_node_outbox_new (call, takes_events);
  return &self->stream;
}

TlRpcCall *
tl_node_stream_grpc_get_call (TlNodeStream *stream)
{
  return stream != NULL && stream->klass == &grpc_class ? ((GrpcStream *)stream)->call : NULL;
}

void
tl_node_stream_grpc_answer (TlNodeStream *stream, const char *request_id, TlResultVerdict verdict, const GError *error)
{
  tl_node_outbox_answer (((GrpcStream *)stream)->outbox, request_id, verdict, error);
}
