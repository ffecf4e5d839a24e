/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "quic-world.h"

/* Connections, frames, ends: over real sockets. */

static guint8 *
make_bytes (gsize length, guint8 seed)
{
  guint8 *bytes = g_malloc (length);

  for (gsize i = 0; i < length; i++)
    bytes[i] = (guint8)(seed + i * 7 + (i >> 8));
  return bytes;
}

static void
assert_echo (QuicCall *call, const guint8 *data, gsize length)
{
  quic_wait (call->closed);
  g_assert_cmpuint (call->code, ==, 0);
  g_assert_true (call->finished);
  g_assert_cmpuint (call->frames, ==, 1);
  g_assert_cmpmem (call->received->data, call->received->len, data, length);
}

static void
test_echo (gconstpointer address)
{
  g_autoptr (QuicWorld) world = quic_world_new (address, NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *call = quic_world_call (peer, "hello", 5, TRUE);
  TlQuicConnectionInfo info;

  assert_echo (call, (const guint8 *)"hello", 5);
  info = quic_world_info (peer);
  g_assert_cmpstr (info.remote, ==, world->address);
  g_assert_cmpint (info.rtt_us, >, 0);
  g_assert_cmpint (info.rtt_us, <, 1000000);
  g_assert_cmpint (info.since_us, >, 0);
  g_assert_cmpint (info.heard_us, >=, info.since_us);
  quic_wait (quic_world_info (peer).streams == 0);

  TlQuicConnectionInfo server = quic_world_info (quic_world_accepted (world, 0));
  g_assert_cmpstr (server.remote, ==, info.local);
  g_assert_cmpstr (server.local, ==, info.remote);
  g_assert_cmpuint (strlen (tl_quic_connection_fingerprint (peer->connection)), ==, 64);
  g_assert_cmpuint (strlen (tl_quic_connection_fingerprint (quic_world_accepted (world, 0)->connection)), ==, 64);
  g_assert_cmpuint (quic_world_stats (world).accepted, ==, 1);
  g_assert_cmpuint (quic_world_stats (world).connections, ==, 1);
  g_assert_cmpuint (quic_world_stats (world).half_open, ==, 0);
}

/* Beyond every flow-control window, both ways, on several streams at once. */
static void
test_large (void)
{
  enum
  {
    N = 6
  };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *calls[N];
  g_autofree guint8 *data = make_bytes (TL_QUIC_MAX_FRAME, 3);

  for (int i = 0; i < N; i++)
    calls[i] = quic_world_call (peer, data, TL_QUIC_MAX_FRAME - (gsize)i, TRUE);
  g_assert_cmpuint (tl_quic_stream_queued_bytes (calls[0]->stream), ==, TL_QUIC_MAX_FRAME + 4);
  for (int i = 0; i < N; i++)
    {
      assert_echo (calls[i], data, TL_QUIC_MAX_FRAME - (gsize)i);
      g_assert_cmpuint (calls[i]->drained, ==, 1);
    }
  g_assert_cmpuint (quic_world_accepted (world, 0)->connection->stored, ==, 0);
}

static void
send_many (QuicCall *call, const guint8 *data, gsize length)
{
  for (guint i = 0; i < 1000; i++)
    g_assert_true (tl_quic_stream_send (call->stream, &i, sizeof i, FALSE));
  tl_quic_stream_finish (call->stream);
  g_assert_false (tl_quic_stream_send (call->stream, "x", 1, FALSE));
}

static void
test_many_frames (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *call;

  world->serve = send_many;
  call = quic_world_call (peer, "go", 2, TRUE);
  quic_wait (call->closed);
  g_assert_cmpuint (call->frames, ==, 1000);
  for (guint i = 0; i < 1000; i++)
    g_assert_cmpuint (((guint *)call->received->data)[i], ==, i);
}

/* 64 at a time; every end makes room. */
static void
test_stream_limit (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *calls[TL_QUIC_MAX_STREAMS];
  TlQuicStream *stream;

  for (int i = 0; i < TL_QUIC_MAX_STREAMS; i++)
    calls[i] = quic_world_call (peer, NULL, 0, FALSE);
  g_assert_null (tl_quic_connection_open_stream (peer->connection, &quic_world_client_stream_handlers, NULL));
  for (int i = 0; i < TL_QUIC_MAX_STREAMS; i++)
    tl_quic_stream_send (calls[i]->stream, "x", 1, TRUE);
  for (int i = 0; i < TL_QUIC_MAX_STREAMS; i++)
    quic_wait (calls[i]->closed);
  for (int i = 0; i < 1000; i++)
    {
      QuicCall *call;

      quic_wait (ngtcp2_conn_get_streams_bidi_left (peer->connection->conn) > 0);
      call = quic_world_call (peer, "y", 1, TRUE);
      quic_wait (call->closed);
    }
  stream = tl_quic_connection_open_stream (peer->connection, &quic_world_client_stream_handlers, calls[0]);
  g_assert_nonnull (stream);
  calls[0]->closed = FALSE;
  peer->open_streams++;
}

static void
never (QuicCall *call, const guint8 *data, gsize length)
{
  g_assert_not_reached ();
}

static void
stay_silent (QuicCall *call, const guint8 *data, gsize length)
{
}

static void
answer_too_large (QuicCall *call, const guint8 *data, gsize length)
{
  g_assert_cmpuint (call->peer->connection->stored, ==, 0);
  g_assert_true (tl_quic_stream_send (call->stream, "too large", 9, TRUE));
}

/* Makes room for a frame that our own sender refuses. */
static void
send_raw (TlQuicStream *stream, const guint8 *data, gsize length)
{
  TlQuicChunk *chunk;

  g_assert_true (tl_quic_stream_send (stream, data, length, FALSE));
  chunk = stream->last;
  memcpy (chunk->data, data, MIN (length, 4)); /* the length in front */
}

static void
test_too_large (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *call = quic_world_call (peer, NULL, 0, FALSE);
  g_autofree guint8 *data = make_bytes (300000, 0);

  world->serve = never;
  world->too_large = answer_too_large;
  data[0] = 0;
  data[1] = 8;
  data[2] = 0;
  data[3] = 1; /* 524 289 */
  send_raw (call->stream, data, 300000);
  quic_wait (call->closed);
  g_assert_cmpuint (call->frames, ==, 1);
  g_assert_cmpmem (call->received->data, call->received->len, "too large", 9);
  g_assert_cmphex (call->code, ==, TL_QUIC_STREAM_FRAME_TOO_LARGE);
  /* The connection is as good as before, its credit too. */
  world->serve = quic_world_echo;
  for (int i = 0; i < 8; i++)
    {
      call = quic_world_call (peer, data, 300000, TRUE);
      assert_echo (call, data, 300000);
    }
}

static void
test_malformed (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *empty = quic_world_call (peer, NULL, 0, FALSE);
  QuicCall *torn = quic_world_call (peer, NULL, 0, FALSE);
  const guint8 zero[8] = { 0 };
  const guint8 ten[8] = { 0, 0, 0, 100 };

  world->serve = never;
  send_raw (empty->stream, zero, sizeof zero);
  send_raw (torn->stream, ten, sizeof ten);
  tl_quic_stream_finish (torn->stream);
  quic_wait (empty->closed && torn->closed);
  g_assert_cmphex (empty->code, ==, TL_QUIC_STREAM_MALFORMED);
  g_assert_cmphex (torn->code, ==, TL_QUIC_STREAM_MALFORMED);
}

static void
test_first_frame (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *slow = quic_world_call (peer, NULL, 0, FALSE);
  QuicCall *good = quic_world_call (peer, "x", 1, FALSE);
  const guint8 begun[8] = { 0, 0, 0, 100 };
  gint64 start = g_get_monotonic_time ();

  world->server->first_frame_ms = 300;
  world->serve = stay_silent;
  send_raw (slow->stream, begun, sizeof begun);
  quic_wait (slow->closed);
  g_assert_cmphex (slow->code, ==, TL_QUIC_STREAM_TOO_SLOW);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 290000);
  g_assert_false (good->closed);
}

static void
test_refused_stream (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *call;

  world->refuse_streams = TRUE;
  call = quic_world_call (peer, "x", 1, TRUE);
  quic_wait (call->closed);
  g_assert_cmphex (call->code, ==, TL_QUIC_STREAM_REFUSED);
}

static void
reset_call (QuicCall *call, const guint8 *data, gsize length)
{
  tl_quic_stream_reset (call->stream, TL_QUIC_STREAM_CANCELLED);
  g_assert_false (call->closed); /* from the loop */
  g_assert_false (tl_quic_stream_send (call->stream, "x", 1, FALSE));
}

static void
test_reset (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *theirs, *ours;

  world->serve = reset_call;
  theirs = quic_world_call (peer, "x", 1, FALSE);
  quic_wait (theirs->closed);
  g_assert_cmphex (theirs->code, ==, TL_QUIC_STREAM_CANCELLED);

  world->serve = stay_silent;
  ours = quic_world_call (peer, "x", 1, FALSE);
  quic_wait (quic_world_accepted (world, 0)->streams == 2);
  tl_quic_stream_reset (ours->stream, TL_QUIC_STREAM_CANCELLED);
  g_assert_false (ours->closed);
  quic_wait (ours->closed && quic_world_accepted (world, 0)->open_streams == 0);
  quic_wait (quic_world_info (peer).streams == 0);
  g_assert_false (peer->closed);
}

static void
test_close_by_server (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicPeer *server = quic_world_accepted (world, 0);
  QuicCall *call;

  world->serve = stay_silent;
  call = quic_world_call (peer, "x", 1, FALSE);
  quic_wait (server->streams == 1);
  tl_quic_connection_close (server->connection, TL_QUIC_CLOSE_REVOKED, "revoked by\nthe operator");
  g_assert_false (server->closed);
  quic_wait (peer->closed && server->closed);
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_BY_PEER);
  g_assert_cmphex (peer->why.code, ==, TL_QUIC_CLOSE_REVOKED);
  g_assert_true (peer->why.by_peer);
  g_assert_cmpstr (peer->reason, ==, "revoked by?the operator");
  g_assert_cmpuint (peer->streams_at_close, ==, 0);
  g_assert_cmphex (call->code, ==, TL_QUIC_STREAM_CANCELLED);
  g_assert_cmpint (server->why.ending, ==, TL_QUIC_ENDED_LOCALLY);
  g_assert_cmphex (server->why.code, ==, TL_QUIC_CLOSE_REVOKED);
  g_assert_cmpuint (quic_world_stats (world).connections, ==, 0);
}

static void
close_connection (QuicCall *call, const guint8 *data, gsize length)
{
  TlQuicConnection *connection = call->peer->connection;

  tl_quic_connection_close (connection, TL_QUIC_CLOSE_SUSPENDED, NULL);
  tl_quic_connection_close (connection, TL_QUIC_CLOSE_REVOKED, NULL); /* too late */
  g_assert_null (tl_quic_connection_open_stream (connection, &quic_world_client_stream_handlers, NULL));
  g_assert_false (call->closed);
}

/* From within a handler, with more frames behind. */
static void
test_close_in_handler (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *call;

  world->serve = close_connection;
  call = quic_world_call (peer, "one", 3, FALSE);
  tl_quic_stream_send (call->stream, "two", 3, FALSE);
  quic_wait (peer->closed);
  g_assert_cmphex (peer->why.code, ==, TL_QUIC_CLOSE_SUSPENDED);
  quic_wait (quic_world_accepted (world, 0)->closed);
}

static void
test_close_by_client (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);

  tl_quic_connection_close (peer->connection, TL_QUIC_CLOSE_GOING_AWAY, NULL);
  quic_wait (peer->closed && quic_world_accepted (world, 0)->closed);
  g_assert_cmpint (quic_world_accepted (world, 0)->why.ending, ==, TL_QUIC_ENDED_BY_PEER);
  g_assert_cmphex (quic_world_accepted (world, 0)->why.code, ==, TL_QUIC_CLOSE_GOING_AWAY);
  /* What lingers goes by itself: 3 PTO. */
  quic_wait (world->server->lingering.length == 0 && world->client->lingering.length == 0);
  g_assert_cmpuint (world->server->cids.n_entries, ==, 0);
  g_assert_cmpuint (world->client->sockets->len, ==, 0);
}

static void
test_free_with_connections (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *call;

  world->serve = stay_silent;
  call = quic_world_call (peer, "x", 1, FALSE);
  quic_wait (quic_world_accepted (world, 0)->streams == 1);
  tl_quic_endpoint_free (world->server);
  world->server = NULL;
  g_assert_true (quic_world_accepted (world, 0)->closed);
  quic_wait (peer->closed);
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_BY_PEER);
  g_assert_cmphex (peer->why.code, ==, TL_QUIC_CLOSE_GOING_AWAY);
  g_assert_true (call->closed);
}

static void
test_refused_certificate (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  g_autoptr (GError) error = NULL;
  QuicPeer *peer;

  world->verdict = TL_QUIC_ALERT_CERTIFICATE_REVOKED;
  peer = quic_world_connect (world, world->address);
  quic_wait (peer->closed);
  g_assert_false (peer->opened); /* complete is not confirmed */
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_BY_ALERT);
  g_assert_cmpuint (peer->why.code, ==, 44);
  g_assert_true (peer->why.by_peer);
  error = tl_quic_close_to_error (&peer->why);
  g_assert_error (error, TL_ERROR, TL_ERROR_REVOKED);
  quic_wait (quic_world_stats (world).refused == 1);
  g_assert_cmpuint (world->accepted->len, ==, 0);
  g_assert_cmpuint (quic_world_stats (world).half_open, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/quic/loopback/echo-v4", "127.0.0.1:0", test_echo);
  g_test_add_data_func ("/quic/loopback/echo-v6", "[::1]:0", test_echo);
  g_test_add_func ("/quic/loopback/large", test_large);
  g_test_add_func ("/quic/loopback/many-frames", test_many_frames);
  g_test_add_func ("/quic/loopback/stream-limit", test_stream_limit);
  g_test_add_func ("/quic/loopback/too-large", test_too_large);
  g_test_add_func ("/quic/loopback/malformed", test_malformed);
  g_test_add_func ("/quic/loopback/first-frame", test_first_frame);
  g_test_add_func ("/quic/loopback/refused-stream", test_refused_stream);
  g_test_add_func ("/quic/loopback/reset", test_reset);
  g_test_add_func ("/quic/loopback/close-by-server", test_close_by_server);
  g_test_add_func ("/quic/loopback/close-in-handler", test_close_in_handler);
  g_test_add_func ("/quic/loopback/close-by-client", test_close_by_client);
  g_test_add_func ("/quic/loopback/free-with-connections", test_free_with_connections);
  g_test_add_func ("/quic/loopback/refused-certificate", test_refused_certificate);
  return g_test_run ();
}
