/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-suspend-monitor.h"

#define LOGIND_NAME    "org.freedesktop.login1"
#define LOGIND_PATH    "/org/freedesktop/login1"
#define LOGIND_MANAGER "org.freedesktop.login1.Manager"

struct _TlSuspendMonitor
{
  GCancellable *cancellable; /* of the connection to the bus; NULL: test back end */
  GDBusConnection *bus;      /* NULL until connected, or when there is none */
  guint subscription;
  TlSuspendFunc func;
  gpointer user_data;
};

static void
announce (TlSuspendMonitor *monitor, gboolean sleeping)
{
  if (monitor->func != NULL)
    monitor->func (monitor, sleeping, monitor->user_data);
}

static void
on_prepare_for_sleep (GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                      const char *signal, GVariant *parameters, gpointer user_data)
{
  gboolean sleeping;

  (void)bus, (void)sender, (void)path, (void)interface, (void)signal;
  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(b)")))
    return;
  g_variant_get (parameters, "(b)", &sleeping);
  announce (user_data, sleeping);
}

static void
on_bus (GObject *source, GAsyncResult *result, gpointer user_data)
{
  TlSuspendMonitor *monitor = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusConnection) bus = g_bus_get_finish (result, &error);

  (void)source;
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) /* the monitor is gone */
    return;
  if (bus == NULL)
    {
      g_debug ("no system bus, suspend is not noticed: %s", error->message);
      return;
    }
  monitor->bus = g_steal_pointer (&bus);
  g_dbus_connection_set_exit_on_close (monitor->bus, FALSE); /* a bus that restarts is no reason to end */
  monitor->subscription
      = g_dbus_connection_signal_subscribe (monitor->bus, LOGIND_NAME, LOGIND_MANAGER, "PrepareForSleep", LOGIND_PATH,
                                            NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_prepare_for_sleep, monitor, NULL);
}

TlSuspendMonitor *
tl_suspend_monitor_new_system (void)
{
  TlSuspendMonitor *monitor = g_new0 (TlSuspendMonitor, 1);

  monitor->cancellable = g_cancellable_new ();
  g_bus_get (G_BUS_TYPE_SYSTEM, monitor->cancellable, on_bus, monitor);
  return monitor;
}

TlSuspendMonitor *
tl_suspend_monitor_new_test (void)
{
  return g_new0 (TlSuspendMonitor, 1);
}

void
tl_suspend_monitor_free (TlSuspendMonitor *monitor)
{
  if (monitor == NULL)
    return;
  if (monitor->cancellable != NULL)
    g_cancellable_cancel (monitor->cancellable);
  g_clear_object (&monitor->cancellable);
  if (monitor->bus != NULL)
    g_dbus_connection_signal_unsubscribe (monitor->bus, monitor->subscription);
  g_clear_object (&monitor->bus);
  g_free (monitor);
}

void
tl_suspend_monitor_set_func (TlSuspendMonitor *monitor, TlSuspendFunc func, gpointer user_data)
{
  monitor->func = func;
  monitor->user_data = user_data;
}

void
tl_suspend_monitor_test_set (TlSuspendMonitor *monitor, gboolean sleeping)
{
  g_return_if_fail (monitor->cancellable == NULL);
  announce (monitor, sleeping);
}
