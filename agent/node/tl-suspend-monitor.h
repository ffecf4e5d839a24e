/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * TlSuspendMonitor: says when the computer goes to sleep and when it is back. Back ends: logind's PrepareForSleep on
 * the system bus (a computer without one, a container for instance, simply never sleeps), test. Thread: main context.
 */
typedef struct _TlSuspendMonitor TlSuspendMonitor;
typedef void (*TlSuspendFunc) (TlSuspendMonitor *monitor, gboolean sleeping, gpointer user_data);

TlSuspendMonitor *tl_suspend_monitor_new_system (void);
TlSuspendMonitor *tl_suspend_monitor_new_test (void);
void tl_suspend_monitor_free (TlSuspendMonitor *monitor);

/* One listener; NULL ends it. sleeping TRUE just before, FALSE just after. */
void tl_suspend_monitor_set_func (TlSuspendMonitor *monitor, TlSuspendFunc func, gpointer user_data);
/* Test back end only. */
void tl_suspend_monitor_test_set (TlSuspendMonitor *monitor, gboolean sleeping);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlSuspendMonitor, tl_suspend_monitor_free)

G_END_DECLS
