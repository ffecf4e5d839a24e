/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/tl-journal-verifier.h"

#include <string.h>

#define ROWS 9

/* A chain of ROWS rows, the first one with number `first`, behind `base`. */
typedef struct
{
  TlJournalRow rows[ROWS];
  guint n;
} Chain;

static void
chain_make (Chain *chain, guint64 first, const guint8 *base)
{
  static const guint8 zero[TL_JOURNAL_HASH_LENGTH];
  const guint8 *before = base != NULL ? base : zero;

  chain->n = ROWS;
  for (guint i = 0; i < ROWS; i++)
    {
      chain->rows[i] = (TlJournalRow){
        .seq = first + i, .time = 1000 + i, .kind = "code.minted", .actor = "uid:0", .subject = "s", .detail = "{}"
      };
      tl_journal_row_hash (before, &chain->rows[i], chain->rows[i].hash);
      before = chain->rows[i].hash;
    }
}

static void
chain_remove (Chain *chain, guint index)
{
  memmove (&chain->rows[index], &chain->rows[index + 1], (chain->n - index - 1) * sizeof chain->rows[0]);
  chain->n--;
}

static void
feed (TlJournalVerifier *verifier, const Chain *chain, guint64 written)
{
  for (guint i = 0; i < chain->n; i++)
    {
      if (!tl_journal_verifier_add (verifier, &chain->rows[i]))
        return;
    }
  tl_journal_verifier_end (verifier, written);
}

static void
assert_found_with (const Chain *chain, guint64 written, const TlJournalCheckpoint *base, const TlJournalHead *head,
                   TlJournalFinding finding, guint64 seq)
{
  g_autoptr (TlJournalVerifier) verifier = tl_journal_verifier_new ();
  const TlJournalVerdict *verdict;

  if (base != NULL)
    tl_journal_verifier_set_base (verifier, base);
  if (head != NULL)
    tl_journal_verifier_expect (verifier, head);
  feed (verifier, chain, written);
  verdict = tl_journal_verifier_verdict (verifier);
  if (verdict->message != NULL)
    g_test_message ("%s", verdict->message);
  g_assert_cmpint (verdict->finding, ==, finding);
  g_assert_cmpuint (verdict->bad_seq, ==, seq);
  g_assert_cmpint (verdict->message == NULL, ==, finding == TL_JOURNAL_SOUND);
  if (head != NULL && finding == TL_JOURNAL_SOUND)
    g_assert_true (verdict->head_proven);
  /* A finding stays the first one. */
  if (finding != TL_JOURNAL_SOUND)
    g_assert_false (tl_journal_verifier_add (verifier, &chain->rows[0]));
}

static void
assert_found (const Chain *chain, guint64 written, TlJournalFinding finding, guint64 seq)
{
  assert_found_with (chain, written, NULL, NULL, finding, seq);
}

static void
test_sound (void)
{
  Chain chain;
  Chain empty = { .n = 0 };

  chain_make (&chain, 1, NULL);
  assert_found (&chain, ROWS, TL_JOURNAL_SOUND, 0);
  assert_found (&empty, 0, TL_JOURNAL_SOUND, 0);
}

static void
test_each_column (void)
{
  for (guint at = 0; at < ROWS; at += 4)
    {
      for (guint column = 0; column < 6; column++)
        {
          Chain chain;
          TlJournalRow *row;

          chain_make (&chain, 1, NULL);
          row = &chain.rows[at];
          if (column == 0)
            row->time++;
          else if (column == 1)
            row->kind = "code.cancelled";
          else if (column == 2)
            row->actor = "uid:1";
          else if (column == 3)
            row->subject = "t";
          else if (column == 4)
            row->detail = "{ }";
          else
            row->hash[31] ^= 1;
          assert_found (&chain, ROWS, TL_JOURNAL_CHANGED, at + 1);
        }
    }
}

/* What is in one column must not do as another's: lengths are in the hash. */
static void
test_moved_between_columns (void)
{
  Chain chain;

  chain_make (&chain, 1, NULL);
  chain.rows[3].actor = "uid:0s";
  chain.rows[3].subject = "";
  assert_found (&chain, ROWS, TL_JOURNAL_CHANGED, 4);
}

static void
test_malformed (void)
{
  Chain chain;

  chain_make (&chain, 1, NULL);
  chain.rows[5].malformed = TRUE;
  assert_found (&chain, ROWS, TL_JOURNAL_CHANGED, 6);
}

static void
test_removed (void)
{
  Chain chain;

  chain_make (&chain, 1, NULL);
  chain_remove (&chain, 0);
  assert_found (&chain, ROWS, TL_JOURNAL_MISSING, 1);
  chain_make (&chain, 1, NULL);
  chain_remove (&chain, 4);
  assert_found (&chain, ROWS, TL_JOURNAL_MISSING, 5);
  chain_make (&chain, 1, NULL);
  chain_remove (&chain, 4);
  chain_remove (&chain, 4);
  assert_found (&chain, ROWS, TL_JOURNAL_MISSING, 5);
  chain_make (&chain, 1, NULL);
  chain_remove (&chain, ROWS - 1);
  assert_found (&chain, ROWS, TL_JOURNAL_TRUNCATED, ROWS);
  chain.n = 0;
  assert_found (&chain, ROWS, TL_JOURNAL_TRUNCATED, 1);
}

/* More rows than the database says were written. */
static void
test_counter_set_back (void)
{
  Chain chain;

  chain_make (&chain, 1, NULL);
  assert_found (&chain, ROWS - 2, TL_JOURNAL_CHANGED, ROWS);
}

static void
test_swapped (void)
{
  Chain chain;
  TlJournalRow row;

  /* Where they stand. */
  chain_make (&chain, 1, NULL);
  row = chain.rows[3];
  chain.rows[3] = chain.rows[4];
  chain.rows[4] = row;
  assert_found (&chain, ROWS, TL_JOURNAL_MISSING, 4);
  /* Their numbers too. */
  chain.rows[3].seq = 4;
  chain.rows[4].seq = 5;
  assert_found (&chain, ROWS, TL_JOURNAL_CHANGED, 4);
}

static void
test_kept_head (void)
{
  static const guint8 other[TL_JOURNAL_HASH_LENGTH] = { 1 };
  Chain chain, anew;
  TlJournalHead head = { .seq = 6 };
  TlJournalHead last = { .seq = ROWS };
  TlJournalHead none = { .seq = 0 };

  chain_make (&chain, 1, NULL);
  memcpy (head.hash, chain.rows[5].hash, sizeof head.hash);
  memcpy (last.hash, chain.rows[ROWS - 1].hash, sizeof last.hash);
  assert_found_with (&chain, ROWS, NULL, &head, TL_JOURNAL_SOUND, 0);
  assert_found_with (&chain, ROWS, NULL, &last, TL_JOURNAL_SOUND, 0);
  assert_found_with (&chain, ROWS, NULL, &none, TL_JOURNAL_SOUND, 0);
  /* The end cut off, and the counter with it. */
  chain.n = 6;
  assert_found (&chain, 6, TL_JOURNAL_SOUND, 0);
  assert_found_with (&chain, 6, NULL, &last, TL_JOURNAL_HEAD, 7);
  /* All written anew. */
  chain_make (&anew, 1, NULL);
  anew.rows[2].actor = "uid:1";
  for (guint i = 2; i < ROWS; i++)
    tl_journal_row_hash (anew.rows[i - 1].hash, &anew.rows[i], anew.rows[i].hash);
  assert_found (&anew, ROWS, TL_JOURNAL_SOUND, 0);
  assert_found_with (&anew, ROWS, NULL, &head, TL_JOURNAL_HEAD, 6);
  memcpy (none.hash, other, sizeof other);
  assert_found_with (&anew, ROWS, NULL, &none, TL_JOURNAL_HEAD, 0);
}

/* Rows 11..19 behind a checkpoint in row 15 that says rows up to 10 are gone. */
static void
chain_make_pruned (Chain *chain, TlJournalCheckpoint *checkpoint, guint64 damaged, char **detail)
{
  *checkpoint = (TlJournalCheckpoint){ .last = { .seq = 10 }, .rows = 10, .damaged = damaged };
  memset (checkpoint->last.hash, 7, sizeof checkpoint->last.hash);
  g_free (*detail);
  *detail = tl_journal_checkpoint_to_detail (checkpoint);
  chain_make (chain, 11, checkpoint->last.hash);
  chain->rows[4].kind = TL_JOURNAL_CHECKPOINT_KIND;
  chain->rows[4].detail = *detail;
  for (guint i = 4; i < ROWS; i++)
    tl_journal_row_hash (chain->rows[i - 1].hash, &chain->rows[i], chain->rows[i].hash);
}

static void
test_pruned (void)
{
  Chain chain;
  TlJournalCheckpoint base, wrong;
  TlJournalHead head = { .seq = 10 };
  g_autofree char *detail = NULL;

  chain_make_pruned (&chain, &base, 0, &detail);
  assert_found_with (&chain, 19, &base, NULL, TL_JOURNAL_SOUND, 0);
  /* Without the checkpoint. */
  assert_found (&chain, 19, TL_JOURNAL_MISSING, 1);
  /* A base that does not fit: another hash, another row. */
  wrong = base;
  wrong.last.hash[0] ^= 1;
  assert_found_with (&chain, 19, &wrong, NULL, TL_JOURNAL_CHANGED, 11);
  wrong = base;
  wrong.last.seq = 8;
  assert_found_with (&chain, 19, &wrong, NULL, TL_JOURNAL_MISSING, 9);
  wrong.last.seq = 12;
  assert_found_with (&chain, 19, &wrong, NULL, TL_JOURNAL_BASE, 11);
  /* One more removed than the checkpoint says. */
  chain_remove (&chain, 0);
  assert_found_with (&chain, 19, &base, NULL, TL_JOURNAL_MISSING, 11);
  /* Heads that were kept: the last one removed is still known, older ones are not. */
  chain_make_pruned (&chain, &base, 0, &detail);
  memcpy (head.hash, base.last.hash, sizeof head.hash);
  assert_found_with (&chain, 19, &base, &head, TL_JOURNAL_SOUND, 0);
  head.hash[0] ^= 1;
  assert_found_with (&chain, 19, &base, &head, TL_JOURNAL_HEAD, 10);
  head.seq = 9;
  assert_found_with (&chain, 19, &base, &head, TL_JOURNAL_HEAD_GONE, 9);
  /* What was found when rows went stays known. */
  chain_make_pruned (&chain, &base, 4, &detail);
  assert_found_with (&chain, 19, &base, NULL, TL_JOURNAL_DAMAGED, 4);
}

/* Rows that a checkpoint says are gone are there: it was put in, or they were. */
static void
test_checkpoint_without_pruning (void)
{
  Chain chain;
  TlJournalCheckpoint base;
  g_autofree char *detail = NULL;

  chain_make_pruned (&chain, &base, 0, &detail);
  chain_make (&chain, 1, NULL);
  chain.rows[4].kind = TL_JOURNAL_CHECKPOINT_KIND;
  chain.rows[4].detail = detail;
  for (guint i = 4; i < ROWS; i++)
    tl_journal_row_hash (chain.rows[i - 1].hash, &chain.rows[i], chain.rows[i].hash);
  assert_found (&chain, ROWS, TL_JOURNAL_BASE, 1);
  chain.rows[4].detail = "{}";
  for (guint i = 4; i < ROWS; i++)
    tl_journal_row_hash (chain.rows[i - 1].hash, &chain.rows[i], chain.rows[i].hash);
  assert_found (&chain, ROWS, TL_JOURNAL_BASE, 5);
}

static void
test_receipts (void)
{
  g_autoptr (TlJournalVerifier) verifier = tl_journal_verifier_new ();
  Chain chain;

  chain_make (&chain, 1, NULL);
  feed (verifier, &chain, ROWS);
  g_assert_true (tl_journal_verifier_add_receipt (verifier, "A", TRUE, TRUE));
  g_assert_true (tl_journal_verifier_add_receipt (verifier, "B", FALSE, FALSE));
  g_assert_cmpuint (tl_journal_verifier_verdict (verifier)->receipts, ==, 1);
  g_assert_cmpuint (tl_journal_verifier_verdict (verifier)->receipts_unproven, ==, 1);
  g_assert_false (tl_journal_verifier_add_receipt (verifier, "C", TRUE, FALSE));
  g_assert_cmpint (tl_journal_verifier_verdict (verifier)->finding, ==, TL_JOURNAL_BAD_RECEIPT);
  g_assert_nonnull (strstr (tl_journal_verifier_verdict (verifier)->message, "C"));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/journal/verifier/sound", test_sound);
  g_test_add_func ("/journal/verifier/each-column", test_each_column);
  g_test_add_func ("/journal/verifier/moved-between-columns", test_moved_between_columns);
  g_test_add_func ("/journal/verifier/malformed", test_malformed);
  g_test_add_func ("/journal/verifier/removed", test_removed);
  g_test_add_func ("/journal/verifier/counter-set-back", test_counter_set_back);
  g_test_add_func ("/journal/verifier/swapped", test_swapped);
  g_test_add_func ("/journal/verifier/kept-head", test_kept_head);
  g_test_add_func ("/journal/verifier/pruned", test_pruned);
  g_test_add_func ("/journal/verifier/checkpoint-without-pruning", test_checkpoint_without_pruning);
  g_test_add_func ("/journal/verifier/receipts", test_receipts);
  return g_test_run ();
}
