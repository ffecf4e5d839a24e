/* SPDX-License-Identifier: Apache-2.0 */
#include "tl-fake-gateway.h"

#include <string.h>

#include "base/tl-error.h"

#define HOUR_MS          (G_GINT64_CONSTANT (3600) * 1000)
#define GRPC_UNAVAILABLE 14
#define MAX_REQUEST      (5u * 1024u * 1024u)

static void
on_register (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlFakeGateway *gateway = user_data;
  const Twinlatch__V1__RegisterNodeRequest *request = (const Twinlatch__V1__RegisterNodeRequest *)message;
  Twinlatch__V1__RegisterNodeResponse answer = TWINLATCH__V1__REGISTER_NODE_RESPONSE__INIT;
  char *addresses[] = { (char *)"192.0.2.77:7444" };

  gateway->n_registered++;
  g_ptr_array_set_size (gateway->announced, 0);
  for (gsize i = 0; i < request->n_capabilities; i++)
    g_ptr_array_add (gateway->announced,
                     g_strdup_printf ("%s %d %d", request->capabilities[i]->name,
                                      (int)request->capabilities[i]->consent, request->capabilities[i]->available));
  answer.version = 1;
  answer.gateway_id = (char *)TL_FIXTURE_GATEWAY;
  answer.gateway_name = (char *)"Fake";
  answer.n_addresses = 1;
  answer.addresses = addresses;
  tl_rpc_call_reply (call, &answer.base);
}

static void
send_position (TlRpcCall *call, TlFakeGateway *gateway)
{
  Twinlatch__V1__StreamEventsResponse message = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__StreamEventsResponse__Reset reset = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__RESET__INIT;
  Twinlatch__V1__StreamEventsResponse__Gap gap = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__GAP__INIT;
  Twinlatch__V1__StreamEventsResponse__Ready ready = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__READY__INIT;
  Twinlatch__V1__Cursor oldest = TWINLATCH__V1__CURSOR__INIT;

  if (gateway->reset_to != 0)
    {
      reset.latest_seq = gateway->reset_to;
      message.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_RESET;
      message.reset = &reset;
      tl_rpc_call_send (call, &message.base);
    }
  if (gateway->gap_to != 0)
    {
      oldest.seq = gateway->gap_to;
      gap.oldest = &oldest;
      message.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_GAP;
      message.gap = &gap;
      tl_rpc_call_send (call, &message.base);
    }
  ready.takes_results = gateway->takes_results;
  message.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_READY;
  message.ready = &ready;
  tl_rpc_call_send (call, &message.base);
}

static void
keep_result (TlFakeGateway *gateway, const Twinlatch__V1__SubmitCapabilityResultRequest *request)
{
  gsize size = twinlatch__v1__submit_capability_result_request__get_packed_size (request);
  g_autofree guint8 *packed = g_malloc (size);

  twinlatch__v1__submit_capability_result_request__pack (request, packed);
  g_ptr_array_add (gateway->results, twinlatch__v1__submit_capability_result_request__unpack (NULL, size, packed));
  gateway->n_results++;
}

static void
take_results (TlRpcCall *call, TlFakeGateway *gateway, const Twinlatch__V1__StreamEventsRequest__Results *results)
{
  gateway->n_messages++;
  for (gsize i = 0; i < results->n_results; i++)
    {
      Twinlatch__V1__StreamEventsResponse message = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
      Twinlatch__V1__StreamEventsResponse__Answers answers = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__ANSWERS__INIT;
      Twinlatch__V1__StreamEventsResponse__Answer answer = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__ANSWER__INIT;
      Twinlatch__V1__StreamEventsResponse__Answer *only = &answer;

      answer.request_id = results->results[i]->request_id;
      answer.unknown = gateway->unknown;
      if (gateway->refuse_results > 0)
        {
          gateway->refuse_results--;
          answer.status = GRPC_UNAVAILABLE;
          answer.error = (char *)"not now";
        }
      else
        keep_result (gateway, results->results[i]);
      answers.n_answers = 1;
      answers.answers = &only;
      message.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_ANSWERS;
      message.answers = &answers;
      tl_rpc_call_send (call, &message.base);
    }
}

static void
on_stream (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlFakeGateway *gateway = user_data;
  const Twinlatch__V1__StreamEventsRequest *request = (const Twinlatch__V1__StreamEventsRequest *)message;

  switch (request->kind_case)
    {
    case TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_RESUME:
      g_clear_pointer (&gateway->stream, tl_rpc_call_unref);
      gateway->stream = tl_rpc_call_ref (call);
      gateway->resume_seq = request->resume->cursor->seq;
      g_free (gateway->resume_id);
      gateway->resume_id = g_strdup (request->resume->cursor->event_id);
      g_free (gateway->instance_id);
      gateway->instance_id = g_strdup (request->resume->instance_id);
      gateway->takes_events = request->resume->takes_events;
      send_position (call, gateway);
      gateway->n_streams++;
      break;
    case TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_ACK:
      g_assert_cmpuint (request->ack->cursor->seq, >=, gateway->ack_seq);
      gateway->ack_seq = request->ack->cursor->seq;
      g_free (gateway->ack_id);
      gateway->ack_id = g_strdup (request->ack->cursor->event_id);
      gateway->n_acks++;
      break;
    case TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_NODE_EVENT:
      g_ptr_array_add (gateway->node_events,
                       g_strdup_printf ("%s %s", request->node_event->type, request->node_event->data));
      break;
    case TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_RESULTS:
      g_assert_true (gateway->takes_results);
      take_results (call, gateway, request->results);
      break;
    default:
      g_assert_not_reached ();
    }
}

static void
on_stream_half_close (TlRpcCall *call, gpointer user_data)
{
  TlFakeGateway *gateway = user_data;

  gateway->n_ended++;
  tl_rpc_call_finish (call, NULL);
}

static void
on_result (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlFakeGateway *gateway = user_data;
  const Twinlatch__V1__SubmitCapabilityResultRequest *request = (gconstpointer)message;
  Twinlatch__V1__SubmitCapabilityResultResponse answer = TWINLATCH__V1__SUBMIT_CAPABILITY_RESULT_RESPONSE__INIT;

  if (gateway->refuse_results > 0)
    {
      g_autoptr (GError) error = g_error_new (TL_ERROR, TL_ERROR_UNAVAILABLE, "not now");

      gateway->refuse_results--;
      tl_rpc_call_finish (call, error);
      return;
    }
  keep_result (gateway, request);
  answer.unknown = gateway->unknown;
  tl_rpc_call_reply (call, &answer.base);
}

static void
on_fetch (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlFakeGateway *gateway = user_data;
  const Twinlatch__V1__FetchEventRequest *request = (gconstpointer)message;
  Twinlatch__V1__FetchEventResponse answer = TWINLATCH__V1__FETCH_EVENT_RESPONSE__INIT;

  g_assert_cmpuint (request->cursor->seq, ==, gateway->stored->seq);
  g_assert_cmpstr (request->cursor->event_id, ==, gateway->stored->id);
  gateway->n_fetched++;
  answer.event = gateway->stored;
  tl_rpc_call_reply (call, &answer.base);
}

static const TlRpcMethod node_methods[] = {
  { "/twinlatch.v1.NodeService/RegisterNode", TL_RPC_UNARY, TL_RPC_AUTH_DEVICE,
    &twinlatch__v1__register_node_request__descriptor, &twinlatch__v1__register_node_response__descriptor, MAX_REQUEST,
    .on_message = on_register },
  { "/twinlatch.v1.NodeService/StreamEvents", TL_RPC_BIDI, TL_RPC_AUTH_DEVICE,
    &twinlatch__v1__stream_events_request__descriptor, &twinlatch__v1__stream_events_response__descriptor, MAX_REQUEST,
    .on_message = on_stream, .on_half_close = on_stream_half_close },
  { "/twinlatch.v1.NodeService/SubmitCapabilityResult", TL_RPC_UNARY, TL_RPC_AUTH_DEVICE,
    &twinlatch__v1__submit_capability_result_request__descriptor,
    &twinlatch__v1__submit_capability_result_response__descriptor, MAX_REQUEST, .on_message = on_result },
  { "/twinlatch.v1.NodeService/FetchEvent", TL_RPC_UNARY, TL_RPC_AUTH_DEVICE,
    &twinlatch__v1__fetch_event_request__descriptor, &twinlatch__v1__fetch_event_response__descriptor, MAX_REQUEST,
    .on_message = on_fetch },
};

static void
make_identity (TlFakeGateway *gateway)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EVP_PKEY) key = tl_p256_generate (&error);
  g_autoptr (TlSecret) key_pem = tl_p256_to_pem (key, &error);
  g_autoptr (X509) leaf
      = tl_certificate_authority_issue_server (gateway->ca, key, NULL, g_get_real_time () / 1000,
                                               TL_SERVER_LEAF_LIFETIME_MS, tl_random_system (), &error);
  g_autofree char *leaf_pem = NULL;
  g_autofree char *ca_pem = tl_certificate_to_pem (tl_certificate_authority_certificate (gateway->ca));

  g_assert_no_error (error);
  leaf_pem = tl_certificate_to_pem (leaf);
  gateway->chain_pem = g_strconcat (leaf_pem, ca_pem, NULL);
  gateway->leaf = tl_certificate_to_der (leaf);
  gateway->identity = tl_rpc_identity_new (gateway->chain_pem, key_pem, ca_pem, &error);
  g_assert_no_error (error);
  gateway->key_pem = g_steal_pointer (&key_pem);
}

static void
result_free (gpointer data)
{
  twinlatch__v1__submit_capability_result_request__free_unpacked (data, NULL);
}

static void
make_server (TlFakeGateway *gateway)
{
  TlRpcServerOptions options = { .admitted = gateway->admitted };

  gateway->health = tl_rpc_health_new ();
  gateway->server = tl_rpc_server_new (gateway->loop, &options);
  tl_rpc_health_register (gateway->health, gateway->server);
  tl_rpc_server_add_methods (gateway->server, node_methods, G_N_ELEMENTS (node_methods), gateway);
}

TlFakeGateway *
tl_fake_gateway_new (void)
{
  TlFakeGateway *gateway = g_new0 (TlFakeGateway, 1);

  gateway->loop = tl_rpc_loop_new (NULL);
  gateway->ca = tl_fixture_ca (TL_FIXTURE_GATEWAY);
  gateway->admitted = tl_admitted_set_new ();
  gateway->announced = g_ptr_array_new_with_free_func (g_free);
  gateway->node_events = g_ptr_array_new_with_free_func (g_free);
  gateway->results = g_ptr_array_new_with_free_func (result_free);
  make_identity (gateway);
  make_server (gateway);
  return gateway;
}

void
tl_fake_gateway_add_methods (TlFakeGateway *gateway, const TlRpcMethod *methods, guint n, gpointer user_data)
{
  tl_rpc_server_add_methods (gateway->server, methods, n, user_data);
}

void
tl_fake_gateway_start (TlFakeGateway *gateway)
{
  g_autofree char *listen = g_strdup_printf ("127.0.0.1:%u", gateway->port);
  g_autoptr (GError) error = NULL;

  if (gateway->server == NULL)
    make_server (gateway);
  tl_rpc_server_listen_tls (gateway->server, listen, gateway->identity, &gateway->port, &error);
  g_assert_no_error (error);
  tl_rpc_server_start (gateway->server, &error);
  g_assert_no_error (error);
  g_free (gateway->address);
  gateway->address = g_strdup_printf ("127.0.0.1:%u", gateway->port);
}

static void
on_shut_down (gpointer data, gpointer user_data)
{
  (void)data;
  *(gboolean *)user_data = TRUE;
}

void
tl_fake_gateway_stop (TlFakeGateway *gateway)
{
  gboolean done = FALSE;

  if (gateway->server == NULL)
    return;
  tl_rpc_server_shutdown (gateway->server, 0, on_shut_down, &done);
  tl_fixture_wait (&done, "shutdown of the fake gateway");
  g_clear_pointer (&gateway->stream, tl_rpc_call_unref);
  g_clear_pointer (&gateway->server, tl_rpc_server_unref);
  g_clear_pointer (&gateway->health, tl_rpc_health_free);
}

void
tl_fake_gateway_free (TlFakeGateway *gateway)
{
  tl_fake_gateway_stop (gateway);
  tl_rpc_identity_unref (gateway->identity);
  tl_admitted_set_unref (gateway->admitted);
  tl_certificate_authority_unref (gateway->ca);
  tl_rpc_loop_unref (gateway->loop);
  g_bytes_unref (gateway->leaf);
  tl_secret_unref (gateway->key_pem);
  g_free (gateway->chain_pem);
  g_ptr_array_unref (gateway->announced);
  g_ptr_array_unref (gateway->node_events);
  g_ptr_array_unref (gateway->results);
  g_free (gateway->address);
  g_free (gateway->resume_id);
  g_free (gateway->instance_id);
  g_free (gateway->ack_id);
  g_free (gateway);
}

void
tl_fake_gateway_admit (TlFakeGateway *gateway, TlDeviceIdentity *identity)
{
  g_autofree char *fingerprint = tl_certificate_fingerprint (tl_device_identity_certificate (identity));
  TlAdmission admission = { .role = TL_ROLE_NODE, .not_after_ms = G_MAXINT64, .ca_generation = 1 };

  g_strlcpy (admission.device_id, tl_device_identity_device_id (identity), sizeof admission.device_id);
  tl_admitted_set_add (gateway->admitted, fingerprint, &admission);
}

void
tl_fake_gateway_send_event (TlFakeGateway *gateway, guint64 seq, const char *type, const char *data, gboolean oversize)
{
  Twinlatch__V1__StreamEventsResponse message = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__Event event = TWINLATCH__V1__EVENT__INIT;
  g_autofree char *id = g_strdup_printf ("event-%" G_GUINT64_FORMAT, seq);

  event.seq = seq;
  event.id = id;
  event.time_unix_ms = g_get_real_time () / 1000;
  event.type = (char *)type;
  event.data = (char *)data;
  event.oversize = oversize;
  message.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_EVENT;
  message.event = &event;
  g_assert_true (tl_rpc_call_send (gateway->stream, &message.base));
}

char *
tl_fake_gateway_dispatch_data (const char *request_id, const char *capability, const char *input)
{
  tl_json_auto object
      = json_pack ("{s:s, s:s, s:s, s:i, s:i, s:I, s:s}", "request_id", request_id, "capability", capability, "input",
                   input, "max_payload_bytes", 65536, "timeout_ms", 30000, "expires_at_unix_ms",
                   (json_int_t)(g_get_real_time () / 1000 + HOUR_MS), "requested_by", "uid:0");

  return tl_json_to_string (object);
}

void
tl_fake_gateway_dispatch (TlFakeGateway *gateway, guint64 seq, const char *request_id, const char *capability,
                          const char *input)
{
  g_autofree char *data = tl_fake_gateway_dispatch_data (request_id, capability, input);

  tl_fake_gateway_send_event (gateway, seq, "capability.dispatch", data, FALSE);
}

void
tl_fake_gateway_dispatch_many (TlFakeGateway *gateway, guint64 seq, char *const *request_ids, guint n,
                               const char *capability, const char *input)
{
  Twinlatch__V1__StreamEventsResponse message = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__StreamEventsResponse__Events together = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__EVENTS__INIT;
  g_autofree Twinlatch__V1__Event *events = g_new (Twinlatch__V1__Event, n);
  g_autofree Twinlatch__V1__Event **pointers = g_new (Twinlatch__V1__Event *, n);

  g_assert_true (gateway->takes_events);
  for (guint i = 0; i < n; i++)
    {
      twinlatch__v1__event__init (&events[i]);
      events[i].seq = seq + i;
      events[i].id = request_ids[i];
      events[i].type = (char *)"capability.dispatch";
      events[i].data = tl_fake_gateway_dispatch_data (request_ids[i], capability, input);
      pointers[i] = &events[i];
    }
  together.n_events = n;
  together.events = pointers;
  message.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_EVENTS;
  message.events = &together;
  g_assert_true (tl_rpc_call_send (gateway->stream, &message.base));
  for (guint i = 0; i < n; i++)
    g_free (events[i].data);
}

void
tl_fake_gateway_end_stream (TlFakeGateway *gateway, int code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, code, message);

  tl_rpc_call_finish (gateway->stream, error);
}
