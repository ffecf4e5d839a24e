/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-ulid.h"
#include "fuzz.h"
#include "identity/tl-certificate.h"
#include "identity/tl-trust-bundle.h"

#define NOW G_GINT64_CONSTANT (1763719200000)

static void
assert_same_certificate (X509 *a, X509 *b)
{
  g_assert_true (a != NULL && b != NULL && X509_cmp (a, b) == 0);
}

static void
look_at_names (X509 *certificate)
{
  g_autofree char *gateway_id = NULL, *device_id = NULL, *server_id = NULL, *ca_id = NULL;
  g_autoptr (GError) error = NULL;
  guint generation = 0;
  gboolean is_device = tl_certificate_get_device (certificate, &gateway_id, &device_id, &error);

  fuzz_assert_verdict (is_device, error);
  g_assert_true (is_device == (gateway_id != NULL) && is_device == (device_id != NULL));
  if (is_device)
    g_assert_true (tl_ulid_is_valid (gateway_id) && tl_ulid_is_valid (device_id));
  server_id = tl_certificate_get_gateway_id (certificate);
  if (server_id != NULL)
    g_assert_true (tl_ulid_is_valid (server_id) && tl_certificate_has_gateway_name (certificate, server_id));
  if (tl_certificate_get_ca (certificate, &ca_id, &generation))
    g_assert_true (tl_ulid_is_valid (ca_id) && generation >= 1);
}

/* As the only CA of a bundle, and as a leaf under it: what decides about a connection. */
static void
look_at_trust (GBytes *der, X509 *certificate)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlTrustBundle) bundle = tl_trust_bundle_new (&der, 1, &error);

  fuzz_assert_answer (bundle, error);
  if (bundle == NULL)
    return;
  g_autofree char *pem = tl_trust_bundle_to_pem (bundle);
  g_autoptr (TlTrustBundle) again = tl_trust_bundle_new_from_pem (pem, -1, NULL);

  g_assert_true (again != NULL && tl_trust_bundle_size (again) == 1);
  assert_same_certificate (tl_trust_bundle_get (again, 0), certificate);
  /* A CA is nobody's leaf. */
  g_assert_false (tl_trust_bundle_verify (bundle, certificate, TL_LEAF_DEVICE, NOW, NULL, NULL));
  g_assert_false (tl_trust_bundle_verify (bundle, certificate, TL_LEAF_SERVER, NOW, NULL, NULL));
}

static void
look_at_certificate (X509 *certificate, const void *data, gsize size)
{
  g_autoptr (GBytes) der = tl_certificate_to_der (certificate);
  g_autofree char *pem = tl_certificate_to_pem (certificate);
  g_autofree char *fingerprint = tl_certificate_fingerprint (certificate);
  g_autoptr (GBytes) pem_der = tl_certificate_pem_to_der (pem, strlen (pem));
  g_autoptr (X509) again = tl_certificate_from_pem (pem, -1, NULL);

  g_assert_cmpmem (g_bytes_get_data (der, NULL), g_bytes_get_size (der), data, size);
  g_assert_true (pem_der != NULL && g_bytes_equal (der, pem_der));
  assert_same_certificate (certificate, again);
  g_assert_cmpuint (strlen (fingerprint), ==, 64);
  (void)tl_certificate_not_before_ms (certificate);
  (void)tl_certificate_not_after_ms (certificate);
  look_at_names (certificate);
  look_at_trust (der, certificate);
}

/* The input as DER and as PEM. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) pem_error = NULL;
  g_autoptr (X509) certificate = tl_certificate_from_der (data, size, &error);
  g_autoptr (GBytes) pem_der = tl_certificate_pem_to_der ((const char *)data, size);
  g_autoptr (X509) from_pem = tl_certificate_from_pem ((const char *)data, (gssize)size, &pem_error);

  fuzz_assert_answer (certificate, error);
  fuzz_assert_answer (from_pem, pem_error);
  if (certificate != NULL)
    look_at_certificate (certificate, data, size);
  /* The cheap reader and the parser see the same certificate. */
  if (from_pem != NULL)
    {
      g_autoptr (GBytes) der = tl_certificate_to_der (from_pem);

      g_assert_true (pem_der != NULL && g_bytes_equal (der, pem_der));
    }
  return 0;
}
