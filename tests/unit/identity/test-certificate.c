/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

#include "crypto/tl-hash.h"
#include "identity-fixture.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (X509_REQ, X509_REQ_free)

static void
assert_der_refused (const void *data, gsize length)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_certificate_from_der (data, length, &error));
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
}

static void
test_der (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  gsize length;
  const guint8 *der = g_bytes_get_data (tl_certificate_authority_der (ca), &length);
  g_autoptr (GError) error = NULL;
  g_autoptr (X509) certificate = tl_certificate_from_der (der, length, &error);
  g_assert_no_error (error);
  g_autoptr (GBytes) again = tl_certificate_to_der (certificate);
  g_assert_true (g_bytes_equal (again, tl_certificate_authority_der (ca)));
  g_autofree char *fingerprint = tl_certificate_fingerprint (certificate);
  g_autofree char *expected = tl_fingerprint (der, length);
  g_assert_cmpstr (fingerprint, ==, expected);

  g_autofree guint8 *longer = g_malloc0 (TL_CERTIFICATE_MAX_DER + 1);
  memcpy (longer, der, length);
  assert_der_refused (longer, length + 1);
  assert_der_refused (longer, TL_CERTIFICATE_MAX_DER + 1);
  assert_der_refused (der, length - 1);
  assert_der_refused (der, 0);
  assert_der_refused ("not a certificate", 17);
}

/* The same certificate in BER with an indefinite length would have a second fingerprint. */
static void
test_der_canonical (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  gsize length;
  const guint8 *der = g_bytes_get_data (tl_certificate_authority_der (ca), &length);
  g_autofree guint8 *ber = g_malloc0 (length + 2);

  g_assert_cmphex (der[0], ==, 0x30);
  g_assert_cmphex (der[1], ==, 0x82);
  memcpy (ber, der, length);
  ber[1] = 0x80;
  memmove (ber + 2, ber + 4, length - 4); /* end-of-contents: the two zero bytes behind */
  memset (ber + length - 2, 0, 4);
  const guint8 *end = ber;
  g_autoptr (X509) lenient = d2i_X509 (NULL, &end, (long)length);
  g_assert_nonnull (lenient);
  assert_der_refused (ber, length);
}

/* Well-formed and signed, only too large: the limit itself refuses it. */
static void
test_der_limit (void)
{
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  TlCertificateParts parts = { DEVICE, NULL, key, NOW, NOW + DAY };
  g_autofree char *padding = g_strnfill (TL_CERTIFICATE_MAX_DER, 'x');

  for (int excess = 0; excess <= 1; excess++)
    {
      g_autoptr (X509) large = NULL;
      g_autoptr (GBytes) der = NULL;
      gsize filling = TL_CERTIFICATE_MAX_DER - 600;
      /* The signature's length varies by a few bytes, so aim until it fits exactly. */
      while (der == NULL || g_bytes_get_size (der) != (gsize)(TL_CERTIFICATE_MAX_DER + excess))
        {
          if (der != NULL)
            filling += (gsize)(TL_CERTIFICATE_MAX_DER + excess) - g_bytes_get_size (der);
          g_clear_pointer (&large, X509_free);
          g_clear_pointer (&der, g_bytes_unref);
          large = tl_certificate_build (&parts, random, NULL);
          g_autoptr (GENERAL_NAMES) names = GENERAL_NAMES_new ();
          g_autofree char *name = g_strndup (padding, filling);
          g_assert_true (tl_general_names_add_text (names, GEN_URI, name, NULL));
          g_assert_true (tl_certificate_build_leaf (large, NID_client_auth, names, NULL));
          g_assert_cmpint (X509_sign (large, key, EVP_sha256 ()), >, 0);
          der = tl_certificate_to_der (large);
        }
      g_autoptr (GError) error = NULL;
      g_autoptr (X509) parsed = tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), &error);
      g_assert_cmpint (parsed != NULL, ==, excess == 0);
      if (excess == 1)
        assert_error (error, TL_ERROR_INVALID_ARGUMENT);
    }
}

/* The same extension twice: which one counts would be the reader's choice (RFC 5280 section 4.2). */
static void
test_der_extension_twice (void)
{
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  TlCertificateParts parts = { DEVICE, NULL, key, NOW, NOW + DAY };

  for (int times = 1; times <= 2; times++)
    {
      g_autoptr (X509) certificate = tl_certificate_build (&parts, random, NULL);
      for (int i = 0; i < times; i++)
        add_extension_text (certificate, NID_basic_constraints, "critical,CA:FALSE");
      g_assert_cmpint (X509_sign (certificate, key, EVP_sha256 ()), >, 0);
      g_autoptr (GBytes) der = tl_certificate_to_der (certificate);
      g_autoptr (X509) parsed = tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), NULL);
      g_assert_cmpint (parsed != NULL, ==, times == 1);
    }
}

static void
test_times (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  X509 *certificate = tl_certificate_authority_certificate (ca);

  g_assert_cmpint (tl_certificate_not_before_ms (certificate), ==, (NOW - TL_LEAF_BACKDATE_MS) / 1000 * 1000);
  g_assert_cmpint (tl_certificate_not_after_ms (certificate), ==, (NOW + TL_CA_LIFETIME_MS) / 1000 * 1000);
  /* Beyond 2049 the encoding changes from UTCTime to GeneralizedTime. */
  gint64 late = G_GINT64_CONSTANT (2600000000000);
  g_autoptr (TlCertificateAuthority) late_ca = make_ca_at (GATEWAY, 1, late, 1);
  certificate = tl_certificate_authority_certificate (late_ca);
  g_assert_cmpint (tl_certificate_not_before_ms (certificate), ==, late - TL_LEAF_BACKDATE_MS);
}

static void
test_pem (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlCertificateAuthority) other = make_ca (GATEWAY, 2);
  g_autofree char *pem = tl_certificate_to_pem (tl_certificate_authority_certificate (ca));
  g_autofree char *other_pem = tl_certificate_to_pem (tl_certificate_authority_certificate (other));
  g_autofree char *both = g_strconcat ("some text\n", pem, other_pem, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (X509) first = tl_certificate_from_pem (both, -1, &error);
  g_assert_no_error (error);
  g_assert_cmpint (X509_cmp (first, tl_certificate_authority_certificate (ca)), ==, 0);
  g_autoptr (GBytes) der = tl_certificate_pem_to_der (both, strlen (both));
  g_assert_true (g_bytes_equal (der, tl_certificate_authority_der (ca)));

  /* The length is a limit, not the NUL. */
  g_assert_null (tl_certificate_pem_to_der (pem, strlen (pem) - 2));
  g_autoptr (X509) cut = tl_certificate_from_pem (pem, 100, &error);
  g_assert_null (cut);
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
}

static char *
pem_of (const char *body)
{
  return g_strconcat ("-----BEGIN CERTIFICATE-----\n", body, "\n-----END CERTIFICATE-----\n", NULL);
}

static void
test_pem_malformed (void)
{
  static const char *const bodies[] = { "", "AAA", "AA*A", "AA=A", "A===", "AAAA=", "AAB=", "====" };

  for (gsize i = 0; i < G_N_ELEMENTS (bodies); i++)
    {
      g_autofree char *pem = pem_of (bodies[i]);
      g_assert_null (tl_certificate_pem_to_der (pem, strlen (pem)));
    }
  g_assert_null (tl_certificate_pem_to_der ("", 0));
  g_assert_null (tl_certificate_pem_to_der ("-----BEGIN CERTIFICATE-----", 27));
  g_autofree char *good = pem_of ("AA\r\nEC\nAw==");
  g_autoptr (GBytes) der = tl_certificate_pem_to_der (good, strlen (good));
  g_assert_cmpmem (g_bytes_get_data (der, NULL), g_bytes_get_size (der), "\0\1\2\3", 4);
}

static void
test_pem_limit (void)
{
  g_autofree guint8 *data = g_malloc0 (TL_CERTIFICATE_MAX_DER + 1);
  g_autofree char *fits = g_base64_encode (data, TL_CERTIFICATE_MAX_DER);
  g_autofree char *too_long = g_base64_encode (data, TL_CERTIFICATE_MAX_DER + 1);
  g_autofree char *fits_pem = pem_of (fits);
  g_autofree char *too_long_pem = pem_of (too_long);
  g_autoptr (GBytes) der = tl_certificate_pem_to_der (fits_pem, strlen (fits_pem));

  g_assert_cmpuint (g_bytes_get_size (der), ==, TL_CERTIFICATE_MAX_DER);
  g_assert_null (tl_certificate_pem_to_der (too_long_pem, strlen (too_long_pem)));
}

static void
test_device_name (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) leaf = make_device_leaf (ca, key, DEVICE, NOW, DAY);
  g_autofree char *gateway_id = NULL;
  g_autofree char *device_id = NULL;

  g_assert_true (tl_certificate_get_device (leaf, &gateway_id, &device_id, NULL));
  g_assert_cmpstr (gateway_id, ==, GATEWAY);
  g_assert_cmpstr (device_id, ==, DEVICE);
  g_assert_true (tl_certificate_get_device (leaf, NULL, NULL, NULL));
  g_assert_false (tl_certificate_get_ca (leaf, NULL, NULL));
  g_assert_null (tl_certificate_get_gateway_id (leaf));
}

static void
test_device_name_refused (void)
{
  static const LeafSpec specs[] = {
    { DEVICE, NULL, NULL, NULL, NULL },
    { DEVICE, NULL, NULL, NULL, "DNS:example.org" },
    { DEVICE, NULL, NULL, NULL,
      "URI:twinlatch:device:" GATEWAY ":" DEVICE ",URI:twinlatch:device:" GATEWAY ":" DEVICE },
    { DEVICE, NULL, NULL, NULL, "URI:twinlatch:device:" GATEWAY ":" DEVICE ",DNS:example.org" },
    { DEVICE, NULL, NULL, NULL, "URI:twinlatch:device:" GATEWAY ":" DEVICE "X" },
    { DEVICE, NULL, NULL, NULL, "URI:twinlatch:device:" GATEWAY "-" DEVICE },
    { DEVICE, NULL, NULL, NULL, "URI:twinlatch:device:01jd8000000000000000000000:" DEVICE },
    { DEVICE, NULL, NULL, NULL, "URI:twinlatch:server:" GATEWAY ":" DEVICE },
    { OTHER_DEVICE, NULL, NULL, NULL, "URI:twinlatch:device:" GATEWAY ":" DEVICE },
  };
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();

  for (gsize i = 0; i < G_N_ELEMENTS (specs); i++)
    {
      g_autoptr (X509) leaf = make_custom_certificate (ca, key, &specs[i]);
      g_autoptr (GError) error = NULL;
      char *gateway_id = NULL, *device_id = NULL;
      g_test_message ("%s", specs[i].alternative_name);
      g_assert_false (tl_certificate_get_device (leaf, &gateway_id, &device_id, &error));
      assert_error (error, TL_ERROR_INVALID_ARGUMENT);
      g_assert_null (gateway_id);
      g_assert_null (device_id);
    }
}

static void
test_gateway_name (void)
{
  static const struct
  {
    const char *names;
    gboolean has;
    gboolean readable;
  } cases[] = {
    { "DNS:01jd8000000000000000000000.gateway.twinlatch.internal", TRUE, TRUE },
    { "DNS:example.org,DNS:01jd8000000000000000000000.gateway.twinlatch.internal", TRUE, TRUE },
    { "DNS:01JD8000000000000000000000.gateway.twinlatch.internal", FALSE, FALSE },
    { "DNS:*.gateway.twinlatch.internal", FALSE, FALSE },
    { "DNS:x.01jd8000000000000000000000.gateway.twinlatch.internal", FALSE, FALSE },
    { "URI:01jd8000000000000000000000.gateway.twinlatch.internal", FALSE, FALSE },
    { "DNS:example.org", FALSE, FALSE },
    { "DNS:01jd8000000000000000000000.gateway.twinlatch.internal,DNS:01jd8000000000000000000001.gateway.twinlatch."
      "internal",
      TRUE, FALSE },
  };
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autofree char *name = tl_gateway_name (GATEWAY);
  g_assert_cmpstr (name, ==, "01jd8000000000000000000000.gateway.twinlatch.internal");

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      LeafSpec spec = { "x", NULL, NULL, NULL, cases[i].names };
      g_autoptr (X509) leaf = make_custom_certificate (ca, key, &spec);
      g_autofree char *id = tl_certificate_get_gateway_id (leaf);
      g_test_message ("%s", cases[i].names);
      g_assert_cmpint (tl_certificate_has_gateway_name (leaf, GATEWAY), ==, cases[i].has);
      g_assert_cmpstr (id, ==, cases[i].readable ? GATEWAY : NULL);
      g_assert_false (tl_certificate_has_gateway_name (leaf, "*"));
    }
}

static void
test_ca_name (void)
{
  static const struct
  {
    const char *name;
    const char *constraints;
    guint generation;
  } cases[] = {
    { "Twinlatch CA " GATEWAY " G1", "critical,CA:TRUE,pathlen:1", 1 },
    { "Twinlatch CA " GATEWAY " G4294967295", "critical,CA:TRUE,pathlen:1", G_MAXUINT },
    { "Twinlatch CA " GATEWAY " G4294967296", "critical,CA:TRUE,pathlen:1", 0 },
    { "Twinlatch CA " GATEWAY " G0", "critical,CA:TRUE,pathlen:1", 0 },
    { "Twinlatch CA " GATEWAY " G01", "critical,CA:TRUE,pathlen:1", 0 },
    { "Twinlatch CA " GATEWAY " G+1", "critical,CA:TRUE,pathlen:1", 0 },
    { "Twinlatch CA " GATEWAY " G1 ", "critical,CA:TRUE,pathlen:1", 0 },
    { "Twinlatch CA " GATEWAY " G", "critical,CA:TRUE,pathlen:1", 0 },
    { "Twinlatch CA " GATEWAY " H1", "critical,CA:TRUE,pathlen:1", 0 },
    { "Twinlatch CA 01jd8000000000000000000000 G1", "critical,CA:TRUE,pathlen:1", 0 },
    { "Twinlatch CA", "critical,CA:TRUE,pathlen:1", 0 },
    { "twinlatch CA " GATEWAY " G1", "critical,CA:TRUE,pathlen:1", 0 },
    { "Twinlatch CA " GATEWAY " G1", "critical,CA:FALSE", 0 },
  };
  g_autoptr (EVP_PKEY) key = make_key ();

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      LeafSpec spec = { cases[i].name, cases[i].constraints, "critical,keyCertSign,cRLSign", NULL, NULL };
      g_autoptr (X509) certificate = make_custom_certificate (NULL, key, &spec);
      g_autofree char *id = NULL;
      guint generation = 0;
      g_test_message ("%s %s", cases[i].name, cases[i].constraints);
      g_assert_cmpint (tl_certificate_get_ca (certificate, &id, &generation), ==, cases[i].generation != 0);
      g_assert_cmpuint (generation, ==, cases[i].generation);
      g_assert_cmpstr (id, ==, cases[i].generation != 0 ? GATEWAY : NULL);
    }
}

static GBytes *
make_request (EVP_PKEY *key, EVP_PKEY *signer, const EVP_MD *digest)
{
  g_autoptr (X509_REQ) request = X509_REQ_new ();
  unsigned char *der = NULL;

  X509_REQ_set_version (request, X509_REQ_VERSION_1);
  X509_REQ_set_pubkey (request, key);
  g_assert_cmpint (X509_REQ_sign (request, signer, digest), >, 0);
  int length = i2d_X509_REQ (request, &der);
  g_assert_cmpint (length, >, 0);
  GBytes *bytes = g_bytes_new (der, (gsize)length);
  OPENSSL_free (der);
  return bytes;
}

static void
assert_request_refused (GBytes *request, const char *why)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_csr_verify (g_bytes_get_data (request, NULL), g_bytes_get_size (request), &error));
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, why));
}

static void
test_request (void)
{
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) request = tl_csr_new (key, DEVICE, &error);
  g_assert_no_error (error);
  gsize length;
  const guint8 *der = g_bytes_get_data (request, &length);
  g_autoptr (EVP_PKEY) found = tl_csr_verify (der, length, &error);
  g_assert_no_error (error);
  g_assert_cmpint (EVP_PKEY_eq (found, key), ==, 1);

  g_autofree guint8 *changed = g_malloc0 (TL_CSR_MAX_DER + 1);
  memcpy (changed, der, length);
  g_autoptr (GBytes) trailing = g_bytes_new (changed, length + 1);
  assert_request_refused (trailing, "followed by");
  g_autoptr (GBytes) huge = g_bytes_new (changed, TL_CSR_MAX_DER + 1);
  assert_request_refused (huge, "2049");
  g_autoptr (GBytes) empty = g_bytes_new (NULL, 0);
  assert_request_refused (empty, "0 bytes");
  g_autoptr (GBytes) cut = g_bytes_new (der, length - 1);
  assert_request_refused (cut, "PKCS#10");
  changed[length - 1] ^= 1;
  g_autoptr (GBytes) forged = g_bytes_new (changed, length);
  assert_request_refused (forged, "signature");
  /* Somebody else's public key, signed by one's own. */
  g_autoptr (EVP_PKEY) own = make_key ();
  g_autoptr (GBytes) stolen = make_request (key, own, EVP_sha256 ());
  assert_request_refused (stolen, "signature");
}

static EVP_PKEY *
make_explicit_p256 (void)
{
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name (NULL, "EC", NULL);
  EVP_PKEY *key = NULL;
  char group[] = "P-256", encoding[] = "explicit";
  OSSL_PARAM parameters[] = { OSSL_PARAM_utf8_string (OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                              OSSL_PARAM_utf8_string (OSSL_PKEY_PARAM_EC_ENCODING, encoding, 0), OSSL_PARAM_END };

  g_assert_cmpint (EVP_PKEY_keygen_init (context), ==, 1);
  g_assert_cmpint (EVP_PKEY_CTX_set_params (context, parameters), ==, 1);
  g_assert_cmpint (EVP_PKEY_generate (context, &key), ==, 1);
  EVP_PKEY_CTX_free (context);
  return key;
}

static void
test_request_keys (void)
{
  g_autoptr (EVP_PKEY) p384 = EVP_EC_gen ("P-384");
  g_autoptr (EVP_PKEY) rsa = EVP_RSA_gen (2048);
  g_autoptr (EVP_PKEY) ed25519 = EVP_PKEY_Q_keygen (NULL, NULL, "ED25519");
  g_autoptr (EVP_PKEY) p256 = make_key ();
  g_autoptr (EVP_PKEY) explicit_p256 = make_explicit_p256 ();
  g_autoptr (EVP_PKEY) compressed = make_key ();
  g_autoptr (GBytes) of_p384 = make_request (p384, p384, EVP_sha256 ());
  g_autoptr (GBytes) of_rsa = make_request (rsa, rsa, EVP_sha256 ());
  g_autoptr (GBytes) of_ed25519 = make_request (ed25519, ed25519, NULL);
  g_autoptr (GBytes) with_sha1 = make_request (p256, p256, EVP_sha1 ());
  g_autoptr (GBytes) of_explicit = make_request (explicit_p256, explicit_p256, EVP_sha256 ());

  EVP_PKEY_set_utf8_string_param (compressed, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed");
  g_autoptr (GBytes) of_compressed = make_request (compressed, compressed, EVP_sha256 ());
  assert_request_refused (of_p384, "P-256");
  assert_request_refused (of_rsa, "P-256");
  assert_request_refused (of_ed25519, "P-256");
  assert_request_refused (with_sha1, "SHA-2");
  assert_request_refused (of_explicit, "named curve");
  assert_request_refused (of_compressed, "uncompressed");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/certificate/der", test_der);
  g_test_add_func ("/certificate/der-canonical", test_der_canonical);
  g_test_add_func ("/certificate/der-limit", test_der_limit);
  g_test_add_func ("/certificate/der-extension-twice", test_der_extension_twice);
  g_test_add_func ("/certificate/times", test_times);
  g_test_add_func ("/certificate/pem", test_pem);
  g_test_add_func ("/certificate/pem-malformed", test_pem_malformed);
  g_test_add_func ("/certificate/pem-limit", test_pem_limit);
  g_test_add_func ("/certificate/device-name", test_device_name);
  g_test_add_func ("/certificate/device-name-refused", test_device_name_refused);
  g_test_add_func ("/certificate/gateway-name", test_gateway_name);
  g_test_add_func ("/certificate/ca-name", test_ca_name);
  g_test_add_func ("/certificate/request", test_request);
  g_test_add_func ("/certificate/request-keys", test_request_keys);
  return g_test_run ();
}
