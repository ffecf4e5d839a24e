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
  g_queue_init (&self->unsettled);
  return self;
}

static void
clear_settle (TlDispatcher *self)
{
  if (self->settle == NULL)
    return;
  g_source_destroy (self->settle);
  g_clear_pointer (&self->settle, g_source_unref);
}

void
tl_dispatcher_free (TlDispatcher *self)
{
  if (self == NULL)
    return;
  clear_settle (self);
  g_hash_table_unref (self->open);
  g_free (self);
}

guint
tl_dispatcher_open_count (TlDispatcher *self)
{
  return g_hash_table_size (self->open);
}

/* When the state ends that the last run left it in. */
static gint64
deadline_after_restart (const TlCapabilityRecord *record, gint64 now)
{
  if (record->cancel_at > 0)
    return record->state == TL_REQUEST_QUEUED ? now : now + TL_DISPATCH_CANCEL_MS;
  if (record->state == TL_REQUEST_RUNNING)
    return record->updated_at + record->timeout_ms + TL_DISPATCH_GRACE_MS;
  if (record->state == TL_REQUEST_AWAITING_CONSENT)
    return record->updated_at + TL_DISPATCH_CONSENT_MS + TL_DISPATCH_GRACE_MS;
  return record->state == TL_REQUEST_DISPATCHED ? record->expires_at + TL_DISPATCH_GRACE_MS : record->expires_at;
}

gboolean
tl_dispatcher_load (TlDispatcher *self, GError **error)
{
  g_autoptr (GPtrArray) records = tl_store_list_open_requests (self->gateway->store, error);
  gint64 now = tl_clock_wall_ms (self->gateway->clock);

  if (records == NULL)
    return FALSE;
  for (guint i = 0; i < records->len; i++)
    {
      TlOpenRequest *request = tl_dispatcher_track (self, tl_capability_record_copy (g_ptr_array_index (records, i)));

      request->deadline = deadline_after_restart (request->record, now);
    }
  return TRUE;
}

/* ---- the one function that moves a request ---- */

#define OPEN_STATES ((1u << TL_REQUEST_SUCCEEDED) - 1)
G_STATIC_ASSERT (TL_REQUEST_QUEUED == 0 && TL_REQUEST_RUNNING + 1 == TL_REQUEST_SUCCEEDED);

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
add_step (TlOpenRequest *request, TlRequestState state, gint64 now)
{
  g_assert (request->n_steps < TL_REQUEST_MAX_STEPS);
  request->steps[request->n_steps++] = (TlRequestStep){ state, now };
}

static void
send_state (TlRpcCall *call, const TlOpenRequest *request, const TlCapabilityRecord *record)
{
  Twinlatch__V1__ExecuteCapabilityResponse message = TWINLATCH__V1__EXECUTE_CAPABILITY_RESPONSE__INIT;
  Twinlatch__V1__ExecuteCapabilityResponse__Step steps[TL_REQUEST_MAX_STEPS];
  Twinlatch__V1__ExecuteCapabilityResponse__Step *pointers[TL_REQUEST_MAX_STEPS];

  for (guint i = 0; i < request->n_steps; i++)
    {
      twinlatch__v1__execute_capability_response__step__init (&steps[i]);
      steps[i].state = (Twinlatch__V1__RequestState)(request->steps[i].state + 1);
      steps[i].time_unix_ms = request->steps[i].time_ms;
      pointers[i] = &steps[i];
    }
  message.n_steps = request->n_steps;
  message.steps = pointers;
  message.request_id = record->request_id;
  message.device_id = record->device_id;
  message.state = (Twinlatch__V1__RequestState)(record->state + 1);
  message.output = tl_wire_string (record->output);
  message.error = tl_wire_string (record->error);
  message.error_reason = tl_wire_string (record->error_reason);
  message.time_unix_ms = request->steps[request->n_steps - 1].time_ms;
  if (tl_request_state_is_final (record->state))
    tl_rpc_call_reply (call, &message.base);
  else
    tl_rpc_call_send (call, &message.base);
}

/* record: the request as it is to be shown, of its last step. */
static void
announce (TlOpenRequest *request, const TlCapabilityRecord *record)
{
  for (guint i = 0; i < request->calls->len; i++)
    send_state (g_ptr_array_index (request->calls, i), request, record);
  request->n_steps = 0;
}

static void
settled (TlDispatcher *self, TlOpenRequest *request)
{
  if (request->unsettled.data == NULL)
    return;
  g_queue_unlink (&self->unsettled, &request->unsettled);
  request->unsettled.data = NULL;
}

void
tl_dispatcher_forget (TlDispatcher *self, TlOpenRequest *request)
{
  settled (self, request);
  g_hash_table_remove (self->open, request->record->request_id);
}

static void
announce_end (TlDispatcher *self, TlOpenRequest *request, const TlCapabilityRecord *record)
{
  add_step (request, record->state, record->completed_at);
  announce (request, record);
  tl_dispatcher_forget (self, request);
}

/* ---- into the store ---- */

typedef struct
{
  TlDispatcher *dispatcher;
  char *request_id;
  TlRequestState to;
  gboolean is_final;
  gboolean cancel_device; /* it may still run there: told after the commit */
  TlRequestMoved moved;
  gpointer user_data;
} Move;

static void settle_later (TlDispatcher *self, TlOpenRequest *request);

/* Its end could not be written: it is where it was. */
static void
take_back_end (TlDispatcher *self, TlOpenRequest *request)
{
  request->ending = FALSE;
  request->record->state = request->before_end;
  g_clear_pointer (&request->record->output, g_free);
  g_clear_pointer (&request->record->error, g_free);
  g_clear_pointer (&request->record->error_reason, g_free);
  if (request->before_end != request->committed)
    settle_later (self, request);
}

static void
on_moved (const GError *error, gpointer result G_GNUC_UNUSED, gpointer user_data)
{
  Move *move = user_data;
  TlDispatcher *self = move->dispatcher;
  TlOpenRequest *request = g_hash_table_lookup (self->open, move->request_id);

  if (request != NULL && error != NULL)
    {
      /* Several moves of one failed batch come back in order: what the store has is the one truth. */
      tl_log_error (TL_LOG_WARNING, "moving a capability request", error);
      if (move->is_final)
        take_back_end (self, request);
      else if (!request->ending)
        {
          settled (self, request);
          request->n_steps = 0;
          request->record->state = request->committed;
        }
    }
  else if (request != NULL && move->is_final)
    {
      if (move->cancel_device)
        tl_dispatcher_send_cancel (self, request->record, "timed_out");
      announce_end (self, request, request->record);
    }
  else if (request != NULL)
    request->committed = move->to;
  if (move->moved != NULL)
    move->moved (error, move->user_data);
  g_free (move->request_id);
  g_free (move);
}

static void
replace (char **member, const char *text)
{
  if (text == NULL)
    return;
  g_free (*member);
  *member = g_strdup (text);
}

/* What is announced when it is committed. */
static void
keep_outcome (TlCapabilityRecord *record, const TlRequestOutcome *outcome)
{
  replace (&record->output, outcome->output);
  replace (&record->error, outcome->error);
  replace (&record->error_reason, outcome->error_reason);
  record->completed_at = record->updated_at;
}

static void
persist (TlDispatcher *self, TlOpenRequest *request, TlRequestState to, const TlRequestOutcome *outcome,
         TlRequestMoved moved, gpointer user_data)
{
  const TlCapabilityRecord *record = request->record;
  Move *move = g_new0 (Move, 1);
  const TlRequestMove what = { .request_id = record->request_id,
                               .device_id = record->device_id,
                               .from = OPEN_STATES, /* which may follow which was checked here */
                               .to = to,
                               .dispatched_at = record->dispatched_at,
                               .output = outcome->output,
                               .error = outcome->error,
                               .error_reason = outcome->error_reason,
                               .output_summary = outcome->output_summary,
                               .output_sha256 = outcome->output_sha256,
                               .receipt = outcome->receipt,
                               .receipt_hash = outcome->receipt_hash,
                               .actor = outcome->actor,
                               .now = record->updated_at };

  move->dispatcher = self;
  move->request_id = g_strdup (record->request_id);
  move->to = to;
  move->is_final = tl_request_state_is_final (to);
  move->cancel_device = to == TL_REQUEST_TIMED_OUT && outcome->cancel_device;
  move->moved = moved;
  move->user_data = user_data;
  tl_store_move_request (self->gateway->store, &what, on_moved, move);
}

static void
settle_one (TlDispatcher *self, TlOpenRequest *request)
{
  static const TlRequestOutcome nothing = { 0 };

  settled (self, request);
  if (request->ending)
    return;
  if (request->record->state != request->committed)
    persist (self, request, request->record->state, &nothing, NULL, NULL);
  if (request->n_steps > 0)
    announce (request, request->record);
}

void
tl_dispatcher_settle (TlDispatcher *self, TlOpenRequest *request)
{
  if (request != NULL)
    settle_one (self, request);
  while (request == NULL && self->unsettled.head != NULL)
    settle_one (self, self->unsettled.head->data);
}

static gboolean
on_settle (gpointer data)
{
  TlDispatcher *self = data;
  gint64 before = g_get_monotonic_time () - (gint64)TL_DISPATCH_SETTLE_MS * 1000;

  while (self->unsettled.head != NULL && ((TlOpenRequest *)self->unsettled.head->data)->unsettled_us <= before)
    settle_one (self, self->unsettled.head->data);
  if (self->unsettled.head != NULL)
    return G_SOURCE_CONTINUE;
  g_clear_pointer (&self->settle, g_source_unref);
  return G_SOURCE_REMOVE;
}

static void
settle_later (TlDispatcher *self, TlOpenRequest *request)
{
  if (request->unsettled.data != NULL)
    return;
  request->unsettled.data = request;
  request->unsettled_us = g_get_monotonic_time ();
  g_queue_push_tail_link (&self->unsettled, &request->unsettled);
  if (self->settle != NULL)
    return;
  self->settle = g_timeout_source_new (TL_DISPATCH_SETTLE_MS / 2);
  g_source_set_callback (self->settle, on_settle, self, NULL);
  g_source_attach (self->settle, g_main_context_get_thread_default ());
}

void
tl_dispatcher_queued (TlDispatcher *self, TlOpenRequest *request)
{
  add_step (request, TL_REQUEST_QUEUED, request->record->created_at);
  settle_later (self, request);
}

gboolean
tl_dispatcher_move (TlDispatcher *self, TlOpenRequest *request, TlRequestState to, const TlRequestOutcome *outcome,
                    TlRequestMoved moved, gpointer user_data)
{
  static const TlRequestOutcome nothing = { 0 };
  TlCapabilityRecord *record = request->record;
  gint64 now = tl_clock_wall_ms (self->gateway->clock);

  if (request->ending || !tl_request_state_may_move (record->state, to))
    return FALSE;
  request->before_end = record->state;
  record->state = to;
  record->updated_at = now;
  if (to == TL_REQUEST_DISPATCHED)
    record->dispatched_at = now;
  /* A final state is announced after its commit; until then nothing else may move the request. */
  request->ending = tl_request_state_is_final (to);
  if (request->ending)
    {
      keep_outcome (record, outcome != NULL ? outcome : &nothing);
      persist (self, request, to, outcome != NULL ? outcome : &nothing, moved, user_data);
      return TRUE;
    }
  g_assert (moved == NULL);
  add_step (request, to, now);
  settle_later (self, request);
  if (to == TL_REQUEST_AWAITING_CONSENT) /* somebody may wait for it */
    settle_one (self, request);
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

  if (request->record->cancel_at > 0)
    {
      TlRequestOutcome outcome
          = { .error = state == TL_REQUEST_QUEUED
                           ? "the request was cancelled"
                           : "the request was cancelled; the device did not say whether it stopped",
              .error_reason = "cancelled" };
      tl_dispatcher_move (self, request, TL_REQUEST_CANCELLED, &outcome, NULL, NULL);
    }
  else if (state == TL_REQUEST_QUEUED)
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

/* A deadline of the state just entered; a request whose end was asked for keeps the one that it has. */
static void
set_deadline (TlOpenRequest *request, gint64 deadline)
{
  if (request->record->cancel_at == 0)
    request->deadline = deadline;
}

/* It ended while its dispatch event was on the way out of the store: the device does not know yet. */
static void
stop_ended (TlDispatcher *self, const char *device_id, const TlEventRecord *event)
{
  TlCapabilityRecord record = { .request_id = event->id, .device_id = (char *)device_id };

  if (g_str_equal (event->type, "capability.dispatch"))
    tl_dispatcher_send_cancel (self, &record, "ended");
}

void
tl_dispatcher_event_sent (TlDispatcher *self, const char *device_id, const TlEventRecord *event)
{
  /* The id of a dispatch event is its request's. */
  TlOpenRequest *request = g_hash_table_lookup (self->open, event->id);

  if (request == NULL || request->ending)
    stop_ended (self, device_id, event);
  if (request == NULL || !g_str_equal (request->record->device_id, device_id))
    return;
  request->event_seq = event->seq;
  if (request->record->state != TL_REQUEST_QUEUED)
    return;
  if (tl_dispatcher_move (self, request, TL_REQUEST_DISPATCHED, NULL, NULL, NULL))
    set_deadline (request, request->record->expires_at + TL_DISPATCH_GRACE_MS);
}

void
tl_dispatcher_acknowledging (TlDispatcher *self, const char *device_id, guint64 seq)
{
  GList *next;

  for (GList *link = self->unsettled.head; link != NULL; link = next)
    {
      TlOpenRequest *request = link->data;

      next = link->next;
      if (request->event_seq <= seq && g_str_equal (request->record->device_id, device_id))
        settle_one (self, request);
    }
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
        set_deadline (request, now + request->record->timeout_ms + TL_DISPATCH_GRACE_MS);
    }
  else if (g_str_equal (type, "capability.awaiting_consent"))
    {
      if (tl_dispatcher_move (self, request, TL_REQUEST_AWAITING_CONSENT, NULL, NULL, NULL))
        set_deadline (request, now + TL_DISPATCH_CONSENT_MS + TL_DISPATCH_GRACE_MS);
    }
  else if (g_str_equal (type, "capability.progress"))
    {
      tl_dispatcher_settle (self, request);
      send_progress (request, data, now);
    }
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
      announce_end (self, request, record);
    }
}

void
tl_dispatcher_close_all (TlDispatcher *self)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE,
                                                  "the gateway is stopping; the request goes on when it is back");
  GHashTableIter iter;
  gpointer value;

  tl_dispatcher_settle (self, NULL);
  g_hash_table_iter_init (&iter, self->open);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      TlOpenRequest *request = value;
      for (guint i = 0; i < request->calls->len; i++)
        tl_rpc_call_finish (g_ptr_array_index (request->calls, i), error);
      g_ptr_array_set_size (request->calls, 0);
    }
}
