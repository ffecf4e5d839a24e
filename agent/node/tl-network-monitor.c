/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-network-monitor.h"

struct _TlNetworkMonitor
{
  GNetworkMonitor *system; /* NULL: test back end */
  gulong handler;
  gboolean available;
  TlNetworkFunc func;
  gpointer user_data;
};

static void
enter (TlNetworkMonitor *monitor, gboolean available)
{
  if (monitor->available == available)
    return;
  monitor->available = available;
  if (monitor->func != NULL)
    monitor->func (monitor, available, monitor->user_data);
}

static void
on_network_changed (GNetworkMonitor *system, gboolean available, gpointer user_data)
{
  (void)system;
  enter (user_data, available);
}

TlNetworkMonitor *
tl_network_monitor_new_system (void)
{
  TlNetworkMonitor *monitor = g_new0 (TlNetworkMonitor, 1);

  monitor->system = g_object_ref (g_network_monitor_get_default ());
  monitor->available = g_network_monitor_get_network_available (monitor->system);
  monitor->handler = g_signal_connect (monitor->system, "network-changed", G_CALLBACK (on_network_changed), monitor);
  return monitor;
}

TlNetworkMonitor *
tl_network_monitor_new_test (gboolean available)
{
  TlNetworkMonitor *monitor = g_new0 (TlNetworkMonitor, 1);

  monitor->available = available;
  return monitor;
}

void
tl_network_monitor_free (TlNetworkMonitor *monitor)
{
  if (monitor == NULL)
    return;
  if (monitor->system != NULL)
    g_signal_handler_disconnect (monitor->system, monitor->handler);
  g_clear_object (&monitor->system);
  g_free (monitor);
}

void
tl_network_monitor_set_func (TlNetworkMonitor *monitor, TlNetworkFunc func, gpointer user_data)
{
  monitor->func = func;
  monitor->user_data = user_data;
}

gboolean
tl_network_monitor_is_available (TlNetworkMonitor *monitor)
{
  return monitor->available;
}

void
tl_network_monitor_test_set (TlNetworkMonitor *monitor, gboolean available)
{
  g_return_if_fail (monitor->system == NULL);
  enter (monitor, available);
}
