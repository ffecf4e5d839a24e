/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sqlite3.h>

#include "journal/tl-journal-reader.h"
#include "journal/tl-journal-verifier.h"

G_BEGIN_DECLS

/* What the files of shared/journal share; nobody else includes this. */

#define TL_JOURNAL_COLUMNS "seq, time, kind, actor, subject, detail, hash"

/* NULL with error. Finalize. */
sqlite3_stmt *tl_journal_reader_prepare (TlJournalReader *reader, const char *sql, GError **error);
/* *row FALSE at the end. */
gboolean tl_journal_reader_step (TlJournalReader *reader, sqlite3_stmt *query, gboolean *row, GError **error);
/* Text without answer: BEGIN, COMMIT. */
gboolean tl_journal_reader_exec (TlJournalReader *reader, const char *sql, GError **error);
/* The row of a query for TL_JOURNAL_COLUMNS; strings borrowed until the next step. */
void tl_journal_read_row (sqlite3_stmt *query, TlJournalRow *row);

/* The receipts of up to `limit` requests behind *request_id, which moves; *end: there are no more. FALSE: error. What
 * does not verify is the verifier's finding. */
gboolean tl_journal_verify_receipts (TlJournalReader *reader, TlJournalVerifier *verifier, guint limit,
                                     char **request_id, gboolean *end, GError **error);

/* The request that a row about its end (kind request.ended) names has the receipt whose hash the row holds; query: of
 * tl_journal_prepare_request(). FALSE: error. What does not fit is the verifier's finding. */
gboolean tl_journal_check_ended (TlJournalReader *reader, TlJournalVerifier *verifier, sqlite3_stmt *query,
                                 const TlJournalRow *row, GError **error);
sqlite3_stmt *tl_journal_prepare_request (TlJournalReader *reader, GError **error);

static inline void
tl_journal_statement_clear (sqlite3_stmt **statement)
{
  sqlite3_finalize (*statement);
  *statement = NULL;
}
#define tl_statement_auto __attribute__ ((cleanup (tl_journal_statement_clear))) sqlite3_stmt *

G_END_DECLS
