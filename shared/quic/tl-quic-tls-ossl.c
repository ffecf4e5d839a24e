/* SPDX-License-Identifier: Apache-2.0 */
#include <ngtcp2/ngtcp2_crypto_ossl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>

#include "base/tl-error.h"
#include "identity/tl-certificate.h"
#include "quic/tl-quic-tls-backend.h"
#include "tl-config-build.h"

#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS  "X25519:P-256" /* OpenSSL's own first choice makes a ClientHello of two packets */

struct _TlQuicTlsContext
{
  SSL_CTX *ssl;
};

/* RFC 7301: a list of names, each after a byte that is its length. */
static const guint8 protocols[] = "\x0b" TL_NAME_ALPN;
G_STATIC_ASSERT (sizeof TL_NAME_ALPN - 1 == 0x0b);
#define PROTOCOLS_LENGTH (sizeof protocols - 1)

static TlQuicTlsSession *
session_of (const SSL *ssl)
{
  return SSL_get_app_data (ssl); /* its `ref`, which is its first member */
}

/* ---- callbacks of a handshake */

static int
choose_protocol (SSL *ssl G_GNUC_UNUSED, const guint8 **chosen, guint8 *length, const guint8 *offered, guint n_offered,
                 void *user_data G_GNUC_UNUSED)
{
  guint8 *found = NULL;

  if (SSL_select_next_proto (&found, length, protocols, PROTOCOLS_LENGTH, offered, n_offered) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

/* OpenSSL does not ask choose_protocol() about a client that offers none (RFC 9001, 8.1). */
static int
on_client_hello (SSL *ssl, int *alert, void *user_data G_GNUC_UNUSED)
{
  const guint8 *data;
  gsize length;

  if (SSL_client_hello_get0_ext (ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &length) == 1)
    return SSL_CLIENT_HELLO_SUCCESS;
  *alert = TL_QUIC_ALERT_NO_APPLICATION_PROTOCOL;
  return SSL_CLIENT_HELLO_ERROR;
}

static gboolean
has_protocol (const SSL *ssl)
{
  const guint8 *name;
  guint length = 0;

  SSL_get0_alpn_selected (ssl, &name, &length);
  return length > 0;
}

static gboolean
check_leaf (TlQuicTlsSession *session, X509 *leaf)
{
  g_autoptr (GBytes) der = leaf != NULL ? tl_certificate_to_der (leaf) : NULL;

  if (der == NULL)
    return tl_quic_tls_session_refuse (session, TL_QUIC_ALERT_CERTIFICATE_REQUIRED);
  return tl_quic_tls_session_check (session, g_bytes_get_data (der, NULL), g_bytes_get_size (der));
}

/* What OpenSSL makes the same alert of, for most of them; the session has the exact one. */
static int
verify_error_of (guint8 alert)
{
  switch (alert)
    {
    case TL_QUIC_ALERT_CERTIFICATE_REVOKED:
      return X509_V_ERR_CERT_REVOKED;
    case TL_QUIC_ALERT_CERTIFICATE_EXPIRED:
      return X509_V_ERR_CERT_HAS_EXPIRED;
    case TL_QUIC_ALERT_UNKNOWN_CA:
      return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
    case TL_QUIC_ALERT_INTERNAL_ERROR:
      return X509_V_ERR_UNSPECIFIED;
    default:
      return X509_V_ERR_CERT_REJECTED;
    }
}

/* Stands for X509_verify_cert(). Comes after EncryptedExtensions, so that a client sees here whether its server chose a
 * protocol. */
static int
verify_peer (X509_STORE_CTX *store, void *user_data G_GNUC_UNUSED)
{
  SSL *ssl = X509_STORE_CTX_get_ex_data (store, SSL_get_ex_data_X509_STORE_CTX_idx ());
  TlQuicTlsSession *session = session_of (ssl);

  if (has_protocol (ssl) ? check_leaf (session, X509_STORE_CTX_get0_cert (store))
                         : tl_quic_tls_session_refuse (session, TL_QUIC_ALERT_NO_APPLICATION_PROTOCOL))
    {
      X509_STORE_CTX_set_error (store, X509_V_OK);
      return 1;
    }
  X509_STORE_CTX_set_error (store, verify_error_of (session->alert));
  return 0;
}

/* Every alert of ours passes here after ngtcp2 got it; the verify function's own is exact, and stands. */
static void
on_info (const SSL *ssl, int where, int value)
{
  TlQuicTlsSession *session = session_of (ssl);

  if ((where & SSL_CB_WRITE_ALERT) != SSL_CB_WRITE_ALERT || session == NULL)
    return;
  tl_quic_tls_session_refuse (session, (guint8)(value & 0xff));
  ngtcp2_conn_set_tls_alert (session->ref.get_conn (&session->ref), session->alert);
}

/* ---- context */

static gboolean
load_identity (SSL_CTX *ssl, GPtrArray *chain, EVP_PKEY *key)
{
  if (SSL_CTX_use_certificate (ssl, g_ptr_array_index (chain, 0)) != 1)
    return FALSE;
  for (guint i = 1; i < chain->len; i++)
    if (SSL_CTX_add1_chain_cert (ssl, g_ptr_array_index (chain, i)) != 1)
      return FALSE;
  return SSL_CTX_use_PrivateKey (ssl, key) == 1 && SSL_CTX_check_private_key (ssl) == 1;
}

/* No tickets and no cache: a resumed handshake would not ask the verify function (PROTOCOL 1). */
static void
switch_resumption_off (SSL_CTX *ssl)
{
  SSL_CTX_set_options (ssl, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets (ssl, 0);
  SSL_CTX_set_session_cache_mode (ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_early_data (ssl, 0);
  SSL_CTX_set_recv_max_early_data (ssl, 0);
}

static gboolean
configure (SSL_CTX *ssl, gboolean is_server)
{
  switch_resumption_off (ssl);
  SSL_CTX_clear_options (ssl, SSL_OP_ENABLE_MIDDLEBOX_COMPAT); /* RFC 9001, 8.4 */
  SSL_CTX_set_max_cert_list (ssl, TL_QUIC_TLS_MAX_HANDSHAKE);
  SSL_CTX_set_verify (ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  SSL_CTX_set_cert_verify_callback (ssl, verify_peer, NULL);
  SSL_CTX_set_info_callback (ssl, on_info);
  if (is_server)
    {
      SSL_CTX_set_client_hello_cb (ssl, on_client_hello, NULL);
      SSL_CTX_set_alpn_select_cb (ssl, choose_protocol, NULL);
    }
  return SSL_CTX_set_min_proto_version (ssl, TLS1_3_VERSION) == 1
         && SSL_CTX_set_max_proto_version (ssl, TLS1_3_VERSION) == 1 && SSL_CTX_set_ciphersuites (ssl, CIPHERS) == 1
         && SSL_CTX_set1_groups_list (ssl, GROUPS) == 1
         && (is_server || SSL_CTX_set_alpn_protos (ssl, protocols, PROTOCOLS_LENGTH) == 0);
}

/* Fetches what every packet needs once; without it each fetches anew. */
static void
initialise (void)
{
  ngtcp2_crypto_ossl_init ();
}

TlQuicTlsContext *
tl_quic_tls_context_new (gboolean is_server, GPtrArray *chain, EVP_PKEY *key, const TlSecret *key_pem G_GNUC_UNUSED,
                         GError **error)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  TlQuicTlsContext *context = g_new0 (TlQuicTlsContext, 1);

  pthread_once (&once, initialise);
  context->ssl = SSL_CTX_new (is_server ? TLS_server_method () : TLS_client_method ());
  if (context->ssl == NULL || !configure (context->ssl, is_server) || !load_identity (context->ssl, chain, key))
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot set up TLS");
      g_clear_pointer (&context, tl_quic_tls_context_free);
    }
  return context;
}

void
tl_quic_tls_context_free (TlQuicTlsContext *context)
{
  if (context == NULL)
    return;
  SSL_CTX_free (context->ssl);
  g_free (context);
}

/* ---- session */

static gboolean
attach (ngtcp2_crypto_ossl_ctx *native, SSL *ssl, TlQuicTlsSession *session)
{
  ngtcp2_crypto_ossl_ctx_set_ssl (native, ssl);
  SSL_set_app_data (ssl, &session->ref);
  if (session->tls->is_server)
    SSL_set_accept_state (ssl);
  else
    SSL_set_connect_state (ssl);
  return (session->tls->is_server ? ngtcp2_crypto_ossl_configure_server_session (ssl)
                                  : ngtcp2_crypto_ossl_configure_client_session (ssl))
         == 0;
}

void *
tl_quic_tls_native_new (TlQuicTlsSession *session, GError **error)
{
  ngtcp2_crypto_ossl_ctx *native = NULL;
  SSL *ssl = SSL_new (session->tls->context->ssl);

  if (ssl != NULL && ngtcp2_crypto_ossl_ctx_new (&native, NULL) == 0 && attach (native, ssl, session))
    return native;
  tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot set up a TLS session");
  if (native != NULL && ngtcp2_crypto_ossl_ctx_get_ssl (native) != NULL)
    tl_quic_tls_native_free (native);
  else
    SSL_free (ssl);
  return NULL;
}

void
tl_quic_tls_native_free (void *native)
{
  SSL *ssl = ngtcp2_crypto_ossl_ctx_get_ssl (native);

  SSL_set_app_data (ssl, NULL); /* the connection may be gone, and SSL_free() calls back */
  SSL_free (ssl);
  ngtcp2_crypto_ossl_ctx_del (native);
  ERR_clear_error (); /* what a handshake that failed left behind */
}

const char *
tl_quic_tls_backend (void)
{
  return "ossl";
}

const char *
tl_quic_tls_version (void)
{
  return OpenSSL_version (OPENSSL_VERSION_STRING);
}
