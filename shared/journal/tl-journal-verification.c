/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/tl-journal-verification.h"

#include <string.h>

#include "base/tl-error.h"
#include "journal/tl-journal-private.h"

/* One slice is a transaction of about 20 ms: longer ones would keep the gateway from emptying its write-ahead log. */
#define SLICE_ROWS     4000
#define SLICE_RECEIPTS 200
#define MAX_RESTARTS   16 /* by retention, while we read */

struct _TlJournalVerification
{
  TlJournalReader *reader;
  TlJournalVerifier *verifier;
  TlJournalHead expected;
  gboolean expecting;
  gboolean begun;
  gboolean chain_done;
  gint64 first_seq; /* of the table when it began; 0: empty */
  gint64 next_seq;  /* the last row looked at */
  guint restarts;
  char *request_id; /* the last one whose receipt was looked at */
};

static void
begin (TlJournalVerification *self)
{
  g_clear_pointer (&self->verifier, tl_journal_verifier_free);
  self->verifier = tl_journal_verifier_new ();
  if (self->expecting)
    tl_journal_verifier_expect (self->verifier, &self->expected);
  self->begun = FALSE;
  self->next_seq = G_MININT64;
}

TlJournalVerification *
tl_journal_verification_new (TlJournalReader *reader, const TlJournalHead *expected)
{
  TlJournalVerification *self = g_new0 (TlJournalVerification, 1);

  self->reader = reader;
  self->expecting = expected != NULL;
  if (expected != NULL)
    self->expected = *expected;
  self->request_id = g_strdup ("");
  begin (self);
  return self;
}

void
tl_journal_verification_free (TlJournalVerification *self)
{
  if (self == NULL)
    return;
  tl_journal_verifier_free (self->verifier);
  g_free (self->request_id);
  g_free (self);
}

/* The first column of the first row; 0 when there is none. */
static gboolean
get_integer (TlJournalVerification *self, const char *sql, gint64 *value, GError **error)
{
  tl_statement_auto query = tl_journal_reader_prepare (self->reader, sql, error);
  gboolean row;

  if (query == NULL || !tl_journal_reader_step (self->reader, query, &row, error))
    return FALSE;
  *value = row ? sqlite3_column_int64 (query, 0) : 0;
  return TRUE;
}

/* Rows below the first one were removed: the newest checkpoint says up to where. One that cannot be read is found when
 * the chain comes to it. */
static gboolean
set_base (TlJournalVerification *self, GError **error)
{
  tl_statement_auto query
      = tl_journal_reader_prepare (self->reader,
                                   "SELECT detail FROM journal WHERE kind = '" TL_JOURNAL_CHECKPOINT_KIND
                                   "' ORDER BY seq DESC LIMIT 1",
                                   error);
  TlJournalCheckpoint checkpoint;
  gboolean row;

  if (query == NULL || !tl_journal_reader_step (self->reader, query, &row, error))
    return FALSE;
  if (row && sqlite3_column_text (query, 0) != NULL
      && tl_journal_checkpoint_parse ((const char *)sqlite3_column_text (query, 0), &checkpoint, NULL))
    tl_journal_verifier_set_base (self->verifier, &checkpoint);
  return TRUE;
}

static gboolean
first_of_table (TlJournalVerification *self, gint64 *seq, GError **error)
{
  return get_integer (self, "SELECT min (seq) FROM journal", seq, error);
}

static gboolean
check_rows (TlJournalVerification *self, guint *n, GError **error)
{
  tl_statement_auto query
      = tl_journal_reader_prepare (self->reader,
                                   "SELECT " TL_JOURNAL_COLUMNS " FROM journal WHERE seq > ? ORDER BY seq LIMIT ?",
                                   error);
  tl_statement_auto request = tl_journal_prepare_request (self->reader, query != NULL ? error : NULL);
  gboolean row = TRUE;

  if (query == NULL || request == NULL)
    return FALSE;
  sqlite3_bind_int64 (query, 1, self->next_seq);
  sqlite3_bind_int64 (query, 2, SLICE_ROWS);
  for (*n = 0; row; (*n)++)
    {
      TlJournalRow found;

      if (!tl_journal_reader_step (self->reader, query, &row, error))
        return FALSE;
      if (!row)
        break;
      tl_journal_read_row (query, &found);
      if (!tl_journal_verifier_add (self->verifier, &found))
        return TRUE;
      if (strcmp (found.kind, TL_JOURNAL_ENDED_KIND) == 0
          && !tl_journal_check_ended (self->reader, self->verifier, request, &found, error))
        return FALSE;
      self->next_seq = (gint64)found.seq;
    }
  return TRUE;
}

static gboolean
is_sound (TlJournalVerification *self)
{
  return tl_journal_verifier_verdict (self->verifier)->finding == TL_JOURNAL_SOUND;
}

static gboolean
check_slice (TlJournalVerification *self, GError **error)
{
  gint64 first, written;
  guint n;

  if (!first_of_table (self, &first, error))
    return FALSE;
  if (self->begun && first != self->first_seq && self->restarts < MAX_RESTARTS)
    {
      self->restarts++;
      begin (self);
    }
  if (!self->begun)
    {
      self->begun = TRUE;
      self->first_seq = first;
      if (first > 1 && !set_base (self, error))
        return FALSE;
    }
  if (!check_rows (self, &n, error))
    return FALSE;
  if (!is_sound (self) || n == SLICE_ROWS)
    return TRUE;
  self->chain_done = TRUE;
  if (!get_integer (self, "SELECT seq FROM sqlite_sequence WHERE name = 'journal'", &written, error))
    return FALSE;
  tl_journal_verifier_end (self->verifier, (guint64)MAX (written, 0));
  return TRUE;
}

static gboolean
step (TlJournalVerification *self, gboolean *done, GError **error)
{
  gboolean end = FALSE;

  if (!self->chain_done)
    {
      if (!check_slice (self, error))
        return FALSE;
    }
  else if (!tl_journal_verify_receipts (self->reader, self->verifier, SLICE_RECEIPTS, &self->request_id, &end, error))
    return FALSE;
  *done = end || !is_sound (self);
  return TRUE;
}

gboolean
tl_journal_verification_step (TlJournalVerification *self, gboolean *done, GError **error)
{
  gboolean ok;

  if (!tl_journal_reader_exec (self->reader, "BEGIN", error))
    return FALSE;
  ok = step (self, done, error);
  return tl_journal_reader_exec (self->reader, "COMMIT", ok ? error : NULL) && ok;
}

const TlJournalVerdict *
tl_journal_verification_verdict (TlJournalVerification *self)
{
  return tl_journal_verifier_verdict (self->verifier);
}
