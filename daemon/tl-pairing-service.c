/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-pairing-service.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "daemon/tl-journal-service.h"
#include "daemon/tl-pairing-private.h"
#include "daemon/tl-wire.h"
#include "pairing/tl-pairing-link.h"

TlPairingWait *
tl_pairing_wait_new (TlPairingService *service, TlRpcCall *call, const char *session_id, const char *request_id)
{
  TlPairingWait *self = g_new0 (TlPairingWait, 1);

  self->service = service;
  self->call = tl_rpc_call_ref (call);
  self->session_id = g_strdup (session_id);
  self->request_id = g_strdup (request_id);
  return self;
}

void
tl_pairing_wait_free (TlPairingWait *self)
{
  if (self == NULL)
    return;
  tl_rpc_call_unref (self->call);
  g_free (self->session_id);
  g_free (self->request_id);
  g_free (self);
}

void
tl_pairing_note_expiry (TlPairingService *self, gint64 when_ms)
{
  self->next_expiry_ms = MIN (self->next_expiry_ms, when_ms);
}

static void
finish_with (TlRpcCall *call, TlErrorCode code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, code, message);
  tl_rpc_call_finish (call, error);
}

/* One answer for everything that is wrong with a code (PROTOCOL 3.4). */
#define CODE_INVALID "the pairing code is not valid; ask for a new one"

static void
finish_code_invalid (TlRpcCall *call)
{
  finish_with (call, TL_ERROR_CODE_INVALID, CODE_INVALID);
}

static void
refuse_code (TlPairingService *self, TlRpcCall *call, TlErrorCode code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, code, message);

  tl_journal_service_denied (self->gateway->journal, TL_JOURNAL_CODE_REFUSED, call, NULL, error);
  tl_rpc_call_finish (call, error);
}

static gboolean
is_our_trouble (const GError *error)
{
  return error->domain != TL_ERROR || error->code == TL_ERROR_IO || error->code == TL_ERROR_READ_ONLY
         || error->code == TL_ERROR_CORRUPT || error->code == TL_ERROR_INTERNAL || error->code == TL_ERROR_IN_USE;
}

void
tl_pairing_finish_stranger (TlRpcCall *call, const GError *error)
{
  if (!is_our_trouble (error))
    {
      tl_rpc_call_finish (call, error);
      return;
    }
  tl_log_error (TL_LOG_ERROR, "a pairing call could not be served", error);
  finish_with (call, TL_ERROR_UNAVAILABLE, "the gateway cannot do this now; try again in a moment");
}

/* On record, too: kind and what it is about. */
static void
log_denied (TlPairingService *self, TlRpcCall *call, const char *what, const char *device_id, const char *kind,
            const char *subject, const GError *error)
{
  const TlRpcPeer *peer = tl_rpc_call_peer (call);
  tl_log (TL_LOG_NOTICE, what, "source", peer->source, "device_id", device_id, "reason", tl_error_to_reason (error),
          "error", error->message, NULL);
  if (kind != NULL && !is_our_trouble (error))
    tl_journal_service_denied (self->gateway->journal, kind, call, subject, error);
}

/* ---- StartPairing ---- */

typedef struct
{
  TlPairingService *service;
  TlRpcCall *call;
  TlPairingStart start; /* code_id and device_id owned */
} StartWait;

static void
start_wait_free (StartWait *wait)
{
  tl_rpc_call_unref (wait->call);
  g_free ((char *)wait->start.code_id);
  g_free ((char *)wait->start.device_id);
  g_free (wait);
}

static gboolean
copy_fixed (const char *what, ProtobufCBinaryData bytes, void *out, gsize length, GError **error)
{
  if (bytes.len != length)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s has %zu bytes instead of %zu", what, bytes.len,
                   length);
      return FALSE;
    }
  memcpy (out, bytes.data, length);
  return TRUE;
}

static gboolean
read_start (const Twinlatch__V1__StartPairingRequest *message, TlPairingStart *start, GError **error)
{
  if (message->n_versions < 1 || message->n_versions > TL_PAIRING_VERSIONS_MAX)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%zu protocol versions offered, 1..%d are allowed",
                   message->n_versions, TL_PAIRING_VERSIONS_MAX);
      return FALSE;
    }
  for (gsize i = 0; i < message->n_versions; i++)
    start->versions[i] = message->versions[i];
  start->n_versions = message->n_versions;
  switch (message->selector_case)
    {
    case TWINLATCH__V1__START_PAIRING_REQUEST__SELECTOR_SLOT:
      start->slot = message->slot;
      break;
    case TWINLATCH__V1__START_PAIRING_REQUEST__SELECTOR_CODE_ID:
      if (!tl_ulid_is_valid (message->code_id))
        {
          g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "code id is not a ULID");
          return FALSE;
        }
      start->code_id = message->code_id;
      break;
    case TWINLATCH__V1__START_PAIRING_REQUEST__SELECTOR__NOT_SET:
    default:
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "neither slot nor code id given");
      return FALSE;
    }
  if (start->code_id == NULL && (start->slot < 1 || start->slot > TL_PAIRING_SLOT_MAX))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "slot %u is not within 1..%d", start->slot,
                   TL_PAIRING_SLOT_MAX);
      return FALSE;
    }
  if (!tl_wire_client_kind_from (message->client_kind, &start->client_kind))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "client kind %d is unknown", message->client_kind);
      return FALSE;
    }
  if (!tl_ulid_is_valid (message->device_id))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "device id is not a ULID");
      return FALSE;
    }
  start->device_id = message->device_id;
  return copy_fixed ("device_ephemeral", message->device_ephemeral, start->device_ephemeral, 32, error)
         && copy_fixed ("device_commitment", message->device_commitment, start->device_commitment, 32, error)
         && copy_fixed ("server_certificate_sha256", message->server_certificate_sha256,
                        start->server_certificate_sha256, 32, error);
}

static void
reply_offer (TlRpcCall *call, const TlPairingOffer *offer)
{
  Twinlatch__V1__StartPairingResponse answer = TWINLATCH__V1__START_PAIRING_RESPONSE__INIT;

  answer.version = offer->version;
  answer.session_id = (char *)offer->session_id;
  answer.gateway_id = (char *)offer->gateway_id;
  answer.challenge = tl_wire_bytes (offer->challenge, sizeof offer->challenge);
  answer.gateway_ephemeral = tl_wire_bytes (offer->gateway_ephemeral, sizeof offer->gateway_ephemeral);
  answer.ca_certificate = tl_wire_gbytes (offer->ca_certificate);
  answer.salt = tl_wire_bytes (offer->salt, sizeof offer->salt);
  answer.kdf = (char *)offer->kdf.name;
  answer.kdf_n = offer->kdf.n;
  answer.kdf_r = offer->kdf.r;
  answer.kdf_p = offer->kdf.p;
  answer.expires_at_unix_ms = offer->expires_at_ms;
  tl_rpc_call_reply (call, &answer.base);
}

static TlOpenSession *
open_session (TlPairingService *self, const StartWait *wait, const TlCodeRecord *code, GError **error)
{
  TlGateway *gateway = self->gateway;
  gint64 now = tl_clock_wall_ms (gateway->clock);
  g_autofree char *session_id = tl_ulid_new (now, gateway->random);
  TlGatewaySession *session
      = tl_gateway_session_new (&wait->start, code->method, code->verifier, session_id,
                                tl_gateway_identity_id (gateway->identity),
                                tl_certificate_authority_der (tl_gateway_identity_ca (gateway->identity)), now,
                                gateway->random, error);
  TlOpenSession *entry;

  if (session == NULL)
    return NULL;
  entry = g_new0 (TlOpenSession, 1);
  entry->session = session;
  entry->source = g_strdup (tl_rpc_call_peer (wait->call)->source);
  entry->code_id = g_strdup (code->code_id);
  entry->role = code->role;
  entry->auto_approve = code->auto_approve;
  entry->label = g_strdup (code->label);
  entry->code_minted_by = g_strdup (code->minted_by);
  entry->opened_ms = now;
  return entry;
}

static void
on_code_found (const GError *error, gpointer result, gpointer user_data)
{
  StartWait *wait = user_data;
  TlPairingService *self = wait->service;
  const TlCodeRecord *code = result;
  g_autoptr (GError) local = NULL;
  TlOpenSession *entry;

  if (error != NULL && !tl_error_is (error, TL_ERROR_CODE_INVALID))
    tl_pairing_finish_stranger (wait->call, error);
  else if (error != NULL || (code->method == TL_PAIRING_LINK) != (wait->start.code_id != NULL))
    refuse_code (self, wait->call, TL_ERROR_CODE_INVALID, CODE_INVALID);
  else if (!tl_session_table_make_room (self->sessions, tl_rpc_call_peer (wait->call)->source))
    refuse_code (self, wait->call, TL_ERROR_RESOURCE_EXHAUSTED,
                 "too many pairing sessions are open; try again in a minute");
  else if ((entry = open_session (self, wait, code, &local)) == NULL)
    tl_rpc_call_finish (wait->call, local);
  else
    {
      tl_session_table_add (self->sessions, entry);
      reply_offer (wait->call, tl_gateway_session_offer (entry->session));
    }
  start_wait_free (wait);
}

static void
on_start (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlPairingService *self = user_data;
  TlGateway *gateway = self->gateway;
  g_autoptr (GError) error = NULL;
  TlPairingStart start = { 0 };
  StartWait *wait;

  if (!tl_rate_limit_take (self->starts, tl_rpc_call_peer (call)->source, tl_clock_monotonic_us (gateway->clock)))
    {
      refuse_code (self, call, TL_ERROR_RESOURCE_EXHAUSTED, "too many pairing attempts; try again in a minute");
      return;
    }
  if (!read_start ((const Twinlatch__V1__StartPairingRequest *)message, &start, &error))
    {
      tl_rpc_call_finish (call, error);
      return;
    }
  if (!tl_gateway_identity_serves (gateway->identity, start.server_certificate_sha256))
    {
      tl_log (TL_LOG_WARNING, "a device saw another certificate than this gateway's: somebody may be in between",
              "source", tl_rpc_call_peer (call)->source, "device_id", start.device_id, NULL);
      g_set_error_literal (
          &error, TL_ERROR, TL_ERROR_WRONG_CA,
          "the certificate on this connection is not the gateway's: somebody may be in between; do not pair here");
      tl_journal_service_denied (gateway->journal, TL_JOURNAL_PAIRING_REFUSED, call, start.device_id, error);
      tl_rpc_call_finish (call, error);
      return;
    }
  wait = g_new0 (StartWait, 1);
  wait->service = self;
  wait->call = tl_rpc_call_ref (call);
  wait->start = start;
  wait->start.code_id = g_strdup (start.code_id);
  wait->start.device_id = g_strdup (start.device_id);
  tl_store_find_live_code (gateway->store, start.slot, start.code_id, tl_clock_wall_ms (gateway->clock), on_code_found,
                           wait);
}

/* ---- ExchangePairing ---- */

/* The open session, or the call is finished. */
static TlOpenSession *
take_session (TlPairingService *self, TlRpcCall *call, const char *session_id)
{
  TlOpenSession *entry = tl_session_table_lookup (self->sessions, session_id);

  if (entry == NULL)
    finish_with (call, TL_ERROR_EXPIRED, "this pairing session is not open any more; start again");
  else if (entry->busy)
    {
      finish_with (call, TL_ERROR_UNAVAILABLE, "this pairing session is busy with another message; try again");
      return NULL;
    }
  return entry;
}

static void
on_attempt_taken (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (TlPairingWait) wait = user_data;
  TlPairingService *self = wait->service;
  TlOpenSession *entry = tl_session_table_lookup (self->sessions, wait->session_id);
  g_autoptr (GError) local = NULL;
  guint8 share_v[TL_SPAKE2PLUS_SHARE_LENGTH], confirm_v[TL_SPAKE2PLUS_CONFIRM_LENGTH];
  Twinlatch__V1__ExchangePairingResponse answer = TWINLATCH__V1__EXCHANGE_PAIRING_RESPONSE__INIT;

  entry->busy = FALSE;
  if (error != NULL)
    {
      log_denied (self, wait->call, "pairing attempt refused", tl_gateway_session_device_id (entry->session),
                  TL_JOURNAL_CODE_REFUSED, entry->code_id, error);
      tl_gateway_session_refuse_exchange (entry->session);
      tl_session_table_remove (self->sessions, wait->session_id);
      if (tl_error_is (error, TL_ERROR_CODE_INVALID))
        finish_code_invalid (wait->call);
      else
        tl_pairing_finish_stranger (wait->call, error);
      return;
    }
  tl_log (TL_LOG_INFO, "pairing attempt counted", "code_id", entry->code_id, "source", entry->source, NULL);
  if (!tl_gateway_session_finish_exchange (entry->session, tl_clock_wall_ms (self->gateway->clock), share_v, confirm_v,
                                           &local))
    {
      log_denied (self, wait->call, "pairing exchange failed", tl_gateway_session_device_id (entry->session),
                  TL_JOURNAL_PAIRING_REFUSED, entry->code_id, local);
      tl_session_table_remove (self->sessions, wait->session_id);
      tl_rpc_call_finish (wait->call, local);
      return;
    }
  answer.share_v = tl_wire_bytes (share_v, sizeof share_v);
  answer.confirm_v = tl_wire_bytes (confirm_v, sizeof confirm_v);
  tl_rpc_call_reply (wait->call, &answer.base);
}

static void
on_exchange (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlPairingService *self = user_data;
  TlGateway *gateway = self->gateway;
  const Twinlatch__V1__ExchangePairingRequest *request = (const Twinlatch__V1__ExchangePairingRequest *)message;
  gint64 now = tl_clock_wall_ms (gateway->clock);
  TlOpenSession *entry = take_session (self, call, request->session_id);
  g_autoptr (GError) error = NULL;

  if (entry == NULL)
    return;
  if (!tl_gateway_session_begin_exchange (entry->session, request->share_p.data, request->share_p.len, now, &error))
    {
      tl_session_table_remove (self->sessions, request->session_id);
      tl_rpc_call_finish (call, error);
      return;
    }
  entry->busy = TRUE;
  entry->attempt_id = tl_ulid_new (now, gateway->random);
  tl_store_take_attempt (gateway->store, entry->code_id, entry->attempt_id, tl_rpc_call_peer (call)->actor, now,
                         on_attempt_taken, tl_pairing_wait_new (self, call, request->session_id, NULL));
}

/* ---- CompletePairing ---- */

static gboolean
read_complete (const Twinlatch__V1__CompletePairingRequest *message, TlPairingComplete *complete, GError **error)
{
  complete->session_id = message->session_id;
  complete->device_name = message->device_name;
  complete->platform = message->platform;
  complete->replaces_device_id = message->replaces_device_id;
  if (message->csr_der.len > TL_CSR_MAX_DER)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "certificate signing request has %zu bytes, at most %d",
                   message->csr_der.len, TL_CSR_MAX_DER);
      return FALSE;
    }
  if (message->replaces_device_id[0] != '\0' && !tl_ulid_is_valid (message->replaces_device_id))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "replaced device id is not a ULID");
      return FALSE;
    }
  if (!copy_fixed ("confirm_p", message->confirm_p, complete->confirm_p, 32, error)
      || !copy_fixed ("identity_public", message->identity_public, complete->identity_public, 32, error)
      || !copy_fixed ("device_nonce", message->device_nonce, complete->device_nonce, TL_PAIRING_NONCE_LENGTH, error)
      || !copy_fixed ("identity_signature", message->identity_signature, complete->identity_signature, 64, error)
      || !copy_fixed ("mac", message->mac, complete->mac, TL_PAIRING_MAC_LENGTH, error))
    return FALSE;
  complete->csr_der = g_bytes_new (message->csr_der.data, message->csr_der.len);
  return TRUE;
}

static void
reply_complete (TlRpcCall *call, const TlPairingRecord *record, TlPairingKeys *keys)
{
  TlPairingCompleteAnswer answer
      = { .request_id = record->request_id, .state = record->state, .expires_at_ms = record->expires_at };
  Twinlatch__V1__CompletePairingResponse message = TWINLATCH__V1__COMPLETE_PAIRING_RESPONSE__INIT;

  tl_pairing_keys_mac_complete_answer (keys, record->device_nonce, &answer);
  message.request_id = record->request_id;
  message.state = tl_wire_pairing_state (answer.state);
  message.expires_at_unix_ms = answer.expires_at_ms;
  message.mac = tl_wire_bytes (answer.mac, sizeof answer.mac);
  tl_rpc_call_reply (call, &message.base);
}

static void
on_pairing_added (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (TlPairingWait) wait = user_data;
  TlOpenSession *entry = tl_session_table_lookup (wait->service->sessions, wait->session_id);
  g_autoptr (TlPairingKeys) keys = tl_pairing_keys_ref (entry->keys);
  const TlPairingRecord *record = result;

  entry->busy = FALSE;
  if (error != NULL && is_our_trouble (error))
    {
      /* The attempt is spent, so the session stays: the same CompletePairing may come again. */
      tl_pairing_finish_stranger (wait->call, error);
      return;
    }
  tl_session_table_remove (wait->service->sessions, wait->session_id);
  if (error != NULL)
    {
      log_denied (wait->service, wait->call, "pairing refused", NULL, NULL, NULL, error); /* the store has the row */
      tl_rpc_call_finish (wait->call, error);
      return;
    }
  tl_log (TL_LOG_NOTICE, "a device asks to pair", "request_id", record->request_id, "device_id", record->device_id,
          "name", record->device_name, "source", record->source, "state", tl_pairing_state_to_string (record->state),
          NULL);
  tl_pairing_note_expiry (wait->service, record->expires_at);
  reply_complete (wait->call, record, keys);
  tl_pairing_changed (wait->service, record);
}

static TlPairingRecord *
make_record (TlPairingService *self, TlOpenSession *entry, const TlPairingComplete *complete, EVP_PKEY *tls_key,
             TlPairingKeys *keys)
{
  TlGateway *gateway = self->gateway;
  gint64 now = tl_clock_wall_ms (gateway->clock);
  TlPairingRecord *record = g_new0 (TlPairingRecord, 1);
  guint8 *der = NULL;
  int length = i2d_PUBKEY (tls_key, &der);

  record->request_id = tl_ulid_new (now, gateway->random);
  record->session_id = g_strdup (complete->session_id);
  record->code_id = g_strdup (entry->code_id);
  record->code_minted_by = g_strdup (entry->code_minted_by);
  record->method = tl_gateway_session_method (entry->session);
  record->device_id = g_strdup (tl_gateway_session_device_id (entry->session));
  record->device_name = g_strdup (complete->device_name);
  record->platform = g_strdup (complete->platform);
  record->label = g_strdup (entry->label);
  record->replaces_device_id = complete->replaces_device_id[0] != '\0' ? g_strdup (complete->replaces_device_id) : NULL;
  record->client_kind = tl_gateway_session_client_kind (entry->session);
  record->role = entry->role;
  /* Automatic approval is for links with role node only (PROTOCOL 3.1), whatever the store says. */
  record->auto_approve = entry->auto_approve && record->method == TL_PAIRING_LINK && entry->role == TL_ROLE_NODE;
  memcpy (record->identity_public, complete->identity_public, sizeof record->identity_public);
  memcpy (record->device_nonce, complete->device_nonce, sizeof record->device_nonce);
  record->tls_public_der = g_bytes_new (der, MAX (length, 0));
  OPENSSL_free (der);
  record->tls_key_fingerprint = tl_key_fingerprint (tls_key);
  record->sealed_keys = tl_gateway_identity_seal (gateway->identity, record->request_id, keys);
  record->source = g_strdup (entry->source);
  record->requested_at = now;
  record->expires_at = now + TL_PAIRING_APPROVAL_MS;
  record->state = record->auto_approve ? TL_PAIRING_STATE_APPROVED : TL_PAIRING_STATE_PENDING_APPROVAL;
  if (record->auto_approve)
    {
      record->decided_by = g_strdup_printf ("code:%s", entry->code_minted_by);
      record->decided_at = now;
    }
  return record;
}

static void
add_pairing (TlPairingService *self, TlRpcCall *call, TlOpenSession *entry)
{
  entry->busy = TRUE;
  tl_store_add_pairing (self->gateway->store, entry->record, entry->attempt_id, tl_clock_wall_ms (self->gateway->clock),
                        on_pairing_added,
                        tl_pairing_wait_new (self, call, entry->record->session_id, entry->record->request_id));
}

/* Each of them cost an attempt: they are as few as those. */
static void
journal_wrong_code (TlPairingService *self, TlRpcCall *call, const TlOpenSession *entry, const GError *error)
{
  tl_json_auto detail = json_pack ("{s:s, s:s*, s:s*}", "reason", tl_error_to_reason (error), "device_id",
                                   tl_gateway_session_device_id (entry->session), "attempt_id", entry->attempt_id);
  g_autofree char *text = tl_json_to_string (detail);

  tl_store_journal (self->gateway->store, TL_JOURNAL_PAIRING_REFUSED, tl_rpc_call_peer (call)->actor, entry->code_id,
                    text, tl_clock_wall_ms (self->gateway->clock), NULL, NULL);
}

/* A session that is verified becomes a request. */
static void
complete_session (TlPairingService *self, TlRpcCall *call, TlOpenSession *entry, const TlPairingComplete *complete)
{
  TlGateway *gateway = self->gateway;
  gint64 now = tl_clock_wall_ms (gateway->clock);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlPairingKeys) keys = NULL;
  g_autoptr (EVP_PKEY) tls_key = NULL;
  gboolean confirmed = FALSE;

  if (entry->record != NULL)
    {
      if (tl_pairing_keys_check_complete (entry->keys, complete))
        add_pairing (self, call, entry);
      else
        finish_with (call, TL_ERROR_PROTOCOL, "this is not the CompletePairing that was verified");
      return;
    }
  if (tl_gateway_session_complete (entry->session, complete, now, &confirmed, &keys, &error))
    tls_key = tl_csr_verify (g_bytes_get_data (complete->csr_der, NULL), g_bytes_get_size (complete->csr_der), &error);
  if (tls_key == NULL)
    {
      const char *device_id = tl_gateway_session_device_id (entry->session);

      log_denied (self, call, "pairing failed", device_id, NULL, NULL, error);
      if (confirmed)
        tl_store_give_back_failure (gateway->store, entry->attempt_id, entry->code_id, device_id,
                                    tl_rpc_call_peer (call)->actor, tl_error_to_reason (error), now, NULL, NULL);
      else
        journal_wrong_code (self, call, entry, error);
      tl_session_table_remove (self->sessions, complete->session_id);
      tl_rpc_call_finish (call, error);
      return;
    }
  entry->record = make_record (self, entry, complete, tls_key, keys);
  entry->keys = g_steal_pointer (&keys);
  add_pairing (self, call, entry);
}

typedef struct
{
  TlPairingWait *wait;
  Twinlatch__V1__CompletePairingRequest *message;
} RepeatWait;

/* CompletePairing again, after a lost answer or our restart: the request is in the store. */
static void
on_repeat_found (const GError *error, gpointer result, gpointer user_data)
{
  RepeatWait *repeat = user_data;
  g_autoptr (TlPairingWait) wait = repeat->wait;
  TlGateway *gateway = wait->service->gateway;
  const TlPairingRecord *record = result;
  g_autoptr (TlPairingKeys) keys = NULL;
  TlPairingComplete complete = { 0 };

  if (error == NULL && record->sealed_keys != NULL && read_complete (repeat->message, &complete, NULL))
    keys = tl_gateway_identity_unseal (gateway->identity, record->request_id, record->sealed_keys, NULL);
  if (keys != NULL && tl_pairing_keys_check_complete (keys, &complete)
      && memcmp (complete.device_nonce, record->device_nonce, sizeof record->device_nonce) == 0)
    reply_complete (wait->call, record, keys);
  else
    finish_with (wait->call, TL_ERROR_EXPIRED, "this pairing session is not open any more; start again");
  g_clear_pointer (&complete.csr_der, g_bytes_unref);
  twinlatch__v1__complete_pairing_request__free_unpacked (repeat->message, NULL);
  g_free (repeat);
}

static void
on_complete (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlPairingService *self = user_data;
  const Twinlatch__V1__CompletePairingRequest *request = (const Twinlatch__V1__CompletePairingRequest *)message;
  g_autoptr (GError) error = NULL;
  TlPairingComplete complete = { 0 };

  if (!read_complete (request, &complete, &error))
    {
      tl_rpc_call_finish (call, error);
      return;
    }
  if (tl_session_table_lookup (self->sessions, request->session_id) == NULL)
    {
      Twinlatch__V1__CompletePairingRequest *copy = tl_wire_copy (message, NULL);
      RepeatWait *repeat;

      if (copy == NULL)
        tl_wire_finish_malformed (call);
      else
        {
          repeat = g_new0 (RepeatWait, 1);
          repeat->wait = tl_pairing_wait_new (self, call, request->session_id, NULL);
          repeat->message = copy;
          tl_store_get_pairing_by_session (self->gateway->store, request->session_id, on_repeat_found, repeat);
        }
    }
  else
    {
      TlOpenSession *entry = take_session (self, call, request->session_id);
      if (entry != NULL)
        complete_session (self, call, entry, &complete);
    }
  g_bytes_unref (complete.csr_der);
}

/* ---- the object ---- */

#define PAIRING_PATH "/twinlatch.v1.PairingService/"

static const TlRpcMethod methods[] = {
  { PAIRING_PATH "StartPairing", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE, &twinlatch__v1__start_pairing_request__descriptor,
    &twinlatch__v1__start_pairing_response__descriptor, TL_PAIRING_MAX_BODY, on_start, NULL, NULL },
  { PAIRING_PATH "ExchangePairing", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE,
    &twinlatch__v1__exchange_pairing_request__descriptor, &twinlatch__v1__exchange_pairing_response__descriptor,
    TL_PAIRING_MAX_BODY, on_exchange, NULL, NULL },
  { PAIRING_PATH "CompletePairing", TL_RPC_UNARY, TL_RPC_AUTH_ANYONE,
    &twinlatch__v1__complete_pairing_request__descriptor, &twinlatch__v1__complete_pairing_response__descriptor,
    TL_PAIRING_MAX_BODY, on_complete, NULL, NULL },
  { PAIRING_PATH "WatchPairing", TL_RPC_SERVER_STREAM, TL_RPC_AUTH_ANYONE,
    &twinlatch__v1__watch_pairing_request__descriptor, &twinlatch__v1__watch_pairing_response__descriptor,
    TL_PAIRING_MAX_BODY, tl_pairing_on_watch, NULL, tl_pairing_on_watch_cancelled },
};

TlPairingService *
tl_pairing_service_new (TlGateway *gateway)
{
  TlPairingService *self = g_new0 (TlPairingService, 1);
  const TlDaemonLimits *limits = &gateway->config->limits;

  self->gateway = gateway;
  self->starts = tl_rate_limit_new (limits->starts_per_minute_per_source, limits->starts_per_minute);
  self->sessions = tl_session_table_new (limits->sessions, limits->sessions_per_source);
  self->waiting = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, tl_pairing_device_watch_free);
  self->operators = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_rpc_call_unref);
  self->deciding = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->issuing = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return self;
}

void
tl_pairing_service_free (TlPairingService *self)
{
  if (self == NULL)
    return;
  tl_rate_limit_free (self->starts);
  tl_session_table_free (self->sessions);
  g_hash_table_unref (self->waiting);
  g_ptr_array_unref (self->operators);
  g_hash_table_unref (self->deciding);
  g_hash_table_unref (self->issuing);
  g_free (self);
}

void
tl_pairing_service_register (TlPairingService *self, TlRpcServer *server)
{
  tl_rpc_server_add_methods (server, methods, G_N_ELEMENTS (methods), self);
}

static void
on_expired (const GError *error, gpointer result, gpointer user_data)
{
  TlPairingService *self = user_data;
  const GPtrArray *records = result;

  self->expiring = FALSE;
  if (error != NULL)
    {
      tl_log_error (TL_LOG_WARNING, "looking for what ran out", error);
      return;
    }
  for (guint i = 0; i < records->len; i++)
    tl_pairing_changed (self, g_ptr_array_index (records, i));
}

/* Also for what was minted or asked before a restart. A transaction that finds nothing writes nothing. */
#define EXPIRE_INTERVAL_MS (10 * 1000)

void
tl_pairing_service_tick (TlPairingService *self, gint64 now_ms)
{
  tl_session_table_expire (self->sessions, now_ms);
  if (now_ms < self->next_expiry_ms || self->expiring)
    return;
  self->expiring = TRUE;
  self->next_expiry_ms = now_ms + EXPIRE_INTERVAL_MS;
  tl_store_expire (self->gateway->store, now_ms, on_expired, self);
}
