/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-random.h"
#include "crypto/tl-hash.h"
#include "quic/tl-quic-stream-private.h"

#define QLOG_NAME_WITHIN 64 /* bytes of a record */

/* Making and taking apart the state of a connection; what happens in between is elsewhere. */

static ngtcp2_conn *
get_conn (ngtcp2_crypto_conn_ref *ref)
{
  return ((TlQuicConnection *)ref->user_data)->conn;
}

static void
random_cid (ngtcp2_cid *cid)
{
  guint8 bytes[TL_QUIC_CID_LENGTH];

  tl_random_bytes (tl_random_system (), bytes, sizeof bytes);
  ngtcp2_cid_init (cid, bytes, sizeof bytes);
}

/* ---- qlog ---- */

/* The name of a record comes first, behind the time. */
static gboolean
is_loss (const void *data, size_t length)
{
  static const char name[] = "\"recovery:packet_lost\"";

  return memmem (data, MIN (length, QLOG_NAME_WITHIN), name, sizeof name - 1) != NULL;
}

static void
write_qlog (void *user_data, uint32_t flags, const void *data, size_t length)
{
  TlQuicConnection *connection = user_data;

  if (connection->counts_losses && is_loss (data, length))
    connection->lost++;
  if (connection->qlog != NULL)
    (void)!fwrite (data, 1, length, connection->qlog);
}

#ifdef NGTCP2_CONN_INFO_V2
static void
count_losses (TlQuicConnection *connection, ngtcp2_settings *settings)
{
}
#else
/* ngtcp2 before 1.16 tells of lost packets in its qlog only, be it for a file or not. */
static void
count_losses (TlQuicConnection *connection, ngtcp2_settings *settings)
{
  connection->counts_losses = connection->endpoint->count_losses;
  if (connection->counts_losses)
    settings->qlog_write = write_qlog;
}
#endif

/* A file that cannot be made is no reason to refuse a connection: then there is none. */
static void
open_qlog (TlQuicConnection *connection, const ngtcp2_cid *id, ngtcp2_settings *settings)
{
  g_autofree char *hex = NULL;
  g_autofree char *name = NULL;
  g_autofree char *path = NULL;

  count_losses (connection, settings);
  if (connection->endpoint->qlog_directory == NULL)
    return;
  hex = tl_hex_encode (id->data, id->datalen);
  name = g_strdup_printf ("%s-%s.sqlog", hex, connection->is_server ? "server" : "client");
  path = g_build_filename (connection->endpoint->qlog_directory, name, NULL);
  connection->qlog = fopen (path, "wxe");
  if (connection->qlog == NULL)
    g_debug ("cannot write %s: %s", path, g_strerror (errno));
  else
    settings->qlog_write = write_qlog;
}

/* ---- both sides ---- */

static TlQuicConnection *
make_connection (TlQuicEndpoint *endpoint, const TlQuicConnectionHandlers *handlers, gpointer user_data,
                 gboolean is_server)
{
  TlQuicConnection *connection = g_new0 (TlQuicConnection, 1);

  connection->endpoint = endpoint;
  connection->handlers = handlers;
  connection->user_data = user_data;
  connection->is_server = is_server != FALSE;
  connection->ref = (ngtcp2_crypto_conn_ref){ .get_conn = get_conn, .user_data = connection };
  connection->link.data = connection->ready_link.data = connection;
  connection->last_ts = tl_quic_endpoint_now (endpoint);
  connection->deadline = connection->last_ts + (guint64)endpoint->handshake_timeout_ms * 1000000;
  return connection;
}

static void
fill_settings (TlQuicConnection *connection, ngtcp2_settings *settings)
{
  ngtcp2_settings_default (settings);
  settings->initial_ts = connection->last_ts;
  settings->handshake_timeout = UINT64_MAX; /* our own runs until the handshake is *confirmed* */
}

static void
fill_params (TlQuicConnection *connection, ngtcp2_transport_params *params)
{
  ngtcp2_transport_params_default (params);
  params->initial_max_stream_data_bidi_local = TL_QUIC_STREAM_WINDOW;
  params->initial_max_stream_data_bidi_remote = TL_QUIC_STREAM_WINDOW;
  params->initial_max_data = TL_QUIC_CONNECTION_WINDOW;
  params->initial_max_streams_bidi = TL_QUIC_MAX_STREAMS;
  params->initial_max_streams_uni = 0;
  params->max_idle_timeout = (ngtcp2_duration)connection->endpoint->idle_ms * NGTCP2_MILLISECONDS;
  params->active_connection_id_limit = TL_QUIC_ACTIVE_CIDS;
}

static gboolean
start_tls (TlQuicConnection *connection, TlQuicTls *tls, const ngtcp2_addr *remote, GError **error)
{
  char text[TL_QUIC_ADDRESS_TEXT];

  tl_quic_address_format (remote, text);
  connection->session = tl_quic_tls_session_new (tls, &connection->ref, text, error);
  if (connection->session == NULL)
    return FALSE;
  ngtcp2_conn_set_tls_native_handle (connection->conn, tl_quic_tls_session_native (connection->session));
  return TRUE;
}

static gboolean
map_cid (TlQuicConnection *connection, const ngtcp2_cid *cid)
{
  TlQuicCidEntry *entry = tl_quic_cid_table_add (&connection->endpoint->cids, cid->data, cid->datalen, connection);

  if (entry == NULL)
    return FALSE;
  entry->next = connection->cids;
  connection->cids = entry;
  return TRUE;
}

/* ---- server ---- */

static gboolean
enter_half_open (TlQuicConnection *connection, const ngtcp2_addr *remote)
{
  TlQuicEndpoint *endpoint = connection->endpoint;

  if (!tl_quic_endpoint_enter_half_open (endpoint, remote))
    return FALSE;
  memcpy (&connection->source.address, remote->addr, remote->addrlen);
  connection->source.length = remote->addrlen;
  connection->is_half_open = TRUE;
  return TRUE;
}

TlQuicConnection *
tl_quic_connection_new_server (TlQuicEndpoint *endpoint, const TlQuicAccepted *accepted)
{
  TlQuicConnection *connection = make_connection (endpoint, endpoint->handlers, endpoint->user_data, TRUE);
  const ngtcp2_pkt_hd *header = accepted->header;
  ngtcp2_callbacks callbacks;
  ngtcp2_settings settings;
  ngtcp2_transport_params params;
  ngtcp2_cid scid;

  random_cid (&scid);
  tl_quic_connection_fill_callbacks (&callbacks, TRUE);
  fill_settings (connection, &settings);
  fill_params (connection, &params);
  params.original_dcid = accepted->original_dcid != NULL ? *accepted->original_dcid : header->dcid;
  params.original_dcid_present = 1;
  if (accepted->original_dcid != NULL)
    {
      params.retry_scid = header->dcid;
      params.retry_scid_present = 1;
      settings.token = header->token;
      settings.tokenlen = header->tokenlen;
      settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
    }
  params.stateless_reset_token_present
      = ngtcp2_crypto_generate_stateless_reset_token (params.stateless_reset_token, endpoint->reset_secret,
                                                      sizeof endpoint->reset_secret, &scid)
        == 0;
  open_qlog (connection, &params.original_dcid, &settings);
  if (!enter_half_open (connection, &accepted->path->remote)
      || ngtcp2_conn_server_new (&connection->conn, &header->scid, &scid, accepted->path, header->version, &callbacks,
                                 &settings, &params, NULL, connection)
             != 0
      || !start_tls (connection, endpoint->tls, &accepted->path->remote, NULL) || !map_cid (connection, &scid)
      || !map_cid (connection, &header->dcid))
    {
      tl_quic_connection_free (connection);
      return NULL;
    }
  g_queue_push_tail_link (&endpoint->connections, &connection->link);
  return connection;
}

/* ---- client ---- */

TlQuicConnection *
tl_quic_connection_new_client (TlQuicEndpoint *endpoint, TlQuicSocket *socket, TlQuicTls *tls,
                               const TlQuicConnectionHandlers *handlers, gpointer user_data, GError **error)
{
  TlQuicConnection *connection = make_connection (endpoint, handlers, user_data, FALSE);
  const ngtcp2_path path = {
    .local = { &socket->shown.address.sa, socket->shown.length },
    .remote = { &socket->remote.address.sa, socket->remote.length },
    .user_data = socket,
  };
  ngtcp2_callbacks callbacks;
  ngtcp2_settings settings;
  ngtcp2_transport_params params;
  ngtcp2_cid dcid;
  /* Empty: a socket leads to one connection. (An id would only cost: ngtcp2 1.11 as a server counts one that it has
   * retired while the path before is still its fallback, and takes us for an attacker when we move twice in a row.) */
  const ngtcp2_cid scid = { 0 };

  random_cid (&dcid);
  tl_quic_connection_fill_callbacks (&callbacks, FALSE);
  fill_settings (connection, &settings);
  fill_params (connection, &params);
  open_qlog (connection, &dcid, &settings);
  if (ngtcp2_conn_client_new (&connection->conn, &dcid, &scid, &path, NGTCP2_PROTO_VER_V1, &callbacks, &settings,
                              &params, NULL, connection)
      != 0)
    {
      connection->conn = NULL;
      tl_quic_connection_free (connection);
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INTERNAL, "cannot make a QUIC connection: out of memory");
      return NULL;
    }
  if (!start_tls (connection, tls, &path.remote, error))
    {
      tl_quic_connection_free (connection);
      return NULL;
    }
  ngtcp2_conn_set_keep_alive_timeout (connection->conn, (ngtcp2_duration)endpoint->keep_alive_ms * NGTCP2_MILLISECONDS);
  connection->sockets[0] = socket;
  socket->owner = connection;
  g_queue_push_tail_link (&endpoint->connections, &connection->link);
  return connection;
}

/* ---- the end ---- */

void
tl_quic_connection_drop_state (TlQuicConnection *connection)
{
  if (connection->is_half_open)
    {
      const ngtcp2_addr remote = { &connection->source.address.sa, connection->source.length };

      connection->is_half_open = FALSE;
      tl_quic_endpoint_leave_half_open (connection->endpoint, &remote);
    }
  if (connection->conn != NULL)
    ngtcp2_conn_del (connection->conn);
  connection->conn = NULL;
  g_clear_pointer (&connection->session, tl_quic_tls_session_free);
  /* ngtcp2 held on to what was queued until now. */
  while (connection->streams.head != NULL)
    tl_quic_stream_free (connection->streams.head->data);
  if (connection->qlog != NULL)
    fclose (g_steal_pointer (&connection->qlog));
}

static void
forget_cids (TlQuicEndpoint *endpoint, TlQuicCidEntry **list)
{
  while (*list != NULL)
    {
      TlQuicCidEntry *entry = *list;

      *list = entry->next;
      tl_quic_cid_table_remove (&endpoint->cids, entry);
    }
}

void
tl_quic_connection_free (TlQuicConnection *connection)
{
  TlQuicEndpoint *endpoint = connection->endpoint;

  tl_quic_connection_drop_state (connection);
  forget_cids (endpoint, &connection->cids);
  forget_cids (endpoint, &connection->retired);
  tl_quic_heap_set (&endpoint->heap, &connection->timer, TL_QUIC_TIMER_NEVER);
  for (int i = 0; i < TL_QUIC_CLIENT_SOCKETS; i++)
    {
      if (connection->sockets[i] != NULL)
        tl_quic_endpoint_drop_socket (endpoint, connection->sockets[i]);
    }
  if (connection->next_socket != NULL)
    tl_quic_endpoint_drop_socket (endpoint, connection->next_socket);
  g_free (connection->close_packet);
  g_free (connection->close_path);
  g_free (connection);
}
