/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlTable: rows for people, columns aligned by what a terminal shows (not by bytes). Cells are escaped here, so callers
 * hand in foreign strings as they are. Thread: owner's.
 */
typedef struct _TlTable TlTable;

/* Column titles, NULL-terminated, translated by the caller. */
TlTable *tl_table_new (const char *first, ...) G_GNUC_NULL_TERMINATED;
/* "Name  value" pairs without a heading, for one thing. */
TlTable *tl_table_new_pairs (void);
void tl_table_free (TlTable *table);

/* As many cells as columns; NULL or "" shows "-". No sentinel: the count is the table's. */
void tl_table_add (TlTable *table, ...);
void tl_table_add_pair (TlTable *table, const char *name, const char *value);
/* Like tl_table_add_pair(), takes the value (g_free). */
void tl_table_take_pair (TlTable *table, const char *name, char *value);
guint tl_table_rows (TlTable *table);
/* Two blanks between columns, none at line ends. bold: headings in bold (ANSI). g_free(). */
char *tl_table_render (TlTable *table, gboolean bold);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlTable, tl_table_free)

G_END_DECLS
