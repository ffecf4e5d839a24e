/* SPDX-License-Identifier: Apache-2.0 */
#include "bench-daemon.h"

#include <string.h>

#include "base/tl-file.h"
#include "base/tl-json.h"
#include "twinlatch/v1/admin.pb-c.h"
#include "twinlatch/v1/health.pb-c.h"

#define CALL_MS 30000

static const char config_format[] = "[gateway]\n"
                                    "name=bench\n"
                                    "listen=127.0.0.1:%u\n"
                                    "[limits]\n"
                                    "strangers=100000\n"
                                    "strangers-per-source=100000\n"
                                    "sessions=100000\n"
                                    "sessions-per-source=100000\n"
                                    "starts-per-minute=1000000\n"
                                    "starts-per-minute-per-source=1000000\n";

static gboolean
read_ready (BenchDaemon *daemon, json_t *ready, TlRpcLoop *loop, GError **error)
{
  const char *socket = NULL;
  const char *address = json_string_value (json_array_get (json_object_get (ready, "grpc"), 0));
  TlRpcClientOptions options = { 0 };

  if (address == NULL || !tl_json_get_string (ready, "admin_socket", TRUE, &socket, error))
    return FALSE;
  daemon->address = g_strdup (address);
  options.socket_path = socket;
  daemon->admin = tl_rpc_client_new (loop, &options, error);
  return daemon->admin != NULL;
}

BenchDaemon *
bench_daemon_start (const char *program, const char *directory, guint16 port, TlRpcLoop *loop, GError **error)
{
  g_autoptr (BenchDaemon) daemon = g_new0 (BenchDaemon, 1);
  g_autofree char *state = g_build_filename (directory, "gateway", NULL);
  g_autofree char *file = g_build_filename (directory, "twinlatchd.conf", NULL);
  g_autofree char *config = g_strdup_printf (config_format, port);
  g_autofree char *socket = g_build_filename (directory, "admin.sock", NULL);
  const char *const argv[]
      = { program, "--user", "--state-dir", state, "--config", file, "--socket", socket, "--print-ready", NULL };
  tl_json_auto ready = NULL;

  if (!tl_file_write_atomic (file, config, strlen (config), 0600, error))
    return NULL;
  daemon->process = bench_process_start (directory, "twinlatchd", argv, &ready, error);
  if (daemon->process == NULL || !read_ready (daemon, ready, loop, error))
    return NULL;
  return g_steal_pointer (&daemon);
}

guint16
bench_daemon_port (const BenchDaemon *daemon)
{
  return (guint16)g_ascii_strtoull (strrchr (daemon->address, ':') + 1, NULL, 10);
}

void
bench_daemon_stop (BenchDaemon *daemon)
{
  if (daemon == NULL)
    return;
  g_clear_pointer (&daemon->admin, tl_rpc_client_unref);
  g_clear_pointer (&daemon->process, bench_process_stop);
  g_free (daemon->address);
  g_free (daemon);
}

TlSecret *
bench_daemon_mint_link (BenchDaemon *daemon, GError **error)
{
  Twinlatch__V1__MintNodePairingCodeRequest request = TWINLATCH__V1__MINT_NODE_PAIRING_CODE_REQUEST__INIT;
  Twinlatch__V1__MintNodePairingCodeResponse *answer;
  TlSecret *link;

  request.method = TWINLATCH__V1__CODE_METHOD__CODE_METHOD_LINK;
  request.role = TWINLATCH__V1__ROLE__ROLE_NODE;
  request.auto_approve = TRUE;
  answer = (Twinlatch__V1__MintNodePairingCodeResponse *)
      tl_rpc_client_call_sync (daemon->admin, "/twinlatch.v1.AdminService/MintNodePairingCode", &request.base,
                               &twinlatch__v1__mint_node_pairing_code_response__descriptor, CALL_MS, error);
  if (answer == NULL)
    return NULL;
  link = tl_secret_new_copy (answer->secret, strlen (answer->secret));
  protobuf_c_message_free_unpacked (&answer->base, NULL);
  return link;
}

/* ---- health */

typedef struct
{
  BenchOperation *operation;
  TlRpcClient *client;
} Check;

static void
on_checked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Check *check = user_data;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *answer = tl_rpc_client_call_finish (check->client, result, &error);

  if (answer != NULL)
    protobuf_c_message_free_unpacked (answer, NULL);
  tl_rpc_client_unref (check->client);
  bench_operation_finish (check->operation, error);
}

void
bench_start_check (BenchOperation *operation, guint index, gpointer user_data)
{
  Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
  Check *check = g_new (Check, 1);

  check->operation = operation;
  check->client = tl_rpc_client_ref (user_data);
  tl_rpc_client_call_async (check->client, "/grpc.health.v1.Health/Check", &request.base,
                            &grpc__health__v1__health_check_response__descriptor, CALL_MS, NULL, on_checked, check);
}
