/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <ngtcp2/ngtcp2_crypto.h>
#include <stdio.h>

#include "quic/tl-quic-endpoint-private.h"
#include "quic/tl-quic-frame.h"
#include "quic/tl-quic-tls-private.h"

G_BEGIN_DECLS

/* Flow control (RFC 9000, 4). A peer's stream that holds part of a frame gets more credit only while its connection
 * stores less than the budget, or when it is the oldest of them: so that much is bounded, and one always gets on. */
#define TL_QUIC_STREAM_WINDOW     (128 * 1024)
#define TL_QUIC_CONNECTION_WINDOW (1024 * 1024)
#define TL_QUIC_STORED_BUDGET     (1024 * 1024)

#define TL_QUIC_ACTIVE_CIDS    4  /* of the peer's: one in use, and some to move with */
#define TL_QUIC_RETIRED_CIDS   16 /* of ours, kept so that a late packet is not taken for one of a lost connection */
#define TL_QUIC_CLOSE_PACKET   1200
#define TL_QUIC_REASON_MAX     128
#define TL_QUIC_CLIENT_SOCKETS 2       /* the current one, and the one before */
#define TL_QUIC_PACED_RTT_NS   1000000 /* below that ngtcp2's pacing costs more than it helps (notes/quic.md) */

typedef enum
{
  TL_QUIC_STATE_HANDSHAKE, /* not confirmed */
  TL_QUIC_STATE_OPEN,
  TL_QUIC_STATE_ENDED,     /* why is known; the handlers are told by the loop */
  TL_QUIC_STATE_LINGERING, /* told; its ids are kept for 3 PTO (RFC 9000, 10.2): answers with the close packet if there
                              is one (closing), else says nothing (draining) */
} TlQuicState;

struct _TlQuicConnection
{
  TlQuicEndpoint *endpoint;
  ngtcp2_conn *conn; /* NULL once it lingers */
  ngtcp2_crypto_conn_ref ref;
  TlQuicTlsSession *session;
  const TlQuicConnectionHandlers *handlers;
  gpointer user_data, data;
  TlQuicState state;
  guint is_server : 1;
  guint was_announced : 1; /* `accepted` was called: `closed` has to follow */
  guint is_half_open : 1;  /* counted as such */
  guint wants_ping : 1;
  guint wants_migration : 2; /* asked for within a handler: 1 validated, 2 immediate */
  guint wants_close : 1;     /* CONNECTION_CLOSE has to be sent once ngtcp2 has returned */
  guint is_close_due : 1;    /* the close packet found the socket full */
  guint was_reset : 1;       /* by a stateless reset */
  guint is_silent : 1;       /* nothing more is expected of the peer: no lingering */
  guint is_ready : 1;        /* in endpoint->ready or ->blocked */
  guint in_blocked : 1;      /* ->blocked */
  guint counts_losses : 1;   /* `lost` is of all packets, from the qlog */
  guint is_unpaced : 1;      /* sends as fast as congestion control allows */
  guint depth;               /* > 0: inside of ngtcp2, which must not be entered again */
  guint migrations;
  GList link, ready_link;
  TlQuicTimer timer;
  guint64 last_ts;  /* ngtcp2 aborts when time goes back */
  guint64 deadline; /* ns: of the handshake; of lingering */
  gint64 since_us, heard_us;
  guint64 lost;                                  /* packets: all, or those of streams that are closed */
  TlQuicCidEntry *cids;                          /* that lead here */
  TlQuicCidEntry *retired;                       /* the same, newest first: the peer says that it will not use them */
  TlQuicSocket *sockets[TL_QUIC_CLIENT_SOCKETS]; /* a client's; [0] is the newest */
  TlQuicSocket *next_socket;                     /* to move to once ngtcp2 has returned */
  TlQuicAddress source;                          /* a half-open server connection's */

  GQueue streams; /* by .link */
  GQueue sending; /* have something to send, by .send_link */
  GQueue partial; /* the peer's, with a deadline for their frame, oldest first, by .partial_link */
  GQueue closed;  /* `closed` has to be called, by .closed_link */
  guint n_streams;
  gsize stored; /* bytes of frames that are not whole */

  TlQuicClose why;
  char reason[TL_QUIC_REASON_MAX + 1];
  ngtcp2_ccerr error; /* what CONNECTION_CLOSE says */
  char own_reason[TL_QUIC_REASON_MAX + 1];
  guint8 *close_packet;
  guint16 close_length;
  guint close_heard; /* datagrams since: answered are the 1st, 2nd, 4th, 8th, ... */
  ngtcp2_path_storage *close_path;
  FILE *qlog;
  char fingerprint[65];
};

/* ---- tl-quic-connection-setup.c ---- */
typedef struct
{
  const ngtcp2_pkt_hd *header;
  const ngtcp2_path *path;
  const ngtcp2_cid *original_dcid; /* of the Initial that was answered with Retry; NULL: none was */
} TlQuicAccepted;
/* NULL: out of memory or TLS failed. */
TlQuicConnection *tl_quic_connection_new_server (TlQuicEndpoint *endpoint, const TlQuicAccepted *accepted);
TlQuicConnection *tl_quic_connection_new_client (TlQuicEndpoint *endpoint, TlQuicSocket *socket, TlQuicTls *tls,
                                                 const TlQuicConnectionHandlers *handlers, gpointer user_data,
                                                 GError **error);
/* Calls nobody. */
void tl_quic_connection_free (TlQuicConnection *connection);
/* For ngtcp2's state and everything else that only a live connection needs. */
void tl_quic_connection_drop_state (TlQuicConnection *connection);

/* ---- tl-quic-connection-callbacks.c ---- */
void tl_quic_connection_fill_callbacks (ngtcp2_callbacks *callbacks, gboolean is_server);

/* ---- tl-quic-connection-io.c ---- */
void tl_quic_connection_read (TlQuicConnection *connection, TlQuicSocket *socket, const ngtcp2_path *path,
                              const guint8 *data, gsize length);
/* What the connection has to send. FALSE: there is more, but others come first. */
gboolean tl_quic_connection_write (TlQuicConnection *connection);
void tl_quic_connection_expire (TlQuicConnection *connection);
void tl_quic_connection_set_timer (TlQuicConnection *connection);

/* ---- tl-quic-connection.c ---- */
/* endpoint->now, but never earlier than the connection has seen. */
guint64 tl_quic_connection_ts (TlQuicConnection *connection);
void tl_quic_connection_mark_ready (TlQuicConnection *connection);
/* It is over; `closed` follows from the loop. error: send it in a CONNECTION_CLOSE, NULL: silently. Nothing happens
 * when it is over already. */
void tl_quic_connection_end (TlQuicConnection *connection, TlQuicEnding ending, guint64 code, gboolean by_peer,
                             const ngtcp2_ccerr *error);
/* What was asked for while inside of ngtcp2. */
void tl_quic_connection_leave (TlQuicConnection *connection);
/* Once more, what the connection ended with. */
void tl_quic_connection_send_close_packet (TlQuicConnection *connection);
/* The loop: tells the handlers, lingers or frees. */
void tl_quic_connection_finish (TlQuicConnection *connection);
/* Copies a reason of the peer's, made printable. */
void tl_quic_connection_set_reason (TlQuicConnection *connection, const guint8 *reason, gsize length);
/* Its streams whose end was decided outside of ngtcp2 are told. */
void tl_quic_connection_tell_closed_streams (TlQuicConnection *connection);
/* The handshake is confirmed. */
void tl_quic_connection_confirm (TlQuicConnection *connection);

/* ---- tl-quic-connection-path.c ---- */
/* The socket that a path of ngtcp2's leads through; always one that is alive. NULL: none. */
TlQuicSocket *tl_quic_connection_socket (TlQuicConnection *connection, const ngtcp2_path *path);
/* To next_socket, as wants_migration says. FAILED_PRECONDITION. */
gboolean tl_quic_connection_start_migration (TlQuicConnection *connection, GError **error);

static inline gboolean
tl_quic_connection_is_live (const TlQuicConnection *connection)
{
  return connection->state == TL_QUIC_STATE_HANDSHAKE || connection->state == TL_QUIC_STATE_OPEN;
}

G_END_DECLS
