/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "crypto/tl-hash.h"
#include "pairing-fixture.h"
#include "pairing/tl-pairing-private.h"

/* --- honest runs */

static void
full_run (TlPairingMethod method)
{
  g_auto (Pair) pair = { 0 };
  g_autoptr (TlSecret) stored = NULL;
  g_autoptr (TlPairingKeys) after_restart = NULL;
  g_autofree char *code = NULL;
  g_autoptr (GError) error = NULL;
  TlPairingCompleteAnswer repeated = { 0 };
  TlPairingWatchAnswer answer;

  pair_run (&pair, method, pair_complete);

  /* The answer to CompletePairing is lost and the gateway restarts: the device sends the same again, the keys come from
   * the store, the same answer goes out and is accepted. */
  stored = tl_pairing_keys_serialise (pair.keys);
  after_restart = tl_pairing_keys_parse (stored, NULL);
  g_assert_true (tl_pairing_keys_check_complete (after_restart, &pair.complete));
  repeated = (TlPairingCompleteAnswer){ .request_id = REQUEST_ID,
                                        .state = TL_PAIRING_STATE_PENDING_APPROVAL,
                                        .expires_at_ms = NOW + 600000 };
  tl_pairing_keys_mac_complete_answer (after_restart, pair.complete.device_nonce, &repeated);
  pair_request (&pair);
  g_assert_cmpmem (repeated.mac, 32, pair.complete_answer.mac, 32);
  g_assert_cmpint (tl_device_session_state (pair.device), ==, TL_DEVICE_SESSION_REQUESTED);
  g_assert_cmpstr (tl_device_session_request_id (pair.device), ==, REQUEST_ID);

  code = tl_device_session_comparison_code (pair.device);
  g_assert_true (tl_pairing_keys_check_comparison (after_restart, pair.complete.device_nonce, code));

  /* Pending, then the stream is lost; watched again, approved, and completed on the same stream. */
  pair_watch (&pair);
  answer = pair_watch_answer (&pair, TL_PAIRING_STATE_PENDING_APPROVAL);
  g_assert_true (tl_device_session_handle_watch (pair.device, &answer, NULL));
  pair_watch (&pair);
  g_assert_true (tl_pairing_keys_check_watch (after_restart, SESSION_ID, pair.watch_nonce, pair.watch_mac));
  answer = pair_watch_answer (&pair, TL_PAIRING_STATE_APPROVED);
  g_assert_true (tl_device_session_handle_watch (pair.device, &answer, NULL));
  g_assert_cmpint (tl_device_session_state (pair.device), ==, TL_DEVICE_SESSION_REQUESTED);
  answer = pair_watch_answer (&pair, TL_PAIRING_STATE_COMPLETED);
  tl_device_session_handle_watch (pair.device, &answer, &error);
  g_assert_no_error (error);
  g_assert_cmpint (tl_device_session_state (pair.device), ==, TL_DEVICE_SESSION_DONE);
}

static void
test_full_run_pin (void)
{
  full_run (TL_PAIRING_PIN);
}

static void
test_full_run_link (void)
{
  full_run (TL_PAIRING_LINK);
}

/* --- somebody in the middle who passes shares and confirmations on, and changes one field on the way */

typedef struct
{
  const char *name;
  TlPairingMethod method;
  void (*start) (TlPairingStart *start); /* what the gateway sees, unless NULL */
  void (*offer) (TlPairingOffer *offer); /* what the device sees, unless NULL */
} Middle;

static void
flip_versions_added (TlPairingStart *start)
{
  start->versions[start->n_versions++] = 2;
}

static void
flip_versions_order (TlPairingStart *start)
{
  start->versions[0] = 2;
  start->versions[1] = 1;
  start->n_versions = 2;
}

static void
flip_slot (TlPairingStart *start)
{
  start->slot = PIN_SLOT + 1;
}

static void
flip_code_id (TlPairingStart *start)
{
  start->code_id = OTHER_ID;
}

static void
flip_kind (TlPairingStart *start)
{
  start->client_kind = TL_CLIENT_NODE;
}

static void
flip_device_id (TlPairingStart *start)
{
  start->device_id = OTHER_ID;
}

static void
flip_device_ephemeral (TlPairingStart *start)
{
  start->device_ephemeral[0] ^= 1;
}

static void
flip_commitment (TlPairingStart *start)
{
  start->device_commitment[31] ^= 1;
}

static void
flip_leaf (TlPairingStart *start)
{
  start->server_certificate_sha256[0] ^= 1;
}

static void
flip_session_id (TlPairingOffer *offer)
{
  offer->session_id = OTHER_ID;
}

static void
flip_gateway_id (TlPairingOffer *offer)
{
  offer->gateway_id = OTHER_ID;
}

static void
flip_challenge (TlPairingOffer *offer)
{
  offer->challenge[31] ^= 1;
}

static void
flip_gateway_ephemeral (TlPairingOffer *offer)
{
  offer->gateway_ephemeral[0] ^= 1;
}

static void
flip_ca (TlPairingOffer *offer)
{
  static GBytes *ca;

  if (ca == NULL)
    ca = g_bytes_new_static ("the attacker's CA", 17);
  offer->ca_certificate = ca;
}

static void
flip_salt (TlPairingOffer *offer)
{
  offer->salt[0] ^= 1;
}

static void
flip_n (TlPairingOffer *offer)
{
  offer->kdf.n = 16384;
}

static const Middle middles[] = {
  { "versions-added", TL_PAIRING_PIN, flip_versions_added, NULL },
  { "versions-order", TL_PAIRING_PIN, flip_versions_order, NULL },
  { "slot", TL_PAIRING_PIN, flip_slot, NULL },
  { "code-id", TL_PAIRING_LINK, flip_code_id, NULL },
  { "client-kind", TL_PAIRING_PIN, flip_kind, NULL },
  { "device-id", TL_PAIRING_PIN, flip_device_id, NULL },
  { "device-ephemeral", TL_PAIRING_PIN, flip_device_ephemeral, NULL },
  { "device-commitment", TL_PAIRING_PIN, flip_commitment, NULL },
  { "server-certificate", TL_PAIRING_PIN, flip_leaf, NULL },
  { "session-id", TL_PAIRING_PIN, NULL, flip_session_id },
  { "gateway-id", TL_PAIRING_PIN, NULL, flip_gateway_id },
  { "challenge", TL_PAIRING_PIN, NULL, flip_challenge },
  { "gateway-ephemeral", TL_PAIRING_PIN, NULL, flip_gateway_ephemeral },
  { "ca", TL_PAIRING_PIN, NULL, flip_ca },
  { "salt", TL_PAIRING_PIN, NULL, flip_salt },
  { "kdf-n", TL_PAIRING_PIN, NULL, flip_n },
};

/* Both sides up to share_p at the device, with the field changed between them. */
static TlPairingOffer
meet (Pair *pair, const Middle *middle)
{
  TlPairingStart seen;
  TlPairingOffer offer;
  g_autoptr (GError) error = NULL;

  pair_init (pair, middle->method);
  g_assert_true (tl_device_session_start (pair->device, pair->leaf_sha256, &pair->start, NULL));
  seen = pair->start;
  if (middle->start != NULL)
    middle->start (&seen);
  pair->gateway = tl_gateway_session_new (&seen, middle->method, pair->verifier, SESSION_ID, GATEWAY_ID, pair->ca, NOW,
                                          pair->gateway_random, &error);
  g_assert_no_error (error);
  offer = *tl_gateway_session_offer (pair->gateway);
  if (middle->offer != NULL)
    middle->offer (&offer);
  tl_device_session_handle_offer (pair->device, &offer, pair->share_p, &error);
  g_assert_no_error (error);
  return offer;
}

/* Lets somebody who knows the code answer the device from the device's own view, with the same y as the gateway: the
 * changed field is then all that differs. */
static void
confirm_from_device_view (Pair *pair, const TlPairingOffer *offer)
{
  g_autoptr (TlSecret) secret = fixture_secret (pair->method);
  g_autoptr (TlRandom) random = tl_random_new_test (GATEWAY_SEED);
  g_autoptr (GBytes) context = tl_pairing_context (&pair->start, offer);
  g_autoptr (TlSecret) w0 = NULL;
  g_autoptr (TlSecret) w1 = NULL;
  g_autoptr (TlSpake2plus) verifier = NULL;
  guint8 drawn[64]; /* challenge and ephemeral key come before y */
  guint8 point[65];

  tl_random_bytes (random, drawn, sizeof drawn);
  g_assert_true (tl_pairing_derive (secret, &offer->kdf, offer->salt, offer->gateway_id, &w0, &w1, NULL));
  g_assert_true (tl_spake2plus_derive_point (w1, point, NULL));
  verifier = tl_spake2plus_new_verifier (w0, point, context, pair->start.device_id, offer->gateway_id, random, NULL);
  g_assert_true (tl_spake2plus_respond (verifier, pair->share_p, 65, pair->share_v, pair->confirm_v, NULL));
  pair_confirm (pair);
}

static void
test_middle (gconstpointer data)
{
  const Middle *middle = data;
  g_auto (Pair) relayed = { 0 };
  g_auto (Pair) answered = { 0 };
  g_autoptr (GError) error = NULL;
  TlPairingOffer offer;
  TlPairingKeys *keys = NULL;
  gboolean confirmed = TRUE;

  /* The gateway's confirm_v reaches the device. */
  meet (&relayed, middle);
  pair_exchange (&relayed);
  g_assert_false (tl_device_session_handle_exchange (relayed.device, relayed.share_v, 65, relayed.confirm_v, 32,
                                                     &relayed.complete, &error));
  assert_tl_error (error, TL_ERROR_WRONG_CODE);

  /* The device's confirm_p, made for its own view, reaches the gateway. */
  g_clear_error (&error);
  offer = meet (&answered, middle);
  pair_exchange (&answered);
  confirm_from_device_view (&answered, &offer);
  answered.complete.session_id = SESSION_ID;
  g_assert_false (tl_gateway_session_complete (answered.gateway, &answered.complete, NOW, &confirmed, &keys, &error));
  assert_tl_error (error, TL_ERROR_WRONG_CODE);
  g_assert_false (confirmed);
  g_assert_null (keys);
  g_assert_cmpint (tl_gateway_session_state (answered.gateway), ==, TL_GATEWAY_SESSION_DEAD);
}

/* The control of the tests above: with nothing changed, the same arrangement succeeds. */
static void
test_middle_changes_nothing (void)
{
  static const Middle none = { "none", TL_PAIRING_PIN, NULL, NULL };
  g_auto (Pair) relayed = { 0 };
  g_auto (Pair) answered = { 0 };
  TlPairingOffer offer;

  meet (&relayed, &none);
  pair_exchange (&relayed);
  pair_confirm (&relayed);
  pair_complete (&relayed);

  offer = meet (&answered, &none);
  pair_exchange (&answered);
  confirm_from_device_view (&answered, &offer);
  pair_complete (&answered);
}

/* Somebody who overheard the PIN pairs with both sides, a session on each: only the six digits tell. */
static void
test_comparison_tells (void)
{
  g_auto (Pair) victim = { 0 };
  g_auto (Pair) thief = { 0 };
  g_autofree char *shown = NULL;
  g_autofree char *thiefs = NULL;

  pair_run (&victim, TL_PAIRING_PIN, pair_complete);
  pair_init (&thief, TL_PAIRING_PIN);
  tl_random_free (thief.gateway_random);
  thief.gateway_random = tl_random_new_test (21);
  pair_start (&thief);
  pair_offer (&thief);
  pair_exchange (&thief);
  pair_confirm (&thief);
  pair_complete (&thief);
  shown = tl_device_session_comparison_code (victim.device);
  thiefs = tl_device_session_comparison_code (thief.device);
  g_assert_cmpstr (shown, !=, thiefs);
  g_assert_true (tl_pairing_keys_check_comparison (thief.keys, thief.complete.device_nonce, thiefs));
  g_assert_false (tl_pairing_keys_check_comparison (thief.keys, thief.complete.device_nonce, shown));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pairing-run/3.2/full-run-pin", test_full_run_pin);
  g_test_add_func ("/pairing-run/3.2/full-run-link", test_full_run_link);
  g_test_add_func ("/pairing-run/3.3/P-man-in-the-middle/nothing-changed", test_middle_changes_nothing);
  for (gsize i = 0; i < G_N_ELEMENTS (middles); i++)
    {
      g_autofree char *path = g_strconcat ("/pairing-run/3.3/P-man-in-the-middle/", middles[i].name, NULL);

      g_test_add_data_func (path, &middles[i], test_middle);
    }
  g_test_add_func ("/pairing-run/3.3/P-comparison-tells-sessions-apart", test_comparison_tells);
  return g_test_run ();
}
