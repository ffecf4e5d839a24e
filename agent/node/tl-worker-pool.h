/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlWorkerPool: a few threads for work that blocks. A job runs on one of them, then its end comes to the owner's main
 * context. Threads start when they are needed. Thread: the owner's (that of the main context), `work` excepted.
 */
typedef struct _TlWorkerPool TlWorkerPool;
typedef void (*TlWorkFunc) (gpointer data);                     /* worker thread; owns data for the time */
typedef void (*TlWorkDone) (gpointer data, gpointer user_data); /* main context; owns data now */

/* context NULL = thread-default. free_data: for jobs whose end nobody hears any more. */
TlWorkerPool *tl_worker_pool_new (guint max_threads, GMainContext *context, TlWorkFunc work, TlWorkDone done,
                                  gpointer user_data, GDestroyNotify free_data);
/* Waits a moment for jobs that still run; one that hangs is left behind and frees its data when it ever ends. `done` is
 * not called any more. */
void tl_worker_pool_free (TlWorkerPool *pool);

/* FALSE when every thread is busy: data stays the caller's. */
gboolean tl_worker_pool_run (TlWorkerPool *pool, gpointer data);
/* Threads that could take a job now. */
guint tl_worker_pool_idle (TlWorkerPool *pool);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlWorkerPool, tl_worker_pool_free)

G_END_DECLS
