/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-random.h"
#include "quic/tl-quic-connection-private.h"

#define RESET_LENGTH     43
#define RESET_LENGTH_MIN (NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN)
#define ANSWER_LENGTH    1200
#define GREASE_VERSION   0x1a2a3a4au /* RFC 9000, 15: reserved, so that nobody relies on a short list */

/* Datagrams that belong to no connection: new ones, and whatever has to be answered without keeping a state. */

gboolean
tl_quic_rate_take (TlQuicRate *rate, guint64 now)
{
  if (now - rate->refilled >= NGTCP2_SECONDS)
    {
      rate->left = rate->rate;
      rate->refilled = now;
    }
  if (rate->left == 0)
    return FALSE;
  rate->left--;
  return TRUE;
}

static gboolean
send_answer (TlQuicEndpoint *endpoint, TlQuicSocket *socket, const ngtcp2_path *path, const guint8 *data,
             ngtcp2_ssize length)
{
  if (length <= 0 || socket->pending != NULL)
    return FALSE;
  if (tl_quic_socket_send (socket, path, data, (gsize)length, (gsize)length) == TL_QUIC_SEND_BLOCKED)
    tl_quic_endpoint_watch_writable (endpoint, socket, TRUE);
  endpoint->stats.sent++;
  return TRUE;
}

/* ---- who may be half-open ---- */

/* IPv4: the address; IPv6: its /64. */
static gint64
source_key (const ngtcp2_addr *remote)
{
  const ngtcp2_sockaddr_union *any = (const ngtcp2_sockaddr_union *)remote->addr;
  gint64 key = 0;

  if (any->sa.sa_family == AF_INET6)
    memcpy (&key, &any->in6.sin6_addr, sizeof key);
  else
    key = (gint64)any->in.sin_addr.s_addr;
  return key;
}

gboolean
tl_quic_endpoint_enter_half_open (TlQuicEndpoint *endpoint, const ngtcp2_addr *remote)
{
  gint64 key = source_key (remote);
  guint n = GPOINTER_TO_UINT (g_hash_table_lookup (endpoint->half_open_sources, &key));

  if (n >= TL_QUIC_HALF_OPEN_PER_SOURCE || endpoint->stats.half_open >= TL_QUIC_HALF_OPEN_MAX)
    return FALSE;
  g_hash_table_insert (endpoint->half_open_sources, g_memdup2 (&key, sizeof key), GUINT_TO_POINTER (n + 1));
  endpoint->stats.half_open++;
  return TRUE;
}

void
tl_quic_endpoint_leave_half_open (TlQuicEndpoint *endpoint, const ngtcp2_addr *remote)
{
  gint64 key = source_key (remote);
  guint n = GPOINTER_TO_UINT (g_hash_table_lookup (endpoint->half_open_sources, &key));

  endpoint->stats.half_open--;
  if (n > 1)
    g_hash_table_insert (endpoint->half_open_sources, g_memdup2 (&key, sizeof key), GUINT_TO_POINTER (n - 1));
  else
    g_hash_table_remove (endpoint->half_open_sources, &key);
}

/* ---- stateless answers ---- */

/* RFC 9000, 10.3: for a connection that an earlier run of this program had. Always shorter than what it answers. */
static void
reset (TlQuicEndpoint *endpoint, TlQuicSocket *socket, const ngtcp2_path *path, const guint8 *data, gsize length)
{
  guint8 token[NGTCP2_STATELESS_RESET_TOKENLEN];
  guint8 random[RESET_LENGTH];
  guint8 answer[RESET_LENGTH];
  gsize answer_length = MIN (length - 1, RESET_LENGTH);
  ngtcp2_cid cid;

  endpoint->stats.garbage++;
  if ((data[0] & 0x40) == 0 || answer_length < RESET_LENGTH_MIN || length < 1 + TL_QUIC_CID_LENGTH
      || !tl_quic_rate_take (&endpoint->reset_rate, endpoint->now))
    return;
  ngtcp2_cid_init (&cid, data + 1, TL_QUIC_CID_LENGTH);
  tl_random_bytes (tl_random_system (), random, sizeof random);
  if (ngtcp2_crypto_generate_stateless_reset_token (token, endpoint->reset_secret, sizeof endpoint->reset_secret, &cid)
          == 0
      && send_answer (endpoint, socket, path, answer,
                      ngtcp2_pkt_write_stateless_reset (answer, answer_length, token, random,
                                                        answer_length - NGTCP2_STATELESS_RESET_TOKENLEN)))
    endpoint->stats.resets++;
}

void
tl_quic_endpoint_refuse_version (TlQuicEndpoint *endpoint, TlQuicSocket *socket, const ngtcp2_path *path,
                                 const ngtcp2_version_cid *ids, gsize length)
{
  const uint32_t versions[] = { NGTCP2_PROTO_VER_V1, GREASE_VERSION };
  guint8 answer[ANSWER_LENGTH];
  guint8 random;

  if (length < NGTCP2_MAX_UDP_PAYLOAD_SIZE || !tl_quic_rate_take (&endpoint->version_rate, endpoint->now))
    {
      endpoint->stats.garbage++;
      return;
    }
  tl_random_bytes (tl_random_system (), &random, sizeof random);
  if (send_answer (endpoint, socket, path, answer,
                   ngtcp2_pkt_write_version_negotiation (answer, sizeof answer, random, ids->scid, ids->scidlen,
                                                         ids->dcid, ids->dcidlen, versions, G_N_ELEMENTS (versions))))
    endpoint->stats.versions++;
}

static guint64
wall_ns (TlQuicEndpoint *endpoint)
{
  return (guint64)tl_clock_wall_ms (endpoint->clock) * NGTCP2_MILLISECONDS;
}

void
tl_quic_endpoint_send_retry (TlQuicEndpoint *endpoint, TlQuicSocket *socket, const ngtcp2_path *path,
                             const ngtcp2_pkt_hd *header)
{
  guint8 token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2];
  guint8 answer[ANSWER_LENGTH];
  guint8 id[TL_QUIC_CID_LENGTH];
  ngtcp2_ssize token_length;
  ngtcp2_cid scid;

  tl_random_bytes (tl_random_system (), id, sizeof id);
  ngtcp2_cid_init (&scid, id, sizeof id);
  token_length = ngtcp2_crypto_generate_retry_token2 (token, endpoint->token_secret, sizeof endpoint->token_secret,
                                                      header->version, path->remote.addr, path->remote.addrlen, &scid,
                                                      &header->dcid, wall_ns (endpoint));
  if (token_length > 0
      && send_answer (endpoint, socket, path, answer,
                      ngtcp2_crypto_write_retry (answer, sizeof answer, header->version, &header->scid, &scid,
                                                 &header->dcid, token, (gsize)token_length)))
    endpoint->stats.retries++;
}

static void
refuse (TlQuicEndpoint *endpoint, TlQuicSocket *socket, const ngtcp2_path *path, const ngtcp2_pkt_hd *header,
        guint64 code)
{
  guint8 answer[ANSWER_LENGTH];

  if (tl_quic_rate_take (&endpoint->refusal_rate, endpoint->now))
    send_answer (endpoint, socket, path, answer,
                 ngtcp2_crypto_write_connection_close (answer, sizeof answer, header->version, &header->scid,
                                                       &header->dcid, code, NULL, 0));
}

/* ---- new connections ---- */

typedef enum
{
  TOKEN_NONE, /* or one that means nothing to us: as if there were none */
  TOKEN_GOOD,
  TOKEN_BAD, /* ours once, but not from there, or too long ago */
} Token;

static Token
check_token (TlQuicEndpoint *endpoint, const ngtcp2_path *path, const ngtcp2_pkt_hd *header, ngtcp2_cid *original_dcid)
{
  int code;

  if (header->tokenlen == 0)
    return TOKEN_NONE;
  code
      = header->token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2
            ? NGTCP2_CRYPTO_ERR_UNREADABLE_TOKEN
            : ngtcp2_crypto_verify_retry_token2 (original_dcid, header->token, header->tokenlen, endpoint->token_secret,
                                                 sizeof endpoint->token_secret, header->version, path->remote.addr,
                                                 path->remote.addrlen, &header->dcid,
                                                 TL_QUIC_TOKEN_MS * NGTCP2_MILLISECONDS, wall_ns (endpoint));
  if (code == 0)
    return TOKEN_GOOD;
  endpoint->stats.bad_tokens++;
  return code == NGTCP2_CRYPTO_ERR_VERIFY_TOKEN ? TOKEN_BAD : TOKEN_NONE;
}

static void
accept_initial (TlQuicEndpoint *endpoint, TlQuicSocket *socket, const ngtcp2_path *path, const ngtcp2_pkt_hd *header,
                const guint8 *data, gsize length)
{
  ngtcp2_cid original_dcid;
  TlQuicConnection *connection;
  Token token = check_token (endpoint, path, header, &original_dcid);
  const TlQuicAccepted accepted
      = { .header = header, .path = path, .original_dcid = token == TOKEN_GOOD ? &original_dcid : NULL };

  if (token == TOKEN_BAD)
    {
      refuse (endpoint, socket, path, header, NGTCP2_INVALID_TOKEN);
      return;
    }
  if (token == TOKEN_NONE && endpoint->stats.half_open >= endpoint->retry_threshold)
    {
      tl_quic_endpoint_send_retry (endpoint, socket, path, header);
      return;
    }
  if (endpoint->connections.length >= endpoint->max_connections)
    {
      endpoint->stats.over_limit++;
      refuse (endpoint, socket, path, header, NGTCP2_CONNECTION_REFUSED);
      return;
    }
  connection = tl_quic_connection_new_server (endpoint, &accepted);
  if (connection == NULL) /* its source has too many: the client will try again */
    endpoint->stats.over_limit++;
  else
    tl_quic_connection_read (connection, socket, path, data, length);
}

typedef struct
{
  TlQuicSocket *socket;
  ngtcp2_path_storage path;
  gsize length;
  guint8 data[];
} TlQuicInitial;

static void
serve (TlQuicEndpoint *endpoint, TlQuicInitial *initial)
{
  ngtcp2_pkt_hd header;
  TlQuicConnection *connection;

  if (ngtcp2_accept (&header, initial->data, initial->length) != 0)
    return;
  connection = tl_quic_cid_table_find (&endpoint->cids, header.dcid.data, header.dcid.datalen);
  if (connection != NULL) /* the one before it in the queue was the same, sent twice */
    tl_quic_connection_read (connection, initial->socket, &initial->path.path, initial->data, initial->length);
  else if (endpoint->has_stopped)
    refuse (endpoint, initial->socket, &initial->path.path, &header, NGTCP2_CONNECTION_REFUSED);
  else
    accept_initial (endpoint, initial->socket, &initial->path.path, &header, initial->data, initial->length);
}

void
tl_quic_endpoint_serve_waiting (TlQuicEndpoint *endpoint)
{
  guint64 until = endpoint->now + TL_QUIC_TURN_INITIAL_NS;
  TlQuicInitial *initial;

  while ((initial = g_queue_pop_head (&endpoint->waiting)) != NULL)
    {
      serve (endpoint, initial);
      g_free (initial);
      if (tl_quic_endpoint_now (endpoint) >= until)
        break;
    }
}

void
tl_quic_endpoint_accept (TlQuicEndpoint *endpoint, TlQuicSocket *socket, const ngtcp2_path *path, const guint8 *data,
                         gsize length)
{
  TlQuicInitial *initial;
  ngtcp2_pkt_hd header;

  if ((data[0] & 0x80) == 0)
    {
      reset (endpoint, socket, path, data, length);
      return;
    }
  if (ngtcp2_accept (&header, data, length) != 0)
    {
      endpoint->stats.garbage++;
      return;
    }
  if (endpoint->waiting.length >= TL_QUIC_WAITING_MAX)
    {
      endpoint->stats.over_limit++;
      return;
    }
  initial = g_malloc (sizeof (TlQuicInitial) + length);
  initial->socket = socket;
  ngtcp2_path_storage_init (&initial->path, path->local.addr, path->local.addrlen, path->remote.addr,
                            path->remote.addrlen, path->user_data);
  initial->length = length;
  memcpy (initial->data, data, length);
  g_queue_push_tail (&endpoint->waiting, initial);
}
