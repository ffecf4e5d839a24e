/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-receipt-check.h"

#include <string.h>

#include "base/tl-error.h"
#include "identity/tl-receipt.h"

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
  memcpy (receipt->signature, message->signature.data, sizeof receipt->signature);
  return receipt;
}

static gboolean
check_result (const Twinlatch__V1__SubmitCapabilityResultRequest *result, const TlReceipt *receipt,
              const TlReceiptSubject *subject, const guint8 identity_public[32])
{
  guint8 receipt_hash[TL_SHA256_LENGTH], output_hash[TL_SHA256_LENGTH];

  tl_sha256 (result->output, strlen (result->output), output_hash);
  tl_receipt_hash (receipt, subject, receipt_hash);
  return result->output_sha256.len == TL_SHA256_LENGTH && result->result_signature.len == TL_SIGNATURE_LENGTH
         && memcmp (result->output_sha256.data, output_hash, TL_SHA256_LENGTH) == 0
         && tl_result_verify (subject->request_id, receipt_hash, output_hash, identity_public,
                              result->result_signature.data);
}

gboolean
tl_receipt_check (const Twinlatch__V1__SubmitCapabilityResultRequest *result, const TlCapabilityRecord *request,
                  const char *gateway_id, const guint8 identity_public[32], GError **error)
{
  static const char *const decisions[] = { "allowed", "denied", NULL };
  static const char *const deciders[] = { "user", "policy", "timeout", "absent", NULL };
  const Twinlatch__V1__Receipt *message = result->receipt;
  TlReceiptSubject subject = { .gateway_id = gateway_id,
                               .device_id = request->device_id,
                               .request_id = request->request_id,
                               .capability = request->capability };
  g_autoptr (TlReceipt) receipt = NULL;

  if (message == NULL)
    return bad ("it carries no receipt", error);
  if (!g_str_equal (message->alg, TL_RECEIPT_ALG))
    return bad ("its receipt is signed with an unknown algorithm", error);
  if (!g_strv_contains (decisions, message->decision) || !g_strv_contains (deciders, message->by))
    return bad ("its receipt says something unknown", error);
  if (result->success && !g_str_equal (message->decision, "allowed"))
    return bad ("it succeeded although its receipt says denied", error);
  if (message->signature.len != TL_SIGNATURE_LENGTH)
    return bad ("its receipt's signature has the wrong size", error);
  receipt = rebuild (message, request);
  if (!tl_receipt_verify (receipt, &subject, identity_public))
    return bad ("its receipt's signature does not verify", error);
  if (!check_result (result, receipt, &subject, identity_public))
    return bad ("its signature does not verify", error);
  return TRUE;
}
