/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "quic-raw.h"

/* What a gateway answers without keeping anything, and what strangers cost it. */

static const guint8 secret[TL_QUIC_SECRET_LENGTH] = "the secret survives a restart..";
static const guint8 other_secret[TL_QUIC_SECRET_LENGTH] = "this one is of somebody else...";

static void
assert_works (QuicWorld *world)
{
  QuicPeer *peer = quic_world_open (world);
  QuicCall *call = quic_world_call (peer, "hello", 5, TRUE);

  quic_wait (call->closed);
  g_assert_cmpuint (call->frames, ==, 1);
}

static void
send_bytes (QuicRaw *raw, GBytes *bytes)
{
  quic_raw_send (raw, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

static void
test_version_negotiation (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  g_autoptr (QuicRaw) raw = quic_raw_new (world->address);
  guint8 packet[1200] = { 0xc0, 0xfa, 0xce, 0xb0, 0x0c, 8, 1, 2, 3, 4, 5, 6, 7, 8, 5, 11, 12, 13, 14, 15 };
  g_autoptr (GBytes) answer = NULL;
  const guint8 *data;

  quic_raw_send (raw, packet, sizeof packet);
  answer = quic_raw_wait (raw);
  data = g_bytes_get_data (answer, NULL);
  g_assert_cmpuint (g_bytes_get_size (answer), >=, 1 + 4 + 1 + 5 + 1 + 8 + 4);
  g_assert_cmpmem (data + 1, 4, "\0\0\0\0", 4);
  g_assert_cmpmem (data + 5, 6, packet + 14, 6); /* the ids change places */
  g_assert_cmpmem (data + 11, 9, packet + 5, 9);
  g_assert_cmpmem (data + 20, 4, "\0\0\0\1", 4);
  g_assert_cmpuint (quic_world_stats (world).versions, ==, 1);
  /* Small ones get nothing: they would be amplified. */
  quic_raw_send (raw, packet, 1199);
  quic_wait (quic_world_stats (world).garbage == 1);
  g_assert_null (quic_raw_receive (raw));
  assert_works (world);
}

static void
test_garbage (void)
{
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", NULL);
  g_autoptr (QuicRaw) raw = quic_raw_new (world->address);
  guint8 packet[1500];
  guint n = 0;

  for (gsize length = 1; length <= sizeof packet; length = length * 2 + 1)
    {
      for (int first = 0; first < 256; first += 5, n++)
        {
          for (gsize i = 0; i < length; i++)
            packet[i] = (guint8)g_test_rand_int ();
          packet[0] = (guint8)first;
          quic_raw_send (raw, packet, length);
        }
      quic_wait (quic_world_stats (world).received == n);
    }
  g_assert_cmpuint (quic_world_stats (world).garbage + quic_world_stats (world).versions, ==, n);
  g_assert_cmpuint (quic_world_stats (world).half_open, ==, 0);
  g_assert_cmpuint (world->server->cids.n_entries, ==, 0);
  assert_works (world);
}

static void
test_truncated (void)
{
  const TlQuicEndpointOptions options = { .handshake_timeout_ms = 500 };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  g_autoptr (QuicRaw) raw = quic_raw_new (world->address);
  g_autoptr (GBytes) initial = quic_raw_capture_initial (world);
  g_autofree guint8 *damaged = g_memdup2 (g_bytes_get_data (initial, NULL), g_bytes_get_size (initial));
  guint n = 0;

  for (gsize length = 1; length < g_bytes_get_size (initial); length += 7, n++)
    {
      quic_raw_send (raw, damaged, length);
      quic_wait (quic_world_stats (world).received == n + 1);
    }
  g_assert_cmpuint (quic_world_stats (world).garbage, ==, n);
  /* Whole, but not what it says it is: no connection comes of it, and nothing of it stays. */
  damaged[600] ^= 1;
  quic_raw_send (raw, damaged, g_bytes_get_size (initial));
  quic_wait (quic_world_stats (world).received == n + 1);
  quic_wait (quic_world_stats (world).half_open == 0 && world->server->cids.n_entries == 0);
  g_assert_cmpuint (quic_world_stats (world).refused, ==, 1);
  assert_works (world);
}

/* ---- Retry ---- */

/* Somebody who never goes on makes the next one prove its address. */
static void
take_threshold (QuicWorld *world, QuicRaw *raw)
{
  g_autoptr (GBytes) initial = quic_raw_capture_initial (world);

  send_bytes (raw, initial);
  quic_wait (quic_world_stats (world).half_open == 1);
}

static void
test_retry (void)
{
  const TlQuicEndpointOptions options = { .retry_threshold = 1 };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  g_autoptr (QuicRaw) raw = quic_raw_new (world->address);

  assert_works (world);
  g_assert_cmpuint (quic_world_stats (world).retries, ==, 0);
  take_threshold (world, raw);
  assert_works (world);
  g_assert_cmpuint (quic_world_stats (world).retries, ==, 1);
  g_assert_cmpuint (quic_world_stats (world).bad_tokens, ==, 0);
}

static void
test_retry_always (void)
{
  const TlQuicEndpointOptions options = { .retry_threshold = TL_QUIC_RETRY_ALWAYS };
  g_autoptr (QuicWorld) world = quic_world_new ("[::1]:0", &options);

  for (guint i = 1; i <= 3; i++)
    {
      assert_works (world);
      g_assert_cmpuint (quic_world_stats (world).retries, ==, i);
    }
}

static guint64
count_bad_tokens_after (QuicWorld *world, QuicRaw *raw, GBytes *initial)
{
  guint64 received = quic_world_stats (world).received;

  send_bytes (raw, initial);
  quic_wait (quic_world_stats (world).received == received + 1);
  return quic_world_stats (world).bad_tokens;
}

static void
test_replayed_token (void)
{
  g_autoptr (TlClock) clock = tl_clock_new_virtual (G_GINT64_CONSTANT (1793000000123));
  const TlQuicEndpointOptions options = { .retry_threshold = 1, .clock = clock };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  g_autoptr (QuicRaw) raw = quic_raw_new (world->address);
  g_autoptr (QuicRelay) relay = quic_relay_new (world);
  g_autofree char *address = quic_raw_address (relay->front);
  g_autoptr (GBytes) refusal = NULL;
  QuicPeer *peer;
  GBytes *with_token;

  take_threshold (world, raw);
  while (quic_raw_receive (raw) != NULL)
    ;
  peer = quic_world_connect (world, address);
  while (!peer->opened)
    {
      quic_relay_turn (relay);
      quic_world_iterate ();
    }
  g_assert_cmpuint (quic_world_stats (world).retries, ==, 1);
  with_token = g_ptr_array_index (relay->from_client, 1);
  g_assert_cmpuint (g_bytes_get_size (with_token), >=, 1200);
  tl_quic_connection_close (peer->connection, 0, NULL);
  while (!peer->closed || world->client->lingering.length > 0 || world->server->lingering.length > 0)
    {
      quic_relay_turn (relay);
      quic_world_iterate ();
    }
  /* From another address it is refused, and costs no state. */
  {
    g_autoptr (QuicRaw) stranger = quic_raw_new (world->address);

    g_assert_cmpuint (count_bad_tokens_after (world, stranger, with_token), ==, 1);
    refusal = quic_raw_wait (stranger);
    g_assert_cmpuint (g_bytes_get_size (refusal), <, 100);
    g_assert_cmpuint (quic_world_stats (world).half_open, <=, 1);
  }
  /* From its own, but too late. */
  tl_clock_advance (clock, TL_QUIC_TOKEN_MS + 1);
  g_assert_cmpuint (count_bad_tokens_after (world, relay->back, with_token), ==, 2);
  g_assert_cmpuint (quic_world_stats (world).half_open, <=, 1);
}

/* Spoofed Initials: above the threshold none of them costs state. */
static void
test_flood (void)
{
  const TlQuicEndpointOptions options = { .retry_threshold = 4, .handshake_timeout_ms = 1000 };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  QuicPeer *connected = quic_world_open (world);
  g_autoptr (QuicRaw) raw = quic_raw_new (world->address);
  g_autoptr (GBytes) initial = quic_raw_capture_initial (world);
  g_autofree guint8 *packet = g_memdup2 (g_bytes_get_data (initial, NULL), g_bytes_get_size (initial));
  QuicCall *call;

  for (guint i = 0; i < 500; i++)
    {
      memcpy (packet + 6, &i, sizeof i); /* another Destination Connection ID; the keys no longer fit */
      quic_raw_send (raw, packet, g_bytes_get_size (initial));
      if (i % 20 == 0)
        quic_world_iterate ();
    }
  call = quic_world_call (connected, "still there", 11, TRUE);
  quic_wait (call->closed);
  quic_wait (quic_world_stats (world).received >= 500);
  g_assert_cmpuint (quic_world_stats (world).half_open, <=, 4);
  g_assert_cmpuint (world->server->cids.n_entries, <=, 4 * 2 + 16);
  quic_wait (quic_world_stats (world).half_open == 0);
  assert_works (world);
}

/* A proven address may hold so many half-open connections, and no more. */
static void
test_half_open_limit (void)
{
  const TlQuicEndpointOptions options = { .retry_threshold = 100000, .handshake_timeout_ms = 1500 };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  TlQuicAddress source, other;

  g_assert_true (tl_quic_address_parse ("192.0.2.1:1", &source, NULL));
  g_assert_true (tl_quic_address_parse ("[2001:db8::1]:1", &other, NULL));
  const ngtcp2_addr a = { &source.address.sa, source.length };
  const ngtcp2_addr b = { &other.address.sa, other.length };
  for (int i = 0; i < TL_QUIC_HALF_OPEN_PER_SOURCE; i++)
    g_assert_true (tl_quic_endpoint_enter_half_open (world->server, &a));
  g_assert_false (tl_quic_endpoint_enter_half_open (world->server, &a));
  g_assert_true (tl_quic_endpoint_enter_half_open (world->server, &b));
  for (int i = 0; i < TL_QUIC_HALF_OPEN_PER_SOURCE; i++)
    tl_quic_endpoint_leave_half_open (world->server, &a);
  tl_quic_endpoint_leave_half_open (world->server, &b);
  g_assert_cmpuint (g_hash_table_size (world->server->half_open_sources), ==, 0);
  g_assert_cmpuint (quic_world_stats (world).half_open, ==, 0);
}

/* ---- stateless reset ---- */

static void
test_reset (void)
{
  const TlQuicEndpointOptions options = { .secret = secret };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  QuicPeer *peer = quic_world_open (world);

  quic_world_restart (world, &options, TRUE);
  g_assert_false (peer->closed);
  tl_quic_connection_ping (peer->connection);
  quic_wait (peer->closed);
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_RESET);
  g_assert_cmpuint (quic_world_stats (world).resets, ==, 1);
  assert_works (world);
}

static void
test_reset_of_another (void)
{
  const TlQuicEndpointOptions options = { .secret = secret };
  const TlQuicEndpointOptions other = { .secret = other_secret };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  QuicPeer *peer = quic_world_open (world);
  TlQuicEndpointStats client;

  quic_world_restart (world, &other, TRUE);
  tl_quic_endpoint_get_stats (world->client, &client);
  guint64 received = client.received;
  tl_quic_connection_ping (peer->connection);
  while (client.received < received + 2)
    {
      quic_world_iterate ();
      tl_quic_endpoint_get_stats (world->client, &client);
    }
  g_assert_false (peer->closed); /* anybody could have sent that */
}

/* Rate-limited, and never longer than what it answers. */
static void
test_reset_limits (void)
{
  const TlQuicEndpointOptions options = { .secret = secret };
  g_autoptr (QuicWorld) world = quic_world_new ("127.0.0.1:0", &options);
  g_autoptr (QuicRaw) raw = quic_raw_new (world->address);
  guint8 packet[100] = { 0x40, 1, 2, 3 };
  guint n = 0;

  world->server->reset_rate.rate = 10;
  for (gsize length = 1; length <= 60; length++)
    {
      quic_raw_send (raw, packet, length);
      quic_wait (quic_world_stats (world).received == length);
      for (GBytes *bytes; (bytes = quic_raw_receive (raw)) != NULL; n++)
        {
          g_assert_cmpuint (g_bytes_get_size (bytes), <, length);
          g_assert_cmpuint (g_bytes_get_size (bytes), >=, 21);
          g_bytes_unref (bytes);
        }
    }
  g_assert_cmpuint (n, ==, quic_world_stats (world).resets);
  g_assert_cmpuint (n, >=, 10);
  g_assert_cmpuint (n, <=, 20); /* the second may have turned once */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quic/stateless/version-negotiation", test_version_negotiation);
  g_test_add_func ("/quic/stateless/garbage", test_garbage);
  g_test_add_func ("/quic/stateless/truncated", test_truncated);
  g_test_add_func ("/quic/stateless/retry", test_retry);
  g_test_add_func ("/quic/stateless/retry-always", test_retry_always);
  g_test_add_func ("/quic/stateless/replayed-token", test_replayed_token);
  g_test_add_func ("/quic/stateless/flood", test_flood);
  g_test_add_func ("/quic/stateless/half-open-limit", test_half_open_limit);
  g_test_add_func ("/quic/stateless/reset", test_reset);
  g_test_add_func ("/quic/stateless/reset-of-another", test_reset_of_another);
  g_test_add_func ("/quic/stateless/reset-limits", test_reset_limits);
  return g_test_run ();
}
