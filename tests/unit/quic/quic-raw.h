/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "quic-world.h"

G_BEGIN_DECLS

/* A UDP socket of a test's own: what strangers send, and a relay that sees and keeps what it carries. */
typedef struct
{
  int fd;
  guint16 port;
} QuicRaw;

/* Bound to a port of 127.0.0.1; server (may be NULL): and connected to it. */
QuicRaw *quic_raw_new (const char *server);
void quic_raw_free (QuicRaw *raw);
char *quic_raw_address (QuicRaw *raw);
void quic_raw_send (QuicRaw *raw, const void *data, gsize length);
/* NULL: nothing is there. */
GBytes *quic_raw_receive (QuicRaw *raw);
/* The next datagram; the loop runs meanwhile. */
GBytes *quic_raw_wait (QuicRaw *raw);
/* The first datagram of a client of ours that knows of nobody. It is left to its timeout. */
GBytes *quic_raw_capture_initial (QuicWorld *world);

/* Client <-> relay <-> server. */
typedef struct
{
  QuicRaw *front, *back;
  GPtrArray *from_client; /* of GBytes */
  guint drop_every;       /* the n-th datagram goes nowhere; 0: none does */
  guint n_carried, n_dropped;
} QuicRelay;

QuicRelay *quic_relay_new (QuicWorld *world);
void quic_relay_free (QuicRelay *relay);
/* Carries what waits. */
void quic_relay_turn (QuicRelay *relay);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (QuicRaw, quic_raw_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (QuicRelay, quic_relay_free)

G_END_DECLS
