/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

#include "base/tl-json.h"
#include "base/tl-ulid.h"
#include "daemon/store/tl-journal.h"

/* Capability requests as operators see them, open and ended; what is kept of them, and for how long. */

/* Rows looked at for one page: a filter that fits few rows must not hold up the others that wait for the store. */
#define LIST_MAX_SCANNED 20000
/* Rows dropped at a time, for the same reason: the next run goes on. */
#define DROP_AT_ONCE "20000"

/* ---- one ---- */

/* The output, while it is kept. */
static gboolean
load_output (TlDatabase *db, TlCapabilityRecord *request, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error, "SELECT output FROM outputs WHERE request_id = ?", tl_text (request->request_id));
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  g_free (request->output);
  request->output = row ? tl_column_text (query, 0) : NULL;
  return TRUE;
}

static GPtrArray *
find_by_prefix (TlDatabase *db, const char *prefix, GError **error)
{
  tl_query_auto query = tl_database_query (db, error,
                                           "SELECT " REQUEST_COLUMNS " FROM requests WHERE request_id >= ?1"
                                           " AND request_id < ?1 || '~' ORDER BY request_id LIMIT 2",
                                           tl_text (prefix));

  return tl_store_read_requests (db, query, error);
}

static gboolean
run_find_request (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autofree char *prefix = tl_store_id_prefix (operation->id);
  g_autoptr (GPtrArray) found = NULL;

  if (prefix == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND,
                   "'%.64s' is not the id of a capability request: give at least %d of its characters", operation->id,
                   TL_STORE_PREFIX_MIN);
      return FALSE;
    }
  found = find_by_prefix (db, prefix, error);
  if (found == NULL)
    return FALSE;
  if (found->len == 0)
    g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "there is no capability request %s", prefix);
  else if (found->len > 1)
    g_set_error (error, TL_ERROR, TL_ERROR_AMBIGUOUS, "several capability requests begin with %s; give more of the id",
                 prefix);
  else if (load_output (db, found->pdata[0], error))
    operation->result = g_ptr_array_steal_index (found, 0);
  return operation->result != NULL;
}

void
tl_store_find_request (TlStore *store, const char *request, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_find_request, TL_STORE_READ, (GDestroyNotify)tl_capability_record_free);

  operation->id = g_strdup (request);
  tl_store_submit (store, operation, callback, user_data);
}

/* ---- lists ---- */

static void
filter_free (gpointer data)
{
  TlRequestFilter *filter = data;

  g_free ((char *)filter->device_id);
  g_free ((char *)filter->capability);
  g_free ((char *)filter->requested_by);
  g_free (filter);
}

static void
page_free (gpointer data)
{
  TlRequestPage *page = data;

  g_ptr_array_unref (page->requests);
  g_free (page->next_token);
  g_free (page);
}

/* Input and receipt are not part of a list. */
#define SELECT_LIST                                                                                                    \
  "SELECT request_id, device_id, capability, NULL, state, requested_by, max_payload_bytes, timeout_ms, created_at,"    \
  " updated_at, dispatched_at, completed_at, expires_at, error, error_reason, NULL, event_seq, input_summary,"         \
  " output_summary, input_sha256, output_sha256, cancel_at, cancelled_by FROM requests "
#define OPEN_STATES ((1u << TL_REQUEST_SUCCEEDED) - 1)

/* The one index that has the rows in order; the rest of the filter is looked at row by row. */
static sqlite3_stmt *
start_list (TlDatabase *db, const TlRequestFilter *filter, const char *token, GError **error)
{
  const char *before = *token != '\0' ? token : "~";

  if (filter->device_id != NULL)
    return tl_database_query (db, error,
                              SELECT_LIST
                              "WHERE device_id = ? AND request_id < ? ORDER BY device_id DESC, request_id DESC",
                              tl_text (filter->device_id), tl_text (before));
  if (filter->states != 0 && (filter->states & ~OPEN_STATES) == 0)
    return tl_database_query (db, error,
                              SELECT_LIST "WHERE state < " SQL_REQUEST_FIRST_FINAL
                                          " AND request_id < ? ORDER BY request_id DESC",
                              tl_text (before));
  return tl_database_query (db, error, SELECT_LIST "WHERE request_id < ? ORDER BY request_id DESC", tl_text (before));
}

static gboolean
fits (sqlite3_stmt *query, const TlRequestFilter *filter)
{
  return (filter->states == 0 || (filter->states >> sqlite3_column_int (query, 4) & 1) != 0)
         && (filter->capability == NULL
             || g_strcmp0 ((const char *)sqlite3_column_text (query, 2), filter->capability) == 0)
         && (filter->requested_by == NULL
             || g_strcmp0 ((const char *)sqlite3_column_text (query, 5), filter->requested_by) == 0);
}

static gboolean
run_list_requests (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const TlRequestFilter *filter = operation->record;
  tl_query_auto query = start_list (db, filter, operation->token, error);
  TlRequestPage *page;
  guint scanned = 0;
  gboolean row = query != NULL;

  if (query == NULL)
    return FALSE;
  operation->result = page = g_new0 (TlRequestPage, 1);
  page->requests = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_capability_record_free);
  while (tl_database_next (db, query, &row, error))
    {
      /* Ids are in the order of creation. */
      if (!row || sqlite3_column_int64 (query, 8) < filter->since)
        {
          g_clear_pointer (&page->next_token, g_free);
          return TRUE;
        }
      if (page->requests->len == operation->limit || scanned++ == LIST_MAX_SCANNED)
        return TRUE;
      g_free (page->next_token);
      page->next_token = tl_column_text (query, 0);
      if (fits (query, filter))
        g_ptr_array_add (page->requests, tl_store_read_request (query));
    }
  return FALSE;
}

void
tl_store_list_requests (TlStore *store, const TlRequestFilter *filter, const char *page_token, guint limit,
                        TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_list_requests, TL_STORE_READ, page_free);
  TlRequestFilter *copy = g_memdup2 (filter, sizeof *filter);

  copy->device_id = g_strdup (filter->device_id);
  copy->capability = g_strdup (filter->capability);
  copy->requested_by = g_strdup (filter->requested_by);
  operation->record = copy;
  operation->free_record = filter_free;
  operation->token = g_strdup (page_token);
  operation->limit = limit;
  tl_store_submit (store, operation, callback, user_data);
}

/* ---- cancelling, late results ---- */

static char *
cancel_detail (const char *state, const char *reason)
{
  tl_json_auto detail = json_pack ("{s:s}", "state", state);

  if (reason != NULL && *reason != '\0')
    json_object_set_new (detail, "reason", json_string (reason));
  return tl_json_to_string (detail);
}

/* Marks the request; FALSE when it cannot be cancelled any more. *device_id, *state: as it was. */
static gboolean
mark_cancelled (TlStoreOperation *operation, TlDatabase *db, char **device_id, TlRequestState *state, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error,
                           "UPDATE requests SET cancel_at = ?, cancelled_by = ? WHERE request_id = ?"
                           " AND state < " SQL_REQUEST_FIRST_FINAL " AND cancel_at = 0 RETURNING device_id, state",
                           tl_int (operation->now), tl_text (operation->actor), tl_text (operation->id));
  gboolean row, more;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  if (!row)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                   "the capability request %s is over, or was cancelled before", operation->id);
      return FALSE;
    }
  *device_id = tl_column_text (query, 0);
  *state = (TlRequestState)sqlite3_column_int (query, 1);
  return tl_database_next (db, query, &more, error); /* to its end, or nothing is written */
}

static gboolean
run_cancel_request (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autofree char *device_id = NULL;
  g_autofree char *detail = NULL;
  TlRequestState state = TL_REQUEST_QUEUED;

  if (!tl_store_authorise (db, operation->actor, TL_OPERATOR_CANCEL_REQUEST, NULL, error)
      || !mark_cancelled (operation, db, &device_id, &state, error))
    return FALSE;
  detail = cancel_detail (tl_request_state_to_string (state), operation->reason);
  if (!tl_store_journal_append (db, operation->now, TL_JOURNAL_REQUEST_CANCELLED, operation->actor, operation->id,
                                detail, error))
    return FALSE;
  if (operation->event_id == NULL)
    return TRUE;
  operation->result = tl_store_append_event (db, device_id, operation->event_id, TL_STORE_CANCEL_EVENT, operation->data,
                                             operation->now, error);
  return operation->result != NULL;
}

void
tl_store_cancel_request (TlStore *store, const char *request_id, const char *actor, const char *reason,
                         const char *event_id, const char *event_data, gint64 now, TlStoreCallback callback,
                         gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_cancel_request, TL_STORE_WRITE, (GDestroyNotify)tl_event_record_free);

  operation->id = g_strdup (request_id);
  operation->actor = g_strdup (actor);
  operation->reason = g_strdup (reason);
  operation->event_id = g_strdup (event_id);
  operation->data = g_strdup (event_data);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

gboolean
tl_store_withdraw_event (TlDatabase *db, const char *request_id, const char *reason, GError **error)
{
  tl_json_auto object = json_pack ("{s:s, s:s}", "request_id", request_id, "reason",
                                   reason != NULL && *reason != '\0' ? reason : "cancelled");
  g_autofree char *data = tl_json_to_string (object);

  return tl_database_run (db, NULL, error,
                          "UPDATE events SET type = ?, data = ? WHERE (device_id, seq) ="
                          " (SELECT device_id, event_seq FROM requests WHERE request_id = ?)",
                          tl_text (TL_STORE_CANCEL_EVENT), tl_text (data), tl_text (request_id));
}

static gboolean
run_late_result (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  guint changes;

  if (!tl_database_run (db, &changes, error, "UPDATE requests SET late = 1 WHERE request_id = ? AND late = 0",
                        tl_text (operation->id)))
    return FALSE;
  return changes == 0
         || tl_store_journal_append (db, operation->now, TL_JOURNAL_RESULT_LATE, operation->actor, operation->id,
                                     operation->data, error);
}

void
tl_store_late_result (TlStore *store, const char *request_id, const char *actor, const char *detail, gint64 now,
                      TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_late_result, TL_STORE_WRITE, NULL);

  operation->id = g_strdup (request_id);
  operation->actor = g_strdup (actor);
  operation->data = g_strdup (detail);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

/* ---- retention ---- */

gboolean
tl_store_keep_output (TlDatabase *db, const char *request_id, const char *output, gint64 now, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "INSERT INTO outputs (request_id, completed_at, bytes, output) VALUES (?, ?, ?, ?)",
                          tl_text (request_id), tl_int (now), tl_int ((gint64)strlen (output)), tl_text (output));
}

/* Oldest first until what is left fits. */
static gboolean
drop_outputs_above (TlDatabase *db, gint64 max_bytes, GError **error)
{
  gint64 bytes, first;

  if (!tl_database_integer (db, &bytes, error, "SELECT coalesce (sum (bytes), 0) FROM outputs"))
    return FALSE;
  if (bytes <= max_bytes)
    return TRUE;
  /* The first one whose successors and itself fit. */
  return tl_database_integer (db, &first, error,
                              "SELECT min (id) FROM (SELECT id, sum (bytes) OVER (ORDER BY id DESC) AS total"
                              " FROM outputs) WHERE total <= ?",
                              tl_int (max_bytes))
         && tl_database_run (db, NULL, error, "DELETE FROM outputs WHERE id < ?",
                             tl_int (first > 0 ? first : G_MAXINT64));
}

gboolean
tl_store_expire_requests (TlDatabase *db, gint64 now, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "DELETE FROM outputs WHERE completed_at <= ?1 OR id <= (SELECT max (id) FROM outputs) - ?2",
                          tl_int (now - TL_STORE_OUTPUTS_MS), tl_int (TL_STORE_OUTPUTS_MAX))
         && drop_outputs_above (db, TL_STORE_OUTPUTS_BYTES, error)
         && tl_database_run (db, NULL, error,
                             "DELETE FROM requests WHERE rowid IN (SELECT rowid FROM requests"
                             " WHERE state >= " SQL_REQUEST_FIRST_FINAL
                             " AND completed_at <= ? ORDER BY completed_at LIMIT " DROP_AT_ONCE ")",
                             tl_int (now - TL_STORE_HISTORY_MS))
         && tl_database_run (db, NULL, error,
                             "DELETE FROM requests WHERE rowid IN (SELECT rowid FROM requests"
                             " WHERE rowid <= (SELECT max (rowid) FROM requests) - ? AND +state"
                             " >= " SQL_REQUEST_FIRST_FINAL " ORDER BY rowid LIMIT " DROP_AT_ONCE ")",
                             tl_int (TL_STORE_HISTORY_MAX))
         && tl_database_run (db, NULL, error,
                             "DELETE FROM switches WHERE device_id IN"
                             " (SELECT device_id FROM devices WHERE state = " SQL_DEVICE_REMOVED ")");
}
