/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/node/tl-pairing-wire.h"
#include "agent/node/tl-request-runner.h"
#include "agent/node/tl-request.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "fuzz.h"
#include "identity/tl-trust-bundle.h"
#include "pairing/tl-device-session.h"

#define GATEWAY_ID "01JD0000000000000000GATEWA"
#define DEVICE_ID  "01JD0000000000000000DEV1CE"
#define CODE_ID    "01JD0000000000000000C0DE00"
#define CA         "a CA certificate in DER"

static gboolean
sign_nothing (const void *message, gsize length, guint8 signature[64], gpointer user_data, GError **error)
{
  memset (signature, 0, 64);
  return TRUE;
}

static TlDeviceSession *
started_session (TlRandom *random)
{
  static const char token[] = "0123456789ABCDEFGHJKMNPQRW";
  const char *const addresses[] = { "192.0.2.1:7444", NULL };
  const guint8 leaf_sha256[32] = { 0x1e };
  g_autoptr (TlSecret) secret = tl_secret_new_copy (token, strlen (token));
  g_autoptr (GBytes) csr = g_bytes_new_static ("csr", 3);
  TlPairingDevice device = {
    .device_id = DEVICE_ID, .csr_der = csr, .device_name = "laptop", .platform = "linux x86_64", .sign = sign_nothing
  };
  g_autoptr (TlPairingLink) link = NULL;
  TlDeviceSession *session;
  TlPairingStart start;
  guint8 ca_sha256[32];

  tl_sha256 (CA, strlen (CA), ca_sha256);
  link = tl_pairing_link_new (GATEWAY_ID, CODE_ID, secret, ca_sha256, addresses, NULL, NULL);
  session = tl_device_session_new_link (&device, link, random, NULL);
  g_assert_true (session != NULL && tl_device_session_confirm_connect (session, NULL)
                 && tl_device_session_start (session, leaf_sha256, &start, NULL));
  return session;
}

/* The first answer comes from somebody who proved nothing yet. */
static void
read_offer (const guint8 *data, gsize size)
{
  Twinlatch__V1__StartPairingResponse *message = twinlatch__v1__start_pairing_response__unpack (NULL, size, data);
  g_autoptr (TlRandom) random = tl_random_new_test (12);
  g_autoptr (TlDeviceSession) session = NULL;
  g_autoptr (GError) error = NULL;
  TlPairingOffer offer = { 0 };
  guint8 share_p[TL_SPAKE2PLUS_SHARE_LENGTH];
  gboolean ok;

  if (message == NULL)
    return;
  fuzz_assert_verdict (tl_pairing_wire_offer (message, TL_PAIRING_LINK, &offer, &error), error);
  if (error == NULL)
    {
      session = started_session (random);
      ok = tl_device_session_handle_offer (session, &offer, share_p, &error);
      fuzz_assert_verdict (ok, error);
      g_assert_cmpint (tl_device_session_state (session), ==, ok ? TL_DEVICE_SESSION_SHARED : TL_DEVICE_SESSION_DEAD);
      /* Only the link's gateway gets anything derived from the token. */
      g_assert_true (!ok || g_str_equal (offer.gateway_id, GATEWAY_ID));
      g_assert_true (!ok || g_bytes_get_size (offer.ca_certificate) == strlen (CA));
      g_bytes_unref (offer.ca_certificate);
    }
  twinlatch__v1__start_pairing_response__free_unpacked (message, NULL);
}

static TlPairingKeys *
fixed_keys (void)
{
  g_autoptr (TlSecret) shared = tl_secret_new (32);
  g_autoptr (TlSecret) x = tl_secret_new (32);
  const guint8 zero[32] = { 0 };

  return tl_pairing_keys_new (shared, x, zero, CODE_ID, zero);
}

static void
read_complete_answer (const guint8 *data, gsize size)
{
  Twinlatch__V1__CompletePairingResponse *message = twinlatch__v1__complete_pairing_response__unpack (NULL, size, data);
  g_autoptr (TlPairingKeys) keys = fixed_keys ();
  g_autoptr (GError) error = NULL;
  const guint8 nonce[TL_PAIRING_NONCE_LENGTH] = { 1 };
  TlPairingCompleteAnswer answer = { 0 };

  if (message == NULL)
    return;
  fuzz_assert_verdict (tl_pairing_wire_complete_answer (message, &answer, &error), error);
  if (error == NULL)
    g_assert_false (tl_pairing_keys_check_complete_answer (keys, nonce, &answer));
  twinlatch__v1__complete_pairing_response__free_unpacked (message, NULL);
}

static void
read_watch_answer (const guint8 *data, gsize size)
{
  Twinlatch__V1__WatchPairingResponse *message = twinlatch__v1__watch_pairing_response__unpack (NULL, size, data);
  g_autoptr (TlPairingKeys) keys = fixed_keys ();
  g_autoptr (TlPairingWireWatch) watch = NULL;
  g_autoptr (GError) error = NULL;
  const guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH] = { 1 };

  if (message == NULL)
    return;
  watch = tl_pairing_wire_watch_answer (message, &error);
  fuzz_assert_answer (watch, error);
  if (watch != NULL)
    {
      g_assert_false (tl_pairing_keys_check_watch_answer (keys, nonce, &watch->answer));
      if (watch->answer.n_ca_bundle > 0)
        {
          g_autoptr (TlTrustBundle) bundle
              = tl_trust_bundle_new (watch->answer.ca_bundle, watch->answer.n_ca_bundle, &error);

          fuzz_assert_answer (bundle, error);
        }
    }
  twinlatch__v1__watch_pairing_response__free_unpacked (message, NULL);
}

/* A dispatch event's data, from a gateway that is trusted to ask but not to be well. */
static void
read_dispatch (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *)data, size);
  g_autofree char *id = tl_request_parse_id (text);
  g_autoptr (TlRequest) request = NULL;
  g_autoptr (GError) error = NULL;
  gboolean ok = tl_request_parse (text, &request, &error);

  fuzz_assert_verdict (ok, error);
  g_assert_true ((request != NULL) == (id != NULL));
  if (request == NULL)
    return;
  g_assert_cmpstr (request->id, ==, id);
  g_assert_true (tl_ulid_is_valid (id));
  if (!ok)
    return;
  g_assert_cmpuint (strlen (request->capability), <=, TL_CAPABILITY_NAME_MAX);
  g_assert_true (request->timeout_ms >= 1 && request->timeout_ms <= TL_RUNNER_MAX_TIMEOUT_MS);
  g_assert_true (request->max_payload >= 1 && request->max_payload <= TL_CAPABILITY_MAX_PAYLOAD);
}

/* What a gateway says to a device. The first byte says which message. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  if (size == 0)
    return 0;
  switch (data[0])
    {
    case 'C':
      read_complete_answer (data + 1, size - 1);
      break;
    case 'D':
      read_dispatch (data + 1, size - 1);
      break;
    case 'W':
      read_watch_answer (data + 1, size - 1);
      break;
    default:
      read_offer (data + 1, size - 1);
    }
  return 0;
}
