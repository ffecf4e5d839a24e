/* SPDX-License-Identifier: Apache-2.0 */
#include "pairing/tl-pairing-link.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "pairing/tl-pairing-code.h"
#include "tl-config-build.h"

#define LINK_SCHEME TL_NAME_URI_SCHEME ":"
#define LINK_PREFIX LINK_SCHEME "pair?"
#define LINK_BLANKS " \t\r\n"
/* Blanks around a link may come on top of TL_PAIRING_LINK_MAX; more than that is not looked at. */
#define LINK_TEXT_MAX (2 * TL_PAIRING_LINK_MAX)
#define PART_VERSION  "1"

G_STATIC_ASSERT (TL_PAIRING_LINK_MAX == 1024 && TL_PAIRING_LINK_ADDRESSES_MAX == 4); /* messages below */

struct _TlPairingLink
{
  char *gateway_id;
  char *code_id;
  TlSecret *token;
  guint8 ca_sha256[TL_SHA256_LENGTH];
  char **addresses;
  char *name;
};

/* Values as found in the text, not looked at yet: the version decides first what the others mean. */
typedef struct
{
  char *version, *gateway_id, *code_id, *token, *ca, *name;
  char *addresses[TL_PAIRING_LINK_ADDRESSES_MAX];
  guint n_addresses;
} LinkParts;

/* Both return FALSE, for `return part_error (...)`. */
static gboolean
part_error (GError **error, const char *part, const char *fault)
{
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "pairing link: part \"%s\" %s", part, fault);
  return FALSE;
}

static gboolean
link_error (GError **error, const char *fault)
{
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "pairing link: %s", fault);
  return FALSE;
}

gboolean
tl_pairing_link_is_link (const char *text)
{
  text += strspn (text, LINK_BLANKS);
  return g_ascii_strncasecmp (text, LINK_SCHEME, strlen (LINK_SCHEME)) == 0;
}

/* Adds the canonical address unless it is there already. */
static gboolean
add_address (TlPairingLink *link, const char *text, guint16 default_port, GError **error)
{
  g_autoptr (GError) fault = NULL;
  g_autofree char *address = tl_address_normalise (text, default_port, &fault);
  guint n = g_strv_length (link->addresses);

  if (address == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "pairing link: part \"a\": %s", fault->message);
      return FALSE;
    }
  if (!g_strv_contains ((const char *const *)link->addresses, address))
    link->addresses[n] = g_steal_pointer (&address);
  return TRUE;
}

static TlPairingLink *
link_allocate (void)
{
  TlPairingLink *link = g_new0 (TlPairingLink, 1);

  link->addresses = g_new0 (char *, TL_PAIRING_LINK_ADDRESSES_MAX + 1);
  return link;
}

static gboolean
link_set (TlPairingLink *link, const char *gateway_id, const char *code_id, const TlSecret *token,
          const char *const *addresses, const char *name, GError **error)
{
  guint n_addresses = g_strv_length ((GStrv)addresses);

  if (!tl_ulid_is_valid (gateway_id))
    return part_error (error, "g", "is not a gateway id");
  if (!tl_ulid_is_valid (code_id))
    return part_error (error, "c", "is not a code id");
  if (n_addresses < 1 || n_addresses > TL_PAIRING_LINK_ADDRESSES_MAX)
    return part_error (error, "a", "must be there one to four times");
  for (guint i = 0; i < n_addresses; i++)
    {
      if (!add_address (link, addresses[i], TL_DEFAULT_PORT, error))
        return FALSE;
    }
  if (name != NULL && !tl_pairing_name_check ("pairing link: part \"n\"", name, error))
    return FALSE;
  link->token = tl_pairing_token_parse ((const char *)tl_secret_data (token), error);
  link->gateway_id = g_strdup (gateway_id);
  link->code_id = g_strdup (code_id);
  link->name = g_strdup (name);
  return link->token != NULL;
}

TlPairingLink *
tl_pairing_link_new (const char *gateway_id, const char *code_id, const TlSecret *token, const guint8 ca_sha256[32],
                     const char *const *addresses, const char *name, GError **error)
{
  g_autoptr (TlPairingLink) link = link_allocate ();
  g_autoptr (TlSecret) text = NULL;

  if (!link_set (link, gateway_id, code_id, token, addresses, name, error))
    return NULL;
  memcpy (link->ca_sha256, ca_sha256, sizeof link->ca_sha256);
  text = tl_pairing_link_format (link);
  if (tl_secret_length (text) > TL_PAIRING_LINK_MAX)
    {
      link_error (error, "longer than 1024 bytes; advertise fewer or shorter addresses");
      return NULL;
    }
  return g_steal_pointer (&link);
}

/* Percent-decodes in place (RFC 3986, 2.1). FALSE for a broken escape and for %00. */
static gboolean
percent_decode (char *text)
{
  char *out = text;

  for (const char *p = text; *p != '\0'; p++)
    {
      if (*p != '%')
        {
          *out++ = *p;
          continue;
        }
      if (!g_ascii_isxdigit (p[1]) || !g_ascii_isxdigit (p[2]) || (p[1] == '0' && p[2] == '0'))
        return FALSE;
      *out++ = (char)(g_ascii_xdigit_value (p[1]) << 4 | g_ascii_xdigit_value (p[2]));
      p += 2;
    }
  *out = '\0';
  return TRUE;
}

static gboolean
take_part (LinkParts *parts, const char *key, char *value, GError **error)
{
  const struct
  {
    const char *key;
    char **slot;
  } single[] = {
    { "v", &parts->version }, { "g", &parts->gateway_id }, { "c", &parts->code_id },
    { "t", &parts->token },   { "f", &parts->ca },         { "n", &parts->name },
  };

  if (g_str_equal (key, "a"))
    {
      if (parts->n_addresses == TL_PAIRING_LINK_ADDRESSES_MAX)
        return part_error (error, "a", "is there more than four times");
      parts->addresses[parts->n_addresses++] = value;
      return TRUE;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (single); i++)
    {
      if (!g_str_equal (key, single[i].key))
        continue;
      if (*single[i].slot != NULL)
        return part_error (error, key, "is there twice");
      *single[i].slot = value;
      return TRUE;
    }
  return TRUE; /* PROTOCOL 3.1: unknown parameters are ignored */
}

/* Cuts the text behind the prefix at '&' and '='; the parts point into it. */
static gboolean
split_parts (char *text, LinkParts *parts, GError **error)
{
  for (char *next = text; next != NULL;)
    {
      char *key = next;
      char *value;

      next = strchr (key, '&');
      if (next != NULL)
        *next++ = '\0';
      value = strchr (key, '=');
      if (value != NULL)
        *value++ = '\0';
      else
        value = key + strlen (key);
      if (!take_part (parts, key, value, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
check_version (const char *version, GError **error)
{
  if (version == NULL)
    return part_error (error, "v", "(the version) is missing");
  if (g_str_equal (version, PART_VERSION))
    return TRUE;
  if (*version == '\0' || *version == '0' || strspn (version, "0123456789") != strlen (version))
    return part_error (error, "v", "is not a version number");
  g_set_error_literal (error, TL_ERROR, TL_ERROR_UNSUPPORTED,
                       "pairing link: part \"v\" is a version that this Twinlatch does not know; update it");
  return FALSE;
}

static gboolean
link_fill (TlPairingLink *link, LinkParts *parts, GError **error)
{
  if (!check_version (parts->version, error))
    return FALSE;
  if (!tl_ulid_is_valid (parts->gateway_id))
    return part_error (error, "g", "is not a gateway id");
  if (!tl_ulid_is_valid (parts->code_id))
    return part_error (error, "c", "is not a code id");
  if (parts->token == NULL || (link->token = tl_pairing_token_parse (parts->token, NULL)) == NULL)
    return part_error (error, "t", "is not a pairing token");
  if (parts->ca == NULL || !tl_base64url_decode (parts->ca, link->ca_sha256, sizeof link->ca_sha256))
    return part_error (error, "f", "is not a CA fingerprint");
  if (parts->n_addresses == 0)
    return part_error (error, "a", "is missing");
  for (guint i = 0; i < parts->n_addresses; i++)
    {
      if (!percent_decode (parts->addresses[i]))
        return part_error (error, "a", "has a broken percent escape");
      if (!add_address (link, parts->addresses[i], 0, error))
        return FALSE;
    }
  if (parts->name != NULL && !percent_decode (parts->name))
    return part_error (error, "n", "has a broken percent escape");
  if (parts->name != NULL && !tl_pairing_name_check ("pairing link: part \"n\"", parts->name, error))
    return FALSE;

  link->gateway_id = g_strdup (parts->gateway_id);
  link->code_id = g_strdup (parts->code_id);
  link->name = g_strdup (parts->name);
  return TRUE;
}

/* Finds the link in the text: trimmed, not too long, right prefix, plain printable ASCII. */
static gboolean
trim_link (const char *text, const char **start, gsize *length, GError **error)
{
  gsize n = strnlen (text, LINK_TEXT_MAX + 1);
  gsize leading = n > LINK_TEXT_MAX ? 0 : strspn (text, LINK_BLANKS);

  if (n > LINK_TEXT_MAX)
    return link_error (error, "longer than 1024 bytes");
  text += leading;
  n -= leading;
  while (n > 0 && strchr (LINK_BLANKS, text[n - 1]) != NULL)
    n--;
  if (n > TL_PAIRING_LINK_MAX)
    return link_error (error, "longer than 1024 bytes");
  if (n < strlen (LINK_PREFIX) || g_ascii_strncasecmp (text, LINK_PREFIX, strlen (LINK_PREFIX)) != 0)
    return link_error (error, "does not begin with " LINK_PREFIX);
  for (gsize i = 0; i < n; i++)
    {
      if (!g_ascii_isgraph (text[i]))
        return link_error (error, "has a blank or a character that must be percent-encoded");
    }
  *start = text;
  *length = n;
  return TRUE;
}

TlPairingLink *
tl_pairing_link_parse (const char *text, GError **error)
{
  g_autoptr (TlPairingLink) link = link_allocate ();
  g_autoptr (TlSecret) copy = NULL;
  LinkParts parts = { 0 };
  gsize length;

  if (!trim_link (text, &text, &length, error))
    return NULL;
  /* The token is in it: the copy that is cut up is a secret too. */
  copy = tl_secret_new_copy (text, length);
  if (!split_parts ((char *)tl_secret_data_mut (copy) + strlen (LINK_PREFIX), &parts, error)
      || !link_fill (link, &parts, error))
    return NULL;
  return g_steal_pointer (&link);
}

TlSecret *
tl_pairing_link_format (const TlPairingLink *link)
{
  g_autofree char *ca = tl_base64url_encode (link->ca_sha256, sizeof link->ca_sha256);
  g_autoptr (GString) tail = g_string_new (NULL);
  char *head;
  TlSecret *text;
  gsize head_length;

  for (guint i = 0; link->addresses[i] != NULL; i++)
    g_string_append_printf (tail, "&a=%s", link->addresses[i]);
  if (link->name != NULL)
    {
      g_autofree char *escaped = g_uri_escape_string (link->name, NULL, FALSE);

      g_string_append_printf (tail, "&n=%s", escaped);
    }
  head = g_strdup_printf (LINK_PREFIX "v=" PART_VERSION "&g=%s&c=%s&t=%s&f=%s", link->gateway_id, link->code_id,
                          (const char *)tl_secret_data (link->token), ca);
  head_length = strlen (head);
  text = tl_secret_new (head_length + tail->len);
  memcpy (tl_secret_data_mut (text), head, head_length);
  memcpy (tl_secret_data_mut (text) + head_length, tail->str, tail->len);
  tl_wipe_string (head);
  return text;
}

void
tl_pairing_link_free (TlPairingLink *link)
{
  if (link == NULL)
    return;
  g_free (link->gateway_id);
  g_free (link->code_id);
  tl_secret_unref (link->token);
  g_strfreev (link->addresses);
  g_free (link->name);
  g_free (link);
}

const char *
tl_pairing_link_gateway_id (const TlPairingLink *link)
{
  return link->gateway_id;
}

const char *
tl_pairing_link_code_id (const TlPairingLink *link)
{
  return link->code_id;
}

const TlSecret *
tl_pairing_link_token (const TlPairingLink *link)
{
  return link->token;
}

const guint8 *
tl_pairing_link_ca_sha256 (const TlPairingLink *link)
{
  return link->ca_sha256;
}

const char *const *
tl_pairing_link_addresses (const TlPairingLink *link)
{
  return (const char *const *)link->addresses;
}

const char *
tl_pairing_link_name (const TlPairingLink *link)
{
  return link->name;
}
