/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include "daemon/store/tl-journal.h"

/* Each state of a pairing request is entered once (PROTOCOL 3.2). */

/* A request that ran out is written down as EXPIRED although the call fails. */
static gboolean
expire_pairing (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  if (!tl_database_run (db, NULL, error,
                        "UPDATE pairings SET state = " SQL_PAIRING_EXPIRED " WHERE request_id = ?"
                        " AND state IN (" SQL_PAIRING_PENDING ", " SQL_PAIRING_APPROVED ")",
                        tl_text (operation->id))
      || !tl_store_journal_append (db, operation->now, TL_JOURNAL_PAIRING_EXPIRED, NULL, operation->id, NULL, error))
    return FALSE;
  operation->keep_changes = TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_EXPIRED, "the pairing request %s ran out of time; pair again", operation->id);
  return FALSE;
}

/* Each state is entered once (PROTOCOL 3.2): the request has to be in `state` and not have run out. */
static gboolean
check_state (TlStoreOperation *operation, TlDatabase *db, TlPairingState state, GError **error)
{
  g_autoptr (TlPairingRecord) request = tl_store_load_pairing (db, operation->id, error);

  if (request == NULL)
    return FALSE;
  if (request->state != state)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "the pairing request %s is %s already%s%s",
                   request->request_id, tl_pairing_state_to_string (request->state),
                   request->decided_by != NULL ? ", decided by " : "",
                   request->decided_by != NULL ? request->decided_by : "");
      return FALSE;
    }
  if (request->expires_at <= operation->now)
    return expire_pairing (operation, db, error);
  return TRUE;
}

static gboolean
journal_decision (TlStoreOperation *operation, TlDatabase *db, TlPairingState state, const char *reason, GError **error)
{
  gboolean approved = state == TL_PAIRING_STATE_APPROVED;
  g_autoptr (TlPairingRecord) request = tl_store_load_pairing (db, operation->id, error);

  return request != NULL
         && tl_store_journal_record (
             db, operation->now, approved ? TL_JOURNAL_PAIRING_APPROVED : TL_JOURNAL_PAIRING_REJECTED, operation->actor,
             operation->id,
             json_pack ("{s:s, s:s*}", "device_id", request->device_id, "reason", approved ? NULL : reason), error);
}

static gboolean
decide (TlStoreOperation *operation, TlDatabase *db, TlPairingState state, const char *reason, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "UPDATE pairings SET state = ?1, decided_by = ?2, reason = ?3, decided_at = ?4,"
                          " expires_at = CASE ?1 WHEN " SQL_PAIRING_APPROVED " THEN ?5 ELSE expires_at END"
                          " WHERE request_id = ?6 AND state = " SQL_PAIRING_PENDING,
                          tl_int (state), tl_text (operation->actor), tl_text (reason), tl_int (operation->now),
                          tl_int (operation->now + TL_STORE_APPROVED_MS), tl_text (operation->id))
         && journal_decision (operation, db, state, reason, error);
}

/* A guess at the digits is a decision too: the third one rejects. */
static gboolean
may_decide (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autoptr (TlPairingRecord) request = tl_store_load_pairing (db, operation->id, error);

  return request != NULL && tl_store_authorise_decision (db, operation->actor, request, error);
}

static gboolean
run_wrong_comparison (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  gint64 wrong;

  if (!may_decide (operation, db, error) || !check_state (operation, db, TL_PAIRING_STATE_PENDING_APPROVAL, error)
      || !tl_database_run (db, NULL, error, "UPDATE pairings SET wrong_codes = wrong_codes + 1 WHERE request_id = ?",
                           tl_text (operation->id))
      || !tl_database_integer (db, &wrong, error, "SELECT wrong_codes FROM pairings WHERE request_id = ?",
                               tl_text (operation->id))
      || !tl_store_journal_record (db, operation->now, TL_JOURNAL_PAIRING_COMPARED, operation->actor, operation->id,
                                   json_pack ("{s:s, s:I}", "reason", "wrong_code", "wrong", (json_int_t)wrong), error))
    return FALSE;
  if (wrong >= TL_STORE_MAX_WRONG_COMPARISONS
      && !decide (operation, db, TL_PAIRING_STATE_REJECTED, "the comparison code was wrong three times", error))
    return FALSE;
  return tl_store_load_pairing_result (operation, db, error);
}

void
tl_store_wrong_comparison (TlStore *store, const char *request_id, const char *actor, gint64 now,
                           TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_wrong_comparison, TL_STORE_WRITE_DURABLE, (GDestroyNotify)tl_pairing_record_free);

  operation->id = g_strdup (request_id);
  operation->actor = g_strdup (actor);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_decide_pairing (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  TlPairingState state = operation->flag ? TL_PAIRING_STATE_APPROVED : TL_PAIRING_STATE_REJECTED;

  return may_decide (operation, db, error) && check_state (operation, db, TL_PAIRING_STATE_PENDING_APPROVAL, error)
         && decide (operation, db, state, operation->reason, error)
         && tl_store_load_pairing_result (operation, db, error);
}

void
tl_store_decide_pairing (TlStore *store, const char *request_id, gboolean approve, const char *actor,
                         const char *reason, gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_decide_pairing, TL_STORE_WRITE_DURABLE, (GDestroyNotify)tl_pairing_record_free);

  operation->id = g_strdup (request_id);
  operation->flag = approve;
  operation->actor = g_strdup (actor);
  operation->reason = g_strdup (reason);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

/* Asked again: the certificate of then is given out only while it is still good. The transaction orders this against a
 * revocation, so that no late callback admits what was revoked. */
static gboolean
check_still_admitted (TlDatabase *db, const TlPairingRecord *request, GError **error)
{
  gint64 good;

  if (!tl_database_integer (db, &good, error,
                            "SELECT count (*) FROM certificates AS c JOIN devices AS d USING (device_id)"
                            " WHERE c.request_id = ? AND NOT c.revoked AND d.state = " SQL_DEVICE_ACTIVE,
                            tl_text (request->request_id)))
    return FALSE;
  if (good > 0)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_REVOKED, "the certificate of this pairing was revoked; pair again");
  return FALSE;
}

static gboolean
journal_completed (TlDatabase *db, const TlPairingRecord *request, const TlCertificateRecord *certificate, guint ended,
                   gint64 now, GError **error)
{
  return tl_store_journal_record (db, now, TL_JOURNAL_CERT_ISSUED, NULL, certificate->fingerprint,
                                  json_pack ("{s:s, s:s, s:s, s:I, s:I, s:i, s:i}", "device_id", request->device_id,
                                             "request_id", request->request_id, "serial", certificate->serial,
                                             "not_before_unix_ms", (json_int_t)certificate->not_before,
                                             "not_after_unix_ms", (json_int_t)certificate->not_after, "ca_generation",
                                             (int)certificate->ca_generation, "ended", (int)ended),
                                  error)
         && tl_store_journal_record (db, now, TL_JOURNAL_PAIRING_COMPLETED, NULL, request->request_id,
                                     json_pack ("{s:s, s:s, s:s*}", "device_id", request->device_id, "role",
                                                tl_role_to_string (request->role), "replaces_device_id",
                                                request->replaces_device_id),
                                     error);
}

static gboolean
run_complete_pairing (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  const TlCertificateRecord *certificate = operation->record;
  g_autoptr (TlPairingRecord) request = tl_store_load_pairing (db, operation->id, error);
  g_autoptr (GPtrArray) ended = NULL;
  gboolean lowered = FALSE;

  if (request == NULL)
    return FALSE;
  if (request->state == TL_PAIRING_STATE_COMPLETED)
    {
      if (!check_still_admitted (db, request, error))
        return FALSE;
      operation->result = g_steal_pointer (&request);
      return TRUE;
    }
  if (g_strcmp0 (certificate->device_id, request->device_id) != 0
      || g_strcmp0 (certificate->tls_key_fingerprint, request->tls_key_fingerprint) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "the certificate is for another device or key than the pairing request %s", request->request_id);
      return FALSE;
    }
  if (!check_state (operation, db, TL_PAIRING_STATE_APPROVED, error) || !tl_store_check_device (db, request, error)
      || !tl_store_change_role_by_pairing (db, request, operation->now, &lowered, error)
      || !tl_store_put_device (db, request, operation->now, error)
      /* PROTOCOL 4.3: at most one unused leaf. */
      || (ended = tl_store_revoke_certificates (db, request->device_id, "", TRUE, error)) == NULL
      || !tl_store_put_certificate (db, certificate, request->request_id, error)
      || !tl_database_run (db, NULL, error,
                           "UPDATE pairings SET state = " SQL_PAIRING_COMPLETED ", certificate_der = ?"
                           " WHERE request_id = ?",
                           tl_bytes (operation->bytes), tl_text (operation->id))
      || !journal_completed (db, request, certificate, ended->len, operation->now, error)
      || !tl_store_load_pairing_result (operation, db, error))
    return FALSE;
  ((TlPairingRecord *)operation->result)->ended = g_steal_pointer (&ended);
  ((TlPairingRecord *)operation->result)->lowered = lowered;
  return TRUE;
}

void
tl_store_complete_pairing (TlStore *store, const char *request_id, const TlCertificateRecord *certificate,
                           GBytes *certificate_der, gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_complete_pairing, TL_STORE_WRITE_DURABLE, (GDestroyNotify)tl_pairing_record_free);

  operation->id = g_strdup (request_id);
  operation->record = tl_certificate_record_copy (certificate);
  operation->free_record = (GDestroyNotify)tl_certificate_record_free;
  operation->bytes = g_bytes_ref (certificate_der);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}
