/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-random.h"

G_BEGIN_DECLS

/*
 * TlRenewalPlan: when a device renews its certificate, and how (PROTOCOL 4.3). Decisions only: time and randomness are
 * parameters, nothing is sent and nothing waits. Wall-clock times are milliseconds, and what counts is the gateway's
 * clock as far as it is known: a device whose own clock is wrong renews all the same. Thread: owner's.
 */
#define TL_RENEWAL_JITTER_PERCENT 10 /* of the life, around two thirds of it */
#define TL_RENEWAL_FIRST_RETRY_MS (10 * 1000)
#define TL_RENEWAL_MAX_RETRY_MS   (10 * 60 * 1000)

typedef enum
{
  TL_RENEWAL_NOT_NOW,
  TL_RENEWAL_BY_CERTIFICATE, /* over mTLS, with the certificate that works */
  TL_RENEWAL_BY_IDENTITY,    /* it ended, or the gateway refuses it: the identity key alone has to do */
} TlRenewalWay;

/* Zero-initialised, then tl_renewal_plan_set_certificate(). */
typedef struct
{
  gint64 not_before_ms, not_after_ms;
  gint64 due_ms;
  gint64 skew_ms;   /* the gateway's clock minus ours */
  gboolean asked;   /* an operator wants it now */
  gboolean refused; /* the gateway does not take the certificate */
  gboolean begun;   /* a renewal was begun and its outcome is not known */
  guint failures;   /* in a row */
  gint64 retry_us;  /* monotonic; nothing before it */
} TlRenewalPlan;

/* A certificate takes over: draws when it is due, forgets what was about the one before. */
void tl_renewal_plan_set_certificate (TlRenewalPlan *plan, gint64 not_before_ms, gint64 not_after_ms, TlRandom *random);
/* What the gateway's clock said just now. */
void tl_renewal_plan_set_gateway_time (TlRenewalPlan *plan, gint64 gateway_ms, gint64 now_ms);
TlRenewalWay tl_renewal_plan_way (const TlRenewalPlan *plan, gint64 now_ms, gint64 now_us);
/* By the gateway's clock. */
gboolean tl_renewal_plan_has_ended (const TlRenewalPlan *plan, gint64 now_ms);
/* It did not work: the next attempt waits, longer each time. */
void tl_renewal_plan_failed (TlRenewalPlan *plan, gint64 now_us, TlRandom *random);
/* The world changed (start, resume, network): the next attempt does not wait. */
void tl_renewal_plan_reset (TlRenewalPlan *plan);

G_END_DECLS
