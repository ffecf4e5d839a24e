/* SPDX-License-Identifier: Apache-2.0 */
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "quic/tl-quic-endpoint.h"
#include "quic/tl-quic-verifier.h"

/*
 * A QUIC client of the gateway that does as it is told, for tests: one JSON object a line on standard input, what
 * happens as one JSON object a line on standard output (tests/integration/quicclient.py). It sends frames as they are
 * given, so it can say what no node says. It ends with its input.
 *
 *   {"op": "identity", "id": I, "certificate": FILE, "key": FILE, "ca": FILE [, "pin": HEX]}
 *   {"op": "connect", "connection": C, "identity": I, "address": "127.0.0.1:7444"}
 *   {"op": "open", "connection": C, "stream": S, "frame": TEXT [, "more": true]}    more: without FIN
 *   {"op": "send", "stream": S, "frame": TEXT [, "more": true]}
 *   {"op": "finish", "stream": S}   {"op": "reset", "stream": S, "code": N}
 *   {"op": "migrate", "connection": C [, "immediate": true]}   "rebind", "ping", "info": the same
 *   {"op": "close", "connection": C, "code": N}
 *
 * Answers have "event" and "us" (monotonic): opened, migrated, info {connection, local, remote, rtt_us, packets_lost,
 * migrations, streams}; closed {connection, ending, code, by_peer, reason, error}; frame {connection, stream, frame};
 * finished, stream_closed {connection, stream, code}; failed {op, error}.
 */
typedef struct
{
  TlTrustBundle *bundle;
  char *pin;
  char *chain;
  TlSecret *key;
} Identity;

typedef struct _Client Client;

typedef struct
{
  Client *client;
  char *name;
  TlQuicConnection *connection;
  TlQuicTrust *trust;
} Connection;

typedef struct
{
  Connection *connection;
  char *name;
  TlQuicStream *stream;
} Stream;

struct _Client
{
  GMainLoop *loop;
  TlQuicEndpoint *endpoint;
  GHashTable *identities;  /* name -> Identity */
  GHashTable *connections; /* name -> Connection, alive */
  GHashTable *streams;     /* name -> Stream, alive */
};

static void
identity_free (gpointer data)
{
  Identity *identity = data;

  g_clear_pointer (&identity->bundle, tl_trust_bundle_unref);
  g_clear_pointer (&identity->key, tl_secret_unref);
  g_free (identity->chain);
  g_free (identity->pin);
  g_free (identity);
}

static void
connection_free (gpointer data)
{
  Connection *connection = data;

  tl_quic_trust_free (connection->trust);
  g_free (connection->name);
  g_free (connection);
}

static void
stream_free (gpointer data)
{
  Stream *stream = data;

  g_free (stream->name);
  g_free (stream);
}

/* ---- what happens ---- */

/* Takes the object over. */
static void
say (json_t *event)
{
  g_autofree char *text = NULL;

  json_object_set_new (event, "us", json_integer (g_get_monotonic_time ()));
  text = tl_json_to_string (event);
  json_decref (event);
  puts (text);
  fflush (stdout);
}

static void
say_info (const char *what, TlQuicConnection *quic, const Connection *connection)
{
  TlQuicConnectionInfo info;

  tl_quic_connection_get_info (quic, &info);
  say (json_pack ("{s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:i}", "event", what, "connection", connection->name, "local",
                  info.local, "remote", info.remote, "rtt_us", (json_int_t)info.rtt_us, "packets_lost",
                  (json_int_t)info.packets_lost, "migrations", (int)info.migrations, "streams", (int)info.streams));
}

static void
on_opened (TlQuicConnection *quic, gpointer user_data)
{
  say_info ("opened", quic, user_data);
}

static void
on_migrated (TlQuicConnection *quic, gpointer user_data)
{
  say_info ("migrated", quic, user_data);
}

static const char *
ending_to_string (TlQuicEnding ending)
{
  switch (ending)
    {
    case TL_QUIC_ENDED_LOCALLY:
      return "locally";
    case TL_QUIC_ENDED_BY_PEER:
      return "by_peer";
    case TL_QUIC_ENDED_BY_ALERT:
      return "by_alert";
    case TL_QUIC_ENDED_BY_TRANSPORT:
      return "by_transport";
    case TL_QUIC_ENDED_IDLE:
      return "idle";
    case TL_QUIC_ENDED_HANDSHAKE_TIMEOUT:
      return "handshake_timeout";
    case TL_QUIC_ENDED_RESET:
      return "reset";
    case TL_QUIC_ENDED_UNREACHABLE:
      return "unreachable";
    case TL_QUIC_ENDED_VERSION:
      return "version";
    }
  g_return_val_if_reached ("?");
}

static void
on_closed (TlQuicConnection *quic G_GNUC_UNUSED, const TlQuicClose *why, gpointer user_data)
{
  Connection *connection = user_data;
  g_autoptr (GError) error = tl_quic_close_to_error (why);

  say (json_pack ("{s:s, s:s, s:s, s:I, s:b, s:s, s:s}", "event", "closed", "connection", connection->name, "ending",
                  ending_to_string (why->ending), "code", (json_int_t)why->code, "by_peer", why->by_peer, "reason",
                  why->reason != NULL ? why->reason : "", "error", error->message));
  g_hash_table_remove (connection->client->connections, connection->name);
}

static const TlQuicConnectionHandlers connection_handlers
    = { .opened = on_opened, .migrated = on_migrated, .closed = on_closed };

static void
on_frame (TlQuicStream *quic G_GNUC_UNUSED, const guint8 *data, gsize length, gpointer user_data)
{
  const Stream *stream = user_data;

  say (json_pack ("{s:s, s:s, s:s, s:s%}", "event", "frame", "connection", stream->connection->name, "stream",
                  stream->name, "frame", (const char *)data, length));
}

static void
on_finished (TlQuicStream *quic G_GNUC_UNUSED, gpointer user_data)
{
  const Stream *stream = user_data;

  say (json_pack ("{s:s, s:s, s:s}", "event", "finished", "connection", stream->connection->name, "stream",
                  stream->name));
}

static void
on_stream_closed (TlQuicStream *quic G_GNUC_UNUSED, guint64 code, gpointer user_data)
{
  const Stream *stream = user_data;

  say (json_pack ("{s:s, s:s, s:s, s:I}", "event", "stream_closed", "connection", stream->connection->name, "stream",
                  stream->name, "code", (json_int_t)code));
  g_hash_table_remove (stream->connection->client->streams, stream->name);
}

static const TlQuicStreamHandlers stream_handlers
    = { .frame = on_frame, .finished = on_finished, .closed = on_stream_closed };

/* ---- what it is told ---- */

static const char *
text_of (const json_t *command, const char *member)
{
  const char *text = json_string_value (json_object_get (command, member));

  return text != NULL ? text : "";
}

static char *
read_file (const json_t *command, const char *member, GError **error)
{
  char *text = NULL;

  return g_file_get_contents (text_of (command, member), &text, NULL, error) ? text : NULL;
}

static gboolean
do_identity (Client *client, const json_t *command, GError **error)
{
  Identity *identity = g_new0 (Identity, 1);
  g_autofree char *ca = NULL, *key = NULL;

  g_hash_table_replace (client->identities, g_strdup (text_of (command, "id")), identity);
  identity->chain = read_file (command, "certificate", error);
  if (identity->chain == NULL || (key = read_file (command, "key", error)) == NULL
      || (ca = read_file (command, "ca", error)) == NULL)
    return FALSE;
  identity->key = tl_secret_new_copy (key, strlen (key));
  identity->bundle = tl_trust_bundle_new_from_pem (ca, -1, error);
  identity->pin = g_strdup (json_string_value (json_object_get (command, "pin")));
  return identity->bundle != NULL;
}

static gboolean
do_connect (Client *client, const json_t *command, GError **error)
{
  const Identity *identity = g_hash_table_lookup (client->identities, text_of (command, "identity"));
  g_autoptr (TlQuicTls) tls = NULL;
  TlQuicTlsOptions options = { .verify = tl_quic_trust_verify };
  Connection *connection;

  if (identity == NULL || identity->bundle == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_NOT_FOUND, "no such identity");
      return FALSE;
    }
  connection = g_new0 (Connection, 1);
  connection->client = client;
  connection->name = g_strdup (text_of (command, "connection"));
  connection->trust = tl_quic_trust_new (identity->bundle, identity->pin, tl_clock_system ());
  options.chain_pem = identity->chain;
  options.key_pem = identity->key;
  options.verify_data = connection->trust;
  tls = tl_quic_tls_new (&options, error);
  if (tls != NULL)
    connection->connection = tl_quic_endpoint_connect (client->endpoint, text_of (command, "address"), tls,
                                                       &connection_handlers, connection, error);
  if (connection->connection == NULL)
    {
      connection_free (connection);
      return FALSE;
    }
  g_hash_table_replace (client->connections, connection->name, connection);
  return TRUE;
}

static gboolean
do_open (Client *client, const json_t *command, Connection *connection, GError **error)
{
  Stream *stream = g_new0 (Stream, 1);

  stream->connection = connection;
  stream->name = g_strdup (text_of (command, "stream"));
  stream->stream = tl_quic_connection_open_stream (connection->connection, &stream_handlers, stream);
  if (stream->stream == NULL)
    {
      stream_free (stream);
      g_set_error_literal (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, "no stream can be opened now");
      return FALSE;
    }
  g_hash_table_replace (client->streams, stream->name, stream);
  return TRUE;
}

static gboolean
do_send (const json_t *command, Stream *stream, GError **error)
{
  const json_t *frame = json_object_get (command, "frame");

  if (tl_quic_stream_send (stream->stream, json_string_value (frame), json_string_length (frame),
                           !json_is_true (json_object_get (command, "more"))))
    return TRUE;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_UNAVAILABLE, "the stream takes nothing more");
  return FALSE;
}

static gboolean
stream_command (const char *op, const json_t *command, Stream *stream, GError **error)
{
  if (g_str_equal (op, "send") || g_str_equal (op, "open"))
    return do_send (command, stream, error);
  if (g_str_equal (op, "finish"))
    tl_quic_stream_finish (stream->stream);
  else
    tl_quic_stream_reset (stream->stream, (guint64)json_integer_value (json_object_get (command, "code")));
  return TRUE;
}

static gboolean
connection_command (const char *op, const json_t *command, Connection *connection, GError **error)
{
  if (g_str_equal (op, "migrate"))
    return tl_quic_connection_migrate (connection->connection, json_is_true (json_object_get (command, "immediate")),
                                       error);
  if (g_str_equal (op, "rebind"))
    return tl_quic_connection_rebind (connection->connection, error);
  if (g_str_equal (op, "ping"))
    tl_quic_connection_ping (connection->connection);
  else if (g_str_equal (op, "info"))
    say_info ("info", connection->connection, connection);
  else if (g_str_equal (op, "close"))
    tl_quic_connection_close (connection->connection, (guint64)json_integer_value (json_object_get (command, "code")),
                              NULL);
  else
    {
      g_set_error (error, TL_ERROR, TL_ERROR_USAGE, "no such operation: '%s'", op);
      return FALSE;
    }
  return TRUE;
}

static gboolean
run (Client *client, const json_t *command, GError **error)
{
  const char *op = text_of (command, "op");
  Connection *connection = g_hash_table_lookup (client->connections, text_of (command, "connection"));
  Stream *stream;

  if (g_str_equal (op, "identity"))
    return do_identity (client, command, error);
  if (g_str_equal (op, "connect"))
    return do_connect (client, command, error);
  if (g_str_equal (op, "open") && connection != NULL && !do_open (client, command, connection, error))
    return FALSE;
  stream = g_hash_table_lookup (client->streams, text_of (command, "stream"));
  if (stream != NULL)
    return stream_command (op, command, stream, error);
  if (connection != NULL)
    return connection_command (op, command, connection, error);
  g_set_error_literal (error, TL_ERROR, TL_ERROR_NOT_FOUND, "no such connection or stream");
  return FALSE;
}

static void
on_line (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Client *client = user_data;
  GDataInputStream *input = G_DATA_INPUT_STREAM (source);
  g_autoptr (GError) error = NULL;
  g_autofree char *line = g_data_input_stream_read_line_finish (input, result, NULL, NULL);
  tl_json_auto command = NULL;

  if (line == NULL)
    {
      g_main_loop_quit (client->loop);
      return;
    }
  command = tl_json_parse (line, -1, 0, &error);
  if (command == NULL || !run (client, command, &error))
    say (json_pack ("{s:s, s:s, s:s}", "event", "failed", "op", command != NULL ? text_of (command, "op") : "", "error",
                    error->message));
  g_data_input_stream_read_line_async (input, G_PRIORITY_DEFAULT, NULL, on_line, client);
}

int
main (void)
{
  g_autoptr (GInputStream) in = g_unix_input_stream_new (STDIN_FILENO, FALSE);
  g_autoptr (GDataInputStream) input = g_data_input_stream_new (in);
  g_autoptr (GError) error = NULL;
  TlQuicEndpointOptions options = { .qlog_directory = g_getenv ("TL_QLOG_DIRECTORY") };
  Client client = { .loop = g_main_loop_new (NULL, FALSE) };

  client.identities = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, identity_free);
  client.connections = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, connection_free);
  client.streams = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, stream_free);
  client.endpoint = tl_quic_endpoint_new (&options, &error);
  if (client.endpoint == NULL)
    {
      fprintf (stderr, "quic-client: %s\n", error->message);
      return 1;
    }
  g_data_input_stream_read_line_async (input, G_PRIORITY_DEFAULT, NULL, on_line, &client);
  g_main_loop_run (client.loop);
  tl_quic_endpoint_free (client.endpoint);
  g_hash_table_unref (client.streams);
  g_hash_table_unref (client.connections);
  g_hash_table_unref (client.identities);
  g_main_loop_unref (client.loop);
  return 0;
}
