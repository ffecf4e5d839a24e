/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-wal.h"

#include <string.h>

#include "daemon/store/tl-page-sum.h"

#define MAGIC_LITTLE_ENDIAN 0x377f0682u
#define MAGIC_BIG_ENDIAN    0x377f0683u
#define FORMAT_VERSION      3007000u

guint32
tl_wal_get_u32 (const guint8 *data)
{
  guint32 value;

  memcpy (&value, data, sizeof value);
  return GUINT32_FROM_BE (value);
}

void
tl_wal_put_u32 (guint8 *data, guint32 value)
{
  value = GUINT32_TO_BE (value);
  memcpy (data, &value, sizeof value);
}

void
tl_wal_checksum (const guint8 *data, gsize length, gboolean big_endian, guint32 sums[2])
{
  guint32 first = sums[0], second = sums[1];

  g_assert (length % 8 == 0);
  for (gsize i = 0; i < length; i += 8)
    {
      guint32 words[2];

      memcpy (words, data + i, sizeof words);
      first += (big_endian ? GUINT32_FROM_BE (words[0]) : GUINT32_FROM_LE (words[0])) + second;
      second += (big_endian ? GUINT32_FROM_BE (words[1]) : GUINT32_FROM_LE (words[1])) + first;
    }
  sums[0] = first;
  sums[1] = second;
}

gboolean
tl_wal_parse_header (const guint8 *data, gsize length, TlWalHeader *header)
{
  guint32 magic;
  guint32 sums[2] = { 0, 0 };

  if (length < TL_WAL_HEADER_LENGTH)
    return FALSE;
  magic = tl_wal_get_u32 (data);
  if ((magic != MAGIC_LITTLE_ENDIAN && magic != MAGIC_BIG_ENDIAN) || tl_wal_get_u32 (data + 4) != FORMAT_VERSION
      || !tl_page_size_is_valid (tl_wal_get_u32 (data + 8)))
    return FALSE;
  tl_wal_checksum (data, 24, magic == MAGIC_BIG_ENDIAN, sums);
  if (tl_wal_get_u32 (data + 24) != sums[0] || tl_wal_get_u32 (data + 28) != sums[1])
    return FALSE;

  header->page_size = tl_wal_get_u32 (data + 8);
  header->big_endian = magic == MAGIC_BIG_ENDIAN;
  memcpy (header->salts, data + 16, sizeof header->salts);
  memcpy (header->sums, sums, sizeof sums);
  return TRUE;
}

static gboolean
has_salts (const TlWalHeader *header, const guint8 *frame)
{
  return memcmp (frame + 8, header->salts, sizeof header->salts) == 0;
}

/* sums: of the frame before; becomes this frame's. */
static gboolean
frame_is_good (const TlWalHeader *header, const guint8 *frame, guint32 sums[2])
{
  if (!has_salts (header, frame) || tl_wal_get_u32 (frame) == 0)
    return FALSE;
  tl_wal_checksum (frame, 8, header->big_endian, sums);
  tl_wal_checksum (frame + TL_WAL_FRAME_HEADER, header->page_size, header->big_endian, sums);
  return tl_wal_get_u32 (frame + 16) == sums[0] && tl_wal_get_u32 (frame + 20) == sums[1];
}

static gboolean
generation_continues (const TlWalHeader *header, const guint8 *data, gsize length, guint64 at)
{
  gsize step = TL_WAL_FRAME_HEADER + header->page_size;

  for (at += step; at + step <= length; at += step)
    if (has_salts (header, data + at) && tl_wal_get_u32 (data + at) != 0)
      return TRUE;
  return FALSE;
}

void
tl_wal_scan (const guint8 *data, gsize length, TlWalScan *scan)
{
  guint64 first_page = 0;
  guint32 sums[2];
  gsize step;
  guint64 at = TL_WAL_HEADER_LENGTH;

  memset (scan, 0, sizeof *scan);
  scan->length = length;
  scan->header_is_good = tl_wal_parse_header (data, length, &scan->header);
  if (!scan->header_is_good)
    return;

  step = TL_WAL_FRAME_HEADER + scan->header.page_size;
  memcpy (sums, scan->header.sums, sizeof sums);
  for (; at + step <= length && frame_is_good (&scan->header, data + at, sums); at += step)
    {
      if (tl_wal_get_u32 (data + at) == 1)
        first_page = at + TL_WAL_FRAME_HEADER;
      if (tl_wal_get_u32 (data + at + 4) == 0)
        continue;
      scan->committed = at + step;
      scan->first_page = first_page;
    }
  scan->bad_at = MIN (at, length);
  scan->continues = at + step <= length && generation_continues (&scan->header, data, length, at);
}

/* The log holds nothing of what its record tells: fine when that went into the database before. */
static gboolean
is_taken_in (const TlWalContext *context)
{
  const TlLogEndRecord *end = context->end;

  return end->end == 0 || end->page == 0 || end->page_sum == context->page_sum;
}

/* SQLite syncs a new header before frames follow it, so one that does not verify with frames after it is no torn one.
 */
static TlWalVerdict
judge_bad_header (const TlWalScan *scan, const TlWalContext *context)
{
  if (context->end != NULL && context->same_boot)
    return is_taken_in (context) ? TL_WAL_GOOD : TL_WAL_DAMAGED;
  return scan->length <= TL_WAL_HEADER_LENGTH ? TL_WAL_GOOD : TL_WAL_DAMAGED;
}

/* No log, or one of another generation. A database that was put in the place of another one had another log. */
static TlWalVerdict
judge_other (const TlWalContext *context)
{
  return context->same_boot && context->same_file && !is_taken_in (context) ? TL_WAL_DAMAGED : TL_WAL_GOOD;
}

TlWalVerdict
tl_wal_judge (const TlWalScan *scan, const TlWalContext *context, guint64 *where)
{
  const TlLogEndRecord *end = context->end;
  TlWalVerdict verdict;

  *where = 0;
  if (scan->length == 0)
    return end != NULL ? judge_other (context) : TL_WAL_GOOD;
  if (!scan->header_is_good)
    return judge_bad_header (scan, context);

  *where = scan->bad_at;
  if (end == NULL)
    return scan->continues ? TL_WAL_DAMAGED : TL_WAL_GOOD;
  if (memcmp (scan->header.salts, end->salts, sizeof end->salts) == 0)
    verdict = scan->committed < (context->same_boot ? end->end : end->synced) ? TL_WAL_DAMAGED : TL_WAL_GOOD;
  else if (context->same_boot && scan->continues)
    verdict = TL_WAL_DAMAGED;
  else
    verdict = judge_other (context);
  if (verdict == TL_WAL_GOOD && !context->same_boot && (scan->continues || scan->committed < scan->bad_at))
    return TL_WAL_TORN;
  return verdict;
}
