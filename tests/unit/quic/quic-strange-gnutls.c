/* SPDX-License-Identifier: Apache-2.0 */
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <string.h>

#include "quic-strange.h"

static int
accept_anybody (gnutls_session_t native G_GNUC_UNUSED)
{
  return 0;
}

static gnutls_certificate_credentials_t
make_credentials (const QuicStrange *strange)
{
  gnutls_certificate_credentials_t credentials;

  g_assert_cmpint (gnutls_certificate_allocate_credentials (&credentials), ==, 0);
  gnutls_certificate_set_verify_function (credentials, accept_anybody);
  gnutls_certificate_set_flags (credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
  if (strange->certificate != NULL)
    {
      g_autofree char *pem = tl_certificate_to_pem (strange->certificate);
      g_autoptr (TlSecret) key_pem = tl_p256_to_pem (strange->key, NULL);
      gnutls_datum_t chain = { (guint8 *)pem, (guint)strlen (pem) };
      gnutls_datum_t key = { (guint8 *)tl_secret_data (key_pem), (guint)tl_secret_length (key_pem) };

      g_assert_cmpint (gnutls_certificate_set_x509_key_mem (credentials, &chain, &key, GNUTLS_X509_FMT_PEM), >=, 0);
    }
  return credentials;
}

void *
quic_strange_new (const QuicStrange *strange, ngtcp2_crypto_conn_ref *ref)
{
  gnutls_session_t native;
  gnutls_datum_t name = { (guint8 *)strange->alpn, strange->alpn != NULL ? (guint)strlen (strange->alpn) : 0 };

  g_assert_cmpint (gnutls_init (&native, strange->is_server ? GNUTLS_SERVER : GNUTLS_CLIENT), ==, 0);
  gnutls_priority_set_direct (native, "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE", NULL);
  gnutls_session_set_ptr (native, ref);
  if (strange->is_server)
    g_assert_cmpint (ngtcp2_crypto_gnutls_configure_server_session (native), ==, 0);
  else
    g_assert_cmpint (ngtcp2_crypto_gnutls_configure_client_session (native), ==, 0);
  g_assert_cmpint (gnutls_credentials_set (native, GNUTLS_CRD_CERTIFICATE, make_credentials (strange)), ==, 0);
  if (strange->alpn != NULL)
    g_assert_cmpint (gnutls_alpn_set_protocols (native, &name, 1, 0), ==, 0);
  return native;
}

void
quic_strange_free (void *native)
{
  void *credentials;

  g_assert_cmpint (gnutls_credentials_get (native, GNUTLS_CRD_CERTIFICATE, &credentials), ==, 0);
  gnutls_deinit (native);
  gnutls_certificate_free_credentials (credentials);
}
