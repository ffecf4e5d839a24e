/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-node-outbox.h"

#include <string.h>

#include "base/tl-error.h"
#include "daemon/tl-wire.h"

/* What goes together; larger events go alone. */
#define MAX_TOGETHER   64
#define MAX_SMALL_DATA (16u * 1024u)
#define MAX_BYTES      (256u * 1024u)

typedef Twinlatch__V1__StreamEventsResponse Response;
typedef Twinlatch__V1__StreamEventsResponse__Answer Answer;

struct _TlNodeOutbox
{
  TlRpcCall *call;
  gboolean takes_events;
  GPtrArray *events; /* TlEventRecord* */
  gsize event_bytes;
  GPtrArray *answers; /* Answer*, which own their strings */
  GSource *turn;
};

static void
answer_free (gpointer data)
{
  Answer *answer = data;

  g_free (answer->request_id);
  if (answer->error != protobuf_c_empty_string)
    g_free (answer->error);
  g_free (answer);
}

TlNodeOutbox *
tl_node_outbox_new (TlRpcCall *call, gboolean takes_events)
{
  TlNodeOutbox *self = g_new0 (TlNodeOutbox, 1);

  self->call = tl_rpc_call_ref (call);
  self->takes_events = takes_events;
  self->events = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_event_record_free);
  self->answers = g_ptr_array_new_with_free_func (answer_free);
  return self;
}

static void
clear_turn (TlNodeOutbox *self)
{
  if (self->turn == NULL)
    return;
  g_source_destroy (self->turn);
  g_clear_pointer (&self->turn, g_source_unref);
}

void
tl_node_outbox_free (TlNodeOutbox *self)
{
  if (self == NULL)
    return;
  clear_turn (self);
  tl_rpc_call_unref (self->call);
  g_ptr_array_unref (self->events);
  g_ptr_array_unref (self->answers);
  g_free (self);
}

static gboolean
send_events (TlNodeOutbox *self)
{
  Response response = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__StreamEventsResponse__Events together = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__EVENTS__INIT;
  Twinlatch__V1__Event events[MAX_TOGETHER];
  Twinlatch__V1__Event *pointers[MAX_TOGETHER];
  gboolean sent;

  if (self->events->len == 0)
    return TRUE;
  for (guint i = 0; i < self->events->len; i++)
    {
      tl_wire_event (&events[i], self->events->pdata[i]);
      pointers[i] = &events[i];
    }
  together.n_events = self->events->len;
  together.events = pointers;
  response.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_EVENTS;
  response.events = &together;
  if (self->events->len == 1)
    {
      response.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_EVENT;
      response.event = &events[0];
    }
  sent = tl_rpc_call_send (self->call, &response.base);
  g_ptr_array_set_size (self->events, 0);
  self->event_bytes = 0;
  return sent;
}

static gboolean
send_answers (TlNodeOutbox *self)
{
  Response response = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__StreamEventsResponse__Answers together = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__ANSWERS__INIT;
  gboolean sent;

  if (self->answers->len == 0)
    return TRUE;
  together.n_answers = self->answers->len;
  together.answers = (Answer **)self->answers->pdata;
  response.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_ANSWERS;
  response.answers = &together;
  sent = tl_rpc_call_send (self->call, &response.base);
  g_ptr_array_set_size (self->answers, 0);
  return sent;
}

static gboolean
flush (TlNodeOutbox *self)
{
  clear_turn (self);
  return send_answers (self) && send_events (self);
}

static gboolean
on_turn (gpointer data)
{
  flush (data);
  return G_SOURCE_REMOVE;
}

static void
flush_soon (TlNodeOutbox *self)
{
  if (self->turn != NULL)
    return;
  self->turn = g_idle_source_new ();
  g_source_set_priority (self->turn, G_PRIORITY_DEFAULT);
  g_source_set_callback (self->turn, on_turn, self, NULL);
  g_source_attach (self->turn, g_main_context_get_thread_default ());
}

gboolean
tl_node_outbox_send (TlNodeOutbox *self, Response *response)
{
  return flush (self) && tl_rpc_call_send (self->call, &response->base);
}

gboolean
tl_node_outbox_event (TlNodeOutbox *self, const TlEventRecord *record)
{
  gsize length = strlen (record->data);
  Response response = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__Event event;

  if (!self->takes_events || length > MAX_SMALL_DATA)
    {
      tl_wire_event (&event, record);
      response.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_EVENT;
      response.event = &event;
      return tl_node_outbox_send (self, &response);
    }
  g_ptr_array_add (self->events, tl_event_record_copy (record));
  self->event_bytes += length;
  if (self->events->len == MAX_TOGETHER || self->event_bytes > MAX_BYTES)
    return send_events (self);
  flush_soon (self);
  return TRUE;
}

void
tl_node_outbox_answer (TlNodeOutbox *self, const char *request_id, TlResultVerdict verdict, const GError *error)
{
  Answer *answer = g_new (Answer, 1);

  twinlatch__v1__stream_events_response__answer__init (answer);
  answer->request_id = g_strdup (request_id);
  answer->duplicate = error == NULL && verdict == TL_RESULT_DUPLICATE;
  answer->unknown = error == NULL && verdict == TL_RESULT_UNKNOWN;
  if (error != NULL)
    {
      answer->status = (guint32)tl_error_to_grpc_status (error);
      answer->error = g_strdup (error->message);
      answer->error_reason = (char *)tl_error_to_reason (error);
    }
  g_ptr_array_add (self->answers, answer);
  if (self->answers->len == MAX_TOGETHER)
    send_answers (self);
  else
    flush_soon (self);
}

gsize
tl_node_outbox_queued_bytes (TlNodeOutbox *self)
{
  return tl_rpc_call_queued_bytes (self->call) + self->event_bytes;
}
