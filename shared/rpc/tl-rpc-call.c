/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tl-rpc-call-private.h"

#include <pthread.h>

#include <grpc/slice.h>
#include <grpc/support/alloc.h>

#include "base/tl-error.h"

#define DEFAULT_MAX_REQUEST (64u * 1024u) /* of a method row that names none */

/*
 * gRPC's objects are touched under the lock only, `grpc` is NULL after the call ended. Sends are serial: one batch
 * under way, the rest waits in `outgoing`. One message is read at a time, the next one after the handler has had it.
 */
struct _TlRpcCall
{
  gatomicrefcount refs;
  TlRpcServer *server;
  TlRpcLoop *loop; /* valid while `grpc` is */
  const TlRpcMethod *method;
  gpointer user_data;
  TlRpcPeer peer;
  gpointer data;
  GDestroyNotify free_data;

  pthread_mutex_t lock;
  grpc_call *grpc; /* under lock, like all below */
  guint pending;   /* batches under way */
  GQueue outgoing; /* grpc_byte_buffer */
  gsize queued;    /* bytes in outgoing */
  gsize in_flight; /* bytes of the batch under way */
  grpc_byte_buffer *sending_buffer;
  gboolean sending;
  gboolean headers_sent;
  gboolean status_sent;
  gboolean finished;  /* a status is decided: nothing more is taken */
  gboolean settled;   /* the handler finished it or was told of its end */
  gboolean cancelled; /* ended without us */
  gboolean closed;    /* gRPC said it is over */
  grpc_status_code status;
  char *status_message;
  const char *reason; /* static */

  grpc_byte_buffer *incoming; /* rpc thread, and start_receive() */
  int close_cancelled;
  gboolean got_message;

  TlRpcTag send_tag;
  TlRpcTag receive_tag;
  TlRpcTag close_tag;
};

typedef struct
{
  TlRpcCall *call;
  ProtobufCMessage *message;
} Delivery;

void
tl_rpc_caller_clear (TlRpcCaller *caller)
{
  g_clear_pointer (&caller->address, g_free);
  g_clear_pointer (&caller->source, g_free);
  g_clear_pointer (&caller->fingerprint, g_free);
}

/* ---- life */

static char *
make_actor (const TlRpcCaller *caller)
{
  switch (caller->kind)
    {
    case TL_RPC_PEER_LOCAL:
      return g_strdup_printf ("uid:%u", (guint)caller->uid);
    case TL_RPC_PEER_DEVICE:
      return g_strdup_printf ("device:%s", caller->admission.device_id);
    case TL_RPC_PEER_STRANGER:
      break;
    }
  return g_strdup_printf ("source:%s", caller->source);
}

static void on_sent (TlRpcTag *tag, gboolean ok);
static void on_received (TlRpcTag *tag, gboolean ok);
static void on_closed (TlRpcTag *tag, gboolean ok);

TlRpcCall *
tl_rpc_call_new (TlRpcServer *server, grpc_call *grpc, const TlRpcMethod *method, gpointer user_data,
                 TlRpcCaller *caller)
{
  TlRpcCall *call = g_new0 (TlRpcCall, 1);

  g_atomic_ref_count_init (&call->refs);
  pthread_mutex_init (&call->lock, NULL);
  g_queue_init (&call->outgoing);
  call->server = tl_rpc_server_hold (server);
  call->loop = tl_rpc_server_loop (server);
  call->grpc = grpc;
  call->method = method;
  call->user_data = user_data;
  call->peer.kind = caller->kind;
  call->peer.actor = make_actor (caller);
  call->peer.address = g_steal_pointer (&caller->address);
  call->peer.source = g_steal_pointer (&caller->source);
  call->peer.fingerprint = g_steal_pointer (&caller->fingerprint);
  call->peer.admission = caller->admission;
  call->peer.uid = caller->uid;
  call->peer.pid = caller->pid;
  call->send_tag.done = on_sent;
  call->receive_tag.done = on_received;
  call->close_tag.done = on_closed;
  tl_rpc_loop_hold (call->loop);
  return call;
}

TlRpcCall *
tl_rpc_call_ref (TlRpcCall *call)
{
  g_atomic_ref_count_inc (&call->refs);
  return call;
}

static void
drop_outgoing (TlRpcCall *call)
{
  grpc_byte_buffer *buffer;

  while ((buffer = g_queue_pop_head (&call->outgoing)) != NULL)
    grpc_byte_buffer_destroy (buffer);
  call->queued = 0;
}

void
tl_rpc_call_unref (TlRpcCall *call)
{
  if (call == NULL || !g_atomic_ref_count_dec (&call->refs))
    return;
  g_assert (call->grpc == NULL);
  if (call->free_data != NULL)
    call->free_data (call->data);
  drop_outgoing (call);
  g_free ((char *)call->peer.address);
  g_free ((char *)call->peer.source);
  g_free ((char *)call->peer.fingerprint);
  g_free ((char *)call->peer.actor);
  g_free (call->status_message);
  pthread_mutex_destroy (&call->lock);
  tl_rpc_server_release (call->server);
  g_free (call);
}

const TlRpcPeer *
tl_rpc_call_peer (TlRpcCall *call)
{
  return &call->peer;
}

const TlRpcMethod *
tl_rpc_call_method (TlRpcCall *call)
{
  return call->method;
}

void
tl_rpc_call_set_data (TlRpcCall *call, gpointer data, GDestroyNotify free_data)
{
  if (call->free_data != NULL)
    call->free_data (call->data);
  call->data = data;
  call->free_data = free_data;
}

gpointer
tl_rpc_call_get_data (TlRpcCall *call)
{
  return call->data;
}

/* ---- batches; all of these under the lock */

static void
start (TlRpcCall *call, const grpc_op *ops, gsize n, TlRpcTag *tag)
{
  grpc_call_error result = grpc_call_start_batch (call->grpc, ops, n, tag, NULL);

  if (result != GRPC_CALL_OK)
    g_error ("gRPC refused a batch: %s", grpc_call_error_to_string (result));
  call->pending++;
}

static void
start_receive (TlRpcCall *call)
{
  grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };

  op.data.recv_message.recv_message = &call->incoming;
  start (call, &op, 1, &call->receive_tag);
}

static void
start_send (TlRpcCall *call)
{
  grpc_op ops[3] = { 0 };
  grpc_metadata trailer = { 0 };
  grpc_slice details = { 0 };
  gsize n = 0;

  if (call->grpc == NULL || call->sending || call->closed || call->cancelled || call->status_sent
      || (g_queue_is_empty (&call->outgoing) && !call->finished))
    return;

  if (!call->headers_sent)
    ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
  call->headers_sent = TRUE;
  call->sending_buffer = g_queue_pop_head (&call->outgoing);
  if (call->sending_buffer != NULL)
    {
      call->in_flight = grpc_byte_buffer_length (call->sending_buffer);
      call->queued -= call->in_flight;
      ops[n].op = GRPC_OP_SEND_MESSAGE;
      ops[n++].data.send_message.send_message = call->sending_buffer;
    }
  if (call->finished && g_queue_is_empty (&call->outgoing))
    {
      ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
      ops[n].data.send_status_from_server.status = call->status;
      if (call->status_message != NULL)
        {
          details = grpc_slice_from_copied_string (call->status_message);
          ops[n].data.send_status_from_server.status_details = &details;
        }
      if (call->reason != NULL)
        {
          trailer.key = grpc_slice_from_static_string (TL_RPC_REASON_KEY);
          trailer.value = grpc_slice_from_static_string (call->reason);
          ops[n].data.send_status_from_server.trailing_metadata = &trailer;
          ops[n].data.send_status_from_server.trailing_metadata_count = 1;
        }
      n++;
      call->status_sent = TRUE;
    }
  call->sending = TRUE;
  start (call, ops, n, &call->send_tag);
  if (call->status_sent && call->status_message != NULL)
    grpc_slice_unref (details);
}

/* TRUE when nothing is under way any more: the caller then runs tear_down() without the lock. */
static gboolean
is_over (TlRpcCall *call)
{
  return call->grpc != NULL && call->closed && call->pending == 0;
}

/* ---- end */

static void
drop_activity (gpointer data)
{
  TlRpcCall *call = data;

  tl_rpc_server_call_gone (call->server);
  tl_rpc_call_unref (call);
}

/* rpc thread. The activity's reference goes to the main context, where the owner's data may be freed. */
static void
tear_down (TlRpcCall *call)
{
  TlRpcLoop *loop = call->loop;
  grpc_call *grpc;

  pthread_mutex_lock (&call->lock);
  grpc = g_steal_pointer (&call->grpc);
  drop_outgoing (call);
  pthread_mutex_unlock (&call->lock);

  grpc_call_unref (grpc);
  tl_rpc_server_call_ended (call->server, call);
  tl_rpc_loop_post (loop, drop_activity, call);
  tl_rpc_loop_release (loop);
}

static void
deliver_cancelled (gpointer data)
{
  g_autoptr (TlRpcCall) call = data;
  gboolean tell;

  pthread_mutex_lock (&call->lock);
  tell = !call->settled;
  call->settled = TRUE;
  call->finished = TRUE;
  pthread_mutex_unlock (&call->lock);

  if (tell && call->method != NULL && call->method->on_cancelled != NULL && call->got_message
      && tl_rpc_server_is_open (call->server))
    call->method->on_cancelled (call, call->user_data);
}

static void
on_closed (TlRpcTag *tag, gboolean ok G_GNUC_UNUSED)
{
  TlRpcCall *call = TL_RPC_TAG_OWNER (tag, TlRpcCall, close_tag);
  gboolean tell;
  gboolean over;

  pthread_mutex_lock (&call->lock);
  call->pending--;
  call->closed = TRUE;
  call->cancelled = call->cancelled || call->close_cancelled;
  if (call->cancelled)
    drop_outgoing (call);
  tell = !call->settled;
  over = is_over (call);
  pthread_mutex_unlock (&call->lock);

  if (tell)
    tl_rpc_loop_post (call->loop, deliver_cancelled, tl_rpc_call_ref (call));
  if (over)
    tear_down (call);
}

static void
on_sent (TlRpcTag *tag, gboolean ok)
{
  TlRpcCall *call = TL_RPC_TAG_OWNER (tag, TlRpcCall, send_tag);
  gboolean over;

  pthread_mutex_lock (&call->lock);
  call->pending--;
  call->sending = FALSE;
  call->in_flight = 0;
  g_clear_pointer (&call->sending_buffer, grpc_byte_buffer_destroy);
  if (!ok)
    drop_outgoing (call); /* the close follows */
  else
    start_send (call);
  over = is_over (call);
  pthread_mutex_unlock (&call->lock);
  if (over)
    tear_down (call);
}

void
tl_rpc_call_cancel (TlRpcCall *call, grpc_status_code status, const char *message)
{
  pthread_mutex_lock (&call->lock);
  if (call->grpc != NULL && !call->closed)
    {
      call->cancelled = TRUE;
      drop_outgoing (call);
      grpc_call_cancel_with_status (call->grpc, status, message, NULL);
    }
  pthread_mutex_unlock (&call->lock);
}

/* ---- receiving */

static void
read_next (TlRpcCall *call)
{
  pthread_mutex_lock (&call->lock);
  if (call->grpc != NULL && !call->closed && !call->finished)
    start_receive (call);
  pthread_mutex_unlock (&call->lock);
}

static gboolean
wants_messages (TlRpcCall *call)
{
  gboolean wants;

  pthread_mutex_lock (&call->lock);
  wants = !call->finished && !call->cancelled;
  pthread_mutex_unlock (&call->lock);
  return wants && tl_rpc_server_is_open (call->server);
}

static void
deliver_message (gpointer data)
{
  Delivery *delivery = data;
  TlRpcCall *call = delivery->call;

  call->got_message = TRUE;
  if (wants_messages (call))
    call->method->on_message (call, delivery->message, call->user_data);
  protobuf_c_message_free_unpacked (delivery->message, NULL);
  if (call->method->kind == TL_RPC_BIDI)
    read_next (call);
  tl_rpc_call_unref (call);
  g_free (delivery);
}

static void
deliver_half_close (gpointer data)
{
  g_autoptr (TlRpcCall) call = data;

  call->got_message = TRUE;
  if (!wants_messages (call))
    return;
  if (call->method->on_half_close != NULL)
    call->method->on_half_close (call, call->user_data);
  else
    tl_rpc_call_finish (call, NULL);
}

/* Under the lock. */
static void
finish (TlRpcCall *call, const GError *error)
{
  if (call->finished)
    return;
  call->finished = TRUE;
  call->status = GRPC_STATUS_OK;
  if (error != NULL)
    {
      call->status = (grpc_status_code)tl_error_to_grpc_status (error);
      call->status_message = tl_rpc_message_clean (error->message);
      call->reason = tl_error_to_reason (error);
    }
  start_send (call);
}

void
tl_rpc_call_refuse (TlRpcCall *call, const GError *error)
{
  pthread_mutex_lock (&call->lock);
  finish (call, error);
  pthread_mutex_unlock (&call->lock);
}

/* rpc thread: from bytes to an event for the main context, or to an error for the peer. */
static void
take_message (TlRpcCall *call, grpc_byte_buffer *buffer)
{
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *message = NULL;
  Delivery *delivery;
  gsize limit = call->method->max_request != 0 ? call->method->max_request : DEFAULT_MAX_REQUEST;

  if (tl_rpc_server_check (call->server, &call->peer, call->method, &error))
    message = tl_rpc_message_unpack (buffer, call->method->request, limit, &error);
  if (message == NULL)
    {
      tl_rpc_call_refuse (call, error);
      return;
    }
  delivery = g_new (Delivery, 1);
  delivery->call = tl_rpc_call_ref (call);
  delivery->message = message;
  tl_rpc_loop_post (call->loop, deliver_message, delivery);
}

static void
on_received (TlRpcTag *tag, gboolean ok)
{
  TlRpcCall *call = TL_RPC_TAG_OWNER (tag, TlRpcCall, receive_tag);
  grpc_byte_buffer *buffer = g_steal_pointer (&call->incoming);
  g_autoptr (GError) error = NULL;
  gboolean over;

  tl_rpc_server_request_arrived (call->server, call);
  if (ok && buffer != NULL)
    take_message (call, buffer);
  else if (!ok || grpc_call_failed_before_recv_message (call->grpc))
    ; /* not the peer's last message but the end of the call: on_closed() tells */
  else if (call->method->kind == TL_RPC_BIDI)
    tl_rpc_loop_post (call->loop, deliver_half_close, tl_rpc_call_ref (call));
  else
    {
      g_set_error_literal (&error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the call carries no request");
      tl_rpc_call_refuse (call, error);
    }
  if (buffer != NULL)
    grpc_byte_buffer_destroy (buffer);

  /* Only now may the call end: until here this batch kept it. */
  pthread_mutex_lock (&call->lock);
  call->pending--;
  over = is_over (call);
  pthread_mutex_unlock (&call->lock);
  if (over)
    tear_down (call);
}

void
tl_rpc_call_begin (TlRpcCall *call, gboolean receive)
{
  grpc_op op = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER };

  op.data.recv_close_on_server.cancelled = &call->close_cancelled;
  pthread_mutex_lock (&call->lock);
  start (call, &op, 1, &call->close_tag);
  if (receive)
    start_receive (call);
  pthread_mutex_unlock (&call->lock);
}

/* ---- sending */

/* Under the lock. */
static gboolean
enqueue (TlRpcCall *call, const ProtobufCMessage *message)
{
  grpc_byte_buffer *buffer;
  gsize length;

  if (call->grpc == NULL || call->finished || call->cancelled || call->closed)
    return FALSE;
  buffer = tl_rpc_message_pack (message, &length);
  if (call->queued + length > TL_RPC_MAX_QUEUED && !g_queue_is_empty (&call->outgoing))
    {
      grpc_byte_buffer_destroy (buffer);
      call->cancelled = TRUE;
      drop_outgoing (call);
      grpc_call_cancel_with_status (call->grpc, GRPC_STATUS_RESOURCE_EXHAUSTED, "the peer does not read its messages",
                                    NULL);
      return FALSE;
    }
  g_queue_push_tail (&call->outgoing, buffer);
  call->queued += length;
  return TRUE;
}

gboolean
tl_rpc_call_send (TlRpcCall *call, const ProtobufCMessage *message)
{
  gboolean taken;

  g_return_val_if_fail (call->method != NULL && message->descriptor == call->method->response, FALSE);
  pthread_mutex_lock (&call->lock);
  taken = enqueue (call, message);
  if (taken)
    start_send (call);
  pthread_mutex_unlock (&call->lock);
  return taken;
}

gsize
tl_rpc_call_queued_bytes (TlRpcCall *call)
{
  gsize bytes;

  pthread_mutex_lock (&call->lock);
  bytes = call->queued + call->in_flight;
  pthread_mutex_unlock (&call->lock);
  return bytes;
}

void
tl_rpc_call_finish (TlRpcCall *call, const GError *error)
{
  pthread_mutex_lock (&call->lock);
  call->settled = TRUE;
  finish (call, error);
  pthread_mutex_unlock (&call->lock);
}

void
tl_rpc_call_reply (TlRpcCall *call, const ProtobufCMessage *message)
{
  g_return_if_fail (call->method != NULL && message->descriptor == call->method->response);
  pthread_mutex_lock (&call->lock);
  call->settled = TRUE;
  enqueue (call, message);
  finish (call, NULL);
  pthread_mutex_unlock (&call->lock);
}
