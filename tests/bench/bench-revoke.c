/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "base/tl-file.h"
#include "bench-bare-quic.h"
#include "bench.h"
#include "twinlatch/v1/admin.pb-c.h"
#include "twinlatch/v1/health.pb-c.h"

/*
 * From an operator's call to the end of the last connection of the device, seen from the device's end, while a crowd is
 * connected: each device by several connections over gRPC, each of which carries a call that does not end, and as many
 * over QUIC. One device after the other is revoked; so the crowd is whole for the first and gone after the last.
 */
#define CONNECTIONS       5 /* a device and transport */
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
  BenchBareConnection *connection;
  double ended; /* 0: open */
} QuicConnection;

typedef struct
{
  Bench *bench;
  guint each;             /* connections of a device and transport */
  GPtrArray *identities;  /* TlRpcIdentity, a device */
  GPtrArray *connections; /* Connection, `each` a device */
  BenchBareEndpoint *endpoint;
  GPtrArray *quic_tls; /* BenchBareTls, a device */
  GArray *quic;        /* QuicConnection, `each` a device */
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

/* A BenchStartFunc. */
static void
start_quic_connection (BenchOperation *operation, guint index, gpointer user_data)
{
  Crowd *crowd = user_data;
  BenchBareTls *tls = crowd->quic_tls->pdata[index / crowd->each];
  QuicConnection connection = { .connection = bench_bare_connect (crowd->endpoint, tls, operation) };

  g_array_append_val (crowd->quic, connection);
}

static BenchBareTls *
device_tls (BenchDevice *device, GError **error)
{
  g_autofree char *chain = tl_device_identity_chain_pem (device->identity);
  g_autoptr (TlSecret) key = tl_device_identity_key_pem (device->identity, error);

  return key != NULL ? bench_bare_tls_new (FALSE, chain, key, NULL, error) : NULL;
}

static gboolean
connect_all (Crowd *crowd, GError **error)
{
  guint n = crowd->bench->devices->len * crowd->each;

  crowd->endpoint = bench_bare_endpoint_new_client (bench_daemon_port (crowd->bench->daemon), error);
  if (crowd->endpoint == NULL)
    return FALSE;
  for (guint i = 0; i < crowd->bench->devices->len; i++)
    {
      TlRpcIdentity *identity = bench_device_rpc_identity (crowd->bench->devices->pdata[i], error);
      BenchBareTls *tls = identity != NULL ? device_tls (crowd->bench->devices->pdata[i], error) : NULL;

      if (identity == NULL)
        return FALSE;
      g_ptr_array_add (crowd->identities, identity);
      if (tls == NULL)
        return FALSE;
      g_ptr_array_add (crowd->quic_tls, tls);
    }
  return bench_load_run (n, IN_FLIGHT, start_connection, crowd, NULL, error)
         && bench_load_run (n, IN_FLIGHT, start_quic_connection, crowd, NULL, error);
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

static double
end_of_quic (QuicConnection *quic)
{
  if (quic->ended == 0 && !bench_bare_connection_is_open (quic->connection))
    quic->ended = bench_now ();
  return quic->ended;
}

/* When the last of the device's connections ended; 0: one is open. To be called after each turn of the loop. */
static double
last_end (const Crowd *crowd, guint device)
{
  double last = 0;
  gboolean all = TRUE;

  for (guint i = device * crowd->each; i < (device + 1) * crowd->each; i++)
    {
      const Connection *connection = crowd->connections->pdata[i];
      double quic = end_of_quic (&g_array_index (crowd->quic, QuicConnection, i));

      all = all && connection->ended != 0 && quic != 0;
      last = MAX (last, MAX (connection->ended, quic));
    }
  return all ? last : 0;
}

/* A connection that ended by itself would pass for one that was closed quickly. */
static gboolean
is_whole (Crowd *crowd, guint device, GError **error)
{
  for (guint i = device * crowd->each; i < (device + 1) * crowd->each; i++)
    if (((const Connection *)crowd->connections->pdata[i])->ended != 0
        || end_of_quic (&g_array_index (crowd->quic, QuicConnection, i)) != 0)
      {
        g_set_error (error, TL_ERROR, TL_ERROR_INTERNAL, "a connection of device %u ended before its revocation",
                     device);
        return FALSE;
      }
  return TRUE;
}

static gboolean
revoke_device (Crowd *crowd, guint device, GArray *samples, GError **error)
{
  BenchDevice *revoked = crowd->bench->devices->pdata[device];
  Twinlatch__V1__RevokeDeviceRequest request = TWINLATCH__V1__REVOKE_DEVICE_REQUEST__INIT;
  Revocation revocation = { .client = crowd->bench->daemon->admin };
  double began = bench_now (), taken;

  if (!is_whole (crowd, device, error))
    return FALSE;
  request.device = (char *)tl_device_identity_device_id (revoked->identity);
  request.reason = (char *)"bench";
  tl_rpc_client_call_async (revocation.client, "/twinlatch.v1.AdminService/RevokeDevice", &request.base,
                            &twinlatch__v1__revoke_device_response__descriptor, CALL_MS, NULL, on_revoked, &revocation);
  while (last_end (crowd, device) == 0 || !revocation.answered)
    {
      if (revocation.error != NULL)
        break;
      g_main_context_iteration (NULL, TRUE);
    }
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
  against = g_strdup_printf ("a small durable file, p99 (%u connections by gRPC and %u by QUIC, of %u devices)",
                             crowd->connections->len, crowd->quic->len, crowd->bench->devices->len);
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
  crowd.quic_tls = g_ptr_array_new_with_free_func ((GDestroyNotify)bench_bare_tls_free);
  crowd.quic = g_array_new (FALSE, FALSE, sizeof (QuicConnection));
  done = measure (&crowd, error);
  g_clear_pointer (&crowd.endpoint, bench_bare_endpoint_free);
  g_ptr_array_unref (crowd.quic_tls);
  g_array_unref (crowd.quic);
  g_ptr_array_unref (crowd.connections);
  g_ptr_array_unref (crowd.identities);
  return done;
}
