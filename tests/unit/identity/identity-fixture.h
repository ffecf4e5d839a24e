/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "identity/tl-certificate-authority.h"
#include "identity/tl-certificate-private.h"
#include "identity/tl-trust-bundle.h"

/* What the tests of this folder share: fixed time and ids, and certificates that the gateway itself would never issue.
 */
#define NOW           G_GINT64_CONSTANT (1793000000123) /* with milliseconds on purpose */
#define HOUR          (G_GINT64_CONSTANT (3600) * 1000)
#define DAY           (24 * HOUR)
#define GATEWAY       "01JD8000000000000000000000"
#define OTHER_GATEWAY "01JD8000000000000000000001"
#define DEVICE        "01JD800000000000000000000A"
#define OTHER_DEVICE  "01JD800000000000000000000B"

G_GNUC_UNUSED static void
assert_error (GError *error, TlErrorCode code)
{
  g_assert_error (error, TL_ERROR, (int)code);
  /* One line for people. */
  g_assert_null (strchr (error->message, '\n'));
  g_assert_cmpint ((int)strlen (error->message), >, 10);
}

G_GNUC_UNUSED static TlCertificateAuthority *
make_ca_at (const char *gateway_id, guint generation, gint64 now_ms, guint64 seed)
{
  g_autoptr (TlRandom) random = tl_random_new_test (seed);
  g_autoptr (GError) error = NULL;
  TlCertificateAuthority *ca = tl_certificate_authority_new (gateway_id, generation, now_ms, random, &error);

  g_assert_no_error (error);
  return ca;
}

G_GNUC_UNUSED static TlCertificateAuthority *
make_ca (const char *gateway_id, guint generation)
{
  return make_ca_at (gateway_id, generation, NOW, generation);
}

G_GNUC_UNUSED static EVP_PKEY *
make_key (void)
{
  g_autoptr (GError) error = NULL;
  EVP_PKEY *key = tl_p256_generate (&error);

  g_assert_no_error (error);
  return key;
}

G_GNUC_UNUSED static X509 *
make_device_leaf (TlCertificateAuthority *ca, EVP_PKEY *key, const char *device_id, gint64 now_ms, gint64 lifetime_ms)
{
  g_autoptr (TlRandom) random = tl_random_new_test (77);
  g_autoptr (GError) error = NULL;
  X509 *leaf = tl_certificate_authority_issue_device (ca, key, device_id, now_ms, lifetime_ms, random, &error);

  g_assert_no_error (error);
  return leaf;
}

G_GNUC_UNUSED static X509 *
make_server_leaf (TlCertificateAuthority *ca, EVP_PKEY *key, const char *const *names)
{
  g_autoptr (TlRandom) random = tl_random_new_test (78);
  g_autoptr (GError) error = NULL;
  X509 *leaf = tl_certificate_authority_issue_server (ca, key, names, NOW, TL_SERVER_LEAF_LIFETIME_MS, random, &error);

  g_assert_no_error (error);
  return leaf;
}

G_GNUC_UNUSED static TlTrustBundle *
make_bundle (TlCertificateAuthority *first, TlCertificateAuthority *second)
{
  GBytes *ders[]
      = { tl_certificate_authority_der (first), second != NULL ? tl_certificate_authority_der (second) : NULL };
  g_autoptr (GError) error = NULL;
  TlTrustBundle *bundle = tl_trust_bundle_new (ders, second != NULL ? 2 : 1, &error);

  g_assert_no_error (error);
  return bundle;
}

/* Extensions in the syntax of openssl.cnf; NULL leaves one out. */
typedef struct
{
  const char *common_name;
  const char *basic_constraints;
  const char *key_usage;
  const char *extended_key_usage;
  const char *alternative_name;
} LeafSpec;

G_GNUC_UNUSED static void
add_extension_text (X509 *certificate, int nid, const char *value)
{
  X509V3_CTX context;

  if (value == NULL)
    return;
  X509V3_set_ctx (&context, NULL, certificate, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid (NULL, &context, nid, value);
  g_assert_nonnull (extension);
  g_assert_cmpint (X509_add_ext (certificate, extension, -1), ==, 1);
  X509_EXTENSION_free (extension);
}

/* Signed by the CA's own key, so that only the contents are wrong. ca NULL: self-signed. */
G_GNUC_UNUSED static X509 *
make_custom_certificate (TlCertificateAuthority *ca, EVP_PKEY *key, const LeafSpec *spec)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlRandom) random = tl_random_new_test (79);
  TlCertificateParts parts = { spec->common_name, ca != NULL ? tl_certificate_authority_certificate (ca) : NULL, key,
                               NOW - HOUR, NOW + DAY };
  g_autoptr (X509) draft = tl_certificate_build (&parts, random, &error);
  g_assert_no_error (error);
  add_extension_text (draft, NID_basic_constraints, spec->basic_constraints);
  add_extension_text (draft, NID_key_usage, spec->key_usage);
  add_extension_text (draft, NID_ext_key_usage, spec->extended_key_usage);
  add_extension_text (draft, NID_subject_alt_name, spec->alternative_name);
  g_autoptr (EVP_PKEY) signer = NULL;
  if (ca != NULL)
    {
      g_autoptr (TlSecret) der = tl_certificate_authority_export_key (ca, &error);
      g_assert_no_error (error);
      signer = tl_p256_from_der (der, &error);
      g_assert_no_error (error);
    }
  X509 *certificate = tl_certificate_build_sign (draft, signer != NULL ? signer : key, &error);
  g_assert_no_error (error);
  return certificate;
}
