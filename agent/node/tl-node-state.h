/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/tl-device-identity.h"
#include "identity/tl-secret-store.h"

G_BEGIN_DECLS

/*
 * TlNodeState: what a device keeps on disk for one gateway: <node dir>/<gateway id>/, 0700:
 *   gateway.json        marker without secrets: gateway id and name, device id, identity fingerprint, addresses,
 * paired_at secrets/            file secret store (a keyring takes its place on the desktop) with the item "identity"
 * and, while a renewal is not finished, "identity-next" requests/           durable records of started requests and
 * kept results (tl-request-journal.h) cursor.json         position in the event log node.status.json    what `node run`
 * says of itself, for `node status` (pid, since, state); not durable A lookup that finds no secret while the marker
 * exists means locked or lost, never "make a new identity" (DESIGN). Blocking; thread: owner's. Changes take the state
 * lock (tl-state-lock.h) of the folder.
 */
typedef struct _TlNodeState TlNodeState;

/* What the marker says; borrowed from the state, which keeps it up to date and every string valid as long as it lives.
 */
typedef struct
{
  const char *gateway_id;
  const char *gateway_name; /* may be "" */
  const char *device_id;
  const char *device_name;
  const char *fingerprint;      /* of the identity key */
  const char *const *addresses; /* host:port, tried in order */
  gint64 paired_at_ms;
  guint ca_generation;
} TlNodeMarker;

/* Gateways that have a folder with a readable marker below node_dir (NULL: tl_paths_node_dir()): GPtrArray of char*
 * ids, sorted. None is readable, but there are some: the first one's error. */
GPtrArray *tl_node_state_list (const char *node_dir, GError **error);
/* gateway: id, unique prefix or unique name; NULL = the only one (NOT_PAIRED when there is none, AMBIGUOUS when
 * several). */
TlNodeState *tl_node_state_open (const char *node_dir, const char *gateway, GError **error);
/* After pairing: makes the folder and stores identity first, marker last, both durable. ALREADY_EXISTS when that
 * gateway has one (pairing again replaces only with replace TRUE: the old secret goes when the new one is durable). */
TlNodeState *tl_node_state_create (const char *node_dir, TlDeviceIdentity *identity, const char *gateway_name,
                                   const char *device_name, const char *const *addresses, gint64 now_ms,
                                   gboolean replace, GError **error);
void tl_node_state_free (TlNodeState *state);

const TlNodeMarker *tl_node_state_marker (TlNodeState *state);
const char *tl_node_state_directory (TlNodeState *state);
/* LOCKED/NOT_FOUND/CORRUPT as the secret store says; NOT_FOUND tells to `repair`. */
TlDeviceIdentity *tl_node_state_load_identity (TlNodeState *state, GError **error);
gboolean tl_node_state_store_identity (TlNodeState *state, TlDeviceIdentity *identity, GError **error);
/* The second slot, for a renewal (tl-renewal.h): the identity with the TLS key that takes over, without a certificate
 * until it is there. Durable; NOT_FOUND when nothing is under way. Dropping what is not there is success. */
TlDeviceIdentity *tl_node_state_load_next (TlNodeState *state, GError **error);
gboolean tl_node_state_store_next (TlNodeState *state, TlDeviceIdentity *next, GError **error);
gboolean tl_node_state_drop_next (TlNodeState *state, GError **error);
/* What the gateway advertises now, kept for the next start, behind the addresses that are known to work; those it no
 * longer advertises go, but the one that the device was paired over. */
gboolean tl_node_state_learn_addresses (TlNodeState *state, const char *const *advertised, GError **error);
gboolean tl_node_state_set_addresses (TlNodeState *state, const char *const *addresses, GError **error);
/* What the gateway advertises now, behind the addresses that are known to work; those it no longer advertises go, but
 * the one that the device was paired over. NULL or none: nothing changes. */
gboolean tl_node_state_learn_addresses (TlNodeState *state, const char *const *advertised, GError **error);
/* Event cursor; (0, "") at first. */
gboolean tl_node_state_get_cursor (TlNodeState *state, guint64 *seq, char **event_id, GError **error);
gboolean tl_node_state_set_cursor (TlNodeState *state, guint64 seq, const char *event_id, GError **error);
/* Removes the folder: this computer forgets the gateway. */
gboolean tl_node_state_forget (TlNodeState *state, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeState, tl_node_state_free)

G_END_DECLS
