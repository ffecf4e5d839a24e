/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc-fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* PROTOCOL 3.4: connections without certificate, counted by walking our own sockets. */

#define PER_SOURCE 8
#define SETTLED_US (G_USEC_PER_SEC * 3 / 2) /* three walks: whoever is over a limit is gone by then */

/* A bare connection from 127.0.0.<host>: not even a handshake. */
static int
knock (Fixture *fixture, guint host)
{
  struct sockaddr_in from = { .sin_family = AF_INET };
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons (fixture->port) };
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  from.sin_addr.s_addr = htonl (0x7f000000u | host);
  to.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  g_assert_cmpint (bind (fd, (struct sockaddr *)&from, sizeof from), ==, 0);
  g_assert_cmpint (connect (fd, (struct sockaddr *)&to, sizeof to), ==, 0);
  return fd;
}

static gboolean
is_closed (int fd)
{
  char byte;
  gssize n;

  do
    n = recv (fd, &byte, 1, MSG_DONTWAIT);
  while (n > 0);
  return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

static void
close_all (int *fds, guint n)
{
  for (guint i = 0; i < n; i++)
    close (fds[i]);
}

static void
test_per_source (void)
{
  g_autoptr (Fixture) fixture = fixture_new (&(TlRpcServerOptions){ .handshake_timeout_ms = 60000 });
  int fds[PER_SOURCE + 1];
  int other;
  gint64 before_us = g_get_monotonic_time ();

  for (guint i = 0; i < PER_SOURCE; i++)
    fds[i] = knock (fixture, 1);
  wait_until (tl_rpc_server_stranger_count (fixture->server) == PER_SOURCE);
  fds[PER_SOURCE] = knock (fixture, 1);
  other = knock (fixture, 2);
  before_us = g_get_monotonic_time ();
  wait_until (is_closed (fds[PER_SOURCE]));
  g_assert_cmpint (g_get_monotonic_time () - before_us, <, G_USEC_PER_SEC);
  wait_until (tl_rpc_server_stranger_count (fixture->server) == PER_SOURCE + 1);
  for (guint i = 0; i < PER_SOURCE; i++)
    g_assert_false (is_closed (fds[i]));
  g_assert_false (is_closed (other));

  /* A place that becomes free is there for the next. */
  close (fds[0]);
  wait_until (tl_rpc_server_stranger_count (fixture->server) == PER_SOURCE);
  fds[0] = knock (fixture, 1);
  before_us = g_get_monotonic_time ();
  wait_until (g_get_monotonic_time () - before_us > SETTLED_US);
  g_assert_false (is_closed (fds[0]));
  close_all (fds, PER_SOURCE + 1);
  close (other);
}

static void
test_overall (void)
{
  g_autoptr (Fixture) fixture
      = fixture_new (&(TlRpcServerOptions){ .handshake_timeout_ms = 60000, .max_strangers = 3 });
  int fds[4];

  for (guint i = 0; i < 3; i++)
    fds[i] = knock (fixture, i + 1);
  wait_until (tl_rpc_server_stranger_count (fixture->server) == 3);
  fds[3] = knock (fixture, 4);
  wait_until (is_closed (fds[3]));
  for (guint i = 0; i < 3; i++)
    g_assert_false (is_closed (fds[i]));
  close_all (fds, 4);
}

/* A stranger's time is limited even while it has a call open; a device's is not, and it does not count. */
static void
test_lifetime (void)
{
  g_autoptr (Fixture) fixture = fixture_new (&(TlRpcServerOptions){ .stranger_lifetime_ms = 1500 });
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) stranger = fixture_stranger (fixture);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autoptr (Listener) strange_listener = listener_new (stranger, "/test/Hold", "x", 0);
  g_autoptr (Listener) listener = NULL;
  gint64 before_us = g_get_monotonic_time ();
  gint64 took_us;

  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  listener = listener_new (client, "/test/Watch", "x", 0);
  wait_until (fixture->held->len == 2);
  wait_until (strange_listener->closed > 0);
  took_us = g_get_monotonic_time () - before_us;
  g_assert_cmpint (took_us, >, 1400 * 1000);
  g_assert_cmpint (took_us, <, 3500 * 1000);
  g_assert_error (strange_listener->error, TL_ERROR, TL_ERROR_UNAVAILABLE);
  wait_until (tl_rpc_server_stranger_count (fixture->server) == 0);
  before_us = g_get_monotonic_time ();
  wait_until (g_get_monotonic_time () - before_us > SETTLED_US);
  g_assert_cmpuint (listener->closed, ==, 0);
  assert_call (client, "/test/Device");
  /* The stranger may come again. */
  assert_call (stranger, "/test/Echo");
}

/* Devices are admitted beside as many strangers as there may be. */
static void
test_devices_do_not_count (void)
{
  g_autoptr (Fixture) fixture
      = fixture_new (&(TlRpcServerOptions){ .handshake_timeout_ms = 60000, .max_strangers_per_source = 2 });
  Device *devices[4];
  TlRpcClient *clients[4];
  Listener *listeners[4];
  gint64 before_us;
  int fds[2];

  for (guint i = 0; i < 4; i++)
    {
      devices[i] = device_new (fixture->gateway, NULL);
      device_admit (devices[i], fixture->admitted, TL_ROLE_NODE, 0);
      clients[i] = fixture_client (fixture, devices[i]);
      listeners[i] = listener_new (clients[i], "/test/Watch", "x", 0);
      wait_until (fixture->held->len == i + 1);
    }
  fds[0] = knock (fixture, 1);
  fds[1] = knock (fixture, 1);
  wait_until (tl_rpc_server_stranger_count (fixture->server) == 2);
  before_us = g_get_monotonic_time ();
  wait_until (g_get_monotonic_time () - before_us > SETTLED_US);
  g_assert_false (is_closed (fds[0]) || is_closed (fds[1]));
  for (guint i = 0; i < 4; i++)
    {
      g_assert_cmpuint (listeners[i]->closed, ==, 0);
      listener_free (listeners[i]);
      tl_rpc_client_unref (clients[i]);
      device_free (devices[i]);
    }
  close_all (fds, 2);
}

static void
test_handshake_timeout (void)
{
  g_autoptr (Fixture) fixture = fixture_new (&(TlRpcServerOptions){ .handshake_timeout_ms = 400 });
  int fd = knock (fixture, 1);

  wait_until (is_closed (fd));
  close (fd);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rpc/strangers/per-source", test_per_source);
  g_test_add_func ("/rpc/strangers/overall", test_overall);
  g_test_add_func ("/rpc/strangers/lifetime", test_lifetime);
  g_test_add_func ("/rpc/strangers/devices-do-not-count", test_devices_do_not_count);
  g_test_add_func ("/rpc/strangers/handshake-timeout", test_handshake_timeout);
  return g_test_run ();
}
