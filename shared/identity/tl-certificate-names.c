/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "identity/tl-certificate-private.h"

#define CA_NAME_PREFIX "Twinlatch CA "

/* NULL unless the bytes are printable ASCII: an embedded NUL would make a name mean two things. */
static char *
asn1_string_to_ascii (const ASN1_STRING *string)
{
  const guint8 *data = ASN1_STRING_get0_data (string);
  int length = ASN1_STRING_length (string);

  for (int i = 0; i < length; i++)
    if (data[i] < 0x20 || data[i] > 0x7e)
      return NULL;
  return g_strndup ((const char *)data, (gsize)length);
}

char *
tl_certificate_common_name (X509 *certificate)
{
  const X509_NAME *subject = X509_get_subject_name (certificate);
  if (X509_NAME_entry_count (subject) != 1)
    return NULL;
  const X509_NAME_ENTRY *entry = X509_NAME_get_entry (subject, 0);
  if (OBJ_obj2nid (X509_NAME_ENTRY_get_object (entry)) != NID_commonName)
    return NULL;
  const ASN1_STRING *value = X509_NAME_ENTRY_get_data (entry);
  int type = ASN1_STRING_type (value);
  /* Other string types hold wider characters, whose bytes are not the text. */
  if (type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING)
    return NULL;
  return asn1_string_to_ascii (value);
}

static GENERAL_NAMES *
get_subject_alternative_names (X509 *certificate)
{
  GENERAL_NAMES *names = X509_get_ext_d2i (certificate, NID_subject_alt_name, NULL, NULL);

  ERR_clear_error ();
  return names;
}

/* "twinlatch:device:<gateway>:<device>" */
static gboolean
parse_device_uri (const char *uri, char **gateway_id, char **device_id)
{
  if (!g_str_has_prefix (uri, TL_DEVICE_URI_PREFIX))
    return FALSE;
  const char *ids = uri + strlen (TL_DEVICE_URI_PREFIX);
  if (strlen (ids) != 2 * TL_ULID_LENGTH + 1 || ids[TL_ULID_LENGTH] != ':')
    return FALSE;
  g_autofree char *gateway = g_strndup (ids, TL_ULID_LENGTH);
  if (!tl_ulid_is_valid (gateway) || !tl_ulid_is_valid (ids + TL_ULID_LENGTH + 1))
    return FALSE;
  *gateway_id = g_steal_pointer (&gateway);
  *device_id = g_strdup (ids + TL_ULID_LENGTH + 1);
  return TRUE;
}

gboolean
tl_certificate_get_device (X509 *certificate, char **gateway_id, char **device_id, GError **error)
{
  g_autoptr (GENERAL_NAMES) names = get_subject_alternative_names (certificate);
  g_autofree char *uri = NULL, *gateway = NULL, *device = NULL;

  /* The gateway issues exactly one name, so anything more is not its leaf. */
  if (names != NULL && sk_GENERAL_NAME_num (names) == 1)
    {
      const GENERAL_NAME *name = sk_GENERAL_NAME_value (names, 0);
      if (name->type == GEN_URI)
        uri = asn1_string_to_ascii (name->d.uniformResourceIdentifier);
    }
  if (uri == NULL || !parse_device_uri (uri, &gateway, &device))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "certificate does not carry exactly one " TL_DEVICE_URI_PREFIX " name");
      return FALSE;
    }
  g_autofree char *common_name = tl_certificate_common_name (certificate);
  if (g_strcmp0 (common_name, device) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "certificate's common name is not the device id %s it names", device);
      return FALSE;
    }
  if (gateway_id != NULL)
    *gateway_id = g_steal_pointer (&gateway);
  if (device_id != NULL)
    *device_id = g_steal_pointer (&device);
  return TRUE;
}

char *
tl_gateway_name (const char *gateway_id)
{
  g_autofree char *lower = g_ascii_strdown (gateway_id, -1);

  return g_strconcat (lower, TL_GATEWAY_NAME_SUFFIX, NULL);
}

gboolean
tl_certificate_has_gateway_name (X509 *certificate, const char *gateway_id)
{
  g_autoptr (GENERAL_NAMES) names = get_subject_alternative_names (certificate);
  g_autofree char *wanted = tl_gateway_name (gateway_id);

  if (!tl_ulid_is_valid (gateway_id))
    return FALSE;
  for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num (names); i++)
    {
      const GENERAL_NAME *name = sk_GENERAL_NAME_value (names, i);
      if (name->type != GEN_DNS)
        continue;
      g_autofree char *text = asn1_string_to_ascii (name->d.dNSName);
      if (g_strcmp0 (text, wanted) == 0)
        return TRUE;
    }
  return FALSE;
}

char *
tl_certificate_get_gateway_id (X509 *certificate)
{
  g_autoptr (GENERAL_NAMES) names = get_subject_alternative_names (certificate);
  g_autofree char *found = NULL;

  for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num (names); i++)
    {
      const GENERAL_NAME *name = sk_GENERAL_NAME_value (names, i);
      if (name->type != GEN_DNS)
        continue;
      g_autofree char *text = asn1_string_to_ascii (name->d.dNSName);
      if (text == NULL || !g_str_has_suffix (text, TL_GATEWAY_NAME_SUFFIX))
        continue;
      g_autofree char *lower = g_strndup (text, strlen (text) - strlen (TL_GATEWAY_NAME_SUFFIX));
      g_autofree char *id = g_ascii_strup (lower, -1);
      g_autofree char *canonical = tl_gateway_name (id);
      /* Two gateways in one leaf would let the reader choose: none. */
      if (!tl_ulid_is_valid (id) || strcmp (canonical, text) != 0 || found != NULL)
        return NULL;
      found = g_steal_pointer (&id);
    }
  return g_steal_pointer (&found);
}

char *
tl_ca_common_name (const char *gateway_id, guint generation)
{
  return g_strdup_printf (CA_NAME_PREFIX "%s G%u", gateway_id, generation);
}

gboolean
tl_certificate_get_ca (X509 *certificate, char **gateway_id, guint *generation)
{
  g_autofree char *name = tl_certificate_common_name (certificate);
  const gsize id_at = strlen (CA_NAME_PREFIX), number_at = id_at + TL_ULID_LENGTH + strlen (" G");

  if (name == NULL || !g_str_has_prefix (name, CA_NAME_PREFIX) || strlen (name) <= number_at)
    return FALSE;
  g_autofree char *id = g_strndup (name + id_at, TL_ULID_LENGTH);
  guint64 number = 0;
  if (!tl_ulid_is_valid (id) || !g_ascii_string_to_unsigned (name + number_at, 10, 1, G_MAXUINT, &number, NULL))
    return FALSE;
  /* Printing it again refuses leading zeros and whatever else reads as the same number. */
  g_autofree char *canonical = tl_ca_common_name (id, (guint)number);
  if (strcmp (canonical, name) != 0 || X509_check_ca (certificate) != 1)
    return FALSE;
  if (gateway_id != NULL)
    *gateway_id = g_steal_pointer (&id);
  if (generation != NULL)
    *generation = (guint)number;
  return TRUE;
}
