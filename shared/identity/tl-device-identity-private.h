/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/tl-device-identity.h"

G_BEGIN_DECLS

/* The object's parts, for its two files: behaviour (tl-device-identity.c) and text form (tl-device-identity-text.c). */
struct _TlDeviceIdentity
{
  char *device_id;
  TlSecret *seed;        /* Ed25519 */
  EVP_PKEY *signing_key; /* of the seed, made at the first signature */
  guint8 public_key[32];
  EVP_PKEY *tls_key; /* fits the certificate, if there is one */
  X509 *certificate;
  TlTrustBundle *bundle;
};

/* The leaf fits key and device id and verifies under the bundle. */
gboolean tl_device_identity_check_leaf (const char *device_id, EVP_PKEY *key, X509 *leaf, TlTrustBundle *bundle,
                                        gint64 now_ms, GError **error);

G_END_DECLS
