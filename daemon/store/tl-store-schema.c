/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-file.h"

static gboolean
migrate (TlDatabase *db, int version, GError **error)
{
  for (const TlStoreMigration *step = tl_store_migrations (); step->sql != NULL; step++)
    {
      g_autofree char *stamp = NULL;

      if (step->version <= version)
        continue;
      stamp = g_strdup_printf ("PRAGMA application_id = %d; PRAGMA user_version = %d", TL_STORE_APPLICATION_ID,
                               step->version);
      if (!tl_database_exec (db, step->sql, error) || !tl_database_exec (db, stamp, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
migrate_in_transaction (TlDatabase *db, int version, GError **error)
{
  if (version == TL_STORE_SCHEMA_VERSION)
    return TRUE;
  if (!tl_database_exec (db, "BEGIN IMMEDIATE", error))
    return FALSE;
  if (migrate (db, version, error) && tl_database_exec (db, "COMMIT", error))
    return TRUE;

  if (!sqlite3_get_autocommit (db->handle))
    sqlite3_exec (db->handle, "ROLLBACK", NULL, NULL, NULL);
  return FALSE;
}

/* One value of a pragma; not through the cache, pragmas may run while they are compiled. */
static gboolean
pragma_text (TlDatabase *db, const char *sql, char **text, GError **error)
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

static gboolean
pragma_integer (TlDatabase *db, const char *sql, gint64 *value, GError **error)
{
  g_autofree char *text = NULL;

  if (!pragma_text (db, sql, &text, error))
    return FALSE;
  *value = g_ascii_strtoll (text != NULL ? text : "", NULL, 10);
  return TRUE;
}

static gboolean
check_version (TlDatabase *db, int *version, GError **error)
{
  gint64 application, user, tables;

  if (!pragma_integer (db, "PRAGMA application_id", &application, error)
      || !pragma_integer (db, "PRAGMA user_version", &user, error)
      || !pragma_integer (db, "SELECT count (*) FROM sqlite_schema", &tables, error))
    return FALSE;

  if (application != TL_STORE_APPLICATION_ID && (application != 0 || user != 0 || tables != 0))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s is a database, but not Twinlatch's; move it away", db->path);
      return FALSE;
    }
  if (user > TL_STORE_SCHEMA_VERSION || user < 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NEWER_VERSION,
                   "%s was written by a newer Twinlatch (schema %d, this one knows %d); upgrade, or restore a backup",
                   db->path, (int)user, TL_STORE_SCHEMA_VERSION);
      return FALSE;
    }
  *version = (int)user;
  return TRUE;
}

static char *
look_uri (const char *path, gboolean wal)
{
  g_autofree char *escaped = g_uri_escape_string (path, "/", FALSE);

  /* A WAL database opened read-only the usual way gets -wal and -shm files. Without a WAL the file alone is the truth
   * (immutable). With one: no locks and, because of locking_mode EXCLUSIVE, the index on the heap. */
  return g_strdup_printf (wal ? "file:%s?mode=ro&vfs=unix-none" : "file:%s?mode=ro&immutable=1", escaped);
}

/* Reads the versions without touching anything: a newer Twinlatch's files stay byte for byte what they were. The caller
 * holds the directory's lock, so nobody writes meanwhile. */
static gboolean
look (const char *path, int *version, GError **error)
{
  g_autofree char *wal = g_strconcat (path, "-wal", NULL);
  struct stat info;
  gboolean has_wal = stat (wal, &info) == 0 && info.st_size > 0;
  g_autofree char *uri = look_uri (path, has_wal);
  g_autoptr (TlDatabase) db = tl_database_new (uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, error);

  if (db == NULL)
    return FALSE;
  g_free (db->path);
  db->path = g_strdup (path);
  sqlite3_db_config (db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  if (has_wal && !tl_database_exec (db, "PRAGMA locking_mode = EXCLUSIVE", error))
    return FALSE;
  return check_version (db, version, error);
}

/* SQLite gives -wal and -shm the mode of the database. */
static gboolean
create_private (const char *path, GError **error)
{
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot create the store %s", path);
      return FALSE;
    }
  close (fd);
  return TRUE;
}

static gboolean
configure (TlDatabase *db, GError **error)
{
  g_autofree char *mode = NULL;

  if (sqlite3_db_readonly (db->handle, "main") == 1)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_READ_ONLY, "the store %s cannot be written; check owner and file system",
                   db->path);
      return FALSE;
    }
  if (!tl_database_exec (db,
                         "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON;"
                         "PRAGMA secure_delete = ON; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                         "PRAGMA wal_autocheckpoint = 4000",
                         error)
      || !pragma_text (db, "PRAGMA journal_mode = WAL", &mode, error))
    return FALSE;
  if (g_strcmp0 (mode, "wal") != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_READ_ONLY, "the file system of %s does not carry a write-ahead log",
                   db->path);
      return FALSE;
    }
  return TRUE;
}

static gboolean
quick_check (TlDatabase *db, GError **error)
{
  g_autofree char *verdict = NULL;

  if (!pragma_text (db, "PRAGMA quick_check (1)", &verdict, error))
    return FALSE;
  if (g_strcmp0 (verdict, "ok") == 0)
    return TRUE;

  g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "the store %s is damaged: %s; restore a backup", db->path, verdict);
  return FALSE;
}

TlDatabase *
tl_database_open (const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, TL_STORE_FILE, NULL);
  g_autoptr (TlDatabase) db = NULL;
  struct stat info;
  int version = 0;

  if (stat (path, &info) == 0 && info.st_size > 0 && !look (path, &version, error))
    return NULL;
  if (!create_private (path, error))
    return NULL;

  db = tl_database_new (path, SQLITE_OPEN_READWRITE, error);
  if (db == NULL || !configure (db, error) || !quick_check (db, error) || !check_version (db, &version, error)
      || !migrate_in_transaction (db, version, error))
    return NULL;
  return g_steal_pointer (&db);
}
