/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "quic-side.h"

G_BEGIN_DECLS

/* A client and a server of one handshake: every packet is handed over at once, nothing is lost. */
typedef struct
{
  QuicSide client, server;
} QuicPair;

QuicPair *quic_pair_new (TlQuicTls *client, TlQuicTls *server);
/* NULL: the library cannot be that strange. */
QuicPair *quic_pair_new_strange_client (const QuicStrange *client, TlQuicTls *server);
QuicPair *quic_pair_new_strange_server (TlQuicTls *client, const QuicStrange *server);
/* Until nobody has anything to say. */
void quic_pair_run (QuicPair *pair);
void quic_pair_free (QuicPair *pair);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (QuicPair, quic_pair_free)

G_END_DECLS
