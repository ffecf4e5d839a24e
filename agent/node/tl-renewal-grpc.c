/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-renewal-grpc.h"

#include "base/tl-error.h"
#include "twinlatch/v1/node.pb-c.h"
#include "twinlatch/v1/pairing.pb-c.h"

#define GET_CHALLENGE       "/twinlatch.v1.PairingService/GetChallenge"
#define RENEW_WITH_IDENTITY "/twinlatch.v1.PairingService/RenewWithIdentity"
#define RENEW_CERTIFICATE   "/twinlatch.v1.NodeService/RenewCertificate"
#define CALL_DEADLINE_MS    15000
#define CONNECT_TIMEOUT_MS  5000

typedef struct
{
  TlRenewalTransport base;
  TlNodeRpc rpc;
  TlRenewalWay way;
  TlRpcClient *client;       /* of the renewal under way */
  GCancellable *cancellable; /* the same */
  TlChallengeFunc challenged;
  TlRenewedFunc renewed;
  gpointer user_data;
  GError *failure; /* told from failure_source */
  GSource *failure_source;
} GrpcTransport;

/* One call; it may outlive the renewal, and even the transport. */
typedef struct
{
  GrpcTransport *transport; /* good unless cancelled */
  TlRpcClient *client;
  GCancellable *cancellable;
} Call;

static Call *
call_new (GrpcTransport *transport)
{
  Call *call = g_new0 (Call, 1);

  call->transport = transport;
  call->client = tl_rpc_client_ref (transport->client);
  call->cancellable = g_object_ref (transport->cancellable);
  return call;
}

static void
call_free (Call *call)
{
  tl_rpc_client_unref (call->client);
  g_object_unref (call->cancellable);
  g_free (call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Call, call_free)

/* ---- RenewCertificate, RenewWithIdentity ----------------------------------------------------------------------- */

static void
on_renewed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  GrpcTransport *transport = call->transport;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *message = tl_rpc_client_call_finish (call->client, result, &error);
  const Twinlatch__V1__RenewResponse *response = (const Twinlatch__V1__RenewResponse *)message;

  (void)source;
  if (!g_cancellable_is_cancelled (call->cancellable) && message == NULL)
    transport->renewed (NULL, error, transport->user_data);
  else if (!g_cancellable_is_cancelled (call->cancellable))
    {
      TlRenewalAnswer answer = { .certificate = response->certificate_der.data,
                                 .certificate_length = response->certificate_der.len,
                                 .ca_generation = response->ca_generation,
                                 .server_time_ms = response->server_time_unix_ms,
                                 .grace_end_ms = response->grace_ends_at_unix_ms };

      transport->renewed (&answer, NULL, transport->user_data);
    }
  if (message != NULL)
    protobuf_c_message_free_unpacked (message, NULL);
}

static void
grpc_renew (TlRenewalTransport *base, const TlRenewalMessage *message, TlRenewedFunc func, gpointer user_data)
{
  GrpcTransport *transport = (GrpcTransport *)base;
  Twinlatch__V1__RenewRequest request = TWINLATCH__V1__RENEW_REQUEST__INIT;
  gsize length = 0;

  request.device_id = (char *)message->device_id;
  request.csr_der.data = (guint8 *)g_bytes_get_data (message->csr, &length);
  request.csr_der.len = length;
  request.challenge.data = (guint8 *)message->challenge;
  request.challenge.len = TL_RENEWAL_CHALLENGE_LENGTH;
  request.identity_signature.data = (guint8 *)message->signature;
  request.identity_signature.len = TL_ED25519_SIGNATURE_LENGTH;
  transport->renewed = func;
  transport->user_data = user_data;
  tl_rpc_client_call_async (transport->client,
                            transport->way == TL_RENEWAL_BY_IDENTITY ? RENEW_WITH_IDENTITY : RENEW_CERTIFICATE,
                            &request.base, &twinlatch__v1__renew_response__descriptor, CALL_DEADLINE_MS,
                            transport->cancellable, on_renewed, call_new (transport));
}

/* ---- GetChallenge ---------------------------------------------------------------------------------------------- */

static void
on_challenged (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  GrpcTransport *transport = call->transport;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *message = tl_rpc_client_call_finish (call->client, result, &error);
  const Twinlatch__V1__GetChallengeResponse *response = (const Twinlatch__V1__GetChallengeResponse *)message;
  gboolean fits = message != NULL && response->challenge.len == TL_RENEWAL_CHALLENGE_LENGTH;

  (void)source;
  if (message != NULL && !fits)
    g_set_error (&error, TL_ERROR, TL_ERROR_PROTOCOL, "the gateway's challenge has %zu bytes instead of %d",
                 response->challenge.len, TL_RENEWAL_CHALLENGE_LENGTH);
  if (!g_cancellable_is_cancelled (call->cancellable))
    transport->challenged (fits ? response->challenge.data : NULL, error, transport->user_data);
  if (message != NULL)
    protobuf_c_message_free_unpacked (message, NULL);
}

static gboolean
on_failure (gpointer data)
{
  GrpcTransport *transport = data;
  g_autoptr (GError) error = g_steal_pointer (&transport->failure);

  g_clear_pointer (&transport->failure_source, g_source_unref);
  transport->challenged (NULL, error, transport->user_data);
  return G_SOURCE_REMOVE;
}

/* Callbacks come from the main context only. */
static void
fail_later (GrpcTransport *transport, GError *error)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();

  transport->failure = error;
  transport->failure_source = g_idle_source_new ();
  g_source_set_callback (transport->failure_source, on_failure, transport, NULL);
  g_source_attach (transport->failure_source, context);
}

static void
grpc_challenge (TlRenewalTransport *base, TlRenewalWay way, const char *const *addresses, const char *device_id,
                TlChallengeFunc func, gpointer user_data)
{
  GrpcTransport *transport = (GrpcTransport *)base;
  Twinlatch__V1__GetChallengeRequest request = TWINLATCH__V1__GET_CHALLENGE_REQUEST__INIT;
  g_autoptr (GError) error = NULL;

  g_return_if_fail (transport->client == NULL);
  transport->way = way;
  transport->challenged = func;
  transport->user_data = user_data;
  transport->client
      = tl_node_rpc_client (&transport->rpc, addresses, way == TL_RENEWAL_BY_CERTIFICATE, CONNECT_TIMEOUT_MS, &error);
  if (transport->client == NULL)
    {
      fail_later (transport, g_steal_pointer (&error));
      return;
    }
  transport->cancellable = g_cancellable_new ();
  request.device_id = (char *)device_id;
  tl_rpc_client_call_async (transport->client, GET_CHALLENGE, &request.base,
                            &twinlatch__v1__get_challenge_response__descriptor, CALL_DEADLINE_MS,
                            transport->cancellable, on_challenged, call_new (transport));
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static void
grpc_end (TlRenewalTransport *base)
{
  GrpcTransport *transport = (GrpcTransport *)base;

  if (transport->failure_source != NULL)
    g_source_destroy (transport->failure_source);
  g_clear_pointer (&transport->failure_source, g_source_unref);
  g_clear_error (&transport->failure);
  if (transport->cancellable != NULL)
    g_cancellable_cancel (transport->cancellable);
  g_clear_object (&transport->cancellable);
  g_clear_pointer (&transport->client, tl_rpc_client_unref);
}

static void
grpc_free (TlRenewalTransport *base)
{
  grpc_end (base);
  g_free (base);
}

static const TlRenewalTransportClass grpc_class = {
  .challenge = grpc_challenge,
  .renew = grpc_renew,
  .end = grpc_end,
  .free = grpc_free,
};

TlRenewalTransport *
tl_renewal_transport_new_grpc (const TlNodeRpc *rpc)
{
  GrpcTransport *transport = g_new0 (GrpcTransport, 1);

  transport->base.klass = &grpc_class;
  transport->rpc = *rpc;
  return &transport->base;
}
