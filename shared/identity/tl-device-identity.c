/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tl-device-identity.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "identity/tl-device-identity-private.h"

TlDeviceIdentity *
tl_device_identity_new (gint64 now_ms, TlRandom *random, GError **error)
{
  g_autoptr (TlDeviceIdentity) identity = g_new0 (TlDeviceIdentity, 1);

  identity->device_id = tl_ulid_new (now_ms, random);
  if (!tl_ed25519_generate (random, &identity->seed, identity->public_key, error))
    return NULL;
  identity->tls_key = tl_p256_generate (error);
  return identity->tls_key != NULL ? g_steal_pointer (&identity) : NULL;
}

void
tl_device_identity_free (TlDeviceIdentity *identity)
{
  if (identity == NULL)
    return;
  g_free (identity->device_id);
  g_clear_pointer (&identity->seed, tl_secret_unref);
  EVP_PKEY_free (identity->signing_key);
  EVP_PKEY_free (identity->tls_key);
  X509_free (identity->certificate);
  tl_trust_bundle_unref (identity->bundle);
  g_free (identity);
}

const char *
tl_device_identity_device_id (TlDeviceIdentity *identity)
{
  return identity->device_id;
}

const guint8 *
tl_device_identity_public (TlDeviceIdentity *identity)
{
  return identity->public_key;
}

char *
tl_device_identity_fingerprint (TlDeviceIdentity *identity)
{
  return tl_fingerprint (identity->public_key, sizeof identity->public_key);
}

gboolean
tl_device_identity_sign (TlDeviceIdentity *identity, const void *message, gsize length, guint8 signature[64],
                         GError **error)
{
  if (identity->signing_key == NULL)
    identity->signing_key = tl_ed25519_key (identity->seed, error);
  return identity->signing_key != NULL
         && tl_ed25519_sign_with (identity->signing_key, message, length, signature, error);
}

GBytes *
tl_device_identity_csr (TlDeviceIdentity *identity, GError **error)
{
  return tl_csr_new (identity->tls_key, identity->device_id, error);
}

TlDeviceIdentity *
tl_device_identity_begin_renewal (TlDeviceIdentity *identity, GError **error)
{
  g_autoptr (TlDeviceIdentity) renewed = g_new0 (TlDeviceIdentity, 1);

  renewed->device_id = g_strdup (identity->device_id);
  renewed->seed = tl_secret_ref (identity->seed);
  memcpy (renewed->public_key, identity->public_key, sizeof renewed->public_key);
  renewed->tls_key = tl_p256_generate (error);
  return renewed->tls_key != NULL ? g_steal_pointer (&renewed) : NULL;
}

static void
take_leaf (TlDeviceIdentity *identity, X509 *leaf, TlTrustBundle *bundle)
{
  X509_up_ref (leaf);
  X509_free (identity->certificate);
  identity->certificate = leaf;
  tl_trust_bundle_ref (bundle);
  tl_trust_bundle_unref (identity->bundle);
  identity->bundle = bundle;
}

void
tl_device_identity_adopt (TlDeviceIdentity *identity, TlDeviceIdentity *renewed)
{
  g_return_if_fail (renewed->certificate != NULL && strcmp (renewed->device_id, identity->device_id) == 0);

  EVP_PKEY_up_ref (renewed->tls_key);
  EVP_PKEY_free (identity->tls_key);
  identity->tls_key = renewed->tls_key;
  take_leaf (identity, renewed->certificate, renewed->bundle);
}

gboolean
tl_device_identity_check_leaf (const char *device_id, EVP_PKEY *key, X509 *leaf, TlTrustBundle *bundle, gint64 now_ms,
                               GError **error)
{
  g_autofree char *named = NULL;
  EVP_PKEY *leaf_key = X509_get0_pubkey (leaf);

  if (!tl_trust_bundle_verify (bundle, leaf, TL_LEAF_DEVICE, now_ms, NULL, error)
      || !tl_certificate_get_device (leaf, NULL, &named, error))
    return FALSE;
  if (strcmp (named, device_id) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL, "certificate is for device %s, not for this one (%s)", named,
                   device_id);
      return FALSE;
    }
  if (leaf_key == NULL || EVP_PKEY_eq (leaf_key, key) != 1)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, "certificate is for another TLS key than this device's");
      return FALSE;
    }
  return TRUE;
}

gboolean
tl_device_identity_set_certificate (TlDeviceIdentity *identity, X509 *leaf, TlTrustBundle *bundle, gint64 now_ms,
                                    GError **error)
{
  if (!tl_device_identity_check_leaf (identity->device_id, identity->tls_key, leaf, bundle, now_ms, error))
    return FALSE;
  take_leaf (identity, leaf, bundle);
  return TRUE;
}

gboolean
tl_device_identity_is_paired (TlDeviceIdentity *identity)
{
  return identity->certificate != NULL;
}

X509 *
tl_device_identity_certificate (TlDeviceIdentity *identity)
{
  return identity->certificate;
}

TlTrustBundle *
tl_device_identity_bundle (TlDeviceIdentity *identity)
{
  return identity->bundle;
}

char *
tl_device_identity_chain_pem (TlDeviceIdentity *identity)
{
  return identity->certificate != NULL ? tl_certificate_to_pem (identity->certificate) : NULL;
}

TlSecret *
tl_device_identity_key_pem (TlDeviceIdentity *identity, GError **error)
{
  return tl_p256_to_pem (identity->tls_key, error);
}
