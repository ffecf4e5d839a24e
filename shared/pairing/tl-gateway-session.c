/* SPDX-License-Identifier: Apache-2.0 */
#include "pairing/tl-gateway-session.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "crypto/tl-keys.h"
#include "pairing/tl-pairing-link.h"

struct _TlGatewaySession
{
  TlGatewaySessionState state;
  gint64 deadline_ms;
  TlPairingMethod method;
  TlPairingStart start; /* strings point to device_id and code_id */
  TlPairingOffer offer; /* strings point to session_id and gateway_id */
  char *device_id;
  char *code_id;
  char *session_id;
  char *gateway_id;
  TlRandom *random; /* borrowed */
  TlSecret *w0;
  guint8 point[TL_SPAKE2PLUS_POINT_LENGTH];
  TlSecret *x;
  guint8 share_p[TL_SPAKE2PLUS_SHARE_LENGTH];
  TlSpake2plus *spake; /* from EXCHANGED on */
};

const char *
tl_gateway_session_state_to_string (TlGatewaySessionState state)
{
  switch (state)
    {
    case TL_GATEWAY_SESSION_OPEN:
      return "open";
    case TL_GATEWAY_SESSION_COUNTING:
      return "counting";
    case TL_GATEWAY_SESSION_EXCHANGED:
      return "exchanged";
    case TL_GATEWAY_SESSION_VERIFIED:
      return "verified";
    case TL_GATEWAY_SESSION_DEAD:
      return "dead";
    }
  return "unknown";
}

static void
forget_secrets (TlGatewaySession *session)
{
  g_clear_pointer (&session->w0, tl_secret_unref);
  g_clear_pointer (&session->x, tl_secret_unref);
  g_clear_pointer (&session->spake, tl_spake2plus_free);
}

/* One step forward, or to DEAD from anything that is not final. */
static void
enter_state (TlGatewaySession *session, TlGatewaySessionState state, gint64 deadline_ms)
{
  if (state == TL_GATEWAY_SESSION_DEAD)
    g_assert (session->state < TL_GATEWAY_SESSION_VERIFIED);
  else
    g_assert (state == session->state + 1);

  session->state = state;
  session->deadline_ms = deadline_ms;
  if (state >= TL_GATEWAY_SESSION_VERIFIED)
    forget_secrets (session);
}

/* VERIFIED stays: the request is the store's, and a stray call cannot undo it. */
static void
die (TlGatewaySession *session)
{
  if (session->state < TL_GATEWAY_SESSION_VERIFIED)
    enter_state (session, TL_GATEWAY_SESSION_DEAD, G_MAXINT64);
}

/* The rule of every step: right state and in time, or the session ends here (crypto/spake2plus.md, 5.5). */
static gboolean
expect_state (TlGatewaySession *session, TlGatewaySessionState state, gint64 now_ms, int code, GError **error)
{
  if (session->state != state)
    {
      g_set_error (error, TL_ERROR, code, "pairing session is %s, the step needs %s; start pairing again",
                   tl_gateway_session_state_to_string (session->state), tl_gateway_session_state_to_string (state));
      die (session);
      return FALSE;
    }
  if (now_ms >= session->deadline_ms)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_EXPIRED, "pairing session ran out of time; start pairing again");
      die (session);
      return FALSE;
    }
  return TRUE;
}

static gboolean
check_start (const TlPairingStart *start, TlPairingMethod method, const char *gateway_id, GError **error)
{
  gboolean has_slot = start->slot != 0;
  gboolean has_code = start->code_id != NULL;
  const char *fault = NULL;

  if (start->n_versions < 1 || start->n_versions > TL_PAIRING_VERSIONS_MAX)
    fault = "versions: there must be one to eight of them";
  else if (has_slot == has_code)
    fault = "selector: there must be either a slot or a code id";
  else if (start->slot > TL_PAIRING_SLOT_MAX)
    fault = "selector: slot is not in 1..999";
  else if (has_code && !tl_ulid_is_valid (start->code_id))
    fault = "selector: code id is not a ULID";
  else if ((guint)start->client_kind > TL_CLIENT_CLI)
    fault = "client_kind: unknown";
  else if (!tl_ulid_is_valid (start->device_id))
    fault = "device_id: not a ULID";
  else if (g_str_equal (start->device_id, gateway_id))
    fault = "device_id: that is the gateway's own id"; /* SPAKE2+ identities must differ */
  if (fault != NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, fault);
      return FALSE;
    }
  if (has_slot != (method == TL_PAIRING_PIN))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_CODE_INVALID, "pairing code is of another kind");
      return FALSE;
    }
  return TRUE;
}

static gboolean
pick_version (const TlPairingStart *start, guint32 *version, GError **error)
{
  for (guint i = 0; i < start->n_versions; i++)
    {
      if (start->versions[i] == TL_PAIRING_VERSION)
        {
          *version = TL_PAIRING_VERSION;
          return TRUE;
        }
    }
  g_set_error (error, TL_ERROR, TL_ERROR_UNSUPPORTED, "versions: this gateway speaks pairing version %d only",
               TL_PAIRING_VERSION);
  return FALSE;
}

/* The ephemeral private key lives only here: a small-order device key is refused before an attempt is spent on it. */
static gboolean
agree_ephemeral (TlGatewaySession *session, GError **error)
{
  g_autoptr (TlSecret) private_key = NULL;

  if (!tl_x25519_generate (session->random, &private_key, session->offer.gateway_ephemeral, error))
    return FALSE;
  session->x
      = tl_x25519_derive (private_key, session->start.device_ephemeral, sizeof session->start.device_ephemeral, error);
  return session->x != NULL;
}

TlGatewaySession *
tl_gateway_session_new (const TlPairingStart *start, TlPairingMethod method, const TlPairingVerifier *verifier,
                        const char *session_id, const char *gateway_id, GBytes *ca_certificate, gint64 now_ms,
                        TlRandom *random, GError **error)
{
  g_autoptr (TlGatewaySession) session = NULL;
  guint32 version;

  if (!check_start (start, method, gateway_id, error) || !pick_version (start, &version, error))
    return NULL;

  session = g_new0 (TlGatewaySession, 1);
  session->state = TL_GATEWAY_SESSION_OPEN;
  session->deadline_ms = now_ms + TL_GATEWAY_SESSION_EXCHANGE_MS;
  session->method = method;
  session->device_id = g_strdup (start->device_id);
  session->code_id = g_strdup (start->code_id);
  session->session_id = g_strdup (session_id);
  session->gateway_id = g_strdup (gateway_id);
  session->random = random;
  session->w0 = tl_secret_ref (verifier->w0);
  memcpy (session->point, verifier->point, sizeof session->point);

  session->start = *start;
  session->start.device_id = session->device_id;
  session->start.code_id = session->code_id;
  session->offer = (TlPairingOffer){ .version = version,
                                     .session_id = session->session_id,
                                     .gateway_id = session->gateway_id,
                                     .ca_certificate = g_bytes_ref (ca_certificate),
                                     .kdf = verifier->kdf,
                                     .expires_at_ms = session->deadline_ms };
  memcpy (session->offer.salt, verifier->salt, sizeof session->offer.salt);
  tl_random_bytes (random, session->offer.challenge, sizeof session->offer.challenge);
  if (!agree_ephemeral (session, error))
    return NULL;
  return g_steal_pointer (&session);
}

void
tl_gateway_session_free (TlGatewaySession *session)
{
  if (session == NULL)
    return;
  forget_secrets (session);
  g_bytes_unref (session->offer.ca_certificate);
  g_free (session->device_id);
  g_free (session->code_id);
  g_free (session->session_id);
  g_free (session->gateway_id);
  tl_wipe (session, sizeof *session);
  g_free (session);
}

TlGatewaySessionState
tl_gateway_session_state (TlGatewaySession *session)
{
  return session->state;
}

TlPairingMethod
tl_gateway_session_method (TlGatewaySession *session)
{
  return session->method;
}

const char *
tl_gateway_session_id (TlGatewaySession *session)
{
  return session->session_id;
}

const char *
tl_gateway_session_device_id (TlGatewaySession *session)
{
  return session->device_id;
}

TlClientKind
tl_gateway_session_client_kind (TlGatewaySession *session)
{
  return session->start.client_kind;
}

const TlPairingOffer *
tl_gateway_session_offer (TlGatewaySession *session)
{
  return &session->offer;
}

gint64
tl_gateway_session_deadline (TlGatewaySession *session)
{
  return session->deadline_ms;
}

void
tl_gateway_session_expire (TlGatewaySession *session)
{
  die (session);
}

gboolean
tl_gateway_session_begin_exchange (TlGatewaySession *session, const guint8 *share_p, gsize length, gint64 now_ms,
                                   GError **error)
{
  if (!expect_state (session, TL_GATEWAY_SESSION_OPEN, now_ms, TL_ERROR_PROTOCOL, error))
    return FALSE;
  if (length != sizeof session->share_p)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "share_p: %" G_GSIZE_FORMAT " bytes instead of %d",
                   length, TL_SPAKE2PLUS_SHARE_LENGTH);
      die (session);
      return FALSE;
    }
  memcpy (session->share_p, share_p, length);
  /* The share came in time; from here on it is the store's commit that takes time, and it gets its own bound. */
  enter_state (session, TL_GATEWAY_SESSION_COUNTING, now_ms + TL_GATEWAY_SESSION_EXCHANGE_MS);
  return TRUE;
}

gboolean
tl_gateway_session_finish_exchange (TlGatewaySession *session, gint64 now_ms,
                                    guint8 share_v[TL_SPAKE2PLUS_SHARE_LENGTH],
                                    guint8 confirm_v[TL_SPAKE2PLUS_CONFIRM_LENGTH], GError **error)
{
  g_autoptr (GBytes) context = NULL;

  if (!expect_state (session, TL_GATEWAY_SESSION_COUNTING, now_ms, TL_ERROR_FAILED_PRECONDITION, error))
    return FALSE;
  context = tl_pairing_context (&session->start, &session->offer);
  session->spake = tl_spake2plus_new_verifier (session->w0, session->point, context, session->device_id,
                                               session->gateway_id, session->random, error);
  if (session->spake == NULL
      || !tl_spake2plus_respond (session->spake, session->share_p, sizeof session->share_p, share_v, confirm_v, error))
    {
      die (session);
      return FALSE;
    }
  enter_state (session, TL_GATEWAY_SESSION_EXCHANGED, now_ms + TL_GATEWAY_SESSION_COMPLETE_MS);
  return TRUE;
}

void
tl_gateway_session_refuse_exchange (TlGatewaySession *session)
{
  die (session);
}

/* confirm_p first: until then the sender is somebody who does not know the code, and nothing else of the message is
 * looked at. */
static TlPairingKeys *
verify_confirmation (TlGatewaySession *session, const TlPairingComplete *message, gboolean *confirmed, GError **error)
{
  g_autoptr (TlSecret) shared = NULL;
  guint8 transcript_hash[32];

  if (!tl_spake2plus_verify (session->spake, message->confirm_p, sizeof message->confirm_p, error))
    return NULL;
  if (confirmed != NULL)
    *confirmed = TRUE;
  shared = tl_spake2plus_shared_key (session->spake, error);
  if (shared == NULL || !tl_spake2plus_transcript_hash (session->spake, transcript_hash, error))
    return NULL;
  return tl_pairing_keys_new (shared, session->x, session->offer.challenge, session->session_id, transcript_hash);
}

static gboolean
check_identity (TlGatewaySession *session, const TlPairingComplete *message, TlPairingKeys *keys, GError **error)
{
  g_autoptr (GBytes) input = NULL;
  guint8 commitment[32];
  const guint8 *data;
  gsize length;
  const char *fault = NULL;

  if (g_strcmp0 (message->session_id, session->session_id) != 0)
    fault = "session_id: of another pairing session";
  else if (!tl_pairing_keys_check_complete (keys, message))
    fault = "mac: does not verify";
  else
    {
      tl_pairing_commitment (message->device_nonce, message->identity_public, commitment);
      input = tl_pairing_complete_input (keys, message);
      data = g_bytes_get_data (input, &length);
      if (!tl_memory_equal (commitment, session->start.device_commitment, sizeof commitment))
        fault = "device_nonce and identity_public: not those that were committed to";
      else if (!tl_ed25519_verify (message->identity_public, sizeof message->identity_public, data, length,
                                   message->identity_signature, sizeof message->identity_signature))
        fault = "identity_signature: does not verify";
    }
  if (fault != NULL)
    g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, fault);
  return fault == NULL;
}

static gboolean
check_texts (TlGatewaySession *session, const TlPairingComplete *message, GError **error)
{
  const char *replaces = message->replaces_device_id;

  if (!tl_pairing_name_check ("device name", message->device_name, error)
      || !tl_pairing_name_check ("platform", message->platform, error))
    return FALSE;
  if (replaces != NULL && *replaces != '\0'
      && (!tl_ulid_is_valid (replaces) || g_str_equal (replaces, session->device_id)))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "replaces_device_id: not the id of another device");
      return FALSE;
    }
  return TRUE;
}

gboolean
tl_gateway_session_complete (TlGatewaySession *session, const TlPairingComplete *message, gint64 now_ms,
                             gboolean *confirmed, TlPairingKeys **keys, GError **error)
{
  g_autoptr (TlPairingKeys) result = NULL;

  if (confirmed != NULL)
    *confirmed = FALSE;
  if (!expect_state (session, TL_GATEWAY_SESSION_EXCHANGED, now_ms, TL_ERROR_PROTOCOL, error))
    return FALSE;
  result = verify_confirmation (session, message, confirmed, error);
  if (result == NULL || !check_identity (session, message, result, error) || !check_texts (session, message, error))
    {
      die (session);
      return FALSE;
    }
  enter_state (session, TL_GATEWAY_SESSION_VERIFIED, G_MAXINT64);
  *keys = g_steal_pointer (&result);
  return TRUE;
}
