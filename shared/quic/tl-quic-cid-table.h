/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <ngtcp2/ngtcp2.h>

G_BEGIN_DECLS

/*
 * TlQuicCidTable: connection id -> what it leads to. The hash is keyed (SipHash-1-3): a client chooses the first
 * Destination Connection ID and would otherwise choose one bucket for all of them. Entries are allocated here; whoever
 * adds one keeps the pointer to remove it. Thread: owner's.
 */
typedef struct _TlQuicCidEntry TlQuicCidEntry;

struct _TlQuicCidEntry
{
  TlQuicCidEntry *next_in_bucket;
  TlQuicCidEntry *next; /* free for the owner: its list of ids */
  gpointer value;
  guint64 hash;
  guint8 length;
  guint8 id[NGTCP2_MAX_CIDLEN];
};

typedef struct
{
  TlQuicCidEntry **buckets;
  guint n_buckets; /* a power of two */
  guint n_entries;
  guint64 key[2];
} TlQuicCidTable;

void tl_quic_cid_table_init (TlQuicCidTable *table, const guint8 key[16]);
/* Frees the entries that are left. */
void tl_quic_cid_table_clear (TlQuicCidTable *table);
/* length <= NGTCP2_MAX_CIDLEN. NULL: it is there already. */
TlQuicCidEntry *tl_quic_cid_table_add (TlQuicCidTable *table, const guint8 *id, gsize length, gpointer value);
void tl_quic_cid_table_remove (TlQuicCidTable *table, TlQuicCidEntry *entry);
/* NULL: none. */
gpointer tl_quic_cid_table_find (TlQuicCidTable *table, const guint8 *id, gsize length);

G_END_DECLS
