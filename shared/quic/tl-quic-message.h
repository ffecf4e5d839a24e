/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-json.h"
#include "twinlatch/v1/node.pb-c.h"

G_BEGIN_DECLS

/*
 * What is inside a frame (PROTOCOL 5): JSON requests of the device, JSON answers of the gateway, both ways, pure. Bytes
 * of a result and of a receipt (hashes, signatures) are base64url without padding; times are ..._unix_ms; `input`,
 * `output` and an event's `data` are strings that hold JSON, verbatim. Members that are not known are ignored; one
 * that is known and malformed is `invalid_request`, and the error names it. Thread: any.
 */
#define TL_QUIC_PROTOCOL_VERSION 1

typedef enum
{
  TL_QUIC_METHOD_HEALTH,        /* node.health */
  TL_QUIC_METHOD_STREAM_EVENTS, /* node.stream_events */
  TL_QUIC_METHOD_ACK_EVENTS,    /* node.ack_events */
  TL_QUIC_METHOD_SUBMIT_RESULT, /* node.submit_result */
  TL_QUIC_METHOD_EVENT,         /* node.event */
} TlQuicMethod;

/* PROTOCOL 5, Errors. */
typedef enum
{
  TL_QUIC_REFUSAL_INVALID_REQUEST,
  TL_QUIC_REFUSAL_PROTOCOL_MISMATCH, /* + supported */
  TL_QUIC_REFUSAL_UNSUPPORTED_METHOD,
  TL_QUIC_REFUSAL_FRAME_TOO_LARGE,
  TL_QUIC_REFUSAL_RATE_LIMITED,
  TL_QUIC_REFUSAL_INTERNAL,
} TlQuicRefusal;
const char *tl_quic_refusal_to_string (TlQuicRefusal refusal); /* "invalid_request"; static */

/* ---- requests ---- */

typedef struct
{
  TlQuicMethod method;
  /* stream_events */
  guint64 resume_from;     /* 0: from the start */
  const char *resume_id;   /* event id at resume_from; "" with 0 */
  const char *instance_id; /* ULID */
  /* ack_events */
  guint64 seq;
  const char *id;
  /* event */
  const char *type, *data;
  /* submit_result; device_id is "": the connection says it */
  Twinlatch__V1__SubmitCapabilityResultRequest result;
  Twinlatch__V1__Receipt receipt;

  json_t *json;      /* owns the strings above; NULL: it has none */
  guint8 bytes[640]; /* and this the bytes of the result */
} TlQuicRequest;

/* Frame -> request, free with tl_quic_request_free(). NULL: *refusal, and *error (INVALID_ARGUMENT, UNSUPPORTED) in
 * words. */
TlQuicRequest *tl_quic_request_parse (const guint8 *data, gsize length, TlQuicRefusal *refusal, GError **error);
void tl_quic_request_free (TlQuicRequest *request);
/* Request -> frame; `json` is not looked at. INVALID_ARGUMENT when it does not fit a frame or is not UTF-8. */
GBytes *tl_quic_request_format (const TlQuicRequest *request, GError **error);

/* ---- answers ---- */

typedef enum
{
  TL_QUIC_ANSWER_HEALTH,          /* health */
  TL_QUIC_ANSWER_READY,           /* ready: the stream is open; after reset or gap, before events */
  TL_QUIC_ANSWER_EVENT,           /* event */
  TL_QUIC_ANSWER_GAP,             /* gap */
  TL_QUIC_ANSWER_RESET,           /* reset */
  TL_QUIC_ANSWER_ACK,             /* ack */
  TL_QUIC_ANSWER_RESULT_ACCEPTED, /* result_accepted */
  TL_QUIC_ANSWER_ERROR,           /* error */
} TlQuicAnswerKind;

typedef struct
{
  TlQuicAnswerKind kind;
  /* health */
  const char *gateway_id;
  gint64 server_time_ms;
  /* health, ready, reset */
  guint64 latest_seq;
  /* event; gap: the oldest retained */
  guint64 seq;
  const char *id;
  gint64 time_ms;
  const char *type, *data; /* "" when oversize */
  gboolean oversize;       /* too large for a frame: fetch it (FetchEvent) */
  /* result_accepted */
  const char *request_id;
  gboolean duplicate, unknown;
  /* error: `error` is the refusal's word; reason: a stable reason of TlError ("" : none), message for people */
  const char *error, *reason, *message;

  json_t *json; /* owns the strings of a parsed one; NULL in one that is to be formatted */
} TlQuicAnswer;

/* Answer -> frame. An event that does not fit becomes {seq, id, oversize}. Never NULL: strings that are no UTF-8 are a
 * defect of the caller's and come out as an `internal` error. */
GBytes *tl_quic_answer_format (const TlQuicAnswer *answer);
/* What a refusal and its error look like. error may be NULL. */
GBytes *tl_quic_answer_format_refusal (TlQuicRefusal refusal, const GError *error);
/* Frame -> answer; tl_quic_answer_free(). TL_ERROR_PROTOCOL. A kind that is not known: *unknown_kind TRUE and NULL, no
 * error. */
TlQuicAnswer *tl_quic_answer_parse (const guint8 *data, gsize length, gboolean *unknown_kind, GError **error);
void tl_quic_answer_free (TlQuicAnswer *answer);
/* An `error` answer as an error for people: reason decides, else the word. */
GError *tl_quic_answer_to_error (const TlQuicAnswer *answer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicRequest, tl_quic_request_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicAnswer, tl_quic_answer_free)

G_END_DECLS
