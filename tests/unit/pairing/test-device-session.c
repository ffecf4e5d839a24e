/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "pairing-fixture.h"

static void
assert_dead (Pair *pair)
{
  g_assert_cmpint (tl_device_session_state (pair->device), ==, TL_DEVICE_SESSION_DEAD);
  g_assert_null (tl_device_session_comparison_code (pair->device));
  g_assert_null (tl_device_session_gateway_id (pair->device));
  g_assert_null (tl_device_session_ca_certificate (pair->device));
  g_assert_null (tl_device_session_id (pair->device));
  g_assert_false (tl_device_session_confirm_connect (pair->device, NULL));
  g_assert_false (tl_device_session_start (pair->device, pair->leaf_sha256, &pair->start, NULL));
  g_assert_cmpint (tl_device_session_state (pair->device), ==, TL_DEVICE_SESSION_DEAD);
}

static void
test_link_never_connects_by_itself (void)
{
  g_auto (Pair) pair = { 0 };
  g_autoptr (TlPairingLink) link = fixture_link ();
  g_autoptr (TlDeviceSession) session = NULL;
  g_autoptr (TlDeviceSession) confirmed = NULL;
  g_autoptr (GError) error = NULL;
  TlPairingDevice device;
  TlPairingStart start = { .slot = 4711 };

  pair_init (&pair, TL_PAIRING_LINK);
  device = fixture_device (&pair);
  session = tl_device_session_new_link (&device, link, pair.device_random, NULL);
  g_assert_cmpint (tl_device_session_state (session), ==, TL_DEVICE_SESSION_UNCONFIRMED);
  g_assert_false (tl_device_session_start (session, pair.leaf_sha256, &start, &error));
  assert_tl_error (error, TL_ERROR_FAILED_PRECONDITION);
  g_assert_cmpuint (start.slot, ==, 4711); /* nothing came out that could be sent */

  confirmed = tl_device_session_new_link (&device, link, pair.device_random, NULL);
  g_assert_true (tl_device_session_confirm_connect (confirmed, NULL));
  g_assert_true (tl_device_session_confirm_connect (confirmed, NULL)); /* a second click */
  g_assert_cmpint (tl_device_session_state (confirmed), ==, TL_DEVICE_SESSION_READY);
  g_assert_true (tl_device_session_start (confirmed, pair.leaf_sha256, &start, NULL));
  g_assert_cmpstr (start.code_id, ==, CODE_ID);
  g_assert_cmpuint (start.slot, ==, 0);
  g_assert_true (tl_device_session_confirm_connect (confirmed, NULL));
  g_assert_cmpint (tl_device_session_state (confirmed), ==, TL_DEVICE_SESSION_STARTED);
}

/* Every step in every state it does not belong to. */
static gboolean
try_step (Pair *pair, guint step, GError **error)
{
  guint8 bytes[65] = { 4 };
  TlPairingOffer offer = pair->gateway != NULL ? *tl_gateway_session_offer (pair->gateway) : (TlPairingOffer){ 0 };
  TlPairingWatchAnswer watch_answer = { 0 };

  switch (step)
    {
    case 0:
      return tl_device_session_start (pair->device, pair->leaf_sha256, &pair->start, error);
    case 1:
      return tl_device_session_handle_offer (pair->device, &offer, bytes, error);
    case 2:
      return tl_device_session_handle_exchange (pair->device, pair->share_v, 65, pair->confirm_v, 32, &pair->complete,
                                                error);
    case 3:
      return tl_device_session_handle_complete (pair->device, &pair->complete_answer, error);
    case 4:
      return tl_device_session_watch (pair->device, bytes, bytes + 16, error);
    default:
      return tl_device_session_handle_watch (pair->device, &watch_answer, error);
    }
}

static void
test_out_of_order_kills (void)
{
  static void (*const until[]) (Pair * pair) = { NULL, pair_start, pair_offer, pair_confirm, pair_request };

  /* State i allows step i (and, for the last, watching too). */
  for (guint state = 0; state < G_N_ELEMENTS (until); state++)
    {
      for (guint step = 0; step <= 5; step++)
        {
          g_auto (Pair) pair = { 0 };
          g_autoptr (GError) error = NULL;

          if (step == state)
            continue;
          if (until[state] == NULL)
            pair_init (&pair, TL_PAIRING_LINK);
          else
            pair_run (&pair, TL_PAIRING_LINK, until[state]);
          g_assert_false (try_step (&pair, step, &error));
          assert_tl_error (error, step == 0 || step == 4 ? TL_ERROR_FAILED_PRECONDITION : TL_ERROR_PROTOCOL);
          assert_dead (&pair);
        }
    }
}

static void
test_before_confirmed_nothing_is_known (void)
{
  g_auto (Pair) pair = { 0 };

  pair_run (&pair, TL_PAIRING_LINK, pair_exchange);
  g_assert_null (tl_device_session_gateway_id (pair.device));
  g_assert_null (tl_device_session_ca_certificate (pair.device));
  g_assert_null (tl_device_session_id (pair.device));
  g_assert_null (tl_device_session_comparison_code (pair.device));
  g_assert_null (tl_device_session_request_id (pair.device));
  pair_confirm (&pair);
  g_assert_cmpstr (tl_device_session_gateway_id (pair.device), ==, GATEWAY_ID);
  g_assert_true (g_bytes_equal (tl_device_session_ca_certificate (pair.device), pair.ca));
  g_assert_cmpstr (tl_device_session_id (pair.device), ==, SESSION_ID);
  g_assert_null (tl_device_session_request_id (pair.device));
}

/* One member of the offer changed by `change`; the device must refuse with `code` and give no share. */
static void
offer_refused (TlPairingMethod method, void (*change) (TlPairingOffer *offer), TlErrorCode code)
{
  g_auto (Pair) pair = { 0 };
  g_autoptr (GError) error = NULL;
  TlPairingOffer offer;
  guint8 share_p[65];
  guint8 before[65];

  memset (share_p, 0xa5, sizeof share_p);
  memset (before, 0xa5, sizeof before);
  pair_run (&pair, method, pair_start);
  offer = *tl_gateway_session_offer (pair.gateway);
  change (&offer);
  g_assert_false (tl_device_session_handle_offer (pair.device, &offer, share_p, &error));
  assert_tl_error (error, code);
  g_assert_cmpmem (share_p, 65, before, 65);
  assert_dead (&pair);
}

static void
version_2 (TlPairingOffer *offer)
{
  offer->version = 2;
}

static void
version_0 (TlPairingOffer *offer)
{
  offer->version = 0;
}

static void
bad_session_id (TlPairingOffer *offer)
{
  offer->session_id = "session";
}

static void
bad_gateway_id (TlPairingOffer *offer)
{
  offer->gateway_id = "gateway";
}

static void
own_id_as_gateway (TlPairingOffer *offer)
{
  offer->gateway_id = DEVICE_ID;
}

static void
other_gateway_id (TlPairingOffer *offer)
{
  offer->gateway_id = OTHER_ID;
}

static GBytes *
static_ca (void)
{
  static GBytes *ca;

  if (ca == NULL)
    ca = g_bytes_new_static ("the attacker's CA", 17);
  return ca;
}

static void
other_ca (TlPairingOffer *offer)
{
  offer->ca_certificate = static_ca ();
}

static void
no_ca (TlPairingOffer *offer)
{
  offer->ca_certificate = NULL;
}

static void
huge_ca (TlPairingOffer *offer)
{
  static guint8 zeros[8193];
  static GBytes *ca;

  if (ca == NULL)
    ca = g_bytes_new_static (zeros, sizeof zeros);
  offer->ca_certificate = ca;
}

static void
zero_ephemeral (TlPairingOffer *offer)
{
  memset (offer->gateway_ephemeral, 0, sizeof offer->gateway_ephemeral);
}

static void
kdf_scrypt (TlPairingOffer *offer)
{
  offer->kdf = (TlPairingKdf){ "scrypt", 32768, 8, 1 };
}

static void
kdf_hkdf (TlPairingOffer *offer)
{
  offer->kdf = (TlPairingKdf){ "hkdf-sha256", 0, 0, 0 };
}

static void
kdf_none (TlPairingOffer *offer)
{
  offer->kdf = (TlPairingKdf){ 0 };
}

static void
n_too_low (TlPairingOffer *offer)
{
  offer->kdf.n = 8192;
}

static void
n_too_high (TlPairingOffer *offer)
{
  offer->kdf.n = 262144;
}

static void
n_odd (TlPairingOffer *offer)
{
  offer->kdf.n = 32769;
}

static void
r_16 (TlPairingOffer *offer)
{
  offer->kdf.r = 16;
}

static void
p_2 (TlPairingOffer *offer)
{
  offer->kdf.p = 2;
}

static void
test_offer_refused (void)
{
  offer_refused (TL_PAIRING_LINK, version_2, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_LINK, version_0, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_LINK, bad_session_id, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_PIN, bad_gateway_id, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_PIN, own_id_as_gateway, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_PIN, no_ca, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_PIN, huge_ca, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_LINK, zero_ephemeral, TL_ERROR_PROTOCOL);
}

static void
test_offer_kdf_rule (void)
{
  offer_refused (TL_PAIRING_LINK, kdf_scrypt, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_LINK, kdf_none, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_PIN, kdf_hkdf, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_PIN, n_too_low, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_PIN, n_too_high, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_PIN, n_odd, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_PIN, r_16, TL_ERROR_PROTOCOL);
  offer_refused (TL_PAIRING_PIN, p_2, TL_ERROR_PROTOCOL);
}

static void
test_link_pins_gateway (void)
{
  offer_refused (TL_PAIRING_LINK, other_gateway_id, TL_ERROR_WRONG_CA);
  offer_refused (TL_PAIRING_LINK, other_ca, TL_ERROR_WRONG_CA);
}

static void
test_wrong_pin (void)
{
  g_auto (Pair) pair = { 0 };
  g_autoptr (TlSecret) digits = tl_secret_new_copy ("01234568", 8);
  g_autoptr (GError) error = NULL;
  TlPairingDevice device;
  TlPairingKeys *keys = NULL;
  gboolean confirmed = TRUE;

  pair_init (&pair, TL_PAIRING_PIN);
  device = fixture_device (&pair);
  tl_device_session_free (pair.device);
  pair.device = tl_device_session_new_pin (&device, PIN_SLOT, digits, pair.device_random, NULL);
  pair_start (&pair);
  pair_offer (&pair);
  pair_exchange (&pair);
  g_assert_false (
      tl_device_session_handle_exchange (pair.device, pair.share_v, 65, pair.confirm_v, 32, &pair.complete, &error));
  assert_tl_error (error, TL_ERROR_WRONG_CODE);
  g_assert_null (strstr (error->message, "0123"));
  assert_dead (&pair);

  g_clear_error (&error);
  g_assert_false (tl_gateway_session_complete (pair.gateway, &pair.complete, NOW, &confirmed, &keys, &error));
  assert_tl_error (error, TL_ERROR_WRONG_CODE);
  g_assert_false (confirmed);
}

static void
test_exchange_refused (void)
{
  for (guint i = 0; i < 4; i++)
    {
      g_auto (Pair) pair = { 0 };
      g_autoptr (GError) error = NULL;
      TlPairingComplete complete = { .session_id = NULL };

      pair_run (&pair, TL_PAIRING_LINK, pair_exchange);
      if (i == 0)
        pair.share_v[64] ^= 1; /* no point any more */
      else if (i == 1)
        pair.confirm_v[0] ^= 1;
      g_assert_false (tl_device_session_handle_exchange (pair.device, pair.share_v, i == 2 ? 64 : 65, pair.confirm_v,
                                                         i == 3 ? 31 : 32, &complete, &error));
      assert_tl_error (error, i == 0 || i == 2 ? TL_ERROR_PROTOCOL : TL_ERROR_WRONG_CODE);
      g_assert_null (complete.session_id);
      assert_dead (&pair);
    }
}

static gboolean
refuse_to_sign (G_GNUC_UNUSED const void *message, G_GNUC_UNUSED gsize length, G_GNUC_UNUSED guint8 signature[64],
                G_GNUC_UNUSED gpointer user_data, GError **error)
{
  g_set_error_literal (error, TL_ERROR, TL_ERROR_LOCKED, "keyring is locked");
  return FALSE;
}

static void
test_sign_failure (void)
{
  g_auto (Pair) pair = { 0 };
  g_autoptr (TlPairingLink) link = fixture_link ();
  g_autoptr (GError) error = NULL;
  TlPairingDevice device;

  pair_init (&pair, TL_PAIRING_LINK);
  device = fixture_device (&pair);
  device.sign = refuse_to_sign;
  tl_device_session_free (pair.device);
  pair.device = tl_device_session_new_link (&device, link, pair.device_random, NULL);
  g_assert_true (tl_device_session_confirm_connect (pair.device, NULL));
  pair_start (&pair);
  pair_offer (&pair);
  pair_exchange (&pair);
  g_assert_false (
      tl_device_session_handle_exchange (pair.device, pair.share_v, 65, pair.confirm_v, 32, &pair.complete, &error));
  assert_tl_error (error, TL_ERROR_LOCKED);
  assert_dead (&pair);
}

static void
test_complete_answer_tampered (void)
{
  for (guint field = 0; field < 6; field++)
    {
      g_auto (Pair) pair = { 0 };
      g_autoptr (GError) error = NULL;
      TlPairingCompleteAnswer answer = { .request_id = REQUEST_ID, .expires_at_ms = NOW };

      pair_run (&pair, TL_PAIRING_LINK, pair_complete);
      /* The last two are authentic and wrong all the same: other nonce, request id that is none. */
      if (field == 4)
        pair.complete.device_nonce[0] ^= 1;
      if (field == 5)
        answer.request_id = "request";
      tl_pairing_keys_mac_complete_answer (pair.keys, pair.complete.device_nonce, &answer);
      if (field == 0)
        answer.request_id = OTHER_ID;
      else if (field == 1)
        answer.state = TL_PAIRING_STATE_APPROVED;
      else if (field == 2)
        answer.expires_at_ms++;
      else if (field == 3)
        answer.mac[31] ^= 1;
      g_assert_false (tl_device_session_handle_complete (pair.device, &answer, &error));
      assert_tl_error (error, TL_ERROR_PROTOCOL);
      g_assert_null (tl_device_session_request_id (pair.device));
      assert_dead (&pair);
    }
}

static void
tamper_watch_answer (TlPairingWatchAnswer *answer, guint field)
{
  static const char *const fewer[] = { "192.0.2.1:7444", NULL };
  static const char *const other[] = { "192.0.2.1:7444", "gw.example:7445", NULL };
  static GBytes *swapped[2];
  static GBytes *foreign;

  if (foreign == NULL)
    {
      foreign = g_bytes_new_static ("evil", 4);
      swapped[0] = answer->ca_bundle[1];
      swapped[1] = answer->ca_bundle[0];
    }
  switch (field)
    {
    case 0:
      answer->state = TL_PAIRING_STATE_APPROVED;
      break;
    case 1:
      answer->reason = "becausf";
      break;
    case 2:
      answer->certificate_der = foreign;
      break;
    case 3:
      answer->ca_bundle = &foreign;
      answer->n_ca_bundle = 1;
      break;
    case 4:
      answer->n_ca_bundle = 1;
      break;
    case 5:
      answer->ca_bundle = swapped;
      break;
    case 6:
      answer->addresses = fewer;
      break;
    case 7:
      answer->addresses = other;
      break;
    case 8:
      answer->addresses = NULL;
      break;
    case 9:
      answer->policy = "{ }";
      break;
    case 10:
      answer->gateway_name = "attid";
      break;
    case 11:
      answer->ca_generation = 3;
      break;
    case 12:
      answer->role = 2;
      break;
    default:
      answer->mac[0] ^= 1;
    }
}

static void
test_watch_answer_tampered (void)
{
  for (guint field = 0; field <= 13; field++)
    {
      g_auto (Pair) pair = { 0 };
      g_autoptr (GError) error = NULL;
      TlPairingWatchAnswer answer;

      pair_run (&pair, TL_PAIRING_LINK, pair_watch);
      answer = pair_watch_answer (&pair, TL_PAIRING_STATE_COMPLETED);
      tamper_watch_answer (&answer, field);
      g_assert_false (tl_device_session_handle_watch (pair.device, &answer, &error));
      assert_tl_error (error, TL_ERROR_PROTOCOL);
      assert_dead (&pair);
    }
}

/* An address that becomes a CA, or the other way round: the counts keep the lists apart. */
static void
test_watch_answer_lists (void)
{
  g_auto (Pair) pair = { 0 };
  GBytes *cas[2] = { g_bytes_new_static ("a", 1), g_bytes_new_static ("b", 1) };
  const char *const both[] = { "a", "b", NULL };
  const char *const second[] = { "b", NULL };
  TlPairingWatchAnswer first = { .ca_bundle = cas, .n_ca_bundle = 1, .addresses = second };
  TlPairingWatchAnswer moved = { .ca_bundle = cas, .n_ca_bundle = 2 };
  TlPairingWatchAnswer other = { .addresses = both };

  pair_run (&pair, TL_PAIRING_LINK, pair_watch);
  tl_pairing_keys_mac_watch_answer (pair.keys, pair.watch_nonce, &first);
  tl_pairing_keys_mac_watch_answer (pair.keys, pair.watch_nonce, &moved);
  tl_pairing_keys_mac_watch_answer (pair.keys, pair.watch_nonce, &other);
  g_assert_cmpint (memcmp (first.mac, moved.mac, 32), !=, 0);
  g_assert_cmpint (memcmp (first.mac, other.mac, 32), !=, 0);
  g_assert_cmpint (memcmp (moved.mac, other.mac, 32), !=, 0);
  g_bytes_unref (cas[0]);
  g_bytes_unref (cas[1]);
}

static void
test_watch_answer_replayed (void)
{
  g_auto (Pair) pair = { 0 };
  g_auto (Pair) never_watched = { 0 };
  g_autoptr (GError) error = NULL;
  guint8 old_nonce[TL_PAIRING_WATCH_NONCE_LENGTH];
  TlPairingWatchAnswer answer;

  pair_run (&pair, TL_PAIRING_LINK, pair_watch);
  answer = pair_watch_answer (&pair, TL_PAIRING_STATE_PENDING_APPROVAL);
  g_assert_true (tl_device_session_handle_watch (pair.device, &answer, NULL));
  memcpy (old_nonce, pair.watch_nonce, sizeof old_nonce);
  pair_watch (&pair);
  g_assert_cmpint (memcmp (old_nonce, pair.watch_nonce, sizeof old_nonce), !=, 0);
  g_assert_false (tl_device_session_handle_watch (pair.device, &answer, &error));
  assert_tl_error (error, TL_ERROR_PROTOCOL);
  assert_dead (&pair);

  /* No nonce was drawn yet: the zeros in its place are none. */
  pair_run (&never_watched, TL_PAIRING_LINK, pair_request);
  answer = pair_watch_answer (&never_watched, TL_PAIRING_STATE_PENDING_APPROVAL);
  g_assert_false (tl_device_session_handle_watch (never_watched.device, &answer, NULL));
  assert_dead (&never_watched);
}

/* Authentic, and still not what PROTOCOL 3.2 allows. */
static void
test_watch_answer_content (void)
{
  static const char long_reason[]
      = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123"
        "4567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "89012345678901234567890123456789012345678901234567890123";

  g_assert_cmpuint (strlen (long_reason), >, TL_PAIRING_REASON_MAX);
  for (guint i = 0; i < 7; i++)
    {
      g_auto (Pair) pair = { 0 };
      g_autoptr (GError) error = NULL;
      TlPairingWatchAnswer answer;

      pair_run (&pair, TL_PAIRING_LINK, pair_watch);
      answer = pair_watch_answer (&pair, i < 2 ? TL_PAIRING_STATE_COMPLETED : TL_PAIRING_STATE_APPROVED);
      if (i == 0)
        answer.certificate_der = NULL;
      else if (i == 1)
        answer.n_ca_bundle = 0;
      else if (i == 2)
        answer.certificate_der = pair.ca;
      else if (i == 3)
        answer.reason = long_reason;
      else if (i == 4)
        answer.reason = "\xff";
      else if (i == 5)
        answer.state = 5;
      else
        {
          /* A decision is not taken back. */
          g_assert_true (tl_device_session_handle_watch (pair.device, &answer, NULL));
          answer.state = TL_PAIRING_STATE_PENDING_APPROVAL;
        }
      tl_pairing_keys_mac_watch_answer (pair.keys, pair.watch_nonce, &answer);
      g_assert_false (tl_device_session_handle_watch (pair.device, &answer, &error));
      assert_tl_error (error, TL_ERROR_PROTOCOL);
      assert_dead (&pair);
    }
}

static void
test_final_states (void)
{
  static const TlPairingState final[]
      = { TL_PAIRING_STATE_REJECTED, TL_PAIRING_STATE_EXPIRED, TL_PAIRING_STATE_COMPLETED };

  for (gsize i = 0; i < G_N_ELEMENTS (final); i++)
    {
      g_auto (Pair) pair = { 0 };
      g_autofree char *code = NULL;
      TlPairingWatchAnswer answer;

      pair_run (&pair, TL_PAIRING_LINK, pair_watch);
      answer = pair_watch_answer (&pair, final[i]);
      g_assert_true (tl_device_session_handle_watch (pair.device, &answer, NULL));
      g_assert_cmpint (tl_device_session_state (pair.device), ==, TL_DEVICE_SESSION_DONE);
      /* Final: a stray call is refused and changes nothing. */
      g_assert_false (tl_device_session_handle_watch (pair.device, &answer, NULL));
      g_assert_false (tl_device_session_watch (pair.device, pair.watch_nonce, pair.watch_mac, NULL));
      g_assert_cmpint (tl_device_session_state (pair.device), ==, TL_DEVICE_SESSION_DONE);
      g_assert_cmpstr (tl_device_session_gateway_id (pair.device), ==, GATEWAY_ID);
      code = tl_device_session_comparison_code (pair.device);
      g_assert_nonnull (code);
    }
}

static void
test_new_refused (void)
{
  g_auto (Pair) pair = { 0 };
  g_autoptr (TlPairingLink) link = fixture_link ();
  g_autoptr (TlSecret) digits = fixture_secret (TL_PAIRING_PIN);
  g_autoptr (TlSecret) letters = tl_secret_new_copy ("0123456x", 8);
  g_autoptr (TlSecret) seven = tl_secret_new_copy ("0123456", 7);
  TlPairingDevice good;

  pair_init (&pair, TL_PAIRING_PIN);
  good = fixture_device (&pair);
  for (guint i = 0; i <= 10; i++)
    {
      TlPairingDevice device = good;
      TlSecret *secret = i == 0 ? letters : i == 1 ? seven : digits;
      guint slot = i == 2 ? 0 : i == 3 ? 1000 : PIN_SLOT;
      g_autoptr (GError) error = NULL;

      if (i == 4)
        device.device_id = "device";
      else if (i == 5)
        device.device_name = "a\nb";
      else if (i == 6)
        device.platform = "";
      else if (i == 7)
        device.csr_der = NULL;
      else if (i == 8)
        device.replaces_device_id = DEVICE_ID;
      else if (i == 9)
        device.replaces_device_id = "x";
      else if (i == 10)
        device.client_kind = 3;
      g_assert_null (tl_device_session_new_pin (&device, slot, secret, pair.device_random, &error));
      assert_tl_error (error, TL_ERROR_INVALID_ARGUMENT);
      if (i >= 4)
        g_assert_null (tl_device_session_new_link (&device, link, pair.device_random, NULL));
    }
}

static void
test_state_strings (void)
{
  for (guint i = TL_DEVICE_SESSION_UNCONFIRMED; i <= TL_DEVICE_SESSION_DEAD; i++)
    {
      for (guint k = TL_DEVICE_SESSION_UNCONFIRMED; k < i; k++)
        g_assert_cmpstr (tl_device_session_state_to_string (i), !=, tl_device_session_state_to_string (k));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/device-session/3.1/P-link-never-connects-by-itself", test_link_never_connects_by_itself);
  g_test_add_func ("/device-session/3.1/link-pins-gateway-and-ca", test_link_pins_gateway);
  g_test_add_func ("/device-session/3.2/new-refused", test_new_refused);
  g_test_add_func ("/device-session/3.2/order/out-of-order-kills", test_out_of_order_kills);
  g_test_add_func ("/device-session/3.2/order/nothing-known-before-confirmed", test_before_confirmed_nothing_is_known);
  g_test_add_func ("/device-session/3.2/final-states", test_final_states);
  g_test_add_func ("/device-session/3.2/state-strings", test_state_strings);
  g_test_add_func ("/device-session/3.3/offer-refused", test_offer_refused);
  g_test_add_func ("/device-session/3.3/kdf-rule", test_offer_kdf_rule);
  g_test_add_func ("/device-session/3.3/wrong-pin", test_wrong_pin);
  g_test_add_func ("/device-session/3.3/exchange-refused", test_exchange_refused);
  g_test_add_func ("/device-session/3.3/sign-failure", test_sign_failure);
  g_test_add_func ("/device-session/3.3/P-answers/complete-tampered", test_complete_answer_tampered);
  g_test_add_func ("/device-session/3.3/P-answers/watch-tampered", test_watch_answer_tampered);
  g_test_add_func ("/device-session/3.3/P-answers/watch-lists", test_watch_answer_lists);
  g_test_add_func ("/device-session/3.3/P-answers/watch-replayed", test_watch_answer_replayed);
  g_test_add_func ("/device-session/3.3/P-answers/watch-content", test_watch_answer_content);
  return g_test_run ();
}
