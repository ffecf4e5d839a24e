/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-quic-service.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "daemon/tl-dispatcher.h"
#include "daemon/tl-journal-service.h"
#include "daemon/tl-lasting-secret.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-node-stream-quic.h"
#include "daemon/tl-node-service.h"

#define SECRET_NAME "quic-secret" /* stateless resets and Retry tokens have to be known after a restart */
G_STATIC_ASSERT (TL_LASTING_SECRET_LENGTH == TL_QUIC_SECRET_LENGTH);

/* ---- answers ---- */

static void
answer_error (TlQuicChannel *channel, const GError *error)
{
  tl_quic_channel_send (channel, tl_quic_answer_format_refusal (tl_quic_refusal_from_error (error), error), TRUE);
}

static void
answer_with (TlQuicChannel *channel, TlErrorCode code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, code, message);

  answer_error (channel, error);
}

static void
answer_ack (TlQuicChannel *channel)
{
  TlQuicAnswer answer = { .kind = TL_QUIC_ANSWER_ACK };

  tl_quic_channel_send (channel, tl_quic_answer_format (&answer), TRUE);
}

/* ---- requests ---- */

static void
on_stream_events (TlGateway *gateway, TlNode *node, TlQuicChannel *channel, const TlQuicRequest *request)
{
  tl_node_registry_attach (gateway->registry, node, tl_node_stream_quic_new (channel, request->instance_id),
                           request->resume_from, request->resume_id);
}

static void
on_acknowledged (const GError *error, gpointer user_data)
{
  g_autoptr (TlQuicChannel) channel = user_data;

  if (error != NULL)
    answer_error (channel, error);
  else
    answer_ack (channel);
}

static void
on_ack (TlGateway *gateway, TlNode *node, TlQuicChannel *channel, const TlQuicRequest *request)
{
  if (node->events == NULL)
    {
      answer_with (channel, TL_ERROR_FAILED_PRECONDITION, "there is no event stream to acknowledge events of");
      return;
    }
  tl_dispatcher_acknowledging (gateway->dispatcher, node->device_id, request->seq);
  tl_event_stream_acknowledge (node->events, request->seq, request->id, on_acknowledged, tl_quic_channel_ref (channel));
}

static void
on_event (TlGateway *gateway, TlNode *node, TlQuicChannel *channel, const TlQuicRequest *request)
{
  if (strlen (request->type) > TL_NODE_MAX_TEXT || strlen (request->data) > TL_NODE_MAX_EVENT_DATA)
    {
      answer_with (channel, TL_ERROR_INVALID_ARGUMENT, "the event is too large");
      return;
    }
  tl_node_registry_heard (gateway->registry, node, request->type);
  tl_dispatcher_node_event (gateway->dispatcher, node->device_id, request->type, request->data);
  answer_ack (channel);
}

typedef struct
{
  TlQuicChannel *channel;
  char *request_id;
} ResultWait;

static void
on_result_taken (TlResultVerdict verdict, const GError *error, gpointer user_data)
{
  ResultWait *wait = user_data;
  TlQuicAnswer answer = { .kind = TL_QUIC_ANSWER_RESULT_ACCEPTED };

  answer.request_id = wait->request_id;
  answer.duplicate = verdict == TL_RESULT_DUPLICATE;
  answer.unknown = verdict == TL_RESULT_UNKNOWN;
  if (error != NULL)
    answer_error (wait->channel, error);
  else
    tl_quic_channel_send (wait->channel, tl_quic_answer_format (&answer), TRUE);
  tl_quic_channel_unref (wait->channel);
  g_free (wait->request_id);
  g_free (wait);
}

static void
on_result (TlGateway *gateway, TlNode *node, TlQuicChannel *channel, const TlQuicRequest *request)
{
  ResultWait *wait = g_new (ResultWait, 1);

  wait->channel = tl_quic_channel_ref (channel);
  wait->request_id = g_strdup (request->result.request_id);
  tl_dispatcher_result (gateway->dispatcher, node->device_id, &request->result, on_result_taken, wait);
}

static void
on_request (TlQuicChannel *channel, const TlQuicRequest *request, gpointer user_data)
{
  TlGateway *gateway = user_data;
  TlNode *node = tl_node_registry_lookup (gateway->registry, tl_quic_channel_device_id (channel));

  /* The quic thread saw the admitted set before a change of a moment ago reached it; the registry has it. */
  if (node == NULL || node->state != TL_DEVICE_ACTIVE)
    {
      answer_with (channel, TL_ERROR_REVOKED, "this device is not admitted any more");
      return;
    }
  switch (request->method)
    {
    case TL_QUIC_METHOD_STREAM_EVENTS:
      on_stream_events (gateway, node, channel, request);
      return;
    case TL_QUIC_METHOD_ACK_EVENTS:
      on_ack (gateway, node, channel, request);
      return;
    case TL_QUIC_METHOD_SUBMIT_RESULT:
      on_result (gateway, node, channel, request);
      return;
    case TL_QUIC_METHOD_EVENT:
      on_event (gateway, node, channel, request);
      return;
    case TL_QUIC_METHOD_HEALTH: /* answered by the quic thread */
      break;
    }
  g_return_if_reached ();
}

/* ---- the rest of what happens ---- */

/* The node whose event stream this channel is: NULL after another one took over. */
static TlNode *
stream_node (TlGateway *gateway, TlQuicChannel *channel)
{
  TlNode *node = tl_node_registry_lookup (gateway->registry, tl_quic_channel_device_id (channel));

  return node != NULL && tl_node_stream_quic_get_channel (node->stream) == channel ? node : NULL;
}

static void
on_registered (const char *fingerprint, gpointer user_data)
{
  tl_gateway_certificate_seen (user_data, fingerprint);
}

static void
on_ended (TlQuicChannel *channel, gpointer user_data)
{
  TlGateway *gateway = user_data;
  TlNode *node = stream_node (gateway, channel);

  if (node != NULL)
    tl_node_registry_detach (gateway->registry, node);
}

static void
on_drained (TlQuicChannel *channel, gpointer user_data)
{
  TlNode *node = stream_node (user_data, channel);

  if (node != NULL)
    tl_event_stream_drained (node->events);
}

static void
on_denied (const TlRpcDenial *denial, gpointer user_data)
{
  tl_journal_service_rpc_denied (((TlGateway *)user_data)->journal, denial);
}

static const TlQuicRuntimeHandlers handlers = {
  .registered = on_registered,
  .request = on_request,
  .ended = on_ended,
  .drained = on_drained,
  .denied = on_denied,
};

/* ---- start ---- */

static gboolean
listen_all (TlGateway *gateway, GError **error)
{
  g_autoptr (GPtrArray) bound = g_ptr_array_new_with_free_func (g_free);
  char **addresses = gateway->config->listen_quic != NULL ? gateway->config->listen_quic : gateway->listeners;

  for (guint i = 0; addresses[i] != NULL; i++)
    if (!tl_quic_runtime_listen (gateway->quic, addresses[i], bound, error))
      return FALSE;
  g_ptr_array_add (bound, NULL);
  gateway->quic_listeners = (char **)g_ptr_array_free (g_steal_pointer (&bound), FALSE);
  return TRUE;
}

/* Also the server leaf is replaced now and then. */
static void
on_served (const char *chain_pem, const TlSecret *key_pem, TlTrustBundle *bundle, gpointer user_data)
{
  TlGateway *gateway = user_data;
  g_autoptr (GError) error = NULL;

  if (!tl_quic_runtime_set_identity (gateway->quic, chain_pem, key_pem, bundle, &error))
    tl_log_error (TL_LOG_ERROR, "showing the new server certificate over QUIC", error);
}

gboolean
tl_quic_service_open (TlGateway *gateway, GError **error)
{
  const TlDaemonQuic *config = &gateway->config->quic;
  g_autoptr (TlSecret) secret = NULL;
  TlQuicRuntimeOptions options = { .handlers = &handlers };

  if (gateway->config->listen_quic != NULL && gateway->config->listen_quic[0] == NULL)
    return TRUE;
  secret = tl_lasting_secret_load (gateway->secrets, SECRET_NAME, gateway->random, error);
  if (secret == NULL)
    return FALSE;
  options.gateway_id = tl_gateway_identity_id (gateway->identity);
  options.secret = tl_secret_data (secret);
  options.admitted = gateway->admitted;
  options.bundle = tl_gateway_identity_bundle (gateway->identity);
  options.chain_pem = tl_gateway_identity_chain_pem (gateway->identity);
  options.key_pem = tl_gateway_identity_key_pem (gateway->identity);
  options.clock = gateway->clock;
  options.max_connections = config->connections;
  options.retry_threshold = config->retry_threshold;
  options.handshake_timeout_ms = config->handshake_timeout_ms;
  options.qlog_directory = config->qlog_directory;
  options.user_data = gateway;
  gateway->quic = tl_quic_runtime_new (&options, error);
  return gateway->quic != NULL && listen_all (gateway, error);
}

void
tl_quic_service_start (TlGateway *gateway)
{
  g_autoptr (GPtrArray) nodes = NULL;

  if (gateway->quic == NULL)
    return;
  nodes = tl_node_registry_list (gateway->registry);
  for (guint i = 0; i < nodes->len; i++)
    {
      const TlNode *node = g_ptr_array_index (nodes, i);

      if (node->latest_seq > 0)
        tl_quic_runtime_latest (gateway->quic, node->device_id, node->latest_seq);
    }
  tl_gateway_identity_set_served (gateway->identity, on_served, gateway);
  tl_quic_runtime_start (gateway->quic);
}
