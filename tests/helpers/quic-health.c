/* SPDX-License-Identifier: Apache-2.0 */

/* quic-health NODE_DIR ADDRESS COUNT: the device of NODE_DIR asks its gateway for `node.health` over one QUIC
 * connection, COUNT times, one after the other. Prints "health MICROSECONDS" for each; ends with 1 when the connection
 * closes before the last answer. */

#include <stdio.h>
#include <stdlib.h>

#include "agent/node/tl-node-state.h"
#include "quic/tl-quic-endpoint.h"
#include "quic/tl-quic-message.h"
#include "quic/tl-quic-verifier.h"

typedef struct
{
  TlQuicConnection *connection;
  GMainLoop *loop;
  guint left;
  gint64 asked_us;
} Asker;

static void ask (Asker *asker);

static void
on_frame (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
  Asker *asker = user_data;
  g_autoptr (GError) error = NULL;
  gboolean unknown = FALSE;
  g_autoptr (TlQuicAnswer) answer = tl_quic_answer_parse (data, length, &unknown, &error);

  (void)stream;
  g_assert_no_error (error);
  g_assert_nonnull (answer);
  g_assert_cmpint (answer->kind, ==, TL_QUIC_ANSWER_HEALTH);
  printf ("health %" G_GINT64_FORMAT "\n", g_get_monotonic_time () - asker->asked_us);
}

static void
on_stream_closed (TlQuicStream *stream, guint64 code, gpointer user_data)
{
  Asker *asker = user_data;

  (void)stream;
  if (code != 0)
    return; /* the connection tells why */
  if (--asker->left == 0)
    g_main_loop_quit (asker->loop);
  else
    ask (asker);
}

static void
ask (Asker *asker)
{
  static const TlQuicStreamHandlers handlers = { .frame = on_frame, .closed = on_stream_closed };
  TlQuicRequest request = { .method = TL_QUIC_METHOD_HEALTH };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) frame = tl_quic_request_format (&request, &error);
  TlQuicStream *stream = tl_quic_connection_open_stream (asker->connection, &handlers, asker);

  g_assert_no_error (error);
  g_assert_nonnull (stream);
  asker->asked_us = g_get_monotonic_time ();
  tl_quic_stream_send (stream, g_bytes_get_data (frame, NULL), g_bytes_get_size (frame), TRUE);
}

static void
on_opened (TlQuicConnection *connection, gpointer user_data)
{
  (void)connection;
  ask (user_data);
}

static void
on_closed (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data)
{
  Asker *asker = user_data;
  g_autoptr (GError) error = tl_quic_close_to_error (why);

  (void)connection;
  if (asker->left == 0)
    return;
  fprintf (stderr, "%s\n", error->message);
  exit (1);
}

int
main (int argc, char **argv)
{
  static const TlQuicConnectionHandlers handlers = { .opened = on_opened, .closed = on_closed };
  g_autoptr (GError) error = NULL;
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (TlNodeState) state = NULL;
  g_autoptr (TlDeviceIdentity) identity = NULL;
  g_autoptr (TlSecret) key = NULL;
  g_autofree char *chain = NULL;
  g_autoptr (TlQuicTrust) trust = NULL;
  g_autoptr (TlQuicTls) tls = NULL;
  g_autoptr (TlQuicEndpoint) endpoint = NULL;
  TlQuicTlsOptions with = { .verify = tl_quic_trust_verify };
  TlQuicEndpointOptions options = { .clock = tl_clock_system () };
  Asker asker = { .loop = loop };

  g_assert_cmpint (argc, ==, 4);
  asker.left = (guint)atoi (argv[3]);
  state = tl_node_state_open (argv[1], NULL, &error);
  g_assert_no_error (error);
  identity = tl_node_state_load_identity (state, &error);
  g_assert_no_error (error);
  key = tl_device_identity_key_pem (identity, &error);
  g_assert_no_error (error);
  chain = tl_device_identity_chain_pem (identity);
  trust = tl_quic_trust_new (tl_device_identity_bundle (identity), NULL, tl_clock_system ());
  with.chain_pem = chain;
  with.key_pem = key;
  with.verify_data = trust;
  tls = tl_quic_tls_new (&with, &error);
  g_assert_no_error (error);
  endpoint = tl_quic_endpoint_new (&options, &error);
  g_assert_no_error (error);
  asker.connection = tl_quic_endpoint_connect (endpoint, argv[2], tls, &handlers, &asker, &error);
  g_assert_no_error (error);
  g_main_loop_run (loop);
  return 0;
}
