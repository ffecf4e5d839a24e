/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-records.h"
#include "identity/tl-receipt.h"
#include "twinlatch/v1/node.pb-c.h"

G_BEGIN_DECLS

/*
 * Receipts and result signatures of nodes (PROTOCOL 6): Ed25519 by the device's identity key over what the agent
 * decided, bound to gateway, device, request, capability and input. Thread: any.
 */

/* What is kept of a result whose signatures verified. */
typedef struct
{
  guint8 receipt_hash[TL_SHA256_LENGTH];
  GBytes *record; /* packed twinlatch.v1.Receipt with what proves it: a receipt alone, or the result over it */
} TlCheckedReceipt;

/* The result's receipt and signature fit the request and the device's recorded key; also that what it claims fits the
 * result (a denial does not succeed). A receipt without a signature of its own is accepted when the result's signature
 * covers it. last: of the results before it that came with the same signature; may be NULL. checked: set on success,
 * record is the caller's. TL_ERROR_INVALID_ARGUMENT says what does not fit. */
gboolean tl_receipt_check (const Twinlatch__V1__SubmitCapabilityResultRequest *result,
                           const TlCapabilityRecord *request, const char *gateway_id, const guint8 identity_public[32],
                           TlVerifiedRoot *last, TlCheckedReceipt *checked, GError **error);

G_END_DECLS
