/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

/* ---- nodes ---- */

static TlNodeRecord *
read_node (sqlite3_stmt *query)
{
  TlNodeRecord *node = g_new0 (TlNodeRecord, 1);

  node->device_id = tl_column_text (query, 0);
  node->platform = tl_column_text (query, 1);
  node->node_version = tl_column_text (query, 2);
  node->registration = tl_column_bytes (query, 3);
  node->registered_at = sqlite3_column_int64 (query, 4);
  node->last_seen_at = sqlite3_column_int64 (query, 5);
  node->latest_seq = (guint64)sqlite3_column_int64 (query, 6);
  node->acknowledged_seq = (guint64)sqlite3_column_int64 (query, 7);
  return node;
}

#define SELECT_NODES                                                                                                   \
  "SELECT n.device_id, n.platform, n.node_version, n.registration, n.registered_at, n.last_seen_at,"                   \
  " coalesce (l.latest_seq, 0), coalesce (l.acknowledged_seq, 0)"                                                      \
  " FROM nodes AS n LEFT JOIN event_logs AS l USING (device_id) "

static gboolean
run_get_node (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error, SELECT_NODES "WHERE n.device_id = ?", tl_text (operation->device_id));
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  if (!row)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "the device %s never registered as a node",
                   operation->device_id);
      return FALSE;
    }
  operation->result = read_node (query);
  return TRUE;
}

static gboolean
run_put_node (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const TlNodeRecord *node = operation->record;

  return tl_database_run (
             db, NULL, error,
             "INSERT INTO nodes (device_id, platform, node_version, registration, registered_at, last_seen_at)"
             " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (device_id) DO UPDATE SET platform = excluded.platform,"
             " node_version = excluded.node_version, registration = excluded.registration,"
             " registered_at = excluded.registered_at, last_seen_at = excluded.last_seen_at",
             tl_text (node->device_id), tl_text (node->platform), tl_text (node->node_version),
             tl_bytes (node->registration), tl_int (node->registered_at), tl_int (node->last_seen_at))
         && run_get_node (operation, db, error);
}

void
tl_store_put_node (TlStore *store, const TlNodeRecord *node, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_put_node, TL_STORE_WRITE, (GDestroyNotify)tl_node_record_free);
  TlNodeRecord *copy = g_new (TlNodeRecord, 1);

  *copy = *node;
  copy->device_id = g_strdup (node->device_id);
  copy->platform = g_strdup (node->platform);
  copy->node_version = g_strdup (node->node_version);
  copy->registration = node->registration != NULL ? g_bytes_ref (node->registration) : NULL;
  operation->record = copy;
  operation->free_record = (GDestroyNotify)tl_node_record_free;
  operation->device_id = g_strdup (node->device_id);
  tl_store_submit (store, operation, callback, user_data);
}

void
tl_store_get_node (TlStore *store, const char *device_id, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_get_node, TL_STORE_READ, (GDestroyNotify)tl_node_record_free);

  operation->device_id = g_strdup (device_id);
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_list_nodes (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, SELECT_NODES "ORDER BY n.device_id");
  g_autoptr (GPtrArray) nodes = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_node_record_free);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      if (!row)
        {
          operation->result = g_steal_pointer (&nodes);
          return TRUE;
        }
      g_ptr_array_add (nodes, read_node (query));
    }
  return FALSE;
}

GPtrArray *
tl_store_list_nodes (TlStore *store, GError **error)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_list_nodes, TL_STORE_READ, (GDestroyNotify)g_ptr_array_unref);
  gpointer nodes = NULL;

  return tl_store_run_sync (store, operation, &nodes, error) ? nodes : NULL;
}
