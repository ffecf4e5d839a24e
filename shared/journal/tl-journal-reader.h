/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "journal/tl-journal-row.h"

G_BEGIN_DECLS

/*
 * TlJournalReader: the journal in a gateway's database, read-only, through a connection of its own, so that the
 * gateway's writer is never kept waiting: every call looks at a bounded number of rows in a transaction of its own.
 * Also for the database of a stopped gateway, or a copy: then nothing is written beside it either. Thread: one at a
 * time.
 */
typedef struct _TlJournalReader TlJournalReader;

typedef enum
{
  TL_JOURNAL_LIVE,    /* this process runs the gateway */
  TL_JOURNAL_STOPPED, /* nobody does: IN_USE when one does */
} TlJournalAccess;

/* path: of the database. Errors: NOT_FOUND, PERMISSION_DENIED, IN_USE, CORRUPT (also: no journal in it), IO. */
TlJournalReader *tl_journal_reader_open (const char *path, TlJournalAccess access, GError **error);
void tl_journal_reader_free (TlJournalReader *reader);

/* Empty strings and zeroes do not filter. */
typedef struct
{
  const char *kind;    /* a prefix: "pairing." */
  const char *actor;   /* exact */
  const char *subject; /* exact */
  const char *device;  /* a device id: as actor, as subject or anywhere in the detail */
  gint64 since, until; /* wall-clock ms, inclusive */
} TlJournalFilter;

/* Reads on from *seq (exclusive), upwards or downwards (start: 0, G_MAXINT64), what the filter lets through, at most
 * `limit` rows into `rows` (TlJournalRow, in that order). *seq moves; *end: there is nothing more now. FALSE: error. A
 * call may find nothing and not be at the end. */
gboolean tl_journal_reader_read (TlJournalReader *reader, const TlJournalFilter *filter, gboolean down, guint limit,
                                 guint64 *seq, GPtrArray *rows, gboolean *end, GError **error);

/* Numbers of the oldest and the newest row; 0 when there is none. */
gboolean tl_journal_reader_bounds (TlJournalReader *reader, guint64 *first, guint64 *last, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlJournalReader, tl_journal_reader_free)

G_END_DECLS
