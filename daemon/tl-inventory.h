/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-json.h"
#include "base/tl-random.h"
#include "daemon/store/tl-inventory-records.h"
#include "twinlatch/v1/node.pb-c.h"

G_BEGIN_DECLS

/*
 * The inventory as JSON, both ways: node-runtime.v1.json (data/doc/node-runtime.md, with its JSON schema). What is read
 * may come from an earlier gateway: four optional maps, of which `active_pairing_codes` holds codes in plain text,
 * which are dropped. Pure; thread: any.
 */
#define TL_INVENTORY_SCHEMA    "twinlatch.node-runtime.v1"
#define TL_INVENTORY_MAX_BYTES (64u * 1024u * 1024u)
#define TL_INVENTORY_MAX_NODES 100000u /* and pairing requests, and capability requests */
#define TL_INVENTORY_MAX_TEXT  1024u   /* reasons and errors; longer ones are refused */

/* Indented, with a line end; g_free(). Never holds a code, a key, input or output. */
char *tl_inventory_to_text (const TlInventory *inventory, const char *gateway_id, gint64 now, gsize *length);

/* INVALID_ARGUMENT names the member that is malformed; RESOURCE_EXHAUSTED above the limits. What was open becomes
 * history: pairing requests EXPIRED, capability requests FAILED with reason `interrupted`. now: "imported" in texts.
 * random: for session ids that are missing. */
TlInventory *tl_inventory_parse (const char *text, gsize length, gint64 now, TlRandom *random, GError **error);

/* What an imported node announced, as if it had registered; free_unpacked. NULL: nothing usable. */
Twinlatch__V1__RegisterNodeRequest *tl_inventory_node_registration (const TlInventoryNode *node);

G_END_DECLS
