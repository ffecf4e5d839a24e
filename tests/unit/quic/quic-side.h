/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <ngtcp2/ngtcp2.h>

#include "quic-strange.h"
#include "quic/tl-quic-tls-private.h"

G_BEGIN_DECLS

/*
 * One side of a handshake over bare ngtcp2, ours or a strange one, without a socket: packets go in and come out. Only
 * TLS is looked at.
 */
#define SIDE_MAX_PACKET     1452
#define SIDE_CLIENT_ADDRESS "192.0.2.1:4711" /* that a server is told */

typedef struct
{
  ngtcp2_conn *connection; /* NULL: a server before its first packet */
  ngtcp2_crypto_conn_ref ref;
  TlQuicTlsSession *session; /* NULL: a strange one */
  void *native;
  gboolean is_server;
  guint64 now;        /* nanoseconds; a millisecond passes with every packet read */
  gboolean completed; /* the handshake, as this side sees it */
  gboolean confirmed; /* client only */
  guint late_crypto;  /* bytes of CRYPTO frames in 1-RTT packets: tickets */
  guint64 sent_code;  /* of our CONNECTION_CLOSE; 0: none */
  guint64 seen_code;  /* of the peer's; 0: none */
  gboolean said_why;  /* our CONNECTION_CLOSE was written */
} QuicSide;

/* tls or strange. FALSE: the library cannot be that strange. */
gboolean quic_side_init (QuicSide *side, gboolean is_server, TlQuicTls *tls, const QuicStrange *strange);
void quic_side_clear (QuicSide *side);
void quic_side_read (QuicSide *side, const guint8 *packet, gsize length);
/* The next packet; 0: nothing to say. */
gsize quic_side_write (QuicSide *side, guint8 packet[SIDE_MAX_PACKET]);

G_END_DECLS
