/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-fixture.h"

#define DEVICE_URI  "URI:twinlatch:device:" GATEWAY ":" DEVICE
#define GATEWAY_DNS "DNS:01jd8000000000000000000000.gateway.twinlatch.internal"

static void
assert_refused (TlTrustBundle *bundle, X509 *leaf, TlLeafKind kind, gint64 now_ms, TlErrorCode code, const char *why)
{
  g_autoptr (GError) error = NULL;
  guint generation = 99;

  g_assert_false (tl_trust_bundle_verify (bundle, leaf, kind, now_ms, &generation, &error));
  assert_error (error, code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, why));
  g_assert_cmpuint (generation, ==, 99);
}

static void
assert_accepted (TlTrustBundle *bundle, X509 *leaf, TlLeafKind kind, gint64 now_ms, guint expected)
{
  g_autoptr (GError) error = NULL;
  guint generation = 99;
  gboolean good = tl_trust_bundle_verify (bundle, leaf, kind, now_ms, &generation, &error);

  g_assert_no_error (error);
  g_assert_true (good);
  g_assert_cmpuint (generation, ==, expected);
}

static void
test_accepts (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlTrustBundle) bundle = make_bundle (ca, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) device = make_device_leaf (ca, key, DEVICE, NOW, DAY);
  g_autoptr (X509) server = make_server_leaf (ca, key, NULL);

  assert_accepted (bundle, device, TL_LEAF_DEVICE, NOW, 1);
  assert_accepted (bundle, server, TL_LEAF_SERVER, NOW, 1);
  g_assert_true (tl_trust_bundle_verify (bundle, device, TL_LEAF_DEVICE, NOW, NULL, NULL));
}

static void
test_kinds (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlTrustBundle) bundle = make_bundle (ca, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) device = make_device_leaf (ca, key, DEVICE, NOW, DAY);
  g_autoptr (X509) server = make_server_leaf (ca, key, NULL);

  assert_refused (bundle, server, TL_LEAF_DEVICE, NOW, TL_ERROR_PERMISSION_DENIED, "client authentication");
  assert_refused (bundle, device, TL_LEAF_SERVER, NOW, TL_ERROR_PERMISSION_DENIED, "server authentication");
  assert_refused (bundle, tl_certificate_authority_certificate (ca), TL_LEAF_DEVICE, NOW, TL_ERROR_PERMISSION_DENIED,
                  "CA");
}

/* To the millisecond, and of one opinion with tl_admitted_set_lookup(). */
static void
test_validity (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca_at (GATEWAY, 1, NOW - 30 * DAY, 1);
  g_autoptr (TlTrustBundle) bundle = make_bundle (ca, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) leaf = make_device_leaf (ca, key, DEVICE, NOW, DAY);
  gint64 start = tl_certificate_not_before_ms (leaf), end = tl_certificate_not_after_ms (leaf);

  assert_accepted (bundle, leaf, TL_LEAF_DEVICE, start, 1);
  assert_refused (bundle, leaf, TL_LEAF_DEVICE, start - 1, TL_ERROR_EXPIRED, "not yet valid");
  assert_accepted (bundle, leaf, TL_LEAF_DEVICE, end - 1, 1);
  assert_refused (bundle, leaf, TL_LEAF_DEVICE, end, TL_ERROR_EXPIRED, "certificate expired at");
  assert_refused (bundle, leaf, TL_LEAF_DEVICE, 0, TL_ERROR_EXPIRED, "not yet valid");
  assert_refused (bundle, leaf, TL_LEAF_DEVICE, -1500, TL_ERROR_EXPIRED, "not yet valid");
}

static void
test_ca_validity (void)
{
  g_autoptr (TlCertificateAuthority) old = make_ca_at (GATEWAY, 1, NOW - TL_CA_LIFETIME_MS - DAY, 1);
  g_autoptr (TlTrustBundle) bundle = make_bundle (old, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();
  /* The CA would not issue it; its key can. */
  LeafSpec spec = { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth", DEVICE_URI };
  g_autoptr (X509) leaf = make_custom_certificate (old, key, &spec);
  assert_refused (bundle, leaf, TL_LEAF_DEVICE, NOW, TL_ERROR_EXPIRED, "CA certificate expired");

  g_autoptr (TlCertificateAuthority) early = make_ca_at (GATEWAY, 1, NOW + DAY, 1);
  g_autoptr (TlTrustBundle) early_bundle = make_bundle (early, NULL);
  g_autoptr (X509) early_leaf = make_custom_certificate (early, key, &spec);
  assert_refused (early_bundle, early_leaf, TL_LEAF_DEVICE, NOW, TL_ERROR_EXPIRED, "CA certificate is not yet valid");
}

/* Everything but the key is equal, the names included. */
static void
test_foreign_ca (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlCertificateAuthority) foreign = make_ca (GATEWAY, 1);
  g_autoptr (TlTrustBundle) bundle = make_bundle (ca, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) device = make_device_leaf (foreign, key, DEVICE, NOW, DAY);
  g_autoptr (X509) server = make_server_leaf (foreign, key, NULL);

  assert_refused (bundle, device, TL_LEAF_DEVICE, NOW, TL_ERROR_WRONG_CA, GATEWAY);
  assert_refused (bundle, server, TL_LEAF_SERVER, NOW, TL_ERROR_WRONG_CA, GATEWAY);
  /* Expired as well: that it is foreign is what counts. */
  assert_refused (bundle, device, TL_LEAF_DEVICE, NOW + 2 * DAY, TL_ERROR_WRONG_CA, GATEWAY);
  LeafSpec self = { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth", DEVICE_URI };
  g_autoptr (X509) self_signed = make_custom_certificate (NULL, key, &self);
  assert_refused (bundle, self_signed, TL_LEAF_DEVICE, NOW, TL_ERROR_WRONG_CA, GATEWAY);
}

/* A foreign CA that also copies the key identifier: now only the signature tells. */
static void
test_forged_signature (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlTrustBundle) bundle = make_bundle (ca, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (EVP_PKEY) forger = make_key ();
  g_autoptr (X509) leaf = make_device_leaf (ca, key, DEVICE, NOW, DAY);

  g_assert_cmpint (X509_sign (leaf, forger, EVP_sha256 ()), >, 0);
  assert_refused (bundle, leaf, TL_LEAF_DEVICE, NOW, TL_ERROR_WRONG_CA, GATEWAY);
  assert_refused (bundle, leaf, TL_LEAF_DEVICE, NOW + 2 * DAY, TL_ERROR_WRONG_CA, GATEWAY);
}

/* A device's own leaf key signs another "device": path through a leaf that is no CA. */
static void
test_leaf_as_issuer (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlTrustBundle) bundle = make_bundle (ca, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (EVP_PKEY) victim = make_key ();
  g_autoptr (X509) leaf = make_device_leaf (ca, key, DEVICE, NOW, DAY);
  g_autoptr (TlRandom) random = tl_random_new_test (3);
  TlCertificateParts parts = { OTHER_DEVICE, leaf, victim, NOW - HOUR, NOW + HOUR };
  g_autoptr (X509) draft = tl_certificate_build (&parts, random, NULL);
  g_autoptr (GENERAL_NAMES) names = GENERAL_NAMES_new ();

  tl_general_names_add_text (names, GEN_URI, TL_DEVICE_URI_PREFIX GATEWAY ":" OTHER_DEVICE, NULL);
  g_assert_true (tl_certificate_build_leaf (draft, NID_client_auth, names, NULL));
  g_autoptr (X509) minted = tl_certificate_build_sign (draft, key, NULL);
  assert_refused (bundle, minted, TL_LEAF_DEVICE, NOW, TL_ERROR_WRONG_CA, GATEWAY);
}

static void
test_profile_refused (void)
{
  static const struct
  {
    LeafSpec spec;
    TlLeafKind kind;
  } cases[] = {
    { { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth,serverAuth", DEVICE_URI },
      TL_LEAF_DEVICE },
    { { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "anyExtendedKeyUsage", DEVICE_URI }, TL_LEAF_DEVICE },
    { { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth,1.3.6.1.4.1.99999.1", DEVICE_URI },
      TL_LEAF_DEVICE },
    { { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", NULL, DEVICE_URI }, TL_LEAF_DEVICE },
    { { DEVICE, "critical,CA:FALSE", NULL, "clientAuth", DEVICE_URI }, TL_LEAF_DEVICE },
    { { DEVICE, "critical,CA:FALSE", "critical,keyAgreement", "clientAuth", DEVICE_URI }, TL_LEAF_DEVICE },
    { { DEVICE, "critical,CA:TRUE", "critical,digitalSignature,keyCertSign", "clientAuth", DEVICE_URI },
      TL_LEAF_DEVICE },
    { { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth", NULL }, TL_LEAF_DEVICE },
    { { OTHER_DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth", DEVICE_URI }, TL_LEAF_DEVICE },
    { { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth",
        "URI:twinlatch:device:" OTHER_GATEWAY ":" DEVICE },
      TL_LEAF_DEVICE },
    { { "s", "critical,CA:FALSE", "critical,digitalSignature", "clientAuth,serverAuth", GATEWAY_DNS }, TL_LEAF_SERVER },
    { { "s", "critical,CA:FALSE", "critical,digitalSignature", "serverAuth", NULL }, TL_LEAF_SERVER },
    { { "s", "critical,CA:FALSE", "critical,digitalSignature", "serverAuth", "DNS:gateway.example.org" },
      TL_LEAF_SERVER },
    { { "s", "critical,CA:FALSE", "critical,digitalSignature", "serverAuth", "DNS:*.gateway.twinlatch.internal" },
      TL_LEAF_SERVER },
    { { "s", "critical,CA:FALSE", "critical,digitalSignature", "serverAuth",
        "DNS:01jd8000000000000000000001.gateway.twinlatch.internal" },
      TL_LEAF_SERVER },
  };
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlTrustBundle) bundle = make_bundle (ca, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (X509) leaf = make_custom_certificate (ca, key, &cases[i].spec);
      assert_refused (bundle, leaf, cases[i].kind, NOW, TL_ERROR_PERMISSION_DENIED, "certificate");
    }
  /* That the fixture's certificates fail for these reasons and not for one they share. */
  LeafSpec good = { DEVICE, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth", DEVICE_URI };
  g_autoptr (X509) leaf = make_custom_certificate (ca, key, &good);
  assert_accepted (bundle, leaf, TL_LEAF_DEVICE, NOW, 1);
  LeafSpec good_server = { "s", "critical,CA:FALSE", "critical,digitalSignature", "serverAuth", GATEWAY_DNS };
  g_autoptr (X509) server = make_custom_certificate (ca, key, &good_server);
  assert_accepted (bundle, server, TL_LEAF_SERVER, NOW, 1);
}

/* RFC 5280's musts hold too: here a leaf without authority key identifier, right in everything else. */
static void
test_strict (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlTrustBundle) bundle = make_bundle (ca, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) leaf = make_device_leaf (ca, key, DEVICE, NOW, DAY);
  g_autoptr (TlSecret) ca_der = tl_certificate_authority_export_key (ca, NULL);
  g_autoptr (EVP_PKEY) ca_key = tl_p256_from_der (ca_der, NULL);
  int at = X509_get_ext_by_NID (leaf, NID_authority_key_identifier, -1);

  X509_EXTENSION_free (X509_delete_ext (leaf, at));
  g_assert_cmpint (X509_sign (leaf, ca_key, EVP_sha256 ()), >, 0);
  g_autoptr (GBytes) der = tl_certificate_to_der (leaf);
  g_autoptr (X509) lax = tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), NULL);
  assert_refused (bundle, lax, TL_LEAF_DEVICE, NOW, TL_ERROR_PERMISSION_DENIED, "Authority Key Identifier");
}

static void
test_two_generations (void)
{
  g_autoptr (TlCertificateAuthority) first = make_ca (GATEWAY, 1);
  g_autoptr (TlCertificateAuthority) second = make_ca (GATEWAY, 2);
  g_autoptr (TlTrustBundle) both = make_bundle (first, second);
  g_autoptr (TlTrustBundle) only_first = make_bundle (first, NULL);
  g_autoptr (TlTrustBundle) only_second = make_bundle (second, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) old_leaf = make_device_leaf (first, key, DEVICE, NOW, DAY);
  g_autoptr (X509) new_leaf = make_device_leaf (second, key, DEVICE, NOW, DAY);

  g_assert_cmpuint (tl_trust_bundle_size (both), ==, 2);
  g_assert_cmpuint (tl_trust_bundle_generation (both, 0), ==, 2);
  g_assert_cmpuint (tl_trust_bundle_generation (both, 1), ==, 1);
  g_assert_cmpint (X509_cmp (tl_trust_bundle_get (both, 0), tl_certificate_authority_certificate (second)), ==, 0);
  g_assert_cmpint (X509_cmp (tl_trust_bundle_get (both, 1), tl_certificate_authority_certificate (first)), ==, 0);
  g_assert_cmpstr (tl_trust_bundle_gateway_id (both), ==, GATEWAY);
  assert_accepted (both, old_leaf, TL_LEAF_DEVICE, NOW, 1);
  assert_accepted (both, new_leaf, TL_LEAF_DEVICE, NOW, 2);
  assert_refused (only_first, new_leaf, TL_LEAF_DEVICE, NOW, TL_ERROR_WRONG_CA, GATEWAY);
  assert_refused (only_second, old_leaf, TL_LEAF_DEVICE, NOW, TL_ERROR_WRONG_CA, GATEWAY);
}

static void
assert_bundle_refused (GBytes *const *ders, guint n, const char *why)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_trust_bundle_new (ders, n, &error));
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, why));
}

static void
test_new_refused (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlCertificateAuthority) same_generation = make_ca (GATEWAY, 1);
  g_autoptr (TlCertificateAuthority) other_gateway = make_ca (OTHER_GATEWAY, 2);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) leaf = make_device_leaf (ca, key, DEVICE, NOW, DAY);
  g_autoptr (GBytes) leaf_der = tl_certificate_to_der (leaf);
  GBytes *der = tl_certificate_authority_der (ca);
  GBytes *twice[] = { der, tl_certificate_authority_der (same_generation) };
  GBytes *two_gateways[] = { der, tl_certificate_authority_der (other_gateway) };
  GBytes *with_leaf[] = { der, leaf_der };

  assert_bundle_refused (NULL, 0, "0 certificates");
  assert_bundle_refused (twice, 2, "generation");
  assert_bundle_refused (two_gateways, 2, "another gateway");
  assert_bundle_refused (with_leaf, 2, "self-signed");

  /* The hand-over certificate of PROTOCOL 4.3: generation 2's name, signed by generation 1, is no anchor by itself. */
  LeafSpec handover_spec
      = { "Twinlatch CA " GATEWAY " G2", "critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign", NULL, NULL };
  g_autoptr (X509) handover = make_custom_certificate (ca, key, &handover_spec);
  g_autoptr (GBytes) handover_der = tl_certificate_to_der (handover);
  assert_bundle_refused (&handover_der, 1, "self-signed");
  LeafSpec greedy_spec = { "Twinlatch CA " GATEWAY " G2", "critical,CA:TRUE,pathlen:1",
                           "critical,keyCertSign,cRLSign,digitalSignature", NULL, NULL };
  g_autoptr (X509) greedy = make_custom_certificate (NULL, key, &greedy_spec);
  g_autoptr (GBytes) greedy_der = tl_certificate_to_der (greedy);
  assert_bundle_refused (&greedy_der, 1, "more than those");

  GBytes *many[TL_TRUST_BUNDLE_MAX + 1];
  TlCertificateAuthority *generations[TL_TRUST_BUNDLE_MAX + 1];
  for (guint i = 0; i <= TL_TRUST_BUNDLE_MAX; i++)
    {
      generations[i] = make_ca (GATEWAY, i + 1);
      many[i] = tl_certificate_authority_der (generations[i]);
    }
  assert_bundle_refused (many, TL_TRUST_BUNDLE_MAX + 1, "9 certificates");
  g_autoptr (TlTrustBundle) full = tl_trust_bundle_new (many, TL_TRUST_BUNDLE_MAX, NULL);
  g_assert_cmpuint (tl_trust_bundle_size (full), ==, TL_TRUST_BUNDLE_MAX);
  for (guint i = 0; i < TL_TRUST_BUNDLE_MAX; i++)
    g_assert_cmpuint (tl_trust_bundle_generation (full, i), ==, TL_TRUST_BUNDLE_MAX - i);
  for (guint i = 0; i <= TL_TRUST_BUNDLE_MAX; i++)
    tl_certificate_authority_unref (generations[i]);
}

static void
test_pem (void)
{
  g_autoptr (TlCertificateAuthority) first = make_ca (GATEWAY, 1);
  g_autoptr (TlCertificateAuthority) second = make_ca (GATEWAY, 2);
  g_autoptr (TlTrustBundle) both = make_bundle (first, second);
  g_autofree char *pem = tl_trust_bundle_to_pem (both);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlTrustBundle) again = tl_trust_bundle_new_from_pem (pem, -1, &error);
  g_assert_no_error (error);
  g_autofree char *pem_again = tl_trust_bundle_to_pem (again);
  g_assert_cmpuint (tl_trust_bundle_size (again), ==, 2);
  g_assert_cmpstr (pem, ==, pem_again);

  /* A damaged second certificate is not left out silently. */
  g_assert_null (tl_trust_bundle_new_from_pem (pem, (gssize)strlen (pem) - 30, &error));
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (tl_trust_bundle_new_from_pem ("", -1, &error));
  assert_error (error, TL_ERROR_INVALID_ARGUMENT);
}

static gpointer
verify_often (gpointer data)
{
  gpointer *arguments = data;

  for (guint i = 0; i < 200; i++)
    if (!tl_trust_bundle_verify (arguments[0], arguments[1], TL_LEAF_DEVICE, NOW, NULL, NULL))
      return NULL;
  return data;
}

static void
test_threads (void)
{
  g_autoptr (TlCertificateAuthority) ca = make_ca (GATEWAY, 1);
  g_autoptr (TlTrustBundle) bundle = make_bundle (ca, NULL);
  g_autoptr (EVP_PKEY) key = make_key ();
  g_autoptr (X509) leaf = make_device_leaf (ca, key, DEVICE, NOW, DAY);
  gpointer arguments[] = { bundle, leaf };
  GThread *threads[4];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("verify", verify_often, arguments);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_assert_true (g_thread_join (threads[i]) == arguments);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/trust-bundle/accepts", test_accepts);
  g_test_add_func ("/trust-bundle/kinds", test_kinds);
  g_test_add_func ("/trust-bundle/validity", test_validity);
  g_test_add_func ("/trust-bundle/ca-validity", test_ca_validity);
  g_test_add_func ("/trust-bundle/foreign-ca", test_foreign_ca);
  g_test_add_func ("/trust-bundle/forged-signature", test_forged_signature);
  g_test_add_func ("/trust-bundle/leaf-as-issuer", test_leaf_as_issuer);
  g_test_add_func ("/trust-bundle/profile-refused", test_profile_refused);
  g_test_add_func ("/trust-bundle/strict", test_strict);
  g_test_add_func ("/trust-bundle/two-generations", test_two_generations);
  g_test_add_func ("/trust-bundle/new-refused", test_new_refused);
  g_test_add_func ("/trust-bundle/pem", test_pem);
  g_test_add_func ("/trust-bundle/threads", test_threads);
  return g_test_run ();
}
