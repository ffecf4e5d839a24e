/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "daemon/tl-journal-private.h"
#include "twinlatch/v1/admin.pb-c.h"

/* WatchEvents: the journal as a numbered stream, read from the store as ReadJournal does: nothing is kept here for a
 * client that is slow. */

/* What an operator's device is told: what it can also list (PROTOCOL 4). Not in here: how the gateway itself is run and
 * who was turned away at its door. */
static const char *const remote_kinds[]
    = { "code.", "pairing.", "certificate.", "device.", "node.", "request.", "result.", "events." };

static gboolean
is_told (const TlJournalStream *stream, const TlJournalRow *row)
{
  for (guint i = 0; i < G_N_ELEMENTS (remote_kinds); i++)
    if (g_str_has_prefix (row->kind, remote_kinds[i]))
      return TRUE;
  return !stream->is_remote;
}

static void
fill_event (Twinlatch__V1__GatewayEvent *message, const TlJournalRow *row)
{
  twinlatch__v1__gateway_event__init (message);
  message->seq = row->seq;
  message->time_unix_ms = row->time;
  message->kind = (char *)row->kind;
  message->actor = (char *)row->actor;
  message->subject = (char *)row->subject;
  message->detail = (char *)row->detail;
}

static void
send_events (TlJournalStream *stream, guint n)
{
  Twinlatch__V1__WatchEventsResponse answer = TWINLATCH__V1__WATCH_EVENTS_RESPONSE__INIT;
  TlJournalRow **rows = (TlJournalRow **)stream->rows->pdata + stream->sent;
  g_autofree Twinlatch__V1__GatewayEvent *messages = g_new (Twinlatch__V1__GatewayEvent, n);
  g_autofree Twinlatch__V1__GatewayEvent **pointers = g_new (Twinlatch__V1__GatewayEvent *, n);

  answer.events = pointers;
  for (guint i = 0; i < n; i++)
    {
      if (!is_told (stream, rows[i]))
        continue;
      fill_event (&messages[i], rows[i]);
      pointers[answer.n_events++] = &messages[i];
    }
  if (n > 0 && rows[0]->seq != stream->position + 1) /* retention was faster */
    answer.oldest = rows[0]->seq;
  if (n > 0)
    stream->position = rows[n - 1]->seq;
  answer.position = stream->position;
  if (answer.n_events == 0 && answer.oldest == 0 && stream->answered)
    return;
  stream->answered = TRUE;
  tl_rpc_call_send (stream->call, &answer.base);
}

static void
on_events (TlJournalJob *job, gpointer user_data)
{
  TlJournalStream *stream = user_data;

  if (tl_journal_stream_take (stream, job))
    tl_journal_stream_go_on (stream, FALSE);
}

/* The slice that also says which numbers there are. */
static void
on_first_events (TlJournalJob *job, gpointer user_data)
{
  TlJournalStream *stream = user_data;

  if (!tl_journal_stream_take (stream, job))
    return;
  job->done = on_events;
  if (stream->from_now)
    stream->position = job->newest;
  else if (stream->position == 0 && job->first > 0)
    stream->position = job->first - 1;
  else if (stream->position > job->newest)
    {
      g_autoptr (GError) error
          = g_error_new (TL_ERROR, TL_ERROR_OUT_OF_RANGE,
                         "there is no event %" G_GUINT64_FORMAT ", the newest is %" G_GUINT64_FORMAT
                         ": the gateway is another one, or was restored from an older copy",
                         stream->position, job->newest);
      tl_journal_stream_finish (stream, error);
      return;
    }
  if (stream->rows->len == 0)
    send_events (stream, 0);
  tl_journal_stream_go_on (stream, FALSE);
}

/* FALSE: this device, or all together, watch as much as they may; the call is finished. */
static gboolean
remote_has_room (TlJournalService *self, TlRpcCall *call)
{
  const char *device_id = tl_rpc_call_peer (call)->admission.device_id;
  g_autoptr (GError) error = NULL;
  guint all = 0, own = 0;

  for (guint i = 0; i < self->streams->len; i++)
    {
      const TlJournalStream *stream = self->streams->pdata[i];

      if (!stream->is_remote || stream->call == NULL)
        continue;
      all++;
      own += g_str_equal (tl_rpc_call_peer (stream->call)->admission.device_id, device_id);
    }
  if (all < TL_JOURNAL_REMOTE_MAX && own < TL_JOURNAL_REMOTE_MAX_ONE)
    return TRUE;
  error = g_error_new_literal (TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
                               "too many watch events over the network; end one of them, or try again later");
  tl_rpc_call_finish (call, error);
  return FALSE;
}

void
tl_journal_on_watch_events (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlJournalService *self = ((TlGateway *)user_data)->journal;
  const Twinlatch__V1__WatchEventsRequest *request = (const Twinlatch__V1__WatchEventsRequest *)message;
  gboolean is_remote = tl_rpc_call_peer (call)->kind != TL_RPC_PEER_LOCAL;
  TlJournalStream *stream;

  if (request->from > G_MAXINT64)
    {
      g_autoptr (GError) error
          = g_error_new_literal (TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "'from' is larger than any event's number");
      tl_rpc_call_finish (call, error);
      return;
    }
  if (is_remote && !remote_has_room (self, call))
    return;
  stream = tl_journal_stream_new (self, call, TL_JOURNAL_STREAM_SEND, on_first_events);
  if (stream == NULL)
    return;
  stream->send = send_events;
  stream->is_remote = is_remote;
  stream->follow = request->follow;
  stream->from_now = request->from_now;
  stream->position = request->from_now ? 0 : request->from;
  stream->job->from_newest = request->from_now;
  stream->job->want_bounds = TRUE;
  stream->job->seq = stream->position;
  stream->job->limit = TL_JOURNAL_SEND_ROWS;
  tl_journal_stream_need_timer (self);
  tl_journal_stream_run (stream);
}
