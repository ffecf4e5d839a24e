/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-daemon-config.h"

#include <arpa/inet.h>
#include <grp.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-paths.h"
#include "identity/tl-certificate-authority.h"
#include "pairing/tl-pairing-link.h"
#include "quic/tl-quic-endpoint.h"
#include "tl-config-build.h"

#define MIN_GRACE_MS   (G_GINT64_CONSTANT (3600) * 1000)
#define MAX_GRACE_MS   (G_GINT64_CONSTANT (3650) * 86400 * 1000)
#define DEFAULT_LISTEN "0.0.0.0:" G_STRINGIFY (TL_DEFAULT_PORT) ";[::]:" G_STRINGIFY (TL_DEFAULT_PORT)

static const TlConfigKey table[] = {
  { "gateway", "name", TL_CONFIG_STRING, NULL, 0, 0, NULL, "name that people see; default: the host name" },
  { "gateway", "listen", TL_CONFIG_STRING_LIST, DEFAULT_LISTEN, 0, 0, NULL, "addresses for gRPC, host:port" },
  { "gateway", "listen-quic", TL_CONFIG_STRING_LIST, NULL, 0, 0, NULL,
    "addresses for QUIC, over UDP, host:port; none: QUIC is off; default: those of `listen`" },
  { "gateway", "advertise", TL_CONFIG_STRING_LIST, NULL, 0, 0, NULL,
    "addresses put into links, host[:port], at most 4" },
  { "gateway", "server-names", TL_CONFIG_STRING_LIST, NULL, 0, 0, NULL, "more names for the server certificate" },
  { "gateway", "admin-group", TL_CONFIG_STRING, NULL, 0, 0, NULL, "group that may use the admin socket" },
  { "gateway", "log-level", TL_CONFIG_CHOICE, "info", 0, 0, "error|warning|notice|info|debug", "what is logged" },
  { "gateway", "device-certificate-lifetime", TL_CONFIG_DURATION, "24h", TL_DEVICE_LEAF_MIN_MS, TL_DEVICE_LEAF_MAX_MS,
    NULL, "validity of device certificates, 1h..90d" },
  { "gateway", "renewal-grace", TL_CONFIG_DURATION, "30d", MIN_GRACE_MS, MAX_GRACE_MS, NULL,
    "how long after its certificate's end a device may still renew it" },
  { "gateway", "journal-retention", TL_CONFIG_DURATION, "400d", 86400000, G_GINT64_CONSTANT (3650) * 86400000, NULL,
    "how long rows of the journal are kept" },
  { "gateway", "journal-rows", TL_CONFIG_INTEGER, "5000000", 10000, 1000000000, NULL,
    "how many rows of the journal are kept at most" },
  { "quic", "connections", TL_CONFIG_INTEGER, G_STRINGIFY (TL_QUIC_MAX_CONNECTIONS), 1, 1000000, NULL,
    "QUIC connections at a time" },
  { "quic", "retry-threshold", TL_CONFIG_INTEGER, G_STRINGIFY (TL_QUIC_RETRY_THRESHOLD), 0, 1000000, NULL,
    "unfinished handshakes above which an address has to be proven first" },
  { "quic", "handshake-timeout", TL_CONFIG_DURATION, "5s", 1000, 60000, NULL, "QUIC handshake" },
  { "quic", "qlog-directory", TL_CONFIG_STRING, NULL, 0, 0, NULL, "where a log of each QUIC connection is written" },
  { "limits", "strangers", TL_CONFIG_INTEGER, "256", 1, 100000, NULL, "connections without certificate" },
  { "limits", "strangers-per-source", TL_CONFIG_INTEGER, "8", 1, 100000, NULL, "the same, per address" },
  { "limits", "stranger-lifetime", TL_CONFIG_DURATION, "15m", 1000, 86400000, NULL,
    "how long such a connection lives" },
  { "limits", "handshake-timeout", TL_CONFIG_DURATION, "5s", 1000, 60000, NULL, "TLS handshake" },
  { "limits", "sessions", TL_CONFIG_INTEGER, "256", 1, 100000, NULL, "open pairing sessions" },
  { "limits", "sessions-per-source", TL_CONFIG_INTEGER, "8", 1, 100000, NULL, "the same, per address" },
  { "limits", "starts-per-minute", TL_CONFIG_INTEGER, "300", 1, 1000000, NULL, "StartPairing calls, overall" },
  { "limits", "starts-per-minute-per-source", TL_CONFIG_INTEGER, "30", 1, 1000000, NULL, "the same, per address" },
  { "limits", "renewals-per-minute", TL_CONFIG_INTEGER, "300", 2, 1000000, NULL,
    "GetChallenge and RenewWithIdentity calls, overall" },
  { "limits", "renewals-per-minute-per-source", TL_CONFIG_INTEGER, "30", 2, 1000000, NULL, "the same, per address" },
  { NULL },
};

const TlConfigKey *
tl_daemon_config_table (void)
{
  return table;
}

/* "FILE:LINE: what" for values that only we can judge. */
static void
prefix_where (GError **error, TlConfig *config, const char *key)
{
  const char *where = tl_config_where (config, "gateway", key);
  g_prefix_error (error, "%s: [gateway] %s: ", where != NULL ? where : "defaults", key);
}

/* Port 0, "any free one", is for listening only. */
static char *
normalise_listen (const char *text, GError **error)
{
  g_autofree char *host = NULL, *normal = NULL;

  if (!g_str_has_suffix (text, ":0"))
    return tl_address_normalise (text, TL_DEFAULT_PORT, error);
  host = g_strndup (text, strlen (text) - 2);
  normal = tl_address_normalise (host, 1, error);
  if (normal == NULL)
    return NULL;
  normal[strlen (normal) - 1] = '0';
  return g_steal_pointer (&normal);
}

static char **
normalise_list (TlConfig *config, const char *key, gboolean listen, guint max, GError **error)
{
  const char *const *items = tl_config_get_strings (config, "gateway", key);
  g_autoptr (GPtrArray) out = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; items[i] != NULL; i++)
    {
      char *address
          = listen ? normalise_listen (items[i], error) : tl_address_normalise (items[i], TL_DEFAULT_PORT, error);
      if (address == NULL)
        {
          prefix_where (error, config, key);
          return NULL;
        }
      g_ptr_array_add (out, address);
    }
  if (out->len > max)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%u addresses, at most %u", out->len, max);
      prefix_where (error, config, key);
      return NULL;
    }
  g_ptr_array_add (out, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&out), FALSE);
}

static void
load_limits (TlConfig *config, TlDaemonLimits *limits)
{
  limits->strangers = tl_config_get_integer (config, "limits", "strangers");
  limits->strangers_per_source = tl_config_get_integer (config, "limits", "strangers-per-source");
  limits->stranger_lifetime_ms = tl_config_get_integer (config, "limits", "stranger-lifetime");
  limits->handshake_timeout_ms = tl_config_get_integer (config, "limits", "handshake-timeout");
  limits->sessions = tl_config_get_integer (config, "limits", "sessions");
  limits->sessions_per_source = tl_config_get_integer (config, "limits", "sessions-per-source");
  limits->starts_per_minute = tl_config_get_integer (config, "limits", "starts-per-minute");
  limits->starts_per_minute_per_source = tl_config_get_integer (config, "limits", "starts-per-minute-per-source");
  limits->renewals_per_minute = tl_config_get_integer (config, "limits", "renewals-per-minute");
  limits->renewals_per_minute_per_source = tl_config_get_integer (config, "limits", "renewals-per-minute-per-source");
}

static gboolean
load_quic (TlConfig *config, TlDaemonConfig *self, GError **error)
{
  const char *const *listen = tl_config_get_strings (config, "gateway", "listen-quic");
  const char *qlog = tl_config_get_string (config, "quic", "qlog-directory");

  self->quic.connections = (guint)tl_config_get_integer (config, "quic", "connections");
  self->quic.retry_threshold = (guint)tl_config_get_integer (config, "quic", "retry-threshold");
  if (self->quic.retry_threshold == 0)
    self->quic.retry_threshold = TL_QUIC_RETRY_ALWAYS;
  self->quic.handshake_timeout_ms = (guint)tl_config_get_integer (config, "quic", "handshake-timeout");
  if (qlog != NULL && !g_path_is_absolute (qlog))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "%s: [quic] qlog-directory: '%s' is not an absolute path",
                   tl_config_where (config, "quic", "qlog-directory"), qlog);
      return FALSE;
    }
  self->quic.qlog_directory = g_strdup (qlog);
  if (listen[0] == NULL)
    return TRUE;
  if (g_str_equal (listen[0], "none") && listen[1] == NULL)
    {
      self->listen_quic = g_new0 (char *, 1);
      return TRUE;
    }
  self->listen_quic = normalise_list (config, "listen-quic", TRUE, TL_DAEMON_MAX_LISTEN, error);
  return self->listen_quic != NULL;
}

static char *
gateway_name (TlConfig *config, GError **error)
{
  const char *name = tl_config_get_string (config, "gateway", "name");

  if (name == NULL)
    {
      const char *host = g_get_host_name ();
      return g_strdup (tl_pairing_name_check ("host name", host, NULL) ? host : "gateway");
    }
  if (!tl_pairing_name_check ("name", name, error))
    {
      prefix_where (error, config, "name");
      return NULL;
    }
  return g_strdup (name);
}

/* Unset in system mode: the group that was chosen at build time, where it exists and we may give a file to it. */
static char *
admin_group (TlConfig *config, gboolean user)
{
  const char *name = tl_config_get_string (config, "gateway", "admin-group");
  struct group *group;

  if (name != NULL || user)
    return g_strdup (name);
  group = getgrnam (TL_ADMIN_GROUP);
  return group != NULL && (geteuid () == 0 || getegid () == group->gr_gid) ? g_strdup (TL_ADMIN_GROUP) : NULL;
}

TlDaemonConfig *
tl_daemon_config_load (const char *path, gboolean user, GError **error)
{
  g_autoptr (TlDaemonConfig) self = g_new0 (TlDaemonConfig, 1);
  g_autofree char *directory = tl_paths_config_dir (user);
  g_autofree char *standard = g_build_filename (directory, "twinlatchd.conf", NULL);

  self->config = tl_config_load (path != NULL ? path : standard, path == NULL, table, error);
  if (self->config == NULL)
    return NULL;
  if ((self->name = gateway_name (self->config, error)) == NULL
      || (self->listen = normalise_list (self->config, "listen", TRUE, TL_DAEMON_MAX_LISTEN, error)) == NULL
      || (self->advertise = normalise_list (self->config, "advertise", FALSE, TL_PAIRING_LINK_ADDRESSES_MAX, error))
             == NULL)
    return NULL;
  if (self->listen[0] == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "no address to listen on");
      prefix_where (error, self->config, "listen");
      return NULL;
    }
  self->server_names = g_strdupv ((char **)tl_config_get_strings (self->config, "gateway", "server-names"));
  self->admin_group = admin_group (self->config, user);
  self->device_lifetime_ms = tl_config_get_integer (self->config, "gateway", "device-certificate-lifetime");
  self->renewal_grace_ms = tl_config_get_integer (self->config, "gateway", "renewal-grace");
  self->journal_retention_ms = tl_config_get_integer (self->config, "gateway", "journal-retention");
  self->journal_rows = (guint64)tl_config_get_integer (self->config, "gateway", "journal-rows");
  tl_log_level_parse (tl_config_get_string (self->config, "gateway", "log-level"), &self->log_level);
  load_limits (self->config, &self->limits);
  if (!load_quic (self->config, self, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
tl_daemon_config_free (TlDaemonConfig *self)
{
  if (self == NULL)
    return;
  tl_config_free (self->config);
  g_free (self->name);
  g_strfreev (self->listen);
  g_strfreev (self->listen_quic);
  g_strfreev (self->advertise);
  g_strfreev (self->server_names);
  g_free (self->admin_group);
  g_free (self->quic.qlog_directory);
  g_free (self);
}

/* Interfaces that lead to containers or virtual machines of this host: their addresses mean nothing to a laptop. */
static gboolean
is_internal_interface (const char *name)
{
  static const char *const prefixes[] = { "docker", "br-", "virbr", "veth", "lxc", "lxd", "cni", "podman", "vnet" };

  for (guint i = 0; i < G_N_ELEMENTS (prefixes); i++)
    if (g_str_has_prefix (name, prefixes[i]))
      return TRUE;
  return FALSE;
}

static char *
format_global (const struct sockaddr *address, guint16 port)
{
  char text[INET6_ADDRSTRLEN];

  if (address->sa_family == AF_INET)
    {
      const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
      guint32 host = ntohl (in->sin_addr.s_addr);
      if ((host >> 24) == 127 || (host >> 16) == 0xa9fe)
        return NULL;
      inet_ntop (AF_INET, &in->sin_addr, text, sizeof text);
      return g_strdup_printf ("%s:%u", text, port);
    }
  if (address->sa_family == AF_INET6)
    {
      const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
      if (IN6_IS_ADDR_LOOPBACK (&in6->sin6_addr) || IN6_IS_ADDR_LINKLOCAL (&in6->sin6_addr))
        return NULL;
      inet_ntop (AF_INET6, &in6->sin6_addr, text, sizeof text);
      return g_strdup_printf ("[%s]:%u", text, port);
    }
  return NULL;
}

char **
tl_daemon_config_guess_addresses (guint16 port, guint max)
{
  g_autoptr (GPtrArray) out = g_ptr_array_new_with_free_func (g_free);
  struct ifaddrs *list = NULL;

  if (getifaddrs (&list) == 0)
    {
      for (struct ifaddrs *item = list; item != NULL && out->len < max; item = item->ifa_next)
        {
          char *text;
          if (item->ifa_addr == NULL || !(item->ifa_flags & IFF_UP) || (item->ifa_flags & IFF_LOOPBACK)
              || is_internal_interface (item->ifa_name))
            continue;
          text = format_global (item->ifa_addr, port);
          if (text != NULL)
            g_ptr_array_add (out, text);
        }
      freeifaddrs (list);
    }
  g_ptr_array_add (out, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&out), FALSE);
}
