/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlInstanceGuard: which processes of one device opened its event stream (PROTOCOL 5). Each process sends a random
 * instance_id; the newest has the stream. One that was superseded is over: when it comes back, two processes have the
 * same identity, which is a clone. The same process may come as often as it likes, over any transport. Pure. Thread:
 * owner's.
 */
#define TL_INSTANCE_GUARD_MAX 16 /* superseded ones that are remembered, oldest first out */

typedef enum
{
  TL_INSTANCE_FIRST,      /* nobody was there before */
  TL_INSTANCE_SAME,       /* the one that has the stream already */
  TL_INSTANCE_SUPERSEDES, /* a new one; the one before is superseded */
  TL_INSTANCE_CLONED,     /* a superseded one came back; nothing changed here */
} TlInstanceVerdict;

typedef struct _TlInstanceGuard TlInstanceGuard;

TlInstanceGuard *tl_instance_guard_new (void);
void tl_instance_guard_free (TlInstanceGuard *guard);
/* instance_id: a ULID. */
TlInstanceVerdict tl_instance_guard_enter (TlInstanceGuard *guard, const char *instance_id);
/* The one that has the stream, or had it last; NULL: nobody yet. Borrowed until the next call. */
const char *tl_instance_guard_current (const TlInstanceGuard *guard);
/* An operator decided about the device: everything begins anew. */
void tl_instance_guard_forget (TlInstanceGuard *guard);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlInstanceGuard, tl_instance_guard_free)

G_END_DECLS
