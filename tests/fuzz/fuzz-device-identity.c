/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "fuzz.h"
#include "identity/tl-device-identity.h"

/* What is accepted has all its parts, and its written form is read as the same identity. */
static void
look_at (TlDeviceIdentity *identity)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) text = tl_device_identity_serialise (identity, &error);
  g_assert_no_error (error);
  g_autoptr (TlDeviceIdentity) again = tl_device_identity_parse (text, &error);
  g_assert_no_error (error);
  g_autoptr (TlSecret) text_again = tl_device_identity_serialise (again, &error);
  g_assert_no_error (error);
  g_autoptr (TlSecret) key_pem = tl_device_identity_key_pem (identity, &error);
  g_assert_no_error (error);
  g_autofree char *fingerprint = tl_device_identity_fingerprint (identity);
  guint8 signature[64];

  g_assert_true (tl_secret_equal (text, text_again));
  g_assert_nonnull (key_pem);
  g_assert_nonnull (fingerprint);
  g_assert_true (tl_ulid_is_valid (tl_device_identity_device_id (identity)));
  g_assert_true (tl_device_identity_sign (identity, "m", 1, signature, NULL));
  g_assert_true (tl_ed25519_verify (tl_device_identity_public (identity), 32, "m", 1, signature, sizeof signature));
  g_assert_true (tl_device_identity_is_paired (identity) == (tl_device_identity_certificate (identity) != NULL));
  g_assert_true (tl_device_identity_is_paired (identity) == (tl_device_identity_bundle (identity) != NULL));
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (TlSecret) value = tl_secret_new_copy (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlDeviceIdentity) identity = tl_device_identity_parse (value, &error);

  fuzz_assert_answer (identity, error);
  if (identity != NULL)
    look_at (identity);
  else
    g_assert_true (tl_error_is (error, TL_ERROR_CORRUPT) || tl_error_is (error, TL_ERROR_NEWER_VERSION));
  return 0;
}
