/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-node-service.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "daemon/tl-dispatcher.h"
#include "daemon/tl-journal-service.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-node-stream-grpc.h"
#include "daemon/tl-wire.h"
#include "tl-config-build.h"

#define NODE_PATH        "/twinlatch.v1.NodeService/"
#define MAX_SMALL        (16u * 1024u)
#define MAX_REGISTRATION (1024u * 1024u)
/* Results together, 256 KiB and room; or an event with its data. */
#define MAX_STREAM_MESSAGE (320u * 1024u)
/* JSON inside a protobuf string needs no escaping: payload, receipt, and room. */
#define MAX_RESULT (TL_DISPATCH_MAX_PAYLOAD + 64u * 1024u)

/* The device behind the call, or FALSE and the call is finished: a claimed id must be the certificate's (PROTOCOL 4).
 */
static gboolean
check_device (TlGateway *gateway, TlRpcCall *call, const char *claimed)
{
  const TlRpcPeer *peer = tl_rpc_call_peer (call);
  g_autoptr (GError) error = NULL;

  tl_gateway_certificate_seen (gateway, peer->fingerprint);
  if (g_str_equal (claimed, peer->admission.device_id))
    return TRUE;
  tl_log (TL_LOG_WARNING, "a device claimed to be another", "device_id", peer->admission.device_id, "source",
          peer->source, NULL);
  g_set_error (&error, TL_ERROR, TL_ERROR_PERMISSION_DENIED, "the device id in the message is not the certificate's");
  tl_journal_service_denied (gateway->journal, TL_JOURNAL_CALL_DENIED, call,
                             tl_ulid_is_valid (claimed) ? claimed : NULL, error);
  tl_rpc_call_finish (call, error);
  return FALSE;
}

static void
on_register (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__RegisterNodeRequest *request = (const Twinlatch__V1__RegisterNodeRequest *)message;
  Twinlatch__V1__RegisterNodeResponse answer = TWINLATCH__V1__REGISTER_NODE_RESPONSE__INIT;
  g_autoptr (GError) error = NULL;
  TlNode *node;

  if (!check_device (gateway, call, request->device_id))
    return;
  error = tl_node_registry_check_registration (request);
  if (error != NULL)
    {
      tl_rpc_call_finish (call, error);
      return;
    }
  node = tl_node_registry_registered (gateway->registry, request->device_id, request);
  if (node == NULL)
    {
      tl_wire_finish_malformed (call);
      return;
    }
  answer.version = TL_PAIRING_VERSION;
  answer.gateway_id = (char *)tl_gateway_identity_id (gateway->identity);
  answer.gateway_name = gateway->config->name;
  answer.server_time_unix_ms = tl_clock_wall_ms (gateway->clock);
  answer.latest_seq = node->latest_seq;
  answer.ca_generation = tl_certificate_authority_generation (tl_gateway_identity_ca (gateway->identity));
  answer.n_addresses = g_strv_length (gateway->advertised);
  answer.addresses = gateway->advertised;
  answer.policy = (char *)"{}";
  answer.gateway_version = (char *)TL_VERSION;
  tl_rpc_call_reply (call, &answer.base);
}

/* ---- StreamEvents ---- */

/* The node whose stream this call is: NULL before `resume` and after it was superseded. */
static TlNode *
stream_node (TlGateway *gateway, TlRpcCall *call)
{
  TlNode *node = tl_node_registry_lookup (gateway->registry, tl_rpc_call_peer (call)->admission.device_id);
  return node != NULL && tl_node_stream_grpc_get_call (node->stream) == call ? node : NULL;
}

static void
finish_invalid (TlRpcCall *call, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_INVALID_ARGUMENT, message);
  tl_rpc_call_finish (call, error);
}

static gboolean
cursor_is_valid (const Twinlatch__V1__Cursor *cursor)
{
  return cursor != NULL && (cursor->seq == 0 ? cursor->event_id[0] == '\0' : tl_ulid_is_valid (cursor->event_id))
         && cursor->seq <= G_MAXINT64;
}

static void
on_resume (TlGateway *gateway, TlRpcCall *call, const Twinlatch__V1__StreamEventsRequest__Resume *resume)
{
  TlNode *node;

  if (!check_device (gateway, call, resume->device_id))
    return;
  node = tl_node_registry_lookup (gateway->registry, resume->device_id);
  if (node != NULL && node->state != TL_DEVICE_ACTIVE)
    {
      g_autoptr (GError) error
          = g_error_new (TL_ERROR, TL_ERROR_REVOKED, "this device is %s", tl_device_state_to_string (node->state));
      tl_rpc_call_finish (call, error);
    }
  else if (tl_rpc_call_get_data (call) != NULL)
    finish_invalid (call, "a stream is resumed once");
  else if (node == NULL || node->registration == NULL)
    {
      g_autoptr (GError) error
          = g_error_new_literal (TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "register the node first");
      tl_rpc_call_finish (call, error);
    }
  else if (resume->cursor != NULL && !cursor_is_valid (resume->cursor))
    finish_invalid (call, "the cursor is malformed");
  else if (!tl_ulid_is_valid (resume->instance_id))
    finish_invalid (call, "the instance_id is not a ULID");
  else
    {
      tl_rpc_call_set_data (call, node, NULL);
      tl_node_registry_attach (gateway->registry, node,
                               tl_node_stream_grpc_new (call, resume->instance_id, resume->takes_events),
                               resume->cursor != NULL ? resume->cursor->seq : 0,
                               resume->cursor != NULL ? resume->cursor->event_id : "");
    }
}

static void
on_node_event (TlGateway *gateway, TlRpcCall *call, const Twinlatch__V1__StreamEventsRequest__NodeEvent *event)
{
  TlNode *node = stream_node (gateway, call);

  if (strlen (event->type) > TL_NODE_MAX_TEXT || strlen (event->data) > TL_NODE_MAX_EVENT_DATA)
    finish_invalid (call, "the event is too large");
  else
    {
      tl_node_registry_heard (gateway->registry, node, event->type);
      tl_dispatcher_node_event (gateway->dispatcher, node->device_id, event->type, event->data);
    }
}

/* ---- results ---- */

typedef struct
{
  TlRpcCall *call; /* the stream, or the call itself */
  TlGateway *gateway;
  char *request_id; /* NULL: a call of its own */
} ResultWait;

static void
on_result_taken (TlResultVerdict verdict, const GError *error, gpointer user_data)
{
  ResultWait *wait = user_data;
  Twinlatch__V1__SubmitCapabilityResultResponse message = TWINLATCH__V1__SUBMIT_CAPABILITY_RESULT_RESPONSE__INIT;
  TlNode *node = wait->request_id != NULL ? stream_node (wait->gateway, wait->call) : NULL;

  message.duplicate = verdict == TL_RESULT_DUPLICATE;
  message.unknown = verdict == TL_RESULT_UNKNOWN;
  if (node != NULL) /* else the stream is gone, and the device hands it in again */
    tl_node_stream_grpc_answer (node->stream, wait->request_id, verdict, error);
  else if (wait->request_id == NULL && error != NULL)
    tl_rpc_call_finish (wait->call, error);
  else if (wait->request_id == NULL)
    tl_rpc_call_reply (wait->call, &message.base);
  tl_rpc_call_unref (wait->call);
  g_free (wait->request_id);
  g_free (wait);
}

static void
take_result (TlGateway *gateway, TlRpcCall *call, const Twinlatch__V1__SubmitCapabilityResultRequest *result,
             gboolean by_stream)
{
  ResultWait *wait = g_new0 (ResultWait, 1);

  wait->call = tl_rpc_call_ref (call);
  wait->gateway = gateway;
  wait->request_id = by_stream ? g_strdup (result->request_id) : NULL;
  tl_dispatcher_result (gateway->dispatcher, tl_rpc_call_peer (call)->admission.device_id, result, on_result_taken,
                        wait);
}

static void
on_results (TlGateway *gateway, TlRpcCall *call, const Twinlatch__V1__StreamEventsRequest__Results *results)
{
  if (results->n_results > TL_NODE_MAX_RESULTS)
    {
      finish_invalid (call, "too many results at once");
      return;
    }
  for (gsize i = 0; i < results->n_results; i++)
    {
      if (!check_device (gateway, call, results->results[i]->device_id))
        return;
      take_result (gateway, call, results->results[i], TRUE);
    }
}

/* ---- the stream's messages ---- */

static void
on_stream_message (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__StreamEventsRequest *request = (const Twinlatch__V1__StreamEventsRequest *)message;
  TlNode *node = stream_node (gateway, call);

  if (request->kind_case == TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_RESUME)
    on_resume (gateway, call, request->resume);
  else if (node == NULL)
    finish_invalid (call, "the first message of the stream has to be resume");
  else if (request->kind_case == TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_ACK
           && cursor_is_valid (request->ack->cursor))
    {
      tl_dispatcher_acknowledging (gateway->dispatcher, node->device_id, request->ack->cursor->seq);
      tl_event_stream_acknowledge (node->events, request->ack->cursor->seq, request->ack->cursor->event_id, NULL, NULL);
    }
  else if (request->kind_case == TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_NODE_EVENT)
    on_node_event (gateway, call, request->node_event);
  else if (request->kind_case == TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_RESULTS)
    on_results (gateway, call, request->results);
  else
    finish_invalid (call, "the message is neither an acknowledgement nor an event");
}

static void
on_stream_end (TlRpcCall *call, gpointer user_data)
{
  TlGateway *gateway = user_data;
  TlNode *node = stream_node (gateway, call);

  if (node != NULL)
    tl_node_registry_detach (gateway->registry, node);
}

static void
on_stream_half_close (TlRpcCall *call, gpointer user_data)
{
  on_stream_end (call, user_data);
  tl_rpc_call_finish (call, NULL);
}

/* ---- the rest ---- */

static void
on_result (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__SubmitCapabilityResultRequest *request
      = (const Twinlatch__V1__SubmitCapabilityResultRequest *)message;

  if (check_device (gateway, call, request->device_id))
    take_result (gateway, call, request, FALSE);
}

typedef struct
{
  TlRpcCall *call;
  guint64 seq;
} Fetch;

static void
on_fetched (const GError *error, gpointer result, gpointer user_data)
{
  Fetch *fetch = user_data;
  const TlEventRange *range = result;
  const TlEventRecord *record = error == NULL && range->events->len > 0 ? g_ptr_array_index (range->events, 0) : NULL;
  Twinlatch__V1__FetchEventResponse answer = TWINLATCH__V1__FETCH_EVENT_RESPONSE__INIT;
  Twinlatch__V1__Event event;

  if (error != NULL)
    tl_rpc_call_finish (fetch->call, error);
  else if (record == NULL || record->seq != fetch->seq)
    {
      g_autoptr (GError) missing
          = g_error_new (TL_ERROR, TL_ERROR_NOT_FOUND, "event %" G_GUINT64_FORMAT " is not in the log", fetch->seq);
      tl_rpc_call_finish (fetch->call, missing);
    }
  else
    {
      tl_wire_event (&event, record);
      answer.event = &event;
      tl_rpc_call_reply (fetch->call, &answer.base);
    }
  tl_rpc_call_unref (fetch->call);
  g_free (fetch);
}

static void
on_fetch (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__FetchEventRequest *request = (const Twinlatch__V1__FetchEventRequest *)message;
  Fetch *fetch;

  if (!check_device (gateway, call, request->device_id))
    return;
  if (request->cursor == NULL || request->cursor->seq == 0 || request->cursor->seq > G_MAXINT64)
    {
      finish_invalid (call, "which event? its seq is missing");
      return;
    }
  fetch = g_new0 (Fetch, 1);
  fetch->call = tl_rpc_call_ref (call);
  fetch->seq = request->cursor->seq;
  tl_store_read_event (gateway->store, request->device_id, fetch->seq, on_fetched, fetch);
}

static void
on_info (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  TlTrustBundle *bundle = tl_gateway_identity_bundle (gateway->identity);
  guint n = tl_trust_bundle_size (bundle);
  g_autofree Twinlatch__V1__CaCertificate *cas = g_new0 (Twinlatch__V1__CaCertificate, n);
  g_autofree Twinlatch__V1__CaCertificate **pointers = g_new0 (Twinlatch__V1__CaCertificate *, n);
  g_autoptr (GPtrArray) owned = tl_gateway_fill_cas (gateway, cas);
  Twinlatch__V1__GetGatewayInfoResponse answer = TWINLATCH__V1__GET_GATEWAY_INFO_RESPONSE__INIT;

  tl_gateway_certificate_seen (gateway, tl_rpc_call_peer (call)->fingerprint);
  for (guint i = 0; i < n; i++)
    pointers[i] = &cas[i];
  answer.gateway_id = (char *)tl_gateway_identity_id (gateway->identity);
  answer.gateway_name = gateway->config->name;
  answer.gateway_version = (char *)TL_VERSION;
  answer.server_time_unix_ms = tl_clock_wall_ms (gateway->clock);
  answer.n_ca_bundle = n;
  answer.ca_bundle = pointers;
  answer.n_addresses = g_strv_length (gateway->advertised);
  answer.addresses = gateway->advertised;
  answer.certificate_not_after_unix_ms = tl_rpc_call_peer (call)->admission.not_after_ms;
  tl_rpc_call_reply (call, &answer.base);
}

static void
on_unpaired (const TlGatewayChange *change, const GError *error, gpointer user_data)
{
  TlRpcCall *call = user_data;
  Twinlatch__V1__UnpairResponse answer = TWINLATCH__V1__UNPAIR_RESPONSE__INIT;

  if (error != NULL)
    tl_rpc_call_finish (call, error);
  else
    tl_rpc_call_reply (call, &answer.base);
  tl_rpc_call_unref (call);
}

static void
on_unpair (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__UnpairRequest *request = (const Twinlatch__V1__UnpairRequest *)message;

  TlGatewayChangeRequest change = { .kind = TL_ADMISSION_REVOKE, .device_id = request->device_id };

  change.actor = tl_rpc_call_peer (call)->actor;
  change.reason = "given up by the device";
  if (check_device (gateway, call, request->device_id))
    tl_gateway_change_device (gateway, &change, on_unpaired, tl_rpc_call_ref (call));
}

#define ROW(name, kind, snake, max, message_func, half_close, cancelled)                                               \
  {                                                                                                                    \
    NODE_PATH name, kind, TL_RPC_AUTH_DEVICE, &twinlatch__v1__##snake##_request__descriptor,                           \
        &twinlatch__v1__##snake##_response__descriptor, max, message_func, half_close, cancelled                       \
  }

static const TlRpcMethod methods[] = {
  ROW ("RegisterNode", TL_RPC_UNARY, register_node, MAX_REGISTRATION, on_register, NULL, NULL),
  ROW ("StreamEvents", TL_RPC_BIDI, stream_events, MAX_STREAM_MESSAGE, on_stream_message, on_stream_half_close,
       on_stream_end),
  ROW ("SubmitCapabilityResult", TL_RPC_UNARY, submit_capability_result, MAX_RESULT, on_result, NULL, NULL),
  ROW ("FetchEvent", TL_RPC_UNARY, fetch_event, MAX_SMALL, on_fetch, NULL, NULL),
  ROW ("GetGatewayInfo", TL_RPC_UNARY, get_gateway_info, MAX_SMALL, on_info, NULL, NULL),
  ROW ("Unpair", TL_RPC_UNARY, unpair, MAX_SMALL, on_unpair, NULL, NULL),
};

void
tl_node_service_register (TlGateway *gateway, TlRpcServer *server)
{
  tl_rpc_server_add_methods (server, methods, G_N_ELEMENTS (methods), gateway);
}
