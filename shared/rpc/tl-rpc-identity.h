/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

#include "base/tl-secret.h"

G_BEGIN_DECLS

/*
 * TlRpcIdentity: certificate chain and key that a TLS endpoint presents, in memory only (memfd behind gRPC's file
 * watcher; notes: about a second until new handshakes use a replacement). Thread: any.
 */
typedef struct _TlRpcIdentity TlRpcIdentity;

/* chain: leaf first, then CA, PEM. key: PKCS#8 PEM. roots: PEM of the CAs that client (server) certificates must chain
 * to. The key must fit the leaf (gRPC would fail every handshake otherwise): INVALID_ARGUMENT. */
TlRpcIdentity *tl_rpc_identity_new (const char *chain_pem, const TlSecret *key_pem, const char *roots_pem,
                                    GError **error);
/* Live replacement; validated first, on error the old one stays. */
gboolean tl_rpc_identity_replace (TlRpcIdentity *identity, const char *chain_pem, const TlSecret *key_pem,
                                  const char *roots_pem, GError **error);
TlRpcIdentity *tl_rpc_identity_ref (TlRpcIdentity *identity);
void tl_rpc_identity_unref (TlRpcIdentity *identity);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRpcIdentity, tl_rpc_identity_unref)

G_END_DECLS
