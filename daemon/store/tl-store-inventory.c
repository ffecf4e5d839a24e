/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-inventory-records.h"

#include <string.h>

#include "base/tl-json-summary.h"
#include "daemon/store/tl-journal.h"
#include "daemon/store/tl-store-private.h"

/* Reading the inventory for its snapshot, and importing one. */

TlInventory *
tl_inventory_new (void)
{
  TlInventory *self = g_new0 (TlInventory, 1);

  self->codes = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_code_record_free);
  self->pairings = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_pairing_record_free);
  self->nodes = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_inventory_node_free);
  self->requests = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_capability_record_free);
  return self;
}

void
tl_inventory_free (TlInventory *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->codes);
  g_ptr_array_unref (self->pairings);
  g_ptr_array_unref (self->nodes);
  g_ptr_array_unref (self->requests);
  g_free (self);
}

void
tl_inventory_node_free (TlInventoryNode *node)
{
  if (node == NULL)
    return;
  g_free (node->device_id);
  g_free (node->name);
  g_free (node->platform);
  g_clear_pointer (&node->registration, g_bytes_unref);
  g_free (node->capabilities);
  g_free (node->last_event_name);
  g_free (node);
}

/* ---- reading ---- */

typedef gpointer (*ReadRow) (sqlite3_stmt *query);

static gboolean
read_rows (TlDatabase *db, sqlite3_stmt *query, ReadRow read, GPtrArray *rows, GError **error)
{
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      if (!row)
        return TRUE;
      g_ptr_array_add (rows, read (query));
    }
  return FALSE;
}

static gpointer
read_code (sqlite3_stmt *query)
{
  TlCodeRecord *code = g_new0 (TlCodeRecord, 1);

  code->code_id = tl_column_text (query, 0);
  code->method = (TlPairingMethod)sqlite3_column_int (query, 1);
  code->slot = (guint)sqlite3_column_int (query, 2);
  code->role = (TlRole)sqlite3_column_int (query, 3);
  code->label = tl_column_text (query, 4);
  code->auto_approve = sqlite3_column_int (query, 5) != 0;
  code->attempts_left = (guint)sqlite3_column_int (query, 6);
  code->minted_by = tl_column_text (query, 7);
  code->created_at = sqlite3_column_int64 (query, 8);
  code->expires_at = sqlite3_column_int64 (query, 9);
  return code;
}

static gpointer
read_pairing (sqlite3_stmt *query)
{
  TlPairingRecord *request = g_new0 (TlPairingRecord, 1);

  request->request_id = tl_column_text (query, 0);
  request->session_id = tl_column_text (query, 1);
  request->code_minted_by = tl_column_text (query, 2);
  request->method = (TlPairingMethod)sqlite3_column_int (query, 3);
  request->state = (TlPairingState)sqlite3_column_int (query, 4);
  request->device_id = tl_column_text (query, 5);
  request->device_name = tl_column_text (query, 6);
  request->client_kind = (TlClientKind)sqlite3_column_int (query, 7);
  request->role = (TlRole)sqlite3_column_int (query, 8);
  tl_column_array (query, 9, request->identity_public, sizeof request->identity_public);
  request->decided_by = tl_column_text (query, 10);
  request->reason = tl_column_text (query, 11);
  request->requested_at = sqlite3_column_int64 (query, 12);
  request->expires_at = sqlite3_column_int64 (query, 13);
  request->decided_at = sqlite3_column_int64 (query, 14);
  return request;
}

static gpointer
read_node (sqlite3_stmt *query)
{
  TlInventoryNode *node = g_new0 (TlInventoryNode, 1);

  node->device_id = tl_column_text (query, 0);
  node->name = tl_column_text (query, 1);
  node->state = (TlDeviceState)sqlite3_column_int (query, 2);
  node->client_kind = (TlClientKind)sqlite3_column_int (query, 3);
  node->platform = tl_column_text (query, 4);
  node->registration = tl_column_bytes (query, 5);
  node->registered_at = sqlite3_column_int64 (query, 6);
  node->last_seen_at = sqlite3_column_int64 (query, 7);
  node->last_event_name = tl_column_text (query, 8);
  node->last_event_at = sqlite3_column_int64 (query, 9);
  node->paired = TRUE;
  return node;
}

static gpointer
read_known_node (sqlite3_stmt *query)
{
  TlInventoryNode *node = g_new0 (TlInventoryNode, 1);

  node->device_id = tl_column_text (query, 0);
  node->platform = tl_column_text (query, 1);
  node->capabilities = tl_column_text (query, 2);
  node->registered_at = sqlite3_column_int64 (query, 3);
  node->last_seen_at = sqlite3_column_int64 (query, 4);
  node->last_event_name = tl_column_text (query, 5);
  node->last_event_at = sqlite3_column_int64 (query, 6);
  return node;
}

static gpointer
read_request (sqlite3_stmt *query)
{
  TlCapabilityRecord *request = g_new0 (TlCapabilityRecord, 1);

  request->request_id = tl_column_text (query, 0);
  request->device_id = tl_column_text (query, 1);
  request->capability = tl_column_text (query, 2);
  request->state = (TlRequestState)sqlite3_column_int (query, 3);
  request->requested_by = tl_column_text (query, 4);
  request->max_payload_bytes = (guint32)sqlite3_column_int64 (query, 5);
  request->created_at = sqlite3_column_int64 (query, 6);
  request->updated_at = sqlite3_column_int64 (query, 7);
  request->dispatched_at = sqlite3_column_int64 (query, 8);
  request->completed_at = sqlite3_column_int64 (query, 9);
  request->expires_at = sqlite3_column_int64 (query, 10);
  request->error = tl_column_text (query, 11);
  request->error_reason = tl_column_text (query, 12);
  request->input_summary = tl_column_text (query, 13);
  request->output_summary = tl_column_text (query, 14);
  return request;
}

#define SELECT_PAIRINGS                                                                                                \
  "SELECT request_id, session_id, code_minted_by, method, state, device_id, device_name, client_kind, role,"           \
  " identity_public, decided_by, reason, requested_at, expires_at, decided_at FROM pairings "
#define SELECT_REQUESTS                                                                                                \
  "SELECT request_id, device_id, capability, state, requested_by, max_payload_bytes, created_at, updated_at,"          \
  " dispatched_at, completed_at, expires_at, error, error_reason, input_summary, output_summary"
#define SELECT_KNOWN_NODES                                                                                             \
  "SELECT device_id, platform, capabilities, registered_at, last_seen_at, last_event_name, last_event_at"              \
  " FROM known_nodes ORDER BY device_id"

static gboolean
read_codes_and_pairings (TlDatabase *db, TlInventory *inventory, gint64 now, GError **error)
{
  tl_query_auto codes = tl_database_query (db, error,
                                           "SELECT code_id, method, slot, role, label, auto_approve, attempts_left,"
                                           " minted_by, created_at, expires_at FROM codes"
                                           " WHERE state = " SQL_CODE_LIVE " AND expires_at > ? ORDER BY code_id",
                                           tl_int (now));
  tl_query_auto open
      = tl_database_query (db, error, SELECT_PAIRINGS "WHERE state <= " SQL_PAIRING_APPROVED " ORDER BY request_id");
  tl_query_auto decided
      = tl_database_query (db, error,
                           SELECT_PAIRINGS "WHERE state > " SQL_PAIRING_APPROVED " ORDER BY request_id DESC LIMIT ?",
                           tl_int (TL_INVENTORY_MAX_FINISHED));

  return read_rows (db, codes, read_code, inventory->codes, error)
         && read_rows (db, open, read_pairing, inventory->pairings, error)
         && read_rows (db, decided, read_pairing, inventory->pairings, error);
}

static gboolean
read_nodes (TlDatabase *db, TlInventory *inventory, GError **error)
{
  tl_query_auto nodes = tl_database_query (
      db, error,
      "SELECT n.device_id, d.name, d.state, d.client_kind, n.platform, n.registration, n.registered_at,"
      " n.last_seen_at, n.last_event_name, n.last_event_at FROM nodes AS n JOIN devices AS d USING (device_id)"
      " WHERE d.state <> " SQL_DEVICE_REMOVED " ORDER BY n.device_id");
  tl_query_auto known = tl_database_query (db, error, SELECT_KNOWN_NODES);

  return read_rows (db, nodes, read_node, inventory->nodes, error)
         && read_rows (db, known, read_known_node, inventory->nodes, error);
}

static gboolean
read_requests (TlDatabase *db, TlInventory *inventory, GError **error)
{
  tl_query_auto open = tl_database_query (db, error, SELECT_REQUESTS FROM_OPEN_REQUESTS " ORDER BY request_id");
  tl_query_auto finished = tl_database_query (db, error,
                                              SELECT_REQUESTS " FROM requests WHERE state >= " SQL_REQUEST_FIRST_FINAL
                                                              " ORDER BY completed_at DESC LIMIT ?",
                                              tl_int (TL_INVENTORY_MAX_FINISHED));

  return read_rows (db, open, read_request, inventory->requests, error)
         && read_rows (db, finished, read_request, inventory->requests, error);
}

TlInventory *
tl_store_read_inventory (const char *directory, gint64 now, GError **error)
{
  g_autofree char *path = g_build_filename (directory, TL_STORE_FILE, NULL);
  g_autoptr (TlDatabase) db = tl_database_new (path, SQLITE_OPEN_READONLY, error);
  g_autoptr (TlInventory) inventory = tl_inventory_new ();

  /* One transaction, so that the parts fit together. */
  if (db == NULL || !tl_database_exec (db, "BEGIN", error) || !read_codes_and_pairings (db, inventory, now, error)
      || !read_nodes (db, inventory, error) || !read_requests (db, inventory, error))
    return NULL;
  return g_steal_pointer (&inventory);
}

static gboolean
run_list_known_nodes (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, SELECT_KNOWN_NODES);
  g_autoptr (GPtrArray) nodes = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_inventory_node_free);

  if (!read_rows (db, query, read_known_node, nodes, error))
    return FALSE;
  operation->result = g_steal_pointer (&nodes);
  return TRUE;
}

GPtrArray *
tl_store_list_known_nodes (TlStore *store, GError **error)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_list_known_nodes, TL_STORE_READ, (GDestroyNotify)g_ptr_array_unref);
  gpointer nodes = NULL;

  return tl_store_run_sync (store, operation, &nodes, error) ? nodes : NULL;
}

/* ---- importing ---- */

static gboolean
import_node (TlDatabase *db, const TlInventoryNode *node, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "INSERT INTO known_nodes (device_id, platform, capabilities, registered_at, last_seen_at,"
                          " last_event_name, last_event_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                          tl_text (node->device_id), tl_text (node->platform), tl_text (node->capabilities),
                          tl_int (node->registered_at), tl_int (node->last_seen_at), tl_text (node->last_event_name),
                          tl_int (node->last_event_at));
}

/* At most what the schema takes, whole characters. NULL stays NULL. */
static char *
fit_summary (const char *text)
{
  char *cut = g_strdup (text);

  if (cut != NULL && strlen (cut) > TL_JSON_SUMMARY_MAX)
    *g_utf8_find_prev_char (cut, cut + TL_JSON_SUMMARY_MAX + 1) = '\0';
  return cut;
}

static gboolean
import_request (TlDatabase *db, const TlCapabilityRecord *request, GError **error)
{
  g_autofree char *input = fit_summary (request->input_summary);
  g_autofree char *output = fit_summary (request->output_summary);

  return tl_database_run (db, NULL, error,
                          "INSERT INTO requests (request_id, device_id, capability, state, requested_by,"
                          " max_payload_bytes, timeout_ms, created_at, updated_at, dispatched_at, completed_at,"
                          " expires_at, error, error_reason, input_summary, output_summary)"
                          " VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                          tl_text (request->request_id), tl_text (request->device_id), tl_text (request->capability),
                          tl_int (request->state), tl_text (request->requested_by), tl_int (request->max_payload_bytes),
                          tl_int (request->created_at), tl_int (request->updated_at), tl_int (request->dispatched_at),
                          tl_int (request->completed_at), tl_int (request->expires_at), tl_text (request->error),
                          tl_text (request->error_reason), tl_text (input), tl_text (output));
}

/* What PROTOCOL 3 needs and an earlier gateway did not have is filled with what fits nothing. */
static gboolean
import_pairing (TlDatabase *db, const TlPairingRecord *request, GError **error)
{
  return tl_database_run (
      db, NULL, error,
      "INSERT INTO pairings (request_id, session_id, code_id, code_minted_by, method, state, device_id, device_name,"
      " client_kind, role, auto_approve, identity_public, device_nonce, tls_key_fingerprint, wrong_codes, decided_by,"
      " reason, requested_at, expires_at, decided_at)"
      " VALUES (?1, ?2, ?1, ?3, ?4, ?5, ?6, '', ?7, ?8, 0, ?9, zeroblob (32), ?10, 0, ?11, ?12, ?13, ?14, ?15)",
      tl_text (request->request_id), tl_text (request->session_id), tl_text (request->code_minted_by),
      tl_int (request->method), tl_int (request->state), tl_text (request->device_id), tl_int (request->client_kind),
      tl_int (request->role), tl_blob (request->identity_public, sizeof request->identity_public),
      tl_text ("0000000000000000000000000000000000000000000000000000000000000000"), tl_text (request->decided_by),
      tl_text (request->reason), tl_int (request->requested_at), tl_int (request->expires_at),
      tl_int (request->decided_at));
}

static gboolean
run_import (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const TlInventory *inventory = operation->record;
  g_autofree char *detail = g_strdup_printf ("{\"nodes\":%u,\"pairing_requests\":%u,\"capability_requests\":%u,"
                                             "\"codes_dropped\":%u}",
                                             inventory->nodes->len, inventory->pairings->len, inventory->requests->len,
                                             inventory->dropped_codes);
  g_autofree char *imported_at = g_strdup_printf ("%" G_GINT64_FORMAT, operation->now);

  for (guint i = 0; i < inventory->nodes->len; i++)
    if (!import_node (db, g_ptr_array_index (inventory->nodes, i), error))
      return FALSE;
  for (guint i = 0; i < inventory->pairings->len; i++)
    if (!import_pairing (db, g_ptr_array_index (inventory->pairings, i), error))
      return FALSE;
  for (guint i = 0; i < inventory->requests->len; i++)
    if (!import_request (db, g_ptr_array_index (inventory->requests, i), error))
      return FALSE;
  return tl_database_run (db, NULL, error, "INSERT INTO meta (key, value) VALUES (?, ?)",
                          tl_text (TL_STORE_META_IMPORTED), tl_text (imported_at))
         && tl_store_journal_append (db, operation->now, TL_JOURNAL_STATE_IMPORTED, NULL, "", detail, error);
}

gboolean
tl_store_import_inventory (TlStore *store, const TlInventory *inventory, gint64 now, GError **error)
{
  TlStoreOperation *operation = tl_store_operation_new (run_import, TL_STORE_WRITE_DURABLE, NULL);

  /* Borrowed: the caller waits. */
  operation->record = (gpointer)inventory;
  operation->now = now;
  return tl_store_run_sync (store, operation, NULL, error);
}

guint64
tl_store_generation (TlStore *store)
{
  return atomic_load (&store->generation);
}
