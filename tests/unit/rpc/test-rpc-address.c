/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tl-rpc-address.h"

static void
assert_peer (const char *peer, const char *text, const char *source)
{
  TlRpcAddress address;
  g_autofree char *string = NULL;
  g_autofree char *key = NULL;

  g_assert_true (tl_rpc_address_from_peer (peer, &address));
  string = tl_rpc_address_to_string (&address);
  key = tl_rpc_address_to_source (&address);
  g_assert_cmpstr (string, ==, text);
  g_assert_cmpstr (key, ==, source);
}

static void
test_peer (void)
{
  assert_peer ("ipv4:192.0.2.1:5555", "192.0.2.1:5555", "192.0.2.1");
  assert_peer ("ipv6:%5B::1%5D:55", "[::1]:55", "::/64");
  assert_peer ("ipv6:[2001:db8:1:2:3:4:5:6]:65535", "[2001:db8:1:2:3:4:5:6]:65535", "2001:db8:1:2::/64");
  assert_peer ("ipv6:%5B::ffff:192.0.2.1%5D:7", "192.0.2.1:7", "192.0.2.1");
  assert_peer ("ipv6:%5Bfe80::1%25eth0%5D:7", "[fe80::1]:7", "fe80::/64");
}

static void
test_malformed (void)
{
  static const char *const texts[] = {
    "",
    "ipv4:",
    "ipv4:1.2.3.4",
    "ipv4:1.2.3.4:",
    "ipv4:1.2.3.4:65536",
    "ipv4:1.2.3.4:-1",
    "ipv4:1.2.3:5",
    "ipv6:::1:5",
    "ipv6:[::1:5",
    "ipv6:[]:5",
    "unix:/run/x",
    "fd:7",
    "ipv6:%5B::1%5D",
    "ipv6:%ZZ",
    "ipv4:host:5",
  };
  TlRpcAddress address;

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    g_assert_false (tl_rpc_address_from_peer (texts[i], &address));
}

static void
test_sockaddr (void)
{
  struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_port = htons (80) };
  struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons (80) };
  TlRpcAddress mapped;
  TlRpcAddress plain;

  name.sin6_addr.s6_addr[10] = name.sin6_addr.s6_addr[11] = 0xff;
  name.sin6_addr.s6_addr[12] = 127;
  name.sin6_addr.s6_addr[15] = 1;
  v4.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  g_assert_true (tl_rpc_address_from_sockaddr ((struct sockaddr *)&name, sizeof name, &mapped));
  g_assert_true (tl_rpc_address_from_sockaddr ((struct sockaddr *)&v4, sizeof v4, &plain));
  g_assert_true (tl_rpc_address_equal (&mapped, &plain));
  g_assert_true (tl_rpc_address_is_ipv4 (&mapped));
  g_assert_false (tl_rpc_address_from_sockaddr ((struct sockaddr *)&name, sizeof v4, &mapped));
  name.sin6_family = AF_UNIX;
  g_assert_false (tl_rpc_address_from_sockaddr ((struct sockaddr *)&name, sizeof name, &mapped));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rpc/address/peer", test_peer);
  g_test_add_func ("/rpc/address/malformed", test_malformed);
  g_test_add_func ("/rpc/address/sockaddr", test_sockaddr);
  return g_test_run ();
}
