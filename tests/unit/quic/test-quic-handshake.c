/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/pem.h>

#include "../identity/identity-fixture.h"
#include "quic-pair.h"
#include "tl-config-build.h"

/* A verify function that answers what it is told, and what it was asked. */
typedef struct
{
  guint8 alert;
  guint asked;
  guint freed;
  char fingerprint[65];
  char address[64];
  gsize length;
} Judge;

typedef struct
{
  TlCertificateAuthority *ca;
  EVP_PKEY *device_key, *server_key;
  X509 *device, *server;
  Judge device_judge, server_judge; /* of the device (by the server), of the server (by the device) */
  TlQuicTls *client_tls, *server_tls;
} Fixture;

static guint8
judge (const TlQuicPeerCertificate *peer, gpointer user_data)
{
  Judge *self = user_data;

  self->asked++;
  self->length = peer->leaf_length;
  g_strlcpy (self->fingerprint, peer->fingerprint, sizeof self->fingerprint);
  g_strlcpy (self->address, peer->address, sizeof self->address);
  return self->alert;
}

static void
judge_free (gpointer user_data)
{
  ((Judge *)user_data)->freed++;
}

static char *
make_chain (X509 *leaf, TlCertificateAuthority *ca)
{
  g_autofree char *first = tl_certificate_to_pem (leaf);
  g_autofree char *second = tl_certificate_to_pem (tl_certificate_authority_certificate (ca));

  return g_strconcat (first, second, NULL);
}

static TlQuicTls *
make_tls (TlCertificateAuthority *ca, X509 *leaf, EVP_PKEY *key, gboolean is_server, Judge *data)
{
  g_autofree char *chain = make_chain (leaf, ca);
  g_autoptr (TlSecret) key_pem = tl_p256_to_pem (key, NULL);
  g_autoptr (GError) error = NULL;
  TlQuicTls *tls = tl_quic_tls_new (&(TlQuicTlsOptions){ is_server, chain, key_pem, judge, data, judge_free }, &error);

  g_assert_no_error (error);
  return tls;
}

static Fixture *
fixture_new (void)
{
  Fixture *fixture = g_new0 (Fixture, 1);

  fixture->ca = make_ca (GATEWAY, 1);
  fixture->device_key = make_key ();
  fixture->server_key = make_key ();
  fixture->device = make_device_leaf (fixture->ca, fixture->device_key, DEVICE, NOW, DAY);
  fixture->server = make_server_leaf (fixture->ca, fixture->server_key, NULL);
  fixture->client_tls = make_tls (fixture->ca, fixture->device, fixture->device_key, FALSE, &fixture->server_judge);
  fixture->server_tls = make_tls (fixture->ca, fixture->server, fixture->server_key, TRUE, &fixture->device_judge);
  return fixture;
}

static void
fixture_free (Fixture *fixture)
{
  tl_quic_tls_unref (fixture->client_tls);
  tl_quic_tls_unref (fixture->server_tls);
  g_assert_cmpuint (fixture->device_judge.freed, ==, 1);
  g_assert_cmpuint (fixture->server_judge.freed, ==, 1);
  X509_free (fixture->device);
  X509_free (fixture->server);
  EVP_PKEY_free (fixture->device_key);
  EVP_PKEY_free (fixture->server_key);
  tl_certificate_authority_unref (fixture->ca);
  g_free (fixture);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fixture, fixture_free)

static QuicPair *
pair_of (Fixture *fixture)
{
  return quic_pair_new (fixture->client_tls, fixture->server_tls);
}

/* A client with our device's certificate, but not our client. */
static QuicPair *
strange_pair (Fixture *fixture, const char *alpn, X509 *certificate, EVP_PKEY *key)
{
  return quic_pair_new_strange_client (&(QuicStrange){ FALSE, alpn, certificate, key }, fixture->server_tls);
}

static void
assert_refused (const QuicSide *by, const QuicSide *peer, guint8 alert)
{
  g_assert_cmphex (by->sent_code, ==, 0x100 + alert);
  g_assert_cmphex (peer->seen_code, ==, 0x100 + alert);
  g_assert_cmpuint (tl_quic_tls_session_alert (by->session), ==, alert);
  if (peer->session != NULL)
    g_assert_cmpuint (tl_quic_tls_session_alert (peer->session), ==, TL_QUIC_ALERT_NONE);
  g_assert_false (by->completed);
  g_assert_false (by->confirmed || peer->confirmed);
}

static void
test_accepted (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (QuicPair) pair = pair_of (fixture);
  g_autofree char *device = tl_certificate_fingerprint (fixture->device);
  g_autofree char *server = tl_certificate_fingerprint (fixture->server);
  g_autoptr (GBytes) der = tl_certificate_to_der (fixture->device);

  g_assert_cmpstr (tl_quic_tls_session_fingerprint (pair->server.session), ==, "");
  quic_pair_run (pair);
  g_assert_true (pair->client.completed && pair->server.completed && pair->client.confirmed);
  g_assert_cmphex (pair->client.seen_code | pair->server.seen_code, ==, 0);
  g_assert_cmpstr (tl_quic_tls_session_fingerprint (pair->server.session), ==, device);
  g_assert_cmpstr (tl_quic_tls_session_fingerprint (pair->client.session), ==, server);
  g_assert_cmpuint (tl_quic_tls_session_alert (pair->server.session), ==, TL_QUIC_ALERT_NONE);
  g_assert_cmpuint (tl_quic_tls_session_alert (pair->client.session), ==, TL_QUIC_ALERT_NONE);

  g_assert_cmpuint (fixture->device_judge.asked, ==, 1);
  g_assert_cmpstr (fixture->device_judge.fingerprint, ==, device);
  g_assert_cmpstr (fixture->device_judge.address, ==, SIDE_CLIENT_ADDRESS);
  g_assert_cmpuint (fixture->device_judge.length, ==, g_bytes_get_size (der));
  g_assert_cmpuint (fixture->server_judge.asked, ==, 1);
  g_assert_cmpstr (fixture->server_judge.fingerprint, ==, server);
}

/* A resumed handshake would not ask: no ticket comes, also for a client that would take one, and the next handshake
 * asks again. */
static void
test_no_resumption (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();

  for (guint n = 1; n <= 4; n++)
    {
      g_autoptr (QuicPair) pair
          = n % 2 == 0 ? strange_pair (fixture, TL_NAME_ALPN, fixture->device, fixture->device_key) : pair_of (fixture);

      quic_pair_run (pair);
      g_assert_true (pair->client.confirmed);
      g_assert_cmpuint (pair->client.late_crypto, ==, 0);
      g_assert_cmpuint (pair->server.late_crypto, ==, 0);
      g_assert_cmpuint (fixture->device_judge.asked, ==, n);
    }
}

static const guint8 alerts[]
    = { TL_QUIC_ALERT_BAD_CERTIFICATE,     TL_QUIC_ALERT_CERTIFICATE_REVOKED, TL_QUIC_ALERT_CERTIFICATE_EXPIRED,
        TL_QUIC_ALERT_CERTIFICATE_UNKNOWN, TL_QUIC_ALERT_UNKNOWN_CA,          TL_QUIC_ALERT_INTERNAL_ERROR };

static void
test_server_refuses (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();

  for (guint i = 0; i < G_N_ELEMENTS (alerts); i++)
    {
      g_autoptr (QuicPair) pair = pair_of (fixture);

      fixture->device_judge.alert = alerts[i];
      quic_pair_run (pair);
      assert_refused (&pair->server, &pair->client, alerts[i]);
      g_assert_true (pair->client.completed); /* which is why `completed` counts for nothing */
    }
}

static void
test_client_refuses (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();

  for (guint i = 0; i < G_N_ELEMENTS (alerts); i++)
    {
      g_autoptr (QuicPair) pair = pair_of (fixture);

      fixture->server_judge.alert = alerts[i];
      quic_pair_run (pair);
      assert_refused (&pair->client, &pair->server, alerts[i]);
      g_assert_cmpuint (fixture->device_judge.asked, ==, 0); /* our certificate was not shown to it */
    }
}

static void
test_strangers_are_welcome (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (QuicPair) first = strange_pair (fixture, TL_NAME_ALPN, fixture->device, fixture->device_key);
  QuicStrange server = { TRUE, TL_NAME_ALPN, fixture->server, fixture->server_key };
  g_autoptr (QuicPair) second = quic_pair_new_strange_server (fixture->client_tls, &server);

  quic_pair_run (first);
  g_assert_true (first->client.confirmed);
  g_assert_cmpuint (fixture->device_judge.asked, ==, 1);
  quic_pair_run (second);
  g_assert_true (second->client.confirmed);
  g_assert_cmpuint (fixture->server_judge.asked, ==, 1);
}

static void
test_alpn (void)
{
  static const char *const protocols[] = { NULL, "h3", "twinlatch/2", "twinlatch/" };
  g_autoptr (Fixture) fixture = fixture_new ();

  for (guint i = 0; i < G_N_ELEMENTS (protocols); i++)
    {
      g_autoptr (QuicPair) pair = strange_pair (fixture, protocols[i], fixture->device, fixture->device_key);

      quic_pair_run (pair);
      assert_refused (&pair->server, &pair->client, TL_QUIC_ALERT_NO_APPLICATION_PROTOCOL);
      g_assert_false (pair->client.completed);
    }
  g_assert_cmpuint (fixture->device_judge.asked, ==, 0);
}

/* RFC 9001, 8.1: it is the client, too, who insists. */
static void
test_server_without_alpn (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  QuicStrange server = { TRUE, NULL, fixture->server, fixture->server_key };
  g_autoptr (QuicPair) pair = quic_pair_new_strange_server (fixture->client_tls, &server);

  quic_pair_run (pair);
  assert_refused (&pair->client, &pair->server, TL_QUIC_ALERT_NO_APPLICATION_PROTOCOL);
  g_assert_cmpuint (fixture->server_judge.asked, ==, 0);
}

static void
test_no_certificate (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (QuicPair) pair = strange_pair (fixture, TL_NAME_ALPN, NULL, NULL);

  quic_pair_run (pair);
  assert_refused (&pair->server, &pair->client, TL_QUIC_ALERT_CERTIFICATE_REQUIRED);
  g_assert_cmpuint (fixture->device_judge.asked, ==, 0);
  g_assert_cmpstr (tl_quic_tls_session_fingerprint (pair->server.session), ==, "");
}

/* Somebody else's certificate, taken from the wire, without its key. */
static void
test_wrong_key (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (QuicPair) pair = strange_pair (fixture, TL_NAME_ALPN, fixture->device, key);

  if (pair == NULL)
    return g_test_skip ("this library shows no certificate whose key it has not");
  quic_pair_run (pair);
  assert_refused (&pair->server, &pair->client, 51 /* decrypt_error */);
}

/* A certificate with so many bytes of comment. */
static X509 *
make_large_certificate (EVP_PKEY *key, guint length)
{
  g_autofree char *comment = g_strnfill (length, 'x');
  X509 *certificate = X509_new ();

  X509_set_version (certificate, X509_VERSION_3);
  X509_gmtime_adj (X509_getm_notBefore (certificate), 0);
  X509_gmtime_adj (X509_getm_notAfter (certificate), 3600);
  X509_set_pubkey (certificate, key);
  add_extension_text (certificate, NID_netscape_comment, comment);
  g_assert_cmpint (X509_sign (certificate, key, EVP_sha256 ()), >, 0);
  return certificate;
}

static void
run_with_size (Fixture *fixture, guint comment, guint8 expected)
{
  g_autoptr (X509) large = make_large_certificate (fixture->device_key, comment);
  g_autoptr (QuicPair) pair = strange_pair (fixture, TL_NAME_ALPN, large, fixture->device_key);
  g_autoptr (GBytes) der = tl_certificate_to_der (large);
  guint before = fixture->device_judge.asked;

  quic_pair_run (pair);
  g_test_message ("%" G_GSIZE_FORMAT " bytes: alert %u", g_bytes_get_size (der),
                  tl_quic_tls_session_alert (pair->server.session));
  g_assert_cmpuint (fixture->device_judge.asked - before, ==, expected == TL_QUIC_ALERT_NONE ? 1 : 0);
  if (expected != TL_QUIC_ALERT_NONE)
    return assert_refused (&pair->server, &pair->client, expected);
  g_assert_true (pair->client.confirmed);
  g_assert_cmpuint (fixture->device_judge.length, ==, g_bytes_get_size (der));
}

static void
test_large_certificate (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (X509) empty = make_large_certificate (fixture->device_key, 1000);
  g_autoptr (GBytes) der = tl_certificate_to_der (empty);
  guint around = (guint)g_bytes_get_size (der) - 1000; /* varies by a byte or three with the signature */

  run_with_size (fixture, TL_CERTIFICATE_MAX_DER - around - 8, TL_QUIC_ALERT_NONE);
  run_with_size (fixture, TL_CERTIFICATE_MAX_DER - around + 8, TL_QUIC_ALERT_BAD_CERTIFICATE);
  run_with_size (fixture, 4 * TL_CERTIFICATE_MAX_DER, TL_QUIC_ALERT_BAD_CERTIFICATE);
}

/* ---- what tl_quic_tls_new() takes */

static void
assert_no_tls (const char *chain, const TlSecret *key, const char *why)
{
  Judge data = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_quic_tls_new (&(TlQuicTlsOptions){ TRUE, chain, key, judge, &data, judge_free }, &error));
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, why));
  g_assert_cmpuint (data.freed, ==, 0);
}

static TlSecret *
secret_of (const char *text)
{
  return tl_secret_new_copy (text, strlen (text));
}

static void
test_refused_identities (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autofree char *chain = make_chain (fixture->server, fixture->ca);
  g_autofree char *five = g_strconcat (chain, chain, chain, NULL);
  g_autoptr (TlSecret) key = tl_p256_to_pem (fixture->server_key, NULL);
  g_autoptr (TlSecret) other = tl_p256_to_pem (fixture->device_key, NULL);
  g_autoptr (TlSecret) junk = secret_of ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  g_autoptr (TlSecret) nothing = secret_of ("");

  assert_no_tls (chain, other, "does not fit");
  assert_no_tls (chain, junk, "not a PEM key");
  assert_no_tls (chain, nothing, "not a PEM key");
  assert_no_tls ("", key, "certificate");
  assert_no_tls ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key, "certificate");
  assert_no_tls (five, key, "from 1 to 4");
}

static TlSecret *
write_key (EVP_PKEY *key, gboolean sec1, const char *passphrase)
{
  BIO *bio = BIO_new (BIO_s_mem ());
  char *text = NULL;
  TlSecret *secret;
  int good;

  if (sec1)
    good = PEM_write_bio_PrivateKey_traditional (bio, key, NULL, NULL, 0, NULL, NULL);
  else
    good = PEM_write_bio_PKCS8PrivateKey (bio, key, EVP_aes_256_cbc (), passphrase, (int)strlen (passphrase), NULL,
                                          NULL);
  g_assert_cmpint (good, ==, 1);
  gsize length = (gsize)BIO_get_mem_data (bio, &text);
  secret = tl_secret_new_copy (text, length);
  BIO_free (bio);
  return secret;
}

static void
test_key_encodings (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autofree char *chain = make_chain (fixture->server, fixture->ca);
  g_autoptr (TlSecret) locked = write_key (fixture->server_key, FALSE, "a passphrase");
  g_autoptr (TlSecret) sec1 = write_key (fixture->server_key, TRUE, NULL);
  g_autoptr (GError) error = NULL;
  Judge data = { 0 };
  g_autoptr (TlQuicTls) tls = tl_quic_tls_new (&(TlQuicTlsOptions){ TRUE, chain, sec1, judge, &data, NULL }, &error);
  g_autoptr (QuicPair) pair = NULL;

  g_assert_no_error (error);
  g_assert_nonnull (strstr ((const char *)tl_secret_data (sec1), "EC PRIVATE KEY"));
  pair = quic_pair_new (fixture->client_tls, tls);
  quic_pair_run (pair);
  g_assert_true (pair->client.confirmed);
  assert_no_tls (chain, locked, "not a PEM key");
}

static void
test_backend (void)
{
  g_test_message ("%s %s", tl_quic_tls_backend (), tl_quic_tls_version ());
  g_assert_true (strcmp (tl_quic_tls_backend (), "gnutls") == 0 || strcmp (tl_quic_tls_backend (), "ossl") == 0);
  g_assert_true (g_ascii_isdigit (tl_quic_tls_version ()[0]));
}

/* RFC 9001, 6: a TLS KeyUpdate is an unexpected message. ngtcp2 aborts the program when GnuTLS follows one, so a single
 * admitted device could end the gateway. */
static void
test_key_update (void)
{
  static const guint8 message[] = { 24, 0, 0, 1, 0 };

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (Fixture) fixture = fixture_new ();
      g_autoptr (QuicPair) pair = pair_of (fixture);
      QuicSide *from = i == 0 ? &pair->client : &pair->server;
      QuicSide *to = i == 0 ? &pair->server : &pair->client;

      quic_pair_run (pair);
      g_assert_true (pair->client.confirmed);
      g_assert_cmpint (ngtcp2_conn_submit_crypto_data (from->connection, NGTCP2_ENCRYPTION_LEVEL_1RTT, message,
                                                       sizeof message),
                       ==, 0);
      quic_pair_run (pair);
      g_assert_cmphex (to->sent_code, ==, 0x100 + TL_QUIC_ALERT_UNEXPECTED_MESSAGE);
      g_assert_cmphex (from->seen_code, ==, 0x100 + TL_QUIC_ALERT_UNEXPECTED_MESSAGE);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quic-handshake/accepted", test_accepted);
  g_test_add_func ("/quic-handshake/no-resumption", test_no_resumption);
  g_test_add_func ("/quic-handshake/server-refuses", test_server_refuses);
  g_test_add_func ("/quic-handshake/client-refuses", test_client_refuses);
  g_test_add_func ("/quic-handshake/strangers-are-welcome", test_strangers_are_welcome);
  g_test_add_func ("/quic-handshake/alpn", test_alpn);
  g_test_add_func ("/quic-handshake/server-without-alpn", test_server_without_alpn);
  g_test_add_func ("/quic-handshake/no-certificate", test_no_certificate);
  g_test_add_func ("/quic-handshake/wrong-key", test_wrong_key);
  g_test_add_func ("/quic-handshake/large-certificate", test_large_certificate);
  g_test_add_func ("/quic-handshake/refused-identities", test_refused_identities);
  g_test_add_func ("/quic-handshake/key-encodings", test_key_encodings);
  g_test_add_func ("/quic-handshake/key-update", test_key_update);
  g_test_add_func ("/quic-handshake/backend", test_backend);
  return g_test_run ();
}
