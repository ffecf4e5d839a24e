/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-wal.h"

#include <string.h>

#include "base/tl-random.h"
#include "daemon/store/tl-page-sum.h"

#define PAGE   512
#define FRAME  (TL_WAL_FRAME_HEADER + PAGE)
#define FRAMES 6

/* ---- sums of pages ---- */

static void
test_page_sum (void)
{
  guint8 page[4096];

  tl_random_bytes (tl_random_system (), page, sizeof page);
  tl_page_seal (page, sizeof page, 7);
  g_assert_true (tl_page_is_sound (page, sizeof page, 7));
  g_assert_false (tl_page_is_sound (page, sizeof page, 8)); /* written to another place */
  for (gsize i = 0; i < sizeof page; i++)
    {
      page[i] ^= 0x10;
      g_assert_false (tl_page_is_sound (page, sizeof page, 7));
      page[i] ^= 0x10;
    }
  memset (page, 0, sizeof page);
  g_assert_false (tl_page_is_sound (page, sizeof page, 1)); /* a hole is no page */
}

/* The format is for ever: this is what files on disk have. */
static void
test_page_sum_is_stable (void)
{
  guint8 page[512];

  for (guint i = 0; i < sizeof page; i++)
    page[i] = (guint8)i;
  g_assert_cmphex (tl_page_sum (page, sizeof page, 2), ==, G_GUINT64_CONSTANT (0xf0be479f955839f5));
  g_assert_cmphex (tl_page_sum (page, sizeof page, 1), ==, G_GUINT64_CONSTANT (0x71bb4214a0861381));
  page[25] ^= 1; /* the change counter does not count, in page 1 */
  g_assert_cmphex (tl_page_sum (page, sizeof page, 1), ==, G_GUINT64_CONSTANT (0x71bb4214a0861381));
  g_assert_cmphex (tl_page_sum (page, sizeof page, 2), !=, G_GUINT64_CONSTANT (0xf0be479f955839f5));
}

/* ---- a log ---- */

/* FRAMES frames; every second one is a commit. The fourth is of page 1. */
static GByteArray *
make_log (void)
{
  GByteArray *log = g_byte_array_new ();
  guint8 header[TL_WAL_HEADER_LENGTH] = { 0 };
  guint32 sums[2] = { 0, 0 };

  tl_wal_put_u32 (header, 0x377f0682);
  tl_wal_put_u32 (header + 4, 3007000);
  tl_wal_put_u32 (header + 8, PAGE);
  tl_wal_put_u32 (header + 16, 0xabcd);
  tl_wal_put_u32 (header + 20, 0x1234);
  tl_wal_checksum (header, 24, FALSE, sums);
  tl_wal_put_u32 (header + 24, sums[0]);
  tl_wal_put_u32 (header + 28, sums[1]);
  g_byte_array_append (log, header, sizeof header);
  for (guint i = 0; i < FRAMES; i++)
    {
      guint8 frame[FRAME] = { 0 };

      tl_wal_put_u32 (frame, i == 3 ? 1 : 2 + i);
      tl_wal_put_u32 (frame + 4, i % 2 == 1 ? 10 : 0);
      memcpy (frame + 8, header + 16, 8);
      memset (frame + TL_WAL_FRAME_HEADER, (int)('a' + i), PAGE);
      tl_wal_checksum (frame, 8, FALSE, sums);
      tl_wal_checksum (frame + TL_WAL_FRAME_HEADER, PAGE, FALSE, sums);
      tl_wal_put_u32 (frame + 16, sums[0]);
      tl_wal_put_u32 (frame + 20, sums[1]);
      g_byte_array_append (log, frame, sizeof frame);
    }
  return log;
}

static guint64
frame_at (guint frames)
{
  return TL_WAL_HEADER_LENGTH + (guint64)frames * FRAME;
}

static void
test_scan (void)
{
  g_autoptr (GByteArray) log = make_log ();
  TlWalScan scan;

  tl_wal_scan (log->data, log->len, &scan);
  g_assert_true (scan.header_is_good);
  g_assert_cmpuint (scan.committed, ==, log->len);
  g_assert_cmpuint (scan.bad_at, ==, log->len);
  g_assert_false (scan.continues);
  g_assert_cmpuint (scan.first_page, ==, frame_at (3) + TL_WAL_FRAME_HEADER);

  tl_wal_scan (log->data, log->len - 1, &scan); /* the last commit is not whole */
  g_assert_cmpuint (scan.committed, ==, frame_at (4));
  g_assert_cmpuint (scan.bad_at, ==, frame_at (5));
  tl_wal_scan (log->data, frame_at (3), &scan); /* page 1 was written, but not committed */
  g_assert_cmpuint (scan.first_page, ==, 0);
  tl_wal_scan (NULL, 0, &scan);
  g_assert_false (scan.header_is_good);

  log->data[frame_at (2) + 100] ^= 1;
  tl_wal_scan (log->data, log->len, &scan);
  g_assert_cmpuint (scan.committed, ==, frame_at (2));
  g_assert_cmpuint (scan.bad_at, ==, frame_at (2));
  g_assert_true (scan.continues);
  for (guint i = 3; i < FRAMES; i++)
    log->data[frame_at (i) + 8] = 0x55; /* what follows is of an older log */
  tl_wal_scan (log->data, log->len, &scan);
  g_assert_false (scan.continues);
}

static TlWalVerdict
judge (const GByteArray *log, gsize length, const TlLogEndRecord *end, gboolean same_boot, gboolean same_file,
       guint64 page_sum)
{
  TlWalContext context = { end, same_boot, same_file, page_sum };
  TlWalScan scan;
  guint64 where;

  tl_wal_scan (log->data, length, &scan);
  return tl_wal_judge (&scan, &context, &where);
}

static void
test_judge (void)
{
  g_autoptr (GByteArray) log = make_log ();
  TlLogEndRecord end = { .end = log->len, .synced = frame_at (4), .page = 7, .page_sum = 99 };

  memcpy (end.salts, log->data + 16, sizeof end.salts);
  g_assert_cmpint (judge (log, log->len, &end, TRUE, TRUE, 0), ==, TL_WAL_GOOD);
  g_assert_cmpint (judge (log, log->len, NULL, FALSE, FALSE, 0), ==, TL_WAL_GOOD);
  /* Cut in the last commit: damage under the same boot, a torn end after a power loss. */
  g_assert_cmpint (judge (log, log->len - 1, &end, TRUE, TRUE, 0), ==, TL_WAL_DAMAGED);
  g_assert_cmpint (judge (log, log->len - 1, &end, FALSE, TRUE, 0), ==, TL_WAL_TORN);
  /* But not what had been synced. */
  g_assert_cmpint (judge (log, frame_at (4) - 1, &end, FALSE, TRUE, 0), ==, TL_WAL_DAMAGED);
  /* Gone: damage unless its last page is in the database, or this is another database. */
  g_assert_cmpint (judge (log, 0, &end, TRUE, TRUE, 98), ==, TL_WAL_DAMAGED);
  g_assert_cmpint (judge (log, 0, &end, TRUE, TRUE, 99), ==, TL_WAL_GOOD);
  g_assert_cmpint (judge (log, 0, &end, TRUE, FALSE, 98), ==, TL_WAL_GOOD);
  g_assert_cmpint (judge (log, 0, &end, FALSE, TRUE, 98), ==, TL_WAL_GOOD);
  g_assert_cmpint (judge (log, 0, NULL, FALSE, FALSE, 0), ==, TL_WAL_GOOD);
  /* Its header does not verify. */
  log->data[9] ^= 1;
  g_assert_cmpint (judge (log, log->len, &end, TRUE, TRUE, 98), ==, TL_WAL_DAMAGED);
  g_assert_cmpint (judge (log, log->len, &end, TRUE, TRUE, 99), ==, TL_WAL_GOOD);
  g_assert_cmpint (judge (log, log->len, NULL, FALSE, FALSE, 0), ==, TL_WAL_DAMAGED);
  log->data[9] ^= 1;
  /* Without a record: only what is followed by more. */
  log->data[frame_at (1)] ^= 1;
  g_assert_cmpint (judge (log, log->len, NULL, FALSE, FALSE, 0), ==, TL_WAL_DAMAGED);
  g_assert_cmpint (judge (log, frame_at (2), NULL, FALSE, FALSE, 0), ==, TL_WAL_GOOD);
}

static void
test_boot_id (void)
{
  guint8 id[TL_BOOT_ID_LENGTH], zero[TL_BOOT_ID_LENGTH] = { 0 };
  TlLogEndRecord record = { 0 };

  tl_boot_id_parse ("01234567-89ab-cdef-0011-223344556677\n", id);
  g_assert_cmphex (id[0], ==, 0x01);
  g_assert_cmphex (id[15], ==, 0x77);
  memcpy (record.boot_id, id, sizeof id);
  g_assert_true (tl_log_end_same_boot (&record, id));
  tl_boot_id_parse ("01234567-89ab-cdef-0011-22334455667", id); /* a digit short */
  g_assert_cmpmem (id, sizeof id, zero, sizeof zero);
  g_assert_false (tl_log_end_same_boot (&(TlLogEndRecord){ 0 }, zero)); /* not known is not the same */
  tl_boot_id_read (id);
  g_assert_true (memcmp (id, zero, sizeof id) != 0);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wal/page-sum", test_page_sum);
  g_test_add_func ("/wal/page-sum-is-stable", test_page_sum_is_stable);
  g_test_add_func ("/wal/scan", test_scan);
  g_test_add_func ("/wal/judge", test_judge);
  g_test_add_func ("/wal/boot-id", test_boot_id);
  return g_test_run ();
}
