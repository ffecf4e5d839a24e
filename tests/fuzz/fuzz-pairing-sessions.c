/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "base/tl-log.h"
#include "fuzz.h"
#include "pairing/tl-gateway-session.h"

/* Its readers of messages are its own; they are what a stranger's bytes meet first. */
#include "daemon/tl-pairing-service.c"

/*
 * The first byte says what the device does as an honest one would (and what happens around it), so that the checks
 * behind SPAKE2+ are reached too; then StartPairing, ExchangePairing and CompletePairing, each behind two bytes of
 * length.
 */
#define HONEST_SHARE    0x01 /* share_p and the X25519 key are those of a device that knows the code */
#define HONEST_CONFIRM  0x02 /* confirm_p too */
#define HONEST_COMPLETE 0x04 /* commitment, identity signature and MAC fit the message */
#define OTHER_METHOD    0x08 /* the code is of the other kind */
#define REFUSED         0x10 /* the store does not take the attempt */
#define LATE            0x20 /* CompletePairing comes after the deadline */
#define HONEST          (HONEST_SHARE | HONEST_CONFIRM | HONEST_COMPLETE)

#define GATEWAY_ID "01JD0000000000000000GATEWA"
#define SESSION_ID "01JD0000000000000000SESS10"
#define NOW        G_GINT64_CONSTANT (1763719200000)

typedef struct
{
  TlPairingVerifier *verifier;
  TlSecret *w0, *w1;
} Code;

typedef struct
{
  guint8 flags;
  const guint8 *data;
  gsize size;
} Input;

/* The device's side, as far as it is honest. */
typedef struct
{
  TlRandom *random;
  TlSecret *identity_seed, *ephemeral;
  guint8 identity_public[32], ephemeral_public[32], nonce[TL_PAIRING_NONCE_LENGTH];
  TlSpake2plus *prover;
  guint8 confirm_p[TL_SPAKE2PLUS_CONFIRM_LENGTH];
  TlPairingKeys *keys;
} Device;

static const Code *
get_code (TlPairingMethod method)
{
  static Code codes[2]; /* made once: scrypt is slow */
  Code *code = &codes[method];

  if (code->verifier == NULL)
    {
      const char *text = method == TL_PAIRING_PIN ? "01234567" : "0123456789ABCDEFGHJKMNPQRW";
      g_autoptr (TlSecret) secret = tl_secret_new_copy (text, strlen (text));
      g_autoptr (TlRandom) random = tl_random_new_test (10);

      code->verifier = tl_pairing_verifier_new (method, secret, GATEWAY_ID, random, NULL);
      g_assert_true (code->verifier != NULL
                     && tl_pairing_derive (secret, &code->verifier->kdf, code->verifier->salt, GATEWAY_ID, &code->w0,
                                           &code->w1, NULL));
    }
  return code;
}

static void
device_init (Device *device)
{
  memset (device, 0, sizeof *device);
  device->random = tl_random_new_test (12);
  g_assert_true (tl_ed25519_generate (device->random, &device->identity_seed, device->identity_public, NULL));
  g_assert_true (tl_x25519_generate (device->random, &device->ephemeral, device->ephemeral_public, NULL));
  tl_random_bytes (device->random, device->nonce, sizeof device->nonce);
}

static void
device_clear (Device *device)
{
  tl_random_free (device->random);
  tl_secret_unref (device->identity_seed);
  tl_secret_unref (device->ephemeral);
  tl_spake2plus_free (device->prover);
  tl_pairing_keys_unref (device->keys);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Device, device_clear)

static void
device_share (Device *device, const TlPairingStart *start, const TlPairingOffer *offer, const Code *code,
              guint8 share[TL_SPAKE2PLUS_SHARE_LENGTH])
{
  g_autoptr (GBytes) context = tl_pairing_context (start, offer);

  device->prover
      = tl_spake2plus_new_prover (code->w0, code->w1, context, start->device_id, GATEWAY_ID, device->random, NULL);
  g_assert_true (device->prover != NULL && tl_spake2plus_share (device->prover, share, NULL));
}

static void
device_confirm (Device *device, const TlPairingOffer *offer, const guint8 *share_v, const guint8 *confirm_v)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) shared = NULL, x = NULL;
  guint8 transcript[32];

  tl_spake2plus_confirm (device->prover, share_v, TL_SPAKE2PLUS_SHARE_LENGTH, confirm_v, TL_SPAKE2PLUS_CONFIRM_LENGTH,
                         device->confirm_p, &error);
  g_assert_no_error (error);
  shared = tl_spake2plus_shared_key (device->prover, NULL);
  x = tl_x25519_derive (device->ephemeral, offer->gateway_ephemeral, 32, NULL);
  g_assert_true (tl_spake2plus_transcript_hash (device->prover, transcript, NULL));
  device->keys = tl_pairing_keys_new (shared, x, offer->challenge, SESSION_ID, transcript);
}

static void
device_complete (Device *device, TlPairingComplete *complete)
{
  g_autoptr (GBytes) input = NULL;

  memcpy (complete->identity_public, device->identity_public, 32);
  memcpy (complete->device_nonce, device->nonce, sizeof device->nonce);
  input = tl_pairing_complete_input (device->keys, complete);
  g_assert_true (tl_ed25519_sign (device->identity_seed, g_bytes_get_data (input, NULL), g_bytes_get_size (input),
                                  complete->identity_signature, NULL));
  tl_pairing_keys_mac_complete (device->keys, complete);
}

/* The next message's bytes: behind two bytes of length, cut to what is there. */
static const guint8 *
take (Input *input, gsize *length)
{
  const guint8 *from = input->data;

  *length = 0;
  if (input->size < 2)
    return from;
  *length = MIN ((gsize)(input->data[0] << 8 | input->data[1]), input->size - 2);
  input->data += 2 + *length;
  input->size -= 2 + *length;
  return from + 2;
}

static void
assert_state (TlGatewaySession *session, TlGatewaySessionState state)
{
  g_assert_cmpstr (tl_gateway_session_state_to_string (tl_gateway_session_state (session)), ==,
                   tl_gateway_session_state_to_string (state));
}

static void
run_complete (Input *input, Device *device, TlGatewaySession *session, gboolean honest_share)
{
  gsize length;
  const guint8 *data = take (input, &length);
  Twinlatch__V1__CompletePairingRequest *message = twinlatch__v1__complete_pairing_request__unpack (NULL, length, data);
  TlPairingComplete complete = { 0 };
  g_autoptr (TlPairingKeys) keys = NULL;
  g_autoptr (GError) error = NULL;
  gboolean confirmed = FALSE;
  guint8 allowed = honest_share ? input->flags : 0;
  gint64 now = NOW + (input->flags & LATE ? TL_GATEWAY_SESSION_COMPLETE_MS + 1 : 0);

  if (message == NULL)
    return;
  fuzz_assert_verdict (read_complete (message, &complete, &error), error);
  if (error == NULL)
    {
      gboolean ok;

      complete.session_id = SESSION_ID; /* what the session was found by */
      if (allowed & HONEST_CONFIRM)
        memcpy (complete.confirm_p, device->confirm_p, sizeof device->confirm_p);
      if (honest_share && (allowed & HONEST_COMPLETE))
        device_complete (device, &complete);
      ok = tl_gateway_session_complete (session, &complete, now, &confirmed, &keys, &error);
      fuzz_assert_verdict (ok, error);
      g_assert_true (ok == (keys != NULL));
      /* Nobody gets here without the code and the keys, and nothing that people could not read does. */
      g_assert_true (!confirmed || (allowed & HONEST_CONFIRM));
      g_assert_true (!ok || ((allowed & HONEST) == HONEST && !(allowed & LATE)));
      g_assert_true (!ok || tl_pairing_name_check ("name", complete.device_name, NULL));
      assert_state (session, ok ? TL_GATEWAY_SESSION_VERIFIED : TL_GATEWAY_SESSION_DEAD);
      g_assert_false (tl_gateway_session_complete (session, &complete, NOW, NULL, NULL, NULL));
      assert_state (session, ok ? TL_GATEWAY_SESSION_VERIFIED : TL_GATEWAY_SESSION_DEAD);
      g_bytes_unref (complete.csr_der);
    }
  twinlatch__v1__complete_pairing_request__free_unpacked (message, NULL);
}

/* TRUE: the shares are out, *honest says whether the device's was one of somebody who knows the code. */
static gboolean
run_exchange (Input *input, Device *device, TlGatewaySession *session, const TlPairingStart *start, const Code *code,
              gboolean *honest)
{
  gsize length;
  const guint8 *data = take (input, &length);
  Twinlatch__V1__ExchangePairingRequest *message = twinlatch__v1__exchange_pairing_request__unpack (NULL, length, data);
  guint8 share_p[TL_SPAKE2PLUS_SHARE_LENGTH], share_v[TL_SPAKE2PLUS_SHARE_LENGTH];
  guint8 confirm_v[TL_SPAKE2PLUS_CONFIRM_LENGTH];
  g_autoptr (GError) error = NULL;
  gboolean ok;

  if (message == NULL)
    return FALSE;
  *honest = (input->flags & HONEST_SHARE) != 0;
  if (*honest)
    {
      device_share (device, start, tl_gateway_session_offer (session), code, share_p);
      ok = tl_gateway_session_begin_exchange (session, share_p, sizeof share_p, NOW, &error);
    }
  else
    ok = tl_gateway_session_begin_exchange (session, message->share_p.data, message->share_p.len, NOW, &error);
  twinlatch__v1__exchange_pairing_request__free_unpacked (message, NULL);
  fuzz_assert_verdict (ok, error);
  assert_state (session, ok ? TL_GATEWAY_SESSION_COUNTING : TL_GATEWAY_SESSION_DEAD);
  if (!ok)
    return FALSE;
  if (input->flags & REFUSED)
    {
      tl_gateway_session_refuse_exchange (session);
      g_assert_false (tl_gateway_session_finish_exchange (session, NOW, share_v, confirm_v, NULL));
      return FALSE;
    }
  ok = tl_gateway_session_finish_exchange (session, NOW, share_v, confirm_v, &error);
  fuzz_assert_verdict (ok, error);
  g_assert_true (ok || !*honest);
  assert_state (session, ok ? TL_GATEWAY_SESSION_EXCHANGED : TL_GATEWAY_SESSION_DEAD);
  if (ok && *honest)
    device_confirm (device, tl_gateway_session_offer (session), share_v, confirm_v);
  return ok;
}

static void
run_start (Input *input, const Twinlatch__V1__StartPairingRequest *message)
{
  static const char ca[] = "a CA certificate in DER";
  g_autoptr (GBytes) ca_certificate = g_bytes_new_static (ca, strlen (ca));
  g_autoptr (TlRandom) random = tl_random_new_test (11);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlGatewaySession) session = NULL;
  g_auto (Device) device = { 0 };
  TlPairingStart start = { 0 };
  TlPairingMethod method;
  gboolean honest;

  fuzz_assert_verdict (read_start (message, &start, &error), error);
  if (error != NULL)
    return;
  device_init (&device);
  if (input->flags & HONEST_SHARE)
    memcpy (start.device_ephemeral, device.ephemeral_public, sizeof start.device_ephemeral);
  if (input->flags & HONEST_COMPLETE)
    tl_pairing_commitment (device.nonce, device.identity_public, start.device_commitment);
  method = (start.code_id != NULL) != ((input->flags & OTHER_METHOD) != 0) ? TL_PAIRING_LINK : TL_PAIRING_PIN;
  session = tl_gateway_session_new (&start, method, get_code (method)->verifier, SESSION_ID, GATEWAY_ID, ca_certificate,
                                    NOW, random, &error);
  fuzz_assert_answer (session, error);
  g_assert_true (session == NULL || !(input->flags & OTHER_METHOD));
  if (session != NULL && run_exchange (input, &device, session, &start, get_code (method), &honest))
    run_complete (input, &device, session, honest);
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  Input input = { .flags = size > 0 ? data[0] : 0, .data = data + (size > 0), .size = size - (size > 0) };
  gsize length;
  const guint8 *start = take (&input, &length);
  Twinlatch__V1__StartPairingRequest *message = twinlatch__v1__start_pairing_request__unpack (NULL, length, start);

  tl_log_init ("fuzz", TL_LOG_ERROR);
  if (message != NULL)
    {
      run_start (&input, message);
      twinlatch__v1__start_pairing_request__free_unpacked (message, NULL);
    }
  return 0;
}
