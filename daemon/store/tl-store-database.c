/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <errno.h>
#include <string.h>

#include "base/tl-ulid.h"
#include "daemon/store/tl-checked-vfs.h"

/* Nobody asks SQLite how much memory it uses; counting takes a lock at each allocation. Fails, and does not matter,
 * when the library is in use already. */
static void
configure_library (void)
{
  static gsize once;

  if (!g_once_init_enter (&once))
    return;
  sqlite3_config (SQLITE_CONFIG_MEMSTATUS, 0);
  g_once_init_leave (&once, 1);
}

TlDatabase *
tl_database_new (const char *path, int flags, GError **error)
{
  g_autoptr (TlDatabase) db = g_new0 (TlDatabase, 1);

  configure_library ();
  db->path = g_strdup (path);
  db->statements = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify)sqlite3_finalize);
  tl_checked_vfs_register ();
  if (sqlite3_open_v2 (path, &db->handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, TL_CHECKED_VFS)
      != SQLITE_OK)
    {
      tl_database_set_error (db, error);
      return NULL;
    }
  tl_database_set_patience (db, TL_STORE_BUSY_MS);
  return g_steal_pointer (&db);
}

void
tl_database_set_patience (TlDatabase *db, int milliseconds)
{
  sqlite3_busy_timeout (db->handle, milliseconds);
}

void
tl_database_free (TlDatabase *db)
{
  if (db == NULL)
    return;

  g_clear_pointer (&db->statements, g_hash_table_unref);
  g_clear_pointer (&db->admission, tl_admission_log_free);
  sqlite3_close (db->handle);
  g_clear_pointer (&db->end, tl_log_end_close);
  g_free (db->path);
  g_free (db);
}

static TlErrorCode
code_from_constraint (int extended)
{
  switch (extended)
    {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
      return TL_ERROR_ALREADY_EXISTS;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return TL_ERROR_NOT_FOUND;
    default:
      return TL_ERROR_INVALID_ARGUMENT;
    }
}

/* What the system said, where SQLite only says that something failed. */
static gboolean
disk_is_full (TlDatabase *db, int extended)
{
  int number = sqlite3_system_errno (db->handle);

  return (extended & 0xff) == SQLITE_FULL
         || (((extended & 0xff) == SQLITE_IOERR || (extended & 0xff) == SQLITE_CANTOPEN)
             && (number == ENOSPC || number == EDQUOT));
}

static TlErrorCode
code_from_sqlite (TlDatabase *db, int extended)
{
  if (extended == SQLITE_IOERR_DATA)
    return TL_ERROR_CORRUPT;
  if (disk_is_full (db, extended))
    return TL_ERROR_READ_ONLY;
  switch (extended & 0xff)
    {
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_BUSY: /* another program holds the write lock: it cannot be written now */
    case SQLITE_LOCKED:
      return TL_ERROR_READ_ONLY;
    case SQLITE_IOERR:
    case SQLITE_PROTOCOL:
      return TL_ERROR_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return TL_ERROR_CORRUPT;
    case SQLITE_CONSTRAINT:
      return code_from_constraint (extended);
    case SQLITE_TOOBIG:
      return TL_ERROR_RESOURCE_EXHAUSTED;
    default:
      return TL_ERROR_INTERNAL;
    }
}

void
tl_database_set_error (TlDatabase *db, GError **error)
{
  int extended = sqlite3_extended_errcode (db->handle);
  TlErrorCode code = code_from_sqlite (db, extended);

  if (extended == SQLITE_IOERR_DATA)
    g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT,
                 "the store %s is damaged: page %u does not carry its checksum; restore a backup, or see twinlatchd(8),"
                 " DAMAGED STORE",
                 db->path, tl_checked_vfs_bad_page (db->handle));
  else if (code == TL_ERROR_CORRUPT)
    g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT,
                 "the store %s is damaged: %s; restore a backup, or see twinlatchd(8), DAMAGED STORE", db->path,
                 sqlite3_errmsg (db->handle));
  else if (disk_is_full (db, extended))
    g_set_error (error, TL_ERROR, TL_ERROR_READ_ONLY,
                 "the store %s cannot be written: its disk is full; free some space", db->path);
  else
    g_set_error (error, TL_ERROR, (int)code, "the store %s %s: %s", db->path,
                 (extended & 0xff) == SQLITE_CONSTRAINT ? "refused a row" : "failed", sqlite3_errmsg (db->handle));
}

gboolean
tl_database_is_disk_error (const GError *error)
{
  return tl_error_is (error, TL_ERROR_READ_ONLY) || tl_error_is (error, TL_ERROR_IO)
         || tl_error_is (error, TL_ERROR_CORRUPT);
}

gboolean
tl_database_exec (TlDatabase *db, const char *sql, GError **error)
{
  if (sqlite3_exec (db->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
    return TRUE;

  tl_database_set_error (db, error);
  return FALSE;
}

static sqlite3_stmt *
prepare (TlDatabase *db, const char *sql, GError **error)
{
  sqlite3_stmt *statement = g_hash_table_lookup (db->statements, sql);

  if (statement != NULL)
    return statement;
  if (sqlite3_prepare_v3 (db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
    {
      tl_database_set_error (db, error);
      return NULL;
    }
  g_hash_table_insert (db->statements, (gpointer)sql, statement);
  return statement;
}

static int
bind (sqlite3_stmt *statement, int index, const TlValue *value)
{
  switch (value->kind)
    {
    case TL_VALUE_TEXT:
      return sqlite3_bind_text (statement, index, value->data, -1, SQLITE_STATIC);
    case TL_VALUE_INTEGER:
      return sqlite3_bind_int64 (statement, index, value->number);
    case TL_VALUE_BLOB:
      return sqlite3_bind_blob64 (statement, index, value->data, (sqlite3_uint64)value->number, SQLITE_STATIC);
    case TL_VALUE_END:
      break;
    }
  return SQLITE_MISUSE;
}

sqlite3_stmt *
tl_database_start (TlDatabase *db, GError **error, const char *sql, const TlValue *values)
{
  tl_query_auto statement = prepare (db, sql, error);
  int n = 0;

  if (statement == NULL)
    return NULL;
  for (; values[n].kind != TL_VALUE_END; n++)
    {
      if (bind (statement, n + 1, &values[n]) != SQLITE_OK)
        {
          tl_database_set_error (db, error);
          return NULL;
        }
    }
  g_assert (n == sqlite3_bind_parameter_count (statement));
  return g_steal_pointer (&statement);
}

gboolean
tl_database_next (TlDatabase *db, sqlite3_stmt *query, gboolean *row, GError **error)
{
  int rc = sqlite3_step (query);

  if (rc != SQLITE_ROW && rc != SQLITE_DONE)
    {
      tl_database_set_error (db, error);
      return FALSE;
    }
  *row = rc == SQLITE_ROW;
  return TRUE;
}

gboolean
tl_database_run_values (TlDatabase *db, guint *changes, GError **error, const char *sql, const TlValue *values)
{
  tl_query_auto query = tl_database_start (db, error, sql, values);
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  if (changes != NULL)
    *changes = (guint)sqlite3_changes (db->handle);
  return TRUE;
}

gboolean
tl_database_text (TlDatabase *db, const char *sql, char **text, GError **error)
{
  sqlite3_stmt *statement = NULL;
  gboolean ok = sqlite3_prepare_v2 (db->handle, sql, -1, &statement, NULL) == SQLITE_OK
                && sqlite3_step (statement) == SQLITE_ROW;

  if (ok)
    *text = tl_column_text (statement, 0);
  else
    tl_database_set_error (db, error);
  sqlite3_finalize (statement);
  return ok;
}

gboolean
tl_database_integer_values (TlDatabase *db, gint64 *value, GError **error, const char *sql, const TlValue *values)
{
  tl_query_auto query = tl_database_start (db, error, sql, values);
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  *value = row ? sqlite3_column_int64 (query, 0) : 0;
  return TRUE;
}

void
tl_query_reset (sqlite3_stmt **query)
{
  if (*query == NULL)
    return;

  sqlite3_reset (*query);
  sqlite3_clear_bindings (*query); /* they are borrowed, and may be secrets */
  *query = NULL;
}

char *
tl_column_text (sqlite3_stmt *query, int column)
{
  return g_strdup ((const char *)sqlite3_column_text (query, column));
}

GBytes *
tl_column_bytes (sqlite3_stmt *query, int column)
{
  const void *data = sqlite3_column_blob (query, column);

  if (sqlite3_column_type (query, column) == SQLITE_NULL)
    return NULL;
  return g_bytes_new (data, (gsize)sqlite3_column_bytes (query, column));
}

void
tl_column_array (sqlite3_stmt *query, int column, guint8 *array, gsize length)
{
  const void *data = sqlite3_column_blob (query, column);

  if (data != NULL && (gsize)sqlite3_column_bytes (query, column) == length)
    memcpy (array, data, length);
  else
    memset (array, 0, length);
}

char *
tl_store_id_prefix (const char *text)
{
  static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  gsize length = strnlen (text, TL_ULID_LENGTH + 1);
  g_autofree char *prefix = NULL;

  if (length < TL_STORE_PREFIX_MIN || length > TL_ULID_LENGTH)
    return NULL;
  prefix = g_ascii_strup (text, -1);
  return strspn (prefix, alphabet) == length ? g_steal_pointer (&prefix) : NULL;
}
