/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "pairing/tl-pairing-code.h"

static void
test_pin_forms (void)
{
  static const struct
  {
    const char *text;
    guint slot;
    const char *digits;
  } good[] = {
    { "7-0123-4567", 7, "01234567" },
    { "701234567", 7, "01234567" },
    { " 7 0123 4567\n", 7, "01234567" },
    { "7 - 0123 - 4567", 7, "01234567" },
    { "7\t01-23-45-67", 7, "01234567" },
    { "999-0000-0000", 999, "00000000" },
    { "007-0123-4567", 7, "01234567" },
    { "1-9999-9999", 1, "99999999" },
    /* Typeset: en dash and no-break space. */
    { "7\xe2\x80\x93"
      "0123\xc2\xa0"
      "4567",
      7, "01234567" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (TlSecret) digits = NULL;
      guint slot = 0;

      tl_pairing_pin_parse (good[i].text, &slot, &digits, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (slot, ==, good[i].slot);
      g_assert_cmpuint (tl_secret_length (digits), ==, TL_PAIRING_PIN_DIGITS);
      g_assert_cmpmem (tl_secret_data (digits), 8, good[i].digits, 8);
    }
}

static void
test_pin_refused (void)
{
  static const struct
  {
    const char *text;
    const char *part; /* named in the message */
  } bad[] = {
    { "", "missing" },
    { "7", "missing" },
    { "123-4567", "missing" },
    { "9876-5432", "slot" },
    { "0-9876-5432", "slot" },
    { "000-9876-5432", "slot" },
    { "1000-9876-5432", "too many" },
    { "0007-9876-5432", "too many" },
    { "7-9876-543a", "only digits" },
    { "7-9876-543O", "only digits" },
    { "7_9876_5432", "only digits" },
    { "7+9876+5432", "only digits" },
    /* FULLWIDTH DIGIT ONE is a digit to Unicode, not here. */
    { "7-9876-543\xef\xbc\x91", "only digits" },
    { "7-9876-543\xff", "not text" },
    { "7-9876-5432                                                         ", "too long" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      TlSecret *digits = NULL;
      guint slot = 4711;

      g_assert_false (tl_pairing_pin_parse (bad[i].text, &slot, &digits, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      g_assert_nonnull (strstr (error->message, bad[i].part));
      g_assert_null (digits);
      g_assert_cmpuint (slot, ==, 4711);
      /* None of the digits typed, in fact no digit at all: messages end up in logs. */
      g_assert_null (strpbrk (error->message, "0123456789"));
    }
}

static void
test_pin_generate (void)
{
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  guint counts[TL_PAIRING_PIN_DIGITS][10] = { 0 };
  const guint rounds = 5000;

  for (guint i = 0; i < rounds; i++)
    {
      g_autoptr (TlSecret) digits = tl_pairing_pin_generate (random);

      g_assert_cmpuint (tl_secret_length (digits), ==, TL_PAIRING_PIN_DIGITS);
      for (guint k = 0; k < TL_PAIRING_PIN_DIGITS; k++)
        {
          g_assert_true (g_ascii_isdigit (tl_secret_data (digits)[k]));
          counts[k][tl_secret_data (digits)[k] - '0']++;
        }
    }
  /* 500 expected, standard deviation 21: five of them either way. */
  for (guint k = 0; k < TL_PAIRING_PIN_DIGITS; k++)
    {
      for (guint d = 0; d < 10; d++)
        {
          g_assert_cmpuint (counts[k][d], >, 390);
          g_assert_cmpuint (counts[k][d], <, 610);
        }
    }
}

static void
test_pin_format (void)
{
  g_autoptr (TlSecret) digits = tl_secret_new_copy ("01234567", 8);
  g_autoptr (TlSecret) parsed = NULL;
  char *text = tl_pairing_pin_format (42, digits);
  guint slot;

  g_assert_cmpstr (text, ==, "42-0123-4567");
  g_assert_true (tl_pairing_pin_parse (text, &slot, &parsed, NULL));
  g_assert_cmpuint (slot, ==, 42);
  g_assert_true (tl_secret_equal (parsed, digits));
  tl_wipe_string (text);
}

static void
test_token (void)
{
  static const char *const bad[] = { "",
                                     "0123456789ABCDEFGHJKMNPQR",
                                     "0123456789ABCDEFGHJKMNPQRWW",
                                     "0123456789ABCDEFGHJKMNPQUW",
                                     "0123456789ABCDEFGHJKMNPQR-W",
                                     "0123456789ABCDEFGHJKMNP-RW",
                                     "0123456789ABCDEFGHJKMNPQRX", /* filling bits are not zero */
                                     "0123456789ABCDEFGHJKMNPQR W" };
  g_autoptr (TlSecret) canonical = tl_pairing_token_parse ("oI23456789abcdefghjkmnpqrw", NULL);
  g_autoptr (TlSecret) with_l = tl_pairing_token_parse ("OL23456789ABCDEFGHJKMNPQRW", NULL);
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  g_autoptr (TlSecret) generated = tl_pairing_token_generate (random);
  g_autoptr (TlSecret) second = tl_pairing_token_generate (random);
  g_autoptr (TlSecret) parsed = tl_pairing_token_parse ((const char *)tl_secret_data (generated), NULL);

  g_assert_cmpmem (tl_secret_data (canonical), tl_secret_length (canonical), "0123456789ABCDEFGHJKMNPQRW", 26);
  g_assert_true (tl_secret_equal (canonical, with_l));
  g_assert_true (tl_secret_equal (generated, parsed));
  g_assert_false (tl_secret_equal (generated, second));

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (tl_pairing_token_parse (bad[i], &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
    }
}

static void
test_kdf_rule (void)
{
  static const struct
  {
    TlPairingMethod method;
    const char *name;
    guint32 n, r, p;
    gboolean accepted;
  } cases[] = {
    { TL_PAIRING_PIN, "scrypt", 32768, 8, 1, TRUE },    { TL_PAIRING_PIN, "scrypt", 16384, 8, 1, TRUE },
    { TL_PAIRING_PIN, "scrypt", 131072, 8, 1, TRUE },   { TL_PAIRING_PIN, "scrypt", 8192, 8, 1, FALSE },
    { TL_PAIRING_PIN, "scrypt", 262144, 8, 1, FALSE },  { TL_PAIRING_PIN, "scrypt", 32767, 8, 1, FALSE },
    { TL_PAIRING_PIN, "scrypt", 49152, 8, 1, FALSE },   { TL_PAIRING_PIN, "scrypt", 0, 0, 0, FALSE },
    { TL_PAIRING_PIN, "scrypt", 32768, 7, 1, FALSE },   { TL_PAIRING_PIN, "scrypt", 32768, 16, 1, FALSE },
    { TL_PAIRING_PIN, "scrypt", 32768, 8, 0, FALSE },   { TL_PAIRING_PIN, "scrypt", 32768, 8, 2, FALSE },
    { TL_PAIRING_PIN, "Scrypt", 32768, 8, 1, FALSE },   { TL_PAIRING_PIN, "", 32768, 8, 1, FALSE },
    { TL_PAIRING_PIN, NULL, 32768, 8, 1, FALSE },       { TL_PAIRING_PIN, "hkdf-sha256", 0, 0, 0, FALSE },
    { TL_PAIRING_LINK, "hkdf-sha256", 0, 0, 0, TRUE },  { TL_PAIRING_LINK, "hkdf-sha256", 1, 0, 0, FALSE },
    { TL_PAIRING_LINK, "hkdf-sha256", 0, 8, 0, FALSE }, { TL_PAIRING_LINK, "hkdf-sha256", 0, 0, 1, FALSE },
    { TL_PAIRING_LINK, "hkdf-sha512", 0, 0, 0, FALSE }, { TL_PAIRING_LINK, "scrypt", 32768, 8, 1, FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      TlPairingKdf kdf = { 0 };
      gboolean accepted
          = tl_pairing_kdf_check (cases[i].method, cases[i].name, cases[i].n, cases[i].r, cases[i].p, &kdf, &error);

      g_assert_cmpint (accepted, ==, cases[i].accepted);
      if (accepted)
        {
          g_assert_cmpstr (kdf.name, ==, cases[i].name);
          g_assert_cmpuint (kdf.n, ==, cases[i].n);
        }
      else
        {
          g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
          g_assert_null (kdf.name);
        }
    }
}

static void
test_verifier (void)
{
  g_autoptr (TlSecret) token = tl_secret_new_copy ("0123456789ABCDEFGHJKMNPQRW", 26);
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  g_autoptr (TlPairingVerifier) verifier = NULL;
  g_autoptr (TlPairingVerifier) second = NULL;
  g_autoptr (TlSecret) w0 = NULL;
  g_autoptr (TlSecret) w1 = NULL;
  g_autoptr (TlSecret) other_w0 = NULL;
  g_autoptr (TlSecret) other_w1 = NULL;
  guint8 point[TL_SPAKE2PLUS_POINT_LENGTH];

  verifier = tl_pairing_verifier_new (TL_PAIRING_LINK, token, "01JD0000000000000000GATEWA", random, NULL);
  second = tl_pairing_verifier_new (TL_PAIRING_LINK, token, "01JD0000000000000000GATEWA", random, NULL);
  g_assert_nonnull (verifier);
  /* A salt for each code: the same token twice has nothing in common. */
  g_assert_cmpint (memcmp (verifier->salt, second->salt, sizeof verifier->salt), !=, 0);
  g_assert_false (tl_secret_equal (verifier->w0, second->w0));

  g_assert_true (
      tl_pairing_derive (token, &verifier->kdf, verifier->salt, "01JD0000000000000000GATEWA", &w0, &w1, NULL));
  g_assert_true (tl_secret_equal (w0, verifier->w0));
  g_assert_true (tl_spake2plus_derive_point (w1, point, NULL));
  g_assert_cmpmem (point, sizeof point, verifier->point, sizeof verifier->point);
  /* The gateway's id is in it: a code of one gateway is none at another. */
  g_assert_true (tl_pairing_derive (token, &verifier->kdf, verifier->salt, "01JD0000000000000000GATEWB", &other_w0,
                                    &other_w1, NULL));
  g_assert_false (tl_secret_equal (other_w0, w0));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pairing-code/3.1/pin-forms", test_pin_forms);
  g_test_add_func ("/pairing-code/3.1/pin-refused-without-repeating-digits", test_pin_refused);
  g_test_add_func ("/pairing-code/3.1/pin-generate", test_pin_generate);
  g_test_add_func ("/pairing-code/3.1/pin-format", test_pin_format);
  g_test_add_func ("/pairing-code/3.1/token", test_token);
  g_test_add_func ("/pairing-code/3.3/kdf-rule", test_kdf_rule);
  g_test_add_func ("/pairing-code/3.3/verifier", test_verifier);
  return g_test_run ();
}
