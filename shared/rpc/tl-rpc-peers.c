/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tl-rpc-peers.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rpc/tl-rpc-address.h"
#include "rpc/tl-rpc-call-private.h"

/*
 * Requests of strangers that are still arriving: gRPC buffers a message as a whole (up to the transport limit) before
 * our 16 KiB limit is looked at, so these bound what strangers can make us hold.
 */
#define MAX_ARRIVING            32
#define MAX_ARRIVING_PER_SOURCE 8
#define ARRIVAL_TIMEOUT_US      (G_GINT64_CONSTANT (5) * G_USEC_PER_SEC)

typedef struct
{
  TlRpcAddress address;
  char *source;
  char *fingerprint; /* NULL: a stranger so far */
  char device_id[27];
  gint64 not_after_ms;
  guint n_calls;
  ino_t inode; /* of its socket, 0 before a walk saw it */
  gint64 first_seen_us;
  gint64 last_call_us;
  gboolean seen; /* by the walk under way */
  gboolean doomed;
} Peer;

typedef struct
{
  TlRpcCall *call;
  Peer *peer;
  gboolean arriving;
  gint64 since_us;
} CallEntry;

typedef struct
{
  int fd;
  ino_t inode;
  TlRpcAddress address;
} Socket;

struct _TlRpcPeers
{
  gatomicrefcount refs;
  TlRpcPeerLimits limits;
  TlRpcDenials *denials;
  GArray *ports; /* guint16, fixed after start */

  pthread_mutex_t lock;
  GHashTable *peers;    /* under lock, like all below: TlRpcAddress -> Peer */
  GHashTable *calls;    /* TlRpcCall -> CallEntry */
  GHashTable *arriving; /* source -> number */
  guint n_arriving;
  guint n_strangers;
  gint64 last_walk_us;
};

static guint
address_hash (gconstpointer data)
{
  const TlRpcAddress *address = data;
  guint32 words[4];

  memcpy (words, &address->ip, sizeof words);
  return (words[0] ^ words[1] * 31 ^ words[2] * 961 ^ words[3]) * 65599 + address->port;
}

static gboolean
address_equal (gconstpointer a, gconstpointer b)
{
  return tl_rpc_address_equal (a, b);
}

static void
peer_free (gpointer data)
{
  Peer *peer = data;

  g_free (peer->source);
  g_free (peer->fingerprint);
  g_free (peer);
}

TlRpcPeers *
tl_rpc_peers_new (const TlRpcPeerLimits *limits, TlRpcDenials *denials)
{
  TlRpcPeers *peers = g_new0 (TlRpcPeers, 1);

  g_atomic_ref_count_init (&peers->refs);
  peers->limits = *limits;
  peers->denials = tl_rpc_denials_ref (denials);
  peers->ports = g_array_new (FALSE, FALSE, sizeof (guint16));
  pthread_mutex_init (&peers->lock, NULL);
  peers->peers = g_hash_table_new_full (address_hash, address_equal, NULL, peer_free);
  peers->calls = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  peers->arriving = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return peers;
}

TlRpcPeers *
tl_rpc_peers_ref (TlRpcPeers *peers)
{
  g_atomic_ref_count_inc (&peers->refs);
  return peers;
}

void
tl_rpc_peers_unref (TlRpcPeers *peers)
{
  if (peers == NULL || !g_atomic_ref_count_dec (&peers->refs))
    return;
  tl_rpc_denials_unref (peers->denials);
  g_hash_table_unref (peers->calls);
  g_hash_table_unref (peers->peers);
  g_hash_table_unref (peers->arriving);
  g_array_unref (peers->ports);
  pthread_mutex_destroy (&peers->lock);
  g_free (peers);
}

void
tl_rpc_peers_add_port (TlRpcPeers *peers, guint16 port)
{
  g_array_append_val (peers->ports, port);
}

/* ---- calls */

/* Under the lock. */
static Peer *
get_peer (TlRpcPeers *peers, const TlRpcAddress *address)
{
  Peer *peer = g_hash_table_lookup (peers->peers, address);

  if (peer != NULL)
    return peer;
  peer = g_new0 (Peer, 1);
  peer->address = *address;
  peer->source = tl_rpc_address_to_source (address);
  peer->first_seen_us = g_get_monotonic_time ();
  g_hash_table_insert (peers->peers, &peer->address, peer);
  return peer;
}

/* Under the lock. */
static gboolean
count_arriving (TlRpcPeers *peers, const char *source)
{
  guint n = GPOINTER_TO_UINT (g_hash_table_lookup (peers->arriving, source));

  if (n >= MAX_ARRIVING_PER_SOURCE || peers->n_arriving >= MAX_ARRIVING)
    return FALSE;
  g_hash_table_replace (peers->arriving, g_strdup (source), GUINT_TO_POINTER (n + 1));
  peers->n_arriving++;
  return TRUE;
}

/* Under the lock. */
static void
uncount_arriving (TlRpcPeers *peers, CallEntry *entry)
{
  const char *source = entry->peer->source;
  guint n = GPOINTER_TO_UINT (g_hash_table_lookup (peers->arriving, source));

  if (!entry->arriving)
    return;
  entry->arriving = FALSE;
  peers->n_arriving--;
  if (n <= 1)
    g_hash_table_remove (peers->arriving, source);
  else
    g_hash_table_replace (peers->arriving, g_strdup (source), GUINT_TO_POINTER (n - 1));
}

gboolean
tl_rpc_peers_add_call (TlRpcPeers *peers, TlRpcCall *call)
{
  const TlRpcPeer *caller = tl_rpc_call_peer (call);
  gboolean stranger = caller->kind == TL_RPC_PEER_STRANGER;
  TlRpcAddress address;
  CallEntry *entry;
  Peer *peer;

  if (!tl_rpc_address_parse (caller->address, &address))
    return FALSE;
  pthread_mutex_lock (&peers->lock);
  if (stranger && !count_arriving (peers, caller->source))
    {
      pthread_mutex_unlock (&peers->lock);
      return FALSE;
    }
  peer = get_peer (peers, &address);
  peer->n_calls++;
  peer->last_call_us = g_get_monotonic_time ();
  if (!stranger && g_strcmp0 (peer->fingerprint, caller->fingerprint) != 0)
    {
      g_free (peer->fingerprint);
      peer->fingerprint = g_strdup (caller->fingerprint);
      g_strlcpy (peer->device_id, caller->admission.device_id, sizeof peer->device_id);
      peer->not_after_ms = caller->admission.not_after_ms;
    }
  entry = g_new0 (CallEntry, 1);
  entry->call = call;
  entry->peer = peer;
  entry->arriving = stranger;
  entry->since_us = peer->last_call_us;
  g_hash_table_insert (peers->calls, call, entry);
  pthread_mutex_unlock (&peers->lock);
  return TRUE;
}

void
tl_rpc_peers_request_arrived (TlRpcPeers *peers, TlRpcCall *call)
{
  CallEntry *entry;

  if (tl_rpc_call_peer (call)->kind != TL_RPC_PEER_STRANGER)
    return;
  pthread_mutex_lock (&peers->lock);
  entry = g_hash_table_lookup (peers->calls, call);
  if (entry != NULL)
    uncount_arriving (peers, entry);
  pthread_mutex_unlock (&peers->lock);
}

void
tl_rpc_peers_remove_call (TlRpcPeers *peers, TlRpcCall *call)
{
  CallEntry *entry;

  pthread_mutex_lock (&peers->lock);
  entry = g_hash_table_lookup (peers->calls, call);
  if (entry != NULL)
    {
      uncount_arriving (peers, entry);
      entry->peer->n_calls--;
      g_hash_table_remove (peers->calls, call);
    }
  pthread_mutex_unlock (&peers->lock);
}

void
tl_rpc_peers_doom (TlRpcPeers *peers, const char *address)
{
  TlRpcAddress parsed;

  if (!tl_rpc_address_parse (address, &parsed))
    return;
  pthread_mutex_lock (&peers->lock);
  get_peer (peers, &parsed)->doomed = TRUE;
  pthread_mutex_unlock (&peers->lock);
}

/* ---- sockets */

static gboolean
is_our_port (TlRpcPeers *peers, guint16 port)
{
  for (guint i = 0; i < peers->ports->len; i++)
    {
      if (g_array_index (peers->ports, guint16, i) == port)
        return TRUE;
    }
  return FALSE;
}

/* TRUE for an established connection that came in on one of our ports. */
static gboolean
socket_peer (TlRpcPeers *peers, int fd, TlRpcAddress *address)
{
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  TlRpcAddress local;

  if (getsockname (fd, (struct sockaddr *)&name, &length) != 0
      || !tl_rpc_address_from_sockaddr ((struct sockaddr *)&name, length, &local) || !is_our_port (peers, local.port))
    return FALSE;
  length = sizeof name;
  return getpeername (fd, (struct sockaddr *)&name, &length) == 0
         && tl_rpc_address_from_sockaddr ((struct sockaddr *)&name, length, address);
}

static GArray *
list_sockets (TlRpcPeers *peers)
{
  GArray *sockets = g_array_new (FALSE, TRUE, sizeof (Socket));
  DIR *directory = opendir ("/proc/self/fd");
  struct dirent *entry;

  while (directory != NULL && (entry = readdir (directory)) != NULL)
    {
      Socket found = { 0 };
      struct stat status;
      guint64 fd;

      if (!g_ascii_string_to_unsigned (entry->d_name, 10, 0, G_MAXINT, &fd, NULL))
        continue;
      found.fd = (int)fd;
      if (!socket_peer (peers, found.fd, &found.address) || fstat (found.fd, &status) != 0)
        continue;
      found.inode = status.st_ino;
      g_array_append_val (sockets, found);
    }
  if (directory != NULL)
    closedir (directory);
  return sockets;
}

/* gRPC owns the descriptor and may have closed it meanwhile: a duplicate holds the socket still while it is looked at
 * again. */
static gboolean
shut_down (TlRpcPeers *peers, const Socket *target)
{
  int fd = fcntl (target->fd, F_DUPFD_CLOEXEC, 0);
  TlRpcAddress address;
  struct stat status;
  gboolean same;

  if (fd < 0)
    return FALSE;
  same = fstat (fd, &status) == 0 && status.st_ino == target->inode && socket_peer (peers, fd, &address)
         && tl_rpc_address_equal (&address, &target->address);
  if (same)
    shutdown (fd, SHUT_RDWR);
  close (fd);
  return same;
}

/* ---- drop */

static void
cancel_all (GPtrArray *calls, grpc_status_code status, const char *message)
{
  for (guint i = 0; i < calls->len; i++)
    tl_rpc_call_cancel (calls->pdata[i], status, message);
}

static void
add_address (GHashTable *addresses, const TlRpcAddress *address)
{
  TlRpcAddress *copy = g_new (TlRpcAddress, 1);

  *copy = *address;
  g_hash_table_add (addresses, copy);
}

/* Under the lock: calls and addresses that belong to the device or certificate. */
static void
collect (TlRpcPeers *peers, const char *device_id, const char *fingerprint, GPtrArray *calls, GHashTable *addresses)
{
  GHashTableIter iterator;
  CallEntry *entry;
  Peer *peer;

  g_hash_table_iter_init (&iterator, peers->calls);
  while (g_hash_table_iter_next (&iterator, NULL, (gpointer *)&entry))
    {
      const TlRpcPeer *caller = tl_rpc_call_peer (entry->call);

      if (caller->kind != TL_RPC_PEER_DEVICE
          || (device_id != NULL ? strcmp (caller->admission.device_id, device_id) != 0
                                : strcmp (caller->fingerprint, fingerprint) != 0))
        continue;
      g_ptr_array_add (calls, tl_rpc_call_ref (entry->call));
      add_address (addresses, &entry->peer->address);
    }
  g_hash_table_iter_init (&iterator, peers->peers);
  while (g_hash_table_iter_next (&iterator, NULL, (gpointer *)&peer))
    {
      if (peer->fingerprint != NULL
          && (device_id != NULL ? strcmp (peer->device_id, device_id) == 0
                                : strcmp (peer->fingerprint, fingerprint) == 0))
        add_address (addresses, &peer->address);
    }
}

void
tl_rpc_peers_drop (TlRpcPeers *peers, TlRpcDrop how, const char *device_id, const char *fingerprint, guint *calls,
                   guint *connections)
{
  g_autoptr (GPtrArray) doomed = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_rpc_call_unref);
  g_autoptr (GHashTable) addresses = g_hash_table_new_full (address_hash, address_equal, g_free, NULL);
  g_autoptr (GArray) sockets = NULL;
  guint n = 0;

  pthread_mutex_lock (&peers->lock);
  collect (peers, device_id, fingerprint, doomed, addresses);
  pthread_mutex_unlock (&peers->lock);

  if (how == TL_RPC_DROP_CUT)
    cancel_all (doomed, GRPC_STATUS_UNAUTHENTICATED, "this certificate is not admitted any more");
  else if (how == TL_RPC_DROP_RESET)
    cancel_all (doomed, GRPC_STATUS_UNAVAILABLE, "what this device may do was changed; connect again");
  sockets = g_hash_table_size (addresses) > 0 ? list_sockets (peers) : NULL;
  for (guint i = 0; sockets != NULL && i < sockets->len; i++)
    {
      const Socket *candidate = &g_array_index (sockets, Socket, i);

      if (g_hash_table_contains (addresses, &candidate->address)
          && (how == TL_RPC_DROP_COUNT || shut_down (peers, candidate)))
        n++;
    }
  if (calls != NULL)
    *calls = doomed->len;
  if (connections != NULL)
    *connections = n;
}

/* ---- walk */

typedef struct
{
  Peer *peer;
  const Socket *socket;
} Stranger;

static int
compare_age (gconstpointer a, gconstpointer b)
{
  const Stranger *left = a;
  const Stranger *right = b;

  if (left->peer->first_seen_us != right->peer->first_seen_us)
    return left->peer->first_seen_us < right->peer->first_seen_us ? -1 : 1;
  return left->peer->inode < right->peer->inode ? -1 : left->peer->inode > right->peer->inode;
}

/* Under the lock: the entry of a socket, new if it is another connection than the one known from that address. */
static Peer *
note_socket (TlRpcPeers *peers, const Socket *found, gint64 now_us)
{
  Peer *peer = get_peer (peers, &found->address);

  if (peer->inode != 0 && peer->inode != found->inode)
    {
      peer->first_seen_us = now_us;
      peer->doomed = FALSE;
      /* A call since the last walk may be of this very connection. */
      if (peer->last_call_us <= peers->last_walk_us)
        g_clear_pointer (&peer->fingerprint, g_free);
    }
  peer->inode = found->inode;
  peer->seen = TRUE;
  return peer;
}

/* Under the lock. Oldest first: the newest are the ones over a limit. */
static void
judge_strangers (TlRpcPeers *peers, GArray *strangers, gint64 now_us, GArray *victims, GPtrArray *over)
{
  g_autoptr (GHashTable) per_source = g_hash_table_new (g_str_hash, g_str_equal);
  guint kept = 0;

  g_array_sort (strangers, compare_age);
  for (guint i = 0; i < strangers->len; i++)
    {
      const Stranger *stranger = &g_array_index (strangers, Stranger, i);
      guint n = GPOINTER_TO_UINT (g_hash_table_lookup (per_source, stranger->peer->source));

      gboolean too_many = n >= peers->limits.max_strangers_per_source || kept >= peers->limits.max_strangers;

      if (too_many)
        g_ptr_array_add (over, g_strconcat ("source:", stranger->peer->source, NULL));
      if (too_many || now_us - stranger->peer->first_seen_us >= peers->limits.stranger_lifetime_us)
        {
          g_array_append_val (victims, *stranger->socket);
          continue;
        }
      g_hash_table_insert (per_source, stranger->peer->source, GUINT_TO_POINTER (n + 1));
      kept++;
    }
  peers->n_strangers = kept;
}

/* Under the lock. */
static void
judge_sockets (TlRpcPeers *peers, GArray *sockets, gint64 now_ms, gint64 now_us, GArray *victims, GPtrArray *over)
{
  g_autoptr (GArray) strangers = g_array_new (FALSE, FALSE, sizeof (Stranger));
  GHashTableIter iterator;
  Peer *peer;

  g_hash_table_iter_init (&iterator, peers->peers);
  while (g_hash_table_iter_next (&iterator, NULL, (gpointer *)&peer))
    peer->seen = FALSE;
  for (guint i = 0; i < sockets->len; i++)
    {
      const Socket *found = &g_array_index (sockets, Socket, i);
      Stranger stranger = { .peer = note_socket (peers, found, now_us), .socket = found };

      if (stranger.peer->doomed || (stranger.peer->fingerprint != NULL && stranger.peer->not_after_ms <= now_ms))
        g_array_append_val (victims, *found);
      else if (stranger.peer->fingerprint == NULL)
        g_array_append_val (strangers, stranger);
    }
  judge_strangers (peers, strangers, now_us, victims, over);

  g_hash_table_iter_init (&iterator, peers->peers);
  while (g_hash_table_iter_next (&iterator, NULL, (gpointer *)&peer))
    {
      if (!peer->seen && peer->n_calls == 0)
        g_hash_table_iter_remove (&iterator);
    }
}

/* Under the lock. */
static void
judge_calls (TlRpcPeers *peers, gint64 now_ms, gint64 now_us, GPtrArray *ended, GPtrArray *late)
{
  GHashTableIter iterator;
  CallEntry *entry;

  g_hash_table_iter_init (&iterator, peers->calls);
  while (g_hash_table_iter_next (&iterator, NULL, (gpointer *)&entry))
    {
      const TlRpcPeer *caller = tl_rpc_call_peer (entry->call);

      if (caller->kind == TL_RPC_PEER_DEVICE && caller->admission.not_after_ms <= now_ms)
        g_ptr_array_add (ended, tl_rpc_call_ref (entry->call));
      else if (entry->arriving && now_us - entry->since_us >= ARRIVAL_TIMEOUT_US)
        g_ptr_array_add (late, tl_rpc_call_ref (entry->call));
    }
}

void
tl_rpc_peers_walk (TlRpcPeers *peers, gint64 now_ms)
{
  g_autoptr (GArray) sockets = list_sockets (peers);
  g_autoptr (GArray) victims = g_array_new (FALSE, FALSE, sizeof (Socket));
  g_autoptr (GPtrArray) ended = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_rpc_call_unref);
  g_autoptr (GPtrArray) late = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_rpc_call_unref);
  g_autoptr (GPtrArray) over = g_ptr_array_new_with_free_func (g_free);
  gint64 now_us = g_get_monotonic_time ();

  pthread_mutex_lock (&peers->lock);
  judge_sockets (peers, sockets, now_ms, now_us, victims, over);
  judge_calls (peers, now_ms, now_us, ended, late);
  peers->last_walk_us = now_us;
  pthread_mutex_unlock (&peers->lock);

  cancel_all (ended, GRPC_STATUS_UNAUTHENTICATED, "the certificate of this connection has ended");
  cancel_all (late, GRPC_STATUS_DEADLINE_EXCEEDED, "the request did not arrive in time");
  for (guint i = 0; i < victims->len; i++)
    shut_down (peers, &g_array_index (victims, Socket, i));
  for (guint i = 0; i < over->len; i++)
    tl_rpc_denials_note (peers->denials, &(TlRpcDenial){ .connection = TRUE,
                                                         .stranger = TRUE,
                                                         .actor = over->pdata[i],
                                                         .subject = "",
                                                         .reason = "resource_exhausted" });
}

guint
tl_rpc_peers_strangers (TlRpcPeers *peers)
{
  guint n;

  pthread_mutex_lock (&peers->lock);
  n = peers->n_strangers;
  pthread_mutex_unlock (&peers->lock);
  return n;
}
