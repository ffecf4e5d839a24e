/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * TlNetworkMonitor: says when the network came back or changed, so that a node connects at once instead of waiting for
 * its back-off. Only a hint: without a network (loopback, tests) attempts go on. Back ends: GNetworkMonitor, test.
 * Thread: main context.
 */
typedef struct _TlNetworkMonitor TlNetworkMonitor;
typedef void (*TlNetworkFunc) (TlNetworkMonitor *monitor, gboolean available, gpointer user_data);

TlNetworkMonitor *tl_network_monitor_new_system (void);
TlNetworkMonitor *tl_network_monitor_new_test (gboolean available);
void tl_network_monitor_free (TlNetworkMonitor *monitor);

/* One listener; NULL ends it. Called when the network goes (FALSE), comes back, and when it changes while it is there
 * (TRUE). */
void tl_network_monitor_set_func (TlNetworkMonitor *monitor, TlNetworkFunc func, gpointer user_data);
gboolean tl_network_monitor_is_available (TlNetworkMonitor *monitor);
/* The address of this computer that packets to "192.0.2.1:7444" leave from now; NULL when there is no way there, or for
 * anything but a literal address. Sends nothing. g_free() */
char *tl_network_source_for (const char *peer);
/* Test back end only. */
void tl_network_monitor_test_set (TlNetworkMonitor *monitor, gboolean available);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNetworkMonitor, tl_network_monitor_free)

G_END_DECLS
