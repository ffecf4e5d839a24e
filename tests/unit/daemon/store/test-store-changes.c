/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>

/* What an answer said; the lists by their sizes. */
typedef struct
{
  gboolean called, already, dry_run;
  TlDeviceState state;
  TlRole role;
  guint certificates, requests, requests_kept, codes, pairings, admitted;
  GError *error;
} Changed;

static void
changed_callback (const GError *error, gpointer result, gpointer user_data)
{
  const TlDeviceChange *change = result;
  Changed *changed = user_data;

  changed->called = TRUE;
  if (error != NULL)
    {
      changed->error = g_error_copy (error);
      return;
    }
  changed->already = change->already;
  changed->dry_run = change->dry_run;
  changed->state = change->device->state;
  changed->role = change->device->role;
  changed->certificates = change->certificates;
  changed->requests = change->requests->len;
  changed->requests_kept = change->requests_kept;
  changed->codes = change->codes->len;
  changed->pairings = change->pairings->len;
  changed->admitted = change->admitted->len;
}

static Changed
change_as (Fixture *f, TlAdmissionKind kind, const char *device_id, TlRole role, const char *actor, gboolean dry_run)
{
  Changed changed = { 0 };

  tl_store_change_device (f->store, kind, device_id, role, actor, "because", dry_run, STORE_NOW, changed_callback,
                          &changed);
  tl_store_flush (f->store);
  g_assert_true (changed.called);
  return changed;
}

static Changed
change (Fixture *f, TlAdmissionKind kind, const char *device_id)
{
  return change_as (f, kind, device_id, TL_ROLE_NODE, "uid:0", FALSE);
}

static void
assert_changed (Fixture *f, TlAdmissionKind kind, const char *device_id, TlDeviceState state, gboolean already)
{
  Changed changed = change (f, kind, device_id);

  g_assert_no_error (changed.error);
  g_assert_cmpint (changed.state, ==, state);
  g_assert_cmpint (changed.already, ==, already);
}

static void
assert_refused (Fixture *f, TlAdmissionKind kind, const char *device_id, TlErrorCode code)
{
  Changed changed = change (f, kind, device_id);

  g_assert_error (changed.error, TL_ERROR, (int)code);
  g_clear_error (&changed.error);
}

static void
assert_refused_as (Fixture *f, TlAdmissionKind kind, const char *device_id, TlRole role, const char *actor,
                   TlErrorCode code)
{
  Changed changed = change_as (f, kind, device_id, role, actor, FALSE);

  g_assert_error (changed.error, TL_ERROR, (int)code);
  g_clear_error (&changed.error);
}

static gint64
count (Fixture *f, const char *sql)
{
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);
  sqlite3 *db = NULL;
  sqlite3_stmt *query = NULL;
  gint64 value;

  g_assert_cmpint (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READONLY, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (db, sql, -1, &query, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_step (query), ==, SQLITE_ROW);
  value = sqlite3_column_int64 (query, 0);
  sqlite3_finalize (query);
  sqlite3_close (db);
  return value;
}

static TlStoreAdmission *
copy_admission (gconstpointer result)
{
  TlStoreAdmission *copy = g_memdup2 (result, sizeof *copy);

  copy->restored_reason = g_strdup (copy->restored_reason);
  return copy;
}

static guint64
counter (Fixture *f)
{
  Answer answer = ANSWER (copy_admission);
  g_autoptr (TlStoreAdmission) admission = NULL;

  tl_store_get_admission (f->store, answer_callback, &answer);
  assert_ok (f, &answer);
  admission = answer.result;
  return admission->counter;
}

static guint
count_admitted (Fixture *f)
{
  g_autoptr (TlAdmissions) admissions = tl_store_list_admissions (f->store, STORE_NOW, NULL);

  return admissions->certificates->len;
}

/* Every verb in every state. */
static void
test_transitions (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_id (f);
  g_autofree char *certificate = pair_device (f, id, 1, TL_ROLE_NODE);
  g_autofree char *unknown = fixture_id (f);

  /* active */
  assert_changed (f, TL_ADMISSION_RESUME, id, TL_DEVICE_ACTIVE, TRUE);
  assert_changed (f, TL_ADMISSION_CLEAR, id, TL_DEVICE_ACTIVE, TRUE);
  g_assert_cmpuint (counter (f), ==, 0);
  assert_changed (f, TL_ADMISSION_SUSPEND, id, TL_DEVICE_SUSPENDED, FALSE);
  /* suspended */
  g_assert_cmpuint (count_admitted (f), ==, 0);
  assert_changed (f, TL_ADMISSION_SUSPEND, id, TL_DEVICE_SUSPENDED, TRUE);
  assert_refused (f, TL_ADMISSION_CLEAR, id, TL_ERROR_FAILED_PRECONDITION);
  assert_changed (f, TL_ADMISSION_RESUME, id, TL_DEVICE_ACTIVE, FALSE);
  g_assert_cmpuint (count_admitted (f), ==, 1);
  assert_changed (f, TL_ADMISSION_SUSPEND, id, TL_DEVICE_SUSPENDED, FALSE);
  assert_changed (f, TL_ADMISSION_REVOKE, id, TL_DEVICE_REVOKED, FALSE);
  /* revoked */
  assert_changed (f, TL_ADMISSION_REVOKE, id, TL_DEVICE_REVOKED, TRUE);
  assert_refused (f, TL_ADMISSION_SUSPEND, id, TL_ERROR_FAILED_PRECONDITION);
  assert_refused (f, TL_ADMISSION_RESUME, id, TL_ERROR_FAILED_PRECONDITION);
  assert_refused (f, TL_ADMISSION_REMOVE, id, TL_ERROR_FAILED_PRECONDITION);
  assert_refused_as (f, TL_ADMISSION_ROLE, id, TL_ROLE_OPERATOR, "uid:0", TL_ERROR_FAILED_PRECONDITION);
  assert_changed (f, TL_ADMISSION_CLEAR, id, TL_DEVICE_REMOVED, FALSE);
  /* removed */
  assert_changed (f, TL_ADMISSION_CLEAR, id, TL_DEVICE_REMOVED, TRUE);
  assert_changed (f, TL_ADMISSION_REMOVE, id, TL_DEVICE_REMOVED, TRUE);
  assert_refused (f, TL_ADMISSION_SUSPEND, id, TL_ERROR_NOT_FOUND);
  assert_refused (f, TL_ADMISSION_RESUME, id, TL_ERROR_NOT_FOUND);
  assert_refused (f, TL_ADMISSION_REVOKE, id, TL_ERROR_NOT_FOUND);
  assert_refused (f, TL_ADMISSION_REVOKE, unknown, TL_ERROR_NOT_FOUND);
  g_assert_cmpuint (counter (f), ==, 5);
  g_assert_cmpint (count (f, "SELECT count (*) FROM journal WHERE kind LIKE 'device.%'"), ==, 5);

  /* As if it were new. */
  g_free (pair_device (f, id, 2, TL_ROLE_OPERATOR));
  g_assert_cmpuint (count_admitted (f), ==, 1);
  assert_changed (f, TL_ADMISSION_REMOVE, id, TL_DEVICE_REMOVED, FALSE);
  g_assert_cmpuint (count_admitted (f), ==, 0);
}

/* A dry run answers what the real one would, and leaves nothing: rows, counter, log, journal. */
static void
test_dry_run (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  static const TlAdmissionKind kinds[] = { TL_ADMISSION_SUSPEND, TL_ADMISSION_REMOVE, TL_ADMISSION_REVOKE };
  g_autofree char *id = fixture_id (f);
  g_autofree char *certificate = pair_device (f, id, 1, TL_ROLE_OPERATOR);
  g_autofree char *path = g_build_filename (f->directory, TL_ADMISSION_LOG_FILE, NULL);
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  gint64 journal = count (f, "SELECT count (*) FROM journal");

  g_assert_true (g_file_get_contents (path, &before, NULL, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      Changed dry = change_as (f, kinds[i], id, TL_ROLE_NODE, "uid:0", TRUE);

      g_assert_no_error (dry.error);
      g_assert_true (dry.dry_run && !dry.already);
      g_assert_cmpint (dry.state, ==, TL_DEVICE_ACTIVE);
      g_assert_cmpuint (dry.certificates, ==, 1);
    }
  g_assert_cmpint (change_as (f, TL_ADMISSION_ROLE, id, TL_ROLE_NODE, "uid:0", TRUE).role, ==, TL_ROLE_OPERATOR);
  g_assert_cmpuint (count_admitted (f), ==, 1);
  g_assert_cmpuint (counter (f), ==, 0);
  g_assert_cmpint (count (f, "SELECT count (*) FROM journal"), ==, journal);
  g_assert_true (g_file_get_contents (path, &after, NULL, NULL));
  g_assert_cmpstr (before, ==, after);
  /* And the next real one finds everything in order. */
  assert_changed (f, TL_ADMISSION_REVOKE, id, TL_DEVICE_REVOKED, FALSE);
  fixture_reopen (f);
  g_assert_false (f->admission->restored);
  g_assert_cmpuint (f->admission->counter, ==, 1);
}

/* A device's authority is looked at in the transaction, not when its call came in. */
static void
test_actors (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *operator= fixture_id (f);
  g_autofree char *node = fixture_id (f);
  g_autofree char *c1 = pair_device (f, operator, 1, TL_ROLE_OPERATOR);
  g_autofree char *c2 = pair_device (f, node, 2, TL_ROLE_NODE);
  g_autofree char *as_operator = g_strconcat ("device:", operator, NULL);
  g_autofree char *as_node = g_strconcat ("device:", node, NULL);
  g_autoptr (TlCodeRecord) code = make_code (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  Answer minted = ANSWER (NULL);
  Answer decided = ANSWER (NULL);
  g_autofree char *other = fixture_id (f);
  g_autoptr (TlPairingRecord) request = request_pairing (f, other, 3, "key", TL_ROLE_NODE, REQUEST_OK);
  Changed changed;

  assert_refused_as (f, TL_ADMISSION_SUSPEND, node, 0, as_node, TL_ERROR_NOT_OPERATOR);
  /* PROTOCOL 4: over the network an operator revokes nodes, and nothing else of this. */
  assert_refused_as (f, TL_ADMISSION_SUSPEND, node, 0, as_operator, TL_ERROR_LOCAL_ONLY);
  assert_refused_as (f, TL_ADMISSION_ROLE, node, TL_ROLE_OPERATOR, as_operator, TL_ERROR_LOCAL_ONLY);
  changed = change_as (f, TL_ADMISSION_ROLE, operator, TL_ROLE_NODE, "uid:0", FALSE);
  g_assert_cmpint (changed.role, ==, TL_ROLE_NODE);
  assert_refused_as (f, TL_ADMISSION_REVOKE, node, 0, as_operator, TL_ERROR_NOT_OPERATOR);
  g_free (code->minted_by);
  code->minted_by = g_strdup (as_operator);
  tl_store_add_code (f->store, code, STORE_NOW, answer_callback, &minted);
  assert_failed (f, &minted, TL_ERROR_NOT_OPERATOR);
  tl_store_decide_pairing (f->store, request->request_id, TRUE, as_operator, NULL, STORE_NOW, answer_callback,
                           &decided);
  assert_failed (f, &decided, TL_ERROR_NOT_OPERATOR);
  /* Giving oneself up is everybody's. */
  changed = change_as (f, TL_ADMISSION_REVOKE, operator, 0, as_operator, FALSE);
  g_assert_no_error (changed.error);
}

/* Suspended while a certificate of it was being issued, in both orders. */
static void
test_issuance_races (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  static const struct
  {
    TlAdmissionKind kind;
    TlErrorCode code;
  } ends[] = { { TL_ADMISSION_SUSPEND, TL_ERROR_FAILED_PRECONDITION }, { TL_ADMISSION_REVOKE, TL_ERROR_REVOKED } };

  for (guint i = 0; i < G_N_ELEMENTS (ends); i++)
    {
      for (guint first = 0; first < 2; first++)
        {
          g_autofree char *id = fixture_id (f);
          g_autofree char *key = fixture_id (f);
          guint8 identity = (guint8)(10 + 2 * i + first);
          g_autofree char *old = pair_device (f, id, identity, TL_ROLE_NODE);
          g_autoptr (TlPairingRecord) request = request_pairing (f, id, identity, key, TL_ROLE_NODE, REQUEST_OK);
          g_autoptr (TlCertificateRecord) certificate = make_certificate (f, request);
          g_autoptr (GBytes) der = g_bytes_new (certificate->fingerprint, 64);
          Answer issued = ANSWER (NULL);
          Changed changed = { 0 };

          approve (f, request);
          if (first == 0)
            tl_store_change_device (f->store, ends[i].kind, id, 0, "uid:0", "", FALSE, STORE_NOW, changed_callback,
                                    &changed);
          tl_store_complete_pairing (f->store, request->request_id, certificate, der, STORE_NOW, answer_callback,
                                     &issued);
          if (first == 1)
            tl_store_change_device (f->store, ends[i].kind, id, 0, "uid:0", "", FALSE, STORE_NOW, changed_callback,
                                    &changed);
          tl_store_flush (f->store);
          g_assert_true (changed.called && issued.called);
          if (first == 0)
            g_assert_error (issued.error, TL_ERROR, (int)ends[i].code);
          else
            g_assert_no_error (issued.error);
          g_clear_error (&issued.error);
          g_assert_cmpuint (count_admitted (f), ==, 0);
        }
    }
}

/* A batch whose disk fails takes its lines back; the next change has the counter of the failed one. */
static void
test_disk_fails (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_id (f);
  g_autofree char *certificate = pair_device (f, id, 1, TL_ROLE_NODE);
  struct rlimit limit;
  Changed changed;

  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  limit.rlim_cur = 2000; /* the log's line goes in, the store's pages do not */
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  changed = change (f, TL_ADMISSION_REVOKE, id);
  limit.rlim_cur = limit.rlim_max;
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  g_assert_nonnull (changed.error);
  g_clear_error (&changed.error);
  g_assert_cmpuint (count_admitted (f), ==, 1);
  g_assert_cmpuint (counter (f), ==, 0);
  changed = change (f, TL_ADMISSION_REVOKE, id);
  g_assert_no_error (changed.error);
  g_assert_cmpuint (count_admitted (f), ==, 0);
  fixture_reopen (f);
  g_assert_false (f->admission->restored);
  g_assert_cmpuint (f->admission->counter, ==, 1);
}

/* Without the log open nobody's admission changes. */
static void
test_no_log (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_id (f);
  g_autofree char *certificate = pair_device (f, id, 1, TL_ROLE_NODE);
  g_autoptr (GError) error = NULL;

  tl_store_close (f->store);
  f->store = tl_store_open (f->directory, NULL, &error);
  g_assert_no_error (error);
  assert_refused (f, TL_ADMISSION_REVOKE, id, TL_ERROR_FAILED_PRECONDITION);
  g_assert_cmpuint (count_admitted (f), ==, 1);
}

static void
test_rename (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_id (f);
  g_autofree char *certificate = pair_device (f, id, 1, TL_ROLE_NODE);
  g_autofree char *before = NULL;
  g_autoptr (TlDeviceRecord) device = NULL;
  Answer renamed = ANSWER (g_strdup);
  Answer again = ANSWER (g_strdup);
  Answer removed = ANSWER (NULL);

  tl_store_rename_device (f->store, id, "Z3", "uid:0", STORE_NOW, answer_callback, &renamed);
  assert_ok (f, &renamed);
  before = renamed.result;
  g_assert_cmpstr (before, ==, "laptop 1");
  tl_store_rename_device (f->store, id, "Z3", "uid:0", STORE_NOW, answer_callback, &again);
  assert_ok (f, &again);
  g_assert_cmpstr (again.result, ==, "Z3");
  g_free (again.result);
  g_assert_cmpint (count (f, "SELECT count (*) FROM journal WHERE kind = 'device.renamed'"), ==, 1);
  device = find_device (f, "Z3");
  g_assert_cmpstr (device->device_id, ==, id);
  assert_changed (f, TL_ADMISSION_REMOVE, id, TL_DEVICE_REMOVED, FALSE);
  tl_store_rename_device (f->store, id, "Z4", "uid:0", STORE_NOW, answer_callback, &removed);
  assert_failed (f, &removed, TL_ERROR_NOT_FOUND);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  signal (SIGXFSZ, SIG_IGN);
  store_test ("/store/changes/transitions", test_transitions);
  store_test ("/store/changes/dry-run", test_dry_run);
  store_test ("/store/changes/actors", test_actors);
  store_test ("/store/changes/issuance-races", test_issuance_races);
  store_test ("/store/changes/disk-fails", test_disk_fails);
  store_test ("/store/changes/no-log", test_no_log);
  store_test ("/store/changes/rename", test_rename);
  return g_test_run ();
}
