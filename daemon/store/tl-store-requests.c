/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

#include "base/tl-json.h"
#include "crypto/tl-hash.h"
#include "daemon/store/tl-journal.h"

#define DISPATCH_EVENT "capability.dispatch"

TlCapabilityRecord *
tl_store_read_request (sqlite3_stmt *query)
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
  request->error = tl_column_text (query, 13);
  request->error_reason = tl_column_text (query, 14);
  request->receipt = tl_column_bytes (query, 15);
  request->event_seq = (guint64)sqlite3_column_int64 (query, 16);
  request->input_summary = tl_column_text (query, 17);
  request->output_summary = tl_column_text (query, 18);
  request->input_sha256 = tl_column_bytes (query, 19);
  request->output_sha256 = tl_column_bytes (query, 20);
  request->cancel_at = sqlite3_column_int64 (query, 21);
  request->cancelled_by = tl_column_text (query, 22);
  return request;
}

GPtrArray *
tl_store_read_requests (TlDatabase *db, sqlite3_stmt *query, GError **error)
{
  g_autoptr (GPtrArray) requests = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_capability_record_free);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      if (!row)
        return g_steal_pointer (&requests);
      g_ptr_array_add (requests, tl_store_read_request (query));
    }
  return NULL;
}

TlCapabilityRecord *
tl_store_load_request (TlDatabase *db, const char *request_id, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, "SELECT " REQUEST_COLUMNS " FROM requests WHERE request_id = ?",
                                           tl_text (request_id));
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return NULL;
  if (row)
    return tl_store_read_request (query);
  g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "there is no capability request %.64s", request_id);
  return NULL;
}

/* ---- journal ---- */

/* Written by hand: ids, names of capabilities and hex need no escaping, and two rows a request are many. */
static gboolean
journal_created (TlDatabase *db, const TlCapabilityRecord *request, gint64 now, GError **error)
{
  char detail[256];

  g_snprintf (detail, sizeof detail, "{\"device_id\":\"%s\",\"capability\":\"%s\"}", request->device_id,
              request->capability);
  return tl_store_journal_append (db, now, TL_JOURNAL_REQUEST_CREATED, request->requested_by, request->request_id,
                                  detail, error);
}

/* How a request ended. Hashes of 32 bytes; receipt NULL: the device had no part in it. */
typedef struct
{
  const char *request_id;
  TlRequestState state;
  const char *reason; /* the device's word */
  const char *actor;
  const guint8 *receipt_hash, *output_hash;
} End;

static void
append_hash (GString *detail, const char *member, const guint8 *hash)
{
  g_autofree char *hex = hash != NULL ? tl_hex_encode (hash, TL_SHA256_LENGTH) : NULL;

  if (hash != NULL)
    g_string_append_printf (detail, ",\"%s\":\"%s\"", member, hex);
}

static gboolean
journal_ended (TlDatabase *db, const End *end, gint64 now, GError **error)
{
  g_autoptr (GString) detail = g_string_sized_new (256);

  g_string_append_printf (detail, "{\"state\":\"%s\"", tl_request_state_to_string (end->state));
  if (end->reason != NULL && end->reason[0] != '\0')
    {
      tl_json_auto reason = json_string (end->reason);
      g_autofree char *text = reason != NULL ? tl_json_to_string (reason) : g_strdup ("null");

      g_string_append_printf (detail, ",\"reason\":%s", text);
    }
  append_hash (detail, "receipt", end->receipt_hash);
  append_hash (detail, "output", end->output_hash);
  g_string_append_c (detail, '}');
  return tl_store_journal_append (db, now, TL_JOURNAL_REQUEST_ENDED, end->actor, end->request_id, detail->str, error);
}

/* ---- adding ---- */

static gboolean
insert_request (TlDatabase *db, const TlCapabilityRecord *request, guint64 event_seq, GError **error)
{
  return tl_database_run (
      db, NULL, error,
      "INSERT INTO requests (request_id, device_id, capability, input, state, requested_by, max_payload_bytes,"
      " timeout_ms, created_at, updated_at, dispatched_at, completed_at, expires_at, event_seq, input_summary,"
      " input_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      tl_text (request->request_id), tl_text (request->device_id), tl_text (request->capability),
      tl_text (request->input), tl_int (request->state), tl_text (request->requested_by),
      tl_int (request->max_payload_bytes), tl_int (request->timeout_ms), tl_int (request->created_at),
      tl_int (request->updated_at), tl_int (request->dispatched_at), tl_int (request->completed_at),
      tl_int (request->expires_at), tl_int ((gint64)event_seq), tl_text (request->input_summary),
      tl_bytes (request->input_sha256));
}

static gboolean
run_add_request (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const TlCapabilityRecord *request = operation->record;
  TlEventRecord *event;

  if (!tl_store_authorise (db, request->requested_by, TL_OPERATOR_EXECUTE, NULL, error))
    return FALSE;
  event = tl_store_append_event (db, request->device_id, operation->event_id, DISPATCH_EVENT, operation->data,
                                 operation->now, error);
  operation->result = event;
  return event != NULL && insert_request (db, request, event->seq, error)
         && journal_created (db, request, operation->now, error);
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
  g_free ((char *)move->output_summary);
  g_clear_pointer (&move->receipt, g_bytes_unref);
  g_free ((guint8 *)move->output_sha256);
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
  copy->output_summary = g_strdup (move->output_summary);
  copy->output_sha256 = move->output_sha256 != NULL ? g_memdup2 (move->output_sha256, TL_SHA256_LENGTH) : NULL;
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
  g_autoptr (TlCapabilityRecord) request = tl_store_load_request (db, move->request_id, error);

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
static gboolean
update_request (const TlRequestMove *move, TlDatabase *db, GError **error)
{
  gboolean is_final = tl_request_state_is_final (move->to);
  guint changes = 0;

  if (!tl_database_run (db, &changes, error,
                        "UPDATE requests SET state = ?1, updated_at = ?2, dispatched_at = max (dispatched_at, ?3),"
                        " completed_at = iif (?4, ?2, completed_at), input = iif (?4, NULL, input),"
                        " output_summary = ?5, output_sha256 = ?6, error = coalesce (?7, error),"
                        " error_reason = coalesce (?8, error_reason), receipt = coalesce (?9, receipt)"
                        " WHERE request_id = ?10 AND state < " SQL_REQUEST_FIRST_FINAL
                        " AND (?11 >> state & 1) <> 0 AND (?12 IS NULL OR device_id = ?12)",
                        tl_int (move->to), tl_int (move->now), tl_int (move->dispatched_at), tl_int (is_final),
                        tl_text (move->output_summary),
                        tl_blob (move->output_sha256, move->output_sha256 != NULL ? TL_SHA256_LENGTH : 0),
                        tl_text (move->error), tl_text (move->error_reason), tl_bytes (move->receipt),
                        tl_text (move->request_id), tl_int (move->from), tl_text (move->device_id)))
    return FALSE;
  if (changes > 0)
    return TRUE;
  explain_move (move, db, error);
  return FALSE;
}

/* What goes with a final state, in the same transaction. */
static gboolean
end_request (TlDatabase *db, const TlRequestMove *move, GError **error)
{
  const End end
      = { move->request_id, move->to, move->error_reason, move->actor, move->receipt_hash, move->output_sha256 };

  return journal_ended (db, &end, move->now, error)
         && (move->receipt != NULL || tl_store_withdraw_event (db, move->request_id, move->error_reason, error))
         && (move->output == NULL || tl_store_keep_output (db, move->request_id, move->output, move->now, error));
}

/* An operator's word ends it: the mark, which was given with the right to, or the right as it is now. The gateway's own
 * moves have no actor, a device's have a receipt. */
static gboolean
authorise_move (TlDatabase *db, const TlRequestMove *move, GError **error)
{
  gint64 marked;

  if (move->actor == NULL || move->receipt != NULL)
    return TRUE;
  if (!tl_database_integer (db, &marked, error,
                            "SELECT count (*) FROM requests WHERE request_id = ? AND cancel_at > 0"
                            " AND cancelled_by = ?",
                            tl_text (move->request_id), tl_text (move->actor)))
    return FALSE;
  return marked > 0 || tl_store_authorise (db, move->actor, TL_OPERATOR_CANCEL_REQUEST, NULL, error);
}

static gboolean
run_move_request (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const TlRequestMove *move = operation->record;

  return authorise_move (db, move, error) && update_request (move, db, error)
         && (!tl_request_state_is_final (move->to) || end_request (db, move, error));
}

void
tl_store_move_request (TlStore *store, const TlRequestMove *move, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_move_request, TL_STORE_WRITE, NULL);

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
                           " input = NULL, error = ?2, error_reason = ?3 WHERE device_id = ?4"
                           " AND state < " SQL_REQUEST_FIRST_FINAL " RETURNING " REQUEST_COLUMNS,
                           tl_int (now), tl_text (failure), tl_text (reason), tl_text (device_id));
  g_autoptr (GPtrArray) requests = tl_store_read_requests (db, query, error);

  for (guint i = 0; requests != NULL && i < requests->len; i++)
    {
      const TlCapabilityRecord *request = requests->pdata[i];
      const End end = { request->request_id, request->state, reason, NULL, NULL, NULL };

      if (!journal_ended (db, &end, now, error) || !tl_store_withdraw_event (db, request->request_id, reason, error))
        return NULL;
    }
  return g_steal_pointer (&requests);
}

/* ---- reading ---- */

static gboolean
run_get_request (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  operation->result = tl_store_load_request (db, operation->id, error);
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
      = tl_database_query (db, error, "SELECT " REQUEST_COLUMNS FROM_OPEN_REQUESTS " ORDER BY request_id");

  operation->result = tl_store_read_requests (db, query, error);
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
