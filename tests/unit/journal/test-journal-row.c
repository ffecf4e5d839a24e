/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/tl-journal-row.h"

#include <string.h>

#include "base/tl-error.h"

/* Values from tests/integration/journal_check.py, which shares no code with this one. */
static void
test_hash (void)
{
  static const guint8 zero[TL_JOURNAL_HASH_LENGTH];
  TlJournalRow first = { .seq = 1,
                         .time = G_GINT64_CONSTANT (1800000000000),
                         .kind = "code.minted",
                         .actor = "uid:1000",
                         .subject = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                         .detail = "{\"method\":\"pin\"}" };
  TlJournalRow second
      = { .seq = 2, .time = -5, .kind = "journal.pruned", .actor = "gateway", .subject = "", .detail = "{}" };
  g_autofree char *one = NULL;
  g_autofree char *two = NULL;

  tl_journal_row_hash (zero, &first, first.hash);
  tl_journal_row_hash (first.hash, &second, second.hash);
  one = tl_hex_encode (first.hash, sizeof first.hash);
  two = tl_hex_encode (second.hash, sizeof second.hash);
  g_assert_cmpstr (one, ==, "b54d5759a1dff6b1954b55798c5477e59a2e6693d76f95892fdeb2ebb6a550f3");
  g_assert_cmpstr (two, ==, "b9795b419bcd9bc6a478f7e6c84fd70cd17ef4c2db9f7f042ec2c11659bceb4d");
}

static void
test_head (void)
{
  static const char *const bad[] = { "",
                                     "1",
                                     ":",
                                     "1:",
                                     "x:b54d5759a1dff6b1954b55798c5477e59a2e6693d76f95892fdeb2ebb6a550f3",
                                     "1:b",
                                     "-1:b54d5759a1dff6b1954b55798c5477e59a2e6693d76f95892fdeb2ebb6a550f3",
                                     "1:b54d5759a1dff6b1954b55798c5477e59a2e6693d76f95892fdeb2ebb6a550f30" };
  const char *text = "42:b54d5759a1dff6b1954b55798c5477e59a2e6693d76f95892fdeb2ebb6a550f3";
  g_autoptr (GError) error = NULL;
  g_autofree char *again = NULL;
  TlJournalHead head;

  g_assert_true (tl_journal_head_parse (text, &head, &error));
  g_assert_cmpuint (head.seq, ==, 42);
  again = tl_journal_head_to_string (&head);
  g_assert_cmpstr (again, ==, text);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_false (tl_journal_head_parse (bad[i], &head, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      g_clear_error (&error);
    }
  g_assert_cmpuint (head.seq, ==, 42); /* outputs on success only */
}

static void
test_checkpoint (void)
{
  TlJournalCheckpoint checkpoint = { .last = { .seq = 7 }, .rows = 7, .damaged = 3 };
  TlJournalCheckpoint parsed;
  g_autofree char *detail = NULL;

  memset (checkpoint.last.hash, 0xab, sizeof checkpoint.last.hash);
  detail = tl_journal_checkpoint_to_detail (&checkpoint);
  g_assert_true (tl_journal_checkpoint_parse (detail, &parsed, NULL));
  g_assert_cmpmem (&parsed, sizeof parsed, &checkpoint, sizeof checkpoint);
  g_assert_false (tl_journal_checkpoint_parse ("{}", &parsed, NULL));
  g_assert_false (tl_journal_checkpoint_parse ("[", &parsed, NULL));
  g_assert_false (tl_journal_checkpoint_parse ("{\"last_seq\":7}", &parsed, NULL));
  g_assert_false (tl_journal_checkpoint_parse ("{\"last_seq\":-7,\"last_hash\":\"\"}", &parsed, NULL));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/journal/row/hash", test_hash);
  g_test_add_func ("/journal/row/head", test_head);
  g_test_add_func ("/journal/row/checkpoint", test_checkpoint);
  return g_test_run ();
}
