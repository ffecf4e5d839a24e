/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

#include "base/tl-json.h"
#include "base/tl-ulid.h"
#include "daemon/store/tl-journal.h"

#define DEVICE_COLUMNS                                                                                                 \
  "device_id, name, state, role, client_kind, platform, identity_public, paired_at, approved_by, "                     \
  "replaced_device_id, revoked_at, revoked_by, revoked_reason, last_seen_at, changed_at, changed_by, changed_reason"
#define EVENT_RENEW      "certificate.renew"
#define NAMED_CANDIDATES 3 /* in the message about an ambiguous name */

TlCertificateRecord *
tl_store_read_certificate (sqlite3_stmt *query)
{
  TlCertificateRecord *certificate = g_new0 (TlCertificateRecord, 1);

  certificate->fingerprint = tl_column_text (query, 0);
  certificate->device_id = tl_column_text (query, 1);
  certificate->serial = tl_column_text (query, 2);
  certificate->tls_key_fingerprint = tl_column_text (query, 3);
  certificate->not_before = sqlite3_column_int64 (query, 4);
  certificate->not_after = sqlite3_column_int64 (query, 5);
  certificate->ca_generation = (guint)sqlite3_column_int64 (query, 6);
  certificate->used = sqlite3_column_int (query, 7) != 0;
  certificate->revoked = sqlite3_column_int (query, 8) != 0;
  return certificate;
}

static GPtrArray *
load_certificates (TlDatabase *db, const char *device_id, GError **error)
{
  tl_query_auto query = tl_database_query (db, error,
                                           "SELECT " CERTIFICATE_COLUMNS " FROM certificates AS c WHERE c.device_id = ?"
                                           " ORDER BY c.not_before DESC, c.rowid DESC",
                                           tl_text (device_id));
  g_autoptr (GPtrArray) certificates = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_certificate_record_free);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      if (!row)
        return g_steal_pointer (&certificates);
      g_ptr_array_add (certificates, tl_store_read_certificate (query));
    }
  return NULL;
}

static TlDeviceRecord *
read_device (TlDatabase *db, sqlite3_stmt *query, GError **error)
{
  g_autoptr (TlDeviceRecord) device = g_new0 (TlDeviceRecord, 1);

  device->device_id = tl_column_text (query, 0);
  device->name = tl_column_text (query, 1);
  device->state = (TlDeviceState)sqlite3_column_int (query, 2);
  device->role = (TlRole)sqlite3_column_int (query, 3);
  device->client_kind = (TlClientKind)sqlite3_column_int (query, 4);
  device->platform = tl_column_text (query, 5);
  tl_column_array (query, 6, device->identity_public, sizeof device->identity_public);
  device->paired_at = sqlite3_column_int64 (query, 7);
  device->approved_by = tl_column_text (query, 8);
  device->replaced_device_id = tl_column_text (query, 9);
  device->revoked_at = sqlite3_column_int64 (query, 10);
  device->revoked_by = tl_column_text (query, 11);
  device->revoked_reason = tl_column_text (query, 12);
  device->last_seen_at = sqlite3_column_int64 (query, 13);
  device->changed_at = sqlite3_column_int64 (query, 14);
  device->changed_by = tl_column_text (query, 15);
  device->changed_reason = tl_column_text (query, 16);
  device->certificates = load_certificates (db, device->device_id, error);
  return device->certificates != NULL ? g_steal_pointer (&device) : NULL;
}

static GPtrArray *
read_devices (TlDatabase *db, sqlite3_stmt *query, GError **error)
{
  g_autoptr (GPtrArray) devices = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_device_record_free);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      TlDeviceRecord *device;

      if (!row)
        return g_steal_pointer (&devices);
      device = read_device (db, query, error);
      if (device == NULL)
        return NULL;
      g_ptr_array_add (devices, device);
    }
  return NULL;
}

TlDeviceRecord *
tl_store_load_device (TlDatabase *db, const char *device_id, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, "SELECT " DEVICE_COLUMNS " FROM devices WHERE device_id = ?",
                                           tl_text (device_id));
  g_autoptr (GPtrArray) devices = read_devices (db, query, error);

  if (devices == NULL)
    return NULL;
  if (devices->len == 1)
    return g_ptr_array_steal_index (devices, 0);
  g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "there is no device %s", device_id);
  return NULL;
}

/* ---- reading ---- */

static void
set_ambiguous (GError **error, const char *text, GPtrArray *devices)
{
  g_autoptr (GString) list = g_string_new (NULL);

  for (guint i = 0; i < devices->len && i < NAMED_CANDIDATES; i++)
    {
      const TlDeviceRecord *device = devices->pdata[i];

      g_string_append_printf (list, "%s%s (%s)", i > 0 ? ", " : "", device->device_id, device->name);
    }
  g_set_error (error, TL_ERROR, TL_ERROR_AMBIGUOUS, "\"%s\" fits more than one device: %s%s", text, list->str,
               devices->len > NAMED_CANDIDATES ? ", ..." : "");
}

static gboolean
run_find_device (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autofree char *prefix = tl_store_id_prefix (operation->id);
  g_autoptr (GPtrArray) devices = NULL;
  tl_query_auto query = NULL;

  /* A whole id is never ambiguous: else a device could hide another by taking its id as a name. */
  if (prefix != NULL && strlen (prefix) == TL_ULID_LENGTH)
    {
      g_autoptr (GError) local = NULL;

      operation->result = tl_store_load_device (db, prefix, &local);
      if (operation->result != NULL)
        return TRUE;
      if (!tl_error_is_not_found (local))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
    }

  query = tl_database_query (db, error,
                             "SELECT " DEVICE_COLUMNS " FROM devices WHERE (device_id >= ?1 AND device_id < ?1 || '~')"
                             " OR (name = ?2 AND state <> " SQL_DEVICE_REMOVED ") ORDER BY device_id LIMIT ?3",
                             tl_text (prefix != NULL ? prefix : "~"), tl_text (operation->id),
                             tl_int (NAMED_CANDIDATES + 1));
  devices = read_devices (db, query, error);
  if (devices == NULL)
    return FALSE;
  if (devices->len == 1)
    {
      operation->result = g_ptr_array_steal_index (devices, 0);
      return TRUE;
    }

  if (devices->len == 0)
    g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "no device has that id or name: \"%s\"",
                 strlen (operation->id) <= 64 ? operation->id : "...");
  else
    set_ambiguous (error, operation->id, devices);
  return FALSE;
}

void
tl_store_find_device (TlStore *store, const char *device, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_find_device, TL_STORE_READ, (GDestroyNotify)tl_device_record_free);

  operation->id = g_strdup (device);
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_list_devices (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  tl_query_auto query = tl_database_query (db, error,
                                           "SELECT " DEVICE_COLUMNS " FROM devices WHERE device_id > ?1"
                                           " AND (?2 = 0 OR (?2 >> state) & 1) AND (?3 < 0 OR role = ?3)"
                                           " ORDER BY device_id LIMIT ?4",
                                           tl_text (operation->token), tl_int (operation->states),
                                           tl_int (operation->role), tl_int ((gint64)operation->limit + 1));

  operation->result = read_devices (db, query, error);
  return operation->result != NULL;
}

void
tl_store_list_devices (TlStore *store, guint states, int role, const char *page_token, guint limit,
                       TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_list_devices, TL_STORE_READ, (GDestroyNotify)g_ptr_array_unref);

  operation->states = states;
  operation->role = role;
  operation->token = g_strdup (page_token != NULL ? page_token : "");
  operation->limit = limit;
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_device_seen (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "UPDATE devices SET last_seen_at = max (last_seen_at, ?) WHERE device_id = ?",
                          tl_int (operation->now), tl_text (operation->device_id))
         && tl_database_run (db, NULL, error,
                             "UPDATE nodes SET last_seen_at = max (last_seen_at, ?1),"
                             " last_event_name = coalesce (?2, last_event_name),"
                             " last_event_at = CASE WHEN ?2 IS NULL THEN last_event_at ELSE ?3 END"
                             " WHERE device_id = ?4",
                             tl_int (operation->now), tl_text (operation->type), tl_int ((gint64)operation->seq),
                             tl_text (operation->device_id));
}

void
tl_store_device_seen (TlStore *store, const char *device_id, const char *last_event, gint64 last_event_at, gint64 now)
{
  TlStoreOperation *operation = tl_store_operation_new (run_device_seen, TL_STORE_WRITE, NULL);

  operation->device_id = g_strdup (device_id);
  operation->type = g_strdup (last_event);
  operation->seq = (guint64)last_event_at;
  operation->now = now;
  tl_store_submit (store, operation, NULL, NULL);
}

/* ---- changes that admit nobody ---- */

static gboolean
authorise (TlStoreOperation *operation, TlDatabase *db, const TlDeviceRecord *device, GError **error)
{
  TlOperatorTarget target = { .role = device->role };

  return tl_store_authorise (db, operation->actor, TL_OPERATOR_ADMINISTER, &target, error);
}

static gboolean
journal_rename (TlStoreOperation *operation, TlDatabase *db, const char *before, GError **error)
{
  return tl_store_journal_record (db, operation->now, TL_JOURNAL_DEVICE_RENAMED, operation->actor, operation->device_id,
                                  json_pack ("{s:s, s:s}", "from", before, "to", operation->data), error);
}

static gboolean
run_rename_device (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autoptr (TlDeviceRecord) device = tl_store_load_device (db, operation->device_id, error);

  if (device == NULL || !authorise (operation, db, device, error))
    return FALSE;
  if (device->state == TL_DEVICE_REMOVED)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "the device %s was removed", device->device_id);
      return FALSE;
    }
  if (!g_str_equal (device->name, operation->data)
      && (!tl_database_run (db, NULL, error, "UPDATE devices SET name = ? WHERE device_id = ?",
                            tl_text (operation->data), tl_text (operation->device_id))
          || !journal_rename (operation, db, device->name, error)))
    return FALSE;
  operation->result = g_steal_pointer (&device->name);
  return TRUE;
}

void
tl_store_rename_device (TlStore *store, const char *device_id, const char *name, const char *actor, gint64 now,
                        TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_rename_device, TL_STORE_WRITE_DURABLE, g_free);

  operation->device_id = g_strdup (device_id);
  operation->data = g_strdup (name);
  operation->actor = g_strdup (actor);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

static void
rotation_free (TlStoreRotation *rotation)
{
  tl_event_record_free (rotation->event);
  g_free (rotation);
}

/* The one that the device has not acknowledged yet; NULL: none. */
static gboolean
find_renew_event (TlDatabase *db, const char *device_id, TlEventRecord **event, GError **error)
{
  tl_query_auto query = tl_database_query (db, error,
                                           "SELECT seq, id, time, data FROM events WHERE device_id = ?"
                                           " AND type = '" EVENT_RENEW "' ORDER BY seq DESC LIMIT 1",
                                           tl_text (device_id));
  gboolean row;

  *event = NULL;
  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  if (!row)
    return TRUE;
  *event = g_new0 (TlEventRecord, 1);
  (*event)->seq = (guint64)sqlite3_column_int64 (query, 0);
  (*event)->id = tl_column_text (query, 1);
  (*event)->time = sqlite3_column_int64 (query, 2);
  (*event)->type = g_strdup (EVENT_RENEW);
  (*event)->data = tl_column_text (query, 3);
  return TRUE;
}

static gboolean
run_rotate_device (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autoptr (TlDeviceRecord) device = tl_store_load_device (db, operation->device_id, error);
  tl_json_auto data = json_pack ("{s:s}", "requested_by", operation->actor);
  g_autofree char *text = tl_json_to_string (data);
  TlStoreRotation rotation = { 0 };

  if (device == NULL || !authorise (operation, db, device, error))
    return FALSE;
  if (device->state != TL_DEVICE_ACTIVE && device->state != TL_DEVICE_SUSPENDED)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "device '%s' is %s: it has no certificate to renew",
                   device->name, tl_device_state_to_string (device->state));
      return FALSE;
    }
  if (!find_renew_event (db, operation->device_id, &rotation.event, error))
    return FALSE;
  rotation.already = rotation.event != NULL;
  if (!rotation.already)
    {
      rotation.event = tl_store_append_event (db, operation->device_id, operation->event_id, EVENT_RENEW, text,
                                              operation->now, error);
      if (rotation.event == NULL)
        return FALSE;
      operation->result = g_memdup2 (&rotation, sizeof rotation);
      return tl_store_journal_append (db, operation->now, TL_JOURNAL_DEVICE_ROTATED, operation->actor,
                                      operation->device_id, NULL, error);
    }
  operation->result = g_memdup2 (&rotation, sizeof rotation);
  return TRUE;
}

void
tl_store_rotate_device (TlStore *store, const char *device_id, const char *event_id, const char *actor, gint64 now,
                        TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_rotate_device, TL_STORE_WRITE_DURABLE, (GDestroyNotify)rotation_free);

  operation->device_id = g_strdup (device_id);
  operation->event_id = g_strdup (event_id);
  operation->actor = g_strdup (actor);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}
