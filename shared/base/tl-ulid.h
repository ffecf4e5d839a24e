/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-random.h"

G_BEGIN_DECLS

/*
 * ULIDs (PROTOCOL 0): 26 characters Crockford base32, upper case, first character <= '7'; 48 bits of wall-clock
 * milliseconds, 80 random bits. All ids of gateways, devices, sessions, codes, requests and events. Thread: any.
 */
#define TL_ULID_LENGTH 26

/* A new id for that moment (wall_ms 0 .. 2^48-1). Free with g_free(). */
char *tl_ulid_new (gint64 wall_ms, TlRandom *random);
/* Exactly the canonical form; NULL, lower case, other lengths and the letters I L O U are refused. */
gboolean tl_ulid_is_valid (const char *text);
/* Milliseconds in a valid id; -1 for anything else. */
gint64 tl_ulid_time_ms (const char *text);
/* A prefix typed by a person (case-insensitive, 1..26 characters of the alphabet) fits the id. */
gboolean tl_ulid_has_prefix (const char *ulid, const char *prefix);

/* Crockford base32 of bytes, upper case, no padding, last character zero-filled in its low bits. */
char *tl_base32_encode (const guint8 *bytes, gsize length);
/* The inverse: canonicalises (upper case, I and L = 1, O = 0, '-' skipped). Exactly `length` bytes must come out and
 * the filling bits be zero, or FALSE. */
gboolean tl_base32_decode (const char *text, guint8 *bytes, gsize length);

G_END_DECLS
