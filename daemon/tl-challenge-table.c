/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-challenge-table.h"

#include <string.h>

#include "base/tl-ulid.h"

typedef struct
{
  guint8 challenge[TL_RENEWAL_CHALLENGE_LENGTH]; /* first: the entry is its own key */
  char device_id[TL_ULID_LENGTH + 1];
  gint64 ends_us;
  GList in_order;
} Entry;

struct _TlChallengeTable
{
  TlRandom *random;
  guint max;
  GHashTable *entries; /* Entry -> the same */
  GQueue by_age;       /* Entry.in_order, oldest first: all live equally long */
};

static guint
entry_hash (gconstpointer entry)
{
  guint hash;

  /* Random bytes of ours; what a stranger looks up with is not stored. */
  memcpy (&hash, entry, sizeof hash);
  return hash;
}

static gboolean
entry_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, TL_RENEWAL_CHALLENGE_LENGTH) == 0;
}

TlChallengeTable *
tl_challenge_table_new (guint max, TlRandom *random)
{
  TlChallengeTable *table = g_new0 (TlChallengeTable, 1);

  table->random = random;
  table->max = max;
  table->entries = g_hash_table_new_full (entry_hash, entry_equal, NULL, g_free);
  g_queue_init (&table->by_age);
  return table;
}

void
tl_challenge_table_free (TlChallengeTable *table)
{
  if (table == NULL)
    return;
  g_hash_table_unref (table->entries);
  g_free (table);
}

static void
remove_entry (TlChallengeTable *table, Entry *entry)
{
  g_queue_unlink (&table->by_age, &entry->in_order);
  g_hash_table_remove (table->entries, entry);
}

static void
expire (TlChallengeTable *table, gint64 now_us)
{
  GList *oldest;

  while ((oldest = g_queue_peek_head_link (&table->by_age)) != NULL && ((Entry *)oldest->data)->ends_us <= now_us)
    remove_entry (table, oldest->data);
}

gboolean
tl_challenge_table_give (TlChallengeTable *table, const char *device_id, gint64 now_us,
                         guint8 challenge[TL_RENEWAL_CHALLENGE_LENGTH])
{
  Entry *entry;

  expire (table, now_us);
  if (g_hash_table_size (table->entries) >= table->max)
    return FALSE;
  entry = g_new0 (Entry, 1);
  tl_random_bytes (table->random, entry->challenge, sizeof entry->challenge);
  g_strlcpy (entry->device_id, device_id, sizeof entry->device_id);
  entry->ends_us = now_us + TL_CHALLENGE_LIFETIME_MS * G_GINT64_CONSTANT (1000);
  entry->in_order.data = entry;
  g_queue_push_tail_link (&table->by_age, &entry->in_order);
  g_hash_table_add (table->entries, entry);
  memcpy (challenge, entry->challenge, sizeof entry->challenge);
  return TRUE;
}

gboolean
tl_challenge_table_take (TlChallengeTable *table, const guint8 *challenge, gsize length, const char *device_id,
                         gint64 now_us)
{
  Entry *entry;
  gboolean fits;

  expire (table, now_us);
  entry = length == TL_RENEWAL_CHALLENGE_LENGTH ? g_hash_table_lookup (table->entries, challenge) : NULL;
  if (entry == NULL)
    return FALSE;
  fits = strcmp (entry->device_id, device_id) == 0;
  remove_entry (table, entry);
  return fits;
}

guint
tl_challenge_table_size (TlChallengeTable *table)
{
  return g_hash_table_size (table->entries);
}
