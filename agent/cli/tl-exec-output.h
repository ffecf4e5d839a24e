/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <jansson.h>

G_BEGIN_DECLS

/*
 * What `exec` makes of a capability's input and output. Thread: any.
 */

/* argument: NULL is "{}", "-" reads standard input, else the text itself. It has to be JSON: INVALID_ARGUMENT with line
 * and column. The text is returned as it was given: the gateway and the device hash its bytes (PROTOCOL 0). g_free().
 */
char *tl_exec_input (const char *argument, GError **error);
/* --raw: the bytes of a file (fs.read: "data" with "encoding" utf-8 or base64), of a JSON string, else the JSON
 * itself. */
GBytes *tl_exec_raw_output (const char *output, GError **error);

G_END_DECLS
