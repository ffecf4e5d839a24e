/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <string.h>

#include "base/tl-error.h"
#include "identity/tl-certificate-private.h"

#define DNS_NAME_MAX  253 /* RFC 1035 section 2.3.4, as text without the final dot */
#define DNS_LABEL_MAX 63

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GENERAL_NAME, GENERAL_NAME_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ASN1_STRING, ASN1_STRING_free)

static gboolean
add_name (GENERAL_NAMES *names, int type, int string_type, const void *data, gsize length, GError **error)
{
  g_autoptr (ASN1_STRING) string = ASN1_STRING_type_new (string_type);
  g_autoptr (GENERAL_NAME) name = GENERAL_NAME_new ();

  if (string == NULL || name == NULL || ASN1_STRING_set (string, data, (int)length) != 1)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot build a certificate's name");
      return FALSE;
    }
  GENERAL_NAME_set0_value (name, type, g_steal_pointer (&string));
  for (int i = 0; i < sk_GENERAL_NAME_num (names); i++)
    if (GENERAL_NAME_cmp (sk_GENERAL_NAME_value (names, i), name) == 0)
      return TRUE;
  if (sk_GENERAL_NAME_push (names, name) <= 0)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot build a certificate's name");
      return FALSE;
    }
  g_steal_pointer (&name);
  return TRUE;
}

gboolean
tl_general_names_add_text (GENERAL_NAMES *names, int type, const char *text, GError **error)
{
  return add_name (names, type, V_ASN1_IA5STRING, text, strlen (text), error);
}

static gboolean
is_label (const char *label)
{
  gsize length = strlen (label);

  if (length == 0 || length > DNS_LABEL_MAX || label[0] == '-' || label[length - 1] == '-')
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum (label[i]) && label[i] != '-')
      return FALSE;
  return TRUE;
}

/* Letters, digits and hyphens (RFC 1123 section 2.1). A last label of digits only would be a mistyped address;
 * wildcards and a final dot are refused like any other character that does not belong. */
static gboolean
is_dns_name (const char *text)
{
  if (strlen (text) > DNS_NAME_MAX)
    return FALSE;
  g_auto (GStrv) labels = g_strsplit (text, ".", -1);
  guint n = g_strv_length (labels);
  for (guint i = 0; i < n; i++)
    if (!is_label (labels[i]))
      return FALSE;
  return n > 0 && strspn (labels[n - 1], "0123456789") != strlen (labels[n - 1]);
}

gboolean
tl_server_names_add (GENERAL_NAMES *names, const char *text, GError **error)
{
  guint8 address[sizeof (struct in6_addr)];

  if (inet_pton (AF_INET, text, address) == 1)
    return add_name (names, GEN_IPADD, V_ASN1_OCTET_STRING, address, sizeof (struct in_addr), error);
  if (inet_pton (AF_INET6, text, address) == 1)
    return add_name (names, GEN_IPADD, V_ASN1_OCTET_STRING, address, sizeof (struct in6_addr), error);

  /* The text comes from a configuration file and goes back into a message for people. */
  g_autofree char *shown = g_strescape (text, NULL);
  if (!is_dns_name (text))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "server name \"%s\" is no DNS name, IPv4 or IPv6 address: correct it in the configuration", shown);
      return FALSE;
    }
  g_autofree char *lower = g_ascii_strdown (text, -1);
  /* Only the CA decides which gateway a leaf speaks for. */
  if (g_str_has_suffix (lower, TL_GATEWAY_NAME_SUFFIX))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "server name \"%s\" ends with %s, which is reserved: remove it from the configuration", shown,
                   TL_GATEWAY_NAME_SUFFIX);
      return FALSE;
    }
  return tl_general_names_add_text (names, GEN_DNS, lower, error);
}
