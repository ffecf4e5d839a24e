/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What this computer calls itself towards a gateway. Thread: any. All g_free(). */

/* "linux x86_64", for RegisterNode and pairing. */
char *tl_node_platform (void);
/* The host name, made acceptable to tl_pairing_name_check(); "computer" when nothing of it is left. */
char *tl_node_default_name (void);
/* Any text made acceptable in the same way: what cannot stay becomes '-', length is cut. */
char *tl_node_clean_name (const char *text);

G_END_DECLS
