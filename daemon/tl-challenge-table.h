/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-random.h"
#include "identity/tl-renewal-proof.h"

G_BEGIN_DECLS

/*
 * TlChallengeTable: the challenges that were given out and not used yet (PROTOCOL 4.3): 32 random bytes for one device,
 * good once and for 60 s. Bounded, because strangers ask for them: when it is full there are none until the oldest ran
 * out. Pure: time is a parameter (monotonic microseconds, never decreasing). Thread: owner's.
 */
#define TL_CHALLENGE_LIFETIME_MS (60 * 1000)

typedef struct _TlChallengeTable TlChallengeTable;

/* max >= 1; random is borrowed. */
TlChallengeTable *tl_challenge_table_new (guint max, TlRandom *random);
void tl_challenge_table_free (TlChallengeTable *table);

/* FALSE: the table is full. device_id: a ULID. */
gboolean tl_challenge_table_give (TlChallengeTable *table, const char *device_id, gint64 now_us,
                                  guint8 challenge[TL_RENEWAL_CHALLENGE_LENGTH]);
/* Uses it up, whatever the outcome; TRUE when it was given to this device not longer than 60 s ago. */
gboolean tl_challenge_table_take (TlChallengeTable *table, const guint8 *challenge, gsize length, const char *device_id,
                                  gint64 now_us);
guint tl_challenge_table_size (TlChallengeTable *table);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlChallengeTable, tl_challenge_table_free)

G_END_DECLS
