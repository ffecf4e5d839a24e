/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include "daemon/store/tl-journal.h"

#define PAIRING_COLUMNS                                                                                                \
  "request_id, session_id, code_id, code_minted_by, method, state, device_id, device_name, platform, label, "          \
  "replaces_device_id, client_kind, role, auto_approve, identity_public, device_nonce, tls_public_der, "               \
  "tls_key_fingerprint, sealed_keys, source, wrong_codes, decided_by, reason, requested_at, expires_at, decided_at, "  \
  "certificate_der"

static TlPairingRecord *
read_pairing (sqlite3_stmt *query)
{
  TlPairingRecord *request = g_new0 (TlPairingRecord, 1);

  request->request_id = tl_column_text (query, 0);
  request->session_id = tl_column_text (query, 1);
  request->code_id = tl_column_text (query, 2);
  request->code_minted_by = tl_column_text (query, 3);
  request->method = (TlPairingMethod)sqlite3_column_int (query, 4);
  request->state = (TlPairingState)sqlite3_column_int (query, 5);
  request->device_id = tl_column_text (query, 6);
  request->device_name = tl_column_text (query, 7);
  request->platform = tl_column_text (query, 8);
  request->label = tl_column_text (query, 9);
  request->replaces_device_id = tl_column_text (query, 10);
  request->client_kind = (TlClientKind)sqlite3_column_int (query, 11);
  request->role = (TlRole)sqlite3_column_int (query, 12);
  request->auto_approve = sqlite3_column_int (query, 13) != 0;
  tl_column_array (query, 14, request->identity_public, sizeof request->identity_public);
  tl_column_array (query, 15, request->device_nonce, sizeof request->device_nonce);
  request->tls_public_der = tl_column_bytes (query, 16);
  request->tls_key_fingerprint = tl_column_text (query, 17);
  request->sealed_keys = tl_column_bytes (query, 18);
  request->source = tl_column_text (query, 19);
  request->wrong_codes = (guint)sqlite3_column_int (query, 20);
  request->decided_by = tl_column_text (query, 21);
  request->reason = tl_column_text (query, 22);
  request->requested_at = sqlite3_column_int64 (query, 23);
  request->expires_at = sqlite3_column_int64 (query, 24);
  request->decided_at = sqlite3_column_int64 (query, 25);
  request->certificate_der = tl_column_bytes (query, 26);
  return request;
}

static GPtrArray *
read_pairings (TlDatabase *db, sqlite3_stmt *query, GError **error)
{
  g_autoptr (GPtrArray) requests = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_pairing_record_free);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      if (!row)
        return g_steal_pointer (&requests);
      g_ptr_array_add (requests, read_pairing (query));
    }
  return NULL;
}

/* The query's only row; NOT_FOUND, AMBIGUOUS. */
static TlPairingRecord *
single_pairing (TlDatabase *db, sqlite3_stmt *query, const char *what, GError **error)
{
  g_autoptr (GPtrArray) requests = read_pairings (db, query, error);

  if (requests == NULL)
    return NULL;
  if (requests->len == 1)
    return g_ptr_array_steal_index (requests, 0);

  if (requests->len == 0)
    g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "there is no pairing request \"%.64s\"", what);
  else
    g_set_error (error, TL_ERROR, TL_ERROR_AMBIGUOUS, "\"%s\" fits more than one pairing request; type more of the id",
                 what);
  return NULL;
}

TlPairingRecord *
tl_store_load_pairing (TlDatabase *db, const char *request_id, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, "SELECT " PAIRING_COLUMNS " FROM pairings WHERE request_id = ?",
                                           tl_text (request_id));

  return single_pairing (db, query, request_id, error);
}

gboolean
tl_store_load_pairing_result (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  operation->result = tl_store_load_pairing (db, operation->id, error);
  return operation->result != NULL;
}

/* ---- a request comes in ---- */

static gboolean
is_stored (TlDatabase *db, const TlPairingRecord *request, gboolean *stored, GError **error)
{
  gint64 n;

  if (!tl_database_integer (db, &n, error,
                            "SELECT count (*) FROM pairings WHERE request_id = ? AND session_id = ? AND code_id = ?",
                            tl_text (request->request_id), tl_text (request->session_id), tl_text (request->code_id)))
    return FALSE;
  *stored = n > 0;
  return TRUE;
}

/* Exhausted by this very attempt is still good; used, cancelled, expired is not. */
static gboolean
spend_code (TlDatabase *db, const char *code_id, gint64 now, GError **error)
{
  guint changes;

  if (!tl_database_run (db, &changes, error,
                        "UPDATE codes SET state = " SQL_CODE_USED ", w0 = NULL, ended_at = ?1"
                        " WHERE code_id = ?2 AND state IN (" SQL_CODE_LIVE ", " SQL_CODE_EXHAUSTED ")"
                        " AND expires_at > ?1",
                        tl_int (now), tl_text (code_id)))
    return FALSE;
  if (changes == 0)
    {
      tl_store_set_code_invalid (error);
      return FALSE;
    }
  db->erase_pending = TRUE;
  return TRUE;
}

/* Role, method and approval are the code's, fixed by who minted it (PROTOCOL 1, 3.1): a second line behind the caller.
 */
static gboolean
check_against_code (TlDatabase *db, const TlPairingRecord *request, GError **error)
{
  gint64 fits;

  if (!tl_database_integer (db, &fits, error,
                            "SELECT count (*) FROM codes WHERE code_id = ? AND role = ? AND method = ?"
                            " AND auto_approve >= ?",
                            tl_text (request->code_id), tl_int (request->role), tl_int (request->method),
                            tl_int (request->state == TL_PAIRING_STATE_APPROVED)))
    return FALSE;
  if (fits == 1)
    return TRUE;

  g_set_error_literal (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                       "the request asks for a role or an approval that its pairing code does not give");
  return FALSE;
}

static gboolean
insert_pairing (TlDatabase *db, const TlPairingRecord *request, GError **error)
{
  return tl_database_run (
      db, NULL, error,
      "INSERT INTO pairings (" PAIRING_COLUMNS
      ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, NULL)",
      tl_text (request->request_id), tl_text (request->session_id), tl_text (request->code_id),
      tl_text (request->code_minted_by), tl_int (request->method), tl_int (request->state),
      tl_text (request->device_id), tl_text (request->device_name), tl_text (request->platform),
      tl_text (request->label), tl_text (request->replaces_device_id), tl_int (request->client_kind),
      tl_int (request->role), tl_int (request->auto_approve != FALSE),
      tl_blob (request->identity_public, sizeof request->identity_public),
      tl_blob (request->device_nonce, sizeof request->device_nonce), tl_bytes (request->tls_public_der),
      tl_text (request->tls_key_fingerprint), tl_bytes (request->sealed_keys), tl_text (request->source),
      tl_text (request->decided_by), tl_text (request->reason), tl_int (request->requested_at),
      tl_int (request->expires_at), tl_int (request->decided_at));
}

/* Who may call themselves what they like: the source is what is known of a device that asks. */
static char *
request_actor (const TlPairingRecord *request)
{
  return g_strdup_printf ("source:%s", request->source != NULL ? request->source : "unknown");
}

static gboolean
journal_requested (TlDatabase *db, const TlPairingRecord *request, gint64 now, GError **error)
{
  g_autofree char *actor = request_actor (request);
  g_autofree char *identity = tl_fingerprint (request->identity_public, sizeof request->identity_public);

  if (!tl_store_journal_record (db, now, TL_JOURNAL_PAIRING_REQUESTED, actor, request->request_id,
                                json_pack ("{s:s, s:s, s:s, s:s, s:s, s:s, s:s*}", "device_id", request->device_id,
                                           "name", request->device_name, "code_id", request->code_id, "method",
                                           request->method == TL_PAIRING_LINK ? "link" : "pin", "role",
                                           tl_role_to_string (request->role), "identity", identity,
                                           "replaces_device_id", request->replaces_device_id),
                                error))
    return FALSE;
  if (request->state != TL_PAIRING_STATE_APPROVED)
    return TRUE;
  /* Decided when the code was minted. */
  return tl_store_journal_record (db, now, TL_JOURNAL_PAIRING_APPROVED, request->code_minted_by, request->request_id,
                                  json_pack ("{s:s, s:b, s:s}", "device_id", request->device_id, "automatic", TRUE,
                                             "code_id", request->code_id),
                                  error);
}

static gboolean
journal_refused (TlDatabase *db, const TlPairingRecord *request, const GError *refusal, gint64 now, GError **error)
{
  g_autofree char *actor = request_actor (request);

  return tl_store_journal_record (db, now, TL_JOURNAL_PAIRING_REFUSED, actor, request->code_id,
                                  json_pack ("{s:s, s:s, s:s}", "reason", tl_error_to_reason (refusal), "device_id",
                                             request->device_id, "error", refusal->message),
                                  error);
}

static gboolean
run_add_pairing (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const TlPairingRecord *request = operation->record;
  g_autoptr (GError) refusal = NULL;
  gboolean stored;

  if (request->state != TL_PAIRING_STATE_PENDING_APPROVAL && request->state != TL_PAIRING_STATE_APPROVED)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "a new pairing request is pending or approved");
      return FALSE;
    }
  if (!is_stored (db, request, &stored, error))
    return FALSE;
  if (stored)
    return tl_store_load_pairing_result (operation, db, error);

  /* confirm_p was right, whatever comes of the request. */
  if (!tl_database_run (db, NULL, error, "DELETE FROM pin_failures WHERE attempt_id = ?",
                        tl_text (operation->event_id)))
    return FALSE;
  if (!spend_code (db, request->code_id, operation->now, &refusal) || !check_against_code (db, request, &refusal)
      || !tl_store_check_device (db, request, &refusal))
    {
      if (tl_database_is_disk_error (refusal) || journal_refused (db, request, refusal, operation->now, error))
        g_propagate_error (error, g_steal_pointer (&refusal));
      operation->keep_changes = TRUE;
      return FALSE;
    }
  return insert_pairing (db, request, error) && journal_requested (db, request, operation->now, error)
         && tl_store_load_pairing_result (operation, db, error);
}

void
tl_store_add_pairing (TlStore *store, const TlPairingRecord *request, const char *attempt_id, gint64 now,
                      TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_add_pairing, TL_STORE_WRITE_DURABLE, (GDestroyNotify)tl_pairing_record_free);

  operation->record = tl_pairing_record_copy (request);
  operation->free_record = (GDestroyNotify)tl_pairing_record_free;
  operation->id = g_strdup (request->request_id);
  operation->event_id = g_strdup (attempt_id);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

/* ---- reading ---- */

static gboolean
run_get_pairing (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autofree char *prefix = tl_store_id_prefix (operation->id);
  tl_query_auto query = NULL;

  query = tl_database_query (db, error,
                             "SELECT " PAIRING_COLUMNS " FROM pairings"
                             " WHERE request_id >= ?1 AND request_id < ?1 || '~' LIMIT 2",
                             tl_text (prefix != NULL ? prefix : "~"));
  operation->result = single_pairing (db, query, operation->id, error);
  return operation->result != NULL;
}

void
tl_store_get_pairing (TlStore *store, const char *request_id, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_get_pairing, TL_STORE_READ, (GDestroyNotify)tl_pairing_record_free);

  operation->id = g_strdup (request_id);
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_get_pairing_by_session (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, "SELECT " PAIRING_COLUMNS " FROM pairings WHERE session_id = ?",
                                           tl_text (operation->id));

  operation->result = single_pairing (db, query, operation->id, error);
  return operation->result != NULL;
}

void
tl_store_get_pairing_by_session (TlStore *store, const char *session_id, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_get_pairing_by_session, TL_STORE_READ, (GDestroyNotify)tl_pairing_record_free);

  operation->id = g_strdup (session_id);
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_list_pairings (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query = tl_database_query (db, error,
                                           "SELECT " PAIRING_COLUMNS " FROM pairings WHERE (?1 = '' OR request_id < ?1)"
                                           " AND (?2 = 0 OR (?2 >> state) & 1) ORDER BY request_id DESC LIMIT ?3",
                                           tl_text (operation->token), tl_int (operation->states),
                                           tl_int ((gint64)operation->limit + 1));

  operation->result = read_pairings (db, query, error);
  return operation->result != NULL;
}

void
tl_store_list_pairings (TlStore *store, guint states, const char *page_token, guint limit, TlStoreCallback callback,
                        gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_list_pairings, TL_STORE_READ, (GDestroyNotify)g_ptr_array_unref);

  operation->states = states;
  operation->token = g_strdup (page_token != NULL ? page_token : "");
  operation->limit = limit;
  tl_store_submit (store, operation, callback, user_data);
}
