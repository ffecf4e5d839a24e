/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-request-result.h"
#include "twinlatch/v1/node.pb-c.h"

G_BEGIN_DECLS

/* A result as it goes to the gateway, the same for all transports: message and receipt are initialised and borrow
 * everything from the submission; the message holds the receipt. Thread: any. */
void tl_submission_to_message (const TlSubmission *submission, const char *device_id,
                               Twinlatch__V1__SubmitCapabilityResultRequest *message, Twinlatch__V1__Receipt *receipt);

G_END_DECLS
