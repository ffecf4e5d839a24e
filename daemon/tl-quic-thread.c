/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "base/tl-error.h"
#include "daemon/tl-quic-members.h"
#include "rpc/tl-rpc-address.h"

/* The quic thread (DESIGN, Threads): everything here runs there, but for what tl-quic-runtime-private.h says. */

/* Whatever takes a certificate out of the admitted set sends an order that says with which code its connections end. A
 * leaf that was replaced before its first use has none, so none is sent. */
#define UNADMITTED_TICKS 4

struct _TlQuicThread
{
  GMainContext *context;
  GMainLoop *loop;
  pthread_t thread;
  gboolean started;
  TlQuicEndpoint *endpoint;
  TlQuicVerifier *verifier;
  TlAdmittedSet *admitted;
  TlClock *clock;
  char *gateway_id;
  guint budget;
  TlQueue *orders, *notes;
  TlQuicMembers *members;
  GHashTable *latest; /* device id -> guint64*, the newest event */
  GSource *tick;      /* while there are members */
  atomic_uint denials_pending, denials_dropped;
};

static void
tell (TlQuicThread *self, TlQuicNoteKind kind, TlQuicChannel *channel, TlQuicNote *note)
{
  note->kind = kind;
  note->channel = channel != NULL ? tl_quic_channel_ref (channel) : NULL;
  tl_queue_push (self->notes, note);
}

static void
close_member (TlQuicMember *member, guint64 code, const char *reason)
{
  if (member->closing)
    return;
  member->closing = TRUE;
  tl_quic_connection_close (member->connection, code, reason);
}

/* ---- requests ---- */

static gboolean
is_admitted (TlQuicMember *member)
{
  TlQuicThread *self = member->thread;

  return !member->closing
         && tl_admitted_set_lookup (self->admitted, member->peer->fingerprint, tl_clock_wall_ms (self->clock), NULL);
}

static void
send_now (TlQuicChannel *channel, GBytes *frame, gboolean last)
{
  gsize length = 0;
  const void *data = g_bytes_get_data (frame, &length);

  tl_quic_stream_send (channel->stream, data, length, last);
  atomic_store (&channel->in_stream, tl_quic_stream_queued_bytes (channel->stream));
}

/* PROTOCOL 5: an error ends that stream only. */
static void
refuse (TlQuicChannel *channel, TlQuicRefusal refusal, const GError *error)
{
  g_autoptr (GBytes) frame = tl_quic_answer_format_refusal (refusal, error);

  channel->asked = TRUE;
  send_now (channel, frame, TRUE);
}

static void
refuse_with (TlQuicChannel *channel, TlQuicRefusal refusal, TlErrorCode code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, code, message);

  refuse (channel, refusal, error);
}

static void
answer_health (TlQuicThread *self, TlQuicChannel *channel)
{
  const guint64 *latest = g_hash_table_lookup (self->latest, channel->peer->device_id);
  TlQuicAnswer answer = { .kind = TL_QUIC_ANSWER_HEALTH };
  g_autoptr (GBytes) frame = NULL;

  answer.gateway_id = self->gateway_id;
  answer.server_time_ms = tl_clock_wall_ms (self->clock);
  answer.latest_seq = latest != NULL ? *latest : 0;
  frame = tl_quic_answer_format (&answer);
  send_now (channel, frame, TRUE);
}

static gboolean
has_budget (TlQuicMember *member, guint cost)
{
  TlQuicThread *self = member->thread;

  return tl_token_bucket_take (&member->budget, self->budget, self->budget, cost, tl_clock_monotonic_us (self->clock));
}

static void
take_request (TlQuicThread *self, TlQuicChannel *channel, TlQuicRequest *request)
{
  TlQuicMember *member = channel->member;
  TlQuicNote *note;

  if (atomic_load (&member->peer->in_hand) >= TL_QUIC_REQUESTS_IN_HAND)
    {
      tl_quic_request_free (request);
      refuse_with (channel, TL_QUIC_REFUSAL_RATE_LIMITED, TL_ERROR_RESOURCE_EXHAUSTED,
                   "too many requests of this connection wait for their answers; slow down");
      return;
    }
  if (request->method == TL_QUIC_METHOD_STREAM_EVENTS)
    {
      if (member->events != NULL)
        {
          tl_quic_request_free (request);
          refuse_with (channel, TL_QUIC_REFUSAL_INVALID_REQUEST, TL_ERROR_FAILED_PRECONDITION,
                       "this connection has an event stream already");
          return;
        }
      member->events = channel;
      channel->events = TRUE;
    }
  channel->in_hand = TRUE;
  atomic_fetch_add (&member->peer->in_hand, 1);
  note = g_new0 (TlQuicNote, 1);
  note->request = request;
  tell (self, TL_QUIC_NOTE_REQUEST, channel, note);
}

static void
on_frame (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
  TlQuicChannel *channel = user_data;
  TlQuicMember *member = channel->member;
  TlQuicRefusal refusal = TL_QUIC_REFUSAL_INTERNAL;
  g_autoptr (TlQuicRequest) request = NULL;
  g_autoptr (GError) error = NULL;

  /* One frame a stream; and whoever is not admitted any more is not heard: the connection's end is on its way. */
  if (channel->asked || !is_admitted (member))
    {
      tl_quic_stream_reset (stream, TL_QUIC_STREAM_REFUSED);
      return;
    }
  channel->asked = TRUE;
  if (has_budget (member, TL_QUIC_COST_HEALTH))
    request = tl_quic_request_parse (data, length, &refusal, &error);
  else
    refusal = TL_QUIC_REFUSAL_RATE_LIMITED;
  if (request != NULL && request->method == TL_QUIC_METHOD_HEALTH)
    answer_health (member->thread, channel);
  else if (request != NULL && has_budget (member, TL_QUIC_COST_MAIN - TL_QUIC_COST_HEALTH))
    take_request (member->thread, channel, g_steal_pointer (&request));
  else if (request != NULL || refusal == TL_QUIC_REFUSAL_RATE_LIMITED)
    refuse_with (channel, TL_QUIC_REFUSAL_RATE_LIMITED, TL_ERROR_RESOURCE_EXHAUSTED,
                 "too many requests on this connection; slow down");
  else
    refuse (channel, refusal, error);
}

static void
on_too_large (TlQuicStream *stream G_GNUC_UNUSED, guint32 length, gpointer user_data)
{
  g_autoptr (GError) error = g_error_new (TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, "a frame of %u bytes, at most %u",
                                          length, TL_QUIC_MAX_FRAME);

  refuse (user_data, TL_QUIC_REFUSAL_FRAME_TOO_LARGE, error);
}

static void
on_finished (TlQuicStream *stream G_GNUC_UNUSED, gpointer user_data)
{
  TlQuicChannel *channel = user_data;

  if (!channel->asked)
    refuse_with (channel, TL_QUIC_REFUSAL_INVALID_REQUEST, TL_ERROR_INVALID_ARGUMENT,
                 "the stream ended without a request");
}

static void
on_drained (TlQuicStream *stream, gpointer user_data)
{
  TlQuicChannel *channel = user_data;

  atomic_store (&channel->in_stream, tl_quic_stream_queued_bytes (stream));
  if (channel->events)
    tell (channel->member->thread, TL_QUIC_NOTE_DRAINED, channel, g_new0 (TlQuicNote, 1));
}

static void
on_stream_closed (TlQuicStream *stream G_GNUC_UNUSED, guint64 code G_GNUC_UNUSED, gpointer user_data)
{
  g_autoptr (TlQuicChannel) channel = user_data; /* the stream's reference */
  TlQuicMember *member = channel->member;

  atomic_store (&channel->gone, TRUE);
  channel->stream = NULL;
  channel->member = NULL;
  if (!channel->events)
    return;
  member->events = NULL;
  tell (member->thread, TL_QUIC_NOTE_ENDED, channel, g_new0 (TlQuicNote, 1));
}

static const TlQuicStreamHandlers stream_handlers = {
  .frame = on_frame,
  .too_large = on_too_large,
  .finished = on_finished,
  .drained = on_drained,
  .closed = on_stream_closed,
};

/* ---- connections ---- */

static gboolean
on_tick (gpointer user_data)
{
  TlQuicThread *self = user_data;
  gint64 now = tl_clock_wall_ms (self->clock);

  for (GList *item = tl_quic_members_all (self->members)->head; item != NULL; item = item->next)
    {
      TlQuicMember *member = item->data;

      if (now >= member->not_after_ms)
        close_member (member, TL_QUIC_CLOSE_CERTIFICATE_ENDED, "the certificate has ended");
      else if (tl_admitted_set_lookup (self->admitted, member->peer->fingerprint, now, NULL))
        member->unadmitted = 0;
      else if (++member->unadmitted > UNADMITTED_TICKS)
        close_member (member, TL_QUIC_CLOSE_CERTIFICATE_SUPERSEDED, "the certificate is not admitted any more");
    }
  return G_SOURCE_CONTINUE;
}

static void
keep_ticking (TlQuicThread *self)
{
  gboolean wanted = !g_queue_is_empty ((GQueue *)tl_quic_members_all (self->members));

  if (wanted == (self->tick != NULL))
    return;
  if (wanted)
    {
      self->tick = g_timeout_source_new (TL_QUIC_TICK_MS);
      g_source_set_callback (self->tick, on_tick, self, NULL);
      g_source_attach (self->tick, self->context);
      return;
    }
  g_source_destroy (self->tick);
  g_clear_pointer (&self->tick, g_source_unref);
}

/* A device's connections that lost their network stay until they are idle: the oldest makes room. */
static void
make_room (TlQuicThread *self, const char *device_id)
{
  const GQueue *others = tl_quic_members_of_device (self->members, device_id);
  guint open = 0;

  for (GList *item = others != NULL ? others->tail : NULL; item != NULL; item = item->prev)
    {
      TlQuicMember *member = item->data;

      if (!member->closing && ++open >= TL_QUIC_CONNECTIONS_PER_DEVICE)
        close_member (member, TL_QUIC_CLOSE_LIMIT, "too many connections of one device");
    }
}

static void
on_accepted (TlQuicConnection *connection, gpointer user_data)
{
  TlQuicThread *self = user_data;
  const char *fingerprint = tl_quic_connection_fingerprint (connection);
  TlQuicConnectionInfo info;
  TlAdmission admission;
  TlQuicMember *member;
  TlQuicNote *note;

  /* Ended since its handshake: the cut came before there was anything to cut. */
  if (!tl_admitted_set_lookup (self->admitted, fingerprint, tl_clock_wall_ms (self->clock), &admission))
    {
      tl_quic_connection_close (connection, TL_QUIC_CLOSE_REVOKED, "the certificate is not admitted");
      return;
    }
  make_room (self, admission.device_id);
  member = g_new0 (TlQuicMember, 1);
  member->thread = self;
  member->connection = connection;
  member->not_after_ms = admission.not_after_ms;
  member->peer = g_atomic_rc_box_new0 (TlQuicPeer);
  tl_quic_connection_get_info (connection, &info);
  g_strlcpy (member->peer->device_id, admission.device_id, sizeof member->peer->device_id);
  g_strlcpy (member->peer->fingerprint, fingerprint, sizeof member->peer->fingerprint);
  g_strlcpy (member->peer->address, info.remote, sizeof member->peer->address);
  tl_token_bucket_init (&member->budget, self->budget, tl_clock_monotonic_us (self->clock));
  tl_quic_members_add (self->members, member);
  tl_quic_connection_set_data (connection, member);
  keep_ticking (self);
  /* Registered, and once more (PROTOCOL 1). Whatever took it out of the set in between sent an order to cut it after
   * that, which says with which code; until then nothing is served. */
  if (!is_admitted (member))
    return;
  note = g_new0 (TlQuicNote, 1);
  note->peer = g_atomic_rc_box_acquire (member->peer);
  tell (self, TL_QUIC_NOTE_REGISTERED, NULL, note);
}

static void
on_stream (TlQuicConnection *connection, TlQuicStream *stream, gpointer user_data)
{
  TlQuicThread *self = user_data;
  TlQuicMember *member = tl_quic_connection_get_data (connection);
  TlQuicChannel *channel;

  if (member == NULL || member->closing)
    return; /* and it is reset */
  channel = tl_quic_channel_new (member->peer, self->orders);
  channel->stream = stream;
  channel->member = member;
  tl_quic_stream_set_handlers (stream, &stream_handlers, channel);
}

static void
on_closed (TlQuicConnection *connection, const TlQuicClose *why G_GNUC_UNUSED, gpointer user_data)
{
  TlQuicThread *self = user_data;
  TlQuicMember *member = tl_quic_connection_get_data (connection);

  if (member == NULL)
    return;
  tl_quic_members_remove (self->members, member);
  keep_ticking (self);
  g_atomic_rc_box_release (member->peer);
  g_free (member);
}

static const TlQuicConnectionHandlers connection_handlers = {
  .accepted = on_accepted,
  .stream = on_stream,
  .closed = on_closed,
};

/* Our own CA signed it when there is a device id, so that is who it was. */
static void
on_refused (const char *fingerprint, const char *device_id, const char *address, const char *reason, gpointer user_data)
{
  TlQuicThread *self = user_data;
  g_autofree char *source = NULL;
  TlRpcAddress parsed;
  TlQuicNote *note;

  if (atomic_load (&self->denials_pending) >= TL_QUIC_DENIALS_PENDING)
    {
      atomic_fetch_add (&self->denials_dropped, 1);
      return;
    }
  atomic_fetch_add (&self->denials_pending, 1);
  if (device_id == NULL && tl_rpc_address_parse (address, &parsed))
    source = tl_rpc_address_to_source (&parsed);
  note = g_new0 (TlQuicNote, 1);
  note->actor = device_id != NULL ? g_strconcat ("device:", device_id, NULL)
                                  : g_strconcat ("source:", source != NULL ? source : "unknown", NULL);
  note->subject = g_strdup (fingerprint);
  note->reason = reason;
  tell (self, TL_QUIC_NOTE_DENIED, NULL, note);
}

/* ---- orders ---- */

static guint
cut (const GQueue *members, guint64 code, const char *reason)
{
  guint n = 0;

  for (GList *item = members != NULL ? members->head : NULL; item != NULL; item = item->next)
    {
      TlQuicMember *member = item->data;

      n += !member->closing;
      if (code != 0)
        close_member (member, code, reason);
    }
  return n;
}

static void
report (TlQuicThread *self, guint64 number)
{
  TlQuicNote *note = g_new0 (TlQuicNote, 1);

  note->number = number;
  note->paths = g_array_new (FALSE, FALSE, sizeof (TlQuicPathNote));
  tl_quic_endpoint_get_stats (self->endpoint, &note->stats);
  for (GList *item = tl_quic_members_all (self->members)->head; item != NULL; item = item->next)
    {
      TlQuicMember *member = item->data;
      TlQuicConnectionInfo info;
      TlQuicPathNote path = { 0 };

      if (member->events == NULL)
        continue;
      tl_quic_connection_get_info (member->connection, &info);
      path.channel = tl_quic_channel_ref (member->events);
      g_strlcpy (path.path.address, info.remote, sizeof path.path.address);
      path.path.rtt_us = info.rtt_us;
      path.path.packets_lost = info.packets_lost;
      path.path.migrations = info.migrations;
      g_array_append_val (note->paths, path);
    }
  tell (self, TL_QUIC_NOTE_REPORT, NULL, note);
}

static void
send_ordered (TlQuicOrder *order)
{
  TlQuicChannel *channel = order->channel;

  atomic_fetch_sub (&channel->on_the_way, g_bytes_get_size (order->frame));
  if (channel->stream != NULL && is_admitted (channel->member))
    send_now (channel, order->frame, order->last);
}

static void
set_latest (TlQuicThread *self, const char *device_id, guint64 seq)
{
  guint64 *latest = g_hash_table_lookup (self->latest, device_id);

  if (latest == NULL)
    {
      latest = g_new0 (guint64, 1);
      g_hash_table_insert (self->latest, g_strdup (device_id), latest);
    }
  *latest = MAX (*latest, seq);
}

static void
answer_cut (TlQuicThread *self, const TlQuicOrder *order)
{
  TlQuicNote *note = g_new0 (TlQuicNote, 1);

  note->number = order->number;
  note->count = cut (tl_quic_members_of_device (self->members, order->subject), order->code, order->reason);
  tell (self, TL_QUIC_NOTE_CUT, NULL, note);
}

static void
obey (TlQuicThread *self, TlQuicOrder *order)
{
  switch (order->kind)
    {
    case TL_QUIC_ORDER_SEND:
      send_ordered (order);
      return;
    case TL_QUIC_ORDER_CLOSE:
      if (order->channel->member != NULL)
        close_member (order->channel->member, order->code, order->reason);
      return;
    case TL_QUIC_ORDER_DEVICE:
      answer_cut (self, order);
      return;
    case TL_QUIC_ORDER_CERTIFICATE:
      cut (tl_quic_members_of_certificate (self->members, order->subject), order->code, order->reason);
      return;
    case TL_QUIC_ORDER_LATEST:
      set_latest (self, order->subject, order->number);
      return;
    case TL_QUIC_ORDER_TLS:
      tl_quic_endpoint_set_tls (self->endpoint, order->tls);
      return;
    case TL_QUIC_ORDER_REPORT:
      report (self, order->number);
      return;
    case TL_QUIC_ORDER_STOP:
      g_main_loop_quit (self->loop);
      return;
    }
  g_return_if_reached ();
}

static void
on_orders (gpointer *items, guint n, gpointer user_data)
{
  for (guint i = 0; i < n; i++)
    {
      obey (user_data, items[i]);
      tl_quic_order_free (items[i]);
    }
}

static void *
run (void *data)
{
  TlQuicThread *self = data;

  g_main_context_push_thread_default (self->context);
  g_main_loop_run (self->loop);
  g_clear_pointer (&self->endpoint, tl_quic_endpoint_free); /* tells everybody 0x100 */
  g_main_context_pop_thread_default (self->context);
  return NULL;
}

/* ---- life ---- */

static gboolean
make_endpoint (TlQuicThread *self, const TlQuicRuntimeOptions *options, GError **error)
{
  TlQuicTlsOptions tls_options = { .is_server = TRUE, .verify = tl_quic_verifier_verify };
  TlQuicEndpointOptions endpoint = { .handlers = &connection_handlers };
  g_autoptr (TlQuicTls) tls = NULL;

  tls_options.chain_pem = options->chain_pem;
  tls_options.key_pem = options->key_pem;
  tls_options.verify_data = self->verifier;
  tls = tl_quic_tls_new (&tls_options, error);
  if (tls == NULL)
    return FALSE;
  endpoint.context = self->context;
  endpoint.clock = options->clock;
  endpoint.user_data = self;
  endpoint.tls = tls;
  endpoint.secret = options->secret;
  endpoint.max_connections = options->max_connections;
  endpoint.retry_threshold = options->retry_threshold;
  endpoint.handshake_timeout_ms = options->handshake_timeout_ms;
  endpoint.qlog_directory = options->qlog_directory;
  self->endpoint = tl_quic_endpoint_new (&endpoint, error);
  return self->endpoint != NULL;
}

TlQuicThread *
tl_quic_thread_new (const TlQuicRuntimeOptions *options, TlQueue *notes, GError **error)
{
  TlQuicThread *self = g_new0 (TlQuicThread, 1);

  self->context = g_main_context_new ();
  self->loop = g_main_loop_new (self->context, FALSE);
  self->admitted = tl_admitted_set_ref (options->admitted);
  self->clock = options->clock;
  self->gateway_id = g_strdup (options->gateway_id);
  self->budget = options->budget_per_second > 0 ? options->budget_per_second : TL_QUIC_BUDGET_PER_SECOND;
  self->notes = tl_queue_ref (notes);
  self->orders = tl_queue_new_for_context (self->context, on_orders, self, tl_quic_order_free);
  self->members = tl_quic_members_new ();
  self->latest = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  atomic_init (&self->denials_pending, 0);
  atomic_init (&self->denials_dropped, 0);
  self->verifier = tl_quic_verifier_new (options->admitted, options->bundle, options->clock, on_refused, self);
  if (make_endpoint (self, options, error))
    return self;
  tl_quic_thread_free (self);
  return NULL;
}

void
tl_quic_thread_start (TlQuicThread *self)
{
  sigset_t all, before;
  int rc;

  /* Signals are the main context's. */
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  rc = pthread_create (&self->thread, NULL, run, self);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (rc != 0)
    g_error ("cannot start the quic thread: %s", g_strerror (rc));
  pthread_setname_np (self->thread, "tl-quic");
  self->started = TRUE;
}

void
tl_quic_thread_free (TlQuicThread *self)
{
  if (self == NULL)
    return;
  if (self->started)
    pthread_join (self->thread, NULL);
  g_clear_pointer (&self->endpoint, tl_quic_endpoint_free);
  tl_queue_close (self->orders); /* channels may keep it, and push in vain */
  tl_queue_unref (self->orders);
  tl_queue_unref (self->notes);
  tl_quic_verifier_unref (self->verifier);
  tl_quic_members_free (self->members);
  g_hash_table_unref (self->latest);
  tl_admitted_set_unref (self->admitted);
  g_main_loop_unref (self->loop);
  g_main_context_unref (self->context);
  g_free (self->gateway_id);
  g_free (self);
}

TlQuicEndpoint *
tl_quic_thread_endpoint (TlQuicThread *self)
{
  return self->endpoint;
}

TlQuicVerifier *
tl_quic_thread_verifier (TlQuicThread *self)
{
  return self->verifier;
}

TlQueue *
tl_quic_thread_orders (TlQuicThread *self)
{
  return self->orders;
}

guint
tl_quic_thread_denial_told (TlQuicThread *self)
{
  atomic_fetch_sub (&self->denials_pending, 1);
  return atomic_exchange (&self->denials_dropped, 0);
}
