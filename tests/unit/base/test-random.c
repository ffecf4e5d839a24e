/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-random.h"

#include <string.h>

static void
test_replay (void)
{
  g_autoptr (TlRandom) a = tl_random_new_test (7);
  g_autoptr (TlRandom) b = tl_random_new_test (7);
  g_autoptr (TlRandom) other = tl_random_new_test (8);
  guint8 whole[100];
  guint8 pieces[100];
  guint8 different[100];

  tl_random_bytes (a, whole, sizeof whole);
  for (gsize i = 0; i < sizeof pieces; i += 10)
    tl_random_bytes (b, pieces + i, 10);
  tl_random_bytes (other, different, sizeof different);
  g_assert_cmpmem (whole, sizeof whole, pieces, sizeof pieces);
  g_assert_true (memcmp (whole, different, sizeof whole) != 0);
  g_assert_true (memcmp (whole, whole + 32, 32) != 0);
}

static void
test_system (void)
{
  guint8 a[64] = { 0 };
  guint8 b[64] = { 0 };

  tl_random_bytes (tl_random_system (), a, sizeof a);
  tl_random_bytes (tl_random_system (), b, sizeof b);
  g_assert_true (memcmp (a, b, sizeof a) != 0);
  tl_random_free (tl_random_system ()); /* harmless */
  tl_random_bytes (tl_random_system (), NULL, 0);
}

static void
test_below (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  guint counts[3] = { 0 };
  guint above = 0;

  for (guint i = 0; i < 3000; i++)
    counts[tl_random_below (random, 3)]++;
  for (guint i = 0; i < 3; i++)
    {
      g_assert_cmpuint (counts[i], >, 850);
      g_assert_cmpuint (counts[i], <, 1150);
    }
  for (guint i = 0; i < 50; i++)
    g_assert_cmpuint (tl_random_below (random, 1), ==, 0);
  /* With bound 3 * 2^30 taking the remainder would put half of the values into the lowest third. */
  for (guint i = 0; i < 3000; i++)
    above += tl_random_below (random, 3u << 30) >= 1u << 30;
  g_assert_cmpuint (above, >, 1850);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/random/replay", test_replay);
  g_test_add_func ("/base/random/system", test_system);
  g_test_add_func ("/base/random/below", test_below);
  return g_test_run ();
}
