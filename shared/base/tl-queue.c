/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/*
 * Two counts. `refs` are the users'; when they are gone the queue closes. `holds` keep the memory: one for all users
 * together, one for the GSource, which GLib keeps while it dispatches. So the last user may leave on any thread while
 * the consumer's context is inside dispatch().
 */
struct _TlQueue
{
  atomic_int refs;
  atomic_int holds;
  pthread_mutex_t mutex;
  pthread_cond_t filled; /* plain queues */
  GDestroyNotify free_item;
  TlQueueFunc func; /* context queues */
  gpointer user_data;
  GMainContext *context;
  GSource *source;

  /* under the mutex */
  GPtrArray *items;
  gboolean wake_up_pending;
  gboolean closed;
};

static void
free_items (TlQueue *queue, GPtrArray *items)
{
  for (guint i = 0; queue->free_item != NULL && i < items->len; i++)
    queue->free_item (items->pdata[i]);
  g_ptr_array_unref (items);
}

static void
release (gpointer data)
{
  TlQueue *queue = data;

  if (atomic_fetch_sub (&queue->holds, 1) > 1)
    return;

  free_items (queue, queue->items);
  g_clear_pointer (&queue->source, g_source_unref);
  g_clear_pointer (&queue->context, g_main_context_unref);
  pthread_cond_destroy (&queue->filled);
  pthread_mutex_destroy (&queue->mutex);
  g_free (queue);
}

/* Under the mutex. */
static GPtrArray *
take_items (TlQueue *queue)
{
  GPtrArray *items = queue->items;

  queue->items = g_ptr_array_new ();
  queue->wake_up_pending = FALSE;
  return items;
}

static gboolean
call_consumer (gpointer data)
{
  TlQueue *queue = data;
  g_autoptr (GPtrArray) items = NULL;

  /* First this, then the items: a push in between finds the wake-up still pending and its item is in this batch. */
  g_source_set_ready_time (queue->source, -1);

  pthread_mutex_lock (&queue->mutex);
  items = take_items (queue);
  pthread_mutex_unlock (&queue->mutex);

  if (items->len > 0)
    queue->func (items->pdata, items->len, queue->user_data);
  return G_SOURCE_CONTINUE;
}

static gboolean
dispatch (GSource *source G_GNUC_UNUSED, GSourceFunc callback, gpointer user_data)
{
  return callback (user_data);
}

static GSourceFuncs source_funcs = { .dispatch = dispatch };

TlQueue *
tl_queue_new (GDestroyNotify free_item)
{
  TlQueue *queue = g_new0 (TlQueue, 1);
  pthread_condattr_t attributes;

  atomic_init (&queue->refs, 1);
  atomic_init (&queue->holds, 1);
  pthread_mutex_init (&queue->mutex, NULL);
  pthread_condattr_init (&attributes);
  pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC); /* deadlines do not jump with the wall clock */
  pthread_cond_init (&queue->filled, &attributes);
  pthread_condattr_destroy (&attributes);
  queue->free_item = free_item;
  queue->items = g_ptr_array_new ();
  return queue;
}

TlQueue *
tl_queue_new_for_context (GMainContext *context, TlQueueFunc func, gpointer user_data, GDestroyNotify free_item)
{
  TlQueue *queue = tl_queue_new (free_item);

  queue->context = context != NULL ? g_main_context_ref (context) : g_main_context_ref_thread_default ();
  queue->func = func;
  queue->user_data = user_data;
  queue->source = g_source_new (&source_funcs, sizeof (GSource));
  g_source_set_static_name (queue->source, "tl-queue");
  atomic_fetch_add (&queue->holds, 1);
  g_source_set_callback (queue->source, call_consumer, queue, release);
  g_source_attach (queue->source, queue->context);
  return queue;
}

TlQueue *
tl_queue_ref (TlQueue *queue)
{
  atomic_fetch_add (&queue->refs, 1);
  return queue;
}

void
tl_queue_unref (TlQueue *queue)
{
  if (queue == NULL || atomic_fetch_sub (&queue->refs, 1) > 1)
    return;

  tl_queue_close (queue);
  release (queue);
}

gboolean
tl_queue_push (TlQueue *queue, gpointer item)
{
  gboolean accepted;
  gboolean wake_up = FALSE;

  pthread_mutex_lock (&queue->mutex);
  accepted = !queue->closed;
  if (accepted)
    {
      g_ptr_array_add (queue->items, item);
      wake_up = !queue->wake_up_pending;
      queue->wake_up_pending = TRUE;
      if (queue->source == NULL)
        pthread_cond_signal (&queue->filled);
    }
  pthread_mutex_unlock (&queue->mutex);

  if (wake_up && queue->source != NULL)
    g_source_set_ready_time (queue->source, 0);
  if (!accepted && queue->free_item != NULL)
    queue->free_item (item);
  return accepted;
}

/* Under the mutex. FALSE when the deadline came first. */
static gboolean
wait_filled (TlQueue *queue, gint64 deadline_us)
{
  struct timespec deadline;

  if (deadline_us < 0)
    return pthread_cond_wait (&queue->filled, &queue->mutex) == 0;
  deadline.tv_sec = (time_t)(deadline_us / G_USEC_PER_SEC);
  deadline.tv_nsec = (long)(deadline_us % G_USEC_PER_SEC) * 1000;
  return pthread_cond_timedwait (&queue->filled, &queue->mutex, &deadline) == 0;
}

gpointer *
tl_queue_wait_until (TlQueue *queue, gint64 deadline_us, guint *n, gboolean *closed)
{
  GPtrArray *items;

  g_assert (queue->source == NULL);

  pthread_mutex_lock (&queue->mutex);
  while (queue->items->len == 0 && !queue->closed && wait_filled (queue, deadline_us))
    ;
  items = take_items (queue);
  *closed = queue->closed && items->len == 0;
  pthread_mutex_unlock (&queue->mutex);

  *n = items->len;
  if (items->len == 0)
    {
      g_ptr_array_unref (items);
      return NULL;
    }
  return g_ptr_array_free (items, FALSE);
}

gpointer *
tl_queue_wait (TlQueue *queue, guint *n)
{
  gboolean closed;

  return tl_queue_wait_until (queue, -1, n, &closed);
}

void
tl_queue_close (TlQueue *queue)
{
  GPtrArray *left = NULL;

  pthread_mutex_lock (&queue->mutex);
  queue->closed = TRUE;
  /* A plain consumer still gets what waits; a context's consumer is not called any more. */
  if (queue->source != NULL)
    left = take_items (queue);
  else
    pthread_cond_broadcast (&queue->filled);
  pthread_mutex_unlock (&queue->mutex);

  if (queue->source != NULL)
    g_source_destroy (queue->source);
  if (left != NULL)
    free_items (queue, left);
}
