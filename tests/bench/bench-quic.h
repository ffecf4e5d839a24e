/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bench-bare-quic.h"
#include "bench-crowd.h"

G_BEGIN_DECLS

/*
 * What the benchmarks of QUIC have in common: the gateway with a crowd of devices, and the bare server in a process of
 * its own. The gateway's figures are beside the bare server's, in blocks that alternate. Thread: main.
 */
typedef struct
{
  Bench *bench;
  const char *program; /* twinlatchd */
  char *directory;     /* the gateway's */
  BenchCrowd crowd;
  BenchDaemon *daemon;
  BenchProcess *bare;
  guint16 bare_port, bare_chain_port, datagram_port;
  BenchBareTls *bare_tls; /* of a device of bench->pki */
} BenchQuic;

/* Instead of the one that runs, if any. port 0: any. */
gboolean bench_quic_start_gateway (BenchQuic *quic, guint16 port, GError **error);

gboolean bench_quic_requests (BenchQuic *quic, GError **error);
gboolean bench_quic_handshakes (BenchQuic *quic, GError **error);
gboolean bench_quic_memory (BenchQuic *quic, GError **error);
gboolean bench_quic_restart (BenchQuic *quic, GError **error);
gboolean bench_quic_flood (BenchQuic *quic, GError **error);

G_END_DECLS
