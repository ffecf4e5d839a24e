/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-inventory.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "daemon/tl-capability-name.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-wire.h"

#define MAX_TIME ((gint64)1 << 48)

/* Reading: an inventory that an earlier gateway, or this one in another life, left behind. */

typedef struct
{
  TlInventory *inventory;
  gint64 now;
  TlRandom *random;
} Parse;

/* One member of one of the maps; key is the id. */
typedef gboolean (*ParseEntry) (Parse *parse, const char *key, const json_t *entry, GError **error);

static gboolean
check_id (const char *what, const char *id, GError **error)
{
  if (id != NULL && tl_ulid_is_valid (id))
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s is not a ULID (26 characters, upper case)", what);
  return FALSE;
}

/* A member that may be absent, null or empty: *copy NULL. */
static gboolean
take_text (const json_t *entry, const char *member, gsize max, char **copy, GError **error)
{
  const char *value = NULL;

  if (json_is_null (json_object_get (entry, member)))
    return TRUE;
  if (!tl_json_get_string (entry, member, FALSE, &value, error))
    return FALSE;
  if (value != NULL && strlen (value) > max)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s is longer than %zu bytes", member, max);
      return FALSE;
    }
  if (value != NULL && *value != '\0')
    *copy = g_strdup (value);
  return TRUE;
}

static gboolean
take_time (const json_t *entry, const char *member, gint64 *ms, GError **error)
{
  return tl_json_get_int (entry, member, FALSE, 0, MAX_TIME, 0, ms, error);
}

static gboolean
take_device_id (const json_t *entry, char **device_id, GError **error)
{
  const char *value = NULL;

  if (!tl_json_get_string (entry, "device_id", TRUE, &value, error) || !check_id ("device_id", value, error))
    return FALSE;
  *device_id = g_strdup (value);
  return TRUE;
}

/* The index of a word in a list that ends with NULL; case does not count, an earlier gateway wrote "Node". */
static gboolean
take_word (const json_t *entry, const char *member, const char *const *words, guint *index, GError **error)
{
  const char *value = NULL;

  if (!tl_json_get_string (entry, member, TRUE, &value, error))
    return FALSE;
  for (guint i = 0; words[i] != NULL; i++)
    if (g_ascii_strcasecmp (value, words[i]) == 0)
      {
        *index = i;
        return TRUE;
      }
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s is '%.40s', which means nothing here", member, value);
  return FALSE;
}

/* ---- pairing requests */

static gboolean
take_identity (const json_t *entry, TlPairingRecord *request, GError **error)
{
  const json_t *verified = json_object_get (entry, "verified_pairing");
  const char *hex = NULL;

  if (verified == NULL || json_is_null (verified))
    return TRUE;
  if (!json_is_object (verified))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "verified_pairing is not an object");
      return FALSE;
    }
  if (!tl_json_get_string (verified, "signing_public_key_hex", FALSE, &hex, error))
    return FALSE;
  if (hex == NULL || tl_hex_decode (hex, request->identity_public, sizeof request->identity_public))
    return TRUE;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                       "verified_pairing.signing_public_key_hex is not 64 hex digits");
  return FALSE;
}

static gboolean
take_session (Parse *parse, const json_t *entry, TlPairingRecord *request, GError **error)
{
  if (!take_text (entry, "session_id", TL_INVENTORY_MAX_TEXT, &request->session_id, error))
    return FALSE;
  if (request->session_id == NULL || !tl_ulid_is_valid (request->session_id))
    {
      g_free (request->session_id);
      request->session_id = tl_ulid_new (parse->now, parse->random);
    }
  return TRUE;
}

/* Nothing of it can go on: keys and session are gone. */
static void
end_pairing (TlPairingRecord *request, guint state, gint64 now)
{
  static const char *const was[] = { "waiting for approval", "approved", NULL, "expired", "completed" };
  g_autofree char *reason = g_steal_pointer (&request->reason);

  request->state = state == TL_PAIRING_STATE_REJECTED ? TL_PAIRING_STATE_REJECTED : TL_PAIRING_STATE_EXPIRED;
  request->decided_at = MAX (request->decided_at, 0);
  if (state == TL_PAIRING_STATE_REJECTED)
    request->reason = g_strdup (reason != NULL ? reason : "imported");
  else
    request->reason = g_strdup_printf ("imported (it was %s); pair again", was[state]);
  if (request->expires_at == 0)
    request->expires_at = now;
}

static gboolean
parse_pairing (Parse *parse, const char *key, const json_t *entry, GError **error)
{
  static const char *const states[] = { "pending_approval", "approved", "rejected", "expired", "completed", NULL };
  static const char *const kinds[] = { "node", "desktop", "cli", NULL };
  static const char *const methods[] = { "pin", "qr", NULL };
  g_autoptr (TlPairingRecord) request = g_new0 (TlPairingRecord, 1);
  guint state, kind, method;

  request->request_id = g_strdup (key);
  if (!take_device_id (entry, &request->device_id, error) || !take_session (parse, entry, request, error)
      || !take_word (entry, "state", states, &state, error) || !take_word (entry, "client_kind", kinds, &kind, error)
      || !take_word (entry, "method", methods, &method, error)
      || !take_text (entry, "code_issued_by", 128, &request->code_minted_by, error)
      || !take_text (entry, "decision_reason", TL_INVENTORY_MAX_TEXT, &request->reason, error)
      || !take_time (entry, "requested_at_unix_ms", &request->requested_at, error)
      || !take_time (entry, "expires_at_unix_ms", &request->expires_at, error)
      || !take_identity (entry, request, error))
    return FALSE;
  request->client_kind = (TlClientKind)kind;
  request->method = method == 0 ? TL_PAIRING_PIN : TL_PAIRING_LINK;
  request->role = TL_ROLE_NODE;
  end_pairing (request, state, parse->now);
  g_ptr_array_add (parse->inventory->pairings, g_steal_pointer (&request));
  return TRUE;
}

/* ---- nodes */

static gboolean
check_capabilities (const json_t *list, GError **error)
{
  size_t i;
  json_t *entry;

  if (!json_is_array (list) || json_array_size (list) > TL_NODE_MAX_CAPABILITIES)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "capabilities is not a list of at most %d",
                   TL_NODE_MAX_CAPABILITIES);
      return FALSE;
    }
  json_array_foreach (list, i, entry)
  {
    const char *name = NULL;
    gboolean available;

    if (!json_is_object (entry) || !tl_json_get_string (entry, "name", TRUE, &name, NULL)
        || !tl_capability_name_is_valid (name) || !tl_json_get_bool (entry, "available", TRUE, &available, NULL))
      {
        g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "capabilities[%zu] is not {name, available}", i);
        return FALSE;
      }
  }
  return TRUE;
}

static gboolean
parse_node (Parse *parse, const char *key, const json_t *entry, GError **error)
{
  g_autoptr (TlInventoryNode) node = g_new0 (TlInventoryNode, 1);
  tl_json_auto none = json_array ();
  const json_t *capabilities = json_object_get (entry, "capabilities");

  if (!take_device_id (entry, &node->device_id, error))
    return FALSE;
  if (!g_str_equal (node->device_id, key))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "device_id is not the member's name");
      return FALSE;
    }
  if (capabilities == NULL || json_is_null (capabilities))
    capabilities = none;
  if (!check_capabilities (capabilities, error)
      || !take_text (entry, "platform", TL_NODE_MAX_TEXT, &node->platform, error)
      || !take_text (entry, "last_event_name", TL_NODE_MAX_TEXT, &node->last_event_name, error)
      || !take_time (entry, "registered_at_unix_ms", &node->registered_at, error)
      || !take_time (entry, "last_seen_at_unix_ms", &node->last_seen_at, error)
      || !take_time (entry, "last_event_at_unix_ms", &node->last_event_at, error))
    return FALSE;
  node->capabilities = tl_json_to_string (capabilities);
  g_ptr_array_add (parse->inventory->nodes, g_steal_pointer (&node));
  return TRUE;
}

Twinlatch__V1__RegisterNodeRequest *
tl_inventory_node_registration (const TlInventoryNode *node)
{
  Twinlatch__V1__RegisterNodeRequest message = TWINLATCH__V1__REGISTER_NODE_REQUEST__INIT;
  tl_json_auto list = node->capabilities != NULL ? tl_json_parse (node->capabilities, -1, 0, NULL) : NULL;
  gsize n = json_is_array (list) ? MIN (json_array_size (list), TL_NODE_MAX_CAPABILITIES) : 0;
  g_autofree Twinlatch__V1__CapabilityDescriptor *descriptors = g_new0 (Twinlatch__V1__CapabilityDescriptor, n);
  g_autofree Twinlatch__V1__CapabilityDescriptor **pointers = g_new0 (Twinlatch__V1__CapabilityDescriptor *, n);

  for (gsize i = 0; i < n; i++)
    {
      const json_t *entry = json_array_get (list, i);

      twinlatch__v1__capability_descriptor__init (&descriptors[i]);
      descriptors[i].name = tl_wire_string (json_string_value (json_object_get (entry, "name")));
      descriptors[i].available = json_is_true (json_object_get (entry, "available"));
      pointers[i] = &descriptors[i];
    }
  message.device_id = node->device_id;
  message.platform = tl_wire_string (node->platform);
  message.n_capabilities = n;
  message.capabilities = pointers;
  return tl_wire_copy (&message.base, NULL);
}

/* ---- capability requests */

/* Words of an earlier gateway first, then those that only we have. */
static const struct
{
  const char *word;
  TlRequestState state;
} request_states[] = {
  { "queued", TL_REQUEST_QUEUED },
  { "dispatched", TL_REQUEST_DISPATCHED },
  { "awaiting_local_mediation", TL_REQUEST_AWAITING_CONSENT },
  { "succeeded", TL_REQUEST_SUCCEEDED },
  { "failed", TL_REQUEST_FAILED },
  { "timed_out", TL_REQUEST_TIMED_OUT },
  { "rejected", TL_REQUEST_DENIED },
  { "awaiting_consent", TL_REQUEST_AWAITING_CONSENT },
  { "running", TL_REQUEST_RUNNING },
  { "denied", TL_REQUEST_DENIED },
  { "cancelled", TL_REQUEST_CANCELLED },
  { "expired", TL_REQUEST_EXPIRED },
};

static gboolean
take_request_state (const json_t *entry, TlRequestState *state, GError **error)
{
  const char *words[G_N_ELEMENTS (request_states) + 1] = { NULL };
  guint index;

  for (gsize i = 0; i < G_N_ELEMENTS (request_states); i++)
    words[i] = request_states[i].word;
  if (!take_word (entry, "state", words, &index, error))
    return FALSE;
  *state = request_states[index].state;
  return TRUE;
}

static gboolean
take_request_times (const json_t *entry, TlCapabilityRecord *request, GError **error)
{
  return take_time (entry, "created_at_unix_ms", &request->created_at, error)
         && take_time (entry, "updated_at_unix_ms", &request->updated_at, error)
         && take_time (entry, "dispatched_at_unix_ms", &request->dispatched_at, error)
         && take_time (entry, "completed_at_unix_ms", &request->completed_at, error)
         && take_time (entry, "expires_at_unix_ms", &request->expires_at, error);
}

static gboolean
parse_request (Parse *parse, const char *key, const json_t *entry, GError **error)
{
  g_autoptr (TlCapabilityRecord) request = g_new0 (TlCapabilityRecord, 1);
  gint64 max_payload = 0;

  request->request_id = g_strdup (key);
  if (!take_device_id (entry, &request->device_id, error)
      || !take_text (entry, "capability", TL_CAPABILITY_NAME_MAX, &request->capability, error)
      || !take_request_state (entry, &request->state, error) || !take_request_times (entry, request, error)
      || !tl_json_get_int (entry, "max_payload_bytes", FALSE, 0, G_MAXUINT32, 0, &max_payload, error)
      || !take_text (entry, "requested_by", 128, &request->requested_by, error)
      || !take_text (entry, "input_summary", TL_INVENTORY_MAX_TEXT, &request->input_summary, error)
      || !take_text (entry, "output_summary", TL_INVENTORY_MAX_TEXT, &request->output_summary, error)
      || !take_text (entry, "error", TL_INVENTORY_MAX_TEXT, &request->error, error)
      || !take_text (entry, "error_reason", TL_NODE_MAX_TEXT, &request->error_reason, error))
    return FALSE;
  if (request->capability == NULL || !tl_capability_name_is_valid (request->capability))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "capability is not a capability's name");
      return FALSE;
    }
  request->max_payload_bytes = (guint32)max_payload;
  if (!tl_request_state_is_final (request->state))
    {
      request->state = TL_REQUEST_FAILED;
      g_free (request->error);
      g_free (request->error_reason);
      request->error = g_strdup ("it was open when the inventory was imported");
      request->error_reason = g_strdup ("interrupted");
    }
  if (request->completed_at == 0)
    request->completed_at = request->updated_at != 0 ? request->updated_at : parse->now;
  g_ptr_array_add (parse->inventory->requests, g_steal_pointer (&request));
  return TRUE;
}

/* ---- the maps */

static gboolean
drop_code (Parse *parse, const char *key, const json_t *entry, GError **error)
{
  (void)key, (void)entry, (void)error;
  parse->inventory->dropped_codes++;
  return TRUE;
}

static const struct
{
  const char *member;
  gboolean ids; /* its keys are ULIDs */
  ParseEntry parse;
} maps[] = {
  { "active_pairing_codes", FALSE, drop_code },
  { "pairing_requests", TRUE, parse_pairing },
  { "nodes", TRUE, parse_node },
  { "capability_requests", TRUE, parse_request },
};

static gboolean
parse_map (Parse *parse, guint index, const json_t *map, GError **error)
{
  const char *member = maps[index].member;
  const char *key;
  json_t *entry;

  if (map == NULL || json_is_null (map))
    return TRUE;
  if (!json_is_object (map) || json_object_size (map) > TL_INVENTORY_MAX_NODES)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s is not an object of at most %u members", member,
                   TL_INVENTORY_MAX_NODES);
      return FALSE;
    }
  json_object_foreach ((json_t *)map, key, entry)
  {
    if (!json_is_object (entry))
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "it is not an object");
    else if ((!maps[index].ids || check_id ("its name", key, error)) && maps[index].parse (parse, key, entry, error))
      continue;
    g_prefix_error (error, "%s.%.40s: ", member, key);
    return FALSE;
  }
  return TRUE;
}

TlInventory *
tl_inventory_parse (const char *text, gsize length, gint64 now, TlRandom *random, GError **error)
{
  g_autoptr (TlInventory) inventory = tl_inventory_new ();
  Parse parse = { inventory, now, random };
  tl_json_auto root = tl_json_parse (text, (gssize)length, TL_INVENTORY_MAX_BYTES, error);

  if (root == NULL)
    return NULL;
  if (!json_is_object (root))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "it is not a JSON object");
      return NULL;
    }
  for (guint i = 0; i < G_N_ELEMENTS (maps); i++)
    if (!parse_map (&parse, i, json_object_get (root, maps[i].member), error))
      return NULL;
  return g_steal_pointer (&inventory);
}
