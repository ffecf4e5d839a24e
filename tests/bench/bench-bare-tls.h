/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "base/tl-secret.h"

G_BEGIN_DECLS

/*
 * TLS of the bare QUIC endpoints: GnuTLS without any of our layers, with the ciphers, groups, ALPN and mutual
 * certificates that the product has. Thread: the endpoint's.
 */
typedef struct _BenchBareTls BenchBareTls;

/* roots_pem: the peer's chain is verified in every handshake; NULL: only that it holds the key it shows. */
BenchBareTls *bench_bare_tls_new (gboolean is_server, const char *chain_pem, const TlSecret *key_pem,
                                  const char *roots_pem, GError **error);
void bench_bare_tls_free (BenchBareTls *tls);
/* gnutls_deinit(). NULL: memory. ref outlives it. */
gnutls_session_t bench_bare_tls_session (BenchBareTls *tls, ngtcp2_crypto_conn_ref *ref);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchBareTls, bench_bare_tls_free)

G_END_DECLS
