/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "quic-raw.h"

/* A connection that comes to another address while a request is under way. */

static void
hold (QuicCall *call, const guint8 *data, gsize length)
{
  call->peer->world->test_data = call;
}

static QuicCall *
start_held_call (QuicWorld *world, QuicPeer *peer)
{
  QuicCall *call;

  world->serve = hold;
  world->test_data = NULL;
  call = quic_world_call (peer, "work", 4, TRUE);
  quic_wait (world->test_data != NULL);
  return call;
}

static void
answer_held_call (QuicWorld *world, QuicCall *call)
{
  QuicCall *held = world->test_data;

  g_assert_true (tl_quic_stream_send (held->stream, "done", 4, TRUE));
  quic_wait (call->closed);
  g_assert_cmpuint (call->code, ==, 0);
  g_assert_cmpmem (call->received->data, call->received->len, "done", 4);
}

static void
assert_moved (QuicWorld *world, QuicPeer *peer, const char *before, guint times)
{
  TlQuicConnectionInfo client = quic_world_info (peer);
  TlQuicConnectionInfo server = quic_world_info (quic_world_accepted (world, 0));

  g_assert_cmpuint (world->accepted->len, ==, 1); /* no new connection */
  g_assert_cmpstr (client.local, !=, before);
  g_assert_cmpstr (server.remote, ==, client.local);
  g_assert_cmpuint (server.migrations, ==, times);
  g_assert_cmpuint (quic_world_accepted (world, 0)->migrated, ==, times);
  g_assert_cmpuint (quic_world_stats (world).migrations, ==, times);
}

static void
test_rebind (gconstpointer address)
{
  g_autoptr (QuicWorld) world = quic_world_new (address, NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *call = start_held_call (world, peer);
  TlQuicConnectionInfo before = quic_world_info (peer);
  g_autoptr (GError) error = NULL;

  g_assert_true (tl_quic_connection_rebind (peer->connection, &error));
  g_assert_no_error (error);
  tl_quic_connection_ping (peer->connection); /* a NAT, too, needs a packet to make a new mapping */
  quic_wait (quic_world_accepted (world, 0)->migrated == 1);
  answer_held_call (world, call);
  assert_moved (world, peer, before.local, 1);
  g_assert_cmpuint (peer->migrated, ==, 0); /* nobody told it */
}

static void
migrate (gboolean immediate)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *call = start_held_call (world, peer);
  TlQuicConnectionInfo before = quic_world_info (peer);
  g_autoptr (GError) error = NULL;

  g_assert_true (tl_quic_connection_migrate (peer->connection, immediate, &error));
  g_assert_no_error (error);
  quic_wait (peer->migrated == 1);
  tl_quic_connection_ping (peer->connection);
  quic_wait (quic_world_accepted (world, 0)->migrated == 1);
  answer_held_call (world, call);
  assert_moved (world, peer, before.local, 1);
  g_assert_cmpuint (quic_world_info (peer).migrations, ==, 1);
}

static void
test_migrate_validated (void)
{
  migrate (FALSE);
}

static void
test_migrate_immediate (void)
{
  migrate (TRUE);
}

/* Again and again: connection ids are replaced, sockets are not kept. */
static void
test_migrate_often (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);

  for (guint i = 1; i <= 30; i++)
    {
      g_autoptr (GError) error = NULL;
      QuicCall *call;

      while (!tl_quic_connection_migrate (peer->connection, i % 2 == 0, &error))
        {
          g_assert_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION); /* too soon */
          g_clear_error (&error);
          quic_world_iterate ();
        }
      quic_wait (peer->migrated == i);
      call = quic_world_call (peer, "x", 1, TRUE);
      quic_wait (call->closed);
      g_assert_cmpuint (call->frames, ==, 1);
      g_assert_cmpuint (world->client->sockets->len, <=, 2);
    }
  g_assert_cmpuint (world->accepted->len, ==, 1);
}

/* While much is on its way in both directions nothing of it is lost. */
static void
test_migrate_under_load (void)
{
  enum
  {
    N = 12
  };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  g_autofree guint8 *data = g_malloc0 (TL_QUIC_MAX_FRAME);
  QuicCall *calls[N];

  for (int i = 0; i < N; i++)
    calls[i] = quic_world_call (peer, data, TL_QUIC_MAX_FRAME, TRUE);
  for (int i = 0; i < N; i++)
    {
      if (i % 4 == 0)
        g_assert_true (tl_quic_connection_rebind (peer->connection, NULL));
      else if (i % 4 == 2)
        tl_quic_connection_migrate (peer->connection, i % 8 == 2, NULL);
      tl_quic_connection_ping (peer->connection);
      quic_wait (calls[i]->closed);
      g_assert_cmpuint (calls[i]->code, ==, 0);
      g_assert_cmpuint (calls[i]->last_length, ==, TL_QUIC_MAX_FRAME);
    }
  g_assert_cmpuint (world->accepted->len, ==, 1);
  g_assert_cmpuint (quic_world_accepted (world, 0)->migrated, >, 0);
}

/* What was sent with an id before it was retired may come after: that is no packet of a lost connection, and a
 * stateless reset in answer would end the one there is. */
static void
test_late_packet (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  TlQuicConnection *server = quic_world_accepted (world, 0)->connection;
  g_autoptr (QuicRaw) raw = quic_raw_new (world->address);
  guint8 packet[60] = { 0x41 };
  guint64 received;

  g_assert_true (tl_quic_connection_migrate (peer->connection, TRUE, NULL));
  quic_wait ((tl_quic_connection_ping (peer->connection), server->retired != NULL));
  memcpy (packet + 1, server->retired->id, server->retired->length);
  received = quic_world_stats (world).received;
  quic_raw_send (raw, packet, sizeof packet);
  quic_wait (quic_world_stats (world).received > received);
  g_assert_cmpuint (quic_world_stats (world).garbage, ==, 0);
  g_assert_cmpuint (quic_world_stats (world).resets, ==, 0);
}

static void
migrate_in_handler (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
  QuicCall *call = user_data;

  g_assert_true (tl_quic_connection_migrate (call->peer->connection, TRUE, NULL));
  call->frames++;
}

static void
closed_in_handler (TlQuicStream *stream, guint64 code, gpointer user_data)
{
  ((QuicCall *)user_data)->closed = TRUE;
}

static void
test_migrate_in_handler (void)
{
  static const TlQuicStreamHandlers handlers = { .frame = migrate_in_handler, .closed = closed_in_handler };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *call = quic_world_call (peer, NULL, 0, FALSE);

  tl_quic_stream_set_handlers (call->stream, &handlers, call);
  tl_quic_stream_send (call->stream, "x", 1, TRUE);
  quic_wait (call->closed && peer->migrated == 1);
}

static void
test_refused (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_connect (world, world->address);
  g_autoptr (GError) error = NULL;

  g_assert_false (tl_quic_connection_migrate (peer->connection, TRUE, &error)); /* not open yet */
  g_assert_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION);
  g_clear_error (&error);
  quic_wait (peer->opened && world->accepted->len == 1);
  g_assert_false (tl_quic_connection_migrate (quic_world_accepted (world, 0)->connection, TRUE, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION);
}

/* A path that leads nowhere is not taken: the connection stays where it was. */
static void
test_dead_path (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  TlQuicConnectionInfo before = quic_world_info (peer);
  TlQuicSocket *socket;
  QuicCall *call;

  g_assert_true (tl_quic_connection_migrate (peer->connection, FALSE, NULL));
  socket = peer->connection->sockets[0];
  g_assert_cmpint (shutdown (socket->fd, SHUT_RDWR), ==, 0);
  for (int i = 0; i < 5; i++)
    {
      call = quic_world_call (peer, "x", 1, TRUE);
      quic_wait (call->closed);
      g_assert_cmpuint (call->frames, ==, 1);
    }
  g_assert_cmpuint (peer->migrated, ==, 0);
  g_assert_cmpstr (quic_world_info (peer).local, ==, before.local);
  /* And it can still go elsewhere. */
  quic_wait (tl_quic_connection_migrate (peer->connection, FALSE, NULL));
  quic_wait (peer->migrated == 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/quic/move/rebind-v4", "127.0.0.1:0", test_rebind);
  g_test_add_data_func ("/quic/move/rebind-v6", "[::1]:0", test_rebind);
  g_test_add_func ("/quic/move/migrate-validated", test_migrate_validated);
  g_test_add_func ("/quic/move/migrate-immediate", test_migrate_immediate);
  g_test_add_func ("/quic/move/migrate-often", test_migrate_often);
  g_test_add_func ("/quic/move/migrate-under-load", test_migrate_under_load);
  g_test_add_func ("/quic/move/late-packet", test_late_packet);
  g_test_add_func ("/quic/move/migrate-in-handler", test_migrate_in_handler);
  g_test_add_func ("/quic/move/refused", test_refused);
  g_test_add_func ("/quic/move/dead-path", test_dead_path);
  return g_test_run ();
}
