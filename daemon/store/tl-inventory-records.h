/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-store.h"

G_BEGIN_DECLS

/*
 * TlInventory: what node-runtime.v1.json shows and what an import brings in: codes without their secrets, pairing
 * requests, nodes, capability requests. A plain value; immutable once handed to another thread.
 */

/* How much of the history a snapshot carries beside everything that is open. */
#define TL_INVENTORY_MAX_FINISHED 1000

/* A node as people know it. */
typedef struct
{
  char *device_id;
  char *name;          /* NULL for imported ones */
  gboolean paired;     /* FALSE: an imported inventory named it, nothing more */
  TlDeviceState state; /* paired */
  TlClientKind client_kind;
  char *platform;       /* may be NULL */
  GBytes *registration; /* packed twinlatch.v1.RegisterNodeRequest; NULL for imported ones */
  char *capabilities;   /* imported: JSON [{"name":..,"available":..}] */
  gint64 registered_at, last_seen_at, last_event_at;
  char *last_event_name; /* may be NULL */
} TlInventoryNode;

typedef struct
{
  GPtrArray *codes;    /* TlCodeRecord, live, without verifier; empty in what an import reads */
  GPtrArray *pairings; /* TlPairingRecord, without keys and certificate */
  GPtrArray *nodes;    /* TlInventoryNode, by device id */
  GPtrArray *requests; /* TlCapabilityRecord; input and output hold the summaries */
  guint dropped_codes; /* import: codes in plain text, which nobody may use any more */
} TlInventory;

TlInventory *tl_inventory_new (void);
void tl_inventory_free (TlInventory *inventory);
void tl_inventory_node_free (TlInventoryNode *node);

/* A read of its own, over a read-only connection that is closed again: any thread, also beside the store's. directory:
 * the store's. Errors as tl_store_open(). */
TlInventory *tl_store_read_inventory (const char *directory, gint64 now, GError **error);

/* The meta key that says when. */
#define TL_STORE_META_IMPORTED "inventory_imported_at"
/* [durable], sync, start-up: one transaction with a journal row; the nodes become known, not paired, the requests
 * history. ALREADY_EXISTS when one of the ids is there already. */
gboolean tl_store_import_inventory (TlStore *store, const TlInventory *inventory, gint64 now, GError **error);
/* Sync, start-up: nodes that are known, but not paired. GPtrArray of TlInventoryNode */
GPtrArray *tl_store_list_known_nodes (TlStore *store, GError **error);

/* Any thread: grows with every batch that changed something. */
guint64 tl_store_generation (TlStore *store);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlInventory, tl_inventory_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlInventoryNode, tl_inventory_node_free)

G_END_DECLS
