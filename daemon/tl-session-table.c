/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-session-table.h"

struct _TlSessionTable
{
  guint max, max_per_source;
  GHashTable *by_id; /* borrowed id -> TlOpenSession* */
  GQueue order;      /* TlOpenSession*, oldest first */
};

void
tl_open_session_free (TlOpenSession *entry)
{
  if (entry == NULL)
    return;
  tl_gateway_session_free (entry->session);
  g_free (entry->source);
  g_free (entry->code_id);
  g_free (entry->attempt_id);
  g_free (entry->label);
  g_free (entry->code_minted_by);
  tl_pairing_record_free (entry->record);
  g_clear_pointer (&entry->keys, tl_pairing_keys_unref);
  g_free (entry);
}

TlSessionTable *
tl_session_table_new (guint max, guint max_per_source)
{
  TlSessionTable *self = g_new0 (TlSessionTable, 1);

  self->max = max;
  self->max_per_source = max_per_source;
  self->by_id = g_hash_table_new (g_str_hash, g_str_equal);
  g_queue_init (&self->order);
  return self;
}

void
tl_session_table_free (TlSessionTable *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->by_id);
  g_queue_clear_full (&self->order, (GDestroyNotify)tl_open_session_free);
  g_free (self);
}

static void
remove_link (TlSessionTable *self, GList *link)
{
  TlOpenSession *entry = link->data;

  g_hash_table_remove (self->by_id, tl_gateway_session_id (entry->session));
  g_queue_delete_link (&self->order, link);
  tl_open_session_free (entry);
}

/* Oldest that has not exchanged yet; source NULL = any. */
static GList *
find_evictable (TlSessionTable *self, const char *source)
{
  for (GList *link = self->order.head; link != NULL; link = link->next)
    {
      TlOpenSession *entry = link->data;
      if (!entry->busy && tl_gateway_session_state (entry->session) == TL_GATEWAY_SESSION_OPEN
          && (source == NULL || g_str_equal (entry->source, source)))
        return link;
    }
  return NULL;
}

static guint
count_source (TlSessionTable *self, const char *source)
{
  guint n = 0;

  for (GList *link = self->order.head; link != NULL; link = link->next)
    n += g_str_equal (((TlOpenSession *)link->data)->source, source);
  return n;
}

gboolean
tl_session_table_make_room (TlSessionTable *self, const char *source)
{
  GList *link;

  if (count_source (self, source) >= self->max_per_source)
    link = find_evictable (self, source);
  else if (self->order.length >= self->max)
    link = find_evictable (self, NULL);
  else
    return TRUE;
  if (link == NULL)
    return FALSE;
  remove_link (self, link);
  return TRUE;
}

void
tl_session_table_add (TlSessionTable *self, TlOpenSession *entry)
{
  g_queue_push_tail (&self->order, entry);
  g_hash_table_insert (self->by_id, (gpointer)tl_gateway_session_id (entry->session), entry);
}

TlOpenSession *
tl_session_table_lookup (TlSessionTable *self, const char *session_id)
{
  return g_hash_table_lookup (self->by_id, session_id);
}

void
tl_session_table_remove (TlSessionTable *self, const char *session_id)
{
  TlOpenSession *entry = g_hash_table_lookup (self->by_id, session_id);

  if (entry != NULL)
    remove_link (self, g_queue_find (&self->order, entry));
}

/* A verified session that could not be stored waits for its repeat no longer than the others. */
static gint64
deadline (const TlOpenSession *entry)
{
  if (entry->record != NULL)
    return entry->opened_ms + TL_GATEWAY_SESSION_EXCHANGE_MS + TL_GATEWAY_SESSION_COMPLETE_MS;
  return tl_gateway_session_deadline (entry->session);
}

guint
tl_session_table_expire (TlSessionTable *self, gint64 now_ms)
{
  guint n = 0;

  for (GList *link = self->order.head, *next; link != NULL; link = next)
    {
      TlOpenSession *entry = link->data;
      next = link->next;
      if (!entry->busy && now_ms >= deadline (entry))
        {
          remove_link (self, link);
          n++;
        }
    }
  return n;
}

guint
tl_session_table_size (TlSessionTable *self)
{
  return self->order.length;
}
