/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tl-rpc-address.h"

#include <arpa/inet.h>
#include <string.h>

#define MAX_ADDRESS_TEXT 128

static void
set_ipv4 (TlRpcAddress *address, const struct in_addr *ip)
{
  memset (&address->ip, 0, sizeof address->ip);
  address->ip.s6_addr[10] = 0xff;
  address->ip.s6_addr[11] = 0xff;
  memcpy (&address->ip.s6_addr[12], ip, 4);
}

gboolean
tl_rpc_address_is_ipv4 (const TlRpcAddress *address)
{
  return IN6_IS_ADDR_V4MAPPED (&address->ip);
}

gboolean
tl_rpc_address_equal (const TlRpcAddress *a, const TlRpcAddress *b)
{
  return a->port == b->port && memcmp (&a->ip, &b->ip, sizeof a->ip) == 0;
}

gboolean
tl_rpc_address_from_sockaddr (const struct sockaddr *name, socklen_t length, TlRpcAddress *address)
{
  if (name->sa_family == AF_INET && length >= sizeof (struct sockaddr_in))
    {
      const struct sockaddr_in *v4 = (const struct sockaddr_in *)(gconstpointer)name;

      set_ipv4 (address, &v4->sin_addr);
      address->port = ntohs (v4->sin_port);
      return TRUE;
    }
  if (name->sa_family == AF_INET6 && length >= sizeof (struct sockaddr_in6))
    {
      const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(gconstpointer)name;

      address->ip = v6->sin6_addr;
      address->port = ntohs (v6->sin6_port);
      return TRUE;
    }
  return FALSE;
}

gboolean
tl_rpc_address_parse (const char *text, TlRpcAddress *address)
{
  const char *colon = strrchr (text, ':');
  g_autofree char *host = NULL;
  char *scope;
  struct in_addr v4;
  struct in6_addr v6;
  guint64 port;

  if (colon == NULL || strlen (text) > MAX_ADDRESS_TEXT
      || !g_ascii_string_to_unsigned (colon + 1, 10, 0, 65535, &port, NULL))
    return FALSE;
  if (text[0] == '[' && colon > text + 1 && colon[-1] == ']')
    {
      host = g_strndup (text + 1, (gsize)(colon - text) - 2);
      scope = strchr (host, '%');
      if (scope != NULL)
        *scope = '\0';
      if (inet_pton (AF_INET6, host, &v6) != 1)
        return FALSE;
      address->ip = v6;
    }
  else
    {
      host = g_strndup (text, (gsize)(colon - text));
      if (inet_pton (AF_INET, host, &v4) != 1)
        return FALSE;
      set_ipv4 (address, &v4);
    }
  address->port = (guint16)port;
  return TRUE;
}

gboolean
tl_rpc_address_from_peer (const char *peer, TlRpcAddress *address)
{
  g_autofree char *text = NULL;

  if (!g_str_has_prefix (peer, "ipv4:") && !g_str_has_prefix (peer, "ipv6:"))
    return FALSE;
  text = g_uri_unescape_string (peer + 5, NULL);
  return text != NULL && tl_rpc_address_parse (text, address);
}

char *
tl_rpc_address_to_string (const TlRpcAddress *address)
{
  char text[INET6_ADDRSTRLEN];

  if (tl_rpc_address_is_ipv4 (address))
    return g_strdup_printf ("%s:%u", inet_ntop (AF_INET, &address->ip.s6_addr[12], text, sizeof text), address->port);
  return g_strdup_printf ("[%s]:%u", inet_ntop (AF_INET6, &address->ip, text, sizeof text), address->port);
}

char *
tl_rpc_address_to_source (const TlRpcAddress *address)
{
  struct in6_addr prefix = address->ip;
  char text[INET6_ADDRSTRLEN];

  if (tl_rpc_address_is_ipv4 (address))
    return g_strdup (inet_ntop (AF_INET, &address->ip.s6_addr[12], text, sizeof text));
  memset (&prefix.s6_addr[8], 0, 8);
  return g_strdup_printf ("%s/64", inet_ntop (AF_INET6, &prefix, text, sizeof text));
}
