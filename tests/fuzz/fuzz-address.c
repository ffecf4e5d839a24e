/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "pairing/tl-pairing-link.h"
#include "rpc/tl-rpc-address.h"

static void
look_at_peer (const TlRpcAddress *address)
{
  g_autofree char *text = tl_rpc_address_to_string (address);
  g_autofree char *source = tl_rpc_address_to_source (address);
  TlRpcAddress again;

  g_assert_true (tl_rpc_address_parse (text, &again));
  g_assert_true (tl_rpc_address_equal (address, &again));
  g_assert_true (tl_rpc_address_is_ipv4 (address) == tl_rpc_address_is_ipv4 (&again));
  g_assert_cmpint (source[0], !=, '\0');
}

/* Addresses as links, settings and people write them, and as gRPC and sockets name a peer. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *)data, size);
  g_autoptr (GError) error = NULL;
  g_autofree char *normal = tl_address_normalise (text, 7444, &error);
  TlRpcAddress address;

  fuzz_assert_answer (normal, error);
  if (normal != NULL)
    {
      g_autofree char *again = tl_address_normalise (normal, 1, NULL);

      g_assert_cmpstr (again, ==, normal);
      g_assert_true (g_str_is_ascii (normal));
    }
  if (tl_rpc_address_parse (text, &address))
    look_at_peer (&address);
  if (tl_rpc_address_from_peer (text, &address))
    look_at_peer (&address);
  return 0;
}
