/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/tl-quic-message.h"

#include <string.h>

#include <gio/gio.h>

#include "base/tl-error.h"
#include "quic/tl-quic-stream.h"

#define ID_A "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define ID_B "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"

static void
assert_bytes (GBytes *frame, const char *expected)
{
  g_autofree char *text = g_strndup (g_bytes_get_data (frame, NULL), g_bytes_get_size (frame));

  g_assert_cmpstr (text, ==, expected);
}

static TlQuicRequest *
parse (const char *text, TlQuicRefusal *refusal, GError **error)
{
  return tl_quic_request_parse ((const guint8 *)text, strlen (text), refusal, error);
}

static TlQuicRequest *
accepted (const char *text)
{
  g_autoptr (GError) error = NULL;
  TlQuicRefusal refusal;
  TlQuicRequest *request = parse (text, &refusal, &error);

  if (error != NULL)
    g_error ("%s: %s", text, error->message);
  g_assert_nonnull (request);
  return request;
}

/* Formatted it is this, and this parses and formats to itself. */
static void
assert_request (const TlQuicRequest *request, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) frame = tl_quic_request_format (request, &error);
  g_autoptr (GBytes) again = NULL;
  g_autoptr (TlQuicRequest) parsed = NULL;

  g_assert_no_error (error);
  assert_bytes (frame, expected);
  parsed = accepted (expected);
  g_assert_cmpint (parsed->method, ==, request->method);
  again = tl_quic_request_format (parsed, &error);
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (frame, again));
}

static void
test_request_vectors (void)
{
  TlQuicRequest health = { .method = TL_QUIC_METHOD_HEALTH };
  TlQuicRequest from_start = { .method = TL_QUIC_METHOD_STREAM_EVENTS, .instance_id = ID_B };
  TlQuicRequest resume = {
    .method = TL_QUIC_METHOD_STREAM_EVENTS, .resume_from = 9007199254740991, .resume_id = ID_A, .instance_id = ID_B
  };
  TlQuicRequest ack = { .method = TL_QUIC_METHOD_ACK_EVENTS, .seq = 17, .id = ID_A };
  TlQuicRequest event = { .method = TL_QUIC_METHOD_EVENT,
                          .type = "capability.progress",
                          .data = "{\"text\":\"50\\u0025 \xc3\xa4\n\"}" };

  assert_request (&health, "{\"protocol_version\":1,\"method\":\"node.health\"}");
  assert_request (&from_start, "{\"protocol_version\":1,\"method\":\"node.stream_events\",\"resume_from\":0,"
                               "\"resume_id\":\"\",\"instance_id\":\"" ID_B "\"}");
  assert_request (&resume, "{\"protocol_version\":1,\"method\":\"node.stream_events\",\"resume_from\":9007199254740991,"
                           "\"resume_id\":\"" ID_A "\",\"instance_id\":\"" ID_B "\"}");
  assert_request (&ack, "{\"protocol_version\":1,\"method\":\"node.ack_events\",\"seq\":17,\"id\":\"" ID_A "\"}");
  assert_request (&event, "{\"protocol_version\":1,\"method\":\"node.event\",\"type\":\"capability.progress\","
                          "\"data\":\"{\\\"text\\\":\\\"50\\\\u0025 \xc3\xa4\\n\\\"}\"}");
}

static void
fill (guint8 *bytes, gsize length, guint8 first)
{
  for (gsize i = 0; i < length; i++)
    bytes[i] = (guint8)(first + i);
}

#define SHA_0   "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define SHA_32  "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
#define SIG_64  "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl9gYWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1-fw"
#define SIG_128 "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp-goaKjpKWmp6ipqqusra6vsLGys7S1tre4ubq7vL2-vw"

static void
test_result_vector (void)
{
  static const char frame[]
      = "{\"protocol_version\":1,\"method\":\"node.submit_result\",\"request_id\":\"" ID_A
        "\",\"success\":true,\"state\":\"succeeded\",\"output\":\"{\\\"a\\\":[1,2]}\",\"error\":\"\",\"error_reason\":"
        "\"\",\"receipt\":{\"alg\":\"ed25519\",\"decision\":\"allowed\",\"by\":\"policy\",\"time_unix_ms\":"
        "1764075600000,"
        "\"requested_by\":\"uid:1000\",\"expires_at_unix_ms\":1764075900000,\"input_sha256\":\"" SHA_0
        "\",\"signature\":\"" SIG_64 "\"},\"output_sha256\":\"" SHA_32 "\",\"result_signature\":\"" SIG_128
        "\",\"result_proof\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\"}";
  g_autoptr (TlQuicRequest) parsed = accepted (frame);
  Twinlatch__V1__SubmitCapabilityResultRequest *result = &parsed->result;
  TlQuicRequest request = { .method = TL_QUIC_METHOD_SUBMIT_RESULT };
  guint8 expected[192];

  fill (expected, sizeof expected, 0);
  g_assert_cmpstr (result->device_id, ==, "");
  g_assert_cmpstr (result->request_id, ==, ID_A);
  g_assert_true (result->success);
  g_assert_cmpint (result->state, ==, TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_SUCCEEDED);
  g_assert_cmpstr (result->output, ==, "{\"a\":[1,2]}");
  g_assert_true (result->receipt == &parsed->receipt);
  g_assert_cmpstr (result->receipt->alg, ==, "ed25519");
  g_assert_cmpstr (result->receipt->decision, ==, "allowed");
  g_assert_cmpstr (result->receipt->by, ==, "policy");
  g_assert_cmpint (result->receipt->time_unix_ms, ==, 1764075600000);
  g_assert_cmpstr (result->receipt->requested_by, ==, "uid:1000");
  g_assert_cmpint (result->receipt->expires_at_unix_ms, ==, 1764075900000);
  g_assert_cmpmem (result->receipt->input_sha256.data, result->receipt->input_sha256.len, expected, 32);
  g_assert_cmpmem (result->output_sha256.data, result->output_sha256.len, expected + 32, 32);
  g_assert_cmpmem (result->receipt->signature.data, result->receipt->signature.len, expected + 64, 64);
  g_assert_cmpmem (result->result_signature.data, result->result_signature.len, expected + 128, 64);
  g_assert_cmpmem (result->result_proof.data, result->result_proof.len, expected, 33);
  request.result = *result;
  assert_request (&request, frame);
}

/* A result that failed, with as little as there can be, and one with the longest proof. */
static void
test_result_forms (void)
{
  static const char *const words[] = { "failed", "denied", "timed_out", "cancelled" };
  TlQuicRequest request = { .method = TL_QUIC_METHOD_SUBMIT_RESULT };
  guint8 proof[8 * 33];

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    {
      g_autofree char *frame = g_strdup_printf (
          "{\"protocol_version\":1,\"method\":\"node.submit_result\",\"request_id\":\"" ID_A
          "\",\"success\":false,\"state\":\"%s\",\"output\":\"\",\"error\":\"no\",\"error_reason\":\"internal\"}",
          words[i]);

      twinlatch__v1__submit_capability_result_request__init (&request.result);
      request.result.request_id = (char *)ID_A;
      request.result.state = TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_FAILED + i;
      request.result.error = (char *)"no";
      request.result.error_reason = (char *)"internal";
      assert_request (&request, frame);
    }
  {
    g_autoptr (GBytes) frame = NULL;
    g_autoptr (TlQuicRequest) parsed = NULL;
    TlQuicRefusal refusal;

    fill (proof, sizeof proof, 7);
    request.result.state = TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_UNSPECIFIED;
    request.result.result_proof = (ProtobufCBinaryData){ sizeof proof, proof };
    frame = tl_quic_request_format (&request, NULL);
    parsed = tl_quic_request_parse (g_bytes_get_data (frame, NULL), g_bytes_get_size (frame), &refusal, NULL);
    g_assert_nonnull (parsed);
    g_assert_null (parsed->result.receipt);
    g_assert_cmpint (parsed->result.state, ==, 0);
    g_assert_cmpmem (parsed->result.result_proof.data, parsed->result.result_proof.len, proof, sizeof proof);
  }
}

#define HEAD      "{\"protocol_version\":1,"
#define STREAM    HEAD "\"method\":\"node.stream_events\","
#define ACK       HEAD "\"method\":\"node.ack_events\","
#define EVENT     HEAD "\"method\":\"node.event\","
#define RESULT    HEAD "\"method\":\"node.submit_result\","
#define RESULT_OK RESULT "\"request_id\":\"" ID_A "\",\"success\":true,"
#define RESULT_NO RESULT "\"request_id\":\"" ID_A "\",\"success\":false,"
#define RECEIPT   RESULT_OK "\"receipt\":{\"time_unix_ms\":1,\"expires_at_unix_ms\":1,"

static void
test_refused (void)
{
  static const struct
  {
    const char *frame;
    TlQuicRefusal refusal;
    const char *named;
  } rows[] = {
    { "", TL_QUIC_REFUSAL_INVALID_REQUEST, "JSON" },
    { "{", TL_QUIC_REFUSAL_INVALID_REQUEST, "JSON" },
    { "[]", TL_QUIC_REFUSAL_INVALID_REQUEST, "object" },
    { "7", TL_QUIC_REFUSAL_INVALID_REQUEST, "object" },
    { HEAD "\"method\":\"node.health\"}x", TL_QUIC_REFUSAL_INVALID_REQUEST, "JSON" },
    { HEAD "\"method\":\"node.health\",\"method\":\"node.health\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "duplicate" },
    { HEAD "\"method\":\"node.health\",\"x\":{\"a\":1,\"a\":1}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "duplicate" },
    { HEAD "\"method\":\"node.health\",\"x\":9007199254740992}", TL_QUIC_REFUSAL_INVALID_REQUEST, "2^53" },
    { HEAD "\"method\":\"node.health\",\"x\":\"\xff\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "unable to decode" },
    { HEAD "\"method\":\"node.health\",\"x\":\"\\u0000\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "JSON" },
    { "{\"method\":\"node.health\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'protocol_version'" },
    { "{\"protocol_version\":\"1\",\"method\":\"node.health\"}", TL_QUIC_REFUSAL_INVALID_REQUEST,
      "'protocol_version'" },
    { "{\"protocol_version\":1.0,\"method\":\"node.health\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'protocol_version'" },
    { "{\"protocol_version\":2,\"method\":\"node.health\"}", TL_QUIC_REFUSAL_PROTOCOL_MISMATCH, "version 2" },
    { "{\"protocol_version\":-1}", TL_QUIC_REFUSAL_PROTOCOL_MISMATCH, "version -1" },
    { "{\"protocol_version\":2,\"method\":{},\"seq\":\"x\"}", TL_QUIC_REFUSAL_PROTOCOL_MISMATCH, "version 2" },
    { "{\"protocol_version\":1}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'method'" },
    { HEAD "\"method\":7}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'method'" },
    { HEAD "\"method\":\"node.heal\"}", TL_QUIC_REFUSAL_UNSUPPORTED_METHOD, "method" },
    { HEAD "\"method\":\"\"}", TL_QUIC_REFUSAL_UNSUPPORTED_METHOD, "method" },
    { STREAM "\"resume_id\":\"\",\"instance_id\":\"" ID_B "\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'resume_from'" },
    { STREAM "\"resume_from\":-1,\"resume_id\":\"" ID_A "\",\"instance_id\":\"" ID_B "\"}",
      TL_QUIC_REFUSAL_INVALID_REQUEST, "'resume_from'" },
    { STREAM "\"resume_from\":1,\"instance_id\":\"" ID_B "\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'resume_id'" },
    { STREAM "\"resume_from\":1,\"resume_id\":\"\",\"instance_id\":\"" ID_B "\"}", TL_QUIC_REFUSAL_INVALID_REQUEST,
      "'resume_id'" },
    { STREAM "\"resume_from\":0,\"resume_id\":\"" ID_A "\",\"instance_id\":\"" ID_B "\"}",
      TL_QUIC_REFUSAL_INVALID_REQUEST, "'resume_id'" },
    { STREAM "\"resume_from\":0}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'instance_id'" },
    { STREAM "\"resume_from\":0,\"instance_id\":\"01arz3ndektsv4rrffq69g5fav\"}", TL_QUIC_REFUSAL_INVALID_REQUEST,
      "'instance_id'" },
    { ACK "\"id\":\"" ID_A "\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'seq'" },
    { ACK "\"seq\":1.5,\"id\":\"" ID_A "\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'seq'" },
    { ACK "\"seq\":1,\"id\":\"8ZZZZZZZZZZZZZZZZZZZZZZZZZ\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'id'" },
    { ACK "\"seq\":1,\"id\":true}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'id'" },
    { EVENT "\"data\":\"{}\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'type'" },
    { EVENT "\"type\":\"\",\"data\":\"{}\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'type'" },
    { EVENT "\"type\":\"node.status\",\"data\":{}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'data'" },
    { RESULT "\"success\":true}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'request_id'" },
    { RESULT "\"request_id\":\"x\",\"success\":true}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'request_id'" },
    { RESULT "\"request_id\":\"" ID_A "\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'success'" },
    { RESULT "\"request_id\":\"" ID_A "\",\"success\":null}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'success'" },
    { RESULT "\"request_id\":\"" ID_A "\",\"success\":1}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'success'" },
    { RESULT_OK "\"state\":\"failed\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'state'" },
    { RESULT_OK "\"state\":\"queued\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'state'" },
    { RESULT_OK "\"state\":5}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'state'" },
    { RESULT_NO "\"state\":\"succeeded\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'state'" },
    { RESULT_NO "\"state\":\"\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'state'" },
    { RESULT_OK "\"output\":{}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'output'" },
    { RESULT_OK "\"error\":[]}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'error'" },
    { RESULT_OK "\"error_reason\":1}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'error_reason'" },
    { RESULT_OK "\"receipt\":\"\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'receipt'" },
    { RESULT_OK "\"receipt\":{\"expires_at_unix_ms\":1}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "receipt: member 'time" },
    { RESULT_OK "\"receipt\":{\"time_unix_ms\":1}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "receipt: member 'expires_at" },
    { RESULT_OK "\"receipt\":{\"time_unix_ms\":-1,\"expires_at_unix_ms\":1}}", TL_QUIC_REFUSAL_INVALID_REQUEST,
      "'time_unix_ms'" },
    { RECEIPT "\"alg\":1}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'alg'" },
    { RECEIPT "\"decision\":true}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'decision'" },
    { RECEIPT "\"by\":{}}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'by'" },
    { RECEIPT "\"requested_by\":0}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'requested_by'" },
    { RECEIPT "\"input_sha256\":\"AAAA\"}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'input_sha256'" },
    { RECEIPT "\"input_sha256\":\"" SHA_0 "=\"}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'input_sha256'" },
    { RECEIPT "\"signature\":\"" SHA_0 "\"}}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'signature'" },
    { RESULT_OK "\"output_sha256\":\"" SIG_64 "\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'output_sha256'" },
    { RESULT_OK "\"output_sha256\":7}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'output_sha256'" },
    { RESULT_OK "\"result_signature\":\"A\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'result_signature'" },
    { RESULT_OK "\"result_proof\":\"" SHA_0 "\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'result_proof'" },
    { RESULT_OK "\"result_proof\":\"A\"}", TL_QUIC_REFUSAL_INVALID_REQUEST, "'result_proof'" },
    { RESULT_OK "\"result_proof\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8+\"}", TL_QUIC_REFUSAL_INVALID_REQUEST,
      "'result_proof'" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;
      TlQuicRefusal refusal = TL_QUIC_REFUSAL_INTERNAL;
      int code;

      if (parse (rows[i].frame, &refusal, &error) != NULL)
        g_error ("accepted: %s", rows[i].frame);
      code = rows[i].refusal == TL_QUIC_REFUSAL_INVALID_REQUEST ? TL_ERROR_INVALID_ARGUMENT : TL_ERROR_UNSUPPORTED;
      g_assert_error (error, TL_ERROR, code);
      if (refusal != rows[i].refusal || strstr (error->message, rows[i].named) == NULL)
        g_error ("%s: %s, %s", rows[i].frame, tl_quic_refusal_to_string (refusal), error->message);
    }
}

/* Each limit: at it accepted, one more refused and named. */
static void
test_lengths (void)
{
  static const struct
  {
    const char *before, *member, *after;
    gsize limit;
  } rows[] = {
    { EVENT "\"data\":\"\",", "type", "}", 64 },
    { EVENT "\"type\":\"x\",", "data", "}", 65536 },
    { RESULT_NO, "error", "}", 1024 },
    { RESULT_NO, "error_reason", "}", 64 },
    { RECEIPT, "alg", "}}", 32 },
    { RECEIPT, "decision", "}}", 32 },
    { RECEIPT, "by", "}}", 32 },
    { RECEIPT, "requested_by", "}}", 128 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    for (guint more = 0; more <= 1; more++)
      {
        g_autofree char *text = g_strnfill (rows[i].limit + more, 'x');
        g_autofree char *frame
            = g_strdup_printf ("%s\"%s\":\"%s\"%s", rows[i].before, rows[i].member, text, rows[i].after);
        g_autofree char *named = g_strdup_printf ("member '%s' has ", rows[i].member);
        g_autoptr (GError) error = NULL;
        TlQuicRefusal refusal = TL_QUIC_REFUSAL_INTERNAL;
        g_autoptr (TlQuicRequest) request = parse (frame, &refusal, &error);

        g_assert_true ((request != NULL) == (more == 0));
        g_assert_true (more == 0 || strstr (error->message, named) != NULL);
        g_assert_true (more == 0 || refusal == TL_QUIC_REFUSAL_INVALID_REQUEST);
      }
}

#define HEALTH HEAD "\"method\":\"node.health\""

static char *
nested (guint depth)
{
  g_autofree char *open = g_strnfill (depth, '[');
  g_autofree char *close = g_strnfill (depth, ']');

  return g_strconcat (HEAD "\"method\":\"node.health\",\"x\":", open, close, "}", NULL);
}

static void
test_depth_and_size (void)
{
  g_autofree char *deep = nested (31); /* and the frame itself: 32 */
  g_autofree char *deeper = nested (32);
  g_autofree char *space = g_strnfill (TL_QUIC_MAX_FRAME - strlen (HEALTH) - 1, ' ');
  g_autofree char *largest = g_strconcat (HEALTH, space, "}", NULL);
  g_autofree char *larger = g_strconcat (largest, " ", NULL);
  g_autoptr (TlQuicRequest) fits = accepted (deep);
  g_autoptr (TlQuicRequest) fills = accepted (largest);
  g_autoptr (GError) error = NULL;
  TlQuicRefusal refusal = TL_QUIC_REFUSAL_INTERNAL;

  g_assert_cmpuint (strlen (largest), ==, TL_QUIC_MAX_FRAME);
  g_assert_null (parse (deeper, &refusal, &error));
  g_assert_cmpint (refusal, ==, TL_QUIC_REFUSAL_INVALID_REQUEST);
  g_assert_nonnull (strstr (error->message, "deep"));
  g_clear_error (&error);
  g_assert_null (parse (larger, &refusal, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_assert_cmpint (refusal, ==, TL_QUIC_REFUSAL_FRAME_TOO_LARGE);
}

static void
test_tolerated (void)
{
  g_autoptr (TlQuicRequest) unknown = accepted (HEAD "\"later\":{\"a\":[1.5]},\"method\":\"node.health\"}");
  g_autoptr (TlQuicRequest) null
      = accepted (STREAM "\"resume_from\":0,\"resume_id\":null,\"instance_id\":\"" ID_B "\"}");
  g_autoptr (TlQuicRequest) start = accepted (ACK "\"seq\":0}");
  g_autoptr (TlQuicRequest) event = accepted (EVENT "\"type\":\"node.status\"}");
  g_autoptr (TlQuicRequest) empty = accepted (RESULT_OK "\"output_sha256\":\"\",\"receipt\":null}");

  g_assert_cmpint (unknown->method, ==, TL_QUIC_METHOD_HEALTH);
  g_assert_cmpstr (null->resume_id, ==, "");
  g_assert_cmpstr (start->id, ==, "");
  g_assert_cmpstr (event->data, ==, "");
  g_assert_cmpuint (empty->result.output_sha256.len, ==, 0);
  g_assert_null (empty->result.receipt);
}

/* What is recognised without the parser is what the parser takes: a blank in front sends a frame to it. */
static gboolean
is_health (const char *frame, gsize length)
{
  g_autoptr (TlQuicRequest) request = NULL;
  TlQuicRefusal refusal;

  request = tl_quic_request_parse ((const guint8 *)frame, length, &refusal, NULL);
  return request != NULL && request->method == TL_QUIC_METHOD_HEALTH;
}

static void
assert_same (const GString *frame)
{
  g_autoptr (GString) blank = g_string_new (" ");

  g_string_append_len (blank, frame->str, (gssize)frame->len);
  g_assert_cmpint (is_health (frame->str, frame->len), ==, is_health (blank->str, blank->len));
}

static void
test_plain_health (void)
{
  static const char *const frames[] = {
    "{\"protocol_version\":1,\"method\":\"node.health\"}",
    "{\"method\":\"node.health\",\"protocol_version\":1,\"padding\":\"xx\",\"n\":0}",
    "{\"protocol_version\":1,\"method\":\"node.health\",\"method\":\"node.health\"}",
    "{\"protocol_version\":1,\"method\":\"node.health\",\"a\":1,\"b\":2,\"a\":3}",
    "{\"protocol_version\":1,\"method\":\"node.health\",\"a\":01}",
    "{\"protocol_version\":1,\"method\":\"node.health\",\"a\":\"\xc3\"}",
    "{\"protocol_version\":1,\"method\":\"node.health\",\"a\":123456789012345}",
    "{\"protocol_version\":1,\"method\":\"node.health\",\"a\":12345678901234567}",
    "{\"protocol_version\":1,\"method\":\"node.health\",}",
    "{\"protocol_version\":1,\"method\":\"node.health\"}}",
    "{\"protocol_version\":1,\"method\":\"node.healt\\u0068\"}",
    "{\"protocol_version\":\"1\",\"method\":\"node.health\"}",
    "{\"protocol_version\":2,\"method\":\"node.health\"}",
    "{\"method\":\"node.health\"}",
    "{}",
    "",
  };
  static const char bytes[] = "{}[]\":,.\\ 01aex\x80\xc3\n";

  g_assert_true (is_health (frames[0], strlen (frames[0])));
  g_assert_true (is_health (frames[1], strlen (frames[1])));
  g_assert_false (is_health (frames[2], strlen (frames[2])));
  for (gsize i = 0; i < G_N_ELEMENTS (frames); i++)
    {
      g_autoptr (GString) frame = g_string_new (frames[i]);

      assert_same (frame);
      for (gsize at = 0; at < frame->len; at++)
        {
          const char kept = frame->str[at];

          for (gsize b = 0; b < sizeof bytes; b++) /* NUL as well */
            {
              frame->str[at] = bytes[b];
              assert_same (frame);
            }
          frame->str[at] = kept;
        }
      while (frame->len > 0)
        {
          g_string_truncate (frame, frame->len - 1);
          assert_same (frame);
        }
    }
}

static void
test_unformattable (void)
{
  TlQuicRequest latin = { .method = TL_QUIC_METHOD_EVENT, .type = "node.status", .data = "caf\xe9" };
  TlQuicRequest number = { .method = TL_QUIC_METHOD_ACK_EVENTS, .seq = (guint64)1 << 53, .id = ID_A };
  TlQuicRequest large = { .method = TL_QUIC_METHOD_SUBMIT_RESULT };
  g_autofree char *quotes = g_strnfill (TL_QUIC_MAX_FRAME / 2, '"'); /* doubled by escaping */
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_quic_request_format (&latin, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (tl_quic_request_format (&number, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  twinlatch__v1__submit_capability_result_request__init (&large.result);
  large.result.request_id = (char *)ID_A;
  large.result.output = quotes;
  g_assert_null (tl_quic_request_format (&large, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
}

/* ---- answers ---- */

static TlQuicAnswer *
parse_answer (GBytes *frame)
{
  g_autoptr (GError) error = NULL;
  gboolean unknown;
  TlQuicAnswer *answer
      = tl_quic_answer_parse (g_bytes_get_data (frame, NULL), g_bytes_get_size (frame), &unknown, &error);

  g_assert_no_error (error);
  g_assert_false (unknown);
  g_assert_nonnull (answer);
  return answer;
}

static void
assert_answer (const TlQuicAnswer *answer, const char *expected)
{
  g_autoptr (GBytes) frame = tl_quic_answer_format (answer);
  g_autoptr (GBytes) again = NULL;
  g_autoptr (TlQuicAnswer) parsed = NULL;

  assert_bytes (frame, expected);
  parsed = parse_answer (frame);
  g_assert_cmpint (parsed->kind, ==, answer->kind);
  again = tl_quic_answer_format (parsed);
  g_assert_true (g_bytes_equal (frame, again));
}

static void
test_answer_vectors (void)
{
  TlQuicAnswer health
      = { .kind = TL_QUIC_ANSWER_HEALTH, .gateway_id = ID_A, .server_time_ms = 1764075600000, .latest_seq = 42 };
  TlQuicAnswer ready = { .kind = TL_QUIC_ANSWER_READY, .latest_seq = 3 };
  TlQuicAnswer reset = { .kind = TL_QUIC_ANSWER_RESET, .latest_seq = 0 };
  TlQuicAnswer event = { .kind = TL_QUIC_ANSWER_EVENT,
                         .seq = 4,
                         .id = ID_B,
                         .time_ms = 1764075600001,
                         .type = "capability.dispatch",
                         .data = "{\"input\":\"{\\\"a\\\":1}\"}" };
  TlQuicAnswer oversize = { .kind = TL_QUIC_ANSWER_EVENT, .seq = 5, .id = ID_B, .oversize = TRUE, .type = "x" };
  TlQuicAnswer gap = { .kind = TL_QUIC_ANSWER_GAP, .seq = 9, .id = ID_A };
  TlQuicAnswer ack = { .kind = TL_QUIC_ANSWER_ACK };
  TlQuicAnswer result
      = { .kind = TL_QUIC_ANSWER_RESULT_ACCEPTED, .request_id = ID_A, .duplicate = TRUE, .unknown = FALSE };
  TlQuicAnswer mismatch = { .kind = TL_QUIC_ANSWER_ERROR, .error = "protocol_mismatch", .message = "no" };
  TlQuicAnswer limited
      = { .kind = TL_QUIC_ANSWER_ERROR, .error = "rate_limited", .reason = "resource_exhausted", .message = "slow" };

  assert_answer (&health,
                 "{\"protocol_version\":1,\"kind\":\"health\",\"ok\":true,\"gateway_id\":\"" ID_A
                 "\",\"server_time_unix_ms\":1764075600000,\"node_rpc_mtls_required\":true,\"latest_seq\":42}");
  assert_answer (&ready, "{\"protocol_version\":1,\"kind\":\"ready\",\"ok\":true,\"latest_seq\":3}");
  assert_answer (&reset, "{\"protocol_version\":1,\"kind\":\"reset\",\"ok\":true,\"latest_seq\":0}");
  assert_answer (&event, "{\"protocol_version\":1,\"kind\":\"event\",\"ok\":true,\"seq\":4,\"id\":\"" ID_B
                         "\",\"time_unix_ms\":1764075600001,\"type\":\"capability.dispatch\","
                         "\"data\":\"{\\\"input\\\":\\\"{\\\\\\\"a\\\\\\\":1}\\\"}\"}");
  assert_answer (&oversize, "{\"protocol_version\":1,\"kind\":\"event\",\"ok\":true,\"seq\":5,\"id\":\"" ID_B
                            "\",\"oversize\":true}");
  assert_answer (&gap, "{\"protocol_version\":1,\"kind\":\"gap\",\"ok\":true,\"seq\":9,\"id\":\"" ID_A "\"}");
  assert_answer (&ack, "{\"protocol_version\":1,\"kind\":\"ack\",\"ok\":true}");
  assert_answer (&result, "{\"protocol_version\":1,\"kind\":\"result_accepted\",\"ok\":true,\"request_id\":\"" ID_A
                          "\",\"duplicate\":true,\"unknown\":false}");
  assert_answer (&mismatch, "{\"protocol_version\":1,\"kind\":\"error\",\"ok\":false,\"error\":\"protocol_mismatch\","
                            "\"supported\":[1],\"message\":\"no\"}");
  assert_answer (&limited, "{\"protocol_version\":1,\"kind\":\"error\",\"ok\":false,\"error\":\"rate_limited\","
                           "\"reason\":\"resource_exhausted\",\"message\":\"slow\"}");
}

static void
test_answer_members (void)
{
  TlQuicAnswer event
      = { .kind = TL_QUIC_ANSWER_EVENT, .seq = 4, .id = ID_B, .time_ms = 11, .type = "t", .data = "\"\\" };
  g_autoptr (GBytes) frame = tl_quic_answer_format (&event);
  g_autoptr (TlQuicAnswer) parsed = parse_answer (frame);

  g_assert_cmpuint (parsed->seq, ==, 4);
  g_assert_cmpstr (parsed->id, ==, ID_B);
  g_assert_cmpint (parsed->time_ms, ==, 11);
  g_assert_cmpstr (parsed->type, ==, "t");
  g_assert_cmpstr (parsed->data, ==, "\"\\");
  g_assert_false (parsed->oversize);
  g_assert_cmpstr (parsed->gateway_id, ==, "");
}

/* The frame's limit counts after escaping. */
static void
test_oversize (void)
{
  TlQuicAnswer event = { .kind = TL_QUIC_ANSWER_EVENT, .seq = 4, .id = ID_B, .time_ms = 1, .type = "t", .data = "" };
  g_autoptr (GBytes) empty = tl_quic_answer_format (&event);
  gsize room = TL_QUIC_MAX_FRAME - g_bytes_get_size (empty);
  g_autofree char *fits = g_strnfill (room, 'x');
  g_autofree char *over = g_strnfill (room + 1, 'x');
  g_autofree char *escaped = g_strnfill (room / 2 + 1, '\n');
  g_autofree char *huge = g_strnfill (3 * TL_QUIC_MAX_FRAME, 'x');
  const char *const datas[] = { over, escaped, huge };
  g_autoptr (GBytes) largest = NULL;

  event.data = fits;
  largest = tl_quic_answer_format (&event);
  g_assert_cmpuint (g_bytes_get_size (largest), ==, TL_QUIC_MAX_FRAME);
  for (guint i = 0; i < G_N_ELEMENTS (datas); i++)
    {
      g_autoptr (GBytes) frame = NULL;

      event.data = datas[i];
      frame = tl_quic_answer_format (&event);
      assert_bytes (frame, "{\"protocol_version\":1,\"kind\":\"event\",\"ok\":true,\"seq\":4,\"id\":\"" ID_B
                           "\",\"oversize\":true}");
    }
}

static void
test_defects_of_ours (void)
{
  TlQuicAnswer latin = { .kind = TL_QUIC_ANSWER_EVENT, .seq = 4, .id = ID_B, .type = "t", .data = "caf\xe9" };
  TlQuicAnswer number = { .kind = TL_QUIC_ANSWER_READY, .latest_seq = (guint64)1 << 53 };
  const TlQuicAnswer *const rows[] = { &latin, &number };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GBytes) frame = tl_quic_answer_format (rows[i]);
      g_autoptr (TlQuicAnswer) parsed = parse_answer (frame);

      g_assert_cmpint (parsed->kind, ==, TL_QUIC_ANSWER_ERROR);
      g_assert_cmpstr (parsed->error, ==, "internal");
    }
}

static void
assert_refusal (TlQuicRefusal refusal, const GError *cause, const char *expected, int code)
{
  g_autoptr (GBytes) frame = tl_quic_answer_format_refusal (refusal, cause);
  g_autoptr (TlQuicAnswer) parsed = parse_answer (frame);
  g_autoptr (GError) error = tl_quic_answer_to_error (parsed);

  assert_bytes (frame, expected);
  g_assert_error (error, TL_ERROR, code);
}

static void
test_refusals (void)
{
  g_autoptr (GError) suspended = g_error_new_literal (TL_ERROR, TL_ERROR_SUSPENDED, "suspended");
  g_autoptr (GError) foreign = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, "caf\xe9");
  TlQuicAnswer newer = { .kind = TL_QUIC_ANSWER_ERROR, .error = "busy", .reason = "overheated", .message = "" };
  g_autoptr (GError) error = tl_quic_answer_to_error (&newer);

  assert_refusal (TL_QUIC_REFUSAL_PROTOCOL_MISMATCH, NULL,
                  "{\"protocol_version\":1,\"kind\":\"error\",\"ok\":false,\"error\":\"protocol_mismatch\","
                  "\"supported\":[1],\"message\":\"\"}",
                  TL_ERROR_UNSUPPORTED);
  assert_refusal (
      TL_QUIC_REFUSAL_INVALID_REQUEST, NULL,
      "{\"protocol_version\":1,\"kind\":\"error\",\"ok\":false,\"error\":\"invalid_request\",\"message\":\"\"}",
      TL_ERROR_INVALID_ARGUMENT);
  assert_refusal (TL_QUIC_REFUSAL_INTERNAL, suspended,
                  "{\"protocol_version\":1,\"kind\":\"error\",\"ok\":false,\"error\":\"internal\",\"reason\":"
                  "\"suspended\",\"message\":\"suspended\"}",
                  TL_ERROR_SUSPENDED);
  assert_refusal (TL_QUIC_REFUSAL_INTERNAL, foreign,
                  "{\"protocol_version\":1,\"kind\":\"error\",\"ok\":false,\"error\":\"internal\",\"reason\":"
                  "\"internal\",\"message\":\"caf\xef\xbf\xbd\"}",
                  TL_ERROR_INTERNAL);
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (error->message, "busy"));
}

/* A message is cut between characters. */
static void
test_long_message (void)
{
  g_autofree char *x = g_strnfill (1023, 'x');
  g_autofree char *text = g_strconcat (x, "\xc3\xa4\xc3\xa4", NULL);
  g_autoptr (GError) cause = g_error_new_literal (TL_ERROR, TL_ERROR_INTERNAL, text);
  g_autoptr (GBytes) frame = tl_quic_answer_format_refusal (TL_QUIC_REFUSAL_INTERNAL, cause);
  g_autoptr (TlQuicAnswer) parsed = parse_answer (frame);

  g_assert_cmpstr (parsed->message, ==, x);
}

#define ANSWER(kind) "{\"protocol_version\":1,\"ok\":true,\"kind\":\"" kind "\""

static void
test_answers_refused (void)
{
  static const char *const rows[] = {
    "",
    "[]",
    "{\"kind\":\"ack\",\"ok\":true}",
    "{\"protocol_version\":2,\"kind\":\"ack\",\"ok\":true}",
    "{\"protocol_version\":2,\"kind\":\"later\",\"ok\":true}",
    "{\"protocol_version\":1,\"ok\":true}",
    "{\"protocol_version\":1,\"kind\":\"ack\"}",
    "{\"protocol_version\":1,\"kind\":\"ack\",\"ok\":false}",
    "{\"protocol_version\":1,\"kind\":\"error\",\"ok\":true,\"error\":\"internal\"}",
    "{\"protocol_version\":1,\"kind\":\"error\",\"ok\":false}",
    ANSWER ("ack") ",\"ok\":true}",
    ANSWER ("health") ",\"gateway_id\":\"x\",\"server_time_unix_ms\":1,\"latest_seq\":1}",
    ANSWER ("health") ",\"gateway_id\":\"" ID_A "\",\"server_time_unix_ms\":-1,\"latest_seq\":1}",
    ANSWER ("health") ",\"gateway_id\":\"" ID_A "\",\"server_time_unix_ms\":1}",
    ANSWER ("ready") "}",
    ANSWER ("reset") ",\"latest_seq\":\"1\"}",
    ANSWER ("event") ",\"id\":\"" ID_A "\",\"time_unix_ms\":1,\"type\":\"t\",\"data\":\"\"}",
    ANSWER ("event") ",\"seq\":1,\"id\":\"\",\"time_unix_ms\":1,\"type\":\"t\",\"data\":\"\"}",
    ANSWER ("event") ",\"seq\":1,\"id\":\"" ID_A "\",\"type\":\"t\",\"data\":\"\"}",
    ANSWER ("event") ",\"seq\":1,\"id\":\"" ID_A "\",\"time_unix_ms\":1,\"data\":\"\"}",
    ANSWER ("event") ",\"seq\":1,\"id\":\"" ID_A "\",\"time_unix_ms\":1,\"type\":\"t\"}",
    ANSWER ("event") ",\"seq\":1,\"id\":\"" ID_A "\",\"oversize\":1}",
    ANSWER ("gap") ",\"seq\":1}",
    ANSWER ("result_accepted") ",\"request_id\":\"" ID_A "\",\"duplicate\":false}",
    ANSWER ("result_accepted") ",\"request_id\":\"\",\"duplicate\":false,\"unknown\":false}",
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean unknown;

      if (tl_quic_answer_parse ((const guint8 *)rows[i], strlen (rows[i]), &unknown, &error) != NULL)
        g_error ("accepted: %s", rows[i]);
      g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
      g_assert_false (unknown);
    }
}

static void
test_newer_gateways (void)
{
  static const char later[] = ANSWER ("later") ",\"x\":1}";
  static const char mismatch[]
      = "{\"protocol_version\":2,\"kind\":\"error\",\"ok\":false,\"error\":\"protocol_mismatch\",\"supported\":[2,3]}";
  g_autoptr (GError) error = NULL;
  g_autoptr (TlQuicAnswer) answer = NULL;
  gboolean unknown = FALSE;

  g_assert_null (tl_quic_answer_parse ((const guint8 *)later, strlen (later), &unknown, &error));
  g_assert_no_error (error);
  g_assert_true (unknown);
  answer = tl_quic_answer_parse ((const guint8 *)mismatch, strlen (mismatch), &unknown, &error);
  g_assert_no_error (error);
  g_assert_false (unknown);
  error = tl_quic_answer_to_error (answer);
  g_assert_error (error, TL_ERROR, TL_ERROR_UNSUPPORTED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quic-message/request/vectors", test_request_vectors);
  g_test_add_func ("/quic-message/request/result-vector", test_result_vector);
  g_test_add_func ("/quic-message/request/result-forms", test_result_forms);
  g_test_add_func ("/quic-message/request/refused", test_refused);
  g_test_add_func ("/quic-message/request/lengths", test_lengths);
  g_test_add_func ("/quic-message/request/depth-and-size", test_depth_and_size);
  g_test_add_func ("/quic-message/request/tolerated", test_tolerated);
  g_test_add_func ("/quic-message/request/plain-health", test_plain_health);
  g_test_add_func ("/quic-message/request/unformattable", test_unformattable);
  g_test_add_func ("/quic-message/answer/vectors", test_answer_vectors);
  g_test_add_func ("/quic-message/answer/members", test_answer_members);
  g_test_add_func ("/quic-message/answer/oversize", test_oversize);
  g_test_add_func ("/quic-message/answer/defects-of-ours", test_defects_of_ours);
  g_test_add_func ("/quic-message/answer/refusals", test_refusals);
  g_test_add_func ("/quic-message/answer/long-message", test_long_message);
  g_test_add_func ("/quic-message/answer/refused", test_answers_refused);
  g_test_add_func ("/quic-message/answer/newer-gateways", test_newer_gateways);
  return g_test_run ();
}
