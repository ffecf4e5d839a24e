/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-random.h"
#include "quic/tl-quic-stream-private.h"

/* What ngtcp2 tells a connection. Handlers are called from in here; what must not enter ngtcp2 again waits for
 * tl_quic_connection_leave(). */

static void
fill_random (uint8_t *bytes, size_t length, const ngtcp2_rand_ctx *context)
{
  tl_random_bytes (tl_random_system (), bytes, length);
}

/* ---- connection ids ---- */

static int
new_connection_id (ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t length, void *user_data)
{
  TlQuicConnection *connection = user_data;
  TlQuicEndpoint *endpoint = connection->endpoint;
  TlQuicCidEntry *entry;

  cid->datalen = length;
  tl_random_bytes (tl_random_system (), cid->data, length);
  if (ngtcp2_crypto_generate_stateless_reset_token (token, endpoint->reset_secret, sizeof endpoint->reset_secret, cid)
      != 0)
    return NGTCP2_ERR_CALLBACK_FAILURE;
  entry = tl_quic_cid_table_add (&endpoint->cids, cid->data, cid->datalen, connection);
  if (entry == NULL)
    return NGTCP2_ERR_CALLBACK_FAILURE;
  entry->next = connection->cids;
  connection->cids = entry;
  return 0;
}

/* A packet with it may still be under way, and must not be answered with a stateless reset: that would end the
 * connection. */
static void
retire (TlQuicConnection *connection, TlQuicCidEntry *entry)
{
  TlQuicCidEntry **place = &connection->retired;

  entry->next = connection->retired;
  connection->retired = entry;
  for (guint n = 0; n < TL_QUIC_RETIRED_CIDS && *place != NULL; n++)
    place = &(*place)->next;
  if (*place == NULL)
    return;
  entry = *place;
  *place = NULL;
  tl_quic_cid_table_remove (&connection->endpoint->cids, entry);
}

static int
remove_connection_id (ngtcp2_conn *conn, const ngtcp2_cid *cid, void *user_data)
{
  TlQuicConnection *connection = user_data;

  for (TlQuicCidEntry **place = &connection->cids; *place != NULL; place = &(*place)->next)
    {
      TlQuicCidEntry *entry = *place;

      if (entry->length == cid->datalen && memcmp (entry->id, cid->data, entry->length) == 0)
        {
          *place = entry->next;
          retire (connection, entry);
          break;
        }
    }
  return 0;
}

/* ---- handshake ---- */

static int
handshake_completed (ngtcp2_conn *conn, void *user_data)
{
  TlQuicConnection *connection = user_data;

  if (connection->is_server) /* for a client it means nothing yet: the server may still refuse its certificate */
    tl_quic_connection_confirm (connection);
  return 0;
}

static int
handshake_confirmed (ngtcp2_conn *conn, void *user_data)
{
  tl_quic_connection_confirm (user_data);
  return 0;
}

static int
stateless_reset (ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset *reset, void *user_data)
{
  ((TlQuicConnection *)user_data)->was_reset = TRUE;
  return 0;
}

/* ---- paths ---- */

static int
path_validation (ngtcp2_conn *conn, uint32_t flags, const ngtcp2_path *path, const ngtcp2_path *old_path,
                 ngtcp2_path_validation_result result, void *user_data)
{
  TlQuicConnection *connection = user_data;

  if (result != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS || !ngtcp2_path_eq (path, ngtcp2_conn_get_path (conn)))
    return 0;
  connection->migrations++;
  connection->endpoint->stats.migrations++;
  if (tl_quic_connection_is_live (connection) && connection->handlers->migrated != NULL)
    connection->handlers->migrated (connection, connection->user_data);
  return 0;
}

/* ---- streams ---- */

static int
stream_open (ngtcp2_conn *conn, int64_t id, void *user_data)
{
  TlQuicConnection *connection = user_data;
  TlQuicStream *stream = tl_quic_stream_new (connection, id, FALSE);

  ngtcp2_conn_set_stream_user_data (conn, id, stream);
  if (connection->state == TL_QUIC_STATE_OPEN && connection->handlers->stream != NULL)
    connection->handlers->stream (connection, stream, connection->user_data);
  if (stream->handlers == NULL)
    tl_quic_stream_reset (stream, TL_QUIC_STREAM_REFUSED);
  return 0;
}

static int
receive_stream_data (ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data, size_t length,
                     void *user_data, void *stream_user_data)
{
  if (stream_user_data != NULL)
    tl_quic_stream_receive (stream_user_data, data, length, (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
  return 0;
}

static int
acknowledged_stream_data (ngtcp2_conn *conn, int64_t id, uint64_t offset, uint64_t length, void *user_data,
                          void *stream_user_data)
{
  if (stream_user_data != NULL)
    tl_quic_stream_acknowledged (stream_user_data, length);
  return 0;
}

static int
stream_reset (ngtcp2_conn *conn, int64_t id, uint64_t final_size, uint64_t code, void *user_data,
              void *stream_user_data)
{
  if (stream_user_data != NULL)
    tl_quic_stream_peer_reset (stream_user_data, code);
  return 0;
}

static int
extend_max_stream_data (ngtcp2_conn *conn, int64_t id, uint64_t max, void *user_data, void *stream_user_data)
{
  if (stream_user_data != NULL)
    tl_quic_stream_unblocked (stream_user_data);
  return 0;
}

static int
stream_close (ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t code, void *user_data, void *stream_user_data)
{
  TlQuicConnection *connection = user_data;

  if (!connection->counts_losses)
    connection->lost += ngtcp2_conn_get_stream_loss_count (conn, id);
  if (!ngtcp2_conn_is_local_stream (conn, id))
    ngtcp2_conn_extend_max_streams_bidi (conn, 1);
  if (stream_user_data != NULL)
    tl_quic_stream_ended (stream_user_data, (flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) != 0, code);
  return 0;
}

/* ---- the table ---- */

void
tl_quic_connection_fill_callbacks (ngtcp2_callbacks *callbacks, gboolean is_server)
{
  *callbacks = (ngtcp2_callbacks){
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .update_key = ngtcp2_crypto_update_key_cb,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
    .rand = fill_random,
    .get_new_connection_id = new_connection_id,
    .remove_connection_id = remove_connection_id,
    .handshake_completed = handshake_completed,
    .path_validation = path_validation,
    .stream_open = stream_open,
    .stream_close = stream_close,
    .stream_reset = stream_reset,
    .recv_stream_data = receive_stream_data,
    .acked_stream_data_offset = acknowledged_stream_data,
    .extend_max_stream_data = extend_max_stream_data,
  };
  if (is_server)
    callbacks->recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
  else
    {
      callbacks->client_initial = ngtcp2_crypto_client_initial_cb;
      callbacks->recv_retry = ngtcp2_crypto_recv_retry_cb;
      callbacks->handshake_confirmed = handshake_confirmed;
      callbacks->recv_stateless_reset = stateless_reset;
    }
}
