/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-clock.h"
#include "quic/tl-quic-connection.h"
#include "quic/tl-quic-tls.h"

G_BEGIN_DECLS

/*
 * TlQuicEndpoint: the UDP sockets of one program, the connections over them, their timers (RFC 9000). One GSource and a
 * heap whatever the number of connections. A server endpoint accepts on one or more bound addresses; a client endpoint
 * has a socket a connection, so that a connection can move to another one. Reads in batches (recvmmsg, GRO), sends
 * with GSO where the kernel can. Thread: the one that runs `context`; nothing here is thread-safe.
 */
#define TL_QUIC_SECRET_LENGTH 32

#define TL_QUIC_MAX_CONNECTIONS      10000
#define TL_QUIC_RETRY_THRESHOLD      64        /* half-open connections above which an address has to be proven first */
#define TL_QUIC_RETRY_ALWAYS         G_MAXUINT /* as a threshold: every address has to be proven first */
#define TL_QUIC_MAX_STREAMS          64        /* of the client, at a time */
#define TL_QUIC_IDLE_MS              60000
#define TL_QUIC_KEEP_ALIVE_MS        20000 /* client only */
#define TL_QUIC_HANDSHAKE_TIMEOUT_MS 5000

typedef struct
{
  GMainContext *context; /* NULL: thread-default */
  TlClock *clock;        /* wall time for Retry tokens; NULL: system */
  /* Accepted connections; NULL: a client endpoint. */
  const TlQuicConnectionHandlers *handlers; /* static */
  gpointer user_data;                       /* outlives the endpoint */
  TlQuicTls *tls;                           /* of the server; referenced */
  /* Stateless resets and Retry tokens are derived from it: has to survive a restart. NULL: random. Copied. */
  const guint8 *secret;
  guint max_connections; /* 0: the constants above, as for all that follow */
  guint retry_threshold;
  guint idle_ms;
  guint keep_alive_ms; /* client; a server never sends keep-alives */
  guint handshake_timeout_ms;
  /* TlQuicConnectionInfo.packets_lost is exact (but for probes of the path's MTU, which count) also with ngtcp2
   * before 1.16. There it costs a microsecond a packet and 4 kB a connection: for clients. */
  gboolean count_losses;
  const char *qlog_directory; /* NULL: no qlog. One file a connection, named by its id and side */
} TlQuicEndpointOptions;

typedef struct
{
  guint connections, half_open;
  guint64 accepted;   /* handshakes completed */
  guint64 refused;    /* handshakes that failed: certificate, ALPN, timeout */
  guint64 retries;    /* Retry packets sent */
  guint64 bad_tokens; /* Initials with a token that is not ours, of another address, or too old */
  guint64 garbage;    /* datagrams that are no QUIC packet, or for no connection */
  guint64 resets;     /* stateless resets sent */
  guint64 versions;   /* version negotiations sent */
  guint64 over_limit; /* Initials refused because of max_connections, or of too many half-open ones of their source */
  guint64 migrations; /* of all connections */
  guint64 received, sent; /* datagrams */
} TlQuicEndpointStats;

typedef struct _TlQuicEndpoint TlQuicEndpoint;

/* Binds nothing yet. */
TlQuicEndpoint *tl_quic_endpoint_new (const TlQuicEndpointOptions *options, GError **error);
/* Closes every connection with TL_QUIC_CLOSE_GOING_AWAY (their `closed` is called), sends that, frees. Not from within
 * a handler. NULL allowed. */
void tl_quic_endpoint_free (TlQuicEndpoint *endpoint);
/* "192.0.2.1:7444", "[::]:7444"; port 0: any, *port (may be NULL) gets it. "[::]" is IPv6 only. IN_USE, IO. */
gboolean tl_quic_endpoint_listen (TlQuicEndpoint *endpoint, const char *address, guint16 *port, GError **error);
/* Handshakes from now on. */
void tl_quic_endpoint_set_tls (TlQuicEndpoint *endpoint, TlQuicTls *tls);
/* A client connection to a literal address. handlers, user_data as in TlQuicConnectionHandlers. The result is borrowed
 * until `closed`. IO, INVALID_ARGUMENT at once; everything else comes by `closed`. */
TlQuicConnection *tl_quic_endpoint_connect (TlQuicEndpoint *endpoint, const char *address, TlQuicTls *tls,
                                            const TlQuicConnectionHandlers *handlers, gpointer user_data,
                                            GError **error);
/* Every connection (also half-open ones). func must not close other connections than the one it is given. */
void tl_quic_endpoint_foreach (TlQuicEndpoint *endpoint, GFunc func, gpointer user_data);
void tl_quic_endpoint_get_stats (TlQuicEndpoint *endpoint, TlQuicEndpointStats *stats);
/* From now on no new connections; those there go on. An application code cannot be said before a handshake (RFC 9000,
 * 10.2.3): whoever comes is answered CONNECTION_REFUSED. */
void tl_quic_endpoint_stop_accepting (TlQuicEndpoint *endpoint);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicEndpoint, tl_quic_endpoint_free)

G_END_DECLS
