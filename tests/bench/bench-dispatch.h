/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bench.h"

G_BEGIN_DECLS

#define BENCH_INPUT_LENGTH 200

/* Who dispatches, and to whom. Borrowed. */
typedef struct
{
  TlRpcClient *operator; /* admin socket */
  TlRpcClient *device;   /* for the bare calls: mutual TLS, as the node's link */
  BenchProcess *node, *gateway;
  const char *device_id;
  char input[BENCH_INPUT_LENGTH + 1]; /* a JSON string */
} BenchSubject;

/* `twinlatch node run`, until it is connected. transport: "grpc", "quic", "auto". */
BenchProcess *bench_start_node (Bench *bench, const char *name, const char *node_dir, const char *transport,
                                GError **error);
/* All but `device`. */
void bench_subject_init (BenchSubject *subject, BenchDaemon *daemon, BenchProcess *node, BenchDevice *device);
/* A BenchStartFunc: one `echo`, from the operator's call to the message that it succeeded. user_data: BenchSubject */
void bench_start_dispatch (BenchOperation *operation, guint index, gpointer user_data);

G_END_DECLS
