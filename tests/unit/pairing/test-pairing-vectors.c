/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-json.h"
#include "crypto/tl-hash.h"
#include "crypto/tl-keys.h"
#include "pairing-fixture.h"

/* tests/data/pairing_vectors.py computes every byte a second time, as data/doc/protocol.md says. */
typedef struct
{
  json_t *inputs;
  json_t *expected;
} Vector;

static const char *
text (json_t *object, const char *member)
{
  const char *value = json_string_value (json_object_get (object, member));

  if (value == NULL)
    g_error ("vector without %s", member);
  return value;
}

static gint64
number (json_t *object, const char *member)
{
  json_t *value = json_object_get (object, member);

  g_assert_true (json_is_integer (value));
  return json_integer_value (value);
}

static GBytes *
bytes (json_t *object, const char *member)
{
  const char *hex = text (object, member);
  gsize length = strlen (hex) / 2;
  g_autofree guint8 *data = g_malloc (length + 1);

  g_assert_true (tl_hex_decode (hex, data, length));
  return g_bytes_new (data, length);
}

static void
expect (const Vector *vector, const char *member, const void *data, gsize length)
{
  g_autofree char *hex = tl_hex_encode (data, length);

  if (!g_str_equal (hex, text (vector->expected, member)))
    g_error ("%s is %s, the second implementation says %s", member, hex, text (vector->expected, member));
}

static void
expect_bytes (const Vector *vector, const char *member, GBytes *value)
{
  expect (vector, member, g_bytes_get_data (value, NULL), g_bytes_get_size (value));
}

static TlPairingState
parse_state (const char *name)
{
  for (TlPairingState state = TL_PAIRING_STATE_PENDING_APPROVAL; state <= TL_PAIRING_STATE_COMPLETED; state++)
    {
      if (g_str_equal (tl_pairing_state_to_string (state), name))
        return state;
    }
  g_assert_not_reached ();
}

static TlClientKind
parse_kind (const char *name)
{
  for (TlClientKind kind = TL_CLIENT_NODE; kind <= TL_CLIENT_CLI; kind++)
    {
      if (g_str_equal (tl_client_kind_to_string (kind), name))
        return kind;
    }
  g_assert_not_reached ();
}

static void
expect_link (const Vector *vector)
{
  g_autoptr (TlPairingLink) link = tl_pairing_link_parse (text (vector->expected, "link"), NULL);
  g_autoptr (TlSecret) formatted = tl_pairing_link_format (link);
  json_t *addresses = json_object_get (vector->inputs, "addresses");

  g_assert_cmpstr ((const char *)tl_secret_data (formatted), ==, text (vector->expected, "link"));
  g_assert_cmpstr (tl_pairing_link_gateway_id (link), ==, text (vector->inputs, "gateway_id"));
  g_assert_cmpstr (tl_pairing_link_code_id (link), ==, text (vector->inputs, "code_id"));
  g_assert_cmpstr (tl_pairing_link_name (link), ==, text (vector->inputs, "name"));
  g_assert_cmpuint (json_array_size (addresses), ==, g_strv_length ((GStrv)tl_pairing_link_addresses (link)));
  for (gsize i = 0; i < json_array_size (addresses); i++)
    g_assert_cmpstr (tl_pairing_link_addresses (link)[i], ==, json_string_value (json_array_get (addresses, i)));
}

static TlDeviceSession *
new_device (const Vector *vector, TlSecret *seed, GBytes *csr, TlRandom *random)
{
  TlPairingDevice device = { .device_id = text (vector->inputs, "device_id"),
                             .csr_der = csr,
                             .device_name = text (vector->inputs, "device_name"),
                             .platform = text (vector->inputs, "platform"),
                             .replaces_device_id = text (vector->inputs, "replaces_device_id"),
                             .client_kind = parse_kind (text (vector->inputs, "client_kind")),
                             .sign = fixture_sign,
                             .sign_data = seed };
  g_autoptr (GError) error = NULL;
  TlDeviceSession *session;

  g_assert_true (tl_ed25519_public (seed, device.identity_public, NULL));
  expect (vector, "identity_public", device.identity_public, 32);
  if (g_str_equal (text (vector->inputs, "method"), "pin"))
    {
      g_autoptr (TlSecret) digits = tl_secret_new_copy (text (vector->inputs, "secret"), 8);

      session = tl_device_session_new_pin (&device, (guint)number (vector->inputs, "slot"), digits, random, &error);
    }
  else
    {
      g_autoptr (TlPairingLink) link = tl_pairing_link_parse (text (vector->expected, "link"), NULL);

      session = tl_device_session_new_link (&device, link, random, &error);
      g_assert_true (tl_device_session_confirm_connect (session, NULL));
    }
  g_assert_no_error (error);
  return session;
}

/* Deterministic, so one derivation for the gateway's record and one for w1, which the record has not. */
static TlPairingVerifier *
new_verifier (const Vector *vector, TlPairingMethod method)
{
  g_autoptr (TlRandom) random = tl_random_new_test ((guint64)number (vector->inputs, "verifier_seed"));
  const char *secret_text = text (vector->inputs, "secret");
  const char *gateway_id = text (vector->inputs, "gateway_id");
  g_autoptr (TlSecret) secret = tl_secret_new_copy (secret_text, strlen (secret_text));
  g_autoptr (TlPairingVerifier) verifier = tl_pairing_verifier_new (method, secret, gateway_id, random, NULL);
  g_autoptr (TlSecret) w0 = NULL;
  g_autoptr (TlSecret) w1 = NULL;

  g_assert_true (tl_pairing_derive (secret, &verifier->kdf, verifier->salt, gateway_id, &w0, &w1, NULL));
  expect (vector, "salt", verifier->salt, sizeof verifier->salt);
  expect (vector, "w0", tl_secret_data (verifier->w0), 32);
  expect (vector, "w1", tl_secret_data (w1), 32);
  expect (vector, "L", verifier->point, sizeof verifier->point);
  return g_steal_pointer (&verifier);
}

static void
expect_answers (const Vector *vector, TlPairingKeys *keys, TlDeviceSession *device, const TlPairingComplete *complete)
{
  json_t *complete_json = json_object_get (vector->inputs, "complete_answer");
  json_t *watch_json = json_object_get (vector->inputs, "watch_answer");
  json_t *cas_json = json_object_get (watch_json, "ca_bundle");
  json_t *addresses_json = json_object_get (watch_json, "addresses");
  TlPairingCompleteAnswer complete_answer = { .request_id = text (complete_json, "request_id"),
                                              .state = parse_state (text (complete_json, "state")),
                                              .expires_at_ms = number (complete_json, "expires_at_ms") };
  g_autoptr (GPtrArray) cas = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  g_autoptr (GPtrArray) addresses = g_ptr_array_new ();
  g_autoptr (GBytes) certificate = bytes (watch_json, "certificate_der");
  g_autoptr (GError) error = NULL;
  TlPairingWatchAnswer watch_answer;
  guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH];
  guint8 mac[TL_PAIRING_MAC_LENGTH];

  tl_pairing_keys_mac_complete_answer (keys, complete->device_nonce, &complete_answer);
  expect (vector, "complete_answer_mac", complete_answer.mac, 32);
  g_assert_true (tl_device_session_handle_complete (device, &complete_answer, NULL));
  g_assert_true (tl_device_session_watch (device, nonce, mac, NULL));
  expect (vector, "watch_nonce", nonce, sizeof nonce);
  expect (vector, "watch_mac", mac, sizeof mac);

  for (gsize i = 0; i < json_array_size (cas_json); i++)
    {
      const char *hex = json_string_value (json_array_get (cas_json, i));
      guint8 der[64];

      g_assert_true (tl_hex_decode (hex, der, strlen (hex) / 2));
      g_ptr_array_add (cas, g_bytes_new (der, strlen (hex) / 2));
    }
  for (gsize i = 0; i < json_array_size (addresses_json); i++)
    g_ptr_array_add (addresses, (gpointer)json_string_value (json_array_get (addresses_json, i)));
  g_ptr_array_add (addresses, NULL);
  watch_answer = (TlPairingWatchAnswer){ .state = parse_state (text (watch_json, "state")),
                                         .reason = text (watch_json, "reason"),
                                         .certificate_der = certificate,
                                         .ca_bundle = (GBytes *const *)cas->pdata,
                                         .n_ca_bundle = cas->len,
                                         .addresses = (const char *const *)addresses->pdata,
                                         .policy = text (watch_json, "policy"),
                                         .gateway_name = text (watch_json, "gateway_name"),
                                         .ca_generation = (guint32)number (watch_json, "ca_generation"),
                                         .role = (guint32)number (watch_json, "role") };
  tl_pairing_keys_mac_watch_answer (keys, nonce, &watch_answer);
  expect (vector, "watch_answer_mac", watch_answer.mac, 32);
  tl_device_session_handle_watch (device, &watch_answer, &error);
  g_assert_no_error (error);
  g_assert_cmpint (tl_device_session_state (device), ==, TL_DEVICE_SESSION_DONE);
}

static void
expect_keys (const Vector *vector, TlPairingKeys *keys, TlDeviceSession *device, const TlPairingComplete *complete)
{
  g_autoptr (TlSecret) value = tl_pairing_keys_serialise (keys);
  g_autoptr (GBytes) input = tl_pairing_complete_input (keys, complete);
  g_autofree char *code = tl_device_session_comparison_code (device);

  expect (vector, "transcript_hash", tl_secret_data (value) + 96, 32);
  expect (vector, "keys", tl_secret_data (value), tl_secret_length (value));
  expect_bytes (vector, "complete_input", input);
  expect (vector, "identity_signature", complete->identity_signature, 64);
  expect (vector, "complete_mac", complete->mac, 32);
  g_assert_cmpstr (code, ==, text (vector->expected, "comparison"));
  g_assert_true (tl_pairing_keys_check_comparison (keys, complete->device_nonce, code));
}

static void
expect_offer (const Vector *vector, const TlPairingStart *start, const TlPairingOffer *offer)
{
  g_autoptr (GBytes) context = tl_pairing_context (start, offer);
  guint8 digest[32];

  expect (vector, "device_ephemeral", start->device_ephemeral, 32);
  expect (vector, "device_commitment", start->device_commitment, 32);
  expect (vector, "challenge", offer->challenge, 32);
  expect (vector, "gateway_ephemeral", offer->gateway_ephemeral, 32);
  expect_bytes (vector, "context", context);
  tl_sha256 (g_bytes_get_data (context, NULL), g_bytes_get_size (context), digest);
  expect (vector, "context_sha256", digest, sizeof digest);
}

static void
check_vector (const Vector *vector)
{
  TlPairingMethod method = g_str_equal (text (vector->inputs, "method"), "pin") ? TL_PAIRING_PIN : TL_PAIRING_LINK;
  g_autoptr (TlPairingVerifier) verifier = new_verifier (vector, method);
  g_autoptr (TlRandom) device_random = tl_random_new_test ((guint64)number (vector->inputs, "device_seed"));
  g_autoptr (TlRandom) gateway_random = tl_random_new_test ((guint64)number (vector->inputs, "gateway_seed"));
  g_autoptr (GBytes) ca = bytes (vector->inputs, "ca_certificate");
  g_autoptr (GBytes) csr = bytes (vector->inputs, "csr_der");
  g_autoptr (GBytes) leaf = bytes (vector->inputs, "server_certificate_sha256");
  g_autoptr (TlSecret) seed = tl_secret_new (32);
  g_autoptr (TlDeviceSession) device = NULL;
  g_autoptr (TlGatewaySession) gateway = NULL;
  g_autoptr (TlPairingKeys) keys = NULL;
  g_autoptr (GError) error = NULL;
  TlPairingStart start;
  TlPairingComplete complete;
  guint8 share_p[65];
  guint8 share_v[65];
  guint8 confirm_v[32];

  if (method == TL_PAIRING_LINK)
    expect_link (vector);
  g_assert_true (tl_hex_decode (text (vector->inputs, "identity_seed"), tl_secret_data_mut (seed), 32));
  device = new_device (vector, seed, csr, device_random);
  g_assert_true (tl_device_session_start (device, g_bytes_get_data (leaf, NULL), &start, NULL));
  gateway = tl_gateway_session_new (&start, method, verifier, text (vector->inputs, "session_id"),
                                    text (vector->inputs, "gateway_id"), ca, NOW, gateway_random, &error);
  g_assert_no_error (error);
  expect_offer (vector, &start, tl_gateway_session_offer (gateway));
  tl_device_session_handle_offer (device, tl_gateway_session_offer (gateway), share_p, &error);
  g_assert_no_error (error);
  expect (vector, "share_p", share_p, sizeof share_p);
  g_assert_true (tl_gateway_session_begin_exchange (gateway, share_p, sizeof share_p, NOW, NULL));
  g_assert_true (tl_gateway_session_finish_exchange (gateway, NOW, share_v, confirm_v, NULL));
  expect (vector, "share_v", share_v, sizeof share_v);
  expect (vector, "confirm_v", confirm_v, sizeof confirm_v);
  g_assert_true (tl_device_session_handle_exchange (device, share_v, 65, confirm_v, 32, &complete, NULL));
  expect (vector, "confirm_p", complete.confirm_p, sizeof complete.confirm_p);
  expect (vector, "device_nonce", complete.device_nonce, sizeof complete.device_nonce);
  tl_gateway_session_complete (gateway, &complete, NOW, NULL, &keys, &error);
  g_assert_no_error (error);
  expect_keys (vector, keys, device, &complete);
  expect_answers (vector, keys, device, &complete);
}

static void
test_vectors (gconstpointer name)
{
  const char *folder = g_getenv ("TL_TEST_DATA");
  g_autofree char *path = NULL;
  g_autofree char *contents = NULL;
  g_autoptr (GError) error = NULL;
  json_t *document;
  gsize length;
  guint found = 0;

  g_assert_nonnull (folder);
  path = g_build_filename (folder, "pairing-vectors.json", NULL);
  g_file_get_contents (path, &contents, &length, &error);
  g_assert_no_error (error);
  document = tl_json_parse (contents, (gssize)length, 0, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < json_array_size (json_object_get (document, "vectors")); i++)
    {
      json_t *inputs = json_array_get (json_object_get (document, "vectors"), i);
      Vector vector = { .inputs = inputs, .expected = json_object_get (inputs, "expected") };

      if (!g_str_equal (text (inputs, "vector"), name))
        continue;
      check_vector (&vector);
      found++;
    }
  g_assert_cmpuint (found, ==, 1);
  json_decref (document);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/pairing-vectors/3.3/second-implementation/pin", "pin", test_vectors);
  g_test_add_data_func ("/pairing-vectors/3.3/second-implementation/link", "link", test_vectors);
  return g_test_run ();
}
