/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-gateway-link-grpc-private.h"

#include <string.h>

#include "agent/node/tl-node-registration.h"
#include "base/tl-error.h"
#include "base/tl-json.h"
#include "twinlatch/v1/health.pb-c.h"

#define HEALTH_CHECK       "/grpc.health.v1.Health/Check"
#define CALL_DEADLINE_MS   15000
#define PROBE_DEADLINE_MS  3000
#define CONNECT_TIMEOUT_MS 5000
#define READY_TIMEOUT_MS   15000 /* between opening the stream and Ready */
#define CLOSE_TIMEOUT_MS   2000  /* for the gateway to end a stream that we half-closed */

static void handle_event (TlGrpcLink *link, const Twinlatch__V1__Event *event);

TlGrpcLink *
tl_grpc_link_ref (TlGrpcLink *link)
{
  link->refs++;
  return link;
}

void
tl_grpc_link_unref (TlGrpcLink *link)
{
  if (--link->refs > 0)
    return;
  g_clear_error (&link->failure);
  g_clear_object (&link->cancellable);
  g_clear_pointer (&link->client, tl_rpc_client_unref);
  g_clear_pointer (&link->probe, tl_rpc_client_unref);
  if (link->registration != NULL)
    protobuf_c_message_free_unpacked (&link->registration->base, NULL);
  g_queue_clear_full (&link->waiting, (GDestroyNotify)g_bytes_unref);
  g_main_context_unref (link->context);
  g_strfreev (link->addresses);
  g_free (link->instance_id);
  g_free (link->peer);
  g_free (link);
}

static void
clear_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_source_unref (*source);
  *source = NULL;
}

static void
set_timer (TlGrpcLink *link, guint ms, GSourceFunc func)
{
  clear_source (&link->timer);
  link->timer = g_timeout_source_new (ms);
  g_source_set_callback (link->timer, func, link, NULL);
  g_source_attach (link->timer, link->context);
}

/* Ends everything under way; nothing is said to the owner. */
static void
shut (TlGrpcLink *link)
{
  link->state = LINK_CLOSED;
  clear_source (&link->timer);
  clear_source (&link->failure_source);
  g_cancellable_cancel (link->cancellable);
  if (link->stream != NULL)
    {
      tl_rpc_stream_cancel (link->stream);
      g_clear_pointer (&link->stream, tl_rpc_stream_unref);
    }
}

/* The owner may free the link in here. */
static void
fail (TlGrpcLink *link, const GError *error)
{
  g_autoptr (GError) copy = g_error_copy (error);

  if (link->state == LINK_CLOSED)
    return;
  shut (link);
  link->base.handlers->closed (&link->base, copy, link->base.user_data);
}

static void
fail_protocol (TlGrpcLink *link, const char *what)
{
  g_autoptr (GError) error = g_error_new (TL_ERROR, TL_ERROR_PROTOCOL, "the gateway broke the protocol: %s", what);

  fail (link, error);
}

static gboolean
on_failure_source (gpointer data)
{
  g_autoptr (TlGrpcLink) link = tl_grpc_link_ref (data);

  fail (link, link->failure);
  return G_SOURCE_REMOVE;
}

/* For failures found inside a call of the owner's: callbacks come from the main context only. */
static void
fail_later (TlGrpcLink *link, GError *error)
{
  if (link->state == LINK_CLOSED || link->failure_source != NULL)
    {
      g_error_free (error);
      return;
    }
  g_clear_error (&link->failure);
  link->failure = error;
  link->failure_source = g_idle_source_new ();
  g_source_set_callback (link->failure_source, on_failure_source, link, NULL);
  g_source_attach (link->failure_source, link->context);
}

/* ---- stream ---------------------------------------------------------------------------------------------------- */

static void
drain_waiting (TlGrpcLink *link)
{
  while (!link->fetching && (link->state == LINK_OPENING || link->state == LINK_OPEN))
    {
      g_autoptr (GBytes) packed = g_queue_pop_head (&link->waiting);
      Twinlatch__V1__Event *event;

      if (packed == NULL)
        return;
      event = twinlatch__v1__event__unpack (NULL, g_bytes_get_size (packed), g_bytes_get_data (packed, NULL));
      if (event == NULL) /* with unknown fields protobuf-c may write what it cannot read */
        continue;
      handle_event (link, event);
      twinlatch__v1__event__free_unpacked (event, NULL);
    }
}

static void
on_fetched (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (TlGrpcLink) link = user_data;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *message;
  const Twinlatch__V1__Event *event;

  (void)source;
  message = tl_rpc_client_call_finish (link->client, result, &error);
  link->fetching = FALSE;
  if (link->state == LINK_CLOSED)
    {
      if (message != NULL)
        protobuf_c_message_free_unpacked (message, NULL);
      return;
    }
  if (message == NULL)
    {
      fail (link, error);
      return;
    }
  event = ((Twinlatch__V1__FetchEventResponse *)message)->event;
  if (event == NULL || event->oversize)
    fail_protocol (link, "the event that was fetched is empty");
  else
    handle_event (link, event);
  protobuf_c_message_free_unpacked (message, NULL);
  drain_waiting (link);
}

static void
fetch_event (TlGrpcLink *link, const Twinlatch__V1__Event *event)
{
  Twinlatch__V1__FetchEventRequest request = TWINLATCH__V1__FETCH_EVENT_REQUEST__INIT;
  Twinlatch__V1__Cursor cursor = TWINLATCH__V1__CURSOR__INIT;

  cursor.seq = event->seq;
  cursor.event_id = event->id;
  request.device_id = (char *)tl_device_identity_device_id (link->with.rpc.identity);
  request.cursor = &cursor;
  link->fetching = TRUE;
  tl_rpc_client_call_async (link->client, TL_NODE_SERVICE "FetchEvent", &request.base,
                            &twinlatch__v1__fetch_event_response__descriptor, CALL_DEADLINE_MS, link->cancellable,
                            on_fetched, tl_grpc_link_ref (link));
}

static void
handle_event (TlGrpcLink *link, const Twinlatch__V1__Event *event)
{
  TlLinkEvent copy = {
    .seq = event->seq, .id = event->id, .time_ms = event->time_unix_ms, .type = event->type, .data = event->data
  };

  if (event->seq == 0)
    fail_protocol (link, "an event without a number");
  else if (event->oversize)
    fetch_event (link, event);
  else
    link->base.handlers->event (&link->base, &copy, link->base.user_data);
}

/* Events keep their order behind one that has to be fetched. */
static void
queue_event (TlGrpcLink *link, const Twinlatch__V1__Event *event)
{
  gsize size = twinlatch__v1__event__get_packed_size (event);
  guint8 *data = g_malloc (size);

  twinlatch__v1__event__pack (event, data);
  g_queue_push_tail (&link->waiting, g_bytes_new_take (data, size));
}

static gboolean
is_streaming (const TlGrpcLink *link)
{
  return link->state == LINK_OPENING || link->state == LINK_OPEN;
}

static void
take_event (TlGrpcLink *link, const Twinlatch__V1__Event *event)
{
  if (link->fetching)
    queue_event (link, event);
  else
    handle_event (link, event);
}

static void
handle_ready (TlGrpcLink *link, const Twinlatch__V1__StreamEventsResponse__Ready *ready)
{
  g_autoptr (GPtrArray) addresses = g_ptr_array_new ();
  TlLinkRegistration registration = { .transport = "grpc" };

  if (link->state != LINK_OPENING)
    {
      fail_protocol (link, "a second Ready");
      return;
    }
  if (link->stream != NULL)
    link->peer = tl_rpc_stream_peer (link->stream);
  tl_node_registration_read (link->registration, addresses, &registration);
  registration.peer = link->peer;
  clear_source (&link->timer);
  link->takes_results = ready->takes_results;
  link->state = LINK_OPEN;
  link->base.handlers->opened (&link->base, &registration, link->base.user_data);
}

static void
on_stream_message (TlRpcStream *stream, const ProtobufCMessage *message, gpointer user_data)
{
  g_autoptr (TlGrpcLink) link = tl_grpc_link_ref (user_data);
  const Twinlatch__V1__StreamEventsResponse *response = (const Twinlatch__V1__StreamEventsResponse *)message;

  (void)stream;
  if (!is_streaming (link))
    return;
  switch (response->kind_case)
    {
    case TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_EVENT:
      take_event (link, response->event);
      break;
    case TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_GAP:
      if (response->gap->oldest == NULL)
        fail_protocol (link, "a gap without a position");
      else
        link->base.handlers->gap (&link->base, response->gap->oldest->seq, link->base.user_data);
      break;
    case TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_RESET:
      link->base.handlers->reset (&link->base, response->reset->latest_seq, link->base.user_data);
      break;
    case TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_READY:
      handle_ready (link, response->ready);
      break;
    case TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_EVENTS:
      for (gsize i = 0; i < response->events->n_events && is_streaming (link); i++)
        take_event (link, response->events->events[i]);
      break;
    case TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_ANSWERS:
      for (gsize i = 0; i < response->answers->n_answers && is_streaming (link); i++)
        tl_grpc_link_handle_answer (link, response->answers->answers[i]);
      break;
    case TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND__NOT_SET:
    default:
      break; /* of a later version */
    }
}

static void
on_stream_closed (TlRpcStream *stream, const GError *error, gpointer user_data)
{
  g_autoptr (TlGrpcLink) link = user_data; /* the stream's reference */
  g_autoptr (GError) copy = NULL;

  (void)stream;
  g_clear_pointer (&link->stream, tl_rpc_stream_unref);
  if (link->state == LINK_CLOSING)
    g_set_error (&copy, TL_ERROR, TL_ERROR_CANCELLED, "the link was closed");
  else if (error == NULL)
    g_set_error (&copy, TL_ERROR, TL_ERROR_UNAVAILABLE, "the gateway ended the event stream");
  else
    copy = g_error_copy (error);
  fail (link, copy);
}

static gboolean
on_ready_timeout (gpointer data)
{
  g_autoptr (TlGrpcLink) link = tl_grpc_link_ref (data);
  g_autoptr (GError) error = g_error_new (TL_ERROR, TL_ERROR_TIMED_OUT, "the gateway did not open the event stream");

  fail (link, error);
  return G_SOURCE_REMOVE;
}

static void
open_stream (TlGrpcLink *link)
{
  static const TlRpcStreamHandlers handlers = { .on_message = on_stream_message, .on_closed = on_stream_closed };
  Twinlatch__V1__StreamEventsRequest request = TWINLATCH__V1__STREAM_EVENTS_REQUEST__INIT;
  Twinlatch__V1__StreamEventsRequest__Resume resume = TWINLATCH__V1__STREAM_EVENTS_REQUEST__RESUME__INIT;
  Twinlatch__V1__Cursor cursor = TWINLATCH__V1__CURSOR__INIT;
  TlLinkCursor from = { .event_id = "" };

  link->base.handlers->cursor (&link->base, &from, link->base.user_data);
  cursor.seq = from.seq;
  cursor.event_id = (char *)from.event_id;
  resume.device_id = (char *)tl_device_identity_device_id (link->with.rpc.identity);
  resume.cursor = &cursor;
  resume.instance_id = link->instance_id;
  resume.takes_events = TRUE;
  request.kind_case = TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_RESUME;
  request.resume = &resume;
  link->state = LINK_OPENING;
  set_timer (link, READY_TIMEOUT_MS, on_ready_timeout);
  link->stream = tl_rpc_client_stream (link->client, TL_NODE_SERVICE "StreamEvents", NULL,
                                       &twinlatch__v1__stream_events_response__descriptor, 0, &handlers,
                                       tl_grpc_link_ref (link));
  tl_rpc_stream_send (link->stream, &request.base);
}

/* ---- registration ---------------------------------------------------------------------------------------------- */

static void
on_probed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (TlGrpcLink) link = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) refused = NULL;
  ProtobufCMessage *message = tl_rpc_client_call_finish (link->probe, result, &error);

  (void)source;
  if (message != NULL)
    protobuf_c_message_free_unpacked (message, NULL);
  if (link->state == LINK_CLOSED)
    return;
  if (message == NULL)
    {
      fail (link, link->failure);
      return;
    }
  refused = g_error_new (
      TL_ERROR, TL_ERROR_UNAUTHENTICATED,
      "the gateway is there but does not admit this device: revoked, suspended or forgotten; ask its operator");
  fail (link, refused);
}

/* The same gateway, without our certificate. */
static void
probe (TlGrpcLink *link)
{
  Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;

  link->probe
      = tl_node_rpc_client (&link->with.rpc, (const char *const *)link->addresses, FALSE, PROBE_DEADLINE_MS, NULL);
  if (link->probe == NULL)
    {
      fail (link, link->failure);
      return;
    }
  tl_rpc_client_call_async (link->probe, HEALTH_CHECK, &request.base,
                            &grpc__health__v1__health_check_response__descriptor, PROBE_DEADLINE_MS, link->cancellable,
                            on_probed, tl_grpc_link_ref (link));
}

static void
on_registered (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (TlGrpcLink) link = user_data;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *message = tl_rpc_client_call_finish (link->client, result, &error);
  const char *gateway_id;

  (void)source;
  link->registration = (Twinlatch__V1__RegisterNodeResponse *)message;
  if (link->state == LINK_CLOSED) /* the owner, and all that it lent, may be gone */
    return;
  gateway_id = tl_trust_bundle_gateway_id (tl_device_identity_bundle (link->with.rpc.identity));
  if (message == NULL && tl_error_is (error, TL_ERROR_UNAVAILABLE))
    {
      link->failure = g_steal_pointer (&error);
      probe (link);
    }
  else if (message == NULL)
    fail (link, error);
  else if (!tl_node_registration_check (link->registration, gateway_id, &error))
    fail (link, error);
  else if (link->base.handlers->reached == NULL)
    open_stream (link);
  else
    {
      link->state = LINK_REACHED;
      link->base.handlers->reached (&link->base, link->base.user_data);
    }
}

static void
grpc_proceed (TlGatewayLink *base)
{
  TlGrpcLink *link = (TlGrpcLink *)base;

  if (link->state == LINK_REACHED)
    open_stream (link);
}

static void
register_node (TlGrpcLink *link, const TlGatewayLinkOpen *what)
{
  g_autoptr (TlNodeRegistration) registration
      = tl_node_registration_new (what, tl_device_identity_device_id (link->with.rpc.identity), link->with.client_kind);

  link->state = LINK_REGISTERING;
  tl_rpc_client_call_async (link->client, TL_NODE_SERVICE "RegisterNode", tl_node_registration_message (registration),
                            &twinlatch__v1__register_node_response__descriptor, CALL_DEADLINE_MS, link->cancellable,
                            on_registered, tl_grpc_link_ref (link));
}

static void
grpc_open (TlGatewayLink *base, const TlGatewayLinkOpen *what)
{
  TlGrpcLink *link = (TlGrpcLink *)base;
  guint timeout_ms = link->with.connect_timeout_ms != 0 ? link->with.connect_timeout_ms : CONNECT_TIMEOUT_MS;
  g_autoptr (GError) error = NULL;

  g_return_if_fail (link->state == LINK_NEW);
  link->addresses = g_strdupv ((char **)what->addresses);
  link->instance_id = g_strdup (what->instance_id);
  link->client = tl_node_rpc_client (&link->with.rpc, what->addresses, TRUE, timeout_ms, &error);
  if (link->client == NULL)
    fail_later (link, g_steal_pointer (&error));
  else
    register_node (link, what);
}

/* ---- open link ------------------------------------------------------------------------------------------------- */

static void
grpc_send_event (TlGatewayLink *base, const char *type, const char *data)
{
  TlGrpcLink *link = (TlGrpcLink *)base;
  Twinlatch__V1__StreamEventsRequest request = TWINLATCH__V1__STREAM_EVENTS_REQUEST__INIT;
  Twinlatch__V1__StreamEventsRequest__NodeEvent event = TWINLATCH__V1__STREAM_EVENTS_REQUEST__NODE_EVENT__INIT;

  if (link->state != LINK_OPEN || link->stream == NULL)
    return;
  event.type = (char *)type;
  event.data = (char *)data;
  request.kind_case = TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_NODE_EVENT;
  request.node_event = &event;
  tl_rpc_stream_send (link->stream, &request.base);
}

static void
grpc_acknowledge (TlGatewayLink *base, guint64 seq, const char *event_id)
{
  TlGrpcLink *link = (TlGrpcLink *)base;
  Twinlatch__V1__StreamEventsRequest request = TWINLATCH__V1__STREAM_EVENTS_REQUEST__INIT;
  Twinlatch__V1__StreamEventsRequest__Acknowledge acknowledge = TWINLATCH__V1__STREAM_EVENTS_REQUEST__ACKNOWLEDGE__INIT;
  Twinlatch__V1__Cursor cursor = TWINLATCH__V1__CURSOR__INIT;

  if (link->state != LINK_OPEN || link->stream == NULL)
    return;
  cursor.seq = seq;
  cursor.event_id = (char *)event_id;
  acknowledge.cursor = &cursor;
  request.kind_case = TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_ACK;
  request.ack = &acknowledge;
  tl_rpc_stream_send (link->stream, &request.base);
}

static gboolean
on_close_timeout (gpointer data)
{
  g_autoptr (TlGrpcLink) link = tl_grpc_link_ref (data);
  g_autoptr (GError) error = g_error_new (TL_ERROR, TL_ERROR_CANCELLED, "the link was closed");

  fail (link, error);
  return G_SOURCE_REMOVE;
}

static void
grpc_get_info (TlGatewayLink *base, TlLinkInfo *info)
{
  TlGrpcLink *link = (TlGrpcLink *)base;

  info->transport = "grpc";
  if (link->with.reason != NULL)
    info->reason = link->with.reason;
  if (link->peer != NULL)
    g_strlcpy (info->peer, link->peer, sizeof info->peer);
}

static void
grpc_close (TlGatewayLink *base)
{
  TlGrpcLink *link = (TlGrpcLink *)base;

  if (link->state == LINK_CLOSED || link->state == LINK_CLOSING)
    return;
  if (link->stream == NULL)
    {
      fail_later (link, g_error_new (TL_ERROR, TL_ERROR_CANCELLED, "the link was closed"));
      return;
    }
  link->state = LINK_CLOSING;
  set_timer (link, CLOSE_TIMEOUT_MS, on_close_timeout);
  tl_rpc_stream_half_close (link->stream);
}

static void
grpc_free (TlGatewayLink *base)
{
  TlGrpcLink *link = (TlGrpcLink *)base;

  shut (link);
  tl_grpc_link_unref (link);
}

static const TlGatewayLinkClass grpc_class = {
  .open = grpc_open,
  .proceed = grpc_proceed,
  .send_event = grpc_send_event,
  .acknowledge = grpc_acknowledge,
  .submit = tl_grpc_link_submit,
  .get_info = grpc_get_info,
  .close = grpc_close,
  .free = grpc_free,
};

TlGatewayLink *
tl_gateway_link_new_grpc (const TlGatewayLinkHandlers *handlers, gpointer user_data, gpointer factory_data,
                          GError **error)
{
  TlGrpcLink *link = g_new0 (TlGrpcLink, 1);

  (void)error;
  link->base.klass = &grpc_class;
  link->base.handlers = handlers;
  link->base.user_data = user_data;
  link->refs = 1;
  link->with = *(const TlGrpcLinkFactory *)factory_data;
  link->context = g_main_context_ref_thread_default ();
  link->cancellable = g_cancellable_new ();
  g_queue_init (&link->waiting);
  return &link->base;
}
