/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "quic-raw.h"

/* Handlers may call anything of their connection, at any time; and packets get lost. */

static void
count_closed (TlQuicStream *stream, guint64 code, gpointer user_data)
{
  ++*(guint *)user_data;
}

static void
ignore_frame (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
}

static const TlQuicStreamHandlers counting = { .frame = ignore_frame, .closed = count_closed };

typedef struct
{
  QuicWorld *world;
  guint streams_closed;
  guint opened, closed;
  guint again; /* times to connect anew from within `closed` */
  TlQuicClose why;
} Client;

static const TlQuicConnectionHandlers closing_handlers, chaining_handlers;

static void
connect_client (Client *client, const TlQuicConnectionHandlers *handlers)
{
  g_assert_nonnull (tl_quic_endpoint_connect (client->world->client, client->world->address, client->world->client_tls,
                                              handlers, client, NULL));
}

/* Everything at once, then the end. */
static void
use_and_close (TlQuicConnection *connection, gpointer user_data)
{
  Client *client = user_data;
  TlQuicConnectionInfo info;
  TlQuicStream *streams[3];

  client->opened++;
  for (guint i = 0; i < G_N_ELEMENTS (streams); i++)
    {
      streams[i] = tl_quic_connection_open_stream (connection, &counting, &client->streams_closed);
      g_assert_nonnull (streams[i]);
      g_assert_true (tl_quic_stream_send (streams[i], "x", 1, i == 0));
    }
  tl_quic_stream_reset (streams[1], TL_QUIC_STREAM_CANCELLED);
  tl_quic_connection_ping (connection);
  tl_quic_connection_get_info (connection, &info);
  g_assert_cmpint (info.since_us, >, 0);
  g_assert_true (tl_quic_connection_rebind (connection, NULL));
  tl_quic_connection_migrate (connection, TRUE, NULL);
  tl_quic_connection_close (connection, TL_QUIC_CLOSE_GOING_AWAY, "done");
  g_assert_cmpuint (client->closed, ==, 0);
  g_assert_false (tl_quic_stream_send (streams[2], "x", 1, FALSE));
  tl_quic_stream_reset (streams[2], TL_QUIC_STREAM_CANCELLED);
  tl_quic_stream_finish (streams[2]);
  tl_quic_connection_ping (connection);
  g_assert_false (tl_quic_connection_migrate (connection, FALSE, NULL));
  tl_quic_connection_get_info (connection, &info);
}

static void
note_closed (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data)
{
  Client *client = user_data;
  TlQuicConnectionInfo info;

  client->closed++;
  client->why = *why;
  tl_quic_connection_get_info (connection, &info);
  tl_quic_connection_close (connection, TL_QUIC_CLOSE_REVOKED, NULL); /* says nothing any more */
  g_assert_null (tl_quic_connection_open_stream (connection, &counting, NULL));
}

static const TlQuicConnectionHandlers closing_handlers = { .opened = use_and_close, .closed = note_closed };

static void
test_everything_in_opened (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  Client client = { .world = world };

  connect_client (&client, &closing_handlers);
  quic_wait (client.closed == 1);
  g_assert_cmpuint (client.opened, ==, 1);
  g_assert_cmpuint (client.streams_closed, ==, 3);
  g_assert_cmpint (client.why.ending, ==, TL_QUIC_ENDED_LOCALLY);
  quic_wait (world->accepted->len == 1 && quic_world_accepted (world, 0)->closed);
  g_assert_cmphex (quic_world_accepted (world, 0)->why.code, ==, TL_QUIC_CLOSE_GOING_AWAY);
  g_assert_cmpstr (quic_world_accepted (world, 0)->reason, ==, "done");
}

static void
connect_again (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data)
{
  Client *client = user_data;

  client->closed++;
  if (client->again-- > 1)
    connect_client (client, &chaining_handlers);
}

static void
close_at_once (TlQuicConnection *connection, gpointer user_data)
{
  tl_quic_connection_close (connection, 0, NULL);
}

static const TlQuicConnectionHandlers chaining_handlers = { .opened = close_at_once, .closed = connect_again };

static void
test_connect_in_closed (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  Client client = { .world = world, .again = 5 };

  connect_client (&client, &chaining_handlers);
  quic_wait (client.closed == 5);
}

/* A server that wants nobody. */
static void
refuse (TlQuicConnection *connection, gpointer user_data)
{
  tl_quic_connection_close (connection, TL_QUIC_CLOSE_LIMIT, NULL);
}

static void
note_server_closed (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data)
{
  ++*(guint *)user_data;
}

static void
test_close_in_accepted (void)
{
  static const TlQuicConnectionHandlers handlers = { .accepted = refuse, .closed = note_server_closed };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer;
  guint closed = 0;

  world->server->handlers = &handlers;
  world->server->user_data = &closed;
  peer = quic_world_connect (world, world->address);
  quic_wait (peer->closed && closed == 1);
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_BY_PEER);
  g_assert_cmphex (peer->why.code, ==, TL_QUIC_CLOSE_LIMIT);
}

/* The next request from within the end of the one before. */
typedef struct
{
  TlQuicConnection *connection;
  guint left;
} Chain;

static void next_request (Chain *chain);

static void
request_closed (TlQuicStream *stream, guint64 code, gpointer user_data)
{
  Chain *chain = user_data;

  g_assert_cmphex (code, ==, 0);
  if (--chain->left > 0)
    next_request (chain);
}

static void
next_request (Chain *chain)
{
  static const TlQuicStreamHandlers handlers = { .frame = ignore_frame, .closed = request_closed };
  TlQuicStream *stream = tl_quic_connection_open_stream (chain->connection, &handlers, chain);

  g_assert_nonnull (stream);
  g_assert_true (tl_quic_stream_send (stream, "x", 1, TRUE));
}

static void
test_open_in_closed (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  Chain chain = { peer->connection, 500 };

  next_request (&chain);
  quic_wait (chain.left == 0);
}

/* One connection's handler ends the others. */
static void
close_others (QuicCall *call, const guint8 *data, gsize length)
{
  QuicWorld *world = call->peer->world;

  for (guint i = 0; i < world->accepted->len; i++)
    {
      QuicPeer *other = quic_world_accepted (world, i);

      if (other != call->peer)
        tl_quic_connection_close (other->connection, TL_QUIC_CLOSE_SUPERSEDED, NULL);
    }
  quic_world_echo (call, data, length);
}

static void
test_close_others (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peers[4];
  QuicCall *call;

  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    peers[i] = quic_world_open (world);
  world->serve = close_others;
  call = quic_world_call (peers[3], "x", 1, TRUE);
  quic_wait (call->closed);
  for (guint i = 0; i < 3; i++)
    {
      quic_wait (peers[i]->closed);
      g_assert_cmphex (peers[i]->why.code, ==, TL_QUIC_CLOSE_SUPERSEDED);
    }
  g_assert_false (peers[3]->closed);
}

/* RFC 9000, 10.2.1: whoever did not get the CONNECTION_CLOSE gets it again. */
static void
test_lost_close (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  TlQuicSocket *socket = g_ptr_array_index (world->server->sockets, 0);

  socket->pending = g_malloc0 (1); /* nothing leaves */
  tl_quic_connection_close (quic_world_accepted (world, 0)->connection, TL_QUIC_CLOSE_REVOKED, NULL);
  quic_wait (quic_world_accepted (world, 0)->closed);
  g_clear_pointer (&socket->pending, g_free);
  g_assert_false (peer->closed);
  tl_quic_connection_ping (peer->connection);
  quic_wait (peer->closed);
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_BY_PEER);
  g_assert_cmphex (peer->why.code, ==, TL_QUIC_CLOSE_REVOKED);
}

/* Every tenth datagram goes nowhere, in both directions: nothing of the streams does. */
static void
test_loss (gconstpointer exactly)
{
  const TlQuicEndpointOptions options = { .count_losses = exactly != NULL };
  enum
  {
    N = 8,
    LENGTH = 60000
  };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  g_autoptr (QuicRelay) relay = quic_relay_new (world);
  g_autofree char *address = quic_raw_address (relay->front);
  g_autofree guint8 *data = g_malloc0 (LENGTH);
  QuicPeer *peer = quic_world_connect (world, address);
  QuicCall *calls[N];

  relay->drop_every = 10;
  quic_wait ((quic_relay_turn (relay), peer->opened && world->accepted->len == 1));
  for (int i = 0; i < N; i++)
    calls[i] = quic_world_call (peer, data, LENGTH, TRUE);
  for (int i = 0; i < N; i++)
    {
      quic_wait ((quic_relay_turn (relay), calls[i]->closed));
      g_assert_cmpuint (calls[i]->code, ==, 0);
      g_assert_cmpmem (calls[i]->received->data, calls[i]->received->len, data, LENGTH);
    }
  g_assert_cmpuint (quic_world_info (peer).packets_lost, >, 0);
  g_assert_cmpuint (quic_world_info (quic_world_accepted (world, 0)).packets_lost, >, 0);
}

/* The one packet of a request: a timeout sends it again, long before it is declared lost. */
static void
test_last_packet_lost (void)
{
  const TlQuicEndpointOptions options = { .count_losses = TRUE };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  g_autoptr (QuicRelay) relay = quic_relay_new (world);
  g_autofree char *address = quic_raw_address (relay->front);
  QuicPeer *peer = quic_world_connect (world, address);
  QuicCall *call;

  quic_wait ((quic_relay_turn (relay), peer->opened && world->accepted->len == 1));
  relay->drop_every = 1;
  call = quic_world_call (peer, "x", 1, TRUE);
  quic_wait ((quic_relay_turn (relay), relay->n_dropped > 0));
  relay->drop_every = 0;
  quic_wait ((quic_relay_turn (relay), call->closed));
  g_assert_cmpuint (call->frames, ==, 1);
  quic_wait ((quic_relay_turn (relay), quic_world_info (peer).packets_lost > 0));
}

static void
test_nothing_lost (void)
{
  const TlQuicEndpointOptions options = { .count_losses = TRUE };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  QuicPeer *peer = quic_world_open (world);

  for (int i = 0; i < 100; i++)
    {
      QuicCall *call = quic_world_call (peer, "x", 1, TRUE);

      quic_wait (call->closed);
    }
  g_assert_cmpuint (quic_world_info (peer).packets_lost, ==, 0);
}

static void
test_key_update (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);

  for (guint n = 0; n < 3;)
    {
      QuicCall *call;

      n += ngtcp2_conn_initiate_key_update (peer->connection->conn, tl_quic_connection_ts (peer->connection)) == 0;
      call = quic_world_call (peer, "x", 1, TRUE);
      quic_wait (call->closed);
      g_assert_cmpuint (call->frames, ==, 1);
      quic_world_iterate ();
    }
}

/* A kernel or a network card that does not segment. */
static void
test_without_gso (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  g_autofree guint8 *data = g_malloc0 (TL_QUIC_MAX_FRAME);
  QuicCall *call;

  ((TlQuicSocket *)g_ptr_array_index (world->server->sockets, 0))->has_gso = FALSE;
  peer->connection->sockets[0]->has_gso = FALSE;
  call = quic_world_call (peer, data, TL_QUIC_MAX_FRAME, TRUE);
  quic_wait (call->closed);
  g_assert_cmpuint (call->last_length, ==, TL_QUIC_MAX_FRAME);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quic/handlers/everything-in-opened", test_everything_in_opened);
  g_test_add_func ("/quic/handlers/connect-in-closed", test_connect_in_closed);
  g_test_add_func ("/quic/handlers/close-in-accepted", test_close_in_accepted);
  g_test_add_func ("/quic/handlers/open-in-closed", test_open_in_closed);
  g_test_add_func ("/quic/handlers/close-others", test_close_others);
  g_test_add_func ("/quic/handlers/lost-close", test_lost_close);
  g_test_add_data_func ("/quic/handlers/loss", NULL, test_loss);
  g_test_add_data_func ("/quic/handlers/loss-counted", "exactly", test_loss);
  g_test_add_func ("/quic/handlers/last-packet-lost", test_last_packet_lost);
  g_test_add_func ("/quic/handlers/nothing-lost", test_nothing_lost);
  g_test_add_func ("/quic/handlers/key-update", test_key_update);
  g_test_add_func ("/quic/handlers/without-gso", test_without_gso);
  return g_test_run ();
}
