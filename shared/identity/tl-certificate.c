/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tl-certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

#include "base/tl-error.h"
#include "crypto/tl-hash.h"
#include "identity/tl-certificate-private.h"

static gboolean
asn1_time_to_ms (const ASN1_TIME *time, gint64 *ms)
{
  struct tm parts;

  if (time == NULL || ASN1_TIME_to_tm (time, &parts) != 1)
    return FALSE;
  *ms = (gint64)timegm (&parts) * 1000;
  return TRUE;
}

X509 *
tl_certificate_from_der (const void *der, gsize length, GError **error)
{
  if (length == 0 || length > TL_CERTIFICATE_MAX_DER)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "certificate has %" G_GSIZE_FORMAT " bytes, 1 to %d are allowed", length, TL_CERTIFICATE_MAX_DER);
      return NULL;
    }
  const guint8 *end = der;
  g_autoptr (X509) certificate = d2i_X509 (NULL, &end, (long)length);
  if (certificate == NULL)
    {
      tl_error_set_openssl (error, TL_ERROR_INVALID_ARGUMENT, "certificate is not DER of X.509");
      return NULL;
    }
  if (end != (const guint8 *)der + length)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "certificate is followed by other bytes");
      return NULL;
    }
  /* OpenSSL reads some BER too. A certificate is recorded by the hash of its DER, so only bytes that come out again as
   * they went in are one. */
  g_autoptr (GBytes) again = tl_certificate_to_der (certificate);
  if (g_bytes_get_size (again) != length || memcmp (g_bytes_get_data (again, NULL), der, length) != 0)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "certificate is not in canonical DER");
      return NULL;
    }
  gint64 ms;
  gboolean sound = asn1_time_to_ms (X509_get0_notBefore (certificate), &ms)
                   && asn1_time_to_ms (X509_get0_notAfter (certificate), &ms)
                   && (X509_get_extension_flags (certificate) & (EXFLAG_INVALID | EXFLAG_NO_FINGERPRINT)) == 0;
  ERR_clear_error ();
  if (!sound)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "certificate has malformed extensions or an unreadable validity");
      return NULL;
    }
  return g_steal_pointer (&certificate);
}

GBytes *
tl_certificate_to_der (X509 *certificate)
{
  unsigned char *der = NULL;
  int length = i2d_X509 (certificate, &der);

  /* Only memory can lack: what was parsed or signed encodes. */
  if (length <= 0)
    g_error ("cannot encode a certificate: out of memory");
  GBytes *bytes = g_bytes_new (der, (gsize)length);
  OPENSSL_free (der);
  return bytes;
}

char *
tl_certificate_to_pem (X509 *certificate)
{
  BIO *bio = BIO_new (BIO_s_mem ());

  if (bio == NULL || PEM_write_bio_X509 (bio, certificate) != 1)
    g_error ("cannot encode a certificate: out of memory");
  char *data;
  long length = BIO_get_mem_data (bio, &data);
  char *pem = g_strndup (data, (gsize)length);
  BIO_free (bio);
  return pem;
}

X509 *
tl_certificate_from_pem (const char *pem, gssize length, GError **error)
{
  gsize left = length < 0 ? strlen (pem) : (gsize)length;
  g_autoptr (GBytes) der = tl_certificate_pem_to_der (pem, left);

  if (der == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "text holds no well-formed PEM certificate");
      return NULL;
    }
  return tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), error);
}

GBytes *
tl_certificate_pem_to_der (const char *pem, gsize length)
{
  GBytes *der = NULL;

  return tl_pem_next_certificate (&pem, &length, &der) == TL_PEM_FOUND ? der : NULL;
}

char *
tl_certificate_fingerprint (X509 *certificate)
{
  g_autoptr (GBytes) der = tl_certificate_to_der (certificate);

  return tl_fingerprint (g_bytes_get_data (der, NULL), g_bytes_get_size (der));
}

gboolean
tl_certificate_fits_pin (X509 *certificate, const guint8 pin[TL_SHA256_LENGTH])
{
  g_autoptr (GBytes) der = tl_certificate_to_der (certificate);
  g_autofree char *key = tl_key_fingerprint (X509_get0_pubkey (certificate));
  guint8 of_leaf[TL_SHA256_LENGTH], of_key[TL_SHA256_LENGTH];
  gboolean is_leaf, is_key;

  if (der == NULL || key == NULL || !tl_hex_decode (key, of_key, sizeof of_key))
    return FALSE;
  tl_sha256 (g_bytes_get_data (der, NULL), g_bytes_get_size (der), of_leaf);
  is_leaf = tl_memory_equal (of_leaf, pin, sizeof of_leaf);
  is_key = tl_memory_equal (of_key, pin, sizeof of_key);
  return is_leaf || is_key;
}

gint64
tl_certificate_not_before_ms (X509 *certificate)
{
  gint64 ms;

  /* Unreadable (never after tl_certificate_from_der): not valid at any time. */
  return asn1_time_to_ms (X509_get0_notBefore (certificate), &ms) ? ms : G_MAXINT64;
}

gint64
tl_certificate_not_after_ms (X509 *certificate)
{
  gint64 ms;

  return asn1_time_to_ms (X509_get0_notAfter (certificate), &ms) ? ms : G_MININT64;
}
