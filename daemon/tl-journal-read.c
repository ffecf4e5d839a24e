/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "daemon/tl-journal-private.h"
#include "daemon/tl-wire.h"
#include "journal/tl-journal-wire.h"

/* ReadJournal and VerifyJournal: slices of the worker become messages, as fast as the client reads. */

void
tl_journal_stream_free (gpointer data)
{
  TlJournalStream *stream = data;

  if (stream->call != NULL)
    tl_rpc_call_unref (stream->call);
  tl_journal_job_free (stream->job);
  g_ptr_array_unref (stream->rows);
  g_free (stream);
}

void
tl_journal_stream_finish (TlJournalStream *stream, const GError *error)
{
  tl_rpc_call_finish (stream->call, error);
  g_ptr_array_remove (stream->service->streams, stream);
}

/* The client is gone; the job comes back first. */
static void
end_stream (TlRpcCall *call, gpointer user_data)
{
  TlJournalService *self = ((TlGateway *)user_data)->journal;

  for (guint i = 0; i < self->streams->len; i++)
    {
      TlJournalStream *stream = self->streams->pdata[i];

      if (stream->call != call)
        continue;
      if (stream->job != NULL)
        g_ptr_array_remove_index (self->streams, i);
      else
        g_clear_pointer (&stream->call, tl_rpc_call_unref);
      return;
    }
}

void
tl_journal_streams_end (TlJournalService *self, const GError *error)
{
  g_clear_handle_id (&self->follow_source, g_source_remove);
  for (guint i = self->streams->len; i > 0; i--)
    {
      TlJournalStream *stream = self->streams->pdata[i - 1];

      if (stream->call != NULL && error != NULL)
        tl_rpc_call_finish (stream->call, error);
      if (stream->job != NULL || error == NULL)
        g_ptr_array_remove_index (self->streams, i - 1);
      else
        g_clear_pointer (&stream->call, tl_rpc_call_unref);
    }
}

void
tl_journal_stream_run (TlJournalStream *stream)
{
  TlJournalJob *job = g_steal_pointer (&stream->job);
  tl_journal_worker_run (stream->service->worker, job);
}

/* ---- rows ---- */

static void
fill_row (Twinlatch__V1__JournalRow *message, TlJournalRow *row)
{
  twinlatch__v1__journal_row__init (message);
  message->seq = row->seq;
  message->time_unix_ms = row->time;
  message->kind = (char *)row->kind;
  message->actor = (char *)row->actor;
  message->subject = (char *)row->subject;
  message->detail = (char *)row->detail;
  message->hash = tl_wire_bytes (row->hash, sizeof row->hash);
}

static void
send_some (TlJournalStream *stream, guint n)
{
  Twinlatch__V1__ReadJournalResponse answer = TWINLATCH__V1__READ_JOURNAL_RESPONSE__INIT;
  g_autofree Twinlatch__V1__JournalRow *messages = g_new (Twinlatch__V1__JournalRow, n);
  g_autofree Twinlatch__V1__JournalRow **pointers = g_new (Twinlatch__V1__JournalRow *, n);

  for (guint i = 0; i < n; i++)
    {
      fill_row (&messages[i], stream->rows->pdata[stream->sent + i]);
      pointers[i] = &messages[i];
    }
  answer.n_rows = n;
  answer.rows = pointers;
  tl_rpc_call_send (stream->call, &answer.base);
}

/* FALSE: the client does not read, the timer comes back to it. */
static gboolean
send_rows (TlJournalStream *stream)
{
  guint n;

  while (stream->sent < stream->rows->len)
    {
      if (tl_rpc_call_queued_bytes (stream->call) > TL_JOURNAL_SEND_BYTES)
        return FALSE;
      n = MIN (stream->rows->len - stream->sent, TL_JOURNAL_SEND_ROWS);
      stream->send (stream, n);
      stream->sent += n;
    }
  g_ptr_array_set_size (stream->rows, 0);
  stream->sent = 0;
  return TRUE;
}

/* Rows are to be sent, then there is the next slice; what is followed waits for the timer at the end. */
void
tl_journal_stream_go_on (TlJournalStream *stream, gboolean woken)
{
  if (!send_rows (stream))
    return;
  if (!stream->job->end || (stream->follow && woken))
    tl_journal_stream_run (stream);
  else if (!stream->follow)
    tl_journal_stream_finish (stream, NULL);
}

/* Newest first, as they were found: turned around. */
static void
take_collected (TlJournalStream *stream)
{
  TlJournalJob *job = stream->job;

  for (guint i = 0, j = stream->rows->len; i + 1 < j; i++, j--)
    {
      gpointer row = stream->rows->pdata[i];
      stream->rows->pdata[i] = stream->rows->pdata[j - 1];
      stream->rows->pdata[j - 1] = row;
    }
  stream->phase = TL_JOURNAL_STREAM_SEND;
  job->down = FALSE;
  job->limit = TL_JOURNAL_SEND_ROWS;
  job->seq = job->newest;
  job->end = TRUE;
}

static void
take_rows (TlJournalStream *stream)
{
  g_autoptr (GPtrArray) found = stream->job->rows;

  stream->job->rows = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_journal_row_free);
  g_ptr_array_extend_and_steal (stream->rows, g_steal_pointer (&found));
}

gboolean
tl_journal_stream_take (TlJournalStream *stream, TlJournalJob *job)
{
  stream->job = job;
  if (stream->call == NULL)
    {
      g_ptr_array_remove (stream->service->streams, stream);
      return FALSE;
    }
  if (job->error != NULL)
    {
      tl_journal_stream_finish (stream, job->error);
      return FALSE;
    }
  if (stream->phase != TL_JOURNAL_STREAM_VERIFY)
    take_rows (stream);
  return TRUE;
}

static void
on_rows (TlJournalJob *job, gpointer user_data)
{
  TlJournalStream *stream = user_data;

  if (!tl_journal_stream_take (stream, job))
    return;
  if (stream->phase == TL_JOURNAL_STREAM_COLLECT)
    {
      if (stream->rows->len < stream->limit && !job->end)
        {
          job->limit = stream->limit - stream->rows->len;
          tl_journal_stream_run (stream);
          return;
        }
      take_collected (stream);
    }
  tl_journal_stream_go_on (stream, FALSE);
}

/* For those that follow, and those whose client was slow. */
static gboolean
on_timer (gpointer user_data)
{
  TlJournalService *self = user_data;

  for (guint i = self->streams->len; i > 0; i--)
    {
      TlJournalStream *stream = self->streams->pdata[i - 1];

      if (stream->job != NULL && stream->phase == TL_JOURNAL_STREAM_SEND)
        tl_journal_stream_go_on (stream, TRUE);
    }
  if (self->streams->len > 0)
    return G_SOURCE_CONTINUE;
  self->follow_source = 0;
  return G_SOURCE_REMOVE;
}

void
tl_journal_stream_need_timer (TlJournalService *self)
{
  if (self->follow_source == 0)
    self->follow_source = g_timeout_add (TL_JOURNAL_FOLLOW_MS, on_timer, self);
}

TlJournalStream *
tl_journal_stream_new (TlJournalService *self, TlRpcCall *call, TlJournalPhase phase, TlJournalDone done)
{
  TlJournalStream *stream;

  if (self->worker == NULL)
    {
      g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the gateway is stopping");
      tl_rpc_call_finish (call, error);
      return NULL;
    }
  if (self->streams->len >= TL_JOURNAL_READERS_MAX)
    {
      g_autoptr (GError) error
          = g_error_new_literal (TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, "too many read the journal; try again later");
      tl_rpc_call_finish (call, error);
      return NULL;
    }
  stream = g_new0 (TlJournalStream, 1);
  stream->service = self;
  stream->call = tl_rpc_call_ref (call);
  stream->job = tl_journal_job_new (done, stream);
  stream->phase = phase;
  stream->rows = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_journal_row_free);
  g_ptr_array_add (self->streams, stream);
  return stream;
}

static char *
filter_text (const char *text)
{
  return text[0] != '\0' ? g_strdup (text) : NULL;
}

static void
start_reading (TlJournalService *self, TlRpcCall *call, const Twinlatch__V1__ReadJournalRequest *request,
               const char *device_id)
{
  TlJournalStream *stream
      = tl_journal_stream_new (self, call, request->limit > 0 ? TL_JOURNAL_STREAM_COLLECT : TL_JOURNAL_STREAM_SEND,
                               on_rows);

  if (stream == NULL)
    return;
  stream->send = send_some;
  stream->follow = request->follow;
  stream->limit = request->limit;
  stream->job->kind = filter_text (request->kind);
  stream->job->actor = filter_text (request->actor);
  stream->job->subject = filter_text (request->subject);
  stream->job->device = g_strdup (device_id);
  stream->job->since = request->since_unix_ms;
  stream->job->until = request->until_unix_ms;
  stream->job->down = stream->job->from_newest = stream->phase == TL_JOURNAL_STREAM_COLLECT;
  stream->job->limit = stream->phase == TL_JOURNAL_STREAM_COLLECT ? request->limit : TL_JOURNAL_SEND_ROWS;
  tl_journal_stream_need_timer (self);
  tl_journal_stream_run (stream);
}

typedef struct
{
  TlJournalService *service;
  TlRpcCall *call;
  Twinlatch__V1__ReadJournalRequest *request;
} DeviceWait;

static void
on_device_found (const GError *error, gpointer result, gpointer user_data)
{
  DeviceWait *wait = user_data;
  const TlDeviceRecord *device = result;
  const char *named = wait->request->device;

  if (error == NULL)
    start_reading (wait->service, wait->call, wait->request, device->device_id);
  else if (tl_error_is_not_found (error) && tl_ulid_is_valid (named)) /* forgotten, or never let in */
    start_reading (wait->service, wait->call, wait->request, named);
  else
    tl_rpc_call_finish (wait->call, error);
  twinlatch__v1__read_journal_request__free_unpacked (wait->request, NULL);
  tl_rpc_call_unref (wait->call);
  g_free (wait);
}

void
tl_journal_on_read (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__ReadJournalRequest *request = (const Twinlatch__V1__ReadJournalRequest *)message;
  DeviceWait *wait;

  if (request->limit > TL_JOURNAL_READ_MAX)
    {
      g_autoptr (GError) error
          = g_error_new (TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                         "at most %d rows can be asked for from the end; without a limit it is all of them",
                         TL_JOURNAL_READ_MAX);
      tl_rpc_call_finish (call, error);
      return;
    }
  if (request->device[0] == '\0')
    {
      start_reading (gateway->journal, call, request, NULL);
      return;
    }
  wait = g_new0 (DeviceWait, 1);
  wait->request = tl_wire_copy (message, NULL);
  if (wait->request == NULL)
    {
      tl_wire_finish_malformed (call);
      g_free (wait);
      return;
    }
  wait->service = gateway->journal;
  wait->call = tl_rpc_call_ref (call);
  tl_store_find_device (gateway->store, request->device, on_device_found, wait);
}

void
tl_journal_on_read_end (TlRpcCall *call, gpointer user_data)
{
  end_stream (call, user_data);
}

/* ---- verifying ---- */

static void
send_verdict (TlRpcCall *call, const TlJournalVerdict *verdict, gboolean done)
{
  Twinlatch__V1__VerifyJournalResponse answer;

  tl_journal_verdict_to_message (verdict, done, &answer);
  tl_rpc_call_send (call, &answer.base);
}

static void
on_verified (TlJournalJob *job, gpointer user_data)
{
  TlJournalStream *stream = user_data;

  if (!tl_journal_stream_take (stream, job))
    return;
  send_verdict (stream->call, tl_journal_verification_verdict (job->verification), job->end);
  if (job->end)
    tl_journal_stream_finish (stream, NULL);
  else
    tl_journal_stream_run (stream);
}

void
tl_journal_on_verify (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlJournalService *self = ((TlGateway *)user_data)->journal;
  const Twinlatch__V1__VerifyJournalRequest *request = (const Twinlatch__V1__VerifyJournalRequest *)message;
  g_autoptr (GError) error = NULL;
  TlJournalHead head = { 0 };
  TlJournalStream *stream;

  if (request->head[0] != '\0' && !tl_journal_head_parse (request->head, &head, &error))
    {
      tl_rpc_call_finish (call, error);
      return;
    }
  stream = tl_journal_stream_new (self, call, TL_JOURNAL_STREAM_VERIFY, on_verified);
  if (stream == NULL)
    return;
  stream->job->verify = TRUE;
  stream->job->expecting = request->head[0] != '\0';
  stream->job->expected = head;
  tl_journal_stream_run (stream);
}

void
tl_journal_on_verify_end (TlRpcCall *call, gpointer user_data)
{
  end_stream (call, user_data);
}

/* ---- the head ---- */

static void
on_head (const GError *error, gpointer result, gpointer user_data)
{
  TlRpcCall *call = user_data;
  const TlJournalHead *head = result;
  Twinlatch__V1__GetJournalHeadResponse answer = TWINLATCH__V1__GET_JOURNAL_HEAD_RESPONSE__INIT;
  g_autofree char *text = error == NULL ? tl_journal_head_to_string (head) : NULL;

  if (error != NULL)
    tl_rpc_call_finish (call, error);
  else
    {
      answer.seq = head->seq;
      answer.hash = tl_wire_bytes (head->hash, sizeof head->hash);
      answer.head = text;
      tl_rpc_call_reply (call, &answer.base);
    }
  tl_rpc_call_unref (call);
}

void
tl_journal_on_head (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;

  tl_store_journal_head (gateway->store, tl_clock_wall_ms (gateway->clock), on_head, tl_rpc_call_ref (call));
}
