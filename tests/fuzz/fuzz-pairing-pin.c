/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "pairing/tl-pairing-code.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

/* Any text as PIN and as token: no crash, no digit in a PIN's message, and what is accepted is canonical. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *)data, size);
  g_autoptr (TlSecret) token = tl_pairing_token_parse (text, NULL);
  g_autoptr (TlSecret) digits = NULL;
  g_autoptr (GError) error = NULL;
  guint slot = 0;

  if (tl_pairing_pin_parse (text, &slot, &digits, &error))
    {
      g_autofree char *formatted = tl_pairing_pin_format (slot, digits);
      g_autoptr (TlSecret) again = NULL;
      guint slot_again = 0;

      g_assert_true (tl_pairing_pin_parse (formatted, &slot_again, &again, NULL));
      g_assert_cmpuint (slot_again, ==, slot);
      g_assert_true (tl_secret_equal (again, digits));
    }
  else
    g_assert_null (strpbrk (error->message, "0123456789"));
  if (token != NULL)
    {
      g_autoptr (TlSecret) again = tl_pairing_token_parse ((const char *)tl_secret_data (token), NULL);

      g_assert_true (tl_secret_equal (again, token));
    }
  return 0;
}
