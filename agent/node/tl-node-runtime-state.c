/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-runtime-internal.h"

#include <unistd.h>

#include "agent/node/tl-node-status.h"
#include "base/tl-log.h"
#include "tl-config-build.h"

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

void
tl_node_runtime_clear_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_source_unref (*source);
  *source = NULL;
}

void
tl_node_runtime_set_source (TlNodeRuntime *runtime, GSource **source, guint ms, GSourceFunc func)
{
  tl_node_runtime_clear_source (source);
  *source = ms > 0 ? g_timeout_source_new (ms) : g_idle_source_new ();
  g_source_set_callback (*source, func, runtime, NULL);
  g_source_attach (*source, runtime->context);
}

/* Of a node that is not connected. */
static const char *
why_not_quic (TlNodeRuntime *runtime)
{
  if (runtime->config->transport == TL_NODE_TRANSPORT_QUIC)
    return runtime->failure != NULL ? runtime->failure : "";
  return tl_node_links_quic_failure (runtime->links);
}

void
tl_node_runtime_write_status (TlNodeRuntime *runtime)
{
  TlLinkInfo info = { .transport = "", .reason = "" };
  TlNodeStatus status = { .pid = getpid (),
                          .started_ms = runtime->started_ms,
                          .since_ms = runtime->state_since_ms,
                          .state = (char *)tl_node_run_state_to_string (runtime->run_state),
                          .detail = runtime->detail,
                          .version = (char *)TL_VERSION,
                          .attempts = runtime->attempts,
                          .next_attempt_ms = runtime->next_attempt_ms };
  g_autoptr (GError) error = NULL;

  if (runtime->up)
    {
      tl_gateway_link_get_info (runtime->link, &info);
      status.connected_since_ms = runtime->connected_ms;
    }
  else
    info.reason = why_not_quic (runtime);
  status.transport = (char *)info.transport;
  status.transport_reason = (char *)info.reason;
  status.address = info.peer;
  status.rtt_us = info.rtt_us;
  status.packets_lost = (gint64)info.packets_lost;
  status.migrations = info.migrations;
  if (!tl_node_status_write (&status, tl_node_state_directory (runtime->state), &error))
    tl_log_error (TL_LOG_WARNING, "node status", error);
}

void
tl_node_runtime_enter_state (TlNodeRuntime *runtime, TlNodeRunState state, const char *detail)
{
  gboolean changed = runtime->run_state != state;

  runtime->run_state = state;
  runtime->state_since_ms = tl_clock_wall_ms (runtime->with.clock);
  g_free (runtime->detail);
  runtime->detail = g_strdup (detail);
  tl_log (changed ? TL_LOG_NOTICE : TL_LOG_DEBUG, "node", "state", tl_node_run_state_to_string (state), "detail",
          detail, NULL);
  tl_node_runtime_write_status (runtime);
  if (runtime->state_func != NULL)
    runtime->state_func (runtime, state, detail, runtime->state_data);
}
