/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bench-crowd.h"
#include "bench-load.h"

G_BEGIN_DECLS

/* A device's connection over shared/quic, as a node has it, that asks `node.health`. Thread: main. */
typedef struct _BenchQuicClient BenchQuicClient;

/* device: of the crowd. */
BenchQuicClient *bench_quic_client_new (const BenchCrowd *crowd, guint device, const char *address, GError **error);
void bench_quic_client_free (BenchQuicClient *client);
/* A BenchStartFunc, once: connects. user_data: the client. */
void bench_quic_client_start_connection (BenchOperation *operation, guint index, gpointer user_data);
/* A BenchStartFunc: a stream with a frame of 200 bytes there, its answer back. */
void bench_quic_client_start_request (BenchOperation *operation, guint index, gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchQuicClient, bench_quic_client_free)

G_END_DECLS
