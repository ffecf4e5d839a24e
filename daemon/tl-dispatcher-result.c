/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "daemon/tl-dispatcher-private.h"
#include "daemon/tl-journal-service.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-receipt-check.h"
#include "daemon/tl-wire.h"

#define RESULT_MAX_ERROR  1024
#define RESULT_MAX_REASON 64

/* A result on its way: the call waits for the commit. */
typedef struct
{
  TlDispatcher *dispatcher;
  TlRpcCall *call;
  char *device_id;
  Twinlatch__V1__SubmitCapabilityResultRequest *result;
} Result;

static void
result_free (Result *self)
{
  tl_rpc_call_unref (self->call);
  twinlatch__v1__submit_capability_result_request__free_unpacked (self->result, NULL);
  g_free (self->device_id);
  g_free (self);
}

static void
answer (TlRpcCall *call, gboolean duplicate, gboolean unknown)
{
  Twinlatch__V1__SubmitCapabilityResultResponse message = TWINLATCH__V1__SUBMIT_CAPABILITY_RESULT_RESPONSE__INIT;

  message.duplicate = duplicate;
  message.unknown = unknown;
  tl_rpc_call_reply (call, &message.base);
}

static void
on_result_committed (const GError *error, gpointer user_data)
{
  Result *self = user_data;

  if (error != NULL)
    tl_rpc_call_finish (self->call, error);
  else
    answer (self->call, FALSE, FALSE);
  result_free (self);
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

static gboolean
check_text (const Twinlatch__V1__SubmitCapabilityResultRequest *result, const TlCapabilityRecord *record,
            GError **error)
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
  return output != NULL;
}

static GBytes *
pack_receipt (const Twinlatch__V1__Receipt *receipt)
{
  gsize length = twinlatch__v1__receipt__get_packed_size (receipt);
  guint8 *packed = g_malloc (length + 1);

  twinlatch__v1__receipt__pack (receipt, packed);
  return g_bytes_new_take (packed, length);
}

/* Everything about the result is checked: the request moves. */
static void
accept (Result *self, TlOpenRequest *request)
{
  const Twinlatch__V1__SubmitCapabilityResultRequest *result = self->result;
  g_autoptr (GBytes) receipt = pack_receipt (result->receipt);
  TlRequestOutcome outcome = { .receipt = receipt };
  TlRequestState state = TL_REQUEST_SUCCEEDED;

  if (result->success)
    outcome.output = result->output;
  else
    {
      failure_state (result, &state, NULL);
      outcome.error = result->error;
      outcome.error_reason = result->error_reason;
    }
  /* The move to DISPATCHED may have been lost with the power or a full disk; the device was asked all the same, or it
   * could not have signed this receipt. */
  if (request->record->state == TL_REQUEST_QUEUED)
    tl_dispatcher_move (self->dispatcher, request, TL_REQUEST_DISPATCHED, NULL, NULL, NULL);
  if (!tl_dispatcher_move (self->dispatcher, request, state, &outcome, on_result_committed, self))
    {
      g_autoptr (GError) error
          = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the request cannot take its result now; try again");
      tl_rpc_call_finish (self->call, error);
      result_free (self);
    }
}

static void
check_and_accept (Result *self, TlOpenRequest *request, const TlNode *node)
{
  TlGateway *gateway = self->dispatcher->gateway;
  TlRequestState state;
  g_autoptr (GError) error = NULL;

  if (check_text (self->result, request->record, &error)
      && (self->result->success || failure_state (self->result, &state, &error))
      && tl_receipt_check (self->result, request->record, tl_gateway_identity_id (gateway->identity),
                           node->identity_public, &error))
    {
      accept (self, request);
      return;
    }
  tl_log (TL_LOG_WARNING, "a result was refused", "device_id", self->device_id, "request_id", self->result->request_id,
          "error", error->message, NULL);
  tl_journal_service_denied (gateway->journal, TL_JOURNAL_RESULT_REFUSED, self->call, self->result->request_id, error);
  tl_rpc_call_finish (self->call, error);
  result_free (self);
}

/* Not open: known from before, or never heard of. */
static void
on_request_looked_up (const GError *error, gpointer record, gpointer user_data)
{
  Result *self = user_data;
  const TlCapabilityRecord *request = record;

  if (error == NULL && !g_str_equal (request->device_id, self->device_id))
    {
      g_autoptr (GError) denied
          = g_error_new_literal (TL_ERROR, TL_ERROR_PERMISSION_DENIED, "this request was not given to this device");
      tl_log (TL_LOG_WARNING, "a device sent a result that it was not asked for", "device_id", self->device_id,
              "request_id", self->result->request_id, NULL);
      tl_journal_service_denied (self->dispatcher->gateway->journal, TL_JOURNAL_RESULT_REFUSED, self->call,
                                 self->result->request_id, denied);
      tl_rpc_call_finish (self->call, denied);
    }
  else if (error == NULL && !tl_request_state_is_final (request->state))
    {
      /* Its end is being committed, and may fail: told "duplicate", the device would drop a result that counts. */
      g_autoptr (GError) again
          = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the request cannot take its result now; try again");
      tl_rpc_call_finish (self->call, again);
    }
  else if (error == NULL)
    {
      tl_log (TL_LOG_INFO, "a late or repeated result was dropped", "device_id", self->device_id, "request_id",
              self->result->request_id, NULL);
      tl_journal_service_noted (self->dispatcher->gateway->journal, TL_JOURNAL_RESULT_LATE, self->device_id,
                                self->result->request_id, tl_request_state_to_string (request->state));
      answer (self->call, TRUE, FALSE);
    }
  else if (tl_error_is_not_found (error))
    answer (self->call, FALSE, TRUE);
  else
    tl_rpc_call_finish (self->call, error);
  result_free (self);
}

void
tl_dispatcher_result (TlDispatcher *self, TlRpcCall *call, const char *device_id,
                      const Twinlatch__V1__SubmitCapabilityResultRequest *message)
{
  TlStore *store = self->gateway->store;
  TlOpenRequest *request = g_hash_table_lookup (self->open, message->request_id);
  TlNode *node = tl_node_registry_lookup (self->gateway->registry, device_id);
  Twinlatch__V1__SubmitCapabilityResultRequest *copy;
  Result *result;

  if (!tl_ulid_is_valid (message->request_id))
    {
      g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "request id is not a ULID");
      tl_rpc_call_finish (call, error);
      return;
    }
  copy = tl_wire_copy (&message->base, NULL);
  if (copy == NULL)
    {
      tl_wire_finish_malformed (call);
      return;
    }
  result = g_new0 (Result, 1);
  result->dispatcher = self;
  result->call = tl_rpc_call_ref (call);
  result->device_id = g_strdup (device_id);
  result->result = copy;
  if (request != NULL && node != NULL && g_str_equal (request->record->device_id, device_id) && !request->ending)
    check_and_accept (result, request, node);
  else
    tl_store_get_request (store, message->request_id, on_request_looked_up, result);
}
