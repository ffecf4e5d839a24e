/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gstdio.h>
#include <unistd.h>

#include "identity-fixture.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (X509_REQ, X509_REQ_free)

static char *
to_text (X509 *certificate)
{
  BIO *bio = BIO_new (BIO_s_mem ());
  char *data;

  g_assert_cmpint (X509_print (bio, certificate), ==, 1);
  long length = BIO_get_mem_data (bio, &data);
  char *text = g_strndup (data, (gsize)length);
  BIO_free (bio);
  return text;
}

static void
assert_extensions (X509 *certificate, const int *nids, gsize n)
{
  g_assert_cmpint (X509_get_ext_count (certificate), ==, (int)n);
  for (gsize i = 0; i < n; i++)
    g_assert_cmpint (X509_get_ext_by_NID (certificate, nids[i], -1), >=, 0);
}

static void
assert_critical (X509 *certificate, int nid, gboolean critical)
{
  int at = X509_get_ext_by_NID (certificate, nid, -1);

  g_assert_cmpint (X509_EXTENSION_get_critical (X509_get_ext (certificate, at)), ==, critical ? 1 : 0);
}

static void
assert_common_name (X509 *certificate, const char *expected)
{
  g_autofree char *name = tl_certificate_common_name (certificate);

  g_assert_cmpstr (name, ==, expected);
}

static void
test_ca_profile (void)
{
  static const int extensions[] = { NID_basic_constraints, NID_key_usage, NID_subject_key_identifier };
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 3);
  X509 *certificate = tl_certificate_authority_certificate (ca);

  assert_common_name (certificate, "Twinlatch CA " GATEWAY " G3");
  g_assert_cmpint (X509_get_version (certificate), ==, X509_VERSION_3);
  assert_extensions (certificate, extensions, G_N_ELEMENTS (extensions));
  g_assert_cmpint (X509_check_ca (certificate), ==, 1);
  g_assert_cmpint (X509_get_pathlen (certificate), ==, 1);
  assert_critical (certificate, NID_basic_constraints, TRUE);
  g_assert_cmpuint (X509_get_key_usage (certificate), ==, X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN);
  assert_critical (certificate, NID_key_usage, TRUE);
  g_assert_cmpint (X509_self_signed (certificate, 1), ==, 1);
  g_assert_cmpint (X509_get_signature_nid (certificate), ==, NID_ecdsa_with_SHA256);
  g_assert_true (tl_key_is_p256 (X509_get0_pubkey (certificate)));
  /* Ten years, counted from now, whatever the back-dating. */
  g_assert_cmpint (tl_certificate_not_before_ms (certificate), ==, (NOW - TL_LEAF_BACKDATE_MS) / 1000 * 1000);
  g_assert_cmpint (tl_certificate_not_after_ms (certificate), ==, (NOW + TL_CA_LIFETIME_MS) / 1000 * 1000);
  g_assert_cmpstr (tl_certificate_authority_gateway_id (ca), ==, GATEWAY);
  g_assert_cmpuint (tl_certificate_authority_generation (ca), ==, 3);
}

static void
assert_new_refused (const char *gateway_id, guint generation, gint64 now_ms)
{
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_certificate_authority_new (gateway_id, generation, now_ms, random, &error));
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
}

static void
test_new_refused (void)
{
  assert_new_refused ("01jd8000000000000000000000", 1, NOW);
  assert_new_refused (GATEWAY "0", 1, NOW);
  assert_new_refused (GATEWAY, 0, NOW);
  assert_new_refused (GATEWAY, 1, -1);
}

static void
test_device_profile (void)
{
  static const int extensions[] = { NID_basic_constraints,        NID_key_usage,        NID_subject_key_identifier,
                                    NID_authority_key_identifier, NID_subject_alt_name, NID_ext_key_usage };
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) leaf = make_device_leaf (ca, key, DEVICE, NOW, TL_DEVICE_LEAF_DEFAULT_MS);
  X509 *issuer = tl_certificate_authority_certificate (ca);

  assert_common_name (leaf, DEVICE);
  assert_extensions (leaf, extensions, G_N_ELEMENTS (extensions));
  g_assert_cmpint (X509_check_ca (leaf), ==, 0);
  assert_critical (leaf, NID_basic_constraints, TRUE);
  g_assert_cmpuint (X509_get_key_usage (leaf), ==, X509v3_KU_DIGITAL_SIGNATURE);
  assert_critical (leaf, NID_key_usage, TRUE);
  g_assert_cmpuint (X509_get_extended_key_usage (leaf), ==, XKU_SSL_CLIENT);
  g_assert_cmpint (ASN1_OCTET_STRING_cmp (X509_get0_authority_key_id (leaf), X509_get0_subject_key_id (issuer)), ==, 0);
  g_assert_cmpint (ASN1_OCTET_STRING_cmp (X509_get0_subject_key_id (leaf), X509_get0_subject_key_id (issuer)), !=, 0);
  g_assert_cmpint (X509_verify (leaf, X509_get0_pubkey (issuer)), ==, 1);
  g_assert_cmpint (X509_get_signature_nid (leaf), ==, NID_ecdsa_with_SHA256);
  g_assert_cmpint (EVP_PKEY_eq (X509_get0_pubkey (leaf), key), ==, 1);
  g_assert_cmpint (tl_certificate_not_before_ms (leaf), ==, (NOW - 10 * 60 * 1000) / 1000 * 1000);
  g_assert_cmpint (tl_certificate_not_after_ms (leaf), ==, (NOW + DAY) / 1000 * 1000);
  g_autofree char *text = to_text (leaf);
  g_assert_nonnull (strstr (text, "URI:twinlatch:device:" GATEWAY ":" DEVICE "\n"));
}

static void
test_device_lifetime (void)
{
  static const struct
  {
    gint64 asked;
    gint64 given;
  } cases[] = {
    { -1, HOUR },
    { 0, HOUR },
    { HOUR - 1, HOUR },
    { HOUR, HOUR },
    { 90 * DAY, 90 * DAY },
    { 90 * DAY + 1, 90 * DAY },
    { G_MAXINT64, 90 * DAY },
  };
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (X509) leaf = make_device_leaf (ca, key, DEVICE, NOW, cases[i].asked);
      g_assert_cmpint (tl_certificate_not_after_ms (leaf), ==, (NOW + cases[i].given) / 1000 * 1000);
    }
}

/* Near its end a CA issues no leaf that outlives it, and none afterwards or before its start. */
static void
test_ca_end (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  gint64 end = tl_certificate_not_after_ms (tl_certificate_authority_certificate (ca));
  gint64 start = tl_certificate_not_before_ms (tl_certificate_authority_certificate (ca));
  g_autoptr (X509) leaf = make_device_leaf (ca, key, DEVICE, end - HOUR, DAY);
  g_autoptr (X509) last = make_device_leaf (ca, key, DEVICE, end - 1, DAY);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (tl_certificate_not_after_ms (leaf), ==, end);
  g_assert_cmpint (tl_certificate_not_after_ms (last), ==, end);
  g_assert_null (tl_certificate_authority_issue_device (ca, key, DEVICE, end, DAY, random, &error));
  assert_error (error, TL_ERROR_EXPIRED);
  g_clear_error (&error);
  g_assert_null (tl_certificate_authority_issue_server (ca, key, NULL, start - 1, DAY, random, &error));
  assert_error (error, TL_ERROR_FAILED_PRECONDITION);
}

static void
test_serials (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (TlRandom) random = tl_random_new_test (5);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  int most_bits = 0;

  for (guint i = 0; i < 200; i++)
    {
      g_autoptr (X509) leaf = tl_certificate_authority_issue_device (ca, key, DEVICE, NOW, DAY, random, NULL);
      BIGNUM *number = ASN1_INTEGER_to_BN (X509_get0_serialNumber (leaf), NULL);
      g_assert_false (BN_is_negative (number) || BN_is_zero (number));
      g_assert_cmpint (BN_num_bits (number), <=, 128);
      most_bits = MAX (most_bits, BN_num_bits (number));
      char *hex = BN_bn2hex (number);
      g_assert_true (g_hash_table_add (seen, g_strdup (hex)));
      OPENSSL_free (hex);
      BN_free (number);
    }
  g_assert_cmpint (most_bits, ==, 128);
  /* The number is the random source's and nothing else's: the same seed gives it again. */
  g_autoptr (TlRandom) replay = tl_random_new_test (5);
  g_autoptr (X509) again = tl_certificate_authority_issue_device (ca, key, DEVICE, NOW, DAY, replay, NULL);
  BIGNUM *number = ASN1_INTEGER_to_BN (X509_get0_serialNumber (again), NULL);
  char *hex = BN_bn2hex (number);
  g_assert_true (g_hash_table_contains (seen, hex));
  OPENSSL_free (hex);
  BN_free (number);
}

static void
test_server_profile (void)
{
  static const char *const names[]
      = { "Gateway.Example.org", "localhost", "192.0.2.7", "2001:db8::1", "::1", "localhost", NULL };
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) leaf = make_server_leaf (ca, key, names);
  g_autofree char *text = to_text (leaf);
  g_autofree char *id = tl_certificate_get_gateway_id (leaf);

  g_assert_cmpstr (id, ==, GATEWAY);
  g_assert_nonnull (strstr (text, "DNS:01jd8000000000000000000000.gateway.twinlatch.internal, DNS:gateway.example.org, "
                                  "DNS:localhost, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:1, "
                                  "IP Address:0:0:0:0:0:0:0:1\n"));
  g_assert_cmpuint (X509_get_extended_key_usage (leaf), ==, XKU_SSL_SERVER);
  g_assert_cmpuint (X509_get_key_usage (leaf), ==, X509v3_KU_DIGITAL_SIGNATURE);
  g_assert_cmpint (X509_check_ca (leaf), ==, 0);
  g_assert_cmpint (tl_certificate_not_before_ms (leaf), ==, (NOW - TL_LEAF_BACKDATE_MS) / 1000 * 1000);
  g_assert_cmpint (tl_certificate_not_after_ms (leaf), ==, (NOW + 7 * DAY) / 1000 * 1000);
  /* OpenSSL's own matching, which gRPC uses for names. */
  g_assert_cmpint (X509_check_ip_asc (leaf, "192.0.2.7", 0), ==, 1);
  g_assert_cmpint (X509_check_ip_asc (leaf, "2001:db8::1", 0), ==, 1);
  g_assert_cmpint (X509_check_ip_asc (leaf, "192.0.2.8", 0), ==, 0);
  g_assert_cmpint (X509_check_host (leaf, "gateway.example.org", 0, 0, NULL), ==, 1);
}

static void
test_server_names_refused (void)
{
  static const char *const bad[] = {
    "",
    ".",
    "a..b",
    "example.org.",
    ".example.org",
    "*.example.org",
    "-a.org",
    "a-.org",
    "under_score.org",
    "a b",
    "1.2.3",
    "256.1.1.1",
    "1.2.3.4.5",
    "[::1]",
    "fe80::1%eth0",
    "::1::",
    "gateway:7444",
    "caf\xc3\xa9.org",
    "a\nb.org",
    "https://a.org",
    "01jd8000000000000000000001.gateway.twinlatch.internal",
    "X.Gateway.Twinlatch.Internal",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.org",
  };
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (TlRandom) random = tl_random_new_test (1);

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      const char *const names[] = { "good.example.org", bad[i], NULL };
      g_autoptr (GError) error = NULL;
      g_autofree char *shown = g_strescape (bad[i], NULL);
      g_test_message ("\"%s\"", shown);
      g_assert_null (tl_certificate_authority_issue_server (ca, key, names, NOW, DAY, random, &error));
      assert_error (error, TL_ERROR_INVALID_ARGUMENT);
      g_assert_nonnull (strstr (error->message, shown));
    }
}

static void
test_server_too_many_names (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 200; i++)
    g_ptr_array_add (names, g_strdup_printf ("a-rather-long-name-%u.example.org", i));
  g_ptr_array_add (names, NULL);
  g_assert_null (
      tl_certificate_authority_issue_server (ca, key, (const char *const *)names->pdata, NOW, DAY, random, &error));
  assert_error (error, TL_ERROR_RESOURCE_EXHAUSTED);
}

static void
test_issue_refused (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (EVP_PKEY) p384 = EVP_EC_gen ("P-384");
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_certificate_authority_issue_device (ca, key, "not-an-id", NOW, DAY, random, &error));
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (tl_certificate_authority_issue_device (ca, p384, DEVICE, NOW, DAY, random, &error));
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (tl_certificate_authority_issue_server (ca, p384, NULL, NOW, DAY, random, &error));
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (tl_certificate_authority_issue_server (ca, key, NULL, NOW, 0, random, &error));
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
}

/* A request that asks for everything a device must not have. */
static GBytes *
make_greedy_request (EVP_PKEY *key)
{
  static const struct
  {
    int nid;
    const char *value;
  } wishes[] = { { NID_basic_constraints, "critical,CA:TRUE" },
                 { NID_key_usage, "critical,keyCertSign,cRLSign" },
                 { NID_ext_key_usage, "serverAuth,codeSigning" },
                 { NID_subject_alt_name, "URI:twinlatch:device:" GATEWAY ":" OTHER_DEVICE ",DNS:evil.example" } };
  g_autoptr (X509_REQ) request = X509_REQ_new ();
  STACK_OF (X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null ();
  unsigned char *der = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (wishes); i++)
    {
      X509_EXTENSION *extension = X509V3_EXT_conf_nid (NULL, NULL, wishes[i].nid, wishes[i].value);
      g_assert_nonnull (extension);
      sk_X509_EXTENSION_push (extensions, extension);
    }
  X509_NAME *subject = X509_REQ_get_subject_name (request);
  X509_NAME_add_entry_by_NID (subject, NID_commonName, MBSTRING_ASC, (const guint8 *)OTHER_DEVICE, -1, -1, 0);
  X509_NAME_add_entry_by_NID (subject, NID_organizationName, MBSTRING_ASC, (const guint8 *)"Evil", -1, -1, 0);
  X509_REQ_add_extensions (request, extensions);
  X509_REQ_set_pubkey (request, key);
  g_assert_cmpint (X509_REQ_sign (request, key, EVP_sha256 ()), >, 0);
  sk_X509_EXTENSION_pop_free (extensions, X509_EXTENSION_free);
  int length = i2d_X509_REQ (request, &der);
  GBytes *bytes = g_bytes_new (der, (gsize)length);
  OPENSSL_free (der);
  return bytes;
}

static void
test_only_key_from_request (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlTrustBundle) bundle = make_bundle (ca, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (GBytes) request = make_greedy_request (key);
  g_autoptr (GError) error = NULL;
  g_autoptr (EVP_PKEY) public_key
      = tl_csr_verify (g_bytes_get_data (request, NULL), g_bytes_get_size (request), &error);
  g_assert_no_error (error);
  g_autoptr (X509) leaf = make_device_leaf (ca, public_key, DEVICE, NOW, DAY);
  g_autofree char *text = to_text (leaf);

  g_assert_cmpint (EVP_PKEY_eq (X509_get0_pubkey (leaf), key), ==, 1);
  assert_common_name (leaf, DEVICE);
  g_assert_cmpint (X509_check_ca (leaf), ==, 0);
  g_assert_cmpuint (X509_get_key_usage (leaf), ==, X509v3_KU_DIGITAL_SIGNATURE);
  g_assert_cmpuint (X509_get_extended_key_usage (leaf), ==, XKU_SSL_CLIENT);
  g_assert_null (strstr (text, OTHER_DEVICE));
  g_assert_null (strstr (text, "evil"));
  g_assert_null (strstr (text, "Evil"));
  g_assert_true (tl_trust_bundle_verify (bundle, leaf, TL_LEAF_DEVICE, NOW, NULL, NULL));
}

static void
test_load (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 2);
  g_autoptr (TlCertificateAuthority) other = make_ca (GATEWAY, 2);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) key = tl_certificate_authority_export_key (ca, &error);
  g_assert_no_error (error);
  g_autoptr (TlSecret) other_key = tl_certificate_authority_export_key (other, NULL);
  g_autoptr (TlSecret) no_key = tl_secret_new_copy ("nonsense", 8);
  gsize length;
  const guint8 *der = g_bytes_get_data (tl_certificate_authority_der (ca), &length);
  g_autoptr (TlCertificateAuthority) loaded = tl_certificate_authority_load (der, length, key, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (tl_certificate_authority_gateway_id (loaded), ==, GATEWAY);
  g_assert_cmpuint (tl_certificate_authority_generation (loaded), ==, 2);
  g_autoptr (EVP_PKEY) leaf_key = make_key ();
  g_autoptr (X509) leaf = make_device_leaf (loaded, leaf_key, DEVICE, NOW, DAY);
  g_autoptr (TlTrustBundle) bundle = make_bundle (ca, NULL);
  g_assert_true (tl_trust_bundle_verify (bundle, leaf, TL_LEAF_DEVICE, NOW, NULL, NULL));

  const TlSecret *wrong_keys[] = { other_key, no_key };
  for (gsize i = 0; i < G_N_ELEMENTS (wrong_keys); i++)
    {
      g_assert_null (tl_certificate_authority_load (der, length, wrong_keys[i], &error));
      assert_error (error, TL_ERROR_CORRUPT);
      g_clear_error (&error);
    }
  g_assert_null (tl_certificate_authority_load (der, length - 1, key, &error));
  assert_error (error, TL_ERROR_CORRUPT);
  g_clear_error (&error);
  /* The next generation as signed by this one (PROTOCOL 4.3) is no anchor, even with its own key. */
  LeafSpec handover_spec
      = { "Twinlatch CA " GATEWAY " G3", "critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign", NULL, NULL };
  g_autoptr (EVP_PKEY) next_key = make_key ();
  g_autoptr (X509) handover = make_custom_certificate (ca, next_key, &handover_spec);
  g_autoptr (GBytes) handover_der = tl_certificate_to_der (handover);
  g_autoptr (TlSecret) next_secret = tl_p256_to_der (next_key, NULL);
  g_assert_null (tl_certificate_authority_load (g_bytes_get_data (handover_der, NULL), g_bytes_get_size (handover_der),
                                                next_secret, &error));
  assert_error (error, TL_ERROR_CORRUPT);
  g_clear_error (&error);
  /* A leaf with its own key is no CA. */
  g_autoptr (GBytes) leaf_der = tl_certificate_to_der (leaf);
  g_autoptr (TlSecret) leaf_secret = tl_p256_to_der (leaf_key, NULL);
  g_assert_null (tl_certificate_authority_load (g_bytes_get_data (leaf_der, NULL), g_bytes_get_size (leaf_der),
                                                leaf_secret, &error));
  assert_error (error, TL_ERROR_CORRUPT);
}

static char *
write_pem (const char *directory, const char *name, X509 *certificate)
{
  g_autofree char *pem = tl_certificate_to_pem (certificate);
  char *path = g_build_filename (directory, name, NULL);

  g_assert_true (g_file_set_contents (path, pem, -1, NULL));
  return path;
}

static int
run_openssl_verify (const char *ca, const char *leaf, const char *purpose, gint64 at_ms)
{
  g_autofree char *at = g_strdup_printf ("%" G_GINT64_FORMAT, at_ms / 1000);
  const char *argv[]
      = { "openssl", "verify", "-x509_strict", "-purpose", purpose, "-attime", at, "-CAfile", ca, leaf, NULL };
  g_autofree char *output = NULL, *errors = NULL;
  g_autoptr (GError) error = NULL;
  int status;

  g_spawn_sync (NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, &errors, &status, &error);
  g_assert_no_error (error);
  g_test_message ("%s %s: %s%s", leaf, purpose, output, errors);
  return status;
}

/* What we issue is good by somebody else's rules, not only by ours. */
static void
test_openssl_program (void)
{
  g_autofree char *program = g_find_program_in_path ("openssl");
  if (program == NULL)
    {
      g_test_skip ("openssl(1) is not installed");
      return;
    }
  static const char *const names[] = { "gateway.example.org", "192.0.2.7", "2001:db8::1", NULL };
  g_autofree char *directory = g_dir_make_tmp ("tl-identity-XXXXXX", NULL);
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlCertificateAuthority) foreign = make_ca (GATEWAY, 1);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) device = make_device_leaf (ca, key, DEVICE, NOW, DAY);
  g_autoptr (X509) server = make_server_leaf (ca, key, names);
  g_autofree char *ca_path = write_pem (directory, "ca.pem", tl_certificate_authority_certificate (ca));
  g_autofree char *foreign_path = write_pem (directory, "foreign.pem", tl_certificate_authority_certificate (foreign));
  g_autofree char *device_path = write_pem (directory, "device.pem", device);
  g_autofree char *server_path = write_pem (directory, "server.pem", server);

  g_assert_cmpint (run_openssl_verify (ca_path, device_path, "sslclient", NOW), ==, 0);
  g_assert_cmpint (run_openssl_verify (ca_path, server_path, "sslserver", NOW), ==, 0);
  g_assert_cmpint (run_openssl_verify (ca_path, device_path, "sslserver", NOW), !=, 0);
  g_assert_cmpint (run_openssl_verify (ca_path, server_path, "sslclient", NOW), !=, 0);
  g_assert_cmpint (run_openssl_verify (ca_path, device_path, "sslclient", NOW + 2 * DAY), !=, 0);
  g_assert_cmpint (run_openssl_verify (foreign_path, device_path, "sslclient", NOW), !=, 0);
  const char *paths[] = { ca_path, foreign_path, device_path, server_path };
  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    g_unlink (paths[i]);
  g_rmdir (directory);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/certificate-authority/ca-profile", test_ca_profile);
  g_test_add_func ("/certificate-authority/new-refused", test_new_refused);
  g_test_add_func ("/certificate-authority/device-profile", test_device_profile);
  g_test_add_func ("/certificate-authority/device-lifetime", test_device_lifetime);
  g_test_add_func ("/certificate-authority/ca-end", test_ca_end);
  g_test_add_func ("/certificate-authority/serials", test_serials);
  g_test_add_func ("/certificate-authority/server-profile", test_server_profile);
  g_test_add_func ("/certificate-authority/server-names-refused", test_server_names_refused);
  g_test_add_func ("/certificate-authority/server-too-many-names", test_server_too_many_names);
  g_test_add_func ("/certificate-authority/issue-refused", test_issue_refused);
  g_test_add_func ("/certificate-authority/only-key-from-request", test_only_key_from_request);
  g_test_add_func ("/certificate-authority/load", test_load);
  g_test_add_func ("/certificate-authority/openssl-program", test_openssl_program);
  return g_test_run ();
}
