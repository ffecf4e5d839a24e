/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-wire.h"

#include "base/tl-error.h"
#include "crypto/tl-hash.h"

char *
tl_wire_string (const char *text)
{
  return text != NULL ? (char *)text : (char *)protobuf_c_empty_string;
}

ProtobufCBinaryData
tl_wire_bytes (const void *data, gsize length)
{
  return (ProtobufCBinaryData){ .len = length, .data = (uint8_t *)data };
}

ProtobufCBinaryData
tl_wire_gbytes (GBytes *bytes)
{
  gsize length = 0;
  const void *data = bytes != NULL ? g_bytes_get_data (bytes, &length) : NULL;
  return tl_wire_bytes (data, length);
}

gpointer
tl_wire_copy (const ProtobufCMessage *message, GBytes **packed)
{
  gsize length = protobuf_c_message_get_packed_size (message);
  guint8 *data = g_malloc (length + 1);
  g_autoptr (GBytes) bytes = NULL;
  ProtobufCMessage *copy;

  protobuf_c_message_pack (message, data);
  bytes = g_bytes_new_take (data, length);
  copy = protobuf_c_message_unpack (message->descriptor, NULL, length, data);
  if (copy != NULL && packed != NULL)
    *packed = g_steal_pointer (&bytes);
  return copy;
}

void
tl_wire_finish_malformed (TlRpcCall *call)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the message is malformed");
  tl_rpc_call_finish (call, error);
}

Twinlatch__V1__Role
tl_wire_role (TlRole role)
{
  return role == TL_ROLE_OPERATOR ? TWINLATCH__V1__ROLE__ROLE_OPERATOR : TWINLATCH__V1__ROLE__ROLE_NODE;
}

gboolean
tl_wire_role_from (Twinlatch__V1__Role wire, TlRole *role)
{
  switch ((int)wire)
    {
    case TWINLATCH__V1__ROLE__ROLE_UNSPECIFIED:
    case TWINLATCH__V1__ROLE__ROLE_NODE:
      *role = TL_ROLE_NODE;
      return TRUE;
    case TWINLATCH__V1__ROLE__ROLE_OPERATOR:
      *role = TL_ROLE_OPERATOR;
      return TRUE;
    default:
      return FALSE;
    }
}

Twinlatch__V1__ClientKind
tl_wire_client_kind (TlClientKind kind)
{
  return (Twinlatch__V1__ClientKind)(kind + 1);
}

gboolean
tl_wire_client_kind_from (Twinlatch__V1__ClientKind wire, TlClientKind *kind)
{
  if ((int)wire < TWINLATCH__V1__CLIENT_KIND__CLIENT_KIND_NODE
      || (int)wire > TWINLATCH__V1__CLIENT_KIND__CLIENT_KIND_CLI)
    return FALSE;
  *kind = (TlClientKind)(wire - 1);
  return TRUE;
}

Twinlatch__V1__PairingState
tl_wire_pairing_state (TlPairingState state)
{
  return (Twinlatch__V1__PairingState)(state + 1);
}

G_STATIC_ASSERT (TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_COMPLETED == TL_PAIRING_STATE_COMPLETED + 1);
G_STATIC_ASSERT (TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_EXPIRED == TL_PAIRING_STATE_EXPIRED + 1);
G_STATIC_ASSERT (TWINLATCH__V1__CODE_STATE__CODE_STATE_CANCELLED == TL_CODE_CANCELLED + 1);
G_STATIC_ASSERT (TWINLATCH__V1__DEVICE_STATE__DEVICE_STATE_REMOVED == TL_DEVICE_REMOVED + 1);
G_STATIC_ASSERT (TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_EXPIRED == TL_REQUEST_EXPIRED + 1);
G_STATIC_ASSERT (TWINLATCH__V1__CLIENT_KIND__CLIENT_KIND_CLI == TL_CLIENT_CLI + 1);

static Twinlatch__V1__CodeMethod
wire_method (TlPairingMethod method)
{
  return method == TL_PAIRING_PIN ? TWINLATCH__V1__CODE_METHOD__CODE_METHOD_PIN
                                  : TWINLATCH__V1__CODE_METHOD__CODE_METHOD_LINK;
}

void
tl_wire_code (Twinlatch__V1__PairingCode *message, const TlCodeRecord *record)
{
  twinlatch__v1__pairing_code__init (message);
  message->code_id = tl_wire_string (record->code_id);
  message->method = wire_method (record->method);
  message->slot = record->slot;
  message->state = (Twinlatch__V1__CodeState)(record->state + 1);
  message->role = tl_wire_role (record->role);
  message->label = tl_wire_string (record->label);
  message->auto_approve = record->auto_approve;
  message->attempts_left = record->attempts_left;
  message->attempts = record->attempts;
  message->minted_by = tl_wire_string (record->minted_by);
  message->created_at_unix_ms = record->created_at;
  message->expires_at_unix_ms = record->expires_at;
}

void
tl_wire_pairing (Twinlatch__V1__PairingRequest *message, const TlPairingRecord *record, char **fingerprint)
{
  *fingerprint = tl_fingerprint (record->identity_public, sizeof record->identity_public);
  twinlatch__v1__pairing_request__init (message);
  message->request_id = tl_wire_string (record->request_id);
  message->state = tl_wire_pairing_state (record->state);
  message->device_id = tl_wire_string (record->device_id);
  message->device_name = tl_wire_string (record->device_name);
  message->platform = tl_wire_string (record->platform);
  message->client_kind = tl_wire_client_kind (record->client_kind);
  message->role = tl_wire_role (record->role);
  message->method = wire_method (record->method);
  message->identity_fingerprint = *fingerprint;
  message->source = tl_wire_string (record->source);
  message->code_id = tl_wire_string (record->code_id);
  message->code_minted_by = tl_wire_string (record->code_minted_by);
  message->label = tl_wire_string (record->label);
  message->auto_approve = record->auto_approve;
  message->wrong_codes = record->wrong_codes;
  message->requested_at_unix_ms = record->requested_at;
  message->expires_at_unix_ms = record->expires_at;
  message->decided_at_unix_ms = record->decided_at;
  message->decided_by = tl_wire_string (record->decided_by);
  message->reason = tl_wire_string (record->reason);
  message->replaces_device_id = tl_wire_string (record->replaces_device_id);
}

static Twinlatch__V1__Certificate *
wire_certificate (const TlCertificateRecord *record)
{
  Twinlatch__V1__Certificate *message = g_new (Twinlatch__V1__Certificate, 1);

  twinlatch__v1__certificate__init (message);
  message->fingerprint = tl_wire_string (record->fingerprint);
  message->serial = tl_wire_string (record->serial);
  message->not_before_unix_ms = record->not_before;
  message->not_after_unix_ms = record->not_after;
  message->ca_generation = record->ca_generation;
  message->used = record->used;
  message->revoked = record->revoked;
  return message;
}

void
tl_wire_device (Twinlatch__V1__Device *message, const TlDeviceRecord *record)
{
  twinlatch__v1__device__init (message);
  message->device_id = tl_wire_string (record->device_id);
  message->name = tl_wire_string (record->name);
  message->state = (Twinlatch__V1__DeviceState)(record->state + 1);
  message->role = tl_wire_role (record->role);
  message->client_kind = tl_wire_client_kind (record->client_kind);
  message->platform = tl_wire_string (record->platform);
  message->identity_fingerprint = tl_fingerprint (record->identity_public, sizeof record->identity_public);
  message->paired_at_unix_ms = record->paired_at;
  message->approved_by = tl_wire_string (record->approved_by);
  message->replaced_device_id = tl_wire_string (record->replaced_device_id);
  message->revoked_at_unix_ms = record->revoked_at;
  message->revoked_by = tl_wire_string (record->revoked_by);
  message->revoked_reason = tl_wire_string (record->revoked_reason);
  message->last_seen_unix_ms = record->last_seen_at;
  message->changed_at_unix_ms = record->changed_at;
  message->changed_by = tl_wire_string (record->changed_by);
  message->changed_reason = tl_wire_string (record->changed_reason);
  message->n_certificates = record->certificates->len;
  message->certificates = g_new0 (Twinlatch__V1__Certificate *, record->certificates->len);
  for (guint i = 0; i < record->certificates->len; i++)
    message->certificates[i] = wire_certificate (g_ptr_array_index (record->certificates, i));
}

void
tl_wire_device_clear (Twinlatch__V1__Device *message)
{
  for (gsize i = 0; i < message->n_certificates; i++)
    g_free (message->certificates[i]);
  g_clear_pointer (&message->certificates, g_free);
  message->n_certificates = 0;
  g_clear_pointer (&message->identity_fingerprint, g_free);
}

void
tl_wire_event (Twinlatch__V1__Event *message, const TlEventRecord *record)
{
  twinlatch__v1__event__init (message);
  message->seq = record->seq;
  message->id = tl_wire_string (record->id);
  message->time_unix_ms = record->time;
  message->type = tl_wire_string (record->type);
  message->data = tl_wire_string (record->data);
}

void
tl_wire_request (Twinlatch__V1__CapabilityRequest *message, const TlCapabilityRecord *record)
{
  twinlatch__v1__capability_request__init (message);
  message->request_id = record->request_id;
  message->device_id = record->device_id;
  message->capability = record->capability;
  message->state = (Twinlatch__V1__RequestState)(record->state + 1);
  message->requested_by = tl_wire_string (record->requested_by);
  message->created_at_unix_ms = record->created_at;
  message->updated_at_unix_ms = record->updated_at;
  message->dispatched_at_unix_ms = record->dispatched_at;
  message->completed_at_unix_ms = record->completed_at;
  message->expires_at_unix_ms = record->expires_at;
  message->timeout_ms = record->timeout_ms;
  message->max_payload_bytes = record->max_payload_bytes;
  message->input_summary = tl_wire_string (record->input_summary);
  message->output_summary = tl_wire_string (record->output_summary);
  message->input_sha256 = tl_wire_gbytes (record->input_sha256);
  message->output_sha256 = tl_wire_gbytes (record->output_sha256);
  message->error = tl_wire_string (record->error);
  message->error_reason = tl_wire_string (record->error_reason);
  message->cancel_requested_at_unix_ms = record->cancel_at;
  message->cancelled_by = tl_wire_string (record->cancelled_by);
}

Twinlatch__V1__Receipt *
tl_wire_receipt (GBytes *packed)
{
  gsize length = 0;
  const guint8 *data = packed != NULL ? g_bytes_get_data (packed, &length) : NULL;

  return packed != NULL ? twinlatch__v1__receipt__unpack (NULL, length, data) : NULL;
}
