/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-denial-log.h"

#include <string.h>

#include "base/tl-error.h"

#define INTERVAL_US     ((gint64)TL_DENIALS_INTERVAL_MS * 1000)
#define MAX_TEXT        240
#define MAX_SUBJECT     128
#define MAX_ACTOR       128
#define SECONDS(us)     (((us) + 500000) / 1000000)
#define OTHERS_STRANGER "source:" TL_DENIALS_OTHERS
#define OTHERS_KNOWN    "device:" TL_DENIALS_OTHERS

/* One kind of denial of one actor. */
typedef struct
{
  const char *kind;
  char *actor;
  gboolean stranger, others;
  gint64 since_us;
  guint rows;  /* written one by one since it began */
  guint count; /* not written yet */
  char *subject;
  char *reason; /* of the last one */
} Entry;

struct _TlDenialLog
{
  TlDenialSink sink;
  gpointer user_data;
  GHashTable *entries; /* "kind\nactor" -> Entry */
  guint strangers, known;
};

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  g_free (entry->actor);
  g_free (entry->subject);
  g_free (entry->reason);
  g_free (entry);
}

TlDenialLog *
tl_denial_log_new (TlDenialSink sink, gpointer user_data)
{
  TlDenialLog *self = g_new0 (TlDenialLog, 1);

  self->sink = sink;
  self->user_data = user_data;
  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, entry_free);
  return self;
}

void
tl_denial_log_free (TlDenialLog *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->entries);
  g_free (self);
}

/* At most `max` bytes of valid UTF-8, whatever it was. */
static char *
bounded (const char *text, gsize max)
{
  g_autofree char *valid = g_utf8_make_valid (text != NULL ? text : "", -1);
  gsize length = strlen (valid);

  while (length > max)
    length = (gsize)(g_utf8_find_prev_char (valid, valid + length) - valid);
  return g_strndup (valid, length);
}

static Entry *
get_entry (TlDenialLog *self, const char *kind, const char *actor, gboolean stranger, gint64 now_us)
{
  g_autofree char *key = g_strconcat (kind, "\n", actor, NULL);
  Entry *entry = g_hash_table_lookup (self->entries, key);
  gboolean full = stranger ? self->strangers >= TL_DENIALS_SOURCES_MAX : self->known >= TL_DENIALS_KNOWN_MAX;

  if (entry == NULL && full)
    {
      actor = stranger ? OTHERS_STRANGER : OTHERS_KNOWN;
      g_free (key);
      key = g_strconcat (kind, "\n", actor, NULL);
      entry = g_hash_table_lookup (self->entries, key);
    }
  if (entry != NULL)
    return entry;
  entry = g_new0 (Entry, 1);
  entry->kind = kind;
  entry->actor = g_strdup (actor);
  entry->stranger = stranger;
  entry->others = full;
  entry->since_us = now_us;
  g_hash_table_insert (self->entries, g_steal_pointer (&key), entry);
  if (!full)
    *(stranger ? &self->strangers : &self->known) += 1;
  return entry;
}

static void
write_one (TlDenialLog *self, const Entry *entry, const char *subject, const char *reason, const char *actor,
           const char *text)
{
  g_autofree char *error = text != NULL ? bounded (text, MAX_TEXT) : NULL;
  tl_json_auto detail = json_pack ("{s:s}", "reason", reason);
  g_autofree char *line = NULL;

  if (entry->others)
    json_object_set_new (detail, "actor", json_string (actor));
  if (error != NULL)
    json_object_set_new (detail, "error", json_string (error));
  line = tl_json_to_string (detail);
  self->sink (entry->kind, entry->actor, subject, line, self->user_data);
}

static void
write_count (TlDenialLog *self, Entry *entry, gint64 now_us)
{
  tl_json_auto detail = json_pack ("{s:s, s:i, s:I}", "reason", entry->reason, "count", (int)entry->count, "seconds",
                                   (json_int_t)SECONDS (now_us - entry->since_us));
  g_autofree char *line = tl_json_to_string (detail);

  self->sink (entry->kind, entry->actor, entry->subject, line, self->user_data);
  entry->count = 0;
  entry->since_us = now_us;
}

void
tl_denial_log_add (TlDenialLog *self, const char *kind, const char *actor, gboolean stranger, const char *subject,
                   const char *reason, const char *text, gint64 now_us)
{
  g_autofree char *who = bounded (actor, MAX_ACTOR);
  g_autofree char *about = bounded (subject, MAX_SUBJECT);
  Entry *entry = get_entry (self, kind, who, stranger, now_us);

  if (entry->rows < (stranger ? 1 : TL_DENIALS_KNOWN_ROWS))
    {
      entry->rows++;
      write_one (self, entry, about, reason, who, text);
      return;
    }
  entry->count++;
  g_free (entry->subject);
  entry->subject = g_steal_pointer (&about);
  g_free (entry->reason);
  entry->reason = g_strdup (reason);
}

void
tl_denial_log_add_call (TlDenialLog *self, const char *kind, TlRpcCall *call, const char *subject, const GError *error,
                        gint64 now_us)
{
  const TlRpcPeer *peer = tl_rpc_call_peer (call);

  tl_denial_log_add (self, kind, peer->actor, peer->kind == TL_RPC_PEER_STRANGER, subject, tl_error_to_reason (error),
                     error->message, now_us);
}

void
tl_denial_log_tick (TlDenialLog *self, gint64 now_us)
{
  GHashTableIter iterator;
  gpointer value;

  g_hash_table_iter_init (&iterator, self->entries);
  while (g_hash_table_iter_next (&iterator, NULL, &value))
    {
      Entry *entry = value;

      if (now_us - entry->since_us < INTERVAL_US)
        continue;
      if (entry->count > 0)
        {
          write_count (self, entry, now_us);
          continue;
        }
      if (!entry->others)
        *(entry->stranger ? &self->strangers : &self->known) -= 1;
      g_hash_table_iter_remove (&iterator);
    }
}

void
tl_denial_log_flush (TlDenialLog *self, gint64 now_us)
{
  GHashTableIter iterator;
  gpointer value;

  g_hash_table_iter_init (&iterator, self->entries);
  while (g_hash_table_iter_next (&iterator, NULL, &value))
    {
      if (((Entry *)value)->count > 0)
        write_count (self, value, now_us);
    }
}
