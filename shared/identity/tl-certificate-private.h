/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/x509v3.h>

#include "base/tl-random.h"
#include "identity/tl-certificate.h"

G_BEGIN_DECLS

/*
 * What the certificate files of this folder share and nobody else needs: the PEM scanner, the test of a public key's
 * encoding, the subject's name and the pieces certificates are built from. Thread: any.
 */
#define TL_COMMON_NAME_MAX 64 /* RFC 5280 ub-common-name */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GENERAL_NAMES, GENERAL_NAMES_free)

typedef enum
{
  TL_PEM_END,       /* no further certificate in the text */
  TL_PEM_FOUND,     /* *der is its DER, *cursor stands behind it */
  TL_PEM_MALFORMED, /* not base64, no end line or above TL_CERTIFICATE_MAX_DER */
} TlPemResult;

/* The next certificate of a PEM text, base64 only; *cursor and *left move on. *der is written for TL_PEM_FOUND. */
TlPemResult tl_pem_next_certificate (const char **cursor, gsize *left, GBytes **der);

/* P-256 by its curve name with an uncompressed point: the one encoding a key has here, so that equal keys have equal
 * fingerprints. */
gboolean tl_public_key_is_plain_p256 (X509_PUBKEY *key);
/* The common name when it is the subject's only part and plain ASCII, else NULL. g_free() */
char *tl_certificate_common_name (X509 *certificate);
char *tl_ca_common_name (const char *gateway_id, guint generation);

typedef struct
{
  const char *common_name;
  X509 *issuer; /* NULL: self-signed */
  EVP_PKEY *public_key;
  gint64 not_before_ms;
  gint64 not_after_ms;
} TlCertificateParts;

/* Version 3, random 128-bit serial, names, validity, key, SKI and (with an issuer) AKI. Unsigned. X509_free() */
X509 *tl_certificate_build (const TlCertificateParts *parts, TlRandom *random, GError **error);
/* basicConstraints CA:TRUE pathlen:1 and keyUsage keyCertSign + cRLSign, both critical. */
gboolean tl_certificate_build_ca (X509 *certificate, GError **error);
/* basicConstraints CA:FALSE and keyUsage digitalSignature, both critical; EKU of one purpose; SAN. */
gboolean tl_certificate_build_leaf (X509 *certificate, int purpose_nid, GENERAL_NAMES *names, GError **error);
/* Signs with SHA-256 and returns the certificate as everybody else will read it: encoded and parsed again. */
X509 *tl_certificate_build_sign (X509 *certificate, EVP_PKEY *key, GError **error);

/* One DNS name, IPv4 or IPv6 literal, checked; what is there already is not added twice. */
gboolean tl_server_names_add (GENERAL_NAMES *names, const char *text, GError **error);
gboolean tl_general_names_add_text (GENERAL_NAMES *names, int type, const char *text, GError **error);

G_END_DECLS
