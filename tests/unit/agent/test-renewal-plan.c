/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-renewal-plan.h"

#define HOUR_MS (G_GINT64_CONSTANT (3600) * 1000)
#define NOW_MS  G_GINT64_CONSTANT (1790000000000)
#define DAY_MS  (24 * HOUR_MS)

static TlRenewalWay
way_at (const TlRenewalPlan *plan, gint64 now_ms)
{
  return tl_renewal_plan_way (plan, now_ms, 0);
}

/* Two thirds of the life, ten per cent of it around that, spread over all of it. */
static void
test_due (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  gint64 first = G_MAXINT64, last = 0;

  for (guint i = 0; i < 2000; i++)
    {
      TlRenewalPlan plan = { 0 };
      tl_renewal_plan_set_certificate (&plan, NOW_MS, NOW_MS + DAY_MS, random);
      g_assert_cmpint (way_at (&plan, plan.due_ms - 1), ==, TL_RENEWAL_NOT_NOW);
      g_assert_cmpint (way_at (&plan, plan.due_ms), ==, TL_RENEWAL_BY_CERTIFICATE);
      first = MIN (first, plan.due_ms);
      last = MAX (last, plan.due_ms);
    }
  g_assert_cmpint (first, >=, NOW_MS + DAY_MS * 566 / 1000);
  g_assert_cmpint (first, <, NOW_MS + DAY_MS * 572 / 1000);
  g_assert_cmpint (last, <=, NOW_MS + DAY_MS * 768 / 1000);
  g_assert_cmpint (last, >, NOW_MS + DAY_MS * 762 / 1000);
}

static void
test_ways (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (2);
  TlRenewalPlan plan = { 0 };

  tl_renewal_plan_set_certificate (&plan, NOW_MS, NOW_MS + DAY_MS, random);
  g_assert_cmpint (way_at (&plan, NOW_MS), ==, TL_RENEWAL_NOT_NOW);
  plan.asked = TRUE;
  g_assert_cmpint (way_at (&plan, NOW_MS), ==, TL_RENEWAL_BY_CERTIFICATE);
  plan.asked = FALSE;
  plan.begun = TRUE;
  g_assert_cmpint (way_at (&plan, NOW_MS), ==, TL_RENEWAL_BY_CERTIFICATE);
  plan.refused = TRUE;
  g_assert_cmpint (way_at (&plan, NOW_MS), ==, TL_RENEWAL_BY_IDENTITY);
  g_assert_cmpint (way_at (&plan, NOW_MS + DAY_MS - 1), ==, TL_RENEWAL_BY_IDENTITY);
  tl_renewal_plan_set_certificate (&plan, NOW_MS, NOW_MS + DAY_MS, random); /* that was about the one before */
  g_assert_cmpint (way_at (&plan, NOW_MS), ==, TL_RENEWAL_NOT_NOW);
  g_assert_cmpint (way_at (&plan, NOW_MS + DAY_MS - 1), ==, TL_RENEWAL_BY_CERTIFICATE);
  g_assert_false (tl_renewal_plan_has_ended (&plan, NOW_MS + DAY_MS - 1));
  g_assert_true (tl_renewal_plan_has_ended (&plan, NOW_MS + DAY_MS));
  g_assert_cmpint (way_at (&plan, NOW_MS + DAY_MS), ==, TL_RENEWAL_BY_IDENTITY);
}

/* What the gateway's clock said counts, in both directions. */
static void
test_wrong_clock (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (3);
  TlRenewalPlan plan = { 0 };

  tl_renewal_plan_set_certificate (&plan, NOW_MS, NOW_MS + DAY_MS, random);
  g_assert_cmpint (way_at (&plan, NOW_MS + 40 * DAY_MS), ==, TL_RENEWAL_BY_IDENTITY);
  tl_renewal_plan_set_gateway_time (&plan, NOW_MS, NOW_MS + 40 * DAY_MS);
  g_assert_cmpint (way_at (&plan, NOW_MS + 40 * DAY_MS), ==, TL_RENEWAL_NOT_NOW);
  g_assert_cmpint (way_at (&plan, NOW_MS + 40 * DAY_MS + DAY_MS - 1), ==, TL_RENEWAL_BY_CERTIFICATE);
  tl_renewal_plan_set_gateway_time (&plan, NOW_MS + 2 * DAY_MS, NOW_MS - 9 * DAY_MS);
  g_assert_cmpint (way_at (&plan, NOW_MS - 9 * DAY_MS), ==, TL_RENEWAL_BY_IDENTITY);
}

static void
test_retries (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (4);
  TlRenewalPlan plan = { 0 };
  gint64 now_us = 0, wait_ms = 0;

  tl_renewal_plan_set_certificate (&plan, NOW_MS, NOW_MS + DAY_MS, random);
  plan.asked = TRUE;
  for (guint i = 0; i < 20; i++)
    {
      gint64 cap_ms = MIN ((gint64)TL_RENEWAL_FIRST_RETRY_MS << i, TL_RENEWAL_MAX_RETRY_MS);
      tl_renewal_plan_failed (&plan, now_us, random);
      wait_ms = (plan.retry_us - now_us) / 1000;
      g_assert_cmpint (wait_ms, >=, cap_ms / 2);
      g_assert_cmpint (wait_ms, <=, cap_ms);
      g_assert_cmpint (tl_renewal_plan_way (&plan, NOW_MS, plan.retry_us - 1), ==, TL_RENEWAL_NOT_NOW);
      g_assert_cmpint (tl_renewal_plan_way (&plan, NOW_MS, plan.retry_us), ==, TL_RENEWAL_BY_CERTIFICATE);
      now_us = plan.retry_us;
    }
  tl_renewal_plan_failed (&plan, now_us, random);
  tl_renewal_plan_reset (&plan); /* the computer woke up */
  g_assert_cmpint (tl_renewal_plan_way (&plan, NOW_MS, now_us), ==, TL_RENEWAL_BY_CERTIFICATE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/renewal-plan/due", test_due);
  g_test_add_func ("/renewal-plan/ways", test_ways);
  g_test_add_func ("/renewal-plan/wrong-clock", test_wrong_clock);
  g_test_add_func ("/renewal-plan/retries", test_retries);
  return g_test_run ();
}
