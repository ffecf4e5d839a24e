/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/tl-quic-verified.h"

typedef struct
{
  GList link; /* in order; data: this entry */
  char fingerprint[65];
  TlQuicVerifiedLeaf leaf;
} Entry;

struct _TlQuicVerified
{
  guint max;
  GHashTable *entries; /* fingerprint -> Entry, owned */
  GQueue order;        /* the one asked for last comes last */
};

TlQuicVerified *
tl_quic_verified_new (guint max)
{
  TlQuicVerified *verified = g_new0 (TlQuicVerified, 1);

  verified->max = max;
  verified->entries = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  g_queue_init (&verified->order);
  return verified;
}

void
tl_quic_verified_free (TlQuicVerified *verified)
{
  if (verified == NULL)
    return;
  g_hash_table_unref (verified->entries);
  g_free (verified);
}

static void
forget (TlQuicVerified *verified, Entry *entry)
{
  g_queue_unlink (&verified->order, &entry->link);
  g_hash_table_remove (verified->entries, entry->fingerprint);
}

gboolean
tl_quic_verified_lookup (TlQuicVerified *verified, const char *fingerprint, TlQuicVerifiedLeaf *leaf)
{
  Entry *entry = g_hash_table_lookup (verified->entries, fingerprint);

  if (entry == NULL)
    return FALSE;
  g_queue_unlink (&verified->order, &entry->link);
  g_queue_push_tail_link (&verified->order, &entry->link);
  *leaf = entry->leaf;
  return TRUE;
}

void
tl_quic_verified_add (TlQuicVerified *verified, const char *fingerprint, const TlQuicVerifiedLeaf *leaf)
{
  Entry *entry = g_hash_table_lookup (verified->entries, fingerprint);

  if (entry != NULL)
    forget (verified, entry);
  else if (verified->order.length >= verified->max)
    forget (verified, verified->order.head->data);
  entry = g_new0 (Entry, 1);
  entry->link.data = entry;
  entry->leaf = *leaf;
  g_strlcpy (entry->fingerprint, fingerprint, sizeof entry->fingerprint);
  g_hash_table_insert (verified->entries, entry->fingerprint, entry);
  g_queue_push_tail_link (&verified->order, &entry->link);
}

void
tl_quic_verified_clear (TlQuicVerified *verified)
{
  g_hash_table_remove_all (verified->entries);
  g_queue_init (&verified->order);
}

guint
tl_quic_verified_size (TlQuicVerified *verified)
{
  return verified->order.length;
}
