/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlStateLock: changes to identity state take an in-process lock, then an OS lock (open file description lock) on
 * `.identity-state.lock` in the state directory; the file carries pid and time (DESIGN, State). The kernel releases it
 * when the owner dies: no stale lock needs removing. Thread: any.
 */
#define TL_STATE_LOCK_NAME ".identity-state.lock"

typedef struct _TlStateLock TlStateLock;

/* Waits at most timeout_ms (0: not at all). TL_ERROR_IN_USE names pid and time of the holder. */
TlStateLock *tl_state_lock_acquire (const char *directory, gint64 timeout_ms, GError **error);
void tl_state_lock_release (TlStateLock *lock);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlStateLock, tl_state_lock_release)

G_END_DECLS
