/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/store/tl-journal.h"
#include "daemon/store/tl-store-private.h"
#include "journal/tl-journal-verification.h"

static char *
database (Fixture *f)
{
  return g_build_filename (f->directory, TL_STORE_FILE, NULL);
}

/* The verdict of a reader beside the running store. */
static TlJournalFinding
verify (Fixture *f, guint64 *bad_seq, TlJournalHead *head)
{
  g_autofree char *path = database (f);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlJournalReader) reader = tl_journal_reader_open (path, TL_JOURNAL_LIVE, &error);
  g_autoptr (TlJournalVerification) verification = NULL;
  const TlJournalVerdict *verdict;
  gboolean done = FALSE;

  g_assert_no_error (error);
  verification = tl_journal_verification_new (reader, NULL);
  while (!done)
    {
      g_assert_true (tl_journal_verification_step (verification, &done, &error));
      g_assert_no_error (error);
    }
  verdict = tl_journal_verification_verdict (verification);
  if (verdict->message != NULL)
    g_test_message ("%s", verdict->message);
  if (bad_seq != NULL)
    *bad_seq = verdict->bad_seq;
  if (head != NULL)
    *head = verdict->head;
  return verdict->finding;
}

static void
assert_sound (Fixture *f, guint64 rows)
{
  TlJournalHead head;

  g_assert_cmpint (verify (f, NULL, &head), ==, TL_JOURNAL_SOUND);
  g_assert_cmpuint (head.seq, ==, rows);
}

static void
edit (Fixture *f, const char *sql)
{
  g_clear_pointer (&f->store, tl_store_close);
  fixture_sql (f->directory, sql);
  f->store = tl_store_open (f->directory, NULL, NULL);
  g_assert_nonnull (f->store);
}

static void
write_rows (Fixture *f, guint n, gint64 now)
{
  for (guint i = 0; i < n; i++)
    tl_store_journal (f->store, "test.row", "uid:0", "", NULL, now, NULL, NULL);
  tl_store_flush (f->store);
}

/* ---- the chain under what goes wrong ---- */

/* Operations of one batch that fail take their rows with them, and the chain goes on over them. */
static void
test_failures_in_a_batch (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *too_long = g_strnfill (5000, 'x');
  Answer bad = ANSWER (NULL);
  Answer last = ANSWER (NULL);

  write_rows (f, 2, STORE_NOW);
  for (guint i = 0; i < 40; i++)
    tl_store_journal (f->store, "test.row", "uid:0", "", i % 3 == 0 ? too_long : "{}", STORE_NOW, NULL, NULL);
  tl_store_journal (f->store, "test.row", "uid:0", "", too_long, STORE_NOW, answer_callback, &bad);
  assert_failed (f, &bad, TL_ERROR_INVALID_ARGUMENT);
  tl_store_journal (f->store, "test.row", "uid:0", "", NULL, STORE_NOW, answer_callback, &last);
  assert_ok (f, &last);
  assert_sound (f, 2 + 26 + 1);
}

static gboolean
run_row_then_failure (TlStoreOperation *operation G_GNUC_UNUSED, TlDatabase *db, GError **error)
{
  if (tl_store_journal_append (db, STORE_NOW, "test.undone", NULL, NULL, NULL, error))
    g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "what comes after the row fails");
  return FALSE;
}

/* An operation that fails after its row: the row goes with it, and the next one is chained to the one before. */
static void
test_failure_behind_the_row (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  Answer undone = ANSWER (NULL);
  Answer last = ANSWER (NULL);

  write_rows (f, 2, STORE_NOW);
  tl_store_journal (f->store, "test.row", "uid:0", "", NULL, STORE_NOW, NULL, NULL);
  tl_store_submit (f->store, tl_store_operation_new (run_row_then_failure, TL_STORE_WRITE, NULL), answer_callback,
                   &undone);
  tl_store_journal (f->store, "test.row", "uid:0", "", NULL, STORE_NOW, answer_callback, &last);
  assert_failed (f, &undone, TL_ERROR_INVALID_ARGUMENT);
  assert_ok (f, &last);
  assert_sound (f, 4);
}

/* The decision and its row are one: a code that is not minted (a row too long for its label's sake cannot be made, so
 * an id twice) leaves none. */
static void
test_no_row_without_its_decision (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) code = make_code (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  Answer first = ANSWER (NULL);
  Answer again = ANSWER (NULL);

  tl_store_add_code (f->store, code, STORE_NOW, answer_callback, &first);
  assert_ok (f, &first);
  tl_store_add_code (f->store, code, STORE_NOW, answer_callback, &again);
  assert_failed (f, &again, TL_ERROR_ALREADY_EXISTS);
  assert_sound (f, 1);
}

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
  Answer lost = ANSWER (NULL);

  write_rows (f, 3, STORE_NOW);
  signal (SIGXFSZ, SIG_IGN);
  limit_files (8192);
  for (guint i = 0; i < 5; i++)
    tl_store_journal (f->store, "test.lost", "uid:0", "", NULL, STORE_NOW, NULL, NULL);
  tl_store_journal (f->store, "test.lost", "uid:0", "", NULL, STORE_NOW, answer_callback, &lost);
  assert_failed (f, &lost, TL_ERROR_IO);
  limit_files (RLIM_INFINITY);
  write_rows (f, 4, STORE_NOW);
  assert_sound (f, 7);
}

/* The newest rows were removed while nobody looked: the next row leaves their numbers free. */
static void
test_does_not_write_over_a_gap (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  guint64 bad;

  write_rows (f, 6, STORE_NOW);
  edit (f, "DELETE FROM journal WHERE seq > 4");
  g_assert_cmpint (verify (f, &bad, NULL), ==, TL_JOURNAL_TRUNCATED);
  write_rows (f, 10, STORE_NOW);
  g_assert_cmpint (verify (f, &bad, NULL), ==, TL_JOURNAL_MISSING);
  g_assert_cmpuint (bad, ==, 5);
}

static gpointer
copy_head (gconstpointer head)
{
  return g_memdup2 (head, sizeof (TlJournalHead));
}

static void
test_head (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  Answer answer = ANSWER (copy_head);
  TlJournalHead head;

  tl_store_journal_head (f->store, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  g_assert_cmpuint (((TlJournalHead *)answer.result)->seq, ==, 0);
  g_clear_pointer (&answer.result, g_free);
  write_rows (f, 5, STORE_NOW);
  answer = ANSWER (copy_head);
  tl_store_journal_head (f->store, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  g_assert_cmpint (verify (f, NULL, &head), ==, TL_JOURNAL_SOUND);
  g_assert_cmpmem (answer.result, sizeof head, &head, sizeof head);
  g_free (answer.result);
}

static void
test_reopened (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  write_rows (f, 5, STORE_NOW);
  fixture_reopen (f);
  write_rows (f, 5, STORE_NOW);
  assert_sound (f, 10);
}

/* ---- retention ---- */

static gpointer
copy_checkpoint (gconstpointer checkpoint)
{
  return g_memdup2 (checkpoint, sizeof (TlJournalCheckpoint));
}

static TlJournalCheckpoint
prune (Fixture *f, gint64 age_ms, guint64 max_rows, gint64 now)
{
  Answer answer = ANSWER (copy_checkpoint);
  TlJournalCheckpoint checkpoint;

  tl_store_journal_prune (f->store, age_ms, max_rows, now, answer_callback, &answer);
  assert_ok (f, &answer);
  checkpoint = *(TlJournalCheckpoint *)answer.result;
  g_free (answer.result);
  return checkpoint;
}

#define MANY G_MAXINT64

static void
test_prune_by_age (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  const gint64 age = 30 * DAY_MS;
  TlJournalCheckpoint checkpoint;

  write_rows (f, 1500, STORE_NOW);
  write_rows (f, 1500, STORE_NOW + 10 * DAY_MS);
  g_assert_cmpuint (prune (f, age, MANY, STORE_NOW + age).rows, ==, 0);
  /* Not a checkpoint every minute: a day later than due. */
  g_assert_cmpuint (prune (f, age, MANY, STORE_NOW + age + DAY_MS).rows, ==, 0);
  assert_sound (f, 3000);
  checkpoint = prune (f, age, MANY, STORE_NOW + age + DAY_MS + 1);
  g_assert_cmpuint (checkpoint.rows, ==, 1500);
  g_assert_cmpuint (checkpoint.last.seq, ==, 1500);
  g_assert_cmpuint (checkpoint.damaged, ==, 0);
  assert_sound (f, 3001);
  g_assert_cmpuint (prune (f, age, MANY, STORE_NOW + age + DAY_MS + 2).rows, ==, 0);
  /* The clock says the year 2100: the newest stay. */
  g_assert_cmpuint (prune (f, age, MANY, STORE_NOW + 80 * 365 * DAY_MS).rows, ==, 501);
  assert_sound (f, 3002);
  g_assert_cmpuint (prune (f, age, MANY, STORE_NOW + 80 * 365 * DAY_MS).rows, ==, 1);
  assert_sound (f, 3003);
  fixture_reopen (f);
  write_rows (f, 3, STORE_NOW + 10 * DAY_MS);
  assert_sound (f, 3006);
}

static void
test_prune_by_rows (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  TlJournalCheckpoint checkpoint;

  write_rows (f, 9000, STORE_NOW);
  g_assert_cmpuint (prune (f, MANY / 2, 9000, STORE_NOW).rows, ==, 0);
  /* In slices, each a checkpoint. */
  checkpoint = prune (f, MANY / 2, 2000, STORE_NOW);
  g_assert_cmpuint (checkpoint.rows, ==, TL_STORE_JOURNAL_PRUNE_MAX);
  assert_sound (f, 9001);
  checkpoint = prune (f, MANY / 2, 2000, STORE_NOW);
  g_assert_cmpuint (checkpoint.last.seq, ==, 7001);
  assert_sound (f, 9002);
  g_assert_cmpuint (prune (f, MANY / 2, 2000, STORE_NOW).rows, ==, 0);
  /* A little above is not enough for another checkpoint. */
  write_rows (f, 20, STORE_NOW);
  g_assert_cmpuint (prune (f, MANY / 2, 2000, STORE_NOW).rows, ==, 0);
}

/* A row that was changed before it was removed: not forgotten with it. */
static void
test_prune_sees_damage (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  TlJournalCheckpoint checkpoint;
  guint64 bad;

  write_rows (f, 4000, STORE_NOW);
  edit (f, "UPDATE journal SET actor = 'uid:1' WHERE seq = 17");
  checkpoint = prune (f, MANY / 2, 1500, STORE_NOW);
  g_assert_cmpuint (checkpoint.rows, ==, 2500);
  g_assert_cmpuint (checkpoint.damaged, ==, 17);
  g_assert_cmpint (verify (f, &bad, NULL), ==, TL_JOURNAL_DAMAGED);
  g_assert_cmpuint (bad, ==, 17);
}

/* Removed at the start by somebody, then by retention. */
static void
test_prune_sees_removal (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  write_rows (f, 4000, STORE_NOW);
  edit (f, "DELETE FROM journal WHERE seq <= 10");
  g_assert_cmpuint (prune (f, MANY / 2, 1500, STORE_NOW).damaged, ==, 11);
}

static gpointer
copy_status (gconstpointer status)
{
  return g_memdup2 (status, sizeof (TlStoreStatus));
}

static void
test_status (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree TlStoreStatus *status = NULL;
  Answer answer = ANSWER (copy_status);

  write_rows (f, 3000, STORE_NOW);
  prune (f, MANY / 2, 2000, STORE_NOW + 5);
  tl_store_get_status (f->store, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  status = answer.result;
  g_assert_cmpuint (status->journal_rows, ==, 2001);
  g_assert_cmpint (status->journal_oldest, ==, STORE_NOW);
  g_assert_cmpuint (status->journal_head.seq, ==, 3001);
}

/* ---- how much it costs ---- */

static void
test_cost (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  const guint n = 20000;
  g_autofree char *device_id = fixture_id (f);
  gint64 start, rows, probes;

  write_rows (f, 1000, STORE_NOW);
  start = g_get_monotonic_time ();
  write_rows (f, n, STORE_NOW);
  rows = g_get_monotonic_time () - start;
  start = g_get_monotonic_time ();
  for (guint i = 0; i < n; i++)
    tl_store_probe (f->store, STORE_NOW, NULL, NULL);
  tl_store_flush (f->store);
  probes = g_get_monotonic_time () - start;
  g_test_message ("%.2f us a row, %.2f us an operation that writes one small row", (double)rows / n,
                  (double)probes / n);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  store_test ("/store/journal/failures-in-a-batch", test_failures_in_a_batch);
  store_test ("/store/journal/failure-behind-the-row", test_failure_behind_the_row);
  store_test ("/store/journal/no-row-without-its-decision", test_no_row_without_its_decision);
  store_test ("/store/journal/disk-fails", test_disk_fails);
  store_test ("/store/journal/does-not-write-over-a-gap", test_does_not_write_over_a_gap);
  store_test ("/store/journal/head", test_head);
  store_test ("/store/journal/reopened", test_reopened);
  store_test ("/store/journal/prune-by-age", test_prune_by_age);
  store_test ("/store/journal/prune-by-rows", test_prune_by_rows);
  store_test ("/store/journal/prune-sees-damage", test_prune_sees_damage);
  store_test ("/store/journal/prune-sees-removal", test_prune_sees_removal);
  store_test ("/store/journal/status", test_status);
  store_test ("/store/journal/cost", test_cost);
  return g_test_run ();
}
