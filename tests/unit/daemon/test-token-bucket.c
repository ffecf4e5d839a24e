/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-token-bucket.h"

#define SECOND G_USEC_PER_SEC

static guint
take_all (TlTokenBucket *bucket, guint per_second, guint capacity, guint cost, gint64 now)
{
  guint n = 0;

  while (n < 100000 && tl_token_bucket_take (bucket, per_second, capacity, cost, now))
    n++;
  return n;
}

static void
test_average (void)
{
  TlTokenBucket bucket;
  guint taken = 0;

  tl_token_bucket_init (&bucket, 10, 0);
  g_assert_cmpuint (take_all (&bucket, 100, 10, 1, 0), ==, 10);
  for (gint64 now = 1000; now <= 10 * SECOND; now += 1000)
    taken += take_all (&bucket, 100, 10, 1, now);
  g_assert_cmpuint (taken, ==, 1000);
}

static void
test_at_once (void)
{
  TlTokenBucket bucket;

  tl_token_bucket_init (&bucket, 40, 5 * SECOND);
  g_assert_cmpuint (take_all (&bucket, 20, 40, 20, 5 * SECOND), ==, 2);
  g_assert_cmpuint (take_all (&bucket, 20, 40, 20, 6 * SECOND), ==, 1);
  g_assert_cmpuint (take_all (&bucket, 20, 40, 20, 1000 * SECOND), ==, 2); /* not more than fits */
  g_assert_cmpuint (take_all (&bucket, 20, 40, 20, 1), ==, 0);             /* a clock that goes back gives nothing */
  g_assert_cmpuint (take_all (&bucket, 20, 40, 20, 1001 * SECOND), ==, 1);
}

static void
test_large (void)
{
  TlTokenBucket bucket;

  tl_token_bucket_init (&bucket, G_MAXUINT, 0);
  g_assert_true (tl_token_bucket_take (&bucket, G_MAXUINT, G_MAXUINT, G_MAXUINT, 0));
  g_assert_false (tl_token_bucket_take (&bucket, G_MAXUINT, G_MAXUINT, G_MAXUINT, SECOND / 2));
  g_assert_true (tl_token_bucket_take (&bucket, G_MAXUINT, G_MAXUINT, G_MAXUINT, G_MAXINT64 / 2));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/token-bucket/average", test_average);
  g_test_add_func ("/token-bucket/at-once", test_at_once);
  g_test_add_func ("/token-bucket/large", test_large);
  return g_test_run ();
}
