/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlTokenBucket: so much a second on average, and so much at once. Pure: time is a parameter (monotonic us). Embedded
 * in what it limits. Thread: owner's.
 */
typedef struct
{
  gint64 tokens; /* millionths */
  gint64 filled_us;
} TlTokenBucket;

static inline void
tl_token_bucket_init (TlTokenBucket *bucket, guint capacity, gint64 now_us)
{
  bucket->tokens = (gint64)capacity * G_USEC_PER_SEC;
  bucket->filled_us = now_us;
}

/* TRUE: cost tokens were there and are taken. per_second and capacity as every time. */
static inline gboolean
tl_token_bucket_take (TlTokenBucket *bucket, guint per_second, guint capacity, guint cost, gint64 now_us)
{
  gint64 full = (gint64)capacity * G_USEC_PER_SEC;
  gint64 passed = CLAMP (now_us - bucket->filled_us, 0, full / MAX (per_second, 1) + 1);

  bucket->tokens = MIN (full, bucket->tokens + passed * per_second);
  bucket->filled_us = MAX (bucket->filled_us, now_us);
  if (bucket->tokens < (gint64)cost * G_USEC_PER_SEC)
    return FALSE;
  bucket->tokens -= (gint64)cost * G_USEC_PER_SEC;
  return TRUE;
}

G_END_DECLS
