/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "quic/tl-quic-message-private.h"
#include "quic/tl-quic-stream.h"

#define MAX_TYPE    64   /* bytes of an event's type */
#define MAX_MESSAGE 1024 /* bytes of an error's message; longer ones are cut */
#define FRAME_ROOM  192  /* what is fixed of an answer, and its ids */

static const char *const kinds[] = {
  [TL_QUIC_ANSWER_HEALTH] = "health",
  [TL_QUIC_ANSWER_READY] = "ready",
  [TL_QUIC_ANSWER_EVENT] = "event",
  [TL_QUIC_ANSWER_GAP] = "gap",
  [TL_QUIC_ANSWER_RESET] = "reset",
  [TL_QUIC_ANSWER_ACK] = "ack",
  [TL_QUIC_ANSWER_RESULT_ACCEPTED] = "result_accepted",
  [TL_QUIC_ANSWER_ERROR] = "error",
};

/* ---- answer -> frame ---- */

static void
write_event (TlJsonWriter *writer, const TlQuicAnswer *answer)
{
  tl_json_writer_uint (writer, "seq", answer->seq);
  tl_json_writer_string (writer, "id", answer->id);
  if (answer->oversize)
    tl_json_writer_bool (writer, "oversize", TRUE);
  else
    {
      tl_json_writer_int (writer, "time_unix_ms", answer->time_ms);
      tl_json_writer_string (writer, "type", answer->type);
      tl_json_writer_string (writer, "data", answer->data);
    }
}

static void
write_error (TlJsonWriter *writer, const TlQuicAnswer *answer)
{
  const char *word = answer->error != NULL ? answer->error : "internal";

  tl_json_writer_string (writer, "error", word);
  if (g_str_equal (word, tl_quic_refusal_to_string (TL_QUIC_REFUSAL_PROTOCOL_MISMATCH)))
    tl_json_writer_raw (writer, "supported", "[" G_STRINGIFY (TL_QUIC_PROTOCOL_VERSION) "]");
  if (answer->reason != NULL && answer->reason[0] != '\0')
    tl_json_writer_string (writer, "reason", answer->reason);
  tl_json_writer_string (writer, "message", answer->message);
}

static void
write_members (TlJsonWriter *writer, const TlQuicAnswer *answer)
{
  switch (answer->kind)
    {
    case TL_QUIC_ANSWER_HEALTH:
      tl_json_writer_string (writer, "gateway_id", answer->gateway_id);
      tl_json_writer_int (writer, "server_time_unix_ms", answer->server_time_ms);
      tl_json_writer_bool (writer, "node_rpc_mtls_required", TRUE);
      tl_json_writer_uint (writer, "latest_seq", answer->latest_seq);
      break;
    case TL_QUIC_ANSWER_READY:
    case TL_QUIC_ANSWER_RESET:
      tl_json_writer_uint (writer, "latest_seq", answer->latest_seq);
      break;
    case TL_QUIC_ANSWER_EVENT:
      write_event (writer, answer);
      break;
    case TL_QUIC_ANSWER_GAP:
      tl_json_writer_uint (writer, "seq", answer->seq);
      tl_json_writer_string (writer, "id", answer->id);
      break;
    case TL_QUIC_ANSWER_ACK:
      break;
    case TL_QUIC_ANSWER_RESULT_ACCEPTED:
      tl_json_writer_string (writer, "request_id", answer->request_id);
      tl_json_writer_bool (writer, "duplicate", answer->duplicate);
      tl_json_writer_bool (writer, "unknown", answer->unknown);
      break;
    case TL_QUIC_ANSWER_ERROR:
      write_error (writer, answer);
      break;
    }
}

/* NULL: something of it cannot be written. */
static GBytes *
format (const TlQuicAnswer *answer)
{
  TlJsonWriter writer;
  gsize size = FRAME_ROOM;

  if (answer->kind == TL_QUIC_ANSWER_EVENT && answer->data != NULL && !answer->oversize)
    size += strlen (answer->data) * 5 / 4;
  tl_json_writer_init (&writer, size);
  tl_json_writer_uint (&writer, "protocol_version", TL_QUIC_PROTOCOL_VERSION);
  tl_json_writer_string (&writer, "kind", kinds[answer->kind]);
  tl_json_writer_bool (&writer, "ok", answer->kind != TL_QUIC_ANSWER_ERROR);
  write_members (&writer, answer);
  return tl_json_writer_end (&writer);
}

/* Data that cannot fit is not escaped first. */
static gboolean
is_too_large (const TlQuicAnswer *answer)
{
  return answer->kind == TL_QUIC_ANSWER_EVENT && !answer->oversize && answer->data != NULL
         && strlen (answer->data) > TL_QUIC_MAX_FRAME;
}

GBytes *
tl_quic_answer_format (const TlQuicAnswer *answer)
{
  g_autoptr (GBytes) frame = is_too_large (answer) ? NULL : format (answer);

  if (answer->kind == TL_QUIC_ANSWER_EVENT && !answer->oversize
      && (is_too_large (answer) || (frame != NULL && g_bytes_get_size (frame) > TL_QUIC_MAX_FRAME)))
    {
      TlQuicAnswer oversize = { .kind = TL_QUIC_ANSWER_EVENT, .seq = answer->seq, .id = answer->id, .oversize = TRUE };

      g_clear_pointer (&frame, g_bytes_unref);
      frame = format (&oversize);
    }
  if (frame == NULL || g_bytes_get_size (frame) > TL_QUIC_MAX_FRAME)
    {
      TlQuicAnswer internal = { .kind = TL_QUIC_ANSWER_ERROR,
                                .error = tl_quic_refusal_to_string (TL_QUIC_REFUSAL_INTERNAL),
                                .message = "the answer cannot be written" };

      return format (&internal);
    }
  return g_steal_pointer (&frame);
}

/* People's text: UTF-8, and no longer than a line needs. */
static char *
message_text (const GError *error)
{
  char *text = g_utf8_make_valid (error != NULL ? error->message : "", -1);

  if (strlen (text) > MAX_MESSAGE)
    *g_utf8_find_prev_char (text, text + MAX_MESSAGE + 1) = '\0';
  return text;
}

GBytes *
tl_quic_answer_format_refusal (TlQuicRefusal refusal, const GError *error)
{
  g_autofree char *message = message_text (error);
  TlQuicAnswer answer = { .kind = TL_QUIC_ANSWER_ERROR,
                          .error = tl_quic_refusal_to_string (refusal),
                          .reason = error != NULL ? tl_error_to_reason (error) : "",
                          .message = message };

  return tl_quic_answer_format (&answer);
}

/* ---- frame -> answer ---- */

static gboolean
take_event (TlQuicAnswer *answer, GError **error)
{
  const json_t *object = answer->json;

  if (!tl_quic_message_uint (object, "seq", TRUE, &answer->seq, error)
      || !tl_quic_message_ulid (object, "id", &answer->id, error)
      || !tl_quic_message_bool (object, "oversize", FALSE, &answer->oversize, error))
    return FALSE;
  if (answer->oversize)
    return TRUE;
  return tl_quic_message_time (object, "time_unix_ms", &answer->time_ms, error)
         && tl_quic_message_text (object, "type", TRUE, MAX_TYPE, &answer->type, error)
         && tl_quic_message_text (object, "data", TRUE, TL_QUIC_MAX_FRAME, &answer->data, error);
}

static gboolean
take_members (TlQuicAnswer *answer, GError **error)
{
  const json_t *object = answer->json;

  switch (answer->kind)
    {
    case TL_QUIC_ANSWER_HEALTH:
      return tl_quic_message_ulid (object, "gateway_id", &answer->gateway_id, error)
             && tl_quic_message_time (object, "server_time_unix_ms", &answer->server_time_ms, error)
             && tl_quic_message_uint (object, "latest_seq", TRUE, &answer->latest_seq, error);
    case TL_QUIC_ANSWER_READY:
    case TL_QUIC_ANSWER_RESET:
      return tl_quic_message_uint (object, "latest_seq", TRUE, &answer->latest_seq, error);
    case TL_QUIC_ANSWER_EVENT:
      return take_event (answer, error);
    case TL_QUIC_ANSWER_GAP:
      return tl_quic_message_cursor (object, "seq", "id", &answer->seq, &answer->id, error);
    case TL_QUIC_ANSWER_ACK:
      return TRUE;
    case TL_QUIC_ANSWER_RESULT_ACCEPTED:
      return tl_quic_message_ulid (object, "request_id", &answer->request_id, error)
             && tl_quic_message_bool (object, "duplicate", TRUE, &answer->duplicate, error)
             && tl_quic_message_bool (object, "unknown", TRUE, &answer->unknown, error);
    case TL_QUIC_ANSWER_ERROR:
      return tl_quic_message_text (object, "error", TRUE, TL_QUIC_MAX_FRAME, &answer->error, error)
             && tl_quic_message_text (object, "reason", FALSE, TL_QUIC_MAX_FRAME, &answer->reason, error)
             && tl_quic_message_text (object, "message", FALSE, TL_QUIC_MAX_FRAME, &answer->message, error);
    }
  g_assert_not_reached ();
}

/* A gateway of another version can still say that it is one. */
static gboolean
take_envelope (TlQuicAnswer *answer, gboolean *unknown_kind, GError **error)
{
  const char *kind;
  gint64 version;
  gboolean ok;

  if (!tl_json_get_int (answer->json, "protocol_version", TRUE, -TL_JSON_MAX_INTEGER, TL_JSON_MAX_INTEGER, 0, &version,
                        error)
      || !tl_json_get_string (answer->json, "kind", TRUE, &kind, error)
      || !tl_quic_message_bool (answer->json, "ok", TRUE, &ok, error))
    return FALSE;
  *unknown_kind = TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (g_str_equal (kinds[i], kind))
      {
        answer->kind = (TlQuicAnswerKind)i;
        *unknown_kind = FALSE;
      }
  if (version != TL_QUIC_PROTOCOL_VERSION && (*unknown_kind || answer->kind != TL_QUIC_ANSWER_ERROR))
    {
      *unknown_kind = FALSE;
      g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL, "an answer of protocol version %" G_GINT64_FORMAT, version);
      return FALSE;
    }
  if (*unknown_kind)
    return FALSE;
  if (ok == (answer->kind == TL_QUIC_ANSWER_ERROR))
    g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, "member 'ok' contradicts 'kind'");
  return ok != (answer->kind == TL_QUIC_ANSWER_ERROR);
}

/* Whatever is wrong with it, it is the gateway that broke the protocol. */
static void
blame_peer (GError **error, GError *cause)
{
  if (cause != NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL, "the gateway's answer is malformed: %s", cause->message);
}

TlQuicAnswer *
tl_quic_answer_parse (const guint8 *data, gsize length, gboolean *unknown_kind, GError **error)
{
  g_autoptr (TlQuicAnswer) answer = g_new0 (TlQuicAnswer, 1);
  g_autoptr (GError) cause = NULL;

  *unknown_kind = FALSE;
  answer->gateway_id = answer->id = answer->type = answer->data = answer->request_id = "";
  answer->error = answer->reason = answer->message = "";
  answer->json = tl_quic_message_parse (data, length, &cause);
  if (answer->json != NULL && take_envelope (answer, unknown_kind, &cause) && take_members (answer, &cause))
    return g_steal_pointer (&answer);
  blame_peer (error, cause);
  return NULL;
}

void
tl_quic_answer_free (TlQuicAnswer *answer)
{
  if (answer == NULL)
    return;
  json_decref (answer->json);
  g_free (answer);
}

GError *
tl_quic_answer_to_error (const TlQuicAnswer *answer)
{
  static const TlErrorCode codes[] = {
    [TL_QUIC_REFUSAL_INVALID_REQUEST] = TL_ERROR_INVALID_ARGUMENT,
    [TL_QUIC_REFUSAL_PROTOCOL_MISMATCH] = TL_ERROR_UNSUPPORTED,
    [TL_QUIC_REFUSAL_UNSUPPORTED_METHOD] = TL_ERROR_UNSUPPORTED,
    [TL_QUIC_REFUSAL_FRAME_TOO_LARGE] = TL_ERROR_RESOURCE_EXHAUSTED,
    [TL_QUIC_REFUSAL_RATE_LIMITED] = TL_ERROR_RESOURCE_EXHAUSTED,
    [TL_QUIC_REFUSAL_INTERNAL] = TL_ERROR_INTERNAL,
  };
  TlErrorCode code = TL_ERROR_PROTOCOL; /* a word of a newer gateway's */
  const char *text = answer->message[0] != '\0' ? answer->message : answer->error;

  for (guint i = 0; i < G_N_ELEMENTS (codes); i++)
    if (g_str_equal (answer->error, tl_quic_refusal_to_string ((TlQuicRefusal)i)))
      code = codes[i];
  tl_error_code_from_reason (answer->reason, &code); /* a reason that is not known leaves the word's */
  return g_error_new (TL_ERROR, code, "the gateway says: %s", text);
}
