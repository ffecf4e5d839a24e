/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#define REQUEST_COLUMNS                                                                                                \
  "request_id, device_id, capability, input, state, requested_by, max_payload_bytes, timeout_ms, created_at, "         \
  "updated_at, dispatched_at, completed_at, expires_at, output, error, error_reason, receipt"

#define DISPATCH_EVENT "capability.dispatch"

static TlCapabilityRecord *
read_request (sqlite3_stmt *query)
{
  TlCapabilityRecord *request = g_new0 (TlCapabilityRecord, 1);

  request->request_id = tl_column_text (query, 0);
  request->device_id = tl_column_text (query, 1);
  request->capability = tl_column_text (query, 2);
  request->input = tl_column_text (query, 3);
  request->state = (TlRequestState)sqlite3_column_int (query, 4);
  request->requested_by = tl_column_text (query, 5);
  request->max_payload_bytes = (guint32)sqlite3_column_int64 (query, 6);
  request->timeout_ms = sqlite3_column_int64 (query, 7);
  request->created_at = sqlite3_column_int64 (query, 8);
  request->updated_at = sqlite3_column_int64 (query, 9);
  request->dispatched_at = sqlite3_column_int64 (query, 10);
  request->completed_at = sqlite3_column_int64 (query, 11);
  request->expires_at = sqlite3_column_int64 (query, 12);
  request->output = tl_column_text (query, 13);
  request->error = tl_column_text (query, 14);
  request->error_reason = tl_column_text (query, 15);
  request->receipt = tl_column_bytes (query, 16);
  return request;
}

static GPtrArray *
read_requests (TlDatabase *db, sqlite3_stmt *query, GError **error)
{
  g_autoptr (GPtrArray) requests = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_capability_record_free);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      if (!row)
        return g_steal_pointer (&requests);
      g_ptr_array_add (requests, read_request (query));
    }
  return NULL;
}

static TlCapabilityRecord *
load_request (TlDatabase *db, const char *request_id, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, "SELECT " REQUEST_COLUMNS " FROM requests WHERE request_id = ?",
                                           tl_text (request_id));
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return NULL;
  if (row)
    return read_request (query);
  g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "there is no capability request %.64s", request_id);
  return NULL;
}

static gboolean
run_add_request (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const TlCapabilityRecord *request = operation->record;

  if (!tl_store_authorise (db, request->requested_by, TL_OPERATOR_EXECUTE, NULL, error)
      || !tl_database_run (db, NULL, error,
                           "INSERT INTO requests (" REQUEST_COLUMNS
                           ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                           tl_text (request->request_id), tl_text (request->device_id), tl_text (request->capability),
                           tl_text (request->input), tl_int (request->state), tl_text (request->requested_by),
                           tl_int (request->max_payload_bytes), tl_int (request->timeout_ms),
                           tl_int (request->created_at), tl_int (request->updated_at), tl_int (request->dispatched_at),
                           tl_int (request->completed_at), tl_int (request->expires_at), tl_text (request->output),
                           tl_text (request->error), tl_text (request->error_reason), tl_bytes (request->receipt)))
    return FALSE;
  operation->result = tl_store_append_event (db, request->device_id, operation->event_id, DISPATCH_EVENT,
                                             operation->data, operation->now, error);
  return operation->result != NULL;
}

void
tl_store_add_request (TlStore *store, const TlCapabilityRecord *request, const char *event_id, const char *event_data,
                      gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_add_request, TL_STORE_WRITE, (GDestroyNotify)tl_event_record_free);

  operation->record = tl_capability_record_copy (request);
  operation->free_record = (GDestroyNotify)tl_capability_record_free;
  operation->event_id = g_strdup (event_id);
  operation->data = g_strdup (event_data);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

/* A final state is final even for a caller that names it in `from`. */
static gboolean
check_move (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autoptr (TlCapabilityRecord) request = load_request (db, operation->id, error);

  if (request == NULL)
    return FALSE;
  if (operation->device_id != NULL && g_strcmp0 (operation->device_id, request->device_id) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                   "the capability request %s was not dispatched to this device", request->request_id);
      return FALSE;
    }
  if (tl_request_state_is_final (request->state) || (operation->states >> request->state & 1) == 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "the capability request %s is %s",
                   request->request_id, tl_request_state_to_string (request->state));
      return FALSE;
    }
  return TRUE;
}

static gboolean
run_move_request (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  TlRequestState to = (TlRequestState)operation->number;

  if (!check_move (operation, db, error)
      || !tl_database_run (db, NULL, error,
                           "UPDATE requests SET state = ?, updated_at = ?,"
                           " dispatched_at = CASE WHEN ? THEN ? ELSE dispatched_at END,"
                           " completed_at = CASE WHEN ? THEN ? ELSE completed_at END,"
                           " output = coalesce (?, output), error = coalesce (?, error),"
                           " error_reason = coalesce (?, error_reason), receipt = coalesce (?, receipt)"
                           " WHERE request_id = ?",
                           tl_int (to), tl_int (operation->now), tl_int (to == TL_REQUEST_DISPATCHED),
                           tl_int (operation->now), tl_int (tl_request_state_is_final (to)), tl_int (operation->now),
                           tl_text (operation->data), tl_text (operation->failure), tl_text (operation->reason),
                           tl_bytes (operation->bytes), tl_text (operation->id)))
    return FALSE;
  operation->result = load_request (db, operation->id, error);
  return operation->result != NULL;
}

void
tl_store_move_request (TlStore *store, const char *request_id, const char *device_id, guint from, TlRequestState to,
                       const char *output, const char *request_error, const char *error_reason, GBytes *receipt,
                       gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_move_request, TL_STORE_WRITE, (GDestroyNotify)tl_capability_record_free);

  operation->id = g_strdup (request_id);
  operation->device_id = g_strdup (device_id);
  operation->states = from;
  operation->number = to;
  operation->data = g_strdup (output);
  operation->failure = g_strdup (request_error);
  operation->reason = g_strdup (error_reason);
  operation->bytes = receipt != NULL ? g_bytes_ref (receipt) : NULL;
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

GPtrArray *
tl_store_fail_requests (TlDatabase *db, const char *device_id, const char *failure, const char *reason, gint64 now,
                        GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error,
                           "UPDATE requests SET state = " SQL_REQUEST_FAILED ", updated_at = ?1, completed_at = ?1,"
                           " error = ?2, error_reason = ?3 WHERE device_id = ?4"
                           " AND state < " SQL_REQUEST_FIRST_FINAL " RETURNING " REQUEST_COLUMNS,
                           tl_int (now), tl_text (failure), tl_text (reason), tl_text (device_id));

  return read_requests (db, query, error);
}

static gboolean
run_get_request (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  operation->result = load_request (db, operation->id, error);
  return operation->result != NULL;
}

void
tl_store_get_request (TlStore *store, const char *request_id, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_get_request, TL_STORE_READ, (GDestroyNotify)tl_capability_record_free);

  operation->id = g_strdup (request_id);
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_list_open_requests (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error,
                           "SELECT " REQUEST_COLUMNS " FROM requests WHERE state < " SQL_REQUEST_FIRST_FINAL
                           " ORDER BY request_id");

  operation->result = read_requests (db, query, error);
  return operation->result != NULL;
}

GPtrArray *
tl_store_list_open_requests (TlStore *store, GError **error)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_list_open_requests, TL_STORE_READ, (GDestroyNotify)g_ptr_array_unref);
  gpointer requests = NULL;

  return tl_store_run_sync (store, operation, &requests, error) ? requests : NULL;
}
