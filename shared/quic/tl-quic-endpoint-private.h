/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "quic/tl-quic-cid-table.h"
#include "quic/tl-quic-endpoint.h"
#include "quic/tl-quic-heap.h"
#include "quic/tl-quic-socket.h"

G_BEGIN_DECLS

/* What connections, acceptance and the endpoint itself share. Thread: the endpoint's. */
#define TL_QUIC_CID_LENGTH 12 /* of ids that we choose: random, so nobody guesses one */

/* A turn of the loop does no more than this before the thread's other sources get theirs. Initials are the dear ones (a
 * handshake's start costs 0.4 ms and more): they wait in a queue of their own, behind the datagrams of connections. */
#define TL_QUIC_TURN_DATAGRAMS  256 /* read from one socket (and what one call returns in addition) */
#define TL_QUIC_TURN_PACKETS    128 /* sent by one connection */
#define TL_QUIC_TURN_TIMERS     512
#define TL_QUIC_TURN_INITIAL_NS 500000 /* of answering Initials; one is always answered */
#define TL_QUIC_WAITING_MAX     256    /* Initials; more are dropped, their clients send them again */

/* Half-open connections with a proven address: what one source, and all together, may hold. */
#define TL_QUIC_HALF_OPEN_MAX        1024
#define TL_QUIC_HALF_OPEN_PER_SOURCE 256 /* IPv4 address or IPv6 /64 */

/* Stateless answers a second: enough for every node of a restarted gateway, and no amplifier. */
#define TL_QUIC_RESETS_PER_SECOND   1000
#define TL_QUIC_VERSIONS_PER_SECOND 100
#define TL_QUIC_REFUSALS_PER_SECOND 200
/* Connections that ended and only repeat their last packet. Three PTOs are the peer's to stretch: it chooses
 * max_ack_delay and when it acknowledges. */
#define TL_QUIC_LINGER_MAX_MS 10000
#define TL_QUIC_LINGERING_MAX 4096  /* the oldest goes */
#define TL_QUIC_TOKEN_MS      10000 /* a Retry token is good for so long */

/* At most `rate` a second, no more than that in a burst. */
typedef struct
{
  guint rate;
  guint left;
  guint64 refilled; /* ns */
} TlQuicRate;

gboolean tl_quic_rate_take (TlQuicRate *rate, guint64 now);

struct _TlQuicEndpoint
{
  GSource *source;
  gpointer epoll_tag;
  int epoll_fd;
  TlClock *clock;
  const TlQuicConnectionHandlers *handlers;
  gpointer user_data;
  TlQuicTls *tls;
  guint8 reset_secret[TL_QUIC_SECRET_LENGTH], token_secret[TL_QUIC_SECRET_LENGTH];
  guint max_connections, retry_threshold, idle_ms, keep_alive_ms, handshake_timeout_ms, first_frame_ms;
  guint max_lingering;
  char *qlog_directory;
  gboolean count_losses;

  GPtrArray *sockets;      /* of TlQuicSocket: bound ones and clients' */
  GPtrArray *dead_sockets; /* freed at the end of the turn */
  TlQuicReceiver *receiver;
  guint8 *send_buffer; /* TL_QUIC_SEND_MAX */
  TlQuicCidTable cids; /* ours, and clients' first ones; value: TlQuicConnection */
  TlQuicHeap heap;     /* of TlQuicConnection.timer */
  GHashTable *half_open_sources;
  GQueue waiting; /* of TlQuicInitial */

  GQueue connections; /* all that are not ended, by .link */
  GQueue lingering;   /* ended and told, kept for the packets still under way, by .link */
  GQueue ready;       /* want to write, by .ready_link */
  GQueue blocked;     /* the same, and their socket's buffer is full */
  GQueue ended;       /* to be told, by .ready_link */

  guint64 now; /* ns, of this turn */
  gboolean is_dispatching;
  gboolean has_stopped; /* accepting */
  TlQuicRate reset_rate, version_rate, refusal_rate;
  TlQuicEndpointStats stats;
};

/* Monotonic, ns; never goes back within an endpoint. */
guint64 tl_quic_endpoint_now (TlQuicEndpoint *endpoint);
gboolean tl_quic_endpoint_add_socket (TlQuicEndpoint *endpoint, TlQuicSocket *socket, GError **error);
/* Takes it; gone at the end of the turn. */
void tl_quic_endpoint_drop_socket (TlQuicEndpoint *endpoint, TlQuicSocket *socket);
/* The socket's buffer is full. */
void tl_quic_endpoint_watch_writable (TlQuicEndpoint *endpoint, TlQuicSocket *socket, gboolean watch);

/* A datagram, as if it had been read from the socket; user_data is the endpoint. What has to be sent is sent by the
 * loop. */
void tl_quic_endpoint_receive (TlQuicSocket *socket, const ngtcp2_path *path, guint8 *data, gsize length,
                               gpointer user_data);

/* tl-quic-endpoint-accept.c: a datagram of a bound socket that belongs to no connection. */
void tl_quic_endpoint_accept (TlQuicEndpoint *endpoint, TlQuicSocket *socket, const ngtcp2_path *path,
                              const guint8 *data, gsize length);
/* Initials that wait, as many as a turn may. */
void tl_quic_endpoint_serve_waiting (TlQuicEndpoint *endpoint);
/* One that names a version we do not speak. */
void tl_quic_endpoint_refuse_version (TlQuicEndpoint *endpoint, TlQuicSocket *socket, const ngtcp2_path *path,
                                      const ngtcp2_version_cid *ids, gsize length);
/* Address validation after all: ngtcp2 asks for it. */
void tl_quic_endpoint_send_retry (TlQuicEndpoint *endpoint, TlQuicSocket *socket, const ngtcp2_path *path,
                                  const ngtcp2_pkt_hd *header);
/* Half-open connections by source. FALSE: it has too many. */
gboolean tl_quic_endpoint_enter_half_open (TlQuicEndpoint *endpoint, const ngtcp2_addr *remote);
void tl_quic_endpoint_leave_half_open (TlQuicEndpoint *endpoint, const ngtcp2_addr *remote);

G_END_DECLS
