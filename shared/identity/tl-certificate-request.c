/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/ec.h>
#include <openssl/err.h>

#include "base/tl-error.h"
#include "identity/tl-certificate-private.h"

#define P256_POINT_LENGTH 65 /* 0x04, x, y (SEC 1, 2.3.3) */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (X509_REQ, X509_REQ_free)

gboolean
tl_public_key_is_plain_p256 (X509_PUBKEY *key)
{
  ASN1_OBJECT *algorithm = NULL;
  const guint8 *point = NULL;
  int length = 0;
  X509_ALGOR *identifier = NULL;

  if (key == NULL || X509_PUBKEY_get0_param (&algorithm, &point, &length, &identifier, key) != 1)
    return FALSE;
  const void *curve = NULL;
  int type = V_ASN1_UNDEF;
  X509_ALGOR_get0 (NULL, &type, &curve, identifier);
  /* OpenSSL recognises explicit parameters that equal P-256; they would be the same key under a second fingerprint. */
  return OBJ_obj2nid (algorithm) == NID_X9_62_id_ecPublicKey && type == V_ASN1_OBJECT
         && OBJ_obj2nid (curve) == NID_X9_62_prime256v1 && length == P256_POINT_LENGTH
         && point[0] == POINT_CONVERSION_UNCOMPRESSED;
}

static gboolean
signature_is_ecdsa (const X509_REQ *request)
{
  int nid = X509_REQ_get_signature_nid (request);

  return nid == NID_ecdsa_with_SHA256 || nid == NID_ecdsa_with_SHA384 || nid == NID_ecdsa_with_SHA512;
}

static gboolean
refuse (GError **error, const char *what)
{
  ERR_clear_error ();
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "certificate request %s", what);
  return FALSE;
}

static gboolean
check_request (X509_REQ *request, GError **error)
{
  EVP_PKEY *key = X509_REQ_get0_pubkey (request);

  if (key == NULL || !tl_key_is_p256 (key) || !tl_public_key_is_plain_p256 (X509_REQ_get_X509_PUBKEY (request)))
    return refuse (error, "does not carry a P-256 key (named curve, uncompressed point)");
  if (!signature_is_ecdsa (request))
    return refuse (error, "is not signed by ECDSA with SHA-2");
  if (X509_REQ_verify (request, key) != 1)
    return refuse (error, "has a signature that does not verify");
  return TRUE;
}

EVP_PKEY *
tl_csr_verify (const void *der, gsize length, GError **error)
{
  if (length == 0 || length > TL_CSR_MAX_DER)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "certificate request has %" G_GSIZE_FORMAT " bytes, 1 to %d are allowed", length, TL_CSR_MAX_DER);
      return NULL;
    }
  const guint8 *end = der;
  g_autoptr (X509_REQ) request = d2i_X509_REQ (NULL, &end, (long)length);
  if (request == NULL)
    {
      refuse (error, "is not DER of PKCS#10");
      return NULL;
    }
  if (end != (const guint8 *)der + length)
    {
      refuse (error, "is followed by other bytes");
      return NULL;
    }
  if (!check_request (request, error))
    return NULL;
  return X509_REQ_get_pubkey (request);
}

GBytes *
tl_csr_new (EVP_PKEY *key, const char *device_id, GError **error)
{
  g_autoptr (X509_REQ) request = X509_REQ_new ();
  unsigned char *der = NULL;

  if (request == NULL || X509_REQ_set_version (request, X509_REQ_VERSION_1) != 1
      || X509_NAME_add_entry_by_NID (X509_REQ_get_subject_name (request), NID_commonName, MBSTRING_ASC,
                                     (const guint8 *)device_id, -1, -1, 0)
             != 1
      || X509_REQ_set_pubkey (request, key) != 1 || X509_REQ_sign (request, key, EVP_sha256 ()) <= 0)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot make a certificate request");
      return NULL;
    }
  int length = i2d_X509_REQ (request, &der);
  if (length <= 0)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot encode a certificate request");
      return NULL;
    }
  GBytes *bytes = g_bytes_new (der, (gsize)length);
  OPENSSL_free (der);
  return bytes;
}
