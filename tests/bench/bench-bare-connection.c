/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-random.h"
#include "bench-bare-quic-private.h"

#define MAX_STREAMS     64
#define WINDOW          (1u << 20)
#define IDLE            (60 * NGTCP2_SECONDS)
#define KEEP_ALIVE      (20 * NGTCP2_SECONDS)
#define BURST           64 /* packets in a system call: UDP_MAX_SEGMENTS */
#define CLOSE_CODE      0x100
#define PADDED_DATAGRAM 1200

typedef struct
{
  gint64 id;
  GList link;       /* in `streams` */
  GList queue_link; /* in `sending` or `waiting` */
  BenchOperation *operation;
  guint16 length, sent;
  gboolean is_queued;
  const char *word; /* of an answer's first bytes; NULL: the answer's end counts */
  guint8 data[BENCH_BARE_MAX_DATA];
} Stream;

static Stream *
stream_new (BenchBareConnection *connection)
{
  Stream *stream = g_new (Stream, 1);

  memset (stream, 0, offsetof (Stream, data));
  stream->link.data = stream->queue_link.data = stream;
  g_queue_push_tail_link (&connection->streams, &stream->link);
  return stream;
}

static void
enqueue (GQueue *queue, Stream *stream)
{
  stream->is_queued = TRUE;
  g_queue_push_tail_link (queue, &stream->queue_link);
}

static void
dequeue (GQueue *queue, Stream *stream)
{
  stream->is_queued = FALSE;
  g_queue_unlink (queue, &stream->queue_link);
}

static void
finish_operation (BenchOperation **operation, gboolean done)
{
  BenchOperation *finished = g_steal_pointer (operation);
  g_autoptr (GError) error = NULL;

  if (finished == NULL)
    return;
  if (!done)
    error = g_error_new (TL_ERROR, TL_ERROR_UNAVAILABLE,
                         "the bare QUIC client's connection ended, or its answer was another one");
  bench_operation_finish (finished, error);
}

/* ---- what ngtcp2 asks for */

static void
on_random (uint8_t *data, size_t length, const ngtcp2_rand_ctx *context)
{
  tl_random_bytes (tl_random_system (), data, length);
}

static void
new_id (ngtcp2_cid *id, gsize length)
{
  guint8 bytes[NGTCP2_MAX_CIDLEN];

  on_random (bytes, length, NULL);
  ngtcp2_cid_init (id, bytes, length);
}

static int
on_new_id (ngtcp2_conn *conn, ngtcp2_cid *id, uint8_t *token, size_t length, void *user_data)
{
  BenchBareConnection *connection = user_data;

  new_id (id, length);
  on_random (token, NGTCP2_STATELESS_RESET_TOKENLEN, NULL);
  bench_bare_endpoint_map (connection->endpoint, id, connection);
  return 0;
}

static int
on_remove_id (ngtcp2_conn *conn, const ngtcp2_cid *id, void *user_data)
{
  BenchBareConnection *connection = user_data;

  bench_bare_endpoint_unmap (connection->endpoint, id);
  return 0;
}

static int
on_stream_open (ngtcp2_conn *conn, int64_t id, void *user_data)
{
  Stream *stream = stream_new (user_data);

  stream->id = id;
  return ngtcp2_conn_set_stream_user_data (conn, id, stream);
}

/* The server keeps it to send it back; the client only waits for the end. */
static int
on_stream_data (ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data, size_t length,
                void *user_data, void *stream_data)
{
  BenchBareConnection *connection = user_data;
  Stream *stream = stream_data;

  ngtcp2_conn_extend_max_offset (conn, length);
  if (connection->endpoint->is_server)
    {
      if (offset + length > BENCH_BARE_MAX_DATA)
        return NGTCP2_ERR_CALLBACK_FAILURE;
      memcpy (stream->data + offset, data, length);
      stream->length = (guint16)(offset + length);
    }
  if (stream->word != NULL)
    finish_operation (&stream->operation, memmem (data, length, stream->word, strlen (stream->word)) != NULL);
  if ((flags & NGTCP2_STREAM_DATA_FLAG_FIN) == 0)
    return 0;
  if (connection->endpoint->is_server)
    enqueue (&connection->sending, stream);
  else
    finish_operation (&stream->operation, TRUE);
  return 0;
}

static int
on_stream_close (ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code, void *user_data, void *stream_data)
{
  BenchBareConnection *connection = user_data;
  Stream *stream = stream_data;

  if (connection->endpoint->is_server)
    ngtcp2_conn_extend_max_streams_bidi (conn, 1);
  finish_operation (&stream->operation, FALSE);
  if (stream->is_queued)
    dequeue (&connection->sending, stream);
  g_queue_unlink (&connection->streams, &stream->link);
  g_free (stream);
  return 0;
}

static int
on_confirmed (ngtcp2_conn *conn, void *user_data)
{
  BenchBareConnection *connection = user_data;

  finish_operation (&connection->operation, TRUE);
  return 0;
}

static const ngtcp2_callbacks callbacks = {
  .client_initial = ngtcp2_crypto_client_initial_cb,
  .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
  .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
  .encrypt = ngtcp2_crypto_encrypt_cb,
  .decrypt = ngtcp2_crypto_decrypt_cb,
  .hp_mask = ngtcp2_crypto_hp_mask_cb,
  .recv_retry = ngtcp2_crypto_recv_retry_cb,
  .update_key = ngtcp2_crypto_update_key_cb,
  .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
  .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
  .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
  .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
  .rand = on_random,
  .get_new_connection_id = on_new_id,
  .remove_connection_id = on_remove_id,
  .stream_open = on_stream_open,
  .recv_stream_data = on_stream_data,
  .stream_close = on_stream_close,
  .handshake_confirmed = on_confirmed,
};

/* ---- life */

static ngtcp2_conn *
get_conn (ngtcp2_crypto_conn_ref *ref)
{
  BenchBareConnection *connection = ref->user_data;

  return connection->conn;
}

static void
fill_path (BenchBareConnection *connection, ngtcp2_path_storage *path, const struct sockaddr_in *remote)
{
  ngtcp2_path_storage_init (path, (const ngtcp2_sockaddr *)&connection->endpoint->local, sizeof *remote,
                            (const ngtcp2_sockaddr *)remote, sizeof *remote, NULL);
}

static int
create (BenchBareConnection *connection, const ngtcp2_pkt_hd *hd)
{
  ngtcp2_settings settings;
  ngtcp2_transport_params params;
  ngtcp2_path_storage path;
  ngtcp2_cid own, peer;
  int result;

  ngtcp2_settings_default (&settings);
  settings.initial_ts = connection->endpoint->now;
  ngtcp2_transport_params_default (&params);
  params.initial_max_streams_bidi = connection->endpoint->is_server ? MAX_STREAMS : 0;
  params.initial_max_stream_data_bidi_local = params.initial_max_stream_data_bidi_remote = WINDOW;
  params.initial_max_data = WINDOW;
  params.max_idle_timeout = IDLE;
  new_id (&own, BENCH_BARE_ID_LENGTH);
  fill_path (connection, &path, &connection->remote);
  if (hd != NULL)
    {
      params.original_dcid = hd->dcid;
      params.original_dcid_present = 1;
      result = ngtcp2_conn_server_new (&connection->conn, &hd->scid, &own, &path.path, hd->version, &callbacks,
                                       &settings, &params, NULL, connection);
      if (result == 0)
        bench_bare_endpoint_map (connection->endpoint, &hd->dcid, connection);
    }
  else
    {
      new_id (&peer, BENCH_BARE_ID_LENGTH);
      result = ngtcp2_conn_client_new (&connection->conn, &peer, &own, &path.path, NGTCP2_PROTO_VER_V1, &callbacks,
                                       &settings, &params, NULL, connection);
    }
  if (result == 0)
    bench_bare_endpoint_map (connection->endpoint, &own, connection);
  return result;
}

BenchBareConnection *
bench_bare_connection_new (BenchBareEndpoint *endpoint, BenchBareTls *tls, const ngtcp2_pkt_hd *hd,
                           const struct sockaddr_in *remote)
{
  BenchBareConnection *connection = g_new0 (BenchBareConnection, 1);

  connection->endpoint = endpoint;
  connection->remote = *remote;
  connection->ref = (ngtcp2_crypto_conn_ref){ get_conn, connection };
  connection->expiry = UINT64_MAX;
  connection->expiry_at = g_sequence_append (endpoint->expiries, connection);
  connection->session = bench_bare_tls_session (tls, &connection->ref);
  if (connection->session == NULL || create (connection, hd) != 0)
    {
      bench_bare_connection_free (connection);
      return NULL;
    }
  ngtcp2_conn_set_tls_native_handle (connection->conn, connection->session);
  if (!endpoint->is_server)
    ngtcp2_conn_set_keep_alive_timeout (connection->conn, KEEP_ALIVE);
  return connection;
}

static void
unmap_all (BenchBareConnection *connection)
{
  ngtcp2_cid ids[32];
  gsize n = ngtcp2_conn_get_scid (connection->conn, NULL);

  g_assert (n <= G_N_ELEMENTS (ids));
  ngtcp2_conn_get_scid (connection->conn, ids);
  for (gsize i = 0; i < n; i++)
    bench_bare_endpoint_unmap (connection->endpoint, &ids[i]);
  if (connection->endpoint->is_server)
    bench_bare_endpoint_unmap (connection->endpoint, ngtcp2_conn_get_client_initial_dcid (connection->conn));
}

void
bench_bare_connection_fail (BenchBareConnection *connection)
{
  finish_operation (&connection->operation, FALSE);
  for (GList *link = connection->streams.head; link != NULL; link = link->next)
    finish_operation (&((Stream *)link->data)->operation, FALSE);
}

void
bench_bare_connection_free (BenchBareConnection *connection)
{
  GList *link;

  bench_bare_connection_fail (connection);
  while ((link = g_queue_pop_head_link (&connection->streams)) != NULL)
    g_free (link->data);
  if (connection->is_dirty)
    g_ptr_array_remove_fast (connection->endpoint->dirty, connection);
  g_sequence_remove (connection->expiry_at);
  if (connection->conn != NULL)
    {
      unmap_all (connection);
      ngtcp2_conn_del (connection->conn);
    }
  if (connection->session != NULL)
    gnutls_deinit (connection->session);
  g_free (connection);
}

void
bench_bare_connection_say_close (BenchBareConnection *connection)
{
  BenchBareEndpoint *endpoint = connection->endpoint;
  ngtcp2_path_storage path;
  ngtcp2_pkt_info info;
  ngtcp2_ccerr why;
  ngtcp2_ssize length;

  if (connection->is_over)
    return;
  connection->is_over = TRUE;
  ngtcp2_path_storage_zero (&path);
  ngtcp2_ccerr_default (&why);
  ngtcp2_ccerr_set_application_error (&why, CLOSE_CODE, NULL, 0);
  length = ngtcp2_conn_write_connection_close (connection->conn, &path.path, &info, endpoint->out, PADDED_DATAGRAM,
                                               &why, bench_bare_endpoint_tick (endpoint));
  if (length > 0)
    bench_bare_endpoint_send (endpoint, &connection->remote, 0, (gsize)length, (gsize)length);
}

gboolean
bench_bare_connection_is_open (BenchBareConnection *connection)
{
  return !connection->is_over;
}

/* ---- in */

gboolean
bench_bare_connection_read (BenchBareConnection *connection, const struct sockaddr_in *remote, const guint8 *packet,
                            gsize length)
{
  const ngtcp2_pkt_info info = { 0 };
  ngtcp2_path_storage path;

  fill_path (connection, &path, remote);
  if (ngtcp2_conn_read_pkt (connection->conn, &path.path, &info, packet, length, connection->endpoint->now) == 0)
    return TRUE;
  if (!ngtcp2_conn_in_draining_period (connection->conn))
    bench_bare_connection_say_close (connection);
  connection->is_over = TRUE;
  return FALSE;
}

gboolean
bench_bare_connection_expire (BenchBareConnection *connection)
{
  if (ngtcp2_conn_handle_expiry (connection->conn, connection->endpoint->now) == 0)
    return TRUE;
  connection->is_over = TRUE;
  return FALSE;
}

/* ---- out */

static void
open_waiting (BenchBareConnection *connection)
{
  while (connection->waiting.length > 0)
    {
      Stream *stream = connection->waiting.head->data;

      if (ngtcp2_conn_open_bidi_stream (connection->conn, &stream->id, stream) != 0)
        return;
      dequeue (&connection->waiting, stream);
      enqueue (&connection->sending, stream);
    }
}

/* One packet with as many streams as fit; 0: nothing to send, < 0: an error. */
static ngtcp2_ssize
write_packet (BenchBareConnection *connection, guint8 *packet, gsize size)
{
  ngtcp2_path_storage path;
  ngtcp2_pkt_info info;
  gboolean blocked = FALSE;

  ngtcp2_path_storage_zero (&path);
  for (;;)
    {
      Stream *stream = !blocked && connection->sending.length > 0 ? connection->sending.head->data : NULL;
      ngtcp2_vec data = { 0 };
      ngtcp2_ssize taken = -1, length;
      guint32 flags = NGTCP2_WRITE_STREAM_FLAG_NONE;

      if (stream != NULL)
        {
          data = (ngtcp2_vec){ stream->data + stream->sent, (gsize)(stream->length - stream->sent) };
          flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (stream->word != NULL ? 0 : NGTCP2_WRITE_STREAM_FLAG_FIN);
        }
      length = ngtcp2_conn_writev_stream (connection->conn, &path.path, &info, packet, size, &taken, flags,
                                          stream != NULL ? stream->id : -1, &data, stream != NULL ? 1 : 0,
                                          connection->endpoint->now);
      if (stream != NULL && taken >= 0)
        {
          stream->sent = (guint16)(stream->sent + taken);
          if (stream->sent == stream->length)
            dequeue (&connection->sending, stream);
        }
      if (length == NGTCP2_ERR_STREAM_DATA_BLOCKED)
        blocked = TRUE;
      else if (length == NGTCP2_ERR_STREAM_SHUT_WR || length == NGTCP2_ERR_STREAM_NOT_FOUND)
        dequeue (&connection->sending, stream);
      else if (length != NGTCP2_ERR_WRITE_MORE)
        return length;
    }
}

/* Packets of one size and perhaps a shorter one behind them are one system call. */
static gboolean
write_packets (BenchBareConnection *connection)
{
  BenchBareEndpoint *endpoint = connection->endpoint;
  gsize size = ngtcp2_conn_get_max_tx_udp_payload_size (connection->conn);
  gsize filled = 0, segment = 0, count = 0;

  for (;;)
    {
      ngtcp2_ssize length = write_packet (connection, endpoint->out + filled, size);

      if (length < 0)
        return FALSE;
      if (segment != 0 && (gsize)length > segment) /* a probe for a larger datagram */
        {
          bench_bare_endpoint_send (endpoint, &connection->remote, 0, filled, segment);
          bench_bare_endpoint_send (endpoint, &connection->remote, filled, (gsize)length, (gsize)length);
          filled = segment = count = 0;
          continue;
        }
      if (segment == 0)
        segment = (gsize)length;
      filled += (gsize)length;
      count++;
      if ((gsize)length == segment && length != 0 && count < BURST && filled + size <= BENCH_BARE_BUFFER)
        continue;
      if (filled > 0)
        bench_bare_endpoint_send (endpoint, &connection->remote, 0, filled, segment);
      if (length == 0)
        return TRUE;
      filled = segment = count = 0;
    }
}

static int
compare_expiries (gconstpointer a, gconstpointer b, gpointer user_data)
{
  const BenchBareConnection *first = a, *second = b;

  return (first->expiry > second->expiry) - (first->expiry < second->expiry);
}

gboolean
bench_bare_connection_flush (BenchBareConnection *connection)
{
  ngtcp2_tstamp expiry;

  open_waiting (connection);
  if (!write_packets (connection))
    {
      bench_bare_connection_say_close (connection);
      return FALSE;
    }
  expiry = ngtcp2_conn_get_expiry (connection->conn);
  if (expiry == connection->expiry)
    return TRUE;
  connection->expiry = expiry;
  g_sequence_sort_changed (connection->expiry_at, compare_expiries, NULL);
  return TRUE;
}

static void
send_on_new_stream (BenchBareConnection *connection, const void *data, gsize length, const char *word,
                    BenchOperation *operation)
{
  Stream *stream = stream_new (connection);

  g_assert (length <= BENCH_BARE_MAX_DATA);
  stream->operation = operation;
  stream->word = word;
  memcpy (stream->data, data, length);
  stream->length = (guint16)length;
  enqueue (&connection->waiting, stream);
  bench_bare_endpoint_mark (connection->endpoint, connection);
}

void
bench_bare_connection_request (BenchBareConnection *connection, const void *data, gsize length,
                               BenchOperation *operation)
{
  send_on_new_stream (connection, data, length, NULL, operation);
}

void
bench_bare_connection_subscribe (BenchBareConnection *connection, const void *data, gsize length, const char *word,
                                 BenchOperation *operation)
{
  send_on_new_stream (connection, data, length, word, operation);
}
