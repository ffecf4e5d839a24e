/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>

#include "daemon/store/tl-checked-vfs.h"

void
remove_directory (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);

      g_unlink (file);
    }
  g_rmdir (path);
}

void
fixture_sql (const char *directory, const char *sql)
{
  g_autofree char *path = g_build_filename (directory, TL_STORE_FILE, NULL);
  sqlite3 *db = NULL;

  tl_checked_vfs_register ();
  g_assert_cmpint (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READWRITE, TL_CHECKED_VFS), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
}

guint
fixture_root_page (const char *directory, const char *name)
{
  g_autofree char *path = g_build_filename (directory, TL_STORE_FILE, NULL);
  sqlite3_stmt *query = NULL;
  sqlite3 *db = NULL;
  guint page;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK); /* any SQLite can read it */
  sqlite3_prepare_v2 (db, "SELECT rootpage FROM sqlite_schema WHERE name = ?", -1, &query, NULL);
  sqlite3_bind_text (query, 1, name, -1, SQLITE_STATIC);
  g_assert_cmpint (sqlite3_step (query), ==, SQLITE_ROW);
  page = (guint)sqlite3_column_int (query, 0);
  sqlite3_finalize (query);
  sqlite3_close (db);
  return page;
}

void
fixture_open_admission (Fixture *f)
{
  static const guint8 bytes[32] = { 1, 2, 3 };
  g_autoptr (TlSecret) key = tl_secret_new_copy (bytes, sizeof bytes);
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&f->admission, tl_store_admission_free);
  f->admission = tl_store_open_admission (f->store, STORE_GATEWAY, key, STORE_NOW, &error);
  g_assert_no_error (error);
  g_assert_nonnull (f->admission);
}

void
fixture_set_up (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  f->directory = g_dir_make_tmp ("tl-store-XXXXXX", &error);
  g_assert_no_error (error);
  f->store = tl_store_open (f->directory, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (f->store);
  fixture_open_admission (f);
}

void
fixture_tear_down (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  tl_store_close (f->store);
  remove_directory (f->directory);
  tl_store_admission_free (f->admission);
  g_free (f->directory);
}

void
fixture_reopen (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  tl_store_close (f->store);
  f->store = tl_store_open (f->directory, NULL, &error);
  g_assert_no_error (error);
  fixture_open_admission (f);
}

void
fixture_wait_check (Fixture *f, TlStoreCheckVerdict verdict, const char *word)
{
  TlStoreCheck check = { 0 };

  /* The thread announces it nowhere; health polls as well. */
  for (tl_store_get_check (f->store, &check); check.finished_at == 0; tl_store_get_check (f->store, &check))
    {
      tl_store_check_clear (&check);
      g_usleep (1000);
    }
  g_assert_cmpstr (tl_store_check_verdict_to_string (check.verdict), ==, tl_store_check_verdict_to_string (verdict));
  if (word != NULL)
    g_assert_nonnull (strstr (check.problem, word));
  else
    g_assert_null (check.problem);
  g_assert_cmpuint (check.pages, >, 0);
  tl_store_check_clear (&check);
}

char *
fixture_id (Fixture *f)
{
  return tl_ulid_new (STORE_NOW + f->ids++, tl_random_system ());
}

void
answer_callback (const GError *error, gpointer result, gpointer user_data)
{
  Answer *answer = user_data;

  g_assert_false (answer->called);
  answer->called = TRUE;
  if (error != NULL)
    {
      g_assert_null (result);
      answer->error = g_error_copy (error);
    }
  else if (answer->copy != NULL)
    {
      g_assert_nonnull (result);
      answer->result = answer->copy (result);
    }
}

void
assert_ok (Fixture *f, Answer *answer)
{
  tl_store_flush (f->store);
  g_assert_true (answer->called);
  g_assert_no_error (answer->error);
}

void
assert_failed (Fixture *f, Answer *answer, TlErrorCode code)
{
  tl_store_flush (f->store);
  g_assert_true (answer->called);
  g_assert_error (answer->error, TL_ERROR, (int)code);
  g_clear_error (&answer->error);
}

TlCodeRecord *
make_code (Fixture *f, TlPairingMethod method, TlRole role)
{
  TlCodeRecord *code = g_new0 (TlCodeRecord, 1);
  guint8 w0[32];

  code->code_id = fixture_id (f);
  code->method = method;
  code->role = role;
  code->attempts = 3;
  code->minted_by = g_strdup ("uid:0");
  code->created_at = STORE_NOW;
  code->expires_at = STORE_NOW + 10 * MINUTE_MS;
  code->verifier = g_new0 (TlPairingVerifier, 1);
  code->verifier->kdf = tl_pairing_kdf_for (method);
  tl_random_bytes (tl_random_system (), code->verifier->salt, sizeof code->verifier->salt);
  tl_random_bytes (tl_random_system (), code->verifier->point, sizeof code->verifier->point);
  tl_random_bytes (tl_random_system (), w0, sizeof w0);
  code->verifier->w0 = tl_secret_new_copy (w0, sizeof w0);
  return code;
}

TlCodeRecord *
mint (Fixture *f, TlPairingMethod method, TlRole role)
{
  g_autoptr (TlCodeRecord) code = make_code (f, method, role);
  Answer answer = ANSWER (tl_code_record_copy);

  tl_store_add_code (f->store, code, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  return answer.result;
}

char *
make_fingerprint (const char *seed)
{
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, seed, -1);
}

TlPairingRecord *
make_request (Fixture *f, const TlCodeRecord *code, const char *device_id, guint8 identity, const char *tls_key)
{
  TlPairingRecord *request = g_new0 (TlPairingRecord, 1);

  request->request_id = fixture_id (f);
  request->session_id = fixture_id (f);
  request->code_id = g_strdup (code->code_id);
  request->code_minted_by = g_strdup (code->minted_by);
  request->method = code->method;
  request->role = code->role;
  request->state = TL_PAIRING_STATE_PENDING_APPROVAL;
  request->device_id = g_strdup (device_id);
  request->device_name = g_strdup_printf ("laptop %d", identity);
  request->platform = g_strdup ("linux x86_64");
  request->client_kind = TL_CLIENT_DESKTOP;
  memset (request->identity_public, identity, sizeof request->identity_public);
  memset (request->device_nonce, 7, sizeof request->device_nonce);
  request->tls_public_der = g_bytes_new_static ("spki", 4);
  request->tls_key_fingerprint = make_fingerprint (tls_key);
  request->sealed_keys = g_bytes_new_static ("sealed sealed sealed", 20);
  request->source = g_strdup ("192.0.2.1");
  request->requested_at = STORE_NOW;
  request->expires_at = STORE_NOW + 10 * MINUTE_MS;
  return request;
}

TlCertificateRecord *
make_certificate (Fixture *f, const TlPairingRecord *request)
{
  TlCertificateRecord *certificate = g_new0 (TlCertificateRecord, 1);
  g_autofree char *seed = fixture_id (f);

  certificate->fingerprint = make_fingerprint (seed);
  certificate->device_id = g_strdup (request->device_id);
  certificate->serial = g_strdup ("0102");
  certificate->tls_key_fingerprint = g_strdup (request->tls_key_fingerprint);
  certificate->not_before = STORE_NOW - 10 * MINUTE_MS + f->ids;
  certificate->not_after = STORE_NOW + DAY_MS;
  certificate->ca_generation = 1;
  return certificate;
}

TlPairingRecord *
request_pairing (Fixture *f, const char *device_id, guint8 identity, const char *tls_key, TlRole role,
                 TlErrorCode expected)
{
  g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_LINK, role);
  g_autoptr (TlPairingRecord) request = make_request (f, code, device_id, identity, tls_key);
  g_autofree char *attempt = fixture_id (f);
  Answer taken = ANSWER (NULL);
  Answer answer = ANSWER (tl_pairing_record_copy);

  tl_store_take_attempt (f->store, code->code_id, attempt, "source:192.0.2.1", STORE_NOW, answer_callback, &taken);
  assert_ok (f, &taken);
  tl_store_add_pairing (f->store, request, attempt, STORE_NOW, answer_callback, &answer);
  if (expected == REQUEST_OK)
    {
      assert_ok (f, &answer);
      return answer.result;
    }
  assert_failed (f, &answer, expected);
  return NULL;
}

void
approve (Fixture *f, const TlPairingRecord *request)
{
  Answer answer = ANSWER (NULL);

  tl_store_decide_pairing (f->store, request->request_id, TRUE, "uid:0", NULL, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
}

char *
pair_device (Fixture *f, const char *device_id, guint8 identity, TlRole role)
{
  g_autofree char *key = fixture_id (f);
  g_autoptr (TlPairingRecord) request = request_pairing (f, device_id, identity, key, role, REQUEST_OK);
  g_autoptr (TlCertificateRecord) certificate = make_certificate (f, request);
  g_autoptr (GBytes) der = g_bytes_new (certificate->fingerprint, 64);
  Answer answer = ANSWER (NULL);

  approve (f, request);
  tl_store_complete_pairing (f->store, request->request_id, certificate, der, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  return g_strdup (certificate->fingerprint);
}

TlDeviceRecord *
find_device (Fixture *f, const char *device)
{
  Answer answer = ANSWER (tl_device_record_copy);

  tl_store_find_device (f->store, device, answer_callback, &answer);
  assert_ok (f, &answer);
  return answer.result;
}

TlCodeRecord *
cancel_code (Fixture *f, const char *code, gint64 now)
{
  Answer answer = ANSWER (tl_code_record_copy);

  tl_store_cancel_code (f->store, code, "uid:0", now, answer_callback, &answer);
  assert_ok (f, &answer);
  return answer.result;
}
