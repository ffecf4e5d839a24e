/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include <grpc/support/log.h>
#include <grpc/support/time.h>

#include "base/tl-log.h"
#include "base/tl-queue.h"
#include "rpc/tl-rpc-private.h"

struct _TlRpcLoop
{
  gatomicrefcount refs;
  GMainContext *context;
  grpc_completion_queue *cq;
  TlQueue *events;
  pthread_t thread;

  pthread_mutex_t lock;
  pthread_cond_t quiet;
  guint held; /* under lock: gRPC objects that still give events */
};

typedef struct
{
  TlRpcEventFunc func;
  gpointer data;
} Event;

static void
event_run (gpointer data)
{
  Event *event = data;
  Event copy = *event;

  g_free (event);
  copy.func (copy.data);
}

static void
on_events (gpointer *items, guint n, gpointer user_data)
{
  /* A handler may drop what it thinks is the last reference: the loop then ends after this batch. */
  g_autoptr (TlRpcLoop) loop = tl_rpc_loop_ref (user_data);

  for (guint i = 0; i < n; i++)
    event_run (items[i]);
}

static void *
run (void *data)
{
  TlRpcLoop *loop = data;

  for (;;)
    {
      grpc_event event = grpc_completion_queue_next (loop->cq, gpr_inf_future (GPR_CLOCK_REALTIME), NULL);
      TlRpcTag *tag = event.tag;

      if (event.type == GRPC_QUEUE_SHUTDOWN)
        return NULL;
      tag->done (tag, event.success != 0);
    }
}

/* gRPC calls an "error" what strangers do to it (failed handshakes): never above debug. */
static void
on_grpc_log (gpr_log_func_args *args)
{
  tl_log (TL_LOG_DEBUG, "grpc", "detail", args->message, NULL);
}

TlRpcLoop *
tl_rpc_loop_new (GMainContext *context)
{
  TlRpcLoop *loop = g_new0 (TlRpcLoop, 1);

  gpr_set_log_function (on_grpc_log);
  gpr_set_log_verbosity (GPR_LOG_SEVERITY_ERROR);
  grpc_init ();

  g_atomic_ref_count_init (&loop->refs);
  loop->context = context != NULL ? g_main_context_ref (context) : g_main_context_ref_thread_default ();
  loop->cq = grpc_completion_queue_create_for_next (NULL);
  loop->events = tl_queue_new_for_context (loop->context, on_events, loop, event_run);
  pthread_mutex_init (&loop->lock, NULL);
  pthread_cond_init (&loop->quiet, NULL);
  if (pthread_create (&loop->thread, NULL, run, loop) != 0)
    g_error ("cannot start the rpc thread");
  pthread_setname_np (loop->thread, "tl-rpc");
  return loop;
}

TlRpcLoop *
tl_rpc_loop_ref (TlRpcLoop *loop)
{
  g_atomic_ref_count_inc (&loop->refs);
  return loop;
}

void
tl_rpc_loop_unref (TlRpcLoop *loop)
{
  if (loop == NULL || !g_atomic_ref_count_dec (&loop->refs))
    return;
  g_assert (!pthread_equal (pthread_self (), loop->thread));

  pthread_mutex_lock (&loop->lock);
  while (loop->held > 0)
    pthread_cond_wait (&loop->quiet, &loop->lock);
  pthread_mutex_unlock (&loop->lock);

  grpc_completion_queue_shutdown (loop->cq);
  pthread_join (loop->thread, NULL);
  grpc_completion_queue_destroy (loop->cq);
  tl_queue_close (loop->events);
  tl_queue_unref (loop->events);
  grpc_shutdown_blocking ();

  pthread_cond_destroy (&loop->quiet);
  pthread_mutex_destroy (&loop->lock);
  g_main_context_unref (loop->context);
  g_free (loop);
}

grpc_completion_queue *
tl_rpc_loop_cq (TlRpcLoop *loop)
{
  return loop->cq;
}

GMainContext *
tl_rpc_loop_context (TlRpcLoop *loop)
{
  return loop->context;
}

void
tl_rpc_loop_post (TlRpcLoop *loop, TlRpcEventFunc func, gpointer data)
{
  Event *event = g_new (Event, 1);

  event->func = func;
  event->data = data;
  tl_queue_push (loop->events, event);
}

void
tl_rpc_loop_hold (TlRpcLoop *loop)
{
  pthread_mutex_lock (&loop->lock);
  loop->held++;
  pthread_mutex_unlock (&loop->lock);
}

void
tl_rpc_loop_release (TlRpcLoop *loop)
{
  pthread_mutex_lock (&loop->lock);
  g_assert (loop->held > 0);
  loop->held--;
  if (loop->held == 0)
    pthread_cond_signal (&loop->quiet);
  pthread_mutex_unlock (&loop->lock);
}

GSource *
tl_rpc_loop_add_timeout (TlRpcLoop *loop, guint interval_ms, GSourceFunc func, gpointer data)
{
  GSource *source = g_timeout_source_new (interval_ms);

  g_source_set_callback (source, func, data, NULL);
  g_source_attach (source, loop->context);
  return source;
}
