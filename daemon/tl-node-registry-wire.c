/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "daemon/tl-node-registry-private.h"
#include "daemon/tl-wire.h"

static int
compare_texts (const void *a, const void *b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

static void
fill_connection (Twinlatch__V1__Node *message, TlNode *node)
{
  node->stream->klass->get_path (node->stream, &node->path);
  message->transport = (char *)node->stream->klass->transport;
  message->address = node->path.address;
  message->rtt_us = node->path.rtt_us;
  message->packets_lost = node->path.packets_lost;
  message->migrations = node->path.migrations;
  message->connected_at_unix_ms = node->connected_at;
}

void
tl_node_wire (Twinlatch__V1__Node *message, TlNode *node)
{
  const Twinlatch__V1__RegisterNodeRequest *registration = node->registration;

  twinlatch__v1__node__init (message);
  message->device_id = node->device_id;
  message->name = tl_wire_string (node->name);
  message->connected = node->stream != NULL;
  message->registered_at_unix_ms = node->registered_at;
  if (node->stream != NULL)
    fill_connection (message, node);
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
tl_node_registry_announce (TlNodeRegistry *self, TlNode *node)
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
