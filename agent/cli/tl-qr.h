/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlQr: a text as a QR code (ISO/IEC 18004, level L: shown on a screen, not printed on a box), drawn with half blocks,
 * two module rows a line. A link is a secret, so the matrix is wiped. Thread: owner's.
 */
#define TL_QR_QUIET_ZONE 4 /* modules, ISO/IEC 18004 5.3.8 */
#define TL_QR_MAX_BYTES  1024

typedef struct _TlQr TlQr;

typedef enum
{
  TL_QR_PLAIN, /* blocks are dark modules: for files and black-on-white viewers */
  TL_QR_ANSI,  /* the same, black on white set explicitly: scans on dark terminals too */
} TlQrStyle;

/* INVALID_ARGUMENT for an empty text, RESOURCE_EXHAUSTED above TL_QR_MAX_BYTES. */
TlQr *tl_qr_new (const char *text, GError **error);
void tl_qr_free (TlQr *qr);
guint tl_qr_size (TlQr *qr); /* modules a side, without quiet zone */
gboolean tl_qr_is_dark (TlQr *qr, guint x, guint y);
/* Text rows with quiet zone on all sides, no line ends; g_strfreev(). */
char **tl_qr_render (TlQr *qr, TlQrStyle style);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQr, tl_qr_free)

G_END_DECLS
