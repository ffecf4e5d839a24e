/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tl-renewal-proof.h"

#include "crypto/tl-hash.h"

static TlTranscript *
signed_input (const TlRenewalProof *proof)
{
  TlTranscript *transcript = tl_transcript_new ("renew");
  guint8 digest[TL_SHA256_LENGTH];

  tl_sha256 (proof->csr, proof->csr_length, digest);
  tl_transcript_add_string (transcript, proof->gateway_id);
  tl_transcript_add_string (transcript, proof->device_id);
  tl_transcript_add (transcript, proof->challenge, TL_RENEWAL_CHALLENGE_LENGTH);
  tl_transcript_add (transcript, digest, sizeof digest);
  return transcript;
}

gboolean
tl_renewal_proof_sign (const TlRenewalProof *proof, TlDeviceIdentity *identity,
                       guint8 signature[TL_ED25519_SIGNATURE_LENGTH], GError **error)
{
  g_autoptr (TlTranscript) transcript = signed_input (proof);
  gsize length = 0;
  const guint8 *data = tl_transcript_data (transcript, &length);

  return tl_device_identity_sign (identity, data, length, signature, error);
}

gboolean
tl_renewal_proof_verify (const TlRenewalProof *proof, const guint8 identity_public[32], const guint8 *signature,
                         gsize signature_length)
{
  g_autoptr (TlTranscript) transcript = signed_input (proof);
  gsize length = 0;
  const guint8 *data = tl_transcript_data (transcript, &length);

  return tl_ed25519_verify (identity_public, TL_ED25519_PUBLIC_LENGTH, data, length, signature, signature_length);
}
