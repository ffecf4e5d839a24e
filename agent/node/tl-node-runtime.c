/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-runtime-private.h"

#include <string.h>
#include <unistd.h>

#include "agent/node/tl-ack-tracker.h"
#include "agent/node/tl-node-capabilities.h"
#include "agent/node/tl-node-links.h"
#include "agent/node/tl-node-status.h"
#include "agent/node/tl-reconnect.h"
#include "agent/node/tl-renewal.h"
#include "agent/node/tl-request-runner.h"
#include "base/tl-error.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "tl-config-build.h"

#define REQUESTS_FOLDER "requests"
/* Acknowledgements are cumulative, and each costs an fsync of the cursor on this thread. What is lost by a late one is
 * that events come again after a crash, which the request records and the gateway know. */
#define ACK_DELAY_MS      250
#define ACK_BATCH         2048 /* not more than this many events wait for one; a gateway keeps 10 000 */
#define REFUSALS_BELIEVED 2    /* one may be a gateway that was just restarting */

struct _TlNodeRuntime
{
  TlNodeState *state;
  TlNodeConfig *config;
  TlNodeRuntimeParts with;
  TlNetworkMonitor *own_network;
  TlSuspendMonitor *own_suspend;
  TlPolicy *own_policy;
  GMainContext *context;

  TlDeviceIdentity *identity;
  TlNodeCertificate *certificate;
  TlNodeLinks *links;
  TlRenewal *renewal;
  TlFsRoots *roots;
  TlCapabilitySet *capabilities;
  TlRequestJournal *journal;
  TlRequestRunner *runner;
  TlAckTracker *tracker;
  TlReconnect *reconnect;
  int running;
  char *instance_id;
  gint64 started_ms;

  TlNodeRunState run_state;
  gboolean started;
  gboolean announced; /* node.started was sent */
  gboolean up;        /* the link is open */
  gboolean network_lost;
  guint refusals;
  char *refusal;    /* what the gateway said to the certificate, until a renewal by identity ended */
  gboolean renewed; /* since the last open link: a refusal now is no reason to hurry */
  char *peer;       /* of the open link, NULL */
  char *source;     /* our address towards it, NULL */
  const char *transport;
  guint attempts; /* since the last connection */
  gint64 next_attempt_ms;
  TlGatewayLink *link;
  GSource *retry;
  GSource *ack;
  guint64 acked_seq;

  gboolean stopping;
  gboolean draining; /* stopping, and something still runs */
  GSource *grace;
  GFunc stopped;
  gpointer stopped_data;

  TlNodeStateFunc state_func;
  gpointer state_data;
};

static void connect_now (TlNodeRuntime *runtime);

const char *
tl_node_run_state_to_string (TlNodeRunState state)
{
  switch (state)
    {
    case TL_NODE_CONNECTING:
      return "connecting";
    case TL_NODE_CONNECTED:
      return "connected";
    case TL_NODE_REFUSED:
      return "refused";
    case TL_NODE_STOPPED:
      return "stopped";
    }
  g_assert_not_reached ();
}

static void
clear_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_source_unref (*source);
  *source = NULL;
}

static void
set_source (TlNodeRuntime *runtime, GSource **source, guint ms, GSourceFunc func)
{
  clear_source (source);
  *source = ms > 0 ? g_timeout_source_new (ms) : g_idle_source_new ();
  g_source_set_callback (*source, func, runtime, NULL);
  g_source_attach (*source, runtime->context);
}

static void
write_status (TlNodeRuntime *runtime, const char *detail)
{
  TlNodeStatus status = { .pid = getpid (),
                          .started_ms = runtime->started_ms,
                          .since_ms = tl_clock_wall_ms (runtime->with.clock),
                          .state = (char *)tl_node_run_state_to_string (runtime->run_state),
                          .detail = (char *)detail,
                          .version = (char *)TL_VERSION,
                          .transport = (char *)(runtime->up ? runtime->transport : ""),
                          .address = runtime->up ? runtime->peer : NULL,
                          .attempts = runtime->attempts,
                          .next_attempt_ms = runtime->next_attempt_ms };
  g_autoptr (GError) error = NULL;

  if (!tl_node_status_write (&status, tl_node_state_directory (runtime->state), &error))
    tl_log_error (TL_LOG_WARNING, "node status", error);
}

/* Also when only the detail is news. */
static void
enter_state (TlNodeRuntime *runtime, TlNodeRunState state, const char *detail)
{
  gboolean changed = runtime->run_state != state;

  runtime->run_state = state;
  tl_log (changed ? TL_LOG_NOTICE : TL_LOG_DEBUG, "node", "state", tl_node_run_state_to_string (state), "detail",
          detail, NULL);
  write_status (runtime, detail);
  if (runtime->state_func != NULL)
    runtime->state_func (runtime, state, detail, runtime->state_data);
}

/* ---- acknowledging --------------------------------------------------------------------------------------------- */

static void
flush_acknowledgements (TlNodeRuntime *runtime)
{
  guint64 seq = tl_ack_tracker_seq (runtime->tracker);
  const char *event_id = tl_ack_tracker_event_id (runtime->tracker);
  g_autoptr (GError) error = NULL;

  clear_source (&runtime->ack);
  if (seq == runtime->acked_seq)
    return;
  /* Ours first: a cursor behind what the gateway was told would look like a gap at the next start. */
  if (!tl_node_state_set_cursor (runtime->state, seq, event_id, &error))
    {
      tl_log_error (TL_LOG_WARNING, "events are not acknowledged", error);
      return;
    }
  runtime->acked_seq = seq;
  if (runtime->up)
    tl_gateway_link_acknowledge (runtime->link, seq, event_id);
}

static gboolean
on_ack (gpointer data)
{
  flush_acknowledgements (data);
  return G_SOURCE_REMOVE;
}

static void
host_event_done (guint64 seq, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;

  if (!tl_ack_tracker_done (runtime->tracker, seq))
    return;
  if (tl_ack_tracker_seq (runtime->tracker) >= runtime->acked_seq + ACK_BATCH)
    flush_acknowledgements (runtime);
  else if (runtime->ack == NULL)
    set_source (runtime, &runtime->ack, ACK_DELAY_MS, on_ack);
}

/* ---- the runner's host ----------------------------------------------------------------------------------------- */

static void
host_send_event (const char *type, const char *data, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;

  if (runtime->up)
    tl_gateway_link_send_event (runtime->link, type, data);
}

static void
on_submitted (TlGatewayLink *link, const char *request_id, TlSubmitOutcome outcome, const GError *error,
              gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;

  (void)link;
  if (error == NULL && outcome == TL_SUBMIT_UNKNOWN)
    tl_log (TL_LOG_INFO, "the gateway no longer waits for a result", "request_id", request_id, NULL);
  tl_request_runner_submitted (runtime->runner, request_id, error);
}

static void
host_submit (const TlSubmission *submissions, guint n, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;

  tl_gateway_link_submit (runtime->link, submissions, n, on_submitted, runtime);
}

/* ---- link ------------------------------------------------------------------------------------------------------ */

static gboolean
on_retry (gpointer data)
{
  connect_now (data);
  return G_SOURCE_REMOVE;
}

static void
drop_link (TlNodeRuntime *runtime)
{
  g_clear_pointer (&runtime->link, tl_gateway_link_free);
  if (!runtime->up)
    return;
  runtime->up = FALSE;
  tl_reconnect_lost (runtime->reconnect, tl_clock_monotonic_us (runtime->with.clock));
  tl_request_runner_link_down (runtime->runner);
}

static void
finish_stop (TlNodeRuntime *runtime)
{
  GFunc done = g_steal_pointer (&runtime->stopped);

  clear_source (&runtime->grace);
  clear_source (&runtime->retry);
  runtime->draining = FALSE;
  flush_acknowledgements (runtime);
  drop_link (runtime);
  if (runtime->run_state != TL_NODE_STOPPED)
    enter_state (runtime, TL_NODE_STOPPED, "stopped");
  if (done != NULL)
    done (runtime, runtime->stopped_data);
}

static gboolean
on_grace (gpointer data)
{
  finish_stop (data);
  return G_SOURCE_REMOVE;
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
  set_source (runtime, &runtime->retry, (guint)MAX (wait_ms, 1), on_retry);
  enter_state (runtime, refused ? TL_NODE_REFUSED : TL_NODE_CONNECTING, why);
}

static void
on_closed (TlGatewayLink *link, const GError *error, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  gboolean refused;

  (void)link;
  drop_link (runtime);
  if (runtime->stopping && !runtime->draining)
    {
      finish_stop (runtime);
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
      enter_state (runtime, TL_NODE_STOPPED, "superseded: another process is connected as this device");
      return;
    }
  refused = is_refusal (runtime, error);
  if (refused && !runtime->renewed)
    {
      /* PROTOCOL 4.3: before anything is believed of a certificate that does not work, the identity speaks. */
      g_free (runtime->refusal);
      runtime->refusal = g_strdup (error->message);
      tl_renewal_refused (runtime->renewal);
      enter_state (runtime, TL_NODE_CONNECTING, "the gateway refuses the certificate; asking for a new one");
      set_source (runtime, &runtime->retry, 0, on_retry);
      return;
    }
  runtime->renewed = FALSE;
  retry_later (runtime, refused, error->message);
}

static void
on_renewed (TlRenewal *renewal, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  g_autoptr (GError) error = NULL;

  (void)renewal;
  if (!tl_node_links_follow (runtime->links, &error))
    {
      tl_log_error (TL_LOG_ERROR, "the new certificate cannot be used", error);
      return;
    }
  tl_node_certificate_follow (runtime->certificate, runtime->identity);
  g_clear_pointer (&runtime->refusal, g_free);
  runtime->renewed = TRUE;
  /* What runs goes on; its results go over the new link. */
  drop_link (runtime);
  enter_state (runtime, TL_NODE_CONNECTING, "the certificate was renewed");
  set_source (runtime, &runtime->retry, 0, on_retry);
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

static const TlRenewalHandlers renewal_handlers = { .renewed = on_renewed, .failed = on_renewal_failed };

static void
on_opened (TlGatewayLink *link, const TlLinkRegistration *registration, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  g_autofree char *detail
      = g_strdup_printf ("gateway %s%s%s", registration->gateway_id, *registration->gateway_name != '\0' ? ", " : "",
                         registration->gateway_name);
  g_autoptr (GError) error = NULL;

  runtime->up = TRUE;
  runtime->refusals = 0;
  runtime->renewed = FALSE;
  runtime->attempts = 0;
  runtime->transport = registration->transport != NULL ? registration->transport : "";
  g_free (runtime->peer);
  runtime->peer = g_strdup (registration->peer);
  g_free (runtime->source);
  runtime->source = runtime->peer != NULL ? tl_network_source_for (runtime->peer) : NULL;
  tl_reconnect_connected (runtime->reconnect, tl_clock_monotonic_us (runtime->with.clock));
  tl_renewal_link_up (runtime->renewal, registration->server_time_ms);
  if (!tl_node_state_learn_addresses (runtime->state, registration->addresses, &error))
    tl_log_error (TL_LOG_WARNING, "the gateway's addresses are not kept", error);
  if (!runtime->announced)
    tl_gateway_link_send_event (link, "node.started", "{\"version\":\"" TL_VERSION "\"}");
  runtime->announced = TRUE;
  /* The last acknowledgement may have been lost with the link before. */
  if (runtime->acked_seq > 0 && runtime->acked_seq == tl_ack_tracker_seq (runtime->tracker))
    tl_gateway_link_acknowledge (link, runtime->acked_seq, tl_ack_tracker_event_id (runtime->tracker));
  tl_request_runner_link_up (runtime->runner);
  enter_state (runtime, TL_NODE_CONNECTED, detail);
}

static void
on_event (TlGatewayLink *link, const TlLinkEvent *event, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  g_autoptr (GError) error = NULL;

  switch (tl_ack_tracker_received (runtime->tracker, event->seq, event->id))
    {
    case TL_ACK_KNOWN:
      return;
    case TL_ACK_OUT_OF_ORDER:
      error = g_error_new (TL_ERROR, TL_ERROR_PROTOCOL, "the gateway left out events before %" G_GUINT64_FORMAT,
                           event->seq);
      on_closed (link, error, runtime);
      return;
    case TL_ACK_NEW:
      break;
    }
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
  host_event_done (event->seq, runtime);
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
}

static void
on_reset (TlGatewayLink *link, guint64 latest_seq, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  g_autoptr (GError) error = NULL;

  (void)link, (void)latest_seq;
  tl_log (TL_LOG_WARNING, "the gateway has another event log for this device; reading it from the start", NULL);
  clear_source (&runtime->ack);
  tl_ack_tracker_reset (runtime->tracker);
  tl_request_runner_forget_events (runtime->runner);
  runtime->acked_seq = 0;
  if (!tl_node_state_set_cursor (runtime->state, 0, "", &error))
    tl_log_error (TL_LOG_WARNING, "event cursor", error);
}

static const TlGatewayLinkHandlers link_handlers = {
  .opened = on_opened,
  .event = on_event,
  .gap = on_gap,
  .reset = on_reset,
  .closed = on_closed,
};

static void
connect_now (TlNodeRuntime *runtime)
{
  TlGatewayLinkOpen what = { .addresses = tl_node_state_marker (runtime->state)->addresses,
                             .instance_id = runtime->instance_id,
                             .capabilities = runtime->capabilities,
                             .policy = runtime->with.policy };
  g_autoptr (GError) error = NULL;

  clear_source (&runtime->retry);
  if (runtime->stopping || runtime->link != NULL)
    return;
  if (tl_renewal_precedes_link (runtime->renewal))
    return;
  runtime->attempts++;
  runtime->next_attempt_ms = 0;
  flush_acknowledgements (runtime);
  tl_ack_tracker_rewind (runtime->tracker);
  what.cursor_seq = tl_ack_tracker_seq (runtime->tracker);
  what.cursor_event_id = tl_ack_tracker_event_id (runtime->tracker);
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
  drop_link (runtime);
  set_source (runtime, &runtime->retry, 0, on_retry);
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

static void
on_network (TlNetworkMonitor *monitor, gboolean available, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;
  gboolean came_back = available && runtime->network_lost;

  (void)monitor;
  runtime->network_lost = !available;
  if (!available || !runtime->started || runtime->stopping)
    return;
  if (is_link_doubtful (runtime, came_back))
    {
      drop_link (runtime);
      enter_state (runtime, TL_NODE_CONNECTING, "the network changed");
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
  /* The connection may be long dead; finding out would take keep-alive half a minute. */
  drop_link (runtime);
  enter_state (runtime, TL_NODE_CONNECTING, "the computer was asleep");
  reconnect_soon (runtime, "the computer was asleep");
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static void
host_idle (gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;

  if (!runtime->draining)
    return;
  runtime->draining = FALSE;
  flush_acknowledgements (runtime);
  if (runtime->link != NULL)
    tl_gateway_link_close (runtime->link); /* on_closed() goes on */
  else
    set_source (runtime, &runtime->grace, 0, on_grace);
}

static const TlRequestRunnerHost runner_host = {
  .send_event = host_send_event,
  .submit = host_submit,
  .event_done = host_event_done,
  .idle = host_idle,
};

static gboolean
make_capabilities (TlNodeRuntime *runtime, GError **error)
{
  g_autofree char *identity_fingerprint = tl_device_identity_fingerprint (runtime->identity);
  TlNodeFacts facts = { .gateway_id = tl_node_state_marker (runtime->state)->gateway_id,
                        .device_id = tl_device_identity_device_id (runtime->identity),
                        .identity_fingerprint = identity_fingerprint,
                        .certificate = runtime->certificate,
                        .started_us = tl_clock_monotonic_us (runtime->with.clock),
                        .clock = runtime->with.clock,
                        .running = &runtime->running };

  runtime->roots = tl_fs_roots_new (runtime->config, error);
  if (runtime->roots == NULL)
    return FALSE;
  runtime->capabilities = tl_node_capabilities_new (runtime->config, &facts, runtime->roots, runtime->with.capabilities,
                                                    runtime->with.n_capabilities, runtime->with.capability_data, error);
  return runtime->capabilities != NULL;
}

static gboolean
make_tracker (TlNodeRuntime *runtime, GError **error)
{
  g_autofree char *event_id = NULL;
  g_autoptr (GError) problem = NULL;
  guint64 seq;

  if (!tl_node_state_get_cursor (runtime->state, &seq, &event_id, &problem))
    {
      if (!tl_error_is (problem, TL_ERROR_CORRUPT))
        {
          g_propagate_error (error, g_steal_pointer (&problem));
          return FALSE;
        }
      tl_log_error (TL_LOG_WARNING, "reading the event log from the start", problem);
      seq = 0;
      event_id = g_strdup ("");
    }
  runtime->tracker = tl_ack_tracker_new (seq, event_id);
  runtime->acked_seq = seq;
  return TRUE;
}

/* The renewal first: what an earlier process renewed takes over in the identity. */
static gboolean
make_links (TlNodeRuntime *runtime, TlRpcLoop *loop, GError **error)
{
  TlRenewalParts parts = { .state = runtime->state,
                           .identity = runtime->identity,
                           .clock = runtime->with.clock,
                           .random = runtime->with.random,
                           .handlers = &renewal_handlers,
                           .user_data = runtime };

  runtime->links = tl_node_links_new (loop, runtime->identity, runtime->with.clock, error);
  if (runtime->links == NULL)
    return FALSE;
  parts.transport = tl_node_links_renewal_transport (runtime->links);
  runtime->renewal = tl_renewal_new (&parts);
  tl_renewal_set_observer (runtime->renewal, runtime->with.renewal_observer, runtime->with.renewal_observer_data);
  tl_node_certificate_follow (runtime->certificate, runtime->identity);
  if (!tl_node_links_follow (runtime->links, error))
    return FALSE;
  if (runtime->with.link_factory != NULL)
    return TRUE;
  runtime->with.link_factory = tl_gateway_link_new_grpc;
  runtime->with.link_factory_data = tl_node_links_factory (runtime->links);
  return TRUE;
}

static void
fill_parts (TlNodeRuntime *runtime)
{
  if (runtime->with.clock == NULL)
    runtime->with.clock = tl_clock_system ();
  if (runtime->with.random == NULL)
    runtime->with.random = tl_random_system ();
  if (runtime->with.policy == NULL)
    runtime->with.policy = runtime->own_policy = tl_policy_new_config (runtime->config);
  if (runtime->with.network == NULL)
    runtime->with.network = runtime->own_network = tl_network_monitor_new_system ();
  if (runtime->with.suspend == NULL)
    runtime->with.suspend = runtime->own_suspend = tl_suspend_monitor_new_system ();
}

static void
make_runner (TlNodeRuntime *runtime)
{
  TlRequestRunnerOptions options = { .gateway_id = tl_node_state_marker (runtime->state)->gateway_id,
                                     .identity = runtime->identity,
                                     .capabilities = runtime->capabilities,
                                     .policy = runtime->with.policy,
                                     .journal = runtime->journal,
                                     .clock = runtime->with.clock,
                                     .running = &runtime->running };

  runtime->runner = tl_request_runner_new (&options, &runner_host, runtime);
}

TlNodeRuntime *
tl_node_runtime_new_with_parts (TlRpcLoop *loop, TlNodeState *state, TlNodeConfig *config,
                                const TlNodeRuntimeParts *parts, GError **error)
{
  g_autoptr (TlNodeRuntime) runtime = g_new0 (TlNodeRuntime, 1);
  g_autofree char *requests = g_build_filename (tl_node_state_directory (state), REQUESTS_FOLDER, NULL);
  gint64 max_ms = TL_RECONNECT_DEFAULT_MAX_MS;

  runtime->state = state;
  runtime->config = config;
  runtime->with = *parts;
  runtime->run_state = TL_NODE_CONNECTING;
  runtime->context = g_main_context_ref_thread_default ();
  fill_parts (runtime);
  runtime->started_ms = tl_clock_wall_ms (runtime->with.clock);
  runtime->instance_id = tl_ulid_new (runtime->started_ms, runtime->with.random);
  if (config->config != NULL)
    max_ms = tl_config_get_integer (config->config, "node", "reconnect-max");
  runtime->reconnect = tl_reconnect_new (max_ms, runtime->with.random);
  runtime->certificate = tl_node_certificate_new ();
  runtime->identity = tl_node_state_load_identity (state, error);
  if (runtime->identity == NULL || !make_capabilities (runtime, error) || !make_tracker (runtime, error)
      || !make_links (runtime, loop, error))
    return NULL;
  runtime->journal = tl_request_journal_new (requests, runtime->started_ms, error);
  if (runtime->journal == NULL)
    {
      g_prefix_error (error, "is this node running already? ");
      return NULL;
    }
  make_runner (runtime);
  return g_steal_pointer (&runtime);
}

TlNodeRuntime *
tl_node_runtime_new (TlRpcLoop *loop, TlNodeState *state, TlNodeConfig *config, GError **error)
{
  static const TlNodeRuntimeParts parts = { 0 };

  return tl_node_runtime_new_with_parts (loop, state, config, &parts, error);
}

void
tl_node_runtime_set_state_func (TlNodeRuntime *runtime, TlNodeStateFunc func, gpointer user_data)
{
  runtime->state_func = func;
  runtime->state_data = user_data;
}

gboolean
tl_node_runtime_start (TlNodeRuntime *runtime, GError **error)
{
  if (runtime->started)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "the node was started already");
      return FALSE;
    }
  runtime->started = TRUE;
  tl_network_monitor_set_func (runtime->with.network, on_network, runtime);
  tl_suspend_monitor_set_func (runtime->with.suspend, on_suspend, runtime);
  enter_state (runtime, TL_NODE_CONNECTING, "starting");
  tl_renewal_start (runtime->renewal);
  set_source (runtime, &runtime->retry, 0, on_retry);
  return TRUE;
}

void
tl_node_runtime_stop (TlNodeRuntime *runtime, guint grace_ms, GFunc done, gpointer user_data)
{
  if (runtime->stopped != NULL) /* stopping already */
    return;
  runtime->stopping = TRUE;
  runtime->stopped = done;
  runtime->stopped_data = user_data;
  clear_source (&runtime->retry);
  tl_renewal_stop (runtime->renewal);
  if (runtime->up)
    tl_gateway_link_send_event (runtime->link, "node.stopping", "{}");
  runtime->draining = TRUE;
  set_source (runtime, &runtime->grace, MAX (grace_ms, 1), on_grace);
  tl_request_runner_stop (runtime->runner);
}

void
tl_node_runtime_free (TlNodeRuntime *runtime)
{
  if (runtime == NULL)
    return;
  if (runtime->started)
    {
      tl_network_monitor_set_func (runtime->with.network, NULL, NULL);
      tl_suspend_monitor_set_func (runtime->with.suspend, NULL, NULL);
    }
  clear_source (&runtime->retry);
  clear_source (&runtime->ack);
  clear_source (&runtime->grace);
  tl_gateway_link_free (runtime->link);
  tl_request_runner_free (runtime->runner);
  tl_request_journal_free (runtime->journal);
  tl_capability_set_free (runtime->capabilities);
  tl_fs_roots_unref (runtime->roots);
  tl_ack_tracker_free (runtime->tracker);
  tl_reconnect_free (runtime->reconnect);
  tl_renewal_free (runtime->renewal);
  tl_node_links_free (runtime->links);
  tl_node_certificate_unref (runtime->certificate);
  g_free (runtime->refusal);
  g_clear_pointer (&runtime->identity, tl_device_identity_free);
  tl_policy_free (runtime->own_policy);
  tl_network_monitor_free (runtime->own_network);
  tl_suspend_monitor_free (runtime->own_suspend);
  g_main_context_unref (runtime->context);
  g_free (runtime->instance_id);
  g_free (runtime->peer);
  g_free (runtime->source);
  g_free (runtime);
}
