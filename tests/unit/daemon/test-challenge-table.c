/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "daemon/tl-challenge-table.h"

#define DEVICE   "01JD800000000000000000000A"
#define OTHER    "01JD800000000000000000000B"
#define LIFE_US  (TL_CHALLENGE_LIFETIME_MS * G_GINT64_CONSTANT (1000))
#define START_US (G_GINT64_CONSTANT (5) * G_USEC_PER_SEC)

typedef guint8 Challenge[TL_RENEWAL_CHALLENGE_LENGTH];

static gboolean
take (TlChallengeTable *table, const Challenge challenge, const char *device_id, gint64 now_us)
{
  return tl_challenge_table_take (table, challenge, sizeof (Challenge), device_id, now_us);
}

static void
test_once (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  g_autoptr (TlChallengeTable) table = tl_challenge_table_new (10, random);
  Challenge first, second, third = { 0 };

  g_assert_true (tl_challenge_table_give (table, DEVICE, START_US, first));
  g_assert_true (tl_challenge_table_give (table, DEVICE, START_US, second));
  g_assert_cmpint (memcmp (first, second, sizeof first), !=, 0);
  g_assert_false (take (table, third, DEVICE, START_US));
  g_assert_false (tl_challenge_table_take (table, first, sizeof first - 1, DEVICE, START_US));
  g_assert_true (take (table, first, DEVICE, START_US));
  g_assert_false (take (table, first, DEVICE, START_US));
  g_assert_true (take (table, second, DEVICE, START_US + LIFE_US - 1));
  g_assert_cmpuint (tl_challenge_table_size (table), ==, 0);
}

/* Of another device: refused, and used up. */
static void
test_another_device (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (2);
  g_autoptr (TlChallengeTable) table = tl_challenge_table_new (10, random);
  Challenge challenge;

  g_assert_true (tl_challenge_table_give (table, DEVICE, START_US, challenge));
  g_assert_false (take (table, challenge, OTHER, START_US));
  g_assert_false (take (table, challenge, DEVICE, START_US));
}

static void
test_a_minute (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (3);
  g_autoptr (TlChallengeTable) table = tl_challenge_table_new (10, random);
  Challenge challenge;

  g_assert_true (tl_challenge_table_give (table, DEVICE, START_US, challenge));
  g_assert_false (take (table, challenge, DEVICE, START_US + LIFE_US));
  g_assert_cmpuint (tl_challenge_table_size (table), ==, 0);
}

/* However many strangers ask: no more than max are kept, and those that were given stay good. */
static void
test_bounded (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (4);
  g_autoptr (TlChallengeTable) table = tl_challenge_table_new (100, random);
  Challenge first, other;

  g_assert_true (tl_challenge_table_give (table, DEVICE, START_US, first));
  for (guint i = 1; i < 100; i++)
    g_assert_true (tl_challenge_table_give (table, OTHER, START_US + i, other));
  for (guint i = 0; i < 10000; i++)
    g_assert_false (tl_challenge_table_give (table, OTHER, START_US + 100, other));
  g_assert_cmpuint (tl_challenge_table_size (table), ==, 100);
  g_assert_true (take (table, first, DEVICE, START_US + 100));
  g_assert_true (tl_challenge_table_give (table, OTHER, START_US + 100, other));
  /* A minute later the first of them made room. */
  g_assert_true (tl_challenge_table_give (table, OTHER, START_US + LIFE_US + 1, other));
  g_assert_cmpuint (tl_challenge_table_size (table), ==, 100);
  g_assert_true (tl_challenge_table_give (table, OTHER, START_US + 2 * LIFE_US, other));
  g_assert_cmpuint (tl_challenge_table_size (table), ==, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/challenge-table/once", test_once);
  g_test_add_func ("/challenge-table/another-device", test_another_device);
  g_test_add_func ("/challenge-table/a-minute", test_a_minute);
  g_test_add_func ("/challenge-table/bounded", test_bounded);
  return g_test_run ();
}
