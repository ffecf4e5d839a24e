/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "base/tl-ulid.h"
#include "daemon/tl-admin-private.h"
#include "daemon/tl-dispatcher-private.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-wire.h"

/* What an operator does with a request that is there: ends it, follows it. */

/* A request that the store calls open and that is not open here is about to be found as ended: looked at so often. */
#define MAX_LOOKS 100

static void
finish_undecided (TlRpcCall *call)
{
  g_autoptr (GError) error
      = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the request's end is being written; try again");
  tl_rpc_call_finish (call, error);
}

/* ---- cancelling ---- */

typedef struct
{
  TlDispatcher *dispatcher;
  TlRpcCall *call; /* NULL: nobody asks how it went */
  char *request_id, *actor, *reason;
  guint looks;
} Cancellation;

static Cancellation *
cancellation_new (TlDispatcher *dispatcher, TlRpcCall *call, const char *actor, const char *reason)
{
  Cancellation *self = g_new0 (Cancellation, 1);

  self->dispatcher = dispatcher;
  self->call = call != NULL ? tl_rpc_call_ref (call) : NULL;
  self->actor = g_strdup (actor);
  self->reason = g_strdup (reason);
  return self;
}

static void
cancellation_free (Cancellation *self)
{
  g_clear_pointer (&self->call, tl_rpc_call_unref);
  g_free (self->request_id);
  g_free (self->actor);
  g_free (self->reason);
  g_free (self);
}

static void
answer (TlRpcCall *call, const TlCapabilityRecord *record, gboolean already)
{
  Twinlatch__V1__CancelCapabilityResponse message = TWINLATCH__V1__CANCEL_CAPABILITY_RESPONSE__INIT;
  Twinlatch__V1__CapabilityRequest request;

  tl_wire_request (&request, record);
  message.request = &request;
  message.already = already;
  tl_rpc_call_reply (call, &message.base);
}

static void
on_cancelled_record (const GError *error, gpointer result, gpointer user_data)
{
  Cancellation *self = user_data;

  if (error != NULL)
    tl_admin_fail (self->dispatcher->gateway, self->call, self->request_id, error);
  else
    answer (self->call, result, FALSE);
  cancellation_free (self);
}

/* A queued one, committed: the answer is what the store has now. */
static void
on_queued_cancelled (const GError *error, gpointer user_data)
{
  Cancellation *self = user_data;

  if (self->call == NULL)
    cancellation_free (self);
  else if (error != NULL)
    on_cancelled_record (error, NULL, self);
  else
    tl_store_get_request (self->dispatcher->gateway->store, self->request_id, on_cancelled_record, self);
}

static void
take_back_mark (Cancellation *self)
{
  TlOpenRequest *request = g_hash_table_lookup (self->dispatcher->open, self->request_id);

  if (request == NULL)
    return;
  request->record->cancel_at = 0;
  g_clear_pointer (&request->record->cancelled_by, g_free);
}

/* One that the device has: it was told, and gets some time to say how it ended. */
static void
on_device_told (const GError *error, gpointer result, gpointer user_data)
{
  Cancellation *self = user_data;
  TlGateway *gateway = self->dispatcher->gateway;
  TlOpenRequest *request = g_hash_table_lookup (self->dispatcher->open, self->request_id);

  if (error != NULL)
    {
      take_back_mark (self);
      on_cancelled_record (error, NULL, self);
      return;
    }
  if (request != NULL)
    {
      request->deadline = tl_clock_wall_ms (gateway->clock) + TL_DISPATCH_CANCEL_MS;
      tl_node_registry_push (gateway->registry, request->record->device_id, result);
    }
  tl_store_get_request (gateway->store, self->request_id, on_cancelled_record, self);
}

static void
on_queued_marked (const GError *error, gpointer nothing G_GNUC_UNUSED, gpointer user_data)
{
  Cancellation *self = user_data;

  if (error != NULL)
    take_back_mark (self);
  cancellation_free (self);
}

static void
mark (TlOpenRequest *request, Cancellation *self, gint64 now)
{
  self->request_id = g_strdup (request->record->request_id);
  request->record->cancel_at = now;
  g_free (request->record->cancelled_by);
  request->record->cancelled_by = g_strdup (self->actor);
}

static char *
cancel_message (const char *actor, const char *reason)
{
  if (*reason == '\0')
    return g_strdup_printf ("cancelled by %s", actor);
  return g_strdup_printf ("cancelled by %s: %s", actor, reason);
}

/* Takes self. Mark and move are two operations of one batch; a gateway that is killed between them finds the mark. */
static void
cancel_queued (TlOpenRequest *request, Cancellation *self)
{
  TlDispatcher *dispatcher = self->dispatcher;
  gint64 now = tl_clock_wall_ms (dispatcher->gateway->clock);
  g_autofree char *message = cancel_message (self->actor, self->reason);
  TlRequestOutcome outcome = { .error = message, .error_reason = "cancelled", .actor = self->actor };
  Cancellation *marked = cancellation_new (dispatcher, NULL, self->actor, self->reason);

  mark (request, self, now);
  marked->request_id = g_strdup (self->request_id);
  tl_store_cancel_request (dispatcher->gateway->store, self->request_id, self->actor, self->reason, NULL, NULL, now,
                           on_queued_marked, marked);
  tl_dispatcher_move (dispatcher, request, TL_REQUEST_CANCELLED, &outcome, on_queued_cancelled, self);
}

/* Takes self. */
static void
cancel_at_device (TlOpenRequest *request, Cancellation *self)
{
  TlGateway *gateway = self->dispatcher->gateway;
  gint64 now = tl_clock_wall_ms (gateway->clock);
  g_autofree char *event_id = tl_ulid_new (now, gateway->random);
  tl_json_auto data = json_pack ("{s:s, s:s}", "request_id", request->record->request_id, "reason",
                                 *self->reason != '\0' ? self->reason : "cancelled");
  g_autofree char *event = tl_json_to_string (data);

  mark (request, self, now);
  tl_store_cancel_request (gateway->store, self->request_id, self->actor, self->reason, event_id, event, now,
                           on_device_told, self);
}

static void on_cancel_found (const GError *error, gpointer result, gpointer user_data);

static void
cancel_over (Cancellation *self, const TlCapabilityRecord *record)
{
  g_autoptr (GError) error = NULL;

  if (record->state == TL_REQUEST_CANCELLED)
    answer (self->call, record, TRUE);
  else
    {
      error = g_error_new (TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "request %s is over: it is %s", record->request_id,
                           tl_request_state_to_string (record->state));
      tl_rpc_call_finish (self->call, error);
    }
  cancellation_free (self);
}

static void
on_cancel_found (const GError *error, gpointer result, gpointer user_data)
{
  Cancellation *self = user_data;
  const TlCapabilityRecord *record = result;
  TlOpenRequest *request = record != NULL ? g_hash_table_lookup (self->dispatcher->open, record->request_id) : NULL;

  if (error != NULL)
    {
      tl_rpc_call_finish (self->call, error);
      cancellation_free (self);
    }
  else if (tl_request_state_is_final (record->state))
    cancel_over (self, record);
  else if ((request == NULL || request->ending) && self->looks++ == MAX_LOOKS)
    {
      finish_undecided (self->call);
      cancellation_free (self);
    }
  else if (request == NULL || request->ending) /* its end is on the way into the store, where it is found next time */
    tl_store_find_request (self->dispatcher->gateway->store, record->request_id, on_cancel_found, self);
  else if (request->record->cancel_at > 0)
    {
      answer (self->call, request->record, TRUE);
      cancellation_free (self);
    }
  else if (request->record->state == TL_REQUEST_QUEUED)
    cancel_queued (request, self);
  else
    cancel_at_device (request, self);
}

void
tl_dispatcher_cancel (TlDispatcher *self, TlRpcCall *call, const char *text, const char *reason)
{
  g_autoptr (GError) error = NULL;

  if (strlen (reason) > TL_DISPATCH_MAX_REASON || !g_utf8_validate (reason, -1, NULL))
    {
      error = g_error_new (TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the reason is longer than %d bytes or not UTF-8",
                           TL_DISPATCH_MAX_REASON);
      tl_rpc_call_finish (call, error);
      return;
    }
  tl_store_find_request (self->gateway->store, text, on_cancel_found,
                         cancellation_new (self, call, tl_rpc_call_peer (call)->actor, reason));
}

guint
tl_dispatcher_cancel_queued (TlDispatcher *self, const char *device_id, const char *capability, const char *actor)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->open);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      const TlOpenRequest *request = value;

      if (request->record->state == TL_REQUEST_QUEUED && !request->ending && request->record->cancel_at == 0
          && g_str_equal (request->record->device_id, device_id)
          && g_str_equal (request->record->capability, capability))
        g_ptr_array_add (found, value);
    }
  for (guint i = 0; i < found->len; i++)
    cancel_queued (found->pdata[i], cancellation_new (self, NULL, actor, "the capability was switched off"));
  return found->len;
}

/* ---- following ---- */

typedef struct
{
  TlDispatcher *dispatcher;
  TlRpcCall *call;
  guint looks;
} Follower;

static void
follower_free (Follower *self)
{
  tl_rpc_call_unref (self->call);
  g_free (self);
}

static void
fill_state (Twinlatch__V1__ExecuteCapabilityResponse *message, const TlCapabilityRecord *record, TlRequestState state,
            gint64 now)
{
  twinlatch__v1__execute_capability_response__init (message);
  message->request_id = record->request_id;
  message->device_id = record->device_id;
  message->state = (Twinlatch__V1__RequestState)(state + 1);
  message->time_unix_ms = now;
}

/* What it was when it ended; the output only while it is kept. */
static void
follow_ended (Follower *self, const TlCapabilityRecord *record)
{
  Twinlatch__V1__ExecuteCapabilityResponse message;
  g_autoptr (GError) error = NULL;

  if (record->state == TL_REQUEST_SUCCEEDED && record->output == NULL)
    {
      error = g_error_new (TL_ERROR, TL_ERROR_NOT_FOUND,
                           "request %s succeeded, but its output is no longer kept; 'twinlatch requests show' has the "
                           "summary",
                           record->request_id);
      tl_rpc_call_finish (self->call, error);
    }
  else
    {
      fill_state (&message, record, record->state, record->completed_at);
      message.output = tl_wire_string (record->output);
      message.error = tl_wire_string (record->error);
      message.error_reason = tl_wire_string (record->error_reason);
      tl_rpc_call_reply (self->call, &message.base);
    }
  follower_free (self);
}

static void
follow_open (Follower *self, TlOpenRequest *request)
{
  Twinlatch__V1__ExecuteCapabilityResponse message;
  const TlCapabilityRecord *record = request->record;

  /* An end that is not committed yet is not told. */
  fill_state (&message, record, request->ending ? request->before_end : record->state, record->updated_at);
  tl_rpc_call_send (self->call, &message.base);
  g_ptr_array_add (request->calls, tl_rpc_call_ref (self->call));
  tl_rpc_call_set_data (self->call, g_strdup (record->request_id), g_free);
  follower_free (self);
}

static void
on_follow_found (const GError *error, gpointer result, gpointer user_data)
{
  Follower *self = user_data;
  const TlCapabilityRecord *record = result;
  TlOpenRequest *request = record != NULL ? g_hash_table_lookup (self->dispatcher->open, record->request_id) : NULL;

  if (error != NULL)
    {
      tl_rpc_call_finish (self->call, error);
      follower_free (self);
    }
  else if (request != NULL)
    follow_open (self, request);
  else if (tl_request_state_is_final (record->state))
    follow_ended (self, record);
  else if (self->looks++ == MAX_LOOKS)
    {
      finish_undecided (self->call);
      follower_free (self);
    }
  else /* it ended since the store looked: it is found as ended next time */
    tl_store_find_request (self->dispatcher->gateway->store, record->request_id, on_follow_found, self);
}

void
tl_dispatcher_watch (TlDispatcher *self, TlRpcCall *call, const char *text)
{
  Follower *follower = g_new0 (Follower, 1);

  follower->dispatcher = self;
  follower->call = tl_rpc_call_ref (call);
  tl_store_find_request (self->gateway->store, text, on_follow_found, follower);
}
