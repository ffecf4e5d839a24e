/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include "base/tl-json.h"
#include "daemon/store/tl-journal.h"

/* The gateway's own switches: capabilities of a device that operators may not use. A row is one that is off. */

static gboolean
journal_switch (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_json_auto detail = json_pack ("{s:s, s:b}", "capability", operation->type, "enabled", operation->flag);
  g_autofree char *text = tl_json_to_string (detail);

  return tl_store_journal_append (db, operation->now, TL_JOURNAL_NODE_CAPABILITY, operation->actor,
                                  operation->device_id, text, error);
}

static gboolean
run_set_switch (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  guint changes = 0;
  gboolean ok;

  if (operation->flag)
    ok = tl_database_run (db, &changes, error, "DELETE FROM switches WHERE device_id = ? AND capability = ?",
                          tl_text (operation->device_id), tl_text (operation->type));
  else
    ok = tl_database_run (db, &changes, error,
                          "INSERT INTO switches (device_id, capability, set_by, set_at) VALUES (?, ?, ?, ?)"
                          " ON CONFLICT (device_id, capability) DO NOTHING",
                          tl_text (operation->device_id), tl_text (operation->type), tl_text (operation->actor),
                          tl_int (operation->now));
  return ok && (changes == 0 || journal_switch (operation, db, error));
}

void
tl_store_set_switch (TlStore *store, const char *device_id, const char *capability, gboolean enabled, const char *actor,
                     gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_set_switch, TL_STORE_WRITE_DURABLE, NULL);

  operation->device_id = g_strdup (device_id);
  operation->type = g_strdup (capability);
  operation->flag = enabled;
  operation->actor = g_strdup (actor);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

static void
switch_free (gpointer data)
{
  TlSwitchRecord *record = data;

  g_free (record->device_id);
  g_free (record->capability);
  g_free (record);
}

static gboolean
run_list_switches (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error, "SELECT device_id, capability FROM switches ORDER BY device_id, capability");
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (switch_free);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      TlSwitchRecord *record;

      if (!row)
        {
          operation->result = g_steal_pointer (&found);
          return TRUE;
        }
      record = g_new0 (TlSwitchRecord, 1);
      record->device_id = tl_column_text (query, 0);
      record->capability = tl_column_text (query, 1);
      g_ptr_array_add (found, record);
    }
  return FALSE;
}

GPtrArray *
tl_store_list_switches (TlStore *store, GError **error)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_list_switches, TL_STORE_READ, (GDestroyNotify)g_ptr_array_unref);
  gpointer found = NULL;

  return tl_store_run_sync (store, operation, &found, error) ? found : NULL;
}
