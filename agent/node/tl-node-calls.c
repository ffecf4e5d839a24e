/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-calls.h"

#define CONNECT_TIMEOUT_MS 5000

struct _TlNodeCalls
{
  TlNodeRpc rpc;
  char **addresses;
  GMainContext *context;
  TlRpcClient *client; /* while a call is under way */
  GCancellable *cancellable;
  guint under_way;
  GSource *idle; /* nothing is under way: the client goes */
};

/* Lives until its answer came, perhaps longer than the object. */
typedef struct
{
  TlNodeCalls *calls;        /* good unless cancelled */
  TlRpcClient *client;       /* NULL: it could not be made, see failure */
  GCancellable *cancellable; /* when the object goes */
  GError *failure;
  TlNodeCallFunc func;
  gpointer user_data;
  GDestroyNotify release;
} Call;

static gboolean
on_idle (gpointer data)
{
  TlNodeCalls *calls = data;

  g_clear_pointer (&calls->idle, g_source_unref);
  if (calls->under_way == 0)
    g_clear_pointer (&calls->client, tl_rpc_client_unref);
  return G_SOURCE_REMOVE;
}

static GSource *
attach_idle (GMainContext *context, GSourceFunc func, gpointer data)
{
  GSource *source = g_idle_source_new ();

  g_source_set_callback (source, func, data, NULL);
  g_source_attach (source, context);
  return source;
}

static void
call_end (Call *call, const ProtobufCMessage *answer, const GError *error)
{
  if (!g_cancellable_is_cancelled (call->cancellable))
    {
      TlNodeCalls *calls = call->calls;

      /* Later, since another call may follow at once. */
      if (--calls->under_way == 0 && calls->idle == NULL)
        calls->idle = attach_idle (calls->context, on_idle, calls);
      call->func (answer, error, call->user_data);
    }
  if (call->release != NULL)
    call->release (call->user_data);
  g_clear_pointer (&call->client, tl_rpc_client_unref);
  g_clear_error (&call->failure);
  g_object_unref (call->cancellable);
  g_free (call);
}

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Call *call = user_data;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *answer = tl_rpc_client_call_finish (call->client, result, &error);

  (void)source;
  call_end (call, answer, error);
  if (answer != NULL)
    protobuf_c_message_free_unpacked (answer, NULL);
}

static gboolean
on_failure (gpointer data)
{
  Call *call = data;

  call_end (call, NULL, call->failure);
  return G_SOURCE_REMOVE;
}

void
tl_node_calls_start (TlNodeCalls *calls, const char *path, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *response, guint deadline_ms, TlNodeCallFunc func,
                     gpointer user_data, GDestroyNotify release)
{
  Call *call = g_new0 (Call, 1);

  if (calls->client == NULL)
    calls->client = tl_node_rpc_client (&calls->rpc, (const char *const *)calls->addresses, TRUE, CONNECT_TIMEOUT_MS,
                                        &call->failure);
  call->calls = calls;
  call->cancellable = g_object_ref (calls->cancellable);
  call->func = func;
  call->user_data = user_data;
  call->release = release;
  calls->under_way++;
  if (calls->client == NULL)
    {
      g_source_unref (attach_idle (calls->context, on_failure, call));
      return;
    }
  call->client = tl_rpc_client_ref (calls->client);
  tl_rpc_client_call_async (calls->client, path, request, response, deadline_ms, calls->cancellable, on_answer, call);
}

TlNodeCalls *
tl_node_calls_new (const TlNodeRpc *rpc, const char *const *addresses)
{
  TlNodeCalls *calls = g_new0 (TlNodeCalls, 1);

  calls->rpc = *rpc;
  calls->addresses = g_strdupv ((char **)addresses);
  calls->context = g_main_context_ref_thread_default ();
  calls->cancellable = g_cancellable_new ();
  return calls;
}

void
tl_node_calls_free (TlNodeCalls *calls)
{
  if (calls == NULL)
    return;
  g_cancellable_cancel (calls->cancellable);
  g_clear_object (&calls->cancellable);
  if (calls->idle != NULL)
    g_source_destroy (calls->idle);
  g_clear_pointer (&calls->idle, g_source_unref);
  g_clear_pointer (&calls->client, tl_rpc_client_unref);
  g_main_context_unref (calls->context);
  g_strfreev (calls->addresses);
  g_free (calls);
}
