/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "base/tl-file.h"
#include "bench.h"
#include "twinlatch/v1/admin.pb-c.h"
#include "twinlatch/v1/health.pb-c.h"

/*
 * From an operator's call to the end of the last connection of the device, seen from the device's end, while a crowd is
 * connected: each device by several connections, each of which carries a call that does not end. One device after the
 * other is revoked; so the crowd is whole for the first and gone after the last.
 */
#define CONNECTIONS       5 /* a device */
#define CONNECTIONS_QUICK 2
#define IN_FLIGHT         4
#define CALL_MS           30000
#define MOST_MS           50.0

typedef struct
{
  TlRpcClient *client;
  TlRpcStream *stream;
  BenchOperation *operation; /* until the first answer */
  double ended;              /* 0: open */
} Connection;

typedef struct
{
  Bench *bench;
  guint each;             /* connections of a device */
  GPtrArray *identities;  /* TlRpcIdentity, a device */
  GPtrArray *connections; /* Connection, `each` a device */
} Crowd;

static void
connected (Connection *connection, const GError *error)
{
  BenchOperation *operation = g_steal_pointer (&connection->operation);

  if (operation != NULL)
    bench_operation_finish (operation, error);
}

static void
on_message (TlRpcStream *stream, const ProtobufCMessage *message, gpointer user_data)
{
  connected (user_data, NULL);
}

static void
on_closed (TlRpcStream *stream, const GError *error, gpointer user_data)
{
  Connection *connection = user_data;

  connection->ended = bench_now ();
  connected (connection, error);
}

static void
connection_free (gpointer data)
{
  Connection *connection = data;

  if (connection->stream != NULL)
    tl_rpc_stream_cancel (connection->stream);
  while (connection->stream != NULL && connection->ended == 0)
    g_main_context_iteration (NULL, TRUE);
  g_clear_pointer (&connection->stream, tl_rpc_stream_unref);
  g_clear_pointer (&connection->client, tl_rpc_client_unref);
  g_free (connection);
}

/* A BenchStartFunc. */
static void
start_connection (BenchOperation *operation, guint index, gpointer user_data)
{
  static const TlRpcStreamHandlers handlers = { on_message, on_closed };
  Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
  Crowd *crowd = user_data;
  guint device = index / crowd->each;
  Connection *connection = g_new0 (Connection, 1);
  g_autoptr (GError) error = NULL;

  connection->operation = operation;
  g_ptr_array_add (crowd->connections, connection);
  connection->client = bench_device_client (crowd->bench->devices->pdata[device], crowd->identities->pdata[device],
                                            crowd->bench->loop, crowd->bench->daemon->address, &error);
  if (connection->client == NULL)
    {
      connection->ended = bench_now ();
      connected (connection, error);
      return;
    }
  connection->stream
      = tl_rpc_client_stream (connection->client, "/grpc.health.v1.Health/Watch", &request.base,
                              &grpc__health__v1__health_check_response__descriptor, 0, &handlers, connection);
}

static gboolean
connect_all (Crowd *crowd, GError **error)
{
  for (guint i = 0; i < crowd->bench->devices->len; i++)
    {
      TlRpcIdentity *identity = bench_device_rpc_identity (crowd->bench->devices->pdata[i], error);

      if (identity == NULL)
        return FALSE;
      g_ptr_array_add (crowd->identities, identity);
    }
  return bench_load_run (crowd->bench->devices->len * crowd->each, IN_FLIGHT, start_connection, crowd, NULL, error);
}

/* ---- revoking */

typedef struct
{
  TlRpcClient *client;
  gboolean answered;
  GError *error;
} Revocation;

static void
on_revoked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Revocation *revocation = user_data;
  ProtobufCMessage *answer = tl_rpc_client_call_finish (revocation->client, result, &revocation->error);

  if (answer != NULL)
    protobuf_c_message_free_unpacked (answer, NULL);
  revocation->answered = TRUE;
}

/* When the last of the device's connections ended; 0: one is open. */
static double
last_end (const Crowd *crowd, guint device)
{
  double last = 0;

  for (guint i = 0; i < crowd->each; i++)
    {
      const Connection *connection = crowd->connections->pdata[device * crowd->each + i];

      if (connection->ended == 0)
        return 0;
      last = MAX (last, connection->ended);
    }
  return last;
}

static gboolean
revoke_device (Crowd *crowd, guint device, GArray *samples, GError **error)
{
  BenchDevice *revoked = crowd->bench->devices->pdata[device];
  Twinlatch__V1__RevokeDeviceRequest request = TWINLATCH__V1__REVOKE_DEVICE_REQUEST__INIT;
  Revocation revocation = { .client = crowd->bench->daemon->admin };
  double began = bench_now (), taken;

  request.device = (char *)tl_device_identity_device_id (revoked->identity);
  request.reason = (char *)"bench";
  tl_rpc_client_call_async (revocation.client, "/twinlatch.v1.AdminService/RevokeDevice", &request.base,
                            &twinlatch__v1__revoke_device_response__descriptor, CALL_MS, NULL, on_revoked, &revocation);
  while (!revocation.answered || (revocation.error == NULL && last_end (crowd, device) == 0))
    g_main_context_iteration (NULL, TRUE);
  if (revocation.error != NULL)
    {
      g_propagate_error (error, revocation.error);
      return FALSE;
    }
  taken = (last_end (crowd, device) - began) * 1e3;
  g_array_append_val (samples, taken);
  return TRUE;
}

/* What each revocation waits for before anything is cut. */
static gboolean
write_file (Bench *bench, GArray *samples, GError **error)
{
  g_autofree char *path = g_build_filename (bench->directory, "noise", NULL);
  double began = bench_now (), taken;

  if (!tl_file_write_atomic (path, "noise", 5, 0600, error))
    return FALSE;
  taken = (bench_now () - began) * 1e3;
  g_array_append_val (samples, taken);
  return TRUE;
}

static gboolean
measure (Crowd *crowd, GError **error)
{
  g_autoptr (GArray) revocations = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (GArray) writes = g_array_new (FALSE, FALSE, sizeof (double));
  g_autofree char *against = NULL;
  BenchRow row = { .bench = "revoke_p99", .unit = "ms", .budget = MOST_MS };

  if (!connect_all (crowd, error))
    return FALSE;
  for (guint i = 0; i < crowd->bench->devices->len; i++)
    if (!revoke_device (crowd, i, revocations, error) || !write_file (crowd->bench, writes, error))
      return FALSE;
  against = g_strdup_printf ("a small durable file, p99 (%u connections of %u devices)", crowd->connections->len,
                             crowd->bench->devices->len);
  row.value = bench_percentile (revocations, 0.99);
  row.reference = bench_percentile (writes, 0.99);
  row.against = against;
  bench_report_add (crowd->bench->report, &row);
  return TRUE;
}

gboolean
bench_revoke (Bench *bench, GError **error)
{
  Crowd crowd = { .bench = bench, .each = bench->quick ? CONNECTIONS_QUICK : CONNECTIONS };
  gboolean done;

  crowd.identities = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_rpc_identity_unref);
  crowd.connections = g_ptr_array_new_with_free_func (connection_free);
  done = measure (&crowd, error);
  g_ptr_array_unref (crowd.connections);
  g_ptr_array_unref (crowd.identities);
  return done;
}
