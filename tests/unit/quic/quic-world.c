/* SPDX-License-Identifier: Apache-2.0 */
#include "quic-world.h"

#include <string.h>

#include "../identity/identity-fixture.h"

/* ---- TLS ---- */

static guint8
accept_server (const TlQuicPeerCertificate *peer, gpointer user_data)
{
  return TL_QUIC_ALERT_NONE;
}

static guint8
accept_client (const TlQuicPeerCertificate *peer, gpointer user_data)
{
  return ((QuicWorld *)user_data)->verdict;
}

static TlQuicTls *
make_tls (TlCertificateAuthority *ca, X509 *leaf, EVP_PKEY *key, gboolean is_server, QuicWorld *world)
{
  g_autofree char *first = tl_certificate_to_pem (leaf);
  g_autofree char *second = tl_certificate_to_pem (tl_certificate_authority_certificate (ca));
  g_autofree char *chain = g_strconcat (first, second, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) key_pem = tl_p256_to_pem (key, &error);
  const TlQuicTlsOptions options
      = { is_server, chain, key_pem, is_server ? accept_client : accept_server, world, NULL };
  TlQuicTls *tls = tl_quic_tls_new (&options, &error);

  g_assert_no_error (error);
  return tls;
}

static void
make_identities (QuicWorld *world)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) server_key = make_key ();
  g_autoptr (EVP_PKEY) client_key = make_key ();
  g_autoptr (X509) server = make_server_leaf (ca, server_key, NULL);
  g_autoptr (X509) client = make_device_leaf (ca, client_key, DEVICE, NOW, DAY);

  world->server_tls = make_tls (ca, server, server_key, TRUE, world);
  world->client_tls = make_tls (ca, client, client_key, FALSE, world);
}

/* ---- what happens ---- */

static QuicPeer *
peer_new (QuicWorld *world, TlQuicConnection *connection)
{
  QuicPeer *peer = g_new0 (QuicPeer, 1);

  peer->world = world;
  peer->connection = connection;
  g_ptr_array_add (world->peers, peer);
  return peer;
}

static QuicCall *
call_new (QuicPeer *peer)
{
  QuicCall *call = g_new0 (QuicCall, 1);

  call->peer = peer;
  call->received = g_byte_array_new ();
  peer->open_streams++;
  g_ptr_array_add (peer->world->calls, call);
  return call;
}

static void
call_free (gpointer data)
{
  QuicCall *call = data;

  g_byte_array_unref (call->received);
  g_free (call);
}

static void
on_closed (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data)
{
  QuicPeer *peer = tl_quic_connection_get_data (connection);

  g_assert_false (peer->closed);
  peer->closed = TRUE;
  peer->connection = NULL;
  peer->why = *why;
  g_strlcpy (peer->reason, why->reason, sizeof peer->reason);
  peer->streams_at_close = peer->open_streams;
}

static void
on_migrated (TlQuicConnection *connection, gpointer user_data)
{
  ((QuicPeer *)tl_quic_connection_get_data (connection))->migrated++;
}

static void
on_opened (TlQuicConnection *connection, gpointer user_data)
{
  ((QuicPeer *)tl_quic_connection_get_data (connection))->opened = TRUE;
}

static void
on_accepted (TlQuicConnection *connection, gpointer user_data)
{
  QuicPeer *peer = peer_new (user_data, connection);

  peer->opened = TRUE;
  tl_quic_connection_set_data (connection, peer);
  g_ptr_array_add (peer->world->accepted, peer);
}

static void
record (QuicCall *call, const guint8 *data, gsize length)
{
  call->frames++;
  call->last_length = length;
  g_byte_array_append (call->received, data, (guint)length);
}

static void
on_frame (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
  QuicCall *call = user_data;

  g_assert_false (call->closed);
  record (call, data, length);
}

static void
on_request (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
  QuicCall *call = user_data;

  g_assert_false (call->closed);
  record (call, data, length);
  call->peer->world->serve (call, data, length);
}

static void
on_too_large (TlQuicStream *stream, guint32 length, gpointer user_data)
{
  QuicCall *call = user_data;

  call->too_large = length;
  if (call->peer->world->too_large != NULL)
    call->peer->world->too_large (call, NULL, length);
}

static void
on_finished (TlQuicStream *stream, gpointer user_data)
{
  ((QuicCall *)user_data)->finished = TRUE;
}

static void
on_drained (TlQuicStream *stream, gpointer user_data)
{
  ((QuicCall *)user_data)->drained++;
}

static void
on_stream_closed (TlQuicStream *stream, guint64 code, gpointer user_data)
{
  QuicCall *call = user_data;

  g_assert_false (call->closed);
  g_assert_false (tl_quic_stream_send (stream, "x", 1, FALSE));
  call->closed = TRUE;
  call->code = code;
  call->stream = NULL;
  call->peer->open_streams--;
}

static const TlQuicStreamHandlers server_stream_handlers = { .frame = on_request,
                                                             .too_large = on_too_large,
                                                             .finished = on_finished,
                                                             .drained = on_drained,
                                                             .closed = on_stream_closed };

const TlQuicStreamHandlers quic_world_client_stream_handlers
    = { .frame = on_frame, .finished = on_finished, .drained = on_drained, .closed = on_stream_closed };

static void
on_stream (TlQuicConnection *connection, TlQuicStream *stream, gpointer user_data)
{
  QuicPeer *peer = tl_quic_connection_get_data (connection);
  QuicCall *call;

  peer->streams++;
  if (peer->world->refuse_streams)
    return;
  call = call_new (peer);
  call->stream = stream;
  tl_quic_stream_set_handlers (stream, &server_stream_handlers, call);
}

static const TlQuicConnectionHandlers server_handlers
    = { .accepted = on_accepted, .stream = on_stream, .migrated = on_migrated, .closed = on_closed };

const TlQuicConnectionHandlers quic_world_client_handlers
    = { .opened = on_opened, .stream = on_stream, .migrated = on_migrated, .closed = on_closed };

void
quic_world_echo (QuicCall *call, const guint8 *data, gsize length)
{
  g_assert_true (tl_quic_stream_send (call->stream, data, length, TRUE));
}

/* ---- life ---- */

static void
start_server (QuicWorld *world, const char *address, const TlQuicEndpointOptions *options)
{
  TlQuicEndpointOptions server = options != NULL ? *options : (TlQuicEndpointOptions){ 0 };
  g_autoptr (GError) error = NULL;

  server.handlers = &server_handlers;
  server.user_data = world;
  server.tls = world->server_tls;
  world->server = tl_quic_endpoint_new (&server, &error);
  g_assert_no_error (error);
  tl_quic_endpoint_listen (world->server, address, NULL, &error);
  g_assert_no_error (error);
}

QuicWorld *
quic_world_new (const char *address, const TlQuicEndpointOptions *options)
{
  QuicWorld *world = g_new0 (QuicWorld, 1);
  TlQuicEndpointOptions client = options != NULL ? *options : (TlQuicEndpointOptions){ 0 };
  g_autoptr (GError) error = NULL;
  TlQuicSocket *socket;

  world->accepted = g_ptr_array_new ();
  world->peers = g_ptr_array_new_with_free_func (g_free);
  world->calls = g_ptr_array_new_with_free_func (call_free);
  world->serve = quic_world_echo;
  make_identities (world);
  start_server (world, address, options);
  socket = g_ptr_array_index (world->server->sockets, 0);
  tl_quic_address_format (&(ngtcp2_addr){ &socket->local.address.sa, socket->local.length }, world->address);
  client.secret = NULL;
  world->client = tl_quic_endpoint_new (&client, &error);
  g_assert_no_error (error);
  return world;
}

void
quic_world_free (QuicWorld *world)
{
  tl_quic_endpoint_free (world->client);
  tl_quic_endpoint_free (world->server);
  for (guint i = 0; i < world->peers->len; i++)
    g_assert_true (((QuicPeer *)g_ptr_array_index (world->peers, i))->closed);
  for (guint i = 0; i < world->calls->len; i++)
    g_assert_true (((QuicCall *)g_ptr_array_index (world->calls, i))->closed);
  tl_quic_tls_unref (world->server_tls);
  tl_quic_tls_unref (world->client_tls);
  g_ptr_array_unref (world->accepted);
  g_ptr_array_unref (world->peers);
  g_ptr_array_unref (world->calls);
  g_free (world);
}

/* What a crash leaves: nobody says goodbye. */
static void
silence (TlQuicEndpoint *endpoint)
{
  for (guint i = 0; i < endpoint->sockets->len; i++)
    {
      TlQuicSocket *socket = g_ptr_array_index (endpoint->sockets, i);

      socket->pending = g_malloc0 (1); /* as if the kernel took nothing more */
    }
}

void
quic_world_restart (QuicWorld *world, const TlQuicEndpointOptions *options, gboolean is_crash)
{
  if (is_crash)
    silence (world->server);
  tl_quic_endpoint_free (world->server);
  start_server (world, world->address, options);
}

QuicPeer *
quic_world_connect (QuicWorld *world, const char *address)
{
  g_autoptr (GError) error = NULL;
  TlQuicConnection *connection = tl_quic_endpoint_connect (world->client, address, world->client_tls,
                                                           &quic_world_client_handlers, world, &error);
  QuicPeer *peer;

  g_assert_no_error (error);
  peer = peer_new (world, connection);
  tl_quic_connection_set_data (connection, peer);
  return peer;
}

QuicPeer *
quic_world_open (QuicWorld *world)
{
  guint before = world->accepted->len;
  QuicPeer *peer = quic_world_connect (world, world->address);

  quic_wait (peer->opened && world->accepted->len > before);
  return peer;
}

QuicPeer *
quic_world_accepted (QuicWorld *world, guint index)
{
  g_assert_cmpuint (index, <, world->accepted->len);
  return g_ptr_array_index (world->accepted, index);
}

QuicCall *
quic_world_call (QuicPeer *peer, const void *data, gsize length, gboolean last)
{
  QuicCall *call = call_new (peer);

  call->stream = tl_quic_connection_open_stream (peer->connection, &quic_world_client_stream_handlers, call);
  g_assert_nonnull (call->stream);
  if (length > 0)
    g_assert_true (tl_quic_stream_send (call->stream, data, length, last));
  return call;
}

TlQuicConnectionInfo
quic_world_info (QuicPeer *peer)
{
  TlQuicConnectionInfo info;

  tl_quic_connection_get_info (peer->connection, &info);
  return info;
}

TlQuicEndpointStats
quic_world_stats (QuicWorld *world)
{
  TlQuicEndpointStats stats;

  tl_quic_endpoint_get_stats (world->server, &stats);
  return stats;
}

static gboolean
on_tick (gpointer user_data)
{
  return G_SOURCE_CONTINUE;
}

void
quic_world_iterate (void)
{
  guint tick = g_timeout_add (20, on_tick, NULL);

  g_main_context_iteration (NULL, TRUE);
  g_source_remove (tick);
}
