/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "daemon/tl-admin-private.h"
#include "daemon/tl-dispatcher.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-quic-runtime.h"
#include "daemon/tl-wire.h"

static gboolean
is_wanted (const TlNode *node, const Twinlatch__V1__ListNodesRequest *request, const char *token)
{
  return node->registration != NULL && strcmp (node->device_id, token) > 0
         && (!request->connected_only || tl_node_is_connected (node))
         && (request->capability[0] == '\0' || tl_node_find_capability (node, request->capability) != NULL);
}

typedef struct
{
  TlAdminWait *wait;
  Twinlatch__V1__ListNodesRequest *request;
} Listing;

static void
answer_list (TlGateway *gateway, TlRpcCall *call, const Twinlatch__V1__ListNodesRequest *request)
{
  Twinlatch__V1__ListNodesResponse answer = TWINLATCH__V1__LIST_NODES_RESPONSE__INIT;
  g_autoptr (GPtrArray) nodes = tl_node_registry_list (gateway->registry);
  const char *token;
  guint limit = tl_admin_page (request->page, &token), n = 0;
  g_autofree Twinlatch__V1__Node *messages = g_new0 (Twinlatch__V1__Node, limit);
  g_autofree Twinlatch__V1__Node **pointers = g_new0 (Twinlatch__V1__Node *, limit);

  for (guint i = 0; i < nodes->len; i++)
    {
      TlNode *node = g_ptr_array_index (nodes, i);
      if (!is_wanted (node, request, token))
        continue;
      if (n == limit)
        {
          answer.next_page_token = messages[n - 1].device_id;
          break;
        }
      tl_node_wire (&messages[n], node);
      pointers[n] = &messages[n];
      n++;
    }
  answer.n_nodes = n;
  answer.nodes = pointers;
  tl_rpc_call_reply (call, &answer.base);
  for (guint i = 0; i < n; i++)
    tl_node_wire_clear (&messages[i]);
}

static void
on_paths_known (const TlQuicEndpointStats *stats, gpointer user_data)
{
  Listing *listing = user_data;

  answer_list (listing->wait->gateway, listing->wait->call, listing->request);
  twinlatch__v1__list_nodes_request__free_unpacked (listing->request, NULL);
  tl_admin_wait_free (listing->wait);
  g_free (listing);
}

void
tl_admin_on_list_nodes (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  Twinlatch__V1__ListNodesRequest *copy = tl_wire_copy (message, NULL);
  Listing *listing;

  if (copy == NULL)
    {
      tl_wire_finish_malformed (call);
      return;
    }
  listing = g_new0 (Listing, 1);
  listing->wait = tl_admin_wait_new (gateway, call);
  listing->request = copy;
  tl_quic_runtime_report (gateway->quic, on_paths_known, listing);
}

void
tl_admin_on_watch_nodes (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  tl_node_registry_watch (((TlGateway *)user_data)->registry, call);
}

void
tl_admin_on_watch_nodes_end (TlRpcCall *call, gpointer user_data)
{
  tl_node_registry_unwatch (((TlGateway *)user_data)->registry, call);
}

typedef struct
{
  TlAdminWait *wait;
  Twinlatch__V1__ExecuteCapabilityRequest *request;
} Execution;

static void
on_target_found (const GError *error, gpointer result, gpointer user_data)
{
  Execution *execution = user_data;
  g_autoptr (TlAdminWait) wait = execution->wait;
  const TlDeviceRecord *device = result;

  if (error != NULL)
    tl_rpc_call_finish (wait->call, error);
  else
    tl_dispatcher_execute (wait->gateway->dispatcher, wait->call, device->device_id, execution->request);
  twinlatch__v1__execute_capability_request__free_unpacked (execution->request, NULL);
  g_free (execution);
}

void
tl_admin_on_execute (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__ExecuteCapabilityRequest *request = (const Twinlatch__V1__ExecuteCapabilityRequest *)message;
  Twinlatch__V1__ExecuteCapabilityRequest *copy;
  Execution *execution;

  /* A whole id that the registry knows needs no look-up in the store. */
  if (tl_node_registry_lookup (gateway->registry, request->device) != NULL)
    {
      tl_dispatcher_execute (gateway->dispatcher, call, request->device, request);
      return;
    }
  copy = tl_wire_copy (message, NULL);
  if (copy == NULL)
    {
      tl_wire_finish_malformed (call);
      return;
    }
  execution = g_new0 (Execution, 1);
  execution->wait = tl_admin_wait_new (gateway, call);
  execution->request = copy;
  tl_store_find_device (gateway->store, request->device, on_target_found, execution);
}

void
tl_admin_on_execute_end (TlRpcCall *call, gpointer user_data)
{
  tl_dispatcher_execute_cancelled (((TlGateway *)user_data)->dispatcher, call);
}
