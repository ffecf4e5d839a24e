/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json-summary.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "daemon/tl-admin-private.h"
#include "daemon/tl-capability-name.h"
#include "daemon/tl-dispatcher-private.h"
#include "daemon/tl-journal-service.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-wire.h"

typedef struct
{
  TlDispatcher *dispatcher;
  char *device_id;
} EventWait;

static void
on_event_added (const GError *error, gpointer result, gpointer user_data)
{
  EventWait *wait = user_data;

  if (error != NULL)
    tl_log_error (TL_LOG_WARNING, "writing an event", error);
  else
    tl_node_registry_push (wait->dispatcher->gateway->registry, wait->device_id, result);
  g_free (wait->device_id);
  g_free (wait);
}

void
tl_dispatcher_add_event (TlDispatcher *self, const char *device_id, const char *event_id, const char *type,
                         const char *data)
{
  EventWait *wait = g_new0 (EventWait, 1);

  wait->dispatcher = self;
  wait->device_id = g_strdup (device_id);
  tl_store_add_event (self->gateway->store, device_id, event_id, type, data, tl_clock_wall_ms (self->gateway->clock),
                      on_event_added, wait);
}

/* ---- checks ---- */

static gboolean
check_limits (const Twinlatch__V1__ExecuteCapabilityRequest *request, TlCapabilityRecord *record, GError **error)
{
  gint64 expires_in = request->expires_in_ms != 0 ? request->expires_in_ms : TL_DISPATCH_DEFAULT_EXPIRY_MS;

  record->timeout_ms = request->timeout_ms != 0 ? request->timeout_ms : TL_DISPATCH_DEFAULT_TIMEOUT_MS;
  record->max_payload_bytes
      = request->max_payload_bytes != 0 ? request->max_payload_bytes : TL_DISPATCH_DEFAULT_PAYLOAD;
  if (record->timeout_ms < 1 || record->timeout_ms > TL_DISPATCH_MAX_TIMEOUT_MS)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the timeout is at most 1 h");
  else if (record->max_payload_bytes > TL_DISPATCH_MAX_PAYLOAD)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "input and output are at most 4 MiB");
  else if (expires_in < 1 || expires_in > TL_DISPATCH_MAX_EXPIRY_MS)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "a request waits for its device at most 7 days");
  else
    {
      record->expires_at = record->created_at + expires_in;
      return TRUE;
    }
  return FALSE;
}

/* Checks the input, and keeps what history will have of it. */
static gboolean
check_input (TlCapabilityRecord *record, GError **error)
{
  gsize length = strlen (record->input);
  guint8 digest[TL_SHA256_LENGTH];
  tl_json_auto value = NULL;

  if (length > record->max_payload_bytes)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, "the input has %zu bytes, the limit is %u", length,
                   record->max_payload_bytes);
      return FALSE;
    }
  value = tl_json_parse (record->input, (gssize)length, 0, error);
  if (value == NULL)
    {
      g_prefix_error (error, "input: ");
      return FALSE;
    }
  record->input_summary = tl_json_summary (value);
  tl_sha256 (record->input, length, digest);
  record->input_sha256 = g_bytes_new (digest, sizeof digest);
  return TRUE;
}

static gboolean
check_node (const TlNode *node, const Twinlatch__V1__ExecuteCapabilityRequest *request, GError **error)
{
  const Twinlatch__V1__CapabilityDescriptor *capability;

  if (node != NULL && node->known_only)
    g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                 "the device is known from an imported inventory, but not paired with this gateway; pair it first");
  else if (node == NULL || node->registration == NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                 "the device never connected, so nothing is known of what it can do; start its node");
  else if (node->state != TL_DEVICE_ACTIVE)
    g_set_error (error, TL_ERROR, TL_ERROR_REVOKED, "device '%s' is %s", node->name,
                 tl_device_state_to_string (node->state));
  else if ((capability = tl_node_find_capability (node, request->capability)) == NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_CAPABILITY_UNKNOWN,
                 "device '%s' does not announce '%s'; see 'twinlatch nodes show'", node->name, request->capability);
  else if (!capability->available)
    g_set_error (error, TL_ERROR, TL_ERROR_CAPABILITY_UNKNOWN, "'%s' is switched off on device '%s'",
                 request->capability, node->name);
  else if (tl_node_is_switched_off (node, request->capability))
    g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                 "'%s' was switched off for device '%s' at the gateway; see 'twinlatch nodes capability'",
                 request->capability, node->name);
  else if (request->no_wait && !tl_node_is_connected (node))
    g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "device '%s' is not connected", node->name);
  else
    return TRUE;
  return FALSE;
}

static gboolean
check_open (TlDispatcher *self, TlRpcCall *call, GError **error)
{
  const char *actor = tl_rpc_call_peer (call)->actor;
  GHashTableIter iter;
  gpointer value;
  guint open = 0;

  if (!tl_admin_is_remote (call))
    return TRUE;
  g_hash_table_iter_init (&iter, self->open);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    open += g_str_equal (((TlOpenRequest *)value)->record->requested_by, actor);
  if (open < TL_DISPATCH_MAX_OPEN_REMOTE)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
               "this operator has %d requests that are not over; wait until some are", TL_DISPATCH_MAX_OPEN_REMOTE);
  return FALSE;
}

static TlCapabilityRecord *
make_record (TlDispatcher *self, TlRpcCall *call, const char *device_id,
             const Twinlatch__V1__ExecuteCapabilityRequest *request, GError **error)
{
  TlGateway *gateway = self->gateway;
  g_autoptr (TlCapabilityRecord) record = g_new0 (TlCapabilityRecord, 1);

  record->created_at = record->updated_at = tl_clock_wall_ms (gateway->clock);
  if (!tl_capability_name_is_valid (request->capability))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "'%.80s' is not a capability's name",
                   request->capability);
      return NULL;
    }
  record->input = g_strdup (request->input[0] != '\0' ? request->input : "{}");
  if (!check_open (self, call, error) || !check_limits (request, record, error) || !check_input (record, error)
      || !check_node (tl_node_registry_lookup (gateway->registry, device_id), request, error))
    return NULL;
  record->request_id = tl_ulid_new (record->created_at, gateway->random);
  record->device_id = g_strdup (device_id);
  record->capability = g_strdup (request->capability);
  record->state = TL_REQUEST_QUEUED;
  record->requested_by = g_strdup (tl_rpc_call_peer (call)->actor);
  return g_steal_pointer (&record);
}

/* ---- submission ---- */

typedef struct
{
  TlDispatcher *dispatcher;
  TlRpcCall *call;
  TlCapabilityRecord *record;
} Submission;

static void
on_request_added (const GError *error, gpointer result, gpointer user_data)
{
  Submission *submission = user_data;
  TlDispatcher *self = submission->dispatcher;

  if (error != NULL)
    {
      tl_admin_fail (self->gateway, submission->call, submission->record->device_id, error);
      tl_capability_record_free (submission->record);
    }
  else
    {
      TlOpenRequest *request = tl_dispatcher_track (self, submission->record);
      g_autofree char *device_id = g_strdup (request->record->device_id);
      g_ptr_array_add (request->calls, tl_rpc_call_ref (submission->call));
      tl_rpc_call_set_data (submission->call, g_strdup (request->record->request_id), g_free);
      tl_dispatcher_queued (self, request);
      tl_node_registry_push (self->gateway->registry, device_id, result);
      if (request->record->state == TL_REQUEST_QUEUED) /* not connected: that may take a while */
        tl_dispatcher_settle (self, request);
    }
  tl_rpc_call_unref (submission->call);
  g_free (submission);
}

void
tl_dispatcher_execute (TlDispatcher *self, TlRpcCall *call, const char *device_id,
                       const Twinlatch__V1__ExecuteCapabilityRequest *request)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlCapabilityRecord) record = make_record (self, call, device_id, request, &error);
  g_autofree char *data = NULL;
  tl_json_auto event = NULL;
  Submission *submission;

  if (record == NULL)
    {
      tl_journal_service_denied (self->gateway->journal, TL_JOURNAL_REQUEST_REFUSED, call, device_id, error);
      tl_rpc_call_finish (call, error);
      return;
    }
  event = json_pack ("{s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "request_id", record->request_id, "capability",
                     record->capability, "input", record->input, "max_payload_bytes",
                     (json_int_t)record->max_payload_bytes, "timeout_ms", (json_int_t)record->timeout_ms,
                     "expires_at_unix_ms", (json_int_t)record->expires_at, "requested_by", record->requested_by);
  data = tl_json_to_string (event);
  submission = g_new0 (Submission, 1);
  submission->dispatcher = self;
  submission->call = tl_rpc_call_ref (call);
  submission->record = g_steal_pointer (&record);
  tl_store_add_request (self->gateway->store, submission->record, submission->record->request_id, data,
                        submission->record->created_at, on_request_added, submission);
}

void
tl_dispatcher_execute_cancelled (TlDispatcher *self, TlRpcCall *call)
{
  const char *request_id = tl_rpc_call_get_data (call);
  TlOpenRequest *request = request_id != NULL ? g_hash_table_lookup (self->open, request_id) : NULL;

  if (request != NULL)
    g_ptr_array_remove (request->calls, call);
}
