/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "base/tl-error.h"
#include "rpc/tl-rpc-address.h"
#include "rpc/tl-rpc-client-private.h"

/*
 * A call of the client. Like TlRpcCall: gRPC's objects under the lock, one send under way, one message read at a time
 * and the next one after the owner has had it. `closed` comes after gRPC's status and after every batch came back.
 */
struct _TlRpcStream
{
  gatomicrefcount refs;
  TlRpcClient *client;
  TlRpcLoop *loop; /* valid until closed was delivered */
  char *path;
  const ProtobufCMessageDescriptor *response;
  TlRpcStreamSink sink;
  gpointer owner;
  TlRpcStreamHandlers handlers;
  gpointer handlers_data;
  gint64 deadline_us; /* monotonic, 0 = none */
  GSource *connect_timer;

  pthread_mutex_t lock;
  grpc_call *grpc; /* under lock, like all below */
  gboolean closed; /* told */
  guint pending;
  GQueue outgoing; /* grpc_byte_buffer */
  gsize queued;
  grpc_byte_buffer *sending_buffer;
  gboolean sending;
  gboolean headers_sent;
  gboolean on_connection; /* a batch went out */
  gboolean half_closing;  /* wanted */
  gboolean half_closed;   /* sent */
  gboolean cancelled;     /* by our owner */
  gboolean status_known;
  grpc_status_code own_status; /* why we ended it, GRPC_STATUS_OK = we did not */
  char *own_message;

  grpc_byte_buffer *incoming;
  grpc_metadata_array headers;
  grpc_metadata_array trailers;
  grpc_status_code status;
  grpc_slice details;
  GError *unpack_error; /* rpc thread */
  GBytes *leaf;         /* rpc thread */

  TlRpcTag send_tag;
  TlRpcTag headers_tag;
  TlRpcTag receive_tag;
  TlRpcTag status_tag;
};

typedef struct
{
  TlRpcStream *stream;
  ProtobufCMessage *message;
} Delivery;

/* ---- batches, under the lock */

static void
start (TlRpcStream *stream, const grpc_op *ops, gsize n, TlRpcTag *tag)
{
  grpc_call_error result = grpc_call_start_batch (stream->grpc, ops, n, tag, NULL);

  if (result != GRPC_CALL_OK)
    g_error ("gRPC refused a batch: %s", grpc_call_error_to_string (result));
  stream->pending++;
}

static void
start_receive (TlRpcStream *stream)
{
  grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };

  op.data.recv_message.recv_message = &stream->incoming;
  start (stream, &op, 1, &stream->receive_tag);
}

static void
start_send (TlRpcStream *stream)
{
  grpc_op ops[3] = { 0 };
  gsize n = 0;

  if (stream->grpc == NULL || stream->sending || stream->status_known)
    return;
  if (!stream->headers_sent)
    ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
  stream->headers_sent = TRUE;
  stream->sending_buffer = g_queue_pop_head (&stream->outgoing);
  if (stream->sending_buffer != NULL)
    {
      stream->queued -= grpc_byte_buffer_length (stream->sending_buffer);
      ops[n].op = GRPC_OP_SEND_MESSAGE;
      ops[n++].data.send_message.send_message = stream->sending_buffer;
    }
  if (stream->half_closing && !stream->half_closed && g_queue_is_empty (&stream->outgoing))
    {
      ops[n++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
      stream->half_closed = TRUE;
    }
  if (n == 0)
    return;
  stream->sending = TRUE;
  start (stream, ops, n, &stream->send_tag);
}

static gboolean
is_over (TlRpcStream *stream)
{
  return stream->grpc != NULL && stream->status_known && stream->pending == 0;
}

/* ---- end */

static void
drop_outgoing (TlRpcStream *stream)
{
  grpc_byte_buffer *buffer;

  while ((buffer = g_queue_pop_head (&stream->outgoing)) != NULL)
    grpc_byte_buffer_destroy (buffer);
  stream->queued = 0;
}

static void
clear_timer (TlRpcStream *stream)
{
  if (stream->connect_timer == NULL)
    return;
  g_source_destroy (stream->connect_timer);
  g_clear_pointer (&stream->connect_timer, g_source_unref);
}

static void
tell_closed (TlRpcStream *stream, GError *error)
{
  clear_timer (stream);
  pthread_mutex_lock (&stream->lock);
  stream->closed = TRUE;
  pthread_mutex_unlock (&stream->lock);
  tl_rpc_client_remove (stream->client, stream, g_steal_pointer (&stream->leaf));
  stream->sink.closed (stream, error, stream->owner);
  tl_rpc_stream_unref (stream);
}

static GError *
make_error (TlRpcStream *stream)
{
  g_autofree char *details = tl_rpc_slice_to_string (stream->details);
  g_autofree char *message = tl_rpc_message_clean (details);
  g_autofree char *reason = tl_rpc_metadata_get (&stream->trailers, TL_RPC_REASON_KEY);
  GError *error = NULL;

  if (stream->cancelled)
    return g_error_new_literal (TL_ERROR, TL_ERROR_CANCELLED, "the call was given up");
  if (stream->unpack_error != NULL)
    return g_steal_pointer (&stream->unpack_error);
  if (stream->own_status != GRPC_STATUS_OK)
    tl_error_set_from_grpc (&error, (int)stream->own_status, NULL, stream->own_message);
  else if (stream->status != GRPC_STATUS_OK)
    tl_rpc_client_explain (stream->client, stream->status, reason, message, stream->leaf != NULL, &error);
  return error;
}

/* The activity's reference comes with the event. */
static void
deliver_closed (gpointer data)
{
  TlRpcStream *stream = data;

  tell_closed (stream, make_error (stream));
}

static void
tear_down (TlRpcStream *stream)
{
  TlRpcLoop *loop = stream->loop;
  grpc_call *grpc;

  pthread_mutex_lock (&stream->lock);
  grpc = g_steal_pointer (&stream->grpc);
  drop_outgoing (stream);
  pthread_mutex_unlock (&stream->lock);

  /* Of this very connection: a channel may have connected anew since. */
  stream->leaf = tl_rpc_call_peer_certificate (grpc);
  grpc_call_unref (grpc);
  tl_rpc_loop_post (loop, deliver_closed, stream);
  tl_rpc_loop_release (loop);
}

/* After each batch, with the lock held; unlocks. */
static void
batch_done (TlRpcStream *stream)
{
  gboolean over;

  stream->pending--;
  over = is_over (stream);
  pthread_mutex_unlock (&stream->lock);
  if (over)
    tear_down (stream);
}

static void
on_status (TlRpcTag *tag, gboolean ok G_GNUC_UNUSED)
{
  TlRpcStream *stream = TL_RPC_TAG_OWNER (tag, TlRpcStream, status_tag);

  pthread_mutex_lock (&stream->lock);
  stream->status_known = TRUE;
  drop_outgoing (stream);
  batch_done (stream);
}

static void
on_sent (TlRpcTag *tag, gboolean ok)
{
  TlRpcStream *stream = TL_RPC_TAG_OWNER (tag, TlRpcStream, send_tag);

  pthread_mutex_lock (&stream->lock);
  stream->sending = FALSE;
  stream->on_connection = stream->on_connection || ok;
  g_clear_pointer (&stream->sending_buffer, grpc_byte_buffer_destroy);
  if (ok)
    start_send (stream);
  else
    drop_outgoing (stream); /* the status follows */
  batch_done (stream);
}

static void
on_headers (TlRpcTag *tag, gboolean ok G_GNUC_UNUSED)
{
  TlRpcStream *stream = TL_RPC_TAG_OWNER (tag, TlRpcStream, headers_tag);

  pthread_mutex_lock (&stream->lock);
  batch_done (stream);
}

void
tl_rpc_stream_end (TlRpcStream *stream, grpc_status_code status, const char *message)
{
  pthread_mutex_lock (&stream->lock);
  if (stream->own_status == GRPC_STATUS_OK && !stream->status_known)
    {
      stream->own_status = status;
      stream->own_message = g_strdup (message);
    }
  if (stream->grpc != NULL)
    grpc_call_cancel (stream->grpc, NULL);
  pthread_mutex_unlock (&stream->lock);
}

/* ---- receiving */

static void
read_next (TlRpcStream *stream)
{
  pthread_mutex_lock (&stream->lock);
  if (stream->grpc != NULL && !stream->status_known)
    start_receive (stream);
  pthread_mutex_unlock (&stream->lock);
}

static gboolean
is_given_up (TlRpcStream *stream)
{
  gboolean given_up;

  pthread_mutex_lock (&stream->lock);
  given_up = stream->cancelled || stream->closed;
  pthread_mutex_unlock (&stream->lock);
  return given_up;
}

static void
deliver_message (gpointer data)
{
  Delivery *delivery = data;
  TlRpcStream *stream = delivery->stream;

  if (is_given_up (stream))
    protobuf_c_message_free_unpacked (delivery->message, NULL);
  else
    stream->sink.message (stream, delivery->message, stream->owner);
  read_next (stream);
  tl_rpc_stream_unref (stream);
  g_free (delivery);
}

static void
on_received (TlRpcTag *tag, gboolean ok)
{
  TlRpcStream *stream = TL_RPC_TAG_OWNER (tag, TlRpcStream, receive_tag);
  grpc_byte_buffer *buffer = g_steal_pointer (&stream->incoming);
  ProtobufCMessage *message = NULL;

  if (ok && buffer != NULL)
    message = tl_rpc_message_unpack (buffer, stream->response, TL_RPC_MAX_MESSAGE, &stream->unpack_error);
  if (message != NULL)
    {
      Delivery *delivery = g_new (Delivery, 1);

      delivery->stream = tl_rpc_stream_ref (stream);
      delivery->message = message;
      tl_rpc_loop_post (stream->loop, deliver_message, delivery);
    }
  else if (buffer != NULL)
    tl_rpc_stream_end (stream, GRPC_STATUS_INTERNAL, "malformed answer");
  if (buffer != NULL)
    grpc_byte_buffer_destroy (buffer);

  pthread_mutex_lock (&stream->lock);
  batch_done (stream);
}

/* ---- start */

static gboolean on_connect_timeout (gpointer user_data);

TlRpcStream *
tl_rpc_stream_start (TlRpcClient *client, const char *path, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *response, guint deadline_ms, const TlRpcStreamSink *sink,
                     gpointer owner)
{
  TlRpcStream *stream = g_new0 (TlRpcStream, 1);

  g_atomic_ref_count_init (&stream->refs);
  g_atomic_ref_count_inc (&stream->refs); /* the activity's */
  pthread_mutex_init (&stream->lock, NULL);
  g_queue_init (&stream->outgoing);
  stream->client = tl_rpc_client_hold (client);
  stream->loop = tl_rpc_client_loop (client);
  stream->path = g_strdup (path);
  stream->response = response;
  stream->sink = *sink;
  stream->owner = owner;
  stream->deadline_us = deadline_ms != 0 ? g_get_monotonic_time () + (gint64)deadline_ms * 1000 : 0;
  stream->details = grpc_empty_slice ();
  grpc_metadata_array_init (&stream->headers);
  grpc_metadata_array_init (&stream->trailers);
  stream->send_tag.done = on_sent;
  stream->headers_tag.done = on_headers;
  stream->receive_tag.done = on_received;
  stream->status_tag.done = on_status;
  if (request != NULL)
    {
      tl_rpc_stream_send (stream, request);
      stream->half_closing = TRUE;
    }
  stream->connect_timer
      = tl_rpc_loop_add_timeout (stream->loop, tl_rpc_client_connect_timeout (client), on_connect_timeout, stream);
  tl_rpc_client_add (client, stream);
  return stream;
}

static gpr_timespec
deadline (TlRpcStream *stream)
{
  gint64 left = stream->deadline_us - g_get_monotonic_time ();

  if (stream->deadline_us == 0)
    return gpr_inf_future (GPR_CLOCK_MONOTONIC);
  return gpr_time_add (gpr_now (GPR_CLOCK_MONOTONIC), gpr_time_from_micros (MAX (left, 0), GPR_TIMESPAN));
}

typedef struct
{
  TlRpcStream *stream;
  GError *error;
} Failure;

static void
deliver_failure (gpointer data)
{
  Failure *failure = data;
  TlRpcStream *stream = failure->stream;

  if (stream->cancelled)
    {
      g_clear_error (&failure->error);
      failure->error = make_error (stream);
    }
  tell_closed (stream, failure->error);
  g_free (failure);
}

static void
fail (TlRpcStream *stream, const GError *error)
{
  Failure *failure = g_new (Failure, 1);

  failure->stream = stream;
  failure->error = g_error_copy (error);
  tl_rpc_loop_post (stream->loop, deliver_failure, failure);
}

void
tl_rpc_stream_open (TlRpcStream *stream, grpc_channel *channel, const GError *error)
{
  grpc_op headers = { .op = GRPC_OP_RECV_INITIAL_METADATA };
  grpc_op status = { .op = GRPC_OP_RECV_STATUS_ON_CLIENT };
  grpc_slice method;

  if (error != NULL)
    {
      fail (stream, error);
      return;
    }
  headers.data.recv_initial_metadata.recv_initial_metadata = &stream->headers;
  status.data.recv_status_on_client.trailing_metadata = &stream->trailers;
  status.data.recv_status_on_client.status = &stream->status;
  status.data.recv_status_on_client.status_details = &stream->details;

  tl_rpc_loop_hold (stream->loop);
  method = grpc_slice_from_copied_string (stream->path);
  pthread_mutex_lock (&stream->lock);
  stream->grpc = grpc_channel_create_call (channel, NULL, GRPC_PROPAGATE_DEFAULTS, tl_rpc_loop_cq (stream->loop),
                                           method, NULL, deadline (stream), NULL);
  start (stream, &status, 1, &stream->status_tag);
  start_send (stream);
  start (stream, &headers, 1, &stream->headers_tag);
  start_receive (stream);
  if (stream->cancelled || stream->own_status != GRPC_STATUS_OK)
    grpc_call_cancel (stream->grpc, NULL);
  pthread_mutex_unlock (&stream->lock);
  grpc_slice_unref (method);
  if (tl_rpc_client_is_connected (stream->client))
    clear_timer (stream);
}

static gboolean
on_connect_timeout (gpointer user_data)
{
  TlRpcStream *stream = user_data;
  g_autofree char *message = NULL;
  g_autoptr (GError) error = NULL;
  gboolean connected;

  clear_timer (stream);
  pthread_mutex_lock (&stream->lock);
  connected = stream->on_connection;
  pthread_mutex_unlock (&stream->lock);
  /* The channel may have moved on from a connection that still carries this call. */
  if (connected || tl_rpc_client_is_connected (stream->client))
    return G_SOURCE_REMOVE;
  message = g_strdup_printf ("the gateway could not be reached within %u s",
                             (tl_rpc_client_connect_timeout (stream->client) + 999) / 1000);
  if (tl_rpc_client_stop_waiting (stream->client, stream))
    {
      error = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, message);
      fail (stream, error);
    }
  else
    tl_rpc_stream_end (stream, GRPC_STATUS_UNAVAILABLE, message);
  return G_SOURCE_REMOVE;
}

/* ---- for the owner */

TlRpcStream *
tl_rpc_stream_ref (TlRpcStream *stream)
{
  g_atomic_ref_count_inc (&stream->refs);
  return stream;
}

void
tl_rpc_stream_unref (TlRpcStream *stream)
{
  if (stream == NULL || !g_atomic_ref_count_dec (&stream->refs))
    return;
  drop_outgoing (stream);
  clear_timer (stream);
  grpc_metadata_array_destroy (&stream->headers);
  grpc_metadata_array_destroy (&stream->trailers);
  grpc_slice_unref (stream->details);
  g_clear_error (&stream->unpack_error);
  g_clear_pointer (&stream->leaf, g_bytes_unref);
  g_free (stream->own_message);
  g_free (stream->path);
  pthread_mutex_destroy (&stream->lock);
  tl_rpc_client_release (stream->client);
  g_free (stream);
}

gboolean
tl_rpc_stream_send (TlRpcStream *stream, const ProtobufCMessage *message)
{
  grpc_byte_buffer *buffer;
  gsize length;
  gboolean taken;

  buffer = tl_rpc_message_pack (message, &length);
  pthread_mutex_lock (&stream->lock);
  taken = !stream->closed && !stream->status_known && !stream->cancelled && !stream->half_closing
          && stream->own_status == GRPC_STATUS_OK
          && (stream->queued + length <= TL_RPC_MAX_QUEUED || g_queue_is_empty (&stream->outgoing));
  if (taken)
    {
      g_queue_push_tail (&stream->outgoing, buffer);
      stream->queued += length;
      start_send (stream);
    }
  pthread_mutex_unlock (&stream->lock);
  if (!taken)
    grpc_byte_buffer_destroy (buffer);
  return taken;
}

void
tl_rpc_stream_half_close (TlRpcStream *stream)
{
  pthread_mutex_lock (&stream->lock);
  stream->half_closing = TRUE;
  start_send (stream);
  pthread_mutex_unlock (&stream->lock);
}

char *
tl_rpc_stream_peer (TlRpcStream *stream)
{
  TlRpcAddress address;
  char *text = NULL, *peer = NULL;

  pthread_mutex_lock (&stream->lock);
  if (stream->grpc != NULL)
    peer = grpc_call_get_peer (stream->grpc);
  pthread_mutex_unlock (&stream->lock);
  if (peer != NULL && tl_rpc_address_from_peer (peer, &address))
    text = tl_rpc_address_to_string (&address);
  gpr_free (peer);
  return text;
}

static void
deliver_cancel (gpointer data)
{
  g_autoptr (TlRpcStream) stream = data;
  g_autoptr (GError) error = NULL;

  if (!tl_rpc_client_stop_waiting (stream->client, stream))
    return;
  error = g_error_new_literal (TL_ERROR, TL_ERROR_CANCELLED, "the call was given up");
  fail (stream, error);
}

void
tl_rpc_stream_cancel (TlRpcStream *stream)
{
  pthread_mutex_lock (&stream->lock);
  if (stream->grpc != NULL)
    grpc_call_cancel (stream->grpc, NULL);
  else if (!stream->closed && !stream->cancelled)
    tl_rpc_loop_post (stream->loop, deliver_cancel, tl_rpc_stream_ref (stream)); /* names are still being looked up */
  stream->cancelled = TRUE;
  pthread_mutex_unlock (&stream->lock);
}

static void
handlers_message (TlRpcStream *stream, ProtobufCMessage *message, gpointer owner G_GNUC_UNUSED)
{
  if (stream->handlers.on_message != NULL)
    stream->handlers.on_message (stream, message, stream->handlers_data);
  protobuf_c_message_free_unpacked (message, NULL);
}

static void
handlers_closed (TlRpcStream *stream, GError *error, gpointer owner G_GNUC_UNUSED)
{
  if (stream->handlers.on_closed != NULL)
    stream->handlers.on_closed (stream, error, stream->handlers_data);
  g_clear_error (&error);
}

TlRpcStream *
tl_rpc_client_stream (TlRpcClient *client, const char *path, const ProtobufCMessage *request,
                      const ProtobufCMessageDescriptor *response, guint deadline_ms,
                      const TlRpcStreamHandlers *handlers, gpointer user_data)
{
  static const TlRpcStreamSink sink = { .message = handlers_message, .closed = handlers_closed };
  TlRpcStream *stream = tl_rpc_stream_start (client, path, request, response, deadline_ms, &sink, NULL);

  stream->handlers = *handlers;
  stream->handlers_data = user_data;
  return stream;
}
