/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-gateway-identity.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "crypto/tl-keys.h"
#include "daemon/tl-lasting-secret.h"

#define META_GATEWAY_ID  "gateway_id"
#define SERVER_LEAF_NAME "server-leaf"
/* A pairing that began with the leaf before may still end: a session lives 60 s + 5 min. */
#define PREVIOUS_LEAF_MS (10 * 60 * 1000)

typedef struct _NewLeaf NewLeaf;

struct _TlGatewayIdentity
{
  TlStore *store;
  TlSecretStore *secrets;
  TlClock *clock;
  TlRandom *random;
  char **names;
  char *id;
  TlCertificateAuthority *ca;
  TlTrustBundle *bundle;
  TlSecret *seal_key;
  TlRpcIdentity *rpc;
  char *chain_pem; /* what is served now: leaf, CA */
  TlSecret *key_pem;
  TlServedFunc served;
  gpointer served_data;
  gint64 leaf_not_before, leaf_not_after;
  guint8 leaf[TL_SHA256_LENGTH], previous_leaf[TL_SHA256_LENGTH];
  gint64 replaced_at; /* wall-clock ms; 0: no previous leaf */
  NewLeaf *replacing; /* being stored; NULL otherwise */
};

static TlSecret *
lookup_optional (TlSecretStore *secrets, const char *name, GError **error)
{
  g_autoptr (GError) local = NULL;
  TlSecret *value = tl_secret_store_lookup_sync (secrets, name, &local);

  if (value == NULL && !tl_error_is_not_found (local))
    g_propagate_error (error, g_steal_pointer (&local));
  return value;
}

/* The key first, then the certificate: a crash between leaves a key that belongs to nothing, which the next start
 * replaces because the store has no CA yet. */
static gboolean
create_ca (TlGatewayIdentity *self, GError **error)
{
  gint64 now = tl_clock_wall_ms (self->clock);
  g_autoptr (TlCertificateAuthority) ca = NULL;
  g_autoptr (TlSecret) key = NULL;

  if (self->id == NULL)
    {
      self->id = tl_ulid_new (now, self->random);
      if (!tl_store_set_meta (self->store, META_GATEWAY_ID, self->id, error))
        return FALSE;
    }
  ca = tl_certificate_authority_new (self->id, 1, now, self->random, error);
  if (ca == NULL || (key = tl_certificate_authority_export_key (ca, error)) == NULL
      || !tl_secret_store_store_sync (self->secrets, "ca-key-g1", key, error)
      || !tl_store_add_ca (self->store, 1, tl_certificate_authority_der (ca),
                           tl_certificate_not_after_ms (tl_certificate_authority_certificate (ca)), error))
    return FALSE;
  self->ca = g_steal_pointer (&ca);
  tl_log (TL_LOG_NOTICE, "made a new certificate authority", "gateway_id", self->id, NULL);
  return TRUE;
}

static gboolean
load_ca (TlGatewayIdentity *self, GBytes *der, GError **error)
{
  gsize length = 0;
  const void *data = g_bytes_get_data (der, &length);
  g_autoptr (X509) certificate = tl_certificate_from_der (data, length, error);
  g_autofree char *gateway_id = NULL, *name = NULL;
  g_autoptr (TlSecret) key = NULL;
  g_autoptr (GError) local = NULL;
  guint generation = 0;

  if (certificate == NULL || !tl_certificate_get_ca (certificate, &gateway_id, &generation)
      || g_strcmp0 (gateway_id, self->id) != 0)
    {
      g_clear_error (error);
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "the store's CA certificate is not one of gateway %s", self->id);
      return FALSE;
    }
  name = g_strdup_printf ("ca-key-g%u", generation);
  key = lookup_optional (self->secrets, name, &local);
  if (key == NULL && local == NULL)
    g_set_error (&local, TL_ERROR, TL_ERROR_CORRUPT,
                 "the private key of the CA (secret '%s') is gone; restore it from a backup, or start with a new "
                 "--state-dir and pair all devices again",
                 name);
  if (key == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  self->ca = tl_certificate_authority_load (data, length, key, error);
  return self->ca != NULL;
}

static gboolean
open_cas (TlGatewayIdentity *self, GError **error)
{
  g_autoptr (GPtrArray) ders = tl_store_list_cas (self->store, error);
  g_autoptr (GError) local = NULL;

  if (ders == NULL)
    return FALSE;
  self->id = tl_store_get_meta (self->store, META_GATEWAY_ID, &local);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (ders->len == 0)
    {
      GBytes *der;
      if (!create_ca (self, error))
        return FALSE;
      der = tl_certificate_authority_der (self->ca);
      self->bundle = tl_trust_bundle_new (&der, 1, error);
      return self->bundle != NULL;
    }
  if (!load_ca (self, g_ptr_array_index (ders, 0), error))
    return FALSE;
  self->bundle = tl_trust_bundle_new ((GBytes *const *)ders->pdata, ders->len, error);
  return self->bundle != NULL;
}

/* Takes over a leaf for serving: PEM of key, leaf, CA in one secret. */
static gboolean
serve_leaf (TlGatewayIdentity *self, X509 *leaf, TlSecret *key_pem, GError **error)
{
  g_autofree char *leaf_pem = tl_certificate_to_pem (leaf);
  g_autofree char *ca_pem = tl_certificate_to_pem (tl_certificate_authority_certificate (self->ca));
  g_autofree char *chain = g_strconcat (leaf_pem, ca_pem, NULL);
  g_autofree char *roots = tl_trust_bundle_to_pem (self->bundle);
  g_autoptr (GBytes) der = tl_certificate_to_der (leaf);

  if (self->rpc == NULL)
    {
      self->rpc = tl_rpc_identity_new (chain, key_pem, roots, error);
      if (self->rpc == NULL)
        return FALSE;
    }
  else
    {
      if (!tl_rpc_identity_replace (self->rpc, chain, key_pem, roots, error))
        return FALSE;
      memcpy (self->previous_leaf, self->leaf, sizeof self->leaf);
      self->replaced_at = tl_clock_wall_ms (self->clock);
    }
  tl_sha256 (g_bytes_get_data (der, NULL), g_bytes_get_size (der), self->leaf);
  self->leaf_not_before = tl_certificate_not_before_ms (leaf);
  self->leaf_not_after = tl_certificate_not_after_ms (leaf);
  g_free (self->chain_pem);
  self->chain_pem = g_steal_pointer (&chain);
  g_clear_pointer (&self->key_pem, tl_secret_unref);
  self->key_pem = tl_secret_ref (key_pem);
  if (self->served != NULL)
    self->served (self->chain_pem, self->key_pem, self->bundle, self->served_data);
  return TRUE;
}

/* A new leaf on its way into service: it is stored before it is shown to anybody. */
struct _NewLeaf
{
  X509 *leaf;
  TlSecret *key_pem;
  TlSecret *stored; /* key, then leaf, PEM */
};

static void
new_leaf_free (NewLeaf *new_leaf)
{
  X509_free (new_leaf->leaf);
  g_clear_pointer (&new_leaf->key_pem, tl_secret_unref);
  g_clear_pointer (&new_leaf->stored, tl_secret_unref);
  g_free (new_leaf);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (NewLeaf, new_leaf_free)

static NewLeaf *
make_leaf (TlGatewayIdentity *self, GError **error)
{
  g_autoptr (NewLeaf) new_leaf = g_new0 (NewLeaf, 1);
  g_autoptr (EVP_PKEY) key = tl_p256_generate (error);
  g_autofree char *leaf_pem = NULL;
  gsize key_length, leaf_length;

  if (key == NULL || (new_leaf->key_pem = tl_p256_to_pem (key, error)) == NULL)
    return NULL;
  new_leaf->leaf = tl_certificate_authority_issue_server (self->ca, key, (const char *const *)self->names,
                                                          tl_clock_wall_ms (self->clock), TL_SERVER_LEAF_LIFETIME_MS,
                                                          self->random, error);
  if (new_leaf->leaf == NULL)
    return NULL;
  leaf_pem = tl_certificate_to_pem (new_leaf->leaf);
  key_length = tl_secret_length (new_leaf->key_pem);
  leaf_length = strlen (leaf_pem);
  new_leaf->stored = tl_secret_new (key_length + leaf_length);
  memcpy (tl_secret_data_mut (new_leaf->stored), tl_secret_data (new_leaf->key_pem), key_length);
  memcpy (tl_secret_data_mut (new_leaf->stored) + key_length, leaf_pem, leaf_length);
  return g_steal_pointer (&new_leaf);
}

/* Start-up: blocks. */
static gboolean
issue_leaf (TlGatewayIdentity *self, GError **error)
{
  g_autoptr (NewLeaf) new_leaf = make_leaf (self, error);

  return new_leaf != NULL && tl_secret_store_store_sync (self->secrets, SERVER_LEAF_NAME, new_leaf->stored, error)
         && serve_leaf (self, new_leaf->leaf, new_leaf->key_pem, error);
}

gint64
tl_gateway_identity_leaf_renews_at (TlGatewayIdentity *self)
{
  return self->leaf_not_before + (self->leaf_not_after - self->leaf_not_before) / 3 * 2;
}

static gboolean
leaf_is_due (TlGatewayIdentity *self)
{
  gint64 now = tl_clock_wall_ms (self->clock);

  return now >= tl_gateway_identity_leaf_renews_at (self) || now < self->leaf_not_before;
}

/* The stored leaf is used again when it is of this CA, carries the configured names and has time left: devices that are
 * pairing keep their channel binding over a restart. */
static gboolean
load_leaf (TlGatewayIdentity *self, const TlSecret *stored, GError **error)
{
  const char *pem = (const char *)tl_secret_data (stored);
  const char *certificate_start = strstr (pem, "-----BEGIN CERTIFICATE-----");
  g_autoptr (X509) leaf = NULL;
  g_autoptr (TlSecret) key_pem = NULL;

  if (certificate_start == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "secret 'server-leaf' holds no certificate");
      return FALSE;
    }
  leaf = tl_certificate_from_pem (certificate_start, -1, error);
  if (leaf == NULL
      || !tl_trust_bundle_verify (self->bundle, leaf, TL_LEAF_SERVER, tl_clock_wall_ms (self->clock), NULL, error))
    return FALSE;
  key_pem = tl_secret_slice (stored, 0, certificate_start - pem);
  return serve_leaf (self, leaf, key_pem, error);
}

static char *
names_digest (TlGatewayIdentity *self)
{
  g_autofree char *joined = g_strjoinv (";", self->names);
  return tl_fingerprint (joined, strlen (joined));
}

static gboolean
open_leaf (TlGatewayIdentity *self, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (TlSecret) stored = lookup_optional (self->secrets, SERVER_LEAF_NAME, &local);
  g_autofree char *digest = names_digest (self);
  g_autofree char *before = tl_store_get_meta (self->store, "server_names_sha256", NULL);

  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (stored != NULL && g_strcmp0 (digest, before) == 0)
    {
      if (load_leaf (self, stored, &local) && !leaf_is_due (self))
        return TRUE;
      if (local != NULL)
        tl_log_error (TL_LOG_NOTICE, "the stored server certificate is replaced", local);
    }
  return issue_leaf (self, error) && tl_store_set_meta (self->store, "server_names_sha256", digest, error);
}

TlGatewayIdentity *
tl_gateway_identity_open (TlStore *store, TlSecretStore *secrets, const char *const *names, TlClock *clock,
                          TlRandom *random, GError **error)
{
  g_autoptr (TlGatewayIdentity) self = g_new0 (TlGatewayIdentity, 1);

  self->store = store;
  self->secrets = tl_secret_store_ref (secrets);
  self->clock = clock;
  self->random = random;
  self->names = g_strdupv ((char **)names);
  self->seal_key = tl_lasting_secret_load (secrets, "pairing-seal-key", random, error);
  if (self->seal_key == NULL || !open_cas (self, error) || !open_leaf (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
tl_gateway_identity_free (TlGatewayIdentity *self)
{
  if (self == NULL)
    return;
  while (self->replacing != NULL)
    g_main_context_iteration (NULL, TRUE);
  g_clear_pointer (&self->rpc, tl_rpc_identity_unref);
  g_clear_pointer (&self->key_pem, tl_secret_unref);
  g_free (self->chain_pem);
  g_clear_pointer (&self->bundle, tl_trust_bundle_unref);
  g_clear_pointer (&self->ca, tl_certificate_authority_unref);
  g_clear_pointer (&self->seal_key, tl_secret_unref);
  tl_secret_store_unref (self->secrets);
  g_strfreev (self->names);
  g_free (self->id);
  g_free (self);
}

const char *
tl_gateway_identity_id (TlGatewayIdentity *self)
{
  return self->id;
}

TlCertificateAuthority *
tl_gateway_identity_ca (TlGatewayIdentity *self)
{
  return self->ca;
}

TlTrustBundle *
tl_gateway_identity_bundle (TlGatewayIdentity *self)
{
  return self->bundle;
}

TlRpcIdentity *
tl_gateway_identity_rpc (TlGatewayIdentity *self)
{
  return self->rpc;
}

const char *
tl_gateway_identity_chain_pem (TlGatewayIdentity *self)
{
  return self->chain_pem;
}

const TlSecret *
tl_gateway_identity_key_pem (TlGatewayIdentity *self)
{
  return self->key_pem;
}

void
tl_gateway_identity_set_served (TlGatewayIdentity *self, TlServedFunc served, gpointer user_data)
{
  self->served = served;
  self->served_data = user_data;
}

gint64
tl_gateway_identity_leaf_not_after (TlGatewayIdentity *self)
{
  return self->leaf_not_after;
}

gboolean
tl_gateway_identity_serves (TlGatewayIdentity *self, const guint8 leaf_sha256[32])
{
  return memcmp (leaf_sha256, self->leaf, TL_SHA256_LENGTH) == 0
         || (self->replaced_at != 0 && tl_clock_wall_ms (self->clock) - self->replaced_at < PREVIOUS_LEAF_MS
             && memcmp (leaf_sha256, self->previous_leaf, TL_SHA256_LENGTH) == 0);
}

static void
on_leaf_stored (GObject *source, GAsyncResult *result, gpointer user_data)
{
  TlGatewayIdentity *self = user_data;
  g_autoptr (NewLeaf) new_leaf = g_steal_pointer (&self->replacing);
  g_autoptr (GError) error = NULL;

  if (!tl_secret_store_store_finish (self->secrets, result, &error)
      || !serve_leaf (self, new_leaf->leaf, new_leaf->key_pem, &error))
    tl_log_error (TL_LOG_ERROR, "replacing the server certificate", error);
  else
    tl_log (TL_LOG_NOTICE, "the server certificate was replaced", NULL);
}

void
tl_gateway_identity_maintain (TlGatewayIdentity *self)
{
  g_autoptr (GError) error = NULL;

  if (self->replacing != NULL || !leaf_is_due (self))
    return;
  self->replacing = make_leaf (self, &error);
  if (self->replacing == NULL)
    tl_log_error (TL_LOG_ERROR, "making a new server certificate", error);
  else
    tl_secret_store_store_async (self->secrets, SERVER_LEAF_NAME, self->replacing->stored, NULL, on_leaf_stored, self);
}

GBytes *
tl_gateway_identity_seal (TlGatewayIdentity *self, const char *request_id, TlPairingKeys *keys)
{
  g_autoptr (TlSecret) plain = tl_pairing_keys_serialise (keys);
  return tl_aead_seal (self->seal_key, self->random, request_id, strlen (request_id), tl_secret_data (plain),
                       tl_secret_length (plain));
}

TlPairingKeys *
tl_gateway_identity_unseal (TlGatewayIdentity *self, const char *request_id, GBytes *sealed, GError **error)
{
  g_autoptr (TlSecret) plain = tl_aead_open (self->seal_key, request_id, strlen (request_id), sealed, error);
  return plain == NULL ? NULL : tl_pairing_keys_parse (plain, error);
}
