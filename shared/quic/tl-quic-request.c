/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "identity/tl-receipt.h"
#include "quic/tl-quic-message-private.h"
#include "quic/tl-quic-stream.h"

/* Bytes; the same as over gRPC (daemon/tl-node-registry.h, tl-node-service.h, tl-dispatcher-result.c). */
#define MAX_TYPE         64
#define MAX_EVENT_DATA   (64u * 1024u)
#define MAX_ERROR        1024
#define MAX_REASON       64
#define MAX_WORD         32 /* alg, decision, by */
#define MAX_REQUESTED_BY 128

typedef Twinlatch__V1__SubmitCapabilityResultRequest Result;

/* ---- what there is ---- */

typedef gboolean (*TakeFunc) (TlQuicRequest *request, GError **error);
typedef void (*WriteFunc) (TlJsonWriter *writer, const TlQuicRequest *request);

static gboolean take_nothing (TlQuicRequest *request, GError **error);
static gboolean take_stream_events (TlQuicRequest *request, GError **error);
static gboolean take_ack (TlQuicRequest *request, GError **error);
static gboolean take_result (TlQuicRequest *request, GError **error);
static gboolean take_event (TlQuicRequest *request, GError **error);
static void write_nothing (TlJsonWriter *writer, const TlQuicRequest *request);
static void write_stream_events (TlJsonWriter *writer, const TlQuicRequest *request);
static void write_ack (TlJsonWriter *writer, const TlQuicRequest *request);
static void write_result (TlJsonWriter *writer, const TlQuicRequest *request);
static void write_event (TlJsonWriter *writer, const TlQuicRequest *request);

static const struct
{
  const char *name;
  TakeFunc take;
  WriteFunc write;
} methods[] = {
  [TL_QUIC_METHOD_HEALTH] = { "node.health", take_nothing, write_nothing },
  [TL_QUIC_METHOD_STREAM_EVENTS] = { "node.stream_events", take_stream_events, write_stream_events },
  [TL_QUIC_METHOD_ACK_EVENTS] = { "node.ack_events", take_ack, write_ack },
  [TL_QUIC_METHOD_SUBMIT_RESULT] = { "node.submit_result", take_result, write_result },
  [TL_QUIC_METHOD_EVENT] = { "node.event", take_event, write_event },
};

static const struct
{
  const char *word;
  Twinlatch__V1__RequestState state;
} states[] = {
  { "succeeded", TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_SUCCEEDED },
  { "failed", TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_FAILED },
  { "denied", TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_DENIED },
  { "timed_out", TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_TIMED_OUT },
  { "cancelled", TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_CANCELLED },
};

/* ---- frame -> request ---- */

static gboolean
take_nothing (TlQuicRequest *request, GError **error)
{
  return TRUE;
}

static gboolean
take_stream_events (TlQuicRequest *request, GError **error)
{
  return tl_quic_message_cursor (request->json, "resume_from", "resume_id", &request->resume_from, &request->resume_id,
                                 error)
         && tl_quic_message_ulid (request->json, "instance_id", &request->instance_id, error);
}

static gboolean
take_ack (TlQuicRequest *request, GError **error)
{
  return tl_quic_message_cursor (request->json, "seq", "id", &request->seq, &request->id, error);
}

static gboolean
take_event (TlQuicRequest *request, GError **error)
{
  if (!tl_quic_message_text (request->json, "type", TRUE, MAX_TYPE, &request->type, error)
      || !tl_quic_message_text (request->json, "data", FALSE, MAX_EVENT_DATA, &request->data, error))
    return FALSE;
  if (request->type[0] == '\0')
    g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "member 'type' is empty");
  return request->type[0] != '\0';
}

/* Absent: not said. One that contradicts `success` is malformed. */
static gboolean
take_state (Result *result, const json_t *object, GError **error)
{
  const char *word;

  if (!tl_json_get_string (object, "state", FALSE, &word, error))
    return FALSE;
  if (word == NULL)
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (states); i++)
    if (g_str_equal (states[i].word, word))
      result->state = states[i].state;
  if (result->state != TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_UNSPECIFIED
      && !result->success == (result->state != TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_SUCCEEDED))
    return TRUE;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                       "member 'state' is not a state in which such a result can end");
  return FALSE;
}

static gboolean
take_text (const json_t *object, const char *member, gsize max, char **value, GError **error)
{
  const char *text;

  if (!tl_quic_message_text (object, member, FALSE, max, &text, error))
    return FALSE;
  *value = (char *)text;
  return TRUE;
}

static gboolean
take_receipt (Twinlatch__V1__Receipt *receipt, const json_t *object, guint8 **bytes, gsize *left, GError **error)
{
  return take_text (object, "alg", MAX_WORD, &receipt->alg, error)
         && take_text (object, "decision", MAX_WORD, &receipt->decision, error)
         && take_text (object, "by", MAX_WORD, &receipt->by, error)
         && tl_quic_message_time (object, "time_unix_ms", &receipt->time_unix_ms, error)
         && take_text (object, "requested_by", MAX_REQUESTED_BY, &receipt->requested_by, error)
         && tl_quic_message_time (object, "expires_at_unix_ms", &receipt->expires_at_unix_ms, error)
         && tl_quic_message_bytes (object, "input_sha256", 0, TL_SHA256_LENGTH, bytes, left, &receipt->input_sha256,
                                   error)
         && tl_quic_message_bytes (object, "signature", 0, TL_SIGNATURE_LENGTH, bytes, left, &receipt->signature,
                                   error);
}

/* Without one the result is refused where its refusal is journalled. */
static gboolean
take_optional_receipt (TlQuicRequest *request, guint8 **bytes, gsize *left, GError **error)
{
  const json_t *object = json_object_get (request->json, "receipt");

  if (object == NULL || json_is_null (object))
    return TRUE;
  if (!json_is_object (object))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "member 'receipt' must be an object");
      return FALSE;
    }
  twinlatch__v1__receipt__init (&request->receipt);
  request->result.receipt = &request->receipt;
  if (take_receipt (&request->receipt, object, bytes, left, error))
    return TRUE;
  g_prefix_error (error, "receipt: ");
  return FALSE;
}

static gboolean
take_result (TlQuicRequest *request, GError **error)
{
  Result *result = &request->result;
  const json_t *object = request->json;
  guint8 *bytes = request->bytes;
  gsize left = sizeof request->bytes;
  const char *request_id;
  gboolean success;

  if (!tl_quic_message_ulid (object, "request_id", &request_id, error)
      || !tl_quic_message_bool (object, "success", TRUE, &success, error))
    return FALSE;
  result->request_id = (char *)request_id;
  result->success = success;
  return take_state (result, object, error) && take_text (object, "output", TL_QUIC_MAX_FRAME, &result->output, error)
         && take_text (object, "error", MAX_ERROR, &result->error, error)
         && take_text (object, "error_reason", MAX_REASON, &result->error_reason, error)
         && take_optional_receipt (request, &bytes, &left, error)
         && tl_quic_message_bytes (object, "output_sha256", 0, TL_SHA256_LENGTH, &bytes, &left, &result->output_sha256,
                                   error)
         && tl_quic_message_bytes (object, "result_signature", 0, TL_SIGNATURE_LENGTH, &bytes, &left,
                                   &result->result_signature, error)
         && tl_quic_message_bytes (object, "result_proof", TL_RESULT_TREE_STEP, TL_RESULT_TREE_MAX_PROOF, &bytes, &left,
                                   &result->result_proof, error);
}

/* The version first (PROTOCOL 5): what else a frame of another version holds is not ours to judge. */
static gboolean
take_envelope (TlQuicRequest *request, TlQuicRefusal *refusal, GError **error)
{
  const char *name;
  gint64 version;

  *refusal = TL_QUIC_REFUSAL_INVALID_REQUEST;
  if (!tl_json_get_int (request->json, "protocol_version", TRUE, -TL_JSON_MAX_INTEGER, TL_JSON_MAX_INTEGER, 0, &version,
                        error))
    return FALSE;
  if (version != TL_QUIC_PROTOCOL_VERSION)
    {
      *refusal = TL_QUIC_REFUSAL_PROTOCOL_MISMATCH;
      g_set_error (error, TL_ERROR, TL_ERROR_UNSUPPORTED,
                   "protocol version %" G_GINT64_FORMAT " is not supported, %d is", version, TL_QUIC_PROTOCOL_VERSION);
      return FALSE;
    }
  if (!tl_json_get_string (request->json, "method", TRUE, &name, error))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (methods); i++)
    if (g_str_equal (methods[i].name, name))
      {
        request->method = (TlQuicMethod)i;
        return TRUE;
      }
  *refusal = TL_QUIC_REFUSAL_UNSUPPORTED_METHOD;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_UNSUPPORTED, "there is no such method");
  return FALSE;
}

/* json: taken over. A node.health, until something else is read. */
static TlQuicRequest *
request_new (json_t *json)
{
  TlQuicRequest *request = g_new (TlQuicRequest, 1);

  memset (request, 0, G_STRUCT_OFFSET (TlQuicRequest, bytes)); /* the bytes are written before they are read */
  request->json = json;
  request->resume_id = request->instance_id = request->id = request->type = request->data = "";
  twinlatch__v1__submit_capability_result_request__init (&request->result);
  return request;
}

TlQuicRequest *
tl_quic_request_parse (const guint8 *data, gsize length, TlQuicRefusal *refusal, GError **error)
{
  g_autoptr (TlQuicRequest) request = NULL;
  tl_json_auto json = NULL;

  if (length > TL_QUIC_MAX_FRAME)
    {
      *refusal = TL_QUIC_REFUSAL_FRAME_TOO_LARGE;
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "a frame has at most %u bytes", TL_QUIC_MAX_FRAME);
      return NULL;
    }
  *refusal = TL_QUIC_REFUSAL_INVALID_REQUEST;
  if (tl_quic_request_is_plain_health (data, length))
    return request_new (NULL);
  json = tl_quic_message_parse (data, length, error);
  if (json == NULL)
    return NULL;
  request = request_new (g_steal_pointer (&json));
  if (!take_envelope (request, refusal, error) || !methods[request->method].take (request, error))
    return NULL;
  return g_steal_pointer (&request);
}

void
tl_quic_request_free (TlQuicRequest *request)
{
  if (request == NULL)
    return;
  json_decref (request->json);
  g_free (request);
}

/* ---- request -> frame ---- */

static void
write_nothing (TlJsonWriter *writer, const TlQuicRequest *request)
{
}

static void
write_stream_events (TlJsonWriter *writer, const TlQuicRequest *request)
{
  tl_json_writer_uint (writer, "resume_from", request->resume_from);
  tl_json_writer_string (writer, "resume_id", request->resume_id);
  tl_json_writer_string (writer, "instance_id", request->instance_id);
}

static void
write_ack (TlJsonWriter *writer, const TlQuicRequest *request)
{
  tl_json_writer_uint (writer, "seq", request->seq);
  tl_json_writer_string (writer, "id", request->id);
}

static void
write_event (TlJsonWriter *writer, const TlQuicRequest *request)
{
  tl_json_writer_string (writer, "type", request->type);
  tl_json_writer_string (writer, "data", request->data);
}

static void
write_bytes (TlJsonWriter *writer, const char *name, const ProtobufCBinaryData *value)
{
  if (value->len > 0)
    tl_json_writer_bytes (writer, name, value->data, value->len);
}

static void
write_receipt (TlJsonWriter *writer, const Twinlatch__V1__Receipt *receipt)
{
  tl_json_writer_open (writer, "receipt");
  tl_json_writer_string (writer, "alg", receipt->alg);
  tl_json_writer_string (writer, "decision", receipt->decision);
  tl_json_writer_string (writer, "by", receipt->by);
  tl_json_writer_int (writer, "time_unix_ms", receipt->time_unix_ms);
  tl_json_writer_string (writer, "requested_by", receipt->requested_by);
  tl_json_writer_int (writer, "expires_at_unix_ms", receipt->expires_at_unix_ms);
  write_bytes (writer, "input_sha256", &receipt->input_sha256);
  write_bytes (writer, "signature", &receipt->signature);
  tl_json_writer_close (writer);
}

static void
write_result (TlJsonWriter *writer, const TlQuicRequest *request)
{
  const Result *result = &request->result;

  tl_json_writer_string (writer, "request_id", result->request_id);
  tl_json_writer_bool (writer, "success", result->success != 0);
  for (gsize i = 0; i < G_N_ELEMENTS (states); i++)
    if (states[i].state == result->state)
      tl_json_writer_string (writer, "state", states[i].word);
  tl_json_writer_string (writer, "output", result->output);
  tl_json_writer_string (writer, "error", result->error);
  tl_json_writer_string (writer, "error_reason", result->error_reason);
  if (result->receipt != NULL)
    write_receipt (writer, result->receipt);
  write_bytes (writer, "output_sha256", &result->output_sha256);
  write_bytes (writer, "result_signature", &result->result_signature);
  write_bytes (writer, "result_proof", &result->result_proof);
}

/* What is fixed of a request, and room for the ids. */
#define FRAME_ROOM 256
/* Receipt and signatures of a result, in base64url with their names. */
#define RESULT_ROOM 1024

GBytes *
tl_quic_request_format (const TlQuicRequest *request, GError **error)
{
  g_autoptr (GBytes) frame = NULL;
  TlJsonWriter writer;
  gsize size = FRAME_ROOM;

  if (request->method == TL_QUIC_METHOD_SUBMIT_RESULT)
    size = RESULT_ROOM + strlen (request->result.output) * 5 / 4;
  tl_json_writer_init (&writer, size);
  tl_json_writer_uint (&writer, "protocol_version", TL_QUIC_PROTOCOL_VERSION);
  tl_json_writer_string (&writer, "method", methods[request->method].name);
  methods[request->method].write (&writer, request);
  frame = tl_json_writer_end (&writer);
  if (frame == NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s: a text is not UTF-8 or a number beyond 2^53",
                 methods[request->method].name);
  else if (g_bytes_get_size (frame) > TL_QUIC_MAX_FRAME)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "%s: %" G_GSIZE_FORMAT " bytes do not fit a frame, the limit is %u", methods[request->method].name,
                   g_bytes_get_size (frame), TL_QUIC_MAX_FRAME);
      return NULL;
    }
  return g_steal_pointer (&frame);
}
