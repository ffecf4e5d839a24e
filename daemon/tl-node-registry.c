/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-node-registry-private.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "base/tl-log.h"
#include "daemon/store/tl-inventory-records.h"
#include "daemon/tl-capability-name.h"
#include "daemon/tl-inventory.h"
#include "daemon/tl-wire.h"
#include "pairing/tl-pairing-link.h"

static void
node_free (gpointer data)
{
  TlNode *node = data;

  g_clear_pointer (&node->events, tl_event_stream_close);
  g_clear_pointer (&node->stream, tl_node_stream_free);
  tl_instance_guard_free (node->instances);
  if (node->registration != NULL)
    twinlatch__v1__register_node_request__free_unpacked (node->registration, NULL);
  g_hash_table_unref (node->switched_off);
  g_free (node->device_id);
  g_free (node->name);
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
      node->instances = tl_instance_guard_new ();
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
  tl_instance_guard_forget (node->instances);
  tl_node_registry_announce (self, node);
}

TlNode *
tl_node_registry_registered (TlNodeRegistry *self, const char *device_id,
                             const Twinlatch__V1__RegisterNodeRequest *request)
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

  record.device_id = node->device_id;
  record.platform = node->registration->platform;
  record.node_version = node->registration->node_version;
  record.registration = packed;
  record.registered_at = node->registered_at;
  record.last_seen_at = node->last_seen_at;
  tl_store_put_node (self->gateway->store, &record, NULL, NULL);
  tl_node_registry_announce (self, node);
  return node;
}

void
tl_node_registry_switched (TlNodeRegistry *self, TlNode *node, const char *capability, gboolean enabled)
{
  if (enabled)
    g_hash_table_remove (node->switched_off, capability);
  else
    g_hash_table_add (node->switched_off, g_strdup (capability));
  tl_node_registry_announce (self, node);
}

void
tl_node_registry_device_state (TlNodeRegistry *self, const char *device_id, TlDeviceState state)
{
  TlNode *node = g_hash_table_lookup (self->nodes, device_id);

  if (node == NULL)
    return;
  if (state == TL_DEVICE_ACTIVE && node->state != state)
    tl_instance_guard_forget (node->instances); /* an operator decided */
  node->state = state;
  if (state == TL_DEVICE_REMOVED && node->stream != NULL)
    tl_node_registry_detach (self, node); /* announces */
  else
    tl_node_registry_announce (self, node);
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
  tl_node_registry_announce (self, node);
}
