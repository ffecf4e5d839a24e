/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tl-keys.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/tl-error.h"
#include "crypto/tl-hash.h"

#define SEED_LENGTH   32
#define P256_GROUP    "prime256v1"
#define MAX_DER_BYTES 1024

void
tl_error_set_openssl (GError **error, int code, const char *what)
{
  unsigned long first = ERR_get_error ();
  const char *reason = first != 0 ? ERR_reason_error_string (first) : NULL;

  ERR_clear_error ();
  g_set_error (error, TL_ERROR, code, "%s: %s", what, reason != NULL ? reason : "no reason given by OpenSSL");
}

static gboolean
raw_public (int type, const TlSecret *private_key, guint8 public_key[32], GError **error)
{
  g_autoptr (EVP_PKEY) key = NULL;
  guint8 bytes[32];
  size_t length = sizeof bytes;

  if (tl_secret_length (private_key) != SEED_LENGTH)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the private key is not 32 bytes long");
      return FALSE;
    }
  key = EVP_PKEY_new_raw_private_key (type, NULL, tl_secret_data (private_key), SEED_LENGTH);
  if (key == NULL || EVP_PKEY_get_raw_public_key (key, bytes, &length) != 1 || length != sizeof bytes)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot make a public key");
      return FALSE;
    }
  memcpy (public_key, bytes, sizeof bytes);
  return TRUE;
}

static gboolean
raw_generate (int type, TlRandom *random, TlSecret **private_key, guint8 public_key[32], GError **error)
{
  g_autoptr (TlSecret) secret = tl_secret_new (SEED_LENGTH);

  tl_random_bytes (random, tl_secret_data_mut (secret), SEED_LENGTH);
  if (!raw_public (type, secret, public_key, error))
    return FALSE;
  *private_key = g_steal_pointer (&secret);
  return TRUE;
}

gboolean
tl_x25519_generate (TlRandom *random, TlSecret **private_key, guint8 public_key[TL_X25519_LENGTH], GError **error)
{
  return raw_generate (EVP_PKEY_X25519, random, private_key, public_key, error);
}

TlSecret *
tl_x25519_derive (const TlSecret *private_key, const guint8 *peer, gsize peer_length, GError **error)
{
  static const guint8 zeros[TL_X25519_LENGTH];
  g_autoptr (EVP_PKEY) own_key = NULL;
  g_autoptr (EVP_PKEY) peer_key = NULL;
  g_autoptr (TlSecret) shared = NULL;
  EVP_PKEY_CTX *context = NULL;
  size_t length = TL_X25519_LENGTH;
  gboolean ok;

  if (peer == NULL || peer_length != TL_X25519_LENGTH)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, "the peer's X25519 key is not 32 bytes long");
      return NULL;
    }
  g_assert (tl_secret_length (private_key) == TL_X25519_LENGTH);

  own_key = EVP_PKEY_new_raw_private_key (EVP_PKEY_X25519, NULL, tl_secret_data (private_key), TL_X25519_LENGTH);
  peer_key = EVP_PKEY_new_raw_public_key (EVP_PKEY_X25519, NULL, peer, peer_length);
  shared = tl_secret_new (TL_X25519_LENGTH);
  context = own_key != NULL ? EVP_PKEY_CTX_new (own_key, NULL) : NULL;
  ok = context != NULL && peer_key != NULL && EVP_PKEY_derive_init (context) == 1
       && EVP_PKEY_derive_set_peer (context, peer_key) == 1;
  if (!ok)
    {
      EVP_PKEY_CTX_free (context);
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot use an X25519 key");
      return NULL;
    }
  ok = EVP_PKEY_derive (context, tl_secret_data_mut (shared), &length) == 1 && length == TL_X25519_LENGTH;
  EVP_PKEY_CTX_free (context);
  /* OpenSSL refuses the all-zero result of a small-order point; that it does is not left to its version. */
  if (!ok || tl_memory_equal (tl_secret_data (shared), zeros, sizeof zeros))
    {
      ERR_clear_error ();
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, "the peer's X25519 key is a point of small order");
      return NULL;
    }
  return g_steal_pointer (&shared);
}

gboolean
tl_ed25519_generate (TlRandom *random, TlSecret **seed, guint8 public_key[TL_ED25519_PUBLIC_LENGTH], GError **error)
{
  return raw_generate (EVP_PKEY_ED25519, random, seed, public_key, error);
}

gboolean
tl_ed25519_public (const TlSecret *seed, guint8 public_key[TL_ED25519_PUBLIC_LENGTH], GError **error)
{
  return raw_public (EVP_PKEY_ED25519, seed, public_key, error);
}

EVP_PKEY *
tl_ed25519_key (const TlSecret *seed, GError **error)
{
  EVP_PKEY *key;

  if (tl_secret_length (seed) != SEED_LENGTH)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the private key is not 32 bytes long");
      return NULL;
    }
  key = EVP_PKEY_new_raw_private_key (EVP_PKEY_ED25519, NULL, tl_secret_data (seed), SEED_LENGTH);
  if (key == NULL)
    tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot sign");
  return key;
}

gboolean
tl_ed25519_sign_with (EVP_PKEY *key, const void *message, gsize length, guint8 signature[TL_ED25519_SIGNATURE_LENGTH],
                      GError **error)
{
  EVP_MD_CTX *context = EVP_MD_CTX_new ();
  guint8 bytes[TL_ED25519_SIGNATURE_LENGTH];
  size_t written = sizeof bytes;
  gboolean ok = context != NULL && EVP_DigestSignInit (context, NULL, NULL, NULL, key) == 1
                && EVP_DigestSign (context, bytes, &written, length > 0 ? message : "", length) == 1
                && written == sizeof bytes;

  EVP_MD_CTX_free (context);
  if (!ok)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot sign");
      return FALSE;
    }
  memcpy (signature, bytes, sizeof bytes);
  return TRUE;
}

gboolean
tl_ed25519_sign (const TlSecret *seed, const void *message, gsize length, guint8 signature[TL_ED25519_SIGNATURE_LENGTH],
                 GError **error)
{
  g_autoptr (EVP_PKEY) key = tl_ed25519_key (seed, error);

  return key != NULL && tl_ed25519_sign_with (key, message, length, signature, error);
}

/*
 * The encodings of the points of order 1, 2, 4 and 8 of edwards25519 (with sign bit clear; also the non-canonical
 * ones): under such a "public key" one signature verifies any message (RFC 8032 leaves refusing them to the user).
 * Values as in the curve's published list of small-order points.
 */
static gboolean
is_small_order (const guint8 public_key[TL_ED25519_PUBLIC_LENGTH])
{
  static const guint8 order8[][TL_ED25519_PUBLIC_LENGTH] = {
    { 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
      0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
    { 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
      0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a },
  };
  guint8 y[TL_ED25519_PUBLIC_LENGTH];
  gboolean zeros = TRUE, ones = TRUE;

  memcpy (y, public_key, sizeof y);
  y[31] &= 0x7f;
  for (guint i = 0; i < G_N_ELEMENTS (order8); i++)
    if (memcmp (y, order8[i], sizeof y) == 0)
      return TRUE;
  for (guint i = 1; i < 31; i++)
    {
      zeros = zeros && y[i] == 0;
      ones = ones && y[i] == 0xff;
    }
  /* y = 0, 1; and p - 1, p, p + 1 with p = 2^255 - 19. */
  return (zeros && y[31] == 0 && y[0] <= 1) || (ones && y[31] == 0x7f && y[0] >= 0xec && y[0] <= 0xee);
}

gboolean
tl_ed25519_verify (const guint8 *public_key, gsize public_length, const void *message, gsize length,
                   const guint8 *signature, gsize signature_length)
{
  g_autoptr (EVP_PKEY) key = NULL;
  EVP_MD_CTX *context = NULL;
  gboolean ok;

  if (public_key == NULL || public_length != TL_ED25519_PUBLIC_LENGTH || signature == NULL
      || signature_length != TL_ED25519_SIGNATURE_LENGTH || is_small_order (public_key))
    return FALSE;

  key = EVP_PKEY_new_raw_public_key (EVP_PKEY_ED25519, NULL, public_key, public_length);
  context = EVP_MD_CTX_new ();
  ok = key != NULL && context != NULL && EVP_DigestVerifyInit (context, NULL, NULL, NULL, key) == 1
       && EVP_DigestVerify (context, signature, signature_length, length > 0 ? message : "", length) == 1;
  EVP_MD_CTX_free (context);
  ERR_clear_error ();
  return ok;
}

EVP_PKEY *
tl_p256_generate (GError **error)
{
  EVP_PKEY *key = EVP_EC_gen ("P-256");

  if (key == NULL)
    tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot generate a P-256 key");
  return key;
}

TlSecret *
tl_p256_to_der (EVP_PKEY *key, GError **error)
{
  PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8 (key);
  int length = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO (info, NULL) : -1;
  g_autoptr (TlSecret) der = NULL;

  if (length > 0)
    {
      unsigned char *p;

      der = tl_secret_new ((gsize)length);
      p = tl_secret_data_mut (der);
      if (i2d_PKCS8_PRIV_KEY_INFO (info, &p) != length)
        g_clear_pointer (&der, tl_secret_unref);
    }
  PKCS8_PRIV_KEY_INFO_free (info);
  if (der == NULL)
    tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot encode a private key");
  return g_steal_pointer (&der);
}

EVP_PKEY *
tl_p256_from_der (const TlSecret *der, GError **error)
{
  const unsigned char *p = tl_secret_data (der);
  const unsigned char *end = p + tl_secret_length (der);
  PKCS8_PRIV_KEY_INFO *info = NULL;
  g_autoptr (EVP_PKEY) key = NULL;

  if (tl_secret_length (der) <= MAX_DER_BYTES)
    info = d2i_PKCS8_PRIV_KEY_INFO (NULL, &p, (long)tl_secret_length (der));
  if (info != NULL && p == end)
    key = EVP_PKCS82PKEY (info);
  PKCS8_PRIV_KEY_INFO_free (info);
  ERR_clear_error ();
  if (key == NULL || !tl_key_is_p256 (key))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_CORRUPT,
                           "the stored private key is not a P-256 key in PKCS#8 DER");
      return NULL;
    }
  return g_steal_pointer (&key);
}

TlSecret *
tl_p256_to_pem (EVP_PKEY *key, GError **error)
{
  BIO *bio = BIO_new (BIO_s_secmem ()); /* wiped when freed */
  TlSecret *pem = NULL;
  char *data = NULL;
  long length;

  if (bio != NULL && PEM_write_bio_PKCS8PrivateKey (bio, key, NULL, NULL, 0, NULL, NULL) == 1)
    {
      length = BIO_get_mem_data (bio, &data);
      if (length > 0)
        pem = tl_secret_new_copy (data, (gsize)length);
    }
  BIO_free (bio);
  if (pem == NULL)
    tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot encode a private key");
  return pem;
}

gboolean
tl_key_is_p256 (EVP_PKEY *key)
{
  char group[64];
  int from_explicit = 0;

  if (key == NULL || EVP_PKEY_get_base_id (key) != EVP_PKEY_EC
      || EVP_PKEY_get_group_name (key, group, sizeof group, NULL) != 1)
    {
      ERR_clear_error ();
      return FALSE;
    }
  /* Explicit curve parameters have hidden a forged generator before (CVE-2020-0601); the named form is all there is. */
  if (EVP_PKEY_get_int_param (key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &from_explicit) != 1)
    ERR_clear_error ();
  return from_explicit == 0 && g_str_equal (group, P256_GROUP);
}

char *
tl_key_fingerprint (EVP_PKEY *key)
{
  unsigned char *der = NULL;
  int length = i2d_PUBKEY (key, &der);
  char *fingerprint;

  if (length <= 0)
    g_error ("cannot encode a public key");
  fingerprint = tl_fingerprint (der, (gsize)length);
  OPENSSL_free (der);
  return fingerprint;
}
