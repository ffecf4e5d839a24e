/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <netinet/in.h>
#include <sys/socket.h>

G_BEGIN_DECLS

/*
 * Addresses of peers in one spelling, whether they come from gRPC ("ipv4:1.2.3.4:55", "ipv6:%5B::1%5D:55") or from the
 * kernel; IPv4 in IPv6 is IPv4. Thread: any.
 */
typedef struct
{
  struct in6_addr ip; /* IPv4 as ::ffff:a.b.c.d */
  guint16 port;
} TlRpcAddress;

/* What grpc_call_get_peer() gives; FALSE for anything but an IP address with port. */
gboolean tl_rpc_address_from_peer (const char *peer, TlRpcAddress *address);
gboolean tl_rpc_address_from_sockaddr (const struct sockaddr *name, socklen_t length, TlRpcAddress *address);
/* "0.0.0.0:7444", "[::1]:0": a literal and a port, as listeners are configured. */
gboolean tl_rpc_address_parse (const char *text, TlRpcAddress *address);
gboolean tl_rpc_address_is_ipv4 (const TlRpcAddress *address);
gboolean tl_rpc_address_equal (const TlRpcAddress *a, const TlRpcAddress *b);
/* "192.0.2.1:5555", "[2001:db8::1]:5555". g_free() */
char *tl_rpc_address_to_string (const TlRpcAddress *address);
/* "192.0.2.1", "2001:db8::/64": what limits count by. g_free() */
char *tl_rpc_address_to_source (const TlRpcAddress *address);

G_END_DECLS
