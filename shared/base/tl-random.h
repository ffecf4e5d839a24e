/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlRandom: randomness as a parameter. The system source is OpenSSL's CSPRNG (RAND_priv_bytes) and aborts the process
 * when that fails; the test source replays a seed (never used outside tests). Thread: system any, test owner's.
 */
typedef struct _TlRandom TlRandom;

TlRandom *tl_random_system (void); /* static */
/* Deterministic: SHA-256 in counter mode over the seed. */
TlRandom *tl_random_new_test (guint64 seed);
void tl_random_free (TlRandom *random);

void tl_random_bytes (TlRandom *random, void *buffer, gsize length);
/* Uniform in [0, bound), bound >= 1, by rejection sampling. */
guint32 tl_random_below (TlRandom *random, guint32 bound);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRandom, tl_random_free)

G_END_DECLS
