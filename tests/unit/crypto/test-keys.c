/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tl-keys.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <string.h>

#include "base/tl-error.h"
#include "crypto/tl-hash.h"

static TlSecret *
secret_from_hex (const char *text)
{
  TlSecret *secret = tl_secret_new (strlen (text) / 2);

  g_assert_true (tl_hex_decode (text, tl_secret_data_mut (secret), tl_secret_length (secret)));
  return secret;
}

static void
assert_hex (const void *data, gsize length, const char *expected)
{
  g_autofree char *text = tl_hex_encode (data, length);

  g_assert_cmpstr (text, ==, expected);
}

/* RFC 7748 section 5.2. */
static void
test_x25519_vectors (void)
{
  static const struct
  {
    const char *scalar;
    const char *peer;
    const char *shared;
  } vectors[] = {
    { "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
      "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
    { "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
      "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (vectors); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (TlSecret) scalar = secret_from_hex (vectors[i].scalar);
      g_autoptr (TlSecret) peer = secret_from_hex (vectors[i].peer);
      g_autoptr (TlSecret) shared = tl_x25519_derive (scalar, tl_secret_data (peer), 32, &error);

      g_assert_no_error (error);
      assert_hex (tl_secret_data (shared), 32, vectors[i].shared);
    }
}

static void
test_x25519_agreement (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (3);
  g_autoptr (TlSecret) a = NULL;
  g_autoptr (TlSecret) b = NULL;
  g_autoptr (TlSecret) from_a = NULL;
  g_autoptr (TlSecret) from_b = NULL;
  guint8 public_a[32];
  guint8 public_b[32];

  g_assert_true (tl_x25519_generate (random, &a, public_a, NULL));
  g_assert_true (tl_x25519_generate (random, &b, public_b, NULL));
  g_assert_false (tl_secret_equal (a, b));
  from_a = tl_x25519_derive (a, public_b, 32, NULL);
  from_b = tl_x25519_derive (b, public_a, 32, NULL);
  g_assert_true (tl_secret_equal (from_a, from_b));
}

static void
test_x25519_refuses (void)
{
  static const char *const small_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  };
  g_autoptr (TlRandom) random = tl_random_new_test (3);
  g_autoptr (TlSecret) own_key = NULL;
  g_autoptr (GError) error = NULL;
  guint8 public_key[32];

  g_assert_true (tl_x25519_generate (random, &own_key, public_key, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (small_order); i++)
    {
      g_autoptr (TlSecret) peer = secret_from_hex (small_order[i]);

      g_assert_null (tl_x25519_derive (own_key, tl_secret_data (peer), 32, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
      g_clear_error (&error);
    }
  g_assert_null (tl_x25519_derive (own_key, public_key, 31, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  g_clear_error (&error);
  g_assert_null (tl_x25519_derive (own_key, NULL, 0, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  g_assert_cmpuint (ERR_peek_error (), ==, 0);
}

/* RFC 8032 section 7.1, tests 1-3. */
static void
test_ed25519_vectors (void)
{
  static const struct
  {
    const char *seed;
    const char *public_key;
    const char *message;
    const char *signature;
  } vectors[] = {
    { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
      "655"
      "141438e7a100b" },
    { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
      "b00"
      "d291612bb0c00" },
    { "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
      "c02"
      "7beceea1ec40a" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (vectors); i++)
    {
      g_autoptr (TlSecret) seed = secret_from_hex (vectors[i].seed);
      g_autoptr (TlSecret) message = secret_from_hex (vectors[i].message);
      g_autoptr (GError) error = NULL;
      guint8 public_key[32];
      guint8 signature[64];

      g_assert_true (tl_ed25519_public (seed, public_key, &error));
      assert_hex (public_key, 32, vectors[i].public_key);
      g_assert_true (tl_ed25519_sign (seed, tl_secret_data (message), tl_secret_length (message), signature, &error));
      assert_hex (signature, 64, vectors[i].signature);
      g_assert_true (
          tl_ed25519_verify (public_key, 32, tl_secret_data (message), tl_secret_length (message), signature, 64));
    }
}

static void
test_ed25519_refuses (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (4);
  g_autoptr (TlSecret) seed = NULL;
  g_autoptr (TlSecret) short_seed = tl_secret_new (31);
  g_autoptr (GError) error = NULL;
  guint8 public_key[32];
  guint8 signature[64];

  g_assert_true (tl_ed25519_generate (random, &seed, public_key, NULL));
  g_assert_true (tl_ed25519_sign (seed, "hello", 5, signature, NULL));
  g_assert_true (tl_ed25519_verify (public_key, 32, "hello", 5, signature, 64));
  g_assert_false (tl_ed25519_verify (public_key, 32, "hellO", 5, signature, 64));
  g_assert_false (tl_ed25519_verify (public_key, 32, "hello", 4, signature, 64));
  g_assert_false (tl_ed25519_verify (public_key, 31, "hello", 5, signature, 64));
  g_assert_false (tl_ed25519_verify (public_key, 32, "hello", 5, signature, 63));
  g_assert_false (tl_ed25519_verify (NULL, 32, "hello", 5, signature, 64));
  g_assert_false (tl_ed25519_verify (public_key, 32, "hello", 5, NULL, 64));
  for (guint i = 0; i < 64; i++)
    {
      signature[i] ^= 1;
      g_assert_false (tl_ed25519_verify (public_key, 32, "hello", 5, signature, 64));
      signature[i] ^= 1;
    }
  public_key[0] ^= 1;
  g_assert_false (tl_ed25519_verify (public_key, 32, "hello", 5, signature, 64));
  g_assert_false (tl_ed25519_sign (short_seed, "hello", 5, signature, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_assert_cmpuint (ERR_peek_error (), ==, 0);
}

static void
test_p256 (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EVP_PKEY) key = tl_p256_generate (&error);
  g_autoptr (EVP_PKEY) other = tl_p256_generate (&error);
  g_autoptr (EVP_PKEY) back = NULL;
  g_autoptr (TlSecret) der = NULL;
  g_autoptr (TlSecret) pem = NULL;
  g_autofree char *fingerprint = tl_key_fingerprint (key);
  g_autofree char *other_fingerprint = tl_key_fingerprint (other);
  g_autofree char *back_fingerprint = NULL;

  g_assert_no_error (error);
  g_assert_true (tl_key_is_p256 (key));
  der = tl_p256_to_der (key, &error);
  g_assert_no_error (error);
  back = tl_p256_from_der (der, &error);
  g_assert_no_error (error);
  g_assert_cmpint (EVP_PKEY_eq (key, back), ==, 1);
  back_fingerprint = tl_key_fingerprint (back);
  g_assert_cmpstr (fingerprint, ==, back_fingerprint);
  g_assert_cmpstr (fingerprint, !=, other_fingerprint);
  g_assert_cmpuint (strlen (fingerprint), ==, 64);
  pem = tl_p256_to_pem (key, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix ((const char *)tl_secret_data (pem), "-----BEGIN PRIVATE KEY-----\n"));
  g_assert_true (g_str_has_suffix ((const char *)tl_secret_data (pem), "-----END PRIVATE KEY-----\n"));
}

static void
assert_der_refused (const void *data, gsize length)
{
  g_autoptr (TlSecret) der = tl_secret_new_copy (data, length);
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_p256_from_der (der, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
  g_assert_cmpuint (ERR_peek_error (), ==, 0);
}

static void
test_p256_refuses (void)
{
  g_autoptr (EVP_PKEY) key = tl_p256_generate (NULL);
  g_autoptr (EVP_PKEY) p384 = EVP_EC_gen ("P-384");
  g_autoptr (EVP_PKEY) ed25519 = EVP_PKEY_Q_keygen (NULL, NULL, "ED25519");
  g_autoptr (TlSecret) der = tl_p256_to_der (key, NULL);
  g_autoptr (TlSecret) p384_der = tl_p256_to_der (p384, NULL);
  gsize length = tl_secret_length (der);
  g_autofree guint8 *longer = g_malloc0 (length + 1);

  g_assert_false (tl_key_is_p256 (p384));
  g_assert_false (tl_key_is_p256 (ed25519));
  g_assert_false (tl_key_is_p256 (NULL));
  memcpy (longer, tl_secret_data (der), length);
  assert_der_refused (longer, length + 1);
  assert_der_refused (longer, length - 1);
  assert_der_refused ("", 0);
  assert_der_refused ("garbage", 7);
  assert_der_refused (tl_secret_data (p384_der), tl_secret_length (p384_der));
}

/* An EC key whose curve is spelt out in numbers is not the named curve. */
static void
test_p256_explicit (void)
{
  g_autoptr (EVP_PKEY) key = tl_p256_generate (NULL);
  g_autoptr (TlSecret) der = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (EVP_PKEY_set_utf8_string_param (key, "encoding", "explicit"), ==, 1);
  der = tl_p256_to_der (key, NULL);
  g_assert_nonnull (der);
  g_assert_cmpuint (tl_secret_length (der), >, 200);
  g_assert_null (tl_p256_from_der (der, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
}

static void
test_aead (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (5);
  g_autoptr (TlSecret) key = tl_secret_new_copy ("0123456789abcdef0123456789abcdef", 32);
  g_autoptr (GBytes) sealed = tl_aead_seal (key, random, "aad", 3, "plain", 5);
  g_autoptr (GBytes) again = tl_aead_seal (key, random, "aad", 3, "plain", 5);
  g_autoptr (GBytes) empty = tl_aead_seal (key, random, NULL, 0, NULL, 0);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) opened = tl_aead_open (key, "aad", 3, sealed, &error);
  g_autoptr (TlSecret) nothing = tl_aead_open (key, NULL, 0, empty, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (sealed), ==, 12 + 5 + 16);
  g_assert_false (g_bytes_equal (sealed, again));
  g_assert_cmpstr ((const char *)tl_secret_data (opened), ==, "plain");
  g_assert_cmpuint (tl_secret_length (nothing), ==, 0);
}

/* NIST's AES-256-GCM case with key and nonce of zeros (McGrew and Viega, test case 14): the format is the plain one. */
static void
test_aead_format (void)
{
  static const char sealed_hex[] = "000000000000000000000000"
                                   "cea7403d4d606b6e074ec5d3baf39d18"
                                   "d0d1c8a799996bf0265b98b5d48ab919";
  static const guint8 zeros[16];
  g_autoptr (TlSecret) key = tl_secret_new (32);
  g_autoptr (TlSecret) raw = secret_from_hex (sealed_hex);
  g_autoptr (GBytes) sealed = g_bytes_new (tl_secret_data (raw), tl_secret_length (raw));
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) opened = tl_aead_open (key, NULL, 0, sealed, &error);

  g_assert_no_error (error);
  g_assert_cmpmem (tl_secret_data (opened), tl_secret_length (opened), zeros, sizeof zeros);
}

static void
assert_not_opened (const TlSecret *key, const char *aad, const guint8 *data, gsize length)
{
  g_autoptr (GBytes) sealed = g_bytes_new (data, length);
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_aead_open (key, aad, strlen (aad), sealed, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
}

static void
test_aead_tamper (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (5);
  g_autoptr (TlSecret) key = tl_secret_new_copy ("0123456789abcdef0123456789abcdef", 32);
  g_autoptr (TlSecret) other = tl_secret_new_copy ("0123456789abcdef0123456789abcdeF", 32);
  g_autoptr (GBytes) sealed = tl_aead_seal (key, random, "aad", 3, "plain", 5);
  gsize length = g_bytes_get_size (sealed);
  g_autofree guint8 *data = g_memdup2 (g_bytes_get_data (sealed, NULL), length);

  for (gsize i = 0; i < length; i++)
    {
      data[i] ^= 0x80;
      assert_not_opened (key, "aad", data, length);
      data[i] ^= 0x80;
      assert_not_opened (key, "aad", data, i);
    }
  assert_not_opened (key, "aaD", data, length);
  assert_not_opened (key, "", data, length);
  assert_not_opened (other, "aad", data, length);
}

static void
test_openssl_error (void)
{
  g_autoptr (GError) error = NULL;

  ERR_clear_error ();
  ERR_raise (ERR_LIB_EC, EC_R_POINT_IS_NOT_ON_CURVE);
  tl_error_set_openssl (&error, TL_ERROR_INTERNAL, "cannot do it");
  g_assert_error (error, TL_ERROR, TL_ERROR_INTERNAL);
  g_assert_cmpstr (error->message, ==, "cannot do it: point is not on curve");
  g_assert_cmpuint (ERR_peek_error (), ==, 0);
}

/* Under a small-order key R = the neutral point, S = 0 is a signature of everything (OpenSSL accepts it). */
static void
test_ed25519_small_order (void)
{
  static const char *const keys[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  };
  guint8 signature[TL_ED25519_SIGNATURE_LENGTH] = { 1 };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      guint8 key[TL_ED25519_PUBLIC_LENGTH];
      char message[16];

      g_assert_true (tl_hex_decode (keys[i], key, sizeof key));
      for (guint n = 0; n < 64; n++) /* of order 8: one message in eight fits */
        {
          int length = g_snprintf (message, sizeof message, "message %u", n);
          g_assert_false (tl_ed25519_verify (key, sizeof key, message, (gsize)length, signature, sizeof signature));
        }
    }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/crypto/keys/x25519-vectors", test_x25519_vectors);
  g_test_add_func ("/crypto/keys/x25519-agreement", test_x25519_agreement);
  g_test_add_func ("/crypto/keys/x25519-refuses", test_x25519_refuses);
  g_test_add_func ("/crypto/keys/ed25519-vectors", test_ed25519_vectors);
  g_test_add_func ("/crypto/keys/ed25519-refuses", test_ed25519_refuses);
  g_test_add_func ("/crypto/keys/p256", test_p256);
  g_test_add_func ("/crypto/keys/p256-refuses", test_p256_refuses);
  g_test_add_func ("/crypto/keys/p256-explicit", test_p256_explicit);
  g_test_add_func ("/crypto/keys/aead", test_aead);
  g_test_add_func ("/crypto/keys/aead-format", test_aead_format);
  g_test_add_func ("/crypto/keys/aead-tamper", test_aead_tamper);
  g_test_add_func ("/crypto/keys/openssl-error", test_openssl_error);
  g_test_add_func ("/keys/ed25519/small-order", test_ed25519_small_order);
  return g_test_run ();
}
