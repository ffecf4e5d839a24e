/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "journal/tl-journal-row.h"

G_BEGIN_DECLS

/*
 * TlJournalVerifier: does the chain hold? Rows come in the order of their numbers; the first one that does not fit ends
 * it and is named. What it proves: every row there is, is the one that was written; none is missing between the first
 * one and the last one written; and, when a head that was kept elsewhere is given, that nobody wrote the whole chain
 * anew. No files, no SQL. Thread: owner's.
 */
typedef struct _TlJournalVerifier TlJournalVerifier;

typedef enum
{
  TL_JOURNAL_SOUND,
  TL_JOURNAL_CHANGED,    /* the row, or the hash of the one before it, is not what was written */
  TL_JOURNAL_MISSING,    /* rows before the one that is named are not there */
  TL_JOURNAL_TRUNCATED,  /* the newest rows are not there */
  TL_JOURNAL_BASE,       /* the oldest row does not follow what the checkpoint says */
  TL_JOURNAL_DAMAGED,    /* a row had been changed before retention removed it */
  TL_JOURNAL_HEAD,       /* the kept head is not on this chain */
  TL_JOURNAL_HEAD_GONE,  /* the kept head is older than what is retained: nothing can be said about it */
  TL_JOURNAL_BAD_RECEIPT /* the chain holds, a signed receipt of a request does not */
} TlJournalFinding;

/* "changed", "head_gone": stable. */
const char *tl_journal_finding_to_string (TlJournalFinding finding);

typedef struct
{
  TlJournalFinding finding;
  guint64 bad_seq; /* the row that is named; 0: none in particular */
  char *message;   /* one line for people; NULL when sound */
  guint64 rows;    /* that fit */
  guint64 first_seq;
  gint64 first_time;
  TlJournalHead head;                  /* the last row that fits */
  gboolean head_proven;                /* the kept head is on the chain */
  guint64 receipts, receipts_unproven; /* that verify; whose device or input is not known any more */
} TlJournalVerdict;

TlJournalVerifier *tl_journal_verifier_new (void);
void tl_journal_verifier_free (TlJournalVerifier *verifier);
/* Before the first row: this head has to be on the chain. */
void tl_journal_verifier_expect (TlJournalVerifier *verifier, const TlJournalHead *head);
/* The newest checkpoint of the journal: what the first row has to follow. Not called: it has to be row 1. */
void tl_journal_verifier_set_base (TlJournalVerifier *verifier, const TlJournalCheckpoint *checkpoint);
/* FALSE: it does not fit; the verdict says why, and nothing more is taken. */
gboolean tl_journal_verifier_add (TlJournalVerifier *verifier, const TlJournalRow *row);
/* After the last row. written: the highest number that was ever given (sqlite_sequence). */
gboolean tl_journal_verifier_end (TlJournalVerifier *verifier, guint64 written);
/* A signed receipt that was looked at besides. FALSE: a bad one ends it. */
gboolean tl_journal_verifier_add_receipt (TlJournalVerifier *verifier, const char *request_id, gboolean known,
                                          gboolean good);
/* Borrowed. */
const TlJournalVerdict *tl_journal_verifier_verdict (TlJournalVerifier *verifier);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlJournalVerifier, tl_journal_verifier_free)

G_END_DECLS
