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
result_transcript (const TlResultSubject *result)
{
  TlTranscript *transcript = tl_transcript_new ("result");

  tl_transcript_add_string (transcript, result->request_id);
  tl_transcript_add (transcript, result->receipt_hash, TL_SHA256_LENGTH);
  tl_transcript_add (transcript, result->output_sha256, TL_SHA256_LENGTH);
  return transcript;
}

static TlTranscript *
root_transcript (const TlResultLeaf *root)
{
  TlTranscript *transcript = tl_transcript_new ("results");

  tl_transcript_add (transcript, root->hash, sizeof root->hash);
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
tl_receipt_new (gboolean allowed, const char *by, const char *input, const char *requested_by, gint64 expires_at_ms,
                gint64 now_ms)
{
  TlReceipt *receipt = g_new0 (TlReceipt, 1);

  receipt->allowed = allowed;
  receipt->by = g_strdup (by);
  receipt->time_ms = now_ms;
  receipt->requested_by = g_strdup (requested_by);
  receipt->expires_at_ms = expires_at_ms;
  tl_sha256 (input, strlen (input), receipt->input_sha256);
  return receipt;
}

gboolean
tl_receipt_sign (TlReceipt *receipt, const TlReceiptSubject *subject, TlDeviceIdentity *identity, GError **error)
{
  g_autoptr (TlTranscript) transcript = receipt_transcript (receipt, subject);

  receipt->is_signed = sign (transcript, identity, receipt->signature, error);
  return receipt->is_signed;
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

  return receipt->is_signed && verify (transcript, identity_public, receipt->signature);
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
  receipt->is_signed = TRUE;
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

/* ---- results ---- */

static gboolean
sign_tree (const TlResultSubject *results, guint n, TlDeviceIdentity *identity, guint8 *signature,
           TlResultProof *proofs, GError **error)
{
  TlResultLeaf leaves[TL_RESULT_TREE_MAX_LEAVES], root;
  g_autoptr (TlTranscript) transcript = NULL;

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (TlTranscript) leaf = result_transcript (&results[i]);

      tl_transcript_hash (leaf, leaves[i].hash);
    }
  tl_result_tree_build (leaves, n, proofs, &root);
  transcript = root_transcript (&root);
  return sign (transcript, identity, signature, error);
}

gboolean
tl_results_sign (const TlResultSubject *results, guint n, TlDeviceIdentity *identity,
                 guint8 signature[TL_SIGNATURE_LENGTH], TlResultProof *proofs, GError **error)
{
  g_autoptr (TlTranscript) only = NULL;

  g_assert (n >= 1 && n <= TL_RESULT_TREE_MAX_LEAVES);
  if (n > 1)
    return sign_tree (results, n, identity, signature, proofs, error);
  proofs[0].length = 0;
  only = result_transcript (&results[0]);
  return sign (only, identity, signature, error);
}

static gboolean
is_last (const TlVerifiedRoot *last, const TlResultLeaf *root, const guint8 *identity_public, const guint8 *signature)
{
  return last != NULL && last->known && memcmp (last->root.hash, root->hash, sizeof root->hash) == 0
         && memcmp (last->identity_public, identity_public, sizeof last->identity_public) == 0
         && memcmp (last->signature, signature, sizeof last->signature) == 0;
}

static gboolean
verify_root (const TlResultLeaf *root, const guint8 *identity_public, const guint8 *signature, TlVerifiedRoot *last)
{
  g_autoptr (TlTranscript) transcript = NULL;

  if (is_last (last, root, identity_public, signature))
    return TRUE;
  transcript = root_transcript (root);
  if (!verify (transcript, identity_public, signature))
    return FALSE;
  if (last == NULL)
    return TRUE;
  last->known = TRUE;
  last->root = *root;
  memcpy (last->identity_public, identity_public, sizeof last->identity_public);
  memcpy (last->signature, signature, sizeof last->signature);
  return TRUE;
}

gboolean
tl_result_verify (const TlResultSubject *result, const guint8 *proof, gsize proof_length,
                  const guint8 identity_public[32], const guint8 signature[TL_SIGNATURE_LENGTH], TlVerifiedRoot *last)
{
  g_autoptr (TlTranscript) transcript = result_transcript (result);
  TlResultLeaf leaf, root;

  if (proof_length == 0)
    return verify (transcript, identity_public, signature);
  tl_transcript_hash (transcript, leaf.hash);
  return tl_result_tree_climb (&leaf, proof, proof_length, &root)
         && verify_root (&root, identity_public, signature, last);
}
