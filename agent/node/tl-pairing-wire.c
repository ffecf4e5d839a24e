/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-pairing-wire.h"

#include <string.h>

#include "base/tl-error.h"
#include "identity/tl-certificate.h"
#include "identity/tl-trust-bundle.h"
#include "pairing/tl-pairing-link.h"

#define MAX_ADDRESSES  16
#define MAX_TEXT_BYTES (16u * 1024u) /* policy, names */

Twinlatch__V1__ClientKind
tl_pairing_wire_client_kind (TlClientKind kind)
{
  switch (kind)
    {
    case TL_CLIENT_NODE:
      return TWINLATCH__V1__CLIENT_KIND__CLIENT_KIND_NODE;
    case TL_CLIENT_DESKTOP:
      return TWINLATCH__V1__CLIENT_KIND__CLIENT_KIND_DESKTOP;
    case TL_CLIENT_CLI:
      return TWINLATCH__V1__CLIENT_KIND__CLIENT_KIND_CLI;
    }
  g_assert_not_reached ();
}

static ProtobufCBinaryData
borrow (const guint8 *data, gsize length)
{
  return (ProtobufCBinaryData){ .len = length, .data = (guint8 *)data };
}

static ProtobufCBinaryData
borrow_bytes (GBytes *bytes)
{
  gsize length;
  const guint8 *data = g_bytes_get_data (bytes, &length);

  return borrow (data, length);
}

static gboolean
copy_exact (const ProtobufCBinaryData *field, guint8 *target, gsize length, const char *name, GError **error)
{
  if (field->len != length)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL, "the gateway's %s has %zu bytes instead of %zu", name,
                   field->len, length);
      return FALSE;
    }
  memcpy (target, field->data, length);
  return TRUE;
}

static gboolean
check_der (const ProtobufCBinaryData *field, const char *name, GError **error)
{
  if (field->len > 0 && field->len <= TL_CERTIFICATE_MAX_DER)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL, "the gateway's %s has %zu bytes; 1 to %d are possible", name,
               field->len, TL_CERTIFICATE_MAX_DER);
  return FALSE;
}

static gboolean
state_from_wire (Twinlatch__V1__PairingState wire, TlPairingState *state, GError **error)
{
  switch (wire)
    {
    case TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_PENDING_APPROVAL:
      *state = TL_PAIRING_STATE_PENDING_APPROVAL;
      return TRUE;
    case TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_APPROVED:
      *state = TL_PAIRING_STATE_APPROVED;
      return TRUE;
    case TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_REJECTED:
      *state = TL_PAIRING_STATE_REJECTED;
      return TRUE;
    case TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_EXPIRED:
      *state = TL_PAIRING_STATE_EXPIRED;
      return TRUE;
    case TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_COMPLETED:
      *state = TL_PAIRING_STATE_COMPLETED;
      return TRUE;
    case TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_UNSPECIFIED:
    default:
      g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL, "the gateway named pairing state %d, which does not exist",
                   (int)wire);
      return FALSE;
    }
}

void
tl_pairing_wire_start (const TlPairingStart *start, Twinlatch__V1__StartPairingRequest *message)
{
  message->n_versions = start->n_versions;
  message->versions = (guint32 *)start->versions;
  if (start->code_id != NULL)
    {
      message->selector_case = TWINLATCH__V1__START_PAIRING_REQUEST__SELECTOR_CODE_ID;
      message->code_id = (char *)start->code_id;
    }
  else
    {
      message->selector_case = TWINLATCH__V1__START_PAIRING_REQUEST__SELECTOR_SLOT;
      message->slot = start->slot;
    }
  message->client_kind = tl_pairing_wire_client_kind (start->client_kind);
  message->device_id = (char *)start->device_id;
  message->device_ephemeral = borrow (start->device_ephemeral, sizeof start->device_ephemeral);
  message->device_commitment = borrow (start->device_commitment, sizeof start->device_commitment);
  message->server_certificate_sha256
      = borrow (start->server_certificate_sha256, sizeof start->server_certificate_sha256);
}

gboolean
tl_pairing_wire_offer (const Twinlatch__V1__StartPairingResponse *message, TlPairingMethod method,
                       TlPairingOffer *offer, GError **error)
{
  TlPairingOffer read = { .version = message->version,
                          .session_id = message->session_id,
                          .gateway_id = message->gateway_id,
                          .expires_at_ms = message->expires_at_unix_ms };

  if (!copy_exact (&message->challenge, read.challenge, sizeof read.challenge, "challenge", error)
      || !copy_exact (&message->gateway_ephemeral, read.gateway_ephemeral, sizeof read.gateway_ephemeral,
                      "ephemeral key", error)
      || !copy_exact (&message->salt, read.salt, sizeof read.salt, "salt", error)
      || !check_der (&message->ca_certificate, "CA certificate", error)
      || !tl_pairing_kdf_check (method, message->kdf, message->kdf_n, message->kdf_r, message->kdf_p, &read.kdf, error))
    return FALSE;
  read.ca_certificate = g_bytes_new (message->ca_certificate.data, message->ca_certificate.len);
  *offer = read;
  return TRUE;
}

void
tl_pairing_wire_complete (const TlPairingComplete *complete, Twinlatch__V1__CompletePairingRequest *message)
{
  message->session_id = (char *)complete->session_id;
  message->confirm_p = borrow (complete->confirm_p, sizeof complete->confirm_p);
  message->identity_public = borrow (complete->identity_public, sizeof complete->identity_public);
  message->device_nonce = borrow (complete->device_nonce, sizeof complete->device_nonce);
  message->csr_der = borrow_bytes (complete->csr_der);
  message->device_name = (char *)complete->device_name;
  message->platform = (char *)complete->platform;
  if (complete->replaces_device_id != NULL)
    message->replaces_device_id = (char *)complete->replaces_device_id;
  message->identity_signature = borrow (complete->identity_signature, sizeof complete->identity_signature);
  message->mac = borrow (complete->mac, sizeof complete->mac);
}

gboolean
tl_pairing_wire_complete_answer (const Twinlatch__V1__CompletePairingResponse *message, TlPairingCompleteAnswer *answer,
                                 GError **error)
{
  TlPairingCompleteAnswer read = { .request_id = message->request_id, .expires_at_ms = message->expires_at_unix_ms };

  if (!state_from_wire (message->state, &read.state, error)
      || !copy_exact (&message->mac, read.mac, sizeof read.mac, "MAC", error))
    return FALSE;
  *answer = read;
  return TRUE;
}

static gboolean
copy_bundle (const Twinlatch__V1__WatchPairingResponse *message, TlPairingWireWatch *watch, GError **error)
{
  if (message->n_ca_bundle > TL_TRUST_BUNDLE_MAX || message->n_addresses > MAX_ADDRESSES
      || strlen (message->reason) > TL_PAIRING_REASON_MAX || strlen (message->policy) > MAX_TEXT_BYTES
      || strlen (message->gateway_name) > TL_PAIRING_NAME_MAX)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL, "a part of the gateway's answer is too long");
      return FALSE;
    }
  for (gsize i = 0; i < message->n_ca_bundle; i++)
    {
      if (!check_der (&message->ca_bundle[i], "CA bundle", error))
        return FALSE;
      g_ptr_array_add (watch->bundle, g_bytes_new (message->ca_bundle[i].data, message->ca_bundle[i].len));
    }
  watch->addresses = g_new0 (char *, message->n_addresses + 1);
  for (gsize i = 0; i < message->n_addresses; i++)
    watch->addresses[i] = g_strdup (message->addresses[i]);
  return TRUE;
}

TlPairingWireWatch *
tl_pairing_wire_watch_answer (const Twinlatch__V1__WatchPairingResponse *message, GError **error)
{
  g_autoptr (TlPairingWireWatch) watch = g_new0 (TlPairingWireWatch, 1);
  TlPairingWatchAnswer *answer = &watch->answer;

  watch->bundle = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  if (!state_from_wire (message->state, &answer->state, error)
      || !copy_exact (&message->mac, answer->mac, sizeof answer->mac, "MAC", error)
      || !copy_bundle (message, watch, error))
    return NULL;
  if (message->certificate_der.len > 0)
    {
      if (!check_der (&message->certificate_der, "certificate", error))
        return NULL;
      answer->certificate_der = g_bytes_new (message->certificate_der.data, message->certificate_der.len);
    }
  answer->reason = watch->reason = g_strdup (message->reason);
  answer->policy = watch->policy = g_strdup (message->policy);
  answer->gateway_name = watch->gateway_name = g_strdup (message->gateway_name);
  answer->ca_bundle = (GBytes *const *)watch->bundle->pdata;
  answer->n_ca_bundle = watch->bundle->len;
  answer->addresses = (const char *const *)watch->addresses;
  answer->ca_generation = message->ca_generation;
  answer->role = message->role;
  return g_steal_pointer (&watch);
}

void
tl_pairing_wire_watch_free (TlPairingWireWatch *watch)
{
  if (watch == NULL)
    return;
  g_clear_pointer (&watch->answer.certificate_der, g_bytes_unref);
  g_ptr_array_unref (watch->bundle);
  g_strfreev (watch->addresses);
  g_free (watch->reason);
  g_free (watch->policy);
  g_free (watch->gateway_name);
  g_free (watch);
}
