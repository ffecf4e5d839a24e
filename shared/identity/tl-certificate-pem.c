/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "identity/tl-certificate-private.h"

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"
#define PEM_END   "-----END CERTIFICATE-----"

static int
base64_value (char c)
{
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  if (c == '+')
    return 62;
  return c == '/' ? 63 : -1;
}

/* Standard base64 with line breaks and padding (RFC 4648 section 4, filling bits zero). GLib's decoder skips what it
 * does not know; here that is an error. Returns the number of bytes, -1 when malformed or longer than size. */
static gssize
decode_base64 (const char *text, gsize length, guint8 *out, gsize size)
{
  guint32 bits = 0;
  guint n_bits = 0, n_characters = 0, n_padding = 0;
  gsize used = 0;

  for (gsize i = 0; i < length; i++)
    {
      if (text[i] == '\n' || text[i] == '\r' || text[i] == ' ' || text[i] == '\t')
        continue;
      if (text[i] == '=')
        {
          n_padding++;
          continue;
        }
      int value = base64_value (text[i]);
      if (value < 0 || n_padding > 0)
        return -1;
      n_characters++;
      bits = bits << 6 | (guint32)value;
      n_bits += 6;
      if (n_bits < 8)
        continue;
      if (used == size)
        return -1;
      n_bits -= 8;
      out[used++] = (guint8)(bits >> n_bits);
      bits &= (1u << n_bits) - 1;
    }
  if (n_padding > 2 || (n_characters + n_padding) % 4 != 0 || bits != 0)
    return -1;
  return (gssize)used;
}

TlPemResult
tl_pem_next_certificate (const char **cursor, gsize *left, GBytes **der)
{
  const char *begin = memmem (*cursor, *left, PEM_BEGIN, strlen (PEM_BEGIN));
  if (begin == NULL)
    return TL_PEM_END;

  const char *body = begin + strlen (PEM_BEGIN);
  gsize body_left = *left - (gsize)(body - *cursor);
  /* Twice the base64 length leaves room for any line breaks and bounds the scan. */
  gsize scan = MIN (body_left, (gsize)TL_CERTIFICATE_MAX_DER / 3 * 4 * 2 + strlen (PEM_END));
  const char *end = memmem (body, scan, PEM_END, strlen (PEM_END));
  if (end == NULL)
    return TL_PEM_MALFORMED;

  guint8 buffer[TL_CERTIFICATE_MAX_DER];
  gssize length = decode_base64 (body, (gsize)(end - body), buffer, sizeof buffer);
  if (length <= 0)
    return TL_PEM_MALFORMED;
  *left = body_left - (gsize)(end - body) - strlen (PEM_END);
  *cursor = end + strlen (PEM_END);
  *der = g_bytes_new (buffer, (gsize)length);
  return TL_PEM_FOUND;
}
