/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/impl/codegen/compression_types.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-log.h"
#include "rpc/tl-rpc-address.h"
#include "rpc/tl-rpc-server-private.h"
#include "rpc/tl-rpc-verifier.h"

/* PROTOCOL 3.4 */
#define MAX_STRANGERS            256
#define MAX_STRANGERS_PER_SOURCE 8
#define STRANGER_LIFETIME_MS     (G_GINT64_CONSTANT (15) * 60 * 1000)
#define HANDSHAKE_TIMEOUT_MS     5000
#define MAX_STREAMS              100
#define WALK_INTERVAL_MS         500 /* limits hold within 1 s */
/* A client may ping this often without being taken for hostile. */
#define MIN_PING_INTERVAL_MS 500
/* Local users at one time; each costs a grpc_server. */
#define MAX_LOCAL_USERS 64

static void on_core_stopped (TlRpcCore *core, gpointer owner);

/* ---- life */

static void
set_defaults (TlRpcServerOptions *options)
{
#define FALLBACK(member, value) options->member = options->member != 0 ? options->member : (value)
  FALLBACK (max_message, TL_RPC_MAX_MESSAGE);
  FALLBACK (max_strangers, MAX_STRANGERS);
  FALLBACK (max_strangers_per_source, MAX_STRANGERS_PER_SOURCE);
  FALLBACK (stranger_lifetime_ms, STRANGER_LIFETIME_MS);
  FALLBACK (handshake_timeout_ms, HANDSHAKE_TIMEOUT_MS);
  FALLBACK (keepalive_ms, TL_RPC_KEEPALIVE_MS);
  FALLBACK (keepalive_timeout_ms, TL_RPC_KEEPALIVE_TIMEOUT_MS);
  FALLBACK (max_streams, MAX_STREAMS);
#undef FALLBACK
}

TlRpcServer *
tl_rpc_server_new (TlRpcLoop *loop, const TlRpcServerOptions *options)
{
  TlRpcServer *server = g_new0 (TlRpcServer, 1);
  TlRpcPeerLimits limits;

  g_atomic_ref_count_init (&server->users);
  g_atomic_ref_count_init (&server->refs);
  server->open = 1;
  server->loop = tl_rpc_loop_ref (loop);
  if (options != NULL)
    server->options = *options;
  set_defaults (&server->options);
  server->clock = server->options.clock != NULL ? server->options.clock : tl_clock_system ();
  server->admitted
      = server->options.admitted != NULL ? tl_admitted_set_ref (server->options.admitted) : tl_admitted_set_new ();
  limits.max_strangers = server->options.max_strangers;
  limits.max_strangers_per_source = server->options.max_strangers_per_source;
  limits.stranger_lifetime_us = server->options.stranger_lifetime_ms * 1000;
  server->denials = tl_rpc_denials_new (loop, server->options.denied, server->options.denied_data);
  server->peers = tl_rpc_peers_new (&limits, server->denials);
  server->methods = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  server->identities = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_rpc_identity_unref);
  server->local_users = g_hash_table_new (NULL, NULL);
  return server;
}

TlRpcServer *
tl_rpc_server_ref (TlRpcServer *server)
{
  g_atomic_ref_count_inc (&server->users);
  return server;
}

TlRpcServer *
tl_rpc_server_hold (TlRpcServer *server)
{
  g_atomic_ref_count_inc (&server->refs);
  return server;
}

void
tl_rpc_server_release (TlRpcServer *server)
{
  if (!g_atomic_ref_count_dec (&server->refs))
    return;
  g_hash_table_unref (server->methods);
  g_hash_table_unref (server->local_users);
  tl_rpc_peers_unref (server->peers);
  tl_rpc_denials_unref (server->denials);
  tl_admitted_set_unref (server->admitted);
  g_free (server);
}

static void
clear_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
cancel_all (TlRpcServer *server)
{
  GHashTableIter iterator;
  gpointer core;

  server->cancelled = TRUE;
  if (server->tls != NULL)
    tl_rpc_core_cancel_all (server->tls);
  g_hash_table_iter_init (&iterator, server->local_users);
  while (g_hash_table_iter_next (&iterator, NULL, &core))
    tl_rpc_core_cancel_all (core);
}

void
tl_rpc_server_unref (TlRpcServer *server)
{
  TlRpcLoop *loop;

  if (server == NULL || !g_atomic_ref_count_dec (&server->users))
    return;
  g_atomic_int_set (&server->open, 0);
  tl_rpc_denials_close (server->denials);
  loop = server->loop;
  if (!server->shutting_down)
    tl_rpc_server_shutdown (server, 0, NULL, NULL);
  clear_source (&server->grace);
  if (!server->cancelled)
    cancel_all (server);
  tl_rpc_server_release (server);
  tl_rpc_loop_unref (loop);
}

TlRpcLoop *
tl_rpc_server_loop (TlRpcServer *server)
{
  return server->loop;
}

gboolean
tl_rpc_server_is_open (TlRpcServer *server)
{
  return g_atomic_int_get (&server->open);
}

/* ---- set-up */

void
tl_rpc_server_add_methods (TlRpcServer *server, const TlRpcMethod *methods, guint n, gpointer user_data)
{
  g_return_if_fail (!server->started);
  for (guint i = 0; i < n; i++)
    {
      MethodEntry *entry = g_new (MethodEntry, 1);

      entry->method = &methods[i];
      entry->user_data = user_data;
      g_hash_table_insert (server->methods, (gpointer)methods[i].path, entry);
    }
}

static grpc_arg
integer_arg (const char *key, guint value)
{
  grpc_arg arg = { .type = GRPC_ARG_INTEGER, .key = (char *)key };

  arg.value.integer = (int)MIN (value, (guint)G_MAXINT);
  return arg;
}

static TlRpcCore *
new_core (TlRpcServer *server, gboolean local, uid_t uid)
{
  const TlRpcServerOptions *options = &server->options;
  const grpc_arg args[] = {
    integer_arg (GRPC_ARG_ALLOW_REUSEPORT, 0), /* or a second daemon binds the same port */
    integer_arg (GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, options->max_message),
    integer_arg (GRPC_ARG_MAX_METADATA_SIZE, TL_RPC_MAX_METADATA),
    integer_arg (GRPC_ARG_MAX_CONCURRENT_STREAMS, options->max_streams),
    integer_arg (GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, options->handshake_timeout_ms),
    integer_arg (GRPC_ARG_KEEPALIVE_TIME_MS, options->keepalive_ms),
    integer_arg (GRPC_ARG_KEEPALIVE_TIMEOUT_MS, options->keepalive_timeout_ms),
    integer_arg (GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
    integer_arg (GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
    integer_arg (GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, MIN_PING_INTERVAL_MS),
    /* Size limits are worth nothing against compressed messages. */
    integer_arg (GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
    integer_arg (GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
    integer_arg (GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE),
  };
  const grpc_channel_args all = { .num_args = G_N_ELEMENTS (args), .args = (grpc_arg *)args };
  const TlRpcCoreSetup setup = {
    .local = local,
    .uid = uid,
    .on_call = tl_rpc_server_on_call,
    .on_stopped = on_core_stopped,
    .owner = server,
  };

  server->cores++;
  return tl_rpc_core_new (server->loop, &all, &setup);
}

static grpc_server_credentials *
tls_credentials (TlRpcServer *server, TlRpcIdentity *identity)
{
  grpc_tls_credentials_options *options = grpc_tls_credentials_options_create ();
  grpc_tls_certificate_verifier *verifier
      = tl_rpc_verifier_new_server (server->admitted, tl_rpc_identity_gateway_id (identity), server->clock,
                                    server->denials);

  grpc_tls_credentials_options_set_certificate_provider (options, tl_rpc_identity_provider (identity));
  grpc_tls_credentials_options_watch_root_certs (options);
  grpc_tls_credentials_options_watch_identity_key_cert_pairs (options);
  grpc_tls_credentials_options_set_cert_request_type (options, GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  grpc_tls_credentials_options_set_certificate_verifier (options, verifier);
  grpc_tls_credentials_options_set_check_call_host (options, 0);
  grpc_tls_certificate_verifier_release (verifier);
  return grpc_tls_server_credentials_create (options);
}

/* gRPC only says "no": the reason comes from trying the same ourselves. */
static void
explain_bind_failure (const char *text, const TlRpcAddress *address, GError **error)
{
  struct sockaddr_in6 name = { .sin6_family = AF_INET6 };
  int fd = socket (AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int one = 1;
  int zero = 0;
  int saved = 0;

  name.sin6_addr = address->ip;
  name.sin6_port = htons (address->port);
  if (fd >= 0)
    {
      setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
      setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
      if (bind (fd, (struct sockaddr *)&name, sizeof name) != 0 || listen (fd, 1) != 0)
        saved = errno;
      close (fd);
    }
  if (saved != 0)
    tl_error_set_errno (error, saved, "cannot listen on %s", text);
  else
    g_set_error (error, TL_ERROR, TL_ERROR_IN_USE, "cannot listen on %s: the port was taken a moment ago", text);
}

gboolean
tl_rpc_server_listen_tls (TlRpcServer *server, const char *address, TlRpcIdentity *identity, guint16 *port,
                          GError **error)
{
  grpc_server_credentials *credentials;
  TlRpcAddress parsed;
  int bound;

  g_return_val_if_fail (!server->started && server->options.admitted != NULL, FALSE);
  if (!tl_rpc_address_parse (address, &parsed))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "%s is not an address to listen on; expected is \"0.0.0.0:7444\" or \"[::]:7444\"", address);
      return FALSE;
    }
  if (server->tls == NULL)
    server->tls = new_core (server, FALSE, 0);
  credentials = tls_credentials (server, identity);
  bound = tl_rpc_core_add_port (server->tls, address, credentials);
  grpc_server_credentials_release (credentials);
  if (bound <= 0)
    {
      explain_bind_failure (address, &parsed, error);
      return FALSE;
    }
  g_ptr_array_add (server->identities, tl_rpc_identity_ref (identity));
  tl_rpc_peers_add_port (server->peers, (guint16)bound);
  if (port != NULL)
    *port = (guint16)bound;
  return TRUE;
}

gboolean
tl_rpc_server_listen_local (TlRpcServer *server, const char *path, mode_t mode, const char *group, GError **error)
{
  g_return_val_if_fail (!server->started && server->local == NULL, FALSE);
  server->local = tl_rpc_local_new (path, mode, group, error);
  return server->local != NULL;
}

static void
on_local_connection (int fd, uid_t uid, pid_t pid G_GNUC_UNUSED, gpointer user_data)
{
  TlRpcServer *server = user_data;
  TlRpcCore *core = g_hash_table_lookup (server->local_users, GUINT_TO_POINTER (uid));

  if (core == NULL && g_hash_table_size (server->local_users) >= MAX_LOCAL_USERS)
    {
      tl_log (TL_LOG_WARNING, "too many local users, connection refused", NULL);
      close (fd);
      return;
    }
  if (core == NULL)
    {
      core = new_core (server, TRUE, uid);
      g_hash_table_insert (server->local_users, GUINT_TO_POINTER (uid), core);
      tl_rpc_core_start (core);
    }
  tl_rpc_core_add_connection (core, fd);
}

static gboolean
on_walk (gpointer user_data)
{
  TlRpcServer *server = user_data;

  tl_rpc_peers_walk (server->peers, tl_clock_wall_ms (server->clock));
  return G_SOURCE_CONTINUE;
}

gboolean
tl_rpc_server_start (TlRpcServer *server, GError **error)
{
  g_return_val_if_fail (!server->started, FALSE);
  if (server->local != NULL
      && !tl_rpc_local_start (server->local, tl_rpc_loop_context (server->loop), on_local_connection, server, error))
    return FALSE;
  server->started = TRUE;
  if (server->tls != NULL)
    {
      tl_rpc_core_start (server->tls);
      server->walk = tl_rpc_loop_add_timeout (server->loop, WALK_INTERVAL_MS, on_walk, server);
    }
  return TRUE;
}

/* ---- shutdown */

static void
deliver_done (gpointer data)
{
  TlRpcServer *server = data;
  GFunc done = server->done;

  server->done = NULL;
  if (done != NULL)
    done (server, server->done_data);
  tl_rpc_server_release (server);
}

/* The cores are gone: so are the verifiers and whoever read the identities' files. */
static void
all_stopped (TlRpcServer *server)
{
  g_assert (!server->stopped);
  server->stopped = TRUE;
  clear_source (&server->grace);
  clear_source (&server->walk);
  g_clear_pointer (&server->identities, g_ptr_array_unref);
  deliver_done (tl_rpc_server_hold (server));
}

static void
check_stopped (TlRpcServer *server)
{
  if (server->cores == 0 && g_atomic_int_get (&server->live_calls) == 0)
    all_stopped (server);
}

void
tl_rpc_server_call_gone (TlRpcServer *server)
{
  if (g_atomic_int_dec_and_test (&server->live_calls) && server->shutting_down)
    check_stopped (server);
}

static void
on_core_stopped (TlRpcCore *core, gpointer owner)
{
  TlRpcServer *server = owner;

  if (core == server->tls)
    server->tls = NULL;
  else
    g_hash_table_remove (server->local_users, GUINT_TO_POINTER (tl_rpc_core_setup (core)->uid));
  tl_rpc_core_free (core);
  server->cores--;
  check_stopped (server);
  tl_rpc_server_release (server);
}

static gboolean
on_grace_over (gpointer user_data)
{
  TlRpcServer *server = user_data;

  clear_source (&server->grace);
  cancel_all (server);
  return G_SOURCE_REMOVE;
}

static void
deliver_all_stopped (gpointer data)
{
  TlRpcServer *server = data;

  all_stopped (server);
  tl_rpc_server_release (server);
}

void
tl_rpc_server_shutdown (TlRpcServer *server, guint grace_ms, GFunc done, gpointer user_data)
{
  GHashTableIter iterator;
  gpointer core;

  if (server->shutting_down)
    {
      if (grace_ms == 0 && !server->cancelled)
        cancel_all (server);
      return;
    }
  server->shutting_down = TRUE;
  server->done = done;
  server->done_data = user_data;
  g_clear_pointer (&server->local, tl_rpc_local_free);
  if (server->cores == 0)
    {
      tl_rpc_loop_post (server->loop, deliver_all_stopped, tl_rpc_server_hold (server));
      return;
    }
  if (server->tls != NULL)
    {
      tl_rpc_server_hold (server);
      tl_rpc_core_shutdown (server->tls);
    }
  g_hash_table_iter_init (&iterator, server->local_users);
  while (g_hash_table_iter_next (&iterator, NULL, &core))
    {
      tl_rpc_server_hold (server);
      tl_rpc_core_shutdown (core);
    }
  if (grace_ms == 0)
    cancel_all (server);
  else
    server->grace = tl_rpc_loop_add_timeout (server->loop, grace_ms, on_grace_over, server);
}

/* ---- revocation */

void
tl_rpc_server_drop_device (TlRpcServer *server, const char *device_id, guint *calls, guint *connections)
{
  tl_rpc_peers_drop (server->peers, TL_RPC_DROP_CUT, device_id, NULL, calls, connections);
}

void
tl_rpc_server_count_device (TlRpcServer *server, const char *device_id, guint *calls, guint *connections)
{
  tl_rpc_peers_drop (server->peers, TL_RPC_DROP_COUNT, device_id, NULL, calls, connections);
}

void
tl_rpc_server_reset_device (TlRpcServer *server, const char *device_id, guint *calls, guint *connections)
{
  tl_rpc_peers_drop (server->peers, TL_RPC_DROP_RESET, device_id, NULL, calls, connections);
}

void
tl_rpc_server_drop_fingerprint (TlRpcServer *server, const char *fingerprint, guint *calls, guint *connections)
{
  tl_rpc_peers_drop (server->peers, TL_RPC_DROP_CUT, NULL, fingerprint, calls, connections);
}

guint
tl_rpc_server_stranger_count (TlRpcServer *server)
{
  return tl_rpc_peers_strangers (server->peers);
}
