/* SPDX-License-Identifier: Apache-2.0 */
#include "quic-side.h"

#include <netinet/in.h>
#include <openssl/rand.h>
#include <string.h>

static struct sockaddr_in addresses[2] = { { .sin_family = AF_INET, .sin_port = 4711 }, { .sin_family = AF_INET } };

static ngtcp2_path
path_of (const QuicSide *side)
{
  ngtcp2_addr client = { (struct sockaddr *)&addresses[0], sizeof addresses[0] };
  ngtcp2_addr server = { (struct sockaddr *)&addresses[1], sizeof addresses[1] };

  return side->is_server ? (ngtcp2_path){ .local = server, .remote = client }
                         : (ngtcp2_path){ .local = client, .remote = server };
}

static ngtcp2_conn *
get_connection (ngtcp2_crypto_conn_ref *ref)
{
  return ((QuicSide *)ref->user_data)->connection;
}

static void
fill_random (uint8_t *out, size_t length, const ngtcp2_rand_ctx *context)
{
  g_assert_cmpint (RAND_bytes (out, (int)length), ==, 1);
}

static void
new_cid (ngtcp2_cid *cid)
{
  guint8 bytes[16];

  fill_random (bytes, sizeof bytes, NULL);
  ngtcp2_cid_init (cid, bytes, sizeof bytes);
}

static int
on_new_connection_id (ngtcp2_conn *connection, ngtcp2_cid *cid, uint8_t *token, size_t length, void *user_data)
{
  guint8 bytes[NGTCP2_MAX_CIDLEN];

  fill_random (bytes, length, NULL);
  ngtcp2_cid_init (cid, bytes, length);
  fill_random (token, NGTCP2_STATELESS_RESET_TOKENLEN, NULL);
  return 0;
}

static int
on_crypto_data (ngtcp2_conn *connection, ngtcp2_encryption_level level, uint64_t offset, const uint8_t *data,
                size_t length, void *user_data)
{
  if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT)
    ((QuicSide *)user_data)->late_crypto += (guint)length;
  return ngtcp2_crypto_recv_crypto_data_cb (connection, level, offset, data, length, user_data);
}

static int
on_completed (ngtcp2_conn *connection, void *user_data)
{
  ((QuicSide *)user_data)->completed = TRUE;
  return 0;
}

static int
on_confirmed (ngtcp2_conn *connection, void *user_data)
{
  ((QuicSide *)user_data)->confirmed = TRUE;
  return 0;
}

static const ngtcp2_callbacks callbacks = {
  .client_initial = ngtcp2_crypto_client_initial_cb,
  .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
  .recv_crypto_data = on_crypto_data,
  .handshake_completed = on_completed,
  .handshake_confirmed = on_confirmed,
  .encrypt = ngtcp2_crypto_encrypt_cb,
  .decrypt = ngtcp2_crypto_decrypt_cb,
  .hp_mask = ngtcp2_crypto_hp_mask_cb,
  .recv_retry = ngtcp2_crypto_recv_retry_cb,
  .rand = fill_random,
  .get_new_connection_id = on_new_connection_id,
  .update_key = ngtcp2_crypto_update_key_cb,
  .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
  .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
  .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
  .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

static void
connect_side (QuicSide *side, const ngtcp2_cid *original, const ngtcp2_cid *peer)
{
  ngtcp2_path path = path_of (side);
  ngtcp2_settings settings;
  ngtcp2_transport_params parameters;
  ngtcp2_cid own;
  int result;

  new_cid (&own);
  ngtcp2_settings_default (&settings);
  settings.initial_ts = side->now;
  ngtcp2_transport_params_default (&parameters);
  parameters.initial_max_data = 65536;
  parameters.initial_max_streams_bidi = 1;
  if (side->is_server)
    {
      parameters.original_dcid = *original;
      parameters.original_dcid_present = 1;
      result = ngtcp2_conn_server_new (&side->connection, peer, &own, &path, NGTCP2_PROTO_VER_V1, &callbacks, &settings,
                                       &parameters, NULL, side);
    }
  else
    result = ngtcp2_conn_client_new (&side->connection, original, &own, &path, NGTCP2_PROTO_VER_V1, &callbacks,
                                     &settings, &parameters, NULL, side);
  g_assert_cmpint (result, ==, 0);
  ngtcp2_conn_set_tls_native_handle (side->connection, side->native);
}

gboolean
quic_side_init (QuicSide *side, gboolean is_server, TlQuicTls *tls, const QuicStrange *strange)
{
  g_autoptr (GError) error = NULL;
  ngtcp2_cid original;

  *side = (QuicSide){ .is_server = is_server, .now = NGTCP2_SECONDS };
  side->ref = (ngtcp2_crypto_conn_ref){ get_connection, side };
  if (tls != NULL)
    {
      side->session
          = tl_quic_tls_session_new (tls, &side->ref, is_server ? SIDE_CLIENT_ADDRESS : "192.0.2.2:7444", &error);
      g_assert_no_error (error);
      side->native = tl_quic_tls_session_native (side->session);
    }
  else
    side->native = quic_strange_new (strange, &side->ref);
  new_cid (&original);
  if (side->native != NULL && !is_server)
    connect_side (side, &original, NULL);
  return side->native != NULL;
}

void
quic_side_clear (QuicSide *side)
{
  ngtcp2_conn_del (side->connection);
  if (side->session != NULL)
    tl_quic_tls_session_free (side->session);
  else if (side->native != NULL)
    quic_strange_free (side->native);
}

static gboolean
is_over (const QuicSide *side)
{
  return side->sent_code != 0 || side->seen_code != 0;
}

void
quic_side_read (QuicSide *side, const guint8 *packet, gsize length)
{
  ngtcp2_path path = path_of (side);
  ngtcp2_pkt_hd header;
  int result;

  side->now += NGTCP2_MILLISECONDS;
  if (side->connection == NULL)
    {
      g_assert_cmpint (ngtcp2_accept (&header, packet, length), ==, 0);
      connect_side (side, &header.dcid, &header.scid);
    }
  if (is_over (side))
    return;
  result = ngtcp2_conn_read_pkt (side->connection, &path, NULL, packet, length, side->now);
  if (result == NGTCP2_ERR_DRAINING)
    side->seen_code = ngtcp2_conn_get_ccerr (side->connection)->error_code;
  else if (result == NGTCP2_ERR_CRYPTO)
    {
      side->sent_code = NGTCP2_CRYPTO_ERROR | ngtcp2_conn_get_tls_alert (side->connection);
      g_assert_cmphex (side->sent_code, !=, NGTCP2_CRYPTO_ERROR);
      if (side->session != NULL)
        g_assert_cmphex (side->sent_code, ==, NGTCP2_CRYPTO_ERROR | tl_quic_tls_session_alert (side->session));
    }
  else if (result != 0)
    g_error ("%s: %s", side->is_server ? "server" : "client", ngtcp2_strerror (result));
}

gsize
quic_side_write (QuicSide *side, guint8 packet[SIDE_MAX_PACKET])
{
  ngtcp2_ccerr reason;
  ngtcp2_ssize length;

  if (side->connection == NULL || side->seen_code != 0 || side->said_why)
    return 0;
  if (side->sent_code == 0)
    length = ngtcp2_conn_write_pkt (side->connection, NULL, NULL, packet, SIDE_MAX_PACKET, side->now);
  else
    {
      ngtcp2_ccerr_default (&reason);
      ngtcp2_ccerr_set_tls_alert (&reason, ngtcp2_conn_get_tls_alert (side->connection), NULL, 0);
      length = ngtcp2_conn_write_connection_close (side->connection, NULL, NULL, packet, SIDE_MAX_PACKET, &reason,
                                                   side->now);
      g_assert_cmpint ((int)length, >, 0);
      side->said_why = TRUE;
    }
  g_assert_cmpint ((int)length, >=, 0);
  return (gsize)length;
}
