/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "crypto/tl-hash.h"

G_BEGIN_DECLS

/*
 * A row of the gateway's journal and how it is chained to the one before (DESIGN, State; data/doc/journal.md):
 *   hash = H (T ("journal"; hash of the row before, u64 seq, u64 time, kind, actor, subject, detail))
 * with 32 zero bytes before the first row. Values. Thread: any.
 */
#define TL_JOURNAL_HASH_LENGTH TL_SHA256_LENGTH
/* The kind of a checkpoint: rows before it are gone (retention). */
#define TL_JOURNAL_CHECKPOINT_KIND "journal.pruned"
/* The kind of a row that holds the hash of a request's receipt. */
#define TL_JOURNAL_ENDED_KIND "request.ended"

typedef struct
{
  guint64 seq;
  gint64 time; /* wall-clock ms */
  const char *kind, *actor, *subject, *detail;
  guint8 hash[TL_JOURNAL_HASH_LENGTH];
  gboolean malformed; /* as it was found: a column of another type, a NUL inside a text, a hash of another size */
} TlJournalRow;

/* Owns its strings. */
TlJournalRow *tl_journal_row_copy (const TlJournalRow *row);
void tl_journal_row_free (TlJournalRow *row);
/* The hash of a row that follows one with the hash `previous`; row->hash is not read. */
void tl_journal_row_hash (const guint8 previous[TL_JOURNAL_HASH_LENGTH], const TlJournalRow *row,
                          guint8 hash[TL_JOURNAL_HASH_LENGTH]);

/* The newest row, for keeping elsewhere: who changes or removes rows up to it is found out. seq 0: no row yet. */
typedef struct
{
  guint64 seq;
  guint8 hash[TL_JOURNAL_HASH_LENGTH];
} TlJournalHead;

/* "SEQ:HASH"; g_free(). */
char *tl_journal_head_to_string (const TlJournalHead *head);
/* TL_ERROR_INVALID_ARGUMENT */
gboolean tl_journal_head_parse (const char *text, TlJournalHead *head, GError **error);

/* What a checkpoint's detail says: the last row that is gone, and (when not 0) the first row that did not verify when
 * it went. */
typedef struct
{
  TlJournalHead last;
  guint64 rows;
  guint64 damaged;
} TlJournalCheckpoint;

char *tl_journal_checkpoint_to_detail (const TlJournalCheckpoint *checkpoint);
/* TL_ERROR_INVALID_ARGUMENT */
gboolean tl_journal_checkpoint_parse (const char *detail, TlJournalCheckpoint *checkpoint, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlJournalRow, tl_journal_row_free)

G_END_DECLS
