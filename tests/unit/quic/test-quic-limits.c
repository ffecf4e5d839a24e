/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gstdio.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "quic-raw.h"

/* Time, numbers, addresses, memory: where endpoints and connections end. */

static void
assert_works (QuicWorld *world)
{
  QuicPeer *peer = quic_world_open (world);
  QuicCall *call = quic_world_call (peer, "hello", 5, TRUE);

  quic_wait (call->closed);
  g_assert_cmpuint (call->frames, ==, 1);
}

static void
assert_error_of (QuicPeer *peer, TlErrorCode code)
{
  g_autoptr (GError) error = tl_quic_close_to_error (&peer->why);

  g_assert_error (error, TL_ERROR, (int)code);
}

/* ---- handshakes that come to nothing ---- */

static void
test_nobody_answers (void)
{
  const TlQuicEndpointOptions options = { .handshake_timeout_ms = 300 };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  g_autoptr (QuicRaw) raw = quic_raw_new (NULL);
  g_autofree char *address = quic_raw_address (raw);
  gint64 start = g_get_monotonic_time ();
  QuicPeer *peer = quic_world_connect (world, address);

  quic_wait (peer->closed);
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_HANDSHAKE_TIMEOUT);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 300000);
  assert_error_of (peer, TL_ERROR_TIMED_OUT);
  g_assert_cmpuint (world->client->sockets->len, ==, 0);
}

static void
test_client_vanishes (void)
{
  const TlQuicEndpointOptions options = { .handshake_timeout_ms = 300 };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  g_autoptr (QuicRaw) raw = quic_raw_new (world->address);
  g_autoptr (GBytes) initial = quic_raw_capture_initial (world);

  quic_raw_send (raw, g_bytes_get_data (initial, NULL), g_bytes_get_size (initial));
  quic_wait (quic_world_stats (world).half_open == 1);
  quic_wait (quic_world_stats (world).half_open == 0);
  quic_wait (world->server->cids.n_entries == 0);
  g_assert_cmpuint (quic_world_stats (world).refused, ==, 1);
  g_assert_cmpuint (quic_world_stats (world).connections, ==, 0);
  g_assert_cmpuint (world->accepted->len, ==, 0);
}

/* Connections that ended repeat their last packet for a while: so many of them, the oldest goes. */
static void
test_lingering (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);

  world->server->max_lingering = 2;
  for (guint i = 0; i < 4; i++)
    {
      quic_world_open (world);
      tl_quic_connection_close (quic_world_accepted (world, i)->connection, TL_QUIC_CLOSE_GOING_AWAY, NULL);
      quic_wait (quic_world_accepted (world, i)->closed);
      g_assert_cmpuint (world->server->lingering.length, <=, 2);
      g_assert_cmpuint (world->server->lingering.length, >, 0);
    }
  assert_works (world);
}

static void
test_unreachable (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  g_autoptr (QuicRaw) raw = quic_raw_new (NULL);
  g_autofree char *address = quic_raw_address (raw);
  gint64 start = g_get_monotonic_time ();
  QuicPeer *peer;

  close (raw->fd); /* now nobody has the port */
  peer = quic_world_connect (world, address);
  quic_wait (peer->closed);
  raw->fd = -1;
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_UNREACHABLE);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 2 * G_USEC_PER_SEC);
  assert_error_of (peer, TL_ERROR_UNAVAILABLE);
}

/* What an ICMP message says about an open connection means nothing. */
static void
test_unreachable_later (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicPeer *server = quic_world_accepted (world, 0);
  TlQuicSocket *socket = g_ptr_array_index (world->server->sockets, 0);
  int fd = socket->fd;

  socket->fd = open ("/dev/null", O_RDWR);
  close (fd); /* the port is gone */
  tl_quic_connection_ping (peer->connection);
  for (int i = 0; i < 20; i++)
    quic_world_iterate ();
  g_assert_false (peer->closed);
  g_assert_false (server->closed);
}

static void
test_bad_addresses (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_quic_endpoint_connect (world->client, "gateway:7444", world->client_tls,
                                           &quic_world_client_handlers, world, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_false (tl_quic_endpoint_listen (world->server, world->address, NULL, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IN_USE);
  g_clear_error (&error);
  g_assert_false (tl_quic_endpoint_listen (world->server, "192.0.2.1:0", NULL, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IO);
}

/* ---- numbers ---- */

static void
test_max_connections (void)
{
  const TlQuicEndpointOptions options = { .max_connections = 2 };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  QuicPeer *first = quic_world_open (world);
  QuicPeer *refused;

  quic_world_open (world);
  refused = quic_world_connect (world, world->address);
  quic_wait (refused->closed);
  g_assert_cmpint (refused->why.ending, ==, TL_QUIC_ENDED_BY_TRANSPORT);
  g_assert_cmphex (refused->why.code, ==, NGTCP2_CONNECTION_REFUSED);
  assert_error_of (refused, TL_ERROR_UNAVAILABLE);
  g_assert_cmpuint (quic_world_stats (world).over_limit, >=, 1);
  tl_quic_connection_close (first->connection, 0, NULL);
  quic_wait (quic_world_stats (world).connections == 1);
  assert_works (world);
}

static void
test_stop_accepting (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *first = quic_world_open (world);
  QuicPeer *refused;
  QuicCall *call;

  tl_quic_endpoint_stop_accepting (world->server);
  refused = quic_world_connect (world, world->address);
  quic_wait (refused->closed);
  assert_error_of (refused, TL_ERROR_UNAVAILABLE);
  call = quic_world_call (first, "x", 1, TRUE);
  quic_wait (call->closed);
  g_assert_cmpuint (call->frames, ==, 1);
}

static void
count (gpointer data, gpointer user_data)
{
  tl_quic_connection_close (data, TL_QUIC_CLOSE_GOING_AWAY, NULL);
  ++*(guint *)user_data;
}

static void
test_many_connections (void)
{
  enum
  {
    N = 100
  };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peers[N];
  QuicCall *calls[N];
  guint n = 0;

  for (int i = 0; i < N; i++)
    peers[i] = quic_world_connect (world, world->address);
  quic_wait (world->accepted->len == N);
  for (int i = 0; i < N; i++)
    {
      quic_wait (peers[i]->opened);
      calls[i] = quic_world_call (peers[i], &i, sizeof i, TRUE);
    }
  for (int i = 0; i < N; i++)
    {
      quic_wait (calls[i]->closed);
      g_assert_cmpmem (calls[i]->received->data, calls[i]->received->len, &i, sizeof i);
    }
  g_assert_cmpuint (quic_world_stats (world).connections, ==, N);
  tl_quic_endpoint_foreach (world->server, count, &n);
  g_assert_cmpuint (n, ==, N);
  for (int i = 0; i < N; i++)
    quic_wait (peers[i]->closed);
  quic_wait (world->server->lingering.length == 0 && world->client->lingering.length == 0);
  g_assert_cmpuint (world->server->cids.n_entries, ==, 0);
}

/* ---- time ---- */

static void
test_idle (void)
{
  const TlQuicEndpointOptions options = { .idle_ms = 400, .keep_alive_ms = 10000 };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  QuicPeer *peer = quic_world_open (world);

  quic_wait (peer->closed && quic_world_accepted (world, 0)->closed);
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_IDLE);
  g_assert_cmpint (quic_world_accepted (world, 0)->why.ending, ==, TL_QUIC_ENDED_IDLE);
  assert_error_of (peer, TL_ERROR_TIMED_OUT);
}

static void
test_keep_alive (void)
{
  const TlQuicEndpointOptions options = { .idle_ms = 600, .keep_alive_ms = 100 };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  QuicPeer *peer = quic_world_open (world);
  QuicPeer *server = quic_world_accepted (world, 0);
  gint64 until = quic_world_info (peer).heard_us + 1500000;

  quic_wait (peer->closed || quic_world_info (peer).heard_us > until);
  g_assert_false (peer->closed);
  g_assert_false (server->closed);
}

/* Acknowledgements and probes of the handshake are over: nothing comes by itself. */
static void
wait_for_quiet (QuicPeer *peer)
{
  gint64 heard = -1;

  for (guint quiet = 0; quiet < 8; quiet++) /* of up to 20 ms */
    {
      if (quic_world_info (peer).heard_us != heard)
        quiet = 0;
      heard = quic_world_info (peer).heard_us;
      quic_world_iterate ();
    }
}

static void
test_ping (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);

  for (int i = 0; i < 3; i++)
    {
      gint64 asked;

      wait_for_quiet (peer);
      asked = g_get_monotonic_time ();
      tl_quic_connection_ping (peer->connection);
      quic_wait (quic_world_info (peer).heard_us > asked);
      g_assert_cmpint (g_get_monotonic_time () - asked, <, G_USEC_PER_SEC);
    }
}

/* ---- addresses ---- */

static void
test_several_addresses (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("0.0.0.0:0", NULL);
  g_autoptr (GError) error = NULL;
  TlQuicSocket *first = g_ptr_array_index (world->server->sockets, 0);
  guint16 port = tl_quic_address_port (&first->local);
  g_autofree char *v6 = g_strdup_printf ("[::]:%u", port);
  const char *const hosts[] = { "127.0.0.1", "127.0.0.2", "[::1]", "127.0.0.3" };
  guint16 bound = 0;

  /* The same port for both families: "[::]" is IPv6 only. */
  g_assert_true (tl_quic_endpoint_listen (world->server, v6, &bound, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (bound, ==, port);
  for (guint i = 0; i < G_N_ELEMENTS (hosts); i++)
    {
      g_autofree char *address = g_strdup_printf ("%s:%u", hosts[i], port);
      QuicPeer *peer = quic_world_connect (world, address);
      QuicCall *call;

      quic_wait (peer->opened && world->accepted->len == i + 1);
      call = quic_world_call (peer, "x", 1, TRUE);
      quic_wait (call->closed);
      g_assert_cmpuint (call->frames, ==, 1);
      /* Answered from the address that was asked, which the wildcard alone does not know. */
      g_assert_cmpstr (quic_world_info (quic_world_accepted (world, i)).local, ==, address);
    }
}

/* ---- memory and sockets that are full ---- */

static void
hold_back (QuicWorld *world, TlQuicSocket *socket)
{
  const ngtcp2_addr local = { &socket->local.address.sa, socket->local.length };
  TlQuicAddress nobody;

  g_assert_true (tl_quic_address_parse ("127.0.0.1:9", &nobody, NULL));
  socket->pending = g_malloc0 (10);
  socket->pending_length = socket->pending_segment = 10;
  ngtcp2_path_storage_init (&socket->pending_path, local.addr, local.addrlen, &nobody.address.sa, nobody.length,
                            socket);
}

static void
test_full_socket (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  TlQuicSocket *socket = g_ptr_array_index (world->server->sockets, 0);
  QuicCall *call;

  hold_back (world, socket);
  call = quic_world_call (peer, "x", 1, TRUE);
  quic_wait (world->server->blocked.length == 1);
  g_assert_false (call->closed);
  tl_quic_endpoint_watch_writable (world->server, socket, TRUE);
  quic_wait (call->closed);
  g_assert_cmpuint (call->frames, ==, 1);
  g_assert_null (socket->pending);
  g_assert_cmpuint (world->server->blocked.length, ==, 0);
}

/* Nobody is spared because the kernel's buffer was full just then. */
static void
test_close_over_full_socket (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  TlQuicSocket *socket = g_ptr_array_index (world->server->sockets, 0);
  guint64 received;

  wait_for_quiet (peer);
  received = quic_world_stats (world).received;
  hold_back (world, socket);
  tl_quic_connection_close (quic_world_accepted (world, 0)->connection, TL_QUIC_CLOSE_REVOKED, NULL);
  quic_wait (quic_world_accepted (world, 0)->closed);
  g_assert_false (peer->closed);
  tl_quic_endpoint_watch_writable (world->server, socket, TRUE);
  quic_wait (peer->closed);
  g_assert_cmphex (peer->why.code, ==, TL_QUIC_CLOSE_REVOKED);
  g_assert_cmpuint (quic_world_stats (world).received, ==, received); /* without being asked */
}

static void
send_half (QuicCall *call)
{
  static const guint8 zeros[400000];
  TlQuicChunk *chunk;

  g_assert_true (tl_quic_stream_send (call->stream, zeros, sizeof zeros, FALSE));
  chunk = call->stream->last;
  memcpy (chunk->data, "\0\7\377\377", 4); /* announces 524 287 and brings 400 000 */
}

/* Halves of frames on every stream: only so much is stored, and the oldest can still be completed. */
static void
test_budget (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *calls[TL_QUIC_MAX_STREAMS];
  const gsize most = TL_QUIC_STORED_BUDGET + TL_QUIC_MAX_STREAMS * TL_QUIC_STREAM_WINDOW + TL_QUIC_MAX_FRAME;
  TlQuicConnection *server = quic_world_accepted (world, 0)->connection;
  gsize stored = 0;
  guint quiet = 0;

  for (int i = 0; i < TL_QUIC_MAX_STREAMS; i++)
    {
      calls[i] = quic_world_call (peer, NULL, 0, FALSE);
      send_half (calls[i]);
    }
  while (quiet < 20) /* turns in which nothing more came */
    {
      quic_world_iterate ();
      quiet = server->stored == stored ? quiet + 1 : 0;
      stored = server->stored;
      g_assert_cmpuint (stored, <=, most);
    }
  g_assert_cmpuint (stored, >, TL_QUIC_STORED_BUDGET);
  g_assert_cmpuint (tl_quic_stream_queued_bytes (calls[0]->stream), ==, 0); /* the oldest got through */
  world->server->first_frame_ms = 1;
  tl_quic_connection_close (peer->connection, 0, NULL);
  quic_wait (quic_world_accepted (world, 0)->closed);
}

/* Many whole frames at once, more than the budget: all of them arrive. */
static void
test_budget_of_good_ones (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  QuicPeer *peer = quic_world_open (world);
  QuicCall *calls[TL_QUIC_MAX_STREAMS];
  g_autofree guint8 *data = g_malloc0 (TL_QUIC_MAX_FRAME);

  for (int i = 0; i < TL_QUIC_MAX_STREAMS; i++)
    calls[i] = quic_world_call (peer, data, TL_QUIC_MAX_FRAME, TRUE);
  for (int i = 0; i < TL_QUIC_MAX_STREAMS; i++)
    {
      quic_wait (calls[i]->closed);
      g_assert_cmpuint (calls[i]->code, ==, 0);
      g_assert_cmpuint (calls[i]->last_length, ==, TL_QUIC_MAX_FRAME);
    }
}

/* ---- qlog ---- */

static void
test_qlog (void)
{
  g_autofree char *directory = g_dir_make_tmp ("twinlatch-qlog-XXXXXX", NULL);
  const TlQuicEndpointOptions options = { .qlog_directory = directory };
  guint n_server = 0, n_client = 0;
  const char *name;

  {
    g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);

    assert_works (world);
  }
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (directory, name, NULL);
      g_autofree char *text = NULL;

      g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
      g_assert_nonnull (strstr (text, "packet_sent"));
      g_assert_nonnull (strstr (text, "connection_close")); /* to the end */
      n_server += g_str_has_suffix (name, "-server.sqlog");
      n_client += g_str_has_suffix (name, "-client.sqlog");
      g_remove (path);
    }
  g_assert_cmpuint (n_server, ==, 1);
  g_assert_cmpuint (n_client, ==, 1);
  g_rmdir (directory);
}

static void
test_close_codes (void)
{
  for (guint64 code = TL_QUIC_CLOSE_GOING_AWAY; code <= TL_QUIC_CLOSE_SUSPENDED; code++)
    g_assert_nonnull (tl_quic_close_code_to_string (code));
  g_assert_cmpstr (tl_quic_close_code_to_string (TL_QUIC_CLOSE_REVOKED), ==, "revoked");
  g_assert_null (tl_quic_close_code_to_string (0x107));
  for (int ending = TL_QUIC_ENDED_LOCALLY; ending <= TL_QUIC_ENDED_VERSION; ending++)
    {
      const TlQuicClose why = { .ending = (TlQuicEnding)ending, .reason = "" };
      g_autoptr (GError) error = tl_quic_close_to_error (&why);

      g_assert_nonnull (error);
      g_assert_null (strchr (error->message, '\n'));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quic/limits/nobody-answers", test_nobody_answers);
  g_test_add_func ("/quic/limits/client-vanishes", test_client_vanishes);
  g_test_add_func ("/quic/limits/lingering", test_lingering);
  g_test_add_func ("/quic/limits/unreachable", test_unreachable);
  g_test_add_func ("/quic/limits/unreachable-later", test_unreachable_later);
  g_test_add_func ("/quic/limits/bad-addresses", test_bad_addresses);
  g_test_add_func ("/quic/limits/max-connections", test_max_connections);
  g_test_add_func ("/quic/limits/stop-accepting", test_stop_accepting);
  g_test_add_func ("/quic/limits/many-connections", test_many_connections);
  g_test_add_func ("/quic/limits/idle", test_idle);
  g_test_add_func ("/quic/limits/keep-alive", test_keep_alive);
  g_test_add_func ("/quic/limits/ping", test_ping);
  g_test_add_func ("/quic/limits/several-addresses", test_several_addresses);
  g_test_add_func ("/quic/limits/full-socket", test_full_socket);
  g_test_add_func ("/quic/limits/close-over-full-socket", test_close_over_full_socket);
  g_test_add_func ("/quic/limits/budget", test_budget);
  g_test_add_func ("/quic/limits/budget-of-good-ones", test_budget_of_good_ones);
  g_test_add_func ("/quic/limits/qlog", test_qlog);
  g_test_add_func ("/quic/limits/close-codes", test_close_codes);
  return g_test_run ();
}
