/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-ulid.h"

#include <string.h>

static void
test_new (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *first = tl_ulid_new (0, random);
  g_autofree char *last = tl_ulid_new (((gint64)1 << 48) - 1, random);
  g_autofree char *known = tl_ulid_new (1469918176385, random);
  g_autofree char *later = tl_ulid_new (1469918176386, random);

  g_assert_true (g_str_has_prefix (first, "0000000000"));
  g_assert_true (g_str_has_prefix (last, "7ZZZZZZZZZ"));
  g_assert_true (g_str_has_prefix (known, "01ARYZ6S41")); /* the example of the ULID specification */
  g_assert_cmpint (strcmp (known, later), <, 0);
  g_assert_cmpint (tl_ulid_time_ms (known), ==, 1469918176385);
  g_assert_cmpint (tl_ulid_time_ms (last), ==, ((gint64)1 << 48) - 1);
  for (guint i = 0; i < 1000; i++)
    {
      char *id = tl_ulid_new (5, random);

      g_assert_true (tl_ulid_is_valid (id));
      g_assert_true (g_hash_table_add (seen, id));
    }
}

static void
test_valid (void)
{
  static const char *const bad[] = {
    "",
    "01ARZ3NDEKTSV4RRFFQ69G5FA",
    "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
    "81ARZ3NDEKTSV4RRFFQ69G5FAV",
    "01arz3ndektsv4rrffq69g5fav",
    "01ARZ3NDEKTSV4RRFFQ69G5FAI",
    "01ARZ3NDEKTSV4RRFFQ69G5FAL",
    "01ARZ3NDEKTSV4RRFFQ69G5FAO",
    "01ARZ3NDEKTSV4RRFFQ69G5FAU",
    "01ARZ3NDEKTSV4RRFFQ69G5F-V",
    "/1ARZ3NDEKTSV4RRFFQ69G5FAV",
  };

  g_assert_true (tl_ulid_is_valid ("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
  g_assert_true (tl_ulid_is_valid ("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"));
  g_assert_false (tl_ulid_is_valid (NULL));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_false (tl_ulid_is_valid (bad[i]));
      g_assert_cmpint (tl_ulid_time_ms (bad[i]), ==, -1);
    }
}

static void
test_prefix (void)
{
  const char *id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

  g_assert_true (tl_ulid_has_prefix (id, "01arz"));
  g_assert_true (tl_ulid_has_prefix (id, "0"));
  g_assert_true (tl_ulid_has_prefix (id, id));
  g_assert_false (tl_ulid_has_prefix (id, ""));
  g_assert_false (tl_ulid_has_prefix (id, NULL));
  g_assert_false (tl_ulid_has_prefix (id, "01ARX"));
  g_assert_false (tl_ulid_has_prefix (id, "01ARZ3NDEKTSV4RRFFQ69G5FAV0"));
  g_assert_false (tl_ulid_has_prefix ("01", "01"));
}

static void
test_base32 (void)
{
  static const guint8 bytes[] = { 0x00, 0xff, 0x10, 0x80, 0x7f, 0x01 };
  guint8 back[16];

  for (gsize n = 0; n <= sizeof bytes; n++)
    {
      g_autofree char *text = tl_base32_encode (bytes, n);

      g_assert_cmpuint (strlen (text), ==, (n * 8 + 4) / 5);
      memset (back, 0xaa, sizeof back);
      g_assert_true (tl_base32_decode (text, back, n));
      g_assert_cmpmem (back, n, bytes, n);
      g_assert_cmpuint (back[n], ==, 0xaa);
    }
  g_assert_true (tl_base32_decode ("ZW", back, 1));
  g_assert_cmphex (back[0], ==, 0xff);
  /* What people type: O for 0, L and I for 1, any case, dashes anywhere. */
  g_assert_true (tl_base32_decode ("o-0lG-", back, 2));
  g_assert_cmphex (back[0], ==, 0x00);
  g_assert_cmphex (back[1], ==, 0x03);
}

static void
test_base32_refuses (void)
{
  guint8 back[2] = { 0xaa, 0xaa };

  g_assert_false (tl_base32_decode ("00U0", back, 2));
  g_assert_false (tl_base32_decode ("00 00", back, 2));
  g_assert_false (tl_base32_decode ("000", back, 2));
  g_assert_false (tl_base32_decode ("00000", back, 2));
  g_assert_false (tl_base32_decode ("0001", back, 2));
  g_assert_false (tl_base32_decode ("", back, 2));
  g_assert_false (tl_base32_decode (NULL, back, 2));
  g_assert_cmphex (back[0], ==, 0xaa);
  g_assert_cmphex (back[1], ==, 0xaa);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/ulid/new", test_new);
  g_test_add_func ("/base/ulid/valid", test_valid);
  g_test_add_func ("/base/ulid/prefix", test_prefix);
  g_test_add_func ("/base/ulid/base32", test_base32);
  g_test_add_func ("/base/ulid/base32-refuses", test_base32_refuses);
  return g_test_run ();
}
