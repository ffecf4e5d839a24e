/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bench-load.h"
#include "bench-pki.h"
#include "bench-process.h"

G_BEGIN_DECLS

/* twinlatchd in a folder of its own, and an operator at its admin socket. Limits for strangers are out of the way. */
typedef struct
{
  BenchProcess *process;
  TlRpcClient *admin;
  char *address;
} BenchDaemon;

/* State in <directory>/gateway is kept over a stop and start. port 0: any, another one at each start. */
BenchDaemon *bench_daemon_start (const char *program, const char *directory, guint16 port, TlRpcLoop *loop,
                                 GError **error);
guint16 bench_daemon_port (const BenchDaemon *daemon);
void bench_daemon_stop (BenchDaemon *daemon);
/* A new link that needs no approval, as text. */
TlSecret *bench_daemon_mint_link (BenchDaemon *daemon, GError **error);

/* A BenchStartFunc: one health Check. user_data: TlRpcClient, held until it is answered. */
void bench_start_check (BenchOperation *operation, guint index, gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchDaemon, bench_daemon_stop)

G_END_DECLS
