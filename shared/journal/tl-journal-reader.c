/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/tl-journal-reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "journal/tl-journal-private.h"

/* Rows looked at by one call of a filtered read: about 10 ms. */
#define SCAN_ROWS 20000
/* The writer's group commit may hold a lock for a moment. */
#define BUSY_TIMEOUT_MS 2000
#define APPLICATION_ID  0x546c4757 /* tl-store-private.h */

struct _TlJournalReader
{
  sqlite3 *handle;
  char *path;
  int directory; /* STOPPED: carries a shared lock; else -1 */
};

static TlErrorCode
code_from_sqlite (int extended)
{
  switch (extended & 0xff)
    {
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return TL_ERROR_PERMISSION_DENIED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return TL_ERROR_IN_USE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* no such table: another database */
      return TL_ERROR_CORRUPT;
    default:
      return TL_ERROR_IO;
    }
}

static void
set_error (TlJournalReader *self, GError **error)
{
  g_set_error (error, TL_ERROR, (int)code_from_sqlite (sqlite3_extended_errcode (self->handle)),
               "the journal in %s cannot be read: %s", self->path, sqlite3_errmsg (self->handle));
}

sqlite3_stmt *
tl_journal_reader_prepare (TlJournalReader *self, const char *sql, GError **error)
{
  sqlite3_stmt *statement = NULL;

  if (sqlite3_prepare_v2 (self->handle, sql, -1, &statement, NULL) == SQLITE_OK)
    return statement;
  set_error (self, error);
  return NULL;
}

gboolean
tl_journal_reader_step (TlJournalReader *self, sqlite3_stmt *query, gboolean *row, GError **error)
{
  int rc = sqlite3_step (query);

  *row = rc == SQLITE_ROW;
  if (rc == SQLITE_ROW || rc == SQLITE_DONE)
    return TRUE;
  set_error (self, error);
  return FALSE;
}

gboolean
tl_journal_reader_exec (TlJournalReader *self, const char *sql, GError **error)
{
  if (sqlite3_exec (self->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
    return TRUE;
  set_error (self, error);
  return FALSE;
}

/* ---- opening ---- */

/* A gateway holds the exclusive lock while it runs (tl-store.c). */
static gboolean
lock_directory (TlJournalReader *self, GError **error)
{
  g_autofree char *directory = g_path_get_dirname (self->path);

  self->directory = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self->directory < 0)
    {
      tl_error_set_errno (error, errno, "cannot open the directory %s", directory);
      return FALSE;
    }
  if (flock (self->directory, LOCK_SH | LOCK_NB) == 0)
    return TRUE;
  if (errno == EWOULDBLOCK)
    g_set_error (error, TL_ERROR, TL_ERROR_IN_USE,
                 "a gateway uses the store in %s; ask it ('twinlatch journal verify'), or stop it first", directory);
  else
    tl_error_set_errno (error, errno, "cannot lock the directory %s", directory);
  return FALSE;
}

/* Nothing is written beside the database: without a WAL the file alone is the truth; with one, no locks and the index
 * on the heap (locking_mode EXCLUSIVE). */
static gboolean
open_stopped (TlJournalReader *self, GError **error)
{
  g_autofree char *wal = g_strconcat (self->path, "-wal", NULL);
  g_autofree char *escaped = g_uri_escape_string (self->path, "/", FALSE);
  struct stat info;
  gboolean has_wal = stat (wal, &info) == 0 && info.st_size > 0;
  g_autofree char *uri
      = g_strdup_printf (has_wal ? "file:%s?mode=ro&vfs=unix-none" : "file:%s?mode=ro&immutable=1", escaped);

  if (stat (self->path, &info) != 0)
    {
      tl_error_set_errno (error, errno, "cannot open the database %s", self->path);
      return FALSE;
    }
  if (!lock_directory (self, error))
    return FALSE;
  if (sqlite3_open_v2 (uri, &self->handle,
                       SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL)
      != SQLITE_OK)
    {
      set_error (self, error);
      return FALSE;
    }
  sqlite3_db_config (self->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  return !has_wal || tl_journal_reader_exec (self, "PRAGMA locking_mode = EXCLUSIVE", error);
}

static gboolean
open_live (TlJournalReader *self, GError **error)
{
  if (sqlite3_open_v2 (self->path, &self->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                       NULL)
      != SQLITE_OK)
    {
      set_error (self, error);
      return FALSE;
    }
  sqlite3_busy_timeout (self->handle, BUSY_TIMEOUT_MS);
  return TRUE;
}

static gboolean
check_identity (TlJournalReader *self, GError **error)
{
  tl_statement_auto query = tl_journal_reader_prepare (self, "PRAGMA application_id", error);
  tl_statement_auto table = NULL;
  gboolean row;

  if (query == NULL || !tl_journal_reader_step (self, query, &row, error))
    return FALSE;
  if (!row || sqlite3_column_int (query, 0) != APPLICATION_ID)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s is not the database of a Twinlatch gateway", self->path);
      return FALSE;
    }
  table = tl_journal_reader_prepare (self, "SELECT " TL_JOURNAL_COLUMNS " FROM journal LIMIT 0", error);
  return table != NULL;
}

TlJournalReader *
tl_journal_reader_open (const char *path, TlJournalAccess access, GError **error)
{
  g_autoptr (TlJournalReader) self = g_new0 (TlJournalReader, 1);

  self->path = g_strdup (path);
  self->directory = -1;
  if (!(access == TL_JOURNAL_LIVE ? open_live (self, error) : open_stopped (self, error))
      || !tl_journal_reader_exec (self, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON", error)
      || !check_identity (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
tl_journal_reader_free (TlJournalReader *self)
{
  if (self == NULL)
    return;
  sqlite3_close (self->handle);
  if (self->directory >= 0)
    close (self->directory);
  g_free (self->path);
  g_free (self);
}

/* ---- rows ---- */

static const char *
read_text (sqlite3_stmt *query, int column, gboolean *malformed)
{
  const char *text;

  *malformed = *malformed || sqlite3_column_type (query, column) != SQLITE_TEXT;
  text = (const char *)sqlite3_column_text (query, column);
  /* What stands behind a NUL is in no hash. */
  *malformed = *malformed || text == NULL || strlen (text) != (gsize)sqlite3_column_bytes (query, column);
  return text != NULL ? text : "";
}

void
tl_journal_read_row (sqlite3_stmt *query, TlJournalRow *row)
{
  const void *hash = sqlite3_column_blob (query, 6);

  *row = (TlJournalRow){ 0 };
  row->malformed = sqlite3_column_type (query, 1) != SQLITE_INTEGER || sqlite3_column_type (query, 6) != SQLITE_BLOB;
  row->seq = (guint64)sqlite3_column_int64 (query, 0);
  row->time = sqlite3_column_int64 (query, 1);
  row->kind = read_text (query, 2, &row->malformed);
  row->actor = read_text (query, 3, &row->malformed);
  row->subject = read_text (query, 4, &row->malformed);
  row->detail = read_text (query, 5, &row->malformed);
  if (hash != NULL && sqlite3_column_bytes (query, 6) == sizeof row->hash)
    memcpy (row->hash, hash, sizeof row->hash);
  else
    row->malformed = TRUE;
}

/* The window of numbers that this call looks at, and the last of it. */
static guint64
window_end (guint64 seq, gboolean down)
{
  if (down)
    return seq > SCAN_ROWS ? seq - SCAN_ROWS : 1;
  return seq > G_MAXINT64 - SCAN_ROWS ? G_MAXINT64 : seq + SCAN_ROWS;
}

#define FILTER                                                                                                         \
  " AND (?3 = '' OR substr (kind, 1, length (?3)) = ?3) AND (?4 = '' OR actor = ?4) AND (?5 = '' OR subject = ?5)"     \
  " AND (?6 = '' OR actor = 'device:' || ?6 OR subject = ?6 OR instr (detail, ?6) > 0)"                                \
  " AND (?7 = 0 OR time >= ?7) AND (?8 = 0 OR time <= ?8)"

static void
bind_text (sqlite3_stmt *query, int index, const char *text)
{
  sqlite3_bind_text (query, index, text != NULL ? text : "", -1, SQLITE_STATIC);
}

static sqlite3_stmt *
start_read (TlJournalReader *self, const TlJournalFilter *filter, gboolean down, guint limit, guint64 from, guint64 to,
            GError **error)
{
  sqlite3_stmt *query
      = tl_journal_reader_prepare (self,
                                   down ? "SELECT " TL_JOURNAL_COLUMNS
                                          " FROM journal WHERE seq < ?1 AND seq >= ?2" FILTER
                                          " ORDER BY seq DESC LIMIT ?9"
                                        : "SELECT " TL_JOURNAL_COLUMNS
                                          " FROM journal WHERE seq > ?1 AND seq <= ?2" FILTER " ORDER BY seq LIMIT ?9",
                                   error);

  if (query == NULL)
    return NULL;
  sqlite3_bind_int64 (query, 1, (sqlite3_int64)from);
  sqlite3_bind_int64 (query, 2, (sqlite3_int64)to);
  bind_text (query, 3, filter->kind);
  bind_text (query, 4, filter->actor);
  bind_text (query, 5, filter->subject);
  bind_text (query, 6, filter->device);
  sqlite3_bind_int64 (query, 7, filter->since);
  sqlite3_bind_int64 (query, 8, filter->until);
  sqlite3_bind_int64 (query, 9, limit);
  return query;
}

gboolean
tl_journal_reader_bounds (TlJournalReader *self, guint64 *first, guint64 *last, GError **error)
{
  tl_statement_auto query
      = tl_journal_reader_prepare (self, "SELECT (SELECT min (seq) FROM journal), (SELECT max (seq) FROM journal)",
                                   error);
  gboolean row;

  if (query == NULL || !tl_journal_reader_step (self, query, &row, error))
    return FALSE;
  *first = (guint64)MAX (sqlite3_column_int64 (query, 0), 0);
  *last = (guint64)MAX (sqlite3_column_int64 (query, 1), 0);
  return TRUE;
}

static gboolean
read_window (TlJournalReader *self, const TlJournalFilter *filter, gboolean down, guint limit, guint64 *seq,
             GPtrArray *rows, gboolean *end, GError **error)
{
  tl_statement_auto query = NULL;
  guint64 first, last, from, to;
  guint found = 0;
  gboolean row = TRUE;

  if (!tl_journal_reader_bounds (self, &first, &last, error))
    return FALSE;
  /* Numbers that are not there need no looking at. */
  from = down ? MIN (*seq, last + 1) : MAX (*seq, first > 0 ? first - 1 : 0);
  to = window_end (from, down);
  query = start_read (self, filter, down, limit, from, to, error);
  while (query != NULL && tl_journal_reader_step (self, query, &row, error))
    {
      TlJournalRow found_row;

      if (!row)
        break;
      tl_journal_read_row (query, &found_row);
      g_ptr_array_add (rows, tl_journal_row_copy (&found_row));
      *seq = found_row.seq;
      found++;
    }
  if (query == NULL || row)
    return FALSE;
  /* All of the window was looked at; upwards the next rows have the numbers behind the last one. */
  if (found < limit)
    *seq = down ? to : MAX (from, MIN (to, last));
  *end = down ? *seq <= MAX (first, 1) : *seq >= last;
  return TRUE;
}

gboolean
tl_journal_reader_read (TlJournalReader *self, const TlJournalFilter *filter, gboolean down, guint limit, guint64 *seq,
                        GPtrArray *rows, gboolean *end, GError **error)
{
  gboolean ok;

  if (!tl_journal_reader_exec (self, "BEGIN", error))
    return FALSE;
  ok = read_window (self, filter, down, limit, seq, rows, end, error);
  sqlite3_exec (self->handle, "COMMIT", NULL, NULL, NULL);
  return ok;
}
