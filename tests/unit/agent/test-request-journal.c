/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-request-journal.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "tl-node-fixture.h"

#define HOUR_MS (G_GINT64_CONSTANT (3600) * 1000)
#define REQUEST "01J0000000000000000000000R"

typedef struct
{
  char *directory;
  TlCertificateAuthority *ca;
  TlDeviceIdentity *identity;
  TlReceipt *receipt; /* allowed, expires in an hour */
  TlRequestJournal *journal;
  gint64 now_ms;
} Fixture;

static TlReceiptSubject
subject_of (Fixture *f)
{
  return (TlReceiptSubject){ TL_FIXTURE_GATEWAY, tl_device_identity_device_id (f->identity), REQUEST, "disk.wipe" };
}

/* What a new process does. */
static void
open_journal (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&f->journal, tl_request_journal_free);
  f->journal = tl_request_journal_new (f->directory, f->now_ms, &error);
  g_assert_no_error (error);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  TlReceiptSubject subject;

  (void)data;
  f->now_ms = g_get_real_time () / 1000;
  f->directory = tl_fixture_directory ();
  f->ca = tl_fixture_ca (TL_FIXTURE_GATEWAY);
  f->identity = tl_fixture_identity (f->ca, 24 * HOUR_MS);
  subject = subject_of (f);
  f->receipt = tl_receipt_new (TRUE, "policy", "{}", "uid:0", f->now_ms + HOUR_MS, f->now_ms);
  tl_receipt_sign (f->receipt, &subject, f->identity, &error);
  g_assert_no_error (error);
  open_journal (f);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_request_journal_free (f->journal);
  tl_receipt_free (f->receipt);
  tl_device_identity_free (f->identity);
  tl_certificate_authority_unref (f->ca);
  tl_fixture_remove (f->directory);
  g_free (f->directory);
}

static TlRecordState
state_of (Fixture *f)
{
  const TlRequestRecord *record = tl_request_journal_lookup (f->journal, REQUEST);

  g_assert_nonnull (record);
  return record->state;
}

static void
start (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  tl_request_journal_start (f->journal, REQUEST, "disk.wipe", f->receipt, &error);
  g_assert_no_error (error);
}

static void
finish (Fixture *f, const char *output)
{
  g_autoptr (TlRequestResult) result = tl_request_result_new_success (output);
  g_autoptr (GError) error = NULL;

  tl_request_journal_finish (f->journal, REQUEST, result, &error);
  g_assert_no_error (error);
}

/* The process dies before anything was written: the request is new to the next one. */
static void
test_crash_before_start (Fixture *f, gconstpointer data)
{
  (void)data;
  open_journal (f);
  g_assert_null (tl_request_journal_lookup (f->journal, REQUEST));
  start (f);
}

/* ... after `started`, whether or not it ran: reported as interrupted, never started again. */
static void
test_crash_after_start (Fixture *f, gconstpointer data)
{
  g_autoptr (TlRequestResult) result = NULL;
  g_autoptr (GPtrArray) kept = NULL;
  g_autoptr (GError) error = NULL;
  const TlRequestRecord *record;
  TlReceiptSubject subject = subject_of (f);

  (void)data;
  start (f);
  g_assert_cmpint (state_of (f), ==, TL_RECORD_STARTED);
  for (guint i = 0; i < 2; i++) /* another crash changes nothing */
    {
      open_journal (f);
      g_assert_cmpint (state_of (f), ==, TL_RECORD_FINISHED);
      g_assert_false (tl_request_journal_start (f->journal, REQUEST, "disk.wipe", f->receipt, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_ALREADY_EXISTS);
      g_clear_error (&error);
    }
  kept = tl_request_journal_finished (f->journal);
  g_assert_cmpuint (kept->len, ==, 1);
  g_assert_cmpstr (kept->pdata[0], ==, REQUEST);
  result = tl_request_journal_load_result (f->journal, REQUEST, &error);
  g_assert_no_error (error);
  g_assert_cmpint (result->state, ==, TL_RESULT_FAILED);
  g_assert_cmpstr (result->error_reason, ==, "interrupted");
  record = tl_request_journal_lookup (f->journal, REQUEST);
  g_assert_true (tl_receipt_verify (record->receipt, &subject, tl_device_identity_public (f->identity)));
}

/* ... after the result was kept: handed in by the next process. */
static void
test_crash_after_finish (Fixture *f, gconstpointer data)
{
  g_autoptr (TlRequestResult) result = NULL;
  g_autoptr (GError) error = NULL;

  (void)data;
  start (f);
  finish (f, "{\"wiped\":\"\\u00e9\\\"\"}");
  open_journal (f);
  g_assert_cmpint (state_of (f), ==, TL_RECORD_FINISHED);
  result = tl_request_journal_load_result (f->journal, REQUEST, &error);
  g_assert_no_error (error);
  g_assert_cmpint (result->state, ==, TL_RESULT_SUCCEEDED);
  g_assert_cmpstr (result->output, ==, "{\"wiped\":\"\\u00e9\\\"\"}"); /* verbatim: its bytes are hashed */
}

/* ... after the gateway took it: nothing to do, but the request is still known. */
static void
test_crash_after_accept (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) kept = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  (void)data;
  start (f);
  finish (f, "\"bulky output\"");
  g_assert_true (tl_request_journal_accept (f->journal, REQUEST, &error));
  open_journal (f);
  g_assert_cmpint (state_of (f), ==, TL_RECORD_ACCEPTED);
  kept = tl_request_journal_finished (f->journal);
  g_assert_cmpuint (kept->len, ==, 0);
  g_assert_false (tl_request_journal_start (f->journal, REQUEST, "disk.wipe", f->receipt, NULL));
  text = tl_fixture_read (f->directory, REQUEST ".json");
  g_assert_null (strstr (text, "bulky"));
}

static void
test_retention (Fixture *f, gconstpointer data)
{
  gint64 keep_until = f->now_ms + HOUR_MS + 24 * HOUR_MS;

  (void)data;
  start (f);
  finish (f, "1");
  f->now_ms = keep_until + 1000;
  open_journal (f);
  g_assert_cmpint (state_of (f), ==, TL_RECORD_FINISHED); /* not accepted: kept whatever the time */
  g_assert_true (tl_request_journal_accept (f->journal, REQUEST, NULL));
  tl_request_journal_prune (f->journal, keep_until);
  g_assert_cmpint (state_of (f), ==, TL_RECORD_ACCEPTED);
  tl_request_journal_prune (f->journal, keep_until + 1);
  g_assert_null (tl_request_journal_lookup (f->journal, REQUEST));
  open_journal (f);
  g_assert_null (tl_request_journal_lookup (f->journal, REQUEST));
}

static void
test_damaged (Fixture *f, gconstpointer data)
{
  static const char *const broken[] = { "", "{", "{}", "{\"version\":1,\"request_id\":\"x\"}" };
  g_autofree char *request_id = tl_ulid_new (f->now_ms, tl_random_system ());
  g_autofree char *name = g_strconcat (request_id, ".json", NULL);

  (void)data;
  for (guint i = 0; i < G_N_ELEMENTS (broken); i++)
    {
      g_autofree char *text = NULL;

      tl_fixture_write (f->directory, name, broken[i]);
      open_journal (f);
      g_assert_cmpint (tl_request_journal_lookup (f->journal, request_id)->state, ==, TL_RECORD_DAMAGED);
      g_assert_false (tl_request_journal_start (f->journal, request_id, "disk.wipe", f->receipt, NULL));
      text = tl_fixture_read (f->directory, name);
      g_assert_cmpstr (text, ==, broken[i]);
    }
}

/* Every byte of a record: the request never runs again, and what is reported is what was. */
static void
test_flipped_bytes (Fixture *f, gconstpointer data)
{
  g_autofree char *request_id = tl_ulid_new (f->now_ms, tl_random_system ());
  g_autofree char *name = g_strconcat (request_id, ".json", NULL);
  g_autoptr (TlRequestResult) stored = tl_request_result_new_success ("\"output\"");
  g_autofree char *text = NULL;

  (void)data;
  g_assert_true (tl_request_journal_start (f->journal, request_id, "disk.wipe", f->receipt, NULL));
  g_assert_true (tl_request_journal_finish (f->journal, request_id, stored, NULL));
  text = tl_fixture_read (f->directory, name);
  for (char *at = text; *at != '\0'; at++)
    {
      *at ^= 1;
      tl_fixture_write (f->directory, name, text);
      *at ^= 1;
      open_journal (f);
      if (tl_request_journal_lookup (f->journal, request_id)->state == TL_RECORD_FINISHED)
        {
          g_autoptr (TlRequestResult) result = tl_request_journal_load_result (f->journal, request_id, NULL);

          g_assert_cmpstr (result->output, ==, "\"output\"");
        }
      else
        g_assert_cmpint (tl_request_journal_lookup (f->journal, request_id)->state, ==, TL_RECORD_DAMAGED);
      g_assert_false (tl_request_journal_start (f->journal, request_id, "disk.wipe", f->receipt, NULL));
    }
}

/* `started` cannot be made durable: the request must not run. */
static void
test_unwritable (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *moved = g_strconcat (f->directory, ".gone", NULL);

  (void)data;
  g_assert_cmpint (rename (f->directory, moved), ==, 0); /* works for root too, unlike a read-only mode */
  g_assert_false (tl_request_journal_start (f->journal, REQUEST, "disk.wipe", f->receipt, &error));
  g_assert_nonnull (error);
  g_assert_null (tl_request_journal_lookup (f->journal, REQUEST));
  g_assert_cmpint (rename (moved, f->directory), ==, 0);
}

static void
test_one_process (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  (void)data;
  g_assert_null (tl_request_journal_new (f->directory, f->now_ms, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IN_USE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/request-journal/crash-before-start", Fixture, NULL, set_up, test_crash_before_start, tear_down);
  g_test_add ("/request-journal/crash-after-start", Fixture, NULL, set_up, test_crash_after_start, tear_down);
  g_test_add ("/request-journal/crash-after-finish", Fixture, NULL, set_up, test_crash_after_finish, tear_down);
  g_test_add ("/request-journal/crash-after-accept", Fixture, NULL, set_up, test_crash_after_accept, tear_down);
  g_test_add ("/request-journal/retention", Fixture, NULL, set_up, test_retention, tear_down);
  g_test_add ("/request-journal/damaged", Fixture, NULL, set_up, test_damaged, tear_down);
  g_test_add ("/request-journal/flipped-bytes", Fixture, NULL, set_up, test_flipped_bytes, tear_down);
  g_test_add ("/request-journal/unwritable", Fixture, NULL, set_up, test_unwritable, tear_down);
  g_test_add ("/request-journal/one-process", Fixture, NULL, set_up, test_one_process, tear_down);
  return g_test_run ();
}
