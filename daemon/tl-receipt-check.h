/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-records.h"
#include "twinlatch/v1/node.pb-c.h"

G_BEGIN_DECLS

/*
 * Receipts and result signatures of nodes (PROTOCOL 6): Ed25519 by the device's identity key over what the agent
 * decided, bound to gateway, device, request, capability and input. Thread: any.
 */

/* The result's receipt and signature fit the request and the device's recorded key; also that what it claims fits the
 * result (a denial does not succeed). TL_ERROR_INVALID_ARGUMENT says what does not. */
gboolean tl_receipt_check (const Twinlatch__V1__SubmitCapabilityResultRequest *result,
                           const TlCapabilityRecord *request, const char *gateway_id, const guint8 identity_public[32],
                           GError **error);

G_END_DECLS
