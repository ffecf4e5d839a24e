/* SPDX-License-Identifier: Apache-2.0 */
#include "bench-bare-tls.h"

#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <string.h>

#include "base/tl-error.h"

#define ALPN "twinlatch/1"

static const char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"
                                 "+CHACHA20-POLY1305:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:"
                                 "%DISABLE_TLS13_COMPAT_MODE";

struct _BenchBareTls
{
  gboolean is_server;
  gnutls_certificate_credentials_t credentials;
  gnutls_priority_t priority;
};

static int
accept_any (gnutls_session_t session)
{
  return 0;
}

static int
verify_chain (gnutls_session_t session)
{
  unsigned status = 0;

  return gnutls_certificate_verify_peers2 (session, &status) == 0 && status == 0 ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

static int
load (BenchBareTls *tls, const char *chain_pem, const TlSecret *key_pem, const char *roots_pem)
{
  const gnutls_datum_t chain = { (unsigned char *)chain_pem, (unsigned)strlen (chain_pem) };
  const gnutls_datum_t key = { (unsigned char *)tl_secret_data (key_pem), (unsigned)tl_secret_length (key_pem) };
  int result = gnutls_priority_init (&tls->priority, priorities, NULL);

  if (result >= 0)
    result = gnutls_certificate_allocate_credentials (&tls->credentials);
  if (result >= 0)
    result = gnutls_certificate_set_x509_key_mem (tls->credentials, &chain, &key, GNUTLS_X509_FMT_PEM);
  if (result >= 0 && roots_pem != NULL)
    {
      const gnutls_datum_t roots = { (unsigned char *)roots_pem, (unsigned)strlen (roots_pem) };

      result = gnutls_certificate_set_x509_trust_mem (tls->credentials, &roots, GNUTLS_X509_FMT_PEM);
    }
  return result;
}

BenchBareTls *
bench_bare_tls_new (gboolean is_server, const char *chain_pem, const TlSecret *key_pem, const char *roots_pem,
                    GError **error)
{
  g_autoptr (BenchBareTls) tls = g_new0 (BenchBareTls, 1);
  int result = load (tls, chain_pem, key_pem, roots_pem);

  if (result < 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INTERNAL, "the bare endpoint's certificate: %s", gnutls_strerror (result));
      return NULL;
    }
  tls->is_server = is_server;
  gnutls_certificate_set_verify_function (tls->credentials, roots_pem != NULL ? verify_chain : accept_any);
  return g_steal_pointer (&tls);
}

void
bench_bare_tls_free (BenchBareTls *tls)
{
  if (tls == NULL)
    return;
  if (tls->credentials != NULL)
    gnutls_certificate_free_credentials (tls->credentials);
  if (tls->priority != NULL)
    gnutls_priority_deinit (tls->priority);
  g_free (tls);
}

gnutls_session_t
bench_bare_tls_session (BenchBareTls *tls, ngtcp2_crypto_conn_ref *ref)
{
  const gnutls_datum_t alpn = { (unsigned char *)ALPN, sizeof ALPN - 1 };
  const unsigned flags = GNUTLS_NO_TICKETS | GNUTLS_NO_AUTO_SEND_TICKET;
  gnutls_session_t session = NULL;

  if (gnutls_init (&session, flags | (tls->is_server ? GNUTLS_SERVER : GNUTLS_CLIENT)) < 0)
    return NULL;
  gnutls_priority_set (session, tls->priority);
  if (tls->is_server)
    {
      ngtcp2_crypto_gnutls_configure_server_session (session);
      gnutls_certificate_server_set_request (session, GNUTLS_CERT_REQUIRE);
      gnutls_certificate_send_x509_rdn_sequence (session, 1); /* no list of CAs: any certificate may be sent */
    }
  else
    ngtcp2_crypto_gnutls_configure_client_session (session);
  gnutls_session_set_ptr (session, ref);
  gnutls_credentials_set (session, GNUTLS_CRD_CERTIFICATE, tls->credentials);
  gnutls_alpn_set_protocols (session, &alpn, 1, GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
  return session;
}
