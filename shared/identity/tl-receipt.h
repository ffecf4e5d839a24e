/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-json.h"
#include "crypto/tl-hash.h"
#include "identity/tl-device-identity.h"

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
  guint8 signature[TL_SIGNATURE_LENGTH];
} TlReceipt;

/* "allowed" or "denied", as it is signed and sent. */
const char *tl_receipt_decision (const TlReceipt *receipt);

TlReceipt *tl_receipt_new (const TlReceiptSubject *subject, gboolean allowed, const char *by, const char *input,
                           const char *requested_by, gint64 expires_at_ms, gint64 now_ms, TlDeviceIdentity *identity,
                           GError **error);
TlReceipt *tl_receipt_copy (const TlReceipt *receipt);
void tl_receipt_free (TlReceipt *receipt);
gboolean tl_receipt_verify (const TlReceipt *receipt, const TlReceiptSubject *subject,
                            const guint8 identity_public[32]);
/* H(receipt): SHA-256 of the bytes that were signed. */
void tl_receipt_hash (const TlReceipt *receipt, const TlReceiptSubject *subject, guint8 digest[TL_SHA256_LENGTH]);

/* For the request journal. */
json_t *tl_receipt_to_json (const TlReceipt *receipt);
TlReceipt *tl_receipt_from_json (const json_t *object, GError **error);

/* Ed25519 over (`result`, request_id, H(receipt), output_sha256). */
gboolean tl_result_sign (const char *request_id, const guint8 receipt_hash[TL_SHA256_LENGTH],
                         const guint8 output_sha256[TL_SHA256_LENGTH], TlDeviceIdentity *identity,
                         guint8 signature[TL_SIGNATURE_LENGTH], GError **error);
gboolean tl_result_verify (const char *request_id, const guint8 receipt_hash[TL_SHA256_LENGTH],
                           const guint8 output_sha256[TL_SHA256_LENGTH], const guint8 identity_public[32],
                           const guint8 signature[TL_SIGNATURE_LENGTH]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlReceipt, tl_receipt_free)

G_END_DECLS
