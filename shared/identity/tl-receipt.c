/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tl-receipt.h"

#include <string.h>

#include "base/tl-error.h"
#include "crypto/tl-keys.h"

const char *
tl_receipt_decision (const TlReceipt *receipt)
{
  return receipt->allowed ? "allowed" : "denied";
}

static TlTranscript *
receipt_transcript (const TlReceipt *receipt, const TlReceiptSubject *subject)
{
  TlTranscript *transcript = tl_transcript_new ("receipt");

  tl_transcript_add_string (transcript, subject->gateway_id);
  tl_transcript_add_string (transcript, subject->device_id);
  tl_transcript_add_string (transcript, subject->request_id);
  tl_transcript_add_string (transcript, subject->capability);
  tl_transcript_add (transcript, receipt->input_sha256, sizeof receipt->input_sha256);
  tl_transcript_add_string (transcript, receipt->requested_by);
  tl_transcript_add_u64 (transcript, (guint64)receipt->expires_at_ms);
  tl_transcript_add_string (transcript, tl_receipt_decision (receipt));
  tl_transcript_add_string (transcript, receipt->by);
  tl_transcript_add_u64 (transcript, (guint64)receipt->time_ms);
  return transcript;
}

static TlTranscript *
result_transcript (const char *request_id, const guint8 *receipt_hash, const guint8 *output_sha256)
{
  TlTranscript *transcript = tl_transcript_new ("result");

  tl_transcript_add_string (transcript, request_id);
  tl_transcript_add (transcript, receipt_hash, TL_SHA256_LENGTH);
  tl_transcript_add (transcript, output_sha256, TL_SHA256_LENGTH);
  return transcript;
}

static gboolean
sign (TlTranscript *transcript, TlDeviceIdentity *identity, guint8 signature[TL_SIGNATURE_LENGTH], GError **error)
{
  gsize length;
  const guint8 *data = tl_transcript_data (transcript, &length);

  return tl_device_identity_sign (identity, data, length, signature, error);
}

static gboolean
verify (TlTranscript *transcript, const guint8 *identity_public, const guint8 *signature)
{
  gsize length;
  const guint8 *data = tl_transcript_data (transcript, &length);

  return tl_ed25519_verify (identity_public, TL_ED25519_PUBLIC_LENGTH, data, length, signature, TL_SIGNATURE_LENGTH);
}

TlReceipt *
tl_receipt_new (const TlReceiptSubject *subject, gboolean allowed, const char *by, const char *input,
                const char *requested_by, gint64 expires_at_ms, gint64 now_ms, TlDeviceIdentity *identity,
                GError **error)
{
  g_autoptr (TlReceipt) receipt = g_new0 (TlReceipt, 1);
  g_autoptr (TlTranscript) transcript = NULL;

  receipt->allowed = allowed;
  receipt->by = g_strdup (by);
  receipt->time_ms = now_ms;
  receipt->requested_by = g_strdup (requested_by);
  receipt->expires_at_ms = expires_at_ms;
  tl_sha256 (input, strlen (input), receipt->input_sha256);
  transcript = receipt_transcript (receipt, subject);
  if (!sign (transcript, identity, receipt->signature, error))
    return NULL;
  return g_steal_pointer (&receipt);
}

TlReceipt *
tl_receipt_copy (const TlReceipt *receipt)
{
  TlReceipt *copy = g_memdup2 (receipt, sizeof *receipt);

  copy->by = g_strdup (receipt->by);
  copy->requested_by = g_strdup (receipt->requested_by);
  return copy;
}

void
tl_receipt_free (TlReceipt *receipt)
{
  if (receipt == NULL)
    return;
  g_free (receipt->by);
  g_free (receipt->requested_by);
  g_free (receipt);
}

gboolean
tl_receipt_verify (const TlReceipt *receipt, const TlReceiptSubject *subject, const guint8 identity_public[32])
{
  g_autoptr (TlTranscript) transcript = receipt_transcript (receipt, subject);

  return verify (transcript, identity_public, receipt->signature);
}

void
tl_receipt_hash (const TlReceipt *receipt, const TlReceiptSubject *subject, guint8 digest[TL_SHA256_LENGTH])
{
  g_autoptr (TlTranscript) transcript = receipt_transcript (receipt, subject);

  tl_transcript_hash (transcript, digest);
}

json_t *
tl_receipt_to_json (const TlReceipt *receipt)
{
  g_autofree char *input = tl_hex_encode (receipt->input_sha256, sizeof receipt->input_sha256);
  g_autofree char *signature = tl_hex_encode (receipt->signature, sizeof receipt->signature);

  return json_pack ("{s:s, s:s, s:s, s:I, s:s, s:I, s:s, s:s}", "alg", TL_RECEIPT_ALG, "decision",
                    tl_receipt_decision (receipt), "by", receipt->by, "time", (json_int_t)receipt->time_ms,
                    "requested_by", receipt->requested_by, "expires_at", (json_int_t)receipt->expires_at_ms,
                    "input_sha256", input, "signature", signature);
}

TlReceipt *
tl_receipt_from_json (const json_t *object, GError **error)
{
  g_autoptr (TlReceipt) receipt = g_new0 (TlReceipt, 1);
  const char *alg, *decision, *by, *requested_by, *input, *signature;

  if (!tl_json_get_string (object, "alg", TRUE, &alg, error)
      || !tl_json_get_string (object, "decision", TRUE, &decision, error)
      || !tl_json_get_string (object, "by", TRUE, &by, error)
      || !tl_json_get_int (object, "time", TRUE, 0, TL_JSON_MAX_INTEGER - 1, 0, &receipt->time_ms, error)
      || !tl_json_get_string (object, "requested_by", TRUE, &requested_by, error)
      || !tl_json_get_int (object, "expires_at", TRUE, 0, TL_JSON_MAX_INTEGER - 1, 0, &receipt->expires_at_ms, error)
      || !tl_json_get_string (object, "input_sha256", TRUE, &input, error)
      || !tl_json_get_string (object, "signature", TRUE, &signature, error))
    return NULL;
  receipt->allowed = g_str_equal (decision, "allowed");
  if (!g_str_equal (alg, TL_RECEIPT_ALG) || (!receipt->allowed && !g_str_equal (decision, "denied"))
      || !tl_hex_decode (input, receipt->input_sha256, sizeof receipt->input_sha256)
      || !tl_hex_decode (signature, receipt->signature, sizeof receipt->signature))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the receipt is malformed");
      return NULL;
    }
  receipt->by = g_strdup (by);
  receipt->requested_by = g_strdup (requested_by);
  return g_steal_pointer (&receipt);
}

gboolean
tl_result_sign (const char *request_id, const guint8 receipt_hash[TL_SHA256_LENGTH],
                const guint8 output_sha256[TL_SHA256_LENGTH], TlDeviceIdentity *identity,
                guint8 signature[TL_SIGNATURE_LENGTH], GError **error)
{
  g_autoptr (TlTranscript) transcript = result_transcript (request_id, receipt_hash, output_sha256);

  return sign (transcript, identity, signature, error);
}

gboolean
tl_result_verify (const char *request_id, const guint8 receipt_hash[TL_SHA256_LENGTH],
                  const guint8 output_sha256[TL_SHA256_LENGTH], const guint8 identity_public[32],
                  const guint8 signature[TL_SIGNATURE_LENGTH])
{
  g_autoptr (TlTranscript) transcript = result_transcript (request_id, receipt_hash, output_sha256);

  return verify (transcript, identity_public, signature);
}
