/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tl-rpc-verifier.h"

#include <pthread.h>
#include <string.h>

#include <grpc/support/alloc.h>
#include <grpc/support/string_util.h>
#include <openssl/x509v3.h>

#include "base/tl-error.h"
#include "crypto/tl-hash.h"

#define MAX_CHAIN 8 /* certificates looked at in what a server sent */

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"

typedef grpc_tls_custom_verification_check_request Request;

static int
answer (const char *refusal, grpc_status_code *status, char **details)
{
  *status = refusal == NULL ? GRPC_STATUS_OK : GRPC_STATUS_UNAUTHENTICATED;
  *details = refusal == NULL ? NULL : gpr_strdup (refusal);
  return 1; /* answered at once */
}

static void
on_cancel (void *user_data G_GNUC_UNUSED, Request *request G_GNUC_UNUSED)
{
}

/* ---- server */

typedef struct
{
  grpc_tls_certificate_verifier_external external;
  TlAdmittedSet *admitted;
  char *gateway_id; /* NULL: no device is let in */
  TlClock *clock;
  TlRpcDenials *denials;
} ServerVerifier;

/* EKU and SAN once more, against what was recorded: gRPC checked the chain only, and not even that on resumed sessions.
 */
static gboolean
fits_admission (ServerVerifier *verifier, GBytes *der, const TlAdmission *admission)
{
  g_autoptr (X509) leaf = tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), NULL);
  g_autofree char *gateway_id = NULL;
  g_autofree char *device_id = NULL;

  return leaf != NULL && (X509_get_extension_flags (leaf) & EXFLAG_XKUSAGE) != 0
         && (X509_get_extended_key_usage (leaf) & XKU_SSL_CLIENT) != 0
         && tl_certificate_get_device (leaf, &gateway_id, &device_id, NULL)
         && strcmp (device_id, admission->device_id) == 0 && g_strcmp0 (gateway_id, verifier->gateway_id) == 0;
}

/* Our own CA signed it, so the name in it is true; which address it came from, gRPC does not say here. */
static int
refuse_device (ServerVerifier *verifier, GBytes *der, const char *fingerprint, const char *reason, const char *text,
               grpc_status_code *status, char **details)
{
  g_autoptr (X509) leaf = tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), NULL);
  g_autofree char *gateway_id = NULL;
  g_autofree char *device_id = NULL;
  g_autofree char *actor = NULL;

  if (leaf != NULL && tl_certificate_get_device (leaf, &gateway_id, &device_id, NULL))
    actor = g_strconcat ("device:", device_id, NULL);
  tl_rpc_denials_note (verifier->denials, &(TlRpcDenial){ .connection = TRUE,
                                                          .stranger = TRUE,
                                                          .actor = actor != NULL ? actor : "source:unknown",
                                                          .subject = fingerprint,
                                                          .reason = reason });
  return answer (text, status, details);
}

static int
verify_device (void *user_data, Request *request, grpc_tls_on_custom_verification_check_done_cb callback G_GNUC_UNUSED,
               void *argument G_GNUC_UNUSED, grpc_status_code *status, char **details)
{
  ServerVerifier *verifier = user_data;
  const char *pem = request->peer_info.peer_cert;
  g_autoptr (GBytes) der = NULL;
  g_autofree char *fingerprint = NULL;
  TlAdmission admission;

  if (pem == NULL || pem[0] == '\0')
    return answer (NULL, status, details);
  der = tl_certificate_pem_to_der (pem, strlen (pem));
  if (der == NULL)
    return answer ("malformed certificate", status, details);
  fingerprint = tl_fingerprint (g_bytes_get_data (der, NULL), g_bytes_get_size (der));
  if (!tl_admitted_set_lookup (verifier->admitted, fingerprint, tl_clock_wall_ms (verifier->clock), &admission))
    return refuse_device (verifier, der, fingerprint, "not_admitted", "certificate is not admitted", status, details);
  if (admission.superseded)
    return refuse_device (verifier, der, fingerprint, "superseded", "certificate was replaced by a newer one", status,
                          details);
  if (!fits_admission (verifier, der, &admission))
    return refuse_device (verifier, der, fingerprint, "misfit", "certificate does not fit its record", status, details);
  return answer (NULL, status, details);
}

static void
server_verifier_free (void *user_data)
{
  ServerVerifier *verifier = user_data;

  tl_admitted_set_unref (verifier->admitted);
  tl_rpc_denials_unref (verifier->denials);
  g_free (verifier->gateway_id);
  g_free (verifier);
}

grpc_tls_certificate_verifier *
tl_rpc_verifier_new_server (TlAdmittedSet *admitted, const char *gateway_id, TlClock *clock, TlRpcDenials *denials)
{
  ServerVerifier *verifier = g_new0 (ServerVerifier, 1);

  verifier->external.user_data = verifier;
  verifier->external.verify = verify_device;
  verifier->external.cancel = on_cancel;
  verifier->external.destruct = server_verifier_free;
  verifier->admitted = tl_admitted_set_ref (admitted);
  verifier->gateway_id = g_strdup (gateway_id);
  verifier->clock = clock;
  verifier->denials = tl_rpc_denials_ref (denials);
  return grpc_tls_certificate_verifier_external_create (&verifier->external);
}

/* ---- client */

struct _TlRpcTrust
{
  gatomicrefcount refs;
  gboolean first_contact;
  gboolean pinned;
  guint8 ca_sha256[TL_SHA256_LENGTH];
  gboolean has_server_pin, server_pin_is_malformed;
  guint8 server_pin[TL_SHA256_LENGTH]; /* of the leaf or its key, beside all else */
  TlClock *clock;

  pthread_mutex_t lock;
  TlTrustBundle *bundle; /* under lock, like all below */
  GBytes *first_leaf;
  GError *refusal;
  gboolean accepted;
};

TlRpcTrust *
tl_rpc_trust_new (gboolean first_contact, const guint8 *ca_sha256, TlTrustBundle *bundle, TlClock *clock)
{
  TlRpcTrust *trust = g_new0 (TlRpcTrust, 1);

  g_atomic_ref_count_init (&trust->refs);
  pthread_mutex_init (&trust->lock, NULL);
  trust->first_contact = first_contact;
  trust->pinned = ca_sha256 != NULL;
  if (ca_sha256 != NULL)
    memcpy (trust->ca_sha256, ca_sha256, sizeof trust->ca_sha256);
  trust->bundle = bundle != NULL ? tl_trust_bundle_ref (bundle) : NULL;
  trust->clock = clock;
  return trust;
}

TlRpcTrust *
tl_rpc_trust_ref (TlRpcTrust *trust)
{
  g_atomic_ref_count_inc (&trust->refs);
  return trust;
}

void
tl_rpc_trust_unref (TlRpcTrust *trust)
{
  if (trust == NULL || !g_atomic_ref_count_dec (&trust->refs))
    return;
  g_clear_pointer (&trust->bundle, tl_trust_bundle_unref);
  g_clear_pointer (&trust->first_leaf, g_bytes_unref);
  g_clear_error (&trust->refusal);
  pthread_mutex_destroy (&trust->lock);
  g_free (trust);
}

void
tl_rpc_trust_set_pin (TlRpcTrust *trust, const char *pin)
{
  trust->has_server_pin = TRUE;
  trust->server_pin_is_malformed = !tl_hex_decode (pin, trust->server_pin, sizeof trust->server_pin);
}

void
tl_rpc_trust_set_bundle (TlRpcTrust *trust, TlTrustBundle *bundle)
{
  TlTrustBundle *old;

  pthread_mutex_lock (&trust->lock);
  old = trust->bundle;
  trust->bundle = tl_trust_bundle_ref (bundle);
  pthread_mutex_unlock (&trust->lock);
  if (old != NULL)
    tl_trust_bundle_unref (old);
}

void
tl_rpc_trust_reset (TlRpcTrust *trust)
{
  pthread_mutex_lock (&trust->lock);
  g_clear_error (&trust->refusal);
  trust->accepted = FALSE;
  pthread_mutex_unlock (&trust->lock);
}

gboolean
tl_rpc_trust_get_refusal (TlRpcTrust *trust, GError **error)
{
  gboolean refused;

  pthread_mutex_lock (&trust->lock);
  refused = trust->refusal != NULL;
  if (refused && error != NULL)
    *error = g_error_copy (trust->refusal);
  pthread_mutex_unlock (&trust->lock);
  return refused;
}

gboolean
tl_rpc_trust_was_accepted (TlRpcTrust *trust)
{
  gboolean accepted;

  pthread_mutex_lock (&trust->lock);
  accepted = trust->accepted;
  pthread_mutex_unlock (&trust->lock);
  return accepted;
}

/* The pinned CA out of what the server sent (leaf and CA), as a bundle of its own. */
static TlTrustBundle *
find_pinned_ca (TlRpcTrust *trust, const char *chain_pem, GError **error)
{
  const char *at = chain_pem;

  for (guint n = 0; at != NULL && n < MAX_CHAIN; n++)
    {
      g_autoptr (GBytes) der = NULL;
      guint8 digest[TL_SHA256_LENGTH];

      at = strstr (at, PEM_BEGIN);
      if (at == NULL)
        break;
      der = tl_certificate_pem_to_der (at, strlen (at));
      at += strlen (PEM_BEGIN);
      if (der == NULL)
        continue;
      tl_sha256 (g_bytes_get_data (der, NULL), g_bytes_get_size (der), digest);
      if (tl_memory_equal (digest, trust->ca_sha256, sizeof digest))
        return tl_trust_bundle_new (&der, 1, error);
    }
  g_set_error_literal (error, TL_ERROR, TL_ERROR_WRONG_CA,
                       "the gateway does not show the certificate authority named in the pairing link");
  return NULL;
}

/* Under the lock. */
static gboolean
check_server (TlRpcTrust *trust, const char *leaf_pem, const char *chain_pem, GError **error)
{
  g_autoptr (GBytes) der = leaf_pem != NULL ? tl_certificate_pem_to_der (leaf_pem, strlen (leaf_pem)) : NULL;
  g_autoptr (TlTrustBundle) pinned = NULL;
  g_autoptr (X509) leaf = NULL;
  TlTrustBundle *bundle = trust->bundle;

  if (der == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_WRONG_CA, "the gateway shows no certificate");
      return FALSE;
    }
  if (bundle == NULL && trust->first_leaf != NULL && !g_bytes_equal (trust->first_leaf, der))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_WRONG_CA,
                           "the gateway's certificate changed while pairing; start again");
      return FALSE;
    }
  if (bundle == NULL && trust->pinned)
    {
      pinned = find_pinned_ca (trust, chain_pem != NULL ? chain_pem : "", error);
      if (pinned == NULL)
        return FALSE;
      bundle = pinned;
    }
  if (bundle != NULL)
    {
      leaf = tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), error);
      if (leaf == NULL
          || !tl_trust_bundle_verify (bundle, leaf, TL_LEAF_SERVER, tl_clock_wall_ms (trust->clock), NULL, error))
        return FALSE;
      if (trust->has_server_pin
          && (trust->server_pin_is_malformed || !tl_certificate_fits_pin (leaf, trust->server_pin)))
        {
          g_set_error_literal (error, TL_ERROR, TL_ERROR_WRONG_CA,
                               "the gateway's certificate is not the pinned one: correct or remove server-pin");
          return FALSE;
        }
    }
  else if (trust->first_leaf == NULL && !trust->first_contact)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_WRONG_CA, "there is nothing to verify the gateway with");
      return FALSE;
    }
  if (trust->first_leaf == NULL)
    trust->first_leaf = g_steal_pointer (&der);
  return TRUE;
}

typedef struct
{
  grpc_tls_certificate_verifier_external external;
  TlRpcTrust *trust;
} ClientVerifier;

static int
verify_gateway (void *user_data, Request *request, grpc_tls_on_custom_verification_check_done_cb callback G_GNUC_UNUSED,
                void *argument G_GNUC_UNUSED, grpc_status_code *status, char **details)
{
  TlRpcTrust *trust = ((ClientVerifier *)user_data)->trust;
  g_autoptr (GError) error = NULL;

  pthread_mutex_lock (&trust->lock);
  check_server (trust, request->peer_info.peer_cert, request->peer_info.peer_cert_full_chain, &error);
  g_clear_error (&trust->refusal);
  if (error != NULL)
    trust->refusal = g_error_copy (error);
  trust->accepted = error == NULL;
  pthread_mutex_unlock (&trust->lock);
  return answer (error != NULL ? error->message : NULL, status, details);
}

static void
client_verifier_free (void *user_data)
{
  ClientVerifier *verifier = user_data;

  tl_rpc_trust_unref (verifier->trust);
  g_free (verifier);
}

grpc_tls_certificate_verifier *
tl_rpc_verifier_new_client (TlRpcTrust *trust)
{
  ClientVerifier *verifier = g_new0 (ClientVerifier, 1);

  verifier->external.user_data = verifier;
  verifier->external.verify = verify_gateway;
  verifier->external.cancel = on_cancel;
  verifier->external.destruct = client_verifier_free;
  verifier->trust = tl_rpc_trust_ref (trust);
  return grpc_tls_certificate_verifier_external_create (&verifier->external);
}
