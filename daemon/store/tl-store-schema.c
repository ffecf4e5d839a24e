/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-file.h"
#include "base/tl-log.h"
#include "daemon/store/tl-checked-vfs.h"
#include "daemon/store/tl-page-sum.h"

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

/* A new database gets room for checksums before its first page is written. */
static gboolean
reserve_bytes (TlDatabase *db, GError **error)
{
  int reserve = TL_PAGE_SUM_LENGTH;

  if (sqlite3_file_control (db->handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve) == SQLITE_OK)
    return TRUE;
  tl_database_set_error (db, error);
  return FALSE;
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
  /* No spilled cache: a transaction reaches the log as a whole. No checkpoint inside a commit: its failure would be
   * told to those whose changes are committed; the store's thread makes them. */
  if (!tl_database_exec (db,
                         "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON;"
                         "PRAGMA secure_delete = ON; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                         "PRAGMA cache_spill = OFF; PRAGMA wal_autocheckpoint = 0",
                         error)
      || !tl_database_text (db, "PRAGMA journal_mode = WAL", &mode, error))
    return FALSE;
  if (g_strcmp0 (mode, "wal") != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_READ_ONLY, "the file system of %s does not carry a write-ahead log",
                   db->path);
      return FALSE;
    }
  return TRUE;
}

/* Recovers a log that is left over and moves it into the database, so that the record of its end starts from nothing. A
 * full disk is no reason not to open: reads work, and health tells. */
static gboolean
recover_log (TlDatabase *db, GError **error)
{
  g_autofree char *end_path = g_strconcat (db->path, TL_LOG_END_SUFFIX, NULL);
  const TlLogEndRecord nothing = { 0 };
  g_autoptr (GError) problem = NULL;
  g_autofree char *version = NULL;
  int rc;

  if (!tl_database_text (db, "PRAGMA user_version", &version, error)) /* reads, and so recovers */
    return FALSE;
  rc = sqlite3_wal_checkpoint_v2 (db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
    {
      tl_database_set_error (db, &problem);
      if (tl_error_is (problem, TL_ERROR_CORRUPT))
        {
          g_propagate_error (error, g_steal_pointer (&problem));
          return FALSE;
        }
      tl_log_error (TL_LOG_WARNING, "the store's log stays until its disk takes writes", problem);
    }
  db->end = tl_log_end_open (end_path, tl_file_identity (db->path), error);
  if (db->end == NULL)
    return FALSE;
  tl_log_end_set (db->end, &nothing); /* when the disk is full, what it says from before stays true */
  tl_checked_vfs_keep_end (db->handle, db->end);
  return TRUE;
}

static int
on_committed (void *user_data, sqlite3 *handle, const char *name, int frames)
{
  TlDatabase *db = user_data;

  db->log_frames = (guint)frames;
  return SQLITE_OK;
}

/* The files, before SQLite works on them: looked at, created, rewritten. */
static gboolean
prepare_files (const char *path, TlStoreOpenFlags flags, TlStoreInspection *inspection, GError **error)
{
  if ((flags & TL_STORE_ACCEPT_CHANGED_PAGES) != 0 && g_file_test (path, G_FILE_TEST_EXISTS)
      && !tl_store_reseal (path, error))
    return FALSE;
  if (!tl_store_inspect (path, flags, inspection, error) || !create_private (path, error))
    return FALSE;
  return !inspection->exists || inspection->checked || tl_store_upgrade (path, error);
}

/* After an order to accept damage: what is there now has to be a database. */
static gboolean
check_accepted (TlDatabase *db, TlStoreOpenFlags flags, GError **error)
{
  guint64 pages = 0;

  return flags == TL_STORE_OPEN_NORMAL || tl_store_check_all (db->path, NULL, &pages, error);
}

static gboolean
open_checked (TlDatabase *db, const TlStoreInspection *inspection, TlStoreOpenFlags flags, GError **error)
{
  if (!inspection->exists && !reserve_bytes (db, error))
    return FALSE;
  if (!configure (db, error) || !recover_log (db, error) || !check_accepted (db, flags, error)
      || !migrate_in_transaction (db, inspection->version, error))
    return FALSE;
  sqlite3_wal_hook (db->handle, on_committed, db);
  if (tl_checked_vfs_is_checked (db->handle))
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "the store %s carries no checksums; restore a backup", db->path);
  return FALSE;
}

TlDatabase *
tl_database_open (const char *directory, TlStoreOpenFlags flags, GError **error)
{
  g_autofree char *path = g_build_filename (directory, TL_STORE_FILE, NULL);
  g_autoptr (TlDatabase) db = NULL;
  TlStoreInspection inspection = { 0 };

  if (!prepare_files (path, flags, &inspection, error))
    return NULL;
  db = tl_database_new (path, SQLITE_OPEN_READWRITE, error);
  if (db == NULL || !open_checked (db, &inspection, flags, error))
    return NULL;
  return g_steal_pointer (&db);
}
