/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "pairing/tl-pairing-private.h"

#define SESSION_ID "01JD0000000000000000SESS10"

static TlPairingKeys *
make_keys (guint8 transcript_byte)
{
  g_autoptr (TlSecret) shared = tl_secret_new_copy ("0123456789abcdef0123456789abcdef", 32);
  g_autoptr (TlSecret) x = tl_secret_new_copy ("fedcba9876543210fedcba9876543210", 32);
  guint8 challenge[32] = { 1 };
  guint8 transcript_hash[32];

  memset (transcript_hash, transcript_byte, sizeof transcript_hash);
  return tl_pairing_keys_new (shared, x, challenge, SESSION_ID, transcript_hash);
}

static void
test_serialise (void)
{
  g_autoptr (TlPairingKeys) keys = make_keys (1);
  g_autoptr (TlSecret) value = tl_pairing_keys_serialise (keys);
  g_autoptr (TlPairingKeys) parsed = tl_pairing_keys_parse (value, NULL);
  g_autoptr (TlSecret) again = tl_pairing_keys_serialise (parsed);
  const guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH] = { 7 };
  guint8 mac[TL_PAIRING_MAC_LENGTH];

  g_assert_cmpuint (tl_secret_length (value), ==, TL_PAIRING_KEYS_LENGTH);
  g_assert_true (tl_secret_equal (value, again));
  tl_pairing_keys_mac_watch (keys, SESSION_ID, nonce, mac);
  g_assert_true (tl_pairing_keys_check_watch (parsed, SESSION_ID, nonce, mac));

  for (gsize length = 0; length <= 129; length += length == 126 ? 1 : 126)
    {
      g_autoptr (TlSecret) other = tl_secret_new (length);
      g_autoptr (GError) error = NULL;

      if (length == TL_PAIRING_KEYS_LENGTH)
        continue;
      g_assert_null (tl_pairing_keys_parse (other, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
    }
}

static void
test_keys_depend_on_everything (void)
{
  g_autoptr (TlSecret) shared = tl_secret_new_copy ("0123456789abcdef0123456789abcdef", 32);
  g_autoptr (TlSecret) x = tl_secret_new_copy ("fedcba9876543210fedcba9876543210", 32);
  guint8 challenge[32] = { 1 };
  guint8 other_challenge[32] = { 2 };
  guint8 hash[32] = { 3 };
  TlPairingKeys *variants[] = {
    tl_pairing_keys_new (shared, x, challenge, SESSION_ID, hash),
    tl_pairing_keys_new (x, x, challenge, SESSION_ID, hash),
    tl_pairing_keys_new (shared, shared, challenge, SESSION_ID, hash),
    tl_pairing_keys_new (shared, x, other_challenge, SESSION_ID, hash),
    tl_pairing_keys_new (shared, x, challenge, "01JD0000000000000000SESS11", hash),
  };

  for (gsize i = 0; i < G_N_ELEMENTS (variants); i++)
    {
      g_autoptr (TlSecret) a = tl_pairing_keys_serialise (variants[i]);

      /* Three different keys, one for each use. */
      g_assert_cmpint (memcmp (tl_secret_data (a), tl_secret_data (a) + 32, 32), !=, 0);
      g_assert_cmpint (memcmp (tl_secret_data (a) + 32, tl_secret_data (a) + 64, 32), !=, 0);
      for (gsize k = 0; k < i; k++)
        {
          g_autoptr (TlSecret) b = tl_pairing_keys_serialise (variants[k]);

          g_assert_cmpint (memcmp (tl_secret_data (a), tl_secret_data (b), 96), !=, 0);
        }
    }
  for (gsize i = 0; i < G_N_ELEMENTS (variants); i++)
    tl_pairing_keys_unref (variants[i]);
}

static void
test_directions (void)
{
  g_autoptr (TlPairingKeys) keys = make_keys (1);
  g_autoptr (TlPairingKeys) other_run = make_keys (2);
  guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH] = { 7 };
  guint8 mac[TL_PAIRING_MAC_LENGTH];

  tl_pairing_keys_mac_watch (keys, SESSION_ID, nonce, mac);
  g_assert_true (tl_pairing_keys_check_watch (keys, SESSION_ID, nonce, mac));
  g_assert_false (tl_pairing_keys_check_watch (other_run, SESSION_ID, nonce, mac));
  g_assert_false (tl_pairing_keys_check_watch (keys, "01JD0000000000000000SESS11", nonce, mac));
  mac[31] ^= 1;
  g_assert_false (tl_pairing_keys_check_watch (keys, SESSION_ID, nonce, mac));
  mac[31] ^= 1;
  nonce[0] ^= 1;
  g_assert_false (tl_pairing_keys_check_watch (keys, SESSION_ID, nonce, mac));
}

static void
test_comparison (void)
{
  static const char *const malformed[]
      = { "", " ", "12345", "1234567", "123 456 7", "12345a", "+12345", "12.345", "123456\n",
          /* FULLWIDTH and ARABIC-INDIC digits */
          "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x93\xef\xbc\x94\xef\xbc\x95\xef\xbc\x96",
          "\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4\xd9\xa5\xd9\xa6" };
  g_autoptr (TlPairingKeys) keys = make_keys (1);
  g_autoptr (TlPairingKeys) other_run = make_keys (2);
  guint8 nonce[TL_PAIRING_NONCE_LENGTH] = { 9 };
  guint8 other_nonce[TL_PAIRING_NONCE_LENGTH] = { 10 };
  char code[TL_PAIRING_COMPARISON_DIGITS + 1];
  g_autofree char *spaced = NULL;
  g_autofree char *dashed = NULL;
  g_autofree char *longer = NULL;
  g_autofree char *shorter = NULL;
  guint right = 0;

  tl_pairing_keys_comparison (keys, nonce, code);
  g_assert_cmpuint (strlen (code), ==, 6);
  g_assert_true (tl_pairing_keys_check_comparison (keys, nonce, code));
  g_assert_false (tl_pairing_keys_check_comparison (keys, other_nonce, code));
  g_assert_false (tl_pairing_keys_check_comparison (other_run, nonce, code));

  spaced = g_strdup_printf (" %.3s %s ", code, code + 3);
  dashed = g_strdup_printf ("%.3s-%s", code, code + 3);
  longer = g_strdup_printf ("%s0", code);
  shorter = g_strndup (code, 5);
  g_assert_true (tl_pairing_keys_check_comparison (keys, nonce, spaced));
  g_assert_true (tl_pairing_keys_check_comparison (keys, nonce, dashed));
  g_assert_false (tl_pairing_keys_check_comparison (keys, nonce, longer));
  g_assert_false (tl_pairing_keys_check_comparison (keys, nonce, shorter));
  for (gsize i = 0; i < G_N_ELEMENTS (malformed); i++)
    g_assert_false (tl_pairing_keys_check_comparison (keys, nonce, malformed[i]));

  /* Exactly one of a range of codes around it fits: every digit counts. */
  for (guint i = 0; i < 6; i++)
    {
      for (char d = '0'; d <= '9'; d++)
        {
          g_autofree char *guess = g_strdup (code);

          guess[i] = d;
          right += tl_pairing_keys_check_comparison (keys, nonce, guess) ? 1 : 0;
        }
    }
  g_assert_cmpuint (right, ==, 6);
}

static void
test_commitment (void)
{
  guint8 nonce[TL_PAIRING_NONCE_LENGTH] = { 1 };
  guint8 identity[32] = { 2 };
  guint8 first[32];
  guint8 second[32];

  tl_pairing_commitment (nonce, identity, first);
  nonce[31] ^= 1;
  tl_pairing_commitment (nonce, identity, second);
  g_assert_cmpint (memcmp (first, second, 32), !=, 0);
  nonce[31] ^= 1;
  identity[0] ^= 1;
  tl_pairing_commitment (nonce, identity, second);
  g_assert_cmpint (memcmp (first, second, 32), !=, 0);
}

static void
test_strings (void)
{
  g_assert_cmpstr (tl_client_kind_to_string (TL_CLIENT_NODE), ==, "node");
  g_assert_cmpstr (tl_client_kind_to_string (TL_CLIENT_DESKTOP), ==, "desktop");
  g_assert_cmpstr (tl_client_kind_to_string (TL_CLIENT_CLI), ==, "cli");
  g_assert_cmpstr (tl_pairing_state_to_string (TL_PAIRING_STATE_PENDING_APPROVAL), ==, "pending_approval");
  g_assert_cmpstr (tl_pairing_state_to_string (TL_PAIRING_STATE_APPROVED), ==, "approved");
  g_assert_cmpstr (tl_pairing_state_to_string (TL_PAIRING_STATE_REJECTED), ==, "rejected");
  g_assert_cmpstr (tl_pairing_state_to_string (TL_PAIRING_STATE_EXPIRED), ==, "expired");
  g_assert_cmpstr (tl_pairing_state_to_string (TL_PAIRING_STATE_COMPLETED), ==, "completed");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pairing-messages/3.2/keys-serialise", test_serialise);
  g_test_add_func ("/pairing-messages/3.2/commitment", test_commitment);
  g_test_add_func ("/pairing-messages/3.2/strings", test_strings);
  g_test_add_func ("/pairing-messages/3.3/keys-depend-on-everything", test_keys_depend_on_everything);
  g_test_add_func ("/pairing-messages/3.3/watch-mac", test_directions);
  g_test_add_func ("/pairing-messages/3.3/P-comparison-check", test_comparison);
  return g_test_run ();
}
