/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite's own check of a store at rest, without leaving a trace beside it. */
#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cli/tl-doctor.h"
#include "base/tl-error.h"
#include "base/tl-file.h"

#define MAX_COPY_BYTES (G_GINT64_CONSTANT (512) * 1024 * 1024)

static char *
quick_check (sqlite3 *database)
{
  sqlite3_stmt *statement = NULL;
  char *result = NULL;

  if (sqlite3_prepare_v2 (database, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK
      && sqlite3_step (statement) == SQLITE_ROW)
    result = g_strdup ((const char *)sqlite3_column_text (statement, 0));
  sqlite3_finalize (statement);
  return result != NULL ? result : g_strdup (sqlite3_errmsg (database));
}

static void
read_ca (sqlite3 *database, TlDoctorDatabase *found)
{
  sqlite3_stmt *statement = NULL;

  if (sqlite3_prepare_v2 (database, "SELECT generation, not_after FROM cas ORDER BY generation DESC LIMIT 1", -1,
                          &statement, NULL)
          == SQLITE_OK
      && sqlite3_step (statement) == SQLITE_ROW)
    {
      found->ca_generation = (guint)sqlite3_column_int (statement, 0);
      found->ca_not_after_ms = sqlite3_column_int64 (statement, 1);
    }
  sqlite3_finalize (statement);
}

/* immutable: SQLite makes no file beside it; only for a database without a log that is waiting. */
static void
read_uri (const char *path, gboolean immutable, TlDoctorDatabase *found)
{
  g_autofree char *escaped = g_uri_escape_string (path, "/", FALSE);
  g_autofree char *uri = g_strdup_printf ("file:%s%s", escaped, immutable ? "?mode=ro&immutable=1" : "");
  int flags = SQLITE_OPEN_URI | (immutable ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
  sqlite3 *database = NULL;

  if (sqlite3_open_v2 (uri, &database, flags, NULL) == SQLITE_OK)
    {
      found->check = quick_check (database);
      read_ca (database, found);
    }
  else
    found->check = g_strdup (database != NULL ? sqlite3_errmsg (database) : "out of memory");
  sqlite3_close (database);
}

static gboolean
copy_file (const char *from, const char *to, GError **error)
{
  g_autoptr (GFile) source = g_file_new_for_path (from);
  g_autoptr (GFile) target = g_file_new_for_path (to);
  g_autoptr (GError) problem = NULL;

  if (g_file_copy (source, target, G_FILE_COPY_NOFOLLOW_SYMLINKS, NULL, NULL, NULL, &problem))
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_IO, _ ("cannot copy %s to check it: %s"), from, problem->message);
  return FALSE;
}

/* A log beside it holds what is newest: both are copied into a folder of ours, and looked at there. */
static gboolean
read_copy (const char *path, const char *log, TlDoctorDatabase *found, GError **error)
{
  g_autofree char *folder = g_dir_make_tmp ("twinlatch-doctor-XXXXXX", NULL);
  g_autofree char *database = folder != NULL ? g_build_filename (folder, "copy.db", NULL) : NULL;
  g_autofree char *copied_log = folder != NULL ? g_strconcat (database, "-wal", NULL) : NULL;
  g_autofree char *shared = folder != NULL ? g_strconcat (database, "-shm", NULL) : NULL;
  gboolean ok;

  if (folder == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, _ ("cannot make a folder in %s for a copy of the store"),
                   g_get_tmp_dir ());
      return FALSE;
    }
  ok = copy_file (path, database, error) && copy_file (log, copied_log, error);
  if (ok)
    read_uri (database, FALSE, found);
  g_unlink (database);
  g_unlink (copied_log);
  g_unlink (shared);
  g_rmdir (folder);
  return ok;
}

gboolean
tl_doctor_read_database (const char *path, TlDoctorDatabase *found, GError **error)
{
  g_autofree char *log = g_strconcat (path, "-wal", NULL);
  struct stat info, log_info;

  if (stat (path, &info) != 0 || access (path, R_OK) != 0)
    {
      tl_error_set_errno (error, errno, _ ("cannot read %s"), path);
      return FALSE;
    }
  if (stat (log, &log_info) != 0 || log_info.st_size == 0)
    {
      read_uri (path, TRUE, found);
      return TRUE;
    }
  if (info.st_size + log_info.st_size <= MAX_COPY_BYTES)
    return read_copy (path, log, found, error);
  g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
               _ ("the store was not closed and is too large to be copied; start twinlatchd, which checks it"));
  return FALSE;
}
