/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-checked-vfs.h"

#include <string.h>

#include "daemon/store/tl-page-sum.h"
#include "daemon/store/tl-wal.h"

#define DATABASE_MAGIC "SQLite format 3"
#define HEADER_LENGTH  100
#define FRAME_MAX      (TL_WAL_FRAME_HEADER + 65536)
#define CONTROL_STATE  0x546c01 /* above 100: not SQLite's */
#define NO_OFFSET      ((sqlite3_int64)-1)

typedef struct _CheckedFile CheckedFile;

struct _CheckedFile
{
  sqlite3_file base;
  sqlite3_file *real; /* right behind this struct */
  guint8 *buffer;     /* FRAME_MAX */

  /* a database */
  guint page_size; /* 0: not known yet */
  gboolean checked;
  guint32 bad_page;
  TlLogEnd *end; /* NULL: nobody keeps it */

  /* a log */
  CheckedFile *database; /* NULL for a database */
  TlWalHeader header;
  gboolean header_known;
  guint8 held[TL_WAL_FRAME_HEADER]; /* a frame's header that waits for its page */
  sqlite3_int64 held_at;            /* NO_OFFSET: none */
  sqlite3_int64 chain_at;           /* where the frame belongs that continues `chain`; NO_OFFSET: read it */
  guint32 chain[2];
};

static sqlite3_vfs *
real_vfs (sqlite3_vfs *vfs)
{
  return vfs->pAppData;
}

static int
real_read (CheckedFile *file, void *data, int amount, sqlite3_int64 offset)
{
  return file->real->pMethods->xRead (file->real, data, amount, offset);
}

static int
real_write (CheckedFile *file, const void *data, int amount, sqlite3_int64 offset)
{
  return file->real->pMethods->xWrite (file->real, data, amount, offset);
}

/* ---- the database ---- */

/* From the header in page 1: page size and reserved bytes. */
static void
learn_database (CheckedFile *file, const guint8 *header)
{
  guint page_size = (guint)header[16] << 8 | header[17];

  if (memcmp (header, DATABASE_MAGIC, sizeof DATABASE_MAGIC) != 0)
    return;
  page_size = page_size == 1 ? 65536 : page_size;
  if (!tl_page_size_is_valid (page_size))
    return;
  file->page_size = page_size;
  file->checked = header[20] == TL_PAGE_SUM_LENGTH;
}

static gboolean
is_page (const CheckedFile *file, int amount, sqlite3_int64 offset)
{
  return file->page_size > 0 && amount == (int)file->page_size && offset % file->page_size == 0;
}

static guint32
page_number (const CheckedFile *file, sqlite3_int64 offset)
{
  return (guint32)(offset / file->page_size) + 1;
}

static int
verify (CheckedFile *database, const guint8 *page, guint32 number)
{
  if (tl_page_is_sound (page, database->page_size, number))
    return SQLITE_OK;
  database->bad_page = number;
  return SQLITE_IOERR_DATA;
}

static int
database_read (CheckedFile *file, void *data, int amount, sqlite3_int64 offset)
{
  int rc = real_read (file, data, amount, offset);

  if (rc != SQLITE_OK)
    return rc;
  if (offset == 0 && amount >= HEADER_LENGTH)
    learn_database (file, data);
  return file->checked && is_page (file, amount, offset) ? verify (file, data, page_number (file, offset)) : SQLITE_OK;
}

static int
database_write (CheckedFile *file, const void *data, int amount, sqlite3_int64 offset)
{
  if (offset == 0 && amount >= HEADER_LENGTH)
    learn_database (file, data);
  if (!file->checked || !is_page (file, amount, offset))
    return real_write (file, data, amount, offset);
  memcpy (file->buffer, data, (gsize)amount);
  tl_page_seal (file->buffer, file->page_size, page_number (file, offset));
  return real_write (file, file->buffer, amount, offset);
}

/* ---- the log ---- */

static gboolean
is_frame_start (const CheckedFile *file, sqlite3_int64 offset)
{
  guint page_size = file->database->page_size;

  return page_size > 0 && offset >= TL_WAL_HEADER_LENGTH
         && (offset - TL_WAL_HEADER_LENGTH) % (TL_WAL_FRAME_HEADER + page_size) == 0;
}

static gboolean
is_frame_page (const CheckedFile *file, int amount, sqlite3_int64 offset)
{
  return amount == (int)file->database->page_size && is_frame_start (file, offset - TL_WAL_FRAME_HEADER);
}

/* The record must not promise what is about to be overwritten. */
static int
shrink_end (CheckedFile *file, sqlite3_int64 to)
{
  TlLogEnd *end = file->database->end;
  TlLogEndRecord record;

  if (end == NULL || tl_log_end_get (end)->end <= (guint64)to)
    return SQLITE_OK;
  record = *tl_log_end_get (end);
  record.end = (guint64)to;
  record.synced = MIN (record.synced, record.end);
  record.page = 0;
  record.page_sum = 0;
  return tl_log_end_set (end, &record) ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int
grow_end (CheckedFile *file, sqlite3_int64 to, guint32 page, guint64 page_sum)
{
  TlLogEnd *end = file->database->end;
  TlLogEndRecord record;

  if (end == NULL)
    return SQLITE_OK;
  record = *tl_log_end_get (end);
  if (memcmp (record.salts, file->header.salts, sizeof record.salts) != 0)
    record.synced = 0;
  memcpy (record.salts, file->header.salts, sizeof record.salts);
  record.end = (guint64)to;
  record.page = page;
  record.page_sum = page_sum;
  return tl_log_end_set (end, &record) ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

/* The frame that waits for its page gets none: it goes out as it is. */
static int
flush_held (CheckedFile *file)
{
  sqlite3_int64 at = file->held_at;

  if (at == NO_OFFSET)
    return SQLITE_OK;
  file->held_at = file->chain_at = NO_OFFSET;
  return real_write (file, file->held, TL_WAL_FRAME_HEADER, at);
}

static int
log_write_header (CheckedFile *file, const void *data, int amount)
{
  int rc = shrink_end (file, 0);

  if (rc != SQLITE_OK)
    return rc;
  file->header_known = tl_wal_parse_header (data, (gsize)amount, &file->header);
  file->chain_at = NO_OFFSET;
  return real_write (file, data, amount, 0);
}

/* The checksum that the frame at `offset` continues, as it is on disk. */
static int
load_chain (CheckedFile *file, sqlite3_int64 offset)
{
  guint8 data[TL_WAL_HEADER_LENGTH];
  int rc;

  /* Another connection may have begun a new generation. */
  if (!file->header_known || memcmp (file->header.salts, file->held + 8, sizeof file->header.salts) != 0)
    {
      file->chain_at = NO_OFFSET;
      rc = real_read (file, data, TL_WAL_HEADER_LENGTH, 0);
      if (rc != SQLITE_OK)
        return rc;
      file->header_known = tl_wal_parse_header (data, sizeof data, &file->header);
      if (!file->header_known)
        return SQLITE_IOERR_DATA;
    }
  if (file->chain_at == offset)
    return SQLITE_OK;
  memcpy (file->chain, file->header.sums, sizeof file->chain);
  if (offset > TL_WAL_HEADER_LENGTH)
    {
      rc = real_read (file, data, TL_WAL_FRAME_HEADER, offset - TL_WAL_FRAME_HEADER - file->database->page_size);
      if (rc != SQLITE_OK)
        return rc;
      file->chain[0] = tl_wal_get_u32 (data + 16);
      file->chain[1] = tl_wal_get_u32 (data + 20);
    }
  file->chain_at = offset;
  return SQLITE_OK;
}

/* Header and page in one write, the page with its checksum, the header with the frame's over that. */
static int
log_write_frame (CheckedFile *file, const void *page)
{
  guint page_size = file->database->page_size;
  guint8 *frame = file->buffer, *copy = file->buffer + TL_WAL_FRAME_HEADER;
  sqlite3_int64 at = file->held_at, next = at + TL_WAL_FRAME_HEADER + page_size;
  guint32 number = tl_wal_get_u32 (file->held);
  int rc = load_chain (file, at);

  file->held_at = NO_OFFSET;
  if (rc != SQLITE_OK || (rc = shrink_end (file, at)) != SQLITE_OK)
    return rc;
  memcpy (frame, file->held, TL_WAL_FRAME_HEADER);
  memcpy (copy, page, page_size);
  tl_page_seal (copy, page_size, number);
  tl_wal_checksum (frame, 8, file->header.big_endian, file->chain);
  tl_wal_checksum (copy, page_size, file->header.big_endian, file->chain);
  tl_wal_put_u32 (frame + 16, file->chain[0]);
  tl_wal_put_u32 (frame + 20, file->chain[1]);
  file->chain_at = NO_OFFSET;
  rc = real_write (file, frame, (int)(TL_WAL_FRAME_HEADER + page_size), at);
  if (rc != SQLITE_OK)
    return rc;
  file->chain_at = next;
  if (tl_wal_get_u32 (frame + 4) == 0)
    return SQLITE_OK;
  return grow_end (file, next, number, tl_page_stored_sum (copy, page_size));
}

/* Page 1 may be the first thing one sees of a new database. */
static void
learn_from_log (CheckedFile *file, const guint8 *frame, const guint8 *page)
{
  if (tl_wal_get_u32 (frame) == 1)
    learn_database (file->database, page);
}

static int
log_write (CheckedFile *file, const void *data, int amount, sqlite3_int64 offset)
{
  gboolean follows = file->held_at != NO_OFFSET && offset == file->held_at + TL_WAL_FRAME_HEADER;
  int rc;

  if (follows && is_frame_page (file, amount, offset))
    {
      learn_from_log (file, file->held, data);
      if (file->database->checked)
        return log_write_frame (file, data);
    }
  rc = flush_held (file);
  if (rc != SQLITE_OK)
    return rc;
  if (offset == 0)
    return log_write_header (file, data, amount);
  if (amount == TL_WAL_FRAME_HEADER && is_frame_start (file, offset))
    {
      memcpy (file->held, data, TL_WAL_FRAME_HEADER);
      file->held_at = offset;
      return SQLITE_OK;
    }
  /* Nothing that a log has with the settings of this store (no spilled cache): it goes through as it is. */
  file->chain_at = NO_OFFSET;
  rc = shrink_end (file, 0);
  return rc == SQLITE_OK ? real_write (file, data, amount, offset) : rc;
}

static int
log_read (CheckedFile *file, void *data, int amount, sqlite3_int64 offset)
{
  int rc = flush_held (file);

  if (rc != SQLITE_OK)
    return rc;
  if (!file->database->checked || !is_frame_page (file, amount, offset))
    return real_read (file, data, amount, offset);
  rc = real_read (file, file->buffer, amount + TL_WAL_FRAME_HEADER, offset - TL_WAL_FRAME_HEADER);
  if (rc != SQLITE_OK)
    return rc;
  memcpy (data, file->buffer + TL_WAL_FRAME_HEADER, (gsize)amount);
  return verify (file->database, data, tl_wal_get_u32 (file->buffer));
}

static int
log_sync (CheckedFile *file, int flags)
{
  TlLogEnd *end = file->database->end;
  int rc = flush_held (file);

  if (rc != SQLITE_OK || (rc = file->real->pMethods->xSync (file->real, flags)) != SQLITE_OK)
    return rc;
  if (end != NULL && tl_log_end_get (end)->synced < tl_log_end_get (end)->end)
    {
      TlLogEndRecord record = *tl_log_end_get (end);

      record.synced = record.end;
      tl_log_end_set (end, &record); /* it only knows less when that fails */
    }
  return SQLITE_OK;
}

/* ---- SQLite's methods ---- */

static int
on_close (sqlite3_file *base)
{
  CheckedFile *file = (CheckedFile *)base;

  g_clear_pointer (&file->buffer, g_free);
  return file->real->pMethods->xClose (file->real);
}

static int
on_read (sqlite3_file *base, void *data, int amount, sqlite3_int64 offset)
{
  CheckedFile *file = (CheckedFile *)base;

  return file->database != NULL ? log_read (file, data, amount, offset) : database_read (file, data, amount, offset);
}

static int
on_write (sqlite3_file *base, const void *data, int amount, sqlite3_int64 offset)
{
  CheckedFile *file = (CheckedFile *)base;

  return file->database != NULL ? log_write (file, data, amount, offset) : database_write (file, data, amount, offset);
}

static int
on_truncate (sqlite3_file *base, sqlite3_int64 size)
{
  CheckedFile *file = (CheckedFile *)base;
  int rc = SQLITE_OK;

  if (file->database != NULL)
    {
      file->held_at = file->chain_at = NO_OFFSET;
      file->header_known = file->header_known && size > 0;
      rc = shrink_end (file, size);
    }
  return rc == SQLITE_OK ? file->real->pMethods->xTruncate (file->real, size) : rc;
}

static int
on_sync (sqlite3_file *base, int flags)
{
  CheckedFile *file = (CheckedFile *)base;

  return file->database != NULL ? log_sync (file, flags) : file->real->pMethods->xSync (file->real, flags);
}

static int
on_file_size (sqlite3_file *base, sqlite3_int64 *size)
{
  CheckedFile *file = (CheckedFile *)base;

  return file->real->pMethods->xFileSize (file->real, size);
}

static int
on_lock (sqlite3_file *base, int level)
{
  CheckedFile *file = (CheckedFile *)base;

  return file->real->pMethods->xLock (file->real, level);
}

static int
on_unlock (sqlite3_file *base, int level)
{
  CheckedFile *file = (CheckedFile *)base;

  return file->real->pMethods->xUnlock (file->real, level);
}

static int
on_check_reserved_lock (sqlite3_file *base, int *result)
{
  CheckedFile *file = (CheckedFile *)base;

  return file->real->pMethods->xCheckReservedLock (file->real, result);
}

static int
on_file_control (sqlite3_file *base, int op, void *argument)
{
  CheckedFile *file = (CheckedFile *)base;

  if (op != CONTROL_STATE)
    return file->real->pMethods->xFileControl (file->real, op, argument);
  *(CheckedFile **)argument = file;
  return SQLITE_OK;
}

static int
on_sector_size (sqlite3_file *base)
{
  CheckedFile *file = (CheckedFile *)base;

  return file->real->pMethods->xSectorSize (file->real);
}

static int
on_device_characteristics (sqlite3_file *base)
{
  CheckedFile *file = (CheckedFile *)base;

  /* Without it SQLite would pad commits and cut frames in two where a sync comes. */
  return file->real->pMethods->xDeviceCharacteristics (file->real) | SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int
on_shm_map (sqlite3_file *base, int page, int size, int extend, void volatile **mapped)
{
  CheckedFile *file = (CheckedFile *)base;

  return file->real->pMethods->xShmMap (file->real, page, size, extend, mapped);
}

static int
on_shm_lock (sqlite3_file *base, int offset, int n, int flags)
{
  CheckedFile *file = (CheckedFile *)base;

  return file->real->pMethods->xShmLock (file->real, offset, n, flags);
}

static void
on_shm_barrier (sqlite3_file *base)
{
  CheckedFile *file = (CheckedFile *)base;

  file->real->pMethods->xShmBarrier (file->real);
}

static int
on_shm_unmap (sqlite3_file *base, int remove)
{
  CheckedFile *file = (CheckedFile *)base;

  return file->real->pMethods->xShmUnmap (file->real, remove);
}

/* Version 2: without xFetch, so that no page is read past xRead. */
static const sqlite3_io_methods methods = {
  .iVersion = 2,
  .xClose = on_close,
  .xRead = on_read,
  .xWrite = on_write,
  .xTruncate = on_truncate,
  .xSync = on_sync,
  .xFileSize = on_file_size,
  .xLock = on_lock,
  .xUnlock = on_unlock,
  .xCheckReservedLock = on_check_reserved_lock,
  .xFileControl = on_file_control,
  .xSectorSize = on_sector_size,
  .xDeviceCharacteristics = on_device_characteristics,
  .xShmMap = on_shm_map,
  .xShmLock = on_shm_lock,
  .xShmBarrier = on_shm_barrier,
  .xShmUnmap = on_shm_unmap,
};

static int
on_open (sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *out_flags)
{
  sqlite3_vfs *real = real_vfs (vfs);
  CheckedFile *file = (CheckedFile *)base;
  int rc;

  /* Rollback journals and temporary files are the default VFS's alone. */
  if ((flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) == 0)
    return real->xOpen (real, name, base, flags, out_flags);

  memset (file, 0, sizeof *file);
  file->real = (sqlite3_file *)(file + 1);
  file->held_at = file->chain_at = NO_OFFSET;
  rc = real->xOpen (real, name, file->real, flags, out_flags);
  if (file->real->pMethods == NULL)
    return rc;
  if ((flags & SQLITE_OPEN_WAL) != 0)
    file->database = (CheckedFile *)sqlite3_database_file_object (name);
  file->buffer = g_malloc (FRAME_MAX);
  file->base.pMethods = &methods;
  return rc;
}

/* ---- outside ---- */

static gpointer
register_once (gpointer data G_GNUC_UNUSED)
{
  static sqlite3_vfs vfs;
  sqlite3_vfs *real = sqlite3_vfs_find (NULL);

  g_assert (real != NULL);
  vfs = *real;
  vfs.iVersion = MIN (vfs.iVersion, 2);
  vfs.pNext = NULL;
  vfs.zName = TL_CHECKED_VFS;
  vfs.szOsFile = (int)sizeof (CheckedFile) + real->szOsFile;
  vfs.xOpen = on_open;
  vfs.pAppData = real;
  g_assert (sqlite3_vfs_register (&vfs, 0) == SQLITE_OK);
  return &vfs;
}

void
tl_checked_vfs_register (void)
{
  static GOnce once = G_ONCE_INIT;

  g_once (&once, register_once, NULL);
}

static CheckedFile *
state_of (sqlite3 *handle)
{
  CheckedFile *file = NULL;

  return sqlite3_file_control (handle, "main", CONTROL_STATE, &file) == SQLITE_OK ? file : NULL;
}

gboolean
tl_checked_vfs_is_checked (sqlite3 *handle)
{
  CheckedFile *file = state_of (handle);

  return file != NULL && file->checked;
}

guint32
tl_checked_vfs_bad_page (sqlite3 *handle)
{
  CheckedFile *file = state_of (handle);

  return file != NULL ? file->bad_page : 0;
}

void
tl_checked_vfs_keep_end (sqlite3 *handle, TlLogEnd *end)
{
  CheckedFile *file = state_of (handle);

  g_assert (file != NULL);
  file->end = end;
}

int
tl_checked_vfs_read_page (sqlite3 *handle, guint32 number, guint8 *page, gsize page_size)
{
  CheckedFile *file = state_of (handle);

  g_assert (file != NULL);
  return database_read (file, page, (int)page_size, ((sqlite3_int64)number - 1) * (sqlite3_int64)page_size);
}
