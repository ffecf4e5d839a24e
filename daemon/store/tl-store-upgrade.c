/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-file.h"
#include "base/tl-log.h"
#include "daemon/store/tl-page-sum.h"

/* Checksums for databases that have none, or none that fit. At start-up, under the directory's lock. */

#define NEW_SUFFIX ".new"

/* The log goes into the database, so that one file is all there is. */
static gboolean
empty_log (TlDatabase *db, GError **error)
{
  if (sqlite3_wal_checkpoint_v2 (db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK)
    return TRUE;
  tl_database_set_error (db, error);
  return FALSE;
}

/* All that speaks for a database without checksums. */
static gboolean
quick_check (TlDatabase *db, GError **error)
{
  g_autofree char *verdict = NULL;

  if (!tl_database_text (db, "PRAGMA quick_check (1)", &verdict, error))
    return FALSE;
  if (g_strcmp0 (verdict, "ok") == 0)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "the store %s is damaged: %s; restore a backup", db->path, verdict);
  return FALSE;
}

static gboolean
copy_checked (const char *path, const char *copy, GError **error)
{
  g_autoptr (TlDatabase) db = tl_database_new (path, SQLITE_OPEN_READWRITE, error);
  g_auto (GStrv) parts = g_strsplit (copy, "'", -1);
  g_autofree char *quoted = g_strjoinv ("''", parts);
  g_autofree char *sql = g_strdup_printf ("VACUUM INTO '%s'", quoted);
  int reserve = TL_PAGE_SUM_LENGTH;

  if (db == NULL || !tl_database_exec (db, "PRAGMA journal_mode = WAL", error) || !empty_log (db, error)
      || !quick_check (db, error))
    return FALSE;
  if (sqlite3_file_control (db->handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve) != SQLITE_OK)
    {
      tl_database_set_error (db, error);
      return FALSE;
    }
  return tl_database_exec (db, sql, error);
}

static gboolean
sync_path (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;

  if (!ok)
    tl_error_set_errno (error, errno, "cannot sync %s", path);
  if (fd >= 0)
    close (fd);
  return ok;
}

static gboolean
check_copy (const char *copy, GError **error)
{
  guint64 pages = 0;

  return tl_store_check_all (copy, NULL, &pages, error);
}

static gboolean
replace (const char *path, const char *copy, GError **error)
{
  g_autofree char *directory = g_path_get_dirname (path);
  g_autofree char *log = g_strconcat (path, "-wal", NULL);

  /* It is empty: SQLite left it because somebody reads. It must not be taken for the new database's. */
  if (!tl_file_remove (log, error))
    return FALSE;
  if (rename (copy, path) != 0)
    {
      tl_error_set_errno (error, errno, "cannot put %s in place", copy);
      return FALSE;
    }
  return sync_path (directory, error);
}

gboolean
tl_store_upgrade (const char *path, GError **error)
{
  g_autofree char *copy = g_strconcat (path, NEW_SUFFIX, NULL);
  int fd;

  if (!tl_file_remove (copy, error))
    return FALSE;
  fd = open (copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot create %s", copy);
      return FALSE;
    }
  close (fd);
  tl_log (TL_LOG_NOTICE, "the store is rewritten once, with a checksum for every page", "path", path, NULL);
  if (copy_checked (path, copy, error) && check_copy (copy, error) && sync_path (copy, error)
      && replace (path, copy, error))
    return TRUE;
  unlink (copy);
  return FALSE;
}

/* ---- ordered by the administrator ---- */

static gboolean
reseal_pages (int fd, const char *path, guint page_size, guint *changed, GError **error)
{
  g_autofree guint8 *page = g_malloc (page_size);
  guint32 number = 1;

  *changed = 0;
  while (pread (fd, page, page_size, (off_t)(number - 1) * page_size) == (ssize_t)page_size)
    {
      if (!tl_page_is_sound (page, page_size, number))
        {
          tl_page_seal (page, page_size, number);
          if (pwrite (fd, page, page_size, (off_t)(number - 1) * page_size) != (ssize_t)page_size)
            {
              tl_error_set_errno (error, errno, "cannot write %s", path);
              return FALSE;
            }
          (*changed)++;
        }
      number++;
    }
  if (fsync (fd) == 0)
    return TRUE;
  tl_error_set_errno (error, errno, "cannot sync %s", path);
  return FALSE;
}

/* SQLite's own VFS: what is in the log is as little verified as the rest. */
static gboolean
empty_log_unchecked (const char *path, guint *page_size, GError **error)
{
  sqlite3 *handle = NULL;
  sqlite3_stmt *query = NULL;
  gboolean ok = sqlite3_open_v2 (path, &handle, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK
                && sqlite3_prepare_v2 (handle, "PRAGMA page_size", -1, &query, NULL) == SQLITE_OK
                && sqlite3_step (query) == SQLITE_ROW;
  int reserve = -1;

  if (ok)
    *page_size = (guint)sqlite3_column_int (query, 0);
  sqlite3_finalize (query);
  ok = ok && sqlite3_exec (handle, "SELECT count (*) FROM sqlite_schema", NULL, NULL, NULL) == SQLITE_OK
       && sqlite3_wal_checkpoint_v2 (handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK
       && sqlite3_file_control (handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve) == SQLITE_OK;
  if (!ok)
    g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "the store %s is damaged: %s; restore a backup", path,
                 sqlite3_errmsg (handle));
  else if (reserve != TL_PAGE_SUM_LENGTH)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "the store %s has no room for checksums; restore a backup", path);
      ok = FALSE;
    }
  sqlite3_close (handle);
  return ok;
}

gboolean
tl_store_reseal (const char *path, GError **error)
{
  guint page_size = 0, changed = 0;
  gboolean ok;
  int fd;

  if (!empty_log_unchecked (path, &page_size, error))
    return FALSE;
  fd = open (path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot open the store %s", path);
      return FALSE;
    }
  ok = reseal_pages (fd, path, page_size, &changed, error);
  close (fd);
  if (ok)
    {
      g_autofree char *text = g_strdup_printf ("%u", changed);

      tl_log (TL_LOG_WARNING, "changed pages of the store are accepted, as ordered", "path", path, "pages", text, NULL);
    }
  return ok;
}
