/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-inventory.h"

#include <string.h>

#include "crypto/tl-hash.h"
#include "daemon/tl-wire.h"

/* Writing. Reading is tl-inventory-parse.c. */

/* What came from elsewhere need not be UTF-8. */
static json_t *
text (const char *value)
{
  g_autofree char *valid = NULL;

  if (value == NULL || *value == '\0')
    return json_null ();
  valid = g_utf8_make_valid (value, -1);
  return json_string (valid);
}

/* 0: not yet, or not at all. */
static json_t *
moment (gint64 number)
{
  return number != 0 ? json_integer (number) : json_null ();
}

static json_t *
code_to_json (const TlCodeRecord *code)
{
  return json_pack ("{s:s, s:s, s:s, s:o, s:o, s:b, s:i, s:o, s:o, s:o}", "code_id", code->code_id, "method",
                    code->method == TL_PAIRING_PIN ? "pin" : "qr", "role", tl_role_to_string (code->role), "slot",
                    moment (code->slot), "label", text (code->label), "automatic", (int)code->auto_approve,
                    "attempts_left", (int)code->attempts_left, "issued_by", text (code->minted_by),
                    "created_at_unix_ms", moment (code->created_at), "expires_at_unix_ms", moment (code->expires_at));
}

static json_t *
pairing_to_json (const TlPairingRecord *request)
{
  g_autofree char *fingerprint = tl_fingerprint (request->identity_public, sizeof request->identity_public);

  return json_pack ("{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:s, s:o, s:o, s:o}", "request_id",
                    request->request_id, "session_id", request->session_id, "device_id", request->device_id,
                    "device_name", text (request->device_name), "client_kind",
                    tl_client_kind_to_string (request->client_kind), "role", tl_role_to_string (request->role),
                    "method", request->method == TL_PAIRING_PIN ? "pin" : "qr", "code_issued_by",
                    text (request->code_minted_by), "state", tl_pairing_state_to_string (request->state),
                    "decision_reason", text (request->reason), "decided_by", text (request->decided_by),
                    "identity_fingerprint", fingerprint, "requested_at_unix_ms", moment (request->requested_at),
                    "expires_at_unix_ms", moment (request->expires_at), "decided_at_unix_ms",
                    moment (request->decided_at));
}

static json_t *
capabilities_to_json (const TlInventoryNode *node)
{
  json_t *list = json_array ();
  Twinlatch__V1__RegisterNodeRequest *registration = NULL;

  if (node->registration != NULL)
    registration = twinlatch__v1__register_node_request__unpack (NULL, g_bytes_get_size (node->registration),
                                                                 g_bytes_get_data (node->registration, NULL));
  else
    registration = tl_inventory_node_registration (node);
  for (gsize i = 0; registration != NULL && i < registration->n_capabilities; i++)
    json_array_append_new (list, json_pack ("{s:s, s:b}", "name", registration->capabilities[i]->name, "available",
                                            (int)registration->capabilities[i]->available));
  if (registration != NULL)
    twinlatch__v1__register_node_request__free_unpacked (registration, NULL);
  return list;
}

static json_t *
node_to_json (const TlInventoryNode *node)
{
  return json_pack ("{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "device_id", node->device_id, "name",
                    text (node->name), "state", node->paired ? tl_device_state_to_string (node->state) : "not_paired",
                    "platform", text (node->platform), "capabilities", capabilities_to_json (node),
                    "registered_at_unix_ms", moment (node->registered_at), "last_seen_at_unix_ms",
                    moment (node->last_seen_at), "last_event_name", text (node->last_event_name),
                    "last_event_at_unix_ms", moment (node->last_event_at));
}

static json_t *
request_to_json (const TlCapabilityRecord *request)
{
  return json_pack ("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "request_id",
                    request->request_id, "device_id", request->device_id, "capability", request->capability, "state",
                    tl_request_state_to_string (request->state), "requested_by", text (request->requested_by),
                    "created_at_unix_ms", moment (request->created_at), "updated_at_unix_ms",
                    moment (request->updated_at), "dispatched_at_unix_ms", moment (request->dispatched_at),
                    "completed_at_unix_ms", moment (request->completed_at), "expires_at_unix_ms",
                    moment (request->expires_at), "max_payload_bytes", (json_int_t)request->max_payload_bytes,
                    "input_summary", text (request->input_summary), "output_summary", text (request->output_summary),
                    "error", text (request->error), "error_reason", text (request->error_reason));
}

typedef json_t *(*ToJson) (gconstpointer record);

static json_t *
map_to_json (const GPtrArray *records, gsize id_offset, ToJson to_json)
{
  json_t *map = json_object ();

  for (guint i = 0; i < records->len; i++)
    {
      const guint8 *record = g_ptr_array_index (records, i);

      json_t *entry = to_json (record);

      g_assert (entry != NULL);
      json_object_set_new (map, *(char *const *)(gconstpointer)(record + id_offset), entry);
    }
  return map;
}

char *
tl_inventory_to_text (const TlInventory *self, const char *gateway_id, gint64 now, gsize *length)
{
  tl_json_auto root = json_pack ("{s:s, s:s, s:I}", "schema", TL_INVENTORY_SCHEMA, "gateway_id", gateway_id,
                                 "generated_at_unix_ms", (json_int_t)now);
  g_autofree char *body = NULL;
  char *out;

  json_object_set_new (root, "active_pairing_codes",
                       map_to_json (self->codes, G_STRUCT_OFFSET (TlCodeRecord, code_id), (ToJson)code_to_json));
  json_object_set_new (root, "pairing_requests",
                       map_to_json (self->pairings, G_STRUCT_OFFSET (TlPairingRecord, request_id),
                                    (ToJson)pairing_to_json));
  json_object_set_new (root, "nodes",
                       map_to_json (self->nodes, G_STRUCT_OFFSET (TlInventoryNode, device_id), (ToJson)node_to_json));
  json_object_set_new (root, "capability_requests",
                       map_to_json (self->requests, G_STRUCT_OFFSET (TlCapabilityRecord, request_id),
                                    (ToJson)request_to_json));
  body = tl_json_to_pretty_string (root);
  out = g_strconcat (body, g_str_has_suffix (body, "\n") ? "" : "\n", NULL);
  *length = strlen (out);
  return out;
}
