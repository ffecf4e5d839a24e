/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc-fixture.h"

#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/tl-ulid.h"
#include "crypto/tl-keys.h"

/* PROTOCOL 1, P admission; 4.4 revocation: who gets in, and how they get out again. */

#define RACES 120

static void
test_stranger (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcClient) client = fixture_stranger (fixture);

  assert_call_fails (client, "/test/Device", TL_ERROR_UNAUTHENTICATED);
  assert_call_fails (client, "/test/Operator", TL_ERROR_UNAUTHENTICATED);
  assert_call_fails (client, "/test/Known", TL_ERROR_UNAUTHENTICATED);
  assert_call_fails (client, "/test/Local", TL_ERROR_UNAUTHENTICATED);
  g_assert_cmpuint (fixture->messages, ==, 0);
  assert_call (client, "/test/Echo");
}

static void
test_node_role (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autofree char *actor = g_strconcat ("device:", device->device_id, NULL);

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  assert_call (client, "/test/Device");
  g_assert_cmpint (fixture->last_kind, ==, TL_RPC_PEER_DEVICE);
  g_assert_cmpstr (fixture->last_actor, ==, actor);
  assert_call (client, "/test/Known");
  assert_call (client, "/test/Echo");
  assert_call_fails (client, "/test/Operator", TL_ERROR_NOT_OPERATOR);
  assert_call_fails (client, "/test/Local", TL_ERROR_NOT_OPERATOR);
}

/* The role is read on every call. */
static void
test_operator_role (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);

  device_admit (device, fixture->admitted, TL_ROLE_OPERATOR, 0);
  assert_call (client, "/test/Operator");
  assert_call_fails (client, "/test/Local", TL_ERROR_LOCAL_ONLY);
  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  assert_call_fails (client, "/test/Operator", TL_ERROR_NOT_OPERATOR);
}

static void
on_denied (const TlRpcDenial *denial, gpointer user_data)
{
  g_assert_false (denial->connection);
  g_ptr_array_add (user_data, g_strdup_printf ("%.6s %s %s", denial->actor, denial->subject, denial->reason));
}

/* Who was turned away is told, and nobody else: for the journal. */
static void
test_refusals_are_told (void)
{
  g_autoptr (GPtrArray) told = g_ptr_array_new_with_free_func (g_free);
  const TlRpcServerOptions options = { .denied = on_denied, .denied_data = told };
  g_autoptr (Fixture) fixture = fixture_new (&options);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autoptr (TlRpcClient) stranger = fixture_stranger (fixture);

  device_admit (device, fixture->admitted, TL_ROLE_OPERATOR, 0);
  assert_call (client, "/test/Operator");
  assert_call_fails (client, "/test/Local", TL_ERROR_LOCAL_ONLY);
  assert_call_fails (client, "/test/Unknown", TL_ERROR_UNSUPPORTED);
  assert_call_fails (stranger, "/test/Operator", TL_ERROR_UNAUTHENTICATED);
  wait_until (told->len >= 2);
  g_assert_cmpuint (told->len, ==, 2);
  g_assert_cmpstr (told->pdata[0], ==, "device /test/Local local_only");
  g_assert_cmpstr (told->pdata[1], ==, "source /test/Operator unauthenticated");
}

/* ---- refused in the handshake: nothing above TLS is reached */

static void
assert_refused (Fixture *fixture, Device *device)
{
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autoptr (GError) error = NULL;
  g_autofree char *answer = call_text (client, "/test/Echo", "x", &error); /* even what anyone may call */

  g_assert_null (answer);
  g_assert_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (error->message, "handshake"));
  g_assert_cmpuint (fixture->messages, ==, 0);
}

static void
test_refuses_unrecorded (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);

  assert_refused (fixture, device);
}

static void
test_refuses_revoked (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  tl_admitted_set_remove_device (fixture->admitted, device->device_id);
  assert_refused (fixture, device);
}

static void
test_refuses_expired (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  tl_clock_advance (fixture->gateway->clock, device->not_after_ms - tl_clock_wall_ms (fixture->gateway->clock));
  assert_refused (fixture, device);
}

/* Recorded, but by a CA of the same name that is not ours. */
static void
test_refuses_foreign_ca (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlCertificateAuthority) foreign
      = tl_certificate_authority_new (fixture->gateway->gateway_id, 1, tl_clock_wall_ms (fixture->gateway->clock),
                                      fixture->gateway->random, &error);
  g_autoptr (Device) device = device_new (fixture->gateway, foreign);

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  assert_refused (fixture, device);
}

/* Recorded for somebody else: the name in the certificate has to be the record's. */
static void
test_refuses_other_name (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (Device) other = device_new (fixture->gateway, NULL);
  TlAdmission admission = { .role = TL_ROLE_NODE, .not_after_ms = device->not_after_ms };

  g_strlcpy (admission.device_id, other->device_id, sizeof admission.device_id);
  tl_admitted_set_add (fixture->admitted, device->fingerprint, &admission);
  assert_refused (fixture, device);
}

/* A server leaf of the right CA, even recorded, is no client certificate. */
static void
test_refuses_server_leaf (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (GBytes) der = NULL;
  g_autoptr (X509) leaf = NULL;
  g_autoptr (GError) error = NULL;
  TlAdmission admission = { .role = TL_ROLE_NODE, .not_after_ms = G_MAXINT64 };
  g_autofree char *fingerprint = NULL;
  Device device = { .identity = gateway_server_identity (fixture->gateway, &der) };

  leaf = tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), &error);
  g_assert_no_error (error);
  fingerprint = tl_certificate_fingerprint (leaf);
  tl_admitted_set_add (fixture->admitted, fingerprint, &admission);
  assert_refused (fixture, &device);
  tl_rpc_identity_unref (device.identity);
}

/* ---- resumed sessions, with a client that asks for them */

typedef struct
{
  SSL_CTX *context;
  SSL_SESSION *session;
  guint16 port;
} Resumer;

static int
on_session (SSL *ssl, SSL_SESSION *session)
{
  Resumer *resumer = SSL_get_app_data (ssl);

  g_clear_pointer (&resumer->session, SSL_SESSION_free);
  resumer->session = session;
  return 1;
}

static Resumer *
resumer_new (Fixture *fixture, Device *device)
{
  static const guint8 alpn[] = { 2, 'h', '2' };
  Resumer *resumer = g_new0 (Resumer, 1);
  BIO *bio = BIO_new_mem_buf (tl_secret_data (device->key_pem), (int)tl_secret_length (device->key_pem));
  g_autoptr (EVP_PKEY) key = PEM_read_bio_PrivateKey (bio, NULL, NULL, NULL);
  g_autoptr (X509) leaf = tl_certificate_from_pem (device->certificate_pem, -1, NULL);

  BIO_free (bio);
  resumer->port = fixture->port;
  resumer->context = SSL_CTX_new (TLS_client_method ());
  g_assert_cmpint (SSL_CTX_use_certificate (resumer->context, leaf), ==, 1);
  g_assert_cmpint (SSL_CTX_use_PrivateKey (resumer->context, key), ==, 1);
  SSL_CTX_set_alpn_protos (resumer->context, alpn, sizeof alpn);
  SSL_CTX_set_session_cache_mode (resumer->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb (resumer->context, on_session);
  return resumer;
}

static void
resumer_free (Resumer *resumer)
{
  g_clear_pointer (&resumer->session, SSL_SESSION_free);
  SSL_CTX_free (resumer->context);
  g_free (resumer);
}

static void
send_preface (SSL *ssl)
{
  static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";

  SSL_write (ssl, preface, sizeof preface);
}

/* TRUE when HTTP/2 answers (its SETTINGS arrive). Blocking: the server runs on other threads. */
static gboolean
resumer_connect (Resumer *resumer, gboolean *reused)
{
  struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons (resumer->port) };
  struct timeval limit = { .tv_sec = TEST_WAIT_MS / 1000 };
  SSL *ssl = SSL_new (resumer->context);
  int fd = socket (AF_INET, SOCK_STREAM, 0);
  guint8 frame[9];
  gboolean answered;

  name.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  g_assert_cmpint (connect (fd, (struct sockaddr *)&name, sizeof name), ==, 0);
  SSL_set_app_data (ssl, resumer);
  SSL_set_fd (ssl, fd);
  if (resumer->session != NULL)
    SSL_set_session (ssl, resumer->session);
  answered = SSL_connect (ssl) == 1;
  *reused = answered && SSL_session_reused (ssl);
  if (answered)
    {
      send_preface (ssl);
      answered = SSL_read (ssl, frame, sizeof frame) == sizeof frame && frame[3] == 4 /* SETTINGS */;
    }
  SSL_set_shutdown (ssl, SSL_SENT_SHUTDOWN); /* a session of a torn connection is not resumed */
  SSL_free (ssl);
  close (fd);
  return answered;
}

static void
test_resumed_session (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  Resumer *resumer = resumer_new (fixture, device);
  gboolean reused;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  g_assert_true (resumer_connect (resumer, &reused));
  g_assert_false (reused);
  g_assert_nonnull (resumer->session);
  g_assert_true (resumer_connect (resumer, &reused));
  g_assert_true (reused); /* or this test shows nothing */

  tl_admitted_set_remove (fixture->admitted, device->fingerprint);
  g_assert_false (resumer_connect (resumer, &reused));

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  g_assert_true (resumer_connect (resumer, &reused));
  tl_clock_advance (fixture->gateway->clock, device->not_after_ms - tl_clock_wall_ms (fixture->gateway->clock));
  g_assert_false (resumer_connect (resumer, &reused));
  resumer_free (resumer);
}

/* A leaf that was renewed (PROTOCOL 4.3): connections that are open go on for their minute, none begins, resumed or
 * not. */
static void
test_superseded (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) open_before = fixture_client (fixture, device);
  g_autoptr (TlRpcClient) late = fixture_client (fixture, device);
  Resumer *resumer = resumer_new (fixture, device);
  gint64 end_ms = tl_clock_wall_ms (fixture->gateway->clock) + 60000;
  gboolean reused;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  assert_call (open_before, "/test/Device");
  g_assert_true (resumer_connect (resumer, &reused));
  tl_admitted_set_supersede (fixture->admitted, device->fingerprint, end_ms);
  assert_call (open_before, "/test/Device");
  assert_call_fails (late, "/test/Device", TL_ERROR_UNAVAILABLE);
  g_assert_false (resumer_connect (resumer, &reused));
  tl_clock_advance (fixture->gateway->clock, 59999);
  assert_call (open_before, "/test/Device");
  tl_clock_advance (fixture->gateway->clock, 1);
  assert_call_fails (open_before, "/test/Device", TL_ERROR_UNAUTHENTICATED);
  resumer_free (resumer);
}

/* ---- getting out */

static void
test_drop_device (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (Device) other = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autoptr (TlRpcClient) other_client = fixture_client (fixture, other);
  g_autoptr (Listener) listener = NULL;
  g_autoptr (Listener) other_listener = NULL;
  guint calls = 99;
  guint connections = 99;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  device_admit (other, fixture->admitted, TL_ROLE_NODE, 0);
  listener = listener_new (client, "/test/Watch", "x", 0);
  other_listener = listener_new (other_client, "/test/Watch", "x", 0);
  wait_until (fixture->held->len == 2);

  tl_admitted_set_remove_device (fixture->admitted, device->device_id);
  tl_rpc_server_drop_device (fixture->server, device->device_id, &calls, &connections);
  g_assert_cmpuint (calls, ==, 1);
  g_assert_cmpuint (connections, ==, 1);
  wait_until (listener->closed > 0 && fixture->cancels > 0 && fixture->finished > 0);
  g_assert_nonnull (listener->error);
  assert_call_fails (client, "/test/Echo", TL_ERROR_UNAVAILABLE);
  /* Nobody else noticed. */
  assert_call (other_client, "/test/Device");
  g_assert_cmpuint (other_listener->closed, ==, 0);
  g_assert_cmpuint (fixture->cancels, ==, 1);

  tl_rpc_server_drop_device (fixture->server, device->device_id, &calls, &connections);
  g_assert_cmpuint (calls, ==, 0);
  g_assert_cmpuint (connections, ==, 0);
}

/* An idle connection, known by an earlier call, goes too. */
static void
test_drop_idle_fingerprint (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  guint calls = 99;
  guint connections = 99;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  assert_call (client, "/test/Device");
  tl_rpc_server_drop_fingerprint (fixture->server, device->fingerprint, &calls, &connections);
  g_assert_cmpuint (connections, ==, 1);
}

/* Out of the set, but nobody dropped it: the next call is refused and the connection goes within the second. */
static void
test_call_rechecks (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autoptr (Listener) listener = NULL;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  listener = listener_new (client, "/test/Watch", "x", 0);
  wait_until (fixture->held->len == 1);
  tl_admitted_set_remove (fixture->admitted, device->fingerprint);
  assert_call_fails (client, "/test/Echo", TL_ERROR_UNAUTHENTICATED);
  wait_until (listener->closed > 0);
}

static void
test_message_rechecks (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autoptr (Listener) listener = NULL;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  listener = listener_new (client, "/test/Talk", NULL, 0);
  listener_send (listener, "one");
  wait_until (listener->messages == 1);
  tl_admitted_set_remove (fixture->admitted, device->fingerprint);
  listener_send (listener, "two");
  wait_until (listener->closed > 0 && fixture->cancels > 0);
  g_assert_error (listener->error, TL_ERROR, TL_ERROR_UNAUTHENTICATED);
  g_assert_cmpuint (fixture->messages, ==, 1);
  g_assert_cmpuint (fixture->cancels, ==, 1);
}

static void
test_ends_with_certificate (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (Device) other = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autoptr (TlRpcClient) other_client = fixture_client (fixture, other);
  g_autoptr (Listener) listener = NULL;
  g_autoptr (Listener) other_listener = NULL;
  g_autoptr (Device) idle = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) idle_client = fixture_client (fixture, idle);
  gint64 now_ms = tl_clock_wall_ms (fixture->gateway->clock);
  gint64 before_us;

  device_admit (idle, fixture->admitted, TL_ROLE_NODE, now_ms + 60000);
  assert_call (idle_client, "/test/Device");
  device_admit (device, fixture->admitted, TL_ROLE_NODE, now_ms + 60000);
  device_admit (other, fixture->admitted, TL_ROLE_NODE, now_ms + 120000);
  listener = listener_new (client, "/test/Watch", "x", 0);
  other_listener = listener_new (other_client, "/test/Watch", "x", 0);
  wait_until (fixture->held->len == 2);
  tl_clock_advance (fixture->gateway->clock, 60000);
  before_us = g_get_monotonic_time ();
  wait_until (listener->closed > 0);
  g_assert_cmpint (g_get_monotonic_time () - before_us, <, 2 * G_USEC_PER_SEC);
  g_assert_cmpuint (other_listener->closed, ==, 0);
  /* The same walk shut down the connection that had no call: over a live one this were UNAUTHENTICATED. */
  assert_call_fails (idle_client, "/test/Echo", TL_ERROR_UNAVAILABLE);
}

/*
 * Revocation at any moment of a call's coming: after set and drop are done, no call of the device lives on. The moments
 * come from how many turns the main context takes before.
 */
static void
test_registration_race (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  guint reached = 0;

  for (guint i = 0; i < RACES; i++)
    {
      g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
      g_autoptr (Listener) warm = NULL;
      g_autoptr (Listener) listener = NULL;
      guint before = fixture->messages;

      device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
      if (i % 2 == 0)
        {
          warm = listener_new (client, "/test/Watch", "x", 0); /* connected already */
          wait_until (warm->messages == 1);
        }
      listener = listener_new (client, "/test/Watch", "x", 0);
      g_usleep (i % 2 == 0 ? (i % 20) * 100 : i * 80);
      tl_admitted_set_remove_device (fixture->admitted, device->device_id);
      tl_rpc_server_drop_device (fixture->server, device->device_id, NULL, NULL);
      wait_until (listener->closed > 0 && (warm == NULL || warm->closed > 0));
      g_assert_nonnull (listener->error);
      wait_until (fixture->held->len == 0);
      reached += fixture->messages - before > (i % 2 == 0 ? 1 : 0) ? 1 : 0;
    }
  g_test_message ("%u of %d calls had reached the handler", reached, RACES);
}

/* ---- the gateway's own certificate */

static GBytes *
leaf_seen (Fixture *fixture)
{
  const char *addresses[] = { fixture->address, NULL };
  TlRpcClientOptions options = { .addresses = addresses, .first_contact = TRUE };
  g_autoptr (TlRpcClient) client = tl_rpc_client_new (fixture->loop, &options, NULL);

  assert_call (client, "/test/Echo");
  return g_bytes_ref (tl_rpc_client_server_leaf (client));
}

static void
test_rotation (void)
{
  g_autoptr (Fixture) fixture = fixture_new (&(TlRpcServerOptions){ .max_strangers_per_source = 200 });
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autoptr (Listener) listener = NULL;
  g_autoptr (GBytes) old_leaf = leaf_seen (fixture);
  g_autoptr (GBytes) new_leaf = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *chain = NULL;
  g_autofree char *roots = tl_trust_bundle_to_pem (fixture->gateway->bundle);
  g_autoptr (TlSecret) key = NULL;
  gboolean seen = FALSE;
  gint64 end_us = g_get_monotonic_time () + 5 * G_USEC_PER_SEC;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  listener = listener_new (client, "/test/Watch", "x", 0);
  wait_until (listener->messages == 1);

  gateway_server_pem (fixture->gateway, &chain, &key, &new_leaf);
  g_assert_true (tl_rpc_identity_replace (fixture->identity, chain, key, roots, &error));
  g_assert_no_error (error);
  while (!seen)
    {
      g_autoptr (GBytes) leaf = leaf_seen (fixture);

      seen = g_bytes_equal (leaf, new_leaf);
      g_assert_true (seen || g_bytes_equal (leaf, old_leaf));
      g_assert_cmpint (g_get_monotonic_time (), <, end_us);
    }
  g_assert_cmpuint (listener->closed, ==, 0);
  tl_rpc_call_send (fixture->held->pdata[0], &(Text)TEXT_INIT.base);
  wait_until (listener->messages == 2);
}

static void
test_identity_is_checked (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *chain = NULL;
  g_autofree char *other_chain = NULL;
  g_autofree char *roots = tl_trust_bundle_to_pem (fixture->gateway->bundle);
  g_autoptr (TlSecret) key = NULL;
  g_autoptr (TlSecret) other_key = NULL;
  g_autoptr (TlSecret) no_key = tl_secret_new_copy ("nonsense", 8);

  gateway_server_pem (fixture->gateway, &chain, &key, NULL);
  gateway_server_pem (fixture->gateway, &other_chain, &other_key, NULL);
  g_assert_null (tl_rpc_identity_new (chain, other_key, roots, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_false (tl_rpc_identity_replace (fixture->identity, chain, no_key, roots, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_false (tl_rpc_identity_replace (fixture->identity, "nonsense", key, roots, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_false (tl_rpc_identity_replace (fixture->identity, chain, key, "", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
}

static void
test_port_in_use (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (TlRpcServer) second
      = tl_rpc_server_new (fixture->loop, &(TlRpcServerOptions){ .admitted = fixture->admitted });
  g_autoptr (GError) error = NULL;
  guint16 port = 0;

  g_assert_false (tl_rpc_server_listen_tls (second, fixture->address, fixture->identity, &port, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IN_USE);
  g_assert_cmpuint (port, ==, 0);
  g_clear_error (&error);
  g_assert_false (tl_rpc_server_listen_tls (second, "localhost:7444", fixture->identity, &port, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_false (tl_rpc_server_listen_tls (second, "192.0.2.1:0", fixture->identity, &port, &error));
  g_assert_nonnull (error);
  g_assert_false (g_error_matches (error, TL_ERROR, TL_ERROR_IN_USE));
}

int
main (int argc, char *argv[])
{
  signal (SIGPIPE, SIG_IGN); /* SSL_write() to a server that refused us */
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rpc/admission/stranger", test_stranger);
  g_test_add_func ("/rpc/admission/node-role", test_node_role);
  g_test_add_func ("/rpc/admission/operator-role", test_operator_role);
  g_test_add_func ("/rpc/admission/refusals-are-told", test_refusals_are_told);
  g_test_add_func ("/rpc/admission/refuses-unrecorded", test_refuses_unrecorded);
  g_test_add_func ("/rpc/admission/refuses-revoked", test_refuses_revoked);
  g_test_add_func ("/rpc/admission/refuses-expired", test_refuses_expired);
  g_test_add_func ("/rpc/admission/refuses-foreign-ca", test_refuses_foreign_ca);
  g_test_add_func ("/rpc/admission/refuses-other-name", test_refuses_other_name);
  g_test_add_func ("/rpc/admission/refuses-server-leaf", test_refuses_server_leaf);
  g_test_add_func ("/rpc/admission/resumed-session", test_resumed_session);
  g_test_add_func ("/rpc/admission/superseded", test_superseded);
  g_test_add_func ("/rpc/admission/drop-device", test_drop_device);
  g_test_add_func ("/rpc/admission/drop-idle-fingerprint", test_drop_idle_fingerprint);
  g_test_add_func ("/rpc/admission/call-rechecks", test_call_rechecks);
  g_test_add_func ("/rpc/admission/message-rechecks", test_message_rechecks);
  g_test_add_func ("/rpc/admission/ends-with-certificate", test_ends_with_certificate);
  g_test_add_func ("/rpc/admission/registration-race", test_registration_race);
  g_test_add_func ("/rpc/admission/rotation", test_rotation);
  g_test_add_func ("/rpc/admission/identity-is-checked", test_identity_is_checked);
  g_test_add_func ("/rpc/admission/port-in-use", test_port_in_use);
  return g_test_run ();
}
