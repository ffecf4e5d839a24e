/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <string.h>

static TlPairingRecord *
get_request (Fixture *f, const char *request_id)
{
  Answer answer = ANSWER (tl_pairing_record_copy);

  tl_store_get_pairing (f->store, request_id, answer_callback, &answer);
  assert_ok (f, &answer);
  return answer.result;
}

static TlErrorCode
decide (Fixture *f, const char *request_id, gboolean yes, gint64 now)
{
  Answer answer = ANSWER (NULL);
  g_autoptr (GError) error = NULL;

  tl_store_decide_pairing (f->store, request_id, yes, "uid:7", "because", now, answer_callback, &answer);
  tl_store_flush (f->store);
  error = answer.error;
  return error != NULL ? (TlErrorCode)error->code : REQUEST_OK;
}

static TlErrorCode
compare_wrong (Fixture *f, const char *request_id, gint64 now, TlPairingState *state)
{
  Answer answer = ANSWER (tl_pairing_record_copy);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlPairingRecord) request = NULL;

  tl_store_wrong_comparison (f->store, request_id, "uid:7", now, answer_callback, &answer);
  tl_store_flush (f->store);
  request = answer.result;
  error = answer.error;
  if (request != NULL)
    *state = request->state;
  return error != NULL ? (TlErrorCode)error->code : REQUEST_OK;
}

static TlErrorCode
complete (Fixture *f, const TlPairingRecord *request, const TlCertificateRecord *certificate, gint64 now,
          TlPairingRecord **result)
{
  g_autoptr (GBytes) der = g_bytes_new (certificate->fingerprint, 64);
  Answer answer = ANSWER (tl_pairing_record_copy);
  g_autoptr (GError) error = NULL;

  tl_store_complete_pairing (f->store, request->request_id, certificate, der, now, answer_callback, &answer);
  tl_store_flush (f->store);
  error = answer.error;
  if (result != NULL)
    *result = answer.result;
  else
    tl_pairing_record_free (answer.result);
  return error != NULL ? (TlErrorCode)error->code : REQUEST_OK;
}

static TlCodeState
code_state (Fixture *f, const char *code_id)
{
  g_autoptr (TlCodeRecord) code = cancel_code (f, code_id, STORE_NOW); /* changes only a live one */

  return code->state;
}

/* ---- a request comes in ---- */

static void
count_callback (const GError *error, gpointer result, gpointer user_data)
{
  g_assert_no_error (error);
  *(guint32 *)user_data = *(guint32 *)result;
}

static void
test_add (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *attempt = fixture_id (f);
  g_autoptr (TlPairingRecord) request = make_request (f, code, device_id, 9, "key");
  g_autoptr (TlPairingRecord) second = make_request (f, code, device_id, 9, "key");
  g_autoptr (TlPairingRecord) stored = NULL;
  g_autoptr (TlPairingRecord) by_session = NULL;
  guint32 failures = 99;
  Answer answer = ANSWER (tl_pairing_record_copy);

  request->label = g_strdup ("Büro");
  request->replaces_device_id = g_strdup ("01J00000000000000000000000");
  /* The third attempt is as good as the first. */
  for (guint i = 0; i < 2; i++)
    {
      g_autofree char *other = fixture_id (f);

      tl_store_take_attempt (f->store, code->code_id, other, "source:192.0.2.1", STORE_NOW, NULL, NULL);
    }
  tl_store_take_attempt (f->store, code->code_id, attempt, "source:192.0.2.1", STORE_NOW, NULL, NULL);
  tl_store_add_pairing (f->store, request, attempt, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  tl_pairing_record_free (answer.result);
  g_assert_cmpint (code_state (f, code->code_id), ==, TL_CODE_USED);

  stored = get_request (f, request->request_id);
  g_assert_cmpstr (stored->session_id, ==, request->session_id);
  g_assert_cmpstr (stored->device_id, ==, device_id);
  g_assert_cmpstr (stored->label, ==, "Büro");
  g_assert_cmpstr (stored->replaces_device_id, ==, request->replaces_device_id);
  g_assert_cmpstr (stored->platform, ==, "linux x86_64");
  g_assert_cmpstr (stored->source, ==, "192.0.2.1");
  g_assert_cmpint (stored->state, ==, TL_PAIRING_STATE_PENDING_APPROVAL);
  g_assert_cmpint (stored->client_kind, ==, TL_CLIENT_DESKTOP);
  g_assert_cmpmem (stored->identity_public, 32, request->identity_public, 32);
  g_assert_cmpmem (stored->device_nonce, 32, request->device_nonce, 32);
  g_assert_true (g_bytes_equal (stored->tls_public_der, request->tls_public_der));
  g_assert_true (g_bytes_equal (stored->sealed_keys, request->sealed_keys));
  g_assert_null (stored->certificate_der);
  g_assert_cmpint (stored->expires_at, ==, request->expires_at);

  answer = ANSWER (tl_pairing_record_copy);
  tl_store_get_pairing_by_session (f->store, request->session_id, answer_callback, &answer);
  assert_ok (f, &answer);
  by_session = answer.result;
  g_assert_cmpstr (by_session->request_id, ==, request->request_id);

  /* The failure of this attempt went, the other two stay. */
  tl_store_count_pin_failures (f->store, STORE_NOW, count_callback, &failures);
  tl_store_flush (f->store);
  g_assert_cmpuint (failures, ==, 2);
  /* Told twice (a lost answer): the same; another request of the same code: no. */
  answer = ANSWER (NULL);
  tl_store_add_pairing (f->store, request, attempt, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  answer = ANSWER (NULL);
  tl_store_add_pairing (f->store, second, attempt, STORE_NOW, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_CODE_INVALID);
}

/* A right confirm_p gives the failure back also when the request is refused; a refused request leaves its code spent.
 */
static void
test_refusal_spends_code (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *fingerprint = pair_device (f, device_id, 1, TL_ROLE_NODE);
  g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  g_autofree char *attempt = fixture_id (f);
  g_autoptr (TlPairingRecord) request = make_request (f, code, device_id, 2, "other key");
  guint32 failures = 99;
  Answer answer = ANSWER (NULL);

  tl_store_take_attempt (f->store, code->code_id, attempt, "source:192.0.2.1", STORE_NOW, NULL, NULL);
  tl_store_count_pin_failures (f->store, STORE_NOW, count_callback, &failures);
  tl_store_flush (f->store);
  g_assert_cmpuint (failures, ==, 1);
  tl_store_add_pairing (f->store, request, attempt, STORE_NOW, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_PERMISSION_DENIED);
  tl_store_count_pin_failures (f->store, STORE_NOW, count_callback, &failures);
  tl_store_flush (f->store);
  g_assert_cmpuint (failures, ==, 0);
  g_assert_cmpint (code_state (f, code->code_id), ==, TL_CODE_USED);
  answer = ANSWER (NULL);
  tl_store_get_pairing (f->store, request->request_id, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_NOT_FOUND);
}

static void
revoke_device (Fixture *f, const char *device_id)
{
  Answer answer = ANSWER (NULL);

  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, device_id, TL_ROLE_NODE, "uid:0", "lost", FALSE, STORE_NOW,
                          answer_callback, &answer);
  assert_ok (f, &answer);
}

/* PROTOCOL 3.5, each refusal. */
static void
test_pairing_again (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *node = fixture_id (f);
  g_autofree char *operator= fixture_id (f);
  g_autofree char *lost = fixture_id (f);
  g_autofree char *new_id = fixture_id (f);
  g_autofree char *c1 = pair_device (f, node, 1, TL_ROLE_NODE);
  g_autofree char *c2 = pair_device (f, operator, 2, TL_ROLE_OPERATOR);
  g_autofree char *c3 = pair_device (f, lost, 3, TL_ROLE_NODE);
  g_autoptr (TlPairingRecord) with_key = request_pairing (f, new_id, 8, "taken key", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlCertificateRecord) certificate = make_certificate (f, with_key);
  g_autofree char *fresh = fixture_id (f);

  approve (f, with_key);
  g_assert_cmpint (complete (f, with_key, certificate, STORE_NOW, NULL), ==, REQUEST_OK);
  revoke_device (f, lost);

  /* Known device id, another identity; known identity, another device id; somebody else's TLS key. */
  g_assert_null (request_pairing (f, node, 99, "k1", TL_ROLE_NODE, TL_ERROR_PERMISSION_DENIED));
  g_assert_null (request_pairing (f, fresh, 1, "k2", TL_ROLE_NODE, TL_ERROR_PERMISSION_DENIED));
  g_assert_null (request_pairing (f, fresh, 98, "taken key", TL_ROLE_NODE, TL_ERROR_PERMISSION_DENIED));
  /* Bans name both. */
  g_assert_null (request_pairing (f, lost, 3, "k3", TL_ROLE_NODE, TL_ERROR_REVOKED));
  g_assert_null (request_pairing (f, fresh, 3, "k4", TL_ROLE_NODE, TL_ERROR_REVOKED));
  g_assert_null (request_pairing (f, lost, 97, "k5", TL_ROLE_NODE, TL_ERROR_REVOKED));
  g_assert_null (request_pairing (f, node, 3, "k5", TL_ROLE_NODE, TL_ERROR_REVOKED));
  /* Never raises a role. */
  g_assert_null (request_pairing (f, node, 1, "k6", TL_ROLE_OPERATOR, TL_ERROR_PERMISSION_DENIED));
  /* The same device, same or lower role: fine. */
  g_autoptr (TlPairingRecord) again = request_pairing (f, node, 1, "k7", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlPairingRecord) lower = request_pairing (f, operator, 2, "k8", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlPairingRecord) same_key = request_pairing (f, new_id, 8, "taken key", TL_ROLE_NODE, REQUEST_OK);
}

/* Role and approval come from the code, whatever the request says. */
static void
test_request_must_fit_code (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_LINK, TL_ROLE_NODE);
      g_autofree char *device_id = fixture_id (f);
      g_autoptr (TlPairingRecord) request = make_request (f, code, device_id, 5, "key");
      Answer answer = ANSWER (NULL);

      if (i == 0)
        request->role = TL_ROLE_OPERATOR;
      else
        request->state = TL_PAIRING_STATE_APPROVED;
      tl_store_add_pairing (f->store, request, NULL, STORE_NOW, answer_callback, &answer);
      assert_failed (f, &answer, TL_ERROR_PERMISSION_DENIED);
    }
}

static void
test_automatic (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) code = make_code (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  g_autofree char *device_id = fixture_id (f);
  g_autoptr (TlPairingRecord) request = make_request (f, code, device_id, 5, "key");
  g_autoptr (TlPairingRecord) stored = NULL;
  Answer answer = ANSWER (tl_pairing_record_copy);

  code->auto_approve = TRUE;
  request->auto_approve = TRUE;
  request->state = TL_PAIRING_STATE_APPROVED;
  tl_store_add_code (f->store, code, STORE_NOW, NULL, NULL);
  tl_store_add_pairing (f->store, request, NULL, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  stored = answer.result;
  g_assert_cmpint (stored->state, ==, TL_PAIRING_STATE_APPROVED);
  g_assert_true (stored->auto_approve);
}

static void
test_dead_code (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autoptr (TlCodeRecord) cancelled = mint (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  g_autoptr (TlCodeRecord) expired = mint (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  g_autoptr (TlPairingRecord) one = make_request (f, cancelled, device_id, 5, "key");
  g_autoptr (TlPairingRecord) two = make_request (f, expired, device_id, 5, "key");
  Answer answer = ANSWER (NULL);

  tl_store_take_attempt (f->store, cancelled->code_id, NULL, "source:192.0.2.1", STORE_NOW, NULL, NULL);
  tl_store_take_attempt (f->store, expired->code_id, NULL, "source:192.0.2.1", STORE_NOW, NULL, NULL);
  tl_code_record_free (cancel_code (f, cancelled->code_id, STORE_NOW));
  tl_store_add_pairing (f->store, one, NULL, STORE_NOW, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_CODE_INVALID);
  answer = ANSWER (NULL);
  tl_store_add_pairing (f->store, two, NULL, expired->expires_at, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_CODE_INVALID);
}

static void
test_strangers_lengths (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  g_autoptr (TlPairingRecord) request = make_request (f, code, device_id, 5, "key");
  Answer answer = ANSWER (NULL);

  g_free (request->device_name);
  request->device_name = g_strnfill (65, 'x');
  tl_store_add_pairing (f->store, request, NULL, STORE_NOW, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_INVALID_ARGUMENT);
}

/* ---- decisions ---- */

static void
test_decide_once (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  for (int i = 0; i < 2; i++)
    {
      gboolean yes = i == 1;
      g_autofree char *device_id = fixture_id (f);
      g_autoptr (TlPairingRecord) request
          = request_pairing (f, device_id, (guint8)(i + 1), "k", TL_ROLE_NODE, REQUEST_OK);
      g_autoptr (TlPairingRecord) after = NULL;
      TlPairingState state;

      g_assert_cmpint (decide (f, request->request_id, yes, STORE_NOW + MINUTE_MS), ==, REQUEST_OK);
      g_assert_cmpint (decide (f, request->request_id, TRUE, STORE_NOW), ==, TL_ERROR_FAILED_PRECONDITION);
      g_assert_cmpint (decide (f, request->request_id, FALSE, STORE_NOW), ==, TL_ERROR_FAILED_PRECONDITION);
      g_assert_cmpint (compare_wrong (f, request->request_id, STORE_NOW, &state), ==, TL_ERROR_FAILED_PRECONDITION);
      after = get_request (f, request->request_id);
      g_assert_cmpint (after->state, ==, yes ? TL_PAIRING_STATE_APPROVED : TL_PAIRING_STATE_REJECTED);
      g_assert_cmpstr (after->decided_by, ==, "uid:7");
      g_assert_cmpstr (after->reason, ==, "because");
      g_assert_cmpint (after->decided_at, ==, STORE_NOW + MINUTE_MS);
      g_assert_cmpint (after->expires_at, ==, STORE_NOW + (yes ? 11 : 10) * MINUTE_MS);
    }
}

static void
test_decide_expired (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autoptr (TlPairingRecord) request = request_pairing (f, device_id, 1, "k", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlPairingRecord) after = NULL;

  g_assert_cmpint (decide (f, request->request_id, TRUE, request->expires_at), ==, TL_ERROR_EXPIRED);
  after = get_request (f, request->request_id);
  g_assert_cmpint (after->state, ==, TL_PAIRING_STATE_EXPIRED);
  g_assert_cmpint (decide (f, request->request_id, TRUE, STORE_NOW), ==, TL_ERROR_FAILED_PRECONDITION);
  g_assert_cmpint (decide (f, "01J00000000000000000000000", TRUE, STORE_NOW), ==, TL_ERROR_NOT_FOUND);
}

static void
test_three_wrong_comparisons (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autoptr (TlPairingRecord) request = request_pairing (f, device_id, 1, "k", TL_ROLE_NODE, REQUEST_OK);
  TlPairingState state = TL_PAIRING_STATE_EXPIRED;

  g_assert_cmpint (compare_wrong (f, request->request_id, STORE_NOW, &state), ==, REQUEST_OK);
  fixture_reopen (f);
  g_assert_cmpint (compare_wrong (f, request->request_id, STORE_NOW, &state), ==, REQUEST_OK);
  g_assert_cmpint (state, ==, TL_PAIRING_STATE_PENDING_APPROVAL);
  g_assert_cmpint (compare_wrong (f, request->request_id, STORE_NOW, &state), ==, REQUEST_OK);
  g_assert_cmpint (state, ==, TL_PAIRING_STATE_REJECTED);
  g_assert_cmpint (decide (f, request->request_id, TRUE, STORE_NOW), ==, TL_ERROR_FAILED_PRECONDITION);
}

/* ---- issuance ---- */

static void
test_complete_twice (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autoptr (TlPairingRecord) request = request_pairing (f, device_id, 1, "k", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlCertificateRecord) first = make_certificate (f, request);
  g_autoptr (TlCertificateRecord) second = make_certificate (f, request);
  g_autoptr (TlPairingRecord) one = NULL;
  g_autoptr (TlPairingRecord) two = NULL;
  g_autoptr (TlDeviceRecord) device = NULL;

  g_assert_cmpint (complete (f, request, first, STORE_NOW, NULL), ==, TL_ERROR_FAILED_PRECONDITION);
  approve (f, request);
  g_assert_cmpint (complete (f, request, first, STORE_NOW, &one), ==, REQUEST_OK);
  g_assert_cmpint (one->state, ==, TL_PAIRING_STATE_COMPLETED);
  g_assert_cmpmem (g_bytes_get_data (one->certificate_der, NULL), 64, first->fingerprint, 64);
  fixture_reopen (f);
  g_assert_cmpint (complete (f, request, second, STORE_NOW + DAY_MS, &two), ==, REQUEST_OK);
  g_assert_true (g_bytes_equal (one->certificate_der, two->certificate_der));
  g_assert_nonnull (one->ended);
  g_assert_null (two->ended);

  device = find_device (f, device_id);
  g_assert_cmpint (device->state, ==, TL_DEVICE_ACTIVE);
  g_assert_cmpstr (device->name, ==, request->device_name);
  g_assert_cmpstr (device->approved_by, ==, "uid:0");
  g_assert_cmpuint (device->certificates->len, ==, 1);
  g_assert_cmpstr (((TlCertificateRecord *)device->certificates->pdata[0])->fingerprint, ==, first->fingerprint);
  g_assert_false (((TlCertificateRecord *)device->certificates->pdata[0])->used);
}

/* A late second issuance must not bring back what was revoked in between: the caller admits what this answers. */
static void
test_complete_after_revocation (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autoptr (TlPairingRecord) request = request_pairing (f, device_id, 1, "k", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlCertificateRecord) certificate = make_certificate (f, request);
  g_autoptr (TlPairingRecord) one = NULL;

  approve (f, request);
  g_assert_cmpint (complete (f, request, certificate, STORE_NOW, &one), ==, REQUEST_OK);
  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, device_id, TL_ROLE_NODE, "uid:0", "", FALSE, STORE_NOW, NULL,
                          NULL);
  g_assert_cmpint (complete (f, request, certificate, STORE_NOW, NULL), ==, TL_ERROR_REVOKED);
}

static void
test_complete_refused (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *other = fixture_id (f);
  g_autofree char *mine = pair_device (f, device_id, 1, TL_ROLE_NODE);
  g_autoptr (TlPairingRecord) late = request_pairing (f, other, 2, "k2", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlPairingRecord) banned = request_pairing (f, device_id, 1, "k1", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlCertificateRecord) late_certificate = make_certificate (f, late);
  g_autoptr (TlCertificateRecord) banned_certificate = make_certificate (f, banned);
  g_autoptr (TlPairingRecord) after = NULL;

  approve (f, late);
  approve (f, banned);
  g_assert_cmpint (complete (f, late, banned_certificate, STORE_NOW, NULL), ==, TL_ERROR_INVALID_ARGUMENT);
  g_assert_cmpint (complete (f, late, late_certificate, STORE_NOW + 10 * MINUTE_MS, NULL), ==, TL_ERROR_EXPIRED);
  after = get_request (f, late->request_id);
  g_assert_cmpint (after->state, ==, TL_PAIRING_STATE_EXPIRED);
  g_assert_cmpint (complete (f, late, late_certificate, STORE_NOW, NULL), ==, TL_ERROR_FAILED_PRECONDITION);

  /* Banned between approval and issuance. */
  revoke_device (f, device_id);
  g_assert_cmpint (complete (f, banned, banned_certificate, STORE_NOW, NULL), ==, TL_ERROR_REVOKED);
}

/* ---- reading, expiry ---- */

static void
test_expire (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *d1 = fixture_id (f);
  g_autofree char *d2 = fixture_id (f);
  g_autofree char *d3 = fixture_id (f);
  g_autoptr (TlPairingRecord) pending = request_pairing (f, d1, 1, "k1", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlPairingRecord) approved = request_pairing (f, d2, 2, "k2", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlPairingRecord) rejected = request_pairing (f, d3, 3, "k3", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlPairingRecord) after = NULL;
  const gint64 times[] = { STORE_NOW + 10 * MINUTE_MS - 1, STORE_NOW + 10 * MINUTE_MS, STORE_NOW + HOUR_MS };
  const guint expected[] = { 0, 2, 0 };
  Answer answer;

  approve (f, approved);
  decide (f, rejected->request_id, FALSE, STORE_NOW);
  for (gsize i = 0; i < G_N_ELEMENTS (times); i++)
    {
      answer = ANSWER (g_ptr_array_ref);
      tl_store_expire (f->store, times[i], answer_callback, &answer);
      assert_ok (f, &answer);
      g_assert_cmpuint (((GPtrArray *)answer.result)->len, ==, expected[i]);
      g_ptr_array_unref (answer.result);
    }
  after = get_request (f, approved->request_id);
  g_assert_cmpint (after->state, ==, TL_PAIRING_STATE_EXPIRED);
  g_assert_nonnull (after->sealed_keys);

  answer = ANSWER (NULL);
  tl_store_expire (f->store, STORE_NOW + DAY_MS, answer_callback, &answer);
  assert_ok (f, &answer);
  g_clear_pointer (&after, tl_pairing_record_free);
  after = get_request (f, approved->request_id);
  g_assert_null (after->sealed_keys);

  answer = ANSWER (NULL);
  tl_store_expire (f->store, STORE_NOW + 31 * DAY_MS, answer_callback, &answer);
  assert_ok (f, &answer);
  answer = ANSWER (NULL);
  tl_store_get_pairing (f->store, approved->request_id, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_NOT_FOUND);
}

static void
test_get_and_list (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *d1 = fixture_id (f);
  g_autofree char *d2 = fixture_id (f);
  g_autoptr (TlPairingRecord) first = request_pairing (f, d1, 1, "k1", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlPairingRecord) second = request_pairing (f, d2, 2, "k2", TL_ROLE_NODE, REQUEST_OK);
  g_autofree char *common = g_strndup (first->request_id, 6);
  g_autofree char *unique = g_ascii_strdown (first->request_id, 20);
  g_autoptr (TlPairingRecord) found = get_request (f, unique);
  const struct
  {
    guint states;
    const char *token;
    guint limit, n;
  } rows[] = {
    { 0, "", 10, 2 },
    { 1u << TL_PAIRING_STATE_APPROVED, "", 10, 1 },
    { 1u << TL_PAIRING_STATE_APPROVED | 1u << TL_PAIRING_STATE_PENDING_APPROVAL, "", 10, 2 },
    { 1u << TL_PAIRING_STATE_COMPLETED, "", 10, 0 },
    { 0, second->request_id, 10, 1 },
    { 0, "", 1, 2 },
  };
  Answer answer = ANSWER (NULL);

  g_assert_cmpstr (found->request_id, ==, first->request_id);
  tl_store_get_pairing (f->store, common, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_AMBIGUOUS);
  answer = ANSWER (NULL);
  tl_store_get_pairing (f->store, "", answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_NOT_FOUND);

  approve (f, first);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      answer = ANSWER (g_ptr_array_ref);
      tl_store_list_pairings (f->store, rows[i].states, rows[i].token, rows[i].limit, answer_callback, &answer);
      assert_ok (f, &answer);
      g_assert_cmpuint (((GPtrArray *)answer.result)->len, ==, rows[i].n);
      g_ptr_array_unref (answer.result);
    }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  store_test ("/store/pairings/add", test_add);
  store_test ("/store/pairings/refusal-spends-code", test_refusal_spends_code);
  store_test ("/store/pairings/pairing-again", test_pairing_again);
  store_test ("/store/pairings/request-must-fit-code", test_request_must_fit_code);
  store_test ("/store/pairings/automatic", test_automatic);
  store_test ("/store/pairings/dead-code", test_dead_code);
  store_test ("/store/pairings/strangers-lengths", test_strangers_lengths);
  store_test ("/store/pairings/decide-once", test_decide_once);
  store_test ("/store/pairings/decide-expired", test_decide_expired);
  store_test ("/store/pairings/three-wrong-comparisons", test_three_wrong_comparisons);
  store_test ("/store/pairings/complete-twice", test_complete_twice);
  store_test ("/store/pairings/complete-after-revocation", test_complete_after_revocation);
  store_test ("/store/pairings/complete-refused", test_complete_refused);
  store_test ("/store/pairings/expire", test_expire);
  store_test ("/store/pairings/get-and-list", test_get_and_list);
  return g_test_run ();
}
