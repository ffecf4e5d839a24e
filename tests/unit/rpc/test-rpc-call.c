/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc-fixture.h"

#include <string.h>

#include "rpc/tl-rpc-private.h"

/* Shapes of calls, limits, deadlines, cancellation, shutdown. Who may call is test-rpc-admission.c. */

#define MANY     100
#define ARRIVING 8 /* MAX_ARRIVING_PER_SOURCE of tl-rpc-peers.c */

static void
test_unary (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);

  assert_call (client, "/test/Echo");
  assert_call (client, "/test/Echo");
  g_assert_cmpuint (fixture->messages, ==, 2);
  g_assert_cmpint (fixture->last_kind, ==, TL_RPC_PEER_STRANGER);
  g_assert_cmpstr (fixture->last_source, ==, "127.0.0.1");
  g_assert_cmpstr (fixture->last_actor, ==, "source:127.0.0.1");
}

static void
test_server_stream (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  g_autoptr (Listener) listener = listener_new (client, "/test/Count", "1000", 0);

  wait_until (listener->closed > 0);
  g_assert_no_error (listener->error);
  g_assert_cmpuint (listener->messages, ==, 1000);
  g_assert_cmpstr (listener->last, ==, "999");
  g_assert_cmpuint (fixture->cancels, ==, 0);
}

/* Messages both ways, half-close, then the server's status with reason and a message without control characters. */
static void
test_bidi (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autoptr (Listener) listener = NULL;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  listener = listener_new (client, "/test/Talk", NULL, 0);
  for (guint i = 0; i < 50; i++)
    listener_send (listener, "ping");
  wait_until (listener->messages == 50);
  g_assert_cmpuint (listener->closed, ==, 0);
  tl_rpc_stream_half_close (listener->stream);
  wait_until (listener->closed > 0);
  g_assert_cmpuint (fixture->half_closes, ==, 1);
  g_assert_cmpuint (fixture->cancels, ==, 0);
  g_assert_error (listener->error, TL_ERROR, TL_ERROR_REJECTED);
  g_assert_nonnull (strstr (listener->error->message, "said everything"));
}

static void
test_deadline (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  g_autoptr (Listener) listener = listener_new (client, "/test/Hold", "x", 300);

  wait_until (listener->closed > 0);
  g_assert_error (listener->error, TL_ERROR, TL_ERROR_TIMED_OUT);
  wait_until (fixture->cancels > 0);
  g_assert_cmpuint (fixture->cancels, ==, 1);
}

/* The handler hears of it once; what it does with the call afterwards is harmless. */
static void
test_client_cancels (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  g_autoptr (Listener) listener = listener_new (client, "/test/Hold", "x", 0);
  g_autoptr (TlRpcCall) call = NULL;
  Text answer = TEXT_INIT;

  wait_until (fixture->held->len == 1);
  call = tl_rpc_call_ref (fixture->held->pdata[0]);
  tl_rpc_stream_cancel (listener->stream);
  wait_until (fixture->cancels > 0 && listener->closed > 0);
  g_assert_error (listener->error, TL_ERROR, TL_ERROR_CANCELLED);
  g_assert_false (tl_rpc_call_send (call, &answer.base));
  tl_rpc_call_finish (call, NULL);
  assert_call (client, "/test/Echo");
  g_assert_cmpuint (fixture->cancels, ==, 1);
}

static void
on_answer (GObject *source G_GNUC_UNUSED, GAsyncResult *result, gpointer user_data)
{
  GError **error = user_data;
  ProtobufCMessage *answer = tl_rpc_client_call_finish (NULL, result, error);

  g_assert_null (answer);
}

static void
test_cancellable (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  Text request = TEXT_INIT;

  tl_rpc_client_call_async (client, "/test/Hold", &request.base, TEXT_DESCRIPTOR, TEST_WAIT_MS, cancellable, on_answer,
                            &error);
  wait_until (fixture->held->len == 1);
  g_cancellable_cancel (cancellable);
  wait_until (error != NULL);
  g_assert_error (error, TL_ERROR, TL_ERROR_CANCELLED);
}

/* The last reference of a client ends its calls. */
static void
test_client_gone (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  TlRpcClient *client = fixture_stranger (fixture);
  g_autoptr (Listener) listener = listener_new (client, "/test/Hold", "x", 0);

  wait_until (fixture->held->len == 1);
  tl_rpc_client_unref (client);
  wait_until (listener->closed > 0 && fixture->cancels > 0);
  g_assert_error (listener->error, TL_ERROR, TL_ERROR_CANCELLED);
}

static void
test_unknown_method (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  g_autofree char *long_path = g_strnfill (600, 'x');

  long_path[0] = '/';
  assert_call_fails (client, "/test/Nothing", TL_ERROR_UNSUPPORTED);
  assert_call_fails (client, long_path, TL_ERROR_UNSUPPORTED);
  assert_call (client, "/test/Echo");
}

static void
test_request_limit (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  g_autoptr (GError) error = NULL;
  g_autofree char *text = g_strnfill (63, 'x');
  g_autofree char *answer = NULL;

  /* 62 bytes and the field's two: exactly the 64 of the method. */
  g_assert_null (call_text (client, "/test/Small", text, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED);
  g_clear_error (&error);
  g_assert_cmpuint (fixture->messages, ==, 0);
  text[62] = '\0';
  answer = call_text (client, "/test/Small", text, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (answer, ==, text);
}

static void
test_transport_limit (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  g_autofree char *text = g_strnfill (4u << 20, 'x');
  g_autofree char *huge = g_strnfill ((4u << 20) + (65u << 10), 'x');
  g_autofree char *answer = NULL;
  g_autoptr (GError) error = NULL;

  answer = call_text (client, "/test/Echo", text, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (answer, ==, text);
  g_assert_null (call_text (client, "/test/Echo", huge, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED);
}

/* A field of wire type 7 does not exist: sent in the shape of another message's bytes. */
static void
test_malformed (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  ProtobufCMessageUnknownField unknown = { .tag = 1, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT };
  Text request = TEXT_INIT;
  guint8 varint = 5;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *answer;

  unknown.len = 1;
  unknown.data = &varint;
  request.base.n_unknown_fields = 1;
  request.base.unknown_fields = &unknown;
  answer = tl_rpc_client_call_sync (client, "/test/Echo", &request.base, TEXT_DESCRIPTOR, TEST_WAIT_MS, &error);
  g_assert_null (answer);
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_assert_cmpuint (fixture->messages, ==, 0);
}

/* Half-closed without a request. */
static void
test_no_request (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  g_autoptr (Listener) listener = listener_new (client, "/test/Echo", NULL, 0);

  tl_rpc_stream_half_close (listener->stream);
  wait_until (listener->closed > 0);
  g_assert_error (listener->error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
}

static void
on_one_of_many (GObject *source G_GNUC_UNUSED, GAsyncResult *result, gpointer user_data)
{
  guint *answered = user_data;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *answer = tl_rpc_client_call_finish (NULL, result, &error);

  g_assert_no_error (error);
  protobuf_c_message_free_unpacked (answer, NULL);
  (*answered)++;
}

/* More than streams of a connection: the rest waits its turn. */
static void
test_concurrent (void)
{
  g_autoptr (Fixture) fixture = fixture_new (&(TlRpcServerOptions){ .max_streams = 20 });
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  Text request = TEXT_INIT;
  guint answered = 0;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  request.service = (char *)"many";
  for (guint i = 0; i < MANY; i++)
    tl_rpc_client_call_async (client, "/test/Known", &request.base, TEXT_DESCRIPTOR, TEST_WAIT_MS, NULL, on_one_of_many,
                              &answered);
  wait_until (answered == MANY);
  g_assert_cmpuint (fixture->messages, ==, MANY);
}

static guint
count_refused (Listener **listeners, guint n)
{
  guint refused = 0;

  for (guint i = 0; i < n; i++)
    refused += g_error_matches (listeners[i]->error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED) ? 1 : 0;
  return refused;
}

/* Strangers behind one address may have 8 requests on their way; those that arrived do not count. */
static void
test_arriving_limit (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  Listener *listeners[ARRIVING + 1];

  for (guint i = 0; i < ARRIVING; i++)
    {
      listeners[i] = listener_new (client, "/test/Hold", "x", 0);
      wait_until (fixture->held->len == i + 1);
    }
  assert_call (client, "/test/Echo");
  for (guint i = 0; i < ARRIVING; i++)
    listener_free (listeners[i]);

  for (guint i = 0; i < ARRIVING + 1; i++)
    listeners[i] = listener_new (client, "/test/Echo", NULL, 0); /* opened, nothing sent */
  wait_until (count_refused (listeners, ARRIVING + 1) == 1);
  for (guint i = 0; i < ARRIVING + 1; i++)
    listener_free (listeners[i]);
  /* Their ends give the places back, as soon as the server has seen them. */
  for (gboolean accepted = FALSE; !accepted;)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *answer = call_text (client, "/test/Echo", "hello", &error);

      accepted = answer != NULL;
      if (!accepted)
        g_assert_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED);
    }
}

/* Nobody reads: the bytes wait, are counted, and there is an end to it. */
static void
test_slow_reader (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autoptr (Listener) listener = NULL;
  g_autofree char *text = g_strnfill (1u << 20, 'x');
  Text message = TEXT_INIT;
  guint sent = 0;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  listener = listener_new (client, "/test/Watch", "x", 0);
  wait_until (fixture->held->len == 1);
  message.service = text;
  /* Without iterating the main context the client's side reads one message at most. */
  while (sent < 64 && tl_rpc_call_send (fixture->held->pdata[0], &message.base))
    sent++;
  g_assert_cmpuint (sent, >=, 15);
  g_assert_cmpuint (sent, <, 24);
  wait_until (listener->closed > 0 && fixture->cancels == 1);
  g_assert_error (listener->error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED);
}

static void
on_stopped (gpointer data G_GNUC_UNUSED, gpointer user_data)
{
  guint *stopped = user_data;

  (*stopped)++;
}

/* What is under way may end; what comes is refused; then it is over. */
static void
test_graceful_shutdown (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  g_autoptr (Listener) listener = listener_new (client, "/test/Hold", "x", 0);
  Text answer = TEXT_INIT;
  guint stopped = 0;

  wait_until (fixture->held->len == 1);
  tl_rpc_server_shutdown (fixture->server, TEST_WAIT_MS * 2, on_stopped, &stopped);
  assert_call_fails (client, "/test/Echo", TL_ERROR_UNAVAILABLE);
  g_assert_cmpuint (stopped, ==, 0);
  answer.service = (char *)"last";
  tl_rpc_call_reply (fixture->held->pdata[0], &answer.base);
  wait_until (listener->closed > 0 && stopped == 1);
  g_assert_no_error (listener->error);
  g_assert_cmpstr (listener->last, ==, "last");
  g_assert_cmpuint (fixture->cancels, ==, 0);
}

/* The channel is not connected any more when its time to connect is over; the call that it carries goes on. */
static void
test_connect_timer_spares_calls (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  const char *addresses[] = { fixture->address, NULL };
  TlRpcClientOptions options
      = { .addresses = addresses, .bundle = fixture->gateway->bundle, .connect_timeout_ms = 1000 };
  g_autoptr (TlRpcClient) client = tl_rpc_client_new (fixture->loop, &options, NULL);
  g_autoptr (Listener) listener = listener_new (client, "/test/Hold", "x", 0);
  gint64 start_us = g_get_monotonic_time ();
  Text answer = TEXT_INIT;

  wait_until (fixture->held->len == 1);
  tl_rpc_server_shutdown (fixture->server, TEST_WAIT_MS * 2, NULL, NULL);
  wait_until (g_get_monotonic_time () - start_us > G_USEC_PER_SEC * 3 / 2);
  g_assert_cmpuint (listener->closed, ==, 0);
  tl_rpc_call_reply (fixture->held->pdata[0], &answer.base);
  wait_until (listener->closed > 0);
  g_assert_no_error (listener->error);
}

static void
test_shutdown_after_grace (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);
  g_autoptr (Listener) listener = listener_new (client, "/test/Hold", "x", 0);
  guint stopped = 0;
  gint64 before_us;

  wait_until (fixture->held->len == 1);
  tl_rpc_server_shutdown (fixture->server, 200, on_stopped, &stopped);
  before_us = g_get_monotonic_time ();
  wait_until (listener->closed > 0 && stopped == 1);
  g_assert_cmpint (g_get_monotonic_time () - before_us, <, 3 * G_USEC_PER_SEC);
  g_assert_nonnull (listener->error);
  g_assert_cmpuint (fixture->cancels, ==, 1);
}

/* The owner lets go of everything while calls are open: no handler is called, data is freed, nothing hangs. */
static void
test_abandoned (void)
{
  Fixture *fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  TlRpcClient *client = fixture_client (fixture, device);
  Listener *listener;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  listener = listener_new (client, "/test/Watch", "x", 0);
  wait_until (fixture->held->len == 1);
  g_clear_pointer (&fixture->server, tl_rpc_server_unref);
  wait_until (listener->closed > 0);
  g_assert_cmpuint (fixture->cancels, ==, 0);
  g_ptr_array_set_size (fixture->held, 0);
  wait_until (fixture->finished == 1);
  listener_free (listener);
  tl_rpc_client_unref (client);
  fixture_free (fixture);
}

/* The loop's end delivers what is still owed. */
static void
test_loop_ends_with_calls (void)
{
  Fixture *fixture = fixture_new (NULL);
  TlRpcClient *client = fixture_stranger (fixture);
  Listener *listener = listener_new (client, "/test/Hold", "x", 0);

  wait_until (fixture->held->len == 1);
  tl_rpc_client_unref (client);
  fixture_free (fixture);
  g_assert_cmpuint (listener->closed, ==, 1);
  listener_free (listener);
}

static void
on_health (TlRpcStream *stream G_GNUC_UNUSED, const ProtobufCMessage *message, gpointer user_data)
{
  g_array_append_val ((GArray *)user_data, ((const Grpc__Health__V1__HealthCheckResponse *)message)->status);
}

static void
on_health_closed (TlRpcStream *stream G_GNUC_UNUSED, const GError *error G_GNUC_UNUSED, gpointer user_data)
{
  int end = -1;

  g_array_append_val ((GArray *)user_data, end);
}

static int
health_check (TlRpcClient *client, const char *service, GError **error)
{
  Text request = TEXT_INIT;
  Grpc__Health__V1__HealthCheckResponse *response;
  int status;

  request.service = (char *)service;
  response = (Grpc__Health__V1__HealthCheckResponse *)
      tl_rpc_client_call_sync (client, "/grpc.health.v1.Health/Check", &request.base,
                               &grpc__health__v1__health_check_response__descriptor, TEST_WAIT_MS, error);
  if (response == NULL)
    return -1;
  status = (int)response->status;
  protobuf_c_message_free_unpacked (&response->base, NULL);
  return status;
}

static void
test_health (void)
{
  g_autoptr (TlRpcHealth) health = tl_rpc_health_new ();
  g_autoptr (Fixture) fixture = fixture_new_idle (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (GArray) seen = g_array_new (FALSE, FALSE, sizeof (int));
  const TlRpcStreamHandlers handlers = { .on_message = on_health, .on_closed = on_health_closed };
  g_autoptr (TlRpcClient) stranger = NULL;
  g_autoptr (TlRpcClient) client = NULL;
  g_autoptr (TlRpcStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  Text request = TEXT_INIT;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  tl_rpc_health_register (health, fixture->server);
  fixture_listen (fixture);
  tl_rpc_server_start (fixture->server, &error);
  g_assert_no_error (error);
  stranger = fixture_stranger (fixture);
  client = fixture_client (fixture, device);

  g_assert_cmpint (health_check (stranger, "", &error), ==, 1);
  g_assert_no_error (error);
  g_assert_cmpint (health_check (stranger, "twinlatch.v1.NodeService", &error), ==, 1);
  g_assert_cmpint (health_check (stranger, "nonsense", &error), ==, -1);
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  assert_call_fails (stranger, "/grpc.health.v1.Health/Watch", TL_ERROR_UNAUTHENTICATED);

  stream = tl_rpc_client_stream (client, "/grpc.health.v1.Health/Watch", &request.base,
                                 &grpc__health__v1__health_check_response__descriptor, 0, &handlers, seen);
  wait_until (seen->len == 1);
  tl_rpc_health_set_serving (health, FALSE);
  tl_rpc_health_set_serving (health, FALSE);
  wait_until (seen->len == 2);
  g_assert_cmpint (g_array_index (seen, int, 0), ==, 1);
  g_assert_cmpint (g_array_index (seen, int, 1), ==, 2);
  g_assert_cmpint (health_check (stranger, "", &error), ==, 2);
  tl_rpc_stream_cancel (stream);
  wait_until (seen->len == 3);
  g_assert_cmpint (g_array_index (seen, int, 2), ==, -1);
  fixture_stop_server (fixture);
}

static void
test_clean (void)
{
  g_autofree char *plain = tl_rpc_message_clean ("größer\n\x1b[31m\x7f\xc2\x85");
  g_autofree char *broken = tl_rpc_message_clean ("a\xff"
                                                  "b");
  g_autofree char *text = g_strnfill (2000, 'x');
  g_autofree char *cut = NULL;

  g_assert_cmpstr (plain, ==, "größer  [31m  ");
  g_assert_true (g_utf8_validate (broken, -1, NULL));
  memcpy (text + TL_RPC_MAX_STATUS_MESSAGE - 1, "ß", 2); /* across the limit */
  cut = tl_rpc_message_clean (text);
  g_assert_cmpuint (strlen (cut), ==, TL_RPC_MAX_STATUS_MESSAGE - 1);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rpc/call/unary", test_unary);
  g_test_add_func ("/rpc/call/server-stream", test_server_stream);
  g_test_add_func ("/rpc/call/bidi", test_bidi);
  g_test_add_func ("/rpc/call/deadline", test_deadline);
  g_test_add_func ("/rpc/call/client-cancels", test_client_cancels);
  g_test_add_func ("/rpc/call/cancellable", test_cancellable);
  g_test_add_func ("/rpc/call/client-gone", test_client_gone);
  g_test_add_func ("/rpc/call/unknown-method", test_unknown_method);
  g_test_add_func ("/rpc/call/request-limit", test_request_limit);
  g_test_add_func ("/rpc/call/transport-limit", test_transport_limit);
  g_test_add_func ("/rpc/call/malformed", test_malformed);
  g_test_add_func ("/rpc/call/no-request", test_no_request);
  g_test_add_func ("/rpc/call/concurrent", test_concurrent);
  g_test_add_func ("/rpc/call/arriving-limit", test_arriving_limit);
  g_test_add_func ("/rpc/call/slow-reader", test_slow_reader);
  g_test_add_func ("/rpc/call/graceful-shutdown", test_graceful_shutdown);
  g_test_add_func ("/rpc/call/connect-timer-spares-calls", test_connect_timer_spares_calls);
  g_test_add_func ("/rpc/call/shutdown-after-grace", test_shutdown_after_grace);
  g_test_add_func ("/rpc/call/abandoned", test_abandoned);
  g_test_add_func ("/rpc/call/loop-ends-with-calls", test_loop_ends_with_calls);
  g_test_add_func ("/rpc/call/health", test_health);
  g_test_add_func ("/rpc/call/clean", test_clean);
  return g_test_run ();
}
