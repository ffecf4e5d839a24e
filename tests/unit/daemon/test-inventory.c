/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-inventory.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"

#define NOW     G_GINT64_CONSTANT (1800000000000)
#define DEVICE  "01JD00000000000000000000D1"
#define REQUEST "01JD00000000000000000000R1"
#define PAIRING "01JD00000000000000000000P1"

static TlInventory *
parse (const char *text, GError **error)
{
  return tl_inventory_parse (text, strlen (text), NOW, tl_random_system (), error);
}

static TlInventory *
parse_ok (const char *text)
{
  g_autoptr (GError) error = NULL;
  TlInventory *inventory = parse (text, &error);

  g_assert_no_error (error);
  g_assert_nonnull (inventory);
  return inventory;
}

static void
assert_refused (const char *text, const char *names)
{
  g_autoptr (GError) error = NULL;
  TlInventory *inventory = parse (text, &error);

  g_assert_null (inventory);
  g_assert_true (tl_error_is (error, TL_ERROR_INVALID_ARGUMENT) || tl_error_is (error, TL_ERROR_RESOURCE_EXHAUSTED));
  if (strstr (error->message, names) == NULL)
    g_error ("'%s' does not name %s", error->message, names);
}

/* A file of the shape that an earlier gateway wrote. */
static const char seed[]
    = "{\"active_pairing_codes\": {\"123456\": {\"code\": \"123456\", \"method\": \"pin\"}},"
      " \"pairing_requests\": {\"" PAIRING "\": {\"request_id\": \"" PAIRING "\", \"session_id\": \"odd\","
      "  \"device_id\": \"" DEVICE "\", \"client_kind\": \"Node\", \"method\": \"qr\", \"code_issued_by\": \"admin\","
      "  \"requested_at_unix_ms\": 1000, \"expires_at_unix_ms\": 2000, \"state\": \"completed\", \"decision_reason\": "
      "null,"
      "  \"verified_pairing\": {\"signing_public_key_hex\":"
      "   \"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20\"}, \"material\": null}},"
      " \"nodes\": {\"" DEVICE "\": {\"device_id\": \"" DEVICE "\", \"platform\": \"linux\","
      "  \"capabilities\": [{\"name\": \"echo\", \"available\": true}, {\"name\": \"fs.read\", \"available\": false}],"
      "  \"registered_at_unix_ms\": 5, \"last_seen_at_unix_ms\": 6, \"last_event_name\": \"node.heartbeat\","
      "  \"last_event_at_unix_ms\": 7}},"
      " \"capability_requests\": {\"" REQUEST "\": {\"request_id\": \"" REQUEST "\", \"device_id\": \"" DEVICE "\","
      "  \"capability\": \"echo\", \"state\": \"awaiting_local_mediation\", \"created_at_unix_ms\": 10,"
      "  \"updated_at_unix_ms\": 20, \"max_payload_bytes\": 4096, \"input_summary\": \"in\", \"output_summary\": "
      "null}}}";

static void
test_seed (void)
{
  g_autoptr (TlInventory) inventory = parse_ok (seed);
  const TlPairingRecord *pairing;
  const TlInventoryNode *node;
  const TlCapabilityRecord *request;
  Twinlatch__V1__RegisterNodeRequest *registration;

  g_assert_cmpuint (inventory->dropped_codes, ==, 1);
  g_assert_cmpuint (inventory->codes->len, ==, 0);
  g_assert_cmpuint (inventory->pairings->len, ==, 1);
  pairing = inventory->pairings->pdata[0];
  g_assert_cmpint (pairing->state, ==, TL_PAIRING_STATE_EXPIRED);
  g_assert_nonnull (strstr (pairing->reason, "completed"));
  g_assert_true (tl_ulid_is_valid (pairing->session_id));
  g_assert_cmpuint (pairing->identity_public[31], ==, 0x20);
  g_assert_cmpint (pairing->method, ==, TL_PAIRING_LINK);

  node = inventory->nodes->pdata[0];
  g_assert_false (node->paired);
  g_assert_cmpstr (node->last_event_name, ==, "node.heartbeat");
  g_assert_cmpint (node->last_seen_at, ==, 6);
  registration = tl_inventory_node_registration (node);
  g_assert_cmpuint (registration->n_capabilities, ==, 2);
  g_assert_cmpstr (registration->capabilities[1]->name, ==, "fs.read");
  g_assert_false (registration->capabilities[1]->available);
  twinlatch__v1__register_node_request__free_unpacked (registration, NULL);

  request = inventory->requests->pdata[0];
  g_assert_cmpint (request->state, ==, TL_REQUEST_FAILED);
  g_assert_cmpstr (request->error_reason, ==, "interrupted");
  g_assert_cmpint (request->completed_at, ==, 20);
  g_assert_cmpstr (request->input_summary, ==, "in");
}

/* Every map, and every member beside the ids, may be missing. */
static void
test_optional (void)
{
  g_autoptr (TlInventory) empty = parse_ok ("{}");
  g_autoptr (TlInventory) nulls = parse_ok ("{\"nodes\": null, \"more\": 1}");
  g_autoptr (TlInventory) bare = parse_ok ("{\"nodes\": {\"" DEVICE "\": {\"device_id\": \"" DEVICE "\"}}}");

  g_assert_cmpuint (empty->nodes->len, ==, 0);
  g_assert_cmpuint (nulls->nodes->len, ==, 0);
  g_assert_cmpuint (bare->nodes->len, ==, 1);
}

static void
test_refused (void)
{
  assert_refused ("[]", "object");
  assert_refused ("{", "line 1");
  assert_refused ("{\"nodes\": []}", "nodes");
  assert_refused ("{\"nodes\": {\"x\": {}}}", "nodes.x: its name");
  assert_refused ("{\"nodes\": {\"" DEVICE "\": 1}}", DEVICE);
  assert_refused ("{\"nodes\": {\"" DEVICE "\": {\"device_id\": \"" REQUEST "\"}}}", "device_id");
  assert_refused ("{\"nodes\": {\"" DEVICE "\": {\"device_id\": \"" DEVICE "\", \"capabilities\": [1]}}}",
                  "capabilities[0]");
  assert_refused ("{\"nodes\": {\"" DEVICE "\": {\"device_id\": \"" DEVICE "\", \"registered_at_unix_ms\": -1}}}",
                  "registered_at_unix_ms");
  assert_refused ("{\"capability_requests\": {\"" REQUEST "\": {\"device_id\": \"" DEVICE
                  "\", \"capability\": \"echo\", \"state\": \"flying\"}}}",
                  "state");
  assert_refused ("{\"capability_requests\": {\"" REQUEST "\": {\"device_id\": \"" DEVICE
                  "\", \"capability\": \"Echo!\", \"state\": \"queued\"}}}",
                  "capability");
  assert_refused ("{\"pairing_requests\": {\"" PAIRING "\": {\"device_id\": \"" DEVICE
                  "\", \"client_kind\": \"Node\", \"method\": \"pin\", \"state\": \"rejected\","
                  " \"verified_pairing\": {\"signing_public_key_hex\": \"zz\"}}}}",
                  "signing_public_key_hex");
}

/* What is written can be read: every node known, nothing open. */
static void
test_round_trip (void)
{
  g_autoptr (TlInventory) first = parse_ok (seed);
  g_autoptr (TlInventory) second = NULL;
  TlCodeRecord *code = g_new0 (TlCodeRecord, 1);
  g_autofree char *text = NULL;
  gsize length;

  code->code_id = g_strdup (REQUEST);
  code->slot = 7;
  code->minted_by = g_strdup ("uid:0");
  g_ptr_array_add (first->codes, code);
  text = tl_inventory_to_text (first, DEVICE, NOW, &length);
  g_assert_cmpuint (length, ==, strlen (text));
  g_assert_true (g_str_has_suffix (text, "}\n"));
  g_assert_nonnull (strstr (text, "\"not_paired\""));
  second = parse_ok (text);
  g_assert_cmpuint (second->dropped_codes, ==, 1);
  g_assert_cmpuint (second->nodes->len, ==, 1);
  g_assert_cmpstr (((TlInventoryNode *)second->nodes->pdata[0])->capabilities, ==,
                   ((TlInventoryNode *)first->nodes->pdata[0])->capabilities);
  g_assert_cmpuint (second->requests->len, ==, 1);
  g_assert_cmpint (((TlPairingRecord *)second->pairings->pdata[0])->state, ==, TL_PAIRING_STATE_EXPIRED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/inventory/seed", test_seed);
  g_test_add_func ("/inventory/optional", test_optional);
  g_test_add_func ("/inventory/refused", test_refused);
  g_test_add_func ("/inventory/round-trip", test_round_trip);
  return g_test_run ();
}
