/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-runtime-private.h"

#include <pthread.h>
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "tl-fake-gateway.h"

/* A running node and its certificate, against a gateway that renews. */

#define DAY_MS (G_GINT64_CONSTANT (86400) * 1000)

typedef struct
{
  char *directory;
  TlFakeGateway *gateway;
  TlDeviceIdentity *identity;
  TlNodeState *state;
  TlNodeConfig *config;
  TlNetworkMonitor *network;
  TlSuspendMonitor *suspend;
  TlNodeRuntime *runtime;
  TlNodeRunState run_state;
  char *detail;
  guint n_connected, n_refused;

  /* the gateway's side of renewals */
  guint8 challenge[TL_RENEWAL_CHALLENGE_LENGTH];
  guint n_by_certificate, n_by_identity;
  int refusal; /* TlErrorCode for whoever asks with the identity; -1: renews */
} Fixture;

/* ---- the gateway ---- */

static void
on_challenge (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Fixture *f = user_data;
  Twinlatch__V1__GetChallengeResponse answer = TWINLATCH__V1__GET_CHALLENGE_RESPONSE__INIT;

  (void)message;
  tl_random_bytes (tl_random_system (), f->challenge, sizeof f->challenge);
  answer.challenge.data = f->challenge;
  answer.challenge.len = sizeof f->challenge;
  tl_rpc_call_reply (call, &answer.base);
}

static void
assert_proof (Fixture *f, const Twinlatch__V1__RenewRequest *request)
{
  TlRenewalProof proof = { .gateway_id = TL_FIXTURE_GATEWAY,
                           .device_id = tl_device_identity_device_id (f->identity),
                           .challenge = f->challenge,
                           .csr = request->csr_der.data,
                           .csr_length = request->csr_der.len };

  g_assert_cmpstr (request->device_id, ==, proof.device_id);
  g_assert_cmpmem (request->challenge.data, request->challenge.len, f->challenge, sizeof f->challenge);
  g_assert_true (tl_renewal_proof_verify (&proof, tl_device_identity_public (f->identity),
                                          request->identity_signature.data, request->identity_signature.len));
}

static void
on_renew (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Fixture *f = user_data;
  const Twinlatch__V1__RenewRequest *request = (const Twinlatch__V1__RenewRequest *)message;
  Twinlatch__V1__RenewResponse answer = TWINLATCH__V1__RENEW_RESPONSE__INIT;
  gboolean by_identity = tl_rpc_call_method (call)->auth == TL_RPC_AUTH_ANYONE;
  g_autoptr (EVP_PKEY) key = NULL;
  g_autoptr (X509) leaf = NULL;
  g_autoptr (GBytes) der = NULL;
  g_autofree char *fingerprint = NULL;
  TlAdmission admission = { .role = TL_ROLE_NODE, .not_after_ms = G_MAXINT64, .ca_generation = 1 };
  gsize length = 0;

  assert_proof (f, request);
  f->n_by_identity += by_identity;
  f->n_by_certificate += !by_identity;
  if (by_identity && f->refusal >= 0)
    {
      g_autoptr (GError) error = g_error_new_literal (TL_ERROR, f->refusal, "this device was revoked for a test");
      tl_rpc_call_finish (call, error);
      return;
    }
  key = tl_csr_verify (request->csr_der.data, request->csr_der.len, NULL);
  leaf = tl_certificate_authority_issue_device (f->gateway->ca, key, request->device_id, g_get_real_time () / 1000,
                                                DAY_MS, tl_random_system (), NULL);
  der = tl_certificate_to_der (leaf);
  fingerprint = tl_certificate_fingerprint (leaf);
  g_strlcpy (admission.device_id, request->device_id, sizeof admission.device_id);
  tl_admitted_set_add (f->gateway->admitted, fingerprint, &admission);
  answer.certificate_der.data = (guint8 *)g_bytes_get_data (der, &length);
  answer.certificate_der.len = length;
  answer.server_time_unix_ms = g_get_real_time () / 1000;
  tl_rpc_call_reply (call, &answer.base);
}

static const TlRpcMethod renewal_methods[] = {
  { "/twinlatch.v1.PairingService/GetChallenge", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE,
    &twinlatch__v1__get_challenge_request__descriptor, &twinlatch__v1__get_challenge_response__descriptor, 0,
    on_challenge, NULL, NULL },
  { "/twinlatch.v1.PairingService/RenewWithIdentity", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE,
    &twinlatch__v1__renew_request__descriptor, &twinlatch__v1__renew_response__descriptor, 0, on_renew, NULL, NULL },
  { "/twinlatch.v1.NodeService/RenewCertificate", TL_RPC_UNARY, TL_RPC_AUTH_DEVICE,
    &twinlatch__v1__renew_request__descriptor, &twinlatch__v1__renew_response__descriptor, 0, on_renew, NULL, NULL },
};

/* ---- a capability that takes its time ---- */

static pthread_mutex_t slow_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t slow_wake = PTHREAD_COND_INITIALIZER;
static gboolean slow_released;
static int slow_running;

static json_t *
slow (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  (void)call, (void)input, (void)data, (void)error;
  g_atomic_int_set (&slow_running, 1);
  pthread_mutex_lock (&slow_lock);
  while (!slow_released)
    pthread_cond_wait (&slow_wake, &slow_lock);
  pthread_mutex_unlock (&slow_lock);
  return json_string ("done");
}

static const TlCapability slow_capability
    = { .name = "test.slow", .description = "Waits.", .input_schema = "{}", .func = slow };

static void
release_slow (void)
{
  pthread_mutex_lock (&slow_lock);
  slow_released = TRUE;
  pthread_cond_signal (&slow_wake);
  pthread_mutex_unlock (&slow_lock);
}

/* ---- the node ---- */

static void
on_state (TlNodeRuntime *runtime, TlNodeRunState state, const char *detail, gpointer user_data)
{
  Fixture *f = user_data;

  (void)runtime;
  f->run_state = state;
  g_free (f->detail);
  f->detail = g_strdup (detail);
  f->n_connected += state == TL_NODE_CONNECTED;
  f->n_refused += state == TL_NODE_REFUSED;
}

static void
set_up (Fixture *f, gconstpointer data)
{
  TlNodeRuntimeParts parts = { .capabilities = &slow_capability, .n_capabilities = 1 };
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;

  (void)data;
  f->refusal = -1;
  slow_released = FALSE;
  slow_running = 0;
  f->directory = tl_fixture_directory ();
  f->gateway = tl_fake_gateway_new ();
  tl_fake_gateway_add_methods (f->gateway, renewal_methods, G_N_ELEMENTS (renewal_methods), f);
  tl_fake_gateway_start (f->gateway);
  f->identity = tl_fixture_identity (f->gateway->ca, DAY_MS);
  tl_fake_gateway_admit (f->gateway, f->identity);
  f->state = tl_fixture_state (f->directory, f->identity, f->gateway->address);
  path = g_build_filename (f->directory, "node.conf", NULL);
  tl_fixture_write (f->directory, "node.conf", "[node]\nreconnect-max=1s\n");
  f->config = tl_node_config_load (path, &error);
  g_assert_no_error (error);
  f->network = tl_network_monitor_new_test (TRUE);
  f->suspend = tl_suspend_monitor_new_test ();
  parts.network = f->network;
  parts.suspend = f->suspend;
  f->runtime = tl_node_runtime_new_with_parts (f->gateway->loop, f->state, f->config, &parts, &error);
  g_assert_no_error (error);
  tl_node_runtime_set_state_func (f->runtime, on_state, f);
  tl_node_runtime_start (f->runtime, &error);
  g_assert_no_error (error);
  tl_fixture_wait_count (&f->n_connected, 1, "the connection");
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  (void)data;
  release_slow ();
  tl_node_runtime_free (f->runtime);
  tl_network_monitor_free (f->network);
  tl_suspend_monitor_free (f->suspend);
  tl_node_config_free (f->config);
  tl_node_state_free (f->state);
  tl_device_identity_free (f->identity);
  tl_fake_gateway_free (f->gateway);
  tl_fixture_remove (f->directory);
  g_free (f->directory);
  g_free (f->detail);
}

static char *
stored_fingerprint (Fixture *f)
{
  g_autoptr (TlDeviceIdentity) stored = tl_node_state_load_identity (f->state, NULL);

  g_assert_nonnull (stored);
  return tl_certificate_fingerprint (tl_device_identity_certificate (stored));
}

static void
refuse_certificate (Fixture *f)
{
  g_autofree char *fingerprint = tl_certificate_fingerprint (tl_device_identity_certificate (f->identity));

  tl_admitted_set_remove (f->gateway->admitted, fingerprint);
  tl_rpc_server_drop_fingerprint (f->gateway->server, fingerprint, NULL, NULL);
}

/* An operator asks; what runs goes on, and its result goes over the connection with the new certificate. */
static void
test_asked (Fixture *f, gconstpointer data)
{
  g_autofree char *before = stored_fingerprint (f);
  g_autofree char *after = NULL;
  g_autofree char *id = tl_ulid_new (g_get_real_time () / 1000, tl_random_system ());
  g_autoptr (GError) error = NULL;
  const Twinlatch__V1__SubmitCapabilityResultRequest *result;

  (void)data;
  tl_fake_gateway_dispatch (f->gateway, 1, id, "test.slow", "{}");
  while (g_atomic_int_get (&slow_running) == 0)
    g_main_context_iteration (NULL, TRUE);
  tl_fake_gateway_send_event (f->gateway, 2, "certificate.renew", "{}", FALSE);
  tl_fixture_wait_count (&f->n_connected, 2, "the connection with the new certificate");
  g_assert_cmpuint (f->n_by_certificate, ==, 1);
  g_assert_cmpuint (f->n_by_identity, ==, 0);
  after = stored_fingerprint (f);
  g_assert_cmpstr (after, !=, before);
  g_assert_null (tl_node_state_load_next (f->state, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  g_assert_cmpuint (f->gateway->n_results, ==, 0);
  /* The old certificate is not needed any more. */
  refuse_certificate (f);
  release_slow ();
  tl_fixture_wait_count (&f->gateway->n_results, 1, "the result");
  result = f->gateway->results->pdata[0];
  g_assert_cmpstr (result->request_id, ==, id);
  g_assert_true (result->success);
  g_assert_cmpuint (f->n_connected, ==, 2);
}

/* Before anything is believed of a certificate that does not work, the identity speaks (PROTOCOL 4.3). */
static void
test_refused_certificate (Fixture *f, gconstpointer data)
{
  (void)data;
  refuse_certificate (f);
  tl_fixture_wait_count (&f->n_connected, 2, "the connection with a new certificate");
  g_assert_cmpuint (f->n_by_identity, ==, 1);
  g_assert_cmpuint (f->n_refused, ==, 0);
}

static void
test_revoked (Fixture *f, gconstpointer data)
{
  g_autofree char *before = stored_fingerprint (f);
  g_autofree char *after = NULL;

  (void)data;
  f->refusal = TL_ERROR_REVOKED;
  refuse_certificate (f);
  tl_fixture_wait_count (&f->n_refused, 1, "the refusal");
  g_assert_cmpuint (f->n_by_identity, ==, 1);
  g_assert_nonnull (strstr (f->detail, "revoked for a test"));
  after = stored_fingerprint (f);
  g_assert_cmpstr (after, ==, before); /* the identity stays */
  /* Cleared: a hint is enough. */
  f->refusal = -1;
  tl_network_monitor_test_set (f->network, FALSE);
  tl_network_monitor_test_set (f->network, TRUE);
  tl_fixture_wait_count (&f->n_connected, 2, "the connection again");
  g_assert_cmpuint (f->n_by_identity, ==, 2);
}

#define ADD(name, func) g_test_add ("/node-renewal/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("asked", test_asked);
  ADD ("refused-certificate", test_refused_certificate);
  ADD ("revoked", test_revoked);
  return g_test_run ();
}
