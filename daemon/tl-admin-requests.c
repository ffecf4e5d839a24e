/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "daemon/tl-admin-private.h"
#include "daemon/tl-capability-name.h"
#include "daemon/tl-dispatcher.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-wire.h"

/* Capability requests that are there, and the switches that decide whether there will be more. */

void
tl_admin_on_cancel_request (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__CancelCapabilityRequest *request = (const Twinlatch__V1__CancelCapabilityRequest *)message;
  tl_dispatcher_cancel (((TlGateway *)user_data)->dispatcher, call, request->request_id, request->reason);
}

void
tl_admin_on_watch_request (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__WatchCapabilityRequestRequest *request
      = (const Twinlatch__V1__WatchCapabilityRequestRequest *)message;
  tl_dispatcher_watch (((TlGateway *)user_data)->dispatcher, call, request->request_id);
}

static void
on_request (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (TlAdminWait) wait = user_data;
  const TlCapabilityRecord *record = result;
  Twinlatch__V1__GetCapabilityRequestResponse answer = TWINLATCH__V1__GET_CAPABILITY_REQUEST_RESPONSE__INIT;
  Twinlatch__V1__CapabilityRequest request;

  if (error != NULL)
    {
      tl_rpc_call_finish (wait->call, error);
      return;
    }
  tl_wire_request (&request, record);
  request.input = tl_wire_string (record->input);
  request.output = tl_wire_string (record->output);
  request.output_kept = record->output != NULL;
  request.receipt = tl_wire_receipt (record->receipt);
  answer.request = &request;
  tl_rpc_call_reply (wait->call, &answer.base);
  if (request.receipt != NULL)
    twinlatch__v1__receipt__free_unpacked (request.receipt, NULL);
}

void
tl_admin_on_get_request (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  tl_store_find_request (gateway->store, ((const Twinlatch__V1__GetCapabilityRequestRequest *)message)->request_id,
                         on_request, tl_admin_wait_new (gateway, call));
}

/* ---- lists ---- */

static void
on_requests (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (TlAdminWait) wait = user_data;
  const TlRequestPage *page = result;
  Twinlatch__V1__ListCapabilityRequestsResponse answer = TWINLATCH__V1__LIST_CAPABILITY_REQUESTS_RESPONSE__INIT;
  g_autofree Twinlatch__V1__CapabilityRequest *requests = NULL;
  g_autofree Twinlatch__V1__CapabilityRequest **pointers = NULL;

  if (error != NULL)
    {
      tl_rpc_call_finish (wait->call, error);
      return;
    }
  requests = g_new0 (Twinlatch__V1__CapabilityRequest, page->requests->len);
  pointers = g_new0 (Twinlatch__V1__CapabilityRequest *, page->requests->len);
  for (guint i = 0; i < page->requests->len; i++)
    {
      tl_wire_request (&requests[i], g_ptr_array_index (page->requests, i));
      pointers[i] = &requests[i];
    }
  answer.n_requests = page->requests->len;
  answer.requests = pointers;
  answer.next_page_token = tl_wire_string (page->next_token);
  tl_rpc_call_reply (wait->call, &answer.base);
}

typedef struct
{
  TlAdminWait *wait;
  Twinlatch__V1__ListCapabilityRequestsRequest *request;
} Listing;

static const char *
or_null (const char *text)
{
  return text[0] != '\0' ? text : NULL;
}

/* Takes the wait. */
static void
list (TlAdminWait *wait, const Twinlatch__V1__ListCapabilityRequestsRequest *request, const char *device_id)
{
  TlRequestFilter filter = { .device_id = device_id,
                             .capability = or_null (request->capability),
                             .requested_by = or_null (request->requested_by),
                             .since = request->since_unix_ms };
  const char *token;

  for (gsize i = 0; i < request->n_states; i++)
    if (request->states[i] >= 1 && request->states[i] <= TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_EXPIRED)
      filter.states |= 1u << (request->states[i] - 1);
  wait->limit = tl_admin_page (request->page, &token);
  tl_store_list_requests (wait->gateway->store, &filter, token, wait->limit, on_requests, wait);
}

static void
on_listed_device (const GError *error, gpointer result, gpointer user_data)
{
  Listing *listing = user_data;

  if (error != NULL)
    {
      tl_rpc_call_finish (listing->wait->call, error);
      tl_admin_wait_free (listing->wait);
    }
  else
    list (listing->wait, listing->request, ((const TlDeviceRecord *)result)->device_id);
  twinlatch__v1__list_capability_requests_request__free_unpacked (listing->request, NULL);
  g_free (listing);
}

void
tl_admin_on_list_requests (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__ListCapabilityRequestsRequest *request
      = (const Twinlatch__V1__ListCapabilityRequestsRequest *)message;
  Twinlatch__V1__ListCapabilityRequestsRequest *copy;
  Listing *listing;

  if (request->device[0] == '\0')
    {
      list (tl_admin_wait_new (gateway, call), request, NULL);
      return;
    }
  copy = tl_wire_copy (message, NULL);
  if (copy == NULL)
    {
      tl_wire_finish_malformed (call);
      return;
    }
  listing = g_new0 (Listing, 1);
  listing->wait = tl_admin_wait_new (gateway, call);
  listing->request = copy;
  tl_store_find_device (gateway->store, request->device, on_listed_device, listing);
}

/* ---- switches ---- */

typedef struct
{
  TlGateway *gateway;
  TlRpcCall *call;
  char *device_id, *capability;
  gboolean enabled;
} Switching;

static void
switching_free (Switching *self)
{
  tl_rpc_call_unref (self->call);
  g_free (self->device_id);
  g_free (self->capability);
  g_free (self);
}

static void
answer_switch (Switching *self, TlNode *node, gboolean already, guint cancelled)
{
  Twinlatch__V1__SetNodeCapabilityResponse answer = TWINLATCH__V1__SET_NODE_CAPABILITY_RESPONSE__INIT;
  Twinlatch__V1__Node message;

  tl_node_wire (&message, node);
  answer.node = &message;
  answer.already = already;
  answer.requests_cancelled = cancelled;
  tl_rpc_call_reply (self->call, &answer.base);
  tl_node_wire_clear (&message);
}

static void
on_switched (const GError *error, gpointer nothing G_GNUC_UNUSED, gpointer user_data)
{
  Switching *self = user_data;
  TlNode *node = tl_node_registry_lookup (self->gateway->registry, self->device_id);
  g_autoptr (GError) gone = NULL;
  guint cancelled = 0;

  if (error == NULL && node == NULL) /* removed meanwhile */
    gone = g_error_new (TL_ERROR, TL_ERROR_NOT_FOUND, "the device %s is not known any more", self->device_id);
  if (error != NULL || gone != NULL)
    {
      tl_rpc_call_finish (self->call, error != NULL ? error : gone);
      switching_free (self);
      return;
    }
  tl_node_registry_switched (self->gateway->registry, node, self->capability, self->enabled);
  if (!self->enabled)
    cancelled = tl_dispatcher_cancel_queued (self->gateway->dispatcher, self->device_id, self->capability,
                                             tl_rpc_call_peer (self->call)->actor);
  answer_switch (self, node, FALSE, cancelled);
  switching_free (self);
}

/* A slip of the pen would leave another capability on. */
static gboolean
check_switch (const Switching *self, const TlNode *node, GError **error)
{
  if (!tl_capability_name_is_valid (self->capability))
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "'%.80s' is not a capability's name", self->capability);
  else if (node == NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "the device %s is not known as a node", self->device_id);
  else if (!self->enabled && node->registration != NULL && tl_node_find_capability (node, self->capability) == NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_CAPABILITY_UNKNOWN,
                 "device '%s' does not announce '%s'; see 'twinlatch nodes show'", node->name, self->capability);
  else
    return TRUE;
  return FALSE;
}

static void
on_switch_device (const GError *error, gpointer result, gpointer user_data)
{
  Switching *self = user_data;
  g_autoptr (GError) problem = NULL;
  TlNode *node = NULL;

  if (error != NULL)
    problem = g_error_copy (error);
  else
    {
      self->device_id = g_strdup (((const TlDeviceRecord *)result)->device_id);
      node = tl_node_registry_lookup (self->gateway->registry, self->device_id);
      check_switch (self, node, &problem);
    }
  if (problem != NULL)
    tl_rpc_call_finish (self->call, problem);
  else if (tl_node_is_switched_off (node, self->capability) == !self->enabled)
    answer_switch (self, node, TRUE, 0);
  else
    {
      tl_store_set_switch (self->gateway->store, self->device_id, self->capability, self->enabled,
                           tl_rpc_call_peer (self->call)->actor, tl_clock_wall_ms (self->gateway->clock), on_switched,
                           self);
      return;
    }
  switching_free (self);
}

void
tl_admin_on_set_node_capability (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__SetNodeCapabilityRequest *request = (const Twinlatch__V1__SetNodeCapabilityRequest *)message;
  Switching *self = g_new0 (Switching, 1);

  self->gateway = user_data;
  self->call = tl_rpc_call_ref (call);
  self->capability = g_strdup (request->capability);
  self->enabled = request->enabled;
  tl_store_find_device (self->gateway->store, request->device, on_switch_device, self);
}
