/* SPDX-License-Identifier: Apache-2.0 */
#include <gio/gio.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "daemon/tl-admin-private.h"
#include "daemon/tl-operator-policy.h"
#include "daemon/tl-pairing-private.h"
#include "daemon/tl-wire.h"
#include "pairing/tl-pairing-link.h"

/* ---- mint ---- */

typedef struct
{
  TlPairingService *service;
  TlRpcCall *call;
  TlCodeRecord *record;
  TlSecret *secret; /* digits or token */
  char *gateway_id;
  TlRandom *random;
} Mint;

static void
mint_free (Mint *mint)
{
  tl_rpc_call_unref (mint->call);
  tl_code_record_free (mint->record);
  g_clear_pointer (&mint->secret, tl_secret_unref);
  g_free (mint->gateway_id);
  g_free (mint);
}

static TlSecret *
format_link (Mint *mint, GError **error)
{
  TlGateway *gateway = mint->service->gateway;
  GBytes *ca = tl_certificate_authority_der (tl_gateway_identity_ca (gateway->identity));
  guint8 digest[TL_SHA256_LENGTH];
  g_autoptr (TlPairingLink) link = NULL;

  tl_sha256 (g_bytes_get_data (ca, NULL), g_bytes_get_size (ca), digest);
  link = tl_pairing_link_new (mint->gateway_id, mint->record->code_id, mint->secret, digest,
                              (const char *const *)gateway->advertised, gateway->config->name, error);
  return link != NULL ? tl_pairing_link_format (link) : NULL;
}

static void
on_code_added (const GError *error, gpointer result, gpointer user_data)
{
  Mint *mint = user_data;
  const TlCodeRecord *record = result;
  Twinlatch__V1__MintNodePairingCodeResponse answer = TWINLATCH__V1__MINT_NODE_PAIRING_CODE_RESPONSE__INIT;
  Twinlatch__V1__PairingCode code;
  g_autoptr (TlSecret) link = NULL;
  g_autoptr (GError) local = NULL;
  char *pin = NULL;

  if (error == NULL && record->method == TL_PAIRING_LINK && (link = format_link (mint, &local)) == NULL)
    error = local;
  if (error != NULL)
    {
      tl_admin_fail (mint->service->gateway, mint->call, NULL, error);
      mint_free (mint);
      return;
    }
  tl_pairing_note_expiry (mint->service, record->expires_at);
  tl_log (TL_LOG_NOTICE, "pairing code minted", "code_id", record->code_id, "by", record->minted_by, "role",
          tl_role_to_string (record->role), NULL);
  tl_wire_code (&code, record);
  answer.code = &code;
  if (link == NULL)
    pin = tl_pairing_pin_format (record->slot, mint->secret);
  answer.secret = link != NULL ? (char *)tl_secret_data (link) : pin;
  tl_rpc_call_reply (mint->call, &answer.base);
  tl_wipe_string (pin);
  mint_free (mint);
}

/* Worker thread: scrypt takes its 150 ms. */
static void
derive_verifier (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Mint *mint = task_data;
  GError *error = NULL;

  mint->record->verifier
      = tl_pairing_verifier_new (mint->record->method, mint->secret, mint->gateway_id, mint->random, &error);
  /* GLib keeps the thread for a while; what OpenSSL keeps for it (DRBGs) would outlive OpenSSL's own clean-up at exit.
   */
  OPENSSL_thread_stop ();
  if (mint->record->verifier == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

static void
on_derived (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Mint *mint = user_data;
  TlGateway *gateway = mint->service->gateway;
  g_autoptr (GError) error = NULL;

  mint->service->minting--;
  if (!g_task_propagate_boolean (G_TASK (result), &error))
    {
      tl_rpc_call_finish (mint->call, error);
      mint_free (mint);
      return;
    }
  tl_store_add_code (gateway->store, mint->record, mint->record->created_at, on_code_added, mint);
}

static gboolean
check_mint (const Twinlatch__V1__MintNodePairingCodeRequest *request, TlCodeRecord *record, GError **error)
{
  gint64 ttl = request->ttl_ms != 0 ? request->ttl_ms : TL_PAIRING_DEFAULT_TTL_MS;

  record->method = request->method == TWINLATCH__V1__CODE_METHOD__CODE_METHOD_LINK ? TL_PAIRING_LINK : TL_PAIRING_PIN;
  record->auto_approve = request->auto_approve;
  record->attempts = request->attempts != 0 ? request->attempts : TL_PAIRING_DEFAULT_ATTEMPTS;
  record->attempts_left = record->attempts;
  record->label = request->label[0] != '\0' ? g_strdup (request->label) : NULL;
  if (!tl_wire_role_from (request->role, &record->role))
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "role %d is unknown", request->role);
  else if (request->method == TWINLATCH__V1__CODE_METHOD__CODE_METHOD_UNSPECIFIED
           || request->method > TWINLATCH__V1__CODE_METHOD__CODE_METHOD_LINK)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "neither a PIN nor a link was asked for");
  else if (ttl < TL_PAIRING_MIN_TTL_MS || ttl > TL_PAIRING_MAX_TTL_MS)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "a code lives 30 s to 24 h");
  else if (record->attempts > TL_PAIRING_MAX_ATTEMPTS)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "at most %d attempts", TL_PAIRING_MAX_ATTEMPTS);
  else if (request->label[0] != '\0' && !tl_pairing_name_check ("label", request->label, error))
    return FALSE;
  else if (record->auto_approve && (record->method != TL_PAIRING_LINK || record->role != TL_ROLE_NODE))
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                 "automatic approval is for links with role node only; approve this one by hand");
  else
    {
      record->expires_at = record->created_at + ttl;
      return TRUE;
    }
  return FALSE;
}

/* The store asks again; here it saves the key derivation. */
static gboolean
may_mint (TlRpcCall *call, const TlCodeRecord *record, GError **error)
{
  TlOperatorCaller caller = { .local = !tl_admin_is_remote (call), .is_active_operator = TRUE };
  TlOperatorTarget target = { .role = record->role, .automatic = record->auto_approve };

  return tl_operator_policy_check (&caller, TL_OPERATOR_MINT, &target, error);
}

void
tl_pairing_service_mint (TlPairingService *self, TlRpcCall *call,
                         const Twinlatch__V1__MintNodePairingCodeRequest *request)
{
  TlGateway *gateway = self->gateway;
  g_autoptr (TlCodeRecord) record = g_new0 (TlCodeRecord, 1);
  g_autoptr (GError) error = NULL;
  g_autoptr (GTask) task = NULL;
  Mint *mint;

  record->created_at = tl_clock_wall_ms (gateway->clock);
  if (!check_mint (request, record, &error) || !may_mint (call, record, &error))
    {
      tl_admin_fail (gateway, call, NULL, error);
      return;
    }
  if (record->method == TL_PAIRING_LINK && gateway->advertised[0] == NULL)
    {
      g_set_error (&error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                   "a link needs an address that devices can reach; set advertise= in twinlatchd.conf, or mint a PIN");
      tl_rpc_call_finish (call, error);
      return;
    }
  record->code_id = tl_ulid_new (record->created_at, gateway->random);
  record->state = TL_CODE_LIVE;
  record->minted_by = g_strdup (tl_rpc_call_peer (call)->actor);
  mint = g_new0 (Mint, 1);
  mint->service = self;
  mint->call = tl_rpc_call_ref (call);
  mint->gateway_id = g_strdup (tl_gateway_identity_id (gateway->identity));
  mint->random = gateway->random;
  mint->secret = record->method == TL_PAIRING_LINK ? tl_pairing_token_generate (gateway->random)
                                                   : tl_pairing_pin_generate (gateway->random);
  mint->record = g_steal_pointer (&record);
  task = g_task_new (NULL, NULL, on_derived, mint);
  g_task_set_task_data (task, mint, NULL);
  self->minting++;
  g_task_run_in_thread (task, derive_verifier);
}

/* ---- decide ---- */

typedef struct
{
  TlPairingService *service;
  TlRpcCall *call;
  char *request_id; /* exact, once found */
  char *code, *reason;
  gboolean approve;
} Decision;

static void
decision_end (Decision *decision)
{
  if (decision->request_id != NULL)
    g_hash_table_remove (decision->service->deciding, decision->request_id);
  tl_rpc_call_unref (decision->call);
  g_free (decision->request_id);
  g_free (decision->code);
  g_free (decision->reason);
  g_free (decision);
}

static void
on_decided (const GError *error, gpointer result, gpointer user_data)
{
  Decision *decision = user_data;
  const TlPairingRecord *record = result;
  Twinlatch__V1__DecidePairingResponse answer = TWINLATCH__V1__DECIDE_PAIRING_RESPONSE__INIT;
  Twinlatch__V1__PairingRequest message;
  g_autofree char *fingerprint = NULL;

  if (error != NULL)
    tl_admin_fail (decision->service->gateway, decision->call, decision->request_id, error);
  else
    {
      tl_log (TL_LOG_NOTICE, "pairing request decided", "request_id", record->request_id, "state",
              tl_pairing_state_to_string (record->state), "by", record->decided_by, NULL);
      tl_pairing_note_expiry (decision->service, record->expires_at);
      tl_wire_pairing (&message, record, &fingerprint);
      answer.request = &message;
      tl_rpc_call_reply (decision->call, &answer.base);
      tl_pairing_changed (decision->service, record);
    }
  decision_end (decision);
}

static void
on_wrong_counted (const GError *error, gpointer result, gpointer user_data)
{
  Decision *decision = user_data;
  const TlPairingRecord *record = result;
  g_autoptr (GError) answer = NULL;

  if (error != NULL)
    answer = g_error_copy (error);
  else if (record->state == TL_PAIRING_STATE_REJECTED)
    answer = g_error_new (TL_ERROR, TL_ERROR_REJECTED,
                          "wrong digits for the third time: the request is rejected; the device has to pair again");
  else
    answer = g_error_new (TL_ERROR, TL_ERROR_WRONG_CODE,
                          "these are not the six digits that the device shows (%u of %d tries used); read them again",
                          record->wrong_codes, TL_STORE_MAX_WRONG_COMPARISONS);
  tl_admin_fail (decision->service->gateway, decision->call, decision->request_id, answer);
  if (error == NULL)
    {
      tl_log (TL_LOG_WARNING, "wrong comparison code", "request_id", record->request_id, "by",
              tl_rpc_call_peer (decision->call)->actor, NULL);
      tl_pairing_changed (decision->service, record);
    }
  decision_end (decision);
}

static void
decide (Decision *decision, const TlPairingRecord *record)
{
  TlGateway *gateway = decision->service->gateway;
  gint64 now = tl_clock_wall_ms (gateway->clock);
  const char *actor = tl_rpc_call_peer (decision->call)->actor;
  g_autoptr (TlPairingKeys) keys = NULL;
  g_autoptr (GError) error = NULL;

  if (decision->approve && record->state == TL_PAIRING_STATE_PENDING_APPROVAL)
    {
      if (record->sealed_keys != NULL)
        keys = tl_gateway_identity_unseal (gateway->identity, record->request_id, record->sealed_keys, &error);
      if (keys == NULL)
        {
          if (error == NULL)
            g_set_error (&error, TL_ERROR, TL_ERROR_EXPIRED, "the request ran out; the device has to pair again");
          tl_rpc_call_finish (decision->call, error);
          decision_end (decision);
          return;
        }
      if (!tl_pairing_keys_check_comparison (keys, record->device_nonce, decision->code))
        {
          tl_store_wrong_comparison (gateway->store, record->request_id, actor, now, on_wrong_counted, decision);
          return;
        }
    }
  tl_store_decide_pairing (gateway->store, record->request_id, decision->approve, actor, decision->reason, now,
                           on_decided, decision);
}

static void
on_request_found (const GError *error, gpointer result, gpointer user_data)
{
  Decision *decision = user_data;
  const TlPairingRecord *record = result;

  if (error != NULL)
    {
      tl_rpc_call_finish (decision->call, error);
      decision_end (decision);
      return;
    }
  /* One decision at a time for a request: parallel guesses would each be checked before the third is counted. */
  if (!g_hash_table_add (decision->service->deciding, g_strdup (record->request_id)))
    {
      g_autoptr (GError) busy = g_error_new_literal (TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                                                     "another decision about this request is under way");
      tl_rpc_call_finish (decision->call, busy);
      decision_end (decision);
      return;
    }
  decision->request_id = g_strdup (record->request_id);
  decide (decision, record);
}

static gboolean
has_six_digits (const char *code)
{
  guint digits = 0;

  for (; *code != '\0'; code++)
    {
      if (g_ascii_isdigit (*code))
        digits++;
      else if (*code != ' ' && *code != '-')
        return FALSE;
    }
  return digits == 6;
}

void
tl_pairing_service_decide (TlPairingService *self, TlRpcCall *call, const Twinlatch__V1__DecidePairingRequest *request)
{
  g_autoptr (GError) error = NULL;
  Decision *decision;

  /* A slip of the finger is not one of the three guesses. */
  if (request->approve && !has_six_digits (request->code))
    g_set_error (&error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "approval needs the six digits that the device shows");
  else if (strlen (request->reason) > TL_PAIRING_REASON_MAX || !g_utf8_validate (request->reason, -1, NULL))
    g_set_error (&error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the reason is longer than %d bytes",
                 TL_PAIRING_REASON_MAX);
  if (error != NULL)
    {
      tl_rpc_call_finish (call, error);
      return;
    }
  decision = g_new0 (Decision, 1);
  decision->service = self;
  decision->call = tl_rpc_call_ref (call);
  decision->approve = request->approve;
  decision->code = g_strdup (request->code);
  decision->reason = g_strdup (request->reason);
  tl_store_get_pairing (self->gateway->store, request->request_id, on_request_found, decision);
}
