/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <netinet/in.h>
#include <ngtcp2/ngtcp2.h>

#include "bench-bare-quic.h"

G_BEGIN_DECLS

#define BENCH_BARE_BUFFER    65536 /* of one system call */
#define BENCH_BARE_ID_LENGTH 16

struct _BenchBareEndpoint
{
  int fd;
  gboolean is_server;
  BenchBareTls *tls; /* of the server */
  struct sockaddr_in local, remote;
  ngtcp2_tstamp now;
  GSource *source;
  GHashTable *connections; /* ngtcp2_cid, its own copy -> BenchBareConnection */
  GSequence *expiries;     /* BenchBareConnection, the next one first */
  GPtrArray *dirty;        /* those that may have something to send */
  guint8 out[BENCH_BARE_BUFFER];
};

struct _BenchBareConnection
{
  BenchBareEndpoint *endpoint;
  ngtcp2_conn *conn;
  ngtcp2_crypto_conn_ref ref;
  gnutls_session_t session;
  struct sockaddr_in remote;
  ngtcp2_tstamp expiry;
  GSequenceIter *expiry_at;
  GQueue streams;            /* all that ngtcp2 knows */
  GQueue sending;            /* with something to send */
  GQueue waiting;            /* for the peer to allow another stream */
  BenchOperation *operation; /* until the handshake is confirmed */
  gboolean is_dirty, is_over;
};

/* hd: of a client's first packet, NULL: this is the client. NULL: memory. */
BenchBareConnection *bench_bare_connection_new (BenchBareEndpoint *endpoint, BenchBareTls *tls, const ngtcp2_pkt_hd *hd,
                                                const struct sockaddr_in *remote);
void bench_bare_connection_free (BenchBareConnection *connection);
/* FALSE: it is over and may be freed. */
gboolean bench_bare_connection_read (BenchBareConnection *connection, const struct sockaddr_in *remote,
                                     const guint8 *packet, gsize length);
gboolean bench_bare_connection_expire (BenchBareConnection *connection);
/* Sends all that can be sent and sets the next expiry. */
gboolean bench_bare_connection_flush (BenchBareConnection *connection);
/* It ended by itself: what waits for it is told. */
void bench_bare_connection_fail (BenchBareConnection *connection);
/* CONNECTION_CLOSE, once. */
void bench_bare_connection_say_close (BenchBareConnection *connection);

/* ---- the endpoint's */

void bench_bare_endpoint_map (BenchBareEndpoint *endpoint, const ngtcp2_cid *id, BenchBareConnection *connection);
void bench_bare_endpoint_unmap (BenchBareEndpoint *endpoint, const ngtcp2_cid *id);
void bench_bare_endpoint_mark (BenchBareEndpoint *endpoint, BenchBareConnection *connection);
/* segment: the size of each packet but the last in endpoint->out. */
void bench_bare_endpoint_send (BenchBareEndpoint *endpoint, const struct sockaddr_in *remote, gsize offset,
                               gsize length, gsize segment);
ngtcp2_tstamp bench_bare_endpoint_tick (BenchBareEndpoint *endpoint);

G_END_DECLS
