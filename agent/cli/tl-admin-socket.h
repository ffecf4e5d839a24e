/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Which admin socket to use, and why it does not work. gRPC would only say "connection failed" after its connect
 * timeout. Thread: any; blocks for one local connect().
 */

/* chosen: --socket, or NULL to look for it. Connects once and closes again: UNAVAILABLE (nothing there, nobody listens)
 * and PERMISSION_DENIED say where it looked and what to do. g_free(). */
char *tl_admin_socket_find (const char *chosen, GError **error);

G_END_DECLS
