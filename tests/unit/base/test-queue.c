/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-queue.h"

#include <pthread.h>
#include <stdatomic.h>

#define N_PRODUCERS 4
#define N_ITEMS     5000

typedef struct
{
  guint producer;
  guint number;
} Item;

typedef struct
{
  TlQueue *queue;
  guint producer;
} Producer;

typedef struct
{
  guint next[N_PRODUCERS];
  guint total;
  guint batches;
  GMainLoop *loop;
} Received;

static atomic_int n_freed;

static void
count_free (gpointer item)
{
  atomic_fetch_add (&n_freed, 1);
  g_free (item);
}

static Item *
item_new (guint producer, guint number)
{
  Item *item = g_new0 (Item, 1);

  item->producer = producer;
  item->number = number;
  return item;
}

static void *
produce (void *data)
{
  Producer *producer = data;

  for (guint i = 0; i < N_ITEMS; i++)
    g_assert_true (tl_queue_push (producer->queue, item_new (producer->producer, i)));
  tl_queue_unref (producer->queue);
  return NULL;
}

static void
start (TlQueue *queue, Producer producers[N_PRODUCERS], pthread_t threads[N_PRODUCERS])
{
  for (guint i = 0; i < N_PRODUCERS; i++)
    {
      producers[i] = (Producer){ tl_queue_ref (queue), i };
      g_assert_cmpint (pthread_create (&threads[i], NULL, produce, &producers[i]), ==, 0);
    }
}

static void
join (pthread_t threads[N_PRODUCERS])
{
  for (guint i = 0; i < N_PRODUCERS; i++)
    pthread_join (threads[i], NULL);
}

static void
receive (gpointer *items, guint n, gpointer user_data)
{
  Received *received = user_data;

  g_assert_cmpuint (n, >, 0);
  received->batches++;
  for (guint i = 0; i < n; i++)
    {
      Item *item = items[i];

      g_assert_cmpuint (item->number, ==, received->next[item->producer]++);
      received->total++;
      g_free (item);
    }
  if (received->loop != NULL && received->total == N_PRODUCERS * N_ITEMS)
    g_main_loop_quit (received->loop);
}

static void
test_plain (void)
{
  g_autoptr (TlQueue) queue = tl_queue_new (count_free);
  Producer producers[N_PRODUCERS];
  pthread_t threads[N_PRODUCERS];
  Received received = { 0 };
  gpointer *items;
  guint n;

  start (queue, producers, threads);
  while (received.total < N_PRODUCERS * N_ITEMS)
    {
      items = tl_queue_wait (queue, &n);
      g_assert_nonnull (items);
      receive (items, n, &received);
      g_free (items);
    }
  join (threads);
  tl_queue_close (queue);
  g_assert_null (tl_queue_wait (queue, &n));
  g_assert_cmpuint (n, ==, 0);
}

static void
test_context (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GMainLoop) loop = g_main_loop_new (context, FALSE);
  Received received = { .loop = loop };
  g_autoptr (TlQueue) queue = tl_queue_new_for_context (context, receive, &received, count_free);
  Producer producers[N_PRODUCERS];
  pthread_t threads[N_PRODUCERS];

  start (queue, producers, threads);
  g_main_loop_run (loop);
  join (threads);
  g_assert_cmpuint (received.total, ==, N_PRODUCERS * N_ITEMS);
  tl_queue_close (queue);
}

/* All that waits comes in one call. */
static void
test_batch (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  Received received = { 0 };
  g_autoptr (TlQueue) queue = tl_queue_new_for_context (context, receive, &received, count_free);

  g_assert_false (g_main_context_pending (context));
  for (guint i = 0; i < 10; i++)
    tl_queue_push (queue, item_new (0, i));
  g_assert_true (g_main_context_iteration (context, FALSE));
  g_assert_cmpuint (received.total, ==, 10);
  g_assert_cmpuint (received.batches, ==, 1);
  g_assert_false (g_main_context_iteration (context, FALSE));
  tl_queue_push (queue, item_new (0, 10));
  g_assert_true (g_main_context_iteration (context, FALSE));
  g_assert_cmpuint (received.batches, ==, 2);
  tl_queue_close (queue);
}

static void
test_close_plain (void)
{
  g_autoptr (TlQueue) queue = tl_queue_new (count_free);
  g_autofree gpointer *items = NULL;
  int before = atomic_load (&n_freed);
  guint n = 0;

  tl_queue_push (queue, item_new (0, 0));
  tl_queue_close (queue);
  g_assert_false (tl_queue_push (queue, item_new (0, 1)));
  g_assert_cmpint (atomic_load (&n_freed), ==, before + 1);
  items = tl_queue_wait (queue, &n); /* what waited is still delivered */
  g_assert_cmpuint (n, ==, 1);
  g_free (items[0]);
  g_assert_null (tl_queue_wait (queue, &n));
}

static void
test_close_context (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  Received received = { 0 };
  g_autoptr (TlQueue) queue = tl_queue_new_for_context (context, receive, &received, count_free);
  int before = atomic_load (&n_freed);

  tl_queue_push (queue, item_new (0, 0));
  tl_queue_close (queue);
  g_assert_cmpint (atomic_load (&n_freed), ==, before + 1);
  while (g_main_context_iteration (context, FALSE))
    ;
  g_assert_cmpuint (received.total, ==, 0);
  g_assert_false (tl_queue_push (queue, item_new (0, 1)));
  g_assert_cmpint (atomic_load (&n_freed), ==, before + 2);
  tl_queue_close (queue);
}

static void *
wait_for_end (void *data)
{
  TlQueue *queue = data;
  guint n = 1;
  gpointer *items = tl_queue_wait (queue, &n);

  g_assert_null (items);
  tl_queue_unref (queue);
  return NULL;
}

static void
test_close_wakes (void)
{
  g_autoptr (TlQueue) queue = tl_queue_new (NULL);
  pthread_t thread;

  g_assert_cmpint (pthread_create (&thread, NULL, wait_for_end, tl_queue_ref (queue)), ==, 0);
  tl_queue_close (queue);
  pthread_join (thread, NULL);
}

static void
test_deadline (void)
{
  g_autoptr (TlQueue) queue = tl_queue_new (g_free);
  g_autofree gpointer *items = NULL;
  gint64 deadline = g_get_monotonic_time () + 1000;
  gboolean closed = TRUE;
  guint n = 1;

  g_assert_null (tl_queue_wait_until (queue, deadline, &n, &closed));
  g_assert_cmpint (g_get_monotonic_time (), >=, deadline);
  g_assert_false (closed);
  g_assert_cmpuint (n, ==, 0);
  g_assert_true (tl_queue_push (queue, item_new (0, 0)));
  items = tl_queue_wait_until (queue, deadline, &n, &closed); /* passed, but something waits */
  g_assert_cmpuint (n, ==, 1);
  g_assert_false (closed);
  g_free (items[0]);
  tl_queue_close (queue);
  g_assert_null (tl_queue_wait_until (queue, -1, &n, &closed));
  g_assert_true (closed);
}

static void
test_unref_frees (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  Received received = { 0 };
  TlQueue *plain = tl_queue_new (count_free);
  TlQueue *attached = tl_queue_new_for_context (context, receive, &received, count_free);
  int before = atomic_load (&n_freed);

  tl_queue_push (plain, item_new (0, 0));
  tl_queue_push (attached, item_new (0, 0));
  tl_queue_unref (plain);
  tl_queue_unref (attached);
  g_assert_cmpint (atomic_load (&n_freed), ==, before + 2);
  while (g_main_context_iteration (context, FALSE))
    ;
  g_assert_cmpuint (received.total, ==, 0);
}

static void
drop_queue (gpointer *items, guint n, gpointer user_data)
{
  TlQueue **queue = user_data;

  for (guint i = 0; i < n; i++)
    g_free (items[i]);
  g_clear_pointer (queue, tl_queue_unref);
}

static void
test_unref_in_callback (void)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  TlQueue *queue = tl_queue_new_for_context (context, drop_queue, &queue, g_free);

  tl_queue_push (queue, item_new (0, 0));
  g_assert_true (g_main_context_iteration (context, FALSE));
  g_assert_null (queue);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/queue/plain", test_plain);
  g_test_add_func ("/base/queue/context", test_context);
  g_test_add_func ("/base/queue/batch", test_batch);
  g_test_add_func ("/base/queue/close-plain", test_close_plain);
  g_test_add_func ("/base/queue/close-context", test_close_context);
  g_test_add_func ("/base/queue/close-wakes", test_close_wakes);
  g_test_add_func ("/base/queue/deadline", test_deadline);
  g_test_add_func ("/base/queue/unref-frees", test_unref_frees);
  g_test_add_func ("/base/queue/unref-in-callback", test_unref_in_callback);
  return g_test_run ();
}
