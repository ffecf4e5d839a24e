/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-reconnect.h"
#include "base/tl-clock.h"

#define ROUNDS 2000

/* Largest and smallest wait of the n-th failure over many runs. */
static void
measure (guint failures, gboolean refused, gint64 max_ms, gint64 *lowest, gint64 *highest)
{
  g_autoptr (TlRandom) random = tl_random_new_test (7);

  *lowest = G_MAXINT64;
  *highest = 0;
  for (guint i = 0; i < ROUNDS; i++)
    {
      g_autoptr (TlReconnect) reconnect = tl_reconnect_new (max_ms, random);
      gint64 wait = 0;

      for (guint n = 0; n < failures; n++)
        wait = tl_reconnect_next (reconnect, refused);
      *lowest = MIN (*lowest, wait);
      *highest = MAX (*highest, wait);
    }
}

static void
assert_range (guint failures, gboolean refused, gint64 max_ms, gint64 from, gint64 to)
{
  gint64 lowest, highest;

  measure (failures, refused, max_ms, &lowest, &highest);
  g_assert_cmpint (lowest, >=, from);
  g_assert_cmpint (highest, <=, to);
  /* Full jitter: both ends are reached, nearly. */
  g_assert_cmpint (lowest, <=, from + (to - from) / 10);
  g_assert_cmpint (highest, >=, to - (to - from) / 10);
}

static void
test_schedule (void)
{
  assert_range (1, FALSE, 60000, 0, 1000);
  assert_range (2, FALSE, 60000, 0, 2000);
  assert_range (3, FALSE, 60000, 0, 4000);
  assert_range (6, FALSE, 60000, 0, 32000);
  assert_range (7, FALSE, 60000, 0, 60000);
  assert_range (50, FALSE, 60000, 0, 60000);
  assert_range (9, FALSE, 5000, 0, 5000); /* reconnect-max */
}

static void
test_refused (void)
{
  assert_range (1, TRUE, 60000, 60000, 120000);
  assert_range (2, TRUE, 60000, 60000, 180000);
  assert_range (9, TRUE, 60000, 60000, 900000);
}

static void
test_stable_connection_resets (void)
{
  TlClock *clock = tl_clock_new_virtual (0);
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  g_autoptr (TlReconnect) reconnect = tl_reconnect_new (60000, random);
  gint64 highest = 0;

  for (guint i = 0; i < 10; i++)
    tl_reconnect_next (reconnect, FALSE);
  tl_reconnect_connected (reconnect, tl_clock_monotonic_us (clock));
  tl_clock_advance (clock, 29999);
  tl_reconnect_lost (reconnect, tl_clock_monotonic_us (clock));
  for (guint i = 0; i < 20; i++)
    highest = MAX (highest, tl_reconnect_next (reconnect, FALSE));
  g_assert_cmpint (highest, >, 2000); /* a connection that flaps goes on backing off */

  tl_reconnect_connected (reconnect, tl_clock_monotonic_us (clock));
  tl_clock_advance (clock, 30000);
  tl_reconnect_lost (reconnect, tl_clock_monotonic_us (clock));
  g_assert_cmpint (tl_reconnect_next (reconnect, FALSE), <=, 1000);
  tl_clock_free (clock);
}

static void
test_world_changed (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  g_autoptr (TlReconnect) reconnect = tl_reconnect_new (60000, random);

  for (guint i = 0; i < 10; i++)
    tl_reconnect_next (reconnect, FALSE);
  tl_reconnect_reset (reconnect);
  g_assert_cmpint (tl_reconnect_next (reconnect, FALSE), <=, 1000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/reconnect/schedule", test_schedule);
  g_test_add_func ("/reconnect/refused", test_refused);
  g_test_add_func ("/reconnect/stable-connection-resets", test_stable_connection_resets);
  g_test_add_func ("/reconnect/world-changed", test_world_changed);
  return g_test_run ();
}
