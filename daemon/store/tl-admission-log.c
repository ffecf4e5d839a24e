/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-admission-log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-log.h"
#include "crypto/tl-hash.h"
#include "daemon/store/tl-admission-line.h"

#define MAX_FILE (256u * 1024u * 1024u)

struct _TlAdmissionLog
{
  char *path, *gateway_id;
  TlSecret *key;
  GPtrArray *entries; /* on disk and committed, and behind them: flushed, not yet committed */
  GPtrArray *staged;  /* of the transaction under way */
  guint n_flushed;    /* the last ones of entries */
  guint64 base, last;
  guint8 mac[TL_SHA256_LENGTH], committed_mac[TL_SHA256_LENGTH]; /* of the last line */
  guint64 size, committed_size, compact_above;
  gboolean broken;     /* whether the last lines count is not known before the next start */
  gboolean unrepaired; /* lines that count for nothing could not be taken back yet */
  int fd;              /* -1: opened by the next flush */
};

/* ---- entries ---- */

void
tl_admission_entry_free (TlAdmissionEntry *entry)
{
  if (entry == NULL)
    return;
  g_free (entry->device_id);
  g_free (entry->name);
  g_free (entry->actor);
  g_free (entry->reason);
  g_free (entry);
}

TlAdmissionEntry *
tl_admission_entry_copy (const TlAdmissionEntry *entry)
{
  TlAdmissionEntry *copy = g_memdup2 (entry, sizeof *entry);

  copy->device_id = g_strdup (entry->device_id != NULL ? entry->device_id : "");
  copy->name = g_strdup (entry->name != NULL ? entry->name : "");
  copy->actor = g_strdup (entry->actor != NULL ? entry->actor : "");
  copy->reason = g_strdup (entry->reason != NULL ? entry->reason : "");
  return copy;
}

static GPtrArray *
new_entries (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify)tl_admission_entry_free);
}

/* ---- compaction ---- */

/* The last change of each kind of each device decides both what it is now and whether its old certificates ended. */
static GPtrArray *
condense (const GPtrArray *entries)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GPtrArray) backwards = g_ptr_array_new ();
  GPtrArray *kept = new_entries ();

  for (guint i = entries->len; i > 0; i--)
    {
      TlAdmissionEntry *entry = g_ptr_array_index (entries, i - 1);

      if (g_hash_table_add (seen, g_strdup_printf ("%d %s", entry->kind, entry->device_id)))
        g_ptr_array_add (backwards, entry);
    }
  for (guint i = backwards->len; i > 0; i--)
    g_ptr_array_add (kept, tl_admission_entry_copy (g_ptr_array_index (backwards, i - 1)));
  return kept;
}

/* When the file is worth rewriting: twice what would be left of it. */
static guint64
size_to_compact_at (TlAdmissionLog *self)
{
  g_autoptr (GPtrArray) kept = condense (self->entries);
  guint64 left = self->entries->len > 0 ? self->size * kept->len / self->entries->len : 0;

  return MAX (TL_ADMISSION_LOG_COMPACT_BYTES, 2 * left);
}

/* ---- reading ---- */

static void
note_committed (TlAdmissionLog *self)
{
  self->n_flushed = 0;
  self->committed_size = self->size;
  memcpy (self->committed_mac, self->mac, sizeof self->mac);
}

static gboolean
set_corrupt (TlAdmissionLog *self, guint number, const char *what, GError **error)
{
  g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "line %u of %s %s", number, self->path, what);
  return FALSE;
}

static gboolean
take_line (TlAdmissionLog *self, const char *line, gsize length, guint number, GError **error)
{
  g_autoptr (TlAdmissionEntry) entry = NULL;

  if (!tl_admission_line_verify (line, length, self->key, self->mac))
    return set_corrupt (self, number, "does not verify", error);
  if (number == 1)
    {
      g_autofree char *gateway_id = NULL;

      if (!tl_admission_line_read_header (line, length, &gateway_id, &self->base))
        return set_corrupt (self, number, "is no header", error);
      if (!g_str_equal (gateway_id, self->gateway_id))
        return set_corrupt (self, number, "is of another gateway", error);
      self->last = self->base;
      return TRUE;
    }
  entry = tl_admission_line_read_entry (line, length);
  if (entry == NULL)
    return set_corrupt (self, number, "is no change", error);
  /* Up to base the counters of what was left out are missing; above it none may be. */
  if (self->last == self->base && entry->counter <= self->base)
    {
      const TlAdmissionEntry *before
          = self->entries->len > 0 ? g_ptr_array_index (self->entries, self->entries->len - 1) : NULL;

      if (entry->counter == 0 || (before != NULL && entry->counter <= before->counter))
        return set_corrupt (self, number, "has a counter out of order", error);
    }
  else if (entry->counter != self->last + 1)
    return set_corrupt (self, number, "does not follow the one before", error);
  else
    self->last = entry->counter;
  g_ptr_array_add (self->entries, g_steal_pointer (&entry));
  return TRUE;
}

/* What stands behind the last line feed was being written when the power went, and then it was not acknowledged; unless
 * only the line feed is not one any more. */
static gboolean
take_rest (TlAdmissionLog *self, const char *rest, gsize length, guint number, GError **error)
{
  guint8 mac[TL_SHA256_LENGTH];

  memcpy (mac, self->mac, sizeof mac);
  if (length == 0)
    return TRUE;
  if (number == 1 || (length > 1 && tl_admission_line_verify (rest, length - 1, self->key, mac)))
    return set_corrupt (self, number, "has no end", error);
  return TRUE;
}

static gboolean
parse (TlAdmissionLog *self, const char *text, gsize length, GError **error)
{
  const char *end = text + length;
  guint number = 1;

  for (const char *feed; (feed = memchr (text, '\n', (gsize)(end - text))) != NULL; text = feed + 1, number++)
    {
      if (!take_line (self, text, (gsize)(feed - text), number, error))
        return FALSE;
      self->size += (guint64)(feed + 1 - text);
    }
  return take_rest (self, text, (gsize)(end - text), number, error);
}

static TlAdmissionLog *
new_log (const char *path, const char *gateway_id, TlSecret *key)
{
  TlAdmissionLog *self = g_new0 (TlAdmissionLog, 1);

  self->path = g_strdup (path);
  self->gateway_id = g_strdup (gateway_id);
  self->key = tl_secret_ref (key);
  self->entries = new_entries ();
  self->staged = new_entries ();
  self->fd = -1;
  return self;
}

TlAdmissionLog *
tl_admission_log_open (const char *path, const char *gateway_id, TlSecret *key, GError **error)
{
  g_autoptr (TlAdmissionLog) self = new_log (path, gateway_id, key);
  g_autoptr (GBytes) content = tl_file_read (path, MAX_FILE, error);
  gsize length = 0;
  const char *text;

  if (content == NULL)
    return NULL;
  text = g_bytes_get_data (content, &length);
  if (length == 0)
    set_corrupt (self, 1, "is not there: the file is empty", error);
  if (length == 0 || !parse (self, text, length, error))
    return NULL;
  note_committed (self);
  self->compact_above = size_to_compact_at (self);
  return g_steal_pointer (&self);
}

void
tl_admission_log_free (TlAdmissionLog *self)
{
  if (self == NULL)
    return;
  if (self->fd >= 0)
    close (self->fd);
  tl_secret_unref (self->key);
  g_ptr_array_unref (self->entries);
  g_ptr_array_unref (self->staged);
  g_free (self->path);
  g_free (self->gateway_id);
  g_free (self);
}

/* ---- writing ---- */

/* The whole file anew. The chain starts again: what was left out is not missing. */
static gboolean
rewrite (TlAdmissionLog *self, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  guint8 mac[TL_SHA256_LENGTH] = { 0 };

  tl_admission_line_append_header (text, self->gateway_id, self->last, self->key, mac);
  for (guint i = 0; i < self->entries->len; i++)
    tl_admission_line_append_entry (text, g_ptr_array_index (self->entries, i), self->key, mac);
  if (!tl_file_write_atomic (self->path, text->str, text->len, 0600, error))
    return FALSE;
  if (self->fd >= 0)
    close (self->fd); /* the file before */
  self->fd = -1;
  self->base = self->last;
  self->size = text->len;
  memcpy (self->mac, mac, sizeof mac);
  self->compact_above = size_to_compact_at (self);
  note_committed (self);
  return TRUE;
}

TlAdmissionLog *
tl_admission_log_create (const char *path, const char *gateway_id, TlSecret *key, GPtrArray *entries, guint64 base,
                         GError **error)
{
  g_autoptr (TlAdmissionLog) self = new_log (path, gateway_id, key);

  g_ptr_array_unref (self->entries);
  self->entries = entries;
  self->last = base;
  return rewrite (self, error) ? g_steal_pointer (&self) : NULL;
}

guint64
tl_admission_log_counter (TlAdmissionLog *self)
{
  return self->last;
}

const GPtrArray *
tl_admission_log_entries (TlAdmissionLog *self)
{
  return self->entries;
}

guint64
tl_admission_log_bytes (TlAdmissionLog *self)
{
  return self->size;
}

/* Takes back what was written for a transaction that failed; also after a write that went half-way. */
static gboolean
cut_to_committed (TlAdmissionLog *self)
{
  self->unrepaired = self->fd >= 0 && (ftruncate (self->fd, (off_t)self->size) != 0 || fsync (self->fd) != 0);
  return !self->unrepaired;
}

gboolean
tl_admission_log_stage (TlAdmissionLog *self, const TlAdmissionEntry *entry, GError **error)
{
  if (self->broken)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "%s could not be repaired after the disk failed; restart the gateway",
                   self->path);
      return FALSE;
    }
  if (self->unrepaired && !cut_to_committed (self))
    {
      tl_error_set_errno (error, errno, "%s cannot be repaired after the disk failed", self->path);
      return FALSE;
    }
  g_assert (entry->counter == self->last + self->staged->len + 1);
  g_ptr_array_add (self->staged, tl_admission_entry_copy (entry));
  return TRUE;
}

guint
tl_admission_log_mark (TlAdmissionLog *self)
{
  return self->staged->len;
}

void
tl_admission_log_reset (TlAdmissionLog *self, guint mark)
{
  g_ptr_array_set_size (self->staged, (int)mark);
}

/* Opens it for appending behind the last good line, and cuts off what a power failure left there. */
static gboolean
open_for_append (TlAdmissionLog *self, GError **error)
{
  struct stat info = { 0 };

  if (self->fd < 0)
    self->fd = open (self->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  if (self->fd < 0 ? errno != ENOENT : fstat (self->fd, &info) != 0)
    {
      tl_error_set_errno (error, errno, "cannot append to %s", self->path);
      return FALSE;
    }
  if (self->fd < 0 || info.st_nlink == 0 || (guint64)info.st_size < self->size)
    {
      /* Somebody took it away while we run; what is acknowledged is known here, so it is put back. */
      tl_log (TL_LOG_WARNING, "the admission log was removed or cut by another program; it is written anew", "path",
              self->path, NULL);
      return rewrite (self, error) && open_for_append (self, error);
    }
  if ((guint64)info.st_size > self->size && ftruncate (self->fd, (off_t)self->size) != 0)
    {
      tl_error_set_errno (error, errno, "cannot cut the torn end off %s", self->path);
      return FALSE;
    }
  return TRUE;
}

static gboolean
append (TlAdmissionLog *self, const char *text, gsize length, GError **error)
{
  while (length > 0)
    {
      ssize_t n = write (self->fd, text, length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          tl_error_set_errno (error, errno, "cannot append to %s", self->path);
          return FALSE;
        }
      text += n;
      length -= (gsize)n;
    }
  if (fsync (self->fd) == 0)
    return TRUE;
  tl_error_set_errno (error, errno, "cannot sync %s", self->path);
  return FALSE;
}

gboolean
tl_admission_log_flush (TlAdmissionLog *self, GError **error)
{
  g_autoptr (GString) text = NULL;
  guint8 mac[TL_SHA256_LENGTH];

  if (self->staged->len == 0)
    return TRUE;
  if (!open_for_append (self, error))
    return FALSE;
  text = g_string_new (NULL);
  memcpy (mac, self->mac, sizeof mac);
  for (guint i = 0; i < self->staged->len; i++)
    tl_admission_line_append_entry (text, g_ptr_array_index (self->staged, i), self->key, mac);
  if (!append (self, text->str, text->len, error))
    return FALSE;

  self->size += text->len;
  memcpy (self->mac, mac, sizeof mac);
  self->n_flushed = self->staged->len;
  self->last += self->staged->len;
  g_ptr_array_extend_and_steal (self->entries, g_steal_pointer (&self->staged));
  self->staged = new_entries ();
  return TRUE;
}

void
tl_admission_log_roll_back (TlAdmissionLog *self)
{
  gboolean wrote = self->staged->len > 0 || self->n_flushed > 0;

  g_ptr_array_set_size (self->staged, 0);
  if (self->broken || !wrote)
    return;
  g_ptr_array_set_size (self->entries, (int)(self->entries->len - self->n_flushed));
  self->last -= self->n_flushed;
  self->size = self->committed_size;
  memcpy (self->mac, self->committed_mac, sizeof self->mac);
  self->n_flushed = 0;
  if (!cut_to_committed (self))
    tl_log (TL_LOG_ERROR, "lines of a failed change stay in the admission log until its disk takes writes", "path",
            self->path, NULL);
}

void
tl_admission_log_abandon (TlAdmissionLog *self)
{
  if (self->n_flushed == 0)
    return;
  self->broken = TRUE;
  tl_log (TL_LOG_ERROR, "the disk failed while a change of admission was committed; restart the gateway", "path",
          self->path, NULL);
}

static void
compact (TlAdmissionLog *self)
{
  g_autoptr (GPtrArray) before = self->entries;
  g_autoptr (GError) error = NULL;

  self->entries = condense (before);
  if (rewrite (self, &error))
    return;
  /* The long file is as good; tried again when it has grown further. */
  tl_log_error (TL_LOG_WARNING, "compacting the admission log", error);
  g_ptr_array_unref (self->entries);
  self->entries = g_steal_pointer (&before);
  self->compact_above = self->size + TL_ADMISSION_LOG_COMPACT_BYTES;
}

void
tl_admission_log_commit (TlAdmissionLog *self)
{
  if (self->n_flushed == 0)
    return;
  note_committed (self);
  if (self->size > self->compact_above)
    compact (self);
}
