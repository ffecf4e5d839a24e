/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- group commit ---- */

typedef struct
{
  GArray *order;
  int number;
  gboolean failed;
} Turn;

static void
turn_callback (const GError *error, gpointer result G_GNUC_UNUSED, gpointer user_data)
{
  Turn *turn = user_data;

  turn->failed = error != NULL;
  g_array_append_val (turn->order, turn->number);
}

/* Many at once: answered in order, one that fails (an id twice) leaves the others alone. */
static void
test_order (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (int));
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *request_id = fixture_id (f);
  TlCapabilityRecord request = { .request_id = request_id, .device_id = device_id, .capability = (char *)"echo" };
  Turn turns[200];
  Answer last = ANSWER (NULL);

  for (int i = 0; i < 200; i++)
    {
      g_autofree char *event_id = fixture_id (f);

      turns[i] = (Turn){ order, i, FALSE };
      if (i == 50 || i == 100)
        tl_store_add_request (f->store, &request, event_id, "{}", STORE_NOW, turn_callback, &turns[i]);
      else if (i % 3 == 0)
        tl_store_get_request (f->store, request_id, turn_callback, &turns[i]);
      else
        tl_store_add_event (f->store, device_id, event_id, "test", "{}", STORE_NOW, turn_callback, &turns[i]);
    }
  tl_store_probe (f->store, STORE_NOW, answer_callback, &last);
  assert_ok (f, &last);

  g_assert_cmpuint (order->len, ==, 200);
  for (int i = 0; i < 200; i++)
    {
      g_assert_cmpint (g_array_index (order, int, i), ==, i);
      g_assert_cmpint (turns[i].failed, ==, i == 100 || (i % 3 == 0 && i < 50));
    }
}

/* An operation that fails half-way leaves nothing behind: neither its request nor a gap in the log. */
static void
test_failure_is_undone (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *bad_id = fixture_id (f);
  g_autofree char *good_id = fixture_id (f);
  g_autofree char *e1 = fixture_id (f);
  g_autofree char *e2 = fixture_id (f);
  TlCapabilityRecord good = { .request_id = good_id, .device_id = device_id, .capability = (char *)"echo" };
  TlCapabilityRecord bad = good;
  Answer first = ANSWER (NULL);
  Answer second = ANSWER (NULL);
  Answer third = ANSWER (NULL);
  Answer gone = ANSWER (NULL);

  bad.request_id = bad_id;
  tl_store_add_request (f->store, &bad, e1, NULL, STORE_NOW, answer_callback, &first); /* an event needs data */
  tl_store_add_request (f->store, &good, e2, "{}", STORE_NOW, answer_callback, &second);
  tl_store_get_request (f->store, bad_id, answer_callback, &gone);
  tl_store_ack_events (f->store, device_id, 1, e2, answer_callback, &third);
  assert_failed (f, &first, TL_ERROR_INVALID_ARGUMENT);
  assert_ok (f, &second);
  assert_failed (f, &gone, TL_ERROR_NOT_FOUND);
  assert_ok (f, &third);
}

static void
chain_callback (const GError *error, gpointer result G_GNUC_UNUSED, gpointer user_data)
{
  gpointer *pair = user_data;
  Fixture *f = pair[0];

  g_assert_no_error (error);
  tl_store_probe (f->store, STORE_NOW, answer_callback, pair[1]);
}

/* Closing answers everybody, also those who come while it closes. */
static void
test_close (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  Answer chained = ANSWER (NULL);
  gpointer pair[] = { f, &chained };
  Answer answers[20];

  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      g_autofree char *event_id = fixture_id (f);

      answers[i] = ANSWER (NULL);
      tl_store_add_event (f->store, device_id, event_id, "test", "{}", STORE_NOW, answer_callback, &answers[i]);
    }
  tl_store_probe (f->store, STORE_NOW, chain_callback, pair);
  tl_store_close (f->store);
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      g_assert_true (answers[i].called);
      g_assert_no_error (answers[i].error);
    }
  g_assert_true (chained.called);
  g_assert_error (chained.error, TL_ERROR, TL_ERROR_UNAVAILABLE);
  g_clear_error (&chained.error);
  f->store = NULL;
  fixture_reopen (f);
}

/* ---- durability ---- */

static atomic_uint syncs;

/* In front of libc's, for SQLite too: every way to the disk is counted. */
int
fdatasync (int fd)
{
  atomic_fetch_add (&syncs, 1);
  return (int)syscall (SYS_fdatasync, fd);
}

static void
syncs_callback (const GError *error, gpointer result G_GNUC_UNUSED, gpointer user_data)
{
  g_assert_no_error (error);
  *(guint *)user_data = atomic_load (&syncs);
}

static void
test_durability (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *event_id = fixture_id (f);
  g_autoptr (TlCodeRecord) code = make_code (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  gint64 give_up = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;
  guint before, minted = 0, taken = 0, seen = 0;

  /* Durable: synced before the callback. */
  before = atomic_load (&syncs);
  tl_store_add_code (f->store, code, STORE_NOW, syncs_callback, &minted);
  tl_store_flush (f->store);
  g_assert_cmpuint (minted, >, before);

  /* Not durable: answered without a sync (that is what makes it cheap), synced soon after although nothing else
   * happens. */
  tl_store_add_event (f->store, device_id, event_id, "test", "{}", STORE_NOW, syncs_callback, &seen);
  tl_store_flush (f->store);
  g_assert_cmpuint (seen, ==, minted);
  while (atomic_load (&syncs) == seen && g_get_monotonic_time () < give_up)
    g_usleep (10 * 1000);
  g_assert_cmpuint (atomic_load (&syncs), >, seen);

  /* Durable again after the batch that was not. */
  before = atomic_load (&syncs);
  tl_store_take_attempt (f->store, code->code_id, event_id, "source:192.0.2.1", STORE_NOW, syncs_callback, &taken);
  tl_store_flush (f->store);
  g_assert_cmpuint (taken, >, before);
}

/* ---- disk failures ---- */

static void
limit_files (rlim_t bytes)
{
  struct rlimit limit;

  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
}

static void
test_disk_fails (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *e1 = fixture_id (f);
  g_autofree char *e2 = fixture_id (f);
  g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  Answer event = ANSWER (NULL);
  Answer read = ANSWER (tl_code_record_copy);
  Answer attempt = ANSWER (NULL);
  Answer probe = ANSWER (NULL);

  signal (SIGXFSZ, SIG_IGN);
  limit_files (8192);
  tl_store_add_event (f->store, device_id, e1, "test", "{}", STORE_NOW, answer_callback, &event);
  tl_store_find_live_code (f->store, 0, code->code_id, STORE_NOW, answer_callback, &read);
  tl_store_take_attempt (f->store, code->code_id, e1, "source:192.0.2.1", STORE_NOW, answer_callback, &attempt);
  tl_store_flush (f->store);
  g_assert_true (event.called && tl_error_is (event.error, TL_ERROR_IO));
  g_assert_true (attempt.called && tl_error_is (attempt.error, TL_ERROR_IO));
  g_clear_error (&event.error);
  g_clear_error (&attempt.error);
  g_assert_false (tl_store_is_writable (f->store));
  /* What was committed can still be read. */
  assert_ok (f, &read);
  g_assert_cmpuint (((TlCodeRecord *)read.result)->attempts_left, ==, 3);
  g_clear_pointer ((TlCodeRecord **)&read.result, tl_code_record_free);

  tl_store_probe (f->store, STORE_NOW, answer_callback, &probe);
  assert_failed (f, &probe, TL_ERROR_IO);
  g_assert_false (tl_store_is_writable (f->store));

  limit_files (RLIM_INFINITY);
  probe = ANSWER (NULL);
  tl_store_probe (f->store, STORE_NOW, answer_callback, &probe);
  assert_ok (f, &probe);
  g_assert_true (tl_store_is_writable (f->store));
  /* Nothing of the failed batch is there, and the log starts at 1. */
  event = ANSWER (NULL);
  tl_store_add_event (f->store, device_id, e2, "test", "{}", STORE_NOW, answer_callback, &event);
  assert_ok (f, &event);
  event = ANSWER (NULL);
  tl_store_ack_events (f->store, device_id, 1, e2, answer_callback, &event);
  assert_ok (f, &event);
  read = ANSWER (tl_code_record_copy);
  tl_store_take_attempt (f->store, code->code_id, e1, "source:192.0.2.1", STORE_NOW, answer_callback, &read);
  assert_ok (f, &read);
  g_assert_cmpuint (((TlCodeRecord *)read.result)->attempts_left, ==, 2);
  tl_code_record_free (read.result);
}

/* Another program holds the write lock: no operation claims success, and it works again afterwards. */
static void
test_locked_by_another (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *path = g_build_filename (f->directory, TL_STORE_FILE, NULL);
  Answer probe = ANSWER (NULL);
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, "BEGIN IMMEDIATE", NULL, NULL, NULL), ==, SQLITE_OK);
  tl_store_probe (f->store, STORE_NOW, answer_callback, &probe);
  assert_failed (f, &probe, TL_ERROR_READ_ONLY);
  g_assert_false (tl_store_is_writable (f->store));
  g_assert_cmpint (sqlite3_exec (db, "ROLLBACK", NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);

  probe = ANSWER (NULL);
  tl_store_probe (f->store, STORE_NOW, answer_callback, &probe);
  assert_ok (f, &probe);
  g_assert_true (tl_store_is_writable (f->store));
}

/* A batch that writes nothing does not prove that the disk works. */
static void
test_writable_needs_a_write (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  Answer probe = ANSWER (NULL);
  Answer nothing = ANSWER (NULL);
  g_autofree char *unknown = fixture_id (f);

  signal (SIGXFSZ, SIG_IGN);
  limit_files (8192);
  tl_store_probe (f->store, STORE_NOW, answer_callback, &probe);
  assert_failed (f, &probe, TL_ERROR_IO);
  tl_store_cancel_code (f->store, unknown, "uid:0", STORE_NOW, answer_callback, &nothing);
  assert_failed (f, &nothing, TL_ERROR_NOT_FOUND);
  g_assert_false (tl_store_is_writable (f->store));
  limit_files (RLIM_INFINITY);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  store_test ("/store/batch/order", test_order);
  store_test ("/store/batch/failure-is-undone", test_failure_is_undone);
  store_test ("/store/batch/close", test_close);
  store_test ("/store/batch/durability", test_durability);
  store_test ("/store/batch/disk-fails", test_disk_fails);
  store_test ("/store/batch/locked-by-another", test_locked_by_another);
  store_test ("/store/batch/writable-needs-a-write", test_writable_needs_a_write);
  return g_test_run ();
}
