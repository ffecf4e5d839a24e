/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-request-result.h"

#include <string.h>

#include "base/tl-error.h"

static const char *const state_names[] = {
  [TL_RESULT_SUCCEEDED] = "succeeded", [TL_RESULT_FAILED] = "failed",       [TL_RESULT_DENIED] = "denied",
  [TL_RESULT_TIMED_OUT] = "timed_out", [TL_RESULT_CANCELLED] = "cancelled",
};

const char *
tl_result_state_to_string (TlResultState state)
{
  return state_names[state];
}

TlRequestResult *
tl_request_result_new_success (const char *output)
{
  TlRequestResult *result = g_new0 (TlRequestResult, 1);

  result->state = TL_RESULT_SUCCEEDED;
  result->output = g_strdup (output);
  result->error = g_strdup ("");
  result->error_reason = g_strdup ("");
  return result;
}

TlRequestResult *
tl_request_result_new_failure (TlResultState state, const char *reason, const char *message)
{
  TlRequestResult *result = g_new0 (TlRequestResult, 1);

  result->state = state;
  result->output = g_strdup ("");
  result->error = g_utf8_make_valid (message, -1);
  if (strlen (result->error) > TL_RESULT_ERROR_MAX)
    *g_utf8_find_prev_char (result->error, result->error + TL_RESULT_ERROR_MAX + 1) = '\0';
  result->error_reason = g_strdup (reason);
  return result;
}

TlRequestResult *
tl_request_result_new_error (const GError *error)
{
  TlResultState state = TL_RESULT_FAILED;

  if (tl_error_is (error, TL_ERROR_CANCELLED))
    state = TL_RESULT_CANCELLED;
  else if (tl_error_is (error, TL_ERROR_TIMED_OUT))
    state = TL_RESULT_TIMED_OUT;
  else if (tl_error_is (error, TL_ERROR_CAPABILITY_DENIED))
    state = TL_RESULT_DENIED;
  return tl_request_result_new_failure (state, tl_error_to_reason (error), error->message);
}

void
tl_request_result_free (TlRequestResult *result)
{
  if (result == NULL)
    return;
  g_free (result->output);
  g_free (result->error);
  g_free (result->error_reason);
  g_free (result);
}

json_t *
tl_request_result_to_json (const TlRequestResult *result)
{
  return json_pack ("{s:s, s:s, s:s, s:s}", "state", state_names[result->state], "output", result->output, "error",
                    result->error, "error_reason", result->error_reason);
}

TlRequestResult *
tl_request_result_from_json (const json_t *object, GError **error)
{
  const char *state, *output, *message, *reason;

  if (!tl_json_get_string (object, "state", TRUE, &state, error)
      || !tl_json_get_string (object, "output", TRUE, &output, error)
      || !tl_json_get_string (object, "error", TRUE, &message, error)
      || !tl_json_get_string (object, "error_reason", TRUE, &reason, error))
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (state_names); i++)
    {
      TlRequestResult *result;

      if (!g_str_equal (state, state_names[i]))
        continue;
      result = tl_request_result_new_failure ((TlResultState)i, reason, message);
      g_free (result->output);
      result->output = g_strdup (output);
      return result;
    }
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "\"%s\" is not the state of a result", state);
  return NULL;
}

gboolean
tl_submissions_sign (TlSubmission *submissions, const TlReceiptSubject *subjects, guint n, TlDeviceIdentity *identity,
                     GError **error)
{
  g_autofree TlResultSubject *results = g_new (TlResultSubject, n);
  g_autofree TlResultProof *proofs = g_new (TlResultProof, n);
  guint8 signature[TL_SIGNATURE_LENGTH];

  for (guint i = 0; i < n; i++)
    {
      const char *output = submissions[i].result->output;

      tl_sha256 (output, strlen (output), submissions[i].output_sha256);
      results[i].request_id = submissions[i].request_id;
      memcpy (results[i].output_sha256, submissions[i].output_sha256, TL_SHA256_LENGTH);
      tl_receipt_hash (submissions[i].receipt, &subjects[i], results[i].receipt_hash);
    }
  if (!tl_results_sign (results, n, identity, signature, proofs, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      memcpy (submissions[i].signature, signature, sizeof signature);
      submissions[i].proof = proofs[i];
    }
  return TRUE;
}
