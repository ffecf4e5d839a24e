/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/node/tl-gateway-link-grpc-private.h"
#include "agent/node/tl-submission-message.h"
#include "base/tl-error.h"

#define SUBMIT_DEADLINE_MS 30000
/* What goes by the stream: 64 of them, with receipts and proofs, stay below the 320 KiB that a gateway takes. */
#define MAX_STREAM_RESULTS 64
#define MAX_STREAM_RESULT  (3u * 1024u)

typedef Twinlatch__V1__SubmitCapabilityResultRequest ResultMessage;

/* ---- one by one, by calls of their own ---- */

typedef struct
{
  TlGrpcLink *link;
  char *request_id;
  TlSubmitFunc func;
  gpointer user_data;
} Submit;

static void
on_submitted (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Submit *submit = user_data;
  g_autoptr (TlGrpcLink) link = submit->link;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *message = tl_rpc_client_call_finish (link->client, result, &error);
  TlSubmitOutcome outcome = TL_SUBMIT_ACCEPTED;

  (void)source;
  if (message != NULL)
    {
      const Twinlatch__V1__SubmitCapabilityResultResponse *answer = (gpointer)message;

      outcome = answer->unknown ? TL_SUBMIT_UNKNOWN : answer->duplicate ? TL_SUBMIT_DUPLICATE : TL_SUBMIT_ACCEPTED;
      protobuf_c_message_free_unpacked (message, NULL);
    }
  if (link->state != LINK_CLOSED)
    submit->func (&link->base, submit->request_id, outcome, error, submit->user_data);
  g_free (submit->request_id);
  g_free (submit);
}

static void
submit_alone (TlGrpcLink *link, const TlSubmission *submission, TlSubmitFunc func, gpointer user_data)
{
  Twinlatch__V1__Receipt receipt;
  ResultMessage message;
  Submit *submit = g_new0 (Submit, 1);

  tl_submission_to_message (submission, tl_device_identity_device_id (link->with.rpc.identity), &message, &receipt);
  submit->link = tl_grpc_link_ref (link);
  submit->request_id = g_strdup (submission->request_id);
  submit->func = func;
  submit->user_data = user_data;
  tl_rpc_client_call_async (link->client, TL_NODE_SERVICE "SubmitCapabilityResult", &message.base,
                            &twinlatch__v1__submit_capability_result_response__descriptor, SUBMIT_DEADLINE_MS,
                            link->cancellable, on_submitted, submit);
}

/* ---- together, by the stream ---- */

static gboolean
fits_stream (TlGrpcLink *link, const TlSubmission *submission)
{
  const TlRequestResult *result = submission->result;

  return link->takes_results && link->state == LINK_OPEN && link->stream != NULL
         && strlen (result->output) + strlen (result->error) <= MAX_STREAM_RESULT;
}

static gboolean
send_together (TlGrpcLink *link, ResultMessage **messages, guint n)
{
  Twinlatch__V1__StreamEventsRequest request = TWINLATCH__V1__STREAM_EVENTS_REQUEST__INIT;
  Twinlatch__V1__StreamEventsRequest__Results results = TWINLATCH__V1__STREAM_EVENTS_REQUEST__RESULTS__INIT;

  results.n_results = n;
  results.results = messages;
  request.kind_case = TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_RESULTS;
  request.results = &results;
  return tl_rpc_stream_send (link->stream, &request.base);
}

/* FALSE: the stream takes nothing now. */
static gboolean
submit_together (TlGrpcLink *link, const TlSubmission *const *submissions, guint n, TlSubmitFunc func,
                 gpointer user_data)
{
  g_autofree ResultMessage *messages = g_new (ResultMessage, n);
  g_autofree ResultMessage **pointers = g_new (ResultMessage *, n);
  g_autofree Twinlatch__V1__Receipt *receipts = g_new (Twinlatch__V1__Receipt, n);

  for (guint i = 0; i < n; i++)
    {
      tl_submission_to_message (submissions[i], tl_device_identity_device_id (link->with.rpc.identity), &messages[i],
                                &receipts[i]);
      pointers[i] = &messages[i];
    }
  if (!send_together (link, pointers, n))
    return FALSE;
  link->submit_func = func;
  link->submit_data = user_data;
  return TRUE;
}

void
tl_grpc_link_handle_answer (TlGrpcLink *link, const Twinlatch__V1__StreamEventsResponse__Answer *answer)
{
  TlSubmitOutcome outcome = answer->unknown     ? TL_SUBMIT_UNKNOWN
                            : answer->duplicate ? TL_SUBMIT_DUPLICATE
                                                : TL_SUBMIT_ACCEPTED;
  g_autoptr (GError) error = NULL;

  if (link->submit_func == NULL) /* to nothing that was sent */
    return;
  if (answer->status != 0)
    tl_error_set_from_grpc (&error, (int)answer->status, answer->error_reason, answer->error);
  link->submit_func (&link->base, answer->request_id, outcome, error, link->submit_data);
}

void
tl_grpc_link_submit (TlGatewayLink *base, const TlSubmission *submissions, guint n, TlSubmitFunc func,
                     gpointer user_data)
{
  TlGrpcLink *link = (TlGrpcLink *)base;
  g_autofree const TlSubmission **small = g_new (const TlSubmission *, n);
  guint n_small = 0;

  g_return_if_fail (link->client != NULL);
  for (guint i = 0; i < n; i++)
    {
      if (fits_stream (link, &submissions[i]))
        small[n_small++] = &submissions[i];
      else
        submit_alone (link, &submissions[i], func, user_data);
    }
  for (guint done = 0, step; done < n_small; done += step)
    {
      step = MIN (n_small - done, MAX_STREAM_RESULTS);
      if (submit_together (link, small + done, step, func, user_data))
        continue;
      for (guint i = done; i < done + step; i++)
        submit_alone (link, small[i], func, user_data);
    }
}
