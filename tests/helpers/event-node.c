/* SPDX-License-Identifier: Apache-2.0 */

/* event-node NODE_DIR RECORD: the device of NODE_DIR reads its event log through the agent's gateway link, as
 * `twinlatch node run` does, and writes down every event (event-record.h) before it acknowledges it. It runs nothing
 * and answers nothing. Killed at any moment, its next process goes on where the record ends. Prints "open TRANSPORT"
 * and "closed WHY". */

#include <stdio.h>

#include "agent/node/tl-ack-tracker.h"
#include "agent/node/tl-network-monitor.h"
#include "agent/node/tl-node-links.h"
#include "agent/node/tl-node-state.h"
#include "agent/node/tl-reconnect.h"
#include "base/tl-error.h"
#include "base/tl-json.h"
#include "base/tl-ulid.h"
#include "event-record.h"

#define ACK_DELAY_MS 50

typedef struct
{
  EventRecord *record;
  TlNodeState *state;
  TlNodeLinks *links;
  TlCapabilitySet *capabilities;
  TlPolicy *policy;
  TlAckTracker *tracker;
  TlReconnect *reconnect;
  char *instance_id;
  TlGatewayLink *link;
  gboolean up;
  guint ack, retry;
} EventNode;

static void on_closed (TlGatewayLink *link, const GError *error, gpointer user_data);

static gboolean
on_ack (gpointer data)
{
  EventNode *node = data;

  node->ack = 0;
  if (node->up)
    tl_gateway_link_acknowledge (node->link, tl_ack_tracker_seq (node->tracker),
                                 tl_ack_tracker_event_id (node->tracker));
  return G_SOURCE_REMOVE;
}

static void
on_opened (TlGatewayLink *link, const TlLinkRegistration *registration, gpointer user_data)
{
  EventNode *node = user_data;

  (void)link;
  node->up = TRUE;
  tl_reconnect_connected (node->reconnect, g_get_monotonic_time ());
  printf ("open %s\n", registration->transport);
  if (tl_ack_tracker_seq (node->tracker) > 0)
    on_ack (node);
}

static char *
input_of (const TlLinkEvent *event)
{
  g_autoptr (GError) error = NULL;
  json_t *data = tl_json_parse (event->data, -1, TL_CAPABILITY_MAX_PAYLOAD, &error);
  char *input;

  g_assert_no_error (error);
  input = g_strdup (json_string_value (json_object_get (data, "input")));
  json_decref (data);
  return input != NULL ? input : g_strdup ("-");
}

static void
on_event (TlGatewayLink *link, const TlLinkEvent *event, gpointer user_data)
{
  EventNode *node = user_data;
  g_autofree char *input = NULL;
  g_autoptr (GError) error = NULL;

  switch (tl_ack_tracker_received (node->tracker, event->seq, event->id))
    {
    case TL_ACK_KNOWN:
      return;
    case TL_ACK_OUT_OF_ORDER:
      event_record_complain (node->record, "events were left out");
      error = g_error_new (TL_ERROR, TL_ERROR_PROTOCOL, "event %" G_GUINT64_FORMAT " out of order", event->seq);
      on_closed (link, error, node);
      return;
    case TL_ACK_NEW:
      break;
    }
  input = input_of (event);
  event_record_append (node->record, event->seq, event->id, event->type, input);
  if (tl_ack_tracker_done (node->tracker, event->seq) && node->ack == 0)
    node->ack = g_timeout_add (ACK_DELAY_MS, on_ack, node);
}

static void
on_gap (TlGatewayLink *link, guint64 oldest_seq, gpointer user_data)
{
  EventNode *node = user_data;

  (void)link;
  event_record_complain (node->record, "gap");
  tl_ack_tracker_gap (node->tracker, oldest_seq);
}

static void
on_reset (TlGatewayLink *link, guint64 latest_seq, gpointer user_data)
{
  EventNode *node = user_data;

  (void)link, (void)latest_seq;
  event_record_complain (node->record, "reset");
  tl_ack_tracker_reset (node->tracker);
}

static void
on_cursor (TlGatewayLink *link, TlLinkCursor *cursor, gpointer user_data)
{
  EventNode *node = user_data;

  (void)link;
  cursor->seq = tl_ack_tracker_seq (node->tracker);
  cursor->event_id = tl_ack_tracker_event_id (node->tracker);
}

static const TlGatewayLinkHandlers handlers = {
  .cursor = on_cursor, .opened = on_opened, .event = on_event, .gap = on_gap, .reset = on_reset, .closed = on_closed
};

static gboolean
on_retry (gpointer data)
{
  EventNode *node = data;
  TlGatewayLinkFactory factory;
  gpointer factory_data;
  TlGatewayLinkOpen what = { .addresses = tl_node_state_marker (node->state)->addresses,
                             .instance_id = node->instance_id,
                             .capabilities = node->capabilities,
                             .policy = node->policy };
  g_autoptr (GError) error = NULL;

  node->retry = 0;
  tl_ack_tracker_rewind (node->tracker);
  factory = tl_node_links_factory (node->links, &factory_data);
  node->link = factory (&handlers, node, factory_data, &error);
  g_assert_no_error (error);
  tl_gateway_link_open (node->link, &what);
  return G_SOURCE_REMOVE;
}

static void
on_closed (TlGatewayLink *link, const GError *error, gpointer user_data)
{
  EventNode *node = user_data;

  (void)link;
  printf ("closed %s\n", error->message);
  g_clear_pointer (&node->link, tl_gateway_link_free);
  if (node->up)
    tl_reconnect_lost (node->reconnect, g_get_monotonic_time ());
  node->up = FALSE;
  if (tl_error_is (error, TL_ERROR_IN_USE)) /* nobody else is this device */
    event_record_complain (node->record, "superseded");
  node->retry = g_timeout_add ((guint)MAX (tl_reconnect_next (node->reconnect, FALSE), 1), on_retry, node);
}

/* The link finds out by itself, or is given up: as the node's runtime does it. */
static void
on_network (TlNetworkMonitor *monitor, gboolean available, gpointer user_data)
{
  EventNode *node = user_data;
  g_autoptr (GError) error = NULL;

  (void)monitor;
  if (!available)
    return;
  tl_node_links_world_changed (node->links);
  if (!node->up || tl_gateway_link_check_path (node->link))
    return;
  error = g_error_new (TL_ERROR, TL_ERROR_UNAVAILABLE, "the network changed");
  on_closed (node->link, error, node);
}

static json_t *
echo (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  (void)call, (void)data, (void)error;
  return json_deep_copy (input);
}

static const TlCapability echo_capability = { .name = "echo",
                                              .description = "answers what it was asked",
                                              .input_schema = "{}",
                                              .idempotent = TRUE,
                                              .any_input = TRUE,
                                              .func = echo };

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (TlDeviceIdentity) identity = NULL;
  g_autoptr (TlNodeConfig) config = NULL;
  g_autoptr (TlNetworkMonitor) network = tl_network_monitor_new_system ();
  TlNodeLinksOptions options = { .random = tl_random_system (), .transport = TL_NODE_TRANSPORT_AUTO };
  EventNode node = { 0 };

  g_assert_cmpint (argc, ==, 3);
  setvbuf (stdout, NULL, _IOLBF, 0);
  node.record = event_record_open (argv[2]);
  node.state = tl_node_state_open (argv[1], NULL, &error);
  g_assert_no_error (error);
  identity = tl_node_state_load_identity (node.state, &error);
  g_assert_no_error (error);
  config = tl_node_config_load (NULL, &error);
  g_assert_no_error (error);
  node.policy = tl_policy_new_config (config);
  node.capabilities = tl_capability_set_new ();
  tl_capability_set_add (node.capabilities, &echo_capability, NULL, NULL, NULL);
  options.rpc.identity = identity;
  node.links = tl_node_links_new (&options);
  node.tracker = tl_ack_tracker_new (event_record_seq (node.record), event_record_event_id (node.record));
  node.reconnect = tl_reconnect_new (TL_RECONNECT_FIRST_MS, tl_random_system ());
  node.instance_id = tl_ulid_new (g_get_real_time () / 1000, tl_random_system ());
  node.retry = g_idle_add (on_retry, &node);
  tl_network_monitor_set_func (network, on_network, &node);
  g_main_loop_run (loop);
  return 0;
}
