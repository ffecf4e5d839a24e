/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-qr.h"

#include <errno.h>
#include <qrencode.h>
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-secret.h"

#define BLOCK_FULL  "\xe2\x96\x88" /* U+2588 */
#define BLOCK_UPPER "\xe2\x96\x80" /* U+2580 */
#define BLOCK_LOWER "\xe2\x96\x84" /* U+2584 */
#define ANSI_ON     "\033[30;107m"
#define ANSI_OFF    "\033[0m"

struct _TlQr
{
  QRcode *code;
};

TlQr *
tl_qr_new (const char *text, GError **error)
{
  TlQr *qr;
  QRcode *code;

  if (text[0] == '\0')
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "a QR code needs a text");
      return NULL;
    }
  if (strlen (text) > TL_QR_MAX_BYTES)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
                   "a text of %" G_GSIZE_FORMAT " bytes is too long for a QR code; the limit is %d", strlen (text),
                   TL_QR_MAX_BYTES);
      return NULL;
    }
  code = QRcode_encodeString (text, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
  if (code == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INTERNAL, "cannot make the QR code: %s", g_strerror (errno));
      return NULL;
    }
  qr = g_new0 (TlQr, 1);
  qr->code = code;
  return qr;
}

void
tl_qr_free (TlQr *qr)
{
  if (qr == NULL)
    return;
  tl_wipe (qr->code->data, (gsize)qr->code->width * (gsize)qr->code->width);
  QRcode_free (qr->code);
  g_free (qr);
}

guint
tl_qr_size (TlQr *qr)
{
  return (guint)qr->code->width;
}

gboolean
tl_qr_is_dark (TlQr *qr, guint x, guint y)
{
  return (qr->code->data[y * tl_qr_size (qr) + x] & 1) != 0;
}

/* Module by position in the drawing, quiet zone included; light outside. */
static gboolean
drawn_dark (TlQr *qr, guint column, guint row)
{
  guint size = tl_qr_size (qr);

  if (column < TL_QR_QUIET_ZONE || row < TL_QR_QUIET_ZONE)
    return FALSE;
  column -= TL_QR_QUIET_ZONE;
  row -= TL_QR_QUIET_ZONE;
  return column < size && row < size && tl_qr_is_dark (qr, column, row);
}

char **
tl_qr_render (TlQr *qr, TlQrStyle style)
{
  guint side = tl_qr_size (qr) + 2 * TL_QR_QUIET_ZONE;
  g_autoptr (GPtrArray) rows = g_ptr_array_new ();

  for (guint y = 0; y < side; y += 2)
    {
      GString *row = g_string_new (style == TL_QR_ANSI ? ANSI_ON : NULL);

      for (guint x = 0; x < side; x++)
        {
          gboolean upper = drawn_dark (qr, x, y);
          gboolean lower = drawn_dark (qr, x, y + 1);

          g_string_append (row, upper ? (lower ? BLOCK_FULL : BLOCK_UPPER) : (lower ? BLOCK_LOWER : " "));
        }
      if (style == TL_QR_ANSI)
        g_string_append (row, ANSI_OFF);
      g_ptr_array_add (rows, g_string_free (row, FALSE));
    }
  g_ptr_array_add (rows, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&rows), FALSE);
}
