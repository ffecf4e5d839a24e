/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-random.h"
#include "identity/tl-certificate.h"

G_BEGIN_DECLS

/*
 * TlCertificateAuthority: one generation of a gateway's CA (PROTOCOL 1 profiles). Holds the private key in memory;
 * gives it out only through tl_certificate_authority_export_key() to the secret store. Thread: any (immutable).
 */
#define TL_CA_LIFETIME_MS          (G_GINT64_CONSTANT (3652) * 86400 * 1000)
#define TL_SERVER_LEAF_LIFETIME_MS (G_GINT64_CONSTANT (7) * 86400 * 1000)
#define TL_DEVICE_LEAF_DEFAULT_MS  (G_GINT64_CONSTANT (24) * 3600 * 1000)
#define TL_DEVICE_LEAF_MIN_MS      (G_GINT64_CONSTANT (3600) * 1000)
#define TL_DEVICE_LEAF_MAX_MS      (G_GINT64_CONSTANT (90) * 86400 * 1000)
#define TL_LEAF_BACKDATE_MS        (G_GINT64_CONSTANT (600) * 1000) /* notBefore = now - 10 min */

typedef struct _TlCertificateAuthority TlCertificateAuthority;

/* A new self-signed CA, P-256, generation >= 1. Everything that follows takes `now` as wall-clock milliseconds. */
TlCertificateAuthority *tl_certificate_authority_new (const char *gateway_id, guint generation, gint64 now_ms,
                                                      TlRandom *random, GError **error);
/* From the store; the key must fit the certificate (TL_ERROR_CORRUPT otherwise). */
TlCertificateAuthority *tl_certificate_authority_load (const void *certificate_der, gsize length,
                                                       const TlSecret *key_der, GError **error);
TlCertificateAuthority *tl_certificate_authority_ref (TlCertificateAuthority *ca);
void tl_certificate_authority_unref (TlCertificateAuthority *ca);

const char *tl_certificate_authority_gateway_id (TlCertificateAuthority *ca);
guint tl_certificate_authority_generation (TlCertificateAuthority *ca);
X509 *tl_certificate_authority_certificate (TlCertificateAuthority *ca);                    /* borrowed */
GBytes *tl_certificate_authority_der (TlCertificateAuthority *ca);                          /* borrowed */
TlSecret *tl_certificate_authority_export_key (TlCertificateAuthority *ca, GError **error); /* PKCS#8 DER */

/* Device leaf: CN device id, SAN URI, EKU clientAuth, digitalSignature, 128-bit random serial. Only the key is taken
 * from the request (see tl_csr_verify). lifetime is clamped to MIN..MAX and to the CA's own end. X509_free(). */
X509 *tl_certificate_authority_issue_device (TlCertificateAuthority *ca, EVP_PKEY *public_key, const char *device_id,
                                             gint64 now_ms, gint64 lifetime_ms, TlRandom *random, GError **error);
/* Gateway server leaf: gateway name plus `names` (DNS names, IPv4, IPv6 literals; NULL-terminated or NULL), EKU
 * serverAuth. A malformed name is TL_ERROR_INVALID_ARGUMENT naming it. */
X509 *tl_certificate_authority_issue_server (TlCertificateAuthority *ca, EVP_PKEY *public_key, const char *const *names,
                                             gint64 now_ms, gint64 lifetime_ms, TlRandom *random, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlCertificateAuthority, tl_certificate_authority_unref)

G_END_DECLS
