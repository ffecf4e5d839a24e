/* SPDX-License-Identifier: Apache-2.0 */
#include "tl-fake-quic.h"

#include "base/tl-error.h"

static guint8
verify (const TlQuicPeerCertificate *peer, gpointer user_data)
{
  TlFakeQuic *quic = user_data;
  TlAdmission admission;

  return tl_admitted_set_lookup (quic->gateway->admitted, peer->fingerprint, g_get_real_time () / 1000, &admission)
             ? TL_QUIC_ALERT_NONE
             : TL_QUIC_ALERT_CERTIFICATE_REVOKED;
}

static void
answer (TlQuicStream *stream, const TlQuicAnswer *what, gboolean last)
{
  g_autoptr (GBytes) frame = tl_quic_answer_format (what);
  gsize length;
  gconstpointer data = g_bytes_get_data (frame, &length);

  tl_quic_stream_send (stream, data, length, last);
}

static void
start_stream (TlFakeQuic *quic, TlQuicStream *stream, const TlQuicRequest *request)
{
  quic->resume_from = request->resume_from;
  g_free (quic->instance_id);
  quic->instance_id = g_strdup (request->instance_id);
  quic->stream = stream;
  if (quic->reset_to != 0)
    answer (stream, &(TlQuicAnswer){ .kind = TL_QUIC_ANSWER_RESET, .latest_seq = quic->reset_to }, FALSE);
  answer (stream, &(TlQuicAnswer){ .kind = TL_QUIC_ANSWER_READY, .latest_seq = 0 }, FALSE);
  quic->n_streams++;
}

static void
take_result (TlFakeQuic *quic, TlQuicStream *stream, const TlQuicRequest *request)
{
  g_autoptr (GBytes) refusal = NULL;
  gsize length;
  gconstpointer data;

  if (quic->refuse)
    {
      refusal = tl_quic_answer_format_refusal (TL_QUIC_REFUSAL_RATE_LIMITED, NULL);
      data = g_bytes_get_data (refusal, &length);
      tl_quic_stream_send (stream, data, length, TRUE);
      return;
    }
  quic->n_results++;
  g_ptr_array_add (quic->outputs, g_strdup (request->result.output));
  answer (stream, &(TlQuicAnswer){ .kind = TL_QUIC_ANSWER_RESULT_ACCEPTED, .request_id = request->result.request_id },
          TRUE);
}

static void
handle (TlFakeQuic *quic, TlQuicStream *stream, const TlQuicRequest *request)
{
  switch (request->method)
    {
    case TL_QUIC_METHOD_STREAM_EVENTS:
      start_stream (quic, stream, request);
      return;
    case TL_QUIC_METHOD_HEALTH:
      quic->n_health++;
      answer (stream,
              &(TlQuicAnswer){ .kind = TL_QUIC_ANSWER_HEALTH,
                               .gateway_id = TL_FIXTURE_GATEWAY,
                               .server_time_ms = g_get_real_time () / 1000 },
              TRUE);
      return;
    case TL_QUIC_METHOD_SUBMIT_RESULT:
      take_result (quic, stream, request);
      return;
    case TL_QUIC_METHOD_ACK_EVENTS:
      quic->ack_seq = request->seq;
      quic->n_acks++;
      break;
    case TL_QUIC_METHOD_EVENT:
      g_ptr_array_add (quic->events, g_strdup_printf ("%s %s", request->type, request->data));
      quic->n_events++;
      break;
    }
  answer (stream, &(TlQuicAnswer){ .kind = TL_QUIC_ANSWER_ACK }, TRUE);
}

static void
on_frame (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
  TlFakeQuic *quic = user_data;
  TlQuicRefusal refusal;
  g_autoptr (GError) error = NULL;
  g_autoptr (TlQuicRequest) request = tl_quic_request_parse (data, length, &refusal, &error);

  g_assert_no_error (error);
  quic->n_requests++;
  if (!quic->mute || request->method == TL_QUIC_METHOD_STREAM_EVENTS)
    handle (quic, stream, request);
}

static void
on_stream_closed (TlQuicStream *stream, guint64 code, gpointer user_data)
{
  TlFakeQuic *quic = user_data;

  (void)code;
  if (quic->stream == stream)
    quic->stream = NULL;
}

static const TlQuicStreamHandlers stream_handlers = { .frame = on_frame, .closed = on_stream_closed };

static void
on_accepted (TlQuicConnection *connection, gpointer user_data)
{
  TlFakeQuic *quic = user_data;

  quic->connection = connection;
  quic->n_connections++;
}

static void
on_stream (TlQuicConnection *connection, TlQuicStream *stream, gpointer user_data)
{
  (void)connection;
  tl_quic_stream_set_handlers (stream, &stream_handlers, user_data);
}

static void
on_closed (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data)
{
  TlFakeQuic *quic = user_data;

  if (quic->connection == connection)
    quic->connection = NULL;
  quic->why = *why;
  quic->why.reason = NULL;
  quic->n_closed++;
}

static const TlQuicConnectionHandlers connection_handlers
    = { .accepted = on_accepted, .stream = on_stream, .closed = on_closed };

TlFakeQuic *
tl_fake_quic_new (TlFakeGateway *gateway)
{
  TlFakeQuic *quic = g_new0 (TlFakeQuic, 1);
  TlQuicTlsOptions tls = { .is_server = TRUE,
                           .chain_pem = gateway->chain_pem,
                           .key_pem = gateway->key_pem,
                           .verify = verify,
                           .verify_data = quic };
  TlQuicEndpointOptions options = { .handlers = &connection_handlers, .user_data = quic };
  g_autoptr (GError) error = NULL;

  quic->gateway = gateway;
  quic->events = g_ptr_array_new_with_free_func (g_free);
  quic->outputs = g_ptr_array_new_with_free_func (g_free);
  quic->tls = tl_quic_tls_new (&tls, &error);
  g_assert_no_error (error);
  options.tls = quic->tls;
  quic->endpoint = tl_quic_endpoint_new (&options, &error);
  g_assert_no_error (error);
  tl_quic_endpoint_listen (quic->endpoint, gateway->address, NULL, &error);
  g_assert_no_error (error);
  return quic;
}

void
tl_fake_quic_free (TlFakeQuic *quic)
{
  if (quic == NULL)
    return;
  tl_quic_endpoint_free (quic->endpoint);
  tl_quic_tls_unref (quic->tls);
  g_ptr_array_unref (quic->events);
  g_ptr_array_unref (quic->outputs);
  g_free (quic->instance_id);
  g_free (quic);
}

void
tl_fake_quic_send_event (TlFakeQuic *quic, guint64 seq, const char *type, const char *data, gboolean oversize)
{
  g_autofree char *id = g_strdup_printf ("01J0000000000000000000%04u", (guint)seq);

  g_assert_nonnull (quic->stream);
  answer (quic->stream,
          &(TlQuicAnswer){ .kind = TL_QUIC_ANSWER_EVENT,
                           .seq = seq,
                           .id = id,
                           .type = oversize ? "" : type,
                           .data = oversize ? "" : data,
                           .oversize = oversize },
          FALSE);
}
