/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-gateway-link-quic-private.h"

#include "agent/node/tl-submission-message.h"
#include "base/tl-error.h"
#include "base/tl-json.h"
#include "base/tl-log.h"

#define SUBMIT_DEADLINE_MS 30000
#define MAX_EVENT          (64u * 1024u) /* bytes of a node event looked into */
#define ACK_LANE           "ack"

/* ---- node events ----------------------------------------------------------------------------------------------- */

static void
on_told (const TlQuicAnswer *answer, const GError *error, gpointer user_data)
{
  (void)answer, (void)user_data;
  if (error != NULL)
    tl_log_error (TL_LOG_DEBUG, "a node event or an acknowledgement was not taken", error);
}

/* Events of one request arrive in their order, others beside them. */
static char *
lane_of (const char *data)
{
  tl_json_auto object = tl_json_parse (data, -1, MAX_EVENT, NULL);
  const char *request_id = NULL;

  if (object == NULL || !tl_json_get_string (object, "request_id", FALSE, &request_id, NULL) || request_id == NULL)
    return g_strdup ("event");
  return g_strconcat ("event ", request_id, NULL);
}

void
tl_quic_link_send_event (TlGatewayLink *base, const char *type, const char *data)
{
  TlQuicLink *link = (TlQuicLink *)base;
  TlQuicRequest request = { .method = TL_QUIC_METHOD_EVENT, .type = type, .data = data };
  g_autofree char *lane = NULL;
  g_autoptr (GError) error = NULL;
  GBytes *frame;

  if (link->state != TL_QUIC_LINK_OPEN)
    return;
  frame = tl_quic_request_format (&request, &error);
  if (frame == NULL)
    {
      tl_log_error (TL_LOG_WARNING, "a node event cannot be sent", error);
      return;
    }
  lane = lane_of (data);
  tl_quic_requests_send (link->requests, frame, lane, on_told, NULL, NULL);
}

void
tl_quic_link_acknowledge (TlGatewayLink *base, guint64 seq, const char *event_id)
{
  TlQuicLink *link = (TlQuicLink *)base;
  TlQuicRequest request = { .method = TL_QUIC_METHOD_ACK_EVENTS, .seq = seq, .id = event_id };
  GBytes *frame;

  if (link->state != TL_QUIC_LINK_OPEN)
    return;
  frame = tl_quic_request_format (&request, NULL);
  if (frame != NULL)
    tl_quic_requests_send (link->requests, frame, ACK_LANE, on_told, NULL, NULL);
}

/* ---- results --------------------------------------------------------------------------------------------------- */

typedef struct
{
  TlQuicLink *link;
  char *request_id;
  TlSubmitFunc func;
  gpointer user_data;
} Submit;

static void
submit_free (gpointer data)
{
  Submit *submit = data;

  tl_quic_link_unref (submit->link);
  g_free (submit->request_id);
  g_free (submit);
}

static Submit *
submit_new (TlQuicLink *link, const TlSubmission *submission, TlSubmitFunc func, gpointer user_data)
{
  Submit *submit = g_new0 (Submit, 1);

  submit->link = tl_quic_link_ref (link);
  submit->request_id = g_strdup (submission->request_id);
  submit->func = func;
  submit->user_data = user_data;
  return submit;
}

static void
tell (Submit *submit, gboolean unknown, gboolean duplicate, const GError *error)
{
  TlSubmitOutcome outcome = unknown ? TL_SUBMIT_UNKNOWN : duplicate ? TL_SUBMIT_DUPLICATE : TL_SUBMIT_ACCEPTED;

  if (submit->link->state != TL_QUIC_LINK_CLOSED)
    submit->func (&submit->link->base, submit->request_id, outcome, error, submit->user_data);
}

static void
on_accepted (const TlQuicAnswer *answer, const GError *error, gpointer user_data)
{
  g_autoptr (GError) problem = NULL;

  if (answer != NULL && answer->kind != TL_QUIC_ANSWER_RESULT_ACCEPTED)
    {
      problem = g_error_new_literal (TL_ERROR, TL_ERROR_PROTOCOL, "the gateway answers a result with something else");
      error = problem;
    }
  tell (user_data, error == NULL && answer->unknown, error == NULL && answer->duplicate, error);
}

static void
on_submitted (const ProtobufCMessage *message, const GError *error, gpointer user_data)
{
  const Twinlatch__V1__SubmitCapabilityResultResponse *answer = (gconstpointer)message;

  tell (user_data, answer != NULL && answer->unknown, answer != NULL && answer->duplicate, error);
}

static void
submit_one (TlQuicLink *link, const TlSubmission *submission, TlSubmitFunc func, gpointer user_data)
{
  TlQuicRequest request = { .method = TL_QUIC_METHOD_SUBMIT_RESULT };
  Submit *submit = submit_new (link, submission, func, user_data);
  GBytes *frame;

  tl_submission_to_message (submission, "", &request.result, &request.receipt);
  frame = tl_quic_request_format (&request, NULL);
  if (frame != NULL)
    {
      tl_quic_requests_send (link->requests, frame, NULL, on_accepted, submit, submit_free);
      return;
    }
  /* Too large for a frame, or bytes that JSON cannot carry. */
  request.result.device_id = (char *)tl_device_identity_device_id (link->with.rpc.identity);
  tl_node_calls_start (link->calls, TL_NODE_SERVICE "SubmitCapabilityResult", &request.result.base,
                       &twinlatch__v1__submit_capability_result_response__descriptor, SUBMIT_DEADLINE_MS, on_submitted,
                       submit, submit_free);
}

void
tl_quic_link_submit (TlGatewayLink *base, const TlSubmission *submissions, guint n, TlSubmitFunc func,
                     gpointer user_data)
{
  TlQuicLink *link = (TlQuicLink *)base;

  for (guint i = 0; i < n && link->requests != NULL; i++)
    submit_one (link, &submissions[i], func, user_data);
}
