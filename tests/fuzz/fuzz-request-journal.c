/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz-memory-file.h"
#include "fuzz.h"

#include "agent/node/tl-request-journal.c"

#define REQUEST_ID "01JD0000000000000000REQEST"

static void
look_at_result (TlRequestJournal *journal)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlRequestResult) result = tl_request_journal_load_result (journal, REQUEST_ID, &error);

  fuzz_assert_answer (result, error);
  if (result != NULL)
    {
      tl_json_auto object = tl_request_result_to_json (result);
      g_autoptr (TlRequestResult) again = tl_request_result_from_json (object, NULL);

      g_assert_cmpuint (strlen (result->error), <=, TL_RESULT_ERROR_MAX);
      g_assert_nonnull (again);
      g_assert_cmpint (again->state, ==, result->state);
      g_assert_cmpstr (again->output, ==, result->output);
      g_assert_cmpstr (again->error, ==, result->error);
      g_assert_cmpstr (again->error_reason, ==, result->error_reason);
    }
}

/* Accepted and read anew, it is the same request in its last state. */
static void
look_at_rewritten (TlRequestJournal *journal, const TlRequestRecord *before)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlRequestRecord) again = NULL;
  tl_json_auto object = NULL;

  tl_request_journal_accept (journal, REQUEST_ID, &error);
  g_assert_no_error (error);
  object = read_record (journal, REQUEST_ID, &error);
  g_assert_no_error (error);
  again = parse_record (REQUEST_ID, object, &error);
  g_assert_no_error (error);
  g_assert_cmpint (again->state, ==, TL_RECORD_ACCEPTED);
  g_assert_cmpstr (again->capability, ==, before->capability);
  g_assert_cmpint (again->expires_at_ms, ==, before->expires_at_ms);
  g_assert_true (json_object_get (object, "result") == NULL);
}

/* Any file among the records: never one that may run again, and never one that stops the node. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  TlRequestJournal journal = { .directory = (char *)"/nowhere",
                               .records = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, record_free) };
  const TlRequestRecord *record;
  g_autoptr (GError) error = NULL;

  tl_log_init ("fuzz", TL_LOG_ERROR);
  fuzz_file_set (data, size);
  load_record (&journal, REQUEST_ID, &error);
  g_assert_no_error (error);
  record = tl_request_journal_lookup (&journal, REQUEST_ID);
  g_assert_nonnull (record);
  g_assert_cmpint (record->state, !=, TL_RECORD_STARTED);
  g_assert_true ((record->state == TL_RECORD_DAMAGED) == (record->receipt == NULL));
  if (record->state == TL_RECORD_FINISHED)
    {
      look_at_result (&journal);
      look_at_rewritten (&journal, record);
    }
  g_hash_table_unref (journal.records);
  g_clear_pointer (&fuzz_file, g_bytes_unref);
  return 0;
}
