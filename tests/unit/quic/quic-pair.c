/* SPDX-License-Identifier: Apache-2.0 */
#include "quic-pair.h"

#define MAX_ROUNDS 200

static QuicPair *
pair_new (TlQuicTls *client, const QuicStrange *strange_client, TlQuicTls *server, const QuicStrange *strange_server)
{
  g_autoptr (QuicPair) pair = g_new0 (QuicPair, 1);

  if (!quic_side_init (&pair->client, FALSE, client, strange_client)
      || !quic_side_init (&pair->server, TRUE, server, strange_server))
    return NULL;
  return g_steal_pointer (&pair);
}

QuicPair *
quic_pair_new (TlQuicTls *client, TlQuicTls *server)
{
  return pair_new (client, NULL, server, NULL);
}

QuicPair *
quic_pair_new_strange_client (const QuicStrange *client, TlQuicTls *server)
{
  return pair_new (NULL, client, server, NULL);
}

QuicPair *
quic_pair_new_strange_server (TlQuicTls *client, const QuicStrange *server)
{
  return pair_new (client, NULL, NULL, server);
}

void
quic_pair_free (QuicPair *pair)
{
  if (pair == NULL)
    return;
  quic_side_clear (&pair->client);
  quic_side_clear (&pair->server);
  g_free (pair);
}

static gboolean
hand_over (QuicSide *from, QuicSide *to)
{
  guint8 packet[SIDE_MAX_PACKET];
  gsize length;
  gboolean said_something = FALSE;

  while ((length = quic_side_write (from, packet)) > 0)
    {
      quic_side_read (to, packet, length);
      said_something = TRUE;
    }
  return said_something;
}

void
quic_pair_run (QuicPair *pair)
{
  for (guint round = 0; round < MAX_ROUNDS; round++)
    {
      gboolean busy = hand_over (&pair->client, &pair->server);

      if (!hand_over (&pair->server, &pair->client) && !busy)
        return;
    }
  g_error ("a handshake does not come to its end");
}
