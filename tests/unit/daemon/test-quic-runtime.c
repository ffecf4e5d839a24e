/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "crypto/tl-keys.h"
#include "daemon/tl-quic-runtime.h"
#include "identity/tl-certificate-authority.h"
#include "quic/tl-quic-verifier.h"

/* The runtime with a real endpoint on loopback; the test is main, and the clients are on main's context, too. */
#define GATEWAY "01ARZ3NDEKTSV4RRFFQ69G5GWY"
#define BUDGET  1000 /* ten requests for main */

typedef struct
{
  char device_id[27];
  char *fingerprint, *chain;
  TlSecret *key;
} Device;

typedef struct
{
  TlClock *clock;
  TlRandom *random;
  TlCertificateAuthority *ca;
  TlTrustBundle *bundle;
  TlQuicTrust *trust;
  TlAdmittedSet *admitted;
  TlQuicRuntime *runtime;
  TlQuicEndpoint *client;
  GPtrArray *bound;
  Device device;
  guint8 secret[TL_QUIC_SECRET_LENGTH];
  /* what main was told */
  GPtrArray *registered, *denied; /* char* */
  TlQuicChannel *events;          /* stream_events came on it */
  guint requests, ended, drained;
  GPtrArray *held;  /* not NULL: main is busy, and keeps the channels */
  gboolean answers; /* anything else is acknowledged at once */
} Fixture;

typedef struct
{
  TlQuicConnection *connection; /* NULL: closed */
  gboolean opened;
  TlQuicClose why;
  GString *answers;   /* kinds and errors */
  guint64 latest_seq; /* of the last answer */
  gsize bytes;
  guint closed_streams;
} Client;

#define UNTIL(condition)                                                                                               \
  do                                                                                                                   \
    while (!(condition))                                                                                               \
      g_main_context_iteration (NULL, TRUE);                                                                           \
  while (0)

/* ---- main ---- */

static void
on_registered (const char *fingerprint, gpointer user_data)
{
  g_ptr_array_add (((Fixture *)user_data)->registered, g_strdup (fingerprint));
}

static void
on_request (TlQuicChannel *channel, const TlQuicRequest *request, gpointer user_data)
{
  Fixture *f = user_data;
  TlQuicAnswer answer = { .kind = TL_QUIC_ANSWER_ACK };

  g_assert_cmpstr (tl_quic_channel_device_id (channel), ==, f->device.device_id);
  f->requests++;
  if (request->method == TL_QUIC_METHOD_STREAM_EVENTS)
    f->events = tl_quic_channel_ref (channel);
  else if (f->held != NULL)
    g_ptr_array_add (f->held, tl_quic_channel_ref (channel));
  else if (f->answers)
    tl_quic_channel_send (channel, tl_quic_answer_format (&answer), TRUE);
}

static void
on_ended (TlQuicChannel *channel, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_true (channel == f->events);
  f->ended++;
}

static void
on_drained (TlQuicChannel *channel, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_true (channel == f->events);
  f->drained++;
}

static void
on_denied (const TlRpcDenial *denial, gpointer user_data)
{
  g_ptr_array_add (((Fixture *)user_data)->denied, g_strdup_printf ("%s %s", denial->actor, denial->reason));
}

static const TlQuicRuntimeHandlers handlers = { on_registered, on_request, on_ended, on_drained, on_denied };

/* ---- the client ---- */

static void
on_opened (TlQuicConnection *connection, gpointer user_data)
{
  ((Client *)user_data)->opened = TRUE;
}

static void
on_closed (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data)
{
  Client *client = user_data;

  client->connection = NULL;
  client->why = *why;
}

static const TlQuicConnectionHandlers client_handlers = { .opened = on_opened, .closed = on_closed };

static void
on_frame (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
  Client *client = user_data;
  g_autoptr (GError) error = NULL;
  gboolean unknown = FALSE;
  g_autoptr (TlQuicAnswer) answer = tl_quic_answer_parse (data, length, &unknown, &error);

  g_assert_no_error (error);
  client->bytes += length;
  client->latest_seq = answer->latest_seq;
  g_string_append_printf (client->answers, "%d%s ", answer->kind, answer->error != NULL ? answer->error : "");
}

static void
on_stream_closed (TlQuicStream *stream, guint64 code, gpointer user_data)
{
  ((Client *)user_data)->closed_streams++;
}

static const TlQuicStreamHandlers stream_handlers = { .frame = on_frame, .closed = on_stream_closed };

static void
connect_client (Fixture *f, Client *client)
{
  TlQuicTlsOptions options = { .chain_pem = f->device.chain, .key_pem = f->device.key, .verify = tl_quic_trust_verify };
  g_autoptr (GError) error = NULL;
  g_autoptr (TlQuicTls) tls = NULL;

  memset (client, 0, sizeof *client);
  client->answers = g_string_new (NULL);
  options.verify_data = f->trust;
  tls = tl_quic_tls_new (&options, &error);
  g_assert_no_error (error);
  client->connection = tl_quic_endpoint_connect (f->client, f->bound->pdata[0], tls, &client_handlers, client, &error);
  g_assert_no_error (error);
  UNTIL (client->opened || client->connection == NULL);
}

static void
client_clear (Client *client)
{
  g_string_free (client->answers, TRUE);
}

static void
ask (Client *client, const TlQuicRequest *request)
{
  g_autoptr (GBytes) frame = tl_quic_request_format (request, NULL);
  TlQuicStream *stream = tl_quic_connection_open_stream (client->connection, &stream_handlers, client);

  g_assert_nonnull (stream);
  g_assert_true (tl_quic_stream_send (stream, g_bytes_get_data (frame, NULL), g_bytes_get_size (frame), TRUE));
}

static void
ask_for_events (Client *client)
{
  TlQuicRequest request = { .method = TL_QUIC_METHOD_STREAM_EVENTS, .resume_id = "", .instance_id = GATEWAY };

  ask (client, &request);
}

static void
expect (Client *client, const char *answers)
{
  gsize length = strlen (answers);

  UNTIL (client->answers->len >= length);
  g_assert_cmpstr (client->answers->str, ==, answers);
  g_string_set_size (client->answers, 0);
}

/* ---- fixture ---- */

static void
make_device (Fixture *f, Device *device)
{
  g_autoptr (EVP_PKEY) key = tl_p256_generate (NULL);
  g_autoptr (X509) leaf = NULL;
  TlAdmission admission = { .role = TL_ROLE_NODE };
  g_autofree char *device_id = tl_ulid_new (tl_clock_wall_ms (f->clock), f->random);

  g_strlcpy (device->device_id, device_id, sizeof device->device_id);
  leaf = tl_certificate_authority_issue_device (f->ca, key, device_id, tl_clock_wall_ms (f->clock),
                                                TL_DEVICE_LEAF_DEFAULT_MS, f->random, NULL);
  device->chain = tl_certificate_to_pem (leaf);
  device->key = tl_p256_to_pem (key, NULL);
  device->fingerprint = tl_certificate_fingerprint (leaf);
  g_strlcpy (admission.device_id, device_id, sizeof admission.device_id);
  admission.not_after_ms = tl_certificate_not_after_ms (leaf);
  tl_admitted_set_add (f->admitted, device->fingerprint, &admission);
}

static char *
make_server_leaf (Fixture *f, TlSecret **key_pem)
{
  g_autoptr (EVP_PKEY) key = tl_p256_generate (NULL);
  g_autoptr (X509) leaf = tl_certificate_authority_issue_server (f->ca, key, NULL, tl_clock_wall_ms (f->clock),
                                                                 TL_SERVER_LEAF_LIFETIME_MS, f->random, NULL);
  g_autofree char *leaf_pem = tl_certificate_to_pem (leaf);
  g_autofree char *ca_pem = tl_certificate_to_pem (tl_certificate_authority_certificate (f->ca));

  *key_pem = tl_p256_to_pem (key, NULL);
  return g_strconcat (leaf_pem, ca_pem, NULL);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  TlQuicRuntimeOptions options = { .gateway_id = GATEWAY, .handlers = &handlers };
  TlQuicEndpointOptions client = { 0 };
  g_autoptr (TlSecret) key = NULL;
  g_autofree char *chain = NULL;
  g_autoptr (GError) error = NULL;
  GBytes *der;

  f->clock = tl_clock_system ();
  f->random = tl_random_system ();
  f->ca = tl_certificate_authority_new (GATEWAY, 1, tl_clock_wall_ms (f->clock), f->random, &error);
  g_assert_no_error (error);
  der = tl_certificate_authority_der (f->ca);
  f->bundle = tl_trust_bundle_new (&der, 1, NULL);
  f->trust = tl_quic_trust_new (f->bundle, NULL, f->clock);
  f->admitted = tl_admitted_set_new ();
  f->bound = g_ptr_array_new_with_free_func (g_free);
  f->registered = g_ptr_array_new_with_free_func (g_free);
  f->denied = g_ptr_array_new_with_free_func (g_free);
  make_device (f, &f->device);
  chain = make_server_leaf (f, &key);
  options.secret = f->secret;
  options.admitted = f->admitted;
  options.bundle = f->bundle;
  options.chain_pem = chain;
  options.key_pem = key;
  options.clock = f->clock;
  options.budget_per_second = GPOINTER_TO_UINT (data);
  options.user_data = f;
  f->runtime = tl_quic_runtime_new (&options, &error);
  g_assert_no_error (error);
  g_assert_true (tl_quic_runtime_listen (f->runtime, "127.0.0.1:0", f->bound, &error));
  tl_quic_runtime_start (f->runtime);
  f->client = tl_quic_endpoint_new (&client, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  tl_quic_runtime_free (f->runtime);
  tl_quic_endpoint_free (f->client);
  tl_quic_channel_unref (f->events);
  tl_quic_trust_free (f->trust);
  tl_trust_bundle_unref (f->bundle);
  tl_certificate_authority_unref (f->ca);
  tl_admitted_set_unref (f->admitted);
  g_ptr_array_unref (f->bound);
  g_ptr_array_unref (f->registered);
  g_ptr_array_unref (f->denied);
  tl_secret_unref (f->device.key);
  g_free (f->device.chain);
  g_free (f->device.fingerprint);
}

/* ---- tests ---- */

/* Main does nothing meanwhile: the quic thread answers by itself, and knows the newest event. */
static void
test_health (Fixture *f, gconstpointer data)
{
  const TlQuicRequest request = { .method = TL_QUIC_METHOD_HEALTH };
  Client client;

  connect_client (f, &client);
  UNTIL (f->registered->len == 1);
  g_assert_cmpstr (f->registered->pdata[0], ==, f->device.fingerprint);
  tl_quic_runtime_latest (f->runtime, f->device.device_id, 7);
  ask (&client, &request);
  expect (&client, "0 ");
  g_assert_cmpuint (client.latest_seq, ==, 7);
  g_assert_cmpuint (f->requests, ==, 0);
  tl_quic_connection_close (client.connection, 0, NULL);
  UNTIL (client.connection == NULL);
  client_clear (&client);
}

static void
on_cut (guint connections, gpointer user_data)
{
  *(guint *)user_data = connections + 1;
}

static void
test_cut_device (Fixture *f, gconstpointer data)
{
  Client first, second;
  guint answer = 0;

  connect_client (f, &first);
  connect_client (f, &second);
  UNTIL (f->registered->len == 2);
  ask_for_events (&first);
  UNTIL (f->events != NULL);
  tl_quic_runtime_cut_device (f->runtime, f->device.device_id, 0, NULL, on_cut, &answer);
  UNTIL (answer != 0);
  g_assert_cmpuint (answer, ==, 1 + 2); /* only counted */
  answer = 0;
  tl_quic_runtime_cut_device (f->runtime, GATEWAY, TL_QUIC_CLOSE_REVOKED, NULL, on_cut, &answer);
  UNTIL (answer != 0);
  g_assert_cmpuint (answer, ==, 1); /* somebody else */
  answer = 0;
  tl_admitted_set_remove_device (f->admitted, f->device.device_id);
  tl_quic_runtime_cut_device (f->runtime, f->device.device_id, TL_QUIC_CLOSE_REVOKED, "revoked", on_cut, &answer);
  UNTIL (answer != 0 && first.connection == NULL && second.connection == NULL && f->ended == 1);
  g_assert_cmpuint (answer, ==, 1 + 2);
  g_assert_cmpint (first.why.ending, ==, TL_QUIC_ENDED_BY_PEER);
  g_assert_cmphex (first.why.code, ==, TL_QUIC_CLOSE_REVOKED);
  g_assert_cmphex (second.why.code, ==, TL_QUIC_CLOSE_REVOKED);
  client_clear (&first);

  connect_client (f, &first); /* a client may believe that it is in before it is told */
  UNTIL (first.connection == NULL && f->denied->len == 1);
  g_assert_cmpint (first.why.ending, ==, TL_QUIC_ENDED_BY_ALERT);
  g_assert_cmpuint (first.why.code, ==, TL_QUIC_ALERT_CERTIFICATE_REVOKED);
  g_assert_true (g_str_has_suffix (f->denied->pdata[0], " not_admitted"));
  g_assert_true (g_str_has_prefix (f->denied->pdata[0], "device:"));
  client_clear (&first);
  client_clear (&second);
}

static void
test_cut_certificate (Fixture *f, gconstpointer data)
{
  Client client;

  connect_client (f, &client);
  UNTIL (f->registered->len == 1);
  tl_admitted_set_remove (f->admitted, f->device.fingerprint);
  tl_quic_runtime_cut_certificate (f->runtime, f->device.fingerprint, TL_QUIC_CLOSE_CERTIFICATE_SUPERSEDED, "newer");
  UNTIL (client.connection == NULL);
  g_assert_cmphex (client.why.code, ==, TL_QUIC_CLOSE_CERTIFICATE_SUPERSEDED);
  client_clear (&client);
}

/* Every request re-checks, whoever tells the thread and when. */
static void
test_not_admitted_any_more (Fixture *f, gconstpointer data)
{
  const TlQuicRequest request = { .method = TL_QUIC_METHOD_HEALTH };
  Client client;

  connect_client (f, &client);
  UNTIL (f->registered->len == 1);
  tl_admitted_set_remove (f->admitted, f->device.fingerprint);
  ask (&client, &request);
  UNTIL (client.closed_streams == 1);
  g_assert_cmpstr (client.answers->str, ==, "");
  UNTIL (client.connection == NULL); /* nobody cut it: the tick does */
  g_assert_cmphex (client.why.code, ==, TL_QUIC_CLOSE_CERTIFICATE_SUPERSEDED);
  client_clear (&client);
}

static void
test_rate_limit (Fixture *f, gconstpointer data)
{
  const TlQuicRequest event = { .method = TL_QUIC_METHOD_EVENT, .type = "node.status", .data = "{}" };
  Client client;

  f->answers = TRUE;
  connect_client (f, &client);
  for (guint i = 0; i < 30; i++)
    ask (&client, &event);
  UNTIL (client.closed_streams == 30);
  g_test_message ("%s", client.answers->str);
  g_assert_cmpuint (f->requests, >=, BUDGET / TL_QUIC_COST_MAIN);
  g_assert_cmpuint (f->requests, <, 30);
  g_assert_nonnull (strstr (client.answers->str, "7rate_limited "));
  g_assert_nonnull (client.connection); /* it ends the stream only */
  tl_quic_connection_close (client.connection, 0, NULL);
  UNTIL (client.connection == NULL);
  client_clear (&client);
}

/* A stream that is reset makes room for another one, but what main has of it stays: one device must not fill main. */
static void
test_resets (Fixture *f, gconstpointer data)
{
  const TlQuicRequest event = { .method = TL_QUIC_METHOD_EVENT, .type = "node.status", .data = "{}" };
  g_autoptr (GBytes) frame = tl_quic_request_format (&event, NULL);
  guint asked = 0, seen;
  Client client;

  f->held = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_quic_channel_unref);
  connect_client (f, &client);
  while (client.answers->len == 0 && asked < 4 * TL_QUIC_REQUESTS_IN_HAND)
    {
      TlQuicStream *stream = tl_quic_connection_open_stream (client.connection, &stream_handlers, &client);

      g_assert_nonnull (stream);
      g_assert_true (tl_quic_stream_send (stream, g_bytes_get_data (frame, NULL), g_bytes_get_size (frame), TRUE));
      asked++;
      seen = f->held->len;
      UNTIL (f->held->len > seen || client.answers->len > 0);
      if (client.answers->len == 0)
        tl_quic_stream_reset (stream, TL_QUIC_STREAM_CANCELLED);
      UNTIL (client.closed_streams == asked);
    }
  g_assert_cmpuint (client.answers->len, >, 0);
  expect (&client, "7rate_limited ");
  g_assert_cmpuint (f->held->len, ==, TL_QUIC_REQUESTS_IN_HAND);
  g_clear_pointer (&f->held, g_ptr_array_unref);
  f->answers = TRUE;
  ask (&client, &event); /* main is done with them */
  expect (&client, "5 ");
  tl_quic_connection_close (client.connection, 0, NULL);
  UNTIL (client.connection == NULL);
  client_clear (&client);
}

#define LARGE  100000
#define FRAMES 60

/* What the device does not take yet is counted, and main hears when there is room again. */
static void
test_back_pressure (Fixture *f, gconstpointer data)
{
  g_autofree char *text = g_strnfill (LARGE, 'x');
  TlQuicAnswer event = { .kind = TL_QUIC_ANSWER_EVENT, .id = GATEWAY, .type = "test", .data = text };
  Client client;
  gsize most = 0;

  connect_client (f, &client);
  ask_for_events (&client);
  UNTIL (f->events != NULL);
  for (guint i = 1; i <= FRAMES; i++)
    {
      event.seq = i;
      g_assert_true (tl_quic_channel_send (f->events, tl_quic_answer_format (&event), FALSE));
      most = MAX (most, tl_quic_channel_queued_bytes (f->events));
    }
  g_assert_cmpuint (most, >, LARGE);
  UNTIL (f->drained > 0 && client.bytes > (gsize)FRAMES * LARGE);
  UNTIL (tl_quic_channel_queued_bytes (f->events) <= TL_QUIC_STREAM_LOW);
  tl_quic_channel_close_connection (f->events, TL_QUIC_CLOSE_SUPERSEDED, NULL);
  UNTIL (client.connection == NULL && f->ended == 1);
  g_assert_cmphex (client.why.code, ==, TL_QUIC_CLOSE_SUPERSEDED);
  g_assert_false (tl_quic_channel_send (f->events, tl_quic_answer_format (&event), FALSE));
  client_clear (&client);
}

static void
on_report (const TlQuicEndpointStats *stats, gpointer user_data)
{
  *(TlQuicEndpointStats *)user_data = *stats;
}

static void
test_report (Fixture *f, gconstpointer data)
{
  TlQuicEndpointStats stats = { 0 };
  TlNodePath path;
  Client client;

  tl_quic_runtime_report (NULL, on_report, &stats);
  connect_client (f, &client);
  ask_for_events (&client);
  UNTIL (f->events != NULL);
  tl_quic_runtime_report (f->runtime, on_report, &stats);
  UNTIL (stats.accepted == 1);
  g_assert_cmpuint (stats.connections, ==, 1);
  tl_quic_channel_get_path (f->events, &path);
  g_assert_true (g_str_has_prefix (path.address, "127.0.0.1:"));
  g_assert_cmpint (path.rtt_us, >, 0);
  memset (&stats, 0, sizeof stats);
  tl_quic_runtime_report (f->runtime, on_report, &stats); /* still fresh: at once */
  g_assert_cmpuint (stats.accepted, ==, 1);
  tl_quic_connection_close (client.connection, 0, NULL);
  UNTIL (client.connection == NULL && f->ended == 1);
  client_clear (&client);
}

static void
test_new_identity (Fixture *f, gconstpointer data)
{
  g_autoptr (TlSecret) key = NULL;
  g_autofree char *chain = make_server_leaf (f, &key);
  g_autoptr (X509) leaf = tl_certificate_from_pem (chain, -1, NULL);
  g_autofree char *pin = tl_certificate_fingerprint (leaf);
  g_autoptr (GError) error = NULL;
  Client client;

  g_assert_true (tl_quic_runtime_set_identity (f->runtime, chain, key, f->bundle, &error));
  g_assert_no_error (error);
  tl_quic_trust_free (f->trust);
  f->trust = tl_quic_trust_new (f->bundle, pin, f->clock); /* exactly that leaf */
  connect_client (f, &client);
  g_assert_true (client.opened);
  tl_quic_connection_close (client.connection, 0, NULL);
  UNTIL (client.connection == NULL);
  client_clear (&client);
}

/* Everybody hears 0x100, and nobody waits for ever. */
static void
test_stop (Fixture *f, gconstpointer data)
{
  Client client;
  guint answer = 0;

  connect_client (f, &client);
  UNTIL (f->registered->len == 1);
  tl_quic_runtime_cut_device (f->runtime, GATEWAY, TL_QUIC_CLOSE_REVOKED, NULL, on_cut, &answer);
  tl_quic_runtime_stop (f->runtime);
  g_assert_cmpuint (answer, ==, 1);
  UNTIL (client.connection == NULL);
  g_assert_cmphex (client.why.code, ==, TL_QUIC_CLOSE_GOING_AWAY);
  answer = 0;
  tl_quic_runtime_cut_device (f->runtime, GATEWAY, TL_QUIC_CLOSE_REVOKED, NULL, on_cut, &answer);
  g_assert_cmpuint (answer, ==, 1);
  client_clear (&client);
}

static void
test_port_taken (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) bound = g_ptr_array_new_with_free_func (g_free);
  TlQuicRuntimeOptions options = { .gateway_id = GATEWAY, .handlers = &handlers };
  g_autoptr (TlQuicRuntime) other = NULL;
  g_autoptr (TlSecret) key = NULL;
  g_autofree char *chain = make_server_leaf (f, &key);

  options.secret = f->secret;
  options.admitted = f->admitted;
  options.bundle = f->bundle;
  options.chain_pem = chain;
  options.key_pem = key;
  options.clock = f->clock;
  other = tl_quic_runtime_new (&options, &error);
  g_assert_no_error (error);
  g_assert_false (tl_quic_runtime_listen (other, f->bound->pdata[0], bound, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IN_USE);
  g_assert_nonnull (strstr (error->message, "UDP"));
  g_assert_cmpuint (bound->len, ==, 0);
}

#define ADD(name, func, budget)                                                                                        \
  g_test_add ("/quic-runtime/" name, Fixture, GUINT_TO_POINTER (budget), set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("5-health", test_health, 0);
  ADD ("4.4-cut-device", test_cut_device, 0);
  ADD ("5-cut-certificate", test_cut_certificate, 0);
  ADD ("1-not-admitted-any-more", test_not_admitted_any_more, 0);
  ADD ("5-rate-limit", test_rate_limit, BUDGET);
  ADD ("5-resets", test_resets, 0);
  ADD ("4.1-back-pressure", test_back_pressure, 0);
  ADD ("report", test_report, 0);
  ADD ("1-new-identity", test_new_identity, 0);
  ADD ("5-stop", test_stop, 0);
  ADD ("port-taken", test_port_taken, 0);
  return g_test_run ();
}
