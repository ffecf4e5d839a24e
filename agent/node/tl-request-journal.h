/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-request-result.h"

G_BEGIN_DECLS

/*
 * TlRequestJournal: at most once (PROTOCOL 4.1, P). requests/<request id>.json, written atomically and durably:
 * `started` before a request that is not idempotent runs, `finished` with its result before the result is handed in,
 * `accepted` without the output until expires_at + 24 h, so that an event that comes again does not run again. Opening
 * turns every `started` of an earlier process into `finished: failed, interrupted`. The folder is locked while the
 * journal is open: two processes cannot both believe that they are first. Blocking; thread: owner's.
 */
#define TL_REQUEST_KEEP_MS     (G_GINT64_CONSTANT (24) * 3600 * 1000)
#define TL_REQUEST_MAX_LIFE_MS (G_GINT64_CONSTANT (7) * 86400 * 1000) /* PROTOCOL 4.2: longest expires_at */

typedef enum
{
  TL_RECORD_STARTED,  /* is running in this process */
  TL_RECORD_FINISHED, /* the result waits to be handed in */
  TL_RECORD_ACCEPTED, /* the gateway has it, or does not want it */
  TL_RECORD_DAMAGED,  /* the file cannot be read: must not run again, nothing more is known */
} TlRecordState;

/* Borrowed from the journal until the record changes. */
typedef struct
{
  char *request_id;
  char *capability; /* "" when damaged */
  TlRecordState state;
  gint64 expires_at_ms;
  TlReceipt *receipt; /* NULL when damaged */
} TlRequestRecord;

typedef struct _TlRequestJournal TlRequestJournal;

/* IN_USE when another process has it open. */
TlRequestJournal *tl_request_journal_new (const char *directory, gint64 now_ms, GError **error);
void tl_request_journal_free (TlRequestJournal *journal);

/* NULL when unknown. */
const TlRequestRecord *tl_request_journal_lookup (TlRequestJournal *journal, const char *request_id);
/* Ids of FINISHED records, oldest first: GPtrArray of char*. */
GPtrArray *tl_request_journal_finished (TlRequestJournal *journal);

/* Durable when TRUE; after FALSE the request must not run. ALREADY_EXISTS for a known id. */
gboolean tl_request_journal_start (TlRequestJournal *journal, const char *request_id, const char *capability,
                                   const TlReceipt *receipt, GError **error);
/* STARTED -> FINISHED. */
gboolean tl_request_journal_finish (TlRequestJournal *journal, const char *request_id, const TlRequestResult *result,
                                    GError **error);
/* The kept result of a FINISHED record, from disk. */
TlRequestResult *tl_request_journal_load_result (TlRequestJournal *journal, const char *request_id, GError **error);
/* FINISHED -> ACCEPTED; forgets the output. */
gboolean tl_request_journal_accept (TlRequestJournal *journal, const char *request_id, GError **error);
/* Removes accepted and damaged records that nobody can ask for again. */
void tl_request_journal_prune (TlRequestJournal *journal, gint64 now_ms);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRequestJournal, tl_request_journal_free)

G_END_DECLS
