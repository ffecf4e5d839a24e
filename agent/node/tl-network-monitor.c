/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-network-monitor.h"

#include <sys/socket.h>
#include <unistd.h>

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
  monitor->available = available;
  if (monitor->func != NULL)
    monitor->func (monitor, available, monitor->user_data);
}

/* Also when it is another network now (cable for Wi-Fi): then it was available before. */
static void
on_network_changed (GNetworkMonitor *system, gboolean available, gpointer user_data)
{
  TlNetworkMonitor *monitor = user_data;

  (void)system;
  if (available || monitor->available)
    enter (monitor, available);
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

static char *
address_text (const struct sockaddr_storage *name, socklen_t length)
{
  g_autoptr (GSocketAddress) address = g_socket_address_new_from_native ((gpointer)name, length);

  if (!G_IS_INET_SOCKET_ADDRESS (address))
    return NULL;
  return g_inet_address_to_string (g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (address)));
}

char *
tl_network_source_for (const char *peer)
{
  g_autoptr (GSocketConnectable) parsed = g_network_address_parse (peer, 0, NULL);
  g_autoptr (GSocketAddress) address = NULL;
  struct sockaddr_storage name = { 0 };
  socklen_t length = sizeof name;
  char *text = NULL;
  int fd;

  if (parsed != NULL)
    address = g_inet_socket_address_new_from_string (g_network_address_get_hostname (G_NETWORK_ADDRESS (parsed)),
                                                     g_network_address_get_port (G_NETWORK_ADDRESS (parsed)));
  if (address == NULL || !g_socket_address_to_native (address, &name, sizeof name, NULL))
    return NULL;
  fd = socket (name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return NULL;
  /* Connecting a datagram socket only asks the routing table. */
  if (connect (fd, (const struct sockaddr *)&name, (socklen_t)g_socket_address_get_native_size (address)) == 0
      && getsockname (fd, (struct sockaddr *)&name, &length) == 0)
    text = address_text (&name, length);
  close (fd);
  return text;
}

void
tl_network_monitor_test_set (TlNetworkMonitor *monitor, gboolean available)
{
  g_return_if_fail (monitor->system == NULL);
  if (available || monitor->available)
    enter (monitor, available);
}
