/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "pairing/tl-pairing-link.h"

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

/* Any text: no crash, and what is accepted reads the same again after it was written down. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *)data, size);
  g_autoptr (TlPairingLink) link = tl_pairing_link_parse (text, NULL);
  g_autofree char *address = tl_address_normalise (text, 7444, NULL);

  (void)tl_pairing_link_is_link (text);
  (void)tl_pairing_name_check ("name", text, NULL);
  if (address != NULL)
    {
      g_autofree char *again = tl_address_normalise (address, 1, NULL);

      g_assert_cmpstr (again, ==, address);
    }
  if (link != NULL)
    {
      g_autoptr (TlSecret) formatted = tl_pairing_link_format (link);
      g_autoptr (GError) error = NULL;
      g_autoptr (TlPairingLink) again = tl_pairing_link_parse ((const char *)tl_secret_data (formatted), &error);

      g_assert_no_error (error);
      g_assert_cmpstr (tl_pairing_link_gateway_id (again), ==, tl_pairing_link_gateway_id (link));
      g_assert_cmpstr (tl_pairing_link_code_id (again), ==, tl_pairing_link_code_id (link));
      g_assert_true (tl_secret_equal (tl_pairing_link_token (again), tl_pairing_link_token (link)));
      g_assert_cmpmem (tl_pairing_link_ca_sha256 (again), 32, tl_pairing_link_ca_sha256 (link), 32);
      g_assert_true (g_strv_equal (tl_pairing_link_addresses (again), tl_pairing_link_addresses (link)));
      g_assert_cmpstr (tl_pairing_link_name (again), ==, tl_pairing_link_name (link));
    }
  return 0;
}
