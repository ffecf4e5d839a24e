/* SPDX-License-Identifier: Apache-2.0 */
#include <glib-unix.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../identity/identity-fixture.h"
#include "quic-side.h"
#include "quic-world.h"
#include "quic/tl-quic-verifier.h"
#include "tl-config-build.h"

/* Between endpoints over loopback, with the verifier and the trust that gateway and device have: who gets in, and what
 * both sides see of it when not. */
typedef struct
{
  QuicWorld *world; /* its server shows `server` and lets in whom the verifier does */
  TlCertificateAuthority *ca;
  TlTrustBundle *bundle;
  TlClock *clock;
  TlAdmittedSet *admitted;
  TlQuicVerifier *verifier;
  EVP_PKEY *key; /* everybody's: only certificates differ */
  X509 *device, *server;

  guint asked; /* the verifier, by handshakes */
  guint freed; /* the server's TlQuicTls */
  guint refusals;
  char reason[32];
  char device_id[27];
} Fixture;

static void
on_refused (const char *fingerprint, const char *device_id, const char *address, const char *reason, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->refusals++;
  g_strlcpy (fixture->reason, reason, sizeof fixture->reason);
  g_strlcpy (fixture->device_id, device_id != NULL ? device_id : "", sizeof fixture->device_id);
  g_assert_true (g_str_has_prefix (address, "127.0.0.1:"));
}

static guint8
ask_verifier (const TlQuicPeerCertificate *peer, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->asked++;
  return tl_quic_verifier_verify (peer, fixture->verifier);
}

static void
on_freed (gpointer user_data)
{
  ((Fixture *)user_data)->freed++;
}

static TlQuicTls *
make_tls (Fixture *fixture, X509 *leaf, gboolean is_server, TlQuicVerifyFunc verify, gpointer verify_data)
{
  g_autofree char *first = tl_certificate_to_pem (leaf);
  g_autofree char *second = tl_certificate_to_pem (tl_certificate_authority_certificate (fixture->ca));
  g_autofree char *chain = g_strconcat (first, second, NULL);
  g_autoptr (TlSecret) key = tl_p256_to_pem (fixture->key, NULL);
  g_autoptr (GError) error = NULL;
  TlQuicTls *tls
      = tl_quic_tls_new (&(TlQuicTlsOptions){ is_server, chain, key, verify, verify_data, is_server ? on_freed : NULL },
                         &error);

  g_assert_no_error (error);
  return tls;
}

static void
serve_with (Fixture *fixture, X509 *leaf)
{
  g_autoptr (TlQuicTls) tls = make_tls (fixture, leaf, TRUE, ask_verifier, fixture);

  tl_quic_endpoint_set_tls (fixture->world->server, tls);
}

static void
admit (Fixture *fixture, X509 *leaf, const char *device_id)
{
  g_autofree char *fingerprint = tl_certificate_fingerprint (leaf);
  TlAdmission admission = { .not_after_ms = tl_certificate_not_after_ms (leaf), .ca_generation = 1 };

  g_strlcpy (admission.device_id, device_id, sizeof admission.device_id);
  tl_admitted_set_add (fixture->admitted, fingerprint, &admission);
}

static Fixture *
fixture_new (void)
{
  Fixture *fixture = g_new0 (Fixture, 1);

  fixture->ca = make_ca (GATEWAY, 1);
  fixture->bundle = make_bundle (fixture->ca, NULL);
  fixture->clock = tl_clock_new_virtual (NOW);
  fixture->admitted = tl_admitted_set_new ();
  fixture->verifier = tl_quic_verifier_new (fixture->admitted, fixture->bundle, fixture->clock, on_refused, fixture);
  fixture->key = make_key ();
  fixture->device = make_device_leaf (fixture->ca, fixture->key, DEVICE, NOW, DAY);
  fixture->server = make_server_leaf (fixture->ca, fixture->key, NULL);
  admit (fixture, fixture->device, DEVICE);
  fixture->world = quic_world_new ("127.0.0.1:0", NULL);
  serve_with (fixture, fixture->server);
  return fixture;
}

static void
fixture_free (Fixture *fixture)
{
  quic_world_free (fixture->world);
  g_assert_cmpuint (fixture->freed, >=, 1);
  tl_quic_verifier_unref (fixture->verifier);
  tl_admitted_set_unref (fixture->admitted);
  tl_trust_bundle_unref (fixture->bundle);
  tl_clock_free (fixture->clock);
  X509_free (fixture->device);
  X509_free (fixture->server);
  EVP_PKEY_free (fixture->key);
  tl_certificate_authority_unref (fixture->ca);
  g_free (fixture);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fixture, fixture_free)

/* Our client with that certificate; it believes in a gateway as `trust` does, or in any. */
static guint8
believe (const TlQuicPeerCertificate *peer, gpointer user_data)
{
  return TL_QUIC_ALERT_NONE;
}

static QuicPeer *
connect_with (Fixture *fixture, X509 *leaf, TlQuicTrust *trust)
{
  tl_quic_tls_unref (fixture->world->client_tls);
  fixture->world->client_tls = make_tls (fixture, leaf, FALSE, trust != NULL ? tl_quic_trust_verify : believe, trust);
  return quic_world_connect (fixture->world, fixture->world->address);
}

static void
assert_enters (Fixture *fixture, X509 *leaf)
{
  guint before = fixture->world->accepted->len;
  QuicPeer *peer = connect_with (fixture, leaf, NULL);
  QuicPeer *server;
  QuicCall *call;

  quic_wait (peer->opened && fixture->world->accepted->len == before + 1);
  call = quic_world_call (peer, "hello", 5, TRUE);
  quic_wait (call->closed);
  g_assert_cmpuint (call->code, ==, 0);
  server = quic_world_accepted (fixture->world, before);
  tl_quic_connection_close (peer->connection, TL_QUIC_CLOSE_GOING_AWAY, NULL);
  quic_wait (peer->closed && server->closed);
}

/* The client sees the alert, the server counts and names it, and nothing above TLS hears of it. */
static void
assert_refused (Fixture *fixture, X509 *leaf, guint8 alert, const char *reason, TlErrorCode code)
{
  guint64 before = quic_world_stats (fixture->world).refused;
  guint refusals = fixture->refusals, accepted = fixture->world->accepted->len;
  QuicPeer *peer = connect_with (fixture, leaf, NULL);
  g_autoptr (GError) error = NULL;

  quic_wait (peer->closed);
  g_assert_false (peer->opened);
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_BY_ALERT);
  g_assert_true (peer->why.by_peer);
  g_assert_cmpuint (peer->why.code, ==, alert);
  error = tl_quic_close_to_error (&peer->why);
  assert_error (error, code);
  quic_wait (quic_world_stats (fixture->world).refused == before + 1);
  g_assert_cmpuint (fixture->refusals, ==, refusals + 1);
  g_assert_cmpstr (fixture->reason, ==, reason);
  g_assert_cmpuint (fixture->world->accepted->len, ==, accepted);
  g_assert_cmpuint (quic_world_stats (fixture->world).half_open, ==, 0);
}

static void
assert_counts (Fixture *fixture, guint64 full, guint64 remembered)
{
  guint64 n_full, n_remembered;

  tl_quic_verifier_get_counts (fixture->verifier, &n_full, &n_remembered);
  g_assert_cmpuint (n_full, ==, full);
  g_assert_cmpuint (n_remembered, ==, remembered);
}

/* ---- devices that the gateway meets */

static void
test_every_handshake_asks (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();

  for (guint n = 1; n <= 3; n++)
    {
      assert_enters (fixture, fixture->device);
      g_assert_cmpuint (fixture->asked, ==, n);
      assert_counts (fixture, 1, n - 1);
    }
  g_assert_cmpuint (fixture->refusals, ==, 0);
}

static void
test_admission (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autofree char *fingerprint = tl_certificate_fingerprint (fixture->device);

  assert_enters (fixture, fixture->device);
  tl_admitted_set_remove_device (fixture->admitted, DEVICE);
  assert_refused (fixture, fixture->device, TL_QUIC_ALERT_CERTIFICATE_REVOKED, "not_admitted", TL_ERROR_REVOKED);
  g_assert_cmpstr (fixture->device_id, ==, DEVICE);
  admit (fixture, fixture->device, DEVICE);
  assert_enters (fixture, fixture->device);
  tl_admitted_set_supersede (fixture->admitted, fingerprint, NOW + 60000);
  assert_refused (fixture, fixture->device, TL_QUIC_ALERT_CERTIFICATE_REVOKED, "superseded", TL_ERROR_REVOKED);
  admit (fixture, fixture->device, OTHER_DEVICE);
  assert_refused (fixture, fixture->device, TL_QUIC_ALERT_BAD_CERTIFICATE, "misfit", TL_ERROR_UNAUTHENTICATED);
}

static void
test_expiry (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();

  tl_clock_advance (fixture->clock, tl_certificate_not_after_ms (fixture->device) - 1 - NOW);
  assert_enters (fixture, fixture->device);
  tl_clock_advance (fixture->clock, 1);
  assert_refused (fixture, fixture->device, TL_QUIC_ALERT_CERTIFICATE_EXPIRED, "expired", TL_ERROR_EXPIRED);
}

static void
test_foreign_and_misfits (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (TlCertificateAuthority) foreign = make_ca_at (GATEWAY, 1, NOW, 5);
  g_autoptr (X509) forged = make_device_leaf (foreign, fixture->key, DEVICE, NOW, DAY);
  LeafSpec spec = { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth,serverAuth",
                    "URI:twinlatch:device:" GATEWAY ":" DEVICE };
  g_autoptr (X509) both = make_custom_certificate (fixture->ca, fixture->key, &spec);
  g_autoptr (X509) elsewhere = NULL;

  spec.extended_key_usage = "clientAuth";
  spec.alternative_name = "URI:twinlatch:device:" OTHER_GATEWAY ":" DEVICE;
  elsewhere = make_custom_certificate (fixture->ca, fixture->key, &spec);
  admit (fixture, forged, DEVICE);
  admit (fixture, both, DEVICE);
  admit (fixture, elsewhere, DEVICE);
  assert_refused (fixture, forged, TL_QUIC_ALERT_UNKNOWN_CA, "wrong_ca", TL_ERROR_UNAUTHENTICATED);
  g_assert_cmpstr (fixture->device_id, ==, "");
  assert_refused (fixture, both, TL_QUIC_ALERT_BAD_CERTIFICATE, "misfit", TL_ERROR_UNAUTHENTICATED);
  assert_refused (fixture, elsewhere, TL_QUIC_ALERT_BAD_CERTIFICATE, "misfit", TL_ERROR_UNAUTHENTICATED);
  assert_enters (fixture, fixture->device);
}

/* ---- clients that are none of ours */

static gboolean
on_readable (gint fd, GIOCondition condition, gpointer user_data)
{
  QuicSide *side = user_data;
  guint8 packet[2048];
  gssize length;

  while ((length = recv (fd, packet, sizeof packet, MSG_DONTWAIT)) > 0)
    quic_side_read (side, packet, (gsize)length);
  return G_SOURCE_CONTINUE;
}

static void
send_all (QuicSide *side, int fd)
{
  guint8 packet[SIDE_MAX_PACKET];
  gsize length;

  while ((length = quic_side_write (side, packet)) > 0)
    g_assert_cmpint ((int)send (fd, packet, length, 0), ==, (int)length);
}

/* Over a socket of its own, until it is in (0) or out (the code of the CONNECTION_CLOSE it saw). */
static guint64
try_strange (Fixture *fixture, const QuicStrange *strange)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  guint watch;
  QuicSide side;

  address.sin_port = htons ((guint16)g_ascii_strtoull (strrchr (fixture->world->address, ':') + 1, NULL, 10));
  g_assert_cmpint (connect (fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_true (quic_side_init (&side, FALSE, NULL, strange));
  watch = g_unix_fd_add (fd, G_IO_IN, on_readable, &side);
  quic_wait ((send_all (&side, fd), side.confirmed || side.seen_code != 0));
  g_assert_false (side.confirmed && side.seen_code != 0);
  g_assert_cmpuint (side.late_crypto, ==, 0);
  g_source_remove (watch);
  close (fd);
  quic_side_clear (&side);
  return side.seen_code;
}

static X509 *
make_large_certificate (EVP_PKEY *key)
{
  g_autofree char *comment = g_strnfill (TL_CERTIFICATE_MAX_DER, 'x');
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
test_strangers (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (X509) large = make_large_certificate (fixture->key);
  QuicStrange good = { FALSE, TL_NAME_ALPN, fixture->device, fixture->key };
  QuicStrange no_alpn = { FALSE, NULL, fixture->device, fixture->key };
  QuicStrange wrong_alpn = { FALSE, "h3", fixture->device, fixture->key };
  QuicStrange no_certificate = { FALSE, TL_NAME_ALPN, NULL, NULL };
  QuicStrange too_large = { FALSE, TL_NAME_ALPN, large, fixture->key };

  g_assert_cmphex (try_strange (fixture, &good), ==, 0);
  g_assert_cmphex (try_strange (fixture, &no_alpn), ==, 0x178);
  g_assert_cmphex (try_strange (fixture, &wrong_alpn), ==, 0x178);
  g_assert_cmphex (try_strange (fixture, &no_certificate), ==, 0x174);
  g_assert_cmphex (try_strange (fixture, &too_large), ==, 0x12a);
  quic_wait (quic_world_stats (fixture->world).refused == 4);
  g_assert_cmpuint (fixture->world->accepted->len, ==, 1);
  g_assert_cmpuint (fixture->asked, ==, 1);
}

/* ---- gateways that a device meets */

static void
assert_distrusted (Fixture *fixture, TlQuicTrust *trust, guint8 alert, TlErrorCode code, const char *why)
{
  guint64 before = quic_world_stats (fixture->world).refused;
  QuicPeer *peer = connect_with (fixture, fixture->device, trust);
  g_autoptr (GError) error = NULL;

  quic_wait (peer->closed);
  g_assert_false (peer->opened);
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_BY_ALERT);
  g_assert_false (peer->why.by_peer);
  g_assert_cmpuint (peer->why.code, ==, alert);
  error = tl_quic_close_to_error (&peer->why);
  assert_error (error, TL_ERROR_WRONG_CA);
  g_clear_error (&error);
  g_assert_true (tl_quic_trust_get_refusal (trust, &error));
  assert_error (error, code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, why));
  quic_wait (quic_world_stats (fixture->world).refused == before + 1); /* it was told, not left waiting */
  g_assert_cmpuint (fixture->asked, ==, 0);
}

static void
test_trust (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (TlCertificateAuthority) foreign = make_ca_at (GATEWAY, 1, NOW, 5);
  g_autoptr (X509) forged = make_server_leaf (foreign, fixture->key, NULL);
  g_autoptr (X509) renewed = make_server_leaf (fixture->ca, fixture->key, (const char *const[]){ "a.example", NULL });
  g_autofree char *pin = tl_certificate_fingerprint (fixture->server);
  g_autoptr (TlQuicTrust) trust = tl_quic_trust_new (fixture->bundle, NULL, fixture->clock);
  g_autoptr (TlQuicTrust) pinned = tl_quic_trust_new (fixture->bundle, pin, fixture->clock);
  QuicPeer *peer;

  serve_with (fixture, forged);
  assert_distrusted (fixture, trust, TL_QUIC_ALERT_UNKNOWN_CA, TL_ERROR_WRONG_CA, "not signed by");
  serve_with (fixture, fixture->device);
  assert_distrusted (fixture, trust, TL_QUIC_ALERT_BAD_CERTIFICATE, TL_ERROR_PERMISSION_DENIED, "not a gateway's");
  serve_with (fixture, renewed);
  assert_distrusted (fixture, pinned, TL_QUIC_ALERT_CERTIFICATE_UNKNOWN, TL_ERROR_WRONG_CA, "pinned");
  serve_with (fixture, fixture->server);
  peer = connect_with (fixture, fixture->device, pinned);
  quic_wait (peer->opened);
  g_assert_false (tl_quic_trust_get_refusal (pinned, NULL));
  peer = connect_with (fixture, fixture->device, trust);
  quic_wait (peer->opened);
  tl_clock_advance (fixture->clock, TL_SERVER_LEAF_LIFETIME_MS);
  fixture->asked = 0;
  assert_distrusted (fixture, trust, TL_QUIC_ALERT_CERTIFICATE_EXPIRED, TL_ERROR_EXPIRED, "expired at");
}

/* ---- somebody on the way, who sees packets and sends others before the gateway does */

static int
bind_socket (char *address, gsize size)
{
  struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof any;
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *)&any, sizeof any), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *)&any, &length), ==, 0);
  g_snprintf (address, size, "127.0.0.1:%u", ntohs (any.sin_port));
  return fd;
}

/* Answers a client's first packet with a CONNECTION_CLOSE, which takes nobody's key. */
static QuicPeer *
connect_to_forger (Fixture *fixture, guint8 alert)
{
  QuicStrange strange = { TRUE, TL_NAME_ALPN, fixture->server, fixture->key };
  struct sockaddr_in from;
  socklen_t from_length = sizeof from;
  guint8 packet[2048];
  gssize length = -1;
  char address[32];
  int fd = bind_socket (address, sizeof address);
  QuicPeer *peer = quic_world_connect (fixture->world, address);
  QuicSide side;

  g_assert_true (quic_side_init (&side, TRUE, NULL, &strange));
  quic_wait ((length = recvfrom (fd, packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&from, &from_length)) > 0);
  quic_side_read (&side, packet, (gsize)length);
  ngtcp2_conn_set_tls_alert (side.connection, alert);
  side.sent_code = NGTCP2_CRYPTO_ERROR | alert;
  length = (gssize)quic_side_write (&side, packet);
  g_assert_cmpint ((int)sendto (fd, packet, (gsize)length, 0, (struct sockaddr *)&from, from_length), ==, (int)length);
  quic_wait (peer->closed);
  quic_side_clear (&side);
  close (fd);
  return peer;
}

static void
test_forged_refusal (void)
{
  static const guint8 about_certificate[] = { 42, 44, 45, 48, 116 };
  g_autoptr (Fixture) fixture = fixture_new ();
  QuicPeer *peer;

  for (guint i = 0; i < G_N_ELEMENTS (about_certificate); i++)
    {
      g_autoptr (GError) error = NULL;

      peer = connect_to_forger (fixture, about_certificate[i]);
      g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_BY_TRANSPORT);
      g_assert_cmphex (peer->why.code, ==, 0x100 + about_certificate[i]);
      error = tl_quic_close_to_error (&peer->why);
      assert_error (error, TL_ERROR_PROTOCOL);
    }
  /* What a server may say before it is known. */
  peer = connect_to_forger (fixture, TL_QUIC_ALERT_NO_APPLICATION_PROTOCOL);
  g_assert_cmpint (peer->why.ending, ==, TL_QUIC_ENDED_BY_ALERT);
  g_assert_cmpuint (peer->why.code, ==, TL_QUIC_ALERT_NO_APPLICATION_PROTOCOL);
}

/* ---- a new server leaf */

static void
test_leaf_is_replaced (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (X509) renewed = make_server_leaf (fixture->ca, fixture->key, (const char *const[]){ "a.example", NULL });
  g_autofree char *old_leaf = tl_certificate_fingerprint (fixture->server);
  g_autofree char *new_leaf = tl_certificate_fingerprint (renewed);
  QuicPeer *before = connect_with (fixture, fixture->device, NULL);
  QuicPeer *after;
  QuicCall *call;

  quic_wait (before->opened);
  serve_with (fixture, renewed);
  after = connect_with (fixture, fixture->device, NULL);
  quic_wait (after->opened);
  g_assert_cmpstr (tl_quic_connection_fingerprint (before->connection), ==, old_leaf);
  g_assert_cmpstr (tl_quic_connection_fingerprint (after->connection), ==, new_leaf);
  call = quic_world_call (before, "still here", 10, TRUE);
  quic_wait (call->closed);
  g_assert_cmpuint (call->code, ==, 0);
  g_assert_cmpuint (fixture->freed, ==, 0); /* the old identity goes with its last connection */
  tl_quic_connection_close (before->connection, TL_QUIC_CLOSE_GOING_AWAY, NULL);
  quic_wait (fixture->freed == 1);
  g_assert_false (after->closed);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quic-tls/every-handshake-asks", test_every_handshake_asks);
  g_test_add_func ("/quic-tls/admission", test_admission);
  g_test_add_func ("/quic-tls/expiry", test_expiry);
  g_test_add_func ("/quic-tls/foreign-and-misfits", test_foreign_and_misfits);
  g_test_add_func ("/quic-tls/strangers", test_strangers);
  g_test_add_func ("/quic-tls/trust", test_trust);
  g_test_add_func ("/quic-tls/forged-refusal", test_forged_refusal);
  g_test_add_func ("/quic-tls/leaf-is-replaced", test_leaf_is_replaced);
  return g_test_run ();
}
