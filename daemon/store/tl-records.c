/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-records.h"

#include "crypto/tl-hash.h"

void
tl_code_record_free (TlCodeRecord *record)
{
  if (record == NULL)
    return;

  g_free (record->code_id);
  g_free (record->label);
  g_free (record->minted_by);
  tl_pairing_verifier_free (record->verifier);
  g_free (record);
}

void
tl_pairing_record_free (TlPairingRecord *record)
{
  if (record == NULL)
    return;

  g_free (record->request_id);
  g_free (record->session_id);
  g_free (record->code_id);
  g_free (record->code_minted_by);
  g_free (record->device_id);
  g_free (record->device_name);
  g_free (record->platform);
  g_free (record->label);
  g_free (record->replaces_device_id);
  g_clear_pointer (&record->tls_public_der, g_bytes_unref);
  g_free (record->tls_key_fingerprint);
  g_clear_pointer (&record->sealed_keys, g_bytes_unref);
  g_free (record->source);
  g_free (record->decided_by);
  g_free (record->reason);
  g_clear_pointer (&record->certificate_der, g_bytes_unref);
  g_clear_pointer (&record->ended, g_ptr_array_unref);
  g_free (record);
}

void
tl_certificate_record_free (TlCertificateRecord *record)
{
  if (record == NULL)
    return;

  g_free (record->fingerprint);
  g_free (record->device_id);
  g_free (record->serial);
  g_free (record->tls_key_fingerprint);
  g_free (record);
}

void
tl_device_record_free (TlDeviceRecord *record)
{
  if (record == NULL)
    return;

  g_free (record->device_id);
  g_free (record->name);
  g_free (record->platform);
  g_free (record->approved_by);
  g_free (record->replaced_device_id);
  g_free (record->revoked_by);
  g_free (record->revoked_reason);
  g_free (record->changed_by);
  g_free (record->changed_reason);
  g_clear_pointer (&record->certificates, g_ptr_array_unref);
  g_free (record);
}

void
tl_node_record_free (TlNodeRecord *record)
{
  if (record == NULL)
    return;

  g_free (record->device_id);
  g_free (record->platform);
  g_free (record->node_version);
  g_clear_pointer (&record->registration, g_bytes_unref);
  g_free (record);
}

void
tl_event_record_free (TlEventRecord *record)
{
  if (record == NULL)
    return;

  g_free (record->id);
  g_free (record->type);
  g_free (record->data);
  g_free (record);
}

void
tl_capability_record_free (TlCapabilityRecord *record)
{
  if (record == NULL)
    return;

  g_free (record->request_id);
  g_free (record->device_id);
  g_free (record->capability);
  g_free (record->input);
  g_free (record->requested_by);
  g_free (record->output);
  g_free (record->error);
  g_free (record->error_reason);
  g_clear_pointer (&record->receipt, g_bytes_unref);
  g_free (record->input_summary);
  g_free (record->output_summary);
  g_clear_pointer (&record->input_sha256, g_bytes_unref);
  g_clear_pointer (&record->output_sha256, g_bytes_unref);
  g_free (record->cancelled_by);
  g_free (record);
}

static GBytes *
copy_bytes (GBytes *bytes)
{
  return bytes != NULL ? g_bytes_ref (bytes) : NULL;
}

TlCodeRecord *
tl_code_record_copy (const TlCodeRecord *record)
{
  TlCodeRecord *copy = g_new (TlCodeRecord, 1);

  *copy = *record;
  copy->code_id = g_strdup (record->code_id);
  copy->label = g_strdup (record->label);
  copy->minted_by = g_strdup (record->minted_by);
  if (record->verifier != NULL)
    {
      copy->verifier = g_new (TlPairingVerifier, 1);
      *copy->verifier = *record->verifier;
      copy->verifier->w0 = tl_secret_ref (record->verifier->w0);
    }
  return copy;
}

TlPairingRecord *
tl_pairing_record_copy (const TlPairingRecord *record)
{
  TlPairingRecord *copy = g_new (TlPairingRecord, 1);

  *copy = *record;
  copy->request_id = g_strdup (record->request_id);
  copy->session_id = g_strdup (record->session_id);
  copy->code_id = g_strdup (record->code_id);
  copy->code_minted_by = g_strdup (record->code_minted_by);
  copy->device_id = g_strdup (record->device_id);
  copy->device_name = g_strdup (record->device_name);
  copy->platform = g_strdup (record->platform);
  copy->label = g_strdup (record->label);
  copy->replaces_device_id = g_strdup (record->replaces_device_id);
  copy->tls_public_der = copy_bytes (record->tls_public_der);
  copy->tls_key_fingerprint = g_strdup (record->tls_key_fingerprint);
  copy->sealed_keys = copy_bytes (record->sealed_keys);
  copy->source = g_strdup (record->source);
  copy->decided_by = g_strdup (record->decided_by);
  copy->reason = g_strdup (record->reason);
  copy->certificate_der = copy_bytes (record->certificate_der);
  if (copy->ended != NULL)
    g_ptr_array_ref (copy->ended);
  return copy;
}

TlCertificateRecord *
tl_certificate_record_copy (const TlCertificateRecord *record)
{
  TlCertificateRecord *copy = g_new (TlCertificateRecord, 1);

  *copy = *record;
  copy->fingerprint = g_strdup (record->fingerprint);
  copy->device_id = g_strdup (record->device_id);
  copy->serial = g_strdup (record->serial);
  copy->tls_key_fingerprint = g_strdup (record->tls_key_fingerprint);
  return copy;
}

TlCertificateRecord *
tl_certificate_record_new (X509 *leaf, const char *device_id, const char *tls_key_fingerprint, guint ca_generation)
{
  TlCertificateRecord *record = g_new0 (TlCertificateRecord, 1);
  const ASN1_INTEGER *serial = X509_get0_serialNumber (leaf);

  record->fingerprint = tl_certificate_fingerprint (leaf);
  record->device_id = g_strdup (device_id);
  record->serial = tl_hex_encode (ASN1_STRING_get0_data (serial), ASN1_STRING_length (serial));
  record->tls_key_fingerprint = g_strdup (tls_key_fingerprint);
  record->not_before = tl_certificate_not_before_ms (leaf);
  record->not_after = tl_certificate_not_after_ms (leaf);
  record->ca_generation = ca_generation;
  return record;
}

TlDeviceRecord *
tl_device_record_copy (const TlDeviceRecord *record)
{
  TlDeviceRecord *copy = g_new (TlDeviceRecord, 1);

  *copy = *record;
  copy->device_id = g_strdup (record->device_id);
  copy->name = g_strdup (record->name);
  copy->platform = g_strdup (record->platform);
  copy->approved_by = g_strdup (record->approved_by);
  copy->replaced_device_id = g_strdup (record->replaced_device_id);
  copy->revoked_by = g_strdup (record->revoked_by);
  copy->revoked_reason = g_strdup (record->revoked_reason);
  copy->changed_by = g_strdup (record->changed_by);
  copy->changed_reason = g_strdup (record->changed_reason);
  copy->certificates = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_certificate_record_free);
  for (guint i = 0; i < record->certificates->len; i++)
    g_ptr_array_add (copy->certificates, tl_certificate_record_copy (record->certificates->pdata[i]));
  return copy;
}

TlEventRecord *
tl_event_record_copy (const TlEventRecord *record)
{
  TlEventRecord *copy = g_memdup2 (record, sizeof *record);

  copy->id = g_strdup (record->id);
  copy->type = g_strdup (record->type);
  copy->data = g_strdup (record->data);
  return copy;
}

TlCapabilityRecord *
tl_capability_record_copy (const TlCapabilityRecord *record)
{
  TlCapabilityRecord *copy = g_new (TlCapabilityRecord, 1);

  *copy = *record;
  copy->request_id = g_strdup (record->request_id);
  copy->device_id = g_strdup (record->device_id);
  copy->capability = g_strdup (record->capability);
  copy->input = g_strdup (record->input);
  copy->requested_by = g_strdup (record->requested_by);
  copy->output = g_strdup (record->output);
  copy->error = g_strdup (record->error);
  copy->error_reason = g_strdup (record->error_reason);
  copy->receipt = copy_bytes (record->receipt);
  copy->input_summary = g_strdup (record->input_summary);
  copy->output_summary = g_strdup (record->output_summary);
  copy->input_sha256 = copy_bytes (record->input_sha256);
  copy->output_sha256 = copy_bytes (record->output_sha256);
  copy->cancelled_by = g_strdup (record->cancelled_by);
  return copy;
}

const char *
tl_code_state_to_string (TlCodeState state)
{
  switch (state)
    {
    case TL_CODE_LIVE:
      return "live";
    case TL_CODE_USED:
      return "used";
    case TL_CODE_EXHAUSTED:
      return "exhausted";
    case TL_CODE_EXPIRED:
      return "expired";
    case TL_CODE_CANCELLED:
      return "cancelled";
    }
  return "unknown";
}

const char *
tl_device_state_to_string (TlDeviceState state)
{
  switch (state)
    {
    case TL_DEVICE_ACTIVE:
      return "active";
    case TL_DEVICE_SUSPENDED:
      return "suspended";
    case TL_DEVICE_REVOKED:
      return "revoked";
    case TL_DEVICE_REMOVED:
      return "removed";
    }
  return "unknown";
}

const char *
tl_request_state_to_string (TlRequestState state)
{
  switch (state)
    {
    case TL_REQUEST_QUEUED:
      return "queued";
    case TL_REQUEST_DISPATCHED:
      return "dispatched";
    case TL_REQUEST_AWAITING_CONSENT:
      return "awaiting_consent";
    case TL_REQUEST_RUNNING:
      return "running";
    case TL_REQUEST_SUCCEEDED:
      return "succeeded";
    case TL_REQUEST_FAILED:
      return "failed";
    case TL_REQUEST_DENIED:
      return "denied";
    case TL_REQUEST_TIMED_OUT:
      return "timed_out";
    case TL_REQUEST_CANCELLED:
      return "cancelled";
    case TL_REQUEST_EXPIRED:
      return "expired";
    }
  return "unknown";
}

gboolean
tl_request_state_is_final (TlRequestState state)
{
  return state >= TL_REQUEST_SUCCEEDED;
}
