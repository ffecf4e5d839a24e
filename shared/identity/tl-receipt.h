/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-json.h"
#include "crypto/tl-hash.h"
#include "identity/tl-device-identity.h"
#include "identity/tl-result-tree.h"

G_BEGIN_DECLS

/*
 * TlReceipt: what this device decided about one request, signed with its identity key (PROTOCOL 6), and the signature
 * over the result that refers to it. Values, immutable once made. Thread: any.
 */
#define TL_RECEIPT_ALG      "ed25519"
#define TL_SIGNATURE_LENGTH 64

/* What was decided about. Borrowed strings. */
typedef struct
{
  const char *gateway_id;
  const char *device_id;
  const char *request_id;
  const char *capability;
} TlReceiptSubject;

typedef struct
{
  gboolean allowed; /* decision: "allowed" | "denied" */
  char *by;         /* "policy" | "user" | "timeout" | "absent" */
  gint64 time_ms;
  char *requested_by;
  gint64 expires_at_ms;
  guint8 input_sha256[TL_SHA256_LENGTH];
  /* One that has to outlive a crash before there is a result is signed by itself; any other is proven by the signature
   * over the result, which covers H(receipt). */
  gboolean is_signed;
  guint8 signature[TL_SIGNATURE_LENGTH];
} TlReceipt;

/* "allowed" or "denied", as it is signed and sent. */
const char *tl_receipt_decision (const TlReceipt *receipt);

/* Unsigned. */
TlReceipt *tl_receipt_new (gboolean allowed, const char *by, const char *input, const char *requested_by,
                           gint64 expires_at_ms, gint64 now_ms);
gboolean tl_receipt_sign (TlReceipt *receipt, const TlReceiptSubject *subject, TlDeviceIdentity *identity,
                          GError **error);
TlReceipt *tl_receipt_copy (const TlReceipt *receipt);
void tl_receipt_free (TlReceipt *receipt);
/* FALSE for one that is not signed, too. */
gboolean tl_receipt_verify (const TlReceipt *receipt, const TlReceiptSubject *subject,
                            const guint8 identity_public[32]);
/* H(receipt): SHA-256 of the bytes that were signed. */
void tl_receipt_hash (const TlReceipt *receipt, const TlReceiptSubject *subject, guint8 digest[TL_SHA256_LENGTH]);

/* For the request journal: signed ones. */
json_t *tl_receipt_to_json (const TlReceipt *receipt);
TlReceipt *tl_receipt_from_json (const json_t *object, GError **error);

/* ---- results: one signature for each, or one for many ---- */

typedef struct
{
  const char *request_id;
  guint8 receipt_hash[TL_SHA256_LENGTH];
  guint8 output_sha256[TL_SHA256_LENGTH];
} TlResultSubject;

/* One result: Ed25519 over (`result`, request_id, H(receipt), output_sha256), and its proof is empty. More: over
 * (`results`, root) of the tree with H of the same as leaves. n in 1..TL_RESULT_TREE_MAX_LEAVES; proofs: n. */
gboolean tl_results_sign (const TlResultSubject *results, guint n, TlDeviceIdentity *identity,
                          guint8 signature[TL_SIGNATURE_LENGTH], TlResultProof *proofs, GError **error);

/* The signature that verified last: the next result of the same tree needs no other look at it. Zero it first. */
typedef struct
{
  gboolean known;
  TlResultLeaf root;
  guint8 identity_public[32];
  guint8 signature[TL_SIGNATURE_LENGTH];
} TlVerifiedRoot;

/* last may be NULL. */
gboolean tl_result_verify (const TlResultSubject *result, const guint8 *proof, gsize proof_length,
                           const guint8 identity_public[32], const guint8 signature[TL_SIGNATURE_LENGTH],
                           TlVerifiedRoot *last);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlReceipt, tl_receipt_free)

G_END_DECLS
