/* SPDX-License-Identifier: Apache-2.0 */
#include "quic-raw.h"

#include <arpa/inet.h>
#include <unistd.h>

QuicRaw *
quic_raw_new (const char *server)
{
  QuicRaw *raw = g_new0 (QuicRaw, 1);
  struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof local;
  TlQuicAddress remote;

  raw->fd = socket (AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  g_assert_cmpint (raw->fd, >=, 0);
  g_assert_cmpint (bind (raw->fd, (struct sockaddr *)&local, length), ==, 0);
  g_assert_cmpint (getsockname (raw->fd, (struct sockaddr *)&local, &length), ==, 0);
  raw->port = ntohs (local.sin_port);
  if (server != NULL)
    {
      g_assert_true (tl_quic_address_parse (server, &remote, NULL));
      g_assert_cmpint (connect (raw->fd, &remote.address.sa, remote.length), ==, 0);
    }
  return raw;
}

void
quic_raw_free (QuicRaw *raw)
{
  close (raw->fd);
  g_free (raw);
}

char *
quic_raw_address (QuicRaw *raw)
{
  return g_strdup_printf ("127.0.0.1:%u", raw->port);
}

void
quic_raw_send (QuicRaw *raw, const void *data, gsize length)
{
  g_assert_cmpint (send (raw->fd, data, length, 0), ==, (gssize)length);
}

GBytes *
quic_raw_receive (QuicRaw *raw)
{
  guint8 buffer[65536];
  struct sockaddr_in from;
  socklen_t from_length = sizeof from;
  gssize n = recvfrom (raw->fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &from_length);

  if (n < 0)
    return NULL;
  /* Answers go to whoever spoke last; fails when it is connected already. */
  (void)!connect (raw->fd, (struct sockaddr *)&from, from_length);
  return g_bytes_new (buffer, (gsize)n);
}

GBytes *
quic_raw_wait (QuicRaw *raw)
{
  GBytes *bytes;

  quic_wait ((bytes = quic_raw_receive (raw)) != NULL);
  return bytes;
}

GBytes *
quic_raw_capture_initial (QuicWorld *world)
{
  g_autoptr (QuicRaw) raw = quic_raw_new (NULL);
  g_autofree char *address = quic_raw_address (raw);

  quic_world_connect (world, address);
  return quic_raw_wait (raw);
}

QuicRelay *
quic_relay_new (QuicWorld *world)
{
  QuicRelay *relay = g_new0 (QuicRelay, 1);

  relay->front = quic_raw_new (NULL);
  relay->back = quic_raw_new (world->address);
  relay->from_client = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  return relay;
}

void
quic_relay_free (QuicRelay *relay)
{
  quic_raw_free (relay->front);
  quic_raw_free (relay->back);
  g_ptr_array_unref (relay->from_client);
  g_free (relay);
}

static void
carry (QuicRelay *relay, QuicRaw *to, GBytes *bytes)
{
  relay->n_carried++;
  if (relay->drop_every != 0 && relay->n_carried % relay->drop_every == 0)
    relay->n_dropped++;
  else
    quic_raw_send (to, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

void
quic_relay_turn (QuicRelay *relay)
{
  GBytes *bytes;

  while ((bytes = quic_raw_receive (relay->front)) != NULL)
    {
      g_ptr_array_add (relay->from_client, bytes);
      carry (relay, relay->back, bytes);
    }
  while ((bytes = quic_raw_receive (relay->back)) != NULL)
    {
      carry (relay, relay->front, bytes);
      g_bytes_unref (bytes);
    }
}
