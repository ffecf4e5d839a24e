/* SPDX-License-Identifier: Apache-2.0 */
#include "bench-store.h"

#include <errno.h>
#include <glib/gstdio.h>

#include "base/tl-error.h"
#include "daemon/store/tl-checked-vfs.h"

static gboolean
run_sql (sqlite3 *db, const char *sql, GError **error)
{
  if (sqlite3_exec (db, sql, NULL, NULL, NULL) == SQLITE_OK)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_IO, "rows for the gateway: %s", sqlite3_errmsg (db));
  return FALSE;
}

sqlite3 *
bench_store_open (const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, "gateway", "twinlatch.db", NULL);
  sqlite3 *db = NULL;

  tl_checked_vfs_register (); /* the gateway takes no pages that carry no checksum */
  if (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READWRITE, TL_CHECKED_VFS) != SQLITE_OK)
    g_set_error (error, TL_ERROR, TL_ERROR_IO, "the gateway's store: %s", sqlite3_errmsg (db));
  else if (run_sql (db, "PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; BEGIN", error))
    return db;
  sqlite3_close (db);
  return NULL;
}

gboolean
bench_store_commit (sqlite3 *db, GError **error)
{
  return run_sql (db, "COMMIT; PRAGMA wal_checkpoint (TRUNCATE)", error);
}

static const char *
value_of (const BenchColumn *columns, const char *name)
{
  for (const BenchColumn *column = columns; column->column != NULL; column++)
    if (g_str_equal (column->column, name))
      return column->value;
  return NULL;
}

gboolean
bench_store_multiply (sqlite3 *db, const char *table, const char *where, const BenchColumn *columns, guint n,
                      GError **error)
{
  g_autofree char *info = g_strdup_printf ("SELECT name FROM pragma_table_info ('%s')", table);
  g_autoptr (GString) names = g_string_new (NULL), values = g_string_new (NULL);
  g_autofree char *sql = NULL;
  sqlite3_stmt *statement = NULL;

  if (sqlite3_prepare_v2 (db, info, -1, &statement, NULL) != SQLITE_OK)
    return run_sql (db, info, error);
  while (sqlite3_step (statement) == SQLITE_ROW)
    {
      const char *name = (const char *)sqlite3_column_text (statement, 0);
      const char *value = value_of (columns, name);

      g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", name);
      g_string_append_printf (values, "%s%s%s", values->len > 0 ? ", " : "", value != NULL ? "" : "r.",
                              value != NULL ? value : name);
    }
  sqlite3_finalize (statement);
  sql = g_strdup_printf ("WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < %u)"
                         " INSERT INTO %s (%s) SELECT %s FROM counter, (SELECT * FROM %s WHERE %s LIMIT 1) AS r",
                         n, table, names->str, values->str, table, where);
  return run_sql (db, sql, error);
}

gboolean
bench_copy_tree (const char *from, const char *to, GError **error)
{
  const char *argv[] = { "cp", "-a", from, to, NULL };
  int status = 0;

  return g_spawn_sync (NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, error)
         && g_spawn_check_wait_status (status, error);
}

gboolean
bench_store_copy_gateway (const char *from, const char *directory, GError **error)
{
  g_autofree char *gateway = g_build_filename (from, "gateway", NULL);
  g_autofree char *copy = g_build_filename (directory, "gateway", NULL);

  if (g_mkdir (directory, 0700) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot make %s: %s", directory, g_strerror (errno));
      return FALSE;
    }
  return bench_copy_tree (gateway, copy, error);
}
