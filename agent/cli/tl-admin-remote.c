/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-admin-remote.h"

#include <glib/gi18n.h>

#include "agent/cli/tl-text.h"
#include "agent/node/tl-node-state.h"
#include "base/tl-clock.h"
#include "base/tl-error.h"
#include "twinlatch/v1/health.pb-c.h"

#define PROBE_MS     3000
#define HEALTH_CHECK "/grpc.health.v1.Health/Check"

struct _TlAdminRemote
{
  TlCli *cli;
  TlNodeState *state;
  TlDeviceIdentity *identity;
  TlRpcIdentity *rpc_identity;
  TlRpcClient *client;
  char *name; /* of the gateway, for messages */
};

void
tl_admin_remote_free (TlAdminRemote *remote)
{
  if (remote == NULL)
    return;
  g_clear_pointer (&remote->client, tl_rpc_client_unref);
  g_clear_pointer (&remote->rpc_identity, tl_rpc_identity_unref);
  g_clear_pointer (&remote->identity, tl_device_identity_free);
  g_clear_pointer (&remote->state, tl_node_state_free);
  g_free (remote->name);
  g_free (remote);
}

TlRpcClient *
tl_admin_remote_client (TlAdminRemote *remote)
{
  return remote->client;
}

/* Found out before anything connects: the gateway would only close the connection. */
static gboolean
check_certificate (TlAdminRemote *remote, GError **error)
{
  gint64 end = tl_certificate_not_after_ms (tl_device_identity_certificate (remote->identity));
  g_autofree char *when = NULL;

  if (end > tl_cli_now_ms (remote->cli))
    return TRUE;
  when = tl_cli_time (remote->cli, end);
  g_set_error (error, TL_ERROR, TL_ERROR_EXPIRED,
               _ ("this computer's certificate for %s ended %s; pair again with twinlatch node pair --replace"),
               remote->name, when);
  return FALSE;
}

static TlRpcIdentity *
make_rpc_identity (TlDeviceIdentity *identity, GError **error)
{
  g_autofree char *chain = tl_device_identity_chain_pem (identity);
  g_autofree char *roots = tl_trust_bundle_to_pem (tl_device_identity_bundle (identity));
  g_autoptr (TlSecret) key = tl_device_identity_key_pem (identity, error);

  return key != NULL ? tl_rpc_identity_new (chain, key, roots, error) : NULL;
}

static TlRpcClient *
make_client (TlAdminRemote *remote, TlRpcIdentity *identity, guint connect_ms, GError **error)
{
  TlRpcClientOptions options = { .addresses = tl_node_state_marker (remote->state)->addresses,
                                 .bundle = tl_device_identity_bundle (remote->identity),
                                 .identity = identity,
                                 .connect_timeout_ms = connect_ms };

  return tl_rpc_client_new (tl_cli_loop (remote->cli), &options, error);
}

TlAdminRemote *
tl_admin_remote_new (TlCli *cli, const char *gateway, GError **error)
{
  g_autoptr (TlAdminRemote) remote = g_new0 (TlAdminRemote, 1);
  const TlNodeMarker *marker;
  guint connect_ms;

  remote->cli = cli;
  remote->state = tl_node_state_open (tl_cli_state_dir (cli), gateway, error);
  if (remote->state == NULL)
    {
      if (error != NULL && tl_error_is (*error, TL_ERROR_NOT_PAIRED))
        g_prefix_error (error, _ ("pair first, with twinlatch node pair: "));
      return NULL;
    }
  marker = tl_node_state_marker (remote->state);
  remote->name = tl_text_escape (marker->gateway_name[0] != '\0' ? marker->gateway_name : marker->gateway_id);
  remote->identity = tl_node_state_load_identity (remote->state, error);
  if (remote->identity == NULL || !check_certificate (remote, error))
    return NULL;
  remote->rpc_identity = make_rpc_identity (remote->identity, error);
  if (remote->rpc_identity == NULL)
    return NULL;
  /* Over before the call's own deadline, so that a gateway out of reach is called that; a long --timeout is for the
   * answer. */
  connect_ms = MIN (tl_cli_timeout_ms (cli), TL_CLI_DEFAULT_TIMEOUT_MS) / 10 * 9;
  remote->client = make_client (remote, remote->rpc_identity, MAX (connect_ms, 1), error);
  return remote->client != NULL ? g_steal_pointer (&remote) : NULL;
}

/* ---- what went wrong ---- */

/* identity NULL: as a stranger, to the same gateway (its certificate is verified). */
static gboolean
answers (TlAdminRemote *remote, TlRpcIdentity *identity)
{
  Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
  g_autoptr (TlRpcClient) client = make_client (remote, identity, PROBE_MS, NULL);
  ProtobufCMessage *answer = NULL;

  if (client != NULL)
    answer = tl_rpc_client_call_sync (client, HEALTH_CHECK, &request.base,
                                      &grpc__health__v1__health_check_response__descriptor, PROBE_MS, NULL);
  if (answer != NULL)
    protobuf_c_message_free_unpacked (answer, NULL);
  return answer != NULL;
}

/* The gateway ends the handshake without a word; and a connection may just have been lost. */
static gboolean
is_refused (TlAdminRemote *remote)
{
  return answers (remote, NULL) && !answers (remote, remote->rpc_identity);
}

void
tl_admin_remote_explain (TlAdminRemote *remote, GError **error)
{
  const TlNodeMarker *marker = tl_node_state_marker (remote->state);
  g_autofree char *addresses = NULL;

  if (error == NULL || *error == NULL)
    return;
  if (tl_error_is (*error, TL_ERROR_NOT_OPERATOR))
    {
      g_clear_error (error);
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_OPERATOR,
                   _ ("this computer's role at %s is node; an operator changes it there, with twinlatch devices role "
                      "%s operator"),
                   remote->name, marker->device_id);
    }
  else if (tl_error_is (*error, TL_ERROR_UNAUTHENTICATED)
           || (tl_error_is (*error, TL_ERROR_UNAVAILABLE) && is_refused (remote)))
    {
      g_clear_error (error);
      g_set_error (error, TL_ERROR, TL_ERROR_REVOKED,
                   _ ("%s is there but does not admit this computer: revoked, suspended or forgotten; ask an operator "
                      "(device %s)"),
                   remote->name, marker->device_id);
    }
  else if (tl_error_is (*error, TL_ERROR_UNAVAILABLE))
    {
      addresses = g_strjoinv (", ", (char **)marker->addresses);
      g_prefix_error (error, _ ("%s (%s): "), remote->name, addresses);
    }
}
