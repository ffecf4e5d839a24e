/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-node-state.h"

G_BEGIN_DECLS

/*
 * gateway.json: the marker beside a device's secrets (tl-node-state.h), as text and as a value that owns its strings.
 * Thread: owner's.
 */
#define TL_NODE_MARKER_FILE    "gateway.json"
#define TL_NODE_MARKER_VERSION 1
#define TL_NODE_ADDRESSES_MAX  8

/* A copy with strings of its own. */
TlNodeMarker *tl_node_marker_copy (const TlNodeMarker *marker);
void tl_node_marker_free (TlNodeMarker *marker);

/* directory/gateway.json. NOT_FOUND; CORRUPT naming file and member; NEWER_VERSION. The gateway id must be the folder's
 * name. */
TlNodeMarker *tl_node_marker_load (const char *directory, GError **error);
/* Durable. */
gboolean tl_node_marker_save (const TlNodeMarker *marker, const char *directory, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeMarker, tl_node_marker_free)

G_END_DECLS
