/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json-summary.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "daemon/tl-dispatcher-private.h"
#include "daemon/tl-journal-service.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-receipt-check.h"
#include "daemon/tl-wire.h"

#define RESULT_MAX_ERROR  1024
#define RESULT_MAX_REASON 64

/* A result on its way: the device waits for the commit. */
typedef struct
{
  TlDispatcher *dispatcher;
  TlResultAnswer answer;
  gpointer user_data;
  char *device_id, *request_id;
  /* of a result that may be late: what the journal tells of it, and what tells it from the one that counted */
  TlRequestState state;
  gint64 receipt_time;
  char *output_sha256; /* hex */
} Result;

static Result *
result_new (TlDispatcher *dispatcher, TlResultAnswer answer, gpointer user_data, const char *device_id,
            const char *request_id)
{
  Result *self = g_new0 (Result, 1);

  self->dispatcher = dispatcher;
  self->answer = answer;
  self->user_data = user_data;
  self->device_id = g_strdup (device_id);
  self->request_id = g_strdup (request_id);
  return self;
}

static void
result_end (Result *self, TlResultVerdict verdict, const GError *error)
{
  self->answer (verdict, error, self->user_data);
  g_free (self->device_id);
  g_free (self->request_id);
  g_free (self->output_sha256);
  g_free (self);
}

static void
on_result_committed (const GError *error, gpointer user_data)
{
  result_end (user_data, TL_RESULT_TAKEN, error);
}

static void
journal_refused (Result *self, const GError *error)
{
  tl_journal_service_noted (self->dispatcher->gateway->journal, TL_JOURNAL_RESULT_REFUSED, self->device_id,
                            self->request_id, tl_error_to_reason (error));
}

static gboolean
failure_state (const Twinlatch__V1__SubmitCapabilityResultRequest *result, TlRequestState *state, GError **error)
{
  switch ((int)result->state)
    {
    case TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_UNSPECIFIED:
    case TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_FAILED:
      *state = TL_REQUEST_FAILED;
      return TRUE;
    case TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_DENIED:
      *state = TL_REQUEST_DENIED;
      return TRUE;
    case TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_TIMED_OUT:
      *state = TL_REQUEST_TIMED_OUT;
      return TRUE;
    case TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_CANCELLED:
      *state = TL_REQUEST_CANCELLED;
      return TRUE;
    default:
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "a result cannot end in state %d", result->state);
      return FALSE;
    }
}

/* *summary: what history keeps of the output, NULL without one. */
static gboolean
check_text (const Twinlatch__V1__SubmitCapabilityResultRequest *result, const TlCapabilityRecord *record,
            char **summary, GError **error)
{
  tl_json_auto output = NULL;

  if (strlen (result->error) > RESULT_MAX_ERROR || strlen (result->error_reason) > RESULT_MAX_REASON
      || !g_utf8_validate (result->error, -1, NULL) || !g_utf8_validate (result->error_reason, -1, NULL))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the result's error text is too long or not UTF-8");
      return FALSE;
    }
  if (strlen (result->output) > record->max_payload_bytes)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, "the output has %zu bytes, the limit is %u",
                   strlen (result->output), record->max_payload_bytes);
      return FALSE;
    }
  if (!result->success && result->output[0] == '\0')
    return TRUE;
  output = tl_json_parse (result->output, -1, 0, error);
  if (output == NULL)
    g_prefix_error (error, "output: ");
  else if (result->success)
    *summary = tl_json_summary (output);
  return output != NULL;
}

static GError *
cannot_take_now (void)
{
  return g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the request cannot take its result now; try again");
}

/* Everything about the result is checked: the request moves. FALSE: not now. */
static gboolean
take (TlDispatcher *self, TlOpenRequest *request, const Twinlatch__V1__SubmitCapabilityResultRequest *message,
      const char *output_summary, TlRequestState state, const TlCheckedReceipt *checked, Result *result)
{
  g_autofree char *actor = g_strdup_printf ("device:%s", result->device_id);
  TlRequestOutcome outcome = { .receipt = checked->record, .receipt_hash = checked->receipt_hash, .actor = actor };

  if (message->success)
    {
      outcome.output = message->output;
      outcome.output_summary = output_summary;
      outcome.output_sha256 = message->output_sha256.data; /* tl_receipt_check() compared it */
    }
  else
    {
      outcome.error = message->error;
      outcome.error_reason = message->error_reason;
    }
  /* The move to DISPATCHED may have been lost with the power or a full disk; the device was asked all the same, or it
   * could not have signed this receipt. */
  if (request->record->state == TL_REQUEST_QUEUED)
    tl_dispatcher_move (self, request, TL_REQUEST_DISPATCHED, NULL, NULL, NULL);
  return tl_dispatcher_move (self, request, state, &outcome, on_result_committed, result);
}

static void
check_and_take (TlDispatcher *self, TlOpenRequest *request, const TlNode *node,
                const Twinlatch__V1__SubmitCapabilityResultRequest *message, Result *result)
{
  TlRequestState state = TL_REQUEST_SUCCEEDED;
  TlCheckedReceipt checked = { 0 };
  g_autofree char *summary = NULL;
  g_autoptr (GError) error = NULL;

  if (check_text (message, request->record, &summary, &error)
      && (message->success || failure_state (message, &state, &error))
      && tl_receipt_check (message, request->record, tl_gateway_identity_id (self->gateway->identity),
                           node->identity_public, &self->verified, &checked, &error))
    {
      if (!take (self, request, message, summary, state, &checked, result))
        {
          error = cannot_take_now ();
          result_end (result, TL_RESULT_TAKEN, error);
        }
      g_bytes_unref (checked.record);
      return;
    }
  tl_log (TL_LOG_WARNING, "a result was refused", "device_id", result->device_id, "request_id", result->request_id,
          "error", error->message, NULL);
  journal_refused (result, error);
  result_end (result, TL_RESULT_TAKEN, error);
}

static gboolean
is_repeated (const Result *self, const TlCapabilityRecord *request)
{
  Twinlatch__V1__Receipt *receipt = tl_wire_receipt (request->receipt);
  gboolean same = receipt != NULL && receipt->time_unix_ms == self->receipt_time && request->state == self->state;

  if (receipt != NULL)
    twinlatch__v1__receipt__free_unpacked (receipt, NULL);
  return same;
}

static void
on_late_journalled (const GError *error, gpointer nothing G_GNUC_UNUSED, gpointer user_data)
{
  result_end (user_data, TL_RESULT_DUPLICATE, error);
}

/* Nothing counts after the end (PROTOCOL 4.2): the journal has it, once. */
static void
journal_late (Result *self, const TlCapabilityRecord *request)
{
  TlGateway *gateway = self->dispatcher->gateway;
  g_autofree char *actor = g_strconcat ("device:", self->device_id, NULL);
  tl_json_auto detail = json_pack ("{s:s, s:s, s:s}", "state", tl_request_state_to_string (request->state), "result",
                                   tl_request_state_to_string (self->state), "output", self->output_sha256);
  g_autofree char *text = tl_json_to_string (detail);

  tl_log (TL_LOG_INFO, "a late result was dropped", "device_id", self->device_id, "request_id", self->request_id, NULL);
  tl_store_late_result (gateway->store, self->request_id, actor, text, tl_clock_wall_ms (gateway->clock),
                        on_late_journalled, self);
}

/* Not open: known from before, late, another device's, or never heard of. */
static void
on_request_looked_up (const GError *error, gpointer record, gpointer user_data)
{
  Result *self = user_data;
  const TlCapabilityRecord *request = record;
  g_autoptr (GError) refused = NULL;

  if (error != NULL)
    {
      if (tl_error_is_not_found (error))
        journal_refused (self, error);
      result_end (self, TL_RESULT_UNKNOWN, tl_error_is_not_found (error) ? NULL : error);
    }
  else if (!g_str_equal (request->device_id, self->device_id))
    {
      refused = g_error_new_literal (TL_ERROR, TL_ERROR_PERMISSION_DENIED, "this request was not given to this device");
      tl_log (TL_LOG_WARNING, "a device sent a result that it was not asked for", "device_id", self->device_id,
              "request_id", self->request_id, NULL);
      journal_refused (self, refused);
      result_end (self, TL_RESULT_TAKEN, refused);
    }
  else if (!tl_request_state_is_final (request->state))
    {
      /* Its end is being committed, and may fail: told "duplicate", the device would drop a result that counts. */
      refused = cannot_take_now ();
      result_end (self, TL_RESULT_TAKEN, refused);
    }
  else if (is_repeated (self, request))
    result_end (self, TL_RESULT_DUPLICATE, NULL);
  else
    journal_late (self, request);
}

static void
look_up (Result *self, const Twinlatch__V1__SubmitCapabilityResultRequest *message)
{
  self->state = TL_REQUEST_SUCCEEDED;
  if (!message->success)
    failure_state (message, &self->state, NULL);
  self->receipt_time = message->receipt != NULL ? message->receipt->time_unix_ms : 0;
  self->output_sha256 = tl_hex_encode (message->output_sha256.data, MIN (message->output_sha256.len, TL_SHA256_LENGTH));
  tl_store_get_request (self->dispatcher->gateway->store, self->request_id, on_request_looked_up, self);
}

void
tl_dispatcher_result (TlDispatcher *self, const char *device_id,
                      const Twinlatch__V1__SubmitCapabilityResultRequest *message, TlResultAnswer answer,
                      gpointer user_data)
{
  TlOpenRequest *request = g_hash_table_lookup (self->open, message->request_id);
  TlNode *node = tl_node_registry_lookup (self->gateway->registry, device_id);
  Result *result;

  if (!tl_ulid_is_valid (message->request_id))
    {
      g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "request id is not a ULID");
      answer (TL_RESULT_TAKEN, error, user_data);
      return;
    }
  result = result_new (self, answer, user_data, device_id, message->request_id);
  if (request != NULL && node != NULL && g_str_equal (request->record->device_id, device_id) && !request->ending)
    check_and_take (self, request, node, message, result);
  else
    look_up (result, message);
}
