/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-ulid.h"

#include <string.h>

#define TIME_CHARACTERS 10
#define RANDOM_BYTES    10
#define MAX_TIME_MS     (((gint64)1 << 48) - 1)

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* Value of an upper-case character of the alphabet, -1 for any other. */
static int
digit_value (char c)
{
  const char *p = c != '\0' ? strchr (alphabet, c) : NULL;

  return p != NULL ? (int)(p - alphabet) : -1;
}

char *
tl_ulid_new (gint64 wall_ms, TlRandom *random)
{
  guint8 bytes[RANDOM_BYTES];
  g_autofree char *tail = NULL;
  char head[TIME_CHARACTERS + 1] = { 0 };

  g_assert (wall_ms >= 0 && wall_ms <= MAX_TIME_MS);

  for (int i = TIME_CHARACTERS - 1; i >= 0; i--)
    {
      head[i] = alphabet[wall_ms & 31];
      wall_ms >>= 5;
    }
  tl_random_bytes (random, bytes, sizeof bytes);
  tail = tl_base32_encode (bytes, sizeof bytes);
  return g_strconcat (head, tail, NULL);
}

gboolean
tl_ulid_is_valid (const char *text)
{
  if (text == NULL || strnlen (text, TL_ULID_LENGTH + 1) != TL_ULID_LENGTH || text[0] > '7')
    return FALSE;

  for (guint i = 0; i < TL_ULID_LENGTH; i++)
    {
      if (digit_value (text[i]) < 0)
        return FALSE;
    }
  return TRUE;
}

gint64
tl_ulid_time_ms (const char *text)
{
  gint64 time = 0;

  if (!tl_ulid_is_valid (text))
    return -1;
  for (guint i = 0; i < TIME_CHARACTERS; i++)
    time = time << 5 | digit_value (text[i]);
  return time;
}

gboolean
tl_ulid_has_prefix (const char *ulid, const char *prefix)
{
  gsize length = prefix != NULL ? strnlen (prefix, TL_ULID_LENGTH + 1) : 0;

  if (length < 1 || length > TL_ULID_LENGTH || !tl_ulid_is_valid (ulid))
    return FALSE;

  for (gsize i = 0; i < length; i++)
    {
      if (g_ascii_toupper (prefix[i]) != ulid[i])
        return FALSE;
    }
  return TRUE;
}

char *
tl_base32_encode (const guint8 *bytes, gsize length)
{
  gsize n = (length * 8 + 4) / 5;
  char *text = g_malloc (n + 1);
  guint32 buffer = 0;
  guint bits = 0;
  gsize out = 0;

  for (gsize i = 0; i < length; i++)
    {
      buffer = (buffer << 8 | bytes[i]) & 0xffff;
      for (bits += 8; bits >= 5; bits -= 5)
        text[out++] = alphabet[buffer >> (bits - 5) & 31];
    }
  if (bits > 0)
    text[out++] = alphabet[buffer << (5 - bits) & 31];
  g_assert (out == n);
  text[n] = '\0';
  return text;
}

/* What people type and print for the same digit (Crockford): I and L are 1, O is 0. */
static char
canonical_character (char c)
{
  c = g_ascii_toupper (c);
  if (c == 'I' || c == 'L')
    return '1';
  return c == 'O' ? '0' : c;
}

gboolean
tl_base32_decode (const char *text, guint8 *bytes, gsize length)
{
  g_autofree guint8 *decoded = g_malloc0 (length + 1);
  guint32 buffer = 0;
  guint bits = 0;
  gsize n_characters = 0;
  gsize out = 0;

  if (text == NULL)
    return FALSE;
  for (const char *p = text; *p != '\0'; p++)
    {
      int value;

      if (*p == '-')
        continue;
      value = digit_value (canonical_character (*p));
      if (value < 0 || ++n_characters > (length * 8 + 4) / 5)
        goto fail;
      buffer = (buffer << 5 | (guint32)value) & 0xffff;
      bits += 5;
      if (bits >= 8)
        {
          bits -= 8;
          decoded[out++] = (guint8)(buffer >> bits);
        }
    }
  if (out != length || n_characters != (length * 8 + 4) / 5 || (buffer & ((1u << bits) - 1)) != 0)
    goto fail;

  if (length > 0)
    memcpy (bytes, decoded, length);
  explicit_bzero (decoded, length);
  return TRUE;

fail:
  explicit_bzero (decoded, length);
  return FALSE;
}
