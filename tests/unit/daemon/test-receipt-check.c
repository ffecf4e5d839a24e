/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "crypto/tl-hash.h"
#include "crypto/tl-keys.h"
#include "daemon/tl-receipt-check.h"

#define GATEWAY "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define DEVICE  "01ARZ3NDEKTSV4RRFFQ69G5FAW"
#define REQUEST "01ARZ3NDEKTSV4RRFFQ69G5FAX"

/* A device of this test's own: it signs what PROTOCOL 6 says, written down here a second time. */
typedef struct
{
  TlSecret *seed;
  guint8 identity[TL_ED25519_PUBLIC_LENGTH];
  TlCapabilityRecord request;
  Twinlatch__V1__SubmitCapabilityResultRequest result;
  Twinlatch__V1__Receipt receipt;
  guint8 receipt_signature[64], result_signature[64], output_sha256[TL_SHA256_LENGTH];
  guint8 receipt_hash[TL_SHA256_LENGTH];
  guint8 proof[2 * 33];
  TlVerifiedRoot last;
} Fixture;

static void
sign_all (Fixture *f)
{
  g_autoptr (TlTranscript) receipt = tl_transcript_new ("receipt");
  g_autoptr (TlTranscript) result = tl_transcript_new ("result");
  guint8 digest[TL_SHA256_LENGTH];
  const guint8 *data;
  gsize length;

  tl_transcript_add_string (receipt, GATEWAY);
  tl_transcript_add_string (receipt, f->request.device_id);
  tl_transcript_add_string (receipt, f->request.request_id);
  tl_transcript_add_string (receipt, f->request.capability);
  tl_sha256 (f->request.input, strlen (f->request.input), digest);
  tl_transcript_add (receipt, digest, sizeof digest);
  tl_transcript_add_string (receipt, f->request.requested_by);
  tl_transcript_add_u64 (receipt, (guint64)f->request.expires_at);
  tl_transcript_add_string (receipt, f->receipt.decision);
  tl_transcript_add_string (receipt, f->receipt.by);
  tl_transcript_add_u64 (receipt, (guint64)f->receipt.time_unix_ms);
  data = tl_transcript_data (receipt, &length);
  g_assert_true (tl_ed25519_sign (f->seed, data, length, f->receipt_signature, NULL));

  tl_sha256 (f->result.output, strlen (f->result.output), f->output_sha256);
  tl_transcript_hash (receipt, f->receipt_hash);
  tl_transcript_add_string (result, f->request.request_id);
  tl_transcript_add (result, f->receipt_hash, sizeof f->receipt_hash);
  tl_transcript_add (result, f->output_sha256, sizeof f->output_sha256);
  data = tl_transcript_data (result, &length);
  g_assert_true (tl_ed25519_sign (f->seed, data, length, f->result_signature, NULL));
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (TlRandom) random = tl_random_new_test (5);

  g_assert_true (tl_ed25519_generate (random, &f->seed, f->identity, NULL));
  f->request = (TlCapabilityRecord){ .request_id = (char *)REQUEST,
                                     .device_id = (char *)DEVICE,
                                     .capability = (char *)"echo",
                                     .input = (char *)"{}",
                                     .requested_by = (char *)"uid:0",
                                     .expires_at = 5000 };
  twinlatch__v1__receipt__init (&f->receipt);
  twinlatch__v1__submit_capability_result_request__init (&f->result);
  f->receipt.alg = (char *)"ed25519";
  f->receipt.decision = (char *)"allowed";
  f->receipt.by = (char *)"policy";
  f->receipt.time_unix_ms = 4000;
  f->receipt.signature = (ProtobufCBinaryData){ sizeof f->receipt_signature, f->receipt_signature };
  f->result.receipt = &f->receipt;
  f->result.request_id = (char *)REQUEST;
  f->result.success = TRUE;
  f->result.output = (char *)"{\"a\":1}";
  f->result.output_sha256 = (ProtobufCBinaryData){ sizeof f->output_sha256, f->output_sha256 };
  f->result.result_signature = (ProtobufCBinaryData){ sizeof f->result_signature, f->result_signature };
  sign_all (f);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  tl_secret_unref (f->seed);
}

/* What the gateway keeps proves the decision without the rest. */
static void
assert_record (Fixture *f, GBytes *record)
{
  gsize length = 0;
  const guint8 *data = g_bytes_get_data (record, &length);
  Twinlatch__V1__Receipt *kept = twinlatch__v1__receipt__unpack (NULL, length, data);

  g_assert_nonnull (kept);
  g_assert_cmpstr (kept->decision, ==, f->receipt.decision);
  g_assert_cmpstr (kept->requested_by, ==, f->request.requested_by);
  g_assert_cmpint (kept->expires_at_unix_ms, ==, f->request.expires_at);
  g_assert_cmpmem (kept->signature.data, kept->signature.len, f->receipt.signature.data, f->receipt.signature.len);
  g_assert_cmpmem (kept->result_signature.data, kept->result_signature.len, f->result_signature, 64);
  g_assert_cmpmem (kept->result_proof.data, kept->result_proof.len, f->result.result_proof.data,
                   f->result.result_proof.len);
  g_assert_cmpmem (kept->output_sha256.data, kept->output_sha256.len, f->output_sha256, 32);
  twinlatch__v1__receipt__free_unpacked (kept, NULL);
}

static gboolean
accepted (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  TlCheckedReceipt checked = { 0 };
  gboolean ok = tl_receipt_check (&f->result, &f->request, GATEWAY, f->identity, &f->last, &checked, &error);

  if (ok)
    {
      g_assert_cmpmem (checked.receipt_hash, TL_SHA256_LENGTH, f->receipt_hash, TL_SHA256_LENGTH);
      assert_record (f, checked.record);
      g_bytes_unref (checked.record);
      return TRUE;
    }
  g_assert_null (checked.record);
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  return FALSE;
}

static void
test_good (Fixture *f, gconstpointer data)
{
  g_assert_true (accepted (f));
}

static void
test_missing (Fixture *f, gconstpointer data)
{
  f->result.receipt = NULL;
  g_assert_false (accepted (f));
}

/* The result's signature over a tree of three leaves, of which ours is the middle one, written down a second time. */
static void
sign_together (Fixture *f)
{
  g_autoptr (TlTranscript) leaf = tl_transcript_new ("result");
  g_autoptr (TlTranscript) pair = tl_transcript_new ("results-node");
  g_autoptr (TlTranscript) top = tl_transcript_new ("results-node");
  g_autoptr (TlTranscript) root = tl_transcript_new ("results");
  guint8 left[32], right[32], ours[32], digest[32];
  const guint8 *data;
  gsize length;

  memset (left, 0x11, sizeof left);
  memset (right, 0x22, sizeof right);
  tl_transcript_add_string (leaf, f->request.request_id);
  tl_transcript_add (leaf, f->receipt_hash, sizeof f->receipt_hash);
  tl_transcript_add (leaf, f->output_sha256, sizeof f->output_sha256);
  tl_transcript_hash (leaf, ours);
  tl_transcript_add (pair, left, sizeof left);
  tl_transcript_add (pair, ours, sizeof ours);
  tl_transcript_hash (pair, digest);
  tl_transcript_add (top, digest, sizeof digest);
  tl_transcript_add (top, right, sizeof right);
  tl_transcript_hash (top, digest);
  tl_transcript_add (root, digest, sizeof digest);
  data = tl_transcript_data (root, &length);
  g_assert_true (tl_ed25519_sign (f->seed, data, length, f->result_signature, NULL));
  f->proof[0] = 0;
  memcpy (f->proof + 1, left, sizeof left);
  f->proof[33] = 1;
  memcpy (f->proof + 34, right, sizeof right);
  f->result.result_proof = (ProtobufCBinaryData){ sizeof f->proof, f->proof };
}

static void
be_alone (Fixture *f)
{
}

static void
be_unsigned (Fixture *f)
{
  f->receipt.signature = (ProtobufCBinaryData){ 0, NULL };
}

static void
be_together (Fixture *f)
{
  be_unsigned (f);
  sign_together (f);
  g_assert_true (accepted (f)); /* and it is remembered that this root is signed */
}

/* Each way in which a result may prove its receipt. */
static void (*const ways[]) (Fixture *f) = { be_alone, be_unsigned, be_together };

static void
test_ways (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < G_N_ELEMENTS (ways); i++)
    {
      ways[i](f);
      g_assert_true (accepted (f));
    }
}

/* Without a signature of its own a receipt hangs on the result's. */
static void
test_no_signature_at_all (Fixture *f, gconstpointer data)
{
  be_unsigned (f);
  f->result_signature[3] ^= 1;
  g_assert_false (accepted (f));
  f->result.result_signature = (ProtobufCBinaryData){ 0, NULL };
  g_assert_false (accepted (f));
}

/* One bit of proof or signature, a step less or more, another way up. */
static void
test_proof (Fixture *f, gconstpointer data)
{
  be_together (f);
  for (guint i = 0; i < sizeof f->proof; i++)
    {
      f->proof[i] ^= 1;
      g_assert_false (accepted (f));
      f->proof[i] ^= 3;
      g_assert_false (accepted (f));
      f->proof[i] ^= 2;
    }
  for (guint length = 0; length < sizeof f->proof; length++)
    {
      f->result.result_proof.len = length;
      g_assert_false (accepted (f));
    }
  f->result.result_proof.len = sizeof f->proof;
  f->result_signature[0] ^= 1; /* another than the one that is remembered */
  g_assert_false (accepted (f));
  f->result_signature[0] ^= 1;
  g_assert_true (accepted (f));
  f->identity[0] ^= 1;
  g_assert_false (accepted (f));
}

/* A proof of more steps than a tree can have is not walked. */
static void
test_long_proof (Fixture *f, gconstpointer data)
{
  static guint8 steps[9 * 33];

  f->result.result_proof = (ProtobufCBinaryData){ sizeof steps, steps };
  g_assert_false (accepted (f));
}

/* Everything the signature covers: changed on the gateway's side, it does not verify. */
static void
assert_bound (Fixture *f)
{
  TlCapabilityRecord good = f->request;

  f->request.request_id = (char *)DEVICE;
  g_assert_false (accepted (f));
  f->request = good;
  f->request.device_id = (char *)REQUEST;
  g_assert_false (accepted (f));
  f->request = good;
  f->request.capability = (char *)"fs.read";
  g_assert_false (accepted (f));
  f->request = good;
  f->request.input = (char *)"{ }";
  g_assert_false (accepted (f));
  f->request = good;
  f->request.requested_by = (char *)"uid:1";
  g_assert_false (accepted (f));
  f->request = good;
  f->request.expires_at++;
  g_assert_false (accepted (f));
  f->request = good;
  f->receipt.time_unix_ms++;
  g_assert_false (accepted (f));
  f->receipt.time_unix_ms--;
  f->receipt.by = (char *)"user"; /* the gateway cannot claim that the user agreed */
  g_assert_false (accepted (f));
  f->receipt.by = (char *)"policy";
  f->receipt.decision = (char *)"denied";
  f->result.success = FALSE;
  g_assert_false (accepted (f));
  f->receipt.decision = (char *)"allowed";
  f->result.success = TRUE;
  g_assert_true (accepted (f));
}

static void
test_bound (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < G_N_ELEMENTS (ways); i++)
    {
      ways[i](f);
      assert_bound (f);
    }
}

static void
test_output (Fixture *f, gconstpointer data)
{
  const char *good = f->result.output;

  for (guint i = 0; i < G_N_ELEMENTS (ways); i++)
    {
      ways[i](f);
      f->result.output = (char *)"{\"a\":2}";
      g_assert_false (accepted (f));
      tl_sha256 (f->result.output, strlen (f->result.output), f->output_sha256);
      g_assert_false (accepted (f));
      f->result.output = (char *)good;
      tl_sha256 (good, strlen (good), f->output_sha256);
      g_assert_true (accepted (f));
    }
}

static void
test_denied_does_not_succeed (Fixture *f, gconstpointer data)
{
  f->receipt.decision = (char *)"denied";
  sign_all (f);
  g_assert_false (accepted (f));
  f->result.success = FALSE;
  g_assert_true (accepted (f));
}

static void
test_other_key (Fixture *f, gconstpointer data)
{
  f->identity[0] ^= 1;
  g_assert_false (accepted (f));
}

static void
test_unknown_words (Fixture *f, gconstpointer data)
{
  f->receipt.by = (char *)"gateway";
  sign_all (f);
  g_assert_false (accepted (f));
  f->receipt.by = (char *)"policy";
  f->receipt.alg = (char *)"none";
  sign_all (f);
  g_assert_false (accepted (f));
}

#define ADD(name, func) g_test_add ("/receipt-check/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("good", test_good);
  ADD ("missing", test_missing);
  ADD ("6-ways", test_ways);
  ADD ("6-no-signature-at-all", test_no_signature_at_all);
  ADD ("6-proof", test_proof);
  ADD ("6-long-proof", test_long_proof);
  ADD ("6-bound", test_bound);
  ADD ("6-output", test_output);
  ADD ("6-denied-does-not-succeed", test_denied_does_not_succeed);
  ADD ("other-key", test_other_key);
  ADD ("unknown-words", test_unknown_words);
  return g_test_run ();
}
