/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/tl-quic-cid-table.h"

#include <string.h>

#define FIRST_BUCKETS 64

static inline guint64
rotate (guint64 x, int bits)
{
  return x << bits | x >> (64 - bits);
}

static inline void
sip_round (guint64 v[4])
{
  v[0] += v[1];
  v[2] += v[3];
  v[1] = rotate (v[1], 13) ^ v[0];
  v[3] = rotate (v[3], 16) ^ v[2];
  v[0] = rotate (v[0], 32);
  v[2] += v[1];
  v[0] += v[3];
  v[1] = rotate (v[1], 17) ^ v[2];
  v[3] = rotate (v[3], 21) ^ v[0];
  v[2] = rotate (v[2], 32);
}

static guint64
hash_id (const TlQuicCidTable *table, const guint8 *id, gsize length)
{
  guint8 padded[24] = { 0 }; /* NGTCP2_MAX_CIDLEN is 20, and the last byte of the last word is the length */
  guint64 v[4] = { table->key[0] ^ G_GUINT64_CONSTANT (0x736f6d6570736575),
                   table->key[1] ^ G_GUINT64_CONSTANT (0x646f72616e646f6d),
                   table->key[0] ^ G_GUINT64_CONSTANT (0x6c7967656e657261),
                   table->key[1] ^ G_GUINT64_CONSTANT (0x7465646279746573) };
  gsize n_words = length / 8 + 1;

  memcpy (padded, id, length);
  padded[8 * n_words - 1] = (guint8)length;
  for (gsize i = 0; i < n_words; i++)
    {
      guint64 word;

      memcpy (&word, padded + 8 * i, sizeof word);
      word = GUINT64_FROM_LE (word);
      v[3] ^= word;
      sip_round (v);
      v[0] ^= word;
    }
  v[2] ^= 0xff;
  for (int i = 0; i < 3; i++)
    sip_round (v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void
tl_quic_cid_table_init (TlQuicCidTable *table, const guint8 key[16])
{
  memcpy (table->key, key, sizeof table->key);
  table->n_buckets = FIRST_BUCKETS;
  table->n_entries = 0;
  table->buckets = g_new0 (TlQuicCidEntry *, table->n_buckets);
}

void
tl_quic_cid_table_clear (TlQuicCidTable *table)
{
  for (guint i = 0; i < table->n_buckets; i++)
    {
      while (table->buckets[i] != NULL)
        tl_quic_cid_table_remove (table, table->buckets[i]);
    }
  g_clear_pointer (&table->buckets, g_free);
  table->n_buckets = 0;
}

static TlQuicCidEntry **
bucket (TlQuicCidTable *table, guint64 hash)
{
  return &table->buckets[hash & (table->n_buckets - 1)];
}

static void
grow (TlQuicCidTable *table)
{
  TlQuicCidEntry **old = table->buckets;
  guint n_old = table->n_buckets;

  table->n_buckets *= 2;
  table->buckets = g_new0 (TlQuicCidEntry *, table->n_buckets);
  for (guint i = 0; i < n_old; i++)
    {
      TlQuicCidEntry *next;

      for (TlQuicCidEntry *entry = old[i]; entry != NULL; entry = next)
        {
          TlQuicCidEntry **place = bucket (table, entry->hash);

          next = entry->next_in_bucket;
          entry->next_in_bucket = *place;
          *place = entry;
        }
    }
  g_free (old);
}

static TlQuicCidEntry *
find (TlQuicCidTable *table, const guint8 *id, gsize length, guint64 hash)
{
  for (TlQuicCidEntry *entry = *bucket (table, hash); entry != NULL; entry = entry->next_in_bucket)
    {
      if (entry->hash == hash && entry->length == length && memcmp (entry->id, id, length) == 0)
        return entry;
    }
  return NULL;
}

TlQuicCidEntry *
tl_quic_cid_table_add (TlQuicCidTable *table, const guint8 *id, gsize length, gpointer value)
{
  guint64 hash;
  TlQuicCidEntry *entry;
  TlQuicCidEntry **place;

  g_assert (length <= NGTCP2_MAX_CIDLEN);
  hash = hash_id (table, id, length);
  if (find (table, id, length, hash) != NULL)
    return NULL;
  if (table->n_entries >= table->n_buckets)
    grow (table);
  entry = g_new0 (TlQuicCidEntry, 1);
  entry->value = value;
  entry->hash = hash;
  entry->length = (guint8)length;
  memcpy (entry->id, id, length);
  place = bucket (table, hash);
  entry->next_in_bucket = *place;
  *place = entry;
  table->n_entries++;
  return entry;
}

void
tl_quic_cid_table_remove (TlQuicCidTable *table, TlQuicCidEntry *entry)
{
  TlQuicCidEntry **place = bucket (table, entry->hash);

  while (*place != entry)
    place = &(*place)->next_in_bucket;
  *place = entry->next_in_bucket;
  table->n_entries--;
  g_free (entry);
}

gpointer
tl_quic_cid_table_find (TlQuicCidTable *table, const guint8 *id, gsize length)
{
  TlQuicCidEntry *entry = length <= NGTCP2_MAX_CIDLEN ? find (table, id, length, hash_id (table, id, length)) : NULL;

  return entry != NULL ? entry->value : NULL;
}
