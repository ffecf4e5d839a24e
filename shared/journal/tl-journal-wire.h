/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "journal/tl-journal-verifier.h"
#include "twinlatch/v1/admin.pb-c.h"

G_BEGIN_DECLS

/* A verdict as VerifyJournal tells it; borrows from the verdict. done FALSE: progress. Thread: any. */
void tl_journal_verdict_to_message (const TlJournalVerdict *verdict, gboolean done,
                                    Twinlatch__V1__VerifyJournalResponse *message);

G_END_DECLS
