/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Pairing codes are refused as arguments (STYLE rule 7): /proc shows a process's arguments to every user of the
 * computer. The messages say why and what to do instead, and never repeat the code. Thread: any.
 */

/* No argument, and no value after "--option=", is a pairing link. TL_ERROR_USAGE. */
gboolean tl_argv_check_links (int argc, const char *const *argv, GError **error);
/* The text is not a PIN (S-DDDD-DDDD, with or without dashes and blanks). TL_ERROR_USAGE. */
gboolean tl_argv_check_pin (const char *text, GError **error);

G_END_DECLS
