/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-capability.h"
#include "agent/node/tl-node-certificate.h"
#include "agent/node/tl-node-config.h"
#include "base/tl-clock.h"

G_BEGIN_DECLS

/*
 * The capabilities every node has: echo, system.*, fs.*, process.run. Each function adds its rows to the set.
 */

/* What system.health and system.identity tell. Strings are copied; no secrets. */
typedef struct
{
  const char *gateway_id;
  const char *device_id;
  const char *identity_fingerprint;
  TlNodeCertificate *certificate; /* referenced */
  gint64 started_us;              /* monotonic, of `clock` */
  TlClock *clock;                 /* borrowed, as long as the set */
  const int *running; /* requests that run now, changed with g_atomic_int_*(); borrowed, as long as the set */
} TlNodeFacts;

/* TlFsRoot objects shared by fs.* and system.health; never changed after opening. */
typedef struct _TlFsRoots TlFsRoots;

/* Opens every configured root. A missing directory is an error; a kernel without openat2 is not: fs.* is then announced
 * as unavailable. */
TlFsRoots *tl_fs_roots_new (const TlNodeConfig *config, GError **error);
TlFsRoots *tl_fs_roots_ref (TlFsRoots *roots);
void tl_fs_roots_unref (TlFsRoots *roots);
/* {"name": .., "ok": bool} for each. New reference. */
json_t *tl_fs_roots_describe (TlFsRoots *roots);

void tl_capability_add_echo (TlCapabilitySet *set);
void tl_capability_add_system (TlCapabilitySet *set, const TlNodeFacts *facts, TlFsRoots *roots);
void tl_capability_add_fs (TlCapabilitySet *set, TlFsRoots *roots);
/* process.run {program, arguments, stdin}: the programs of node.conf, unavailable when there are none. */
void tl_capability_add_process (TlCapabilitySet *set, const TlNodeConfig *config);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlFsRoots, tl_fs_roots_unref)

G_END_DECLS
