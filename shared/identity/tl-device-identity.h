/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-random.h"
#include "identity/tl-certificate.h"
#include "identity/tl-trust-bundle.h"

G_BEGIN_DECLS

/*
 * TlDeviceIdentity: what a device keeps for one gateway: device id, Ed25519 identity key, P-256 TLS key, and once
 * paired certificate and trust bundle. The private keys never leave this object but into the secret store (PROTOCOL 1,
 * P). Thread: owner's.
 */
typedef struct _TlDeviceIdentity TlDeviceIdentity;

/* New keys and a new device id. */
TlDeviceIdentity *tl_device_identity_new (gint64 now_ms, TlRandom *random, GError **error);
void tl_device_identity_free (TlDeviceIdentity *identity);

/* One secret-store value: JSON with alg names, keys, certificate, bundle. */
TlSecret *tl_device_identity_serialise (TlDeviceIdentity *identity, GError **error);
TlDeviceIdentity *tl_device_identity_parse (const TlSecret *value, GError **error); /* TL_ERROR_CORRUPT */

const char *tl_device_identity_device_id (TlDeviceIdentity *identity);
const guint8 *tl_device_identity_public (TlDeviceIdentity *identity); /* 32 bytes */
char *tl_device_identity_fingerprint (TlDeviceIdentity *identity);
gboolean tl_device_identity_sign (TlDeviceIdentity *identity, const void *message, gsize length, guint8 signature[64],
                                  GError **error);
/* PKCS#10 for the TLS key. */
GBytes *tl_device_identity_csr (TlDeviceIdentity *identity, GError **error);
/* Renewal (PROTOCOL 4.3): the same device with a fresh TLS key and no certificate yet. The two are stored beside each
 * other until the new one was used; whatever happens in between, one of them works. */
TlDeviceIdentity *tl_device_identity_begin_renewal (TlDeviceIdentity *identity, GError **error);
/* The renewed one, with its certificate, takes identity's place in the same object; `renewed` is left as it was. Both
 * are of one device. */
void tl_device_identity_adopt (TlDeviceIdentity *identity, TlDeviceIdentity *renewed);

/* The leaf must carry this identity's TLS key and device id and verify under the bundle at now_ms; on failure nothing
 * changes. */
gboolean tl_device_identity_set_certificate (TlDeviceIdentity *identity, X509 *leaf, TlTrustBundle *bundle,
                                             gint64 now_ms, GError **error);
gboolean tl_device_identity_is_paired (TlDeviceIdentity *identity);
X509 *tl_device_identity_certificate (TlDeviceIdentity *identity);     /* borrowed, NULL before pairing */
TlTrustBundle *tl_device_identity_bundle (TlDeviceIdentity *identity); /* borrowed, NULL before pairing */
/* For the transports: leaf PEM and PKCS#8 key PEM. */
char *tl_device_identity_chain_pem (TlDeviceIdentity *identity);
TlSecret *tl_device_identity_key_pem (TlDeviceIdentity *identity, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlDeviceIdentity, tl_device_identity_free)

G_END_DECLS
