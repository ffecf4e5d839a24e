/* SPDX-License-Identifier: Apache-2.0 */
#include <qrencode.h>
#include <string.h>

#include "agent/cli/tl-qr.h"
#include "base/tl-error.h"

#define LINK                                                                                                           \
  "twinlatch:pair?v=1&g=01KAB3DEFGH1JKMNPQRSTVWXYZ&c=01KAB3DEFGH1JKMNPQRSTVWXY0&t=0123456789ABCDEFGHJKMNPQRS"          \
  "&f=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU&a=192.0.2.7:7444&a=[2001:db8::7]:7444&n=Office"

static void
test_matrix (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlQr) qr = tl_qr_new (LINK, &error);
  QRcode *reference = QRcode_encodeString (LINK, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
  guint dark = 0;

  g_assert_no_error (error);
  g_assert_cmpuint (tl_qr_size (qr), ==, (guint)reference->width);
  for (guint y = 0; y < tl_qr_size (qr); y++)
    {
      for (guint x = 0; x < tl_qr_size (qr); x++)
        {
          g_assert_cmpint (tl_qr_is_dark (qr, x, y), ==, reference->data[y * tl_qr_size (qr) + x] & 1);
          dark += tl_qr_is_dark (qr, x, y) ? 1 : 0;
        }
    }
  g_assert_cmpuint (dark, >, 100);
  QRcode_free (reference);
}

/* The two modules that a character shows. */
static void
read_block (gunichar c, gboolean *upper, gboolean *lower)
{
  g_assert_true (c == ' ' || c == 0x2580 || c == 0x2584 || c == 0x2588);
  *upper = c == 0x2580 || c == 0x2588;
  *lower = c == 0x2584 || c == 0x2588;
}

static gboolean
expected (TlQr *qr, guint column, guint row)
{
  guint size = tl_qr_size (qr);

  if (column < TL_QR_QUIET_ZONE || row < TL_QR_QUIET_ZONE || column >= size + TL_QR_QUIET_ZONE
      || row >= size + TL_QR_QUIET_ZONE)
    return FALSE;
  return tl_qr_is_dark (qr, column - TL_QR_QUIET_ZONE, row - TL_QR_QUIET_ZONE);
}

static void
assert_rows_show (TlQr *qr, char **rows)
{
  guint side = tl_qr_size (qr) + 2 * TL_QR_QUIET_ZONE;

  g_assert_cmpuint (g_strv_length (rows), ==, (side + 1) / 2);
  for (guint y = 0; rows[y] != NULL; y++)
    {
      const char *p = rows[y];

      g_assert_cmpint (g_utf8_strlen (p, -1), ==, side);
      for (guint x = 0; x < side; x++, p = g_utf8_next_char (p))
        {
          gboolean upper, lower;

          read_block (g_utf8_get_char (p), &upper, &lower);
          g_assert_cmpint (upper, ==, expected (qr, x, 2 * y));
          g_assert_cmpint (lower, ==, expected (qr, x, 2 * y + 1));
        }
    }
}

static void
test_plain_rows (void)
{
  g_autoptr (TlQr) qr = tl_qr_new (LINK, NULL);
  g_auto (GStrv) rows = tl_qr_render (qr, TL_QR_PLAIN);

  assert_rows_show (qr, rows);
}

static void
test_ansi_rows (void)
{
  g_autoptr (TlQr) qr = tl_qr_new (LINK, NULL);
  g_auto (GStrv) rows = tl_qr_render (qr, TL_QR_ANSI);

  for (guint i = 0; rows[i] != NULL; i++)
    {
      gsize length = strlen (rows[i]);
      const gsize on = strlen ("\033[30;107m"), off = strlen ("\033[0m");

      g_assert_true (g_str_has_prefix (rows[i], "\033[30;107m")); /* black on white, whatever the theme */
      g_assert_true (g_str_has_suffix (rows[i], "\033[0m"));
      memmove (rows[i], rows[i] + on, length - on - off);
      rows[i][length - on - off] = '\0';
    }
  assert_rows_show (qr, rows);
}

static void
test_limits (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *longest = g_strnfill (TL_QR_MAX_BYTES, 'x');
  g_autofree char *longer = g_strnfill (TL_QR_MAX_BYTES + 1, 'x');
  g_autoptr (TlQr) qr = tl_qr_new (longest, &error);

  g_assert_no_error (error);
  g_assert_null (tl_qr_new (longer, &error));
  g_assert_true (tl_error_is (error, TL_ERROR_RESOURCE_EXHAUSTED));
  g_clear_error (&error);
  g_assert_null (tl_qr_new ("", &error));
  g_assert_true (tl_error_is (error, TL_ERROR_INVALID_ARGUMENT));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cli/qr/matrix", test_matrix);
  g_test_add_func ("/cli/qr/plain-rows", test_plain_rows);
  g_test_add_func ("/cli/qr/ansi-rows", test_ansi_rows);
  g_test_add_func ("/cli/qr/limits", test_limits);
  return g_test_run ();
}
