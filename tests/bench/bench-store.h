/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sqlite3.h>

#include "bench.h"

G_BEGIN_DECLS

/*
 * Rows written straight into a gateway's SQLite file, between two starts: copies of rows that came to be in the regular
 * way. The journal gets none for them.
 */
typedef struct
{
  const char *column;
  const char *value; /* SQL, with n from 1 and the copied row r */
} BenchColumn;

/* The file of the gateway whose folder is <directory>/gateway, in a transaction. sqlite3_close(). */
sqlite3 *bench_store_open (const char *directory, GError **error);
gboolean bench_store_commit (sqlite3 *db, GError **error);
/* Copies one row that fits `where` n times, whatever columns the table has by now. columns: those that differ, ends
 * with NULL. */
gboolean bench_store_multiply (sqlite3 *db, const char *table, const char *where, const BenchColumn *columns, guint n,
                               GError **error);
/* <from>/gateway becomes <directory>/gateway; the directory is made. */
gboolean bench_store_copy_gateway (const char *from, const char *directory, GError **error);
gboolean bench_copy_tree (const char *from, const char *to, GError **error);

G_END_DECLS
