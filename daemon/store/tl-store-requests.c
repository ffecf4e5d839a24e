/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

#include "base/tl-json.h"
#include "crypto/tl-hash.h"
#include "daemon/store/tl-journal.h"

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

/* ---- journal ---- */

static gboolean
journal_created (TlDatabase *db, const TlCapabilityRecord *request, gint64 now, GError **error)
{
  tl_json_auto detail = json_pack ("{s:s, s:s}", "device_id", request->device_id, "capability", request->capability);
  g_autofree char *text = detail != NULL ? tl_json_to_string (detail) : NULL;

  return tl_store_journal_append (db, now, TL_JOURNAL_REQUEST_CREATED, request->requested_by, request->request_id, text,
                                  error);
}

static void
set_hash (json_t *detail, const char *member, const guint8 hash[TL_SHA256_LENGTH])
{
  g_autofree char *hex = tl_hex_encode (hash, TL_SHA256_LENGTH);

  json_object_set_new (detail, member, json_string (hex));
}

/* receipt_hash NULL: the device had no part in it. */
static gboolean
journal_ended (TlDatabase *db, const TlCapabilityRecord *request, const char *actor, const guint8 *receipt_hash,
               gint64 now, GError **error)
{
  tl_json_auto detail = json_pack ("{s:s}", "state", tl_request_state_to_string (request->state));
  g_autofree char *text = NULL;
  guint8 output_hash[TL_SHA256_LENGTH];

  if (request->error_reason != NULL && *request->error_reason != '\0')
    json_object_set_new (detail, "reason", json_string (request->error_reason));
  if (receipt_hash != NULL)
    set_hash (detail, "receipt", receipt_hash);
  if (request->output != NULL)
    {
      tl_sha256 (request->output, strlen (request->output), output_hash);
      set_hash (detail, "output", output_hash);
    }
  text = tl_json_to_string (detail);
  return tl_store_journal_append (db, now, TL_JOURNAL_REQUEST_ENDED, actor, request->request_id, text, error);
}

/* ---- adding ---- */

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
                           tl_text (request->error), tl_text (request->error_reason), tl_bytes (request->receipt))
      || !journal_created (db, request, operation->now, error))
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

/* ---- moving ---- */

static void
move_free (gpointer data)
{
  TlRequestMove *move = data;

  g_free ((char *)move->request_id);
  g_free ((char *)move->device_id);
  g_free ((char *)move->output);
  g_free ((char *)move->error);
  g_free ((char *)move->error_reason);
  g_clear_pointer (&move->receipt, g_bytes_unref);
  g_free ((guint8 *)move->receipt_hash);
  g_free ((char *)move->actor);
  g_free (move);
}

static TlRequestMove *
move_copy (const TlRequestMove *move)
{
  TlRequestMove *copy = g_memdup2 (move, sizeof *move);

  copy->request_id = g_strdup (move->request_id);
  copy->device_id = g_strdup (move->device_id);
  copy->output = g_strdup (move->output);
  copy->error = g_strdup (move->error);
  copy->error_reason = g_strdup (move->error_reason);
  copy->receipt = move->receipt != NULL ? g_bytes_ref (move->receipt) : NULL;
  copy->receipt_hash = move->receipt_hash != NULL ? g_memdup2 (move->receipt_hash, TL_SHA256_LENGTH) : NULL;
  copy->actor = g_strdup (move->actor);
  if (copy->to == TL_REQUEST_DISPATCHED && copy->dispatched_at == 0)
    copy->dispatched_at = copy->now;
  return copy;
}

/* The request that did not take the move: why. */
static void
explain_move (const TlRequestMove *move, TlDatabase *db, GError **error)
{
  g_autoptr (TlCapabilityRecord) request = load_request (db, move->request_id, error);

  if (request == NULL)
    return;
  if (move->device_id != NULL && g_strcmp0 (move->device_id, request->device_id) != 0)
    g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                 "the capability request %s was not dispatched to this device", request->request_id);
  else
    g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "the capability request %s is %s", request->request_id,
                 tl_request_state_to_string (request->state));
}

/* A final state is final even for a caller that names it in `from`. */
static TlCapabilityRecord *
update_request (const TlRequestMove *move, TlDatabase *db, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error,
                           "UPDATE requests SET state = ?1, updated_at = ?2,"
                           " dispatched_at = max (dispatched_at, ?3),"
                           " completed_at = CASE WHEN ?4 THEN ?2 ELSE completed_at END,"
                           " output = coalesce (?5, output), error = coalesce (?6, error),"
                           " error_reason = coalesce (?7, error_reason), receipt = coalesce (?8, receipt)"
                           " WHERE request_id = ?9 AND state < " SQL_REQUEST_FIRST_FINAL
                           " AND (?10 >> state & 1) <> 0 AND (?11 IS NULL OR device_id = ?11)"
                           " RETURNING " REQUEST_COLUMNS,
                           tl_int (move->to), tl_int (move->now), tl_int (move->dispatched_at),
                           tl_int (tl_request_state_is_final (move->to)), tl_text (move->output), tl_text (move->error),
                           tl_text (move->error_reason), tl_bytes (move->receipt), tl_text (move->request_id),
                           tl_int (move->from), tl_text (move->device_id));
  TlCapabilityRecord *request;
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return NULL;
  if (!row)
    {
      explain_move (move, db, error);
      return NULL;
    }
  request = read_request (query);
  if (tl_database_next (db, query, &row, error)) /* to its end, or nothing is written */
    return request;
  tl_capability_record_free (request);
  return NULL;
}

static gboolean
run_move_request (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const TlRequestMove *move = operation->record;
  g_autoptr (TlCapabilityRecord) request = update_request (move, db, error);

  if (request == NULL
      || (tl_request_state_is_final (move->to)
          && !journal_ended (db, request, move->actor, move->receipt_hash, move->now, error)))
    return FALSE;
  operation->result = g_steal_pointer (&request);
  return TRUE;
}

void
tl_store_move_request (TlStore *store, const TlRequestMove *move, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_move_request, TL_STORE_WRITE, (GDestroyNotify)tl_capability_record_free);

  operation->record = move_copy (move);
  operation->free_record = move_free;
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
  g_autoptr (GPtrArray) requests = read_requests (db, query, error);

  for (guint i = 0; requests != NULL && i < requests->len; i++)
    if (!journal_ended (db, requests->pdata[i], NULL, NULL, now, error))
      return NULL;
  return g_steal_pointer (&requests);
}

/* ---- reading ---- */

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
