/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-runtime-internal.h"

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"

#define REQUESTS_FOLDER "requests"
/* Acknowledgements are cumulative, and each costs an fsync of the cursor on this thread. What is lost by a late one is
 * that events come again after a crash, which the request records and the gateway know. */
#define ACK_DELAY_MS 250
#define ACK_BATCH    2048 /* not more than this many events wait for one; a gateway keeps 10 000 */

/* ---- acknowledging --------------------------------------------------------------------------------------------- */

static void
keep_cursor (TlNodeRuntime *runtime)
{
  guint64 seq = tl_ack_tracker_seq (runtime->tracker);
  g_autoptr (GError) error = NULL;

  if (tl_node_state_set_cursor (runtime->state, seq, tl_ack_tracker_event_id (runtime->tracker), &error))
    runtime->cursor_seq = seq;
  else
    tl_log_error (TL_LOG_WARNING, "events are not acknowledged", error);
}

void
tl_node_runtime_flush (TlNodeRuntime *runtime)
{
  guint64 seq = tl_ack_tracker_seq (runtime->tracker);

  tl_node_runtime_clear_source (&runtime->ack);
  /* Ours first: a cursor behind what the gateway was told would look like a gap at the next start. */
  if (seq != runtime->cursor_seq)
    keep_cursor (runtime);
  /* Beyond what this link has sent (the link before it had) is an error (PROTOCOL 4.1): later, then. */
  if (!runtime->up || seq != runtime->cursor_seq || seq <= runtime->told_seq || seq > runtime->link_seq)
    return;
  runtime->told_seq = seq;
  tl_gateway_link_acknowledge (runtime->link, seq, tl_ack_tracker_event_id (runtime->tracker));
}

static gboolean
on_ack (gpointer data)
{
  tl_node_runtime_flush (data);
  return G_SOURCE_REMOVE;
}

void
tl_node_runtime_flush_soon (TlNodeRuntime *runtime)
{
  if (tl_ack_tracker_seq (runtime->tracker) >= runtime->cursor_seq + ACK_BATCH)
    tl_node_runtime_flush (runtime);
  else if (runtime->ack == NULL)
    tl_node_runtime_set_source (runtime, &runtime->ack, ACK_DELAY_MS, on_ack);
}

void
tl_node_runtime_event_done (guint64 seq, gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;

  if (tl_ack_tracker_done (runtime->tracker, seq))
    tl_node_runtime_flush_soon (runtime);
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

/* ---- life ------------------------------------------------------------------------------------------------------ */

void
tl_node_runtime_finish_stop (TlNodeRuntime *runtime)
{
  GFunc done = g_steal_pointer (&runtime->stopped);

  tl_node_runtime_clear_source (&runtime->grace);
  tl_node_runtime_clear_source (&runtime->retry);
  runtime->draining = FALSE;
  tl_node_runtime_flush (runtime);
  tl_node_runtime_drop_link (runtime);
  if (runtime->run_state != TL_NODE_STOPPED)
    tl_node_runtime_enter_state (runtime, TL_NODE_STOPPED, "stopped");
  if (done != NULL)
    done (runtime, runtime->stopped_data);
}

static gboolean
on_grace (gpointer data)
{
  tl_node_runtime_finish_stop (data);
  return G_SOURCE_REMOVE;
}

static void
host_idle (gpointer user_data)
{
  TlNodeRuntime *runtime = user_data;

  if (!runtime->draining)
    return;
  runtime->draining = FALSE;
  tl_node_runtime_flush (runtime);
  if (runtime->link != NULL)
    tl_gateway_link_close (runtime->link); /* on_closed() goes on */
  else
    tl_node_runtime_set_source (runtime, &runtime->grace, 0, on_grace);
}

static const TlRequestRunnerHost runner_host = {
  .send_event = host_send_event,
  .submit = host_submit,
  .event_done = tl_node_runtime_event_done,
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
  runtime->cursor_seq = seq;
  return TRUE;
}

/* The renewal first: what an earlier process renewed takes over in the identity. */
static void
make_links (TlNodeRuntime *runtime, TlRpcLoop *loop)
{
  TlRenewalParts parts = { .state = runtime->state,
                           .identity = runtime->identity,
                           .clock = runtime->with.clock,
                           .random = runtime->with.random,
                           .handlers = &tl_node_runtime_renewal_handlers,
                           .user_data = runtime };
  TlNodeLinksOptions links = { .rpc = { loop, runtime->identity, runtime->with.clock },
                               .random = runtime->with.random,
                               .transport = runtime->config->transport,
                               .server_pin = runtime->config->server_pin };

  runtime->links = tl_node_links_new (&links);
  parts.transport = tl_node_links_renewal_transport (runtime->links);
  runtime->renewal = tl_renewal_new (&parts);
  tl_renewal_set_observer (runtime->renewal, runtime->with.renewal_observer, runtime->with.renewal_observer_data);
  tl_node_certificate_follow (runtime->certificate, runtime->identity);
  if (runtime->with.link_factory == NULL)
    runtime->with.link_factory = tl_node_links_factory (runtime->links, &runtime->with.link_factory_data);
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
  if (runtime->identity == NULL || !make_capabilities (runtime, error) || !make_tracker (runtime, error))
    return NULL;
  make_links (runtime, loop);
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
tl_node_runtime_new (TlNodeState *state, TlNodeConfig *config, GError **error)
{
  static const TlNodeRuntimeParts parts = { 0 };

  return tl_node_runtime_new_with_parts (NULL, state, config, &parts, error);
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
  tl_node_runtime_watch_world (runtime, TRUE);
  tl_node_runtime_enter_state (runtime, TL_NODE_CONNECTING, "starting");
  tl_renewal_start (runtime->renewal);
  tl_node_runtime_connect_soon (runtime);
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
  tl_node_runtime_clear_source (&runtime->retry);
  tl_renewal_stop (runtime->renewal);
  if (runtime->up)
    tl_gateway_link_send_event (runtime->link, "node.stopping", "{}");
  runtime->draining = TRUE;
  tl_node_runtime_set_source (runtime, &runtime->grace, MAX (grace_ms, 1), on_grace);
  tl_request_runner_stop (runtime->runner);
}

void
tl_node_runtime_free (TlNodeRuntime *runtime)
{
  if (runtime == NULL)
    return;
  if (runtime->started)
    tl_node_runtime_watch_world (runtime, FALSE);
  tl_node_runtime_clear_source (&runtime->retry);
  tl_node_runtime_clear_source (&runtime->ack);
  tl_node_runtime_clear_source (&runtime->grace);
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
  g_free (runtime->detail);
  g_free (runtime->failure);
  g_free (runtime->source);
  g_free (runtime);
}
