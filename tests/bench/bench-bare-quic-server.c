/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/tl-error.h"
#include "bench-bare-quic.h"
#include "bench.h"

#define MAX_DATAGRAM 2048

/* The raw side of it: a thread that sends each datagram back. */
static gpointer
echo_datagrams (gpointer user_data)
{
  const int fd = GPOINTER_TO_INT (user_data);
  struct sockaddr_in remote;
  guint8 data[MAX_DATAGRAM];

  for (;;)
    {
      socklen_t remote_length = sizeof remote;
      ssize_t length = recvfrom (fd, data, sizeof data, 0, (struct sockaddr *)&remote, &remote_length);

      if (length > 0)
        (void)sendto (fd, data, (size_t)length, 0, (const struct sockaddr *)&remote, remote_length);
    }
  return NULL;
}

static gboolean
start_datagrams (guint16 *port, GError **error)
{
  struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof local;
  const int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  if (fd < 0 || bind (fd, (const struct sockaddr *)&local, length) != 0
      || getsockname (fd, (struct sockaddr *)&local, &length) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot echo datagrams: %s", g_strerror (errno));
      return FALSE;
    }
  *port = ntohs (local.sin_port);
  g_thread_unref (g_thread_new ("datagrams", echo_datagrams, GINT_TO_POINTER (fd)));
  return TRUE;
}

static BenchBareTls *
load_tls (const char *directory, gboolean verifies, GError **error)
{
  g_autofree char *chain_path = g_build_filename (directory, "chain.pem", NULL);
  g_autofree char *key_path = g_build_filename (directory, "key.pem", NULL);
  g_autofree char *roots_path = g_build_filename (directory, "roots.pem", NULL);
  g_autofree char *chain = NULL, *pem = NULL, *roots = NULL;
  gsize length = 0;
  g_autoptr (TlSecret) key = NULL;

  if (!g_file_get_contents (chain_path, &chain, NULL, error) || !g_file_get_contents (key_path, &pem, &length, error)
      || !g_file_get_contents (roots_path, &roots, NULL, error))
    return NULL;
  key = tl_secret_new_copy (pem, length);
  return bench_bare_tls_new (TRUE, chain, key, verifies ? roots : NULL, error);
}

static gboolean
serve (const char *directory, GError **error)
{
  g_autoptr (BenchBareTls) tls = load_tls (directory, FALSE, error);
  g_autoptr (BenchBareTls) chain_tls = tls != NULL ? load_tls (directory, TRUE, error) : NULL;
  g_autoptr (GMainLoop) main_loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (BenchBareEndpoint) endpoint = NULL, chain_endpoint = NULL;
  guint16 datagrams = 0;

  if (chain_tls == NULL || (endpoint = bench_bare_endpoint_new_server (tls, error)) == NULL
      || (chain_endpoint = bench_bare_endpoint_new_server (chain_tls, error)) == NULL
      || !start_datagrams (&datagrams, error))
    return FALSE;
  printf ("{\"ready\":true,\"quic\":%u,\"quic_chain\":%u,\"udp\":%u}\n", bench_bare_endpoint_port (endpoint),
          bench_bare_endpoint_port (chain_endpoint), datagrams);
  fflush (stdout);
  g_main_loop_run (main_loop); /* until SIGTERM */
  return TRUE;
}

int
bench_bare_quic_server_main (const char *directory)
{
  g_autoptr (GError) error = NULL;

  if (serve (directory, &error))
    return 0;
  g_printerr ("bare QUIC server: %s\n", error->message);
  return 1;
}
