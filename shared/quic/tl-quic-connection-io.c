/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "quic/tl-quic-stream-private.h"

#define MAX_VECTORS 8

/* Datagrams in, packets out, time. */

/* ---- what goes wrong ---- */

static void
end_with_alert (TlQuicConnection *connection)
{
  guint8 alert = tl_quic_tls_session_alert (connection->session);
  ngtcp2_ccerr error;

  if (alert == 0)
    alert = ngtcp2_conn_get_tls_alert (connection->conn);
  ngtcp2_ccerr_set_tls_alert (&error, alert, NULL, 0);
  tl_quic_connection_end (connection, TL_QUIC_ENDED_BY_ALERT, alert, FALSE, &error);
}

/* RFC 8446, 6.2: of the certificate that this side showed. */
static gboolean
is_about_certificate (guint64 alert)
{
  return (alert >= 42 && alert <= 49) || alert == TL_QUIC_ALERT_CERTIFICATE_REQUIRED;
}

/* A client shows its certificate when it has verified its server. What is said of it earlier was not said by the
 * server: until then anybody who sees the packets can forge one that ends the connection (RFC 9001, 9.6). */
static gboolean
is_forged (TlQuicConnection *connection, guint64 alert)
{
  return !connection->is_server && connection->state == TL_QUIC_STATE_HANDSHAKE
         && !ngtcp2_conn_get_handshake_completed (connection->conn) && is_about_certificate (alert);
}

static void
end_by_peer (TlQuicConnection *connection)
{
  const ngtcp2_ccerr *error = ngtcp2_conn_get_ccerr (connection->conn);
  TlQuicEnding ending = TL_QUIC_ENDED_BY_TRANSPORT;
  guint64 code = error->error_code;

  if (connection->was_reset)
    {
      tl_quic_connection_end (connection, TL_QUIC_ENDED_RESET, 0, TRUE, NULL);
      return;
    }
  tl_quic_connection_set_reason (connection, error->reason, error->reasonlen);
  if (error->type == NGTCP2_CCERR_TYPE_APPLICATION)
    ending = TL_QUIC_ENDED_BY_PEER;
  else if (code >= NGTCP2_CRYPTO_ERROR && code < NGTCP2_CRYPTO_ERROR + 0x100
           && !is_forged (connection, code - NGTCP2_CRYPTO_ERROR))
    {
      ending = TL_QUIC_ENDED_BY_ALERT;
      code -= NGTCP2_CRYPTO_ERROR;
    }
  tl_quic_connection_end (connection, ending, code, TRUE, NULL);
}

static void
fail (TlQuicConnection *connection, int code)
{
  ngtcp2_ccerr error;

  switch (code)
    {
    case NGTCP2_ERR_CRYPTO:
      end_with_alert (connection);
      break;
    case NGTCP2_ERR_DRAINING:
      end_by_peer (connection);
      break;
    case NGTCP2_ERR_CLOSING:
      break;
    case NGTCP2_ERR_IDLE_CLOSE:
      tl_quic_connection_end (connection, TL_QUIC_ENDED_IDLE, 0, FALSE, NULL);
      break;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
    case NGTCP2_ERR_VERSION_NEGOTIATION_FAILURE:
      tl_quic_connection_end (connection, TL_QUIC_ENDED_VERSION, 0, FALSE, NULL);
      break;
    case NGTCP2_ERR_RETRY:
    case NGTCP2_ERR_DROP_CONN:
      tl_quic_connection_end (connection, TL_QUIC_ENDED_BY_TRANSPORT, 0, FALSE, NULL);
      break;
    default:
      ngtcp2_ccerr_set_liberr (&error, code, NULL, 0);
      tl_quic_connection_end (connection, TL_QUIC_ENDED_BY_TRANSPORT, error.error_code, FALSE, &error);
    }
}

/* ---- in ---- */

/* RFC 9000, 10.2.1: answered ever more rarely. */
static void
read_lingering (TlQuicConnection *connection)
{
  connection->close_heard++;
  if ((connection->close_heard & (connection->close_heard - 1)) == 0)
    tl_quic_connection_send_close_packet (connection);
}

void
tl_quic_connection_read (TlQuicConnection *connection, TlQuicSocket *socket, const ngtcp2_path *path,
                         const guint8 *data, gsize length)
{
  int code;

  if (connection->state == TL_QUIC_STATE_LINGERING)
    read_lingering (connection);
  if (!tl_quic_connection_is_live (connection))
    return;
  connection->depth++;
  code = ngtcp2_conn_read_pkt (connection->conn, path, NULL, data, length, tl_quic_connection_ts (connection));
  connection->depth--;
  if (code == 0)
    {
      connection->heard_us = (gint64)(connection->last_ts / 1000);
      tl_quic_connection_mark_ready (connection);
    }
  else
    {
      ngtcp2_pkt_hd header;

      if (code == NGTCP2_ERR_RETRY && ngtcp2_accept (&header, data, length) == 0)
        tl_quic_endpoint_send_retry (connection->endpoint, socket, path, &header);
      fail (connection, code);
    }
  tl_quic_connection_leave (connection);
}

/* ---- out ---- */

/* One packet of whatever is due. Its length; 0: nothing to send, or not allowed now; < 0: ngtcp2's error. */
static ngtcp2_ssize
write_packet (TlQuicConnection *connection, ngtcp2_path *path, guint8 *packet, gsize size, guint64 ts)
{
  for (;;)
    {
      TlQuicStream *stream = connection->sending.head != NULL ? connection->sending.head->data : NULL;
      uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE;
      ngtcp2_vec vectors[MAX_VECTORS];
      gsize n = 0;
      gboolean fin = FALSE;
      ngtcp2_ssize length, taken = -1;

      if (stream != NULL)
        tl_quic_stream_next (stream, vectors, G_N_ELEMENTS (vectors), &n, &fin);
      if (n > 0 && ngtcp2_conn_get_max_data_left (connection->conn) == 0)
        stream = NULL; /* the peer's next MAX_DATA comes by a read, which writes again */
      if (fin)
        flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
      length = ngtcp2_conn_writev_stream (connection->conn, path, NULL, packet, size, &taken, flags,
                                          stream != NULL ? stream->id : -1, vectors, stream != NULL ? n : 0, ts);
      if (stream != NULL && taken >= 0)
        tl_quic_stream_sent (stream, (gsize)taken, fin);
      if (length >= 0)
        return length;
      if (length == NGTCP2_ERR_STREAM_DATA_BLOCKED)
        tl_quic_stream_leave_sending (stream); /* extend_max_stream_data brings it back */
      else if (length == NGTCP2_ERR_STREAM_SHUT_WR || length == NGTCP2_ERR_STREAM_NOT_FOUND)
        tl_quic_stream_peer_stopped (stream);
      else if (length != NGTCP2_ERR_WRITE_MORE)
        return length;
    }
}

/* Packets of one size and one path, for one call of the kernel. */
typedef struct
{
  guint8 *data;
  gsize length, segment;
  ngtcp2_path_storage path;
} Batch;

static void
flush (TlQuicConnection *connection, Batch *batch)
{
  TlQuicSocket *socket;

  if (batch->length == 0)
    return;
  socket = tl_quic_connection_socket (connection, &batch->path.path);
  connection->endpoint->stats.sent += (batch->length + batch->segment - 1) / batch->segment;
  if (socket != NULL && socket->pending == NULL)
    {
      switch (tl_quic_socket_send (socket, &batch->path.path, batch->data, batch->length, batch->segment))
        {
        case TL_QUIC_SENT:
          break;
        case TL_QUIC_SEND_BLOCKED:
          tl_quic_endpoint_watch_writable (connection->endpoint, socket, TRUE);
          break;
        case TL_QUIC_SEND_FAILED:
          if (connection->state == TL_QUIC_STATE_HANDSHAKE && !connection->is_server && errno != EMSGSIZE)
            tl_quic_connection_end (connection, TL_QUIC_ENDED_UNREACHABLE, (guint64)errno, FALSE, NULL);
          break;
        }
    }
  batch->length = 0;
}

/* The packet of `length` bytes behind the batch joins it, or starts another. */
static void
add_to_batch (TlQuicConnection *connection, Batch *batch, const ngtcp2_path *path, gsize length)
{
  guint8 *packet = batch->data + batch->length;

  if (batch->length > 0 && (length > batch->segment || !ngtcp2_path_eq (path, &batch->path.path)))
    {
      flush (connection, batch);
      memmove (batch->data, packet, length);
    }
  if (batch->length == 0)
    {
      batch->segment = length;
      ngtcp2_path_storage_init (&batch->path, path->local.addr, path->local.addrlen, path->remote.addr,
                                path->remote.addrlen, path->user_data);
    }
  batch->length += length;
  if (length < batch->segment || batch->length / batch->segment >= TL_QUIC_SEND_MAX_SEGMENTS)
    flush (connection, batch);
}

static gboolean
is_socket_full (TlQuicConnection *connection)
{
  TlQuicSocket *socket = tl_quic_connection_socket (connection, ngtcp2_conn_get_path (connection->conn));

  return socket != NULL && socket->pending != NULL;
}

/* ngtcp2 has no call for a PING: a keep-alive that is due is one. */
static void
start_ping (TlQuicConnection *connection)
{
  if (connection->wants_ping)
    ngtcp2_conn_set_keep_alive_timeout (connection->conn, 1);
}

static void
end_ping (TlQuicConnection *connection)
{
  if (!connection->wants_ping)
    return;
  connection->wants_ping = FALSE;
  ngtcp2_conn_set_keep_alive_timeout (connection->conn,
                                      (ngtcp2_duration)connection->endpoint->keep_alive_ms * NGTCP2_MILLISECONDS);
}

/* Not on short paths, where a timer's granularity costs more than a burst does. The shortest round trip decides, which
 * a busy moment does not lengthen; and for good: ngtcp2 charges the next call with all that was sent since the last. */
static void
pace (TlQuicConnection *connection, guint64 ts)
{
  ngtcp2_conn_info info;

  if (connection->is_unpaced)
    return;
  ngtcp2_conn_get_conn_info (connection->conn, &info);
  connection->is_unpaced = info.min_rtt < TL_QUIC_PACED_RTT_NS;
  if (!connection->is_unpaced)
    ngtcp2_conn_update_pkt_tx_time (connection->conn, ts);
}

gboolean
tl_quic_connection_write (TlQuicConnection *connection)
{
  TlQuicEndpoint *endpoint = connection->endpoint;
  gsize size = ngtcp2_conn_get_max_tx_udp_payload_size (connection->conn);
  guint64 ts = tl_quic_connection_ts (connection);
  Batch batch = { .data = endpoint->send_buffer };
  gboolean has_more = TRUE;
  ngtcp2_ssize length = 0;

  start_ping (connection);
  for (guint n = 0; n < TL_QUIC_TURN_PACKETS && has_more && !is_socket_full (connection); n++)
    {
      ngtcp2_path_storage path;

      if (batch.length + size > TL_QUIC_SEND_MAX)
        flush (connection, &batch);
      ngtcp2_path_storage_zero (&path);
      connection->depth++;
      length = write_packet (connection, &path.path, batch.data + batch.length, size, ts);
      connection->depth--;
      end_ping (connection);
      if (length > 0)
        add_to_batch (connection, &batch, &path.path, (gsize)length);
      has_more = length > 0 && tl_quic_connection_is_live (connection);
    }
  flush (connection, &batch);
  if (length < 0)
    fail (connection, (int)length);
  tl_quic_connection_leave (connection);
  if (tl_quic_connection_is_live (connection))
    pace (connection, ts);
  return !has_more;
}

/* ---- time ---- */

void
tl_quic_connection_set_timer (TlQuicConnection *connection)
{
  guint64 at = MIN (connection->deadline, ngtcp2_conn_get_expiry (connection->conn));

  if (connection->partial.head != NULL)
    at = MIN (at, ((TlQuicStream *)connection->partial.head->data)->deadline);
  tl_quic_heap_set (&connection->endpoint->heap, &connection->timer, at);
}

void
tl_quic_connection_expire (TlQuicConnection *connection)
{
  guint64 ts = tl_quic_connection_ts (connection);
  int code = 0;

  if (connection->state == TL_QUIC_STATE_LINGERING)
    {
      g_queue_unlink (&connection->endpoint->lingering, &connection->link);
      tl_quic_connection_free (connection);
      return;
    }
  if (connection->deadline <= ts)
    {
      tl_quic_connection_end (connection, TL_QUIC_ENDED_HANDSHAKE_TIMEOUT, 0, FALSE, NULL);
      return;
    }
  while (connection->partial.head != NULL && ((TlQuicStream *)connection->partial.head->data)->deadline <= ts)
    tl_quic_stream_too_slow (connection->partial.head->data);
  if (ngtcp2_conn_get_expiry (connection->conn) <= ts)
    {
      connection->depth++;
      code = ngtcp2_conn_handle_expiry (connection->conn, ts);
      connection->depth--;
    }
  if (code != 0)
    fail (connection, code);
  else
    tl_quic_connection_mark_ready (connection);
  tl_quic_connection_leave (connection);
}
