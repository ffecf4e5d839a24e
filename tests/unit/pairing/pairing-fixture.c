/* SPDX-License-Identifier: Apache-2.0 */
#include "pairing-fixture.h"

#include <string.h>

#include "crypto/tl-hash.h"
#include "crypto/tl-keys.h"

TlSecret *
fixture_secret (TlPairingMethod method)
{
  const char *text = method == TL_PAIRING_PIN ? PIN_DIGITS : TOKEN;

  return tl_secret_new_copy (text, strlen (text));
}

TlPairingVerifier *
fixture_verifier (TlPairingMethod method)
{
  static TlPairingVerifier *verifiers[2];

  if (verifiers[method] == NULL)
    {
      g_autoptr (TlSecret) secret = fixture_secret (method);
      g_autoptr (TlRandom) random = tl_random_new_test (10);

      verifiers[method] = tl_pairing_verifier_new (method, secret, GATEWAY_ID, random, NULL);
      g_assert_nonnull (verifiers[method]);
    }
  return verifiers[method];
}

TlPairingLink *
fixture_link (void)
{
  static const char ca[] = "a CA certificate in DER";
  const char *const addresses[] = { "192.0.2.1:7444", NULL };
  g_autoptr (TlSecret) token = fixture_secret (TL_PAIRING_LINK);
  g_autoptr (GError) error = NULL;
  guint8 ca_sha256[32];
  TlPairingLink *link;

  tl_sha256 (ca, strlen (ca), ca_sha256);
  link = tl_pairing_link_new (GATEWAY_ID, CODE_ID, token, ca_sha256, addresses, NULL, &error);
  g_assert_no_error (error);
  return link;
}

gboolean
fixture_sign (const void *message, gsize length, guint8 signature[64], gpointer identity_seed, GError **error)
{
  return tl_ed25519_sign (identity_seed, message, length, signature, error);
}

TlPairingDevice
fixture_device (Pair *pair)
{
  TlPairingDevice device = { .device_id = DEVICE_ID,
                             .csr_der = pair->csr,
                             .device_name = "laptop",
                             .platform = "linux x86_64",
                             .client_kind = TL_CLIENT_DESKTOP,
                             .sign = fixture_sign,
                             .sign_data = pair->identity_seed };

  g_assert_true (tl_ed25519_public (pair->identity_seed, device.identity_public, NULL));
  return device;
}

void
pair_init (Pair *pair, TlPairingMethod method)
{
  static const char ca[] = "a CA certificate in DER";
  static const char csr[] = "a certificate request";
  g_autoptr (TlSecret) secret = fixture_secret (method);
  g_autoptr (GError) error = NULL;
  TlPairingDevice device;

  memset (pair, 0, sizeof *pair);
  pair->method = method;
  pair->gateway_random = tl_random_new_test (GATEWAY_SEED);
  pair->device_random = tl_random_new_test (DEVICE_SEED);
  pair->verifier = fixture_verifier (method);
  pair->ca = g_bytes_new_static (ca, strlen (ca));
  pair->csr = g_bytes_new_static (csr, strlen (csr));
  pair->identity_seed = tl_secret_new (32);
  memset (tl_secret_data_mut (pair->identity_seed), 5, 32);
  memset (pair->leaf_sha256, 0x1e, sizeof pair->leaf_sha256);
  device = fixture_device (pair);
  if (method == TL_PAIRING_PIN)
    pair->device = tl_device_session_new_pin (&device, PIN_SLOT, secret, pair->device_random, &error);
  else
    {
      g_autoptr (TlPairingLink) link = fixture_link ();

      pair->device = tl_device_session_new_link (&device, link, pair->device_random, &error);
      g_assert_true (tl_device_session_confirm_connect (pair->device, NULL));
    }
  g_assert_no_error (error);
  g_assert_cmpint (tl_device_session_state (pair->device), ==, TL_DEVICE_SESSION_READY);
}

void
pair_clear (Pair *pair)
{
  tl_device_session_free (pair->device);
  tl_gateway_session_free (pair->gateway);
  tl_pairing_keys_unref (pair->keys);
  tl_random_free (pair->gateway_random);
  tl_random_free (pair->device_random);
  tl_secret_unref (pair->identity_seed);
  g_bytes_unref (pair->ca);
  g_bytes_unref (pair->csr);
}

void
pair_start (Pair *pair)
{
  g_autoptr (GError) error = NULL;

  tl_device_session_start (pair->device, pair->leaf_sha256, &pair->start, &error);
  g_assert_no_error (error);
  pair->gateway = tl_gateway_session_new (&pair->start, pair->method, pair->verifier, SESSION_ID, GATEWAY_ID, pair->ca,
                                          NOW, pair->gateway_random, &error);
  g_assert_no_error (error);
}

void
pair_offer (Pair *pair)
{
  g_autoptr (GError) error = NULL;

  tl_device_session_handle_offer (pair->device, tl_gateway_session_offer (pair->gateway), pair->share_p, &error);
  g_assert_no_error (error);
}

void
pair_exchange (Pair *pair)
{
  g_autoptr (GError) error = NULL;

  tl_gateway_session_begin_exchange (pair->gateway, pair->share_p, sizeof pair->share_p, NOW, &error);
  g_assert_no_error (error);
  tl_gateway_session_finish_exchange (pair->gateway, NOW, pair->share_v, pair->confirm_v, &error);
  g_assert_no_error (error);
}

void
pair_confirm (Pair *pair)
{
  g_autoptr (GError) error = NULL;

  tl_device_session_handle_exchange (pair->device, pair->share_v, sizeof pair->share_v, pair->confirm_v,
                                     sizeof pair->confirm_v, &pair->complete, &error);
  g_assert_no_error (error);
}

void
pair_complete (Pair *pair)
{
  g_autoptr (GError) error = NULL;
  gboolean confirmed = FALSE;

  tl_gateway_session_complete (pair->gateway, &pair->complete, NOW, &confirmed, &pair->keys, &error);
  g_assert_no_error (error);
  g_assert_true (confirmed);
}

void
pair_request (Pair *pair)
{
  g_autoptr (GError) error = NULL;

  pair->complete_answer = (TlPairingCompleteAnswer){ .request_id = REQUEST_ID,
                                                     .state = TL_PAIRING_STATE_PENDING_APPROVAL,
                                                     .expires_at_ms = NOW + 600000 };
  tl_pairing_keys_mac_complete_answer (pair->keys, pair->complete.device_nonce, &pair->complete_answer);
  tl_device_session_handle_complete (pair->device, &pair->complete_answer, &error);
  g_assert_no_error (error);
}

void
pair_watch (Pair *pair)
{
  g_autoptr (GError) error = NULL;

  tl_device_session_watch (pair->device, pair->watch_nonce, pair->watch_mac, &error);
  g_assert_no_error (error);
  g_assert_true (tl_pairing_keys_check_watch (pair->keys, SESSION_ID, pair->watch_nonce, pair->watch_mac));
}

void
pair_run (Pair *pair, TlPairingMethod method, void (*last) (Pair *pair))
{
  static void (*const steps[]) (Pair * pair)
      = { pair_start, pair_offer, pair_exchange, pair_confirm, pair_complete, pair_request, pair_watch };

  pair_init (pair, method);
  for (gsize i = 0; i < G_N_ELEMENTS (steps); i++)
    {
      steps[i](pair);
      if (steps[i] == last)
        return;
    }
  g_assert_not_reached ();
}

TlPairingWatchAnswer
pair_watch_answer (Pair *pair, TlPairingState state)
{
  static const char *const addresses[] = { "192.0.2.1:7444", "gw.example:7444", NULL };
  static GBytes *cas[2];
  static GBytes *certificate;
  TlPairingWatchAnswer answer = { .state = state, .reason = "because", .gateway_name = "attic" };

  if (certificate == NULL)
    {
      certificate = g_bytes_new_static ("leaf", 4);
      cas[0] = g_bytes_new_static ("CA 2", 4);
      cas[1] = g_bytes_new_static ("CA 1", 4);
    }
  if (state == TL_PAIRING_STATE_COMPLETED)
    {
      answer.certificate_der = certificate;
      answer.ca_bundle = cas;
      answer.n_ca_bundle = 2;
      answer.addresses = addresses;
      answer.policy = "{}";
      answer.ca_generation = 2;
      answer.role = 1;
    }
  tl_pairing_keys_mac_watch_answer (pair->keys, pair->watch_nonce, &answer);
  return answer;
}
