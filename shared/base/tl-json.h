/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <jansson.h>

G_BEGIN_DECLS

/*
 * JSON with the limits of PROTOCOL 0 over jansson: UTF-8, duplicate members refused, depth <= 32, integers with
 * |x| < 2^53. Depth and size are checked before jansson builds anything. Thread: any.
 */
#define TL_JSON_MAX_DEPTH         32
#define TL_JSON_MAX_INTEGER       ((gint64)1 << 53)
#define TL_JSON_DEFAULT_MAX_BYTES (4u * 1024u * 1024u)

/* Any JSON value (scalars too). max_bytes 0 means TL_JSON_DEFAULT_MAX_BYTES; above it: RESOURCE_EXHAUSTED.
 * Malformed: INVALID_ARGUMENT with "line L, column C". Free with json_decref(). */
json_t *tl_json_parse (const char *text, gssize length, gsize max_bytes, GError **error);
/* Compact, members in insertion order; free with g_free(). */
char *tl_json_to_string (const json_t *value);
/* Indented by two, for people and `--json` output. */
char *tl_json_to_pretty_string (const json_t *value);

/* Typed members of an object. Absent (or null) optional members give the fallback; wrong type or range is
 * INVALID_ARGUMENT naming the member. Strings are borrowed from the value. */
gboolean tl_json_get_string (const json_t *object, const char *member, gboolean required, const char **value,
                             GError **error);
gboolean tl_json_get_int (const json_t *object, const char *member, gboolean required, gint64 min, gint64 max,
                          gint64 fallback, gint64 *value, GError **error);
gboolean tl_json_get_bool (const json_t *object, const char *member, gboolean fallback, gboolean *value,
                           GError **error);

static inline void
tl_json_autoptr_cleanup (json_t **value)
{
  if (*value != NULL)
    json_decref (*value);
}
#define tl_json_auto __attribute__ ((cleanup (tl_json_autoptr_cleanup))) json_t *

G_END_DECLS
