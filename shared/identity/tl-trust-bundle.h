/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/tl-certificate.h"

G_BEGIN_DECLS

/*
 * TlTrustBundle: the CA generations of one gateway that are trusted now (PROTOCOL 1, 4.3). Immutable; a change is a new
 * bundle. Thread: any.
 */
#define TL_TRUST_BUNDLE_MAX 8 /* generations */

typedef struct _TlTrustBundle TlTrustBundle;

typedef enum
{
  TL_LEAF_DEVICE, /* EKU clientAuth and a device SAN URI naming the bundle's gateway */
  TL_LEAF_SERVER, /* EKU serverAuth and the gateway-id name */
} TlLeafKind;

/* ders: GBytes of CA certificates of one gateway, at least one, distinct generations. */
TlTrustBundle *tl_trust_bundle_new (GBytes *const *ders, guint n, GError **error);
TlTrustBundle *tl_trust_bundle_new_from_pem (const char *pem, gssize length, GError **error);
TlTrustBundle *tl_trust_bundle_ref (TlTrustBundle *bundle);
void tl_trust_bundle_unref (TlTrustBundle *bundle);

const char *tl_trust_bundle_gateway_id (TlTrustBundle *bundle);
guint tl_trust_bundle_size (TlTrustBundle *bundle);
X509 *tl_trust_bundle_get (TlTrustBundle *bundle, guint index); /* borrowed, newest generation first */
guint tl_trust_bundle_generation (TlTrustBundle *bundle, guint index);
char *tl_trust_bundle_to_pem (TlTrustBundle *bundle); /* g_free() */

/* Chain to one of the CAs, validity of leaf and CA at now_ms, key usage, EKU and name as `kind` says.
 * TL_ERROR_EXPIRED (also: not yet valid, the message says which), TL_ERROR_WRONG_CA (signed by somebody else),
 * TL_ERROR_PERMISSION_DENIED (EKU or name). *generation (may be NULL): which CA signed it. */
gboolean tl_trust_bundle_verify (TlTrustBundle *bundle, X509 *leaf, TlLeafKind kind, gint64 now_ms, guint *generation,
                                 GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlTrustBundle, tl_trust_bundle_unref)

G_END_DECLS
