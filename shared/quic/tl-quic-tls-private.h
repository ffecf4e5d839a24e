/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <ngtcp2/ngtcp2_crypto.h>

#include "quic/tl-quic-tls.h"

G_BEGIN_DECLS

/* What a back end is: TlQuicTls, and one session a connection. Thread: the endpoint's. */
typedef struct _TlQuicTlsSession TlQuicTlsSession;

/* What all back ends share: tl-quic-tls.c. */
#define TL_QUIC_TLS_MAX_CHAIN 4 /* certificates looked at; the leaf decides */

/* ref outlives the session. address: the peer's, copied. NULL only when memory or the library fails. */
TlQuicTlsSession *tl_quic_tls_session_new (TlQuicTls *tls, ngtcp2_crypto_conn_ref *ref, const char *address,
                                           GError **error);
void tl_quic_tls_session_free (TlQuicTlsSession *session);
/* For ngtcp2_conn_set_tls_native_handle(). */
void *tl_quic_tls_session_native (TlQuicTlsSession *session);
/* The alert this side decided on in the handshake (certificate, ALPN); 0: none. */
guint8 tl_quic_tls_session_alert (const TlQuicTlsSession *session);
/* Hex SHA-256 of the peer's leaf; "" before it was seen. Borrowed. */
const char *tl_quic_tls_session_fingerprint (const TlQuicTlsSession *session);

G_END_DECLS
