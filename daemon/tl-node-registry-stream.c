/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "base/tl-log.h"
#include "daemon/tl-dispatcher.h"
#include "daemon/tl-journal-service.h"
#include "daemon/tl-node-registry-private.h"
#include "daemon/tl-quic-runtime.h"

/* ---- between the event log and whatever transport ---- */

static gboolean
sink_event (gpointer sink, const TlEventRecord *record)
{
  TlNode *node = sink;

  node->latest_seq = MAX (node->latest_seq, record->seq);
  return node->stream != NULL && node->stream->klass->send_event (node->stream, record);
}

static gboolean
sink_gap (gpointer sink, guint64 oldest_seq, const char *oldest_id)
{
  TlNode *node = sink;
  return node->stream != NULL && node->stream->klass->send_gap (node->stream, oldest_seq, oldest_id);
}

static gboolean
sink_reset (gpointer sink, guint64 latest_seq)
{
  TlNode *node = sink;

  tl_log (TL_LOG_WARNING, "a node's cursor is not of this event log: it starts again", "device_id", node->device_id,
          NULL);
  tl_journal_service_noted (node->gateway->journal, TL_JOURNAL_EVENTS_RESET, node->device_id, NULL, "reset");
  return node->stream != NULL && node->stream->klass->send_reset (node->stream, latest_seq);
}

static gboolean
sink_ready (gpointer sink, guint64 latest_seq)
{
  TlNode *node = sink;

  node->latest_seq = MAX (node->latest_seq, latest_seq);
  return node->stream != NULL && node->stream->klass->send_ready (node->stream, latest_seq);
}

static gsize
sink_queued (gpointer sink)
{
  TlNode *node = sink;
  return node->stream != NULL ? node->stream->klass->queued_bytes (node->stream) : 0;
}

/* Takes the stream away from the node, which then is not connected. */
static TlNodeStream *
take_stream (TlNodeRegistry *self, TlNode *node)
{
  TlNodeStream *stream = g_steal_pointer (&node->stream);

  g_clear_pointer (&node->events, tl_event_stream_close);
  node->last_seen_at = tl_clock_wall_ms (self->gateway->clock);
  self->connected--;
  tl_store_device_seen (self->gateway->store, node->device_id, node->last_event, node->last_event_at,
                        node->last_seen_at);
  g_clear_pointer (&node->last_event, g_free);
  tl_log (TL_LOG_INFO, "node disconnected", "device_id", node->device_id, "name", node->name, "transport",
          stream->klass->transport, NULL);
  tl_node_registry_announce (self, node);
  return stream;
}

static void
sink_close (gpointer sink, const GError *error)
{
  TlNode *node = sink;
  g_autoptr (TlNodeStream) stream = NULL;

  if (node->stream == NULL)
    return;
  stream = take_stream (node->gateway->registry, node);
  stream->klass->end (stream, error);
}

static void
sink_sent (gpointer sink, const TlEventRecord *event)
{
  TlNode *node = sink;
  tl_dispatcher_event_sent (node->gateway->dispatcher, node->device_id, event);
}

static void
sink_acknowledged (gpointer sink, guint64 seq)
{
  TlNode *node = sink;
  node->acknowledged_seq = MAX (node->acknowledged_seq, seq);
}

static const TlEventSink sink = {
  .send_event = sink_event,
  .send_gap = sink_gap,
  .send_reset = sink_reset,
  .send_ready = sink_ready,
  .queued_bytes = sink_queued,
  .close = sink_close,
  .sent = sink_sent,
  .acknowledged = sink_acknowledged,
};

/* ---- cloned identities ---- */

static void
on_suspended (const TlGatewayChange *change, const GError *error, gpointer user_data)
{
  g_autoptr (TlNodeStream) stream = user_data;
  g_autoptr (GError) suspended
      = g_error_new_literal (TL_ERROR, TL_ERROR_SUSPENDED,
                             "this device is suspended: two programs use its identity at the same time");

  if (error != NULL)
    tl_log_error (TL_LOG_ERROR, "suspending a device whose identity was cloned", error);
  stream->klass->end (stream, error != NULL ? error : suspended);
}

/* PROTOCOL 5: who of the two is the real one, an operator has to say. The stream is answered after the commit. */
static void
suspend_cloned (TlNodeRegistry *self, TlNode *node, TlNodeStream *stream)
{
  g_autofree char *reason
      = g_strdup_printf ("cloned identity: instance %s came back over %s after instance %s had taken over",
                         stream->instance_id, stream->klass->transport, tl_instance_guard_current (node->instances));
  TlGatewayChangeRequest request = { .kind = TL_ADMISSION_SUSPEND, .device_id = node->device_id };

  tl_log (TL_LOG_WARNING, "an identity is used twice; the device is suspended", "device_id", node->device_id, "name",
          node->name, "reason", reason, NULL);
  request.actor = "gateway";
  request.reason = reason;
  tl_gateway_change_device (self->gateway, &request, on_suspended, stream);
}

/* ---- one stream a device ---- */

void
tl_node_registry_attach (TlNodeRegistry *self, TlNode *node, TlNodeStream *stream, guint64 seq, const char *event_id)
{
  TlNodePath path;

  if (tl_instance_guard_enter (node->instances, stream->instance_id) == TL_INSTANCE_CLONED)
    {
      suspend_cloned (self, node, stream);
      return;
    }
  if (node->stream != NULL)
    {
      g_autoptr (GError) error
          = g_error_new_literal (TL_ERROR, TL_ERROR_IN_USE, "superseded by a newer stream of the same device");
      sink_close (node, error);
    }
  node->stream = stream;
  node->events = tl_event_stream_new (self->gateway->store, node->device_id, &sink, node);
  node->connected_at = node->last_seen_at = tl_clock_wall_ms (self->gateway->clock);
  self->connected++;
  stream->klass->get_path (stream, &path);
  tl_log (TL_LOG_INFO, "node connected", "device_id", node->device_id, "name", node->name, "transport",
          stream->klass->transport, "address", path.address, NULL);
  tl_node_registry_announce (self, node);
  tl_event_stream_resume (node->events, seq, event_id);
}

void
tl_node_registry_detach (TlNodeRegistry *self, TlNode *node)
{
  if (node->stream != NULL)
    tl_node_stream_free (take_stream (self, node));
}

void
tl_node_registry_heard (TlNodeRegistry *self, TlNode *node, const char *type)
{
  node->last_seen_at = node->last_event_at = tl_clock_wall_ms (self->gateway->clock);
  g_free (node->last_event);
  node->last_event = g_strdup (type);
}

void
tl_node_registry_close_all (TlNodeRegistry *self)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the gateway is stopping");
  g_autoptr (GPtrArray) nodes = tl_node_registry_list (self);

  for (guint i = 0; i < nodes->len; i++)
    sink_close (g_ptr_array_index (nodes, i), error);
  for (guint i = 0; i < self->watchers->len; i++)
    tl_rpc_call_finish (g_ptr_array_index (self->watchers, i), error);
  g_ptr_array_set_size (self->watchers, 0);
}

void
tl_node_registry_push (TlNodeRegistry *self, const char *device_id, const TlEventRecord *event)
{
  TlNode *node = g_hash_table_lookup (self->nodes, device_id);

  if (node == NULL)
    return;
  node->latest_seq = MAX (node->latest_seq, event->seq);
  if (self->gateway->quic != NULL)
    tl_quic_runtime_latest (self->gateway->quic, device_id, event->seq);
  if (node->events != NULL)
    tl_event_stream_push (node->events, event);
}
