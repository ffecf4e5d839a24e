/* SPDX-License-Identifier: Apache-2.0 */
#include <ngtcp2/ngtcp2_crypto_ossl.h>
#include <openssl/ssl.h>
#include <string.h>

#include "quic-strange.h"

static int
accept_anybody (X509_STORE_CTX *store G_GNUC_UNUSED, void *user_data G_GNUC_UNUSED)
{
  return 1;
}

static int
choose_protocol (SSL *ssl G_GNUC_UNUSED, const guint8 **chosen, guint8 *length, const guint8 *offered G_GNUC_UNUSED,
                 guint n_offered G_GNUC_UNUSED, void *user_data)
{
  *chosen = user_data;
  *length = (guint8)strlen (user_data);
  return SSL_TLSEXT_ERR_OK;
}

static void
configure_alpn (SSL_CTX *context, const QuicStrange *strange)
{
  gsize length = strlen (strange->alpn);
  g_autofree guint8 *list = g_malloc (1 + length);

  if (strange->is_server)
    return SSL_CTX_set_alpn_select_cb (context, choose_protocol, (void *)strange->alpn);
  list[0] = (guint8)length;
  memcpy (list + 1, strange->alpn, length);
  g_assert_cmpint (SSL_CTX_set_alpn_protos (context, list, (guint)(1 + length)), ==, 0);
}

void *
quic_strange_new (const QuicStrange *strange, ngtcp2_crypto_conn_ref *ref)
{
  ngtcp2_crypto_ossl_ctx *native;
  SSL_CTX *context;
  SSL *ssl;

  if (strange->certificate != NULL && X509_check_private_key (strange->certificate, strange->key) != 1)
    return NULL;
  context = SSL_CTX_new (strange->is_server ? TLS_server_method () : TLS_client_method ());
  g_assert_nonnull (context);
  SSL_CTX_set_min_proto_version (context, TLS1_3_VERSION);
  SSL_CTX_set_verify (context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_cert_verify_callback (context, accept_anybody, NULL);
  if (strange->alpn != NULL)
    configure_alpn (context, strange);
  if (strange->certificate != NULL)
    {
      g_assert_cmpint (SSL_CTX_use_certificate (context, strange->certificate), ==, 1);
      g_assert_cmpint (SSL_CTX_use_PrivateKey (context, strange->key), ==, 1);
    }
  ssl = SSL_new (context);
  SSL_CTX_free (context); /* the session holds it */
  g_assert_cmpint (ngtcp2_crypto_ossl_ctx_new (&native, ssl), ==, 0);
  SSL_set_app_data (ssl, ref);
  if (strange->is_server)
    {
      SSL_set_accept_state (ssl);
      g_assert_cmpint (ngtcp2_crypto_ossl_configure_server_session (ssl), ==, 0);
    }
  else
    {
      SSL_set_connect_state (ssl);
      g_assert_cmpint (ngtcp2_crypto_ossl_configure_client_session (ssl), ==, 0);
    }
  return native;
}

void
quic_strange_free (void *native)
{
  SSL *ssl = ngtcp2_crypto_ossl_ctx_get_ssl (native);

  SSL_set_app_data (ssl, NULL);
  SSL_free (ssl);
  ngtcp2_crypto_ossl_ctx_del (native);
}
