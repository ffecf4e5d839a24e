/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "quic/tl-quic-stream.h"

G_BEGIN_DECLS

/*
 * TlQuicConnection: one QUIC connection, owned by its endpoint, of either side. It lives from
 * tl_quic_endpoint_connect() or `accepted` until `closed` returned. Only a handshake that is *confirmed* counts: a
 * refused client first sees its handshake complete. Thread: the endpoint's.
 */
typedef struct _TlQuicConnection TlQuicConnection;

/* Application error codes of CONNECTION_CLOSE (PROTOCOL 5). */
enum
{
  TL_QUIC_CLOSE_GOING_AWAY = 0x100,
  TL_QUIC_CLOSE_REVOKED = 0x101,
  TL_QUIC_CLOSE_SUPERSEDED = 0x102,
  TL_QUIC_CLOSE_LIMIT = 0x103,
  TL_QUIC_CLOSE_CERTIFICATE_ENDED = 0x104,
  TL_QUIC_CLOSE_CERTIFICATE_SUPERSEDED = 0x105,
  TL_QUIC_CLOSE_SUSPENDED = 0x106,
};
/* "going_away", ...; NULL: not one of ours. Static. */
const char *tl_quic_close_code_to_string (guint64 code);

typedef enum
{
  TL_QUIC_ENDED_LOCALLY,           /* tl_quic_connection_close() or the endpoint went; code is ours */
  TL_QUIC_ENDED_BY_PEER,           /* application close; code is the peer's */
  TL_QUIC_ENDED_BY_ALERT,          /* TLS alert `code` (RFC 8446, 6), of either side */
  TL_QUIC_ENDED_BY_TRANSPORT,      /* transport error `code` (RFC 9000, 20.1), of either side */
  TL_QUIC_ENDED_IDLE,              /* nothing came for the idle time */
  TL_QUIC_ENDED_HANDSHAKE_TIMEOUT, /* not confirmed in time: nobody there, or UDP does not get through */
  TL_QUIC_ENDED_RESET,             /* stateless reset: the peer lost the connection's state */
  TL_QUIC_ENDED_UNREACHABLE,       /* the socket says so (ICMP, no route) during the handshake */
  TL_QUIC_ENDED_VERSION,           /* no common QUIC version */
} TlQuicEnding;

typedef struct
{
  TlQuicEnding ending;
  guint64 code;
  gboolean by_peer;
  const char *reason; /* of the peer's CONNECTION_CLOSE, made printable, <= 128 bytes; "" */
} TlQuicClose;

/* What happened, as an error for people: UNAVAILABLE, TIMED_OUT, UNAUTHENTICATED (the peer's alerts 42..49, 116),
 * EXPIRED (45), REVOKED (alert 44, 0x101), WRONG_CA (we refused the peer), SUSPENDED, IN_USE (0x102), UNSUPPORTED
 * (ALPN, version), RESOURCE_EXHAUSTED (0x103), CANCELLED (locally), PROTOCOL. */
GError *tl_quic_close_to_error (const TlQuicClose *why);

typedef struct
{
  /* Server: a handshake is confirmed; set the connection's data here. Client: never called. */
  void (*accepted) (TlQuicConnection *connection, gpointer user_data);
  /* Client: the handshake is confirmed. */
  void (*opened) (TlQuicConnection *connection, gpointer user_data);
  /* The peer opened a bidirectional stream: set its handlers here, or it is reset. NULL: all are. */
  void (*stream) (TlQuicConnection *connection, TlQuicStream *stream, gpointer user_data);
  /* The peer's or our path changed and the new one is validated. NULL allowed. */
  void (*migrated) (TlQuicConnection *connection, gpointer user_data);
  /* Once, last; after its streams' `closed`. Server: only for connections that were accepted. */
  void (*closed) (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data);
} TlQuicConnectionHandlers;

typedef struct
{
  char remote[64], local[64]; /* "192.0.2.1:4711", "[2001:db8::1]:4711" */
  gint64 rtt_us;              /* smoothed */
  gint64 since_us;            /* monotonic, when it was confirmed; 0: not yet */
  gint64 heard_us;            /* monotonic, of the last datagram from the peer's address that was addressed to it */
  /* Packets of ours that were declared lost, some of them wrongly. Without count_losses, ngtcp2 before 1.16 knows only
   * of those whose stream data had to be sent again for that reason: of the last packets of an answer, which a timeout
   * repeats before anybody declares them lost, it does not. */
  guint64 packets_lost;
  guint migrations;
  guint streams; /* open now */
} TlQuicConnectionInfo;

void tl_quic_connection_get_info (TlQuicConnection *connection, TlQuicConnectionInfo *info);
/* Hex SHA-256 of the peer's leaf. Borrowed. */
const char *tl_quic_connection_fingerprint (TlQuicConnection *connection);
gpointer tl_quic_connection_get_data (TlQuicConnection *connection);
void tl_quic_connection_set_data (TlQuicConnection *connection, gpointer data);

/* NULL: closing, not open yet, or the peer's limit of streams is reached. handlers: static. */
TlQuicStream *tl_quic_connection_open_stream (TlQuicConnection *connection, const TlQuicStreamHandlers *handlers,
                                              gpointer user_data);
/* Sends CONNECTION_CLOSE with this application code now; `closed` follows from the loop, not in here. reason: <= 128
 * bytes, may be NULL. */
void tl_quic_connection_close (TlQuicConnection *connection, guint64 code, const char *reason);
/* Client: asks for a sign of life now (PING); see heard_us. No more than one a turn of the loop. */
void tl_quic_connection_ping (TlQuicConnection *connection);
/* Client: a new socket, from whatever local address leads to the peer now, and the connection moves there. immediate:
 * without waiting for the path's validation (the old one is known to be gone). IO, FAILED_PRECONDITION (handshake, the
 * peer forbids it, or after several moves within a round trip: no connection id is left for now). From within a handler
 * it happens after that has returned. */
gboolean tl_quic_connection_migrate (TlQuicConnection *connection, gboolean immediate, GError **error);
/* Client: a new socket without telling anybody: what a NAT does. */
gboolean tl_quic_connection_rebind (TlQuicConnection *connection, GError **error);

G_END_DECLS
