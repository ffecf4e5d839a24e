/* SPDX-License-Identifier: Apache-2.0 */
#include "pairing/tl-pairing-code.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"

#define KDF_SCRYPT       "scrypt"
#define KDF_HKDF         "hkdf-sha256"
#define SCRYPT_R         8
#define SCRYPT_P         1
#define PIN_TEXT_MAX     64 /* bytes typed, dashes and blanks included */
#define SLOT_DIGITS_MAX  3
#define TOKEN_CHARACTERS 26

TlPairingKdf
tl_pairing_kdf_for (TlPairingMethod method)
{
  if (method == TL_PAIRING_PIN)
    return (TlPairingKdf){ .name = KDF_SCRYPT, .n = TL_PAIRING_SCRYPT_N, .r = SCRYPT_R, .p = SCRYPT_P };
  return (TlPairingKdf){ .name = KDF_HKDF };
}

gboolean
tl_pairing_kdf_check (TlPairingMethod method, const char *name, guint32 n, guint32 r, guint32 p, TlPairingKdf *kdf,
                      GError **error)
{
  TlPairingKdf expected = tl_pairing_kdf_for (method);
  gboolean parameters_fit;

  if (g_strcmp0 (name, expected.name) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL,
                   "the gateway does not offer key derivation %s, which this kind of "
                   "pairing code demands",
                   expected.name);
      return FALSE;
    }

  /* Bounds both ways (PROTOCOL 3.3): a weak N would make a stolen record cheap to search, a huge one would exhaust us.
   */
  if (method == TL_PAIRING_PIN)
    parameters_fit = n >= TL_PAIRING_SCRYPT_N_MIN && n <= TL_PAIRING_SCRYPT_N_MAX && (n & (n - 1)) == 0 && r == SCRYPT_R
                     && p == SCRYPT_P;
  else
    parameters_fit = n == 0 && r == 0 && p == 0;
  if (!parameters_fit)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL,
                   "the gateway offers %s with parameters that are not accepted "
                   "(N %u, r %u, p %u)",
                   expected.name, n, r, p);
      return FALSE;
    }

  *kdf = (TlPairingKdf){ .name = expected.name, .n = n, .r = r, .p = p };
  return TRUE;
}

TlSecret *
tl_pairing_pin_generate (TlRandom *random)
{
  TlSecret *digits = tl_secret_new (TL_PAIRING_PIN_DIGITS);

  for (guint i = 0; i < TL_PAIRING_PIN_DIGITS; i++)
    tl_secret_data_mut (digits)[i] = (guint8)('0' + tl_random_below (random, 10));
  return digits;
}

char *
tl_pairing_pin_format (guint slot, const TlSecret *digits)
{
  const char *text = (const char *)tl_secret_data (digits);

  g_assert (slot >= 1 && slot <= TL_PAIRING_SLOT_MAX && tl_secret_length (digits) == TL_PAIRING_PIN_DIGITS);

  return g_strdup_printf ("%u-%.4s-%.4s", slot, text, text + 4);
}

static gboolean
is_dash_or_blank (gunichar c)
{
  GUnicodeType type = g_unichar_type (c);

  return c == '\t' || c == '\n' || c == '\r' || type == G_UNICODE_DASH_PUNCTUATION || type == G_UNICODE_SPACE_SEPARATOR;
}

/* Digits of the text into `digits` (room for one more than a PIN can have). The messages hold no digit at all, so that
 * none of the secret can get into a log (and "1" in a message cannot be mistaken for one). */
static gboolean
collect_pin_digits (const char *text, guint8 digits[SLOT_DIGITS_MAX + TL_PAIRING_PIN_DIGITS + 1], guint *n_digits,
                    GError **error)
{
  gsize length = strnlen (text, PIN_TEXT_MAX + 1);

  *n_digits = 0;
  if (length > PIN_TEXT_MAX || !g_utf8_validate (text, (gssize)length, NULL))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "pairing PIN: too long or not text; it has the form S-DDDD-DDDD");
      return FALSE;
    }
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    {
      if (g_ascii_isdigit (*p))
        {
          digits[(*n_digits)++] = (guint8)*p;
          if (*n_digits <= SLOT_DIGITS_MAX + TL_PAIRING_PIN_DIGITS)
            continue;
          g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                               "pairing PIN: too many digits; it has the form S-DDDD-DDDD");
          return FALSE;
        }
      if (!is_dash_or_blank (g_utf8_get_char (p)))
        {
          g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                               "pairing PIN: only digits, dashes and blanks may be in it; it has the form S-DDDD-DDDD");
          return FALSE;
        }
    }
  return TRUE;
}

gboolean
tl_pairing_pin_parse (const char *text, guint *slot, TlSecret **digits, GError **error)
{
  guint8 all[SLOT_DIGITS_MAX + TL_PAIRING_PIN_DIGITS + 1] = { 0 };
  const char *fault = NULL;
  guint n_digits;
  guint number = 0;
  gboolean collected;

  collected = collect_pin_digits (text, all, &n_digits, error);
  if (collected)
    {
      for (guint i = 0; i + TL_PAIRING_PIN_DIGITS < n_digits; i++)
        number = number * 10 + all[i] - '0';
      if (n_digits < TL_PAIRING_PIN_DIGITS)
        fault = "pairing PIN: digits are missing; it has the form S-DDDD-DDDD";
      else if (n_digits == TL_PAIRING_PIN_DIGITS)
        fault = "pairing PIN: the slot is missing, the number in front of the last eight digits";
      else if (number == 0)
        fault = "pairing PIN: the slot, the number in front of the last eight digits, may not be zero";
      if (fault != NULL)
        g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, fault);
    }
  if (collected && fault == NULL)
    {
      *slot = number;
      *digits = tl_secret_new_copy (all + n_digits - TL_PAIRING_PIN_DIGITS, TL_PAIRING_PIN_DIGITS);
    }
  tl_wipe (all, sizeof all);
  return collected && fault == NULL;
}

static TlSecret *
token_from_bytes (guint8 bytes[TL_PAIRING_TOKEN_LENGTH])
{
  char *text = tl_base32_encode (bytes, TL_PAIRING_TOKEN_LENGTH);
  TlSecret *token = tl_secret_new_copy (text, TOKEN_CHARACTERS);

  tl_wipe_string (text);
  tl_wipe (bytes, TL_PAIRING_TOKEN_LENGTH);
  return token;
}

TlSecret *
tl_pairing_token_generate (TlRandom *random)
{
  guint8 bytes[TL_PAIRING_TOKEN_LENGTH];

  tl_random_bytes (random, bytes, sizeof bytes);
  return token_from_bytes (bytes);
}

TlSecret *
tl_pairing_token_parse (const char *text, GError **error)
{
  guint8 bytes[TL_PAIRING_TOKEN_LENGTH];

  /* The decoder skips dashes; with the exact length asked for first, one takes the place of a character and fails. */
  if (strnlen (text, TOKEN_CHARACTERS + 1) != TOKEN_CHARACTERS || !tl_base32_decode (text, bytes, sizeof bytes))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "pairing token: not %d characters of Crockford base32",
                   TOKEN_CHARACTERS);
      return NULL;
    }
  return token_from_bytes (bytes);
}

gboolean
tl_pairing_derive (const TlSecret *secret, const TlPairingKdf *kdf, const guint8 salt[TL_PAIRING_SALT_LENGTH],
                   const char *gateway_id, TlSecret **w0, TlSecret **w1, GError **error)
{
  g_autoptr (TlTranscript) input = tl_transcript_new_bare ();
  g_autoptr (TlSecret) output = NULL;
  const guint8 *data;
  gsize length;

  /* The middle field is idProver, unknown when the code is minted (crypto/spake2plus.md 6). */
  tl_transcript_add (input, tl_secret_data (secret), tl_secret_length (secret));
  tl_transcript_add (input, "", 0);
  tl_transcript_add_string (input, gateway_id);
  data = tl_transcript_data (input, &length);

  if (g_str_equal (kdf->name, KDF_SCRYPT))
    output = tl_scrypt (data, length, salt, TL_PAIRING_SALT_LENGTH, kdf->n, kdf->r, kdf->p, TL_SPAKE2PLUS_KDF_LENGTH,
                        error);
  else
    {
      g_autoptr (TlTranscript) info = tl_transcript_new ("token");
      gsize info_length;
      const guint8 *info_data = tl_transcript_data (info, &info_length);

      output = tl_hkdf_sha256 (salt, TL_PAIRING_SALT_LENGTH, data, length, info_data, info_length,
                               TL_SPAKE2PLUS_KDF_LENGTH);
    }
  return output != NULL && tl_spake2plus_derive_scalars (output, w0, w1, error);
}

TlPairingVerifier *
tl_pairing_verifier_new (TlPairingMethod method, const TlSecret *secret, const char *gateway_id, TlRandom *random,
                         GError **error)
{
  g_autoptr (TlPairingVerifier) verifier = g_new0 (TlPairingVerifier, 1);
  g_autoptr (TlSecret) w1 = NULL;

  verifier->kdf = tl_pairing_kdf_for (method);
  tl_random_bytes (random, verifier->salt, sizeof verifier->salt);
  if (!tl_pairing_derive (secret, &verifier->kdf, verifier->salt, gateway_id, &verifier->w0, &w1, error)
      || !tl_spake2plus_derive_point (w1, verifier->point, error))
    return NULL;
  return g_steal_pointer (&verifier);
}

void
tl_pairing_verifier_free (TlPairingVerifier *verifier)
{
  if (verifier == NULL)
    return;
  g_clear_pointer (&verifier->w0, tl_secret_unref);
  tl_wipe (verifier, sizeof *verifier);
  g_free (verifier);
}
