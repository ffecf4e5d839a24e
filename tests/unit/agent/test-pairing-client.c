/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-pairing-client.h"

#include <string.h>

#include "agent/node/tl-node-host.h"
#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "pairing/tl-gateway-session.h"
#include "tl-fake-gateway.h"

#define SLOT        7
#define MAX_REQUEST (16u * 1024u)
#define CODE_ID     "01J0000000000000000000000C"

typedef enum
{
  ANSWER_APPROVE,
  ANSWER_REJECT,
  ANSWER_EXPIRE,
  ANSWER_FOREIGN_BUNDLE, /* completed, with another CA than the one authenticated */
} Answer;

typedef struct
{
  char *directory;
  TlFakeGateway *gateway;
  TlSecret *pin;
  TlSecret *token;
  TlPairingVerifier *pin_verifier;
  TlPairingVerifier *link_verifier;
  TlGatewaySession *session;
  TlPairingKeys *keys;
  guint8 device_nonce[32];
  GBytes *csr;
  char *device_id;
  char *device_name;
  Answer answer;
  guint lost_completes; /* so many CompletePairing are answered UNAVAILABLE after they took effect */
  guint lost_watches;   /* so many streams end before the last message */
  guint n_started, n_completed, n_watched;

  TlPairingClient *client;
  char *digits;
  gboolean waited;
  gboolean done;
  TlNodeState *state;
  GError *error;
} Fixture;

/* ---- gateway's side -------------------------------------------------------------------------------------------- */

static void
copy_field (guint8 *target, gsize length, ProtobufCBinaryData field)
{
  g_assert_cmpuint (field.len, ==, length);
  memcpy (target, field.data, length);
}

static void
finish_error (TlRpcCall *call, int code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, code, message);

  tl_rpc_call_finish (call, error);
}

static ProtobufCBinaryData
borrow (const void *data, gsize length)
{
  return (ProtobufCBinaryData){ .len = length, .data = (guint8 *)data };
}

static void
on_start (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Fixture *f = user_data;
  const Twinlatch__V1__StartPairingRequest *request = (gconstpointer)message;
  Twinlatch__V1__StartPairingResponse answer = TWINLATCH__V1__START_PAIRING_RESPONSE__INIT;
  gboolean link = request->selector_case == TWINLATCH__V1__START_PAIRING_REQUEST__SELECTOR_CODE_ID;
  TlPairingStart start = { .n_versions = 1,
                           .versions = { request->versions[0] },
                           .client_kind = TL_CLIENT_NODE,
                           .device_id = request->device_id };
  g_autofree char *session_id = tl_ulid_new (g_get_real_time () / 1000, tl_random_system ());
  g_autoptr (GError) error = NULL;
  const TlPairingOffer *offer;
  guint8 leaf[32];

  f->n_started++;
  if (link ? !g_str_equal (request->code_id, CODE_ID) : request->slot != SLOT)
    {
      finish_error (call, TL_ERROR_CODE_INVALID, "the code is not valid");
      return;
    }
  start.slot = link ? 0 : request->slot;
  start.code_id = link ? request->code_id : NULL;
  copy_field (start.device_ephemeral, 32, request->device_ephemeral);
  copy_field (start.device_commitment, 32, request->device_commitment);
  copy_field (start.server_certificate_sha256, 32, request->server_certificate_sha256);
  tl_sha256 (g_bytes_get_data (f->gateway->leaf, NULL), g_bytes_get_size (f->gateway->leaf), leaf);
  g_assert_cmpmem (start.server_certificate_sha256, 32, leaf, 32); /* the leaf of this very connection */
  g_clear_pointer (&f->session, tl_gateway_session_free);
  f->session = tl_gateway_session_new (&start, link ? TL_PAIRING_LINK : TL_PAIRING_PIN,
                                       link ? f->link_verifier : f->pin_verifier, session_id, TL_FIXTURE_GATEWAY,
                                       tl_certificate_authority_der (f->gateway->ca), g_get_real_time () / 1000,
                                       tl_random_system (), &error);
  g_assert_no_error (error);
  offer = tl_gateway_session_offer (f->session);
  answer.version = offer->version;
  answer.session_id = (char *)offer->session_id;
  answer.gateway_id = (char *)offer->gateway_id;
  answer.challenge = borrow (offer->challenge, 32);
  answer.gateway_ephemeral = borrow (offer->gateway_ephemeral, 32);
  answer.ca_certificate
      = borrow (g_bytes_get_data (offer->ca_certificate, NULL), g_bytes_get_size (offer->ca_certificate));
  answer.salt = borrow (offer->salt, sizeof offer->salt);
  answer.kdf = (char *)offer->kdf.name;
  answer.kdf_n = offer->kdf.n;
  answer.kdf_r = offer->kdf.r;
  answer.kdf_p = offer->kdf.p;
  answer.expires_at_unix_ms = offer->expires_at_ms;
  tl_rpc_call_reply (call, &answer.base);
}

static void
on_exchange (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Fixture *f = user_data;
  const Twinlatch__V1__ExchangePairingRequest *request = (gconstpointer)message;
  Twinlatch__V1__ExchangePairingResponse answer = TWINLATCH__V1__EXCHANGE_PAIRING_RESPONSE__INIT;
  guint8 share_v[TL_SPAKE2PLUS_SHARE_LENGTH];
  guint8 confirm_v[TL_SPAKE2PLUS_CONFIRM_LENGTH];
  gint64 now_ms = g_get_real_time () / 1000;
  g_autoptr (GError) error = NULL;

  tl_gateway_session_begin_exchange (f->session, request->share_p.data, request->share_p.len, now_ms, &error);
  g_assert_no_error (error);
  tl_gateway_session_finish_exchange (f->session, now_ms, share_v, confirm_v, &error);
  g_assert_no_error (error);
  answer.share_v = borrow (share_v, sizeof share_v);
  answer.confirm_v = borrow (confirm_v, sizeof confirm_v);
  tl_rpc_call_reply (call, &answer.base);
}

static void
take_complete (Fixture *f, const Twinlatch__V1__CompletePairingRequest *request)
{
  TlPairingComplete complete = { .session_id = request->session_id,
                                 .device_name = request->device_name,
                                 .platform = request->platform,
                                 .replaces_device_id = request->replaces_device_id };
  g_autoptr (GError) error = NULL;

  if (f->keys != NULL) /* repeated after a lost answer: the same once more */
    {
      g_assert_cmpmem (request->device_nonce.data, request->device_nonce.len, f->device_nonce, 32);
      return;
    }
  copy_field (complete.confirm_p, 32, request->confirm_p);
  copy_field (complete.identity_public, 32, request->identity_public);
  copy_field (complete.device_nonce, 32, request->device_nonce);
  copy_field (complete.identity_signature, 64, request->identity_signature);
  copy_field (complete.mac, 32, request->mac);
  f->csr = g_bytes_new (request->csr_der.data, request->csr_der.len);
  complete.csr_der = f->csr;
  tl_gateway_session_complete (f->session, &complete, g_get_real_time () / 1000, NULL, &f->keys, &error);
  g_assert_no_error (error);
  memcpy (f->device_nonce, complete.device_nonce, 32);
  f->device_name = g_strdup (request->device_name);
  f->device_id = g_strdup (tl_gateway_session_device_id (f->session));
}

static void
on_complete (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Fixture *f = user_data;
  Twinlatch__V1__CompletePairingResponse answer = TWINLATCH__V1__COMPLETE_PAIRING_RESPONSE__INIT;
  TlPairingCompleteAnswer plain = { .request_id = "01J0000000000000000000000Q",
                                    .state = TL_PAIRING_STATE_PENDING_APPROVAL,
                                    .expires_at_ms = g_get_real_time () / 1000 + 600000 };

  f->n_completed++;
  take_complete (f, (gconstpointer)message);
  if (f->lost_completes > 0)
    {
      f->lost_completes--;
      finish_error (call, TL_ERROR_UNAVAILABLE, "lost");
      return;
    }
  tl_pairing_keys_mac_complete_answer (f->keys, f->device_nonce, &plain);
  answer.request_id = (char *)plain.request_id;
  answer.state = TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_PENDING_APPROVAL;
  answer.expires_at_unix_ms = plain.expires_at_ms;
  answer.mac = borrow (plain.mac, 32);
  tl_rpc_call_reply (call, &answer.base);
}

static void
send_watch (Fixture *f, TlRpcCall *call, const guint8 *nonce, TlPairingWatchAnswer *plain)
{
  Twinlatch__V1__WatchPairingResponse message = TWINLATCH__V1__WATCH_PAIRING_RESPONSE__INIT;
  ProtobufCBinaryData bundle;

  tl_pairing_keys_mac_watch_answer (f->keys, nonce, plain);
  message.state = (Twinlatch__V1__PairingState)(plain->state + 1);
  message.reason = (char *)(plain->reason != NULL ? plain->reason : "");
  if (plain->certificate_der != NULL)
    {
      bundle = borrow (g_bytes_get_data (plain->ca_bundle[0], NULL), g_bytes_get_size (plain->ca_bundle[0]));
      message.certificate_der
          = borrow (g_bytes_get_data (plain->certificate_der, NULL), g_bytes_get_size (plain->certificate_der));
      message.n_ca_bundle = 1;
      message.ca_bundle = &bundle;
      message.n_addresses = 1;
      message.addresses = (char **)plain->addresses;
    }
  message.gateway_name = (char *)(plain->gateway_name != NULL ? plain->gateway_name : "");
  message.ca_generation = plain->ca_generation;
  message.role = plain->role;
  message.mac = borrow (plain->mac, 32);
  tl_rpc_call_send (call, &message.base);
}

static void
send_completed (Fixture *f, TlRpcCall *call, const guint8 *nonce)
{
  g_autoptr (TlCertificateAuthority) foreign = tl_fixture_ca (TL_FIXTURE_GATEWAY);
  TlCertificateAuthority *ca = f->answer == ANSWER_FOREIGN_BUNDLE ? foreign : f->gateway->ca;
  g_autoptr (GError) error = NULL;
  g_autoptr (EVP_PKEY) key = tl_csr_verify (g_bytes_get_data (f->csr, NULL), g_bytes_get_size (f->csr), &error);
  g_autoptr (X509) leaf
      = tl_certificate_authority_issue_device (ca, key, f->device_id, g_get_real_time () / 1000,
                                               TL_DEVICE_LEAF_DEFAULT_MS, tl_random_system (), &error);
  g_autoptr (GBytes) der = tl_certificate_to_der (leaf);
  GBytes *bundle = tl_certificate_authority_der (ca);
  const char *addresses[] = { "192.0.2.9:7444", NULL };
  TlPairingWatchAnswer plain = { .state = TL_PAIRING_STATE_COMPLETED,
                                 .reason = "",
                                 .certificate_der = der,
                                 .ca_bundle = &bundle,
                                 .n_ca_bundle = 1,
                                 .addresses = addresses,
                                 .policy = "",
                                 .gateway_name = "Attic",
                                 .ca_generation = 1,
                                 .role = 1 };

  g_assert_no_error (error);
  send_watch (f, call, nonce, &plain);
}

static void
on_watch (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Fixture *f = user_data;
  const Twinlatch__V1__WatchPairingRequest *request = (gconstpointer)message;
  TlPairingWatchAnswer pending = { .state = TL_PAIRING_STATE_PENDING_APPROVAL, .reason = "" };
  TlPairingWatchAnswer last
      = { .state = f->answer == ANSWER_REJECT ? TL_PAIRING_STATE_REJECTED : TL_PAIRING_STATE_EXPIRED,
          .reason = f->answer == ANSWER_REJECT ? "who are you?" : "" };
  guint8 mac[32];

  f->n_watched++;
  g_assert_cmpuint (request->nonce.len, ==, TL_PAIRING_WATCH_NONCE_LENGTH);
  copy_field (mac, 32, request->mac);
  g_assert_true (tl_pairing_keys_check_watch (f->keys, request->session_id, request->nonce.data, mac));
  send_watch (f, call, request->nonce.data, &pending);
  if (f->lost_watches > 0)
    {
      f->lost_watches--;
      finish_error (call, TL_ERROR_UNAVAILABLE, "restarting");
      return;
    }
  if (f->answer == ANSWER_APPROVE || f->answer == ANSWER_FOREIGN_BUNDLE)
    send_completed (f, call, request->nonce.data);
  else
    send_watch (f, call, request->nonce.data, &last);
  tl_rpc_call_finish (call, NULL);
}

static const TlRpcMethod pairing_methods[] = {
  { "/twinlatch.v1.PairingService/StartPairing", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE,
    &twinlatch__v1__start_pairing_request__descriptor, &twinlatch__v1__start_pairing_response__descriptor, MAX_REQUEST,
    .on_message = on_start },
  { "/twinlatch.v1.PairingService/ExchangePairing", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE,
    &twinlatch__v1__exchange_pairing_request__descriptor, &twinlatch__v1__exchange_pairing_response__descriptor,
    MAX_REQUEST, .on_message = on_exchange },
  { "/twinlatch.v1.PairingService/CompletePairing", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE,
    &twinlatch__v1__complete_pairing_request__descriptor, &twinlatch__v1__complete_pairing_response__descriptor,
    MAX_REQUEST, .on_message = on_complete },
  { "/twinlatch.v1.PairingService/WatchPairing", TL_RPC_SERVER_STREAM, TL_RPC_AUTH_ANYONE,
    &twinlatch__v1__watch_pairing_request__descriptor, &twinlatch__v1__watch_pairing_response__descriptor, MAX_REQUEST,
    .on_message = on_watch },
};

/* ---- fixture --------------------------------------------------------------------------------------------------- */

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  (void)data;
  f->directory = tl_fixture_directory ();
  f->gateway = tl_fake_gateway_new ();
  tl_fake_gateway_add_methods (f->gateway, pairing_methods, G_N_ELEMENTS (pairing_methods), f);
  tl_fake_gateway_start (f->gateway);
  f->pin = tl_secret_new_copy ("12345678", 8);
  f->token = tl_pairing_token_generate (tl_random_system ());
  f->pin_verifier = tl_pairing_verifier_new (TL_PAIRING_PIN, f->pin, TL_FIXTURE_GATEWAY, tl_random_system (), &error);
  g_assert_no_error (error);
  f->link_verifier
      = tl_pairing_verifier_new (TL_PAIRING_LINK, f->token, TL_FIXTURE_GATEWAY, tl_random_system (), &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_pairing_client_free (f->client);
  tl_node_state_free (f->state);
  tl_fake_gateway_free (f->gateway);
  tl_gateway_session_free (f->session);
  g_clear_pointer (&f->keys, tl_pairing_keys_unref);
  g_clear_pointer (&f->csr, g_bytes_unref);
  tl_pairing_verifier_free (f->pin_verifier);
  tl_pairing_verifier_free (f->link_verifier);
  tl_secret_unref (f->pin);
  tl_secret_unref (f->token);
  tl_fixture_remove (f->directory);
  g_free (f->directory);
  g_free (f->device_id);
  g_free (f->device_name);
  g_free (f->digits);
  g_clear_error (&f->error);
}

static void
on_comparison (TlPairingClient *client, const char *digits, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_true (client == f->client);
  g_assert_null (f->digits);
  f->digits = g_strdup (digits);
}

static void
on_waiting (TlPairingClient *client, const char *request_id, gint64 expires_at_ms, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_true (client == f->client);
  g_assert_true (tl_ulid_is_valid (request_id));
  g_assert_cmpint (expires_at_ms, >, g_get_real_time () / 1000);
  f->waited = TRUE;
}

static void
on_done (TlPairingClient *client, TlNodeState *state, const GError *error, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_true (client == f->client);
  g_assert_false (f->done);
  g_assert_true ((state == NULL) == (error != NULL));
  f->done = TRUE;
  f->state = state;
  f->error = error != NULL ? g_error_copy (error) : NULL;
}

static void
pair (Fixture *f, TlPairingClientOptions *options)
{
  static const TlPairingClientHandlers handlers = { on_comparison, on_waiting, on_done };
  g_autoptr (GError) error = NULL;

  options->node_dir = f->directory;
  options->client_kind = TL_CLIENT_NODE;
  f->client = tl_pairing_client_new (f->gateway->loop, options, &handlers, f, &error);
  g_assert_no_error (error);
  g_assert_false (f->done);
  tl_fixture_wait (&f->done, "the end of the pairing");
}

static void
pair_pin (Fixture *f)
{
  TlPairingClientOptions options = { .address = f->gateway->address, .slot = SLOT, .pin_digits = f->pin };

  pair (f, &options);
}

static void
assert_paired (Fixture *f)
{
  g_autoptr (TlDeviceIdentity) identity = NULL;
  g_autoptr (GError) error = NULL;
  const TlNodeMarker *marker;

  g_assert_no_error (f->error);
  marker = tl_node_state_marker (f->state);
  g_assert_cmpstr (marker->gateway_id, ==, TL_FIXTURE_GATEWAY);
  g_assert_cmpstr (marker->gateway_name, ==, "Attic");
  g_assert_cmpstr (marker->device_id, ==, f->device_id);
  g_assert_cmpstr (marker->addresses[0], ==, f->gateway->address);
  g_assert_cmpstr (marker->addresses[1], ==, "192.0.2.9:7444");
  identity = tl_node_state_load_identity (f->state, &error);
  g_assert_no_error (error);
  g_assert_true (tl_device_identity_is_paired (identity));
  /* Both sides show and check the same six digits. */
  g_assert_cmpuint (strlen (f->digits), ==, 6);
  g_assert_true (tl_pairing_keys_check_comparison (f->keys, f->device_nonce, f->digits));
  g_assert_true (f->waited);
}

static void
assert_nothing_stored (Fixture *f)
{
  g_autoptr (GDir) dir = g_dir_open (f->directory, 0, NULL);

  g_assert_null (f->state);
  g_assert_null (g_dir_read_name (dir));
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static void
test_pin (Fixture *f, gconstpointer data)
{
  g_autofree char *name = tl_node_default_name ();

  (void)data;
  pair_pin (f);
  assert_paired (f);
  g_assert_cmpstr (f->device_name, ==, name);
}

static TlPairingLink *
make_link (Fixture *f, TlCertificateAuthority *ca)
{
  GBytes *der = tl_certificate_authority_der (ca);
  const char *addresses[] = { f->gateway->address, NULL };
  g_autoptr (GError) error = NULL;
  guint8 digest[32];
  TlPairingLink *link;

  tl_sha256 (g_bytes_get_data (der, NULL), g_bytes_get_size (der), digest);
  link = tl_pairing_link_new (TL_FIXTURE_GATEWAY, CODE_ID, f->token, digest, addresses, "Attic", &error);
  g_assert_no_error (error);
  return link;
}

static void
test_link (Fixture *f, gconstpointer data)
{
  g_autoptr (TlPairingLink) link = make_link (f, f->gateway->ca);
  TlPairingClientOptions options = { .link = link, .device_name = "kitchen" };

  (void)data;
  pair (f, &options);
  assert_paired (f);
  g_assert_cmpstr (f->device_name, ==, "kitchen");
}

/* Somebody else answers at the link's address: nothing is said to him. */
static void
test_link_wrong_ca (Fixture *f, gconstpointer data)
{
  g_autoptr (TlCertificateAuthority) other = tl_fixture_ca (TL_FIXTURE_GATEWAY);
  g_autoptr (TlPairingLink) link = make_link (f, other);
  TlPairingClientOptions options = { .link = link };

  (void)data;
  pair (f, &options);
  g_assert_error (f->error, TL_ERROR, TL_ERROR_WRONG_CA);
  g_assert_cmpuint (f->n_started, ==, 0);
  assert_nothing_stored (f);
}

static void
test_wrong_pin (Fixture *f, gconstpointer data)
{
  g_autoptr (TlSecret) wrong = tl_secret_new_copy ("12345679", 8);
  TlPairingClientOptions options = { .address = f->gateway->address, .slot = SLOT, .pin_digits = wrong };

  (void)data;
  pair (f, &options);
  g_assert_error (f->error, TL_ERROR, TL_ERROR_WRONG_CODE);
  g_assert_null (f->digits);
  g_assert_cmpuint (f->n_completed, ==, 0);
  assert_nothing_stored (f);
}

static void
test_unknown_slot (Fixture *f, gconstpointer data)
{
  TlPairingClientOptions options = { .address = f->gateway->address, .slot = SLOT + 1, .pin_digits = f->pin };

  (void)data;
  pair (f, &options);
  g_assert_error (f->error, TL_ERROR, TL_ERROR_CODE_INVALID);
  assert_nothing_stored (f);
}

static void
test_rejected (Fixture *f, gconstpointer data)
{
  (void)data;
  f->answer = ANSWER_REJECT;
  pair_pin (f);
  g_assert_error (f->error, TL_ERROR, TL_ERROR_REJECTED);
  g_assert_nonnull (strstr (f->error->message, "who are you?"));
  assert_nothing_stored (f);
}

static void
test_expired (Fixture *f, gconstpointer data)
{
  (void)data;
  f->answer = ANSWER_EXPIRE;
  pair_pin (f);
  g_assert_error (f->error, TL_ERROR, TL_ERROR_EXPIRED);
  assert_nothing_stored (f);
}

static void
test_foreign_bundle (Fixture *f, gconstpointer data)
{
  (void)data;
  f->answer = ANSWER_FOREIGN_BUNDLE;
  pair_pin (f);
  g_assert_error (f->error, TL_ERROR, TL_ERROR_WRONG_CA);
  assert_nothing_stored (f);
}

static void
test_lost_answers (Fixture *f, gconstpointer data)
{
  (void)data;
  f->lost_completes = 1;
  f->lost_watches = 2;
  pair_pin (f);
  assert_paired (f);
  g_assert_cmpuint (f->n_completed, ==, 2);
  g_assert_cmpuint (f->n_watched, ==, 3);
}

static void
test_unreachable (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_fake_gateway_stop (f->gateway);
  pair_pin (f);
  g_assert_true (tl_error_is_unavailable (f->error));
  assert_nothing_stored (f);
}

static void
test_known_gateway (Fixture *f, gconstpointer data)
{
  g_autoptr (TlDeviceIdentity) old = tl_fixture_identity (f->gateway->ca, TL_DEVICE_LEAF_DEFAULT_MS);
  g_autoptr (TlNodeState) known = tl_fixture_state (f->directory, old, "a:1");
  g_autoptr (TlDeviceIdentity) kept = NULL;

  (void)data;
  pair_pin (f);
  g_assert_error (f->error, TL_ERROR, TL_ERROR_ALREADY_EXISTS);
  g_assert_cmpuint (f->n_completed, ==, 0); /* nobody is asked to approve it */
  kept = tl_node_state_load_identity (known, NULL);
  g_assert_cmpstr (tl_device_identity_device_id (kept), ==, tl_device_identity_device_id (old));
}

static void
test_replace (Fixture *f, gconstpointer data)
{
  g_autoptr (TlDeviceIdentity) old = tl_fixture_identity (f->gateway->ca, TL_DEVICE_LEAF_DEFAULT_MS);
  g_autoptr (TlNodeState) known = tl_fixture_state (f->directory, old, "a:1");
  TlPairingClientOptions options
      = { .address = f->gateway->address, .slot = SLOT, .pin_digits = f->pin, .replace = TRUE };

  (void)data;
  pair (f, &options);
  assert_paired (f);
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  static const TlPairingClientHandlers handlers = { on_comparison, on_waiting, on_done };
  TlPairingClientOptions options
      = { .address = f->gateway->address, .slot = SLOT, .pin_digits = f->pin, .node_dir = f->directory };
  g_autoptr (GError) error = NULL;

  (void)data;
  f->lost_watches = 1000; /* never ends by itself */
  f->client = tl_pairing_client_new (f->gateway->loop, &options, &handlers, f, &error);
  g_assert_no_error (error);
  tl_fixture_wait (&f->waited, "the request");
  tl_pairing_client_cancel (f->client);
  g_assert_false (f->done);
  tl_fixture_wait (&f->done, "the end of the pairing");
  g_assert_error (f->error, TL_ERROR, TL_ERROR_CANCELLED);
  assert_nothing_stored (f);
}

/* Let go at any moment: nothing is called, nothing leaks. */
static void
test_free_early (Fixture *f, gconstpointer data)
{
  static const TlPairingClientHandlers handlers = { on_comparison, on_waiting, on_done };
  TlPairingClientOptions options
      = { .address = f->gateway->address, .slot = SLOT, .pin_digits = f->pin, .node_dir = f->directory };

  (void)data;
  for (guint steps = 0; steps < 12; steps++)
    {
      f->client = tl_pairing_client_new (f->gateway->loop, &options, &handlers, f, NULL);
      for (guint i = 0; i < steps && !f->waited; i++)
        g_main_context_iteration (NULL, TRUE);
      g_clear_pointer (&f->client, tl_pairing_client_free);
      tl_fixture_settle ();
      g_clear_pointer (&f->keys, tl_pairing_keys_unref);
      g_clear_pointer (&f->csr, g_bytes_unref);
      g_clear_pointer (&f->device_name, g_free);
      g_clear_pointer (&f->device_id, g_free);
      g_clear_pointer (&f->digits, g_free);
      f->waited = FALSE;
    }
  g_assert_false (f->done);
}

static void
test_bad_options (Fixture *f, gconstpointer data)
{
  static const TlPairingClientHandlers handlers = { on_comparison, on_waiting, on_done };
  TlPairingClientOptions cases[] = {
    { .slot = SLOT, .pin_digits = f->pin },
    { .address = f->gateway->address, .slot = SLOT },
    { .address = f->gateway->address, .slot = 0, .pin_digits = f->pin },
    { .address = "not an address:x", .slot = SLOT, .pin_digits = f->pin },
    { .address = f->gateway->address, .slot = SLOT, .pin_digits = f->pin, .device_name = "bad\nname" },
  };

  (void)data;
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      cases[i].node_dir = f->directory;
      g_assert_null (tl_pairing_client_new (f->gateway->loop, &cases[i], &handlers, f, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
    }
}

static void
test_names (void)
{
  static const struct
  {
    const char *text;
    const char *clean;
  } cases[] = {
    { "laptop", "laptop" },
    { "", "computer" },
    { "  box  ", "box" },
    { "a\nb", "a-b" },
    { "caf\x65\xcc\x81", "caf\xc3\xa9" },
    { "x\xff", "x-" },
    { "zero\xe2\x80\x8bwidth", "zero-width" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *clean = tl_node_clean_name (cases[i].text);

      g_assert_cmpstr (clean, ==, cases[i].clean);
      g_assert_true (tl_pairing_name_check ("name", clean, NULL));
    }
  {
    g_autofree char *long_name = g_strnfill (500, 'x');
    g_autofree char *clean = tl_node_clean_name (long_name);

    g_assert_cmpuint (strlen (clean), ==, TL_PAIRING_NAME_MAX);
  }
}

#define ADD(name, func) g_test_add ("/pairing-client/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("pin", test_pin);
  ADD ("link", test_link);
  ADD ("link-wrong-ca", test_link_wrong_ca);
  ADD ("wrong-pin", test_wrong_pin);
  ADD ("unknown-slot", test_unknown_slot);
  ADD ("rejected", test_rejected);
  ADD ("expired", test_expired);
  ADD ("foreign-bundle", test_foreign_bundle);
  ADD ("lost-answers", test_lost_answers);
  ADD ("unreachable", test_unreachable);
  ADD ("known-gateway", test_known_gateway);
  ADD ("replace", test_replace);
  ADD ("cancel", test_cancel);
  ADD ("free-early", test_free_early);
  ADD ("bad-options", test_bad_options);
  g_test_add_func ("/pairing-client/names", test_names);
  return g_test_run ();
}
