/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-clock.h"
#include "daemon/store/tl-store.h"
#include "identity/tl-certificate-authority.h"
#include "identity/tl-secret-store.h"
#include "identity/tl-trust-bundle.h"
#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/*
 * TlGatewayIdentity: who this gateway is: its id, CA generations, the server leaf it serves now and the one before
 * (PROTOCOL 1, 3.3), and the key that seals pairing keys in the store. Private keys live in the secret store:
 * `ca-key-g<n>` (PKCS#8 DER), `server-leaf` (PEM: key, leaf, CA), `pairing-seal-key` (32 bytes). Thread: main.
 */
typedef struct _TlGatewayIdentity TlGatewayIdentity;

/* Loads or, on the very first start, makes everything; blocks. A CA certificate without its key (or the reverse) is
 * CORRUPT: nothing is made anew over it. names: extra SANs for the server leaf. */
TlGatewayIdentity *tl_gateway_identity_open (TlStore *store, TlSecretStore *secrets, const char *const *names,
                                             TlClock *clock, TlRandom *random, GError **error);
/* Waits for a replacement under way (iterates the main context). */
void tl_gateway_identity_free (TlGatewayIdentity *identity);

const char *tl_gateway_identity_id (TlGatewayIdentity *identity);
TlCertificateAuthority *tl_gateway_identity_ca (TlGatewayIdentity *identity); /* the newest; signs */
TlTrustBundle *tl_gateway_identity_bundle (TlGatewayIdentity *identity);
TlRpcIdentity *tl_gateway_identity_rpc (TlGatewayIdentity *identity);
/* What is served now: leaf and CA; the leaf's key. Borrowed until the leaf is replaced. */
const char *tl_gateway_identity_chain_pem (TlGatewayIdentity *identity);
const TlSecret *tl_gateway_identity_key_pem (TlGatewayIdentity *identity);
/* The same, told whenever it was replaced; gRPC's side (tl_gateway_identity_rpc()) follows by itself. NULL: nobody. */
typedef void (*TlServedFunc) (const char *chain_pem, const TlSecret *key_pem, TlTrustBundle *bundle,
                              gpointer user_data);
void tl_gateway_identity_set_served (TlGatewayIdentity *identity, TlServedFunc served, gpointer user_data);
gint64 tl_gateway_identity_leaf_not_after (TlGatewayIdentity *identity);
/* When the server leaf is replaced, by tl_gateway_identity_maintain(). */
gint64 tl_gateway_identity_leaf_renews_at (TlGatewayIdentity *identity);
/* TRUE for the SHA-256 of a leaf that is served now or was just replaced (PROTOCOL 3.3). */
gboolean tl_gateway_identity_serves (TlGatewayIdentity *identity, const guint8 leaf_sha256[32]);
/* Starts replacing the server leaf when two thirds of its life are over (stored first, then served; open connections
 * stay); cheap otherwise. Call now and then; failures are logged and tried again. */
void tl_gateway_identity_maintain (TlGatewayIdentity *identity);

/* TlPairingKeys <-> what the store keeps; associated data is the request id. */
GBytes *tl_gateway_identity_seal (TlGatewayIdentity *identity, const char *request_id, TlPairingKeys *keys);
TlPairingKeys *tl_gateway_identity_unseal (TlGatewayIdentity *identity, const char *request_id, GBytes *sealed,
                                           GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlGatewayIdentity, tl_gateway_identity_free)

G_END_DECLS
