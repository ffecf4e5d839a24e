/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/tl-error.h"
#include "crypto/tl-hash.h"
#include "identity/tl-certificate.h"
#include "quic/tl-quic-tls-backend.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BIO, BIO_free_all)

static GPtrArray *
read_chain (const char *pem, GError **error)
{
  g_autoptr (X509) first = tl_certificate_from_pem (pem, -1, error); /* within our limits, as others look at it */
  g_autoptr (GPtrArray) chain = g_ptr_array_new_with_free_func ((GDestroyNotify)X509_free);
  g_autoptr (BIO) bio = BIO_new_mem_buf (pem, -1);
  X509 *certificate;

  if (first == NULL)
    {
      g_prefix_error (error, "certificate chain for QUIC: ");
      return NULL;
    }
  while (chain->len <= TL_QUIC_TLS_MAX_CHAIN && (certificate = PEM_read_bio_X509 (bio, NULL, NULL, NULL)) != NULL)
    g_ptr_array_add (chain, certificate);
  ERR_clear_error ();
  if (chain->len == 0 || chain->len > TL_QUIC_TLS_MAX_CHAIN)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "certificate chain for QUIC: from 1 to %d certificates are expected", TL_QUIC_TLS_MAX_CHAIN);
      return NULL;
    }
  return g_steal_pointer (&chain);
}

/* Nobody types a passphrase into a daemon: an encrypted key is one that cannot be read. */
static int
no_passphrase (char *buffer G_GNUC_UNUSED, int size G_GNUC_UNUSED, int writing G_GNUC_UNUSED,
               void *user_data G_GNUC_UNUSED)
{
  return -1;
}

static EVP_PKEY *
read_key (const TlSecret *pem, X509 *leaf, GError **error)
{
  g_autoptr (BIO) bio = BIO_new_mem_buf (tl_secret_data (pem), (int)tl_secret_length (pem));
  g_autoptr (EVP_PKEY) key = PEM_read_bio_PrivateKey (bio, NULL, no_passphrase, NULL);
  gboolean fits = key != NULL && X509_check_private_key (leaf, key) == 1;

  ERR_clear_error ();
  if (fits)
    return g_steal_pointer (&key);
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s",
               key == NULL ? "the private key for QUIC is not a PEM key"
                           : "the private key for QUIC does not fit the certificate");
  return NULL;
}

TlQuicTls *
tl_quic_tls_new (const TlQuicTlsOptions *options, GError **error)
{
  g_autoptr (GPtrArray) chain = read_chain (options->chain_pem, error);
  g_autoptr (EVP_PKEY) key = NULL;
  TlQuicTlsContext *context;
  TlQuicTls *tls;

  if (chain == NULL)
    return NULL;
  key = read_key (options->key_pem, g_ptr_array_index (chain, 0), error);
  if (key == NULL)
    return NULL;
  context = tl_quic_tls_context_new (options->is_server, chain, key, options->key_pem, error);
  if (context == NULL)
    return NULL;
  tls = g_new0 (TlQuicTls, 1);
  g_atomic_ref_count_init (&tls->refs);
  tls->is_server = options->is_server;
  tls->verify = options->verify;
  tls->verify_data = options->verify_data;
  tls->verify_data_free = options->verify_data_free;
  tls->context = context;
  return tls;
}

TlQuicTls *
tl_quic_tls_ref (TlQuicTls *tls)
{
  g_atomic_ref_count_inc (&tls->refs);
  return tls;
}

void
tl_quic_tls_unref (TlQuicTls *tls)
{
  if (tls == NULL || !g_atomic_ref_count_dec (&tls->refs))
    return;
  tl_quic_tls_context_free (tls->context);
  if (tls->verify_data_free != NULL)
    tls->verify_data_free (tls->verify_data);
  g_free (tls);
}

/* ---- sessions */

static ngtcp2_conn *
get_connection (ngtcp2_crypto_conn_ref *ref)
{
  ngtcp2_crypto_conn_ref *outer = ((TlQuicTlsSession *)ref)->outer;

  return outer->get_conn (outer);
}

TlQuicTlsSession *
tl_quic_tls_session_new (TlQuicTls *tls, ngtcp2_crypto_conn_ref *ref, const char *address, GError **error)
{
  TlQuicTlsSession *session = g_new0 (TlQuicTlsSession, 1);

  session->ref.get_conn = get_connection;
  session->ref.user_data = session;
  session->outer = ref;
  session->tls = tl_quic_tls_ref (tls);
  session->address = g_strdup (address);
  session->native = tl_quic_tls_native_new (session, error);
  if (session->native == NULL)
    g_clear_pointer (&session, tl_quic_tls_session_free);
  return session;
}

void
tl_quic_tls_session_free (TlQuicTlsSession *session)
{
  if (session == NULL)
    return;
  if (session->native != NULL)
    tl_quic_tls_native_free (session->native);
  tl_quic_tls_unref (session->tls);
  g_free (session->address);
  g_free (session);
}

void *
tl_quic_tls_session_native (TlQuicTlsSession *session)
{
  return session->native;
}

guint8
tl_quic_tls_session_alert (const TlQuicTlsSession *session)
{
  return session->alert;
}

const char *
tl_quic_tls_session_fingerprint (const TlQuicTlsSession *session)
{
  return session->fingerprint;
}

gboolean
tl_quic_tls_session_refuse (TlQuicTlsSession *session, guint8 alert)
{
  if (session->alert == TL_QUIC_ALERT_NONE)
    session->alert = alert;
  return FALSE;
}

gboolean
tl_quic_tls_session_check (TlQuicTlsSession *session, const guint8 *leaf_der, gsize length)
{
  TlQuicPeerCertificate peer = { .leaf_der = leaf_der, .leaf_length = length, .address = session->address };
  g_autofree char *fingerprint = NULL;
  guint8 alert;

  if (length > TL_CERTIFICATE_MAX_DER)
    return tl_quic_tls_session_refuse (session, TL_QUIC_ALERT_BAD_CERTIFICATE);
  fingerprint = tl_fingerprint (leaf_der, length);
  g_strlcpy (session->fingerprint, fingerprint, sizeof session->fingerprint);
  g_strlcpy (peer.fingerprint, fingerprint, sizeof peer.fingerprint);
  alert = session->tls->verify (&peer, session->tls->verify_data);
  return alert == TL_QUIC_ALERT_NONE || tl_quic_tls_session_refuse (session, alert);
}
