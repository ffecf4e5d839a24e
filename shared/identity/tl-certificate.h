/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/x509.h>

#include "crypto/tl-keys.h"

G_BEGIN_DECLS

/*
 * Parsing and looking at X.509 certificates and certificate signing requests (PROTOCOL 1). Bytes come from strangers:
 * sizes are checked before parsing. Thread: any.
 */
#define TL_CERTIFICATE_MAX_DER 4096
#define TL_CSR_MAX_DER         2048
#define TL_GATEWAY_NAME_SUFFIX ".gateway.twinlatch.internal"
#define TL_DEVICE_URI_PREFIX   "twinlatch:device:"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (X509, X509_free)

/* Exactly one DER certificate, no trailing bytes; TL_ERROR_INVALID_ARGUMENT otherwise. Free with X509_free(). */
X509 *tl_certificate_from_der (const void *der, gsize length, GError **error);
GBytes *tl_certificate_to_der (X509 *certificate);
char *tl_certificate_to_pem (X509 *certificate); /* g_free() */
/* First certificate of a PEM text. */
X509 *tl_certificate_from_pem (const char *pem, gssize length, GError **error);
/* DER of the first PEM certificate without parsing it (base64 only): cheap enough per call. NULL when malformed. */
GBytes *tl_certificate_pem_to_der (const char *pem, gsize length);
/* Hex SHA-256 of the DER. g_free() */
char *tl_certificate_fingerprint (X509 *certificate);
/* pin: SHA-256 of the certificate's DER or of its SubjectPublicKeyInfo. */
gboolean tl_certificate_fits_pin (X509 *certificate, const guint8 pin[32]);
gint64 tl_certificate_not_before_ms (X509 *certificate);
gint64 tl_certificate_not_after_ms (X509 *certificate);

/* The device leaf's SAN URI twinlatch:device:<gateway>:<device>: exactly one URI, both ids valid ULIDs, CN = device id.
 * Outputs g_free(); either may be NULL. */
gboolean tl_certificate_get_device (X509 *certificate, char **gateway_id, char **device_id, GError **error);
/* "<gateway id lower case>.gateway.twinlatch.internal" */
char *tl_gateway_name (const char *gateway_id);
/* The leaf carries that gateway's name as dNSName (exact, no wildcards). */
gboolean tl_certificate_has_gateway_name (X509 *certificate, const char *gateway_id);
/* Gateway id named by a server leaf (upper case), NULL when there is none. */
char *tl_certificate_get_gateway_id (X509 *certificate);
/* CA generation n from CN "Twinlatch CA <gateway id> G<n>" and the id; FALSE when it is not such a CA. */
gboolean tl_certificate_get_ca (X509 *certificate, char **gateway_id, guint *generation);

/* A request made by a device: PKCS#10, signature valid, key P-256; everything else in it is ignored (PROTOCOL 1).
 * Returns the public key. TL_ERROR_INVALID_ARGUMENT names what is wrong. */
EVP_PKEY *tl_csr_verify (const void *der, gsize length, GError **error);
/* A request for the key; subject CN = device id (ignored by the gateway). */
GBytes *tl_csr_new (EVP_PKEY *key, const char *device_id, GError **error);

G_END_DECLS
