/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tl-rpc-health.h"

#include "base/tl-error.h"
#include "twinlatch/v1/health.pb-c.h"

#define MAX_REQUEST 512

typedef Grpc__Health__V1__HealthCheckRequest Request;
typedef Grpc__Health__V1__HealthCheckResponse Response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus Status;

struct _TlRpcHealth
{
  gboolean serving;
  GPtrArray *watchers; /* TlRpcCall of services that exist */
};

static const char *const services[] = {
  "", "twinlatch.v1.PairingService", "twinlatch.v1.NodeService", "twinlatch.v1.AdminService", NULL,
};

static Status
current (TlRpcHealth *health)
{
  return health->serving ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                         : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
}

static void
on_check (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  const Request *request = (const Request *)message;
  Response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

  if (!g_strv_contains (services, request->service))
    {
      g_autoptr (GError) error
          = g_error_new_literal (TL_ERROR, TL_ERROR_NOT_FOUND, "there is no service of that name here");

      tl_rpc_call_finish (call, error);
      return;
    }
  response.status = current (user_data);
  tl_rpc_call_reply (call, &response.base);
}

/* grpc.health.v1: an unknown service is watched too; it never comes to be here. */
static void
on_watch (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlRpcHealth *health = user_data;
  const Request *request = (const Request *)message;
  Response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

  if (g_strv_contains (services, request->service))
    {
      response.status = current (health);
      g_ptr_array_add (health->watchers, tl_rpc_call_ref (call));
    }
  else
    response.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
  tl_rpc_call_send (call, &response.base);
}

static void
on_watch_cancelled (TlRpcCall *call, gpointer user_data)
{
  TlRpcHealth *health = user_data;

  g_ptr_array_remove (health->watchers, call);
}

static const TlRpcMethod methods[] = {
  { .path = "/grpc.health.v1.Health/Check",
    .kind = TL_RPC_UNARY,
    .auth = TL_RPC_AUTH_ANYONE,
    .request = &grpc__health__v1__health_check_request__descriptor,
    .response = &grpc__health__v1__health_check_response__descriptor,
    .max_request = MAX_REQUEST,
    .on_message = on_check },
  { .path = "/grpc.health.v1.Health/Watch",
    .kind = TL_RPC_SERVER_STREAM,
    .auth = TL_RPC_AUTH_KNOWN,
    .request = &grpc__health__v1__health_check_request__descriptor,
    .response = &grpc__health__v1__health_check_response__descriptor,
    .max_request = MAX_REQUEST,
    .on_message = on_watch,
    .on_cancelled = on_watch_cancelled },
};

TlRpcHealth *
tl_rpc_health_new (void)
{
  TlRpcHealth *health = g_new0 (TlRpcHealth, 1);

  health->serving = TRUE;
  health->watchers = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_rpc_call_unref);
  return health;
}

void
tl_rpc_health_free (TlRpcHealth *health)
{
  if (health == NULL)
    return;
  g_ptr_array_unref (health->watchers);
  g_free (health);
}

void
tl_rpc_health_set_serving (TlRpcHealth *health, gboolean serving)
{
  Response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

  if (health->serving == serving)
    return;
  health->serving = serving;
  response.status = current (health);
  for (guint i = 0; i < health->watchers->len; i++)
    tl_rpc_call_send (health->watchers->pdata[i], &response.base);
}

void
tl_rpc_health_register (TlRpcHealth *health, TlRpcServer *server)
{
  tl_rpc_server_add_methods (server, methods, G_N_ELEMENTS (methods), health);
}
