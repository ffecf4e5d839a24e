/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#define BLOCKS 5
#define SEQUENTIAL 200
#define SEQUENTIAL_QUICK 50
#define PARALLEL 400
#define PARALLEL_QUICK 100
#define IN_FLIGHT 4

/* One connection, made, used once and closed, with a certificate on either side. */
typedef struct
{
  Bench *bench;
  BenchDevice *device;
  TlRpcIdentity *identity;
} Subject;

typedef struct
{
  BenchOperation *operation;
  TlRpcClient *client;
} Connection;

static void
on_checked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Connection *connection = user_data;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *answer = tl_rpc_client_call_finish (connection->client, result, &error);

  if (answer != NULL)
    protobuf_c_message_free_unpacked (answer, NULL);
  tl_rpc_client_unref (connection->client);
  bench_operation_finish (connection->operation, error);
}

