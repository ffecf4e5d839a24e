/* SPDX-License-Identifier: Apache-2.0 */
#include "bench-pki.h"

#include <string.h>

#include "base/tl-clock.h"
#include "base/tl-file.h"
#include "base/tl-ulid.h"

#define MESSAGE_LENGTH 512 /* about what CompletePairing signs */

BenchPki *
bench_pki_new (GError **error)
{
  g_autoptr (BenchPki) pki = g_new0 (BenchPki, 1);
  gint64 now = tl_clock_wall_ms (tl_clock_system ());
  GBytes *der;

  pki->gateway_id = tl_ulid_new (now, tl_random_system ());
  pki->ca = tl_certificate_authority_new (pki->gateway_id, 1, now, tl_random_system (), error);
  if (pki->ca == NULL)
    return NULL;
  der = tl_certificate_authority_der (pki->ca);
  pki->bundle = tl_trust_bundle_new (&der, 1, error);
  if (pki->bundle == NULL || (pki->server_key = tl_p256_generate (error)) == NULL)
    return NULL;
  pki->server_leaf = tl_certificate_authority_issue_server (pki->ca, pki->server_key, NULL, now,
                                                            TL_SERVER_LEAF_LIFETIME_MS, tl_random_system (), error);
  if (pki->server_leaf == NULL)
    return NULL;
  pki->token = tl_pairing_token_generate (tl_random_system ());
  pki->verifier = tl_pairing_verifier_new (TL_PAIRING_LINK, pki->token, pki->gateway_id, tl_random_system (), error);
  return pki->verifier != NULL ? g_steal_pointer (&pki) : NULL;
}

void
bench_pki_free (BenchPki *pki)
{
  if (pki == NULL)
    return;
  g_clear_pointer (&pki->bundle, tl_trust_bundle_unref);
  g_clear_pointer (&pki->ca, tl_certificate_authority_unref);
  g_clear_pointer (&pki->token, tl_secret_unref);
  g_clear_pointer (&pki->verifier, tl_pairing_verifier_free);
  EVP_PKEY_free (pki->server_key);
  X509_free (pki->server_leaf);
  g_free (pki->gateway_id);
  g_free (pki);
}

static gboolean
write_in (const char *directory, const char *name, const void *data, gsize length, GError **error)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);

  return tl_file_write_atomic (path, data, length, 0600, error);
}

gboolean
bench_pki_write_server (BenchPki *pki, const char *directory, GError **error)
{
  g_autofree char *roots = tl_trust_bundle_to_pem (pki->bundle);
  g_autofree char *leaf = tl_certificate_to_pem (pki->server_leaf);
  g_autofree char *chain = g_strconcat (leaf, roots, NULL);
  g_autoptr (TlSecret) key = tl_p256_to_pem (pki->server_key, error);

  return key != NULL && write_in (directory, "key.pem", tl_secret_data (key), tl_secret_length (key), error)
         && write_in (directory, "chain.pem", chain, strlen (chain), error)
         && write_in (directory, "roots.pem", roots, strlen (roots), error);
}

/* ---- devices */

BenchDevice *
bench_device_new (TlDeviceIdentity *identity, const char *node_dir)
{
  BenchDevice *device = g_new0 (BenchDevice, 1);

  device->identity = identity;
  device->node_dir = g_strdup (node_dir);
  return device;
}

void
bench_device_free (BenchDevice *device)
{
  if (device == NULL)
    return;
  tl_device_identity_free (device->identity);
  g_free (device->node_dir);
  g_free (device);
}

static gboolean
admit (BenchPki *pki, TlDeviceIdentity *identity, GError **error)
{
  gint64 now = tl_clock_wall_ms (tl_clock_system ());
  g_autoptr (GBytes) csr = tl_device_identity_csr (identity, error);
  g_autoptr (EVP_PKEY) key = NULL;
  g_autoptr (X509) leaf = NULL;

  if (csr == NULL)
    return FALSE;
  key = tl_csr_verify (g_bytes_get_data (csr, NULL), g_bytes_get_size (csr), error);
  if (key == NULL)
    return FALSE;
  leaf = tl_certificate_authority_issue_device (pki->ca, key, tl_device_identity_device_id (identity), now,
                                                TL_DEVICE_LEAF_DEFAULT_MS, tl_random_system (), error);
  return leaf != NULL && tl_device_identity_set_certificate (identity, leaf, pki->bundle, now, error);
}

BenchDevice *
bench_pki_new_device (BenchPki *pki, GError **error)
{
  g_autoptr (TlDeviceIdentity) identity
      = tl_device_identity_new (tl_clock_wall_ms (tl_clock_system ()), tl_random_system (), error);

  if (identity == NULL || !admit (pki, identity, error))
    return NULL;
  return bench_device_new (g_steal_pointer (&identity), NULL);
}

TlRpcIdentity *
bench_device_rpc_identity (BenchDevice *device, GError **error)
{
  g_autofree char *chain = tl_device_identity_chain_pem (device->identity);
  g_autofree char *roots = tl_trust_bundle_to_pem (tl_device_identity_bundle (device->identity));
  g_autoptr (TlSecret) key = tl_device_identity_key_pem (device->identity, error);

  return key != NULL ? tl_rpc_identity_new (chain, key, roots, error) : NULL;
}

TlRpcClient *
bench_device_client (BenchDevice *device, TlRpcIdentity *rpc_identity, TlRpcLoop *loop, const char *address,
                     GError **error)
{
  const char *const addresses[] = { address, NULL };
  TlRpcClientOptions options
      = { .addresses = addresses, .bundle = tl_device_identity_bundle (device->identity), .identity = rpc_identity };

  return tl_rpc_client_new (loop, &options, error);
}

/* ---- a pairing's arithmetic */

static gboolean
agree_x25519 (GError **error)
{
  TlRandom *random = tl_random_system ();
  g_autoptr (TlSecret) private_a = NULL, private_b = NULL, shared_a = NULL, shared_b = NULL;
  guint8 public_a[TL_X25519_LENGTH], public_b[TL_X25519_LENGTH];

  if (!tl_x25519_generate (random, &private_a, public_a, error)
      || !tl_x25519_generate (random, &private_b, public_b, error))
    return FALSE;
  shared_a = tl_x25519_derive (private_a, public_b, sizeof public_b, error);
  if (shared_a == NULL)
    return FALSE;
  shared_b = tl_x25519_derive (private_b, public_a, sizeof public_a, error);
  return shared_b != NULL;
}

static gboolean
run_spake (TlSpake2plus *prover, TlSpake2plus *verifier, GError **error)
{
  guint8 share_p[TL_SPAKE2PLUS_SHARE_LENGTH], share_v[TL_SPAKE2PLUS_SHARE_LENGTH];
  guint8 confirm_p[TL_SPAKE2PLUS_CONFIRM_LENGTH], confirm_v[TL_SPAKE2PLUS_CONFIRM_LENGTH];

  return tl_spake2plus_share (prover, share_p, error)
         && tl_spake2plus_respond (verifier, share_p, sizeof share_p, share_v, confirm_v, error)
         && tl_spake2plus_confirm (prover, share_v, sizeof share_v, confirm_v, sizeof confirm_v, confirm_p, error)
         && tl_spake2plus_verify (verifier, confirm_p, sizeof confirm_p, error);
}

/* The gateway computes its verifier when the code is minted, before a pairing begins. */
static gboolean
agree_spake (const TlSecret *token, const TlPairingVerifier *record, const char *gateway_id, GError **error)
{
  g_autoptr (GBytes) context = g_bytes_new_static ("bench", 5);
  g_autoptr (TlSecret) w0 = NULL, w1 = NULL;
  g_autoptr (TlSpake2plus) prover = NULL, verifier = NULL;

  if (!tl_pairing_derive (token, &record->kdf, record->salt, gateway_id, &w0, &w1, error))
    return FALSE;
  prover = tl_spake2plus_new_prover (w0, w1, context, "device", "gateway", tl_random_system (), error);
  if (prover == NULL)
    return FALSE;
  verifier = tl_spake2plus_new_verifier (record->w0, record->point, context, "device", "gateway", tl_random_system (),
                                         error);
  return verifier != NULL && run_spake (prover, verifier, error);
}

gboolean
bench_pki_pairing_crypto (BenchPki *pki, GError **error)
{
  static const guint8 message[MESSAGE_LENGTH];
  g_autoptr (TlDeviceIdentity) identity = NULL;
  guint8 signature[TL_ED25519_SIGNATURE_LENGTH];

  if (!agree_x25519 (error) || !agree_spake (pki->token, pki->verifier, pki->gateway_id, error))
    return FALSE;
  identity = tl_device_identity_new (tl_clock_wall_ms (tl_clock_system ()), tl_random_system (), error);
  if (identity == NULL || !tl_device_identity_sign (identity, message, sizeof message, signature, error))
    return FALSE;
  tl_ed25519_verify (tl_device_identity_public (identity), TL_ED25519_PUBLIC_LENGTH, message, sizeof message, signature,
                     sizeof signature);
  return admit (pki, identity, error);
}
