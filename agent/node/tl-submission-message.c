/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-submission-message.h"

static Twinlatch__V1__RequestState
request_state (TlResultState state)
{
  switch (state)
    {
    case TL_RESULT_SUCCEEDED:
      return TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_SUCCEEDED;
    case TL_RESULT_FAILED:
      return TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_FAILED;
    case TL_RESULT_DENIED:
      return TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_DENIED;
    case TL_RESULT_TIMED_OUT:
      return TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_TIMED_OUT;
    case TL_RESULT_CANCELLED:
      return TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_CANCELLED;
    }
  g_assert_not_reached ();
}

static void
fill_receipt (Twinlatch__V1__Receipt *message, const TlReceipt *receipt)
{
  message->alg = (char *)TL_RECEIPT_ALG;
  message->decision = (char *)tl_receipt_decision (receipt);
  message->by = receipt->by;
  message->time_unix_ms = receipt->time_ms;
  message->requested_by = receipt->requested_by;
  message->expires_at_unix_ms = receipt->expires_at_ms;
  message->input_sha256.data = (guint8 *)receipt->input_sha256;
  message->input_sha256.len = sizeof receipt->input_sha256;
  if (!receipt->is_signed) /* the result's signature proves it */
    return;
  message->signature.data = (guint8 *)receipt->signature;
  message->signature.len = sizeof receipt->signature;
}

void
tl_submission_to_message (const TlSubmission *submission, const char *device_id,
                          Twinlatch__V1__SubmitCapabilityResultRequest *message, Twinlatch__V1__Receipt *receipt)
{
  const TlRequestResult *result = submission->result;

  twinlatch__v1__submit_capability_result_request__init (message);
  twinlatch__v1__receipt__init (receipt);
  fill_receipt (receipt, submission->receipt);
  message->device_id = (char *)device_id;
  message->request_id = (char *)submission->request_id;
  message->success = result->state == TL_RESULT_SUCCEEDED;
  message->output = result->output;
  message->error = result->error;
  message->error_reason = result->error_reason;
  message->receipt = receipt;
  message->output_sha256.data = (guint8 *)submission->output_sha256;
  message->output_sha256.len = sizeof submission->output_sha256;
  message->result_signature.data = (guint8 *)submission->signature;
  message->result_signature.len = sizeof submission->signature;
  message->result_proof.data = (guint8 *)submission->proof.steps;
  message->result_proof.len = submission->proof.length;
  message->state = request_state (result->state);
}
