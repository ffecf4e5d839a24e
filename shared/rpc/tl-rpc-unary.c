/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "rpc/tl-rpc-client-private.h"

/* One question, one answer: a stream of which the last message is kept. */

typedef struct
{
  ProtobufCMessage *answer;
  GError *error;
  gboolean done; /* synchronous */
  GTask *task;   /* asynchronous */
  TlRpcStream *stream;
  gulong cancel_handler;
} Unary;

static void
unary_message (TlRpcStream *stream G_GNUC_UNUSED, ProtobufCMessage *message, gpointer owner)
{
  Unary *unary = owner;

  if (unary->answer != NULL)
    protobuf_c_message_free_unpacked (unary->answer, NULL);
  unary->answer = message;
}

static void
free_answer (gpointer message)
{
  protobuf_c_message_free_unpacked (message, NULL);
}

static void
unary_closed (TlRpcStream *stream G_GNUC_UNUSED, GError *error, gpointer owner)
{
  Unary *unary = owner;
  g_autoptr (GTask) task = g_steal_pointer (&unary->task);

  unary->done = TRUE;
  unary->error = error;
  if (error == NULL && unary->answer == NULL)
    unary->error = g_error_new_literal (TL_ERROR, TL_ERROR_PROTOCOL, "the gateway ended the call without an answer");
  if (unary->error != NULL && unary->answer != NULL)
    g_clear_pointer (&unary->answer, free_answer);
  if (task == NULL)
    return;

  if (unary->cancel_handler != 0)
    g_cancellable_disconnect (g_task_get_cancellable (task), unary->cancel_handler);
  if (unary->error != NULL)
    g_task_return_error (task, unary->error);
  else
    g_task_return_pointer (task, unary->answer, free_answer);
  tl_rpc_stream_unref (unary->stream);
  g_free (unary);
}

static const TlRpcStreamSink unary_sink = { .message = unary_message, .closed = unary_closed };

static void
on_cancelled (GCancellable *cancellable G_GNUC_UNUSED, gpointer user_data)
{
  tl_rpc_stream_cancel (user_data);
}

void
tl_rpc_client_call_async (TlRpcClient *client, const char *path, const ProtobufCMessage *request,
                          const ProtobufCMessageDescriptor *response, guint deadline_ms, GCancellable *cancellable,
                          GAsyncReadyCallback callback, gpointer user_data)
{
  Unary *unary = g_new0 (Unary, 1);

  g_return_if_fail (deadline_ms > 0);
  unary->task = g_task_new (NULL, cancellable, callback, user_data);
  /* What ended the call is in its error. */
  g_task_set_check_cancellable (unary->task, FALSE);
  unary->stream = tl_rpc_stream_start (client, path, request, response, deadline_ms, &unary_sink, unary);
  if (cancellable != NULL)
    unary->cancel_handler
        = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), tl_rpc_stream_ref (unary->stream),
                                 (GDestroyNotify)tl_rpc_stream_unref);
}

ProtobufCMessage *
tl_rpc_client_call_finish (TlRpcClient *client G_GNUC_UNUSED, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

ProtobufCMessage *
tl_rpc_client_call_sync (TlRpcClient *client, const char *path, const ProtobufCMessage *request,
                         const ProtobufCMessageDescriptor *response, guint deadline_ms, GError **error)
{
  Unary unary = { 0 };
  GMainContext *context = tl_rpc_loop_context (tl_rpc_client_loop (client));
  g_autoptr (TlRpcStream) stream = NULL;

  g_return_val_if_fail (deadline_ms > 0, NULL);
  stream = tl_rpc_stream_start (client, path, request, response, deadline_ms, &unary_sink, &unary);
  while (!unary.done)
    g_main_context_iteration (context, TRUE);
  if (unary.error != NULL)
    {
      g_propagate_error (error, unary.error);
      return NULL;
    }
  return unary.answer;
}
