/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/tl-journal-wire.h"

void
tl_journal_verdict_to_message (const TlJournalVerdict *verdict, gboolean done,
                               Twinlatch__V1__VerifyJournalResponse *message)
{
  twinlatch__v1__verify_journal_response__init (message);
  message->done = done;
  message->rows = verdict->rows;
  message->receipts = verdict->receipts;
  if (!done)
    return;
  message->sound = verdict->finding == TL_JOURNAL_SOUND;
  message->finding = (char *)tl_journal_finding_to_string (verdict->finding);
  message->bad_seq = verdict->bad_seq;
  message->message = verdict->message != NULL ? verdict->message : (char *)"";
  message->first_seq = verdict->first_seq;
  message->first_time_unix_ms = verdict->first_time;
  message->head_seq = verdict->head.seq;
  message->head_hash.data = (guint8 *)verdict->head.hash;
  message->head_hash.len = sizeof verdict->head.hash;
  message->head_proven = verdict->head_proven;
  message->receipts_unproven = verdict->receipts_unproven;
}
