/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-random.h"
#include "crypto/tl-hash.h"
#include "quic/tl-quic-connection-private.h"

#define EPOLL_EVENTS 64
#define SERVER_BATCH 16
#define CLIENT_BATCH 8
#define EXTRA_ROUNDS 2 /* of writing, when telling handlers made more to write */

typedef struct
{
  GSource base;
  TlQuicEndpoint *endpoint;
} Source;

/* ---- time ---- */

guint64
tl_quic_endpoint_now (TlQuicEndpoint *endpoint)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  endpoint->now = MAX (endpoint->now, (guint64)now.tv_sec * NGTCP2_SECONDS + (guint64)now.tv_nsec);
  return endpoint->now;
}

/* ---- sockets ---- */

gboolean
tl_quic_endpoint_add_socket (TlQuicEndpoint *endpoint, TlQuicSocket *socket, GError **error)
{
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = socket };

  if (epoll_ctl (endpoint->epoll_fd, EPOLL_CTL_ADD, socket->fd, &event) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot watch a UDP socket: %s", g_strerror (errno));
      return FALSE;
    }
  g_ptr_array_add (endpoint->sockets, socket);
  return TRUE;
}

void
tl_quic_endpoint_drop_socket (TlQuicEndpoint *endpoint, TlQuicSocket *socket)
{
  epoll_ctl (endpoint->epoll_fd, EPOLL_CTL_DEL, socket->fd, NULL);
  g_ptr_array_remove_fast (endpoint->sockets, socket);
  socket->owner = NULL;
  if (endpoint->is_dispatching) /* it may be the one that is being read */
    g_ptr_array_add (endpoint->dead_sockets, socket);
  else
    tl_quic_socket_free (socket);
}

void
tl_quic_endpoint_watch_writable (TlQuicEndpoint *endpoint, TlQuicSocket *socket, gboolean watch)
{
  struct epoll_event event = { .events = EPOLLIN | (watch ? EPOLLOUT : 0u), .data.ptr = socket };

  epoll_ctl (endpoint->epoll_fd, EPOLL_CTL_MOD, socket->fd, &event);
}

/* ---- reading ---- */

void
tl_quic_endpoint_receive (TlQuicSocket *socket, const ngtcp2_path *path, guint8 *data, gsize length, gpointer user_data)
{
  TlQuicEndpoint *endpoint = user_data;
  TlQuicConnection *connection;
  ngtcp2_version_cid ids;
  int code;

  endpoint->stats.received++;
  if (socket->is_connected)
    {
      /* Also what carries an unknown id: it may be a stateless reset. */
      if (socket->owner != NULL)
        tl_quic_connection_read (socket->owner, socket, path, data, length);
      return;
    }
  code = ngtcp2_pkt_decode_version_cid (&ids, data, length, TL_QUIC_CID_LENGTH);
  if (code == NGTCP2_ERR_VERSION_NEGOTIATION || (code == 0 && ids.version == NGTCP2_PROTO_VER_V2))
    {
      tl_quic_endpoint_refuse_version (endpoint, socket, path, &ids, length);
      return;
    }
  if (code != 0)
    {
      endpoint->stats.garbage++;
      return;
    }
  connection = tl_quic_cid_table_find (&endpoint->cids, ids.dcid, ids.dcidlen);
  if (connection != NULL)
    tl_quic_connection_read (connection, socket, path, data, length);
  else
    tl_quic_endpoint_accept (endpoint, socket, path, data, length);
}

/* ICMP, or no route any more. Only a handshake ends of it: anybody can forge an ICMP message. */
static void
on_socket_error (TlQuicEndpoint *endpoint, TlQuicSocket *socket, int code)
{
  TlQuicConnection *connection = socket->owner;

  if (connection != NULL && connection->state == TL_QUIC_STATE_HANDSHAKE && code != EMSGSIZE)
    tl_quic_connection_end (connection, TL_QUIC_ENDED_UNREACHABLE, (guint64)code, FALSE, NULL);
}

static void
read_socket (TlQuicEndpoint *endpoint, TlQuicSocket *socket)
{
  guint batch = endpoint->handlers != NULL ? SERVER_BATCH : CLIENT_BATCH;

  if (endpoint->receiver == NULL)
    endpoint->receiver = tl_quic_receiver_new (batch);
  for (guint64 until = endpoint->stats.received + TL_QUIC_TURN_DATAGRAMS; endpoint->stats.received < until;)
    {
      int n = tl_quic_receiver_read (endpoint->receiver, socket, tl_quic_endpoint_receive, endpoint);

      if (n < 0)
        {
          on_socket_error (endpoint, socket, -n);
          break; /* what is behind the error wakes the loop again */
        }
      if ((guint)n < batch)
        break;
      tl_quic_endpoint_now (endpoint);
    }
}

static void
unblock (TlQuicEndpoint *endpoint, TlQuicSocket *socket)
{
  GList *link;

  if (!tl_quic_socket_send_pending (socket))
    return;
  tl_quic_endpoint_watch_writable (endpoint, socket, FALSE);
  while ((link = g_queue_pop_head_link (&endpoint->blocked)) != NULL)
    {
      ((TlQuicConnection *)link->data)->in_blocked = FALSE;
      g_queue_push_tail_link (&endpoint->ready, link);
    }
  for (link = endpoint->lingering.head; link != NULL; link = link->next)
    {
      if (((TlQuicConnection *)link->data)->is_close_due)
        tl_quic_connection_send_close_packet (link->data);
    }
}

static void
read_sockets (TlQuicEndpoint *endpoint)
{
  struct epoll_event events[EPOLL_EVENTS];
  int n = epoll_wait (endpoint->epoll_fd, events, EPOLL_EVENTS, 0);

  for (int i = 0; i < n; i++)
    {
      TlQuicSocket *socket = events[i].data.ptr;

      if ((events[i].events & EPOLLOUT) != 0)
        unblock (endpoint, socket);
      if ((events[i].events & (EPOLLIN | EPOLLERR)) != 0)
        read_socket (endpoint, socket);
    }
}

/* ---- a turn of the loop ---- */

static void
expire_timers (TlQuicEndpoint *endpoint)
{
  for (guint n = 0; n < TL_QUIC_TURN_TIMERS; n++)
    {
      TlQuicTimer *timer = tl_quic_heap_first (&endpoint->heap);

      if (timer == NULL || timer->at > endpoint->now)
        break;
      tl_quic_heap_set (&endpoint->heap, timer, TL_QUIC_TIMER_NEVER);
      tl_quic_connection_expire ((TlQuicConnection *)((char *)timer - G_STRUCT_OFFSET (TlQuicConnection, timer)));
    }
}

static gboolean
is_blocked (TlQuicConnection *connection)
{
  TlQuicSocket *socket = tl_quic_connection_socket (connection, ngtcp2_conn_get_path (connection->conn));

  return socket != NULL && socket->pending != NULL;
}

static void
write_connection (TlQuicEndpoint *endpoint, TlQuicConnection *connection)
{
  gboolean is_done;

  tl_quic_connection_tell_closed_streams (connection);
  if (!tl_quic_connection_is_live (connection))
    return;
  if (is_blocked (connection))
    {
      if (connection->is_ready)
        g_queue_unlink (&endpoint->ready, &connection->ready_link);
      connection->is_ready = connection->in_blocked = TRUE;
      g_queue_push_tail_link (&endpoint->blocked, &connection->ready_link);
      return;
    }
  is_done = tl_quic_connection_write (connection);
  if (!is_done)
    tl_quic_connection_mark_ready (connection);
  if (tl_quic_connection_is_live (connection))
    tl_quic_connection_set_timer (connection);
}

/* Those that are ready now, each once. */
static void
write_connections (TlQuicEndpoint *endpoint)
{
  for (guint n = endpoint->ready.length; n > 0 && endpoint->ready.head != NULL; n--)
    {
      TlQuicConnection *connection = endpoint->ready.head->data;

      g_queue_unlink (&endpoint->ready, &connection->ready_link);
      connection->is_ready = FALSE;
      write_connection (endpoint, connection);
    }
}

static void
finish_connections (TlQuicEndpoint *endpoint)
{
  GList *link;

  while ((link = g_queue_pop_head_link (&endpoint->ended)) != NULL)
    tl_quic_connection_finish (link->data);
}

static gboolean
dispatch (GSource *source, GSourceFunc callback, gpointer user_data)
{
  TlQuicEndpoint *endpoint = ((Source *)source)->endpoint;

  endpoint->is_dispatching = TRUE;
  tl_quic_endpoint_now (endpoint);
  if (g_source_query_unix_fd (source, endpoint->epoll_tag) != 0)
    read_sockets (endpoint);
  expire_timers (endpoint);
  write_connections (endpoint);
  tl_quic_endpoint_serve_waiting (endpoint);
  for (int i = 0; i < EXTRA_ROUNDS && (endpoint->ready.head != NULL || endpoint->ended.head != NULL); i++)
    {
      tl_quic_endpoint_now (endpoint);
      write_connections (endpoint);
      finish_connections (endpoint);
    }
  endpoint->is_dispatching = FALSE;
  g_ptr_array_set_size (endpoint->dead_sockets, 0);
  return G_SOURCE_CONTINUE;
}

/* ---- the source ---- */

static gboolean
has_work (TlQuicEndpoint *endpoint)
{
  return endpoint->ready.head != NULL || endpoint->ended.head != NULL || endpoint->waiting.length > 0;
}

/* Nothing is ever told to the context between two turns (g_source_set_ready_time() and the like write to its eventfd,
 * and wake it for nothing): all calls come from its thread, so it looks here before it waits. */
static gboolean
prepare (GSource *source, gint *timeout_ms)
{
  TlQuicEndpoint *endpoint = ((Source *)source)->endpoint;
  TlQuicTimer *first = tl_quic_heap_first (&endpoint->heap);
  guint64 now;

  *timeout_ms = -1;
  if (endpoint->is_dispatching)
    return FALSE;
  if (has_work (endpoint))
    return TRUE;
  if (first == NULL)
    return FALSE;
  now = tl_quic_endpoint_now (endpoint);
  if (first->at <= now)
    return TRUE;
  *timeout_ms = (gint)MIN ((first->at - now + NGTCP2_MILLISECONDS - 1) / NGTCP2_MILLISECONDS, G_MAXINT);
  return FALSE;
}

static gboolean
check (GSource *source)
{
  TlQuicEndpoint *endpoint = ((Source *)source)->endpoint;
  TlQuicTimer *first = tl_quic_heap_first (&endpoint->heap);

  if (endpoint->is_dispatching)
    return FALSE;
  return has_work (endpoint) || g_source_query_unix_fd (source, endpoint->epoll_tag) != 0
         || (first != NULL && first->at <= tl_quic_endpoint_now (endpoint));
}

static GSourceFuncs source_funcs = { .prepare = prepare, .check = check, .dispatch = dispatch };

/* ---- life ---- */

/* Both kinds of stateless answer have a key of their own. */
static void
derive_secret (const guint8 *secret, const char *purpose, guint8 derived[TL_QUIC_SECRET_LENGTH])
{
  g_autoptr (TlTranscript) info = tl_transcript_new (purpose);
  g_autoptr (TlSecret) key = NULL;
  gsize length;
  const guint8 *data = tl_transcript_data (info, &length);

  key = tl_hkdf_sha256 (NULL, 0, secret, TL_QUIC_SECRET_LENGTH, data, length, TL_QUIC_SECRET_LENGTH);
  memcpy (derived, tl_secret_data (key), TL_QUIC_SECRET_LENGTH);
}

static void
set_secrets (TlQuicEndpoint *endpoint, const guint8 *secret)
{
  guint8 random[TL_QUIC_SECRET_LENGTH];

  if (secret == NULL)
    tl_random_bytes (tl_random_system (), random, sizeof random);
  derive_secret (secret != NULL ? secret : random, "quic reset", endpoint->reset_secret);
  derive_secret (secret != NULL ? secret : random, "quic token", endpoint->token_secret);
  tl_wipe (random, sizeof random);
}

static void
set_options (TlQuicEndpoint *endpoint, const TlQuicEndpointOptions *options)
{
  endpoint->clock = options->clock != NULL ? options->clock : tl_clock_system ();
  endpoint->handlers = options->handlers;
  endpoint->user_data = options->user_data;
  endpoint->tls = options->tls != NULL ? tl_quic_tls_ref (options->tls) : NULL;
  endpoint->max_connections = options->max_connections != 0 ? options->max_connections : TL_QUIC_MAX_CONNECTIONS;
  endpoint->retry_threshold = options->retry_threshold != 0 ? options->retry_threshold : TL_QUIC_RETRY_THRESHOLD;
  if (options->retry_threshold == TL_QUIC_RETRY_ALWAYS)
    endpoint->retry_threshold = 0;
  endpoint->idle_ms = options->idle_ms != 0 ? options->idle_ms : TL_QUIC_IDLE_MS;
  endpoint->keep_alive_ms = options->keep_alive_ms != 0 ? options->keep_alive_ms : TL_QUIC_KEEP_ALIVE_MS;
  endpoint->handshake_timeout_ms
      = options->handshake_timeout_ms != 0 ? options->handshake_timeout_ms : TL_QUIC_HANDSHAKE_TIMEOUT_MS;
  endpoint->first_frame_ms = TL_QUIC_FIRST_FRAME_MS;
  endpoint->max_lingering = TL_QUIC_LINGERING_MAX;
  endpoint->qlog_directory = g_strdup (options->qlog_directory);
  endpoint->count_losses = options->count_losses;
  endpoint->reset_rate.rate = TL_QUIC_RESETS_PER_SECOND;
  endpoint->version_rate.rate = TL_QUIC_VERSIONS_PER_SECOND;
  endpoint->refusal_rate.rate = TL_QUIC_REFUSALS_PER_SECOND;
}

TlQuicEndpoint *
tl_quic_endpoint_new (const TlQuicEndpointOptions *options, GError **error)
{
  TlQuicEndpoint *endpoint;
  guint8 key[16];
  int epoll_fd = epoll_create1 (EPOLL_CLOEXEC);

  if (epoll_fd < 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot watch UDP sockets: %s", g_strerror (errno));
      return NULL;
    }
  endpoint = g_new0 (TlQuicEndpoint, 1);
  endpoint->epoll_fd = epoll_fd;
  set_options (endpoint, options);
  set_secrets (endpoint, options->secret);
  tl_random_bytes (tl_random_system (), key, sizeof key);
  tl_quic_cid_table_init (&endpoint->cids, key);
  tl_quic_heap_init (&endpoint->heap);
  endpoint->sockets = g_ptr_array_new ();
  endpoint->dead_sockets = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_quic_socket_free);
  endpoint->half_open_sources = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  endpoint->send_buffer = g_malloc (TL_QUIC_SEND_MAX);

  endpoint->source = g_source_new (&source_funcs, sizeof (Source));
  g_source_set_static_name (endpoint->source, "TlQuicEndpoint");
  ((Source *)endpoint->source)->endpoint = endpoint;
  /* It does not. But GLib takes a source that cannot out of the poll set while it is dispatched, and wakes itself up by
   * that. */
  g_source_set_can_recurse (endpoint->source, TRUE);
  endpoint->epoll_tag = g_source_add_unix_fd (endpoint->source, epoll_fd, G_IO_IN | G_IO_ERR);
  g_source_attach (endpoint->source,
                   options->context != NULL ? options->context : g_main_context_get_thread_default ());
  return endpoint;
}

static void
close_all (TlQuicEndpoint *endpoint)
{
  for (GList *l = endpoint->connections.head; l != NULL; l = l->next)
    tl_quic_connection_close (l->data, TL_QUIC_CLOSE_GOING_AWAY, NULL);
  finish_connections (endpoint);
}

void
tl_quic_endpoint_free (TlQuicEndpoint *endpoint)
{
  GList *link;

  if (endpoint == NULL)
    return;
  g_assert (!endpoint->is_dispatching); /* from an idle source, not from within a handler */
  endpoint->has_stopped = TRUE;
  while (endpoint->connections.head != NULL)
    close_all (endpoint);
  while ((link = g_queue_pop_head_link (&endpoint->lingering)) != NULL)
    tl_quic_connection_free (link->data);
  g_source_destroy (endpoint->source);
  g_source_unref (endpoint->source);
  while (endpoint->sockets->len > 0)
    tl_quic_endpoint_drop_socket (endpoint, g_ptr_array_index (endpoint->sockets, 0));
  g_ptr_array_unref (endpoint->sockets);
  g_ptr_array_unref (endpoint->dead_sockets);
  tl_quic_receiver_free (endpoint->receiver);
  tl_quic_cid_table_clear (&endpoint->cids);
  tl_quic_heap_clear (&endpoint->heap);
  g_hash_table_unref (endpoint->half_open_sources);
  g_queue_clear_full (&endpoint->waiting, g_free);
  g_clear_pointer (&endpoint->tls, tl_quic_tls_unref);
  tl_wipe (endpoint->reset_secret, sizeof endpoint->reset_secret);
  tl_wipe (endpoint->token_secret, sizeof endpoint->token_secret);
  g_free (endpoint->qlog_directory);
  g_free (endpoint->send_buffer);
  close (endpoint->epoll_fd);
  g_free (endpoint);
}

/* ---- the owner's calls ---- */

gboolean
tl_quic_endpoint_listen (TlQuicEndpoint *endpoint, const char *address, guint16 *port, GError **error)
{
  g_autoptr (TlQuicSocket) socket = NULL;
  TlQuicAddress parsed;

  g_return_val_if_fail (endpoint->handlers != NULL && endpoint->tls != NULL, FALSE);
  if (!tl_quic_address_parse (address, &parsed, error))
    return FALSE;
  socket = tl_quic_socket_listen (&parsed, error);
  if (socket == NULL || !tl_quic_endpoint_add_socket (endpoint, socket, error))
    return FALSE;
  if (port != NULL)
    *port = tl_quic_address_port (&socket->local);
  g_steal_pointer (&socket);
  return TRUE;
}

void
tl_quic_endpoint_set_tls (TlQuicEndpoint *endpoint, TlQuicTls *tls)
{
  tl_quic_tls_ref (tls);
  g_clear_pointer (&endpoint->tls, tl_quic_tls_unref);
  endpoint->tls = tls;
}

TlQuicConnection *
tl_quic_endpoint_connect (TlQuicEndpoint *endpoint, const char *address, TlQuicTls *tls,
                          const TlQuicConnectionHandlers *handlers, gpointer user_data, GError **error)
{
  TlQuicConnection *connection;
  TlQuicSocket *socket;
  TlQuicAddress parsed;

  if (!tl_quic_address_parse (address, &parsed, error))
    return NULL;
  socket = tl_quic_socket_connect (&parsed, error);
  if (socket == NULL)
    return NULL;
  if (!tl_quic_endpoint_add_socket (endpoint, socket, error))
    {
      tl_quic_socket_free (socket);
      return NULL;
    }
  connection = tl_quic_connection_new_client (endpoint, socket, tls, handlers, user_data, error);
  if (connection == NULL)
    {
      tl_quic_endpoint_drop_socket (endpoint, socket);
      return NULL;
    }
  tl_quic_connection_mark_ready (connection);
  return connection;
}

void
tl_quic_endpoint_foreach (TlQuicEndpoint *endpoint, GFunc func, gpointer user_data)
{
  for (GList *next, *l = endpoint->connections.head; l != NULL; l = next)
    {
      next = l->next;
      if (tl_quic_connection_is_live (l->data))
        func (l->data, user_data);
    }
}

void
tl_quic_endpoint_get_stats (TlQuicEndpoint *endpoint, TlQuicEndpointStats *stats)
{
  *stats = endpoint->stats;
  stats->connections = endpoint->connections.length;
}

void
tl_quic_endpoint_stop_accepting (TlQuicEndpoint *endpoint)
{
  endpoint->has_stopped = TRUE;
}
