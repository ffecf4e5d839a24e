/* SPDX-License-Identifier: Apache-2.0 */
#include "bench-quic-client.h"

#include <string.h>

#include "base/tl-error.h"
#include "quic/tl-quic-endpoint.h"
#include "quic/tl-quic-verifier.h"

#define REQUEST_LENGTH 200

struct _BenchQuicClient
{
  char *address;
  TlQuicTrust *trust;
  TlQuicTls *tls;
  TlQuicEndpoint *endpoint;
  TlQuicConnection *connection; /* NULL: not open */
  BenchOperation *operation;    /* until it is open */
  char request[REQUEST_LENGTH + 1];
};

/* ---- a request */

typedef struct
{
  BenchOperation *operation;
  gboolean answered;
} Request;

static void
on_frame (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
  Request *request = user_data;

  request->answered = memmem (data, length, "\"health\"", 8) != NULL;
  if (request->answered)
    bench_operation_finish (g_steal_pointer (&request->operation), NULL);
}

static void
on_stream_closed (TlQuicStream *stream, guint64 code, gpointer user_data)
{
  g_autofree Request *request = user_data;
  g_autoptr (GError) error = NULL;

  if (request->operation == NULL)
    return;
  error = g_error_new (TL_ERROR, TL_ERROR_PROTOCOL,
                       "node.health was not answered (stream code 0x%" G_GINT64_MODIFIER "x)", code);
  bench_operation_finish (request->operation, error);
}

void
bench_quic_client_start_request (BenchOperation *operation, guint index, gpointer user_data)
{
  static const TlQuicStreamHandlers handlers = { .frame = on_frame, .closed = on_stream_closed };
  BenchQuicClient *client = user_data;
  Request *request = g_new0 (Request, 1);
  TlQuicStream *stream
      = client->connection != NULL ? tl_quic_connection_open_stream (client->connection, &handlers, request) : NULL;

  if (stream == NULL)
    {
      g_autoptr (GError) error
          = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "no stream may be opened to the gateway");

      g_free (request);
      bench_operation_finish (operation, error);
      return;
    }
  request->operation = operation;
  tl_quic_stream_send (stream, client->request, REQUEST_LENGTH, TRUE);
}

/* ---- the connection */

static void
on_opened (TlQuicConnection *connection, gpointer user_data)
{
  BenchQuicClient *client = user_data;

  client->connection = connection;
  bench_operation_finish (g_steal_pointer (&client->operation), NULL);
}

static void
on_closed (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data)
{
  BenchQuicClient *client = user_data;
  g_autoptr (GError) error = tl_quic_close_to_error (why);

  client->connection = NULL;
  if (client->operation != NULL)
    bench_operation_finish (g_steal_pointer (&client->operation), error);
}

void
bench_quic_client_start_connection (BenchOperation *operation, guint index, gpointer user_data)
{
  static const TlQuicConnectionHandlers handlers = { .opened = on_opened, .closed = on_closed };
  BenchQuicClient *client = user_data;
  g_autoptr (GError) error = NULL;

  client->operation = operation;
  if (tl_quic_endpoint_connect (client->endpoint, client->address, client->tls, &handlers, client, &error) == NULL)
    bench_operation_finish (g_steal_pointer (&client->operation), error);
}

static void
write_request (BenchQuicClient *client)
{
  static const char start[] = "{\"protocol_version\":1,\"method\":\"node.health\",\"padding\":\"";

  memset (client->request, 'x', REQUEST_LENGTH);
  memcpy (client->request, start, sizeof start - 1);
  memcpy (client->request + REQUEST_LENGTH - 2, "\"}", 3);
}

BenchQuicClient *
bench_quic_client_new (const BenchCrowd *crowd, guint device, const char *address, GError **error)
{
  const TlQuicEndpointOptions options = { 0 };
  g_autoptr (BenchQuicClient) client = g_new0 (BenchQuicClient, 1);
  TlQuicTlsOptions tls_options = { .chain_pem = g_ptr_array_index (crowd->leaves, device),
                                   .key_pem = crowd->key_pem,
                                   .verify = tl_quic_trust_verify };

  write_request (client);
  client->address = g_strdup (address);
  client->trust = tl_quic_trust_new (crowd->bundle, NULL, tl_clock_system ());
  tls_options.verify_data = client->trust;
  client->tls = tl_quic_tls_new (&tls_options, error);
  if (client->tls == NULL || (client->endpoint = tl_quic_endpoint_new (&options, error)) == NULL)
    return NULL;
  return g_steal_pointer (&client);
}

void
bench_quic_client_free (BenchQuicClient *client)
{
  if (client == NULL)
    return;
  g_clear_pointer (&client->endpoint, tl_quic_endpoint_free);
  g_clear_pointer (&client->tls, tl_quic_tls_unref);
  g_clear_pointer (&client->trust, tl_quic_trust_free);
  g_free (client->address);
  g_free (client);
}
