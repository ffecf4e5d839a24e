/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/tl-journal-verifier.h"

#include <string.h>

struct _TlJournalVerifier
{
  TlJournalVerdict verdict;
  TlJournalCheckpoint base; /* last.seq 0: none */
  TlJournalHead expected;
  gboolean expecting;
  guint64 newest_pruned; /* by the newest checkpoint row met */
};

const char *
tl_journal_finding_to_string (TlJournalFinding finding)
{
  switch (finding)
    {
    case TL_JOURNAL_SOUND:
      return "sound";
    case TL_JOURNAL_CHANGED:
      return "changed";
    case TL_JOURNAL_MISSING:
      return "missing";
    case TL_JOURNAL_TRUNCATED:
      return "truncated";
    case TL_JOURNAL_BASE:
      return "base";
    case TL_JOURNAL_DAMAGED:
      return "damaged";
    case TL_JOURNAL_HEAD:
      return "head";
    case TL_JOURNAL_HEAD_GONE:
      return "head_gone";
    case TL_JOURNAL_BAD_RECEIPT:
      return "bad_receipt";
    }
  return "unknown";
}

TlJournalVerifier *
tl_journal_verifier_new (void)
{
  return g_new0 (TlJournalVerifier, 1);
}

void
tl_journal_verifier_free (TlJournalVerifier *self)
{
  if (self == NULL)
    return;
  g_free (self->verdict.message);
  g_free (self);
}

void
tl_journal_verifier_expect (TlJournalVerifier *self, const TlJournalHead *head)
{
  self->expected = *head;
  self->expecting = TRUE;
}

void
tl_journal_verifier_set_base (TlJournalVerifier *self, const TlJournalCheckpoint *checkpoint)
{
  self->base = *checkpoint;
}

static gboolean find (TlJournalVerifier *self, TlJournalFinding finding, guint64 seq, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

/* The first finding counts. Always FALSE. */
static gboolean
find (TlJournalVerifier *self, TlJournalFinding finding, guint64 seq, const char *format, ...)
{
  va_list arguments;

  if (self->verdict.finding != TL_JOURNAL_SOUND)
    return FALSE;
  self->verdict.finding = finding;
  self->verdict.bad_seq = seq;
  va_start (arguments, format);
  self->verdict.message = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  return FALSE;
}

#define N "%" G_GUINT64_FORMAT

static gboolean
find_missing (TlJournalVerifier *self, guint64 first, guint64 row)
{
  if (first + 1 == row)
    return find (self, TL_JOURNAL_MISSING, first, "row " N " is missing", first);
  return find (self, TL_JOURNAL_MISSING, first, "rows " N " to " N " are missing", first, row - 1);
}

/* The chain starts: at row 1, or where the newest checkpoint says. */
static gboolean
start (TlJournalVerifier *self, const TlJournalRow *row)
{
  guint64 pruned = self->base.last.seq;

  self->verdict.first_seq = row->seq;
  self->verdict.first_time = row->time;
  if (row->seq > pruned + 1)
    return find_missing (self, pruned + 1, row->seq);
  if (row->seq <= pruned)
    return find (self, TL_JOURNAL_BASE, row->seq,
                 "row " N " is there although the newest checkpoint says that rows up to " N " were removed", row->seq,
                 pruned);
  self->verdict.head = self->base.last;
  return TRUE;
}

static gboolean
check_checkpoint (TlJournalVerifier *self, const TlJournalRow *row)
{
  TlJournalCheckpoint checkpoint;

  if (!tl_journal_checkpoint_parse (row->detail, &checkpoint, NULL))
    return find (self, TL_JOURNAL_BASE, row->seq, "row " N " is a checkpoint that cannot be read", row->seq);
  if (checkpoint.damaged != 0)
    return find (self, TL_JOURNAL_DAMAGED, checkpoint.damaged,
                 "row " N " had been changed before retention removed it (row " N " says so)", checkpoint.damaged,
                 row->seq);
  self->newest_pruned = checkpoint.last.seq;
  return TRUE;
}

gboolean
tl_journal_verifier_add (TlJournalVerifier *self, const TlJournalRow *row)
{
  TlJournalVerdict *verdict = &self->verdict;
  guint8 hash[TL_JOURNAL_HASH_LENGTH];

  if (verdict->finding != TL_JOURNAL_SOUND)
    return FALSE;
  if (row->malformed || row->seq == 0 || row->seq > G_MAXINT64)
    return find (self, TL_JOURNAL_CHANGED, row->seq, "row %" G_GINT64_FORMAT " is not a row that was written",
                 (gint64)row->seq);
  if (verdict->rows == 0 ? !start (self, row) : row->seq != verdict->head.seq + 1)
    return verdict->finding != TL_JOURNAL_SOUND ? FALSE : find_missing (self, verdict->head.seq + 1, row->seq);

  tl_journal_row_hash (verdict->head.hash, row, hash);
  if (memcmp (hash, row->hash, sizeof hash) != 0)
    return find (self, TL_JOURNAL_CHANGED, row->seq,
                 verdict->rows == 0 && self->base.last.seq == 0 ? "row " N " was changed"
                                                                : "row " N
                                                                  " was changed, or the hash of the row before it",
                 row->seq);
  if (self->expecting && self->expected.seq == row->seq)
    {
      if (memcmp (self->expected.hash, row->hash, sizeof hash) != 0)
        return find (self, TL_JOURNAL_HEAD, row->seq,
                     "row " N " is not the one whose hash was kept: the journal was written anew", row->seq);
      verdict->head_proven = TRUE;
    }
  if (strcmp (row->kind, TL_JOURNAL_CHECKPOINT_KIND) == 0 && !check_checkpoint (self, row))
    return FALSE;
  verdict->head.seq = row->seq;
  memcpy (verdict->head.hash, row->hash, sizeof hash);
  verdict->rows++;
  return TRUE;
}

static gboolean
check_head (TlJournalVerifier *self)
{
  TlJournalVerdict *verdict = &self->verdict;
  const TlJournalHead *expected = &self->expected;
  static const guint8 zero[TL_JOURNAL_HASH_LENGTH];
  /* Before the first row: what the checkpoint says, or nothing at all. */
  guint64 before = self->base.last.seq;

  if (!self->expecting || verdict->head_proven)
    return TRUE;
  if (expected->seq > verdict->head.seq)
    return find (self, TL_JOURNAL_HEAD, verdict->head.seq + 1,
                 "rows from " N " on were removed: the head that was kept is row " N, verdict->head.seq + 1,
                 expected->seq);
  if (expected->seq < before)
    return find (self, TL_JOURNAL_HEAD_GONE, expected->seq,
                 "the head that was kept is row " N ", which retention removed; rows are kept from " N " on",
                 expected->seq, before + 1);
  if (memcmp (expected->hash, before != 0 ? self->base.last.hash : zero, sizeof zero) != 0)
    return find (self, TL_JOURNAL_HEAD, expected->seq,
                 "row " N " is not the one whose hash was kept: the journal was written anew", expected->seq);
  verdict->head_proven = TRUE;
  return TRUE;
}

gboolean
tl_journal_verifier_end (TlJournalVerifier *self, guint64 written)
{
  TlJournalVerdict *verdict = &self->verdict;

  if (verdict->finding != TL_JOURNAL_SOUND)
    return FALSE;
  if (verdict->head.seq + 1 == written)
    return find (self, TL_JOURNAL_TRUNCATED, written, "the newest row, " N ", is missing", written);
  if (verdict->head.seq < written)
    return find (self, TL_JOURNAL_TRUNCATED, verdict->head.seq + 1, "the newest rows, " N " to " N ", are missing",
                 verdict->head.seq + 1, written);
  if (verdict->head.seq > written)
    return find (self, TL_JOURNAL_CHANGED, verdict->head.seq,
                 "the last row is " N ", the database says that only " N " were written", verdict->head.seq, written);
  if (self->newest_pruned != self->base.last.seq)
    return find (self, TL_JOURNAL_BASE, verdict->first_seq,
                 "the oldest row is " N ", the newest checkpoint says that rows up to " N " were removed",
                 verdict->first_seq, self->newest_pruned);
  return check_head (self);
}

gboolean
tl_journal_verifier_add_receipt (TlJournalVerifier *self, const char *request_id, gboolean known, gboolean good)
{
  if (known && !good)
    return find (self, TL_JOURNAL_BAD_RECEIPT, 0, "the receipt of request %s is not the one that its device signed",
                 request_id);
  if (known)
    self->verdict.receipts++;
  else
    self->verdict.receipts_unproven++;
  return TRUE;
}

const TlJournalVerdict *
tl_journal_verifier_verdict (TlJournalVerifier *self)
{
  return &self->verdict;
}
