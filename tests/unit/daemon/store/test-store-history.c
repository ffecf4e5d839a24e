/* SPDX-License-Identifier: Apache-2.0 */
#include <sqlite3.h>

#include "store-fixture.h"

/* What operators see of capability requests, and how long it is kept. */

static char *
add (Fixture *f, const char *device_id, const char *capability, const char *actor, gint64 now)
{
  char *request_id = fixture_id (f);
  g_autoptr (GBytes) digest = g_bytes_new_take (g_strnfill (32, 'h'), 32);
  TlCapabilityRecord request = { .request_id = request_id,
                                 .device_id = (char *)device_id,
                                 .capability = (char *)capability,
                                 .input = (char *)"{\"secret\":\"S3CRET\"}",
                                 .input_summary = (char *)"{\"secret\":***}",
                                 .input_sha256 = digest,
                                 .requested_by = (char *)actor,
                                 .max_payload_bytes = 65536,
                                 .timeout_ms = 30000,
                                 .created_at = now,
                                 .updated_at = now,
                                 .expires_at = now + 5 * MINUTE_MS };

  tl_store_add_request (f->store, &request, request_id, "{}", now, NULL, NULL);
  return request_id;
}

static void
end (Fixture *f, const char *request_id, TlRequestState to, const char *output, GBytes *receipt, gint64 now)
{
  static const guint8 digest[32] = { 1 };
  TlRequestMove move = { .request_id = request_id,
                         .from = (1u << TL_REQUEST_QUEUED),
                         .to = to,
                         .output = output,
                         .output_summary = output != NULL ? "short" : NULL,
                         .output_sha256 = output != NULL ? digest : NULL,
                         .receipt = receipt,
                         .now = now };
  Answer answer = ANSWER (NULL);

  tl_store_move_request (f->store, &move, answer_callback, &answer);
  assert_ok (f, &answer);
}

static TlCapabilityRecord *
find (Fixture *f, const char *text)
{
  Answer answer = ANSWER (tl_capability_record_copy);

  tl_store_find_request (f->store, text, answer_callback, &answer);
  assert_ok (f, &answer);
  return answer.result;
}

static void
assert_not_found (Fixture *f, const char *text, TlErrorCode code)
{
  Answer answer = ANSWER (NULL);

  tl_store_find_request (f->store, text, answer_callback, &answer);
  assert_failed (f, &answer, code);
}

static void
test_find (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *one = add (f, device_id, "echo", "uid:0", STORE_NOW);
  g_autofree char *two = add (f, device_id, "echo", "uid:0", STORE_NOW);
  g_autofree char *common = g_strndup (one, 9); /* the time */
  g_autofree char *lower = g_ascii_strdown (two, -1);
  g_autoptr (TlCapabilityRecord) open = find (f, one);
  g_autoptr (TlCapabilityRecord) same = find (f, lower);

  g_assert_cmpstr (open->input, ==, "{\"secret\":\"S3CRET\"}");
  g_assert_cmpstr (open->input_summary, ==, "{\"secret\":***}");
  g_assert_cmpuint (open->event_seq, ==, 1);
  g_assert_cmpstr (same->request_id, ==, two);
  assert_not_found (f, common, TL_ERROR_AMBIGUOUS);
  assert_not_found (f, device_id, TL_ERROR_NOT_FOUND);
  assert_not_found (f, "01", TL_ERROR_NOT_FOUND);
  assert_not_found (f, "", TL_ERROR_NOT_FOUND);
}

/* The input goes at the end, the output after a day; digests and summaries stay. */
static void
test_output_is_kept_a_day (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *id = add (f, device_id, "echo", "uid:0", STORE_NOW);
  g_autoptr (GBytes) receipt = g_bytes_new_static ("r", 1);
  g_autoptr (TlCapabilityRecord) fresh = NULL;
  g_autoptr (TlCapabilityRecord) old = NULL;

  end (f, id, TL_REQUEST_SUCCEEDED, "{\"out\":1}", receipt, STORE_NOW);
  fixture_reopen (f);
  tl_store_expire (f->store, STORE_NOW + DAY_MS - 1, NULL, NULL);
  fresh = find (f, id);
  g_assert_null (fresh->input);
  g_assert_cmpstr (fresh->output, ==, "{\"out\":1}");
  tl_store_expire (f->store, STORE_NOW + DAY_MS, NULL, NULL);
  old = find (f, id);
  g_assert_null (old->output);
  g_assert_cmpstr (old->output_summary, ==, "short");
  g_assert_cmpstr (old->input_summary, ==, "{\"secret\":***}");
  g_assert_cmpuint (g_bytes_get_size (old->input_sha256), ==, 32);
  g_assert_cmpuint (g_bytes_get_size (old->output_sha256), ==, 32);
}

/* 256 MiB of outputs are the limit; the oldest go first. */
static void
test_outputs_are_bounded (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *big = g_strnfill (64u * 1024 * 1024, '1');
  g_autoptr (GBytes) receipt = g_bytes_new_static ("r", 1);
  char *ids[5];

  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      ids[i] = add (f, device_id, "echo", "uid:0", STORE_NOW);
      end (f, ids[i], TL_REQUEST_SUCCEEDED, big, receipt, STORE_NOW + i);
    }
  tl_store_expire (f->store, STORE_NOW + MINUTE_MS, NULL, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      g_autoptr (TlCapabilityRecord) record = find (f, ids[i]);

      g_assert_true ((record->output != NULL) == (i > 0));
      g_free (ids[i]);
    }
}

typedef struct
{
  GPtrArray *ids;
  char *next;
} Page;

static gpointer
copy_page (gconstpointer result)
{
  const TlRequestPage *page = result;
  Page *copy = g_new0 (Page, 1);

  copy->ids = g_ptr_array_new_with_free_func (g_free);
  copy->next = g_strdup (page->next_token);
  for (guint i = 0; i < page->requests->len; i++)
    {
      const TlCapabilityRecord *record = page->requests->pdata[i];

      g_assert_null (record->input);
      g_ptr_array_add (copy->ids, g_strdup (record->request_id));
    }
  return copy;
}

/* All pages; ids joined by blanks, by their number in `ids`. */
static char *
list (Fixture *f, const TlRequestFilter *filter, guint limit, char **ids, guint n_ids)
{
  GString *found = g_string_new (NULL);
  g_autofree char *token = g_strdup ("");

  while (token != NULL)
    {
      Answer answer = ANSWER (copy_page);
      Page *page;

      tl_store_list_requests (f->store, filter, token, limit, answer_callback, &answer);
      assert_ok (f, &answer);
      page = answer.result;
      g_assert_cmpuint (page->ids->len, <=, limit);
      for (guint i = 0; i < page->ids->len; i++)
        for (guint j = 0; j < n_ids; j++)
          if (g_str_equal (page->ids->pdata[i], ids[j]))
            g_string_append_printf (found, "%u ", j);
      g_free (token);
      token = g_steal_pointer (&page->next);
      g_ptr_array_unref (page->ids);
      g_free (page);
    }
  return g_string_free (found, FALSE);
}

#define assert_list(filter, limit, expected)                                                                           \
  G_STMT_START                                                                                                         \
  {                                                                                                                    \
    g_autofree char *listed = list (f, &(filter), limit, ids, G_N_ELEMENTS (ids));                                     \
    g_assert_cmpstr (listed, ==, expected);                                                                            \
  }                                                                                                                    \
  G_STMT_END

static void
test_list (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *a = fixture_id (f);
  g_autofree char *b = fixture_id (f);
  char *ids[] = {
    add (f, a, "echo", "uid:0", STORE_NOW),
    add (f, b, "echo", "uid:1", STORE_NOW + 1),
    add (f, a, "system.info", "uid:1", STORE_NOW + 2),
    add (f, a, "echo", "uid:1", STORE_NOW + 3),
    add (f, b, "system.info", "uid:0", STORE_NOW + 4),
  };
  TlRequestFilter all = { 0 }, device = { .device_id = a }, capability = { .capability = "echo" },
                  actor = { .requested_by = "uid:1" }, since = { .since = STORE_NOW + 3 },
                  open = { .states = 1u << TL_REQUEST_QUEUED }, ended = { .states = 1u << TL_REQUEST_CANCELLED },
                  both = { .states = 1u << TL_REQUEST_CANCELLED | 1u << TL_REQUEST_QUEUED, .device_id = a },
                  four = { .device_id = a, .capability = "echo", .requested_by = "uid:1", .since = STORE_NOW + 1 };

  end (f, ids[3], TL_REQUEST_CANCELLED, NULL, NULL, STORE_NOW + 9);
  for (guint limit = 1; limit < 7; limit++)
    {
      assert_list (all, limit, "4 3 2 1 0 ");
      assert_list (device, limit, "3 2 0 ");
      assert_list (capability, limit, "3 1 0 ");
      assert_list (actor, limit, "3 2 1 ");
      assert_list (since, limit, "4 3 ");
      assert_list (open, limit, "4 2 1 0 ");
      assert_list (ended, limit, "3 ");
      assert_list (both, limit, "3 2 0 ");
      assert_list (four, limit, "3 ");
    }
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    g_free (ids[i]);
}

static void
on_event (const GError *error, gpointer result, gpointer user_data)
{
  const TlEventRange *range = result;
  GString *text = user_data;

  g_assert_no_error (error);
  for (guint i = 0; i < range->events->len; i++)
    {
      const TlEventRecord *event = range->events->pdata[i];

      g_string_append_printf (text, "%u %s %s\n", (guint)event->seq, event->type, event->id);
    }
}

/* Ended by the gateway: its event has the same number and id, and says the opposite. Ended by the device: as it was. */
static void
test_withdraws_event (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *one = add (f, device_id, "echo", "uid:0", STORE_NOW);
  g_autofree char *two = add (f, device_id, "echo", "uid:0", STORE_NOW);
  g_autofree char *three = add (f, device_id, "echo", "uid:0", STORE_NOW);
  g_autoptr (GBytes) receipt = g_bytes_new_static ("r", 1);
  g_autoptr (GString) events = g_string_new (NULL);
  g_autofree char *expected = g_strdup_printf ("1 capability.cancel %s\n2 capability.dispatch %s\n"
                                               "3 capability.dispatch %s\n",
                                               one, two, three);

  end (f, one, TL_REQUEST_EXPIRED, NULL, NULL, STORE_NOW);
  end (f, two, TL_REQUEST_SUCCEEDED, "1", receipt, STORE_NOW);
  tl_store_read_events (f->store, device_id, 0, "", 10, on_event, events);
  tl_store_flush (f->store);
  g_assert_cmpstr (events->str, ==, expected);
}

static TlErrorCode
cancel (Fixture *f, const char *request_id, const char *event_id)
{
  Answer answer = ANSWER (NULL);
  g_autoptr (GError) error = NULL;

  tl_store_cancel_request (f->store, request_id, "uid:7", "why", event_id, event_id != NULL ? "{}" : NULL,
                           STORE_NOW + 5, answer_callback, &answer);
  tl_store_flush (f->store);
  error = answer.error;
  return error != NULL ? (TlErrorCode)error->code : REQUEST_OK;
}

static gint64
query (Fixture *f, const char *sql, const char *text)
{
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  gint64 value;

  g_assert_cmpint (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READONLY, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (db, sql, -1, &statement, NULL), ==, SQLITE_OK);
  sqlite3_bind_text (statement, 1, text, -1, SQLITE_STATIC);
  g_assert_cmpint (sqlite3_step (statement), ==, SQLITE_ROW);
  value = sqlite3_column_int64 (statement, 0);
  sqlite3_finalize (statement);
  sqlite3_close (db);
  return value;
}

#define ROWS(kind) "SELECT count(*) FROM journal WHERE kind = '" kind "' AND subject = ?"

static void
test_cancel (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *event_id = fixture_id (f);
  g_autofree char *one = add (f, device_id, "echo", "uid:0", STORE_NOW);
  g_autofree char *two = add (f, device_id, "echo", "uid:0", STORE_NOW);
  g_autoptr (TlCapabilityRecord) record = NULL;

  g_assert_cmpint (cancel (f, one, event_id), ==, REQUEST_OK);
  record = find (f, one);
  g_assert_cmpint (record->state, ==, TL_REQUEST_QUEUED);
  g_assert_cmpint (record->cancel_at, ==, STORE_NOW + 5);
  g_assert_cmpstr (record->cancelled_by, ==, "uid:7");
  g_assert_cmpint (query (f, "SELECT latest_seq FROM event_logs WHERE device_id = ?", device_id), ==, 3);
  g_assert_cmpint (cancel (f, one, NULL), ==, TL_ERROR_FAILED_PRECONDITION);
  end (f, two, TL_REQUEST_EXPIRED, NULL, NULL, STORE_NOW);
  g_assert_cmpint (cancel (f, two, NULL), ==, TL_ERROR_FAILED_PRECONDITION);
  g_assert_cmpint (cancel (f, device_id, NULL), ==, TL_ERROR_FAILED_PRECONDITION);
  g_assert_cmpint (query (f, ROWS ("request.cancelled"), one), ==, 1);
  g_assert_cmpint (query (f, ROWS ("request.cancelled"), two), ==, 0);
}

/* The journal has a late result once, however often it comes. */
static void
test_late (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *expired = add (f, device_id, "echo", "uid:0", STORE_NOW);

  end (f, expired, TL_REQUEST_EXPIRED, NULL, NULL, STORE_NOW);
  for (guint i = 0; i < 3; i++)
    tl_store_late_result (f->store, expired, "device:x", "{}", STORE_NOW, NULL, NULL);
  tl_store_late_result (f->store, device_id, "device:x", "{}", STORE_NOW, NULL, NULL);
  tl_store_flush (f->store);
  g_assert_cmpint (query (f, ROWS ("result.late"), expired), ==, 1);
  g_assert_cmpint (query (f, ROWS ("result.late"), device_id), ==, 0);
}

static guint
count_switches (Fixture *f)
{
  g_autoptr (GPtrArray) found = tl_store_list_switches (f->store, NULL);

  return found->len;
}

static void
test_switches (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);

  tl_store_set_switch (f->store, device_id, "echo", FALSE, "uid:0", STORE_NOW, NULL, NULL);
  tl_store_set_switch (f->store, device_id, "echo", FALSE, "uid:0", STORE_NOW, NULL, NULL);
  tl_store_set_switch (f->store, device_id, "fs.read", FALSE, "uid:0", STORE_NOW, NULL, NULL);
  tl_store_set_switch (f->store, device_id, "fs.read", TRUE, "uid:0", STORE_NOW, NULL, NULL);
  tl_store_set_switch (f->store, device_id, "fs.read", TRUE, "uid:0", STORE_NOW, NULL, NULL);
  fixture_reopen (f);
  g_assert_cmpuint (count_switches (f), ==, 1);
  g_assert_cmpint (query (f, ROWS ("node.capability"), device_id), ==, 3);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  store_test ("/store/history/find", test_find);
  store_test ("/store/history/output-is-kept-a-day", test_output_is_kept_a_day);
  store_test ("/store/history/outputs-are-bounded", test_outputs_are_bounded);
  store_test ("/store/history/list", test_list);
  store_test ("/store/history/withdraws-event", test_withdraws_event);
  store_test ("/store/history/cancel", test_cancel);
  store_test ("/store/history/late", test_late);
  store_test ("/store/history/switches", test_switches);
  return g_test_run ();
}
