/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "base/tl-json.h"
#include "daemon/store/tl-journal.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-pairing-private.h"
#include "daemon/tl-wire.h"

/* A device's WatchPairing stream. */
typedef struct
{
  TlRpcCall *call;
  TlPairingKeys *keys;
  guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH];
} TlDeviceWatch;

void
tl_pairing_device_watch_free (gpointer data)
{
  TlDeviceWatch *watch = data;

  tl_rpc_call_unref (watch->call);
  tl_pairing_keys_unref (watch->keys);
  g_free (watch);
}

/* ---- answers to the device ---- */

static void
fill_completed (TlPairingService *self, const TlPairingRecord *record, TlPairingWatchAnswer *answer, GPtrArray *bundle)
{
  TlGateway *gateway = self->gateway;
  TlTrustBundle *trust = tl_gateway_identity_bundle (gateway->identity);

  for (guint i = 0; i < tl_trust_bundle_size (trust); i++)
    g_ptr_array_add (bundle, tl_certificate_to_der (tl_trust_bundle_get (trust, i)));
  answer->certificate_der = record->certificate_der;
  answer->ca_bundle = (GBytes *const *)bundle->pdata;
  answer->n_ca_bundle = bundle->len;
  answer->addresses = (const char *const *)gateway->advertised;
  answer->policy = "{}";
  answer->gateway_name = gateway->config->name;
  answer->ca_generation = tl_certificate_authority_generation (tl_gateway_identity_ca (gateway->identity));
  answer->role = tl_wire_role (record->role);
}

static gboolean
send_state (TlPairingService *self, TlDeviceWatch *watch, const TlPairingRecord *record)
{
  g_autoptr (GPtrArray) bundle = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  TlPairingWatchAnswer answer = {
    .state = record->state, .reason = record->reason != NULL ? record->reason : "", .policy = "", .gateway_name = ""
  };
  Twinlatch__V1__WatchPairingResponse message = TWINLATCH__V1__WATCH_PAIRING_RESPONSE__INIT;
  g_autofree ProtobufCBinaryData *ders = NULL;

  if (record->state == TL_PAIRING_STATE_COMPLETED)
    fill_completed (self, record, &answer, bundle);
  tl_pairing_keys_mac_watch_answer (watch->keys, watch->nonce, &answer);
  ders = g_new (ProtobufCBinaryData, bundle->len);
  for (guint i = 0; i < bundle->len; i++)
    ders[i] = tl_wire_gbytes (g_ptr_array_index (bundle, i));
  message.state = tl_wire_pairing_state (answer.state);
  message.reason = tl_wire_string (answer.reason);
  message.certificate_der = tl_wire_gbytes (answer.certificate_der);
  message.n_ca_bundle = bundle->len;
  message.ca_bundle = ders;
  message.n_addresses = answer.addresses != NULL ? g_strv_length ((char **)answer.addresses) : 0;
  message.addresses = (char **)answer.addresses;
  message.policy = tl_wire_string (answer.policy);
  message.gateway_name = tl_wire_string (answer.gateway_name);
  message.ca_generation = answer.ca_generation;
  message.role = (Twinlatch__V1__Role)answer.role;
  message.mac = tl_wire_bytes (answer.mac, sizeof answer.mac);
  return tl_rpc_call_send (watch->call, &message.base);
}

static gboolean
is_final (TlPairingState state)
{
  return state != TL_PAIRING_STATE_PENDING_APPROVAL && state != TL_PAIRING_STATE_APPROVED;
}

/* ---- issuance ---- */

/* The certificate is in the store: from now on it is admitted, and then the device may have it. */
static void
admit (TlPairingService *self, const TlPairingRecord *record)
{
  TlGateway *gateway = self->gateway;
  gsize length = 0;
  const void *der = g_bytes_get_data (record->certificate_der, &length);
  g_autoptr (X509) leaf = tl_certificate_from_der (der, length, NULL);
  g_autofree char *fingerprint = tl_fingerprint (der, length);
  TlAdmission admission = { .role = record->role };

  g_strlcpy (admission.device_id, record->device_id, sizeof admission.device_id);
  admission.not_after_ms = tl_certificate_not_after_ms (leaf);
  admission.ca_generation = tl_certificate_authority_generation (tl_gateway_identity_ca (gateway->identity));
  tl_admitted_set_add (gateway->admitted, fingerprint, &admission);
  tl_log (TL_LOG_NOTICE, "device paired", "device_id", record->device_id, "name", record->device_name, "fingerprint",
          fingerprint, "approved_by", record->decided_by, NULL);
}

/* The certificate of before is good until the new one is used, but not for an operator's calls and streams. */
static void
lower (TlGateway *gateway, const TlPairingRecord *record)
{
  tl_admitted_set_set_role (gateway->admitted, record->device_id, record->role);
  tl_rpc_server_reset_device (gateway->server, record->device_id, NULL, NULL);
}

static void
finish_watch (TlPairingService *self, const char *request_id, const GError *error)
{
  TlDeviceWatch *watch = g_hash_table_lookup (self->waiting, request_id);

  if (watch == NULL)
    return;
  tl_pairing_finish_stranger (watch->call, error);
  g_hash_table_remove (self->waiting, request_id);
}

/* Bans that came after the approval, or it ran out. */
static void
journal_refused (TlPairingService *self, const char *request_id, const GError *error)
{
  tl_json_auto detail = json_pack ("{s:s}", "reason", tl_error_to_reason (error));
  g_autofree char *text = tl_json_to_string (detail);

  tl_store_journal (self->gateway->store, TL_JOURNAL_CERT_REFUSED, NULL, request_id, text,
                    tl_clock_wall_ms (self->gateway->clock), NULL, NULL);
}

static void
on_completed (const GError *error, gpointer result, gpointer user_data)
{
  TlPairingWait *wait = user_data;
  TlPairingService *self = wait->service;
  const TlPairingRecord *record = result;

  g_hash_table_remove (self->issuing, wait->request_id);
  if (error == NULL)
    {
      if (record->ended != NULL)
        tl_gateway_end_certificates (self->gateway, record->ended);
      if (record->lowered)
        lower (self->gateway, record);
      admit (self, record);
      tl_node_registry_device_changed (self->gateway->registry, record->device_id, record->label, record->device_name,
                                       record->identity_public);
      tl_pairing_changed (self, record);
    }
  else
    {
      tl_log_error (TL_LOG_WARNING, "issuing a device certificate", error);
      journal_refused (self, wait->request_id, error);
      finish_watch (self, wait->request_id, error);
    }
  g_free (wait->request_id);
  g_free (wait);
}

static void
issue (TlPairingService *self, const TlPairingRecord *request)
{
  TlGateway *gateway = self->gateway;
  TlCertificateAuthority *ca = tl_gateway_identity_ca (gateway->identity);
  gint64 now = tl_clock_wall_ms (gateway->clock);
  gsize length = 0;
  const guint8 *der = g_bytes_get_data (request->tls_public_der, &length);
  g_autoptr (EVP_PKEY) key = d2i_PUBKEY (NULL, &der, (long)length);
  g_autoptr (GError) error = NULL;
  g_autoptr (X509) leaf = NULL;
  g_autoptr (GBytes) leaf_der = NULL;
  g_autoptr (TlCertificateRecord) record = NULL;
  TlPairingWait *wait;

  /* A device may open its stream again and again: one certificate is made, all streams get it. */
  if (g_hash_table_contains (self->issuing, request->request_id))
    return;
  if (key != NULL)
    leaf = tl_certificate_authority_issue_device (ca, key, request->device_id, now, gateway->config->device_lifetime_ms,
                                                  gateway->random, &error);
  if (leaf == NULL)
    {
      tl_log (TL_LOG_ERROR, "cannot issue a certificate", "request_id", request->request_id, "error",
              error != NULL ? error->message : "stored key does not parse", NULL);
      if (error == NULL)
        g_set_error (&error, TL_ERROR, TL_ERROR_INTERNAL,
                     "the gateway could not issue a certificate; ask its operator");
      finish_watch (self, request->request_id, error);
      return;
    }
  g_hash_table_add (self->issuing, g_strdup (request->request_id));
  leaf_der = tl_certificate_to_der (leaf);
  record = tl_certificate_record_new (leaf, request->device_id, request->tls_key_fingerprint,
                                      tl_certificate_authority_generation (ca));
  wait = g_new0 (TlPairingWait, 1);
  wait->service = self;
  wait->request_id = g_strdup (request->request_id);
  tl_store_complete_pairing (gateway->store, request->request_id, record, leaf_der, now, on_completed, wait);
}

/* ---- operators ---- */

static void
send_to_operator (TlRpcCall *call, const TlPairingRecord *record)
{
  Twinlatch__V1__PairingRequest message;
  g_autofree char *fingerprint = NULL;

  tl_wire_pairing (&message, record, &fingerprint);
  tl_rpc_call_send (call, &message.base);
}

void
tl_pairing_changed (TlPairingService *self, const TlPairingRecord *record)
{
  TlDeviceWatch *watch = g_hash_table_lookup (self->waiting, record->request_id);

  for (guint i = 0; i < self->operators->len; i++)
    send_to_operator (g_ptr_array_index (self->operators, i), record);
  if (watch == NULL)
    return;
  if (record->state == TL_PAIRING_STATE_APPROVED)
    {
      send_state (self, watch, record);
      issue (self, record);
      return;
    }
  send_state (self, watch, record);
  if (is_final (record->state))
    {
      tl_rpc_call_finish (watch->call, NULL);
      g_hash_table_remove (self->waiting, record->request_id);
    }
}

static void
on_operator_list (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (TlPairingWait) wait = user_data;
  const GPtrArray *records = result;

  if (error != NULL)
    {
      tl_pairing_service_unwatch (wait->service, wait->call);
      tl_rpc_call_finish (wait->call, error);
      return;
    }
  for (guint i = 0; i < records->len; i++)
    send_to_operator (wait->call, g_ptr_array_index (records, i));
}

#define OPERATOR_LIST_MAX 1000

void
tl_pairing_service_watch (TlPairingService *self, TlRpcCall *call)
{
  g_ptr_array_add (self->operators, tl_rpc_call_ref (call));
  tl_store_list_pairings (self->gateway->store, 1u << TL_PAIRING_STATE_PENDING_APPROVAL, "", OPERATOR_LIST_MAX,
                          on_operator_list, tl_pairing_wait_new (self, call, NULL, NULL));
}

void
tl_pairing_service_unwatch (TlPairingService *self, TlRpcCall *call)
{
  g_ptr_array_remove (self->operators, call);
}

void
tl_pairing_service_ended (TlPairingService *self, const GPtrArray *requests)
{
  for (guint i = 0; i < requests->len; i++)
    tl_pairing_changed (self, g_ptr_array_index (requests, i));
}

void
tl_pairing_service_close_all (TlPairingService *self)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the gateway is stopping");
  GHashTableIter iter;
  gpointer watch;

  g_hash_table_iter_init (&iter, self->waiting);
  while (g_hash_table_iter_next (&iter, NULL, &watch))
    tl_rpc_call_finish (((TlDeviceWatch *)watch)->call, error);
  g_hash_table_remove_all (self->waiting);
  for (guint i = 0; i < self->operators->len; i++)
    tl_rpc_call_finish (g_ptr_array_index (self->operators, i), error);
  g_ptr_array_set_size (self->operators, 0);
}

void
tl_pairing_service_wait_idle (TlPairingService *self)
{
  while (self->minting > 0)
    g_main_context_iteration (NULL, TRUE);
}

/* ---- WatchPairing ---- */

typedef struct
{
  TlPairingWait *wait;
  guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH];
  guint8 mac[TL_PAIRING_MAC_LENGTH];
} WatchWait;

static void
finish_unknown (TlRpcCall *call)
{
  g_autoptr (GError) error
      = g_error_new_literal (TL_ERROR, TL_ERROR_EXPIRED, "there is no such pairing request any more; start again");
  tl_rpc_call_finish (call, error);
}

static void
attach_watch (TlPairingService *self, TlRpcCall *call, const TlPairingRecord *record, TlPairingKeys *keys,
              const guint8 *nonce)
{
  TlDeviceWatch *before = g_hash_table_lookup (self->waiting, record->request_id);
  TlDeviceWatch *watch = g_new0 (TlDeviceWatch, 1);

  if (before != NULL)
    {
      g_autoptr (GError) error
          = g_error_new_literal (TL_ERROR, TL_ERROR_CANCELLED, "superseded by a newer stream of the same device");
      tl_rpc_call_finish (before->call, error);
    }
  watch->call = tl_rpc_call_ref (call);
  watch->keys = tl_pairing_keys_ref (keys);
  memcpy (watch->nonce, nonce, sizeof watch->nonce);
  tl_rpc_call_set_data (call, g_strdup (record->request_id), g_free);
  g_hash_table_replace (self->waiting, g_strdup (record->request_id), watch);
  send_state (self, watch, record);
  if (record->state == TL_PAIRING_STATE_APPROVED)
    issue (self, record);
  else if (is_final (record->state))
    {
      tl_rpc_call_finish (call, NULL);
      g_hash_table_remove (self->waiting, record->request_id);
    }
}

static void
on_watched_found (const GError *error, gpointer result, gpointer user_data)
{
  WatchWait *watch = user_data;
  g_autoptr (TlPairingWait) wait = watch->wait;
  TlPairingService *self = wait->service;
  const TlPairingRecord *record = result;
  g_autoptr (TlPairingKeys) keys = NULL;

  if (error == NULL && record->sealed_keys != NULL)
    keys = tl_gateway_identity_unseal (self->gateway->identity, record->request_id, record->sealed_keys, NULL);
  if (error != NULL && !tl_error_is_not_found (error))
    tl_pairing_finish_stranger (wait->call, error);
  else if (keys == NULL || !tl_pairing_keys_check_watch (keys, wait->session_id, watch->nonce, watch->mac))
    finish_unknown (wait->call);
  else
    attach_watch (self, wait->call, record, keys, watch->nonce);
  g_free (watch);
}

void
tl_pairing_on_watch (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlPairingService *self = user_data;
  const Twinlatch__V1__WatchPairingRequest *request = (const Twinlatch__V1__WatchPairingRequest *)message;
  WatchWait *watch;

  if (!tl_ulid_is_valid (request->session_id) || request->nonce.len != TL_PAIRING_WATCH_NONCE_LENGTH
      || request->mac.len != TL_PAIRING_MAC_LENGTH)
    {
      g_autoptr (GError) error
          = g_error_new_literal (TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "session id, nonce or MAC is malformed");
      tl_rpc_call_finish (call, error);
      return;
    }
  watch = g_new0 (WatchWait, 1);
  watch->wait = tl_pairing_wait_new (self, call, request->session_id, NULL);
  memcpy (watch->nonce, request->nonce.data, sizeof watch->nonce);
  memcpy (watch->mac, request->mac.data, sizeof watch->mac);
  tl_store_get_pairing_by_session (self->gateway->store, request->session_id, on_watched_found, watch);
}

void
tl_pairing_on_watch_cancelled (TlRpcCall *call, gpointer user_data)
{
  TlPairingService *self = user_data;
  const char *request_id = tl_rpc_call_get_data (call);
  TlDeviceWatch *watch = request_id != NULL ? g_hash_table_lookup (self->waiting, request_id) : NULL;

  if (watch != NULL && watch->call == call)
    g_hash_table_remove (self->waiting, request_id);
}
