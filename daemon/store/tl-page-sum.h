/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Checksum of a database page, kept in the bytes that SQLite leaves free at its end ("reserved bytes", offset 20 of the
 * file's header). Against rot, misdirected writes and edits, not against an attacker: the journal's chain is for those.
 * Every change within one 8-byte word is found with certainty, others but for one in 2^64. Pure; any thread.
 */
#define TL_PAGE_SUM_LENGTH 8

/* A page size that SQLite may use: 512 .. 65536, a power of two. */
gboolean tl_page_size_is_valid (gsize page_size);
/* Of everything but the last TL_PAGE_SUM_LENGTH bytes, and of the page's number (from 1). Of page 1 without what any
 * SQLite writes there when it copies a database (`.backup`): change counter, schema cookie, library version. They tell
 * caches when to look again, nothing else. */
guint64 tl_page_sum (const guint8 *page, gsize page_size, guint32 number);
/* Puts the sum in its place. */
void tl_page_seal (guint8 *page, gsize page_size, guint32 number);
gboolean tl_page_is_sound (const guint8 *page, gsize page_size, guint32 number);
/* The sum that the page carries, whether it is right or not. */
guint64 tl_page_stored_sum (const guint8 *page, gsize page_size);

G_END_DECLS
