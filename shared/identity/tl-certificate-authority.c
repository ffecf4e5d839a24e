/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tl-certificate-authority.h"

#include "base/tl-clock.h"
#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "identity/tl-certificate-private.h"

#define SERVER_LEAF_MIN_MS 1000 /* validity counts whole seconds */

struct _TlCertificateAuthority
{
  gatomicrefcount references;
  char *gateway_id;
  guint generation;
  X509 *certificate;
  GBytes *der;
  EVP_PKEY *key;
};

static TlCertificateAuthority *
authority_new_take (X509 *certificate, EVP_PKEY *key, char *gateway_id, guint generation)
{
  TlCertificateAuthority *ca = g_new0 (TlCertificateAuthority, 1);

  g_atomic_ref_count_init (&ca->references);
  ca->certificate = certificate;
  ca->der = tl_certificate_to_der (certificate);
  ca->key = key;
  ca->gateway_id = gateway_id;
  ca->generation = generation;
  return ca;
}

TlCertificateAuthority *
tl_certificate_authority_new (const char *gateway_id, guint generation, gint64 now_ms, TlRandom *random, GError **error)
{
  if (!tl_ulid_is_valid (gateway_id) || generation < 1 || now_ms < TL_LEAF_BACKDATE_MS)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "a certificate authority needs a gateway id, a generation from 1 and the time of day");
      return NULL;
    }
  g_autoptr (EVP_PKEY) key = tl_p256_generate (error);
  if (key == NULL)
    return NULL;

  g_autofree char *common_name = tl_ca_common_name (gateway_id, generation);
  /* Back-dated like its leaves: a device whose clock is a little behind verifies both. */
  TlCertificateParts parts = { common_name, NULL, key, now_ms - TL_LEAF_BACKDATE_MS, now_ms + TL_CA_LIFETIME_MS };
  g_autoptr (X509) draft = tl_certificate_build (&parts, random, error);
  if (draft == NULL || !tl_certificate_build_ca (draft, error))
    return NULL;
  X509 *certificate = tl_certificate_build_sign (draft, key, error);
  if (certificate == NULL)
    return NULL;
  return authority_new_take (certificate, g_steal_pointer (&key), g_strdup (gateway_id), generation);
}

TlCertificateAuthority *
tl_certificate_authority_load (const void *certificate_der, gsize length, const TlSecret *key_der, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autoptr (X509) certificate = tl_certificate_from_der (certificate_der, length, &problem);
  if (certificate == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "stored CA certificate: %s", problem->message);
      return NULL;
    }
  g_autofree char *gateway_id = NULL;
  guint generation = 0;
  if (!tl_certificate_get_ca (certificate, &gateway_id, &generation) || X509_self_signed (certificate, 1) != 1)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_CORRUPT,
                           "stored CA certificate is not a self-signed Twinlatch CA: restore it from a backup");
      return NULL;
    }
  g_autoptr (EVP_PKEY) key = tl_p256_from_der (key_der, &problem);
  if (key == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "stored key of CA generation %u: %s", generation,
                   problem->message);
      return NULL;
    }
  if (EVP_PKEY_eq (X509_get0_pubkey (certificate), key) != 1)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT,
                   "stored key does not fit the certificate of CA generation %u: restore both from one backup",
                   generation);
      return NULL;
    }
  return authority_new_take (g_steal_pointer (&certificate), g_steal_pointer (&key), g_steal_pointer (&gateway_id),
                             generation);
}

TlCertificateAuthority *
tl_certificate_authority_ref (TlCertificateAuthority *ca)
{
  g_atomic_ref_count_inc (&ca->references);
  return ca;
}

void
tl_certificate_authority_unref (TlCertificateAuthority *ca)
{
  if (ca == NULL || !g_atomic_ref_count_dec (&ca->references))
    return;
  g_free (ca->gateway_id);
  X509_free (ca->certificate);
  g_bytes_unref (ca->der);
  EVP_PKEY_free (ca->key);
  g_free (ca);
}

const char *
tl_certificate_authority_gateway_id (TlCertificateAuthority *ca)
{
  return ca->gateway_id;
}

guint
tl_certificate_authority_generation (TlCertificateAuthority *ca)
{
  return ca->generation;
}

X509 *
tl_certificate_authority_certificate (TlCertificateAuthority *ca)
{
  return ca->certificate;
}

GBytes *
tl_certificate_authority_der (TlCertificateAuthority *ca)
{
  return ca->der;
}

TlSecret *
tl_certificate_authority_export_key (TlCertificateAuthority *ca, GError **error)
{
  return tl_p256_to_der (ca->key, error);
}

/* A leaf that nobody could use, because its CA is not valid, is better refused here. */
static gboolean
check_validity (TlCertificateAuthority *ca, gint64 now_ms, GError **error)
{
  gint64 not_before_ms = tl_certificate_not_before_ms (ca->certificate);
  gint64 not_after_ms = tl_certificate_not_after_ms (ca->certificate);

  if (now_ms < not_before_ms)
    {
      g_autofree char *since = tl_time_to_string (not_before_ms);
      g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                   "CA generation %u is valid from %s only: check this computer's clock", ca->generation, since);
      return FALSE;
    }
  if (now_ms >= not_after_ms)
    {
      g_autofree char *end = tl_time_to_string (not_after_ms);
      g_set_error (error, TL_ERROR, TL_ERROR_EXPIRED, "CA generation %u expired at %s: rotate the CA", ca->generation,
                   end);
      return FALSE;
    }
  return TRUE;
}

static X509 *
issue (TlCertificateAuthority *ca, EVP_PKEY *public_key, const char *common_name, int purpose_nid, GENERAL_NAMES *names,
       gint64 now_ms, gint64 lifetime_ms, TlRandom *random, GError **error)
{
  if (!check_validity (ca, now_ms, error))
    return NULL;
  gint64 ca_end_ms = tl_certificate_not_after_ms (ca->certificate);
  TlCertificateParts parts = {
    .common_name = common_name,
    .issuer = ca->certificate,
    .public_key = public_key,
    .not_before_ms = now_ms - TL_LEAF_BACKDATE_MS,
    .not_after_ms = lifetime_ms < ca_end_ms - now_ms ? now_ms + lifetime_ms : ca_end_ms,
  };
  g_autoptr (X509) draft = tl_certificate_build (&parts, random, error);
  if (draft == NULL || !tl_certificate_build_leaf (draft, purpose_nid, names, error))
    return NULL;
  return tl_certificate_build_sign (draft, ca->key, error);
}

static gboolean
check_key (EVP_PKEY *public_key, GError **error)
{
  if (tl_key_is_p256 (public_key))
    return TRUE;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "public key of a certificate must be P-256");
  return FALSE;
}

X509 *
tl_certificate_authority_issue_device (TlCertificateAuthority *ca, EVP_PKEY *public_key, const char *device_id,
                                       gint64 now_ms, gint64 lifetime_ms, TlRandom *random, GError **error)
{
  if (!tl_ulid_is_valid (device_id))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "device id is not a ULID");
      return NULL;
    }
  if (!check_key (public_key, error))
    return NULL;
  g_autoptr (GENERAL_NAMES) names = GENERAL_NAMES_new ();
  g_autofree char *uri = g_strconcat (TL_DEVICE_URI_PREFIX, ca->gateway_id, ":", device_id, NULL);
  if (!tl_general_names_add_text (names, GEN_URI, uri, error))
    return NULL;
  return issue (ca, public_key, device_id, NID_client_auth, names, now_ms,
                CLAMP (lifetime_ms, TL_DEVICE_LEAF_MIN_MS, TL_DEVICE_LEAF_MAX_MS), random, error);
}

X509 *
tl_certificate_authority_issue_server (TlCertificateAuthority *ca, EVP_PKEY *public_key, const char *const *names,
                                       gint64 now_ms, gint64 lifetime_ms, TlRandom *random, GError **error)
{
  g_autoptr (GENERAL_NAMES) all = GENERAL_NAMES_new ();
  g_autofree char *gateway_name = tl_gateway_name (ca->gateway_id);

  if (!check_key (public_key, error))
    return NULL;
  if (lifetime_ms < SERVER_LEAF_MIN_MS)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "life of a server certificate is below a second");
      return NULL;
    }
  if (!tl_general_names_add_text (all, GEN_DNS, gateway_name, error))
    return NULL;
  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    if (!tl_server_names_add (all, names[i], error))
      return NULL;
  return issue (ca, public_key, gateway_name, NID_server_auth, all, now_ms, lifetime_ms, random, error);
}
