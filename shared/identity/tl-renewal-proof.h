/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/tl-device-identity.h"

G_BEGIN_DECLS

/*
 * What a device signs to renew its certificate (PROTOCOL 4.3): Ed25519 by its identity key over
 * T (`renew`; gateway_id, device_id, challenge, SHA-256 (csr)). The challenge makes it good once and without a clock; a
 * stolen TLS key alone makes none. Thread: any.
 */
#define TL_RENEWAL_CHALLENGE_LENGTH 32

/* What is signed. Borrowed. */
typedef struct
{
  const char *gateway_id;
  const char *device_id;
  const guint8 *challenge; /* TL_RENEWAL_CHALLENGE_LENGTH */
  const void *csr;         /* DER */
  gsize csr_length;
} TlRenewalProof;

gboolean tl_renewal_proof_sign (const TlRenewalProof *proof, TlDeviceIdentity *identity,
                                guint8 signature[TL_ED25519_SIGNATURE_LENGTH], GError **error);
/* FALSE for a signature of another length too. */
gboolean tl_renewal_proof_verify (const TlRenewalProof *proof, const guint8 identity_public[32],
                                  const guint8 *signature, gsize signature_length);

G_END_DECLS
