/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tl-hash.h"

#include <string.h>

#include "base/tl-error.h"

static GBytes *
from_hex (const char *text)
{
  gsize length = strlen (text) / 2;
  guint8 *data = g_malloc (length + 1);

  g_assert_true (tl_hex_decode (text, data, length));
  return g_bytes_new_take (data, length);
}

static const void *
data_of (GBytes *bytes)
{
  return g_bytes_get_data (bytes, NULL);
}

static void
assert_hex (const void *data, gsize length, const char *expected)
{
  g_autofree char *text = tl_hex_encode (data, length);

  g_assert_cmpstr (text, ==, expected);
}

static void
test_sha256 (void)
{
  guint8 digest[32];
  g_autofree char *fingerprint = tl_fingerprint ("abc", 3);

  tl_sha256 (NULL, 0, digest);
  assert_hex (digest, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  g_assert_cmpstr (fingerprint, ==, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 4231, test cases 1-4, 6 and 7. */
static void
test_hmac (void)
{
  static const char key_131[]
      = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
  static const struct
  {
    const char *key;
    const char *data;
    const char *mac;
  } vectors[] = {
    { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    { "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
    { "0102030405060708090a0b0c0d0e0f10111213141516171819",
      "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
    { key_131,
      "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
    { key_131,
      "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b657920616e64206"
      "1206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565647320746f2062652068617368"
      "6564206265666f7265206265696e6720757365642062792074686520484d414320616c676f726974686d2e",
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
  };
  guint8 mac[32];

  for (guint i = 0; i < G_N_ELEMENTS (vectors); i++)
    {
      g_autoptr (GBytes) key = from_hex (vectors[i].key);
      g_autoptr (GBytes) data = from_hex (vectors[i].data);

      tl_hmac_sha256 (data_of (key), g_bytes_get_size (key), data_of (data), g_bytes_get_size (data), mac);
      assert_hex (mac, 32, vectors[i].mac);
    }
  tl_hmac_sha256 (NULL, 0, NULL, 0, mac);
  assert_hex (mac, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* RFC 5869, A.1-A.3. */
static void
test_hkdf (void)
{
  static const struct
  {
    const char *ikm;
    const char *salt;
    const char *info;
    const char *okm;
  } vectors[] = {
    { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865" },
    { "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637"
      "38393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
      "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f9091929394959697"
      "98999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
      "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7"
      "e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8"
      "367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87" },
    { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (vectors); i++)
    {
      g_autoptr (GBytes) ikm = from_hex (vectors[i].ikm);
      g_autoptr (GBytes) salt = from_hex (vectors[i].salt);
      g_autoptr (GBytes) info = from_hex (vectors[i].info);
      g_autoptr (TlSecret) okm
          = tl_hkdf_sha256 (data_of (salt), g_bytes_get_size (salt), data_of (ikm), g_bytes_get_size (ikm),
                            data_of (info), g_bytes_get_size (info), strlen (vectors[i].okm) / 2);

      assert_hex (tl_secret_data (okm), tl_secret_length (okm), vectors[i].okm);
    }
}

static void
test_hkdf_edges (void)
{
  static const guint8 zeros[32];
  g_autofree char *info = g_strnfill (5000, 'i');
  g_autoptr (TlSecret) implicit = tl_hkdf_sha256 (NULL, 0, "k", 1, info, 5000, 255 * 32);
  g_autoptr (TlSecret) explicit_salt = tl_hkdf_sha256 (zeros, sizeof zeros, "k", 1, info, 5000, 255 * 32);
  g_autoptr (TlSecret) shorter = tl_hkdf_sha256 (NULL, 0, "k", 1, info, 5000, 33);
  g_autoptr (TlSecret) start = tl_secret_slice (implicit, 0, 33);

  g_assert_true (tl_secret_equal (implicit, explicit_salt));
  g_assert_true (tl_secret_equal (start, shorter));
}

/* RFC 7914 section 12, the vector with r = 8 and p = 1 that fits our limits. */
static void
test_scrypt (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) out = tl_scrypt ("pleaseletmein", 13, "SodiumChloride", 14, 16384, 8, 1, 64, &error);
  g_autoptr (TlSecret) greatest = NULL;
  g_autoptr (TlSecret) empty = NULL;

  g_assert_no_error (error);
  assert_hex (
      tl_secret_data (out), 64,
      "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651"
      "e40dfcf017b45575887");
  greatest = tl_scrypt ("p", 1, "s", 1, 131072, 8, 1, 80, &error);
  g_assert_no_error (error);
  g_assert_nonnull (greatest);
  empty = tl_scrypt (NULL, 0, NULL, 0, 2, 8, 1, 80, &error);
  g_assert_no_error (error);
  g_assert_nonnull (empty);
}

static void
test_scrypt_refuses (void)
{
  static const struct
  {
    guint64 n;
    guint32 r;
    guint32 p;
  } cases[] = { { 0, 8, 1 },      { 1, 8, 1 },           { 1023, 8, 1 },
                { 262144, 8, 1 }, { G_MAXUINT64, 8, 1 }, { (guint64)1 << 63, 8, 1 },
                { 1024, 1, 1 },   { 1024, 9, 1 },        { 1024, 8, 2 },
                { 1024, 8, 0 },   { 1024, 0, 1 } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (tl_scrypt ("p", 1, "s", 1, cases[i].n, cases[i].r, cases[i].p, 80, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
    }
}

static void
test_transcript (void)
{
  g_autoptr (TlTranscript) transcript = tl_transcript_new ("x");
  g_autoptr (TlTranscript) bare = tl_transcript_new_bare ();
  g_autoptr (GBytes) bytes = g_bytes_new ("ab", 2);
  g_autoptr (TlSecret) key = tl_secret_new_copy ("key", 3);
  static const char expected[] = "0d00000000000000"
                                 "7477696e6c617463682f312078"
                                 "0200000000000000"
                                 "6162"
                                 "0000000000000000"
                                 "0000000000000000"
                                 "0100000000000000"
                                 "63"
                                 "0800000000000000"
                                 "0201000000000000";
  guint8 digest[32];
  guint8 again[32];
  guint8 mac[32];
  gsize length;
  const guint8 *data;

  data = tl_transcript_data (bare, &length);
  g_assert_cmpuint (length, ==, 0);
  tl_transcript_add_bytes (transcript, bytes);
  tl_transcript_add_bytes (transcript, NULL);
  tl_transcript_add_string (transcript, NULL);
  tl_transcript_add_string (transcript, "c");
  tl_transcript_add_u64 (transcript, 0x102);
  data = tl_transcript_data (transcript, &length);
  assert_hex (data, length, expected);

  tl_transcript_hash (transcript, digest);
  tl_sha256 (data, length, again);
  g_assert_cmpmem (digest, 32, again, 32);
  tl_transcript_mac (transcript, key, mac);
  tl_hmac_sha256 ("key", 3, data, length, again);
  g_assert_cmpmem (mac, 32, again, 32);
  g_assert_true (tl_transcript_check_mac (transcript, key, mac, 32));
  g_assert_false (tl_transcript_check_mac (transcript, key, mac, 31));
  g_assert_false (tl_transcript_check_mac (transcript, key, NULL, 0));
  mac[31] ^= 1;
  g_assert_false (tl_transcript_check_mac (transcript, key, mac, 32));
}

static void
test_transcript_grows (void)
{
  g_autoptr (TlTranscript) transcript = tl_transcript_new_bare ();
  g_autofree char *field = g_strnfill (700, 'f');
  const guint8 *data;
  gsize length;

  for (guint i = 0; i < 20; i++)
    tl_transcript_add_string (transcript, field);
  data = tl_transcript_data (transcript, &length);
  g_assert_cmpuint (length, ==, 20 * 708);
  for (guint i = 0; i < 20; i++)
    {
      g_assert_cmphex (data[i * 708], ==, 700 & 0xff);
      g_assert_cmpmem (data + i * 708 + 8, 700, field, 700);
    }
}

static void
test_hex (void)
{
  guint8 data[2] = { 0xaa, 0xaa };

  g_assert_true (tl_hex_decode ("0fF0", data, 2));
  g_assert_cmphex (data[0], ==, 0x0f);
  g_assert_cmphex (data[1], ==, 0xf0);
  g_assert_false (tl_hex_decode ("0ff", data, 2));
  g_assert_false (tl_hex_decode ("0ff00", data, 2));
  g_assert_false (tl_hex_decode ("0fg0", data, 2));
  g_assert_false (tl_hex_decode (NULL, data, 2));
  g_assert_cmphex (data[0], ==, 0x0f);
}

/* RFC 4648 section 10, without padding. */
static void
test_base64url (void)
{
  static const char *const texts[] = { "", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy" };
  static const guint8 odd[] = { 0xfb, 0xff, 0xfe };
  guint8 data[16];

  for (gsize n = 0; n < G_N_ELEMENTS (texts); n++)
    {
      g_autofree char *text = tl_base64url_encode ("foobar", n);

      g_assert_cmpstr (text, ==, texts[n]);
      g_assert_true (tl_base64url_decode (text, data, n));
      g_assert_cmpmem (data, n, "foobar", n);
    }
  g_assert_true (tl_base64url_decode ("-__-", data, 3));
  g_assert_cmpmem (data, 3, odd, 3);
  g_assert_false (tl_base64url_decode ("Zg==", data, 1));
  g_assert_false (tl_base64url_decode ("Zh", data, 1)); /* filling bits */
  g_assert_false (tl_base64url_decode ("Zm9", data, 2));
  g_assert_false (tl_base64url_decode ("+//+", data, 3));
  g_assert_false (tl_base64url_decode ("Zm9v", data, 2));
  g_assert_false (tl_base64url_decode ("Zm9v", data, 4));
  g_assert_false (tl_base64url_decode (NULL, data, 3));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/crypto/hash/sha256", test_sha256);
  g_test_add_func ("/crypto/hash/hmac", test_hmac);
  g_test_add_func ("/crypto/hash/hkdf", test_hkdf);
  g_test_add_func ("/crypto/hash/hkdf-edges", test_hkdf_edges);
  g_test_add_func ("/crypto/hash/scrypt", test_scrypt);
  g_test_add_func ("/crypto/hash/scrypt-refuses", test_scrypt_refuses);
  g_test_add_func ("/crypto/hash/transcript", test_transcript);
  g_test_add_func ("/crypto/hash/transcript-grows", test_transcript_grows);
  g_test_add_func ("/crypto/hash/hex", test_hex);
  g_test_add_func ("/crypto/hash/base64url", test_base64url);
  return g_test_run ();
}
