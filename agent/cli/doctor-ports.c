/* SPDX-License-Identifier: Apache-2.0 */
/* Who listens on the gateway's ports. */
#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/tl-doctor.h"
#include "base/tl-error.h"
#include "tl-config-build.h"

/* include/net/tcp_states.h: what a socket that listens is in; UDP's is only bound. */
#define STATE_TCP_LISTEN 0x0a
#define STATE_UDP_BOUND  0x07

/* Inode of a socket that listens on the port; 0: none. */
static guint64
find_listener (const char *table, unsigned wanted, guint16 port)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (table, &text, NULL, NULL))
    return 0;
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 1; lines[i] != NULL; i++)
    {
      unsigned local_port = 0, state = 0;
      unsigned long long inode = 0;

      /* sl local:port remote:port state queues timer retransmits uid timeout inode: proc(5) */
      if (sscanf (lines[i], " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %llu", &local_port, &state,
                  &inode)
              == 3
          && local_port == port && state == wanted)
        return inode;
    }
  return 0;
}

static gboolean
has_socket (const char *pid, const char *wanted)
{
  g_autofree char *folder = g_build_filename ("/proc", pid, "fd", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_autofree char *target = g_file_read_link (path, NULL);

      if (target != NULL && g_str_equal (target, wanted))
        return TRUE;
    }
  return FALSE;
}

static char *
describe_process (const char *pid)
{
  g_autofree char *path = g_build_filename ("/proc", pid, "comm", NULL);
  g_autofree char *name = NULL;

  if (!g_file_get_contents (path, &name, NULL, NULL))
    name = g_strdup ("?");
  return g_strdup_printf ("pid %s (%s)", pid, g_strstrip (name));
}

char *
tl_doctor_port_owner (TlDoctorTransport transport, guint16 port)
{
  static const struct
  {
    const char *v4, *v6;
    unsigned state;
  } tables[] = {
    [TL_DOCTOR_TCP] = { "/proc/net/tcp", "/proc/net/tcp6", STATE_TCP_LISTEN },
    [TL_DOCTOR_UDP] = { "/proc/net/udp", "/proc/net/udp6", STATE_UDP_BOUND },
  };
  guint64 inode = find_listener (tables[transport].v4, tables[transport].state, port);
  g_autofree char *wanted = NULL;
  g_autoptr (GDir) dir = g_dir_open ("/proc", 0, NULL);
  const char *name;

  if (inode == 0)
    inode = find_listener (tables[transport].v6, tables[transport].state, port);
  if (inode == 0)
    return NULL;
  wanted = g_strdup_printf ("socket:[%" G_GUINT64_FORMAT "]", inode);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_ascii_isdigit (name[0]) && has_socket (name, wanted))
      return describe_process (name);
  return g_strdup (_ ("another process")); /* of another user */
}

static guint16
port_of (const char *address)
{
  const char *colon = strrchr (address, ':');

  return colon != NULL ? (guint16)g_ascii_strtoull (colon + 1, NULL, 10) : TL_DEFAULT_PORT;
}

static const char *
row_name (TlDoctorTransport transport)
{
  return transport == TL_DOCTOR_UDP ? "gateway.quic" : "gateway.ports";
}

static void
check_running (TlDoctor *doctor, TlDoctorTransport transport, const char *listener)
{
  const char *what = transport == TL_DOCTOR_UDP ? "UDP" : "TCP";
  g_autofree char *owner = tl_doctor_port_owner (transport, port_of (listener));

  if (owner != NULL)
    tl_doctor_add (doctor, row_name (transport), TL_DOCTOR_OK, NULL, _ ("%s listens on %s (%s)"), owner, listener,
                   what);
  else
    tl_doctor_add (doctor, row_name (transport), TL_DOCTOR_FAILED, _ ("restart twinlatchd"),
                   _ ("nobody listens on %s (%s)"), listener, what);
}

static void
check_free (TlDoctor *doctor, TlDoctorTransport transport, const char *listener)
{
  const char *what = transport == TL_DOCTOR_UDP ? "UDP" : "TCP";
  guint16 port = port_of (listener);
  g_autofree char *owner = tl_doctor_port_owner (transport, port);

  if (owner == NULL)
    tl_doctor_add (doctor, row_name (transport), TL_DOCTOR_OK, NULL,
                   _ ("port %u (%s) is free for the gateway to listen on"), port, what);
  else
    tl_doctor_add (doctor, row_name (transport), TL_DOCTOR_FAILED,
                   transport == TL_DOCTOR_UDP ? _ ("stop it, or change listen-quic= in twinlatchd.conf")
                                              : _ ("stop it, or change listen= in twinlatchd.conf"),
                   _ ("%s listens on port %u (%s), which the gateway needs"), owner, port, what);
}

/* What twinlatchd would listen on; it checks its configuration itself (twinlatchd --check-config), this only looks. */
static char **
configured_listeners (const char *path, TlDoctorTransport transport)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *text = NULL;

  if (g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL))
    {
      if (transport == TL_DOCTOR_UDP)
        text = g_key_file_get_value (file, "gateway", "listen-quic", NULL);
      if (text == NULL) /* QUIC's default are those of gRPC */
        text = g_key_file_get_value (file, "gateway", "listen", NULL);
    }
  if (g_strcmp0 (text, "none") == 0)
    return g_new0 (char *, 1);
  return g_strsplit_set (text != NULL ? text : "0.0.0.0:" G_STRINGIFY (TL_DEFAULT_PORT), ";,", -1);
}

void
tl_doctor_gateway_ports (TlDoctor *doctor)
{
  const TlStatusAnswer *status = doctor->gateway.status;

  for (size_t i = 0; status != NULL && i < status->n_listeners; i++)
    check_running (doctor, TL_DOCTOR_TCP, status->listeners[i]);
  for (size_t i = 0; status != NULL && i < status->n_quic_listeners; i++)
    check_running (doctor, TL_DOCTOR_UDP, status->quic_listeners[i]);
  if (status != NULL || tl_error_is (doctor->gateway.problem, TL_ERROR_PERMISSION_DENIED)) /* it runs, not for us */
    return;
  for (TlDoctorTransport transport = TL_DOCTOR_TCP; transport <= TL_DOCTOR_UDP; transport++)
    {
      g_auto (GStrv) listeners = configured_listeners (doctor->gateway.config, transport);

      for (guint i = 0; listeners[i] != NULL; i++)
        check_free (doctor, transport, listeners[i]);
    }
}
