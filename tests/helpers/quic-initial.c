/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <string.h>

#include "quic-initial.h"

#define PACKET_NUMBER 4 /* bytes of it */
#define TAG           16
#define VERSION       0x00000001u

/* RFC 9001, 5.2. */
static const guint8 initial_salt[20] = { 0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                         0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a };

typedef struct
{
  guint8 key[16], iv[12], hp[16];
} Keys;

/* ---- keys ---- */

static void
hkdf (int mode, const guint8 *salt, gsize salt_length, const guint8 *key, gsize key_length, const guint8 *info,
      gsize info_length, guint8 *out, gsize out_length)
{
  EVP_KDF *kdf = EVP_KDF_fetch (NULL, "HKDF", NULL);
  EVP_KDF_CTX *context = EVP_KDF_CTX_new (kdf);
  OSSL_PARAM parameters[6], *p = parameters;

  *p++ = OSSL_PARAM_construct_int (OSSL_KDF_PARAM_MODE, &mode);
  *p++ = OSSL_PARAM_construct_utf8_string (OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0);
  *p++ = OSSL_PARAM_construct_octet_string (OSSL_KDF_PARAM_KEY, (void *)key, key_length);
  if (salt != NULL)
    *p++ = OSSL_PARAM_construct_octet_string (OSSL_KDF_PARAM_SALT, (void *)salt, salt_length);
  if (info != NULL)
    *p++ = OSSL_PARAM_construct_octet_string (OSSL_KDF_PARAM_INFO, (void *)info, info_length);
  *p = OSSL_PARAM_construct_end ();
  if (EVP_KDF_derive (context, out, out_length, parameters) != 1)
    g_error ("HKDF failed");
  EVP_KDF_CTX_free (context);
  EVP_KDF_free (kdf);
}

/* RFC 8446, 7.1, with an empty context. */
static void
expand_label (const guint8 *secret, const char *label, guint8 *out, gsize length)
{
  guint8 info[64]
      = { (guint8)(length >> 8), (guint8)length, (guint8)(6 + strlen (label)), 't', 'l', 's', '1', '3', ' ' };

  memcpy (info + 9, label, strlen (label));
  hkdf (EVP_KDF_HKDF_MODE_EXPAND_ONLY, NULL, 0, secret, 32, info, 10 + strlen (label), out, length);
}

static void
derive (const QuicInitial *self, Keys *keys)
{
  guint8 secret[32], client[32];

  hkdf (EVP_KDF_HKDF_MODE_EXTRACT_ONLY, initial_salt, sizeof initial_salt, self->dcid, self->dcid_length, NULL, 0,
        secret, sizeof secret);
  expand_label (secret, "client in", client, sizeof client);
  expand_label (client, "quic key", keys->key, sizeof keys->key);
  expand_label (client, "quic iv", keys->iv, sizeof keys->iv);
  expand_label (client, "quic hp", keys->hp, sizeof keys->hp);
}

/* ---- what is in it ---- */

static void
put (GByteArray *out, gsize bytes, guint64 value)
{
  for (gsize i = 0; i < bytes; i++)
    g_byte_array_append (out, &(guint8){ (guint8)(value >> 8 * (bytes - 1 - i)) }, 1);
}

/* A variable-length integer of two bytes (RFC 9000, 16). */
static void
put_varint (GByteArray *out, guint value)
{
  put (out, 2, 0x4000u | value);
}

/* What is put after this and before end() is preceded by its length, `bytes` wide. */
static guint
begin (GByteArray *out, gsize bytes)
{
  put (out, bytes, 0);
  return out->len;
}

static void
end (GByteArray *out, guint from, gsize bytes)
{
  guint length = out->len - from;

  for (gsize i = 0; i < bytes; i++)
    out->data[from - bytes + i] = (guint8)(length >> 8 * (bytes - 1 - i));
}

static void
put_parameter (GByteArray *out, guint id, guint value)
{
  put (out, 1, id);
  put (out, 1, 4);
  put (out, 4, 0x80000000u | value);
}

static void
put_transport_parameters (GByteArray *out, const QuicInitial *self)
{
  put_parameter (out, 0x01, 30000);  /* max_idle_timeout */
  put_parameter (out, 0x04, 262144); /* initial_max_data */
  put_parameter (out, 0x05, 65536);  /* initial_max_stream_data_bidi_local */
  put_parameter (out, 0x08, 16);     /* initial_max_streams_bidi */
  put (out, 1, 0x0f);                /* initial_source_connection_id */
  put (out, 1, sizeof self->scid);
  g_byte_array_append (out, self->scid, sizeof self->scid);
}

static void
put_extensions (GByteArray *out, const QuicInitial *self)
{
  static const guint8 alpn[] = "\x0btwinlatch/1";
  guint8 share[32];
  guint inner, list, entry;

  RAND_bytes (share, sizeof share);
  put (out, 2, 43), put (out, 2, 3), put (out, 1, 2), put (out, 2, 0x0304); /* TLS 1.3 */
  put (out, 2, 10), put (out, 2, 4), put (out, 2, 2), put (out, 2, 0x001d); /* X25519 */
  put (out, 2, 13), put (out, 2, 8), put (out, 2, 6), put (out, 2, 0x0403), put (out, 2, 0x0804), put (out, 2, 0x0807);
  put (out, 2, 51), inner = begin (out, 2), list = begin (out, 2);
  put (out, 2, 0x001d), entry = begin (out, 2), g_byte_array_append (out, share, sizeof share), end (out, entry, 2);
  end (out, list, 2), end (out, inner, 2);
  put (out, 2, 16), inner = begin (out, 2), list = begin (out, 2);
  g_byte_array_append (out, alpn, sizeof alpn - 1), end (out, list, 2), end (out, inner, 2);
  put (out, 2, 57), inner = begin (out, 2), put_transport_parameters (out, self), end (out, inner, 2);
}

static void
put_client_hello (GByteArray *out, const QuicInitial *self)
{
  guint8 random[32];
  guint message, extensions;

  RAND_bytes (random, sizeof random);
  put (out, 1, 1), message = begin (out, 3);
  put (out, 2, 0x0303), g_byte_array_append (out, random, sizeof random);
  put (out, 1, 0);                       /* no session id */
  put (out, 2, 2), put (out, 2, 0x1301); /* TLS_AES_128_GCM_SHA256 */
  put (out, 1, 1), put (out, 1, 0);      /* no compression */
  extensions = begin (out, 2), put_extensions (out, self), end (out, extensions, 2);
  end (out, message, 3);
}

/* ---- protection ---- */

static void
encrypt (const Keys *keys, const guint8 *header, gsize header_length, const guint8 *plain, gsize length, guint8 *out)
{
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new ();
  int done = 0;

  /* The packet number is 0: the nonce is the IV. */
  if (EVP_EncryptInit_ex (context, EVP_aes_128_gcm (), NULL, keys->key, keys->iv) != 1
      || EVP_EncryptUpdate (context, NULL, &done, header, (int)header_length) != 1
      || EVP_EncryptUpdate (context, out, &done, plain, (int)length) != 1
      || EVP_EncryptFinal_ex (context, out + length, &done) != 1
      || EVP_CIPHER_CTX_ctrl (context, EVP_CTRL_GCM_GET_TAG, TAG, out + length) != 1)
    g_error ("AES-GCM failed");
  EVP_CIPHER_CTX_free (context);
}

/* RFC 9001, 5.4.3: the sample starts four bytes after the packet number's start. */
static void
protect_header (const Keys *keys, guint8 *packet, gsize number_offset)
{
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new ();
  guint8 mask[32];
  int done = 0;

  if (EVP_EncryptInit_ex (context, EVP_aes_128_ecb (), NULL, keys->hp, NULL) != 1
      || EVP_EncryptUpdate (context, mask, &done, packet + number_offset + 4, 16) != 1)
    g_error ("AES-ECB failed");
  packet[0] ^= mask[0] & 0x0f;
  for (gsize i = 0; i < PACKET_NUMBER; i++)
    packet[number_offset + i] ^= mask[1 + i];
  EVP_CIPHER_CTX_free (context);
}

void
quic_initial_init (QuicInitial *self)
{
  memset (self, 0, sizeof *self);
  self->dcid_length = QUIC_INITIAL_CID;
  RAND_bytes (self->dcid, (int)self->dcid_length);
  RAND_bytes (self->scid, sizeof self->scid);
}

void
quic_initial_seal (const QuicInitial *self, guint8 *out)
{
  g_autoptr (GByteArray) header = g_byte_array_new (), payload = g_byte_array_new ();
  gsize length, number_offset;
  guint hello;
  Keys keys;

  put (header, 1, 0xc0 | (PACKET_NUMBER - 1));
  put (header, 4, VERSION);
  put (header, 1, self->dcid_length), g_byte_array_append (header, self->dcid, (guint)self->dcid_length);
  put (header, 1, sizeof self->scid), g_byte_array_append (header, self->scid, sizeof self->scid);
  put_varint (header, (guint)self->token_length);
  if (self->token_length > 0)
    g_byte_array_append (header, self->token, (guint)self->token_length);
  length = QUIC_INITIAL_SIZE - header->len - 2;
  put_varint (header, (guint)length);
  number_offset = header->len;
  put (header, PACKET_NUMBER, 0);

  put (payload, 1, 0x06), put_varint (payload, 0); /* CRYPTO, from 0 */
  hello = begin (payload, 2), put_client_hello (payload, self);
  length = payload->len - hello;
  end (payload, hello, 2);
  payload->data[hello - 2] |= 0x40;
  length = payload->len;
  g_byte_array_set_size (payload, (guint)(QUIC_INITIAL_SIZE - header->len - TAG)); /* PADDING is zeros */
  memset (payload->data + length, 0, payload->len - length);

  derive (self, &keys);
  memcpy (out, header->data, header->len);
  encrypt (&keys, header->data, header->len, payload->data, payload->len, out + header->len);
  protect_header (&keys, out, number_offset);
}

gboolean
quic_retry_parse (const guint8 *packet, gsize length, QuicInitial *answer, guint8 *token)
{
  gsize at = 5, token_length;

  if (length < 7 || (packet[0] & 0xf0) != 0xf0)
    return FALSE;
  at += 1 + packet[at]; /* ours */
  if (at >= length || packet[at] > sizeof answer->dcid || at + 1 + packet[at] + TAG > length)
    return FALSE;
  token_length = length - at - 1 - packet[at] - TAG;
  if (token_length == 0 || token_length > QUIC_INITIAL_MAX_TOKEN)
    return FALSE;
  answer->dcid_length = packet[at];
  memcpy (answer->dcid, packet + at + 1, packet[at]);
  memcpy (token, packet + at + 1 + packet[at], token_length);
  answer->token = token;
  answer->token_length = token_length;
  return TRUE;
}
