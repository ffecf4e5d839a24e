/* SPDX-License-Identifier: Apache-2.0 */
#include "../identity/identity-fixture.h"
#include "crypto/tl-hash.h"
#include "quic/tl-quic-verified.h"
#include "quic/tl-quic-verifier.h"

#define ADDRESS "192.0.2.1:4711"

typedef struct
{
  TlCertificateAuthority *ca;
  TlTrustBundle *bundle;
  TlClock *clock;
  TlAdmittedSet *admitted;
  TlQuicVerifier *verifier;
  EVP_PKEY *key;
  X509 *leaf; /* of DEVICE, a day long, admitted */

  guint refusals;
  char fingerprint[65];
  char device_id[27]; /* "": nobody's */
  const char *reason;
} Fixture;

static void
on_refused (const char *fingerprint, const char *device_id, const char *address, const char *reason, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->refusals++;
  g_strlcpy (fixture->fingerprint, fingerprint, sizeof fixture->fingerprint);
  g_strlcpy (fixture->device_id, device_id != NULL ? device_id : "", sizeof fixture->device_id);
  g_assert_cmpstr (address, ==, ADDRESS);
  fixture->reason = reason;
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
fixture_new_at (gint64 now_ms)
{
  Fixture *fixture = g_new0 (Fixture, 1);

  fixture->ca = make_ca (GATEWAY, 1);
  fixture->bundle = make_bundle (fixture->ca, NULL);
  fixture->clock = tl_clock_new_virtual (now_ms);
  fixture->admitted = tl_admitted_set_new ();
  fixture->verifier = tl_quic_verifier_new (fixture->admitted, fixture->bundle, fixture->clock, on_refused, fixture);
  fixture->key = make_key ();
  fixture->leaf = make_device_leaf (fixture->ca, fixture->key, DEVICE, NOW, DAY);
  admit (fixture, fixture->leaf, DEVICE);
  return fixture;
}

static Fixture *
fixture_new (void)
{
  return fixture_new_at (NOW);
}

static void
fixture_free (Fixture *fixture)
{
  tl_quic_verifier_unref (fixture->verifier);
  tl_admitted_set_unref (fixture->admitted);
  tl_trust_bundle_unref (fixture->bundle);
  tl_clock_free (fixture->clock);
  X509_free (fixture->leaf);
  EVP_PKEY_free (fixture->key);
  tl_certificate_authority_unref (fixture->ca);
  g_free (fixture);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fixture, fixture_free)

static guint8
ask (TlQuicVerifyFunc verify, gpointer user_data, const guint8 *der, gsize length)
{
  TlQuicPeerCertificate peer = { .leaf_der = der, .leaf_length = length, .address = ADDRESS };
  g_autofree char *fingerprint = tl_fingerprint (der, length);

  g_strlcpy (peer.fingerprint, fingerprint, sizeof peer.fingerprint);
  return verify (&peer, user_data);
}

static guint8
ask_about (TlQuicVerifyFunc verify, gpointer user_data, X509 *leaf)
{
  g_autoptr (GBytes) der = tl_certificate_to_der (leaf);

  return ask (verify, user_data, g_bytes_get_data (der, NULL), g_bytes_get_size (der));
}

static void
assert_admitted (Fixture *fixture, X509 *leaf)
{
  guint before = fixture->refusals;

  g_assert_cmpuint (ask_about (tl_quic_verifier_verify, fixture->verifier, leaf), ==, TL_QUIC_ALERT_NONE);
  g_assert_cmpuint (fixture->refusals, ==, before);
}

/* device_id: whose the refusal says it is; "": it does not know. */
static void
assert_refused (Fixture *fixture, X509 *leaf, guint8 alert, const char *reason, const char *device_id)
{
  g_autofree char *fingerprint = tl_certificate_fingerprint (leaf);
  guint before = fixture->refusals;

  g_assert_cmpuint (ask_about (tl_quic_verifier_verify, fixture->verifier, leaf), ==, alert);
  g_assert_cmpuint (fixture->refusals, ==, before + 1);
  g_assert_cmpstr (fixture->reason, ==, reason);
  g_assert_cmpstr (fixture->device_id, ==, device_id);
  g_assert_cmpstr (fixture->fingerprint, ==, fingerprint);
}

static void
assert_counts (Fixture *fixture, guint64 full, guint64 remembered)
{
  guint64 n_full, n_remembered;

  tl_quic_verifier_get_counts (fixture->verifier, &n_full, &n_remembered);
  g_assert_cmpuint (n_full, ==, full);
  g_assert_cmpuint (n_remembered, ==, remembered);
}

static void
test_remembers (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (X509) second = make_device_leaf (fixture->ca, fixture->key, OTHER_DEVICE, NOW, DAY);

  admit (fixture, second, OTHER_DEVICE);
  assert_admitted (fixture, fixture->leaf);
  assert_counts (fixture, 1, 0);
  assert_admitted (fixture, fixture->leaf);
  assert_admitted (fixture, fixture->leaf);
  assert_counts (fixture, 1, 2);
  assert_admitted (fixture, second);
  assert_counts (fixture, 2, 2);
}

/* The admitted set is looked at every time, whatever is remembered. */
static void
test_admission (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autofree char *fingerprint = tl_certificate_fingerprint (fixture->leaf);

  assert_admitted (fixture, fixture->leaf);
  tl_admitted_set_remove_device (fixture->admitted, DEVICE);
  assert_refused (fixture, fixture->leaf, TL_QUIC_ALERT_CERTIFICATE_REVOKED, "not_admitted", DEVICE);
  admit (fixture, fixture->leaf, DEVICE);
  assert_admitted (fixture, fixture->leaf);
  tl_admitted_set_set_closed (fixture->admitted, TRUE);
  assert_refused (fixture, fixture->leaf, TL_QUIC_ALERT_CERTIFICATE_REVOKED, "not_admitted", DEVICE);
  tl_admitted_set_set_closed (fixture->admitted, FALSE);
  tl_admitted_set_supersede (fixture->admitted, fingerprint, NOW + 60000);
  assert_refused (fixture, fixture->leaf, TL_QUIC_ALERT_CERTIFICATE_REVOKED, "superseded", DEVICE);
  admit (fixture, fixture->leaf, OTHER_DEVICE); /* recorded for somebody else than it names */
  assert_refused (fixture, fixture->leaf, TL_QUIC_ALERT_BAD_CERTIFICATE, "misfit", DEVICE);
  assert_counts (fixture, 1, 5);
}

/* An unrevoked certificate of a forgotten device is nothing, also at first sight. */
static void
test_never_admitted (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (X509) stranger = make_device_leaf (fixture->ca, fixture->key, OTHER_DEVICE, NOW, DAY);

  assert_refused (fixture, stranger, TL_QUIC_ALERT_CERTIFICATE_REVOKED, "not_admitted", OTHER_DEVICE);
}

static void
test_validity (void)
{
  g_autoptr (Fixture) fixture = fixture_new_at (NOW - HOUR);
  gint64 start = tl_certificate_not_before_ms (fixture->leaf), end = tl_certificate_not_after_ms (fixture->leaf);

  assert_refused (fixture, fixture->leaf, TL_QUIC_ALERT_CERTIFICATE_EXPIRED, "expired", DEVICE);
  tl_clock_advance (fixture->clock, start - 1 - (NOW - HOUR));
  assert_refused (fixture, fixture->leaf, TL_QUIC_ALERT_CERTIFICATE_EXPIRED, "expired", DEVICE);
  tl_clock_advance (fixture->clock, 1);
  assert_admitted (fixture, fixture->leaf);
  tl_clock_advance (fixture->clock, end - 1 - start);
  assert_admitted (fixture, fixture->leaf);
  tl_clock_advance (fixture->clock, 1);
  assert_refused (fixture, fixture->leaf, TL_QUIC_ALERT_CERTIFICATE_EXPIRED, "expired", DEVICE);
  assert_counts (fixture, 1, 4);
}

/* Met for the first time when it had expired: the name is true, as it was verified as of when it was valid. */
static void
test_expired_at_first_sight (void)
{
  g_autoptr (Fixture) fixture = fixture_new_at (NOW + 10 * DAY);
  g_autoptr (TlCertificateAuthority) foreign = make_ca_at (GATEWAY, 1, NOW, 5);
  g_autoptr (X509) forged = make_device_leaf (foreign, fixture->key, DEVICE, NOW, DAY);

  assert_refused (fixture, fixture->leaf, TL_QUIC_ALERT_CERTIFICATE_EXPIRED, "expired", DEVICE);
  assert_refused (fixture, forged, TL_QUIC_ALERT_UNKNOWN_CA, "wrong_ca", "");
}

/* A leaf that outlives its CA (none of ours does): the CA's end counts, remembered or not. */
static void
test_ca_expires (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  gint64 end = tl_certificate_not_after_ms (tl_certificate_authority_certificate (fixture->ca));
  LeafSpec spec = { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth",
                    "URI:twinlatch:device:" GATEWAY ":" DEVICE };
  g_autoptr (X509) template = make_custom_certificate (fixture->ca, fixture->key, &spec);
  g_autoptr (TlSecret) der = tl_certificate_authority_export_key (fixture->ca, NULL);
  g_autoptr (EVP_PKEY) signer = tl_p256_from_der (der, NULL);
  g_autoptr (X509) leaf = X509_dup (template);

  ASN1_TIME_set (X509_getm_notAfter (leaf), (time_t)((end + DAY) / 1000));
  g_assert_cmpint (X509_sign (leaf, signer, EVP_sha256 ()), >, 0);
  admit (fixture, leaf, DEVICE);
  assert_admitted (fixture, leaf);
  tl_clock_advance (fixture->clock, end - 1 - NOW);
  assert_admitted (fixture, leaf);
  tl_clock_advance (fixture->clock, 1);
  assert_refused (fixture, leaf, TL_QUIC_ALERT_CERTIFICATE_EXPIRED, "expired", DEVICE);
  assert_counts (fixture, 1, 2);
  tl_quic_verifier_set_bundle (fixture->verifier, fixture->bundle);
  assert_refused (fixture, leaf, TL_QUIC_ALERT_CERTIFICATE_EXPIRED, "expired", "");
  assert_counts (fixture, 2, 2);
}

/* What is signed by somebody else is never remembered, nor believed in what it says. */
static void
test_foreign (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (TlCertificateAuthority) foreign = make_ca_at (GATEWAY, 1, NOW, 5); /* another key, the same name */
  g_autoptr (X509) forged = make_device_leaf (foreign, fixture->key, DEVICE, NOW, DAY);
  g_autoptr (TlCertificateAuthority) other = make_ca (OTHER_GATEWAY, 1);
  g_autoptr (X509) neighbour = make_device_leaf (other, fixture->key, DEVICE, NOW, DAY);

  admit (fixture, forged, DEVICE);
  for (guint i = 0; i < 2; i++)
    {
      assert_refused (fixture, forged, TL_QUIC_ALERT_UNKNOWN_CA, "wrong_ca", "");
      assert_refused (fixture, neighbour, TL_QUIC_ALERT_UNKNOWN_CA, "wrong_ca", "");
    }
  assert_counts (fixture, 4, 0);
}

static void
test_misfits (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  LeafSpec spec = { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth,serverAuth",
                    "URI:twinlatch:device:" GATEWAY ":" DEVICE };
  g_autoptr (X509) both = make_custom_certificate (fixture->ca, fixture->key, &spec);
  g_autoptr (X509) server = make_server_leaf (fixture->ca, fixture->key, NULL);
  g_autoptr (X509) elsewhere = NULL;
  guint8 junk[64] = { 0x30, 0x3e };

  spec.extended_key_usage = "clientAuth";
  spec.alternative_name = "URI:twinlatch:device:" OTHER_GATEWAY ":" DEVICE;
  elsewhere = make_custom_certificate (fixture->ca, fixture->key, &spec);
  admit (fixture, both, DEVICE);
  admit (fixture, server, DEVICE);
  admit (fixture, elsewhere, DEVICE);
  assert_refused (fixture, both, TL_QUIC_ALERT_BAD_CERTIFICATE, "misfit", "");
  assert_refused (fixture, server, TL_QUIC_ALERT_BAD_CERTIFICATE, "misfit", "");
  assert_refused (fixture, elsewhere, TL_QUIC_ALERT_BAD_CERTIFICATE, "misfit", "");
  assert_refused (fixture, tl_certificate_authority_certificate (fixture->ca), TL_QUIC_ALERT_BAD_CERTIFICATE, "misfit",
                  "");
  g_assert_cmpuint (ask (tl_quic_verifier_verify, fixture->verifier, junk, sizeof junk), ==,
                    TL_QUIC_ALERT_BAD_CERTIFICATE);
  g_assert_cmpstr (fixture->reason, ==, "malformed");
  g_assert_cmpuint (ask (tl_quic_verifier_verify, fixture->verifier, junk, 0), ==, TL_QUIC_ALERT_BAD_CERTIFICATE);
}

/* A CA that is retired takes what was remembered with it; one that is added is there at once. */
static void
test_bundle_changes (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (TlCertificateAuthority) next = make_ca (GATEWAY, 2);
  g_autoptr (X509) leaf = make_device_leaf (next, fixture->key, DEVICE, NOW, DAY);
  g_autoptr (TlTrustBundle) two = make_bundle (fixture->ca, next);
  g_autoptr (TlTrustBundle) one = make_bundle (next, NULL);

  admit (fixture, leaf, DEVICE);
  assert_admitted (fixture, fixture->leaf);
  assert_refused (fixture, leaf, TL_QUIC_ALERT_UNKNOWN_CA, "wrong_ca", "");
  tl_quic_verifier_set_bundle (fixture->verifier, two);
  assert_admitted (fixture, leaf);
  assert_admitted (fixture, fixture->leaf);
  assert_counts (fixture, 4, 0);
  tl_quic_verifier_set_bundle (fixture->verifier, one);
  assert_refused (fixture, fixture->leaf, TL_QUIC_ALERT_UNKNOWN_CA, "wrong_ca", "");
  assert_admitted (fixture, leaf);
}

static void
test_verified_limit (void)
{
  g_autoptr (TlQuicVerified) verified = tl_quic_verified_new (3);
  TlQuicVerifiedLeaf leaf = { .device_id = "a" }, found = { .device_id = "untouched" };

  g_assert_false (tl_quic_verified_lookup (verified, "1", &found));
  g_assert_cmpstr (found.device_id, ==, "untouched");
  tl_quic_verified_add (verified, "1", &leaf);
  tl_quic_verified_add (verified, "2", &leaf);
  tl_quic_verified_add (verified, "3", &leaf);
  g_assert_true (tl_quic_verified_lookup (verified, "1", &found));
  tl_quic_verified_add (verified, "4", &leaf); /* 2 goes: 1 was asked for since */
  g_assert_cmpuint (tl_quic_verified_size (verified), ==, 3);
  g_assert_false (tl_quic_verified_lookup (verified, "2", &found));
  g_assert_true (tl_quic_verified_lookup (verified, "1", &found));
  g_strlcpy (leaf.device_id, "b", sizeof leaf.device_id);
  tl_quic_verified_add (verified, "1", &leaf);
  g_assert_cmpuint (tl_quic_verified_size (verified), ==, 3);
  g_assert_true (tl_quic_verified_lookup (verified, "1", &found));
  g_assert_cmpstr (found.device_id, ==, "b");
  g_assert_true (tl_quic_verified_lookup (verified, "3", &found));
  tl_quic_verified_clear (verified);
  g_assert_cmpuint (tl_quic_verified_size (verified), ==, 0);
  g_assert_false (tl_quic_verified_lookup (verified, "1", &found));
  tl_quic_verified_add (verified, "5", &leaf);
  g_assert_cmpuint (tl_quic_verified_size (verified), ==, 1);
}

static void
test_verified_many (void)
{
  g_autoptr (TlQuicVerified) verified = tl_quic_verified_new (TL_QUIC_VERIFIER_MAX);
  TlQuicVerifiedLeaf leaf = { .device_id = "a" };

  for (guint i = 0; i < TL_QUIC_VERIFIER_MAX + 100; i++)
    {
      g_autofree char *fingerprint = g_strdup_printf ("%064x", i);

      tl_quic_verified_add (verified, fingerprint, &leaf);
    }
  g_assert_cmpuint (tl_quic_verified_size (verified), ==, TL_QUIC_VERIFIER_MAX);
}

static gpointer
change_bundles (gpointer user_data)
{
  Fixture *fixture = user_data;

  for (guint i = 0; i < 300; i++)
    tl_quic_verifier_set_bundle (fixture->verifier, fixture->bundle);
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  GThread *thread = g_thread_new ("bundles", change_bundles, fixture);

  for (guint i = 0; i < 300; i++)
    assert_admitted (fixture, fixture->leaf);
  g_thread_join (thread);
  assert_admitted (fixture, fixture->leaf);
}

/* ---- the device's side */

static void
assert_trusted (TlQuicTrust *trust, X509 *leaf)
{
  g_assert_cmpuint (ask_about (tl_quic_trust_verify, trust, leaf), ==, TL_QUIC_ALERT_NONE);
  g_assert_false (tl_quic_trust_get_refusal (trust, NULL));
}

static void
assert_distrusted (TlQuicTrust *trust, X509 *leaf, guint8 alert, TlErrorCode code, const char *why)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (ask_about (tl_quic_trust_verify, trust, leaf), ==, alert);
  g_assert_true (tl_quic_trust_get_refusal (trust, &error));
  assert_error (error, code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, why));
}

static void
test_trust (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (TlQuicTrust) trust = tl_quic_trust_new (fixture->bundle, NULL, fixture->clock);
  g_autoptr (X509) server = make_server_leaf (fixture->ca, fixture->key, NULL);
  g_autoptr (TlCertificateAuthority) foreign = make_ca_at (GATEWAY, 1, NOW, 5);
  g_autoptr (X509) forged = make_server_leaf (foreign, fixture->key, NULL);
  LeafSpec spec = { "x", "critical,CA:FALSE", "critical,digitalSignature", "serverAuth", "DNS:gateway.example" };
  g_autoptr (X509) nameless = make_custom_certificate (fixture->ca, fixture->key, &spec);
  guint8 junk[3] = { 1, 2, 3 };

  g_assert_false (tl_quic_trust_get_refusal (trust, NULL));
  assert_trusted (trust, server);
  assert_distrusted (trust, forged, TL_QUIC_ALERT_UNKNOWN_CA, TL_ERROR_WRONG_CA, "not signed by");
  assert_distrusted (trust, nameless, TL_QUIC_ALERT_BAD_CERTIFICATE, TL_ERROR_PERMISSION_DENIED, "does not name");
  assert_distrusted (trust, fixture->leaf, TL_QUIC_ALERT_BAD_CERTIFICATE, TL_ERROR_PERMISSION_DENIED,
                     "not a gateway's");
  g_assert_cmpuint (ask (tl_quic_trust_verify, trust, junk, sizeof junk), ==, TL_QUIC_ALERT_BAD_CERTIFICATE);
  g_assert_true (tl_quic_trust_get_refusal (trust, NULL));
  assert_trusted (trust, server); /* and what was refused before is forgotten */
  tl_clock_advance (fixture->clock, TL_SERVER_LEAF_LIFETIME_MS);
  assert_distrusted (trust, server, TL_QUIC_ALERT_CERTIFICATE_EXPIRED, TL_ERROR_EXPIRED, "expired at");
}

static void
test_pin (void)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (EVP_PKEY) other_key = make_key ();
  g_autoptr (X509) server = make_server_leaf (fixture->ca, fixture->key, NULL);
  g_autoptr (X509) renewed = make_server_leaf (fixture->ca, fixture->key, (const char *const[]){ "a.example", NULL });
  g_autoptr (X509) other = make_server_leaf (fixture->ca, other_key, NULL);
  g_autofree char *leaf_pin = tl_certificate_fingerprint (server);
  g_autofree char *key_pin = tl_key_fingerprint (fixture->key);
  g_autofree char *upper = g_ascii_strup (leaf_pin, -1);
  g_autoptr (TlQuicTrust) by_leaf = tl_quic_trust_new (fixture->bundle, leaf_pin, fixture->clock);
  g_autoptr (TlQuicTrust) by_upper = tl_quic_trust_new (fixture->bundle, upper, fixture->clock);
  g_autoptr (TlQuicTrust) by_key = tl_quic_trust_new (fixture->bundle, key_pin, fixture->clock);

  assert_trusted (by_leaf, server);
  assert_trusted (by_upper, server);
  assert_distrusted (by_leaf, renewed, TL_QUIC_ALERT_CERTIFICATE_UNKNOWN, TL_ERROR_WRONG_CA, "pinned");
  assert_distrusted (by_leaf, other, TL_QUIC_ALERT_CERTIFICATE_UNKNOWN, TL_ERROR_WRONG_CA, "pinned");
  assert_trusted (by_key, server);
  assert_trusted (by_key, renewed);
  assert_distrusted (by_key, other, TL_QUIC_ALERT_CERTIFICATE_UNKNOWN, TL_ERROR_WRONG_CA, "pinned");
}

/* A pin is on top of the rest, never instead; and one that is none lets nobody in. */
static void
test_pin_is_not_enough (void)
{
  static const char *const pins[]
      = { "", "abcd", "zz", "0000000000000000000000000000000000000000000000000000000000000000" };
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autoptr (TlCertificateAuthority) foreign = make_ca_at (GATEWAY, 1, NOW, 5);
  g_autoptr (X509) forged = make_server_leaf (foreign, fixture->key, NULL);
  g_autoptr (X509) server = make_server_leaf (fixture->ca, fixture->key, NULL);
  g_autofree char *key_pin = tl_key_fingerprint (fixture->key);
  g_autoptr (TlQuicTrust) trust = tl_quic_trust_new (fixture->bundle, key_pin, fixture->clock);

  assert_distrusted (trust, forged, TL_QUIC_ALERT_UNKNOWN_CA, TL_ERROR_WRONG_CA, "not signed by");
  for (guint i = 0; i < G_N_ELEMENTS (pins); i++)
    {
      g_autoptr (TlQuicTrust) strange = tl_quic_trust_new (fixture->bundle, pins[i], fixture->clock);

      assert_distrusted (strange, server, TL_QUIC_ALERT_CERTIFICATE_UNKNOWN, TL_ERROR_WRONG_CA, "server-pin");
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quic-verifier/remembers", test_remembers);
  g_test_add_func ("/quic-verifier/admission", test_admission);
  g_test_add_func ("/quic-verifier/never-admitted", test_never_admitted);
  g_test_add_func ("/quic-verifier/validity", test_validity);
  g_test_add_func ("/quic-verifier/expired-at-first-sight", test_expired_at_first_sight);
  g_test_add_func ("/quic-verifier/ca-expires", test_ca_expires);
  g_test_add_func ("/quic-verifier/foreign", test_foreign);
  g_test_add_func ("/quic-verifier/misfits", test_misfits);
  g_test_add_func ("/quic-verifier/bundle-changes", test_bundle_changes);
  g_test_add_func ("/quic-verifier/verified-limit", test_verified_limit);
  g_test_add_func ("/quic-verifier/verified-many", test_verified_many);
  g_test_add_func ("/quic-verifier/threads", test_threads);
  g_test_add_func ("/quic-verifier/trust", test_trust);
  g_test_add_func ("/quic-verifier/pin", test_pin);
  g_test_add_func ("/quic-verifier/pin-is-not-enough", test_pin_is_not_enough);
  return g_test_run ();
}
