/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-worker-pool.h"

#include <pthread.h>

#include "tl-node-fixture.h"

typedef struct
{
  pthread_t ran_on;
  int value;
} Item;

/* Workers wait here until the test lets them go. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static guint ended;
static int sum;

static void
work (gpointer data)
{
  Item *item = data;

  pthread_mutex_lock (&gate);
  item->ran_on = pthread_self ();
  item->value *= 2;
  pthread_mutex_unlock (&gate);
}

static void
done (gpointer data, gpointer user_data)
{
  Item *item = data;

  g_assert_true (user_data == &ended);
  g_assert_false (pthread_equal (item->ran_on, pthread_self ()));
  sum += item->value;
  ended++;
  g_free (item);
}

static Item *
item_new (int value)
{
  Item *item = g_new0 (Item, 1);

  item->value = value;
  return item;
}

static void
test_all_busy (void)
{
  TlWorkerPool *pool = tl_worker_pool_new (2, NULL, work, done, &ended, g_free);
  Item *third = item_new (100);

  ended = 0;
  sum = 0;
  pthread_mutex_lock (&gate);
  g_assert_true (tl_worker_pool_run (pool, item_new (1)));
  g_assert_true (tl_worker_pool_run (pool, item_new (10)));
  g_assert_cmpuint (tl_worker_pool_idle (pool), ==, 0);
  g_assert_false (tl_worker_pool_run (pool, third));
  pthread_mutex_unlock (&gate);
  tl_fixture_wait_count (&ended, 2, "two jobs");
  g_assert_true (tl_worker_pool_run (pool, third));
  tl_fixture_wait_count (&ended, 3, "the third job");
  g_assert_cmpint (sum, ==, 222);
  g_assert_cmpuint (tl_worker_pool_idle (pool), ==, 2);
  tl_worker_pool_free (pool);
}

static void
test_free_with_unheard_end (void)
{
  TlWorkerPool *pool = tl_worker_pool_new (1, NULL, work, done, &ended, g_free);

  ended = 0;
  g_assert_true (tl_worker_pool_run (pool, item_new (1)));
  tl_worker_pool_free (pool); /* frees the item; a leak would show */
  tl_fixture_settle ();
  g_assert_cmpuint (ended, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/worker-pool/all-busy", test_all_busy);
  g_test_add_func ("/worker-pool/free-with-unheard-end", test_free_with_unheard_end);
  return g_test_run ();
}
