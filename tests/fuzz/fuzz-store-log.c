/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <string.h>

#include "daemon/store/tl-page-sum.h"
#include "daemon/store/tl-wal.h"

#define RECORD 512

/* A log or a record of its end that is anything at all: what the scan says lies inside, and a judgement is made. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree guint8 *copy = g_memdup2 (data, size); /* an overrun is then seen */
  g_autofree guint8 *record_bytes = g_malloc0 (RECORD);
  g_autoptr (GError) error = NULL;
  TlLogEndRecord record = { 0 };
  TlWalContext context = { 0 };
  TlWalScan scan;
  guint64 where;

  tl_wal_scan (copy, size, &scan);
  g_assert_cmpuint (scan.committed, <=, size);
  g_assert_cmpuint (scan.bad_at, <=, size);
  g_assert_cmpuint (scan.length, ==, size);
  if (scan.header_is_good)
    {
      g_assert_true (tl_page_size_is_valid (scan.header.page_size));
      g_assert_cmpuint (scan.committed, <=, scan.bad_at);
      g_assert_true (scan.first_page == 0 || scan.first_page + scan.header.page_size <= scan.committed);
    }

  fuzz_assert_verdict (tl_log_end_parse (copy, size, &record, &error), error);
  memcpy (record_bytes, data, MIN (size, RECORD));
  tl_page_seal (record_bytes, RECORD, 0);
  for (guint known = 0; known < 8; known++)
    {
      context.end = tl_log_end_parse (record_bytes, RECORD, &record, NULL) ? &record : NULL;
      context.same_boot = (known & 1) != 0;
      context.same_file = (known & 2) != 0;
      context.page_sum = (known & 4) != 0 ? record.page_sum : 0;
      g_assert_cmpint (tl_wal_judge (&scan, &context, &where), <=, TL_WAL_DAMAGED);
      g_assert_cmpuint (where, <=, size);
    }
  return 0;
}
