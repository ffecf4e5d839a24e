/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-quic-requests.h"

#include "base/tl-error.h"

#define LOOK_MS 250 /* while something is under way */
#define PING_MS 750 /* after so much silence */

struct _TlQuicRequests
{
  guint refs; /* owner, and whoever calls out */
  gboolean freed;
  TlQuicConnection *connection;
  TlQuicSilentFunc silent;
  gpointer user_data;
  GMainContext *context;
  GQueue waiting;   /* Request */
  GQueue under_way; /* Request, oldest first: those with a stream */
  GSource *look;
  gint64 pinged_us;
};

typedef struct
{
  TlQuicRequests *requests; /* NULL: gone */
  gboolean settled;         /* func was called */
  TlQuicStream *stream;
  GBytes *frame;
  char *lane;
  gint64 sent_us;
  TlQuicAnswerFunc func;
  gpointer user_data;
  GDestroyNotify release;
} Request;

static void pump (TlQuicRequests *requests);

static void
requests_unref (TlQuicRequests *requests)
{
  if (--requests->refs > 0)
    return;
  g_main_context_unref (requests->context);
  g_free (requests);
}

static void
clear_look (TlQuicRequests *requests)
{
  if (requests->look == NULL)
    return;
  g_source_destroy (requests->look);
  g_clear_pointer (&requests->look, g_source_unref);
}

static void
request_free (Request *request)
{
  if (request->release != NULL)
    request->release (request->user_data);
  g_clear_pointer (&request->frame, g_bytes_unref);
  g_free (request->lane);
  g_free (request);
}

/* Once for each; the request itself goes when its stream is closed. */
static void
settle (Request *request, const TlQuicAnswer *answer, const GError *error)
{
  TlQuicRequests *requests = request->requests;

  if (requests == NULL || request->settled)
    return;
  request->settled = TRUE;
  requests->refs++;
  request->func (answer, error, request->user_data);
  if (!requests->freed)
    pump (requests); /* the next of its lane */
  requests_unref (requests);
}

static void
settle_code (Request *request, TlErrorCode code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, code, message);

  settle (request, NULL, error);
}

/* ---- streams ---- */

static void
on_frame (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
  Request *request = user_data;
  gboolean unknown = FALSE;
  g_autoptr (GError) error = NULL;
  g_autoptr (TlQuicAnswer) answer = tl_quic_answer_parse (data, length, &unknown, &error);

  (void)stream;
  if (answer == NULL && unknown)
    return; /* of a later version: the one we know may follow */
  if (answer != NULL && answer->kind == TL_QUIC_ANSWER_ERROR)
    error = tl_quic_answer_to_error (answer);
  settle (request, error == NULL ? answer : NULL, error);
}

static void
on_stream_closed (TlQuicStream *stream, guint64 code, gpointer user_data)
{
  Request *request = user_data;

  (void)stream, (void)code;
  settle_code (request, TL_ERROR_UNAVAILABLE, "the gateway did not answer a request over QUIC");
  if (request->requests != NULL)
    {
      g_queue_remove (&request->requests->under_way, request);
      pump (request->requests);
    }
  request_free (request);
}

static const TlQuicStreamHandlers stream_handlers = { .frame = on_frame, .closed = on_stream_closed };

/* ---- silence ---- */

static gint64
silence_limit_us (const TlQuicConnectionInfo *info)
{
  return MAX (TL_QUIC_REQUESTS_SILENT_MS * G_GINT64_CONSTANT (1000), 3 * info->rtt_us);
}

static Request *
oldest_unanswered (TlQuicRequests *requests)
{
  for (const GList *item = requests->under_way.head; item != NULL; item = item->next)
    if (!((Request *)item->data)->settled)
      return item->data;
  return NULL;
}

static gboolean
on_look (gpointer data)
{
  TlQuicRequests *requests = data;
  Request *oldest = oldest_unanswered (requests);
  gint64 now_us = g_get_monotonic_time ();
  TlQuicConnectionInfo info;
  gint64 heard_us;

  if (oldest == NULL)
    {
      clear_look (requests);
      return G_SOURCE_REMOVE;
    }
  tl_quic_connection_get_info (requests->connection, &info);
  heard_us = MAX (info.heard_us, oldest->sent_us);
  if (now_us - heard_us >= silence_limit_us (&info) && requests->pinged_us > heard_us)
    {
      clear_look (requests);
      requests->silent (requests->user_data);
      return G_SOURCE_REMOVE;
    }
  if (now_us - heard_us >= PING_MS * G_GINT64_CONSTANT (1000) && requests->pinged_us <= heard_us)
    {
      requests->pinged_us = now_us;
      tl_quic_connection_ping (requests->connection);
    }
  if (now_us - oldest->sent_us >= TL_QUIC_REQUESTS_LIMIT_MS * G_GINT64_CONSTANT (1000))
    {
      tl_quic_stream_reset (oldest->stream, TL_QUIC_STREAM_CANCELLED);
      settle_code (oldest, TL_ERROR_TIMED_OUT, "the gateway is there but did not answer a request over QUIC");
      return G_SOURCE_CONTINUE;
    }
  return G_SOURCE_CONTINUE;
}

static void
start_looking (TlQuicRequests *requests)
{
  if (requests->look != NULL)
    return;
  requests->look = g_timeout_source_new (LOOK_MS);
  g_source_set_callback (requests->look, on_look, requests, NULL);
  g_source_attach (requests->look, requests->context);
}

/* ---- sending ---- */

static gboolean
is_lane_busy (TlQuicRequests *requests, const char *lane, const GList *before)
{
  for (const GList *item = requests->under_way.head; item != NULL; item = item->next)
    if (!((Request *)item->data)->settled && g_strcmp0 (((Request *)item->data)->lane, lane) == 0)
      return TRUE;
  for (const GList *item = requests->waiting.head; item != before; item = item->next)
    if (g_strcmp0 (((Request *)item->data)->lane, lane) == 0)
      return TRUE;
  return FALSE;
}

/* FALSE: no stream now. */
static gboolean
send_one (TlQuicRequests *requests, Request *request)
{
  gsize length;
  gconstpointer data = g_bytes_get_data (request->frame, &length);
  TlQuicStream *stream = tl_quic_connection_open_stream (requests->connection, &stream_handlers, request);

  if (stream == NULL)
    return FALSE;
  request->stream = stream;
  request->sent_us = g_get_monotonic_time ();
  tl_quic_stream_send (stream, data, length, TRUE);
  g_clear_pointer (&request->frame, g_bytes_unref);
  g_queue_push_tail (&requests->under_way, request);
  start_looking (requests);
  return TRUE;
}

static void
pump (TlQuicRequests *requests)
{
  GList *next;

  for (GList *item = requests->waiting.head; item != NULL; item = next)
    {
      Request *request = item->data;

      if (requests->under_way.length >= TL_QUIC_REQUESTS_AT_A_TIME)
        return;
      next = item->next;
      if (request->lane != NULL && is_lane_busy (requests, request->lane, item))
        continue;
      if (!send_one (requests, request))
        return;
      g_queue_delete_link (&requests->waiting, item);
    }
}

void
tl_quic_requests_send (TlQuicRequests *requests, GBytes *frame, const char *lane, TlQuicAnswerFunc func,
                       gpointer user_data, GDestroyNotify release)
{
  Request *request = g_new0 (Request, 1);

  request->requests = requests;
  request->frame = frame;
  request->lane = g_strdup (lane);
  request->func = func;
  request->user_data = user_data;
  request->release = release;
  g_queue_push_tail (&requests->waiting, request);
  pump (requests);
}

guint
tl_quic_requests_pending (TlQuicRequests *requests)
{
  guint n = requests->waiting.length;

  for (const GList *item = requests->under_way.head; item != NULL; item = item->next)
    n += !((Request *)item->data)->settled;
  return n;
}

TlQuicRequests *
tl_quic_requests_new (TlQuicConnection *connection, TlQuicSilentFunc silent, gpointer user_data)
{
  TlQuicRequests *requests = g_new0 (TlQuicRequests, 1);

  requests->refs = 1;
  requests->connection = connection;
  requests->silent = silent;
  requests->user_data = user_data;
  requests->context = g_main_context_ref_thread_default ();
  g_queue_init (&requests->waiting);
  g_queue_init (&requests->under_way);
  return requests;
}

void
tl_quic_requests_free (TlQuicRequests *requests)
{
  Request *request;

  if (requests == NULL)
    return;
  requests->freed = TRUE;
  clear_look (requests);
  while ((request = g_queue_pop_head (&requests->waiting)) != NULL)
    request_free (request);
  while ((request = g_queue_pop_head (&requests->under_way)) != NULL)
    request->requests = NULL; /* freed with its stream */
  requests_unref (requests);
}
