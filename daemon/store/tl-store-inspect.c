/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-file.h"
#include "base/tl-log.h"
#include "daemon/store/tl-page-sum.h"
#include "daemon/store/tl-wal.h"

/* A look at the files before SQLite opens them, which would repair, and so hide, what is found here. Nothing is
 * touched: a newer Twinlatch's files stay byte for byte what they were. The caller holds the directory's lock; no
 * connection is open in this process (closing a descriptor would drop its locks). */

#define DATABASE_MAGIC    "SQLite format 3"
#define HEADER_LENGTH     100
#define AT_PAGE_SIZE      16
#define AT_RESERVED       20
#define AT_USER_VERSION   60
#define AT_APPLICATION_ID 68
#define AT_SCHEMA_CELLS   103 /* of the b-tree that begins in page 1 behind the header */
#define WAY_BACK          "restore a backup, or see twinlatchd(8), DAMAGED STORE"

typedef struct
{
  const char *path;
  int fd;
  guint64 size;
  guint page_size;
  guint8 page[65536]; /* the last one read */
} Database;

static void
database_clear (Database *database)
{
  if (database->fd >= 0)
    close (database->fd);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Database, database_clear)

/* FALSE: beyond the end. */
static gboolean
read_page (Database *database, guint32 number)
{
  off_t offset = (off_t)(number - 1) * database->page_size;

  return number > 0
         && pread (database->fd, database->page, database->page_size, offset) == (ssize_t)database->page_size;
}

static gboolean
set_damaged (const char *path, const char *what, GError **error)
{
  g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "the store %s is damaged: %s; " WAY_BACK, path, what);
  return FALSE;
}

/* Opens the file and finds its page size. */
static gboolean
open_database (Database *database, const char *path, GError **error)
{
  guint8 header[HEADER_LENGTH];
  struct stat info;

  database->path = path;
  database->fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (database->fd < 0 || fstat (database->fd, &info) != 0)
    {
      tl_error_set_errno (error, errno, "cannot open the store %s", path);
      return FALSE;
    }
  database->size = (guint64)info.st_size;
  if (pread (database->fd, header, sizeof header, 0) != (ssize_t)sizeof header
      || memcmp (header, DATABASE_MAGIC, sizeof DATABASE_MAGIC) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s is damaged, or no database; " WAY_BACK, path);
      return FALSE;
    }
  database->page_size = (guint)header[AT_PAGE_SIZE] << 8 | header[AT_PAGE_SIZE + 1];
  if (database->page_size == 1)
    database->page_size = 65536;
  if (!tl_page_size_is_valid (database->page_size) || !read_page (database, 1))
    return set_damaged (path, "its first page is not whole", error);
  return TRUE;
}

/* What page 1, in the database or newer in the log, says; the log's was verified by its own checksums. */
static gboolean
check_first_page (const Database *database, const guint8 *page, gboolean is_newest, TlStoreInspection *inspection,
                  GError **error)
{
  gboolean checked = page[AT_RESERVED] == TL_PAGE_SUM_LENGTH;
  guint32 application = tl_wal_get_u32 (page + AT_APPLICATION_ID);
  gint32 version = (gint32)tl_wal_get_u32 (page + AT_USER_VERSION);
  gboolean empty = page[AT_SCHEMA_CELLS] == 0 && page[AT_SCHEMA_CELLS + 1] == 0;

  if (checked && !tl_page_is_sound (page, database->page_size, 1))
    return set_damaged (database->path, "page 1 does not carry its checksum", error);
  if (!is_newest)
    return TRUE;
  if (application != TL_STORE_APPLICATION_ID && (application != 0 || version != 0 || !empty))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s is a database, but not Twinlatch's; move it away",
                   database->path);
      return FALSE;
    }
  if (version > TL_STORE_SCHEMA_VERSION || version < 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NEWER_VERSION,
                   "%s was written by a newer Twinlatch (schema %d, this one knows %d); upgrade, or restore a backup",
                   database->path, version, TL_STORE_SCHEMA_VERSION);
      return FALSE;
    }
  if (version >= TL_STORE_CHECKED_VERSION && !checked)
    return set_damaged (database->path, "its header does not name the checksums that it has", error);
  inspection->version = version;
  inspection->checked = checked;
  return TRUE;
}

static gboolean
check_first_pages (Database *database, const guint8 *log, const TlWalScan *scan, TlStoreInspection *inspection,
                   GError **error)
{
  gboolean newer = scan->first_page > 0 && scan->header.page_size == database->page_size;

  if (!check_first_page (database, database->page, !newer, inspection, error))
    return FALSE;
  return !newer || check_first_page (database, log + scan->first_page, TRUE, inspection, error);
}

static gboolean
judge_log (Database *database, const char *log_path, const TlWalScan *scan, TlStoreOpenFlags flags, GError **error)
{
  g_autofree char *end_path = g_strconcat (database->path, TL_LOG_END_SUFFIX, NULL);
  g_autoptr (GError) problem = NULL;
  guint8 boot_id[TL_BOOT_ID_LENGTH];
  TlLogEndRecord record;
  gboolean known = tl_log_end_load (end_path, &record, &problem);
  TlWalContext context = { 0 };
  guint64 where;
  TlWalVerdict verdict;

  tl_boot_id_read (boot_id);
  if (!known && !tl_error_is_not_found (problem))
    tl_log_error (TL_LOG_WARNING, "where the store's log ends is not known", problem);
  if (known)
    {
      context.end = &record;
      context.same_boot = tl_log_end_same_boot (&record, boot_id);
      context.same_file = record.file == tl_file_identity (database->path);
      context.page_sum
          = read_page (database, record.page) ? tl_page_stored_sum (database->page, database->page_size) : 0;
    }
  verdict = tl_wal_judge (scan, &context, &where);
  if (verdict == TL_WAL_TORN)
    tl_log (TL_LOG_WARNING, "the store's log ends in an unfinished transaction, as after a power loss; it is dropped",
            "path", log_path, NULL);
  if (verdict != TL_WAL_DAMAGED)
    return TRUE;
  if ((flags & TL_STORE_ACCEPT_TRUNCATED_LOG) != 0)
    {
      tl_log (TL_LOG_WARNING, "the store's log is damaged; what was committed after that is given up, as ordered",
              "path", log_path, NULL);
      return TRUE;
    }
  g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT,
               "the store's log %s is damaged at byte %" G_GUINT64_FORMAT
               ": what was committed last would be lost; restore a backup, or start once with --accept-truncated-log"
               " to go on without it",
               log_path, where);
  return FALSE;
}

gboolean
tl_store_inspect (const char *path, TlStoreOpenFlags flags, TlStoreInspection *inspection, GError **error)
{
  g_autofree char *log_path = g_strconcat (path, "-wal", NULL);
  g_autoptr (GMappedFile) mapped = NULL;
  g_auto (Database) database = { .fd = -1 };
  TlStoreInspection found = { 0 };
  TlWalScan scan;
  struct stat info;
  const guint8 *log = NULL;
  gsize length = 0;

  if (stat (path, &info) != 0 || info.st_size == 0)
    {
      *inspection = found;
      return TRUE;
    }
  if (stat (log_path, &info) == 0 && info.st_size > 0)
    {
      mapped = g_mapped_file_new (log_path, FALSE, NULL);
      if (mapped == NULL)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot read the store's log %s", log_path);
          return FALSE;
        }
      log = (const guint8 *)g_mapped_file_get_contents (mapped);
      length = g_mapped_file_get_length (mapped);
    }
  tl_wal_scan (log, length, &scan);
  if (!open_database (&database, path, error) || !check_first_pages (&database, log, &scan, &found, error)
      || !judge_log (&database, log_path, &scan, flags, error))
    return FALSE;
  found.exists = TRUE;
  *inspection = found;
  return TRUE;
}
