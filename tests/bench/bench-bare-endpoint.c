/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "bench-bare-quic-private.h"

#define BATCH         8 /* datagrams, or runs of them, in one recvmmsg() */
#define SOCKET_BUFFER (4 << 20)

typedef struct
{
  GSource source;
  BenchBareEndpoint *endpoint;
  gpointer tag;
} Source;

/* What one recvmmsg() fills; one for the thread. */
typedef struct
{
  struct mmsghdr headers[BATCH];
  struct iovec vectors[BATCH];
  struct sockaddr_in remotes[BATCH];
  _Alignas(struct cmsghdr) guint8 control[BATCH][CMSG_SPACE (sizeof (int))];
  guint8 data[BATCH][BENCH_BARE_BUFFER];
} Batch;

ngtcp2_tstamp
bench_bare_endpoint_tick (BenchBareEndpoint *endpoint)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  endpoint->now = (ngtcp2_tstamp)now.tv_sec * NGTCP2_SECONDS + (ngtcp2_tstamp)now.tv_nsec;
  return endpoint->now;
}

/* ---- connection ids */

/* They are random. */
static guint
hash_id (gconstpointer key)
{
  const ngtcp2_cid *id = key;
  guint32 hash = 0;

  memcpy (&hash, id->data, MIN (id->datalen, sizeof hash));
  return hash;
}

static gboolean
equal_ids (gconstpointer a, gconstpointer b)
{
  return ngtcp2_cid_eq (a, b) != 0;
}

void
bench_bare_endpoint_map (BenchBareEndpoint *endpoint, const ngtcp2_cid *id, BenchBareConnection *connection)
{
  g_hash_table_insert (endpoint->connections, g_memdup2 (id, sizeof *id), connection);
}

void
bench_bare_endpoint_unmap (BenchBareEndpoint *endpoint, const ngtcp2_cid *id)
{
  g_hash_table_remove (endpoint->connections, id);
}

void
bench_bare_endpoint_mark (BenchBareEndpoint *endpoint, BenchBareConnection *connection)
{
  if (connection->is_dirty)
    return;
  connection->is_dirty = TRUE;
  g_ptr_array_add (endpoint->dirty, connection);
}

/* A connection that ended: a server's goes, a client's is its owner's to close. */
static void
end (BenchBareEndpoint *endpoint, BenchBareConnection *connection)
{
  if (endpoint->is_server)
    {
      bench_bare_connection_free (connection);
      return;
    }
  connection->expiry = UINT64_MAX;
  g_sequence_move (connection->expiry_at, g_sequence_get_end_iter (endpoint->expiries));
  bench_bare_connection_fail (connection);
}

/* ---- out */

void
bench_bare_endpoint_send (BenchBareEndpoint *endpoint, const struct sockaddr_in *remote, gsize offset, gsize length,
                          gsize segment)
{
  struct iovec vector = { endpoint->out + offset, length };
  _Alignas(struct cmsghdr) guint8 control[CMSG_SPACE (sizeof (guint16))] = { 0 };
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };

  if (endpoint->is_server)
    {
      message.msg_name = (void *)remote;
      message.msg_namelen = sizeof *remote;
    }
  if (length > segment)
    {
      struct cmsghdr *header = (struct cmsghdr *)(void *)control;
      const guint16 size = (guint16)segment;

      message.msg_control = control;
      message.msg_controllen = sizeof control;
      header->cmsg_level = SOL_UDP;
      header->cmsg_type = UDP_SEGMENT;
      header->cmsg_len = CMSG_LEN (sizeof size);
      memcpy (CMSG_DATA (header), &size, sizeof size);
    }
  while (sendmsg (endpoint->fd, &message, 0) < 0 && errno == EINTR) /* what the kernel drops is sent again by QUIC */
    continue;
}

static void
flush (BenchBareEndpoint *endpoint)
{
  if (endpoint->dirty->len == 0)
    return;
  bench_bare_endpoint_tick (endpoint);
  while (endpoint->dirty->len > 0)
    {
      BenchBareConnection *connection = g_ptr_array_steal_index_fast (endpoint->dirty, endpoint->dirty->len - 1);

      connection->is_dirty = FALSE;
      if (!connection->is_over && !bench_bare_connection_flush (connection))
        end (endpoint, connection);
    }
}

/* ---- in */

static void
read_packet (BenchBareEndpoint *endpoint, const struct sockaddr_in *remote, const guint8 *packet, gsize length)
{
  BenchBareConnection *connection;
  ngtcp2_version_cid version;
  ngtcp2_pkt_hd hd;
  ngtcp2_cid id;

  if (ngtcp2_pkt_decode_version_cid (&version, packet, length, BENCH_BARE_ID_LENGTH) != 0)
    return;
  ngtcp2_cid_init (&id, version.dcid, version.dcidlen);
  connection = g_hash_table_lookup (endpoint->connections, &id);
  if (connection == NULL && endpoint->is_server && ngtcp2_accept (&hd, packet, length) == 0)
    connection = bench_bare_connection_new (endpoint, endpoint->tls, &hd, remote);
  if (connection == NULL || connection->is_over)
    return;
  if (bench_bare_connection_read (connection, remote, packet, length))
    bench_bare_endpoint_mark (endpoint, connection);
  else
    end (endpoint, connection);
}

static gsize
segment_size (struct msghdr *message, gsize length)
{
  for (struct cmsghdr *header = CMSG_FIRSTHDR (message); header != NULL; header = CMSG_NXTHDR (message, header))
    if (header->cmsg_level == SOL_UDP && header->cmsg_type == UDP_GRO)
      {
        int size = 0;

        memcpy (&size, CMSG_DATA (header), sizeof size);
        return size > 0 ? (gsize)size : length;
      }
  return length;
}

/* FALSE: the socket has no more. */
static gboolean
read_batch (BenchBareEndpoint *endpoint)
{
  static Batch batch;
  int n;

  for (guint i = 0; i < BATCH; i++)
    {
      batch.vectors[i] = (struct iovec){ batch.data[i], BENCH_BARE_BUFFER };
      batch.headers[i].msg_hdr = (struct msghdr){ .msg_name = &batch.remotes[i],
                                                  .msg_namelen = sizeof batch.remotes[i],
                                                  .msg_iov = &batch.vectors[i],
                                                  .msg_iovlen = 1,
                                                  .msg_control = batch.control[i],
                                                  .msg_controllen = sizeof batch.control[i] };
    }
  n = recvmmsg (endpoint->fd, batch.headers, BATCH, MSG_DONTWAIT, NULL);
  if (n <= 0)
    return FALSE;
  bench_bare_endpoint_tick (endpoint);
  for (int i = 0; i < n; i++)
    {
      gsize length = batch.headers[i].msg_len, segment = segment_size (&batch.headers[i].msg_hdr, length);

      for (gsize offset = 0; offset < length; offset += segment)
        read_packet (endpoint, &batch.remotes[i], batch.data[i] + offset, MIN (segment, length - offset));
    }
  flush (endpoint);
  return n == BATCH;
}

static BenchBareConnection *
first_to_expire (BenchBareEndpoint *endpoint)
{
  GSequenceIter *first = g_sequence_get_begin_iter (endpoint->expiries);

  return g_sequence_iter_is_end (first) ? NULL : g_sequence_get (first);
}

static void
expire (BenchBareEndpoint *endpoint)
{
  BenchBareConnection *connection;

  bench_bare_endpoint_tick (endpoint);
  while ((connection = first_to_expire (endpoint)) != NULL && connection->expiry <= endpoint->now)
    if (!bench_bare_connection_expire (connection) || !bench_bare_connection_flush (connection))
      end (endpoint, connection);
}

/* ---- the source */

/* Whatever was asked for outside goes out before the loop waits. */
static gboolean
on_prepare (GSource *source, int *timeout)
{
  BenchBareEndpoint *endpoint = ((Source *)source)->endpoint;
  const BenchBareConnection *connection;

  flush (endpoint);
  connection = first_to_expire (endpoint);
  *timeout = -1;
  if (connection == NULL || connection->expiry == UINT64_MAX)
    return FALSE;
  if (connection->expiry <= bench_bare_endpoint_tick (endpoint))
    return TRUE;
  *timeout = (int)MIN ((connection->expiry - endpoint->now) / NGTCP2_MILLISECONDS + 1, G_MAXINT);
  return FALSE;
}

static gboolean
on_check (GSource *source)
{
  BenchBareEndpoint *endpoint = ((Source *)source)->endpoint;
  const BenchBareConnection *connection = first_to_expire (endpoint);

  return g_source_query_unix_fd (source, ((Source *)source)->tag) != 0
         || (connection != NULL && connection->expiry <= bench_bare_endpoint_tick (endpoint));
}

static gboolean
on_dispatch (GSource *source, GSourceFunc callback, gpointer user_data)
{
  BenchBareEndpoint *endpoint = ((Source *)source)->endpoint;

  if (g_source_query_unix_fd (source, ((Source *)source)->tag) != 0)
    while (read_batch (endpoint))
      continue;
  expire (endpoint);
  return G_SOURCE_CONTINUE;
}

/* ---- life */

static gboolean
open_socket (BenchBareEndpoint *endpoint, guint16 remote_port)
{
  const int on = 1, buffer = SOCKET_BUFFER;
  socklen_t length = sizeof endpoint->local;

  endpoint->local = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  endpoint->remote = endpoint->local;
  endpoint->remote.sin_port = htons (remote_port);
  endpoint->fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (endpoint->fd < 0)
    return FALSE;
  setsockopt (endpoint->fd, SOL_UDP, UDP_GRO, &on, sizeof on);
  setsockopt (endpoint->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  setsockopt (endpoint->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  return bind (endpoint->fd, (const struct sockaddr *)&endpoint->local, length) == 0
         && (endpoint->is_server || connect (endpoint->fd, (const struct sockaddr *)&endpoint->remote, length) == 0)
         && getsockname (endpoint->fd, (struct sockaddr *)&endpoint->local, &length) == 0;
}

static BenchBareEndpoint *
endpoint_new (BenchBareTls *tls, guint16 remote_port, GError **error)
{
  static GSourceFuncs functions
      = { .prepare = on_prepare, .check = on_check, .dispatch = on_dispatch, .finalize = NULL };
  g_autoptr (BenchBareEndpoint) endpoint = g_new0 (BenchBareEndpoint, 1);

  endpoint->is_server = tls != NULL;
  endpoint->tls = tls;
  endpoint->connections = g_hash_table_new_full (hash_id, equal_ids, g_free, NULL);
  endpoint->expiries = g_sequence_new (NULL);
  endpoint->dirty = g_ptr_array_new ();
  if (!open_socket (endpoint, remote_port))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "the bare endpoint's socket: %s", g_strerror (errno));
      return NULL;
    }
  endpoint->source = g_source_new (&functions, sizeof (Source));
  ((Source *)endpoint->source)->endpoint = endpoint;
  ((Source *)endpoint->source)->tag = g_source_add_unix_fd (endpoint->source, endpoint->fd, G_IO_IN);
  g_source_set_can_recurse (endpoint->source, TRUE); /* or GLib takes the descriptor out and in at each turn */
  g_source_attach (endpoint->source, NULL);
  return g_steal_pointer (&endpoint);
}

BenchBareEndpoint *
bench_bare_endpoint_new_server (BenchBareTls *tls, GError **error)
{
  return endpoint_new (tls, 0, error);
}

BenchBareEndpoint *
bench_bare_endpoint_new_client (guint16 port, GError **error)
{
  return endpoint_new (NULL, port, error);
}

guint16
bench_bare_endpoint_port (BenchBareEndpoint *endpoint)
{
  return ntohs (endpoint->local.sin_port);
}

void
bench_bare_endpoint_free (BenchBareEndpoint *endpoint)
{
  BenchBareConnection *connection;

  if (endpoint == NULL)
    return;
  while ((connection = first_to_expire (endpoint)) != NULL)
    bench_bare_connection_close (connection);
  if (endpoint->source != NULL)
    {
      g_source_destroy (endpoint->source);
      g_source_unref (endpoint->source);
    }
  if (endpoint->fd >= 0)
    close (endpoint->fd);
  g_sequence_free (endpoint->expiries);
  g_hash_table_unref (endpoint->connections);
  g_ptr_array_unref (endpoint->dirty);
  g_free (endpoint);
}

BenchBareConnection *
bench_bare_connect (BenchBareEndpoint *endpoint, BenchBareTls *tls, BenchOperation *operation)
{
  BenchBareConnection *connection;

  bench_bare_endpoint_tick (endpoint);
  connection = bench_bare_connection_new (endpoint, tls, NULL, &endpoint->remote);
  g_assert (connection != NULL);
  connection->operation = operation;
  bench_bare_endpoint_mark (endpoint, connection);
  return connection;
}

void
bench_bare_connection_close (BenchBareConnection *connection)
{
  bench_bare_connection_say_close (connection);
  bench_bare_connection_free (connection);
}
