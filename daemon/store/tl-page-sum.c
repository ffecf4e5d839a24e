/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-page-sum.h"

#include <string.h>

/* Odd constants with bits spread evenly (from the golden ratio and its square roots); any would do. */
#define FACTOR_A G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)
#define FACTOR_B G_GUINT64_CONSTANT (0xd1b54a32d192ed03)
#define LANES    4
/* What holds the database's header of 100 bytes; a multiple of LANES. */
#define HEADER_WORDS 16

gboolean
tl_page_size_is_valid (gsize page_size)
{
  return page_size >= 512 && page_size <= 65536 && (page_size & (page_size - 1)) == 0;
}

static inline guint64
word_at (const guint8 *data)
{
  guint64 word;

  memcpy (&word, data, sizeof word);
  return GUINT64_FROM_LE (word);
}

/* One to one in each argument while the other stays: a changed word always changes the lane. */
static inline guint64
mix (guint64 lane, guint64 word)
{
  lane = (lane ^ word) * FACTOR_A;
  return lane << 29 | lane >> 35;
}

/* https://www.sqlite.org/fileformat2.html#the_database_header */
static void
copy_header (const guint8 *page, guint8 header[HEADER_WORDS * 8])
{
  memcpy (header, page, HEADER_WORDS * 8);
  memset (header + 24, 0, 4); /* change counter */
  memset (header + 40, 0, 4); /* schema cookie */
  memset (header + 92, 0, 8); /* "version valid for", version of the library */
}

guint64
tl_page_sum (const guint8 *page, gsize page_size, guint32 number)
{
  guint64 lanes[LANES];
  guint64 sum = page_size;
  gsize words = (page_size - TL_PAGE_SUM_LENGTH) / 8;
  gsize i = 0;

  G_STATIC_ASSERT (HEADER_WORDS % LANES == 0);
  for (guint lane = 0; lane < LANES; lane++)
    lanes[lane] = (number + (guint64)lane) * FACTOR_B;
  if (number == 1)
    {
      guint8 header[HEADER_WORDS * 8];

      copy_header (page, header);
      for (; i < HEADER_WORDS; i++)
        lanes[i % LANES] = mix (lanes[i % LANES], word_at (header + 8 * i));
    }
  for (; i + LANES <= words; i += LANES)
    for (guint lane = 0; lane < LANES; lane++) /* independent of each other: they run side by side */
      lanes[lane] = mix (lanes[lane], word_at (page + 8 * (i + lane)));
  for (; i < words; i++)
    lanes[i % LANES] = mix (lanes[i % LANES], word_at (page + 8 * i));
  for (guint lane = 0; lane < LANES; lane++)
    sum = mix (sum, lanes[lane]);
  return sum;
}

void
tl_page_seal (guint8 *page, gsize page_size, guint32 number)
{
  guint64 sum = GUINT64_TO_LE (tl_page_sum (page, page_size, number));

  memcpy (page + page_size - TL_PAGE_SUM_LENGTH, &sum, TL_PAGE_SUM_LENGTH);
}

guint64
tl_page_stored_sum (const guint8 *page, gsize page_size)
{
  return word_at (page + page_size - TL_PAGE_SUM_LENGTH);
}

gboolean
tl_page_is_sound (const guint8 *page, gsize page_size, guint32 number)
{
  return tl_page_stored_sum (page, page_size) == tl_page_sum (page, page_size, number);
}
