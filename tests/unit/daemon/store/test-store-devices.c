/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <string.h>

typedef struct
{
  gboolean called, already;
  guint certificates, requests;
  TlDeviceState state;
  char *reason;
} Revoked;

static void
revoked_callback (const GError *error, gpointer result, gpointer user_data)
{
  const TlDeviceChange *revocation = result;
  Revoked *revoked = user_data;

  g_assert_no_error (error);
  revoked->called = TRUE;
  revoked->already = revocation->already;
  revoked->certificates = revocation->certificates;
  revoked->requests = revocation->requests->len;
  revoked->state = revocation->device->state;
  for (guint i = 0; i < revocation->requests->len; i++)
    {
      TlCapabilityRecord *request = revocation->requests->pdata[i];

      g_assert_cmpint (request->state, ==, TL_REQUEST_FAILED);
      g_assert_cmpstr (request->error_reason, ==, "revoked");
      g_assert_cmpint (request->completed_at, ==, STORE_NOW);
    }
}

static void
revoke_device (Fixture *f, const char *device_id, Revoked *revoked)
{
  *revoked = (Revoked){ 0 };
  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, device_id, TL_ROLE_NODE, "uid:0", "stolen", FALSE, STORE_NOW,
                          revoked_callback, revoked);
  tl_store_flush (f->store);
  g_assert_true (revoked->called);
}

static void
add_request (Fixture *f, const char *device_id, TlRequestState state)
{
  g_autofree char *request_id = fixture_id (f);
  g_autofree char *event_id = fixture_id (f);
  TlCapabilityRecord request
      = { .request_id = request_id, .device_id = (char *)device_id, .capability = (char *)"echo", .state = state };
  Answer answer = ANSWER (NULL);

  tl_store_add_request (f->store, &request, event_id, "{}", STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
}

static gpointer
copy_use (gpointer result)
{
  const TlCertificateUse *use = result;

  g_assert_false (use->renewal); /* all are from pairings here */
  return g_ptr_array_ref (use->ended);
}

static GPtrArray *
use_certificate (Fixture *f, const char *fingerprint)
{
  Answer answer = ANSWER (copy_use);

  tl_store_certificate_used (f->store, fingerprint, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  return answer.result;
}

static guint
count_admitted (Fixture *f, gint64 now)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlAdmissions) admissions = tl_store_list_admissions (f->store, now, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < admissions->certificates->len; i++)
    g_assert_true (g_hash_table_contains (admissions->roles,
                                          ((TlCertificateRecord *)admissions->certificates->pdata[i])->device_id));
  return admissions->certificates->len;
}

static TlCertificateRecord *
find_certificate (const TlDeviceRecord *device, const char *fingerprint)
{
  for (guint i = 0; i < device->certificates->len; i++)
    {
      TlCertificateRecord *certificate = device->certificates->pdata[i];

      if (strcmp (certificate->fingerprint, fingerprint) == 0)
        return certificate;
    }
  g_assert_not_reached ();
}

/* ---- certificates ---- */

static void
test_admissions (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *node = fixture_id (f);
  g_autofree char *operator= fixture_id (f);
  g_autofree char *c1 = pair_device (f, node, 1, TL_ROLE_NODE);
  g_autofree char *c2 = pair_device (f, operator, 2, TL_ROLE_OPERATOR);
  g_autoptr (TlAdmissions) admissions = tl_store_list_admissions (f->store, STORE_NOW, NULL);
  Revoked revoked;

  g_assert_cmpuint (admissions->certificates->len, ==, 2);
  g_assert_cmpint (GPOINTER_TO_INT (g_hash_table_lookup (admissions->roles, node)), ==, TL_ROLE_NODE);
  g_assert_cmpint (GPOINTER_TO_INT (g_hash_table_lookup (admissions->roles, operator)), ==, TL_ROLE_OPERATOR);
  g_assert_cmpuint (count_admitted (f, STORE_NOW + DAY_MS - 1), ==, 2);
  g_assert_cmpuint (count_admitted (f, STORE_NOW + DAY_MS), ==, 0);
  revoke_device (f, node, &revoked);
  g_assert_cmpuint (count_admitted (f, STORE_NOW), ==, 1);
}

static void
test_certificate_used (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *old = pair_device (f, device_id, 1, TL_ROLE_NODE);
  g_autoptr (GPtrArray) by_old = use_certificate (f, old);
  g_autofree char *unused = pair_device (f, device_id, 1, TL_ROLE_NODE);
  g_autofree char *new = pair_device (f, device_id, 1, TL_ROLE_NODE); /* PROTOCOL 4.3: ends the unused one */
  g_autofree char *other_id = fixture_id (f);
  g_autofree char *other = pair_device (f, other_id, 2, TL_ROLE_NODE);
  g_autoptr (GPtrArray) by_new = NULL;
  g_autoptr (GPtrArray) again = NULL;
  g_autoptr (GPtrArray) unknown = NULL;
  g_autoptr (GPtrArray) by_revoked = NULL;
  g_autoptr (GPtrArray) sealed = NULL;
  g_autoptr (TlDeviceRecord) device = NULL;
  g_autofree char *nothing = make_fingerprint ("nothing");
  Answer answer = ANSWER (g_ptr_array_ref);
  guint with_keys = 0;

  g_assert_cmpuint (by_old->len, ==, 0);
  g_assert_cmpuint (count_admitted (f, STORE_NOW), ==, 3);
  by_new = use_certificate (f, new);
  g_assert_cmpuint (by_new->len, ==, 1);
  g_assert_true (g_ptr_array_find_with_equal_func (by_new, old, g_str_equal, NULL));
  g_assert_cmpuint (count_admitted (f, STORE_NOW), ==, 2);

  again = use_certificate (f, new);
  g_assert_cmpuint (again->len, ==, 0);
  unknown = use_certificate (f, nothing);
  g_assert_cmpuint (unknown->len, ==, 0);
  by_revoked = use_certificate (f, old);
  g_assert_cmpuint (by_revoked->len, ==, 0);

  device = find_device (f, device_id);
  g_assert_cmpuint (device->certificates->len, ==, 3);
  g_assert_true (find_certificate (device, new)->used && !find_certificate (device, new)->revoked);
  g_assert_true (find_certificate (device, old)->used && find_certificate (device, old)->revoked);
  g_assert_true (!find_certificate (device, unused)->used && find_certificate (device, unused)->revoked);

  /* The sealed keys of requests whose certificate was used went, of the others not. */
  tl_store_list_pairings (f->store, 0, "", 10, answer_callback, &answer);
  assert_ok (f, &answer);
  sealed = answer.result;
  for (guint i = 0; i < sealed->len; i++)
    {
      TlPairingRecord *request = sealed->pdata[i];
      const void *der = g_bytes_get_data (request->certificate_der, NULL);

      g_assert_true ((request->sealed_keys == NULL) == (memcmp (der, new, 64) == 0 || memcmp (der, old, 64) == 0));
      with_keys += request->sealed_keys != NULL;
    }
  g_assert_cmpuint (with_keys, ==, 2);
}

/* ---- revocation ---- */

static void
test_revoke (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *other_id = fixture_id (f);
  g_autofree char *unknown = fixture_id (f);
  g_autofree char *c1 = pair_device (f, device_id, 1, TL_ROLE_NODE);
  g_autoptr (GPtrArray) ended = use_certificate (f, c1);
  g_autofree char *c2 = pair_device (f, device_id, 1, TL_ROLE_NODE);
  g_autofree char *c3 = pair_device (f, other_id, 2, TL_ROLE_NODE);
  g_autoptr (GPtrArray) open = NULL;
  g_autoptr (TlDeviceRecord) device = NULL;
  Revoked revoked;
  Answer answer = ANSWER (NULL);

  for (int state = TL_REQUEST_QUEUED; state <= TL_REQUEST_EXPIRED; state++)
    add_request (f, device_id, (TlRequestState)state);
  add_request (f, other_id, TL_REQUEST_QUEUED);

  revoke_device (f, device_id, &revoked);
  g_assert_false (revoked.already);
  g_assert_cmpuint (revoked.certificates, ==, 2);
  g_assert_cmpuint (revoked.requests, ==, 4);
  g_assert_cmpint (revoked.state, ==, TL_DEVICE_REVOKED);
  open = tl_store_list_open_requests (f->store, NULL);
  g_assert_cmpuint (open->len, ==, 1);
  g_assert_cmpstr (((TlCapabilityRecord *)open->pdata[0])->device_id, ==, other_id);

  revoke_device (f, device_id, &revoked);
  g_assert_true (revoked.already);
  g_assert_cmpuint (revoked.certificates, ==, 0);
  g_assert_cmpuint (revoked.requests, ==, 0);
  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, unknown, TL_ROLE_NODE, "uid:0", NULL, FALSE, STORE_NOW,
                          answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_NOT_FOUND);

  fixture_reopen (f);
  device = find_device (f, device_id);
  g_assert_cmpint (device->state, ==, TL_DEVICE_REVOKED);
  g_assert_cmpstr (device->revoked_by, ==, "uid:0");
  g_assert_cmpstr (device->revoked_reason, ==, "stolen");
  g_assert_cmpint (device->revoked_at, ==, STORE_NOW);
  g_assert_cmpuint (count_admitted (f, STORE_NOW), ==, 1);
}

/* ---- finding ---- */

static void
assert_find_fails (Fixture *f, const char *text, TlErrorCode code)
{
  Answer answer = ANSWER (NULL);

  tl_store_find_device (f->store, text, answer_callback, &answer);
  assert_failed (f, &answer, code);
}

/* What no operation does yet. */
static void run_sql (Fixture *f, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
run_sql (Fixture *f, const char *format, ...)
{
  g_autofree char *sql = NULL;
  va_list arguments;

  va_start (arguments, format);
  sql = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  fixture_sql (f->directory, sql);
}

static void
test_find (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *a = g_strdup ("01ABCDEFGH0000000000000001");
  g_autofree char *b = g_strdup ("01ABCDEFGH0000000000000002");
  g_autofree char *c = g_strdup ("01XYZDEFGH0000000000000003");
  g_autofree char *c1 = pair_device (f, a, 1, TL_ROLE_NODE);
  g_autofree char *c2 = pair_device (f, b, 2, TL_ROLE_NODE);
  g_autofree char *c3 = pair_device (f, c, 3, TL_ROLE_NODE);
  const struct
  {
    const char *text, *device_id;
  } rows[] = {
    { a, a },
    { "01xyz", c },
    { "01XYZDEFGH0000000000000003", c },
    { "laptop 2", b },
    { "01abcdefgh0000000000000002", b },
  };
  g_autoptr (TlDeviceRecord) hidden = NULL;
  g_autoptr (GError) error = NULL;
  Answer answer = ANSWER (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (TlDeviceRecord) device = find_device (f, rows[i].text);

      g_assert_cmpstr (device->device_id, ==, rows[i].device_id);
    }
  assert_find_fails (f, "01X", TL_ERROR_NOT_FOUND); /* fewer than four characters */
  assert_find_fails (f, "Laptop 2", TL_ERROR_NOT_FOUND);
  assert_find_fails (f, "", TL_ERROR_NOT_FOUND);
  assert_find_fails (f, "%", TL_ERROR_NOT_FOUND);
  assert_find_fails (f, "01XYZ'", TL_ERROR_NOT_FOUND);

  tl_store_find_device (f->store, "01ABC", answer_callback, &answer);
  tl_store_flush (f->store);
  error = answer.error;
  g_assert_error (error, TL_ERROR, TL_ERROR_AMBIGUOUS);
  g_assert_nonnull (strstr (error->message, a));
  g_assert_nonnull (strstr (error->message, b));

  run_sql (f, "UPDATE devices SET name = 'laptop 1' WHERE device_id = '%s'", b);
  assert_find_fails (f, "laptop 1", TL_ERROR_AMBIGUOUS);
  /* A device cannot hide another by its name. */
  run_sql (f, "UPDATE devices SET name = '%s' WHERE device_id = '%s'", a, b);
  hidden = find_device (f, a);
  g_assert_cmpstr (hidden->device_id, ==, a);
}

static void
test_list (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *token = g_strdup ("");
  guint rows = 0;
  gboolean more = TRUE;
  const struct
  {
    guint states;
    int role;
    guint n;
  } filters[] = {
    { 0, -1, 250 },
    { 0, TL_ROLE_OPERATOR, 50 },
    { 1u << TL_DEVICE_REVOKED, -1, 1 },
    { 1u << TL_DEVICE_ACTIVE, TL_ROLE_NODE, 199 },
  };

  for (guint i = 0; i < 250; i++)
    {
      g_autofree char *device_id = fixture_id (f);
      TlRole role = i % 5 == 0 ? TL_ROLE_OPERATOR : TL_ROLE_NODE;
      g_autofree char *certificate = pair_device (f, device_id, (guint8)i, role);
      Revoked revoked;

      if (i == 7)
        revoke_device (f, device_id, &revoked);
    }
  while (more)
    {
      Answer answer = ANSWER (g_ptr_array_ref);
      g_autoptr (GPtrArray) devices = NULL;

      tl_store_list_devices (f->store, 0, -1, token, 100, answer_callback, &answer);
      assert_ok (f, &answer);
      devices = answer.result;
      more = devices->len == 101;
      for (guint i = 0; i < MIN (devices->len, 100); i++)
        {
          TlDeviceRecord *device = devices->pdata[i];

          g_assert_cmpstr (device->device_id, >, token);
          g_assert_cmpuint (device->certificates->len, ==, 1);
          g_free (token);
          token = g_strdup (device->device_id);
          rows++;
        }
    }
  g_assert_cmpuint (rows, ==, 250);

  for (gsize i = 0; i < G_N_ELEMENTS (filters); i++)
    {
      Answer answer = ANSWER (g_ptr_array_ref);

      tl_store_list_devices (f->store, filters[i].states, filters[i].role, "", 1000, answer_callback, &answer);
      assert_ok (f, &answer);
      g_assert_cmpuint (((GPtrArray *)answer.result)->len, ==, filters[i].n);
      g_ptr_array_unref (answer.result);
    }
}

static void
test_seen (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *certificate = pair_device (f, device_id, 1, TL_ROLE_NODE);
  g_autoptr (TlDeviceRecord) device = NULL;

  tl_store_device_seen (f->store, device_id, "node.status", STORE_NOW + 4, STORE_NOW + 5);
  tl_store_device_seen (f->store, device_id, NULL, 0, STORE_NOW + 3);
  fixture_reopen (f);
  device = find_device (f, device_id);
  g_assert_cmpint (device->last_seen_at, ==, STORE_NOW + 5);
}

/* 4.4: an operator that pairs again with a code for nodes is demoted as by SetDeviceRole: what it leaves behind ends,
 * and an old copy of the store does not make it an operator again. */
static void
test_pairing_again_demotes (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *first = pair_device (f, device_id, 1, TL_ROLE_OPERATOR);
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);
  g_autofree char *old = NULL;
  g_autoptr (TlCodeRecord) code = make_code (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  g_autoptr (TlDeviceRecord) device = NULL;
  g_autofree char *attempt = fixture_id (f);
  Answer minted = ANSWER (NULL), taken = ANSWER (NULL);
  gsize length;

  g_free (code->minted_by);
  code->minted_by = g_strconcat ("device:", device_id, NULL);
  tl_store_add_code (f->store, code, STORE_NOW, answer_callback, &minted);
  assert_ok (f, &minted);
  g_clear_pointer (&f->store, tl_store_close);
  g_assert_true (g_file_get_contents (path, &old, &length, NULL));
  fixture_reopen (f);
  g_free (pair_device (f, device_id, 1, TL_ROLE_NODE));
  tl_store_take_attempt (f->store, code->code_id, attempt, "source:192.0.2.1", STORE_NOW, answer_callback, &taken);
  assert_failed (f, &taken, TL_ERROR_CODE_INVALID);
  g_clear_pointer (&f->store, tl_store_close);
  g_assert_true (g_file_set_contents (path, old, (gssize)length, NULL));
  fixture_reopen (f);
  g_assert_false (f->admission->restored);
  g_assert_cmpuint (f->admission->applied, ==, 1);
  device = find_device (f, device_id);
  g_assert_cmpint (device->role, ==, TL_ROLE_NODE);
}

/* The device's row is what the record says after pairing again; its label wins over its name. */
static void
test_pairing_again_updates (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *old = pair_device (f, device_id, 1, TL_ROLE_OPERATOR);
  g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  g_autoptr (TlPairingRecord) request = make_request (f, code, device_id, 1, "new key");
  g_autoptr (TlCertificateRecord) certificate = make_certificate (f, request);
  g_autoptr (GBytes) der = g_bytes_new_static ("der", 3);
  g_autoptr (TlDeviceRecord) device = NULL;
  g_autofree char *replaced = fixture_id (f);
  Answer answer = ANSWER (NULL);

  request->label = g_strdup ("front desk");
  request->replaces_device_id = g_strdup (replaced);
  tl_store_add_pairing (f->store, request, NULL, STORE_NOW, NULL, NULL);
  approve (f, request);
  tl_store_complete_pairing (f->store, request->request_id, certificate, der, STORE_NOW + 1, answer_callback, &answer);
  assert_ok (f, &answer);
  device = find_device (f, device_id);
  g_assert_cmpstr (device->name, ==, "front desk");
  g_assert_cmpint (device->role, ==, TL_ROLE_NODE);
  g_assert_cmpstr (device->replaced_device_id, ==, replaced);
  g_assert_cmpint (device->paired_at, ==, STORE_NOW + 1);
  g_assert_cmpuint (device->certificates->len, ==, 2);
  g_assert_cmpstr (((TlCertificateRecord *)device->certificates->pdata[0])->fingerprint, ==, certificate->fingerprint);
}

static void
test_suspended_and_removed (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *suspended = fixture_id (f);
  g_autofree char *removed = fixture_id (f);
  g_autofree char *fresh = fixture_id (f);
  g_autofree char *c1 = pair_device (f, suspended, 1, TL_ROLE_NODE);
  g_autofree char *c2 = pair_device (f, removed, 2, TL_ROLE_NODE);
  g_autofree char *c3 = NULL;
  Answer answer = ANSWER (NULL);

  run_sql (f, "UPDATE devices SET state = %d WHERE device_id = '%s'", TL_DEVICE_SUSPENDED, suspended);
  run_sql (f, "UPDATE devices SET state = %d WHERE device_id = '%s'", TL_DEVICE_REMOVED, removed);
  g_assert_cmpuint (count_admitted (f, STORE_NOW), ==, 0);
  g_assert_null (request_pairing (f, suspended, 1, "k", TL_ROLE_NODE, TL_ERROR_FAILED_PRECONDITION));
  g_assert_null (request_pairing (f, fresh, 1, "k", TL_ROLE_NODE, TL_ERROR_PERMISSION_DENIED));
  assert_find_fails (f, "laptop 2", TL_ERROR_NOT_FOUND);
  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, removed, TL_ROLE_NODE, "uid:0", NULL, FALSE, STORE_NOW,
                          answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_NOT_FOUND);
  /* Forgotten: its identity may come back, even under another id. */
  c3 = pair_device (f, fresh, 2, TL_ROLE_OPERATOR);
  g_assert_cmpuint (count_admitted (f, STORE_NOW), ==, 1);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  store_test ("/store/devices/admissions", test_admissions);
  store_test ("/store/devices/certificate-used", test_certificate_used);
  store_test ("/store/devices/revoke", test_revoke);
  store_test ("/store/devices/find", test_find);
  store_test ("/store/devices/list", test_list);
  store_test ("/store/devices/seen", test_seen);
  store_test ("/store/devices/pairing-again-demotes", test_pairing_again_demotes);
  store_test ("/store/devices/pairing-again-updates", test_pairing_again_updates);
  store_test ("/store/devices/suspended-and-removed", test_suspended_and_removed);
  return g_test_run ();
}
