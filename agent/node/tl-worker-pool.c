/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-worker-pool.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/tl-queue.h"

#define LEAVE_SECONDS 2 /* how long free() waits for one thread */

/* What a thread needs; outlives the pool when the thread hangs. */
typedef struct
{
  TlQueue *jobs;
  TlQueue *ends;
  TlWorkFunc work;
} Shared;

typedef struct
{
  pthread_t thread;
  gboolean started;
  gboolean busy;
  TlQueue *jobs; /* Job; one queue a thread, since TlQueue hands out whole batches */
} Worker;

/* Travels to the thread and back. */
typedef struct
{
  gpointer data;
  guint worker;
  GDestroyNotify free_data;
} Job;

struct _TlWorkerPool
{
  Worker *workers;
  guint n_workers;
  guint busy;
  TlQueue *ends;
  TlWorkFunc work;
  TlWorkDone done;
  gpointer user_data;
  GDestroyNotify free_data;
};

static void
job_free (gpointer item)
{
  Job *job = item;

  if (job->data != NULL && job->free_data != NULL)
    job->free_data (job->data);
  g_free (job);
}

static void *
thread_main (void *argument)
{
  Shared *shared = argument;
  gpointer *items;
  guint n;

  while ((items = tl_queue_wait (shared->jobs, &n)) != NULL)
    {
      for (guint i = 0; i < n; i++)
        {
          shared->work (((Job *)items[i])->data);
          tl_queue_push (shared->ends, items[i]);
        }
      g_free (items);
    }
  tl_queue_unref (shared->jobs);
  tl_queue_unref (shared->ends);
  g_free (shared);
  return NULL;
}

static void
on_ends (gpointer *items, guint n, gpointer user_data)
{
  TlWorkerPool *pool = user_data;
  g_autofree gpointer *data = g_new (gpointer, n);

  /* All threads are free before anybody hears of it: done() may start the next job or free the pool. */
  for (guint i = 0; i < n; i++)
    {
      Job *job = items[i];

      pool->workers[job->worker].busy = FALSE;
      pool->busy--;
      data[i] = g_steal_pointer (&job->data);
      job_free (job);
    }
  for (guint i = 0; i < n; i++)
    pool->done (data[i], pool->user_data);
}

TlWorkerPool *
tl_worker_pool_new (guint max_threads, GMainContext *context, TlWorkFunc work, TlWorkDone done, gpointer user_data,
                    GDestroyNotify free_data)
{
  TlWorkerPool *pool = g_new0 (TlWorkerPool, 1);

  pool->workers = g_new0 (Worker, max_threads);
  pool->n_workers = max_threads;
  pool->work = work;
  pool->done = done;
  pool->user_data = user_data;
  pool->free_data = free_data;
  pool->ends = tl_queue_new_for_context (context, on_ends, pool, job_free);
  return pool;
}

void
tl_worker_pool_free (TlWorkerPool *pool)
{
  if (pool == NULL)
    return;
  tl_queue_close (pool->ends);
  for (guint i = 0; i < pool->n_workers; i++)
    if (pool->workers[i].started)
      tl_queue_close (pool->workers[i].jobs);
  for (guint i = 0; i < pool->n_workers; i++)
    {
      struct timespec until;

      if (!pool->workers[i].started)
        continue;
      clock_gettime (CLOCK_MONOTONIC, &until);
      until.tv_sec += LEAVE_SECONDS;
      if (pthread_clockjoin_np (pool->workers[i].thread, NULL, CLOCK_MONOTONIC, &until) != 0)
        pthread_detach (pool->workers[i].thread);
      tl_queue_unref (pool->workers[i].jobs);
    }
  tl_queue_unref (pool->ends);
  g_free (pool->workers);
  g_free (pool);
}

static gboolean
start_thread (TlWorkerPool *pool, Worker *worker)
{
  Shared *shared = g_new0 (Shared, 1);
  sigset_t all, before;
  int failure;

  worker->jobs = tl_queue_new (job_free);
  shared->jobs = tl_queue_ref (worker->jobs);
  shared->ends = tl_queue_ref (pool->ends);
  shared->work = pool->work;
  /* Signals are the main thread's business. */
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  failure = pthread_create (&worker->thread, NULL, thread_main, shared);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (failure == 0)
    {
      worker->started = TRUE;
      return TRUE;
    }
  tl_queue_unref (shared->jobs);
  tl_queue_unref (shared->ends);
  g_clear_pointer (&worker->jobs, tl_queue_unref);
  g_free (shared);
  return FALSE;
}

gboolean
tl_worker_pool_run (TlWorkerPool *pool, gpointer data)
{
  for (guint i = 0; i < pool->n_workers; i++)
    {
      Worker *worker = &pool->workers[i];
      Job *job;

      if (worker->busy || (!worker->started && !start_thread (pool, worker)))
        continue;
      job = g_new0 (Job, 1);
      job->data = data;
      job->worker = i;
      job->free_data = pool->free_data;
      worker->busy = TRUE;
      pool->busy++;
      tl_queue_push (worker->jobs, job);
      return TRUE;
    }
  return FALSE;
}

guint
tl_worker_pool_idle (TlWorkerPool *pool)
{
  return pool->n_workers - pool->busy;
}
