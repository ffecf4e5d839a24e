/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-log-end.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "daemon/store/tl-page-sum.h"

#define BOOT_ID_FILE  "/proc/sys/kernel/random/boot_id"
#define RECORD_LENGTH 512 /* one sector; the sum of a "page" of that size, number 0, ends it */

static const guint8 magic[8] = { 'T', 'l', 'L', 'o', 'g', 'E', 'n', '1' };

struct _TlLogEnd
{
  int fd;
  TlLogEndRecord record;
};

void
tl_boot_id_parse (const char *text, guint8 boot_id[TL_BOOT_ID_LENGTH])
{
  guint8 parsed[TL_BOOT_ID_LENGTH];
  guint digits = 0;

  memset (boot_id, 0, TL_BOOT_ID_LENGTH);
  for (; text != NULL && *text != '\0'; text++)
    {
      int digit = g_ascii_xdigit_value (*text);

      if (*text == '-' || g_ascii_isspace (*text))
        continue;
      if (digit < 0 || digits == 2 * TL_BOOT_ID_LENGTH)
        return;
      parsed[digits / 2] = (guint8)(digits % 2 == 0 ? digit << 4 : parsed[digits / 2] | digit);
      digits++;
    }
  if (digits == 2 * TL_BOOT_ID_LENGTH)
    memcpy (boot_id, parsed, sizeof parsed);
}

void
tl_boot_id_read (guint8 boot_id[TL_BOOT_ID_LENGTH])
{
  g_autoptr (GBytes) bytes = tl_file_read (BOOT_ID_FILE, 256, NULL);
  g_autofree char *text = NULL;

  if (bytes != NULL)
    text = g_strndup (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  tl_boot_id_parse (text, boot_id);
}

gboolean
tl_log_end_same_boot (const TlLogEndRecord *record, const guint8 boot_id[TL_BOOT_ID_LENGTH])
{
  static const guint8 unknown[TL_BOOT_ID_LENGTH];

  return memcmp (boot_id, unknown, sizeof unknown) != 0 && memcmp (record->boot_id, boot_id, sizeof unknown) == 0;
}

guint64
tl_file_identity (const char *path)
{
  struct statx info;

  if (statx (AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &info) != 0)
    return 0;
  if ((info.stx_mask & STATX_BTIME) == 0)
    return info.stx_ino;
  return info.stx_ino ^ (guint64)info.stx_btime.tv_sec << 32 ^ (guint64)info.stx_btime.tv_nsec << 8;
}

static void
put (guint8 **at, guint64 value)
{
  value = GUINT64_TO_LE (value);
  memcpy (*at, &value, sizeof value);
  *at += sizeof value;
}

static guint64
get (const guint8 **at)
{
  guint64 value;

  memcpy (&value, *at, sizeof value);
  *at += sizeof value;
  return GUINT64_FROM_LE (value);
}

static void
serialise (const TlLogEndRecord *record, guint8 data[RECORD_LENGTH])
{
  guint8 *at = data;

  memset (data, 0, RECORD_LENGTH);
  memcpy (at, magic, sizeof magic);
  at += sizeof magic;
  memcpy (at, record->boot_id, TL_BOOT_ID_LENGTH);
  at += TL_BOOT_ID_LENGTH;
  memcpy (at, record->salts, TL_LOG_SALTS);
  at += TL_LOG_SALTS;
  put (&at, record->end);
  put (&at, record->synced);
  put (&at, record->page);
  put (&at, record->page_sum);
  put (&at, record->file);
  tl_page_seal (data, RECORD_LENGTH, 0);
}

gboolean
tl_log_end_parse (const guint8 *data, gsize length, TlLogEndRecord *record, GError **error)
{
  const guint8 *at;

  if (length != RECORD_LENGTH || memcmp (data, magic, sizeof magic) != 0 || !tl_page_is_sound (data, RECORD_LENGTH, 0))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_CORRUPT, "it does not carry its checksum");
      return FALSE;
    }
  at = data + sizeof magic;
  memcpy (record->boot_id, at, TL_BOOT_ID_LENGTH);
  at += TL_BOOT_ID_LENGTH;
  memcpy (record->salts, at, TL_LOG_SALTS);
  at += TL_LOG_SALTS;
  record->end = get (&at);
  record->synced = get (&at);
  record->page = (guint32)get (&at);
  record->page_sum = get (&at);
  record->file = get (&at);
  return TRUE;
}

gboolean
tl_log_end_load (const char *path, TlLogEndRecord *record, GError **error)
{
  g_autoptr (GBytes) bytes = tl_file_read (path, RECORD_LENGTH, error);
  gsize length;
  const guint8 *data;

  if (bytes == NULL)
    return FALSE;
  data = g_bytes_get_data (bytes, &length);
  if (tl_log_end_parse (data, length, record, error))
    return TRUE;
  g_prefix_error (error, "%s is damaged: ", path);
  return FALSE;
}

TlLogEnd *
tl_log_end_open (const char *path, guint64 file, GError **error)
{
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  TlLogEnd *end;

  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot open %s", path);
      return NULL;
    }
  end = g_new0 (TlLogEnd, 1);
  end->fd = fd;
  end->record.file = file;
  tl_boot_id_read (end->record.boot_id);
  return end;
}

void
tl_log_end_close (TlLogEnd *end)
{
  if (end == NULL)
    return;
  close (end->fd);
  g_free (end);
}

const TlLogEndRecord *
tl_log_end_get (TlLogEnd *end)
{
  return &end->record;
}

gboolean
tl_log_end_set (TlLogEnd *end, const TlLogEndRecord *record)
{
  guint8 data[RECORD_LENGTH];
  TlLogEndRecord next = *record;

  memcpy (next.boot_id, end->record.boot_id, sizeof next.boot_id);
  next.file = end->record.file;
  end->record = next;
  serialise (&end->record, data);
  return pwrite (end->fd, data, sizeof data, 0) == (ssize_t)sizeof data;
}
