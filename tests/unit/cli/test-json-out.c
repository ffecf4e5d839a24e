/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-json-out.h"
#include "twinlatch/v1/admin.pb-c.h"
#include "twinlatch/v1/node.pb-c.h"

static void
assert_json (json_t *value, const char *expected)
{
  g_autofree char *text = tl_json_to_string (value);

  g_assert_cmpstr (text, ==, expected);
  json_decref (value);
}

static void
test_scalars (void)
{
  Twinlatch__V1__PairingCode code = TWINLATCH__V1__PAIRING_CODE__INIT;

  code.code_id = (char *)"01K";
  code.method = TWINLATCH__V1__CODE_METHOD__CODE_METHOD_PIN;
  code.slot = 7;
  code.state = TWINLATCH__V1__CODE_STATE__CODE_STATE_LIVE;
  code.role = TWINLATCH__V1__ROLE__ROLE_OPERATOR;
  code.auto_approve = TRUE;
  code.expires_at_unix_ms = G_GINT64_CONSTANT (1795254000000);
  assert_json (
      tl_json_from_message (&code.base),
      "{\"code_id\":\"01K\",\"method\":\"pin\",\"slot\":7,\"state\":\"live\",\"role\":\"operator\",\"label\":\"\","
      "\"auto_approve\":true,\"attempts_left\":0,\"attempts\":0,\"minted_by\":\"\",\"created_at_unix_ms\":0,"
      "\"expires_at_unix_ms\":1795254000000}");
}

static void
test_nested (void)
{
  Twinlatch__V1__Certificate certificate = TWINLATCH__V1__CERTIFICATE__INIT;
  Twinlatch__V1__Certificate *certificates[] = { &certificate, &certificate };
  Twinlatch__V1__Device device = TWINLATCH__V1__DEVICE__INIT;
  Twinlatch__V1__GetDeviceResponse answer = TWINLATCH__V1__GET_DEVICE_RESPONSE__INIT;
  tl_json_auto object = NULL;
  json_t *list;

  certificate.ca_generation = 2;
  device.n_certificates = 2;
  device.certificates = certificates;
  answer.device = &device;
  object = tl_json_from_message (&answer.base);
  g_assert_true (json_is_null (json_object_get (object, "node")));
  list = json_object_get (json_object_get (object, "device"), "certificates");
  g_assert_cmpuint (json_array_size (list), ==, 2);
  g_assert_cmpint (json_integer_value (json_object_get (json_array_get (list, 1), "ca_generation")), ==, 2);
}

static void
test_repeated_scalars (void)
{
  char *listeners[] = { (char *)"a", (char *)"b" };
  Twinlatch__V1__DeviceState states[]
      = { TWINLATCH__V1__DEVICE_STATE__DEVICE_STATE_ACTIVE, TWINLATCH__V1__DEVICE_STATE__DEVICE_STATE_SUSPENDED };
  Twinlatch__V1__GetStatusResponse status = TWINLATCH__V1__GET_STATUS_RESPONSE__INIT;
  Twinlatch__V1__ListDevicesRequest list = TWINLATCH__V1__LIST_DEVICES_REQUEST__INIT;
  tl_json_auto object = NULL;

  status.n_listeners = 2;
  status.listeners = listeners;
  status.store_bytes = G_MAXUINT64;
  object = tl_json_from_message (&status.base);
  assert_json (json_incref (json_object_get (object, "listeners")), "[\"a\",\"b\"]");
  assert_json (json_incref (json_object_get (object, "store_bytes")), "9223372036854775807");
  list.n_states = 2;
  list.states = states;
  assert_json (tl_json_from_message (&list.base), "{\"page\":null,\"states\":[\"active\",\"suspended\"],\"role\":"
                                                  "\"unspecified\",\"connected_only\":false,\"approved_by\":\"\"}");
}

static void
test_bytes (void)
{
  guint8 der[] = { 0x00, 0x30, 0xff };
  Twinlatch__V1__CaCertificate certificate = TWINLATCH__V1__CA_CERTIFICATE__INIT;

  certificate.certificate_der.data = der;
  certificate.certificate_der.len = sizeof der;
  assert_json (tl_json_from_message (&certificate.base), "{\"generation\":0,\"certificate_der\":\"0030ff\",\"not_after_"
                                                         "unix_ms\":0,\"fingerprint\":\"\",\"signs_now\":false}");
}

static void
test_embedded_json (void)
{
  Twinlatch__V1__ExecuteCapabilityResponse answer = TWINLATCH__V1__EXECUTE_CAPABILITY_RESPONSE__INIT;
  tl_json_auto object = NULL;

  answer.output = (char *)"{\"b\":[1,\"x\"],\"a\":null}";
  answer.progress = (char *)"not json";
  answer.error = (char *)"{}"; /* not a member that holds JSON */
  object = tl_json_from_message (&answer.base);
  assert_json (json_incref (json_object_get (object, "output")), "{\"b\":[1,\"x\"],\"a\":null}");
  assert_json (json_incref (json_object_get (object, "progress")), "\"not json\"");
  assert_json (json_incref (json_object_get (object, "error")), "\"{}\"");
  assert_json (tl_json_embed (""), "null");
}

static void
test_oneof (void)
{
  Twinlatch__V1__StreamEventsResponse__Ready ready = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__READY__INIT;
  Twinlatch__V1__StreamEventsResponse answer = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;

  assert_json (tl_json_from_message (&answer.base), "{}");
  ready.latest_seq = 5;
  answer.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_READY;
  answer.ready = &ready;
  assert_json (tl_json_from_message (&answer.base), "{\"ready\":{\"latest_seq\":5,\"takes_results\":false}}");
}

static void
test_from_newer_gateway (void)
{
  Twinlatch__V1__DecidePairingRequest request = TWINLATCH__V1__DECIDE_PAIRING_REQUEST__INIT;
  Twinlatch__V1__CancelPairingCodeResponse answer = TWINLATCH__V1__CANCEL_PAIRING_CODE_RESPONSE__INIT;
  Twinlatch__V1__PairingCode code = TWINLATCH__V1__PAIRING_CODE__INIT;
  tl_json_auto object = NULL;
  g_autofree char *text = tl_enum_to_text (&twinlatch__v1__role__descriptor, 77);

  code.state = (Twinlatch__V1__CodeState)99; /* an enum value that this program does not know */
  answer.code = &code;
  object = tl_json_from_message (&answer.base);
  g_assert_cmpint (json_integer_value (json_object_get (json_object_get (object, "code"), "state")), ==, 99);
  g_assert_cmpstr (text, ==, "77");

  request.reason = (char *)"bad \xff byte"; /* protobuf-c does not look whether strings are UTF-8 */
  assert_json (tl_json_from_message (&request.base),
               "{\"request_id\":\"\",\"approve\":false,\"code\":\"\",\"reason\":\"bad \xef\xbf\xbd byte\"}");
}

static void
test_enum_words (void)
{
  int value = -1;
  g_autofree char *word = tl_enum_to_text (&twinlatch__v1__pairing_state__descriptor,
                                           TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_PENDING_APPROVAL);

  g_assert_cmpstr (word, ==, "pending_approval");
  g_assert_true (tl_enum_from_text (&twinlatch__v1__pairing_state__descriptor, "Pending-Approval", &value));
  g_assert_cmpint (value, ==, TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_PENDING_APPROVAL);
  g_assert_false (tl_enum_from_text (&twinlatch__v1__pairing_state__descriptor, "unspecified", &value));
  g_assert_false (tl_enum_from_text (&twinlatch__v1__pairing_state__descriptor, "", &value));
}

static void
test_items (void)
{
  Twinlatch__V1__Page page = TWINLATCH__V1__PAGE__INIT;
  g_autoptr (GPtrArray) messages = g_ptr_array_new ();

  g_ptr_array_add (messages, &page);
  assert_json (tl_json_from_messages (messages), "{\"items\":[{\"page_size\":0,\"page_token\":\"\"}]}");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cli/json-out/scalars", test_scalars);
  g_test_add_func ("/cli/json-out/nested", test_nested);
  g_test_add_func ("/cli/json-out/repeated-scalars", test_repeated_scalars);
  g_test_add_func ("/cli/json-out/bytes", test_bytes);
  g_test_add_func ("/cli/json-out/embedded-json", test_embedded_json);
  g_test_add_func ("/cli/json-out/oneof", test_oneof);
  g_test_add_func ("/cli/json-out/from-newer-gateway", test_from_newer_gateway);
  g_test_add_func ("/cli/json-out/enum-words", test_enum_words);
  g_test_add_func ("/cli/json-out/items", test_items);
  return g_test_run ();
}
