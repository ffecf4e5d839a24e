/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

static char *
add_request (Fixture *f, const char *device_id, TlRequestState state)
{
  char *request_id = fixture_id (f);
  g_autofree char *event_id = fixture_id (f);
  TlCapabilityRecord request = { .request_id = request_id,
                                 .device_id = (char *)device_id,
                                 .capability = (char *)"system.info",
                                 .input = (char *)"{\"a\":1}",
                                 .requested_by = (char *)"uid:0",
                                 .max_payload_bytes = 65536,
                                 .timeout_ms = 30000,
                                 .created_at = STORE_NOW,
                                 .updated_at = STORE_NOW,
                                 .expires_at = STORE_NOW + 5 * MINUTE_MS,
                                 .state = state };
  Answer answer = ANSWER (NULL);

  tl_store_add_request (f->store, &request, event_id, "{\"x\":2}", STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  return request_id;
}

static TlCapabilityRecord *
get (Fixture *f, const char *request_id)
{
  Answer answer = ANSWER (tl_capability_record_copy);

  tl_store_find_request (f->store, request_id, answer_callback, &answer);
  assert_ok (f, &answer);
  return answer.result;
}

static TlErrorCode
move (Fixture *f, const char *request_id, const char *device_id, guint from, TlRequestState to, const char *output)
{
  const TlRequestMove what = {
    .request_id = request_id, .device_id = device_id, .from = from, .to = to, .output = output, .now = STORE_NOW + 7
  };
  Answer answer = ANSWER (NULL);
  g_autoptr (GError) error = NULL;

  tl_store_move_request (f->store, &what, answer_callback, &answer);
  tl_store_flush (f->store);
  error = answer.error;
  return error != NULL ? (TlErrorCode)error->code : REQUEST_OK;
}

#define FROM(state) (1u << (state))
#define ANY         0x3ffu

static void
event_callback (const GError *error, gpointer result, gpointer user_data)
{
  const TlEventRange *range = result;
  const TlEventRecord *event;

  g_assert_no_error (error);
  g_assert_cmpuint (range->events->len, ==, 1);
  event = range->events->pdata[0];
  g_assert_cmpstr (event->type, ==, "capability.dispatch");
  g_assert_cmpstr (event->data, ==, "{\"x\":2}");
  *(gboolean *)user_data = TRUE;
}

static void
test_add (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *request_id = add_request (f, device_id, TL_REQUEST_QUEUED);
  g_autoptr (TlCapabilityRecord) request = NULL;
  gboolean seen = FALSE;
  Answer answer = ANSWER (NULL);

  fixture_reopen (f);
  request = get (f, request_id);
  g_assert_cmpstr (request->device_id, ==, device_id);
  g_assert_cmpstr (request->capability, ==, "system.info");
  g_assert_cmpstr (request->input, ==, "{\"a\":1}");
  g_assert_cmpint (request->timeout_ms, ==, 30000);
  g_assert_cmpuint (request->max_payload_bytes, ==, 65536);
  g_assert_cmpint (request->expires_at, ==, STORE_NOW + 5 * MINUTE_MS);
  g_assert_null (request->output);
  tl_store_read_events (f->store, device_id, 0, "", 10, event_callback, &seen);
  tl_store_flush (f->store);
  g_assert_true (seen);
  tl_store_get_request (f->store, device_id, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_NOT_FOUND);
}

static void
test_move (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *other = fixture_id (f);
  g_autofree char *request_id = add_request (f, device_id, TL_REQUEST_QUEUED);
  g_autoptr (TlCapabilityRecord) dispatched = NULL;
  g_autoptr (TlCapabilityRecord) done = NULL;
  g_autoptr (GBytes) receipt = g_bytes_new_static ("receipt", 7);
  TlRequestMove signed_one;
  Answer answer = ANSWER (NULL);

  g_assert_cmpint (move (f, other, NULL, ANY, TL_REQUEST_CANCELLED, NULL), ==, TL_ERROR_NOT_FOUND);
  g_assert_cmpint (move (f, request_id, NULL, FROM (TL_REQUEST_DISPATCHED), TL_REQUEST_RUNNING, NULL), ==,
                   TL_ERROR_FAILED_PRECONDITION);
  g_assert_cmpint (move (f, request_id, other, ANY, TL_REQUEST_SUCCEEDED, "x"), ==, TL_ERROR_PERMISSION_DENIED);
  g_assert_cmpint (move (f, request_id, device_id, FROM (TL_REQUEST_QUEUED), TL_REQUEST_DISPATCHED, NULL), ==,
                   REQUEST_OK);
  dispatched = get (f, request_id);
  g_assert_cmpint (dispatched->state, ==, TL_REQUEST_DISPATCHED);
  g_assert_cmpint (dispatched->dispatched_at, ==, STORE_NOW + 7);
  g_assert_cmpint (dispatched->completed_at, ==, 0);
  g_assert_null (dispatched->output);

  signed_one = (TlRequestMove){ .request_id = request_id,
                                .device_id = device_id,
                                .from = FROM (TL_REQUEST_DISPATCHED),
                                .to = TL_REQUEST_AWAITING_CONSENT,
                                .receipt = receipt,
                                .now = STORE_NOW };
  tl_store_move_request (f->store, &signed_one, answer_callback, &answer);
  assert_ok (f, &answer);
  g_assert_cmpint (move (f, request_id, device_id, FROM (TL_REQUEST_AWAITING_CONSENT), TL_REQUEST_SUCCEEDED, "{}"), ==,
                   REQUEST_OK);
  done = get (f, request_id);
  g_assert_cmpstr (done->output, ==, "{}");
  g_assert_null (done->input);                            /* not in history */
  g_assert_true (g_bytes_equal (done->receipt, receipt)); /* kept */
  g_assert_cmpint (done->completed_at, ==, STORE_NOW + 7);
  g_assert_cmpint (done->dispatched_at, ==, STORE_NOW + 7);
  /* Final is final, whatever the caller allows. */
  g_assert_cmpint (move (f, request_id, device_id, ANY, TL_REQUEST_FAILED, NULL), ==, TL_ERROR_FAILED_PRECONDITION);
}

static void
test_open_and_history (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *open_id = add_request (f, device_id, TL_REQUEST_QUEUED);
  g_autofree char *done_id = add_request (f, device_id, TL_REQUEST_RUNNING);
  g_autoptr (GPtrArray) open = NULL;
  g_autoptr (TlCapabilityRecord) kept = NULL;
  g_autoptr (TlCapabilityRecord) still = NULL;
  Answer answer = ANSWER (NULL);

  g_assert_cmpint (move (f, done_id, NULL, ANY, TL_REQUEST_DENIED, NULL), ==, REQUEST_OK);
  open = tl_store_list_open_requests (f->store, NULL);
  g_assert_cmpuint (open->len, ==, 1);
  g_assert_cmpstr (((TlCapabilityRecord *)open->pdata[0])->request_id, ==, open_id);

  tl_store_expire (f->store, STORE_NOW + 29 * DAY_MS, NULL, NULL);
  kept = get (f, done_id);
  tl_store_expire (f->store, STORE_NOW + 31 * DAY_MS, NULL, NULL);
  tl_store_get_request (f->store, done_id, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_NOT_FOUND);
  still = get (f, open_id);
}

static void
test_names (void)
{
  g_assert_cmpstr (tl_request_state_to_string (TL_REQUEST_AWAITING_CONSENT), ==, "awaiting_consent");
  g_assert_cmpstr (tl_request_state_to_string (TL_REQUEST_EXPIRED), ==, "expired");
  g_assert_cmpstr (tl_device_state_to_string (TL_DEVICE_SUSPENDED), ==, "suspended");
  g_assert_cmpstr (tl_code_state_to_string (TL_CODE_EXHAUSTED), ==, "exhausted");
  g_assert_false (tl_request_state_is_final (TL_REQUEST_RUNNING));
  g_assert_true (tl_request_state_is_final (TL_REQUEST_SUCCEEDED));
  g_assert_true (tl_request_state_is_final (TL_REQUEST_EXPIRED));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  store_test ("/store/requests/add", test_add);
  store_test ("/store/requests/move", test_move);
  store_test ("/store/requests/open-and-history", test_open_and_history);
  g_test_add_func ("/store/requests/names", test_names);
  return g_test_run ();
}
