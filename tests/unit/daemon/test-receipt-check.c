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
  tl_transcript_hash (receipt, digest);
  tl_transcript_add_string (result, f->request.request_id);
  tl_transcript_add (result, digest, sizeof digest);
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

static gboolean
accepted (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  gboolean ok = tl_receipt_check (&f->result, &f->request, GATEWAY, f->identity, &error);

  if (!ok)
    g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  return ok;
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

/* Everything the signature covers: changed on the gateway's side, it does not verify. */
static void
test_bound (Fixture *f, gconstpointer data)
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
  g_assert_true (accepted (f));
}

static void
test_output (Fixture *f, gconstpointer data)
{
  f->result.output = (char *)"{\"a\":2}";
  g_assert_false (accepted (f));
  tl_sha256 (f->result.output, strlen (f->result.output), f->output_sha256);
  g_assert_false (accepted (f));
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
  ADD ("6-bound", test_bound);
  ADD ("6-output", test_output);
  ADD ("6-denied-does-not-succeed", test_denied_does_not_succeed);
  ADD ("other-key", test_other_key);
  ADD ("unknown-words", test_unknown_words);
  return g_test_run ();
}
