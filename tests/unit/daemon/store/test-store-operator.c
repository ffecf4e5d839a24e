/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

/*
 * PROTOCOL 4, P: an operator's rights are those of the transaction that uses them. Each test submits the end of the
 * rights and their use together: the order of submission is the order of commits, whatever a caller still believes.
 */

#define OPERATOR "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define NODE     "01ARZ3NDEKTSV4RRFFQ69G5FAW"
#define ACTOR    "device:" OPERATOR

static void
set_up (Fixture *f, gconstpointer data)
{
  fixture_set_up (f, data);
  g_free (pair_device (f, OPERATOR, 1, TL_ROLE_OPERATOR));
  g_free (pair_device (f, NODE, 2, TL_ROLE_NODE));
}

static TlCodeRecord *
make_own_code (Fixture *f)
{
  TlCodeRecord *code = make_code (f, TL_PAIRING_LINK, TL_ROLE_NODE);

  g_free (code->minted_by);
  code->minted_by = g_strdup (ACTOR);
  return code;
}

static void
revoke_operator (Fixture *f)
{
  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, OPERATOR, TL_ROLE_NODE, "uid:0", "lost", FALSE, STORE_NOW,
                          NULL, NULL);
}

static void
test_mint (Fixture *f, gconstpointer data)
{
  g_autoptr (TlCodeRecord) first = make_own_code (f);
  g_autoptr (TlCodeRecord) second = make_own_code (f);
  Answer before = ANSWER (NULL), after = ANSWER (NULL);

  (void)data;
  tl_store_add_code (f->store, first, STORE_NOW, answer_callback, &before);
  revoke_operator (f);
  tl_store_add_code (f->store, second, STORE_NOW, answer_callback, &after);
  assert_ok (f, &before);
  assert_failed (f, &after, TL_ERROR_NOT_OPERATOR);
}

static void
test_mint_rules (Fixture *f, gconstpointer data)
{
  g_autoptr (TlCodeRecord) code = make_own_code (f);
  Answer role = ANSWER (NULL), automatic = ANSWER (NULL);

  (void)data;
  code->role = TL_ROLE_OPERATOR;
  tl_store_add_code (f->store, code, STORE_NOW, answer_callback, &role);
  assert_failed (f, &role, TL_ERROR_LOCAL_ONLY);
  code->role = TL_ROLE_NODE;
  code->auto_approve = TRUE;
  tl_store_add_code (f->store, code, STORE_NOW, answer_callback, &automatic);
  assert_failed (f, &automatic, TL_ERROR_LOCAL_ONLY);
}

static void
test_live_codes (Fixture *f, gconstpointer data)
{
  (void)data;
  for (guint i = 0; i <= TL_STORE_MAX_LIVE_CODES_DEVICE; i++)
    {
      g_autoptr (TlCodeRecord) code = make_own_code (f);
      Answer answer = ANSWER (NULL);

      tl_store_add_code (f->store, code, STORE_NOW, answer_callback, &answer);
      if (i < TL_STORE_MAX_LIVE_CODES_DEVICE)
        assert_ok (f, &answer);
      else
        assert_failed (f, &answer, TL_ERROR_RESOURCE_EXHAUSTED);
    }
  tl_code_record_free (mint (f, TL_PAIRING_PIN, TL_ROLE_NODE)); /* at the gateway there is room */
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  g_autoptr (TlCodeRecord) theirs = mint (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  g_autoptr (TlCodeRecord) own = make_own_code (f);
  Answer added = ANSWER (NULL), denied = ANSWER (NULL), gone = ANSWER (NULL), cancelled = ANSWER (NULL);

  (void)data;
  tl_store_add_code (f->store, own, STORE_NOW, answer_callback, &added);
  tl_store_cancel_code (f->store, theirs->code_id, ACTOR, STORE_NOW, answer_callback, &denied);
  tl_store_cancel_code (f->store, own->code_id, ACTOR, STORE_NOW, answer_callback, &cancelled);
  revoke_operator (f);
  tl_store_cancel_code (f->store, own->code_id, ACTOR, STORE_NOW, answer_callback, &gone);
  assert_ok (f, &added);
  assert_failed (f, &denied, TL_ERROR_LOCAL_ONLY);
  assert_ok (f, &cancelled);
  assert_failed (f, &gone, TL_ERROR_NOT_OPERATOR);
}

/* Approve, reject and guess at the digits: denied alike, and nothing is counted. */
static void
assert_decision (Fixture *f, const TlPairingRecord *request, TlErrorCode expected)
{
  Answer guess = ANSWER (NULL), reject = ANSWER (NULL), approved = ANSWER (NULL),
         read = ANSWER (tl_pairing_record_copy);
  g_autoptr (TlPairingRecord) now = NULL;

  tl_store_wrong_comparison (f->store, request->request_id, ACTOR, STORE_NOW, answer_callback, &guess);
  tl_store_decide_pairing (f->store, request->request_id, FALSE, ACTOR, NULL, STORE_NOW, answer_callback, &reject);
  tl_store_decide_pairing (f->store, request->request_id, TRUE, ACTOR, NULL, STORE_NOW, answer_callback, &approved);
  assert_failed (f, &guess, expected);
  assert_failed (f, &reject, expected);
  assert_failed (f, &approved, expected);
  tl_store_get_pairing (f->store, request->request_id, answer_callback, &read);
  assert_ok (f, &read);
  now = read.result;
  g_assert_cmpint (now->state, ==, TL_PAIRING_STATE_PENDING_APPROVAL);
  g_assert_cmpuint (now->wrong_codes, ==, 0);
}

static void
test_decide (Fixture *f, gconstpointer data)
{
  g_autoptr (TlPairingRecord) node
      = request_pairing (f, "01ARZ3NDEKTSV4RRFFQ69G5FAX", 3, "a", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlPairingRecord) late
      = request_pairing (f, "01ARZ3NDEKTSV4RRFFQ69G5FAY", 4, "b", TL_ROLE_NODE, REQUEST_OK);
  g_autoptr (TlPairingRecord) other
      = request_pairing (f, "01ARZ3NDEKTSV4RRFFQ69G5FAZ", 5, "c", TL_ROLE_OPERATOR, REQUEST_OK);
  /* The operator itself, with a code for nodes: it would fall to role node. */
  g_autoptr (TlPairingRecord) itself = request_pairing (f, OPERATOR, 1, "d", TL_ROLE_NODE, REQUEST_OK);
  Answer approved = ANSWER (NULL);

  (void)data;
  tl_store_decide_pairing (f->store, node->request_id, TRUE, ACTOR, NULL, STORE_NOW, answer_callback, &approved);
  assert_ok (f, &approved);
  assert_decision (f, other, TL_ERROR_LOCAL_ONLY);
  assert_decision (f, itself, TL_ERROR_LOCAL_ONLY);
  revoke_operator (f);
  assert_decision (f, late, TL_ERROR_NOT_OPERATOR);
}

static void
test_revoke (Fixture *f, gconstpointer data)
{
  static const char other[] = "01ARZ3NDEKTSV4RRFFQ69G5FB0";
  Answer denied = ANSWER (NULL), node = ANSWER (NULL), itself = ANSWER (NULL), late = ANSWER (NULL);

  (void)data;
  g_free (pair_device (f, other, 6, TL_ROLE_OPERATOR));
  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, other, TL_ROLE_NODE, ACTOR, "", FALSE, STORE_NOW,
                          answer_callback, &denied);
  assert_failed (f, &denied, TL_ERROR_LOCAL_ONLY);
  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, NODE, TL_ROLE_NODE, ACTOR, "", FALSE, STORE_NOW,
                          answer_callback, &node);
  assert_ok (f, &node);
  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, OPERATOR, TL_ROLE_NODE, ACTOR, "", FALSE, STORE_NOW,
                          answer_callback, &itself); /* Unpair */
  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, other, TL_ROLE_NODE, ACTOR, "", FALSE, STORE_NOW,
                          answer_callback, &late);
  assert_ok (f, &itself);
  assert_failed (f, &late, TL_ERROR_NOT_OPERATOR);
}

/* Whatever else is done to a device, whoever's it is: also when the method table let it through. */
static void
test_administer (Fixture *f, gconstpointer data)
{
  static const TlAdmissionKind kinds[]
      = { TL_ADMISSION_SUSPEND, TL_ADMISSION_RESUME, TL_ADMISSION_REMOVE, TL_ADMISSION_CLEAR, TL_ADMISSION_ROLE };
  static const char *const devices[] = { NODE, OPERATOR };

  (void)data;
  for (guint d = 0; d < G_N_ELEMENTS (devices); d++)
    {
      g_autoptr (TlDeviceRecord) before = find_device (f, devices[d]);
      g_autoptr (TlDeviceRecord) after = NULL;
      g_autofree char *event_id = fixture_id (f);
      Answer renamed = ANSWER (NULL), rotated = ANSWER (NULL);

      for (guint k = 0; k < 2 * G_N_ELEMENTS (kinds); k++)
        {
          Answer answer = ANSWER (NULL);
          TlRole role = before->role == TL_ROLE_NODE ? TL_ROLE_OPERATOR : TL_ROLE_NODE;

          tl_store_change_device (f->store, kinds[k / 2], devices[d], role, ACTOR, "", k % 2 != 0, STORE_NOW,
                                  answer_callback, &answer);
          assert_failed (f, &answer, TL_ERROR_LOCAL_ONLY);
        }
      tl_store_rename_device (f->store, devices[d], "other", ACTOR, STORE_NOW, answer_callback, &renamed);
      assert_failed (f, &renamed, TL_ERROR_LOCAL_ONLY);
      tl_store_rotate_device (f->store, devices[d], event_id, ACTOR, STORE_NOW, answer_callback, &rotated);
      assert_failed (f, &rotated, TL_ERROR_LOCAL_ONLY);
      after = find_device (f, devices[d]);
      g_assert_cmpint (after->state, ==, before->state);
      g_assert_cmpint (after->role, ==, before->role);
      g_assert_cmpstr (after->name, ==, before->name);
    }
}

/* Demoted: the very next operation, though it was submitted before the demotion was answered. */
static void
test_demoted (Fixture *f, gconstpointer data)
{
  g_autoptr (TlCodeRecord) code = make_own_code (f);
  Answer minted = ANSWER (NULL), revoked = ANSWER (NULL);

  (void)data;
  tl_store_change_device (f->store, TL_ADMISSION_ROLE, OPERATOR, TL_ROLE_NODE, "uid:0", "", FALSE, STORE_NOW, NULL,
                          NULL);
  tl_store_add_code (f->store, code, STORE_NOW, answer_callback, &minted);
  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, NODE, TL_ROLE_NODE, ACTOR, "", FALSE, STORE_NOW,
                          answer_callback, &revoked);
  assert_failed (f, &minted, TL_ERROR_NOT_OPERATOR);
  assert_failed (f, &revoked, TL_ERROR_NOT_OPERATOR);
}

static void
test_execute (Fixture *f, gconstpointer data)
{
  TlCapabilityRecord request = { .device_id = (char *)NODE,
                                 .capability = (char *)"echo",
                                 .input = (char *)"{}",
                                 .requested_by = (char *)ACTOR,
                                 .max_payload_bytes = 1024,
                                 .timeout_ms = 1000,
                                 .created_at = STORE_NOW,
                                 .updated_at = STORE_NOW,
                                 .expires_at = STORE_NOW + MINUTE_MS };
  g_autofree char *first = fixture_id (f);
  g_autofree char *second = fixture_id (f);
  Answer before = ANSWER (NULL), after = ANSWER (NULL);

  (void)data;
  request.request_id = first;
  tl_store_add_request (f->store, &request, first, "{}", STORE_NOW, answer_callback, &before);
  revoke_operator (f);
  request.request_id = second;
  tl_store_add_request (f->store, &request, second, "{}", STORE_NOW, answer_callback, &after);
  assert_ok (f, &before);
  assert_failed (f, &after, TL_ERROR_NOT_OPERATOR);
}

/* The mark and the end of a request are two operations: a mark that was denied ends nothing, one that was given before
 * the rights ended still counts. */
static void
test_cancel_request (Fixture *f, gconstpointer data)
{
  g_autofree char *first = fixture_id (f);
  g_autofree char *second = fixture_id (f);
  TlCapabilityRecord request = { .device_id = (char *)NODE,
                                 .capability = (char *)"echo",
                                 .input = (char *)"{}",
                                 .requested_by = (char *)"uid:0",
                                 .expires_at = STORE_NOW + MINUTE_MS };
  TlRequestMove move = { .from = 1u << TL_REQUEST_QUEUED,
                         .to = TL_REQUEST_CANCELLED,
                         .error_reason = "cancelled",
                         .actor = ACTOR,
                         .now = STORE_NOW };
  Answer marked = ANSWER (NULL), moved = ANSWER (NULL), late = ANSWER (NULL), late_move = ANSWER (NULL);

  (void)data;
  request.request_id = first;
  tl_store_add_request (f->store, &request, first, "{}", STORE_NOW, NULL, NULL);
  request.request_id = second;
  tl_store_add_request (f->store, &request, second, "{}", STORE_NOW, NULL, NULL);
  tl_store_cancel_request (f->store, first, ACTOR, "", NULL, NULL, STORE_NOW, answer_callback, &marked);
  revoke_operator (f);
  move.request_id = first;
  tl_store_move_request (f->store, &move, answer_callback, &moved);
  tl_store_cancel_request (f->store, second, ACTOR, "", NULL, NULL, STORE_NOW, answer_callback, &late);
  move.request_id = second;
  tl_store_move_request (f->store, &move, answer_callback, &late_move);
  assert_ok (f, &marked);
  assert_ok (f, &moved);
  assert_failed (f, &late, TL_ERROR_NOT_OPERATOR);
  assert_failed (f, &late_move, TL_ERROR_NOT_OPERATOR);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/store/operator/" name, Fixture, NULL, set_up, func, fixture_tear_down)
  ADD ("mint", test_mint);
  ADD ("mint-rules", test_mint_rules);
  ADD ("live-codes", test_live_codes);
  ADD ("cancel", test_cancel);
  ADD ("decide", test_decide);
  ADD ("revoke", test_revoke);
  ADD ("administer", test_administer);
  ADD ("demoted", test_demoted);
  ADD ("execute", test_execute);
  ADD ("cancel-request", test_cancel_request);
#undef ADD
  return g_test_run ();
}
