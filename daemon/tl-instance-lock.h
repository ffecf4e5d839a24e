/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlInstanceLock: one daemon for a state directory: an open file description lock on `twinlatchd.lock`, which carries
 * the pid. The kernel releases it when the process dies. Thread: main.
 */
typedef struct _TlInstanceLock TlInstanceLock;

/* TL_ERROR_IN_USE names the pid of the other. */
TlInstanceLock *tl_instance_lock_acquire (const char *directory, GError **error);
void tl_instance_lock_release (TlInstanceLock *lock);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlInstanceLock, tl_instance_lock_release)

G_END_DECLS
