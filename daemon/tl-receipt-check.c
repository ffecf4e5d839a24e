/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-receipt-check.h"

#include <string.h>

#include "base/tl-error.h"

static gboolean
bad (const char *what, GError **error)
{
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the result is not accepted: %s", what);
  return FALSE;
}

/* The receipt as the gateway knows the request: what the device claims of input, requester and expiry is not read at
 * all. */
static TlReceipt *
rebuild (const Twinlatch__V1__Receipt *message, const TlCapabilityRecord *request)
{
  TlReceipt *receipt = g_new0 (TlReceipt, 1);

  receipt->allowed = g_str_equal (message->decision, "allowed");
  receipt->by = g_strdup (message->by);
  receipt->time_ms = message->time_unix_ms;
  receipt->requested_by = g_strdup (request->requested_by);
  receipt->expires_at_ms = request->expires_at;
  tl_sha256 (request->input, strlen (request->input), receipt->input_sha256);
  receipt->is_signed = message->signature.len != 0;
  if (receipt->is_signed)
    memcpy (receipt->signature, message->signature.data, sizeof receipt->signature);
  return receipt;
}

static gboolean
check_result (const Twinlatch__V1__SubmitCapabilityResultRequest *result, const TlResultSubject *subject,
              const guint8 identity_public[32], TlVerifiedRoot *last)
{
  return result->output_sha256.len == TL_SHA256_LENGTH && result->result_signature.len == TL_SIGNATURE_LENGTH
         && memcmp (result->output_sha256.data, subject->output_sha256, TL_SHA256_LENGTH) == 0
         && tl_result_verify (subject, result->result_proof.data, result->result_proof.len, identity_public,
                              result->result_signature.data, last);
}

/* Only what was checked: a receipt as it came may carry anything in fields that this version does not know. */
static GBytes *
pack_record (const Twinlatch__V1__SubmitCapabilityResultRequest *result, const TlReceipt *receipt)
{
  Twinlatch__V1__Receipt record = TWINLATCH__V1__RECEIPT__INIT;
  gsize length;
  guint8 *packed;

  record.alg = (char *)TL_RECEIPT_ALG;
  record.decision = (char *)tl_receipt_decision (receipt);
  record.by = receipt->by;
  record.time_unix_ms = receipt->time_ms;
  record.requested_by = receipt->requested_by;
  record.expires_at_unix_ms = receipt->expires_at_ms;
  record.input_sha256 = (ProtobufCBinaryData){ TL_SHA256_LENGTH, (guint8 *)receipt->input_sha256 };
  record.signature = result->receipt->signature;
  record.output_sha256 = result->output_sha256;
  record.result_signature = result->result_signature;
  record.result_proof = result->result_proof;
  length = twinlatch__v1__receipt__get_packed_size (&record);
  packed = g_malloc (length);
  twinlatch__v1__receipt__pack (&record, packed);
  return g_bytes_new_take (packed, length);
}

gboolean
tl_receipt_check (const Twinlatch__V1__SubmitCapabilityResultRequest *result, const TlCapabilityRecord *request,
                  const char *gateway_id, const guint8 identity_public[32], TlVerifiedRoot *last,
                  TlCheckedReceipt *checked, GError **error)
{
  static const char *const decisions[] = { "allowed", "denied", NULL };
  static const char *const deciders[] = { "user", "policy", "timeout", "absent", NULL };
  const Twinlatch__V1__Receipt *message = result->receipt;
  TlReceiptSubject subject = { .gateway_id = gateway_id,
                               .device_id = request->device_id,
                               .request_id = request->request_id,
                               .capability = request->capability };
  TlResultSubject subject_of_result = { .request_id = request->request_id };
  g_autoptr (TlReceipt) receipt = NULL;

  if (message == NULL)
    return bad ("it carries no receipt", error);
  if (!g_str_equal (message->alg, TL_RECEIPT_ALG))
    return bad ("its receipt is signed with an unknown algorithm", error);
  if (!g_strv_contains (decisions, message->decision) || !g_strv_contains (deciders, message->by))
    return bad ("its receipt says something unknown", error);
  if (result->success && !g_str_equal (message->decision, "allowed"))
    return bad ("it succeeded although its receipt says denied", error);
  if (message->signature.len != 0 && message->signature.len != TL_SIGNATURE_LENGTH)
    return bad ("its receipt's signature has the wrong size", error);
  receipt = rebuild (message, request);
  if (receipt->is_signed && !tl_receipt_verify (receipt, &subject, identity_public))
    return bad ("its receipt's signature does not verify", error);
  tl_receipt_hash (receipt, &subject, subject_of_result.receipt_hash);
  tl_sha256 (result->output, strlen (result->output), subject_of_result.output_sha256);
  if (!check_result (result, &subject_of_result, identity_public, last))
    return bad ("its signature does not verify", error);
  memcpy (checked->receipt_hash, subject_of_result.receipt_hash, TL_SHA256_LENGTH);
  checked->record = pack_record (result, receipt);
  return TRUE;
}
