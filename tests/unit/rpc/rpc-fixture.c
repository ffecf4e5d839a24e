/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc-fixture.h"

#include <string.h>

#include "base/tl-ulid.h"
#include "crypto/tl-keys.h"

#define DAY_MS (G_GINT64_CONSTANT (86400) * 1000)

/* ---- gateway and devices */

Gateway *
gateway_new (void)
{
  Gateway *gateway = g_new0 (Gateway, 1);
  gint64 now_ms = tl_clock_wall_ms (tl_clock_system ());
  g_autoptr (GError) error = NULL;
  GBytes *der;

  gateway->random = tl_random_system ();
  gateway->clock = tl_clock_new_virtual (now_ms);
  gateway->gateway_id = tl_ulid_new (now_ms, gateway->random);
  gateway->ca = tl_certificate_authority_new (gateway->gateway_id, 1, now_ms, gateway->random, &error);
  g_assert_no_error (error);
  der = tl_certificate_authority_der (gateway->ca);
  gateway->bundle = tl_trust_bundle_new (&der, 1, &error);
  g_assert_no_error (error);
  return gateway;
}

void
gateway_free (Gateway *gateway)
{
  tl_trust_bundle_unref (gateway->bundle);
  tl_certificate_authority_unref (gateway->ca);
  tl_clock_free (gateway->clock);
  g_free (gateway->gateway_id);
  g_free (gateway);
}

void
gateway_server_pem (Gateway *gateway, char **chain, TlSecret **key, GBytes **leaf_der)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EVP_PKEY) private_key = tl_p256_generate (&error);
  g_autoptr (X509) leaf = NULL;
  g_autofree char *leaf_pem = NULL;
  g_autofree char *ca_pem = NULL;

  g_assert_no_error (error);
  leaf = tl_certificate_authority_issue_server (gateway->ca, private_key, NULL, tl_clock_wall_ms (gateway->clock),
                                                7 * DAY_MS, gateway->random, &error);
  g_assert_no_error (error);
  leaf_pem = tl_certificate_to_pem (leaf);
  ca_pem = tl_certificate_to_pem (tl_certificate_authority_certificate (gateway->ca));
  *chain = g_strconcat (leaf_pem, ca_pem, NULL);
  *key = tl_p256_to_pem (private_key, &error);
  g_assert_no_error (error);
  if (leaf_der != NULL)
    *leaf_der = tl_certificate_to_der (leaf);
}

TlRpcIdentity *
gateway_server_identity (Gateway *gateway, GBytes **leaf_der)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *chain = NULL;
  g_autofree char *roots = tl_trust_bundle_to_pem (gateway->bundle);
  g_autoptr (TlSecret) key = NULL;
  TlRpcIdentity *identity;

  gateway_server_pem (gateway, &chain, &key, leaf_der);
  identity = tl_rpc_identity_new (chain, key, roots, &error);
  g_assert_no_error (error);
  return identity;
}

Device *
device_new (Gateway *gateway, TlCertificateAuthority *issuer)
{
  Device *device = g_new0 (Device, 1);
  gint64 now_ms = tl_clock_wall_ms (gateway->clock);
  g_autoptr (GError) error = NULL;
  g_autoptr (EVP_PKEY) key = tl_p256_generate (&error);
  g_autoptr (X509) leaf = NULL;
  g_autofree char *roots = tl_trust_bundle_to_pem (gateway->bundle);

  g_assert_no_error (error);
  device->device_id = tl_ulid_new (now_ms, gateway->random);
  leaf = tl_certificate_authority_issue_device (issuer != NULL ? issuer : gateway->ca, key, device->device_id, now_ms,
                                                DAY_MS, gateway->random, &error);
  g_assert_no_error (error);
  device->fingerprint = tl_certificate_fingerprint (leaf);
  device->not_after_ms = tl_certificate_not_after_ms (leaf);
  device->certificate_pem = tl_certificate_to_pem (leaf);
  device->key_pem = tl_p256_to_pem (key, &error);
  g_assert_no_error (error);
  device->identity = tl_rpc_identity_new (device->certificate_pem, device->key_pem, roots, &error);
  g_assert_no_error (error);
  return device;
}

void
device_free (Device *device)
{
  tl_rpc_identity_unref (device->identity);
  tl_secret_unref (device->key_pem);
  g_free (device->certificate_pem);
  g_free (device->fingerprint);
  g_free (device->device_id);
  g_free (device);
}

void
device_admit (Device *device, TlAdmittedSet *set, TlRole role, gint64 not_after_ms)
{
  TlAdmission admission = { .role = role, .ca_generation = 1 };

  g_strlcpy (admission.device_id, device->device_id, sizeof admission.device_id);
  admission.not_after_ms = not_after_ms != 0 ? not_after_ms : device->not_after_ms;
  tl_admitted_set_add (set, device->fingerprint, &admission);
}

/* ---- methods */

static void
note (Fixture *fixture, TlRpcCall *call)
{
  const TlRpcPeer *peer = tl_rpc_call_peer (call);

  fixture->messages++;
  fixture->last_kind = peer->kind;
  g_free (fixture->last_actor);
  g_free (fixture->last_source);
  fixture->last_actor = g_strdup (peer->actor);
  fixture->last_source = g_strdup (peer->source);
}

static void
on_echo (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  note (user_data, call);
  tl_rpc_call_reply (call, message);
}

static void
on_hold (TlRpcCall *call, const ProtobufCMessage *message G_GNUC_UNUSED, gpointer user_data)
{
  Fixture *fixture = user_data;

  note (fixture, call);
  g_ptr_array_add (fixture->held, tl_rpc_call_ref (call));
}

static void
on_count (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  guint64 n = g_ascii_strtoull (((const Text *)message)->service, NULL, 10);

  note (user_data, call);
  for (guint64 i = 0; i < n; i++)
    {
      g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, i);
      Text answer = TEXT_INIT;

      answer.service = text;
      g_assert_true (tl_rpc_call_send (call, &answer.base));
    }
  tl_rpc_call_finish (call, NULL);
}

static void
on_data_freed (gpointer data)
{
  Fixture *fixture = data;

  fixture->finished++;
}

static void
on_watch (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  on_hold (call, message, user_data);
  tl_rpc_call_set_data (call, user_data, on_data_freed);
  tl_rpc_call_send (call, message);
}

static void
on_talk (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  note (user_data, call);
  tl_rpc_call_send (call, message);
}

static void
on_talk_half_close (TlRpcCall *call, gpointer user_data)
{
  Fixture *fixture = user_data;
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_REJECTED, "said\neverything");

  fixture->half_closes++;
  tl_rpc_call_finish (call, error);
  tl_rpc_call_finish (call, NULL);
}

static void
on_cancelled (TlRpcCall *call, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->cancels++;
  g_ptr_array_remove (fixture->held, call);
}

#define ROW(p, k, a, max, message, half_close)                                                                         \
  {                                                                                                                    \
    .path = p, .kind = k, .auth = a, .request = TEXT_DESCRIPTOR, .response = TEXT_DESCRIPTOR, .max_request = max,      \
    .on_message = message, .on_half_close = half_close, .on_cancelled = on_cancelled                                   \
  }

static const TlRpcMethod methods[] = {
  ROW ("/test/Echo", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE, 5u << 20, on_echo, NULL),
  ROW ("/test/Small", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE, 64, on_echo, NULL),
  ROW ("/test/Device", TL_RPC_UNARY, TL_RPC_AUTH_DEVICE, 1024, on_echo, NULL),
  ROW ("/test/Operator", TL_RPC_UNARY, TL_RPC_AUTH_OPERATOR, 1024, on_echo, NULL),
  ROW ("/test/Local", TL_RPC_UNARY, TL_RPC_AUTH_LOCAL, 1024, on_echo, NULL),
  ROW ("/test/Known", TL_RPC_UNARY, TL_RPC_AUTH_KNOWN, 1024, on_echo, NULL),
  ROW ("/test/Hold", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE, 1024, on_hold, NULL),
  ROW ("/test/Count", TL_RPC_SERVER_STREAM, TL_RPC_AUTH_ANYONE, 1024, on_count, NULL),
  ROW ("/test/Watch", TL_RPC_SERVER_STREAM, TL_RPC_AUTH_DEVICE, 1024, on_watch, NULL),
  ROW ("/test/Talk", TL_RPC_BIDI, TL_RPC_AUTH_DEVICE, 1024, on_talk, on_talk_half_close),
};

/* ---- fixture */

Fixture *
fixture_new_idle (const TlRpcServerOptions *options)
{
  Fixture *fixture = g_new0 (Fixture, 1);
  TlRpcServerOptions all = options != NULL ? *options : (TlRpcServerOptions){ 0 };

  fixture->gateway = gateway_new ();
  fixture->admitted = tl_admitted_set_new ();
  fixture->held = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_rpc_call_unref);
  fixture->loop = tl_rpc_loop_new (NULL);
  all.admitted = fixture->admitted;
  all.clock = fixture->gateway->clock;
  fixture->server = tl_rpc_server_new (fixture->loop, &all);
  tl_rpc_server_add_methods (fixture->server, methods, G_N_ELEMENTS (methods), fixture);
  return fixture;
}

void
fixture_listen (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  fixture->identity = gateway_server_identity (fixture->gateway, NULL);
  tl_rpc_server_listen_tls (fixture->server, "127.0.0.1:0", fixture->identity, &fixture->port, &error);
  g_assert_no_error (error);
  fixture->address = g_strdup_printf ("127.0.0.1:%u", fixture->port);
}

Fixture *
fixture_new (const TlRpcServerOptions *options)
{
  Fixture *fixture = fixture_new_idle (options);
  g_autoptr (GError) error = NULL;

  fixture_listen (fixture);
  tl_rpc_server_start (fixture->server, &error);
  g_assert_no_error (error);
  return fixture;
}

static void
on_stopped (gpointer data G_GNUC_UNUSED, gpointer user_data)
{
  gboolean *stopped = user_data;

  g_assert_false (*stopped);
  *stopped = TRUE;
}

void
fixture_stop_server (Fixture *fixture)
{
  gboolean stopped = FALSE;

  tl_rpc_server_shutdown (fixture->server, 0, on_stopped, &stopped);
  wait_until (stopped);
  g_clear_pointer (&fixture->server, tl_rpc_server_unref);
}

void
fixture_free (Fixture *fixture)
{
  g_ptr_array_unref (fixture->held);
  g_clear_pointer (&fixture->server, tl_rpc_server_unref);
  tl_rpc_identity_unref (fixture->identity);
  tl_rpc_loop_unref (fixture->loop);
  tl_admitted_set_unref (fixture->admitted);
  gateway_free (fixture->gateway);
  g_free (fixture->address);
  g_free (fixture->last_actor);
  g_free (fixture->last_source);
  g_free (fixture);
}

TlRpcClient *
fixture_client (Fixture *fixture, Device *device)
{
  const char *addresses[] = { fixture->address, NULL };
  TlRpcClientOptions options = { 0 };
  g_autoptr (GError) error = NULL;
  TlRpcClient *client;

  options.addresses = addresses;
  options.bundle = fixture->gateway->bundle;
  options.identity = device != NULL ? device->identity : NULL;
  client = tl_rpc_client_new (fixture->loop, &options, &error);
  g_assert_no_error (error);
  return client;
}

TlRpcClient *
fixture_stranger (Fixture *fixture)
{
  return fixture_client (fixture, NULL);
}

/* ---- waiting and calling */

static gboolean
on_tick (gpointer data G_GNUC_UNUSED)
{
  return G_SOURCE_CONTINUE;
}

GSource *
test_tick (void)
{
  GSource *source = g_timeout_source_new (20);

  g_source_set_callback (source, on_tick, NULL, NULL);
  g_source_attach (source, NULL);
  return source;
}

char *
call_text (TlRpcClient *client, const char *path, const char *text, GError **error)
{
  Text request = TEXT_INIT;
  Text *answer;
  char *copy;

  request.service = (char *)text;
  answer = (Text *)tl_rpc_client_call_sync (client, path, &request.base, TEXT_DESCRIPTOR, TEST_WAIT_MS, error);
  if (answer == NULL)
    return NULL;
  copy = g_strdup (answer->service);
  protobuf_c_message_free_unpacked (&answer->base, NULL);
  return copy;
}

void
assert_call (TlRpcClient *client, const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *answer = call_text (client, path, "hello", &error);

  g_assert_no_error (error);
  g_assert_cmpstr (answer, ==, "hello");
}

void
assert_call_fails (TlRpcClient *client, const char *path, TlErrorCode code)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *answer = call_text (client, path, "hello", &error);

  g_assert_null (answer);
  g_assert_error (error, TL_ERROR, (int)code);
}

static void
on_listener_message (TlRpcStream *stream G_GNUC_UNUSED, const ProtobufCMessage *message, gpointer user_data)
{
  Listener *listener = user_data;

  g_assert_cmpuint (listener->closed, ==, 0);
  listener->messages++;
  g_free (listener->last);
  listener->last = g_strdup (((const Text *)message)->service);
}

static void
on_listener_closed (TlRpcStream *stream G_GNUC_UNUSED, const GError *error, gpointer user_data)
{
  Listener *listener = user_data;

  listener->closed++;
  listener->error = error != NULL ? g_error_copy (error) : NULL;
}

Listener *
listener_new (TlRpcClient *client, const char *path, const char *text, guint deadline_ms)
{
  static const TlRpcStreamHandlers handlers = { .on_message = on_listener_message, .on_closed = on_listener_closed };
  Listener *listener = g_new0 (Listener, 1);
  Text request = TEXT_INIT;

  request.service = (char *)text;
  listener->stream = tl_rpc_client_stream (client, path, text != NULL ? &request.base : NULL, TEXT_DESCRIPTOR,
                                           deadline_ms, &handlers, listener);
  return listener;
}

void
listener_send (Listener *listener, const char *text)
{
  Text message = TEXT_INIT;

  message.service = (char *)text;
  g_assert_true (tl_rpc_stream_send (listener->stream, &message.base));
}

/* Waits for the end: the stream must not call a listener that is gone. */
void
listener_free (Listener *listener)
{
  tl_rpc_stream_cancel (listener->stream);
  wait_until (listener->closed > 0);
  g_assert_cmpuint (listener->closed, ==, 1);
  tl_rpc_stream_unref (listener->stream);
  g_clear_error (&listener->error);
  g_free (listener->last);
  g_free (listener);
}
