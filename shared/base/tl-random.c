/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-random.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#define BLOCK_LENGTH 32

struct _TlRandom
{
  gboolean is_test;
  guint64 seed;
  guint64 counter;
  guint8 block[BLOCK_LENGTH];
  gsize used; /* bytes of the block already handed out */
};

TlRandom *
tl_random_system (void)
{
  static TlRandom random = { .is_test = FALSE };

  return &random;
}

TlRandom *
tl_random_new_test (guint64 seed)
{
  TlRandom *random = g_new0 (TlRandom, 1);

  random->is_test = TRUE;
  random->seed = seed;
  random->used = BLOCK_LENGTH;
  return random;
}

void
tl_random_free (TlRandom *random)
{
  if (random != NULL && random->is_test)
    g_free (random);
}

static void
refill_test_block (TlRandom *random)
{
  guint64 input[2] = { GUINT64_TO_LE (random->seed), GUINT64_TO_LE (random->counter++) };

  if (EVP_Digest (input, sizeof input, random->block, NULL, EVP_sha256 (), NULL) != 1)
    g_error ("SHA-256 failed");
  random->used = 0;
}

static void
test_bytes (TlRandom *random, guint8 *out, gsize length)
{
  while (length > 0)
    {
      gsize n;

      if (random->used == BLOCK_LENGTH)
        refill_test_block (random);
      n = MIN (length, BLOCK_LENGTH - random->used);
      memcpy (out, random->block + random->used, n);
      random->used += n;
      out += n;
      length -= n;
    }
}

void
tl_random_bytes (TlRandom *random, void *buffer, gsize length)
{
  guint8 *out = buffer;

  if (random->is_test)
    {
      test_bytes (random, out, length);
      return;
    }
  while (length > 0)
    {
      int n = (int)MIN (length, (gsize)G_MAXINT);

      /* Going on without randomness would be worse than stopping: every key depends on it. */
      if (RAND_priv_bytes (out, n) != 1)
        g_error ("the system's random number generator failed");
      out += n;
      length -= (gsize)n;
    }
}

guint32
tl_random_below (TlRandom *random, guint32 bound)
{
  guint32 rest;
  guint32 value;

  g_assert (bound >= 1);

  /* Values at or above the greatest multiple of bound would favour small results: draw again. */
  rest = (guint32)(((guint64)1 << 32) % bound);
  do
    {
      guint8 bytes[4];

      tl_random_bytes (random, bytes, sizeof bytes);
      value = (guint32)bytes[0] | (guint32)bytes[1] << 8 | (guint32)bytes[2] << 16 | (guint32)bytes[3] << 24;
    }
  while (rest != 0 && value >= (guint32)(0u - rest));
  return value % bound;
}
