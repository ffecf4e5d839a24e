/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-dispatcher.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "daemon/tl-capability-name.h"
#include "daemon/tl-dispatcher-private.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-wire.h"

void
tl_open_request_free (gpointer data)
{
  TlOpenRequest *request = data;

  tl_capability_record_free (request->record);
  g_ptr_array_unref (request->calls);
  g_free (request);
}

TlOpenRequest *
tl_dispatcher_track (TlDispatcher *self, TlCapabilityRecord *record)
{
  TlOpenRequest *request = g_new0 (TlOpenRequest, 1);

  request->record = record;
  request->calls = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_rpc_call_unref);
  request->deadline = record->expires_at;
  request->committed = record->state;
  g_hash_table_insert (self->open, record->request_id, request);
  return request;
}

TlDispatcher *
tl_dispatcher_new (TlGateway *gateway)
{
  TlDispatcher *self = g_new0 (TlDispatcher, 1);

  self->gateway = gateway;
  self->open = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, tl_open_request_free);
  return self;
}

void
tl_dispatcher_free (TlDispatcher *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->open);
  g_free (self);
}

guint
tl_dispatcher_open_count (TlDispatcher *self)
{
  return g_hash_table_size (self->open);
}

gboolean
tl_dispatcher_load (TlDispatcher *self, GError **error)
{
  g_autoptr (GPtrArray) records = tl_store_list_open_requests (self->gateway->store, error);

  if (records == NULL)
    return FALSE;
  for (guint i = 0; i < records->len; i++)
    {
      TlOpenRequest *request = tl_dispatcher_track (self, tl_capability_record_copy (g_ptr_array_index (records, i)));
      if (request->record->state == TL_REQUEST_RUNNING)
        request->deadline = request->record->updated_at + request->record->timeout_ms + TL_DISPATCH_GRACE_MS;
    }
  return TRUE;
}

/* ---- the one function that moves a request ---- */

gboolean
tl_request_state_may_move (TlRequestState from, TlRequestState to)
{
  switch (from)
    {
    case TL_REQUEST_QUEUED:
      return to == TL_REQUEST_DISPATCHED || to == TL_REQUEST_EXPIRED || to == TL_REQUEST_CANCELLED
             || to == TL_REQUEST_FAILED;
    case TL_REQUEST_DISPATCHED:
      return to == TL_REQUEST_AWAITING_CONSENT || to == TL_REQUEST_RUNNING || tl_request_state_is_final (to);
    case TL_REQUEST_AWAITING_CONSENT:
      return to == TL_REQUEST_RUNNING || tl_request_state_is_final (to);
    case TL_REQUEST_RUNNING:
      return tl_request_state_is_final (to) && to != TL_REQUEST_EXPIRED;
    case TL_REQUEST_SUCCEEDED:
    case TL_REQUEST_FAILED:
    case TL_REQUEST_DENIED:
    case TL_REQUEST_TIMED_OUT:
    case TL_REQUEST_CANCELLED:
    case TL_REQUEST_EXPIRED:
      return FALSE;
    }
  return FALSE;
}

static void
send_state (TlRpcCall *call, const TlCapabilityRecord *record, gint64 now)
{
  Twinlatch__V1__ExecuteCapabilityResponse message = TWINLATCH__V1__EXECUTE_CAPABILITY_RESPONSE__INIT;

  message.request_id = record->request_id;
  message.device_id = record->device_id;
  message.state = (Twinlatch__V1__RequestState)(record->state + 1);
  message.output = tl_wire_string (record->output);
  message.error = tl_wire_string (record->error);
  message.error_reason = tl_wire_string (record->error_reason);
  message.time_unix_ms = now;
  tl_rpc_call_send (call, &message.base);
  if (tl_request_state_is_final (record->state))
    tl_rpc_call_finish (call, NULL);
}

void
tl_dispatcher_announce (TlDispatcher *self, TlOpenRequest *request, const TlCapabilityRecord *record)
{
  gint64 now = tl_clock_wall_ms (self->gateway->clock);

  for (guint i = 0; i < request->calls->len; i++)
    send_state (g_ptr_array_index (request->calls, i), record, now);
}

typedef struct
{
  TlDispatcher *dispatcher;
  char *request_id;
  gboolean is_final;
  gboolean cancel_device; /* it may still run there: told after the commit */
  TlRequestMoved moved;
  gpointer user_data;
} Move;

static void
on_moved (const GError *error, gpointer result, gpointer user_data)
{
  Move *move = user_data;
  TlDispatcher *self = move->dispatcher;
  TlOpenRequest *request = g_hash_table_lookup (self->open, move->request_id);
  const TlCapabilityRecord *record = result;

  if (request != NULL && error != NULL)
    {
      /* Several moves of one failed batch come back in order: what the store has is the one truth. */
      tl_log_error (TL_LOG_WARNING, "moving a capability request", error);
      if (move->is_final || !request->ending)
        {
          request->record->state = request->committed;
          request->ending = FALSE;
        }
    }
  else if (request != NULL && tl_request_state_is_final (record->state))
    {
      if (move->cancel_device)
        tl_dispatcher_send_cancel (self, record, "timed_out");
      tl_dispatcher_announce (self, request, record);
      g_hash_table_remove (self->open, move->request_id);
    }
  else if (request != NULL)
    request->committed = record->state;
  if (move->moved != NULL)
    move->moved (error, move->user_data);
  g_free (move->request_id);
  g_free (move);
}

gboolean
tl_dispatcher_move (TlDispatcher *self, TlOpenRequest *request, TlRequestState to, const TlRequestOutcome *outcome,
                    TlRequestMoved moved, gpointer user_data)
{
  static const TlRequestOutcome nothing = { 0 };
  TlCapabilityRecord *record = request->record;
  gint64 now = tl_clock_wall_ms (self->gateway->clock);
  Move *move;

  if (request->ending || !tl_request_state_may_move (record->state, to))
    return FALSE;
  if (outcome == NULL)
    outcome = &nothing;
  move = g_new0 (Move, 1);
  move->dispatcher = self;
  move->request_id = g_strdup (record->request_id);
  move->is_final = tl_request_state_is_final (to);
  move->cancel_device = to == TL_REQUEST_TIMED_OUT && outcome != NULL && outcome->cancel_device;
  move->moved = moved;
  move->user_data = user_data;
  /* A final state is announced after its commit; until then nothing else may move the request. */
  request->ending = tl_request_state_is_final (to);
  tl_store_move_request (self->gateway->store, record->request_id, record->device_id, 1u << record->state, to,
                         outcome->output, outcome->error, outcome->error_reason, outcome->receipt, now, on_moved, move);
  record->state = to;
  record->updated_at = now;
  if (!request->ending)
    tl_dispatcher_announce (self, request, record);
  return TRUE;
}

/* ---- timeouts ---- */

void
tl_dispatcher_send_cancel (TlDispatcher *self, const TlCapabilityRecord *record, const char *reason)
{
  gint64 now = tl_clock_wall_ms (self->gateway->clock);
  g_autofree char *event_id = tl_ulid_new (now, self->gateway->random);
  tl_json_auto data = json_pack ("{s:s, s:s}", "request_id", record->request_id, "reason", reason);
  g_autofree char *text = tl_json_to_string (data);

  tl_dispatcher_add_event (self, record->device_id, event_id, "capability.cancel", text);
}

static void
end_by_timeout (TlDispatcher *self, TlOpenRequest *request)
{
  TlRequestState state = request->record->state;

  if (state == TL_REQUEST_QUEUED)
    {
      TlRequestOutcome outcome = { .error = "the device did not connect in time", .error_reason = "expired" };
      tl_dispatcher_move (self, request, TL_REQUEST_EXPIRED, &outcome, NULL, NULL);
    }
  else
    {
      TlRequestOutcome outcome
          = { .error = state == TL_REQUEST_RUNNING            ? "the device did not finish in time"
                       : state == TL_REQUEST_AWAITING_CONSENT ? "nobody at the device agreed in time"
                                                              : "the device did not start it in time",
              .error_reason = "timed_out",
              .cancel_device = TRUE };
      tl_dispatcher_move (self, request, TL_REQUEST_TIMED_OUT, &outcome, NULL, NULL);
    }
}

void
tl_dispatcher_tick (TlDispatcher *self, gint64 now_ms)
{
  g_autoptr (GPtrArray) due = NULL;
  GHashTableIter iter;
  gpointer value;

  if (g_hash_table_size (self->open) == 0)
    return;
  due = g_ptr_array_new ();
  g_hash_table_iter_init (&iter, self->open);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (!((TlOpenRequest *)value)->ending && now_ms >= ((TlOpenRequest *)value)->deadline)
      g_ptr_array_add (due, value);
  for (guint i = 0; i < due->len; i++)
    end_by_timeout (self, g_ptr_array_index (due, i));
}

/* ---- what the node says ---- */

void
tl_dispatcher_event_sent (TlDispatcher *self, const char *device_id, const TlEventRecord *event)
{
  /* The id of a dispatch event is its request's. */
  TlOpenRequest *request = g_hash_table_lookup (self->open, event->id);

  if (request == NULL || request->record->state != TL_REQUEST_QUEUED
      || !g_str_equal (request->record->device_id, device_id))
    return;
  if (tl_dispatcher_move (self, request, TL_REQUEST_DISPATCHED, NULL, NULL, NULL))
    request->deadline = request->record->expires_at + TL_DISPATCH_GRACE_MS;
}

static void
send_progress (TlOpenRequest *request, const char *data, gint64 now)
{
  Twinlatch__V1__ExecuteCapabilityResponse message = TWINLATCH__V1__EXECUTE_CAPABILITY_RESPONSE__INIT;

  message.request_id = request->record->request_id;
  message.device_id = request->record->device_id;
  message.state = (Twinlatch__V1__RequestState)(request->record->state + 1);
  message.progress = tl_wire_string (data);
  message.time_unix_ms = now;
  for (guint i = 0; i < request->calls->len; i++)
    tl_rpc_call_send (g_ptr_array_index (request->calls, i), &message.base);
}

void
tl_dispatcher_node_event (TlDispatcher *self, const char *device_id, const char *type, const char *data)
{
  gint64 now = tl_clock_wall_ms (self->gateway->clock);
  g_autoptr (GError) error = NULL;
  tl_json_auto value = NULL;
  const char *request_id = NULL;
  TlOpenRequest *request;

  if (!g_str_has_prefix (type, "capability."))
    return;
  value = tl_json_parse (data, -1, TL_DISPATCH_DEFAULT_PAYLOAD, &error);
  if (value == NULL || !tl_json_get_string (value, "request_id", TRUE, &request_id, &error))
    {
      tl_log (TL_LOG_INFO, "a node's event is malformed", "device_id", device_id, "type", type, "error", error->message,
              NULL);
      return;
    }
  request = g_hash_table_lookup (self->open, request_id);
  if (request == NULL || !g_str_equal (request->record->device_id, device_id))
    return;
  /* The move to DISPATCHED may have been lost with a full disk; who answers was asked. */
  if (request->record->state == TL_REQUEST_QUEUED
      && (g_str_equal (type, "capability.accepted") || g_str_equal (type, "capability.awaiting_consent")))
    tl_dispatcher_move (self, request, TL_REQUEST_DISPATCHED, NULL, NULL, NULL);
  if (g_str_equal (type, "capability.accepted"))
    {
      if (tl_dispatcher_move (self, request, TL_REQUEST_RUNNING, NULL, NULL, NULL))
        request->deadline = now + request->record->timeout_ms + TL_DISPATCH_GRACE_MS;
    }
  else if (g_str_equal (type, "capability.awaiting_consent"))
    {
      if (tl_dispatcher_move (self, request, TL_REQUEST_AWAITING_CONSENT, NULL, NULL, NULL))
        request->deadline = now + TL_DISPATCH_CONSENT_MS + TL_DISPATCH_GRACE_MS;
    }
  else if (g_str_equal (type, "capability.progress"))
    send_progress (request, data, now);
}

void
tl_dispatcher_requests_failed (TlDispatcher *self, GPtrArray *records)
{
  for (guint i = 0; i < records->len; i++)
    {
      const TlCapabilityRecord *record = g_ptr_array_index (records, i);
      TlOpenRequest *request = g_hash_table_lookup (self->open, record->request_id);
      if (request == NULL)
        continue;
      tl_dispatcher_announce (self, request, record);
      g_hash_table_remove (self->open, record->request_id);
    }
}

void
tl_dispatcher_close_all (TlDispatcher *self)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE,
                                                  "the gateway is stopping; the request goes on when it is back");
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->open);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      TlOpenRequest *request = value;
      for (guint i = 0; i < request->calls->len; i++)
        tl_rpc_call_finish (g_ptr_array_index (request->calls, i), error);
      g_ptr_array_set_size (request->calls, 0);
    }
}
