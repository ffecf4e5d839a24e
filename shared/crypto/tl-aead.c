/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/tl-error.h"
#include "crypto/tl-keys.h"

#define KEY_LENGTH      32
#define NONCE_LENGTH    12
#define TAG_LENGTH      16
#define OVERHEAD        ((gsize)NONCE_LENGTH + TAG_LENGTH)
#define MAX_PLAIN_BYTES ((gsize)1024 * 1024) /* what a TlSecret holds */

static gboolean
feed_aad (EVP_CIPHER_CTX *context, const void *aad, gsize aad_length)
{
  int n;

  return aad_length == 0 || EVP_CipherUpdate (context, NULL, &n, aad, (int)aad_length) == 1;
}

/* Encrypts or decrypts (as the context was set up) exactly `length` bytes. */
static gboolean
feed_text (EVP_CIPHER_CTX *context, guint8 *out, const void *in, gsize length)
{
  int n = 0;

  return length == 0 || (EVP_CipherUpdate (context, out, &n, in, (int)length) == 1 && (gsize)n == length);
}

GBytes *
tl_aead_seal (const TlSecret *key, TlRandom *random, const void *aad, gsize aad_length, const void *plain,
              gsize plain_length)
{
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new ();
  guint8 *sealed;
  int n = 0;

  g_assert (tl_secret_length (key) == KEY_LENGTH && plain_length <= MAX_PLAIN_BYTES && aad_length <= MAX_PLAIN_BYTES);

  sealed = g_malloc (plain_length + OVERHEAD);
  tl_random_bytes (random, sealed, NONCE_LENGTH);
  if (context == NULL || EVP_CipherInit_ex2 (context, EVP_aes_256_gcm (), tl_secret_data (key), sealed, 1, NULL) != 1
      || !feed_aad (context, aad, aad_length) || !feed_text (context, sealed + NONCE_LENGTH, plain, plain_length)
      || EVP_CipherFinal_ex (context, sealed + NONCE_LENGTH + plain_length, &n) != 1
      || EVP_CIPHER_CTX_ctrl (context, EVP_CTRL_AEAD_GET_TAG, TAG_LENGTH, sealed + NONCE_LENGTH + plain_length) != 1)
    g_error ("AES-256-GCM failed");
  EVP_CIPHER_CTX_free (context);
  return g_bytes_new_take (sealed, plain_length + OVERHEAD);
}

TlSecret *
tl_aead_open (const TlSecret *key, const void *aad, gsize aad_length, GBytes *sealed, GError **error)
{
  gsize length;
  const guint8 *data = g_bytes_get_data (sealed, &length);
  EVP_CIPHER_CTX *context;
  g_autoptr (TlSecret) plain = NULL;
  gsize plain_length;
  gboolean ok;
  int n = 0;

  g_assert (tl_secret_length (key) == KEY_LENGTH && aad_length <= MAX_PLAIN_BYTES);

  if (length < OVERHEAD || length - OVERHEAD > MAX_PLAIN_BYTES)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "the sealed data has an impossible length (%" G_GSIZE_FORMAT ")",
                   length);
      return NULL;
    }
  plain_length = length - OVERHEAD;
  plain = tl_secret_new (plain_length);
  context = EVP_CIPHER_CTX_new ();
  ok = context != NULL && EVP_CipherInit_ex2 (context, EVP_aes_256_gcm (), tl_secret_data (key), data, 0, NULL) == 1
       && feed_aad (context, aad, aad_length)
       && feed_text (context, tl_secret_data_mut (plain), data + NONCE_LENGTH, plain_length)
       && EVP_CIPHER_CTX_ctrl (context, EVP_CTRL_AEAD_SET_TAG, TAG_LENGTH, (void *)(data + length - TAG_LENGTH)) == 1
       && EVP_CipherFinal_ex (context, tl_secret_data_mut (plain) + plain_length, &n) == 1;
  EVP_CIPHER_CTX_free (context);
  ERR_clear_error ();
  if (!ok)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_CORRUPT, "the sealed data was changed or has another key");
      return NULL;
    }
  return g_steal_pointer (&plain);
}
