/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-receipt-check.h"

#include <string.h>

#include "base/tl-error.h"
#include "crypto/tl-hash.h"
#include "crypto/tl-keys.h"

static gboolean
bad (const char *what, GError **error)
{
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the result is not accepted: %s", what);
  return FALSE;
}

static gboolean
is_one_of (const char *text, const char *const *allowed)
{
  return g_strv_contains (allowed, text);
}

static TlTranscript *
receipt_transcript (const Twinlatch__V1__Receipt *receipt, const TlCapabilityRecord *request, const char *gateway_id)
{
  TlTranscript *transcript = tl_transcript_new ("receipt");
  guint8 digest[TL_SHA256_LENGTH];

  tl_sha256 (request->input, strlen (request->input), digest);
  tl_transcript_add_string (transcript, gateway_id);
  tl_transcript_add_string (transcript, request->device_id);
  tl_transcript_add_string (transcript, request->request_id);
  tl_transcript_add_string (transcript, request->capability);
  tl_transcript_add (transcript, digest, sizeof digest);
  tl_transcript_add_string (transcript, request->requested_by);
  tl_transcript_add_u64 (transcript, (guint64)request->expires_at);
  tl_transcript_add_string (transcript, receipt->decision);
  tl_transcript_add_string (transcript, receipt->by);
  tl_transcript_add_u64 (transcript, (guint64)receipt->time_unix_ms);
  return transcript;
}

static gboolean
check_result_signature (const Twinlatch__V1__SubmitCapabilityResultRequest *result, TlTranscript *receipt,
                        const guint8 identity_public[32])
{
  g_autoptr (TlTranscript) transcript = tl_transcript_new ("result");
  guint8 receipt_digest[TL_SHA256_LENGTH], output_digest[TL_SHA256_LENGTH];
  const guint8 *message;
  gsize length;

  tl_transcript_hash (receipt, receipt_digest);
  tl_sha256 (result->output, strlen (result->output), output_digest);
  if (result->output_sha256.len != TL_SHA256_LENGTH
      || memcmp (result->output_sha256.data, output_digest, TL_SHA256_LENGTH) != 0)
    return FALSE;
  tl_transcript_add_string (transcript, result->request_id);
  tl_transcript_add (transcript, receipt_digest, sizeof receipt_digest);
  tl_transcript_add (transcript, output_digest, sizeof output_digest);
  message = tl_transcript_data (transcript, &length);
  return tl_ed25519_verify (identity_public, TL_ED25519_PUBLIC_LENGTH, message, length, result->result_signature.data,
                            result->result_signature.len);
}

gboolean
tl_receipt_check (const Twinlatch__V1__SubmitCapabilityResultRequest *result, const TlCapabilityRecord *request,
                  const char *gateway_id, const guint8 identity_public[32], GError **error)
{
  static const char *const decisions[] = { "allowed", "denied", NULL };
  static const char *const deciders[] = { "user", "policy", "timeout", "absent", NULL };
  const Twinlatch__V1__Receipt *receipt = result->receipt;
  g_autoptr (TlTranscript) transcript = NULL;
  const guint8 *message;
  gsize length;

  if (receipt == NULL)
    return bad ("it carries no receipt", error);
  if (!g_str_equal (receipt->alg, "ed25519"))
    return bad ("its receipt is signed with an unknown algorithm", error);
  if (!is_one_of (receipt->decision, decisions) || !is_one_of (receipt->by, deciders))
    return bad ("its receipt says something unknown", error);
  if (result->success && !g_str_equal (receipt->decision, "allowed"))
    return bad ("it succeeded although its receipt says denied", error);
  transcript = receipt_transcript (receipt, request, gateway_id);
  message = tl_transcript_data (transcript, &length);
  if (!tl_ed25519_verify (identity_public, TL_ED25519_PUBLIC_LENGTH, message, length, receipt->signature.data,
                          receipt->signature.len))
    return bad ("its receipt's signature does not verify", error);
  if (!check_result_signature (result, transcript, identity_public))
    return bad ("its signature does not verify", error);
  return TRUE;
}
