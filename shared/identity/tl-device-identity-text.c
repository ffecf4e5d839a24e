/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "identity/tl-device-identity-private.h"

/*
 * {"version":1,"device_id":"...","identity":{"alg":"ed25519","key":"..."},"tls":{"alg":"ecdsa-p256","key":"..."},
 *  "certificate":"..." or null,"bundle":["...",...]}
 *
 * Without blanks, members in this order, binary as base64url. Written and read by hand: only this file ever writes it,
 * and a JSON library would leave copies of the keys in memory that nobody can wipe (its token buffer, its strings).
 * Keys are read from one locked buffer into another. A renewal that is not finished is an identity of its own, without
 * certificate until its leaf is there: the stored pair stays the one that works.
 */
#define TEXT_VERSION     1
#define KEY_DER_MAX      512 /* PKCS#8 of a P-256 key has 138 bytes */
#define BASE64_LENGTH(n) (((n)*4 + 2) / 3)

#define OPEN_VERSION     "{\"version\":"
#define OPEN_DEVICE_ID   ",\"device_id\":\""
#define OPEN_IDENTITY    "\",\"identity\":{\"alg\":\"ed25519\",\"key\":\""
#define OPEN_TLS         "\"},\"tls\":{\"alg\":\"ecdsa-p256\",\"key\":\""
#define OPEN_CERTIFICATE "\"},\"certificate\":"
#define OPEN_BUNDLE      ",\"bundle\":["
#define CLOSE            "]}"

/* Writing */

static void
add_text (GPtrArray *parts, const char *text)
{
  g_ptr_array_add (parts, g_strdup (text));
}

static void
add_bytes (GPtrArray *parts, const void *data, gsize length)
{
  g_ptr_array_add (parts, tl_base64url_encode (data, length));
}

static void
add_certificate (GPtrArray *parts, X509 *certificate)
{
  g_autoptr (GBytes) der = tl_certificate_to_der (certificate);

  add_text (parts, "\"");
  add_bytes (parts, g_bytes_get_data (der, NULL), g_bytes_get_size (der));
  add_text (parts, "\"");
}

static TlSecret *
join (GPtrArray *parts)
{
  gsize length = 0;

  for (guint i = 0; i < parts->len; i++)
    length += strlen (parts->pdata[i]);
  TlSecret *text = tl_secret_new (length);
  guint8 *at = tl_secret_data_mut (text);
  for (guint i = 0; i < parts->len; i++)
    {
      gsize n = strlen (parts->pdata[i]);
      memcpy (at, parts->pdata[i], n);
      at += n;
    }
  return text;
}

TlSecret *
tl_device_identity_serialise (TlDeviceIdentity *identity, GError **error)
{
  g_autoptr (TlSecret) tls_key = tl_p256_to_der (identity->tls_key, error);
  if (tls_key == NULL)
    return NULL;

  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_wipe_string);
  add_text (parts, OPEN_VERSION G_STRINGIFY (TEXT_VERSION) OPEN_DEVICE_ID);
  add_text (parts, identity->device_id);
  add_text (parts, OPEN_IDENTITY);
  add_bytes (parts, tl_secret_data (identity->seed), tl_secret_length (identity->seed));
  add_text (parts, OPEN_TLS);
  add_bytes (parts, tl_secret_data (tls_key), tl_secret_length (tls_key));
  add_text (parts, OPEN_CERTIFICATE);
  if (identity->certificate != NULL)
    add_certificate (parts, identity->certificate);
  else
    add_text (parts, "null");
  add_text (parts, OPEN_BUNDLE);
  for (guint i = 0; identity->bundle != NULL && i < tl_trust_bundle_size (identity->bundle); i++)
    {
      if (i > 0)
        add_text (parts, ",");
      add_certificate (parts, tl_trust_bundle_get (identity->bundle, i));
    }
  add_text (parts, CLOSE);
  return join (parts);
}

/* Reading */

typedef struct
{
  const TlSecret *text;
  gsize at;
} Reader;

static gboolean
corrupt (GError **error, const char *part)
{
  g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "stored device identity: %s: restore it from a backup or pair again",
               part);
  return FALSE;
}

/* Corrupt with a cause; the cause is freed. */
static gboolean
corrupt_because (GError **error, const char *part, GError *cause)
{
  g_autofree char *text = g_strdup_printf ("%s: %s", part, cause->message);

  g_error_free (cause);
  return corrupt (error, text);
}

static gboolean
skip (Reader *reader, const char *literal)
{
  gsize length = strlen (literal);

  if (tl_secret_length (reader->text) - reader->at < length
      || memcmp (tl_secret_data (reader->text) + reader->at, literal, length) != 0)
    return FALSE;
  reader->at += length;
  return TRUE;
}

/* Up to the next quotation mark, which is left; NULL when it is farther than max. */
static TlSecret *
read_token (Reader *reader, gsize max)
{
  const guint8 *from = tl_secret_data (reader->text) + reader->at;
  gsize left = MIN (tl_secret_length (reader->text) - reader->at, max + 1);
  const guint8 *quote = memchr (from, '"', left);

  if (quote == NULL)
    return NULL;
  gsize length = (gsize)(quote - from);
  TlSecret *token = tl_secret_slice (reader->text, reader->at, length);
  reader->at += length;
  return token;
}

/* A base64url token of at most max bytes. */
static TlSecret *
read_bytes (Reader *reader, gsize max)
{
  g_autoptr (TlSecret) token = read_token (reader, BASE64_LENGTH (max));

  if (token == NULL || tl_secret_length (token) == 0)
    return NULL;
  g_autoptr (TlSecret) bytes = tl_secret_new (tl_secret_length (token) * 3 / 4);
  if (!tl_base64url_decode ((const char *)tl_secret_data (token), tl_secret_data_mut (bytes), tl_secret_length (bytes)))
    return NULL;
  return g_steal_pointer (&bytes);
}

static gboolean
read_version (Reader *reader, GError **error)
{
  guint64 version = 0;

  if (!skip (reader, OPEN_VERSION))
    return corrupt (error, "it does not start with a version");
  const guint8 *data = tl_secret_data (reader->text);
  for (guint digits = 0; digits < 9 && g_ascii_isdigit (data[reader->at]); digits++)
    version = version * 10 + (guint64)(data[reader->at++] - '0');
  if (version > TEXT_VERSION)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NEWER_VERSION,
                   "stored device identity has version %" G_GUINT64_FORMAT ", this program reads %d: update it",
                   version, TEXT_VERSION);
      return FALSE;
    }
  return version == TEXT_VERSION || corrupt (error, "version is not a number from 1");
}

static gboolean
read_keys (Reader *reader, TlDeviceIdentity *identity, GError **error)
{
  GError *cause = NULL;
  g_autoptr (TlSecret) device_id = skip (reader, OPEN_DEVICE_ID) ? read_token (reader, TL_ULID_LENGTH) : NULL;
  if (device_id == NULL || memchr (tl_secret_data (device_id), 0, tl_secret_length (device_id)) != NULL
      || !tl_ulid_is_valid ((const char *)tl_secret_data (device_id)))
    return corrupt (error, "device_id is missing or malformed");
  identity->device_id = g_strdup ((const char *)tl_secret_data (device_id));

  identity->seed = skip (reader, OPEN_IDENTITY) ? read_bytes (reader, 32) : NULL;
  if (identity->seed == NULL || tl_secret_length (identity->seed) != 32)
    return corrupt (error, "identity key is missing or malformed");
  if (!tl_ed25519_public (identity->seed, identity->public_key, &cause))
    return corrupt_because (error, "identity key", cause);

  g_autoptr (TlSecret) tls_key = skip (reader, OPEN_TLS) ? read_bytes (reader, KEY_DER_MAX) : NULL;
  if (tls_key == NULL)
    return corrupt (error, "tls key is missing or malformed");
  identity->tls_key = tl_p256_from_der (tls_key, &cause);
  return identity->tls_key != NULL || corrupt_because (error, "tls key", cause);
}

/* "..." with the quotation marks; NULL when malformed. */
static GBytes *
read_certificate (Reader *reader)
{
  g_autoptr (TlSecret) der = skip (reader, "\"") ? read_bytes (reader, TL_CERTIFICATE_MAX_DER) : NULL;

  if (der == NULL || !skip (reader, "\""))
    return NULL;
  return g_bytes_new (tl_secret_data (der), tl_secret_length (der));
}

static gboolean
read_bundle (Reader *reader, TlDeviceIdentity *identity, GError **error)
{
  g_autoptr (GPtrArray) ders = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  GError *cause = NULL;

  if (!skip (reader, OPEN_BUNDLE))
    return corrupt (error, "bundle is missing");
  while (!skip (reader, CLOSE))
    {
      GBytes *der = NULL;
      if (ders->len < TL_TRUST_BUNDLE_MAX && (ders->len == 0 || skip (reader, ",")))
        der = read_certificate (reader);
      if (der == NULL)
        return corrupt (error, "bundle is malformed");
      g_ptr_array_add (ders, der);
    }
  if (reader->at != tl_secret_length (reader->text))
    return corrupt (error, "it is followed by other bytes");
  if (ders->len == 0)
    return TRUE;
  identity->bundle = tl_trust_bundle_new ((GBytes *const *)ders->pdata, ders->len, &cause);
  return identity->bundle != NULL || corrupt_because (error, "bundle", cause);
}

static gboolean
read_certificates (Reader *reader, TlDeviceIdentity *identity, GError **error)
{
  GError *cause = NULL;

  if (!skip (reader, OPEN_CERTIFICATE))
    return corrupt (error, "certificate is missing");
  if (!skip (reader, "null"))
    {
      g_autoptr (GBytes) der = read_certificate (reader);
      if (der == NULL)
        return corrupt (error, "certificate is malformed");
      identity->certificate = tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), &cause);
      if (identity->certificate == NULL)
        return corrupt_because (error, "certificate", cause);
    }
  if (!read_bundle (reader, identity, error))
    return FALSE;
  if ((identity->certificate != NULL) != (identity->bundle != NULL))
    return corrupt (error, "certificate and bundle do not come together");
  if (identity->certificate == NULL)
    return TRUE;
  /* An expired leaf is no damage (RenewWithIdentity needs the rest), so it is checked for its own last second, within
   * which its CA was valid too. */
  gint64 last_ms = tl_certificate_not_after_ms (identity->certificate) - 1000;
  if (!tl_device_identity_check_leaf (identity->device_id, identity->tls_key, identity->certificate, identity->bundle,
                                      last_ms, &cause))
    return corrupt_because (error, "certificate", cause);
  return TRUE;
}

TlDeviceIdentity *
tl_device_identity_parse (const TlSecret *value, GError **error)
{
  Reader reader = { value, 0 };
  g_autoptr (TlDeviceIdentity) identity = g_new0 (TlDeviceIdentity, 1);

  if (!read_version (&reader, error) || !read_keys (&reader, identity, error)
      || !read_certificates (&reader, identity, error))
    return NULL;
  return g_steal_pointer (&identity);
}
