/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <ngtcp2/ngtcp2.h>

#include "quic-strange.h"
#include "quic/tl-quic-tls-private.h"

G_BEGIN_DECLS

/*
 * A client and a server of one handshake, without sockets: every packet is handed over at once, nothing is lost. What
 * our endpoint makes of it is not looked at here, only TLS. Either side may be a strange one.
 */
#define PAIR_ADDRESS "192.0.2.1:4711" /* the client's */

typedef struct
{
  ngtcp2_conn *connection;
  ngtcp2_crypto_conn_ref ref;
  TlQuicTlsSession *session; /* NULL: a strange one */
  void *native;
  gboolean is_server;
  gboolean completed; /* the handshake, as this side sees it */
  gboolean confirmed; /* client only */
  guint late_crypto;  /* bytes of CRYPTO frames in 1-RTT packets: tickets */
  guint64 sent_code;  /* of our CONNECTION_CLOSE; 0: none */
  guint64 seen_code;  /* of the peer's; 0: none */
} QuicSide;

typedef struct
{
  QuicSide client, server;
  guint64 now; /* nanoseconds */
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
