/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tl-hash.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#include "base/tl-error.h"

#define PURPOSE_PREFIX "twinlatch/1 "
#define LENGTH_PREFIX  8
#define MAX_HKDF_BYTES ((gsize)255 * TL_SHA256_LENGTH)
#define SCRYPT_MIN_N   2
#define SCRYPT_MAX_N   131072
#define SCRYPT_R       8
#define SCRYPT_P       1
/* 128 * r * (N + p) bytes and some air; OpenSSL's own default would refuse the larger N. */
#define SCRYPT_MAX_MEMORY ((guint64)130 * SCRYPT_R * (SCRYPT_MAX_N + SCRYPT_P) + 65536)

struct _TlTranscript
{
  guint8 *data;
  gsize length;
  gsize capacity;
};

TlTranscript *
tl_transcript_new_bare (void)
{
  return g_new0 (TlTranscript, 1);
}

TlTranscript *
tl_transcript_new (const char *purpose)
{
  TlTranscript *transcript = tl_transcript_new_bare ();
  g_autofree char *first = g_strconcat (PURPOSE_PREFIX, purpose, NULL);

  tl_transcript_add_string (transcript, first);
  return transcript;
}

void
tl_transcript_free (TlTranscript *transcript)
{
  if (transcript == NULL)
    return;
  tl_wipe (transcript->data, transcript->length);
  g_free (transcript->data);
  g_free (transcript);
}

/* Not realloc(): that could leave a copy of a secret field behind. */
static void
reserve (TlTranscript *transcript, gsize more)
{
  gsize capacity;
  guint8 *data;

  g_assert (more <= G_MAXSIZE / 4 && transcript->length <= G_MAXSIZE / 4);
  if (transcript->capacity - transcript->length >= more)
    return;

  capacity = MAX (512, 2 * (transcript->length + more));
  data = g_malloc (capacity);
  if (transcript->length > 0)
    memcpy (data, transcript->data, transcript->length);
  tl_wipe (transcript->data, transcript->length);
  g_free (transcript->data);
  transcript->data = data;
  transcript->capacity = capacity;
}

void
tl_transcript_add (TlTranscript *transcript, const void *data, gsize length)
{
  guint64 prefix = GUINT64_TO_LE ((guint64)length);

  reserve (transcript, length + LENGTH_PREFIX);
  memcpy (transcript->data + transcript->length, &prefix, LENGTH_PREFIX);
  if (length > 0)
    memcpy (transcript->data + transcript->length + LENGTH_PREFIX, data, length);
  transcript->length += LENGTH_PREFIX + length;
}

void
tl_transcript_add_bytes (TlTranscript *transcript, GBytes *bytes)
{
  gsize length = 0;
  const void *data = bytes != NULL ? g_bytes_get_data (bytes, &length) : NULL;

  tl_transcript_add (transcript, data, length);
}

void
tl_transcript_add_string (TlTranscript *transcript, const char *text)
{
  tl_transcript_add (transcript, text, text != NULL ? strlen (text) : 0);
}

void
tl_transcript_add_u64 (TlTranscript *transcript, guint64 value)
{
  guint64 little_endian = GUINT64_TO_LE (value);

  tl_transcript_add (transcript, &little_endian, sizeof little_endian);
}

const guint8 *
tl_transcript_data (TlTranscript *transcript, gsize *length)
{
  *length = transcript->length;
  return transcript->data;
}

void
tl_transcript_hash (TlTranscript *transcript, guint8 digest[TL_SHA256_LENGTH])
{
  tl_sha256 (transcript->data, transcript->length, digest);
}

void
tl_transcript_mac (TlTranscript *transcript, const TlSecret *key, guint8 mac[TL_SHA256_LENGTH])
{
  tl_hmac_sha256 (tl_secret_data (key), tl_secret_length (key), transcript->data, transcript->length, mac);
}

gboolean
tl_transcript_check_mac (TlTranscript *transcript, const TlSecret *key, const void *mac, gsize length)
{
  guint8 expected[TL_SHA256_LENGTH];
  gboolean equal;

  if (mac == NULL || length != sizeof expected)
    return FALSE;
  tl_transcript_mac (transcript, key, expected);
  equal = tl_memory_equal (expected, mac, sizeof expected);
  tl_wipe (expected, sizeof expected);
  return equal;
}

/* Fetched once: EVP_sha256() is looked up anew at every use, which costs more than the hash of a short text. */
static const EVP_MD *
sha256 (void)
{
  static gsize once;
  static EVP_MD *fetched;

  if (g_once_init_enter (&once))
    {
      fetched = EVP_MD_fetch (NULL, "SHA256", NULL);
      g_once_init_leave (&once, 1);
    }
  return fetched;
}

void
tl_sha256 (const void *data, gsize length, guint8 digest[TL_SHA256_LENGTH])
{
  const EVP_MD *md = sha256 ();

  if (md == NULL || EVP_Digest (length > 0 ? data : "", length, digest, NULL, md, NULL) != 1)
    g_error ("SHA-256 failed");
}

void
tl_hmac_sha256 (const void *key, gsize key_length, const void *data, gsize length, guint8 mac[TL_SHA256_LENGTH])
{
  size_t written = 0;

  /* A NULL key would mean "keep the key there is", so an empty one needs an address. */
  if (EVP_Q_mac (NULL, OSSL_MAC_NAME_HMAC, NULL, "SHA256", NULL, key_length > 0 ? key : "", key_length,
                 length > 0 ? data : (const void *)"", length, mac, TL_SHA256_LENGTH, &written)
          == NULL
      || written != TL_SHA256_LENGTH)
    g_error ("HMAC-SHA-256 failed");
}

/*
 * Written out over HMAC: OpenSSL 3.0's HKDF refuses an empty key and cuts info at 1 KiB, and RFC 5869 has neither
 * limit.
 */
TlSecret *
tl_hkdf_sha256 (const void *salt, gsize salt_length, const void *ikm, gsize ikm_length, const void *info,
                gsize info_length, gsize out_length)
{
  static const guint8 zero_salt[TL_SHA256_LENGTH];
  g_autoptr (TlSecret) out = tl_secret_new (out_length);
  gsize block_capacity = TL_SHA256_LENGTH + info_length + 1;
  g_autoptr (TlSecret) block = tl_secret_new (block_capacity); /* T(i-1) || info || i */
  guint8 prk[TL_SHA256_LENGTH];
  guint8 t[TL_SHA256_LENGTH];
  guint8 *input = tl_secret_data_mut (block);

  g_assert (out_length <= MAX_HKDF_BYTES);

  tl_hmac_sha256 (salt != NULL ? salt : zero_salt, salt != NULL ? salt_length : sizeof zero_salt, ikm, ikm_length, prk);
  if (info_length > 0)
    memcpy (input + TL_SHA256_LENGTH, info, info_length);
  for (gsize done = 0, i = 1; done < out_length; done += TL_SHA256_LENGTH, i++)
    {
      gsize skip = i == 1 ? TL_SHA256_LENGTH : 0; /* T(0) is empty */

      input[block_capacity - 1] = (guint8)i;
      tl_hmac_sha256 (prk, sizeof prk, input + skip, block_capacity - skip, t);
      memcpy (input, t, sizeof t);
      memcpy (tl_secret_data_mut (out) + done, t, MIN (sizeof t, out_length - done));
    }
  tl_wipe (prk, sizeof prk);
  tl_wipe (t, sizeof t);
  return g_steal_pointer (&out);
}

TlSecret *
tl_scrypt (const void *password, gsize password_length, const void *salt, gsize salt_length, guint64 n, guint32 r,
           guint32 p, gsize out_length, GError **error)
{
  g_autoptr (TlSecret) out = NULL;
  guint64 max_memory = SCRYPT_MAX_MEMORY;
  EVP_KDF *kdf = NULL;
  EVP_KDF_CTX *context = NULL;
  gboolean ok;
  OSSL_PARAM params[] = {
    OSSL_PARAM_octet_string (OSSL_KDF_PARAM_PASSWORD, (void *)(password_length > 0 ? password : ""), password_length),
    OSSL_PARAM_octet_string (OSSL_KDF_PARAM_SALT, (void *)(salt_length > 0 ? salt : ""), salt_length),
    OSSL_PARAM_uint64 (OSSL_KDF_PARAM_SCRYPT_N, &n),
    OSSL_PARAM_uint32 (OSSL_KDF_PARAM_SCRYPT_R, &r),
    OSSL_PARAM_uint32 (OSSL_KDF_PARAM_SCRYPT_P, &p),
    OSSL_PARAM_uint64 (OSSL_KDF_PARAM_SCRYPT_MAXMEM, &max_memory),
    OSSL_PARAM_END,
  };

  if (n < SCRYPT_MIN_N || n > SCRYPT_MAX_N || (n & (n - 1)) != 0 || r != SCRYPT_R || p != SCRYPT_P)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "scrypt parameters N=%" G_GUINT64_FORMAT " r=%u p=%u are not accepted", n, r, p);
      return NULL;
    }
  if (out_length == 0)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "scrypt cannot derive zero bytes");
      return NULL;
    }

  out = tl_secret_new (out_length);
  kdf = EVP_KDF_fetch (NULL, OSSL_KDF_NAME_SCRYPT, NULL);
  context = kdf != NULL ? EVP_KDF_CTX_new (kdf) : NULL;
  ok = context != NULL && EVP_KDF_derive (context, tl_secret_data_mut (out), out_length, params) == 1;
  EVP_KDF_CTX_free (context);
  EVP_KDF_free (kdf);
  if (!ok)
    {
      ERR_clear_error ();
      g_set_error (error, TL_ERROR, TL_ERROR_INTERNAL, "scrypt with N=%" G_GUINT64_FORMAT " failed: out of memory?", n);
      return NULL;
    }
  return g_steal_pointer (&out);
}

char *
tl_hex_encode (const void *data, gsize length)
{
  static const char digits[] = "0123456789abcdef";
  const guint8 *bytes = data;
  char *text = g_malloc (2 * length + 1);

  for (gsize i = 0; i < length; i++)
    {
      text[2 * i] = digits[bytes[i] >> 4];
      text[2 * i + 1] = digits[bytes[i] & 15];
    }
  text[2 * length] = '\0';
  return text;
}

gboolean
tl_hex_decode (const char *text, guint8 *data, gsize length)
{
  if (text == NULL || strnlen (text, 2 * length + 1) != 2 * length)
    return FALSE;
  for (gsize i = 0; i < 2 * length; i++)
    {
      if (!g_ascii_isxdigit (text[i]))
        return FALSE;
    }

  for (gsize i = 0; i < length; i++)
    data[i] = (guint8)(g_ascii_xdigit_value (text[2 * i]) << 4 | g_ascii_xdigit_value (text[2 * i + 1]));
  return TRUE;
}

char *
tl_fingerprint (const void *data, gsize length)
{
  guint8 digest[TL_SHA256_LENGTH];

  tl_sha256 (data, length, digest);
  return tl_hex_encode (digest, sizeof digest);
}

char *
tl_base64url_encode (const void *data, gsize length)
{
  char *text = length > 0 ? g_base64_encode (data, length) : g_strdup ("");

  g_strdelimit (text, "+", '-');
  g_strdelimit (text, "/", '_');
  g_strdelimit (text, "=", '\0');
  return text;
}

static int
base64url_value (char c)
{
  if (g_ascii_isupper (c))
    return c - 'A';
  if (g_ascii_islower (c))
    return c - 'a' + 26;
  if (g_ascii_isdigit (c))
    return c - '0' + 52;
  if (c == '-')
    return 62;
  return c == '_' ? 63 : -1;
}

gboolean
tl_base64url_decode (const char *text, guint8 *data, gsize length)
{
  gsize n = (length * 8 + 5) / 6;
  guint spare = (guint)(n * 6 - length * 8);
  guint32 buffer = 0;
  guint bits = 0;

  if (text == NULL || strnlen (text, n + 1) != n)
    return FALSE;
  for (gsize i = 0; i < n; i++)
    {
      if (base64url_value (text[i]) < 0)
        return FALSE;
    }
  /* One text for one value: the bits that fill the last character up must be zero. */
  if (n > 0 && (base64url_value (text[n - 1]) & ((1 << spare) - 1)) != 0)
    return FALSE;

  for (gsize i = 0, out = 0; i < n; i++)
    {
      buffer = (buffer << 6 | (guint32)base64url_value (text[i])) & 0xffff;
      bits += 6;
      if (bits >= 8)
        {
          bits -= 8;
          data[out++] = (guint8)(buffer >> bits);
        }
    }
  return TRUE;
}
