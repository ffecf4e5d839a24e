/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "journal/tl-journal-reader.h"
#include "journal/tl-journal-verifier.h"

G_BEGIN_DECLS

/*
 * TlJournalVerification: a TlJournalVerifier fed from a database, a slice at a time: the chain, then the signed
 * receipts of the requests that are still in the store (Ed25519 of the device's identity key, PROTOCOL 6). A running
 * gateway may append (what was there at the last slice counts) and remove old rows (then it begins anew by itself).
 * Thread: the reader's.
 */
typedef struct _TlJournalVerification TlJournalVerification;

/* Borrows the reader. expected: a head that was kept, or NULL. */
TlJournalVerification *tl_journal_verification_new (TlJournalReader *reader, const TlJournalHead *expected);
void tl_journal_verification_free (TlJournalVerification *verification);
/* The next slice; *done at the end or at the first finding. FALSE: the database cannot be read. */
gboolean tl_journal_verification_step (TlJournalVerification *verification, gboolean *done, GError **error);
/* As far as it is. Borrowed until the next step. */
const TlJournalVerdict *tl_journal_verification_verdict (TlJournalVerification *verification);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlJournalVerification, tl_journal_verification_free)

G_END_DECLS
