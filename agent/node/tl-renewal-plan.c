/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-renewal-plan.h"

void
tl_renewal_plan_set_certificate (TlRenewalPlan *plan, gint64 not_before_ms, gint64 not_after_ms, TlRandom *random)
{
  gint64 life_ms = MAX (not_after_ms - not_before_ms, 0);
  /* Per mille of the life; the exact end of the span does not matter. */
  gint64 share = 667 - 10 * TL_RENEWAL_JITTER_PERCENT + tl_random_below (random, 20 * TL_RENEWAL_JITTER_PERCENT + 1);

  plan->not_before_ms = not_before_ms;
  plan->not_after_ms = not_after_ms;
  plan->due_ms = not_before_ms + life_ms * share / 1000;
  plan->asked = FALSE;
  plan->refused = FALSE;
  plan->begun = FALSE;
  tl_renewal_plan_reset (plan);
}

void
tl_renewal_plan_set_gateway_time (TlRenewalPlan *plan, gint64 gateway_ms, gint64 now_ms)
{
  if (gateway_ms > 0) /* else it did not say */
    plan->skew_ms = gateway_ms - now_ms;
}

gboolean
tl_renewal_plan_has_ended (const TlRenewalPlan *plan, gint64 now_ms)
{
  return now_ms + plan->skew_ms >= plan->not_after_ms;
}

TlRenewalWay
tl_renewal_plan_way (const TlRenewalPlan *plan, gint64 now_ms, gint64 now_us)
{
  gboolean due = plan->asked || plan->begun || now_ms + plan->skew_ms >= plan->due_ms;

  if (now_us < plan->retry_us)
    return TL_RENEWAL_NOT_NOW;
  if (plan->refused || tl_renewal_plan_has_ended (plan, now_ms))
    return TL_RENEWAL_BY_IDENTITY;
  return due ? TL_RENEWAL_BY_CERTIFICATE : TL_RENEWAL_NOT_NOW;
}

void
tl_renewal_plan_failed (TlRenewalPlan *plan, gint64 now_us, TlRandom *random)
{
  gint64 wait_ms = TL_RENEWAL_FIRST_RETRY_MS;

  for (guint i = 0; i < plan->failures && wait_ms < TL_RENEWAL_MAX_RETRY_MS; i++)
    wait_ms *= 2;
  wait_ms = MIN (wait_ms, TL_RENEWAL_MAX_RETRY_MS);
  wait_ms = wait_ms / 2 + tl_random_below (random, (guint32)(wait_ms / 2) + 1);
  plan->failures++;
  plan->retry_us = now_us + wait_ms * 1000;
}

void
tl_renewal_plan_reset (TlRenewalPlan *plan)
{
  plan->failures = 0;
  plan->retry_us = G_MININT64;
}
