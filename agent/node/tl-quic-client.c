/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-quic-client.h"

#include <gio/gio.h>

#include "base/tl-error.h"
#include "quic/tl-quic-verifier.h"
#include "tl-config-build.h"

#define MAX_ADDRESSES 16

struct _TlQuicClient
{
  guint refs; /* owner, resolving, freeing */
  const TlQuicClientHandlers *handlers;
  gpointer user_data;
  gboolean over; /* `closed` was called, or nobody wants to know */
  GMainContext *context;
  TlQuicEndpoint *endpoint;
  TlQuicTls *tls;
  TlQuicTrust *trust;        /* the tls' */
  GPtrArray *names;          /* GNetworkAddress, not resolved yet */
  GPtrArray *literals;       /* char*, not tried yet, in order */
  GCancellable *cancellable; /* of resolving */
  gboolean resolving;
  GPtrArray *attempts; /* Attempt, under way */
  GSource *stagger;
  TlQuicConnection *connection; /* the one that won */
  GError *failure;              /* of the attempts that ended: the one that says most */
  TlQuicClose why;
  char reason[129];
};

typedef struct
{
  TlQuicClient *client;
  TlQuicConnection *connection;
} Attempt;

static void try_next (TlQuicClient *client);
static void resolve_next (TlQuicClient *client);

static TlQuicClient *
client_ref (TlQuicClient *client)
{
  client->refs++;
  return client;
}

static void
client_unref (TlQuicClient *client)
{
  if (client->refs > 1)
    {
      client->refs--;
      return;
    }
  /* Still 1: attempts that are there yet end in here. */
  client->over = TRUE;
  tl_quic_endpoint_free (client->endpoint);
  g_clear_pointer (&client->tls, tl_quic_tls_unref);
  g_clear_pointer (&client->names, g_ptr_array_unref);
  g_clear_pointer (&client->literals, g_ptr_array_unref);
  g_clear_pointer (&client->attempts, g_ptr_array_unref);
  g_clear_object (&client->cancellable);
  g_clear_error (&client->failure);
  g_main_context_unref (client->context);
  g_free (client);
}

static void
clear_stagger (TlQuicClient *client)
{
  if (client->stagger == NULL)
    return;
  g_source_destroy (client->stagger);
  g_clear_pointer (&client->stagger, g_source_unref);
}

/* ---- what it came to ---- */

/* What the gateway itself said counts more than what somebody else did, and that more than silence. */
static guint
weight (const GError *error)
{
  if (tl_error_is (error, TL_ERROR_REVOKED) || tl_error_is (error, TL_ERROR_SUSPENDED)
      || tl_error_is (error, TL_ERROR_EXPIRED) || tl_error_is (error, TL_ERROR_UNAUTHENTICATED)
      || tl_error_is (error, TL_ERROR_IN_USE))
    return 3;
  if (tl_error_is (error, TL_ERROR_WRONG_CA))
    return 2;
  return tl_error_is_unavailable (error) ? 0 : 1;
}

static GError *
explain (TlQuicClient *client, const TlQuicClose *why)
{
  g_autoptr (GError) refusal = NULL;

  if (why->ending == TL_QUIC_ENDED_BY_ALERT && !why->by_peer && tl_quic_trust_get_refusal (client->trust, &refusal))
    return g_error_new (TL_ERROR, TL_ERROR_WRONG_CA, "the gateway is not the one expected: %s", refusal->message);
  return tl_quic_close_to_error (why);
}

static void
keep_failure (TlQuicClient *client, GError *error, const TlQuicClose *why)
{
  if (client->failure != NULL && weight (client->failure) >= weight (error))
    {
      g_error_free (error);
      return;
    }
  g_clear_error (&client->failure);
  client->failure = error;
  client->why = why != NULL ? *why : (TlQuicClose){ .ending = TL_QUIC_ENDED_UNREACHABLE };
  g_strlcpy (client->reason, why != NULL && why->reason != NULL ? why->reason : "", sizeof client->reason);
  client->why.reason = client->reason;
}

/* The owner may free the client in here. */
static void
finish (TlQuicClient *client)
{
  client->over = TRUE;
  client->connection = NULL;
  clear_stagger (client);
  client->handlers->closed (client, client->failure, &client->why, client->user_data);
}

/* Nothing is under way and nothing is left to try, or trying on would not change what was said. */
static void
finish_if_lost (TlQuicClient *client)
{
  if (client->failure != NULL && weight (client->failure) == 3)
    {
      for (guint i = 0; i < client->attempts->len; i++)
        tl_quic_connection_close (((Attempt *)client->attempts->pdata[i])->connection, TL_QUIC_CLOSE_GOING_AWAY, NULL);
      finish (client);
    }
  else if (client->attempts->len == 0 && client->literals->len == 0 && !client->resolving)
    finish (client);
}

/* ---- attempts ---- */

static void
on_opened (TlQuicConnection *connection, gpointer user_data)
{
  TlQuicClient *client = ((Attempt *)user_data)->client;

  if (client->over || client->connection != NULL)
    {
      tl_quic_connection_close (connection, TL_QUIC_CLOSE_GOING_AWAY, NULL);
      return;
    }
  client->connection = connection;
  clear_stagger (client);
  g_cancellable_cancel (client->cancellable);
  for (guint i = 0; i < client->attempts->len; i++)
    {
      Attempt *other = client->attempts->pdata[i];

      if (other->connection != connection)
        tl_quic_connection_close (other->connection, TL_QUIC_CLOSE_GOING_AWAY, NULL);
    }
  client->handlers->opened (client, client->user_data);
}

static void
on_migrated (TlQuicConnection *connection, gpointer user_data)
{
  TlQuicClient *client = ((Attempt *)user_data)->client;

  if (!client->over && client->connection == connection)
    client->handlers->migrated (client, client->user_data);
}

static void
on_closed (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data)
{
  Attempt *attempt = user_data;
  TlQuicClient *client = client_ref (attempt->client);
  gboolean was_open = client->connection != NULL && client->connection == connection;

  g_ptr_array_remove_fast (client->attempts, attempt); /* frees it */
  if (!client->over && was_open)
    {
      g_clear_error (&client->failure); /* of addresses that did not answer before this one did */
      keep_failure (client, explain (client, why), why);
      finish (client);
    }
  else if (!client->over && client->connection == NULL)
    {
      keep_failure (client, explain (client, why), why);
      try_next (client);
      finish_if_lost (client);
    }
  client_unref (client);
}

static const TlQuicConnectionHandlers connection_handlers = {
  .opened = on_opened,
  .migrated = on_migrated,
  .closed = on_closed,
};

static gboolean
on_stagger (gpointer data)
{
  TlQuicClient *client = client_ref (data);

  g_clear_pointer (&client->stagger, g_source_unref);
  try_next (client);
  finish_if_lost (client);
  client_unref (client);
  return G_SOURCE_REMOVE;
}

/* One more address, and a moment later the one after it. */
static void
try_next (TlQuicClient *client)
{
  clear_stagger (client);
  while (client->literals->len > 0)
    {
      g_autofree char *address = g_ptr_array_steal_index (client->literals, 0);
      Attempt *attempt = g_new0 (Attempt, 1);
      GError *error = NULL;

      attempt->client = client;
      attempt->connection
          = tl_quic_endpoint_connect (client->endpoint, address, client->tls, &connection_handlers, attempt, &error);
      if (attempt->connection != NULL)
        {
          g_ptr_array_add (client->attempts, attempt);
          break;
        }
      g_free (attempt);
      keep_failure (client, error, NULL);
    }
  if (client->literals->len == 0)
    return;
  client->stagger = g_timeout_source_new (TL_QUIC_CLIENT_STAGGER_MS);
  g_source_set_callback (client->stagger, on_stagger, client, NULL);
  g_source_attach (client->stagger, client->context);
}

/* ---- addresses ---- */

static char *
literal (GInetAddress *address, guint16 port)
{
  g_autofree char *text = g_inet_address_to_string (address);

  return g_strdup_printf (g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV6 ? "[%s]:%u" : "%s:%u", text,
                          port);
}

static void
on_resolved (GObject *source, GAsyncResult *result, gpointer user_data)
{
  TlQuicClient *client = user_data; /* a reference */
  g_autoptr (GNetworkAddress) name = NULL;
  GError *error = NULL;
  GList *found = g_resolver_lookup_by_name_finish (G_RESOLVER (source), result, &error);

  client->resolving = FALSE;
  if (!client->over && client->connection == NULL)
    {
      name = g_ptr_array_steal_index (client->names, 0);
      for (GList *item = found; item != NULL; item = item->next)
        g_ptr_array_add (client->literals, literal (item->data, g_network_address_get_port (name)));
      if (error != NULL)
        keep_failure (client,
                      g_error_new (TL_ERROR, TL_ERROR_UNAVAILABLE, "no address of the gateway is known: %s",
                                   error->message),
                      NULL);
      resolve_next (client);
      if (client->stagger == NULL)
        try_next (client);
      finish_if_lost (client);
    }
  g_clear_error (&error);
  g_resolver_free_addresses (found);
  client_unref (client);
}

static void
resolve_next (TlQuicClient *client)
{
  g_autoptr (GResolver) resolver = NULL;

  if (client->names->len == 0)
    return;
  resolver = g_resolver_get_default ();
  client->resolving = TRUE;
  g_resolver_lookup_by_name_async (resolver, g_network_address_get_hostname (client->names->pdata[0]),
                                   client->cancellable, on_resolved, client_ref (client));
}

static gboolean
take_address (TlQuicClient *client, const char *text, GError **error)
{
  g_autoptr (GSocketConnectable) parsed = g_network_address_parse (text, TL_DEFAULT_PORT, NULL);
  g_autoptr (GInetAddress) address = NULL;
  guint16 port = parsed != NULL ? g_network_address_get_port (G_NETWORK_ADDRESS (parsed)) : 0;

  if (port == 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s is not an address; expected is \"host:port\"", text);
      return FALSE;
    }
  address = g_inet_address_new_from_string (g_network_address_get_hostname (G_NETWORK_ADDRESS (parsed)));
  if (address != NULL)
    g_ptr_array_add (client->literals, literal (address, port));
  else
    g_ptr_array_add (client->names, g_steal_pointer (&parsed));
  return TRUE;
}

gboolean
tl_quic_client_open (TlQuicClient *client, const char *const *addresses, GError **error)
{
  guint n = addresses != NULL ? g_strv_length ((char **)addresses) : 0;

  if (n == 0 || n > MAX_ADDRESSES)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "from 1 to %d gateway addresses are expected",
                   MAX_ADDRESSES);
      return FALSE;
    }
  for (guint i = 0; i < n; i++)
    if (!take_address (client, addresses[i], error))
      return FALSE;
  resolve_next (client);
  /* From the loop: an address that cannot be tried at all is told by `closed`. */
  client->stagger = g_idle_source_new ();
  g_source_set_priority (client->stagger, G_PRIORITY_DEFAULT);
  g_source_set_callback (client->stagger, on_stagger, client, NULL);
  g_source_attach (client->stagger, client->context);
  return TRUE;
}

/* ---- life ---- */

static TlQuicTls *
make_tls (TlQuicClient *client, const TlQuicClientOptions *options, GError **error)
{
  g_autoptr (TlSecret) key = tl_device_identity_key_pem (options->identity, error);
  g_autofree char *chain = NULL;
  TlQuicTlsOptions tls = { .verify = tl_quic_trust_verify, .verify_data_free = (GDestroyNotify)tl_quic_trust_free };
  TlQuicTls *made;

  if (key == NULL)
    return NULL;
  chain = tl_device_identity_chain_pem (options->identity);
  client->trust = tl_quic_trust_new (tl_device_identity_bundle (options->identity), options->pin,
                                     options->clock != NULL ? options->clock : tl_clock_system ());
  tls.chain_pem = chain;
  tls.key_pem = key;
  tls.verify_data = client->trust;
  made = tl_quic_tls_new (&tls, error);
  if (made == NULL)
    g_clear_pointer (&client->trust, tl_quic_trust_free);
  return made;
}

TlQuicClient *
tl_quic_client_new (const TlQuicClientOptions *options, const TlQuicClientHandlers *handlers, gpointer user_data,
                    GError **error)
{
  TlQuicClient *client = g_new0 (TlQuicClient, 1);
  TlQuicEndpointOptions endpoint = { .clock = options->clock,
                                     .keep_alive_ms = options->keep_alive_ms,
                                     .handshake_timeout_ms = options->handshake_timeout_ms,
                                     .count_losses = TRUE };

  client->refs = 1;
  client->handlers = handlers;
  client->user_data = user_data;
  client->context = g_main_context_ref_thread_default ();
  client->names = g_ptr_array_new_with_free_func (g_object_unref);
  client->literals = g_ptr_array_new_with_free_func (g_free);
  client->attempts = g_ptr_array_new_with_free_func (g_free);
  client->cancellable = g_cancellable_new ();
  endpoint.context = client->context;
  client->tls = make_tls (client, options, error);
  if (client->tls != NULL)
    client->endpoint = tl_quic_endpoint_new (&endpoint, error);
  if (client->endpoint != NULL)
    return client;
  client_unref (client);
  return NULL;
}

TlQuicConnection *
tl_quic_client_connection (TlQuicClient *client)
{
  return client->connection;
}

static gboolean
on_free (gpointer data)
{
  client_unref (data);
  return G_SOURCE_REMOVE;
}

void
tl_quic_client_free (TlQuicClient *client)
{
  g_autoptr (GSource) source = NULL;

  if (client == NULL)
    return;
  client->over = TRUE;
  client->connection = NULL;
  clear_stagger (client);
  g_cancellable_cancel (client->cancellable);
  for (guint i = 0; i < client->attempts->len; i++)
    tl_quic_connection_close (((Attempt *)client->attempts->pdata[i])->connection, TL_QUIC_CLOSE_GOING_AWAY, NULL);
  /* The endpoint may be what calls us. */
  source = g_idle_source_new ();
  g_source_set_callback (source, on_free, client, NULL);
  g_source_attach (source, client->context);
}
