/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-secret.h"

G_BEGIN_DECLS

/*
 * TlQuicTls: what one side shows and accepts in QUIC's TLS 1.3 handshakes (RFC 9001): certificate chain, key, ALPN, and
 * who decides about the peer's certificate. The back end is chosen at build time (-Dquic_tls): GnuTLS, or OpenSSL
 * >= 3.5. What is the same for both: TLS 1.3 only, no session tickets, no resumption, no 0-RTT; both sides show a
 * certificate; ALPN is enforced (no common protocol, or none offered: alert 120); the back end checks possession of the
 * key, and nothing else about the certificate: that is the verify function's. Immutable. Thread: any; the verify
 * function runs on the endpoint's.
 */
typedef struct _TlQuicTls TlQuicTls;

/* TLS alerts (RFC 8446, 6) that a verify function may answer; the peer sees CONNECTION_CLOSE 0x100 + alert. */
enum
{
  TL_QUIC_ALERT_NONE = 0, /* accepted */
  TL_QUIC_ALERT_UNEXPECTED_MESSAGE = 10,
  TL_QUIC_ALERT_BAD_CERTIFICATE = 42,
  TL_QUIC_ALERT_CERTIFICATE_REVOKED = 44,
  TL_QUIC_ALERT_CERTIFICATE_EXPIRED = 45,
  TL_QUIC_ALERT_CERTIFICATE_UNKNOWN = 46,
  TL_QUIC_ALERT_UNKNOWN_CA = 48,
  TL_QUIC_ALERT_INTERNAL_ERROR = 80,
  TL_QUIC_ALERT_CERTIFICATE_REQUIRED = 116,
  TL_QUIC_ALERT_NO_APPLICATION_PROTOCOL = 120,
};

typedef struct
{
  const guint8 *leaf_der; /* borrowed */
  gsize leaf_length;      /* <= TL_CERTIFICATE_MAX_DER, else the function is not called and the alert is 42 */
  char fingerprint[65];   /* hex SHA-256 of it */
  const char *address;    /* of the peer, "192.0.2.1:4711" */
} TlQuicPeerCertificate;

/* Returns TL_QUIC_ALERT_NONE or the alert. */
typedef guint8 (*TlQuicVerifyFunc) (const TlQuicPeerCertificate *peer, gpointer user_data);

typedef struct
{
  gboolean is_server;
  const char *chain_pem;   /* leaf, then CA */
  const TlSecret *key_pem; /* PKCS#8 or SEC1; has to fit the leaf */
  TlQuicVerifyFunc verify;
  gpointer verify_data;
  GDestroyNotify verify_data_free; /* may be NULL */
} TlQuicTlsOptions;

/* INVALID_ARGUMENT: the chain or key cannot be read, or they do not fit; verify_data is not freed then. */
TlQuicTls *tl_quic_tls_new (const TlQuicTlsOptions *options, GError **error);
TlQuicTls *tl_quic_tls_ref (TlQuicTls *tls);
void tl_quic_tls_unref (TlQuicTls *tls);
/* "gnutls" or "ossl", and its version: for `status`. Static. */
const char *tl_quic_tls_backend (void);
const char *tl_quic_tls_version (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicTls, tl_quic_tls_unref)

G_END_DECLS
