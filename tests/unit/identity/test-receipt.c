/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "identity/tl-receipt.h"

/* Signatures over receipts and results, for trees of every size. What a gateway accepts is
 * daemon/test-receipt-check.c's.
 */
typedef struct
{
  TlDeviceIdentity *identity;
  TlResultSubject results[TL_RESULT_TREE_MAX_LEAVES];
  TlResultProof proofs[TL_RESULT_TREE_MAX_LEAVES];
  guint8 signature[TL_SIGNATURE_LENGTH];
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (TlRandom) random = tl_random_new_test (11);

  f->identity = tl_device_identity_new (1000, random, NULL);
  for (guint i = 0; i < TL_RESULT_TREE_MAX_LEAVES; i++)
    {
      f->results[i].request_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
      memset (f->results[i].receipt_hash, (int)i, TL_SHA256_LENGTH);
      memset (f->results[i].output_sha256, (int)(255 - i), TL_SHA256_LENGTH);
    }
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  tl_device_identity_free (f->identity);
}

static gboolean
verifies (Fixture *f, const TlResultSubject *result, const TlResultProof *proof)
{
  return tl_result_verify (result, proof->steps, proof->length, tl_device_identity_public (f->identity), f->signature,
                           NULL);
}

static void
sign (Fixture *f, guint n)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (tl_results_sign (f->results, n, f->identity, f->signature, f->proofs, &error));
  g_assert_no_error (error);
}

/* Every leaf has a proof of its own, which is nobody else's; one that was not signed has none. */
static void
test_sizes (Fixture *f, gconstpointer data)
{
  for (guint n = 1; n <= 40; n++)
    {
      TlResultSubject other = f->results[n];

      sign (f, n);
      for (guint i = 0; i < n; i++)
        {
          g_assert_true (verifies (f, &f->results[i], &f->proofs[i]));
          g_assert_false (verifies (f, &f->results[(i + 1) % n == i ? n : (i + 1) % n], &f->proofs[i]));
          g_assert_false (verifies (f, &other, &f->proofs[i]));
        }
    }
}

static void
test_largest (Fixture *f, gconstpointer data)
{
  sign (f, TL_RESULT_TREE_MAX_LEAVES);
  for (guint i = 0; i < TL_RESULT_TREE_MAX_LEAVES; i++)
    {
      g_assert_cmpuint (f->proofs[i].length, ==, TL_RESULT_TREE_MAX_PROOF);
      g_assert_true (verifies (f, &f->results[i], &f->proofs[i]));
    }
}

/* A root's signature is not one of a result, and an inner node is no leaf. */
static void
test_purposes (Fixture *f, gconstpointer data)
{
  TlResultProof shorter;

  sign (f, 4);
  for (guint i = 0; i < 4; i++)
    {
      shorter = f->proofs[i];
      for (shorter.length = 0; shorter.length < f->proofs[i].length; shorter.length += TL_RESULT_TREE_STEP)
        g_assert_false (verifies (f, &f->results[i], &shorter));
    }
  sign (f, 1);
  g_assert_cmpuint (f->proofs[0].length, ==, 0);
  f->proofs[0].length = TL_RESULT_TREE_STEP;
  g_assert_false (verifies (f, &f->results[0], &f->proofs[0]));
}

/* Remembered is what verified, for that key and that signature. */
static void
test_remembered (Fixture *f, gconstpointer data)
{
  const guint8 *public_key = tl_device_identity_public (f->identity);
  TlVerifiedRoot last = { 0 };
  guint8 other_key[32], bad[TL_SIGNATURE_LENGTH];

  memcpy (other_key, public_key, sizeof other_key);
  other_key[5] ^= 1;
  sign (f, 3);
  memcpy (bad, f->signature, sizeof bad);
  bad[0] ^= 1;
  for (guint i = 0; i < 3; i++)
    {
      const TlResultProof *proof = &f->proofs[i];

      g_assert_false (tl_result_verify (&f->results[i], proof->steps, proof->length, public_key, bad, &last));
      g_assert_true (last.known == (i > 0));
      g_assert_true (tl_result_verify (&f->results[i], proof->steps, proof->length, public_key, f->signature, &last));
      g_assert_true (last.known);
      g_assert_false (tl_result_verify (&f->results[i], proof->steps, proof->length, other_key, f->signature, &last));
      g_assert_false (tl_result_verify (&f->results[3], proof->steps, proof->length, public_key, f->signature, &last));
    }
}

static void
test_receipt (Fixture *f, gconstpointer data)
{
  const TlReceiptSubject subject = { "gateway", "device", "request", "echo" };
  const TlReceiptSubject another = { "gateway", "device", "another", "echo" };
  const guint8 *public_key = tl_device_identity_public (f->identity);
  g_autoptr (TlReceipt) receipt = tl_receipt_new (TRUE, "policy", "{}", "uid:0", 5000, 4000);
  g_autoptr (TlReceipt) again = NULL;
  g_autoptr (GError) error = NULL;
  tl_json_auto kept = NULL;

  g_assert_false (receipt->is_signed);
  g_assert_false (tl_receipt_verify (receipt, &subject, public_key));
  g_assert_true (tl_receipt_sign (receipt, &subject, f->identity, &error));
  kept = tl_receipt_to_json (receipt);
  again = tl_receipt_from_json (kept, &error);
  g_assert_no_error (error);
  g_assert_true (tl_receipt_verify (again, &subject, public_key));
  g_assert_false (tl_receipt_verify (again, &another, public_key));
}

#define ADD(name, func) g_test_add ("/receipt/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("6-sizes", test_sizes);
  ADD ("6-largest", test_largest);
  ADD ("6-purposes", test_purposes);
  ADD ("6-remembered", test_remembered);
  ADD ("receipt", test_receipt);
  return g_test_run ();
}
