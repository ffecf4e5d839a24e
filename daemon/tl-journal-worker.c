/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-journal-worker.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>

#include "base/tl-queue.h"

struct _TlJournalWorker
{
  char *path;
  TlQueue *jobs;    /* main -> thread */
  TlQueue *answers; /* thread -> main */
  pthread_t thread;
  gboolean started;
};

TlJournalJob *
tl_journal_job_new (TlJournalDone done, gpointer user_data)
{
  TlJournalJob *job = g_new0 (TlJournalJob, 1);

  job->rows = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_journal_row_free);
  job->done = done;
  job->user_data = user_data;
  return job;
}

void
tl_journal_job_free (TlJournalJob *job)
{
  if (job == NULL)
    return;
  tl_journal_verification_free (job->verification);
  g_ptr_array_unref (job->rows);
  g_clear_error (&job->error);
  g_free (job->kind);
  g_free (job->actor);
  g_free (job->subject);
  g_free (job->device);
  g_free (job);
}

static gboolean
read_slice (TlJournalReader *reader, TlJournalJob *job)
{
  const TlJournalFilter filter = { .kind = job->kind,
                                   .actor = job->actor,
                                   .subject = job->subject,
                                   .device = job->device,
                                   .since = job->since,
                                   .until = job->until };

  if ((job->from_newest || job->want_bounds)
      && !tl_journal_reader_bounds (reader, &job->first, &job->newest, &job->error))
    return FALSE;
  if (job->from_newest)
    job->seq = job->newest + (job->down ? 1 : 0);
  job->from_newest = job->want_bounds = FALSE;
  return tl_journal_reader_read (reader, &filter, job->down, job->limit, &job->seq, job->rows, &job->end, &job->error);
}

static void
run_job (TlJournalReader *reader, TlJournalJob *job)
{
  if (!job->verify)
    {
      read_slice (reader, job);
      return;
    }
  if (job->verification == NULL)
    job->verification = tl_journal_verification_new (reader, job->expecting ? &job->expected : NULL);
  tl_journal_verification_step (job->verification, &job->end, &job->error);
}

static void *
run (void *data)
{
  TlJournalWorker *self = data;
  g_autoptr (TlJournalReader) reader = NULL;
  gpointer *items;
  guint n;

  while ((items = tl_queue_wait (self->jobs, &n)) != NULL)
    {
      for (guint i = 0; i < n; i++)
        {
          TlJournalJob *job = items[i];

          if (reader == NULL)
            reader = tl_journal_reader_open (self->path, TL_JOURNAL_LIVE, &job->error);
          if (reader != NULL)
            run_job (reader, job);
          tl_queue_push (self->answers, job);
        }
      g_free (items);
    }
  OPENSSL_thread_stop ();
  return NULL;
}

static void
on_answers (gpointer *items, guint n, gpointer user_data)
{
  for (guint i = 0; i < n; i++)
    {
      TlJournalJob *job = items[i];
      job->done (job, job->user_data);
    }
}

TlJournalWorker *
tl_journal_worker_new (const char *path, GMainContext *context)
{
  TlJournalWorker *self = g_new0 (TlJournalWorker, 1);

  self->path = g_strdup (path);
  self->jobs = tl_queue_new ((GDestroyNotify)tl_journal_job_free);
  self->answers = tl_queue_new_for_context (context, on_answers, self, (GDestroyNotify)tl_journal_job_free);
  return self;
}

void
tl_journal_worker_free (TlJournalWorker *self)
{
  if (self == NULL)
    return;
  tl_queue_close (self->jobs);
  if (self->started)
    pthread_join (self->thread, NULL);
  tl_queue_close (self->answers);
  tl_queue_unref (self->jobs);
  tl_queue_unref (self->answers);
  g_free (self->path);
  g_free (self);
}

void
tl_journal_worker_run (TlJournalWorker *self, TlJournalJob *job)
{
  g_ptr_array_set_size (job->rows, 0);
  g_clear_error (&job->error);
  if (!self->started)
    {
      sigset_t all, before;
      int rc;

      sigfillset (&all); /* signals are the main context's */
      pthread_sigmask (SIG_SETMASK, &all, &before);
      rc = pthread_create (&self->thread, NULL, run, self);
      pthread_sigmask (SIG_SETMASK, &before, NULL);
      if (rc != 0)
        g_error ("cannot start the journal's thread: %s", g_strerror (rc));
      self->started = TRUE;
    }
  tl_queue_push (self->jobs, job);
}
