/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <grpc/impl/codegen/compression_types.h>

#include "base/tl-error.h"
#include "rpc/tl-rpc-client-private.h"
#include "rpc/tl-rpc-resolve.h"

#define CONNECT_TIMEOUT_MS 10000
#define MIN_ATTEMPT_MS     1000 /* for one address */
#define BACKOFF_MS         200
#define MAX_BACKOFF_MS     5000
/* Name in HTTP/2 and TLS (SNI): the same for every gateway, so that it tells a listener on the wire nothing. */
#define AUTHORITY "gateway.twinlatch.internal"

/*
 * gRPC loads the system's roots when it is given none, though a first contact verifies with none at all. This one is
 * given instead; nobody has its key, and nothing is verified with it.
 */
#define NO_ROOT                                                                                                        \
  "-----BEGIN CERTIFICATE-----\n"                                                                                      \
  "MIIBeDCCAR+gAwIBAgIUIlNIlmQ3bZ0EcfgBjLp4Ds3hSSYwCgYIKoZIzj0EAwIw\n"                                                 \
  "ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyMTA0MTk1MloYDzIxMjYxMDI4MDQx\n"                                                 \
  "OTUyWjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"                                                 \
  "AAQBZJ+41K37MEOQ+FAzHM8lW4NTRrDKurMYRxG+tq+82/FuyIyU+rCz222L/qnL\n"                                                 \
  "HhQ1dgv+qXZlfUoIW4ETFhQeo1MwUTAdBgNVHQ4EFgQU0ZvRGmtgGEGaugQEi7Ua\n"                                                 \
  "vMjxks8wHwYDVR0jBBgwFoAU0ZvRGmtgGEGaugQEi7UavMjxks8wDwYDVR0TAQH/\n"                                                 \
  "BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBCozLlIVwmLfwBgRppWZepvPRrsi5j\n"                                                 \
  "kwXxS06KNv57cQIgE8kao9MyP4cZYxW0kdOqLbas3tjLapS540KxcnSJ3+A=\n"                                                     \
  "-----END CERTIFICATE-----\n"

struct _TlRpcClient
{
  gatomicrefcount users; /* the owner's references */
  gatomicrefcount refs;  /* the memory: owner, calls */
  TlRpcLoop *loop;
  char **addresses;
  char *socket_path;
  char *target; /* NULL: names that have to be resolved first */
  guint connect_timeout_ms;
  guint keepalive_ms;
  guint keepalive_timeout_ms;
  TlRpcIdentity *identity;
  TlRpcTrust *trust; /* NULL: local */
  grpc_channel_credentials *credentials;

  grpc_channel *channel;
  GPtrArray *calls;   /* TlRpcStream, not over */
  GPtrArray *waiting; /* TlRpcStream, for a channel */
  GCancellable *resolving;
  GBytes *leaf;
};

/* ---- life */

static grpc_channel_credentials *
tls_credentials (const TlRpcClientOptions *options, TlRpcTrust *trust)
{
  grpc_tls_credentials_options *tls = grpc_tls_credentials_options_create ();
  grpc_tls_certificate_verifier *verifier = tl_rpc_verifier_new_client (trust);
  grpc_tls_certificate_provider *provider = NULL;
  g_autofree char *roots = NULL;

  if (options->identity != NULL)
    {
      grpc_tls_credentials_options_set_certificate_provider (tls, tl_rpc_identity_provider (options->identity));
      grpc_tls_credentials_options_watch_identity_key_cert_pairs (tls);
    }
  else
    {
      roots = options->bundle != NULL ? tl_trust_bundle_to_pem (options->bundle) : g_strdup (NO_ROOT);
      provider = grpc_tls_certificate_provider_static_data_create (roots, NULL);
      grpc_tls_credentials_options_set_certificate_provider (tls, provider);
      grpc_tls_certificate_provider_release (provider);
    }
  grpc_tls_credentials_options_watch_root_certs (tls);
  grpc_tls_credentials_options_set_verify_server_cert (tls, !options->first_contact);
  grpc_tls_credentials_options_set_certificate_verifier (tls, verifier);
  grpc_tls_credentials_options_set_check_call_host (tls, 0); /* the verifier checks the gateway's name */
  grpc_tls_certificate_verifier_release (verifier);
  return grpc_tls_credentials_create (tls);
}

static gboolean
check_options (const TlRpcClientOptions *options, char **target, GError **error)
{
  if (options->socket_path != NULL)
    {
      g_autofree char *escaped = g_uri_escape_string (options->socket_path, "/", FALSE);

      if (strlen (options->socket_path) >= sizeof ((struct sockaddr_un *)NULL)->sun_path)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the socket path %s is too long",
                       options->socket_path);
          return FALSE;
        }
      *target = g_strconcat ("unix:", escaped, NULL);
      return TRUE;
    }
  if (!options->first_contact && options->bundle == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "there is no trust bundle to verify the gateway with");
      return FALSE;
    }
  return tl_rpc_resolve_literals (options->addresses, target, error);
}

TlRpcClient *
tl_rpc_client_new (TlRpcLoop *loop, const TlRpcClientOptions *options, GError **error)
{
  TlRpcClient *client;
  char *target = NULL;

  if (!check_options (options, &target, error))
    return NULL;
  client = g_new0 (TlRpcClient, 1);
  g_atomic_ref_count_init (&client->users);
  g_atomic_ref_count_init (&client->refs);
  client->loop = tl_rpc_loop_ref (loop);
  client->target = target;
  client->socket_path = g_strdup (options->socket_path);
  client->addresses = g_strdupv ((char **)options->addresses);
  client->connect_timeout_ms = options->connect_timeout_ms != 0 ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
  client->keepalive_ms = options->keepalive_ms != 0 ? options->keepalive_ms : TL_RPC_KEEPALIVE_MS;
  client->keepalive_timeout_ms
      = options->keepalive_timeout_ms != 0 ? options->keepalive_timeout_ms : TL_RPC_KEEPALIVE_TIMEOUT_MS;
  client->calls = g_ptr_array_new ();
  client->waiting = g_ptr_array_new ();
  if (options->socket_path != NULL)
    client->credentials = grpc_insecure_credentials_create ();
  else
    {
      client->trust = tl_rpc_trust_new (options->first_contact, options->ca_sha256, options->bundle,
                                        options->clock != NULL ? options->clock : tl_clock_system ());
      client->identity = options->identity != NULL ? tl_rpc_identity_ref (options->identity) : NULL;
      if (options->server_pin != NULL)
        tl_rpc_trust_set_pin (client->trust, options->server_pin);
      client->credentials = tls_credentials (options, client->trust);
    }
  return client;
}

TlRpcClient *
tl_rpc_client_ref (TlRpcClient *client)
{
  g_atomic_ref_count_inc (&client->users);
  return client;
}

TlRpcClient *
tl_rpc_client_hold (TlRpcClient *client)
{
  g_atomic_ref_count_inc (&client->refs);
  return client;
}

void
tl_rpc_client_release (TlRpcClient *client)
{
  if (!g_atomic_ref_count_dec (&client->refs))
    return;
  g_ptr_array_unref (client->calls);
  g_ptr_array_unref (client->waiting);
  g_clear_pointer (&client->leaf, g_bytes_unref);
  g_clear_pointer (&client->trust, tl_rpc_trust_unref);
  g_strfreev (client->addresses);
  g_free (client->socket_path);
  g_free (client->target);
  g_free (client);
}

static void
open_waiting (TlRpcClient *client, const GError *error)
{
  g_autoptr (GPtrArray) waiting = g_steal_pointer (&client->waiting);

  client->waiting = g_ptr_array_new ();
  for (guint i = 0; i < waiting->len; i++)
    tl_rpc_stream_open (waiting->pdata[i], client->channel, error);
}

void
tl_rpc_client_unref (TlRpcClient *client)
{
  g_autoptr (GError) gone = NULL;
  TlRpcLoop *loop;

  if (client == NULL || !g_atomic_ref_count_dec (&client->users))
    return;
  loop = client->loop;
  if (client->resolving != NULL)
    g_cancellable_cancel (client->resolving);
  g_clear_object (&client->resolving);
  for (guint i = 0; i < client->calls->len; i++)
    tl_rpc_stream_end (client->calls->pdata[i], GRPC_STATUS_CANCELLED, "the connection was closed here");
  gone = g_error_new_literal (TL_ERROR, TL_ERROR_CANCELLED, "the connection was closed here");
  open_waiting (client, gone);
  g_clear_pointer (&client->channel, grpc_channel_destroy);
  g_clear_pointer (&client->credentials, grpc_channel_credentials_release);
  g_clear_pointer (&client->identity, tl_rpc_identity_unref);
  tl_rpc_client_release (client);
  tl_rpc_loop_unref (loop);
}

TlRpcLoop *
tl_rpc_client_loop (TlRpcClient *client)
{
  return client->loop;
}

guint
tl_rpc_client_connect_timeout (TlRpcClient *client)
{
  return client->connect_timeout_ms;
}

/* ---- channel */

static grpc_arg
integer_arg (const char *key, guint value)
{
  grpc_arg arg = { .type = GRPC_ARG_INTEGER, .key = (char *)key };

  arg.value.integer = (int)MIN (value, (guint)G_MAXINT);
  return arg;
}

static void
make_channel (TlRpcClient *client, const char *target)
{
  guint n = client->addresses != NULL ? MAX (g_strv_length (client->addresses), 1) : 1;
  grpc_arg args[] = {
    { .type = GRPC_ARG_STRING, .key = (char *)GRPC_ARG_DEFAULT_AUTHORITY, .value.string = (char *)AUTHORITY },
    integer_arg (GRPC_ARG_ENABLE_HTTP_PROXY, 0), /* http_proxy hijacks even literals */
    integer_arg (GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
    integer_arg (GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1), /* a new channel is a new attempt */
    integer_arg (GRPC_ARG_ENABLE_RETRIES, 0),
    integer_arg (GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, TL_RPC_MAX_MESSAGE),
    integer_arg (GRPC_ARG_MAX_METADATA_SIZE, TL_RPC_MAX_METADATA),
    integer_arg (GRPC_ARG_KEEPALIVE_TIME_MS, client->keepalive_ms),
    integer_arg (GRPC_ARG_KEEPALIVE_TIMEOUT_MS, client->keepalive_timeout_ms),
    integer_arg (GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
    integer_arg (GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
    integer_arg (GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, BACKOFF_MS),
    integer_arg (GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, MAX_BACKOFF_MS),
    integer_arg (GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, MAX (client->connect_timeout_ms / n, MIN_ATTEMPT_MS)),
    integer_arg (GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
    integer_arg (GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
    integer_arg (GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE),
  };
  const grpc_channel_args all = { .num_args = G_N_ELEMENTS (args), .args = args };

  if (client->trust != NULL)
    tl_rpc_trust_reset (client->trust);
  client->channel = grpc_channel_create (target, client->credentials, &all);
}

static grpc_connectivity_state
channel_state (TlRpcClient *client)
{
  return client->channel != NULL ? grpc_channel_check_connectivity_state (client->channel, 0) : GRPC_CHANNEL_IDLE;
}

gboolean
tl_rpc_client_is_connected (TlRpcClient *client)
{
  return channel_state (client) == GRPC_CHANNEL_READY;
}

static void
on_resolved (GObject *source G_GNUC_UNUSED, GAsyncResult *result, gpointer user_data)
{
  TlRpcClient *client = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *target = tl_rpc_resolve_finish (result, &error);

  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      g_clear_object (&client->resolving);
      if (target != NULL)
        make_channel (client, target);
      open_waiting (client, error);
    }
  tl_rpc_client_release (client);
}

/*
 * A channel that failed answers calls with its old failure until its back-off is over. A call is somebody's wish to try
 * now: it gets a new channel (and names are looked up again, since DHCP moves gateways).
 */
static void
connect_for (TlRpcClient *client, TlRpcStream *stream)
{
  if (channel_state (client) == GRPC_CHANNEL_TRANSIENT_FAILURE)
    g_clear_pointer (&client->channel, grpc_channel_destroy);
  if (client->channel == NULL && client->target != NULL)
    make_channel (client, client->target);
  if (client->channel != NULL)
    {
      tl_rpc_stream_open (stream, client->channel, NULL);
      return;
    }
  g_ptr_array_add (client->waiting, stream);
  if (client->resolving != NULL)
    return;
  client->resolving = g_cancellable_new ();
  tl_rpc_resolve_async ((const char *const *)client->addresses, client->resolving, on_resolved,
                        tl_rpc_client_hold (client));
}

void
tl_rpc_client_add (TlRpcClient *client, TlRpcStream *stream)
{
  g_ptr_array_add (client->calls, stream);
  connect_for (client, stream);
}

gboolean
tl_rpc_client_stop_waiting (TlRpcClient *client, TlRpcStream *stream)
{
  return g_ptr_array_remove_fast (client->waiting, stream);
}

void
tl_rpc_client_remove (TlRpcClient *client, TlRpcStream *stream, GBytes *leaf)
{
  g_ptr_array_remove_fast (client->calls, stream);
  if (leaf == NULL)
    return;
  g_clear_pointer (&client->leaf, g_bytes_unref);
  client->leaf = leaf;
}

/* ---- what went wrong */

static void
explain_local (TlRpcClient *client, const char *message, GError **error)
{
  struct sockaddr_un name = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int saved = 0;

  g_strlcpy (name.sun_path, client->socket_path, sizeof name.sun_path);
  if (fd >= 0 && connect (fd, (struct sockaddr *)&name, sizeof name) != 0)
    saved = errno;
  if (fd >= 0)
    close (fd);
  if (saved == ENOENT || saved == ECONNREFUSED)
    g_set_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE, "nobody is listening on %s; is twinlatchd running?",
                 client->socket_path);
  else if (saved == EACCES || saved == EPERM)
    g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED, "you may not use %s; its group may", client->socket_path);
  else
    g_set_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE, "the connection to twinlatchd failed: %s", message);
}

static void
explain_tls (TlRpcClient *client, const char *message, gboolean connected, GError **error)
{
  g_autoptr (GError) refusal = NULL;

  if (connected)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE, "the connection to the gateway was lost: %s", message);
      return;
    }
  if (tl_rpc_trust_get_refusal (client->trust, &refusal))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_WRONG_CA, "the gateway is not the one expected: %s", refusal->message);
      return;
    }
  if (strstr (message, "certificate verify failed") != NULL || strstr (message, "CERTIFICATE_VERIFY_FAILED") != NULL)
    g_set_error_literal (
        error, TL_ERROR, TL_ERROR_WRONG_CA,
        "the gateway is not the one expected: its certificate does not verify under the pinned authority");
  else if (tl_rpc_trust_was_accepted (client->trust))
    g_set_error_literal (
        error, TL_ERROR, TL_ERROR_UNAVAILABLE,
        "the gateway closed the connection during the handshake (certificate revoked, unknown or expired?)");
  else
    g_set_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE, "the gateway cannot be reached: %s", message);
}

void
tl_rpc_client_explain (TlRpcClient *client, grpc_status_code status, const char *reason, const char *message,
                       gboolean connected, GError **error)
{
  /* We did not cancel it: a server that shuts down resets what it has not taken yet. */
  if (status == GRPC_STATUS_CANCELLED && reason == NULL)
    g_set_error_literal (error, TL_ERROR, TL_ERROR_UNAVAILABLE, "the gateway ended the call");
  else if (status != GRPC_STATUS_UNAVAILABLE || reason != NULL)
    tl_error_set_from_grpc (error, (int)status, reason, message);
  else if (client->trust == NULL)
    explain_local (client, message, error);
  else
    explain_tls (client, message, connected, error);
}

/* ---- first contact */

GBytes *
tl_rpc_client_server_leaf (TlRpcClient *client)
{
  return client->leaf;
}

void
tl_rpc_client_set_bundle (TlRpcClient *client, TlTrustBundle *bundle)
{
  if (client->trust != NULL)
    tl_rpc_trust_set_bundle (client->trust, bundle);
}
