/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-renewal-service.h"

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "daemon/tl-challenge-table.h"
#include "daemon/tl-pairing-private.h"
#include "daemon/tl-rate-limit.h"
#include "daemon/tl-wire.h"

#define PAIRING_PATH "/twinlatch.v1.PairingService/"
#define NODE_PATH    "/twinlatch.v1.NodeService/"
#define MAX_BODY     (16u * 1024u)
/* Of admitted devices: two calls make a renewal, and a gateway that comes back may meet ten thousand of them. */
#define DEVICE_CALLS_PER_MINUTE  20
#define DEVICES_CALLS_PER_MINUTE 40000

struct _TlRenewalService
{
  TlGateway *gateway;
  TlRenewalDesk *desk;
  TlRateLimit *strangers; /* by source */
  TlRateLimit *devices;   /* by device id */
};

TlRenewalService *
tl_renewal_service_new (TlGateway *gateway)
{
  TlRenewalService *self = g_new0 (TlRenewalService, 1);
  const TlDaemonLimits *limits = &gateway->config->limits;
  TlRenewalDeskParts parts = { .store = gateway->store,
                               .identity = gateway->identity,
                               .admitted = gateway->admitted,
                               .clock = gateway->clock,
                               .random = gateway->random,
                               .lifetime_ms = gateway->config->device_lifetime_ms,
                               .grace_ms = gateway->config->renewal_grace_ms };

  self->gateway = gateway;
  self->desk = tl_renewal_desk_new (&parts);
  self->strangers = tl_rate_limit_new (limits->renewals_per_minute_per_source, limits->renewals_per_minute);
  self->devices = tl_rate_limit_new (DEVICE_CALLS_PER_MINUTE, DEVICES_CALLS_PER_MINUTE);
  return self;
}

void
tl_renewal_service_free (TlRenewalService *self)
{
  if (self == NULL)
    return;
  tl_renewal_desk_free (self->desk);
  tl_rate_limit_free (self->strangers);
  tl_rate_limit_free (self->devices);
  g_free (self);
}

TlRenewalDesk *
tl_renewal_service_desk (TlRenewalService *self)
{
  return self->desk;
}

/* FALSE: the call is finished. */
static gboolean
is_within_limits (TlRenewalService *self, TlRpcCall *call)
{
  const TlRpcPeer *peer = tl_rpc_call_peer (call);
  gboolean device = peer->kind == TL_RPC_PEER_DEVICE;
  gint64 now_us = tl_clock_monotonic_us (self->gateway->clock);
  g_autoptr (GError) error = NULL;

  if (tl_rate_limit_take (device ? self->devices : self->strangers, device ? peer->admission.device_id : peer->source,
                          now_us))
    return TRUE;
  g_set_error_literal (&error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, "too many renewals; try again in a minute");
  tl_rpc_call_finish (call, error);
  return FALSE;
}

/* A device shows by any call that its certificate works; it may not speak for another (PROTOCOL 4). */
static gboolean
check_claim (TlRenewalService *self, TlRpcCall *call, const char *device_id)
{
  const TlRpcPeer *peer = tl_rpc_call_peer (call);
  g_autoptr (GError) error = NULL;

  if (peer->kind != TL_RPC_PEER_DEVICE)
    return TRUE;
  tl_gateway_certificate_seen (self->gateway, peer->fingerprint);
  if (g_str_equal (device_id, peer->admission.device_id))
    return TRUE;
  g_set_error (&error, TL_ERROR, TL_ERROR_PERMISSION_DENIED, "the device id in the message is not the certificate's");
  tl_rpc_call_finish (call, error);
  return FALSE;
}

static void
on_challenge (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlRenewalService *self = user_data;
  const Twinlatch__V1__GetChallengeRequest *request = (const Twinlatch__V1__GetChallengeRequest *)message;
  Twinlatch__V1__GetChallengeResponse answer = TWINLATCH__V1__GET_CHALLENGE_RESPONSE__INIT;
  gboolean admitted = tl_rpc_call_peer (call)->kind == TL_RPC_PEER_DEVICE;
  g_autoptr (GError) error = NULL;
  guint8 challenge[TL_RENEWAL_CHALLENGE_LENGTH];

  if (!is_within_limits (self, call) || !check_claim (self, call, request->device_id))
    return;
  if (!tl_renewal_desk_challenge (self->desk, request->device_id, admitted, challenge, &error))
    {
      tl_rpc_call_finish (call, error);
      return;
    }
  answer.challenge = tl_wire_bytes (challenge, sizeof challenge);
  answer.lifetime_ms = TL_CHALLENGE_LIFETIME_MS;
  tl_rpc_call_reply (call, &answer.base);
}

typedef struct
{
  TlRenewalService *service;
  TlRpcCall *call;
  char *device_id;
} RenewWait;

static void
renew_wait_free (RenewWait *wait)
{
  tl_rpc_call_unref (wait->call);
  g_free (wait->device_id);
  g_free (wait);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (RenewWait, renew_wait_free)

static void
reply (RenewWait *wait, const TlRenewalRecord *record)
{
  TlGateway *gateway = wait->service->gateway;
  TlTrustBundle *bundle = tl_gateway_identity_bundle (gateway->identity);
  guint n = tl_trust_bundle_size (bundle);
  g_autofree Twinlatch__V1__CaCertificate *cas = g_new0 (Twinlatch__V1__CaCertificate, n);
  g_autofree ProtobufCBinaryData *ders = g_new0 (ProtobufCBinaryData, n);
  g_autoptr (GPtrArray) owned = tl_gateway_fill_cas (gateway, cas);
  Twinlatch__V1__RenewResponse answer = TWINLATCH__V1__RENEW_RESPONSE__INIT;

  for (guint i = 0; i < n; i++)
    ders[i] = cas[i].certificate_der;
  answer.certificate_der = tl_wire_gbytes (record->der);
  answer.n_ca_bundle = n;
  answer.ca_bundle = ders;
  answer.ca_generation = record->certificate->ca_generation;
  answer.n_addresses = g_strv_length (gateway->advertised);
  answer.addresses = gateway->advertised;
  answer.server_time_unix_ms = tl_clock_wall_ms (gateway->clock);
  answer.grace_ends_at_unix_ms = tl_renewal_desk_grace_end (wait->service->desk, record->certificate->not_after);
  tl_rpc_call_reply (wait->call, &answer.base);
}

static void
on_renewed (const TlRenewalRecord *record, const GError *error, gpointer user_data)
{
  g_autoptr (RenewWait) wait = user_data;
  const TlRpcPeer *peer = tl_rpc_call_peer (wait->call);

  if (error != NULL)
    {
      tl_log (TL_LOG_NOTICE, "renewal refused", "device_id", wait->device_id, "source", peer->source, "reason",
              tl_error_to_reason (error), "error", error->message, NULL);
      tl_pairing_finish_stranger (wait->call, error);
      return;
    }
  if (record->ended != NULL)
    tl_gateway_end_certificates (wait->service->gateway, record->ended);
  tl_log (TL_LOG_NOTICE, "certificate renewed", "device_id", wait->device_id, "source", peer->source, "fingerprint",
          record->certificate->fingerprint, "again", record->repeated ? "yes" : "no", NULL);
  reply (wait, record);
}

static void
on_renew (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlRenewalService *self = user_data;
  const Twinlatch__V1__RenewRequest *request = (const Twinlatch__V1__RenewRequest *)message;
  TlRenewalAsk ask = { .device_id = request->device_id,
                       .csr = request->csr_der.data,
                       .csr_length = request->csr_der.len,
                       .challenge = request->challenge.data,
                       .challenge_length = request->challenge.len,
                       .signature = request->identity_signature.data,
                       .signature_length = request->identity_signature.len,
                       .with_certificate = tl_rpc_call_method (call)->auth == TL_RPC_AUTH_DEVICE,
                       .actor = tl_rpc_call_peer (call)->actor };
  RenewWait *wait;

  if (!is_within_limits (self, call) || !check_claim (self, call, request->device_id))
    return;
  wait = g_new0 (RenewWait, 1);
  wait->service = self;
  wait->call = tl_rpc_call_ref (call);
  wait->device_id = g_strdup (request->device_id);
  tl_renewal_desk_renew (self->desk, &ask, on_renewed, wait);
}

static const TlRpcMethod methods[] = {
  { PAIRING_PATH "GetChallenge", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE, &twinlatch__v1__get_challenge_request__descriptor,
    &twinlatch__v1__get_challenge_response__descriptor, MAX_BODY, on_challenge, NULL, NULL },
  { PAIRING_PATH "RenewWithIdentity", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE, &twinlatch__v1__renew_request__descriptor,
    &twinlatch__v1__renew_response__descriptor, MAX_BODY, on_renew, NULL, NULL },
  { NODE_PATH "RenewCertificate", TL_RPC_UNARY, TL_RPC_AUTH_DEVICE, &twinlatch__v1__renew_request__descriptor,
    &twinlatch__v1__renew_response__descriptor, MAX_BODY, on_renew, NULL, NULL },
};

void
tl_renewal_service_register (TlRenewalService *self, TlRpcServer *server)
{
  tl_rpc_server_add_methods (server, methods, G_N_ELEMENTS (methods), self);
}
