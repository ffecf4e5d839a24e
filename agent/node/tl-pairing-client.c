/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-pairing-client.h"

#include <string.h>

#include "agent/node/tl-node-host.h"
#include "agent/node/tl-node-marker.h"
#include "agent/node/tl-pairing-wire.h"
#include "agent/node/tl-reconnect.h"
#include "agent/node/tl-worker-pool.h"
#include "base/tl-error.h"
#include "crypto/tl-hash.h"
#include "tl-config-build.h"
#include "twinlatch/v1/health.pb-c.h"

#define SERVICE               "/twinlatch.v1.PairingService/"
#define HEALTH_CHECK          "/grpc.health.v1.Health/Check"
#define CALL_DEADLINE_MS      20000
#define COMPLETE_WINDOW_MS    (5 * 60 * 1000) /* PROTOCOL 3.2: session to Complete */
#define RETRY_MAX_MS          10000
#define EXPIRY_GRACE_MS       (60 * 1000) /* clocks differ, and the gateway says `expired` itself */
#define TL_NODE_ADDRESSES_MAX 8

typedef struct _TlPairingClient Client;

struct _TlPairingClient
{
  guint refs; /* owner, and every call under way */
  const TlPairingClientHandlers *handlers;
  TlPairingClientHandlers own_handlers;
  gpointer user_data;
  GMainContext *context;
  TlPairingMethod method;
  char *node_dir;
  char *device_name;
  char **addresses;
  gboolean replace;
  TlClientKind client_kind;

  TlDeviceIdentity *identity;
  TlDeviceSession *session; /* NULL while the worker has it */
  TlRpcClient *rpc;
  TlRpcStream *stream;
  TlWorkerPool *pool;
  TlReconnect *reconnect;
  GCancellable *cancellable;
  GSource *timer;
  TlPairingComplete complete; /* pointers are the session's */
  gint64 deadline_ms;         /* until when a lost connection is worth another try */
  gboolean finished;          /* on_done was called, or nobody listens any more */
};

/* handle_offer() on the worker: scrypt takes 150 ms. Owns the session for the time. */
typedef struct
{
  TlDeviceSession *session;
  TlPairingOffer offer;
  char *session_id;
  char *gateway_id;
  guint8 share_p[TL_SPAKE2PLUS_SHARE_LENGTH];
  GError *error;
  gboolean ok;
} OfferJob;

static void send_complete (Client *client);
static void watch (Client *client);

static Client *
client_ref (Client *client)
{
  client->refs++;
  return client;
}

static void
clear_timer (Client *client)
{
  if (client->timer == NULL)
    return;
  g_source_destroy (client->timer);
  g_clear_pointer (&client->timer, g_source_unref);
}

static void
client_unref (Client *client)
{
  if (--client->refs > 0)
    return;
  clear_timer (client);
  tl_worker_pool_free (client->pool);
  g_clear_pointer (&client->stream, tl_rpc_stream_unref);
  g_clear_pointer (&client->rpc, tl_rpc_client_unref);
  g_clear_pointer (&client->session, tl_device_session_free);
  g_clear_pointer (&client->identity, tl_device_identity_free);
  tl_reconnect_free (client->reconnect);
  g_clear_object (&client->cancellable);
  g_main_context_unref (client->context);
  g_strfreev (client->addresses);
  g_free (client->node_dir);
  g_free (client->device_name);
  g_free (client);
}

typedef Client ClientRef;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ClientRef, client_unref)

static void
offer_job_free (gpointer data)
{
  OfferJob *job = data;

  g_clear_pointer (&job->session, tl_device_session_free);
  g_clear_pointer (&job->offer.ca_certificate, g_bytes_unref);
  g_clear_error (&job->error);
  g_free (job->session_id);
  g_free (job->gateway_id);
  g_free (job);
}

/* Ends everything under way. */
static void
quiet (Client *client)
{
  client->finished = TRUE;
  clear_timer (client);
  g_cancellable_cancel (client->cancellable);
  if (client->stream != NULL)
    tl_rpc_stream_cancel (client->stream);
}

/* The owner may free the client in here. state is handed over. */
static void
report (Client *client, TlNodeState *state, const GError *error)
{
  if (client->finished)
    {
      tl_node_state_free (state);
      return;
    }
  quiet (client);
  client->handlers->on_done (client, state, error, client->user_data);
}

static void
report_code (Client *client, TlErrorCode code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, code, message);

  report (client, NULL, error);
}

static void
set_timer (Client *client, gint64 ms, GSourceFunc func)
{
  clear_timer (client);
  client->timer = g_timeout_source_new ((guint)ms);
  g_source_set_callback (client->timer, func, client, NULL);
  g_source_attach (client->timer, client->context);
}

/* Lost connections and a gateway that is restarting; everything else is an answer. */
static gboolean
is_worth_retrying (const GError *error)
{
  return tl_error_is_unavailable (error) || tl_error_is (error, TL_ERROR_CANCELLED)
         || tl_error_is (error, TL_ERROR_READ_ONLY) || tl_error_is (error, TL_ERROR_RESOURCE_EXHAUSTED);
}

/* error: why this attempt failed; NULL: the gateway just ended it. */
static void
retry (Client *client, const GError *error, GSourceFunc func)
{
  if (g_cancellable_is_cancelled (client->cancellable))
    report_code (client, TL_ERROR_CANCELLED, "pairing was cancelled");
  else if (error != NULL && !is_worth_retrying (error))
    report (client, NULL, error);
  else if (tl_clock_wall_ms (tl_clock_system ()) > client->deadline_ms)
    report_code (client, TL_ERROR_EXPIRED,
                 "the pairing request ended while the gateway could not be reached: pair again");
  else
    set_timer (client, MAX (tl_reconnect_next (client->reconnect, FALSE), 1), func);
}

/* ---- completed ------------------------------------------------------------------------------------------------- */

static gboolean
holds_authenticated_ca (Client *client, const TlPairingWatchAnswer *answer)
{
  GBytes *authenticated = tl_device_session_ca_certificate (client->session);

  for (guint i = 0; i < answer->n_ca_bundle; i++)
    if (g_bytes_equal (answer->ca_bundle[i], authenticated))
      return TRUE;
  return FALSE;
}

/* The address that works comes first, then what the gateway advertises. */
static GPtrArray *
merge_addresses (Client *client, const TlPairingWatchAnswer *answer)
{
  GPtrArray *addresses = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; client->addresses[i] != NULL && addresses->len < TL_NODE_ADDRESSES_MAX; i++)
    g_ptr_array_add (addresses, g_strdup (client->addresses[i]));
  for (guint i = 0; answer->addresses[i] != NULL && addresses->len < TL_NODE_ADDRESSES_MAX; i++)
    {
      char *address = tl_address_normalise (answer->addresses[i], TL_DEFAULT_PORT, NULL);

      if (address != NULL && !g_strv_contains ((const char *const *)client->addresses, address))
        g_ptr_array_add (addresses, g_steal_pointer (&address));
      g_free (address);
    }
  g_ptr_array_add (addresses, NULL);
  return addresses;
}

static TlNodeState *
store (Client *client, const TlPairingWatchAnswer *answer, GError **error)
{
  gint64 now_ms = tl_clock_wall_ms (tl_clock_system ());
  g_autoptr (TlTrustBundle) bundle = NULL;
  g_autoptr (GPtrArray) addresses = NULL;
  g_autoptr (X509) leaf = NULL;

  if (answer->certificate_der == NULL || !holds_authenticated_ca (client, answer))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_WRONG_CA,
                   answer->certificate_der == NULL
                       ? "the gateway completed the pairing without a certificate"
                       : "the gateway's bundle does not hold the CA that was authenticated");
      return NULL;
    }
  bundle = tl_trust_bundle_new (answer->ca_bundle, answer->n_ca_bundle, error);
  if (bundle == NULL)
    return NULL;
  leaf = tl_certificate_from_der (g_bytes_get_data (answer->certificate_der, NULL),
                                  g_bytes_get_size (answer->certificate_der), error);
  if (leaf == NULL || !tl_device_identity_set_certificate (client->identity, leaf, bundle, now_ms, error))
    return NULL;
  addresses = merge_addresses (client, answer);
  return tl_node_state_create (client->node_dir, client->identity, answer->gateway_name, client->device_name,
                               (const char *const *)addresses->pdata, now_ms, client->replace, error);
}

static void
handle_final (Client *client, const TlPairingWatchAnswer *answer)
{
  g_autoptr (GError) error = NULL;
  TlNodeState *state;

  switch (answer->state)
    {
    case TL_PAIRING_STATE_PENDING_APPROVAL:
    case TL_PAIRING_STATE_APPROVED:
      return;
    case TL_PAIRING_STATE_REJECTED:
      error = g_error_new (TL_ERROR, TL_ERROR_REJECTED, "the pairing was rejected%s%s",
                           *answer->reason != '\0' ? ": " : "", answer->reason);
      report (client, NULL, error);
      return;
    case TL_PAIRING_STATE_EXPIRED:
      report_code (client, TL_ERROR_EXPIRED, "nobody approved the pairing in time: pair again");
      return;
    case TL_PAIRING_STATE_COMPLETED:
      state = store (client, answer, &error);
      report (client, state, error);
      return;
    }
}

/* ---- watch ----------------------------------------------------------------------------------------------------- */

static gboolean
on_watch_again (gpointer data)
{
  watch (data);
  return G_SOURCE_REMOVE;
}

static void
on_watch_message (TlRpcStream *stream, const ProtobufCMessage *message, gpointer user_data)
{
  g_autoptr (ClientRef) client = client_ref (user_data);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlPairingWireWatch) read = NULL;

  (void)stream;
  if (client->finished)
    return;
  read = tl_pairing_wire_watch_answer ((const Twinlatch__V1__WatchPairingResponse *)message, &error);
  if (read == NULL || !tl_device_session_handle_watch (client->session, &read->answer, &error))
    {
      report (client, NULL, error);
      return;
    }
  tl_reconnect_reset (client->reconnect);
  handle_final (client, &read->answer);
}

static void
on_watch_closed (TlRpcStream *stream, const GError *error, gpointer user_data)
{
  g_autoptr (ClientRef) client = user_data; /* the stream's reference */

  (void)stream;
  g_clear_pointer (&client->stream, tl_rpc_stream_unref);
  if (!client->finished)
    retry (client, error, on_watch_again);
}

static void
watch (Client *client)
{
  static const TlRpcStreamHandlers handlers = { .on_message = on_watch_message, .on_closed = on_watch_closed };
  Twinlatch__V1__WatchPairingRequest request = TWINLATCH__V1__WATCH_PAIRING_REQUEST__INIT;
  guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH];
  guint8 mac[TL_PAIRING_MAC_LENGTH];
  g_autoptr (GError) error = NULL;

  if (!tl_device_session_watch (client->session, nonce, mac, &error))
    {
      report (client, NULL, error);
      return;
    }
  request.session_id = (char *)tl_device_session_id (client->session);
  request.nonce = (ProtobufCBinaryData){ .len = sizeof nonce, .data = nonce };
  request.mac = (ProtobufCBinaryData){ .len = sizeof mac, .data = mac };
  client->stream
      = tl_rpc_client_stream (client->rpc, SERVICE "WatchPairing", &request.base,
                              &twinlatch__v1__watch_pairing_response__descriptor, 0, &handlers, client_ref (client));
}

/* ---- complete -------------------------------------------------------------------------------------------------- */

static gboolean
on_complete_again (gpointer data)
{
  send_complete (data);
  return G_SOURCE_REMOVE;
}

static void
on_complete_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (ClientRef) client = user_data;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *message = tl_rpc_client_call_finish (client->rpc, result, &error);
  TlPairingCompleteAnswer answer;
  gboolean ok;

  (void)source;
  if (message == NULL && !client->finished)
    retry (client, error, on_complete_again);
  if (message == NULL)
    return;
  ok = client->finished
       || (tl_pairing_wire_complete_answer ((const Twinlatch__V1__CompletePairingResponse *)message, &answer, &error)
           && tl_device_session_handle_complete (client->session, &answer, &error));
  protobuf_c_message_free_unpacked (message, NULL);
  if (client->finished)
    return;
  if (!ok)
    {
      report (client, NULL, error);
      return;
    }
  tl_reconnect_reset (client->reconnect);
  client->deadline_ms = answer.expires_at_ms + EXPIRY_GRACE_MS;
  if (answer.state == TL_PAIRING_STATE_PENDING_APPROVAL)
    client->handlers->on_waiting (client, tl_device_session_request_id (client->session), answer.expires_at_ms,
                                  client->user_data);
  if (!client->finished)
    watch (client);
}

static void
send_complete (Client *client)
{
  Twinlatch__V1__CompletePairingRequest request = TWINLATCH__V1__COMPLETE_PAIRING_REQUEST__INIT;

  tl_pairing_wire_complete (&client->complete, &request);
  tl_rpc_client_call_async (client->rpc, SERVICE "CompletePairing", &request.base,
                            &twinlatch__v1__complete_pairing_response__descriptor, CALL_DEADLINE_MS,
                            client->cancellable, on_complete_answer, client_ref (client));
}

/* ---- exchange -------------------------------------------------------------------------------------------------- */

/* The CA that the exchange authenticated: from here on the channel believes it and nothing else. */
static gboolean
trust_ca (Client *client, GError **error)
{
  GBytes *der = tl_device_session_ca_certificate (client->session);
  g_autoptr (TlTrustBundle) bundle = NULL;
  g_autoptr (X509) ca = tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), error);
  g_autofree char *gateway_id = NULL;

  if (ca == NULL)
    return FALSE;
  if (!tl_certificate_get_ca (ca, &gateway_id, NULL)
      || !g_str_equal (gateway_id, tl_device_session_gateway_id (client->session)))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_WRONG_CA, "what gateway %s sent is not its CA certificate",
                   tl_device_session_gateway_id (client->session));
      return FALSE;
    }
  bundle = tl_trust_bundle_new (&der, 1, error);
  if (bundle == NULL)
    return FALSE;
  tl_rpc_client_set_bundle (client->rpc, bundle);
  return TRUE;
}

static gboolean
check_not_paired (Client *client, const char *gateway_id, GError **error)
{
  g_autoptr (TlNodeState) known = NULL;

  if (client->replace)
    return TRUE;
  known = tl_node_state_open (client->node_dir, gateway_id, NULL);
  if (known == NULL)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_ALREADY_EXISTS,
               "this computer is paired with gateway %s already: pair again with --replace", gateway_id);
  return FALSE;
}

static void
on_exchange_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (ClientRef) client = user_data;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *message = tl_rpc_client_call_finish (client->rpc, result, &error);
  const Twinlatch__V1__ExchangePairingResponse *answer = (gpointer)message;
  g_autofree char *digits = NULL;
  gboolean ok;

  (void)source;
  ok = message != NULL && !client->finished
       && tl_device_session_handle_exchange (client->session, answer->share_v.data, answer->share_v.len,
                                             answer->confirm_v.data, answer->confirm_v.len, &client->complete, &error)
       && trust_ca (client, &error)
       && check_not_paired (client, tl_device_session_gateway_id (client->session), &error);
  if (message != NULL)
    protobuf_c_message_free_unpacked (message, NULL);
  if (client->finished)
    return;
  if (!ok)
    {
      report (client, NULL, error);
      return;
    }
  client->deadline_ms = tl_clock_wall_ms (tl_clock_system ()) + COMPLETE_WINDOW_MS;
  digits = tl_device_session_comparison_code (client->session);
  client->handlers->on_comparison (client, digits, client->user_data);
  if (!client->finished)
    send_complete (client);
}

static void
offer_work (gpointer data)
{
  OfferJob *job = data;

  job->ok = tl_device_session_handle_offer (job->session, &job->offer, job->share_p, &job->error);
}

static void
on_offer_done (gpointer data, gpointer user_data)
{
  g_autoptr (ClientRef) client = client_ref (user_data);
  OfferJob *job = data;
  Twinlatch__V1__ExchangePairingRequest request = TWINLATCH__V1__EXCHANGE_PAIRING_REQUEST__INIT;

  client->session = g_steal_pointer (&job->session);
  if (!client->finished && !job->ok)
    report (client, NULL, job->error);
  else if (!client->finished)
    {
      request.session_id = job->session_id;
      request.share_p = (ProtobufCBinaryData){ .len = sizeof job->share_p, .data = job->share_p };
      tl_rpc_client_call_async (client->rpc, SERVICE "ExchangePairing", &request.base,
                                &twinlatch__v1__exchange_pairing_response__descriptor, CALL_DEADLINE_MS,
                                client->cancellable, on_exchange_answer, client_ref (client));
    }
  offer_job_free (job);
}

/* ---- start ----------------------------------------------------------------------------------------------------- */

static void
on_start_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (ClientRef) client = user_data;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *message = tl_rpc_client_call_finish (client->rpc, result, &error);
  OfferJob *job = g_new0 (OfferJob, 1);
  gboolean ok;

  (void)source;
  ok = message != NULL && !client->finished
       && tl_pairing_wire_offer ((const Twinlatch__V1__StartPairingResponse *)message, client->method, &job->offer,
                                 &error);
  if (ok)
    {
      job->offer.session_id = job->session_id = g_strdup (job->offer.session_id);
      job->offer.gateway_id = job->gateway_id = g_strdup (job->offer.gateway_id);
      job->session = g_steal_pointer (&client->session);
      ok = tl_worker_pool_run (client->pool, job);
      if (!ok)
        g_set_error (&error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, "this computer cannot start another thread");
    }
  if (message != NULL)
    protobuf_c_message_free_unpacked (message, NULL);
  if (ok)
    return;
  offer_job_free (job);
  if (!client->finished)
    report (client, NULL, error);
}

static void
start_pairing (Client *client, GBytes *leaf)
{
  Twinlatch__V1__StartPairingRequest request = TWINLATCH__V1__START_PAIRING_REQUEST__INIT;
  guint8 leaf_sha256[TL_SHA256_LENGTH];
  g_autoptr (GError) error = NULL;
  TlPairingStart start;

  tl_sha256 (g_bytes_get_data (leaf, NULL), g_bytes_get_size (leaf), leaf_sha256);
  if (!tl_device_session_start (client->session, leaf_sha256, &start, &error))
    {
      report (client, NULL, error);
      return;
    }
  tl_pairing_wire_start (&start, &request);
  tl_rpc_client_call_async (client->rpc, SERVICE "StartPairing", &request.base,
                            &twinlatch__v1__start_pairing_response__descriptor, CALL_DEADLINE_MS, client->cancellable,
                            on_start_answer, client_ref (client));
}

static void
on_health (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (ClientRef) client = user_data;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *message = tl_rpc_client_call_finish (client->rpc, result, &error);
  GBytes *leaf;

  (void)source;
  if (message != NULL)
    protobuf_c_message_free_unpacked (message, NULL);
  if (client->finished)
    return;
  /* What the answer says is of no interest: the handshake showed the leaf that StartPairing has to name. */
  leaf = tl_rpc_client_server_leaf (client->rpc);
  if (message == NULL)
    report (client, NULL, error);
  else if (leaf == NULL)
    report_code (client, TL_ERROR_PROTOCOL, "the gateway showed no certificate");
  else
    start_pairing (client, leaf);
}

static gboolean
on_begin (gpointer data)
{
  Client *client = data;
  Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;

  g_clear_pointer (&client->timer, g_source_unref);
  tl_rpc_client_call_async (client->rpc, HEALTH_CHECK, &request.base,
                            &grpc__health__v1__health_check_response__descriptor, CALL_DEADLINE_MS, client->cancellable,
                            on_health, client_ref (client));
  return G_SOURCE_REMOVE;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static gboolean
sign (const void *message, gsize length, guint8 signature[64], gpointer user_data, GError **error)
{
  return tl_device_identity_sign (user_data, message, length, signature, error);
}

static gboolean
check_options (const TlPairingClientOptions *options, GError **error)
{
  if ((options->link != NULL) == (options->address != NULL) || (options->link == NULL && options->pin_digits == NULL))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "pairing takes either a link, or an address and a PIN");
      return FALSE;
    }
  return options->device_name == NULL || tl_pairing_name_check ("device name", options->device_name, error);
}

static gboolean
make_session (Client *client, const TlPairingClientOptions *options, GError **error)
{
  g_autoptr (GBytes) csr = tl_device_identity_csr (client->identity, error);
  g_autoptr (TlNodeState) replaced = NULL;
  g_autofree char *platform = tl_node_platform ();
  TlPairingDevice device = { .device_id = tl_device_identity_device_id (client->identity),
                             .csr_der = csr,
                             .device_name = client->device_name,
                             .platform = platform,
                             .client_kind = client->client_kind,
                             .sign = sign,
                             .sign_data = client->identity };

  if (csr == NULL)
    return FALSE;
  memcpy (device.identity_public, tl_device_identity_public (client->identity), sizeof device.identity_public);
  if (options->link == NULL)
    {
      client->session
          = tl_device_session_new_pin (&device, options->slot, options->pin_digits, tl_random_system (), error);
      return client->session != NULL;
    }
  /* A link says beforehand which gateway it is, so the approver can be told which device this one takes the place of.
   */
  if (client->replace)
    replaced = tl_node_state_open (client->node_dir, tl_pairing_link_gateway_id (options->link), NULL);
  if (replaced != NULL)
    device.replaces_device_id = tl_node_state_marker (replaced)->device_id;
  client->session = tl_device_session_new_link (&device, options->link, tl_random_system (), error);
  return client->session != NULL && tl_device_session_confirm_connect (client->session, error);
}

static gboolean
make_rpc (Client *client, TlRpcLoop *loop, const TlPairingClientOptions *options, GError **error)
{
  TlRpcClientOptions rpc = { .first_contact = TRUE };

  if (options->link != NULL)
    {
      client->addresses = g_strdupv ((char **)tl_pairing_link_addresses (options->link));
      rpc.ca_sha256 = tl_pairing_link_ca_sha256 (options->link);
    }
  else
    {
      client->addresses = g_new0 (char *, 2);
      client->addresses[0] = tl_address_normalise (options->address, TL_DEFAULT_PORT, error);
      if (client->addresses[0] == NULL)
        return FALSE;
    }
  rpc.addresses = (const char *const *)client->addresses;
  client->rpc = tl_rpc_client_new (loop, &rpc, error);
  return client->rpc != NULL;
}

TlPairingClient *
tl_pairing_client_new (TlRpcLoop *loop, const TlPairingClientOptions *options, const TlPairingClientHandlers *handlers,
                       gpointer user_data, GError **error)
{
  g_autoptr (ClientRef) client = NULL;

  if (!check_options (options, error))
    return NULL;
  client = g_new0 (Client, 1);
  client->refs = 1;
  client->own_handlers = *handlers;
  client->handlers = &client->own_handlers;
  client->user_data = user_data;
  client->context = g_main_context_ref_thread_default ();
  client->method = options->link != NULL ? TL_PAIRING_LINK : TL_PAIRING_PIN;
  client->node_dir = g_strdup (options->node_dir);
  client->device_name = options->device_name != NULL ? g_strdup (options->device_name) : tl_node_default_name ();
  client->replace = options->replace;
  client->client_kind = options->client_kind;
  client->cancellable = g_cancellable_new ();
  client->reconnect = tl_reconnect_new (RETRY_MAX_MS, tl_random_system ());
  client->pool = tl_worker_pool_new (1, client->context, offer_work, on_offer_done, client, offer_job_free);
  client->identity = tl_device_identity_new (tl_clock_wall_ms (tl_clock_system ()), tl_random_system (), error);
  if (client->identity == NULL
      || (options->link != NULL && !check_not_paired (client, tl_pairing_link_gateway_id (options->link), error))
      || !make_session (client, options, error) || !make_rpc (client, loop, options, error))
    return NULL;
  set_timer (client, 0, on_begin);
  return g_steal_pointer (&client);
}

static gboolean
on_cancel (gpointer data)
{
  g_autoptr (ClientRef) client = client_ref (data);

  report_code (client, TL_ERROR_CANCELLED, "pairing was cancelled");
  return G_SOURCE_REMOVE;
}

void
tl_pairing_client_cancel (TlPairingClient *client)
{
  if (client->finished)
    return;
  g_cancellable_cancel (client->cancellable);
  set_timer (client, 0, on_cancel);
}

void
tl_pairing_client_free (TlPairingClient *client)
{
  if (client == NULL)
    return;
  quiet (client);
  client_unref (client);
}
