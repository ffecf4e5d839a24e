/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-rate-limit.h"

#define SECOND G_USEC_PER_SEC
#define MINUTE (60 * SECOND)

static guint
take_many (TlRateLimit *limit, const char *source, gint64 now, guint n)
{
  guint taken = 0;

  for (guint i = 0; i < n; i++)
    taken += tl_rate_limit_take (limit, source, now);
  return taken;
}

static void
test_per_source (void)
{
  g_autoptr (TlRateLimit) limit = tl_rate_limit_new (30, 300);

  g_assert_cmpuint (take_many (limit, "192.0.2.1", 0, 100), ==, 30);
  g_assert_cmpuint (take_many (limit, "192.0.2.2", 0, 100), ==, 30);
}

static void
test_overall (void)
{
  g_autoptr (TlRateLimit) limit = tl_rate_limit_new (30, 300);
  guint taken = 0;

  for (guint i = 0; i < 50; i++)
    {
      g_autofree char *source = g_strdup_printf ("192.0.2.%u", i);
      taken += take_many (limit, source, 0, 10);
    }
  g_assert_cmpuint (taken, ==, 300);
}

/* In any 60 s there are never more than the limit, wherever a burst lies. */
static void
test_any_minute (void)
{
  g_autoptr (TlRateLimit) limit = tl_rate_limit_new (30, 300);
  g_autoptr (GArray) taken = g_array_new (FALSE, FALSE, sizeof (gint64));

  for (gint64 now = 59 * SECOND; now < 10 * MINUTE; now += SECOND / 4)
    if (tl_rate_limit_take (limit, "source", now))
      g_array_append_val (taken, now);
  g_assert_cmpuint (taken->len, >, 200);
  for (guint i = 30; i < taken->len; i++)
    g_assert_cmpint (g_array_index (taken, gint64, i) - g_array_index (taken, gint64, i - 30), >=, MINUTE);
}

static void
test_recovers (void)
{
  g_autoptr (TlRateLimit) limit = tl_rate_limit_new (30, 300);

  g_assert_cmpuint (take_many (limit, "source", 0, 40), ==, 30);
  g_assert_false (tl_rate_limit_take (limit, "source", 59 * SECOND));
  g_assert_cmpuint (take_many (limit, "source", 2 * MINUTE, 40), ==, 30);
}

static void
test_forgets_sources (void)
{
  g_autoptr (TlRateLimit) limit = tl_rate_limit_new (1, 1000000);

  for (guint i = 0; i < 1000; i++)
    {
      g_autofree char *source = g_strdup_printf ("%u", i);
      tl_rate_limit_take (limit, source, 0);
    }
  g_assert_cmpuint (tl_rate_limit_sources (limit), ==, 1000);
  tl_rate_limit_take (limit, "late", 3 * MINUTE);
  g_assert_cmpuint (tl_rate_limit_sources (limit), ==, 1);
}

static void
test_sources_bounded (void)
{
  g_autoptr (TlRateLimit) limit = tl_rate_limit_new (1, 1000000);

  for (guint i = 0; i < TL_RATE_LIMIT_MAX_SOURCES + 100; i++)
    {
      g_autofree char *source = g_strdup_printf ("%u", i);
      g_assert_true (tl_rate_limit_take (limit, source, 0) == (i < TL_RATE_LIMIT_MAX_SOURCES));
    }
  g_assert_cmpuint (tl_rate_limit_sources (limit), ==, TL_RATE_LIMIT_MAX_SOURCES);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rate-limit/per-source", test_per_source);
  g_test_add_func ("/rate-limit/overall", test_overall);
  g_test_add_func ("/rate-limit/any-minute", test_any_minute);
  g_test_add_func ("/rate-limit/recovers", test_recovers);
  g_test_add_func ("/rate-limit/forgets-sources", test_forgets_sources);
  g_test_add_func ("/rate-limit/sources-bounded", test_sources_bounded);
  return g_test_run ();
}
