/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/x509.h>

#include "quic/tl-quic-tls-private.h"

G_BEGIN_DECLS

/*
 * Between tl-quic-tls.c, which knows what PROTOCOL wants of a handshake, and the one back end that is built, which
 * knows its library. Thread: the endpoint's, but for contexts, which are immutable.
 */
#define TL_QUIC_TLS_MAX_HANDSHAKE (32u * 1024u) /* bytes of one TLS message of the peer's */

typedef struct _TlQuicTlsContext TlQuicTlsContext; /* chain, key and settings in the library's terms */

struct _TlQuicTls
{
  gatomicrefcount refs;
  gboolean is_server;
  TlQuicVerifyFunc verify;
  gpointer verify_data;
  GDestroyNotify verify_data_free;
  TlQuicTlsContext *context;
};

struct _TlQuicTlsSession
{
  ngtcp2_crypto_conn_ref ref; /* first: what the library's callbacks get leads to both connection and session */
  ngtcp2_crypto_conn_ref *outer;
  TlQuicTls *tls;
  void *native;
  char *address;
  char fingerprint[65];
  guint8 alert;
};

/* Written by the back end. chain: X509s, leaf first; key fits it; key_pem is the same key. INVALID_ARGUMENT, INTERNAL.
 */
TlQuicTlsContext *tl_quic_tls_context_new (gboolean is_server, GPtrArray *chain, EVP_PKEY *key, const TlSecret *key_pem,
                                           GError **error);
void tl_quic_tls_context_free (TlQuicTlsContext *context);
/* The native handle; session->ref is what its callbacks are to get. */
void *tl_quic_tls_native_new (TlQuicTlsSession *session, GError **error);
void tl_quic_tls_native_free (void *native);

/* Called by the back end. Asks the verify function about the leaf of the peer, whose possession of the key the library
 * checks; FALSE: refused, session->alert says with what. */
gboolean tl_quic_tls_session_check (TlQuicTlsSession *session, const guint8 *leaf_der, gsize length);
/* This side refuses with that alert; the first one counts. FALSE, always. */
gboolean tl_quic_tls_session_refuse (TlQuicTlsSession *session, guint8 alert);

G_END_DECLS
