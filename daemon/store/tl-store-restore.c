/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <stdio.h>
#include <string.h>

#include "base/tl-file.h"
#include "base/tl-json.h"
#include "base/tl-log.h"
#include "base/tl-random.h"
#include "daemon/store/tl-journal.h"

/*
 * The store and admission.log are compared at start (PROTOCOL 4.4). The log is written first and the store commits
 * after it, so:
 *   the log is ahead    a crash between the two, or an old copy of the store: the newer lines are applied;
 *   they are equal      as always;
 *   the log is behind, missing, damaged or another gateway's: nobody can say what was changed since this copy of the
 *                       store: the gateway counts as restored until the operator confirmed the list of devices.
 */
#define META_RESTORED_AT     "restored_at"
#define META_RESTORED_REASON "restored_reason"
#define SET_ASIDE_SUFFIX     ".damaged"
#define ACTOR_GATEWAY        "gateway"
/* 2^40: counters are below 2^53, so there is room for thousands of restorations. */
#define JUMP_MASK ((G_GUINT64_CONSTANT (1) << 40) - 1)

void
tl_store_admission_free (TlStoreAdmission *admission)
{
  if (admission == NULL)
    return;
  g_free (admission->restored_reason);
  g_free (admission);
}

/* ---- the store's side ---- */

/* -1: the store never had a log. */
static gboolean
read_counter (TlDatabase *db, gint64 *counter, GError **error)
{
  return tl_database_integer (db, counter, error,
                              "SELECT coalesce ((SELECT value FROM counters WHERE name = 'admission'), -1)");
}

static gboolean
write_counter (TlDatabase *db, guint64 counter, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "INSERT INTO counters (name, value) VALUES ('admission', ?)"
                          " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                          tl_int ((gint64)counter));
}

static gboolean
read_meta (TlDatabase *db, const char *key, char **value, GError **error)
{
  tl_query_auto query = tl_database_query (db, error, "SELECT value FROM meta WHERE key = ?", tl_text (key));
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  *value = row ? tl_column_text (query, 0) : NULL;
  return TRUE;
}

static gboolean
write_meta (TlDatabase *db, const char *key, const char *value, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "INSERT INTO meta (key, value) VALUES (?, ?)"
                          " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                          tl_text (key), tl_text (value));
}

static gboolean
load_admission (TlDatabase *db, TlStoreAdmission *admission, GError **error)
{
  g_autofree char *at = NULL;
  gint64 counter;

  g_clear_pointer (&admission->restored_reason, g_free);
  if (!read_counter (db, &counter, error) || !read_meta (db, META_RESTORED_AT, &at, error)
      || !read_meta (db, META_RESTORED_REASON, &admission->restored_reason, error))
    return FALSE;
  admission->counter = (guint64)MAX (counter, 0);
  admission->log_bytes = db->admission != NULL ? tl_admission_log_bytes (db->admission) : 0;
  admission->restored = at != NULL;
  admission->restored_at = at != NULL ? g_ascii_strtoll (at, NULL, 10) : 0;
  return TRUE;
}

/* ---- restored ---- */

/* Codes and requests that were open when the copy was made may have been used, cancelled or rejected since. */
static gboolean
void_pairings (TlDatabase *db, gint64 now, guint *codes, guint *pairings, GError **error)
{
  guint rejected, expired;

  if (!tl_database_run (db, codes, error,
                        "UPDATE codes SET state = " SQL_CODE_CANCELLED ", w0 = NULL, ended_at = ?"
                        " WHERE state = " SQL_CODE_LIVE,
                        tl_int (now))
      || !tl_database_run (db, &rejected, error,
                           "UPDATE pairings SET state = " SQL_PAIRING_REJECTED ", decided_by = '" ACTOR_GATEWAY "',"
                           " decided_at = ?, reason = 'the gateway was restored from a backup; pair again'"
                           " WHERE state <= " SQL_PAIRING_APPROVED " AND state = " SQL_PAIRING_PENDING,
                           tl_int (now))
      || !tl_database_run (db, &expired, error,
                           "UPDATE pairings SET state = " SQL_PAIRING_EXPIRED " WHERE state <= " SQL_PAIRING_APPROVED
                           " AND state = " SQL_PAIRING_APPROVED))
    return FALSE;
  db->erase_pending = db->erase_pending || *codes > 0;
  *pairings = rejected + expired;
  return TRUE;
}

static gboolean
enter_restored (TlDatabase *db, const char *reason, gint64 now, GError **error)
{
  g_autofree char *at = g_strdup_printf ("%" G_GINT64_FORMAT, now);
  guint codes, pairings;

  if (!void_pairings (db, now, &codes, &pairings, error) || !write_meta (db, META_RESTORED_AT, at, error)
      || !write_meta (db, META_RESTORED_REASON, reason, error))
    return FALSE;
  return tl_store_journal_record (db, now, TL_JOURNAL_GATEWAY_RESTORED, ACTOR_GATEWAY, "",
                                  json_pack ("{s:s, s:i, s:i}", "reason", reason, "codes_voided", (int)codes,
                                             "pairing_requests_voided", (int)pairings),
                                  error);
}

static TlAdmissionKind
kind_of_state (TlDeviceState state)
{
  switch (state)
    {
    case TL_DEVICE_SUSPENDED:
      return TL_ADMISSION_SUSPEND;
    case TL_DEVICE_REMOVED:
      return TL_ADMISSION_REMOVE;
    case TL_DEVICE_ACTIVE:
    case TL_DEVICE_REVOKED:
      break;
    }
  return TL_ADMISSION_REVOKE;
}

/* A new log begins with those that are out, numbered from *counter on: it stands in for the lines that are lost. */
static GPtrArray *
list_banned (TlDatabase *db, guint64 *counter, GError **error)
{
  g_autoptr (GPtrArray) entries = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_admission_entry_free);
  tl_query_auto query = tl_database_query (db, error,
                                           "SELECT device_id, name, state, role, identity_public, changed_at,"
                                           " coalesce (changed_by, ''), coalesce (changed_reason, '') FROM devices"
                                           " WHERE state <> 0 ORDER BY device_id");
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      TlAdmissionEntry *entry;

      if (!row)
        return g_steal_pointer (&entries);
      entry = g_new0 (TlAdmissionEntry, 1);
      entry->counter = ++*counter;
      entry->device_id = tl_column_text (query, 0);
      entry->name = tl_column_text (query, 1);
      entry->kind = kind_of_state ((TlDeviceState)sqlite3_column_int (query, 2));
      entry->role = (TlRole)sqlite3_column_int (query, 3);
      tl_column_array (query, 4, entry->identity_public, sizeof entry->identity_public);
      entry->time = sqlite3_column_int64 (query, 5);
      entry->actor = tl_column_text (query, 6);
      entry->reason = tl_column_text (query, 7);
      g_ptr_array_add (entries, entry);
    }
  return NULL;
}

/* ---- opening ---- */

typedef struct
{
  char *path;
  char *gateway_id;
  TlSecret *key;
} Opening;

static void
opening_free (gpointer data)
{
  Opening *opening = data;

  g_free (opening->path);
  g_free (opening->gateway_id);
  tl_secret_unref (opening->key);
  g_free (opening);
}

/* The file comes before the commit: a crash between is found as a log that is ahead. */
static gboolean
start_log (TlStoreOperation *operation, TlDatabase *db, guint64 counter, const char *restored, GError **error)
{
  const Opening *opening = operation->record;
  GPtrArray *entries = list_banned (db, &counter, error);

  if (entries == NULL)
    return FALSE;
  if (restored != NULL)
    {
      TlAdmissionEntry entry = { .counter = ++counter,
                                 .time = operation->now,
                                 .kind = TL_ADMISSION_RESTORED,
                                 .actor = (char *)ACTOR_GATEWAY,
                                 .reason = (char *)restored };

      g_ptr_array_add (entries, tl_admission_entry_copy (&entry));
      if (!enter_restored (db, restored, operation->now, error))
        {
          g_ptr_array_unref (entries);
          return FALSE;
        }
    }
  if (!write_counter (db, counter, error))
    {
      g_ptr_array_unref (entries);
      return FALSE;
    }
  db->admission = tl_admission_log_create (opening->path, opening->gateway_id, opening->key, entries, counter, error);
  return db->admission != NULL;
}

/* The lines that are lost had numbers too, and other copies of the store may know them: counted on from what this copy
 * knows, a new log would one day be as long as such a copy expects, and pass for its own. */
static guint64
jump (guint64 counter)
{
  guint64 far;

  tl_random_bytes (tl_random_system (), &far, sizeof far);
  return counter + 1 + (far & JUMP_MASK);
}

/* What an administrator may want to look at is kept; one, so that it does not add up. */
static void
set_aside (const char *path)
{
  g_autofree char *aside = g_strconcat (path, SET_ASIDE_SUFFIX, NULL);

  if (rename (path, aside) == 0)
    tl_log (TL_LOG_WARNING, "the admission log was set aside", "path", aside, NULL);
}

static gboolean
has_devices (TlDatabase *db, gint64 *devices, GError **error)
{
  return tl_database_integer (db, devices, error, "SELECT count (*) FROM devices");
}

/* problem: why there is no log to go by. known: the store's counter, -1 when it never had a log. */
static gboolean
replace_log (TlStoreOperation *operation, TlDatabase *db, TlStoreAdmission *admission, gint64 known, guint64 seen,
             const GError *problem, GError **error)
{
  const Opening *opening = operation->record;
  gboolean missing = tl_error_is_not_found (problem);
  gint64 devices;

  if (!has_devices (db, &devices, error))
    return FALSE;
  if (!missing)
    set_aside (opening->path);
  admission->created = TRUE;
  if (known < 0 && (missing || devices == 0))
    return start_log (operation, db, 0, NULL, error);
  return start_log (operation, db, jump (MAX ((guint64)MAX (known, 0), seen)),
                    missing ? "admission.log is missing" : problem->message, error);
}

/* Lines that the store does not know. A restoration among them was of another copy of the store, and so was the
 * confirmation that may follow it: this copy's list of devices was not looked at by anybody. */
static gboolean
apply_newer (TlDatabase *db, guint64 known, TlStoreAdmission *admission, gint64 now, GError **error)
{
  const GPtrArray *entries = tl_admission_log_entries (db->admission);
  const char *restored = NULL;
  gboolean confirmed = FALSE;

  for (guint i = 0; i < entries->len; i++)
    {
      const TlAdmissionEntry *entry = g_ptr_array_index (entries, i);
      g_autoptr (TlDeviceRecord) device = NULL;
      g_autoptr (GError) local = NULL;

      if (entry->counter <= known)
        continue;
      admission->applied++;
      if (entry->kind == TL_ADMISSION_RESTORED)
        restored = entry->reason;
      if (entry->kind == TL_ADMISSION_CONFIRM)
        confirmed = TRUE;
      if (entry->kind == TL_ADMISSION_RESTORED || entry->kind == TL_ADMISSION_CONFIRM)
        continue;
      device = tl_store_load_device (db, entry->device_id, &local);
      if (device == NULL && !tl_error_is_not_found (local))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      if (!tl_store_apply_change (db, entry, device, NULL, error))
        return FALSE;
    }
  if (restored != NULL)
    return enter_restored (db, restored, now, error);
  return !confirmed
         || tl_database_run (db, NULL, error,
                             "DELETE FROM meta WHERE key IN ('" META_RESTORED_AT "', '" META_RESTORED_REASON "')");
}

static gboolean
catch_up (TlStoreOperation *operation, TlDatabase *db, TlStoreAdmission *admission, gint64 known, GError **error)
{
  guint64 counter = tl_admission_log_counter (db->admission);

  if (known >= 0 && counter == (guint64)known)
    return TRUE;
  if (!apply_newer (db, (guint64)MAX (known, 0), admission, operation->now, error)
      || !write_counter (db, counter, error))
    return FALSE;
  if (admission->applied == 0)
    return TRUE;
  return tl_store_journal_record (db, operation->now, TL_JOURNAL_GATEWAY_RESTORED, ACTOR_GATEWAY, "",
                                  json_pack ("{s:i, s:I, s:I}", "applied", (int)admission->applied, "from",
                                             (json_int_t)MAX (known, 0), "to", (json_int_t)counter),
                                  error);
}

static gboolean
open_log (TlStoreOperation *operation, TlDatabase *db, TlStoreAdmission *admission, GError **error)
{
  const Opening *opening = operation->record;
  g_autoptr (GError) problem = NULL;
  guint64 seen = 0;
  gint64 known;

  if (!read_counter (db, &known, error))
    return FALSE;
  db->admission = tl_admission_log_open (opening->path, opening->gateway_id, opening->key, &problem);
  if (db->admission != NULL && known >= 0 && tl_admission_log_counter (db->admission) < (guint64)known)
    {
      seen = tl_admission_log_counter (db->admission);
      g_set_error (&problem, TL_ERROR, TL_ERROR_CORRUPT,
                   "admission.log ends with change %" G_GUINT64_FORMAT ", the store knows of %" G_GINT64_FORMAT, seen,
                   known);
      g_clear_pointer (&db->admission, tl_admission_log_free);
    }
  if (problem == NULL)
    return catch_up (operation, db, admission, known, error);
  if (tl_error_is_not_found (problem) || tl_error_is (problem, TL_ERROR_CORRUPT))
    return replace_log (operation, db, admission, known, seen, problem, error);
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static gboolean
run_open_admission (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autoptr (TlStoreAdmission) admission = g_new0 (TlStoreAdmission, 1);

  if (db->admission != NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "the admission log is open already");
      return FALSE;
    }
  if (!open_log (operation, db, admission, error) || !load_admission (db, admission, error))
    {
      g_clear_pointer (&db->admission, tl_admission_log_free);
      return FALSE;
    }
  operation->result = g_steal_pointer (&admission);
  return TRUE;
}

TlStoreAdmission *
tl_store_open_admission (TlStore *store, const char *gateway_id, TlSecret *key, gint64 now, GError **error)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_open_admission, TL_STORE_WRITE_DURABLE, (GDestroyNotify)tl_store_admission_free);
  Opening *opening = g_new0 (Opening, 1);
  gpointer admission = NULL;

  opening->path = g_build_filename (store->path, TL_ADMISSION_LOG_FILE, NULL);
  opening->gateway_id = g_strdup (gateway_id);
  opening->key = tl_secret_ref (key);
  operation->record = opening;
  operation->free_record = opening_free;
  operation->now = now;
  return tl_store_run_sync (store, operation, &admission, error) ? admission : NULL;
}

/* ---- afterwards ---- */

static gboolean
run_get_admission (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autoptr (TlStoreAdmission) admission = g_new0 (TlStoreAdmission, 1);

  if (!load_admission (db, admission, error))
    return FALSE;
  operation->result = g_steal_pointer (&admission);
  return TRUE;
}

void
tl_store_get_admission (TlStore *store, TlStoreCallback callback, gpointer user_data)
{
  tl_store_submit (store,
                   tl_store_operation_new (run_get_admission, TL_STORE_READ, (GDestroyNotify)tl_store_admission_free),
                   callback, user_data);
}

static gboolean
confirm (TlStoreOperation *operation, TlDatabase *db, gint64 devices, GError **error)
{
  TlAdmissionEntry entry = { .time = operation->now,
                             .kind = TL_ADMISSION_CONFIRM,
                             .device_id = (char *)"",
                             .actor = operation->actor,
                             .reason = operation->reason };
  return tl_database_run (db, NULL, error,
                          "DELETE FROM meta WHERE key IN ('" META_RESTORED_AT "', '" META_RESTORED_REASON "')")
         && tl_store_stage_change (db, &entry, error)
         && tl_store_journal_record (db, operation->now, TL_JOURNAL_GATEWAY_RESTORED, operation->actor, "",
                                     json_pack ("{s:b, s:I, s:s}", "confirmed", 1, "devices", (json_int_t)devices,
                                                "reason", operation->reason),
                                     error);
}

static gboolean
run_confirm_devices (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autoptr (TlStoreAdmission) admission = g_new0 (TlStoreAdmission, 1);
  gint64 devices = 0;

  if (!load_admission (db, admission, error))
    return FALSE;
  if (admission->restored)
    {
      if (operation->seq != 0 && operation->seq != (guint64)admission->restored_at)
        {
          g_set_error_literal (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                               "the gateway was restored once more meanwhile; look at the list again");
          return FALSE;
        }
      if (!tl_database_integer (db, &devices, error, "SELECT count (*) FROM devices WHERE state = " SQL_DEVICE_ACTIVE)
          || !confirm (operation, db, devices, error))
        return FALSE;
    }
  operation->result
      = g_memdup2 (&(TlStoreConfirmation){ (guint)devices, !admission->restored }, sizeof (TlStoreConfirmation));
  return TRUE;
}

void
tl_store_confirm_devices (TlStore *store, gint64 restored_at, const char *actor, const char *reason, gint64 now,
                          TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_confirm_devices, TL_STORE_WRITE_DURABLE, g_free);

  operation->seq = (guint64)restored_at;
  operation->actor = g_strdup (actor);
  operation->reason = g_strdup (reason != NULL ? reason : "");
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}
