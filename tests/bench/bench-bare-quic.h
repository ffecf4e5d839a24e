/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bench-bare-tls.h"
#include "bench-load.h"

G_BEGIN_DECLS

/*
 * The least that is a QUIC endpoint over ngtcp2: a server that sends back what comes on a stream, and its client. It is
 * what shared/quic is measured against, so it does what costs nothing to do well: batches in (recvmmsg, GRO) and out
 * (GSO), several streams in a packet, one source in the main loop whatever the number of connections. It does without
 * Retry, migration, limits, frames and people. IPv4 loopback only. Thread: the one of the default main context.
 */
#define BENCH_BARE_MAX_DATA 512 /* of one stream and direction */

typedef struct _BenchBareEndpoint BenchBareEndpoint;
typedef struct _BenchBareConnection BenchBareConnection;

/* tls: borrowed. Accepts on any free port of the loopback. */
BenchBareEndpoint *bench_bare_endpoint_new_server (BenchBareTls *tls, GError **error);
guint16 bench_bare_endpoint_port (BenchBareEndpoint *endpoint);
/* One socket for all of its connections, which lead to this port; not only a bare server's. */
BenchBareEndpoint *bench_bare_endpoint_new_client (guint16 port, GError **error);
/* With every connection, which are closed. */
void bench_bare_endpoint_free (BenchBareEndpoint *endpoint);

/* operation, which may be NULL, ends when the handshake is confirmed, or failed. tls: borrowed. The connection lives
 * until it is closed or its endpoint goes. */
BenchBareConnection *bench_bare_connect (BenchBareEndpoint *endpoint, BenchBareTls *tls, BenchOperation *operation);
void bench_bare_connection_close (BenchBareConnection *connection);
/* FALSE: it ended by itself. */
gboolean bench_bare_connection_is_open (BenchBareConnection *connection);
/* A stream of its own with these bytes, at most BENCH_BARE_MAX_DATA, as soon as the peer allows it; operation ends with
 * the end of the answer. */
void bench_bare_connection_request (BenchBareConnection *connection, const void *data, gsize length,
                                    BenchOperation *operation);

/* The same, but no end is sent: the stream stays, and operation ends with the first bytes of the answer, which have to
 * contain `word` (static). */
void bench_bare_connection_subscribe (BenchBareConnection *connection, const void *data, gsize length, const char *word,
                                      BenchOperation *operation);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchBareEndpoint, bench_bare_endpoint_free)

G_END_DECLS
