/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "journal/tl-journal-verification.h"

G_BEGIN_DECLS

/*
 * TlJournalWorker: reads and verifies the journal on a thread and a connection of its own, so that neither the store's
 * writer nor the main context waits for it. Jobs are slices (tl-journal-reader.h): who wants more asks again, so that
 * many readers share the thread. The thread starts with the first job. Thread: main.
 */
typedef struct _TlJournalWorker TlJournalWorker;

typedef struct _TlJournalJob TlJournalJob;
/* On the main context; the job is the callee's until it is run again or freed. */
typedef void (*TlJournalDone) (TlJournalJob *job, gpointer user_data);

/* Belongs to who made it while it is not under way, and to the worker while it is. */
struct _TlJournalJob
{
  /* Reading. */
  char *kind, *actor, *subject, *device; /* NULL does not filter */
  gint64 since, until;
  gboolean down;
  gboolean from_newest; /* `seq` becomes the newest row's: with it when reading downwards, behind it upwards */
  gboolean want_bounds; /* `first` and `newest` are looked up before; from_newest does so too */
  guint limit;
  guint64 seq;
  guint64 first, newest; /* numbers of the oldest and the newest row; 0: none */
  GPtrArray *rows;       /* TlJournalRow; what this slice found */
  gboolean end;

  /* Verifying, when verify is set: `rows` is not used. */
  gboolean verify;
  gboolean expecting;
  TlJournalHead expected;
  TlJournalVerification *verification; /* the worker's */

  GError *error;
  TlJournalDone done;
  gpointer user_data;
};

TlJournalJob *tl_journal_job_new (TlJournalDone done, gpointer user_data);
void tl_journal_job_free (TlJournalJob *job); /* NULL allowed; not while it is under way */

/* path: of the database, which is open in this process. */
TlJournalWorker *tl_journal_worker_new (const char *path, GMainContext *context);
/* Ends what is under way; jobs that were not handed back are freed without a call. */
void tl_journal_worker_free (TlJournalWorker *worker);
/* The next slice of a job. */
void tl_journal_worker_run (TlJournalWorker *worker, TlJournalJob *job);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlJournalJob, tl_journal_job_free)

G_END_DECLS
