/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/core_names.h>
#include <openssl/pem.h>

#include "base/tl-json.h"
#include "crypto/tl-hash.h"
#include "identity-fixture.h"
#include "identity/tl-device-identity.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BIGNUM, BN_free)

typedef struct
{
  TlCertificateAuthority *ca;
  TlTrustBundle *bundle;
  TlDeviceIdentity *identity;
} Fixture;

static TlDeviceIdentity *
make_identity (guint64 seed)
{
  g_autoptr (TlRandom) random = tl_random_new_test (seed);
  g_autoptr (GError) error = NULL;
  TlDeviceIdentity *identity = tl_device_identity_new (NOW, random, &error);

  g_assert_no_error (error);
  return identity;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  (void)data;
  fixture->ca = make_ca (GATEWAY, 1);
  fixture->bundle = make_bundle (fixture->ca, NULL);
  fixture->identity = make_identity (1);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  (void)data;
  tl_certificate_authority_unref (fixture->ca);
  tl_trust_bundle_unref (fixture->bundle);
  tl_device_identity_free (fixture->identity);
}

/* What the gateway does with a request. */
static X509 *
answer_request (TlCertificateAuthority *ca, TlDeviceIdentity *identity, const char *device_id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) request = tl_device_identity_csr (identity, &error);
  g_assert_no_error (error);
  g_autoptr (EVP_PKEY) key = tl_csr_verify (g_bytes_get_data (request, NULL), g_bytes_get_size (request), &error);
  g_assert_no_error (error);
  return make_device_leaf (ca, key, device_id, NOW, DAY);
}

static void
pair (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (X509) leaf
      = answer_request (fixture->ca, fixture->identity, tl_device_identity_device_id (fixture->identity));

  g_assert_true (tl_device_identity_set_certificate (fixture->identity, leaf, fixture->bundle, NOW, &error));
  g_assert_no_error (error);
}

static char *
key_pem (TlDeviceIdentity *identity)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) pem = tl_device_identity_key_pem (identity, &error);

  g_assert_no_error (error);
  return g_strndup ((const char *)tl_secret_data (pem), tl_secret_length (pem));
}

static void
test_new (Fixture *fixture, gconstpointer data)
{
  (void)data;
  TlDeviceIdentity *identity = fixture->identity;
  g_autoptr (TlDeviceIdentity) same_seed = make_identity (1);
  g_autoptr (TlDeviceIdentity) other = make_identity (2);
  g_autofree char *fingerprint = tl_device_identity_fingerprint (identity);
  g_autofree char *expected = tl_fingerprint (tl_device_identity_public (identity), 32);

  g_assert_true (tl_ulid_is_valid (tl_device_identity_device_id (identity)));
  g_assert_cmpint (tl_ulid_time_ms (tl_device_identity_device_id (identity)), ==, NOW);
  g_assert_cmpstr (fingerprint, ==, expected);
  /* Identity comes from the random source and from nothing else. */
  g_assert_cmpmem (tl_device_identity_public (identity), 32, tl_device_identity_public (same_seed), 32);
  g_assert_cmpstr (tl_device_identity_device_id (identity), ==, tl_device_identity_device_id (same_seed));
  g_assert_false (memcmp (tl_device_identity_public (identity), tl_device_identity_public (other), 32) == 0);
  g_assert_cmpstr (tl_device_identity_device_id (identity), !=, tl_device_identity_device_id (other));
  g_assert_false (tl_device_identity_is_paired (identity));
  g_assert_null (tl_device_identity_certificate (identity));
  g_assert_null (tl_device_identity_bundle (identity));
  g_assert_null (tl_device_identity_chain_pem (identity));
}

static void
test_sign (Fixture *fixture, gconstpointer data)
{
  (void)data;
  guint8 signature[64];

  g_assert_true (tl_device_identity_sign (fixture->identity, "message", 7, signature, NULL));
  const guint8 *key = tl_device_identity_public (fixture->identity);
  g_assert_true (tl_ed25519_verify (key, 32, "message", 7, signature, 64));
  g_assert_false (tl_ed25519_verify (key, 32, "massage", 7, signature, 64));
}

/* The private scalar of a P-256 key, 32 bytes. */
static void
get_scalar (TlDeviceIdentity *identity, guint8 scalar[32])
{
  g_autofree char *pem = key_pem (identity);
  g_autoptr (BIGNUM) number = NULL;
  BIO *bio = BIO_new_mem_buf (pem, -1);
  g_autoptr (EVP_PKEY) key = PEM_read_bio_PrivateKey (bio, NULL, NULL, NULL);

  BIO_free (bio);
  g_assert_cmpint (EVP_PKEY_get_bn_param (key, OSSL_PKEY_PARAM_PRIV_KEY, &number), ==, 1);
  g_assert_cmpint (BN_bn2binpad (number, scalar, 32), ==, 32);
}

static void
test_request_has_no_private_key (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autoptr (GBytes) request = tl_device_identity_csr (fixture->identity, NULL);
  gsize length;
  const guint8 *der = g_bytes_get_data (request, &length);
  g_autoptr (TlSecret) text = tl_device_identity_serialise (fixture->identity, NULL);
  tl_json_auto json = tl_json_parse ((const char *)tl_secret_data (text), (gssize)tl_secret_length (text), 0, NULL);
  const char *seed_text = json_string_value (json_object_get (json_object_get (json, "identity"), "key"));
  guint8 scalar[32], seed[32], public_key[32];

  get_scalar (fixture->identity, scalar);
  g_assert_true (tl_base64url_decode (seed_text, seed, 32));
  g_autoptr (TlSecret) seed_secret = tl_secret_new_copy (seed, 32);
  g_assert_true (tl_ed25519_public (seed_secret, public_key, NULL));
  g_assert_cmpmem (public_key, 32, tl_device_identity_public (fixture->identity), 32);
  g_assert_null (memmem (der, length, scalar, 32));
  g_assert_null (memmem (der, length, seed, 32));
  /* That the scalar is the right one to look for: it does occur in the secret form. */
  g_autoptr (TlSecret) pkcs8 = NULL;
  const char *tls_text = json_string_value (json_object_get (json_object_get (json, "tls"), "key"));
  gsize pkcs8_length = strlen (tls_text) * 3 / 4;
  pkcs8 = tl_secret_new (pkcs8_length);
  g_assert_true (tl_base64url_decode (tls_text, tl_secret_data_mut (pkcs8), pkcs8_length));
  g_assert_nonnull (memmem (tl_secret_data (pkcs8), pkcs8_length, scalar, 32));
}

static void
test_pairing (Fixture *fixture, gconstpointer data)
{
  (void)data;
  pair (fixture);
  TlDeviceIdentity *identity = fixture->identity;
  g_autofree char *chain = tl_device_identity_chain_pem (identity);
  g_autofree char *pem = key_pem (identity);
  g_autoptr (X509) leaf = tl_certificate_from_pem (chain, -1, NULL);
  BIO *bio = BIO_new_mem_buf (pem, -1);
  g_autoptr (EVP_PKEY) key = PEM_read_bio_PrivateKey (bio, NULL, NULL, NULL);

  BIO_free (bio);
  g_assert_true (tl_device_identity_is_paired (identity));
  g_assert_true (tl_device_identity_bundle (identity) == fixture->bundle);
  g_assert_cmpint (X509_cmp (leaf, tl_device_identity_certificate (identity)), ==, 0);
  g_assert_cmpint (X509_check_private_key (leaf, key), ==, 1);
}

static void
assert_leaf_refused (Fixture *fixture, X509 *leaf, TlTrustBundle *bundle, gint64 now_ms, TlErrorCode code)
{
  TlDeviceIdentity *identity = fixture->identity;
  g_autoptr (TlSecret) before = tl_device_identity_serialise (identity, NULL);
  g_autoptr (GBytes) request = tl_device_identity_csr (identity, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (tl_device_identity_set_certificate (identity, leaf, bundle, now_ms, &error));
  assert_error (error, code);
  g_autoptr (TlSecret) after = tl_device_identity_serialise (identity, NULL);
  g_assert_true (tl_secret_equal (before, after));
  g_autoptr (EVP_PKEY) key = tl_csr_verify (g_bytes_get_data (request, NULL), g_bytes_get_size (request), NULL);
  g_autoptr (GBytes) request_after = tl_device_identity_csr (identity, NULL);
  g_autoptr (EVP_PKEY) key_after
      = tl_csr_verify (g_bytes_get_data (request_after, NULL), g_bytes_get_size (request_after), NULL);
  g_assert_cmpint (EVP_PKEY_eq (key, key_after), ==, 1);
}

static void
refuse_all (Fixture *fixture)
{
  const char *device_id = tl_device_identity_device_id (fixture->identity);
  g_autoptr (TlCertificateAuthority) foreign = make_ca (GATEWAY, 1);
  g_autoptr (TlTrustBundle) foreign_bundle = make_bundle (foreign, NULL);
  g_autoptr (EVP_PKEY) other_key = make_key ();
  g_autoptr (X509) good = answer_request (fixture->ca, fixture->identity, device_id);
  g_autoptr (X509) for_other_key = make_device_leaf (fixture->ca, other_key, device_id, NOW, DAY);
  g_autoptr (X509) for_other_device = answer_request (fixture->ca, fixture->identity, OTHER_DEVICE);
  g_autoptr (X509) by_foreign_ca = answer_request (foreign, fixture->identity, device_id);
  g_autoptr (X509) server = make_server_leaf (fixture->ca, other_key, NULL);

  assert_leaf_refused (fixture, for_other_key, fixture->bundle, NOW, TL_ERROR_PROTOCOL);
  assert_leaf_refused (fixture, for_other_device, fixture->bundle, NOW, TL_ERROR_PROTOCOL);
  assert_leaf_refused (fixture, by_foreign_ca, fixture->bundle, NOW, TL_ERROR_WRONG_CA);
  assert_leaf_refused (fixture, good, foreign_bundle, NOW, TL_ERROR_WRONG_CA);
  assert_leaf_refused (fixture, server, fixture->bundle, NOW, TL_ERROR_PERMISSION_DENIED);
  assert_leaf_refused (fixture, good, fixture->bundle, NOW + 2 * DAY, TL_ERROR_EXPIRED);
  assert_leaf_refused (fixture, good, fixture->bundle, NOW - DAY, TL_ERROR_EXPIRED);
}

static void
test_leaf_refused (Fixture *fixture, gconstpointer data)
{
  (void)data;
  refuse_all (fixture);
  g_assert_false (tl_device_identity_is_paired (fixture->identity));
  pair (fixture);
  refuse_all (fixture);
  g_assert_true (tl_device_identity_is_paired (fixture->identity));
}

/* PROTOCOL 4.3: at every step of a renewal certificate and key fit each other, in memory and on disk. */
static void
test_renewal (Fixture *fixture, gconstpointer data)
{
  (void)data;
  TlDeviceIdentity *identity = fixture->identity;
  pair (fixture);
  g_autofree char *old_key = key_pem (identity);
  g_autofree char *old_leaf = tl_device_identity_chain_pem (identity);
  g_autoptr (GError) error = NULL;

  g_autoptr (TlDeviceIdentity) next = tl_device_identity_begin_renewal (identity, &error);
  g_assert_no_error (error);
  g_autofree char *next_key = key_pem (next);
  g_assert_cmpstr (next_key, !=, old_key);
  g_assert_false (tl_device_identity_is_paired (next));
  g_assert_cmpstr (tl_device_identity_device_id (next), ==, tl_device_identity_device_id (identity));
  g_assert_cmpmem (tl_device_identity_public (next), 32, tl_device_identity_public (identity), 32);
  g_autofree char *during_key = key_pem (identity);
  g_autofree char *during_leaf = tl_device_identity_chain_pem (identity);
  g_assert_cmpstr (during_key, ==, old_key);
  g_assert_cmpstr (during_leaf, ==, old_leaf);

  /* A crash now: the key that was begun is there again, and asks for the same. */
  g_autoptr (TlSecret) stored = tl_device_identity_serialise (next, NULL);
  g_autoptr (TlDeviceIdentity) restarted = tl_device_identity_parse (stored, &error);
  g_assert_no_error (error);
  g_autofree char *restarted_key = key_pem (restarted);
  g_assert_cmpstr (restarted_key, ==, next_key);

  g_autoptr (X509) leaf = answer_request (fixture->ca, restarted, tl_device_identity_device_id (identity));
  g_assert_false (tl_device_identity_set_certificate (identity, leaf, fixture->bundle, NOW, NULL));
  g_assert_true (tl_device_identity_set_certificate (restarted, leaf, fixture->bundle, NOW, &error));
  g_assert_no_error (error);
  tl_device_identity_adopt (identity, restarted);
  g_autofree char *new_key = key_pem (identity);
  g_assert_cmpstr (new_key, ==, next_key);
  BIO *bio = BIO_new_mem_buf (new_key, -1);
  g_autoptr (EVP_PKEY) key = PEM_read_bio_PrivateKey (bio, NULL, NULL, NULL);
  BIO_free (bio);
  g_assert_cmpint (X509_check_private_key (tl_device_identity_certificate (identity), key), ==, 1);
}

static void
assert_round_trip (TlDeviceIdentity *identity)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) text = tl_device_identity_serialise (identity, &error);
  g_assert_no_error (error);
  g_autoptr (TlDeviceIdentity) again = tl_device_identity_parse (text, &error);
  g_assert_no_error (error);
  g_autoptr (TlSecret) text_again = tl_device_identity_serialise (again, &error);
  g_autofree char *old_key = key_pem (identity);
  g_autofree char *new_key = key_pem (again);

  g_assert_true (tl_secret_equal (text, text_again));
  g_assert_cmpstr (tl_device_identity_device_id (identity), ==, tl_device_identity_device_id (again));
  g_assert_cmpmem (tl_device_identity_public (identity), 32, tl_device_identity_public (again), 32);
  g_assert_cmpstr (old_key, ==, new_key);
  g_assert_cmpint (tl_device_identity_is_paired (identity), ==, tl_device_identity_is_paired (again));
}

static void
test_round_trip (Fixture *fixture, gconstpointer data)
{
  (void)data;
  assert_round_trip (fixture->identity);
  pair (fixture);
  assert_round_trip (fixture->identity);
}

/* Written by hand, but JSON: any reader of it sees the documented members. */
static void
test_is_json (Fixture *fixture, gconstpointer data)
{
  (void)data;
  g_autoptr (TlCertificateAuthority) second = make_ca (GATEWAY, 2);
  g_autoptr (TlTrustBundle) both = make_bundle (fixture->ca, second);
  pair (fixture);
  X509 *leaf = tl_device_identity_certificate (fixture->identity);
  g_assert_true (tl_device_identity_set_certificate (fixture->identity, leaf, both, NOW, NULL));
  g_autoptr (TlSecret) text = tl_device_identity_serialise (fixture->identity, NULL);
  g_autoptr (GError) error = NULL;
  tl_json_auto json = tl_json_parse ((const char *)tl_secret_data (text), (gssize)tl_secret_length (text), 0, &error);
  g_assert_no_error (error);
  const char *value;

  g_assert_cmpint ((int)json_integer_value (json_object_get (json, "version")), ==, 1);
  g_assert_true (tl_json_get_string (json, "device_id", TRUE, &value, NULL));
  g_assert_cmpstr (value, ==, tl_device_identity_device_id (fixture->identity));
  g_assert_true (tl_json_get_string (json_object_get (json, "identity"), "alg", TRUE, &value, NULL));
  g_assert_cmpstr (value, ==, "ed25519");
  g_assert_true (tl_json_get_string (json_object_get (json, "tls"), "alg", TRUE, &value, NULL));
  g_assert_cmpstr (value, ==, "ecdsa-p256");
  g_assert_true (json_is_string (json_object_get (json, "certificate")));
  g_assert_cmpuint (json_array_size (json_object_get (json, "bundle")), ==, 2);
}

static void
assert_parse_fails (const char *text, gsize length, TlErrorCode code, const char *part)
{
  g_autoptr (TlSecret) value = tl_secret_new_copy (text, length);
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_device_identity_parse (value, &error));
  assert_error (error, code);
  g_assert_nonnull (strstr (error->message, part));
}

static char *
serialise_to_string (TlDeviceIdentity *identity)
{
  g_autoptr (TlSecret) text = tl_device_identity_serialise (identity, NULL);

  return g_strndup ((const char *)tl_secret_data (text), tl_secret_length (text));
}

static void
assert_replaced_fails (const char *text, const char *from, const char *to, TlErrorCode code, const char *part)
{
  g_auto (GStrv) pieces = g_strsplit (text, from, 2);
  g_assert_cmpuint (g_strv_length (pieces), ==, 2);
  g_autofree char *changed = g_strjoinv (to, pieces);

  assert_parse_fails (changed, strlen (changed), code, part);
}

static void
test_corrupt (Fixture *fixture, gconstpointer data)
{
  (void)data;
  pair (fixture);
  g_autofree char *text = serialise_to_string (fixture->identity);
  const char *device_id = tl_device_identity_device_id (fixture->identity);

  assert_replaced_fails (text, "\"version\":1", "\"version\":2", TL_ERROR_NEWER_VERSION, "version 2");
  assert_replaced_fails (text, "\"version\":1", "\"version\":0", TL_ERROR_CORRUPT, "version");
  assert_replaced_fails (text, "\"version\":1", "\"version\":", TL_ERROR_CORRUPT, "version");
  assert_replaced_fails (text, device_id, OTHER_DEVICE, TL_ERROR_CORRUPT, "certificate");
  assert_replaced_fails (text, device_id, "01jd800000000000000000000a", TL_ERROR_CORRUPT, "device_id");
  assert_replaced_fails (text, device_id, "", TL_ERROR_CORRUPT, "device_id");
  assert_replaced_fails (text, "ed25519", "rsa", TL_ERROR_CORRUPT, "identity key");
  assert_replaced_fails (text, "\"ed25519\",\"key\":\"", "\"ed25519\",\"key\":\"A", TL_ERROR_CORRUPT, "identity key");
  assert_replaced_fails (text, "ecdsa-p256", "ecdsa-p384", TL_ERROR_CORRUPT, "tls key");
  assert_replaced_fails (text, "\"ecdsa-p256\",\"key\":\"", "\"ecdsa-p256\",\"key\":\"AAAA", TL_ERROR_CORRUPT,
                         "tls key");
  assert_replaced_fails (text, "\"certificate\":\"", "\"certificate\":\"AAAA", TL_ERROR_CORRUPT, "certificate");
  assert_replaced_fails (text, "\"bundle\":[\"", "\"bundle\":[\"AAAA", TL_ERROR_CORRUPT, "bundle");
  assert_replaced_fails (text, "]}", "]}\n", TL_ERROR_CORRUPT, "other bytes");
  assert_parse_fails ("", 0, TL_ERROR_CORRUPT, "version");
  assert_parse_fails ("{}", 2, TL_ERROR_CORRUPT, "version");
  for (gsize length = 0; length < strlen (text); length++)
    {
      /* The end of the number may read as another version; nothing may be accepted. */
      g_autoptr (TlSecret) value = tl_secret_new_copy (text, length);
      g_autoptr (GError) error = NULL;
      g_assert_null (tl_device_identity_parse (value, &error));
      assert_error (error, TL_ERROR_CORRUPT);
    }
}

/* Parts of two good identities do not make one. */
static void
test_mixed (Fixture *fixture, gconstpointer data)
{
  (void)data;
  Fixture other = { 0 };
  set_up (&other, NULL);
  tl_device_identity_free (other.identity);
  other.identity = make_identity (1);
  pair (fixture);
  pair (&other); /* same device id, other TLS key and CA */
  g_autofree char *text = serialise_to_string (fixture->identity);
  g_autofree char *other_text = serialise_to_string (other.identity);
  const char *at = strstr (text, ",\"bundle\"");
  const char *other_at = strstr (other_text, ",\"bundle\"");
  g_autofree char *head = g_strndup (text, (gsize)(at - text));
  g_autofree char *foreign_bundle = g_strconcat (head, other_at, NULL);
  assert_parse_fails (foreign_bundle, strlen (foreign_bundle), TL_ERROR_CORRUPT, "certificate");

  at = strstr (text, "},\"certificate\"");
  other_at = strstr (other_text, "},\"certificate\"");
  g_autofree char *keys = g_strndup (text, (gsize)(at - text));
  g_autofree char *foreign_leaf = g_strconcat (keys, other_at, NULL);
  assert_parse_fails (foreign_leaf, strlen (foreign_leaf), TL_ERROR_CORRUPT, "another TLS key");
  g_autofree char *no_leaf = g_strconcat (keys, "},\"certificate\":null", strstr (text, ",\"bundle\""), NULL);
  assert_parse_fails (no_leaf, strlen (no_leaf), TL_ERROR_CORRUPT, "come together");
  g_autofree char *no_bundle = g_strconcat (head, ",\"bundle\":[]}", NULL);
  assert_parse_fails (no_bundle, strlen (no_bundle), TL_ERROR_CORRUPT, "come together");
  tear_down (&other, NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, function) g_test_add ("/device-identity/" name, Fixture, NULL, set_up, function, tear_down)
  ADD ("new", test_new);
  ADD ("sign", test_sign);
  ADD ("request-has-no-private-key", test_request_has_no_private_key);
  ADD ("pairing", test_pairing);
  ADD ("leaf-refused", test_leaf_refused);
  ADD ("renewal", test_renewal);
  ADD ("round-trip", test_round_trip);
  ADD ("is-json", test_is_json);
  ADD ("corrupt", test_corrupt);
  ADD ("mixed", test_mixed);
  return g_test_run ();
}
