/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "quic/tl-quic-cid-table.h"
#include "quic/tl-quic-heap.h"
#include "quic/tl-quic-socket.h"

/* What endpoints look things up in. */

static void
test_heap (void)
{
  enum
  {
    N = 500
  };
  TlQuicHeap heap;
  TlQuicTimer timers[N] = { 0 };
  guint64 last = 0;
  guint n = 0;

  tl_quic_heap_init (&heap);
  g_assert_null (tl_quic_heap_first (&heap));
  for (int round = 0; round < 3; round++)
    {
      for (int i = 0; i < N; i++)
        tl_quic_heap_set (&heap, &timers[i], (guint64)g_test_rand_int_range (1, 1000));
    }
  for (int i = 0; i < N; i += 3)
    tl_quic_heap_set (&heap, &timers[i], TL_QUIC_TIMER_NEVER);
  for (TlQuicTimer *timer; (timer = tl_quic_heap_first (&heap)) != NULL; n++)
    {
      g_assert_cmpuint (timer->at, >=, last);
      g_assert_cmpint ((timer - timers) % 3, !=, 0);
      last = timer->at;
      tl_quic_heap_set (&heap, timer, TL_QUIC_TIMER_NEVER);
      g_assert_cmpuint (timer->index, ==, 0);
    }
  g_assert_cmpuint (n, ==, N - (N + 2) / 3);
  tl_quic_heap_clear (&heap);
}

static void
test_cids (void)
{
  enum
  {
    N = 3000
  };
  const guint8 key[16] = { 1, 2, 3 };
  TlQuicCidTable table;
  TlQuicCidEntry *entries[N];
  guint8 id[NGTCP2_MAX_CIDLEN] = { 0 };

  tl_quic_cid_table_init (&table, key);
  for (guint i = 0; i < N; i++)
    {
      memcpy (id, &i, sizeof i);
      entries[i] = tl_quic_cid_table_add (&table, id, 8 + i % 13, GUINT_TO_POINTER (i + 1));
      g_assert_nonnull (entries[i]);
      g_assert_null (tl_quic_cid_table_add (&table, id, 8 + i % 13, NULL));
    }
  for (guint i = 0; i < N; i += 2)
    tl_quic_cid_table_remove (&table, entries[i]);
  for (guint i = 0; i < N; i++)
    {
      memcpy (id, &i, sizeof i);
      g_assert_cmpuint (GPOINTER_TO_UINT (tl_quic_cid_table_find (&table, id, 8 + i % 13)), ==, i % 2 == 0 ? 0 : i + 1);
      g_assert_null (tl_quic_cid_table_find (&table, id, 7)); /* the length counts */
    }
  g_assert_null (tl_quic_cid_table_find (&table, id, NGTCP2_MAX_CIDLEN + 1));
  g_assert_cmpuint (table.n_entries, ==, N / 2);
  tl_quic_cid_table_clear (&table);
}

/* Another key, other buckets: nobody can choose ids that fall into one. */
static void
test_cids_are_keyed (void)
{
  const guint8 keys[2][16] = { { 1 }, { 2 } };
  const guint8 id[8] = { 9 };
  TlQuicCidTable tables[2];
  guint64 hashes[2];

  for (int i = 0; i < 2; i++)
    {
      tl_quic_cid_table_init (&tables[i], keys[i]);
      hashes[i] = tl_quic_cid_table_add (&tables[i], id, sizeof id, NULL)->hash;
      tl_quic_cid_table_clear (&tables[i]);
    }
  g_assert_cmphex (hashes[0], !=, hashes[1]);
}

static void
test_addresses (void)
{
  const char *const good[] = { "127.0.0.1:1", "[::1]:65535", "[2001:db8::1]:7444", "0.0.0.0:0", "[::]:0" };
  const char *const bad[] = { "",      "127.0.0.1",   ":1",        "localhost:1", "127.0.0.1:",     "::1:7444",
                              "[::1]", "127.0.0.1:x", "[::1]7444", "[]:1",        "127.0.0.1:70000" };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autoptr (GError) error = NULL;
      char text[TL_QUIC_ADDRESS_TEXT];
      TlQuicAddress address;

      g_assert_true (tl_quic_address_parse (good[i], &address, &error));
      g_assert_no_error (error);
      tl_quic_address_format (&(ngtcp2_addr){ &address.address.sa, address.length }, text);
      g_assert_cmpstr (text, ==, good[i]);
    }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      TlQuicAddress address;

      if (tl_quic_address_parse (bad[i], &address, &error))
        g_error ("'%s' was taken for an address", bad[i]);
      g_assert_nonnull (error);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quic/tables/heap", test_heap);
  g_test_add_func ("/quic/tables/cids", test_cids);
  g_test_add_func ("/quic/tables/cids-are-keyed", test_cids_are_keyed);
  g_test_add_func ("/quic/tables/addresses", test_addresses);
  return g_test_run ();
}
