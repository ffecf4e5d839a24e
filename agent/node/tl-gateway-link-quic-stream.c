/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-gateway-link-quic-private.h"

#include "base/tl-error.h"

#define READY_TIMEOUT_MS 5000 /* between asking for the stream and `ready` */

static gboolean
is_streaming (const TlQuicLink *link)
{
  return link->state == TL_QUIC_LINK_OPENING || link->state == TL_QUIC_LINK_OPEN;
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

static void
hand_event (TlQuicLink *link, const TlLinkEvent *event)
{
  link->base.handlers->event (&link->base, event, link->base.user_data);
}

static void take_event (TlQuicLink *link, const TlQuicAnswer *answer);

static void
drain_waiting (TlQuicLink *link)
{
  while (link->fetching == 0 && is_streaming (link))
    {
      g_autoptr (TlQuicAnswer) answer = g_queue_pop_head (&link->waiting);

      if (answer == NULL)
        return;
      take_event (link, answer);
    }
}

static void
on_fetched (const ProtobufCMessage *message, const GError *error, gpointer user_data)
{
  g_autoptr (TlQuicLink) link = tl_quic_link_ref (user_data);
  guint64 seq = link->fetching;
  const Twinlatch__V1__Event *event;

  link->fetching = 0;
  if (message == NULL)
    {
      tl_quic_link_fail (link, error);
      return;
    }
  event = ((const Twinlatch__V1__FetchEventResponse *)message)->event;
  if (event == NULL || event->oversize || event->seq != seq)
    {
      tl_quic_link_fail_protocol (link, "it sent another event than the one that was fetched");
      return;
    }
  if (is_streaming (link))
    hand_event (link, &(TlLinkEvent){ .seq = event->seq,
                                      .id = event->id,
                                      .time_ms = event->time_unix_ms,
                                      .type = event->type,
                                      .data = event->data });
  drain_waiting (link);
}

static void
fetch_event (TlQuicLink *link, const TlQuicAnswer *answer)
{
  Twinlatch__V1__FetchEventRequest request = TWINLATCH__V1__FETCH_EVENT_REQUEST__INIT;
  Twinlatch__V1__Cursor cursor = TWINLATCH__V1__CURSOR__INIT;

  cursor.seq = answer->seq;
  cursor.event_id = (char *)answer->id;
  request.device_id = (char *)tl_device_identity_device_id (link->with.rpc.identity);
  request.cursor = &cursor;
  link->fetching = answer->seq;
  tl_node_calls_start (link->calls, TL_NODE_SERVICE "FetchEvent", &request.base,
                       &twinlatch__v1__fetch_event_response__descriptor, TL_QUIC_LINK_RPC_MS, on_fetched, link, NULL);
}

static void
take_event (TlQuicLink *link, const TlQuicAnswer *answer)
{
  if (answer->seq == 0)
    tl_quic_link_fail_protocol (link, "an event without a number");
  else if (answer->oversize)
    fetch_event (link, answer);
  else
    hand_event (link, &(TlLinkEvent){ .seq = answer->seq,
                                      .id = answer->id,
                                      .time_ms = answer->time_ms,
                                      .type = answer->type,
                                      .data = answer->data });
}

/* ---- the stream ------------------------------------------------------------------------------------------------ */

static void
handle_ready (TlQuicLink *link, const TlQuicAnswer *answer)
{
  TlLinkRegistration registration
      = { .gateway_id = tl_trust_bundle_gateway_id (tl_device_identity_bundle (link->with.rpc.identity)),
          .gateway_name = link->gateway_name != NULL ? link->gateway_name : "",
          .gateway_version = link->gateway_version != NULL ? link->gateway_version : "",
          .addresses = (const char *const *)link->addresses,
          .latest_seq = answer->latest_seq,
          .server_time_ms = link->server_time_ms,
          .peer = link->peer,
          .transport = "quic" };

  if (link->state != TL_QUIC_LINK_OPENING)
    {
      tl_quic_link_fail_protocol (link, "a second ready");
      return;
    }
  tl_quic_link_clear_source (&link->timer);
  link->state = TL_QUIC_LINK_OPEN;
  tl_quic_link_watch (link);
  link->base.handlers->opened (&link->base, &registration, link->base.user_data);
}

/* FALSE: answer is kept. */
static gboolean
handle_answer (TlQuicLink *link, TlQuicAnswer *answer)
{
  g_autoptr (GError) error = NULL;

  switch (answer->kind)
    {
    case TL_QUIC_ANSWER_EVENT:
      if (link->fetching != 0) /* events keep their order behind one that has to be fetched */
        {
          g_queue_push_tail (&link->waiting, answer);
          return FALSE;
        }
      take_event (link, answer);
      break;
    case TL_QUIC_ANSWER_READY:
      handle_ready (link, answer);
      break;
    case TL_QUIC_ANSWER_GAP:
      link->base.handlers->gap (&link->base, answer->seq, link->base.user_data);
      break;
    case TL_QUIC_ANSWER_RESET:
      link->base.handlers->reset (&link->base, answer->latest_seq, link->base.user_data);
      break;
    case TL_QUIC_ANSWER_ERROR:
      error = tl_quic_answer_to_error (answer);
      tl_quic_link_fail_later (link, g_steal_pointer (&error));
      break;
    case TL_QUIC_ANSWER_HEALTH:
    case TL_QUIC_ANSWER_ACK:
    case TL_QUIC_ANSWER_RESULT_ACCEPTED:
      tl_quic_link_fail_protocol (link, "an answer that does not belong to the event stream");
      break;
    }
  return TRUE;
}

static void
on_frame (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
  g_autoptr (TlQuicLink) link = tl_quic_link_ref (user_data);
  gboolean unknown = FALSE;
  g_autoptr (GError) error = NULL;
  TlQuicAnswer *answer;

  (void)stream;
  if (!is_streaming (link))
    return;
  answer = tl_quic_answer_parse (data, length, &unknown, &error);
  if (answer == NULL && !unknown)
    tl_quic_link_fail (link, error);
  if (answer != NULL && handle_answer (link, answer))
    tl_quic_answer_free (answer);
}

/* Why the connection ends, if it does, says more, and comes right after this. */
static void
on_stream_closed (TlQuicStream *stream, guint64 code, gpointer user_data)
{
  TlQuicLink *link = user_data; /* the stream's reference */

  (void)stream, (void)code;
  link->stream = NULL;
  if (is_streaming (link))
    tl_quic_link_fail_later (link, g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE,
                                                        "the gateway ended the event stream"));
  tl_quic_link_unref (link);
}

static gboolean
on_ready_timeout (gpointer data)
{
  TlQuicLink *link = data;
  g_autoptr (GError) error
      = g_error_new (TL_ERROR, TL_ERROR_TIMED_OUT, "the gateway did not open the event stream over QUIC");

  tl_quic_link_fail (link, error);
  return G_SOURCE_REMOVE;
}

void
tl_quic_link_open_stream (TlQuicLink *link)
{
  static const TlQuicStreamHandlers handlers = { .frame = on_frame, .closed = on_stream_closed };
  TlQuicRequest request = { .method = TL_QUIC_METHOD_STREAM_EVENTS, .instance_id = link->instance_id };
  TlLinkCursor from = { .event_id = "" };
  g_autoptr (GBytes) frame = NULL;
  gsize length;
  gconstpointer data;

  link->state = TL_QUIC_LINK_OPENING;
  tl_quic_link_set_source (link, &link->timer, READY_TIMEOUT_MS, on_ready_timeout);
  link->base.handlers->cursor (&link->base, &from, link->base.user_data);
  request.resume_from = from.seq;
  request.resume_id = from.event_id;
  frame = tl_quic_request_format (&request, NULL);
  if (frame != NULL)
    link->stream = tl_quic_connection_open_stream (tl_quic_client_connection (link->client), &handlers, link);
  if (link->stream == NULL)
    {
      tl_quic_link_fail_later (link, g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE,
                                                          "the gateway takes no event stream over QUIC"));
      return;
    }
  tl_quic_link_ref (link);
  data = g_bytes_get_data (frame, &length);
  tl_quic_stream_send (link->stream, data, length, TRUE);
}
