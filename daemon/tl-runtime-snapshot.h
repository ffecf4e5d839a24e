/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-clock.h"
#include "base/tl-random.h"
#include "daemon/store/tl-store.h"

G_BEGIN_DECLS

/*
 * TlRuntimeSnapshot: keeps node-runtime.v1.json in the state root (0600), a picture of the inventory for people and
 * tools (DESIGN, State). Written by a thread of its own from a read-only connection: a temporary file, fsync, rename,
 * fsync of the directory; at change, at most once a second (less often when a write takes long), and at the end. A
 * write that fails is logged once and tried again at the next change; the gateway works without it. Thread: main.
 */
#define TL_RUNTIME_SNAPSHOT_FILE        "node-runtime.v1.json"
#define TL_RUNTIME_SNAPSHOT_IMPORTED    "node-runtime.v1.imported.json"
#define TL_RUNTIME_SNAPSHOT_INTERVAL_US ((gint64)1000 * 1000)

typedef struct _TlRuntimeSnapshot TlRuntimeSnapshot;

/* Starts the thread and has the first one written. clock: borrowed. */
TlRuntimeSnapshot *tl_runtime_snapshot_new (const char *state_dir, const char *gateway_id, TlClock *clock);
/* Has the last one written, joins the thread. Before the store is closed. NULL is allowed. */
void tl_runtime_snapshot_free (TlRuntimeSnapshot *snapshot);
/* Something changed (tl_store_generation()); cheap. */
void tl_runtime_snapshot_request (TlRuntimeSnapshot *snapshot);

typedef struct
{
  guint64 bytes;     /* of the last one written */
  gint64 written_at; /* wall-clock ms; 0: none yet */
  char *error;       /* NULL: the last one was written; g_free() */
} TlRuntimeSnapshotStatus;

void tl_runtime_snapshot_get_status (TlRuntimeSnapshot *snapshot, TlRuntimeSnapshotStatus *status);

/* Start-up, blocks, before the gateway has an identity: a store that is new and a snapshot beside it, of this or an
 * earlier gateway, are brought together (data/doc/node-runtime.md). The file is kept under another name. A store that
 * has a gateway already, or no file: success, nothing happens. A file that cannot be used is an error (CORRUPT), so
 * that nothing of it is lost. */
gboolean tl_runtime_import (TlStore *store, const char *state_dir, gint64 now, TlRandom *random, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRuntimeSnapshot, tl_runtime_snapshot_free)

G_END_DECLS
