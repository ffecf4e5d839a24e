/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-gateway-link-quic-private.h"

#include "base/tl-error.h"

#define CLOSE_TIMEOUT_MS 2000 /* for answers to what was sent, once we want to go */
#define CLOSE_LOOK_MS    20

TlQuicLink *
tl_quic_link_ref (TlQuicLink *link)
{
  link->refs++;
  return link;
}

void
tl_quic_link_unref (TlQuicLink *link)
{
  if (--link->refs > 0)
    return;
  g_clear_error (&link->failure);
  tl_node_registration_free (link->announcement);
  g_queue_clear_full (&link->waiting, (GDestroyNotify)tl_quic_answer_free);
  g_main_context_unref (link->context);
  g_strfreev (link->addresses);
  g_free (link->instance_id);
  g_free (link->gateway_name);
  g_free (link->gateway_version);
  g_free (link);
}

void
tl_quic_link_clear_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_source_unref (*source);
  *source = NULL;
}

void
tl_quic_link_set_source (TlQuicLink *link, GSource **source, guint ms, GSourceFunc func)
{
  tl_quic_link_clear_source (source);
  *source = ms == 0 ? g_idle_source_new () : g_timeout_source_new (ms);
  g_source_set_callback (*source, func, link, NULL);
  g_source_attach (*source, link->context);
}

/* Ends everything under way; nothing is said to the owner. */
static void
shut (TlQuicLink *link)
{
  link->state = TL_QUIC_LINK_CLOSED;
  tl_quic_link_clear_source (&link->timer);
  tl_quic_link_clear_source (&link->failure_source);
  tl_quic_link_clear_source (&link->reregister);
  tl_quic_link_clear_source (&link->silence);
  tl_quic_link_clear_source (&link->path);
  g_clear_pointer (&link->requests, tl_quic_requests_free);
  g_clear_pointer (&link->calls, tl_node_calls_free);
  g_clear_pointer (&link->client, tl_quic_client_free);
}

void
tl_quic_link_fail (TlQuicLink *link, const GError *error)
{
  g_autoptr (TlQuicLink) held = tl_quic_link_ref (link);
  g_autoptr (GError) copy = g_error_copy (error);

  if (link->state == TL_QUIC_LINK_CLOSED)
    return;
  shut (link);
  link->base.handlers->closed (&link->base, copy, link->base.user_data);
}

void
tl_quic_link_fail_protocol (TlQuicLink *link, const char *what)
{
  g_autoptr (GError) error = g_error_new (TL_ERROR, TL_ERROR_PROTOCOL, "the gateway broke the protocol: %s", what);

  tl_quic_link_fail (link, error);
}

void
tl_quic_link_fail_silent (TlQuicLink *link, gint64 for_us)
{
  g_autoptr (GError) error
      = g_error_new (TL_ERROR, TL_ERROR_TIMED_OUT, "nothing was heard from the gateway over QUIC for %d.%d s",
                     (int)(for_us / G_USEC_PER_SEC), (int)(for_us % G_USEC_PER_SEC / 100000));

  link->base.alone = TRUE;
  tl_quic_link_fail (link, error);
}

static gboolean
on_failure_source (gpointer data)
{
  TlQuicLink *link = data;

  tl_quic_link_fail (link, link->failure);
  return G_SOURCE_REMOVE;
}

void
tl_quic_link_fail_later (TlQuicLink *link, GError *error)
{
  if (link->state == TL_QUIC_LINK_CLOSED || link->failure_source != NULL)
    {
      g_error_free (error);
      return;
    }
  g_clear_error (&link->failure);
  link->failure = error;
  tl_quic_link_set_source (link, &link->failure_source, 0, on_failure_source);
}

/* ---- the connection -------------------------------------------------------------------------------------------- */

static void
on_silent (gpointer user_data)
{
  tl_quic_link_fail_silent (user_data, TL_QUIC_REQUESTS_SILENT_MS * G_GINT64_CONSTANT (1000));
}

static void
quic_proceed (TlGatewayLink *base)
{
  TlQuicLink *link = (TlQuicLink *)base;

  if (link->state != TL_QUIC_LINK_REACHED)
    return;
  link->state = TL_QUIC_LINK_REGISTERING;
  link->requests = tl_quic_requests_new (tl_quic_client_connection (link->client), on_silent, link);
  tl_quic_link_register (link);
}

static void
on_client_opened (TlQuicClient *client, gpointer user_data)
{
  g_autoptr (TlQuicLink) link = tl_quic_link_ref (user_data);
  TlQuicConnectionInfo info;

  tl_quic_connection_get_info (tl_quic_client_connection (client), &info);
  g_strlcpy (link->peer, info.remote, sizeof link->peer);
  link->state = TL_QUIC_LINK_REACHED;
  if (link->base.handlers->reached != NULL)
    link->base.handlers->reached (&link->base, link->base.user_data);
  else
    quic_proceed (&link->base);
}

static void
on_client_migrated (TlQuicClient *client, gpointer user_data)
{
  (void)client;
  tl_quic_link_changed (user_data);
}

/* It hits one device at a time, so that nothing speaks against coming back at once. */
static gboolean
is_alone (const TlQuicClose *why)
{
  return why->ending == TL_QUIC_ENDED_RESET || why->ending == TL_QUIC_ENDED_IDLE
         || (why->ending == TL_QUIC_ENDED_BY_PEER && why->code == TL_QUIC_CLOSE_CERTIFICATE_SUPERSEDED);
}

static void
on_client_closed (TlQuicClient *client, const GError *error, const TlQuicClose *why, gpointer user_data)
{
  TlQuicLink *link = user_data;

  (void)client;
  link->base.alone = is_alone (why);
  tl_quic_link_fail (link, error);
}

static const TlQuicClientHandlers client_handlers = {
  .opened = on_client_opened,
  .migrated = on_client_migrated,
  .closed = on_client_closed,
};

static void
quic_open (TlGatewayLink *base, const TlGatewayLinkOpen *what)
{
  TlQuicLink *link = (TlQuicLink *)base;
  g_autoptr (GError) error = NULL;

  g_return_if_fail (link->state == TL_QUIC_LINK_NEW);
  link->state = TL_QUIC_LINK_DIALING;
  link->announcement
      = tl_node_registration_new (what, tl_device_identity_device_id (link->with.rpc.identity), link->with.client_kind);
  link->instance_id = g_strdup (what->instance_id);
  link->calls = tl_node_calls_new (&link->with.rpc, what->addresses);
  if (!tl_quic_client_open (link->client, what->addresses, &error))
    tl_quic_link_fail_later (link, g_steal_pointer (&error));
}

/* ---- closing --------------------------------------------------------------------------------------------------- */

static gboolean
on_closing (gpointer data)
{
  TlQuicLink *link = data;
  g_autoptr (GError) error = NULL;

  link->closing_ms += CLOSE_LOOK_MS;
  if (link->requests != NULL && tl_quic_requests_pending (link->requests) > 0 && link->closing_ms < CLOSE_TIMEOUT_MS)
    return G_SOURCE_CONTINUE;
  error = g_error_new_literal (TL_ERROR, TL_ERROR_CANCELLED, "the link was closed");
  tl_quic_link_fail (link, error);
  return G_SOURCE_REMOVE;
}

static void
quic_close (TlGatewayLink *base)
{
  TlQuicLink *link = (TlQuicLink *)base;

  if (link->state == TL_QUIC_LINK_CLOSED || link->state == TL_QUIC_LINK_CLOSING)
    return;
  link->state = TL_QUIC_LINK_CLOSING;
  tl_quic_link_set_source (link, &link->timer, CLOSE_LOOK_MS, on_closing);
}

static void
quic_free (TlGatewayLink *base)
{
  TlQuicLink *link = (TlQuicLink *)base;

  shut (link);
  tl_quic_link_unref (link);
}

static const TlGatewayLinkClass quic_class = {
  .open = quic_open,
  .proceed = quic_proceed,
  .send_event = tl_quic_link_send_event,
  .acknowledge = tl_quic_link_acknowledge,
  .submit = tl_quic_link_submit,
  .check_path = tl_quic_link_check_path,
  .get_info = tl_quic_link_get_info,
  .close = quic_close,
  .free = quic_free,
};

TlGatewayLink *
tl_gateway_link_new_quic (const TlGatewayLinkHandlers *handlers, gpointer user_data, gpointer factory_data,
                          GError **error)
{
  TlQuicLink *link = g_new0 (TlQuicLink, 1);
  TlQuicClientOptions options;

  link->base.klass = &quic_class;
  link->base.handlers = handlers;
  link->base.user_data = user_data;
  link->refs = 1;
  link->with = *(const TlQuicLinkFactory *)factory_data;
  link->context = g_main_context_ref_thread_default ();
  link->told.transport = link->told.reason = "";
  g_queue_init (&link->waiting);
  options = (TlQuicClientOptions){ .identity = link->with.rpc.identity,
                                   .pin = link->with.pin,
                                   .clock = link->with.rpc.clock,
                                   .keep_alive_ms = link->with.keep_alive_ms,
                                   .handshake_timeout_ms = link->with.handshake_timeout_ms };
  link->client = tl_quic_client_new (&options, &client_handlers, link, error);
  if (link->client != NULL)
    return &link->base;
  quic_free (&link->base);
  return NULL;
}
