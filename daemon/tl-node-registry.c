/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-node-registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "base/tl-log.h"
#include "daemon/store/tl-inventory-records.h"
#include "daemon/tl-capability-name.h"
#include "daemon/tl-dispatcher.h"
#include "daemon/tl-journal-service.h"
#include "daemon/tl-inventory.h"
#include "daemon/tl-wire.h"
#include "pairing/tl-pairing-link.h"

struct _TlNodeRegistry
{
  TlGateway *gateway;
  GHashTable *nodes;   /* device id -> TlNode* */
  GPtrArray *watchers; /* TlRpcCall*: WatchNodes */
  guint connected;
  GError *load_error; /* between tl_node_registry_load() and its callback */
};

static void
node_free (gpointer data)
{
  TlNode *node = data;

  g_clear_pointer (&node->stream, tl_event_stream_close);
  g_clear_pointer (&node->outbox, tl_node_outbox_free);
  g_clear_pointer (&node->call, tl_rpc_call_unref);
  if (node->registration != NULL)
    twinlatch__v1__register_node_request__free_unpacked (node->registration, NULL);
  g_hash_table_unref (node->switched_off);
  g_free (node->device_id);
  g_free (node->name);
  g_free (node->address);
  g_free (node->last_event);
  g_free (node);
}

TlNodeRegistry *
tl_node_registry_new (TlGateway *gateway)
{
  TlNodeRegistry *self = g_new0 (TlNodeRegistry, 1);

  self->gateway = gateway;
  self->nodes = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, node_free);
  self->watchers = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_rpc_call_unref);
  return self;
}

void
tl_node_registry_free (TlNodeRegistry *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->watchers);
  g_hash_table_unref (self->nodes);
  g_free (self);
}

static TlNode *
ensure (TlNodeRegistry *self, const char *device_id)
{
  TlNode *node = g_hash_table_lookup (self->nodes, device_id);

  if (node == NULL)
    {
      node = g_new0 (TlNode, 1);
      node->device_id = g_strdup (device_id);
      node->name = g_strdup ("");
      node->address = g_strdup ("");
      node->gateway = self->gateway;
      node->switched_off = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
      g_hash_table_insert (self->nodes, node->device_id, node);
    }
  return node;
}

/* ---- start-up ---- */

#define LOAD_MAX 1000000

static void
on_devices_listed (const GError *error, gpointer result, gpointer user_data)
{
  TlNodeRegistry *self = user_data;
  const GPtrArray *devices = result;

  if (error != NULL)
    {
      self->load_error = g_error_copy (error);
      return;
    }
  for (guint i = 0; i < devices->len; i++)
    {
      const TlDeviceRecord *device = g_ptr_array_index (devices, i);
      TlNode *node;

      if (device->state == TL_DEVICE_REMOVED)
        continue;
      node = ensure (self, device->device_id);
      g_free (node->name);
      node->name = g_strdup (device->name);
      memcpy (node->identity_public, device->identity_public, sizeof node->identity_public);
      node->state = device->state;
      node->last_seen_at = MAX (node->last_seen_at, device->last_seen_at);
    }
}

static gboolean
load_switches (TlNodeRegistry *self, GError **error)
{
  g_autoptr (GPtrArray) switches = tl_store_list_switches (self->gateway->store, error);

  for (guint i = 0; switches != NULL && i < switches->len; i++)
    {
      const TlSwitchRecord *off = g_ptr_array_index (switches, i);
      g_hash_table_add (ensure (self, off->device_id)->switched_off, g_strdup (off->capability));
    }
  return switches != NULL;
}

static gboolean
load_known (TlNodeRegistry *self, GError **error)
{
  g_autoptr (GPtrArray) nodes = tl_store_list_known_nodes (self->gateway->store, error);

  if (nodes == NULL)
    return FALSE;
  for (guint i = 0; i < nodes->len; i++)
    {
      const TlInventoryNode *record = g_ptr_array_index (nodes, i);
      TlNode *node = ensure (self, record->device_id);

      node->known_only = TRUE;
      node->registration = tl_inventory_node_registration (record);
      node->registered_at = record->registered_at;
      node->last_seen_at = record->last_seen_at;
    }
  return TRUE;
}

gboolean
tl_node_registry_load (TlNodeRegistry *self, GError **error)
{
  g_autoptr (GPtrArray) records = tl_store_list_nodes (self->gateway->store, error);

  if (records == NULL || !load_known (self, error) || !load_switches (self, error))
    return FALSE;
  for (guint i = 0; i < records->len; i++)
    {
      const TlNodeRecord *record = g_ptr_array_index (records, i);
      TlNode *node = ensure (self, record->device_id);
      gsize length = 0;
      const guint8 *packed = g_bytes_get_data (record->registration, &length);

      node->registration = twinlatch__v1__register_node_request__unpack (NULL, length, packed);
      node->registered_at = record->registered_at;
      node->last_seen_at = record->last_seen_at;
      node->latest_seq = record->latest_seq;
      node->acknowledged_seq = record->acknowledged_seq;
    }
  tl_store_list_devices (self->gateway->store, 0, -1, "", LOAD_MAX, on_devices_listed, self);
  tl_store_flush (self->gateway->store);
  if (self->load_error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&self->load_error));
  return FALSE;
}

/* ---- lookups ---- */

TlNode *
tl_node_registry_lookup (TlNodeRegistry *self, const char *device_id)
{
  return g_hash_table_lookup (self->nodes, device_id);
}

static int
compare_nodes (gconstpointer a, gconstpointer b)
{
  const TlNode *const *left = a, *const *right = b;
  return strcmp ((*left)->device_id, (*right)->device_id);
}

GPtrArray *
tl_node_registry_list (TlNodeRegistry *self)
{
  GPtrArray *out = g_ptr_array_sized_new (g_hash_table_size (self->nodes));
  GHashTableIter iter;
  gpointer node;

  g_hash_table_iter_init (&iter, self->nodes);
  while (g_hash_table_iter_next (&iter, NULL, &node))
    g_ptr_array_add (out, node);
  g_ptr_array_sort (out, compare_nodes);
  return out;
}

guint
tl_node_registry_count_connected (TlNodeRegistry *self)
{
  return self->connected;
}

const Twinlatch__V1__CapabilityDescriptor *
tl_node_find_capability (const TlNode *node, const char *name)
{
  if (node->registration == NULL)
    return NULL;
  for (gsize i = 0; i < node->registration->n_capabilities; i++)
    if (g_str_equal (node->registration->capabilities[i]->name, name))
      return node->registration->capabilities[i];
  return NULL;
}

gboolean
tl_node_is_connected (const TlNode *node)
{
  return node->stream != NULL;
}

gboolean
tl_node_is_switched_off (const TlNode *node, const char *capability)
{
  return g_hash_table_contains (node->switched_off, capability);
}

/* ---- registration ---- */

static gboolean
text_fits (const char *what, const char *text, gsize max, GError **error)
{
  if (strlen (text) <= max && g_utf8_validate (text, -1, NULL))
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s is longer than %zu bytes or not UTF-8", what, max);
  return FALSE;
}

static gboolean
check_schema (const char *what, const char *schema, GError **error)
{
  tl_json_auto value = NULL;

  if (schema[0] == '\0')
    return TRUE;
  value = tl_json_parse (schema, -1, TL_NODE_MAX_SCHEMA, error);
  if (value == NULL)
    {
      g_prefix_error (error, "%s: ", what);
      return FALSE;
    }
  return TRUE;
}

static gboolean
check_capability (const Twinlatch__V1__CapabilityDescriptor *capability, GHashTable *names, GError **error)
{
  if (!tl_capability_name_is_valid (capability->name))
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "a capability's name is malformed");
  else if (!g_hash_table_add (names, capability->name))
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "capability '%s' is announced twice", capability->name);
  else
    return text_fits ("a capability's description", capability->description, TL_NODE_MAX_DESCRIPTION, error)
           && check_schema ("input schema", capability->input_schema, error)
           && check_schema ("output schema", capability->output_schema, error);
  return FALSE;
}

GError *
tl_node_registry_check_registration (const Twinlatch__V1__RegisterNodeRequest *request)
{
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
  GError *error = NULL;
  gboolean version_fits = FALSE;

  for (gsize i = 0; i < request->n_versions; i++)
    version_fits |= request->versions[i] == TL_PAIRING_VERSION;
  if (!version_fits)
    return g_error_new (TL_ERROR, TL_ERROR_UNSUPPORTED, "this gateway speaks protocol version %d only",
                        TL_PAIRING_VERSION);
  if (request->n_capabilities > TL_NODE_MAX_CAPABILITIES)
    return g_error_new (TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%zu capabilities, at most %d", request->n_capabilities,
                        TL_NODE_MAX_CAPABILITIES);
  if (!text_fits ("platform", request->platform, TL_NODE_MAX_TEXT, &error)
      || !text_fits ("node version", request->node_version, TL_NODE_MAX_TEXT, &error))
    return error;
  for (gsize i = 0; i < request->n_capabilities; i++)
    if (!check_capability (request->capabilities[i], names, &error))
      return error;
  return NULL;
}

static void
announce (TlNodeRegistry *self, const TlNode *node)
{
  Twinlatch__V1__Node message;

  if (self->watchers->len == 0)
    return;
  tl_node_wire (&message, node);
  for (guint i = 0; i < self->watchers->len; i++)
    tl_rpc_call_send (g_ptr_array_index (self->watchers, i), &message.base);
  tl_node_wire_clear (&message);
}

void
tl_node_registry_device_changed (TlNodeRegistry *self, const char *device_id, const char *label,
                                 const char *device_name, const guint8 identity_public[32])
{
  TlNode *node = ensure (self, device_id);

  /* As the store does: pairing again keeps the name that operators know, unless the code gives another. */
  if (label != NULL || node->name[0] == '\0')
    {
      g_free (node->name);
      node->name = g_strdup (label != NULL ? label : device_name);
    }
  memcpy (node->identity_public, identity_public, sizeof node->identity_public);
  node->state = TL_DEVICE_ACTIVE;
  node->known_only = FALSE;
  announce (self, node);
}

TlNode *
tl_node_registry_registered (TlNodeRegistry *self, const char *device_id,
                             const Twinlatch__V1__RegisterNodeRequest *request, const char *address)
{
  g_autoptr (GBytes) packed = NULL;
  Twinlatch__V1__RegisterNodeRequest *copy = tl_wire_copy (&request->base, &packed);
  TlNodeRecord record = { 0 };
  TlNode *node;

  if (copy == NULL)
    return NULL;
  node = ensure (self, device_id);
  if (node->registration != NULL)
    twinlatch__v1__register_node_request__free_unpacked (node->registration, NULL);
  node->registration = copy;
  node->registered_at = node->last_seen_at = tl_clock_wall_ms (self->gateway->clock);
  g_free (node->address);
  node->address = g_strdup (address);

  record.device_id = node->device_id;
  record.platform = node->registration->platform;
  record.node_version = node->registration->node_version;
  record.registration = packed;
  record.registered_at = node->registered_at;
  record.last_seen_at = node->last_seen_at;
  tl_store_put_node (self->gateway->store, &record, NULL, NULL);
  announce (self, node);
  return node;
}

void
tl_node_registry_switched (TlNodeRegistry *self, TlNode *node, const char *capability, gboolean enabled)
{
  if (enabled)
    g_hash_table_remove (node->switched_off, capability);
  else
    g_hash_table_add (node->switched_off, g_strdup (capability));
  announce (self, node);
}

/* ---- the stream's sink: gRPC ---- */

static gboolean
send_response (TlNode *node, Twinlatch__V1__StreamEventsResponse *response)
{
  return node->outbox != NULL && tl_node_outbox_send (node->outbox, response);
}

static gboolean
sink_event (gpointer sink, const TlEventRecord *record)
{
  TlNode *node = sink;

  node->latest_seq = MAX (node->latest_seq, record->seq);
  return node->outbox != NULL && tl_node_outbox_event (node->outbox, record);
}

static gboolean
sink_gap (gpointer sink, guint64 oldest_seq, const char *oldest_id)
{
  Twinlatch__V1__StreamEventsResponse response = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__StreamEventsResponse__Gap gap = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__GAP__INIT;
  Twinlatch__V1__Cursor cursor = TWINLATCH__V1__CURSOR__INIT;

  cursor.seq = oldest_seq;
  cursor.event_id = tl_wire_string (oldest_id);
  gap.oldest = &cursor;
  response.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_GAP;
  response.gap = &gap;
  return send_response (sink, &response);
}

static gboolean
sink_reset (gpointer sink, guint64 latest_seq)
{
  TlNode *node = sink;
  Twinlatch__V1__StreamEventsResponse response = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__StreamEventsResponse__Reset reset = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__RESET__INIT;

  tl_log (TL_LOG_WARNING, "a node's cursor is not of this event log: it starts again", "device_id", node->device_id,
          NULL);
  tl_journal_service_noted (node->gateway->journal, TL_JOURNAL_EVENTS_RESET, node->device_id, NULL, "reset");
  reset.latest_seq = latest_seq;
  response.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_RESET;
  response.reset = &reset;
  return send_response (node, &response);
}

static gboolean
sink_ready (gpointer sink, guint64 latest_seq)
{
  TlNode *node = sink;
  Twinlatch__V1__StreamEventsResponse response = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__StreamEventsResponse__Ready ready = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__READY__INIT;

  node->latest_seq = MAX (node->latest_seq, latest_seq);
  ready.latest_seq = latest_seq;
  ready.takes_results = TRUE;
  response.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_READY;
  response.ready = &ready;
  return send_response (node, &response);
}

static gsize
sink_queued (gpointer sink)
{
  TlNode *node = sink;
  return node->outbox != NULL ? tl_node_outbox_queued_bytes (node->outbox) : 0;
}

static void
sink_close (gpointer sink, const GError *error)
{
  TlNode *node = sink;
  g_autoptr (TlRpcCall) call = node->call != NULL ? tl_rpc_call_ref (node->call) : NULL;

  tl_node_registry_detach (node->gateway->registry, node);
  if (call != NULL)
    tl_rpc_call_finish (call, error);
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

static const TlEventSink grpc_sink = {
  .send_event = sink_event,
  .send_gap = sink_gap,
  .send_reset = sink_reset,
  .send_ready = sink_ready,
  .queued_bytes = sink_queued,
  .close = sink_close,
  .sent = sink_sent,
  .acknowledged = sink_acknowledged,
};

void
tl_node_registry_attach (TlNodeRegistry *self, TlNode *node, TlRpcCall *call, gboolean takes_events)
{
  if (node->call != NULL)
    {
      g_autoptr (GError) error
          = g_error_new_literal (TL_ERROR, TL_ERROR_IN_USE, "superseded by a newer stream of the same device");
      sink_close (node, error);
    }
  node->call = tl_rpc_call_ref (call);
  node->outbox = tl_node_outbox_new (call, takes_events);
  node->stream = tl_event_stream_new (self->gateway->store, node->device_id, &grpc_sink, node);
  node->connected_at = node->last_seen_at = tl_clock_wall_ms (self->gateway->clock);
  g_free (node->address);
  node->address = g_strdup (tl_rpc_call_peer (call)->address);
  self->connected++;
  tl_log (TL_LOG_INFO, "node connected", "device_id", node->device_id, "name", node->name, "address", node->address,
          NULL);
  announce (self, node);
}

void
tl_node_registry_detach (TlNodeRegistry *self, TlNode *node)
{
  if (node->stream == NULL)
    return;
  g_clear_pointer (&node->stream, tl_event_stream_close);
  g_clear_pointer (&node->outbox, tl_node_outbox_free);
  g_clear_pointer (&node->call, tl_rpc_call_unref);
  node->last_seen_at = tl_clock_wall_ms (self->gateway->clock);
  self->connected--;
  tl_store_device_seen (self->gateway->store, node->device_id, node->last_event, node->last_event_at,
                        node->last_seen_at);
  g_clear_pointer (&node->last_event, g_free);
  tl_log (TL_LOG_INFO, "node disconnected", "device_id", node->device_id, "name", node->name, NULL);
  announce (self, node);
}

void
tl_node_registry_device_state (TlNodeRegistry *self, const char *device_id, TlDeviceState state)
{
  TlNode *node = g_hash_table_lookup (self->nodes, device_id);

  if (node == NULL)
    return;
  node->state = state;
  if (state == TL_DEVICE_REMOVED && node->stream != NULL)
    tl_node_registry_detach (self, node); /* announces */
  else
    announce (self, node);
  if (state == TL_DEVICE_REMOVED)
    g_hash_table_remove (self->nodes, device_id);
}

void
tl_node_registry_device_renamed (TlNodeRegistry *self, const char *device_id, const char *name)
{
  TlNode *node = g_hash_table_lookup (self->nodes, device_id);

  if (node == NULL)
    return;
  g_free (node->name);
  node->name = g_strdup (name);
  announce (self, node);
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
    {
      TlNode *node = g_ptr_array_index (nodes, i);
      if (node->stream != NULL)
        sink_close (node, error);
    }
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
  if (node->stream != NULL)
    tl_event_stream_push (node->stream, event);
}

/* ---- operators ---- */

static int
compare_texts (const void *a, const void *b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

void
tl_node_wire (Twinlatch__V1__Node *message, const TlNode *node)
{
  const Twinlatch__V1__RegisterNodeRequest *registration = node->registration;

  twinlatch__v1__node__init (message);
  message->device_id = node->device_id;
  message->name = tl_wire_string (node->name);
  message->connected = node->stream != NULL;
  message->transport = node->stream != NULL ? (char *)"grpc" : tl_wire_string (NULL);
  message->address = node->stream != NULL ? tl_wire_string (node->address) : tl_wire_string (NULL);
  message->registered_at_unix_ms = node->registered_at;
  message->connected_at_unix_ms = node->stream != NULL ? node->connected_at : 0;
  message->last_seen_unix_ms = node->last_seen_at;
  message->latest_seq = node->latest_seq;
  message->acknowledged_seq = node->acknowledged_seq;
  message->state = node->known_only ? TWINLATCH__V1__DEVICE_STATE__DEVICE_STATE_NOT_PAIRED
                                    : (Twinlatch__V1__DeviceState)(node->state + 1);
  if (g_hash_table_size (node->switched_off) > 0)
    {
      guint n = 0;

      message->switched_off = (char **)g_hash_table_get_keys_as_array (node->switched_off, &n);
      message->n_switched_off = n;
      qsort (message->switched_off, n, sizeof (char *), compare_texts);
    }
  if (registration == NULL)
    return;
  message->platform = registration->platform;
  message->client_kind = registration->client_kind;
  message->node_version = registration->node_version;
  message->n_capabilities = registration->n_capabilities;
  message->capabilities = registration->capabilities;
}

void
tl_node_wire_clear (Twinlatch__V1__Node *message)
{
  message->n_capabilities = 0;
  message->capabilities = NULL;
  message->n_switched_off = 0;
  g_clear_pointer (&message->switched_off, g_free); /* the words are the node's */
}

void
tl_node_registry_watch (TlNodeRegistry *self, TlRpcCall *call)
{
  g_autoptr (GPtrArray) nodes = tl_node_registry_list (self);

  for (guint i = 0; i < nodes->len; i++)
    {
      Twinlatch__V1__Node message;
      tl_node_wire (&message, g_ptr_array_index (nodes, i));
      tl_rpc_call_send (call, &message.base);
      tl_node_wire_clear (&message);
    }
  g_ptr_array_add (self->watchers, tl_rpc_call_ref (call));
}

void
tl_node_registry_unwatch (TlNodeRegistry *self, TlRpcCall *call)
{
  g_ptr_array_remove (self->watchers, call);
}
