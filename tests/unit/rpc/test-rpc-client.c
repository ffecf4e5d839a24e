/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc-fixture.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "crypto/tl-hash.h"

/* Whom a client believes, and how it finds its gateway. */

static TlRpcClient *
client_with (Fixture *fixture, TlRpcClientOptions *options, const char *first, const char *second)
{
  const char *addresses[] = { first, second, NULL };
  g_autoptr (GError) error = NULL;
  TlRpcClient *client;

  options->addresses = addresses;
  client = tl_rpc_client_new (fixture->loop, options, &error);
  g_assert_no_error (error);
  return client;
}

static guint16
unused_port (void)
{
  struct sockaddr_in name = { .sin_family = AF_INET };
  socklen_t length = sizeof name;
  int fd = socket (AF_INET, SOCK_STREAM, 0);

  name.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  g_assert_cmpint (bind (fd, (struct sockaddr *)&name, sizeof name), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *)&name, &length), ==, 0);
  close (fd);
  return ntohs (name.sin_port);
}

/* ---- first contact */

static void
test_first_contact (void)
{
  g_autoptr (Fixture) fixture = fixture_new_idle (NULL);
  TlRpcClientOptions options = { .first_contact = TRUE };
  g_autoptr (GBytes) leaf = NULL;
  g_autoptr (TlRpcClient) client = NULL;
  g_autoptr (GError) error = NULL;

  fixture->identity = gateway_server_identity (fixture->gateway, &leaf);
  g_assert_true (tl_rpc_server_listen_tls (fixture->server, "127.0.0.1:0", fixture->identity, &fixture->port, &error));
  g_assert_true (tl_rpc_server_start (fixture->server, &error));
  fixture->address = g_strdup_printf ("127.0.0.1:%u", fixture->port);
  client = client_with (fixture, &options, fixture->address, NULL);
  g_assert_null (tl_rpc_client_server_leaf (client));
  assert_call (client, "/test/Echo");
  g_assert_true (g_bytes_equal (tl_rpc_client_server_leaf (client), leaf));
}

static void
test_pinned_ca (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  GBytes *ca = tl_certificate_authority_der (fixture->gateway->ca);
  guint8 digest[TL_SHA256_LENGTH];
  TlRpcClientOptions options = { .first_contact = TRUE, .ca_sha256 = digest };
  g_autoptr (TlRpcClient) client = NULL;
  g_autoptr (TlRpcClient) wrong = NULL;

  tl_sha256 (g_bytes_get_data (ca, NULL), g_bytes_get_size (ca), digest);
  client = client_with (fixture, &options, fixture->address, NULL);
  assert_call (client, "/test/Echo");
  digest[0] ^= 1;
  wrong = client_with (fixture, &options, fixture->address, NULL);
  assert_call_fails (wrong, "/test/Echo", TL_ERROR_WRONG_CA);
  g_assert_null (tl_rpc_client_server_leaf (wrong));
  g_assert_cmpuint (fixture->messages, ==, 1);
}

/* A chain that shows the pinned CA beside a leaf of another one. */
static void
test_pinned_ca_must_have_signed (void)
{
  g_autoptr (Fixture) fixture = fixture_new_idle (NULL);
  g_autoptr (Gateway) other = gateway_new ();
  GBytes *ca = tl_certificate_authority_der (fixture->gateway->ca);
  guint8 digest[TL_SHA256_LENGTH];
  TlRpcClientOptions options = { .first_contact = TRUE, .ca_sha256 = digest };
  g_autoptr (TlRpcClient) client = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *chain = NULL;
  g_autofree char *roots = tl_trust_bundle_to_pem (fixture->gateway->bundle);
  g_autofree char *both = NULL;
  g_autoptr (TlSecret) key = NULL;

  gateway_server_pem (other, &chain, &key, NULL);
  both = g_strconcat (chain, roots, NULL);
  fixture->identity = tl_rpc_identity_new (both, key, roots, &error);
  g_assert_no_error (error);
  g_assert_true (tl_rpc_server_listen_tls (fixture->server, "127.0.0.1:0", fixture->identity, &fixture->port, &error));
  g_assert_true (tl_rpc_server_start (fixture->server, &error));
  fixture->address = g_strdup_printf ("127.0.0.1:%u", fixture->port);
  tl_sha256 (g_bytes_get_data (ca, NULL), g_bytes_get_size (ca), digest);
  client = client_with (fixture, &options, fixture->address, NULL);
  assert_call_fails (client, "/test/Echo", TL_ERROR_WRONG_CA);
}

/* Replaces the gateway's leaf and waits until newcomers see it. */
static void
rotate (Fixture *fixture)
{
  g_autofree char *chain = NULL;
  g_autofree char *roots = tl_trust_bundle_to_pem (fixture->gateway->bundle);
  g_autoptr (TlSecret) key = NULL;
  g_autoptr (GBytes) leaf = NULL;
  g_autoptr (GError) error = NULL;
  gboolean seen = FALSE;

  gateway_server_pem (fixture->gateway, &chain, &key, &leaf);
  g_assert_true (tl_rpc_identity_replace (fixture->identity, chain, key, roots, &error));
  while (!seen)
    {
      TlRpcClientOptions options = { .first_contact = TRUE };
      g_autoptr (TlRpcClient) client = client_with (fixture, &options, fixture->address, NULL);

      assert_call (client, "/test/Echo");
      seen = g_bytes_equal (tl_rpc_client_server_leaf (client), leaf);
    }
}

/* Before the CA is confirmed another leaf is another gateway; after that only the CA counts. */
static void
test_first_contact_reconnects (void)
{
  g_autoptr (Fixture) fixture
      = fixture_new (&(TlRpcServerOptions){ .stranger_lifetime_ms = 500, .max_strangers_per_source = 200 });
  TlRpcClientOptions options = { .first_contact = TRUE };
  g_autoptr (TlRpcClient) client = client_with (fixture, &options, fixture->address, NULL);
  g_autoptr (Gateway) other = gateway_new ();
  g_autoptr (Listener) listener = NULL;
  g_autoptr (Listener) again = NULL;

  /* Same leaf: the new connection is as good. */
  listener = listener_new (client, "/test/Hold", "x", 0);
  wait_until (listener->closed > 0);
  assert_call (client, "/test/Echo");
  again = listener_new (client, "/test/Hold", "x", 0);
  wait_until (again->closed > 0);

  rotate (fixture);
  assert_call_fails (client, "/test/Echo", TL_ERROR_WRONG_CA);
  assert_call_fails (client, "/test/Echo", TL_ERROR_WRONG_CA);
  tl_rpc_client_set_bundle (client, other->bundle);
  assert_call_fails (client, "/test/Echo", TL_ERROR_WRONG_CA);
  tl_rpc_client_set_bundle (client, fixture->gateway->bundle);
  assert_call (client, "/test/Echo");
}

/* ---- trusted */

static void
test_wrong_gateway (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Gateway) other = gateway_new ();
  TlRpcClientOptions options = { .bundle = other->bundle };
  g_autoptr (TlRpcClient) client = client_with (fixture, &options, fixture->address, NULL);

  assert_call_fails (client, "/test/Echo", TL_ERROR_WRONG_CA);
  g_assert_cmpuint (fixture->messages, ==, 0);
}

/* The chain verifies for gRPC (roots), but our own check is with another bundle: names and CA are ours to judge. */
static void
test_verifier_has_the_last_word (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Gateway) other = gateway_new ();
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  TlRpcClientOptions options = { .bundle = other->bundle, .identity = device->identity };
  g_autoptr (TlRpcClient) client = client_with (fixture, &options, fixture->address, NULL);

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  assert_call_fails (client, "/test/Echo", TL_ERROR_WRONG_CA);
  g_assert_cmpuint (fixture->messages, ==, 0);
}

static void
test_expired_server_leaf (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  TlRpcClientOptions options = { .bundle = fixture->gateway->bundle, .clock = fixture->gateway->clock };
  g_autoptr (TlRpcClient) client = client_with (fixture, &options, fixture->address, NULL);

  tl_clock_advance (fixture->gateway->clock, TL_SERVER_LEAF_LIFETIME_MS + 1);
  assert_call_fails (client, "/test/Echo", TL_ERROR_WRONG_CA);
}

/* ---- finding it */

static void
test_refused_port (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autofree char *dead = g_strdup_printf ("127.0.0.1:%u", unused_port ());
  TlRpcClientOptions options = { .bundle = fixture->gateway->bundle };
  g_autoptr (TlRpcClient) client = client_with (fixture, &options, dead, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (call_text (client, "/test/Echo", "x", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE);
  g_assert_null (strstr (error->message, "handshake"));
}

static int
listen_anywhere (char **address)
{
  struct sockaddr_in name = { .sin_family = AF_INET };
  socklen_t length = sizeof name;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  name.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  g_assert_cmpint (bind (fd, (struct sockaddr *)&name, sizeof name), ==, 0);
  g_assert_cmpint (listen (fd, 4), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *)&name, &length), ==, 0);
  *address = g_strdup_printf ("127.0.0.1:%u", ntohs (name.sin_port));
  return fd;
}

/* They accept and say nothing: the limit is for all addresses together. */
static void
test_connect_timeout (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  TlRpcClientOptions options = { .bundle = fixture->gateway->bundle, .connect_timeout_ms = 500 };
  g_autofree char *one = NULL;
  g_autofree char *two = NULL;
  int first = listen_anywhere (&one);
  int second = listen_anywhere (&two);
  g_autoptr (TlRpcClient) client = client_with (fixture, &options, one, two);
  gint64 before_us = g_get_monotonic_time ();

  assert_call_fails (client, "/test/Echo", TL_ERROR_UNAVAILABLE);
  g_assert_cmpint (g_get_monotonic_time () - before_us, <, 900 * 1000);
  close (first);
  close (second);
}

typedef struct
{
  int listener;
  SSL_CTX *context;
  gboolean accepted;
  gboolean saw_certificate;
} Impostor;

static int
take_any (int ok G_GNUC_UNUSED, X509_STORE_CTX *store G_GNUC_UNUSED)
{
  return 1;
}

static void *
impostor_run (void *data)
{
  Impostor *impostor = data;
  int fd = accept (impostor->listener, NULL, NULL);
  SSL *ssl = SSL_new (impostor->context);
  X509 *certificate;

  SSL_set_fd (ssl, fd);
  impostor->accepted = SSL_accept (ssl) == 1;
  certificate = SSL_get1_peer_certificate (ssl);
  impostor->saw_certificate = certificate != NULL;
  X509_free (certificate);
  SSL_free (ssl);
  close (fd);
  return NULL;
}

static int
choose_h2 (SSL *ssl G_GNUC_UNUSED, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
           unsigned int in_length, void *data G_GNUC_UNUSED)
{
  static const unsigned char h2[] = { 2, 'h', '2' };

  return SSL_select_next_proto ((unsigned char **)out, out_length, h2, sizeof h2, in, in_length)
                 == OPENSSL_NPN_NEGOTIATED
             ? SSL_TLSEXT_ERR_OK
             : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Who is not our gateway does not learn who we are: the chain is checked before the client's certificate is sent. */
static void
test_impostor_learns_nothing (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autoptr (Gateway) other = gateway_new ();
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  TlRpcClientOptions options = { .bundle = fixture->gateway->bundle, .identity = device->identity };
  g_autofree char *address = NULL;
  g_autofree char *chain = NULL;
  g_autoptr (TlSecret) key_pem = NULL;
  g_autoptr (X509) leaf = NULL;
  g_autoptr (EVP_PKEY) key = NULL;
  g_autoptr (TlRpcClient) client = NULL;
  Impostor impostor = { .listener = listen_anywhere (&address), .context = SSL_CTX_new (TLS_server_method ()) };
  pthread_t thread;
  BIO *bio;

  gateway_server_pem (other, &chain, &key_pem, NULL);
  bio = BIO_new_mem_buf (tl_secret_data (key_pem), (int)tl_secret_length (key_pem));
  key = PEM_read_bio_PrivateKey (bio, NULL, NULL, NULL);
  BIO_free (bio);
  leaf = tl_certificate_from_pem (chain, -1, NULL);
  SSL_CTX_use_certificate (impostor.context, leaf);
  SSL_CTX_use_PrivateKey (impostor.context, key);
  SSL_CTX_set_verify (impostor.context, SSL_VERIFY_PEER, take_any);
  SSL_CTX_set_alpn_select_cb (impostor.context, choose_h2, NULL);
  g_assert_cmpint (pthread_create (&thread, NULL, impostor_run, &impostor), ==, 0);

  client = client_with (fixture, &options, address, NULL);
  assert_call_fails (client, "/test/Echo", TL_ERROR_WRONG_CA);
  pthread_join (thread, NULL);
  g_assert_false (impostor.saw_certificate);
  g_assert_false (impostor.accepted);
  SSL_CTX_free (impostor.context);
  close (impostor.listener);
}

static void
test_second_address (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autofree char *dead = g_strdup_printf ("[::1]:%u", unused_port ());
  TlRpcClientOptions options = { .bundle = fixture->gateway->bundle };
  g_autoptr (TlRpcClient) client = client_with (fixture, &options, dead, fixture->address);

  assert_call (client, "/test/Echo");
}

static void
test_host_name (void)
{
  g_autoptr (Fixture) fixture = fixture_new (NULL);
  g_autofree char *named = g_strdup_printf ("localhost:%u", fixture->port);
  TlRpcClientOptions options = { .bundle = fixture->gateway->bundle };
  g_autoptr (TlRpcClient) client = client_with (fixture, &options, "nonexistent.invalid:7444", named);
  g_autoptr (TlRpcClient) lost = client_with (fixture, &options, "nonexistent.invalid:7444", NULL);
  g_autoptr (TlRpcClient) dropped = client_with (fixture, &options, "nonexistent.invalid:7444", NULL);
  g_autoptr (Listener) listener = listener_new (dropped, "/test/Echo", "x", 0);

  g_clear_pointer (&dropped, tl_rpc_client_unref);
  assert_call (client, "/test/Echo");
  assert_call (client, "/test/Echo");
  assert_call_fails (lost, "/test/Echo", TL_ERROR_UNAVAILABLE);
  assert_call_fails (lost, "/test/Echo", TL_ERROR_UNAVAILABLE);
  wait_until (listener->closed > 0);
  g_assert_error (listener->error, TL_ERROR, TL_ERROR_CANCELLED);
}

static void
test_ipv6 (void)
{
  g_autoptr (Fixture) fixture = fixture_new_idle (NULL);
  TlRpcClientOptions options = { .bundle = fixture->gateway->bundle };
  g_autoptr (TlRpcClient) client = NULL;
  g_autoptr (TlRpcClient) v4 = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *v4_address = NULL;

  fixture->identity = gateway_server_identity (fixture->gateway, NULL);
  if (!tl_rpc_server_listen_tls (fixture->server, "[::]:0", fixture->identity, &fixture->port, &error))
    {
      g_test_skip (error->message);
      return;
    }
  g_assert_true (tl_rpc_server_start (fixture->server, &error));
  fixture->address = g_strdup_printf ("[::1]:%u", fixture->port);
  client = client_with (fixture, &options, fixture->address, NULL);
  assert_call (client, "/test/Echo");
  g_assert_cmpstr (fixture->last_source, ==, "::/64");
  /* Dual stack: IPv4 comes as IPv6 and is called IPv4. */
  v4_address = g_strdup_printf ("127.0.0.1:%u", fixture->port);
  v4 = client_with (fixture, &options, v4_address, NULL);
  assert_call (v4, "/test/Echo");
  g_assert_cmpstr (fixture->last_source, ==, "127.0.0.1");
}

/* A gateway that comes back is found by the very next call. */
static void
test_gateway_returns (void)
{
  g_autoptr (Fixture) fixture = fixture_new_idle (NULL);
  guint16 port = unused_port ();
  TlRpcClientOptions options = { .bundle = fixture->gateway->bundle };
  g_autoptr (TlRpcClient) client = NULL;
  g_autoptr (GError) error = NULL;

  fixture->address = g_strdup_printf ("127.0.0.1:%u", port);
  fixture->identity = gateway_server_identity (fixture->gateway, NULL);
  client = client_with (fixture, &options, fixture->address, NULL);
  assert_call_fails (client, "/test/Echo", TL_ERROR_UNAVAILABLE);
  tl_rpc_server_listen_tls (fixture->server, fixture->address, fixture->identity, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (tl_rpc_server_start (fixture->server, &error));
  assert_call (client, "/test/Echo");
}

static void
assert_bad_options (TlRpcLoop *loop, const TlRpcClientOptions *options)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_rpc_client_new (loop, options, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
}

static void
test_bad_options (void)
{
  g_autoptr (TlRpcLoop) loop = tl_rpc_loop_new (NULL);
  const char *none[] = { NULL };
  const char *malformed[] = { "127.0.0.1:99999", NULL };
  const char *fine[] = { "127.0.0.1:7444", NULL };
  g_autofree char *long_path = g_strnfill (200, 'x');

  assert_bad_options (loop, &(TlRpcClientOptions){ .first_contact = TRUE });
  assert_bad_options (loop, &(TlRpcClientOptions){ .first_contact = TRUE, .addresses = none });
  assert_bad_options (loop, &(TlRpcClientOptions){ .first_contact = TRUE, .addresses = malformed });
  assert_bad_options (loop, &(TlRpcClientOptions){ .addresses = fine });
  assert_bad_options (loop, &(TlRpcClientOptions){ .socket_path = long_path });
}

int
main (int argc, char *argv[])
{
  signal (SIGPIPE, SIG_IGN); /* the impostor's */
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rpc/client/first-contact", test_first_contact);
  g_test_add_func ("/rpc/client/pinned-ca", test_pinned_ca);
  g_test_add_func ("/rpc/client/pinned-ca-must-have-signed", test_pinned_ca_must_have_signed);
  g_test_add_func ("/rpc/client/first-contact-reconnects", test_first_contact_reconnects);
  g_test_add_func ("/rpc/client/wrong-gateway", test_wrong_gateway);
  g_test_add_func ("/rpc/client/verifier-has-the-last-word", test_verifier_has_the_last_word);
  g_test_add_func ("/rpc/client/impostor-learns-nothing", test_impostor_learns_nothing);
  g_test_add_func ("/rpc/client/expired-server-leaf", test_expired_server_leaf);
  g_test_add_func ("/rpc/client/refused-port", test_refused_port);
  g_test_add_func ("/rpc/client/connect-timeout", test_connect_timeout);
  g_test_add_func ("/rpc/client/second-address", test_second_address);
  g_test_add_func ("/rpc/client/host-name", test_host_name);
  g_test_add_func ("/rpc/client/ipv6", test_ipv6);
  g_test_add_func ("/rpc/client/gateway-returns", test_gateway_returns);
  g_test_add_func ("/rpc/client/bad-options", test_bad_options);
  return g_test_run ();
}
