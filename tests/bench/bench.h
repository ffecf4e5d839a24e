/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bench-daemon.h"
#include "bench-report.h"
#include "bench-tls.h"

G_BEGIN_DECLS

/*
 * The benchmarks of the gateway. Each prints its figure beside a reference that was measured in the same run,
 * in blocks that alternate with its own, so that a CPU that changes its speed changes both. A row
 * with a budget says whether it is kept. Thread: main.
 */
typedef struct
{
  gboolean quick;
  const char *only;      /* the one benchmark wanted; NULL: all */
  const char *directory; /* everything written goes below it */
  const char *self;      /* this program, for the bare server */
  const char *twinlatch;
  TlRpcLoop *loop;
  BenchReport *report;
  BenchPki *pki;
  BenchTls *tls;
  BenchDaemon *daemon;
  GPtrArray *devices; /* BenchDevice; the first one's folder is the node's that runs dispatches */
} Bench;

gboolean bench_wants (const Bench *bench, const char *name);
/* Connected at once by the memory benchmark; so many devices are paired. */
guint bench_node_count (const Bench *bench);

/* Fills bench->devices. */
gboolean bench_pairing (Bench *bench, GError **error);
gboolean bench_handshakes (Bench *bench, GError **error);
gboolean bench_dispatch (Bench *bench, GError **error);
/* Requests, handshakes and memory of the QUIC transport. The daemon is stopped for it. */
gboolean bench_quic (Bench *bench, const char *program, GError **error);
/* Starts the daemon again, so that its heap holds nothing of the other benchmarks. */
gboolean bench_memory (Bench *bench, GError **error);
/* Two gateways beside each other, one of them with 1 M finished requests and 10 000 devices; program: twinlatchd. The
 * daemon is stopped for it. */
gboolean bench_history (Bench *bench, const char *program, GError **error);
/* Revokes all devices: nothing comes after it. */
gboolean bench_revoke (Bench *bench, GError **error);
/* One process's part of the above: a server that does nothing but TLS and one stream a connection. Ends with its
 * parent. */
int bench_bare_server_main (const char *directory);
/* The same for QUIC: echoes, with and without verifying the client's chain, and datagrams sent back. */
int bench_bare_quic_server_main (const char *directory);

G_END_DECLS
