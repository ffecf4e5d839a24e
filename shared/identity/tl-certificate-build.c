/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "crypto/tl-hash.h"
#include "identity/tl-certificate-private.h"

#define SERIAL_LENGTH         16 /* 128 random bits (PROTOCOL 1) */
#define KEY_IDENTIFIER_LENGTH 20
#define CA_PATH_LENGTH        1 /* the hand-over certificate of the next generation (PROTOCOL 4.3) */

/* Bits of KeyUsage, RFC 5280 section 4.2.1.3. */
#define BIT_DIGITAL_SIGNATURE 0
#define BIT_KEY_CERT_SIGN     5
#define BIT_CRL_SIGN          6

G_DEFINE_AUTOPTR_CLEANUP_FUNC (ASN1_TIME, ASN1_TIME_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ASN1_BIT_STRING, ASN1_BIT_STRING_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ASN1_OCTET_STRING, ASN1_OCTET_STRING_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AUTHORITY_KEYID, AUTHORITY_KEYID_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BIGNUM, BN_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (X509_NAME, X509_NAME_free)

static gboolean
set_serial (X509 *certificate, TlRandom *random)
{
  static const guint8 zero[SERIAL_LENGTH];
  guint8 bytes[SERIAL_LENGTH];

  do /* RFC 5280 section 4.1.2.2: a positive number */
    tl_random_bytes (random, bytes, sizeof bytes);
  while (memcmp (bytes, zero, sizeof bytes) == 0);
  g_autoptr (BIGNUM) number = BN_bin2bn (bytes, sizeof bytes, NULL);
  return number != NULL && BN_to_ASN1_INTEGER (number, X509_get_serialNumber (certificate)) != NULL;
}

/* Rounds both ends down to the second: the end must not lie after what was asked for. */
static gboolean
set_validity (X509 *certificate, gint64 not_before_ms, gint64 not_after_ms)
{
  g_autoptr (ASN1_TIME) before = ASN1_TIME_set (NULL, (time_t)(not_before_ms / 1000));
  g_autoptr (ASN1_TIME) after = ASN1_TIME_set (NULL, (time_t)(not_after_ms / 1000));

  return before != NULL && after != NULL && X509_set1_notBefore (certificate, before) == 1
         && X509_set1_notAfter (certificate, after) == 1;
}

static gboolean
set_names (X509 *certificate, const char *common_name, X509 *issuer)
{
  g_autoptr (X509_NAME) name = X509_NAME_new ();

  return name != NULL
         && X509_NAME_add_entry_by_NID (name, NID_commonName, MBSTRING_UTF8, (const guint8 *)common_name, -1, -1, 0)
                == 1
         && X509_set_subject_name (certificate, name) == 1
         && X509_set_issuer_name (certificate, issuer != NULL ? X509_get_subject_name (issuer) : name) == 1;
}

static gboolean
add_extension (X509 *certificate, int nid, void *value, gboolean critical)
{
  return value != NULL && X509_add1_ext_i2d (certificate, nid, value, critical ? 1 : 0, X509V3_ADD_DEFAULT) == 1;
}

/* RFC 7093 section 2, method 1: the leftmost 160 bits of the SHA-256 of the key's bits. */
static gboolean
add_subject_key_identifier (X509 *certificate)
{
  const ASN1_BIT_STRING *key = X509_get0_pubkey_bitstr (certificate);
  g_autoptr (ASN1_OCTET_STRING) identifier = ASN1_OCTET_STRING_new ();
  guint8 digest[TL_SHA256_LENGTH];

  if (key == NULL || identifier == NULL)
    return FALSE;
  tl_sha256 (ASN1_STRING_get0_data (key), (gsize)ASN1_STRING_length (key), digest);
  return ASN1_OCTET_STRING_set (identifier, digest, KEY_IDENTIFIER_LENGTH) == 1
         && add_extension (certificate, NID_subject_key_identifier, identifier, FALSE);
}

static gboolean
add_authority_key_identifier (X509 *certificate, X509 *issuer)
{
  const ASN1_OCTET_STRING *identifier = X509_get0_subject_key_id (issuer);
  g_autoptr (AUTHORITY_KEYID) authority = AUTHORITY_KEYID_new ();

  if (identifier == NULL || authority == NULL)
    return FALSE;
  authority->keyid = ASN1_OCTET_STRING_dup (identifier);
  return authority->keyid != NULL && add_extension (certificate, NID_authority_key_identifier, authority, FALSE);
}

static gboolean
add_basic_constraints (X509 *certificate, gboolean ca)
{
  g_autoptr (BASIC_CONSTRAINTS) constraints = BASIC_CONSTRAINTS_new ();

  if (constraints == NULL)
    return FALSE;
  constraints->ca = ca ? 0xff : 0;
  if (ca)
    {
      constraints->pathlen = ASN1_INTEGER_new ();
      if (constraints->pathlen == NULL || ASN1_INTEGER_set (constraints->pathlen, CA_PATH_LENGTH) != 1)
        return FALSE;
    }
  return add_extension (certificate, NID_basic_constraints, constraints, TRUE);
}

static gboolean
add_key_usage (X509 *certificate, int bit, int other_bit)
{
  g_autoptr (ASN1_BIT_STRING) bits = ASN1_BIT_STRING_new ();

  return bits != NULL && ASN1_BIT_STRING_set_bit (bits, bit, 1) == 1
         && ASN1_BIT_STRING_set_bit (bits, other_bit, 1) == 1 && add_extension (certificate, NID_key_usage, bits, TRUE);
}

static gboolean
add_extended_key_usage (X509 *certificate, int purpose_nid)
{
  g_autoptr (EXTENDED_KEY_USAGE) usage = sk_ASN1_OBJECT_new_null ();

  return usage != NULL && sk_ASN1_OBJECT_push (usage, OBJ_nid2obj (purpose_nid)) > 0
         && add_extension (certificate, NID_ext_key_usage, usage, FALSE);
}

static gboolean
built (gboolean ok, GError **error)
{
  if (!ok)
    tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot build a certificate");
  return ok;
}

X509 *
tl_certificate_build (const TlCertificateParts *parts, TlRandom *random, GError **error)
{
  g_autoptr (X509) certificate = X509_new ();

  if (!built (certificate != NULL && X509_set_version (certificate, X509_VERSION_3) == 1
                  && set_serial (certificate, random)
                  && set_validity (certificate, parts->not_before_ms, parts->not_after_ms)
                  && set_names (certificate, parts->common_name, parts->issuer)
                  && X509_set_pubkey (certificate, parts->public_key) == 1 && add_subject_key_identifier (certificate)
                  && (parts->issuer == NULL || add_authority_key_identifier (certificate, parts->issuer)),
              error))
    return NULL;
  if (!tl_public_key_is_plain_p256 (X509_get_X509_PUBKEY (certificate)))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "public key of a certificate must be P-256 (named curve, uncompressed point)");
      return NULL;
    }
  return g_steal_pointer (&certificate);
}

gboolean
tl_certificate_build_ca (X509 *certificate, GError **error)
{
  return built (add_basic_constraints (certificate, TRUE)
                    && add_key_usage (certificate, BIT_KEY_CERT_SIGN, BIT_CRL_SIGN),
                error);
}

gboolean
tl_certificate_build_leaf (X509 *certificate, int purpose_nid, GENERAL_NAMES *names, GError **error)
{
  return built (add_basic_constraints (certificate, FALSE)
                    && add_key_usage (certificate, BIT_DIGITAL_SIGNATURE, BIT_DIGITAL_SIGNATURE)
                    && add_extended_key_usage (certificate, purpose_nid)
                    && add_extension (certificate, NID_subject_alt_name, names, FALSE),
                error);
}

X509 *
tl_certificate_build_sign (X509 *certificate, EVP_PKEY *key, GError **error)
{
  if (!built (X509_sign (certificate, key, EVP_sha256 ()) > 0, error))
    return NULL;
  g_autoptr (GBytes) der = tl_certificate_to_der (certificate);
  if (g_bytes_get_size (der) > TL_CERTIFICATE_MAX_DER)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
                   "certificate would have %" G_GSIZE_FORMAT " bytes, %d are allowed: give it fewer names",
                   g_bytes_get_size (der), TL_CERTIFICATE_MAX_DER);
      return NULL;
    }
  return tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), error);
}
