/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "quic/tl-quic-stream-private.h"

#define LINGER_PTOS 3

/* ---- the loop ---- */

guint64
tl_quic_connection_ts (TlQuicConnection *connection)
{
  guint64 now
      = connection->endpoint->is_dispatching ? connection->endpoint->now : tl_quic_endpoint_now (connection->endpoint);

  connection->last_ts = MAX (connection->last_ts, now);
  return connection->last_ts;
}

void
tl_quic_connection_mark_ready (TlQuicConnection *connection)
{
  if (connection->is_ready || !tl_quic_connection_is_live (connection))
    return;
  connection->is_ready = TRUE;
  g_queue_push_tail_link (&connection->endpoint->ready, &connection->ready_link);
}

static void
leave_ready (TlQuicConnection *connection)
{
  TlQuicEndpoint *endpoint = connection->endpoint;

  if (!connection->is_ready)
    return;
  g_queue_unlink (connection->in_blocked ? &endpoint->blocked : &endpoint->ready, &connection->ready_link);
  connection->is_ready = connection->in_blocked = FALSE;
}

/* ---- the handshake's end ---- */

static void
leave_half_open (TlQuicConnection *connection)
{
  const ngtcp2_addr remote = { &connection->source.address.sa, connection->source.length };

  if (!connection->is_half_open)
    return;
  connection->is_half_open = FALSE;
  tl_quic_endpoint_leave_half_open (connection->endpoint, &remote);
}

void
tl_quic_connection_confirm (TlQuicConnection *connection)
{
  if (connection->state != TL_QUIC_STATE_HANDSHAKE)
    return;
  connection->state = TL_QUIC_STATE_OPEN;
  connection->deadline = TL_QUIC_TIMER_NEVER;
  connection->since_us = connection->heard_us = g_get_monotonic_time ();
  g_strlcpy (connection->fingerprint, tl_quic_tls_session_fingerprint (connection->session),
             sizeof connection->fingerprint);
  leave_half_open (connection);
  connection->endpoint->stats.accepted++;
  if (!connection->is_server)
    {
      if (connection->handlers->opened != NULL)
        connection->handlers->opened (connection, connection->user_data);
      return;
    }
  connection->was_announced = TRUE;
  if (connection->handlers->accepted != NULL)
    connection->handlers->accepted (connection, connection->user_data);
}

/* ---- the end ---- */

void
tl_quic_connection_send_close_packet (TlQuicConnection *connection)
{
  TlQuicSocket *socket
      = connection->close_packet != NULL ? tl_quic_connection_socket (connection, &connection->close_path->path) : NULL;

  if (socket == NULL)
    return;
  connection->is_close_due = socket->pending != NULL; /* it goes out once there is room */
  if (connection->is_close_due)
    return;
  tl_quic_socket_send (socket, &connection->close_path->path, connection->close_packet, connection->close_length,
                       connection->close_length);
  connection->endpoint->stats.sent++;
}

/* RFC 9000, 10.2.1: the packet is kept, for a peer that did not get it. */
static void
make_close_packet (TlQuicConnection *connection)
{
  guint8 packet[TL_QUIC_CLOSE_PACKET];
  ngtcp2_path_storage *path = g_new0 (ngtcp2_path_storage, 1);
  ngtcp2_ssize length;

  connection->wants_close = FALSE;
  ngtcp2_path_storage_zero (path);
  length = ngtcp2_conn_write_connection_close (connection->conn, &path->path, NULL, packet, sizeof packet,
                                               &connection->error, tl_quic_connection_ts (connection));
  if (length <= 0)
    {
      g_free (path);
      return;
    }
  connection->close_packet = g_memdup2 (packet, (gsize)length);
  connection->close_length = (guint16)length;
  connection->close_path = path;
  tl_quic_connection_send_close_packet (connection);
}

void
tl_quic_connection_end (TlQuicConnection *connection, TlQuicEnding ending, guint64 code, gboolean by_peer,
                        const ngtcp2_ccerr *error)
{
  if (!tl_quic_connection_is_live (connection))
    return;
  leave_ready (connection);
  connection->state = TL_QUIC_STATE_ENDED;
  connection->why = (TlQuicClose){ .ending = ending, .code = code, .by_peer = by_peer, .reason = connection->reason };
  connection->is_silent = error == NULL && !by_peer;
  if (error != NULL)
    {
      connection->error = *error;
      connection->wants_close = TRUE;
      if (connection->depth == 0)
        make_close_packet (connection);
    }
  tl_quic_heap_set (&connection->endpoint->heap, &connection->timer, TL_QUIC_TIMER_NEVER);
  g_queue_push_tail_link (&connection->endpoint->ended, &connection->ready_link);
}

void
tl_quic_connection_leave (TlQuicConnection *connection)
{
  if (connection->depth > 0)
    return;
  if (connection->wants_close)
    make_close_packet (connection);
  if (connection->wants_migration != 0 && connection->state == TL_QUIC_STATE_OPEN)
    {
      g_autoptr (GError) error = NULL;

      if (!tl_quic_connection_start_migration (connection, &error))
        g_debug ("a QUIC connection stays where it is: %s", error->message);
    }
}

void
tl_quic_connection_tell_closed_streams (TlQuicConnection *connection)
{
  while (connection->closed.head != NULL)
    {
      TlQuicStream *stream = connection->closed.head->data;

      tl_quic_stream_tell (stream, stream->code);
    }
}

static void
tell (TlQuicConnection *connection)
{
  tl_quic_connection_tell_closed_streams (connection);
  for (GList *l = connection->streams.head; l != NULL; l = l->next)
    tl_quic_stream_tell (l->data, TL_QUIC_STREAM_CANCELLED);
  if (connection->is_server && !connection->was_announced)
    connection->endpoint->stats.refused++;
  else if (connection->handlers->closed != NULL)
    connection->handlers->closed (connection, &connection->why, connection->user_data);
}

void
tl_quic_connection_finish (TlQuicConnection *connection)
{
  TlQuicEndpoint *endpoint = connection->endpoint;
  guint64 linger = LINGER_PTOS * ngtcp2_conn_get_pto (connection->conn);
  guint64 until = tl_quic_connection_ts (connection) + MIN (linger, TL_QUIC_LINGER_MAX_MS * NGTCP2_MILLISECONDS);

  tell (connection);
  g_queue_unlink (&endpoint->connections, &connection->link);
  if (connection->is_silent)
    {
      tl_quic_connection_free (connection);
      return;
    }
  tl_quic_connection_drop_state (connection);
  connection->state = TL_QUIC_STATE_LINGERING;
  if (endpoint->lingering.length >= endpoint->max_lingering)
    tl_quic_connection_free (g_queue_pop_head_link (&endpoint->lingering)->data);
  g_queue_push_tail_link (&endpoint->lingering, &connection->link);
  tl_quic_heap_set (&endpoint->heap, &connection->timer, until);
}

void
tl_quic_connection_set_reason (TlQuicConnection *connection, const guint8 *reason, gsize length)
{
  gsize n = MIN (length, TL_QUIC_REASON_MAX);

  for (gsize i = 0; i < n; i++)
    connection->reason[i] = g_ascii_isprint (reason[i]) ? (char)reason[i] : '?';
  connection->reason[n] = '\0';
}

/* ---- the owner's calls ---- */

static guint64
count_lost (TlQuicConnection *connection, const ngtcp2_conn_info *info)
{
#ifdef NGTCP2_CONN_INFO_V2
  return info->pkt_lost;
#else
  guint64 lost = connection->lost;

  if (connection->counts_losses)
    return lost;
  for (GList *l = connection->streams.head; l != NULL; l = l->next)
    lost += ngtcp2_conn_get_stream_loss_count (connection->conn, ((TlQuicStream *)l->data)->id);
  return lost;
#endif
}

void
tl_quic_connection_get_info (TlQuicConnection *connection, TlQuicConnectionInfo *info)
{
  *info = (TlQuicConnectionInfo){
    .since_us = connection->since_us,
    .heard_us = connection->heard_us,
    .migrations = connection->migrations,
    .streams = connection->n_streams,
  };
  if (connection->conn == NULL)
    return;

  const ngtcp2_path *path = ngtcp2_conn_get_path (connection->conn);
  TlQuicSocket *socket = connection->is_server ? NULL : tl_quic_connection_socket (connection, path);
  ngtcp2_addr local = path->local;
  ngtcp2_conn_info of_ngtcp2;

  if (socket != NULL)
    local = (ngtcp2_addr){ &socket->local.address.sa, socket->local.length };
  tl_quic_address_format (&path->remote, info->remote);
  tl_quic_address_format (&local, info->local);
  ngtcp2_conn_get_conn_info (connection->conn, &of_ngtcp2);
  info->packets_lost = count_lost (connection, &of_ngtcp2);
  info->rtt_us = (gint64)(of_ngtcp2.smoothed_rtt / NGTCP2_MICROSECONDS);
}

const char *
tl_quic_connection_fingerprint (TlQuicConnection *connection)
{
  return connection->fingerprint;
}

gpointer
tl_quic_connection_get_data (TlQuicConnection *connection)
{
  return connection->data;
}

void
tl_quic_connection_set_data (TlQuicConnection *connection, gpointer data)
{
  connection->data = data;
}

TlQuicStream *
tl_quic_connection_open_stream (TlQuicConnection *connection, const TlQuicStreamHandlers *handlers, gpointer user_data)
{
  TlQuicStream *stream;
  int64_t id;

  if (connection->state != TL_QUIC_STATE_OPEN || ngtcp2_conn_open_bidi_stream (connection->conn, &id, NULL) != 0)
    return NULL;
  stream = tl_quic_stream_new (connection, id, TRUE);
  tl_quic_stream_set_handlers (stream, handlers, user_data);
  ngtcp2_conn_set_stream_user_data (connection->conn, id, stream);
  return stream;
}

void
tl_quic_connection_close (TlQuicConnection *connection, guint64 code, const char *reason)
{
  ngtcp2_ccerr error;
  gsize length;

  if (!tl_quic_connection_is_live (connection))
    return;
  g_strlcpy (connection->own_reason, reason != NULL ? reason : "", sizeof connection->own_reason);
  length = strlen (connection->own_reason);
  ngtcp2_ccerr_set_application_error (&error, code, (const guint8 *)connection->own_reason, length);
  tl_quic_connection_end (connection, TL_QUIC_ENDED_LOCALLY, code, FALSE, &error);
}

void
tl_quic_connection_ping (TlQuicConnection *connection)
{
  if (connection->is_server || connection->state != TL_QUIC_STATE_OPEN)
    return;
  connection->wants_ping = TRUE;
  tl_quic_connection_mark_ready (connection);
}
