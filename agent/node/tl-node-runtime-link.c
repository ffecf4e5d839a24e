/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-runtime-internal.h"

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "tl-config-build.h"

#define REFUSALS_BELIEVED 2                    /* one may be a gateway that was just restarting */
#define HELD_US           (2 * G_USEC_PER_SEC) /* a link that was lost sooner does not hurry to come back */

static void connect_now (TlNodeRuntime *runtime);

/* ---- link ------------------------------------------------------------------------------------------------------ */

static gboolean
on_retry (gpointer data)
{
  connect_now (data);
  return G_SOURCE_REMOVE;
}

void
tl_node_runtime_connect_soon (TlNodeRuntime *runtime)
{
  tl_node_runtime_set_source (runtime, &runtime->retry, 0, on_retry);
}

void
tl_node_runtime_drop_link (TlNodeRuntime *runtime)
{
  g_clear_pointer (&runtime->link, tl_gateway_link_free);
  if (!runtime->up)
    return;
  runtime->up = FALSE;
  tl_reconnect_lost (runtime->reconnect, tl_clock_monotonic_us (runtime->with.clock));
  tl_request_runner_link_down (runtime->runner);
}

static gboolean
is_refusal (TlNodeRuntime *runtime, const GError *error)
{
  if (tl_error_is (error, TL_ERROR_REVOKED) || tl_error_is (error, TL_ERROR_SUSPENDED)
      || tl_error_is (error, TL_ERROR_PERMISSION_DENIED) || tl_error_is (error, TL_ERROR_EXPIRED))
    return TRUE;
  if (!tl_error_is (error, TL_ERROR_UNAUTHENTICATED))
    {
      runtime->refusals = 0;
      return FALSE;
    }
  return ++runtime->refusals >= REFUSALS_BELIEVED;
}

static void
retry_later (TlNodeRuntime *runtime, gboolean refused, const char *why)
{
  gint64 wait_ms = tl_reconnect_next (runtime->reconnect, refused);

  runtime->next_attempt_ms = tl_clock_wall_ms (runtime->with.clock) + wait_ms;
  tl_node_runtime_set_source (runtime, &runtime->retry, (guint)MAX (wait_ms, 1), on_retry);
  tl_node_runtime_enter_state (runtime, refused ? TL_NODE_REFUSED : TL_NODE_CONNECTING, why);
}

/* Back-off spreads the attempts of many nodes, and those of one that does not get through. */
static gboolean
may_hurry (TlNodeRuntime *runtime, const TlGatewayLink *link, const GError *error)
{
  return link->alone && tl_error_is_unavailable (error)
         && tl_clock_monotonic_us (runtime->with.clock) - runtime->connected_us >= HELD_US;
}

static void
on_closed (TlGatewayLink *link, const GError *error, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  gboolean at_once = link != NULL && runtime->up && may_hurry (runtime, link, error);
  gboolean refused;

  tl_node_runtime_drop_link (runtime);
  g_free (runtime->failure);
  runtime->failure = g_strdup (error->message);
  if (runtime->stopping && !runtime->draining)
    {
      tl_node_runtime_finish_stop (runtime);
      return;
    }
  if (runtime->stopping) /* what runs may end, but nobody is told any more; the next process is */
    return;
  if (tl_error_is (error, TL_ERROR_IN_USE))
    {
      /* Coming back with this instance id would look like a cloned identity (PROTOCOL 5). */
      tl_log_error (TL_LOG_ERROR, "another process connected with this device's identity; this one stops", error);
      runtime->stopping = TRUE;
      tl_renewal_stop (runtime->renewal);
      tl_request_runner_stop (runtime->runner);
      tl_node_runtime_enter_state (runtime, TL_NODE_STOPPED, "superseded: another process is connected as this device");
      return;
    }
  refused = is_refusal (runtime, error);
  if (refused && !runtime->renewed)
    {
      /* PROTOCOL 4.3: before anything is believed of a certificate that does not work, the identity speaks. */
      g_free (runtime->refusal);
      runtime->refusal = g_strdup (error->message);
      tl_renewal_refused (runtime->renewal);
      tl_node_runtime_enter_state (runtime, TL_NODE_CONNECTING,
                                   "the gateway refuses the certificate; asking for a new one");
      tl_node_runtime_connect_soon (runtime);
      return;
    }
  runtime->renewed = FALSE;
  if (at_once)
    {
      tl_node_runtime_connect_soon (runtime);
      tl_node_runtime_enter_state (runtime, TL_NODE_CONNECTING, error->message);
    }
  else
    retry_later (runtime, refused, error->message);
}

static void
on_renewed (TlRenewal *renewal, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;

  (void)renewal;
  tl_node_certificate_follow (runtime->certificate, runtime->identity);
  g_clear_pointer (&runtime->refusal, g_free);
  runtime->renewed = TRUE;
  /* What runs goes on; its results go over the new link. */
  tl_node_runtime_drop_link (runtime);
  tl_node_runtime_enter_state (runtime, TL_NODE_CONNECTING, "the certificate was renewed");
  tl_node_runtime_connect_soon (runtime);
}

static void
on_renewal_failed (TlRenewal *renewal, TlRenewalWay way, const GError *error, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  g_autofree char *refusal = NULL;

  (void)renewal;
  if (way != TL_RENEWAL_BY_IDENTITY || runtime->link != NULL || runtime->stopping)
    return;
  refusal = g_steal_pointer (&runtime->refusal);
  /* A gateway of before renewal cannot say more than it did. */
  if (refusal != NULL && tl_error_is (error, TL_ERROR_UNSUPPORTED))
    retry_later (runtime, TRUE, refusal);
  else
    retry_later (runtime, !tl_error_is_unavailable (error) && !tl_error_is (error, TL_ERROR_RESOURCE_EXHAUSTED),
                 error->message);
}

const TlRenewalHandlers tl_node_runtime_renewal_handlers = { .renewed = on_renewed, .failed = on_renewal_failed };

static void
on_cursor (TlGatewayLink *link, TlLinkCursor *cursor, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;

  (void)link;
  tl_node_runtime_flush (runtime);
  runtime->resume_seq = tl_ack_tracker_seq (runtime->tracker);
  cursor->seq = runtime->resume_seq;
  cursor->event_id = tl_ack_tracker_event_id (runtime->tracker);
}

/* A link that is open already went over to another transport: answers to results do not come over the one before. */
static void
enter_link (TlNodeRuntime *runtime, const TlLinkRegistration *registration)
{
  if (runtime->up)
    tl_request_runner_link_down (runtime->runner);
  else
    tl_reconnect_connected (runtime->reconnect, tl_clock_monotonic_us (runtime->with.clock));
  runtime->up = TRUE;
  runtime->refusals = 0;
  runtime->renewed = FALSE;
  runtime->attempts = 0;
  g_clear_pointer (&runtime->failure, g_free);
  runtime->connected_ms = tl_clock_wall_ms (runtime->with.clock);
  runtime->connected_us = tl_clock_monotonic_us (runtime->with.clock);
  runtime->link_seq = runtime->resume_seq;
  runtime->told_seq = 0; /* the last acknowledgement may have been lost with the link before */
  g_free (runtime->peer);
  runtime->peer = g_strdup (registration->peer);
  g_free (runtime->source);
  runtime->source = runtime->peer != NULL ? tl_network_source_for (runtime->peer) : NULL;
}

static void
on_opened (TlGatewayLink *link, const TlLinkRegistration *registration, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  g_autofree char *detail
      = g_strdup_printf ("gateway %s%s%s", registration->gateway_id, *registration->gateway_name != '\0' ? ", " : "",
                         registration->gateway_name);
  g_autoptr (GError) error = NULL;

  enter_link (runtime, registration);
  tl_renewal_link_up (runtime->renewal, registration->server_time_ms);
  if (registration->addresses != NULL
      && !tl_node_state_learn_addresses (runtime->state, registration->addresses, &error))
    tl_log_error (TL_LOG_WARNING, "the gateway's addresses are not kept", error);
  if (!runtime->announced)
    tl_gateway_link_send_event (link, "node.started", "{\"version\":\"" TL_VERSION "\"}");
  runtime->announced = TRUE;
  tl_node_runtime_flush (runtime);
  tl_request_runner_link_up (runtime->runner);
  tl_node_runtime_enter_state (runtime, TL_NODE_CONNECTED, detail);
}

static void
take_event (TlNodeRuntime *runtime, const TlLinkEvent *event)
{
  if (g_str_equal (event->type, "capability.dispatch"))
    {
      tl_request_runner_dispatch (runtime->runner, event->seq, event->data);
      return;
    }
  if (g_str_equal (event->type, "capability.cancel"))
    tl_request_runner_cancel (runtime->runner, event->data);
  else if (g_str_equal (event->type, "certificate.renew"))
    tl_renewal_ask (runtime->renewal);
  else
    tl_log (TL_LOG_DEBUG, "an event of a kind that this version does not use", "type", event->type, NULL);
  tl_node_runtime_event_done (event->seq, runtime);
}

static void
on_event (TlGatewayLink *link, const TlLinkEvent *event, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  g_autoptr (GError) error = NULL;

  runtime->link_seq = MAX (runtime->link_seq, event->seq);
  switch (tl_ack_tracker_received (runtime->tracker, event->seq, event->id))
    {
    case TL_ACK_KNOWN:
      if (runtime->told_seq < runtime->cursor_seq && runtime->cursor_seq <= runtime->link_seq)
        tl_node_runtime_flush_soon (runtime); /* it waited for this link to come so far */
      return;
    case TL_ACK_OUT_OF_ORDER:
      error = g_error_new (TL_ERROR, TL_ERROR_PROTOCOL, "the gateway left out events before %" G_GUINT64_FORMAT,
                           event->seq);
      on_closed (link, error, runtime);
      return;
    case TL_ACK_NEW:
      take_event (runtime, event);
      return;
    }
}

static void
on_gap (TlGatewayLink *link, guint64 oldest_seq, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  g_autofree char *from = g_strdup_printf ("%" G_GUINT64_FORMAT, tl_ack_tracker_seq (runtime->tracker) + 1);
  g_autofree char *oldest = g_strdup_printf ("%" G_GUINT64_FORMAT, oldest_seq);

  (void)link;
  tl_log (TL_LOG_WARNING, "the gateway no longer keeps some events for this device", "from", from, "oldest", oldest,
          NULL);
  tl_ack_tracker_gap (runtime->tracker, oldest_seq);
  runtime->resume_seq = MAX (runtime->resume_seq, oldest_seq - 1);
}

static void
on_reset (TlGatewayLink *link, guint64 latest_seq, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  g_autoptr (GError) error = NULL;

  (void)link, (void)latest_seq;
  tl_log (TL_LOG_WARNING, "the gateway has another event log for this device; reading it from the start", NULL);
  tl_node_runtime_clear_source (&runtime->ack);
  tl_ack_tracker_reset (runtime->tracker);
  tl_request_runner_forget_events (runtime->runner);
  runtime->cursor_seq = runtime->resume_seq = runtime->told_seq = runtime->link_seq = 0;
  if (!tl_node_state_set_cursor (runtime->state, 0, "", &error))
    tl_log_error (TL_LOG_WARNING, "event cursor", error);
}

static void
on_changed (TlGatewayLink *link, gpointer user_data)
{
  (void)link;
  tl_node_runtime_write_status (user_data);
}

static const TlGatewayLinkHandlers link_handlers = {
  .cursor = on_cursor,
  .opened = on_opened,
  .event = on_event,
  .gap = on_gap,
  .reset = on_reset,
  .closed = on_closed,
  .changed = on_changed,
};

static void
connect_now (TlNodeRuntime *runtime)
{
  TlGatewayLinkOpen what = { .addresses = tl_node_state_marker (runtime->state)->addresses,
                             .instance_id = runtime->instance_id,
                             .capabilities = runtime->capabilities,
                             .policy = runtime->with.policy };
  g_autoptr (GError) error = NULL;

  tl_node_runtime_clear_source (&runtime->retry);
  if (runtime->stopping || runtime->link != NULL)
    return;
  if (tl_renewal_precedes_link (runtime->renewal))
    return;
  runtime->attempts++;
  runtime->next_attempt_ms = 0;
  tl_node_runtime_flush (runtime);
  tl_ack_tracker_rewind (runtime->tracker);
  runtime->link = runtime->with.link_factory (&link_handlers, runtime, runtime->with.link_factory_data, &error);
  if (runtime->link == NULL)
    on_closed (NULL, error, runtime);
  else
    tl_gateway_link_open (runtime->link, &what);
}

/* The world changed: do not wait for the back-off. */
static void
reconnect_soon (TlNodeRuntime *runtime, const char *why)
{
  if (!runtime->started || runtime->stopping || runtime->up)
    return;
  tl_log (TL_LOG_INFO, "connecting now", "because", why, NULL);
  tl_renewal_check (runtime->renewal, TRUE);
  tl_reconnect_reset (runtime->reconnect);
  tl_node_runtime_drop_link (runtime);
  tl_node_runtime_connect_soon (runtime);
}

/* After an outage, or with another address of ours, an open connection is dead without anybody noticing (a NAT forgot
 * it, the answers go to the old address). */
static gboolean
is_link_doubtful (TlNodeRuntime *runtime, gboolean came_back)
{
  g_autofree char *source = NULL;

  if (!runtime->up || runtime->peer == NULL)
    return runtime->up && came_back;
  source = tl_network_source_for (runtime->peer);
  return came_back || (source != NULL && g_strcmp0 (source, runtime->source) != 0);
}

/* TRUE: the link looks after itself. */
static gboolean
check_link (TlNodeRuntime *runtime, const char *why)
{
  if (!runtime->up || !tl_gateway_link_check_path (runtime->link))
    return FALSE;
  tl_log (TL_LOG_INFO, "trying whether the connection still works", "because", why, NULL);
  if (runtime->peer != NULL)
    {
      g_free (runtime->source);
      runtime->source = tl_network_source_for (runtime->peer);
    }
  tl_renewal_check (runtime->renewal, TRUE);
  return TRUE;
}

static void
on_network (TlNetworkMonitor *monitor, gboolean available, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  gboolean came_back = available && runtime->network_lost;

  (void)monitor;
  runtime->network_lost = !available;
  if (!available || !runtime->started || runtime->stopping)
    return;
  tl_node_links_world_changed (runtime->links);
  if (is_link_doubtful (runtime, came_back))
    {
      if (check_link (runtime, "the network changed"))
        return;
      tl_node_runtime_drop_link (runtime);
      tl_node_runtime_enter_state (runtime, TL_NODE_CONNECTING, "the network changed");
    }
  /* A network that changes often must not keep an attempt from ending: then only the waiting is cut short. */
  if (came_back || runtime->link == NULL)
    reconnect_soon (runtime, came_back ? "the network came back" : "the network changed");
}

static void
on_suspend (TlSuspendMonitor *monitor, gboolean sleeping, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;

  (void)monitor;
  if (sleeping || !runtime->started || runtime->stopping)
    return;
  tl_node_links_world_changed (runtime->links);
  /* The connection may be long dead; finding out would take keep-alive half a minute. */
  if (check_link (runtime, "the computer was asleep"))
    return;
  tl_node_runtime_drop_link (runtime);
  tl_node_runtime_enter_state (runtime, TL_NODE_CONNECTING, "the computer was asleep");
  reconnect_soon (runtime, "the computer was asleep");
}

void
tl_node_runtime_watch_world (TlNodeRuntime *runtime, gboolean watch)
{
  tl_network_monitor_set_func (runtime->with.network, watch ? on_network : NULL, runtime);
  tl_suspend_monitor_set_func (runtime->with.suspend, watch ? on_suspend : NULL, runtime);
}
