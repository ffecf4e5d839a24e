/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "crypto/tl-hash.h"
#include "crypto/tl-keys.h"
#include "pairing-fixture.h"
#include "pairing/tl-pairing-private.h"

static void
assert_dead (Pair *pair)
{
  g_autoptr (GError) error = NULL;
  TlPairingKeys *keys = NULL;

  g_assert_cmpint (tl_gateway_session_state (pair->gateway), ==, TL_GATEWAY_SESSION_DEAD);
  g_assert_cmpint (tl_gateway_session_deadline (pair->gateway), ==, G_MAXINT64);
  g_assert_false (tl_gateway_session_begin_exchange (pair->gateway, pair->share_p, 65, NOW, NULL));
  g_assert_false (tl_gateway_session_finish_exchange (pair->gateway, NOW, pair->share_v, pair->confirm_v, NULL));
  g_assert_false (tl_gateway_session_complete (pair->gateway, &pair->complete, NOW, NULL, &keys, &error));
  assert_tl_error (error, TL_ERROR_PROTOCOL);
  g_assert_null (keys);
  tl_gateway_session_expire (pair->gateway);
  tl_gateway_session_refuse_exchange (pair->gateway);
  g_assert_cmpint (tl_gateway_session_state (pair->gateway), ==, TL_GATEWAY_SESSION_DEAD);
}

/* finish_exchange is refused and writes nothing: what it releases cannot be had in that state. */
static void
assert_nothing_released (Pair *pair)
{
  guint8 share_v[65];
  guint8 confirm_v[32];
  guint8 before[65];
  g_autoptr (GError) error = NULL;

  memset (before, 0xa5, sizeof before);
  memset (share_v, 0xa5, sizeof share_v);
  memset (confirm_v, 0xa5, sizeof confirm_v);
  g_assert_false (tl_gateway_session_finish_exchange (pair->gateway, NOW, share_v, confirm_v, &error));
  assert_tl_error (error, TL_ERROR_FAILED_PRECONDITION);
  g_assert_cmpmem (share_v, 65, before, 65);
  g_assert_cmpmem (confirm_v, 32, before, 32);
}

static void
test_finish_needs_begin (void)
{
  g_auto (Pair) pair = { 0 };

  pair_run (&pair, TL_PAIRING_LINK, pair_offer);
  assert_nothing_released (&pair);
  assert_dead (&pair);
}

static void
test_refused_attempt_releases_nothing (void)
{
  g_auto (Pair) pair = { 0 };

  pair_run (&pair, TL_PAIRING_LINK, pair_offer);
  g_assert_true (tl_gateway_session_begin_exchange (pair.gateway, pair.share_p, 65, NOW, NULL));
  g_assert_cmpint (tl_gateway_session_state (pair.gateway), ==, TL_GATEWAY_SESSION_COUNTING);
  tl_gateway_session_refuse_exchange (pair.gateway);
  assert_nothing_released (&pair);
  assert_dead (&pair);
}

static void
test_finish_only_once (void)
{
  g_auto (Pair) pair = { 0 };

  pair_run (&pair, TL_PAIRING_LINK, pair_exchange);
  assert_nothing_released (&pair);
  assert_dead (&pair);
}

static void
test_second_share_kills (void)
{
  g_auto (Pair) counting = { 0 };
  g_auto (Pair) exchanged = { 0 };
  g_autoptr (GError) error = NULL;

  pair_run (&counting, TL_PAIRING_LINK, pair_offer);
  g_assert_true (tl_gateway_session_begin_exchange (counting.gateway, counting.share_p, 65, NOW, NULL));
  g_assert_false (tl_gateway_session_begin_exchange (counting.gateway, counting.share_p, 65, NOW, &error));
  assert_tl_error (error, TL_ERROR_PROTOCOL);
  assert_nothing_released (&counting);
  assert_dead (&counting);

  pair_run (&exchanged, TL_PAIRING_LINK, pair_confirm);
  g_assert_false (tl_gateway_session_begin_exchange (exchanged.gateway, exchanged.share_p, 65, NOW, NULL));
  assert_dead (&exchanged);
}

static void
test_complete_needs_exchange (void)
{
  g_auto (Pair) pair = { 0 };
  g_auto (Pair) counting = { 0 };
  g_autoptr (GError) error = NULL;
  TlPairingKeys *keys = NULL;
  gboolean confirmed = TRUE;

  pair_run (&pair, TL_PAIRING_LINK, pair_offer);
  g_assert_false (tl_gateway_session_complete (pair.gateway, &pair.complete, NOW, &confirmed, &keys, &error));
  assert_tl_error (error, TL_ERROR_PROTOCOL);
  g_assert_false (confirmed);
  assert_dead (&pair);

  pair_run (&counting, TL_PAIRING_LINK, pair_offer);
  g_assert_true (tl_gateway_session_begin_exchange (counting.gateway, counting.share_p, 65, NOW, NULL));
  g_assert_false (tl_gateway_session_complete (counting.gateway, &counting.complete, NOW, NULL, &keys, NULL));
  assert_nothing_released (&counting);
  assert_dead (&counting);
}

static void
test_verified_is_final (void)
{
  g_auto (Pair) pair = { 0 };
  TlPairingKeys *keys = NULL;
  guint8 bytes[65];

  pair_run (&pair, TL_PAIRING_LINK, pair_complete);
  g_assert_cmpint (tl_gateway_session_state (pair.gateway), ==, TL_GATEWAY_SESSION_VERIFIED);
  g_assert_cmpint (tl_gateway_session_deadline (pair.gateway), ==, G_MAXINT64);
  g_assert_false (tl_gateway_session_begin_exchange (pair.gateway, pair.share_p, 65, NOW, NULL));
  g_assert_false (tl_gateway_session_finish_exchange (pair.gateway, NOW, bytes, bytes, NULL));
  g_assert_false (tl_gateway_session_complete (pair.gateway, &pair.complete, NOW, NULL, &keys, NULL));
  g_assert_null (keys);
  tl_gateway_session_expire (pair.gateway);
  tl_gateway_session_refuse_exchange (pair.gateway);
  g_assert_cmpint (tl_gateway_session_state (pair.gateway), ==, TL_GATEWAY_SESSION_VERIFIED);
}

static void
test_exchange_in_60_s (void)
{
  g_auto (Pair) pair = { 0 };
  g_auto (Pair) late = { 0 };
  g_autoptr (GError) error = NULL;

  pair_run (&pair, TL_PAIRING_LINK, pair_offer);
  g_assert_cmpint (tl_gateway_session_deadline (pair.gateway), ==, NOW + 60000);
  g_assert_cmpint (tl_gateway_session_offer (pair.gateway)->expires_at_ms, ==, NOW + 60000);
  g_assert_true (tl_gateway_session_begin_exchange (pair.gateway, pair.share_p, 65, NOW + 59999, NULL));

  pair_run (&late, TL_PAIRING_LINK, pair_offer);
  g_assert_false (tl_gateway_session_begin_exchange (late.gateway, late.share_p, 65, NOW + 60000, &error));
  assert_tl_error (error, TL_ERROR_EXPIRED);
  assert_dead (&late);
}

static void
test_counting_in_60_s (void)
{
  g_auto (Pair) pair = { 0 };
  g_autoptr (GError) error = NULL;

  pair_run (&pair, TL_PAIRING_LINK, pair_offer);
  g_assert_true (tl_gateway_session_begin_exchange (pair.gateway, pair.share_p, 65, NOW + 1000, NULL));
  g_assert_cmpint (tl_gateway_session_deadline (pair.gateway), ==, NOW + 61000);
  g_assert_false (tl_gateway_session_finish_exchange (pair.gateway, NOW + 61000, pair.share_v, pair.confirm_v, &error));
  assert_tl_error (error, TL_ERROR_EXPIRED);
  assert_dead (&pair);
}

static void
test_complete_in_5_min (void)
{
  g_auto (Pair) pair = { 0 };
  g_auto (Pair) late = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (TlPairingKeys) keys = NULL;
  TlPairingKeys *none = NULL;
  gboolean confirmed = TRUE;

  pair_run (&pair, TL_PAIRING_LINK, pair_confirm);
  g_assert_cmpint (tl_gateway_session_deadline (pair.gateway), ==, NOW + 300000);
  g_assert_true (tl_gateway_session_complete (pair.gateway, &pair.complete, NOW + 299999, NULL, &keys, NULL));

  pair_run (&late, TL_PAIRING_LINK, pair_confirm);
  g_assert_false (tl_gateway_session_complete (late.gateway, &late.complete, NOW + 300000, &confirmed, &none, &error));
  assert_tl_error (error, TL_ERROR_EXPIRED);
  g_assert_false (confirmed);
  assert_dead (&late);
}

static void
test_expire_kills (void)
{
  static void (*const until[]) (Pair * pair) = { pair_start, pair_exchange };

  for (gsize i = 0; i < G_N_ELEMENTS (until); i++)
    {
      g_auto (Pair) pair = { 0 };

      pair_run (&pair, TL_PAIRING_LINK, until[i]);
      tl_gateway_session_expire (pair.gateway);
      assert_dead (&pair);
    }
}

static void
test_bad_share_kills (void)
{
  g_auto (Pair) pair = { 0 };
  g_auto (Pair) short_share = { 0 };
  g_autoptr (GError) error = NULL;

  /* Right length, no point: looked at only after the attempt was counted. */
  pair_run (&pair, TL_PAIRING_LINK, pair_offer);
  pair.share_p[64] ^= 1;
  g_assert_true (tl_gateway_session_begin_exchange (pair.gateway, pair.share_p, 65, NOW, NULL));
  g_assert_false (tl_gateway_session_finish_exchange (pair.gateway, NOW, pair.share_v, pair.confirm_v, &error));
  assert_tl_error (error, TL_ERROR_PROTOCOL);
  assert_dead (&pair);

  g_clear_error (&error);
  pair_run (&short_share, TL_PAIRING_LINK, pair_offer);
  g_assert_false (tl_gateway_session_begin_exchange (short_share.gateway, short_share.share_p, 64, NOW, &error));
  assert_tl_error (error, TL_ERROR_INVALID_ARGUMENT);
  assert_dead (&short_share);
}

typedef void (*StartMutation) (TlPairingStart *start);

static TlGatewaySession *
session_from (StartMutation mutate, TlPairingMethod method, GError **error)
{
  g_auto (Pair) pair = { 0 };
  TlPairingStart start;

  pair_init (&pair, method);
  g_assert_true (tl_device_session_start (pair.device, pair.leaf_sha256, &start, NULL));
  mutate (&start);
  return tl_gateway_session_new (&start, method, pair.verifier, SESSION_ID, GATEWAY_ID, pair.ca, NOW,
                                 tl_random_system (), error);
}

static void
no_versions (TlPairingStart *start)
{
  start->n_versions = 0;
}

static void
nine_versions (TlPairingStart *start)
{
  start->n_versions = 9;
}

static void
other_versions (TlPairingStart *start)
{
  start->versions[0] = 2;
  start->versions[1] = 0;
  start->n_versions = 2;
}

static void
newer_first (TlPairingStart *start)
{
  start->versions[0] = 3;
  start->versions[1] = 1;
  start->n_versions = 2;
}

static void
no_selector (TlPairingStart *start)
{
  start->slot = 0;
  start->code_id = NULL;
}

static void
both_selectors (TlPairingStart *start)
{
  start->slot = 1;
  start->code_id = CODE_ID;
}

static void
slot_1000 (TlPairingStart *start)
{
  start->slot = 1000;
  start->code_id = NULL;
}

static void
slot_7 (TlPairingStart *start)
{
  start->slot = 7;
  start->code_id = NULL;
}

static void
bad_code_id (TlPairingStart *start)
{
  start->code_id = "01jd0000000000000000c0de00";
}

static void
code_id (TlPairingStart *start)
{
  start->slot = 0;
  start->code_id = CODE_ID;
}

static void
bad_kind (TlPairingStart *start)
{
  start->client_kind = 3;
}

static void
bad_device_id (TlPairingStart *start)
{
  start->device_id = "device";
}

static void
no_device_id (TlPairingStart *start)
{
  start->device_id = NULL;
}

static void
gateway_as_device (TlPairingStart *start)
{
  start->device_id = GATEWAY_ID;
}

static void
zero_ephemeral (TlPairingStart *start)
{
  memset (start->device_ephemeral, 0, sizeof start->device_ephemeral);
}

static void
test_start_refused (void)
{
  static const struct
  {
    StartMutation mutate;
    TlPairingMethod method;
    TlErrorCode code;
    const char *part;
  } cases[] = {
    { no_versions, TL_PAIRING_LINK, TL_ERROR_INVALID_ARGUMENT, "versions" },
    { nine_versions, TL_PAIRING_LINK, TL_ERROR_INVALID_ARGUMENT, "versions" },
    { other_versions, TL_PAIRING_LINK, TL_ERROR_UNSUPPORTED, "version" },
    { no_selector, TL_PAIRING_LINK, TL_ERROR_INVALID_ARGUMENT, "selector" },
    { both_selectors, TL_PAIRING_LINK, TL_ERROR_INVALID_ARGUMENT, "selector" },
    { slot_1000, TL_PAIRING_PIN, TL_ERROR_INVALID_ARGUMENT, "slot" },
    { bad_code_id, TL_PAIRING_LINK, TL_ERROR_INVALID_ARGUMENT, "code id" },
    { slot_7, TL_PAIRING_LINK, TL_ERROR_CODE_INVALID, "kind" },
    { code_id, TL_PAIRING_PIN, TL_ERROR_CODE_INVALID, "kind" },
    { bad_kind, TL_PAIRING_LINK, TL_ERROR_INVALID_ARGUMENT, "client_kind" },
    { bad_device_id, TL_PAIRING_LINK, TL_ERROR_INVALID_ARGUMENT, "device_id" },
    { no_device_id, TL_PAIRING_LINK, TL_ERROR_INVALID_ARGUMENT, "device_id" },
    { gateway_as_device, TL_PAIRING_LINK, TL_ERROR_INVALID_ARGUMENT, "device_id" },
    { zero_ephemeral, TL_PAIRING_LINK, TL_ERROR_PROTOCOL, "" },
  };
  g_autoptr (TlGatewaySession) session = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (session_from (cases[i].mutate, cases[i].method, &error));
      assert_tl_error (error, cases[i].code);
      g_assert_nonnull (strstr (error->message, cases[i].part));
    }
  session = session_from (newer_first, TL_PAIRING_LINK, NULL);
  g_assert_cmpuint (tl_gateway_session_offer (session)->version, ==, 1);
}

static void
test_accessors (void)
{
  g_auto (Pair) pair = { 0 };
  g_auto (Pair) second = { 0 };

  pair_run (&pair, TL_PAIRING_LINK, pair_start);
  g_assert_cmpint (tl_gateway_session_method (pair.gateway), ==, TL_PAIRING_LINK);
  g_assert_cmpstr (tl_gateway_session_id (pair.gateway), ==, SESSION_ID);
  g_assert_cmpstr (tl_gateway_session_device_id (pair.gateway), ==, DEVICE_ID);
  g_assert_cmpint (tl_gateway_session_client_kind (pair.gateway), ==, TL_CLIENT_DESKTOP);
  g_assert_cmpstr (tl_gateway_session_state_to_string (tl_gateway_session_state (pair.gateway)), ==, "open");

  /* Another session of the same gateway has another challenge and key. */
  pair_init (&second, TL_PAIRING_LINK);
  tl_random_free (second.gateway_random);
  second.gateway_random = tl_random_new_test (99);
  pair_start (&second);
  g_assert_cmpint (memcmp (tl_gateway_session_offer (pair.gateway)->challenge,
                           tl_gateway_session_offer (second.gateway)->challenge, 32),
                   !=, 0);
  g_assert_cmpint (memcmp (tl_gateway_session_offer (pair.gateway)->gateway_ephemeral,
                           tl_gateway_session_offer (second.gateway)->gateway_ephemeral, 32),
                   !=, 0);
}

/* A sender that knows the code and follows RFC 9383, but writes what it likes into CompletePairing and authenticates it
 * well: what is refused then is refused for its content. */
typedef struct
{
  guint8 committed_nonce[32];
  TlSecret *committed_seed;
  TlPairingComplete complete;
  TlSecret *seed; /* signs */
  gboolean break_signature;
  gboolean break_mac;
} Rogue;

static gboolean
rogue_run (Rogue *rogue, gboolean *confirmed, GError **error)
{
  g_autoptr (TlRandom) random = tl_random_new_test (77);
  g_autoptr (TlSecret) token = fixture_secret (TL_PAIRING_LINK);
  g_autoptr (GBytes) ca = g_bytes_new_static ("CA", 2);
  g_autoptr (TlSecret) ephemeral = NULL;
  g_autoptr (TlGatewaySession) gateway = NULL;
  g_autoptr (TlSpake2plus) prover = NULL;
  g_autoptr (TlPairingKeys) rogue_keys = NULL;
  g_autoptr (TlPairingKeys) keys = NULL;
  g_autoptr (TlSecret) w0 = NULL;
  g_autoptr (TlSecret) w1 = NULL;
  g_autoptr (TlSecret) shared = NULL;
  g_autoptr (TlSecret) x = NULL;
  g_autoptr (GBytes) context = NULL;
  g_autoptr (GBytes) input = NULL;
  TlPairingStart start = { .versions = { 1 }, .n_versions = 1, .code_id = CODE_ID, .device_id = DEVICE_ID };
  const TlPairingOffer *offer;
  guint8 committed_public[32];
  guint8 hash[32];
  guint8 share_p[65];
  guint8 share_v[65];
  guint8 confirm_v[32];

  g_assert_true (tl_x25519_generate (random, &ephemeral, start.device_ephemeral, NULL));
  g_assert_true (tl_ed25519_public (rogue->committed_seed, committed_public, NULL));
  tl_pairing_commitment (rogue->committed_nonce, committed_public, start.device_commitment);
  gateway = tl_gateway_session_new (&start, TL_PAIRING_LINK, fixture_verifier (TL_PAIRING_LINK), SESSION_ID, GATEWAY_ID,
                                    ca, NOW, random, NULL);
  offer = tl_gateway_session_offer (gateway);
  g_assert_true (tl_pairing_derive (token, &offer->kdf, offer->salt, GATEWAY_ID, &w0, &w1, NULL));
  context = tl_pairing_context (&start, offer);
  prover = tl_spake2plus_new_prover (w0, w1, context, DEVICE_ID, GATEWAY_ID, random, NULL);
  g_assert_true (tl_spake2plus_share (prover, share_p, NULL));
  g_assert_true (tl_gateway_session_begin_exchange (gateway, share_p, 65, NOW, NULL));
  g_assert_true (tl_gateway_session_finish_exchange (gateway, NOW, share_v, confirm_v, NULL));
  g_assert_true (tl_spake2plus_confirm (prover, share_v, 65, confirm_v, 32, rogue->complete.confirm_p, NULL));
  shared = tl_spake2plus_shared_key (prover, NULL);
  g_assert_true (tl_spake2plus_transcript_hash (prover, hash, NULL));
  x = tl_x25519_derive (ephemeral, offer->gateway_ephemeral, 32, NULL);
  rogue_keys = tl_pairing_keys_new (shared, x, offer->challenge, SESSION_ID, hash);

  g_assert_true (tl_ed25519_public (rogue->seed, rogue->complete.identity_public, NULL));
  input = tl_pairing_complete_input (rogue_keys, &rogue->complete);
  g_assert_true (tl_ed25519_sign (rogue->seed, g_bytes_get_data (input, NULL), g_bytes_get_size (input),
                                  rogue->complete.identity_signature, NULL));
  tl_pairing_keys_mac_complete (rogue_keys, &rogue->complete);
  rogue->complete.identity_signature[0] ^= rogue->break_signature ? 1 : 0;
  rogue->complete.mac[0] ^= rogue->break_mac ? 1 : 0;
  if (!tl_gateway_session_complete (gateway, &rogue->complete, NOW, confirmed, &keys, error))
    {
      g_assert_null (keys);
      g_assert_cmpint (tl_gateway_session_state (gateway), ==, TL_GATEWAY_SESSION_DEAD);
      return FALSE;
    }
  g_assert_nonnull (keys);
  return TRUE;
}

static void
rogue_init (Rogue *rogue, GBytes *csr, TlSecret *seed)
{
  *rogue = (Rogue){ .committed_seed = seed,
                    .seed = seed,
                    .complete
                    = { .session_id = SESSION_ID, .csr_der = csr, .device_name = "laptop", .platform = "linux" } };
  memset (rogue->committed_nonce, 8, sizeof rogue->committed_nonce);
  memset (rogue->complete.device_nonce, 8, sizeof rogue->complete.device_nonce);
}

static void
rogue_refused (Rogue *rogue, TlErrorCode code, const char *part)
{
  g_autoptr (GError) error = NULL;
  gboolean confirmed = FALSE;

  g_assert_false (rogue_run (rogue, &confirmed, &error));
  assert_tl_error (error, code);
  g_assert_nonnull (strstr (error->message, part));
  g_assert_true (confirmed); /* the failure is given back: the code was known */
}

static void
test_rogue_device (void)
{
  g_autoptr (GBytes) csr = g_bytes_new_static ("csr", 3);
  g_autoptr (TlSecret) seed = tl_secret_new_copy ("0123456789abcdef0123456789abcdef", 32);
  g_autoptr (TlSecret) other_seed = tl_secret_new_copy ("0123456789abcdef0123456789abcdeF", 32);
  gboolean confirmed = FALSE;
  Rogue rogue;

  rogue_init (&rogue, csr, seed);
  g_assert_true (rogue_run (&rogue, &confirmed, NULL));
  g_assert_true (confirmed);
  rogue.complete.replaces_device_id = OTHER_ID;
  g_assert_true (rogue_run (&rogue, &confirmed, NULL));

  /* P: no search for a comparison code that fits. */
  rogue_init (&rogue, csr, seed);
  rogue.complete.device_nonce[31] ^= 1;
  rogue_refused (&rogue, TL_ERROR_PROTOCOL, "committed");
  rogue_init (&rogue, csr, seed);
  rogue.seed = other_seed;
  rogue_refused (&rogue, TL_ERROR_PROTOCOL, "committed");

  rogue_init (&rogue, csr, seed);
  rogue.break_signature = TRUE;
  rogue_refused (&rogue, TL_ERROR_PROTOCOL, "identity_signature");
  rogue_init (&rogue, csr, seed);
  rogue.break_mac = TRUE;
  rogue_refused (&rogue, TL_ERROR_PROTOCOL, "mac");
  rogue_init (&rogue, csr, seed);
  rogue.complete.session_id = "01JD0000000000000000SESS11";
  rogue_refused (&rogue, TL_ERROR_PROTOCOL, "session_id");
  rogue_init (&rogue, csr, seed);
  rogue.complete.device_name = "root\xe2\x80\xae";
  rogue_refused (&rogue, TL_ERROR_INVALID_ARGUMENT, "device name");
  rogue_init (&rogue, csr, seed);
  rogue.complete.device_name = NULL;
  rogue_refused (&rogue, TL_ERROR_INVALID_ARGUMENT, "device name");
  rogue_init (&rogue, csr, seed);
  rogue.complete.platform = "linux\nx86_64";
  rogue_refused (&rogue, TL_ERROR_INVALID_ARGUMENT, "platform");
  rogue_init (&rogue, csr, seed);
  rogue.complete.replaces_device_id = "x";
  rogue_refused (&rogue, TL_ERROR_INVALID_ARGUMENT, "replaces_device_id");
  rogue_init (&rogue, csr, seed);
  rogue.complete.replaces_device_id = DEVICE_ID;
  rogue_refused (&rogue, TL_ERROR_INVALID_ARGUMENT, "replaces_device_id");
}

/* An honest CompletePairing changed on the way, one field at a time. */
static void
test_complete_tampered (void)
{
  for (guint field = 0; field <= 9; field++)
    {
      g_auto (Pair) pair = { 0 };
      g_autoptr (GBytes) other_csr = g_bytes_new_static ("another", 7);
      g_autoptr (GError) error = NULL;
      TlPairingKeys *keys = NULL;
      gboolean confirmed = FALSE;

      pair_run (&pair, TL_PAIRING_LINK, pair_confirm);
      switch (field)
        {
        case 0:
          pair.complete.confirm_p[0] ^= 1;
          break;
        case 1:
          pair.complete.identity_public[0] ^= 1;
          break;
        case 2:
          pair.complete.device_nonce[0] ^= 1;
          break;
        case 3:
          pair.complete.csr_der = other_csr;
          break;
        case 4:
          pair.complete.device_name = "laptoq";
          break;
        case 5:
          pair.complete.platform = "linux aarch64";
          break;
        case 6:
          pair.complete.replaces_device_id = OTHER_ID;
          break;
        case 7:
          pair.complete.identity_signature[63] ^= 1;
          break;
        case 8:
          pair.complete.mac[31] ^= 1;
          break;
        default:
          pair.complete.session_id = OTHER_ID;
        }
      g_assert_false (tl_gateway_session_complete (pair.gateway, &pair.complete, NOW, &confirmed, &keys, &error));
      assert_tl_error (error, field == 0 ? TL_ERROR_WRONG_CODE : TL_ERROR_PROTOCOL);
      g_assert_cmpint (confirmed, ==, field != 0);
      g_assert_null (keys);
      assert_dead (&pair);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/gateway-session/3.2/P-attempt/finish-needs-begin", test_finish_needs_begin);
  g_test_add_func ("/gateway-session/3.2/P-attempt/refused-releases-nothing", test_refused_attempt_releases_nothing);
  g_test_add_func ("/gateway-session/3.2/P-attempt/finish-only-once", test_finish_only_once);
  g_test_add_func ("/gateway-session/3.2/order/second-share-kills", test_second_share_kills);
  g_test_add_func ("/gateway-session/3.2/order/complete-needs-exchange", test_complete_needs_exchange);
  g_test_add_func ("/gateway-session/3.2/order/verified-is-final", test_verified_is_final);
  g_test_add_func ("/gateway-session/3.2/expiry/exchange-60-s", test_exchange_in_60_s);
  g_test_add_func ("/gateway-session/3.2/expiry/counting-60-s", test_counting_in_60_s);
  g_test_add_func ("/gateway-session/3.2/expiry/complete-5-min", test_complete_in_5_min);
  g_test_add_func ("/gateway-session/3.2/expiry/expire-kills", test_expire_kills);
  g_test_add_func ("/gateway-session/3.2/start-refused", test_start_refused);
  g_test_add_func ("/gateway-session/3.2/accessors", test_accessors);
  g_test_add_func ("/gateway-session/3.3/bad-share-kills", test_bad_share_kills);
  g_test_add_func ("/gateway-session/3.3/P-comparison/commitment-and-content", test_rogue_device);
  g_test_add_func ("/gateway-session/3.3/complete-tampered", test_complete_tampered);
  return g_test_run ();
}
