/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <string.h>

#include "base/tl-error.h"
#include "pairing/tl-pairing-link.h"

#define HOST_MAX         253 /* RFC 1035, 2.3.4, without the root's dot */
#define LABEL_MAX        63
#define ADDRESS_TEXT_MAX (HOST_MAX + 1 + 1 + 5)
#define PORT_DIGITS_MAX  5

static gboolean
port_parse (const char *text, guint16 *port)
{
  gsize length = strlen (text);
  guint number = 0;

  if (length == 0 || length > PORT_DIGITS_MAX)
    return FALSE;
  for (gsize i = 0; i < length; i++)
    {
      if (!g_ascii_isdigit (text[i]))
        return FALSE;
      number = number * 10 + (guint)(text[i] - '0');
    }
  if (number == 0 || number > G_MAXUINT16)
    return FALSE;
  *port = (guint16)number;
  return TRUE;
}

/* Underscores are no part of host names (RFC 1123) and are used in local networks all the same; resolvers take them. */
static gboolean
label_is_valid (const char *label)
{
  gsize length = strlen (label);

  if (length == 0 || length > LABEL_MAX || label[0] == '-' || label[length - 1] == '-')
    return FALSE;
  for (gsize i = 0; i < length; i++)
    {
      if (!g_ascii_isalnum (label[i]) && label[i] != '-' && label[i] != '_')
        return FALSE;
    }
  return TRUE;
}

/* A last label of digits (or 0x..) is a number to the C library's resolver ("1.2.3", "0x7f.1"): only the plain dotted
 * form of IPv4 may look like that, so that what is shown is what is connected to. */
static gboolean
looks_like_number (const char *label)
{
  gboolean hexadecimal = g_ascii_strncasecmp (label, "0x", 2) == 0;

  for (const char *p = hexadecimal ? label + 2 : label; *p != '\0'; p++)
    {
      if (hexadecimal ? !g_ascii_isxdigit (*p) : !g_ascii_isdigit (*p))
        return FALSE;
    }
  return TRUE;
}

/* Canonical host: IPv4, or a name in lower case without the root's dot; NULL when it is neither. */
static char *
name_or_ipv4_canonical (const char *host)
{
  g_autofree char *lower = g_ascii_strdown (host, -1);
  g_auto (GStrv) labels = NULL;
  gsize length = strlen (lower);
  struct in_addr ipv4;
  guint n_labels;

  if (inet_pton (AF_INET, lower, &ipv4) == 1)
    return g_steal_pointer (&lower);
  if (length > 1 && lower[length - 1] == '.')
    lower[--length] = '\0';
  if (length == 0 || length > HOST_MAX)
    return NULL;
  labels = g_strsplit (lower, ".", -1);
  n_labels = g_strv_length (labels);
  for (guint i = 0; i < n_labels; i++)
    {
      if (!label_is_valid (labels[i]))
        return NULL;
    }
  return looks_like_number (labels[n_labels - 1]) ? NULL : g_steal_pointer (&lower);
}

/* "[...]" around the canonical text (RFC 5952 as inet_ntop writes it); NULL when it is not IPv6. Zone ids mean
 * something on one machine only and are refused. */
static char *
ipv6_canonical (const char *host)
{
  char text[INET6_ADDRSTRLEN];
  struct in6_addr ipv6;

  if (inet_pton (AF_INET6, host, &ipv6) != 1 || inet_ntop (AF_INET6, &ipv6, text, sizeof text) == NULL)
    return NULL;
  return g_strdup_printf ("[%s]", text);
}

/* Splits into host and port text (NULL when there is none). Two or more colons without brackets are a bare IPv6
 * address. */
static char *
split_host (const char *text, const char **port_text)
{
  const char *colon = strrchr (text, ':');
  g_autofree char *host = NULL;

  *port_text = NULL;
  if (text[0] == '[')
    {
      const char *bracket = strchr (text, ']');

      if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
        return NULL;
      if (bracket[1] == ':')
        *port_text = bracket + 2;
      host = g_strndup (text + 1, (gsize)(bracket - text - 1));
      return ipv6_canonical (host);
    }
  if (colon != NULL && strchr (text, ':') != colon)
    return ipv6_canonical (text);
  if (colon == NULL)
    return name_or_ipv4_canonical (text);
  *port_text = colon + 1;
  host = g_strndup (text, (gsize)(colon - text));
  return name_or_ipv4_canonical (host);
}

char *
tl_address_normalise (const char *text, guint16 default_port, GError **error)
{
  g_autofree char *host = NULL;
  const char *port_text = NULL;
  guint16 port = default_port;

  if (strnlen (text, ADDRESS_TEXT_MAX + 1) <= ADDRESS_TEXT_MAX)
    host = split_host (text, &port_text);
  if (host == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "address: the host is neither a name, an IPv4 nor an IPv6 address");
      return NULL;
    }
  if (port_text != NULL ? !port_parse (port_text, &port) : port == 0)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "address: the port is not a number in 1..65535");
      return NULL;
    }
  return g_strdup_printf ("%s:%u", host, port);
}
