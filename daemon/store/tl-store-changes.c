/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

#include "base/tl-json.h"
#include "daemon/store/tl-journal.h"

/* Changes of who is admitted (PROTOCOL 4.4): revoke, suspend, resume, remove, clear, role. */

static TlDeviceChange *
change_new (void)
{
  TlDeviceChange *change = g_atomic_rc_box_new0 (TlDeviceChange);

  change->requests = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_capability_record_free);
  change->codes = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_code_record_free);
  change->pairings = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_pairing_record_free);
  change->admitted = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_device_record_free);
  return change;
}

static void
change_clear (gpointer data)
{
  TlDeviceChange *change = data;

  tl_device_record_free (change->device);
  g_ptr_array_unref (change->requests);
  g_ptr_array_unref (change->codes);
  g_ptr_array_unref (change->pairings);
  g_ptr_array_unref (change->admitted);
}

TlDeviceChange *
tl_device_change_ref (TlDeviceChange *change)
{
  return g_atomic_rc_box_acquire (change);
}

void
tl_device_change_unref (TlDeviceChange *change)
{
  if (change != NULL)
    g_atomic_rc_box_release_full (change, change_clear);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlDeviceChange, tl_device_change_unref)

/* ---- what an operator leaves behind ---- */

static gboolean
cancel_codes (TlDatabase *db, const char *operator_actor, gint64 now, TlDeviceChange *change, GError **error)
{
  guint changes;

  {
    tl_query_auto query = tl_database_query (db, error,
                                             "SELECT " CODE_COLUMNS " FROM codes WHERE minted_by = ?"
                                             " AND state = " SQL_CODE_LIVE " AND expires_at > ?",
                                             tl_text (operator_actor), tl_int (now));
    TlCodeRecord *code = NULL;

    do
      {
        if (!tl_store_take_code (db, query, now, &code, error))
          return FALSE;
        if (code == NULL)
          break;
        code->state = TL_CODE_CANCELLED;
        g_clear_pointer (&code->verifier, tl_pairing_verifier_free);
        g_ptr_array_add (change->codes, code);
      }
    while (code != NULL);
  }
  if (!tl_database_run (db, &changes, error,
                        "UPDATE codes SET state = " SQL_CODE_CANCELLED ", w0 = NULL, ended_at = ?"
                        " WHERE minted_by = ? AND state = " SQL_CODE_LIVE,
                        tl_int (now), tl_text (operator_actor)))
    return FALSE;
  db->erase_pending = db->erase_pending || changes > 0;
  return TRUE;
}

/* Collects the ids that an UPDATE ... RETURNING request_id changed. */
static gboolean
collect_ids (TlDatabase *db, sqlite3_stmt *query, GPtrArray *ids, GError **error)
{
  gboolean row = query != NULL;

  while (row)
    {
      if (!tl_database_next (db, query, &row, error))
        return FALSE;
      if (row)
        g_ptr_array_add (ids, tl_column_text (query, 0));
    }
  return query != NULL;
}

/* Undecided requests that came of its codes are rejected. What it approved and nobody collected yet expires: the state
 * machine has no other way out of approved (PROTOCOL 3.2). */
static gboolean
end_pairings (TlDatabase *db, const char *operator_actor, const TlAdmissionEntry *entry, TlDeviceChange *change,
              GError **error)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);

  {
    tl_query_auto query
        = tl_database_query (db, error,
                             "UPDATE pairings SET state = " SQL_PAIRING_REJECTED ", decided_by = ?, decided_at = ?,"
                             " reason = 'the operator who made this code is none any more'"
                             " WHERE state <= " SQL_PAIRING_APPROVED " AND state = " SQL_PAIRING_PENDING
                             " AND code_minted_by = ? RETURNING request_id",
                             tl_text (entry->actor), tl_int (entry->time), tl_text (operator_actor));

    if (!collect_ids (db, query, ids, error))
      return FALSE;
  }
  {
    tl_query_auto query
        = tl_database_query (db, error,
                             "UPDATE pairings SET state = " SQL_PAIRING_EXPIRED " WHERE state <= " SQL_PAIRING_APPROVED
                             " AND state = " SQL_PAIRING_APPROVED
                             " AND (decided_by = ?1 OR code_minted_by = ?1) RETURNING request_id",
                             tl_text (operator_actor));

    if (!collect_ids (db, query, ids, error))
      return FALSE;
  }
  for (guint i = 0; i < ids->len; i++)
    {
      TlPairingRecord *request = tl_store_load_pairing (db, g_ptr_array_index (ids, i), error);

      if (request == NULL)
        return FALSE;
      g_ptr_array_add (change->pairings, request);
    }
  return TRUE;
}

static gboolean
list_admitted (TlDatabase *db, const char *operator_actor, TlDeviceChange *change, GError **error)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);

  {
    tl_query_auto query = tl_database_query (db, error,
                                             "SELECT device_id FROM devices WHERE approved_by = ?"
                                             " AND state <> " SQL_DEVICE_REMOVED " ORDER BY device_id",
                                             tl_text (operator_actor));

    if (!collect_ids (db, query, ids, error))
      return FALSE;
  }
  for (guint i = 0; i < ids->len; i++)
    {
      TlDeviceRecord *device = tl_store_load_device (db, g_ptr_array_index (ids, i), error);

      if (device == NULL)
        return FALSE;
      g_ptr_array_add (change->admitted, device);
    }
  return TRUE;
}

static gboolean
end_operator (TlDatabase *db, const TlAdmissionEntry *entry, const TlDeviceRecord *device, TlDeviceChange *change,
              GError **error)
{
  g_autofree char *actor = NULL;

  if (device->role != TL_ROLE_OPERATOR)
    return TRUE;
  actor = g_strconcat (ACTOR_DEVICE, device->device_id, NULL);
  return cancel_codes (db, actor, entry->time, change, error) && end_pairings (db, actor, entry, change, error)
         && list_admitted (db, actor, change, error);
}

/* ---- one change ---- */

static gboolean
set_state (TlDatabase *db, const TlAdmissionEntry *entry, TlDeviceState state, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "UPDATE devices SET state = ?, changed_at = ?, changed_by = ?, changed_reason = ?"
                          " WHERE device_id = ?",
                          tl_int (state), tl_int (entry->time), tl_text (entry->actor), tl_text (entry->reason),
                          tl_text (entry->device_id));
}

static gboolean
end_certificates (TlDatabase *db, const TlAdmissionEntry *entry, TlDeviceChange *change, GError **error)
{
  g_autoptr (GPtrArray) fingerprints = tl_store_revoke_certificates (db, entry->device_id, "", FALSE, error);

  if (fingerprints == NULL)
    return FALSE;
  change->certificates = fingerprints->len;
  return TRUE;
}

static gboolean
fail_requests (TlDatabase *db, const TlAdmissionEntry *entry, const char *failure, const char *reason,
               TlDeviceChange *change, GError **error)
{
  g_autoptr (GPtrArray) requests = tl_store_fail_requests (db, entry->device_id, failure, reason, entry->time, error);

  if (requests == NULL)
    return FALSE;
  g_ptr_array_extend_and_steal (change->requests, g_steal_pointer (&requests));
  return TRUE;
}

static gboolean
apply_revoke (TlDatabase *db, const TlAdmissionEntry *entry, const TlDeviceRecord *device, TlDeviceChange *change,
              GError **error)
{
  return set_state (db, entry, TL_DEVICE_REVOKED, error)
         && tl_database_run (db, NULL, error,
                             "UPDATE devices SET revoked_at = ?, revoked_by = ?, revoked_reason = ?"
                             " WHERE device_id = ?",
                             tl_int (entry->time), tl_text (entry->actor), tl_text (entry->reason),
                             tl_text (entry->device_id))
         && end_certificates (db, entry, change, error)
         && fail_requests (db, entry, "the device was revoked", "revoked", change, error)
         && end_operator (db, entry, device, change, error);
}

static gboolean
count_good_certificates (TlDatabase *db, const TlAdmissionEntry *entry, TlDeviceChange *change, GError **error)
{
  gint64 good;

  if (!tl_database_integer (db, &good, error,
                            "SELECT count (*) FROM certificates WHERE device_id = ? AND NOT revoked AND not_after > ?",
                            tl_text (entry->device_id), tl_int (entry->time)))
    return FALSE;
  change->certificates = (guint)good;
  return TRUE;
}

static gboolean
apply_suspend (TlDatabase *db, const TlAdmissionEntry *entry, const TlDeviceRecord *device, TlDeviceChange *change,
               GError **error)
{
  gint64 kept;

  if (!set_state (db, entry, TL_DEVICE_SUSPENDED, error) || !count_good_certificates (db, entry, change, error)
      || !tl_database_integer (
          db, &kept, error, "SELECT count (*) FROM requests WHERE device_id = ? AND state < " SQL_REQUEST_FIRST_FINAL,
          tl_text (entry->device_id)))
    return FALSE;
  change->requests_kept = (guint)kept;
  return end_operator (db, entry, device, change, error);
}

/* Forgotten: what it announced and its event log go; the row stays as history. */
static gboolean
apply_removal (TlDatabase *db, const TlAdmissionEntry *entry, const TlDeviceRecord *device, TlDeviceChange *change,
               GError **error)
{
  return set_state (db, entry, TL_DEVICE_REMOVED, error) && end_certificates (db, entry, change, error)
         && fail_requests (db, entry, "the device was removed", "removed", change, error)
         && tl_database_run (db, NULL, error, "DELETE FROM nodes WHERE device_id = ?", tl_text (entry->device_id))
         && tl_database_run (db, NULL, error, "DELETE FROM events WHERE device_id = ?", tl_text (entry->device_id))
         && tl_database_run (db, NULL, error, "DELETE FROM event_logs WHERE device_id = ?", tl_text (entry->device_id))
         && end_operator (db, entry, device, change, error);
}

static gboolean
apply_role (TlDatabase *db, const TlAdmissionEntry *entry, const TlDeviceRecord *device, TlDeviceChange *change,
            GError **error)
{
  return tl_database_run (db, NULL, error, "UPDATE devices SET role = ? WHERE device_id = ?", tl_int (entry->role),
                          tl_text (entry->device_id))
         && (entry->role == TL_ROLE_OPERATOR || end_operator (db, entry, device, change, error));
}

/* A device that was paired after the backup that this store is: its ban is known only from the log, and bans name
 * device id and identity (PROTOCOL 3.5). */
static gboolean
insert_banned (TlDatabase *db, const TlAdmissionEntry *entry, TlDeviceChange *change, GError **error)
{
  static const guint8 none[32] = { 0 };
  TlDeviceState state = entry->kind == TL_ADMISSION_REVOKE ? TL_DEVICE_REVOKED : TL_DEVICE_SUSPENDED;
  gint64 known;

  if (memcmp (entry->identity_public, none, sizeof none) == 0)
    return TRUE;
  if (!tl_database_integer (db, &known, error,
                            "SELECT count (*) FROM devices WHERE identity_public = ? AND state <> " SQL_DEVICE_REMOVED,
                            tl_blob (entry->identity_public, sizeof entry->identity_public)))
    return FALSE;
  /* The store knows the key under an id that it has no longer: nobody with that key is let in. */
  if (known > 0
      && !tl_database_run (db, NULL, error,
                           "UPDATE certificates SET revoked = 1 WHERE device_id IN (SELECT device_id FROM devices"
                           " WHERE identity_public = ?1 AND state <> " SQL_DEVICE_REMOVED ")",
                           tl_blob (entry->identity_public, sizeof entry->identity_public)))
    return FALSE;
  if (known > 0)
    return tl_database_run (db, NULL, error,
                            "UPDATE devices SET state = ?, changed_at = ?, changed_by = ?, changed_reason = ?,"
                            " revoked_at = ?2, revoked_by = ?3, revoked_reason = ?4"
                            " WHERE identity_public = ? AND state <> " SQL_DEVICE_REMOVED,
                            tl_int (state), tl_int (entry->time), tl_text (entry->actor), tl_text (entry->reason),
                            tl_blob (entry->identity_public, sizeof entry->identity_public));
  return tl_database_run (db, NULL, error,
                          "INSERT INTO devices (device_id, name, state, role, client_kind, identity_public, paired_at,"
                          " revoked_at, revoked_by, revoked_reason, changed_at, changed_by, changed_reason)"
                          " VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?6, ?7, ?8, ?6, ?7, ?8)",
                          tl_text (entry->device_id), tl_text (entry->name), tl_int (state), tl_int (entry->role),
                          tl_blob (entry->identity_public, sizeof entry->identity_public), tl_int (entry->time),
                          tl_text (entry->actor), tl_text (entry->reason));
}

gboolean
tl_store_apply_change (TlDatabase *db, const TlAdmissionEntry *entry, const TlDeviceRecord *device,
                       TlDeviceChange *told, GError **error)
{
  g_autoptr (TlDeviceChange) own = told == NULL ? change_new () : NULL;
  TlDeviceChange *change = told != NULL ? told : own;

  if (device == NULL)
    return (entry->kind != TL_ADMISSION_REVOKE && entry->kind != TL_ADMISSION_SUSPEND)
           || insert_banned (db, entry, change, error);
  switch (entry->kind)
    {
    case TL_ADMISSION_REVOKE:
      return apply_revoke (db, entry, device, change, error);
    case TL_ADMISSION_SUSPEND:
      return device->state != TL_DEVICE_ACTIVE || apply_suspend (db, entry, device, change, error);
    case TL_ADMISSION_RESUME:
      return device->state != TL_DEVICE_SUSPENDED
             || (set_state (db, entry, TL_DEVICE_ACTIVE, error) && count_good_certificates (db, entry, change, error));
    case TL_ADMISSION_REMOVE:
      return device->state == TL_DEVICE_REMOVED || apply_removal (db, entry, device, change, error);
    case TL_ADMISSION_CLEAR:
      return device->state != TL_DEVICE_REVOKED || apply_removal (db, entry, device, change, error);
    case TL_ADMISSION_ROLE:
      return apply_role (db, entry, device, change, error);
    case TL_ADMISSION_RESTORED:
    case TL_ADMISSION_CONFIRM:
      break;
    }
  g_return_val_if_reached (FALSE);
}

gboolean
tl_store_stage_change (TlDatabase *db, TlAdmissionEntry *entry, GError **error)
{
  tl_query_auto query = NULL;
  gboolean row;

  if (db->admission == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "the admission log is not open yet");
      return FALSE;
    }
  query = tl_database_query (db, error,
                             "INSERT INTO counters (name, value) VALUES ('admission', 1)"
                             " ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value");
  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  entry->counter = (guint64)sqlite3_column_int64 (query, 0);
  return tl_admission_log_stage (db->admission, entry, error);
}

/* ---- the operation ---- */

static gboolean
is_so (const TlDeviceRecord *device, TlAdmissionKind kind, TlRole role)
{
  switch (kind)
    {
    case TL_ADMISSION_REVOKE:
      return device->state == TL_DEVICE_REVOKED;
    case TL_ADMISSION_SUSPEND:
      return device->state == TL_DEVICE_SUSPENDED;
    case TL_ADMISSION_RESUME:
      return device->state == TL_DEVICE_ACTIVE;
    case TL_ADMISSION_REMOVE:
      return device->state == TL_DEVICE_REMOVED;
    case TL_ADMISSION_CLEAR:
      return device->state == TL_DEVICE_REMOVED || device->state == TL_DEVICE_ACTIVE;
    case TL_ADMISSION_ROLE:
      return device->state != TL_DEVICE_REMOVED && device->role == role;
    case TL_ADMISSION_RESTORED:
    case TL_ADMISSION_CONFIRM:
      break;
    }
  return FALSE;
}

static gboolean
check_allowed (const TlDeviceRecord *device, TlAdmissionKind kind, GError **error)
{
  if (device->state == TL_DEVICE_REMOVED)
    g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "the device %s was removed", device->device_id);
  else if (device->state == TL_DEVICE_REVOKED && kind == TL_ADMISSION_REMOVE)
    g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                 "device '%s' is revoked, and removing it would lift its ban; if that is meant, clear it",
                 device->name);
  else if (device->state == TL_DEVICE_REVOKED && kind == TL_ADMISSION_RESUME)
    g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                 "device '%s' is revoked, not suspended; clear it, then it can pair again", device->name);
  else if (device->state == TL_DEVICE_REVOKED && kind != TL_ADMISSION_CLEAR)
    g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "device '%s' is revoked; clear it first", device->name);
  else if (device->state == TL_DEVICE_SUSPENDED && kind == TL_ADMISSION_CLEAR)
    g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "device '%s' is suspended, not revoked; resume it",
                 device->name);
  else
    return TRUE;
  return FALSE;
}

static const char *
journal_kind (TlAdmissionKind kind)
{
  switch (kind)
    {
    case TL_ADMISSION_REVOKE:
      return TL_JOURNAL_DEVICE_REVOKED;
    case TL_ADMISSION_SUSPEND:
      return TL_JOURNAL_DEVICE_SUSPENDED;
    case TL_ADMISSION_RESUME:
      return TL_JOURNAL_DEVICE_RESUMED;
    case TL_ADMISSION_REMOVE:
      return TL_JOURNAL_DEVICE_REMOVED;
    case TL_ADMISSION_CLEAR:
      return TL_JOURNAL_DEVICE_CLEARED;
    case TL_ADMISSION_ROLE:
      return TL_JOURNAL_DEVICE_ROLE;
    case TL_ADMISSION_RESTORED:
    case TL_ADMISSION_CONFIRM:
      break;
    }
  return TL_JOURNAL_GATEWAY_RESTORED;
}

static gboolean
journal_change (TlDatabase *db, const TlAdmissionEntry *entry, const TlDeviceChange *change, GError **error)
{
  return tl_store_journal_record (db, entry->time, journal_kind (entry->kind), entry->actor, entry->device_id,
                                  json_pack ("{s:s, s:s, s:i, s:i, s:i, s:i, s:I}", "reason", entry->reason, "role",
                                             tl_role_to_string (entry->role), "certificates", (int)change->certificates,
                                             "requests", (int)change->requests->len, "codes_cancelled",
                                             (int)change->codes->len, "pairing_requests_ended",
                                             (int)change->pairings->len, "admission_counter",
                                             (json_int_t)entry->counter),
                                  error);
}

/* Over the network operators may revoke, and nothing else of this. */
static gboolean
authorise (TlStoreOperation *operation, TlDatabase *db, const TlDeviceRecord *device, GError **error)
{
  TlOperatorTarget target = { .role = device->role };

  if (operation->number == TL_ADMISSION_REVOKE)
    return tl_store_authorise_revocation (db, operation->actor, device, error);
  return tl_store_authorise (db, operation->actor, TL_OPERATOR_ADMINISTER, &target, error);
}

static gboolean
make_change (TlStoreOperation *operation, TlDatabase *db, const TlDeviceRecord *device, TlDeviceChange *change,
             GError **error)
{
  TlAdmissionEntry entry = { .time = operation->now,
                             .kind = (TlAdmissionKind)operation->number,
                             .device_id = device->device_id,
                             .name = device->name,
                             .role = device->role,
                             .actor = operation->actor,
                             .reason = operation->reason };

  memcpy (entry.identity_public, device->identity_public, sizeof entry.identity_public);
  if (entry.kind == TL_ADMISSION_ROLE)
    entry.role = (TlRole)operation->role;
  return check_allowed (device, entry.kind, error) && tl_store_apply_change (db, &entry, device, change, error)
         && tl_store_stage_change (db, &entry, error) && journal_change (db, &entry, change, error);
}

gboolean
tl_store_change_role_by_pairing (TlDatabase *db, const TlPairingRecord *request, gint64 now, gboolean *lowered,
                                 GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (TlDeviceRecord) device = tl_store_load_device (db, request->device_id, &local);
  g_autoptr (TlDeviceChange) change = change_new ();
  TlAdmissionEntry entry = { .time = now,
                             .kind = TL_ADMISSION_ROLE,
                             .device_id = request->device_id,
                             .role = request->role,
                             .actor = request->decided_by != NULL ? request->decided_by : (char *)"gateway",
                             .reason = (char *)"paired again with a code for this role" };

  *lowered = FALSE;
  if (device == NULL && !tl_error_is_not_found (local))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (device == NULL || device->state == TL_DEVICE_REMOVED || device->role == request->role)
    return TRUE;
  *lowered = TRUE;
  entry.name = device->name;
  memcpy (entry.identity_public, device->identity_public, sizeof entry.identity_public);
  return tl_store_apply_change (db, &entry, device, change, error) && tl_store_stage_change (db, &entry, error)
         && journal_change (db, &entry, change, error);
}

static gboolean
run_change_device (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autoptr (TlDeviceChange) change = change_new ();
  g_autoptr (TlDeviceRecord) device = tl_store_load_device (db, operation->device_id, error);

  if (device == NULL || !authorise (operation, db, device, error))
    return FALSE;
  change->dry_run = operation->flag;
  change->already = is_so (device, (TlAdmissionKind)operation->number, (TlRole)operation->role);
  if (!change->already && !make_change (operation, db, device, change, error))
    return FALSE;
  operation->discard_changes = change->dry_run;
  change->device = change->dry_run ? g_steal_pointer (&device) : tl_store_load_device (db, operation->device_id, error);
  if (change->device == NULL)
    return FALSE;
  operation->result = g_steal_pointer (&change);
  return TRUE;
}

void
tl_store_change_device (TlStore *store, TlAdmissionKind kind, const char *device_id, TlRole role, const char *actor,
                        const char *reason, gboolean dry_run, gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_change_device, TL_STORE_WRITE_DURABLE, (GDestroyNotify)tl_device_change_unref);

  g_return_if_fail (kind <= TL_ADMISSION_ROLE);
  operation->number = kind;
  operation->device_id = g_strdup (device_id);
  operation->role = (int)role;
  operation->actor = g_strdup (actor);
  operation->reason = g_strdup (reason != NULL ? reason : "");
  operation->flag = dry_run;
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}
