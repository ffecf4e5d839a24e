/* SPDX-License-Identifier: Apache-2.0 */
#include "pairing/tl-device-session.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "crypto/tl-keys.h"
#include "pairing/tl-pairing-private.h"

#define CA_CERTIFICATE_MAX 8192 /* bytes of DER; a P-256 CA has about 500 */
#define CA_BUNDLE_MAX      16

struct _TlDeviceSession
{
  TlDeviceSessionState state;
  TlPairingMethod method;
  TlRandom *random; /* borrowed */
  TlPairingSignFunc sign;
  gpointer sign_data;

  TlSecret *secret; /* digits or token, until w0 and w1 are made */
  char *link_gateway_id;
  guint8 link_ca_sha256[TL_SHA256_LENGTH];

  char *device_id;
  char *code_id;
  char *device_name;
  char *platform;
  char *replaces_device_id;
  char *session_id;
  char *gateway_id;
  char *request_id;
  GBytes *ca_certificate;

  TlPairingStart start;
  TlPairingComplete complete;
  TlSecret *ephemeral;
  TlSecret *x;
  guint8 challenge[32];
  TlSpake2plus *spake;
  TlPairingKeys *keys; /* from CONFIRMED on */
  guint8 watch_nonce[TL_PAIRING_WATCH_NONCE_LENGTH];
  gboolean watching; /* watch_nonce was drawn */
  TlPairingState request_state;
};

const char *
tl_device_session_state_to_string (TlDeviceSessionState state)
{
  switch (state)
    {
    case TL_DEVICE_SESSION_UNCONFIRMED:
      return "unconfirmed";
    case TL_DEVICE_SESSION_READY:
      return "ready";
    case TL_DEVICE_SESSION_STARTED:
      return "started";
    case TL_DEVICE_SESSION_SHARED:
      return "shared";
    case TL_DEVICE_SESSION_CONFIRMED:
      return "confirmed";
    case TL_DEVICE_SESSION_REQUESTED:
      return "requested";
    case TL_DEVICE_SESSION_DONE:
      return "done";
    case TL_DEVICE_SESSION_DEAD:
      return "dead";
    }
  return "unknown";
}

static void
forget_secrets (TlDeviceSession *session)
{
  g_clear_pointer (&session->secret, tl_secret_unref);
  g_clear_pointer (&session->ephemeral, tl_secret_unref);
  g_clear_pointer (&session->x, tl_secret_unref);
  g_clear_pointer (&session->spake, tl_spake2plus_free);
}

/* One step forward, or to DEAD from anything that is not final. */
static void
enter_state (TlDeviceSession *session, TlDeviceSessionState state)
{
  if (state == TL_DEVICE_SESSION_DEAD)
    g_assert (session->state < TL_DEVICE_SESSION_DONE);
  else
    g_assert (state == session->state + 1);

  session->state = state;
  if (state >= TL_DEVICE_SESSION_CONFIRMED)
    forget_secrets (session);
  if (state == TL_DEVICE_SESSION_DEAD)
    g_clear_pointer (&session->keys, tl_pairing_keys_unref);
}

/* DONE stays: what was authenticated cannot be undone by a stray call. */
static void
die (TlDeviceSession *session)
{
  if (session->state < TL_DEVICE_SESSION_DONE)
    enter_state (session, TL_DEVICE_SESSION_DEAD);
}

/* Right state, or the session ends here. */
static gboolean
expect_state (TlDeviceSession *session, TlDeviceSessionState state, int code, GError **error)
{
  if (session->state == state)
    return TRUE;
  g_set_error (error, TL_ERROR, code, "pairing is %s, the step needs %s; start pairing again",
               tl_device_session_state_to_string (session->state), tl_device_session_state_to_string (state));
  die (session);
  return FALSE;
}

static gboolean
is_confirmed (TlDeviceSession *session)
{
  return session->state >= TL_DEVICE_SESSION_CONFIRMED && session->state <= TL_DEVICE_SESSION_DONE;
}

static gboolean
check_device (const TlPairingDevice *device, GError **error)
{
  const char *replaces = device->replaces_device_id;
  const char *fault = NULL;

  if (!tl_ulid_is_valid (device->device_id))
    fault = "device id: not a ULID";
  else if (replaces != NULL && *replaces != '\0'
           && (!tl_ulid_is_valid (replaces) || g_str_equal (replaces, device->device_id)))
    fault = "replaced device: not the id of another device";
  else if (device->csr_der == NULL || g_bytes_get_size (device->csr_der) == 0)
    fault = "certificate signing request: missing";
  else if ((guint)device->client_kind > TL_CLIENT_CLI)
    fault = "client kind: unknown";
  if (fault != NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, fault);
      return FALSE;
    }
  return tl_pairing_name_check ("device name", device->device_name, error)
         && tl_pairing_name_check ("platform", device->platform, error);
}

static TlDeviceSession *
session_new (const TlPairingDevice *device, TlPairingMethod method, const TlSecret *secret, TlRandom *random)
{
  TlDeviceSession *session = g_new0 (TlDeviceSession, 1);

  session->state = method == TL_PAIRING_LINK ? TL_DEVICE_SESSION_UNCONFIRMED : TL_DEVICE_SESSION_READY;
  session->method = method;
  session->random = random;
  session->sign = device->sign;
  session->sign_data = device->sign_data;
  session->secret = tl_secret_slice (secret, 0, tl_secret_length (secret));
  session->device_id = g_strdup (device->device_id);
  session->device_name = g_strdup (device->device_name);
  session->platform = g_strdup (device->platform);
  session->replaces_device_id = g_strdup (device->replaces_device_id != NULL ? device->replaces_device_id : "");

  session->start.versions[0] = TL_PAIRING_VERSION;
  session->start.n_versions = 1;
  session->start.client_kind = device->client_kind;
  session->start.device_id = session->device_id;
  memcpy (session->complete.identity_public, device->identity_public, sizeof device->identity_public);
  session->complete.csr_der = g_bytes_ref (device->csr_der);
  session->complete.device_name = session->device_name;
  session->complete.platform = session->platform;
  session->complete.replaces_device_id = session->replaces_device_id;
  return session;
}

static gboolean
is_pin (const TlSecret *digits)
{
  if (tl_secret_length (digits) != TL_PAIRING_PIN_DIGITS)
    return FALSE;
  for (guint i = 0; i < TL_PAIRING_PIN_DIGITS; i++)
    {
      if (!g_ascii_isdigit (tl_secret_data (digits)[i]))
        return FALSE;
    }
  return TRUE;
}

TlDeviceSession *
tl_device_session_new_pin (const TlPairingDevice *device, guint slot, TlSecret *digits, TlRandom *random,
                           GError **error)
{
  TlDeviceSession *session;

  if (!check_device (device, error))
    return NULL;
  if (slot < 1 || slot > TL_PAIRING_SLOT_MAX || !is_pin (digits))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "pairing PIN: it has the form S-DDDD-DDDD, with a slot in 1..999");
      return NULL;
    }
  session = session_new (device, TL_PAIRING_PIN, digits, random);
  session->start.slot = slot;
  return session;
}

TlDeviceSession *
tl_device_session_new_link (const TlPairingDevice *device, const TlPairingLink *link, TlRandom *random, GError **error)
{
  TlDeviceSession *session;

  if (!check_device (device, error))
    return NULL;
  session = session_new (device, TL_PAIRING_LINK, tl_pairing_link_token (link), random);
  session->code_id = g_strdup (tl_pairing_link_code_id (link));
  session->start.code_id = session->code_id;
  session->link_gateway_id = g_strdup (tl_pairing_link_gateway_id (link));
  memcpy (session->link_ca_sha256, tl_pairing_link_ca_sha256 (link), sizeof session->link_ca_sha256);
  return session;
}

void
tl_device_session_free (TlDeviceSession *session)
{
  if (session == NULL)
    return;
  forget_secrets (session);
  tl_pairing_keys_unref (session->keys);
  g_bytes_unref (session->complete.csr_der);
  g_clear_pointer (&session->ca_certificate, g_bytes_unref);
  g_free (session->link_gateway_id);
  g_free (session->device_id);
  g_free (session->code_id);
  g_free (session->device_name);
  g_free (session->platform);
  g_free (session->replaces_device_id);
  g_free (session->session_id);
  g_free (session->gateway_id);
  g_free (session->request_id);
  tl_wipe (session, sizeof *session);
  g_free (session);
}

TlDeviceSessionState
tl_device_session_state (TlDeviceSession *session)
{
  return session->state;
}

gboolean
tl_device_session_confirm_connect (TlDeviceSession *session, GError **error)
{
  if (session->state == TL_DEVICE_SESSION_DEAD)
    return expect_state (session, TL_DEVICE_SESSION_UNCONFIRMED, TL_ERROR_FAILED_PRECONDITION, error);
  /* A second click says nothing new. */
  if (session->state == TL_DEVICE_SESSION_UNCONFIRMED)
    enter_state (session, TL_DEVICE_SESSION_READY);
  return TRUE;
}

gboolean
tl_device_session_start (TlDeviceSession *session, const guint8 server_certificate_sha256[32], TlPairingStart *start,
                         GError **error)
{
  if (!expect_state (session, TL_DEVICE_SESSION_READY, TL_ERROR_FAILED_PRECONDITION, error))
    return FALSE;

  tl_random_bytes (session->random, session->complete.device_nonce, sizeof session->complete.device_nonce);
  if (!tl_x25519_generate (session->random, &session->ephemeral, session->start.device_ephemeral, error))
    {
      die (session);
      return FALSE;
    }
  tl_pairing_commitment (session->complete.device_nonce, session->complete.identity_public,
                         session->start.device_commitment);
  memcpy (session->start.server_certificate_sha256, server_certificate_sha256, 32);
  enter_state (session, TL_DEVICE_SESSION_STARTED);
  *start = session->start;
  return TRUE;
}

static gboolean
check_offer (TlDeviceSession *session, const TlPairingOffer *offer, GError **error)
{
  gsize ca_length = offer->ca_certificate != NULL ? g_bytes_get_size (offer->ca_certificate) : 0;
  const char *fault = NULL;

  if (offer->version != TL_PAIRING_VERSION)
    fault = "a version that was not offered";
  else if (!tl_ulid_is_valid (offer->session_id))
    fault = "a session id that is not a ULID";
  else if (!tl_ulid_is_valid (offer->gateway_id) || g_str_equal (offer->gateway_id, session->device_id))
    fault = "a gateway id that is none";
  else if (ca_length == 0 || ca_length > CA_CERTIFICATE_MAX)
    fault = "no CA certificate of a possible length";
  if (fault != NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL, "the gateway answered with %s", fault);
  return fault == NULL;
}

/* With a link the gateway is known beforehand (PROTOCOL 3.1, 3.3): another one is refused before anything derived from
 * the token is sent to it. */
static gboolean
check_link (TlDeviceSession *session, const TlPairingOffer *offer, GError **error)
{
  guint8 ca_sha256[TL_SHA256_LENGTH];
  const guint8 *data;
  gsize length;

  if (session->method != TL_PAIRING_LINK)
    return TRUE;
  data = g_bytes_get_data (offer->ca_certificate, &length);
  tl_sha256 (data, length, ca_sha256);
  if (g_str_equal (offer->gateway_id, session->link_gateway_id)
      && tl_memory_equal (ca_sha256, session->link_ca_sha256, sizeof ca_sha256))
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_WRONG_CA, "this is not the gateway of the pairing link (%s): %s",
               session->link_gateway_id,
               g_str_equal (offer->gateway_id, session->link_gateway_id) ? "it has another CA" : "it has another id");
  return FALSE;
}

static gboolean
accept_offer (TlDeviceSession *session, const TlPairingOffer *offer, guint8 share_p[TL_SPAKE2PLUS_SHARE_LENGTH],
              GError **error)
{
  g_autoptr (GBytes) context = NULL;
  g_autoptr (TlSecret) w0 = NULL;
  g_autoptr (TlSecret) w1 = NULL;
  TlPairingOffer checked = *offer;

  if (!check_offer (session, offer, error) || !check_link (session, offer, error)
      || !tl_pairing_kdf_check (session->method, offer->kdf.name, offer->kdf.n, offer->kdf.r, offer->kdf.p,
                                &checked.kdf, error))
    return FALSE;
  session->x = tl_x25519_derive (session->ephemeral, offer->gateway_ephemeral, sizeof offer->gateway_ephemeral, error);
  if (session->x == NULL
      || !tl_pairing_derive (session->secret, &checked.kdf, offer->salt, offer->gateway_id, &w0, &w1, error))
    return FALSE;

  context = tl_pairing_context (&session->start, &checked);
  session->spake
      = tl_spake2plus_new_prover (w0, w1, context, session->device_id, offer->gateway_id, session->random, error);
  return session->spake != NULL && tl_spake2plus_share (session->spake, share_p, error);
}

gboolean
tl_device_session_handle_offer (TlDeviceSession *session, const TlPairingOffer *offer,
                                guint8 share_p[TL_SPAKE2PLUS_SHARE_LENGTH], GError **error)
{
  if (!expect_state (session, TL_DEVICE_SESSION_STARTED, TL_ERROR_PROTOCOL, error))
    return FALSE;
  if (!accept_offer (session, offer, share_p, error))
    {
      die (session);
      return FALSE;
    }
  session->session_id = g_strdup (offer->session_id);
  session->gateway_id = g_strdup (offer->gateway_id);
  session->ca_certificate = g_bytes_ref (offer->ca_certificate);
  memcpy (session->challenge, offer->challenge, sizeof session->challenge);
  g_clear_pointer (&session->secret, tl_secret_unref);
  g_clear_pointer (&session->ephemeral, tl_secret_unref);
  enter_state (session, TL_DEVICE_SESSION_SHARED);
  return TRUE;
}

/* Verifies the gateway, then makes CompletePairing: confirm_p exists only after confirm_v was right. */
static gboolean
confirm_gateway (TlDeviceSession *session, const guint8 *share_v, gsize share_length, const guint8 *confirm_v,
                 gsize confirm_length, GError **error)
{
  TlPairingComplete *complete = &session->complete;
  g_autoptr (TlSecret) shared = NULL;
  g_autoptr (GBytes) input = NULL;
  guint8 transcript_hash[TL_SHA256_LENGTH];
  const guint8 *data;
  gsize length;

  if (!tl_spake2plus_confirm (session->spake, share_v, share_length, confirm_v, confirm_length, complete->confirm_p,
                              error))
    return FALSE;
  shared = tl_spake2plus_shared_key (session->spake, error);
  if (shared == NULL || !tl_spake2plus_transcript_hash (session->spake, transcript_hash, error))
    return FALSE;
  session->keys = tl_pairing_keys_new (shared, session->x, session->challenge, session->session_id, transcript_hash);

  complete->session_id = session->session_id;
  input = tl_pairing_complete_input (session->keys, complete);
  data = g_bytes_get_data (input, &length);
  if (!session->sign (data, length, complete->identity_signature, session->sign_data, error))
    return FALSE;
  tl_pairing_keys_mac_complete (session->keys, complete);
  return TRUE;
}

gboolean
tl_device_session_handle_exchange (TlDeviceSession *session, const guint8 *share_v, gsize share_length,
                                   const guint8 *confirm_v, gsize confirm_length, TlPairingComplete *complete,
                                   GError **error)
{
  g_autoptr (GError) fault = NULL;

  if (!expect_state (session, TL_DEVICE_SESSION_SHARED, TL_ERROR_PROTOCOL, error))
    return FALSE;
  if (!confirm_gateway (session, share_v, share_length, confirm_v, confirm_length, &fault))
    {
      if (tl_error_is (fault, TL_ERROR_WRONG_CODE))
        g_set_error_literal (
            error, TL_ERROR, TL_ERROR_WRONG_CODE,
            "the pairing code does not fit this gateway: check it and try again; if it is right, somebody "
            "may be between this device and the gateway");
      else
        g_propagate_error (error, g_steal_pointer (&fault));
      die (session);
      return FALSE;
    }
  enter_state (session, TL_DEVICE_SESSION_CONFIRMED);
  *complete = session->complete;
  return TRUE;
}

const char *
tl_device_session_gateway_id (TlDeviceSession *session)
{
  return is_confirmed (session) ? session->gateway_id : NULL;
}

GBytes *
tl_device_session_ca_certificate (TlDeviceSession *session)
{
  return is_confirmed (session) ? session->ca_certificate : NULL;
}

const char *
tl_device_session_id (TlDeviceSession *session)
{
  return is_confirmed (session) ? session->session_id : NULL;
}

char *
tl_device_session_comparison_code (TlDeviceSession *session)
{
  char digits[TL_PAIRING_COMPARISON_DIGITS + 1];

  if (!is_confirmed (session))
    return NULL;
  tl_pairing_keys_comparison (session->keys, session->complete.device_nonce, digits);
  return g_strdup (digits);
}

static gboolean
is_state (TlPairingState state)
{
  return (guint)state <= TL_PAIRING_STATE_COMPLETED;
}

gboolean
tl_device_session_handle_complete (TlDeviceSession *session, const TlPairingCompleteAnswer *answer, GError **error)
{
  if (!expect_state (session, TL_DEVICE_SESSION_CONFIRMED, TL_ERROR_PROTOCOL, error))
    return FALSE;
  if (!is_state (answer->state) || !tl_ulid_is_valid (answer->request_id)
      || !tl_pairing_keys_check_complete_answer (session->keys, session->complete.device_nonce, answer))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL,
                           "the gateway's answer to the pairing request is not authentic; start pairing again");
      die (session);
      return FALSE;
    }
  session->request_id = g_strdup (answer->request_id);
  session->request_state = answer->state;
  enter_state (session, TL_DEVICE_SESSION_REQUESTED);
  return TRUE;
}

const char *
tl_device_session_request_id (TlDeviceSession *session)
{
  return session->request_id;
}

gboolean
tl_device_session_watch (TlDeviceSession *session, guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH],
                         guint8 mac[TL_PAIRING_MAC_LENGTH], GError **error)
{
  if (!expect_state (session, TL_DEVICE_SESSION_REQUESTED, TL_ERROR_FAILED_PRECONDITION, error))
    return FALSE;
  tl_random_bytes (session->random, session->watch_nonce, sizeof session->watch_nonce);
  session->watching = TRUE;
  memcpy (nonce, session->watch_nonce, sizeof session->watch_nonce);
  tl_pairing_keys_mac_watch (session->keys, session->session_id, session->watch_nonce, mac);
  return TRUE;
}

/* PROTOCOL 3.2: pending_approval -> approved | rejected | expired; approved -> completed | expired. States in between
 * may have been missed. */
static gboolean
may_follow (TlPairingState before, TlPairingState after)
{
  switch (before)
    {
    case TL_PAIRING_STATE_PENDING_APPROVAL:
      return TRUE;
    case TL_PAIRING_STATE_APPROVED:
      return after == TL_PAIRING_STATE_APPROVED || after == TL_PAIRING_STATE_COMPLETED
             || after == TL_PAIRING_STATE_EXPIRED;
    case TL_PAIRING_STATE_REJECTED:
    case TL_PAIRING_STATE_EXPIRED:
    case TL_PAIRING_STATE_COMPLETED:
      return after == before;
    }
  return FALSE;
}

/* What is wrong with the answer, or NULL. Sizes first; the MAC before any meaning. */
static const char *
find_watch_fault (TlDeviceSession *session, const TlPairingWatchAnswer *answer)
{
  gboolean completed = answer->state == TL_PAIRING_STATE_COMPLETED;
  gboolean has_certificate = answer->certificate_der != NULL && g_bytes_get_size (answer->certificate_der) > 0;

  if (!is_state (answer->state) || answer->n_ca_bundle > CA_BUNDLE_MAX)
    return "is malformed";
  if (!session->watching || !tl_pairing_keys_check_watch_answer (session->keys, session->watch_nonce, answer))
    return "is not authentic";
  if (!may_follow (session->request_state, answer->state))
    return "takes back an earlier one";
  if (completed != has_certificate || (completed && answer->n_ca_bundle == 0))
    return "has not the certificates that belong to it";
  if (answer->reason != NULL
      && (strnlen (answer->reason, TL_PAIRING_REASON_MAX + 1) > TL_PAIRING_REASON_MAX
          || !g_utf8_validate (answer->reason, -1, NULL)))
    return "has a reason that cannot be shown";
  return NULL;
}

gboolean
tl_device_session_handle_watch (TlDeviceSession *session, const TlPairingWatchAnswer *answer, GError **error)
{
  const char *fault;

  if (!expect_state (session, TL_DEVICE_SESSION_REQUESTED, TL_ERROR_PROTOCOL, error))
    return FALSE;
  fault = find_watch_fault (session, answer);
  if (fault != NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL, "the gateway's answer about the pairing request %s", fault);
      die (session);
      return FALSE;
    }
  session->request_state = answer->state;
  if (answer->state != TL_PAIRING_STATE_PENDING_APPROVAL && answer->state != TL_PAIRING_STATE_APPROVED)
    enter_state (session, TL_DEVICE_SESSION_DONE);
  return TRUE;
}
