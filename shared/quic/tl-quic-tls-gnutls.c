/* SPDX-License-Identifier: Apache-2.0 */
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "base/tl-error.h"
#include "identity/tl-certificate.h"
#include "quic/tl-quic-tls-backend.h"
#include "tl-config-build.h"

/* TLS 1.3 only (RFC 9001, 4.2); without compatibility mode, which RFC 9001 (8.4) forbids. */
#define PRIORITIES                                                                                                     \
  "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-GROUP-ALL:+GROUP-X25519:"   \
  "+GROUP-SECP256R1:%DISABLE_TLS13_COMPAT_MODE"

struct _TlQuicTlsContext
{
  gnutls_certificate_credentials_t credentials;
  gnutls_priority_t priorities;
  gnutls_privkey_t key;
  gnutls_pcert_st chain[TL_QUIC_TLS_MAX_CHAIN];
  guint n_chain;
};

static TlQuicTlsSession *
session_of (gnutls_session_t native)
{
  return gnutls_session_get_ptr (native); /* its `ref`, which is its first member */
}

/* ---- callbacks of a handshake */

/* GnuTLS by itself shows nothing to a server whose list of CAs has not ours. We have one identity and always show it.
 */
static int
choose_certificate (gnutls_session_t native, const gnutls_datum_t *cas G_GNUC_UNUSED, int n_cas G_GNUC_UNUSED,
                    const gnutls_pk_algorithm_t *algorithms G_GNUC_UNUSED, int n_algorithms G_GNUC_UNUSED,
                    gnutls_pcert_st **chain, guint *n_chain, gnutls_privkey_t *key)
{
  TlQuicTlsContext *context = session_of (native)->tls->context;

  *chain = context->chain;
  *n_chain = context->n_chain;
  *key = context->key;
  return 0;
}

static gboolean
has_protocol (gnutls_session_t native)
{
  gnutls_datum_t selected;

  return gnutls_alpn_get_selected_protocol (native, &selected) == 0;
}

/* GNUTLS_ALPN_MANDATORY refuses a client with other protocols, but not one with none (RFC 9001, 8.1 does). */
static int
after_client_hello (gnutls_session_t native)
{
  return has_protocol (native) ? 0 : GNUTLS_E_NO_APPLICATION_PROTOCOL;
}

/* RFC 9001, 6: a KeyUpdate message is an error, QUIC changes keys by itself. GnuTLS would follow it, and ngtcp2 aborts
 * when it is given keys once more. */
static int
refuse_key_update (TlQuicTlsSession *session)
{
  tl_quic_tls_session_refuse (session, TL_QUIC_ALERT_UNEXPECTED_MESSAGE);
  return GNUTLS_E_UNEXPECTED_HANDSHAKE_PACKET;
}

/* A session has one hook, for all messages. */
static int
on_message (gnutls_session_t native, guint type, guint when, guint incoming, const gnutls_datum_t *message)
{
  if (type == GNUTLS_HANDSHAKE_KEY_UPDATE && incoming != 0)
    return refuse_key_update (session_of (native));
  if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO && when == GNUTLS_HOOK_POST && incoming != 0)
    return after_client_hello (native);
  return 0;
}

/* Comes after EncryptedExtensions, so that a client sees here whether its server chose a protocol. */
static int
verify_peer (gnutls_session_t native)
{
  TlQuicTlsSession *session = session_of (native);
  guint n = 0;
  const gnutls_datum_t *peers = gnutls_certificate_get_peers (native, &n);

  if (!has_protocol (native))
    {
      tl_quic_tls_session_refuse (session, TL_QUIC_ALERT_NO_APPLICATION_PROTOCOL);
      return GNUTLS_E_NO_APPLICATION_PROTOCOL;
    }
  if (peers == NULL || n == 0)
    {
      tl_quic_tls_session_refuse (session, TL_QUIC_ALERT_CERTIFICATE_REQUIRED);
      return GNUTLS_E_CERTIFICATE_REQUIRED;
    }
  return tl_quic_tls_session_check (session, peers[0].data, peers[0].size) ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

/* Every alert of ours passes here on its way to ngtcp2. GnuTLS has one for every reason to refuse a certificate (42);
 * the verify function's is exact. */
static int
read_alert (gnutls_session_t native, gnutls_record_encryption_level_t level G_GNUC_UNUSED,
            gnutls_alert_level_t alert_level G_GNUC_UNUSED, gnutls_alert_description_t alert)
{
  TlQuicTlsSession *session = session_of (native);

  tl_quic_tls_session_refuse (session, (guint8)alert);
  ngtcp2_conn_set_tls_alert (session->ref.get_conn (&session->ref), session->alert);
  return 0;
}

/* ---- context */

static gboolean
failed (int result, const char *what, GError **error)
{
  if (result >= 0)
    return FALSE;
  g_set_error (error, TL_ERROR, TL_ERROR_INTERNAL, "%s: %s", what, gnutls_strerror (result));
  return TRUE;
}

static gboolean
load_identity (TlQuicTlsContext *context, GPtrArray *chain, const TlSecret *key_pem, GError **error)
{
  gnutls_datum_t key = { (guint8 *)tl_secret_data (key_pem), (guint)tl_secret_length (key_pem) };

  for (guint i = 0; i < chain->len; i++)
    {
      g_autoptr (GBytes) der = tl_certificate_to_der (g_ptr_array_index (chain, i));
      gnutls_datum_t datum = { (guint8 *)g_bytes_get_data (der, NULL), (guint)g_bytes_get_size (der) };

      if (failed (gnutls_pcert_import_x509_raw (&context->chain[i], &datum, GNUTLS_X509_FMT_DER, 0),
                  "cannot load a certificate", error))
        return FALSE;
      context->n_chain = i + 1;
    }
  return !failed (gnutls_privkey_init (&context->key), "cannot load a private key", error)
         && !failed (gnutls_privkey_import_x509_raw (context->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0),
                     "cannot load a private key", error);
}

TlQuicTlsContext *
tl_quic_tls_context_new (gboolean is_server G_GNUC_UNUSED, GPtrArray *chain, EVP_PKEY *key G_GNUC_UNUSED,
                         const TlSecret *key_pem, GError **error)
{
  TlQuicTlsContext *context = g_new0 (TlQuicTlsContext, 1);

  if (failed (gnutls_priority_init (&context->priorities, PRIORITIES, NULL), "cannot set up TLS", error)
      || failed (gnutls_certificate_allocate_credentials (&context->credentials), "cannot set up TLS", error)
      || !load_identity (context, chain, key_pem, error))
    {
      tl_quic_tls_context_free (context);
      return NULL;
    }
  gnutls_certificate_set_retrieve_function2 (context->credentials, choose_certificate);
  gnutls_certificate_set_verify_function (context->credentials, verify_peer);
  return context;
}

void
tl_quic_tls_context_free (TlQuicTlsContext *context)
{
  if (context == NULL)
    return;
  if (context->credentials != NULL)
    gnutls_certificate_free_credentials (context->credentials);
  if (context->priorities != NULL)
    gnutls_priority_deinit (context->priorities);
  if (context->key != NULL)
    gnutls_privkey_deinit (context->key);
  for (guint i = 0; i < context->n_chain; i++)
    gnutls_pcert_deinit (&context->chain[i]);
  g_free (context);
}

/* ---- session */

static int
configure_server (gnutls_session_t native)
{
  gnutls_certificate_server_set_request (native, GNUTLS_CERT_REQUIRE);
  /* Not listing our CA makes clients that look for it show what they have: then the refusal says what is wrong. */
  gnutls_certificate_send_x509_rdn_sequence (native, 1);
  return ngtcp2_crypto_gnutls_configure_server_session (native);
}

static int
configure (gnutls_session_t native, TlQuicTlsSession *session)
{
  static const char name[] = TL_NAME_ALPN;
  gnutls_datum_t protocol = { (guint8 *)name, sizeof name - 1 };
  TlQuicTlsContext *context = session->tls->context;
  guint flags = GNUTLS_ALPN_MANDATORY | (session->tls->is_server ? GNUTLS_ALPN_SERVER_PRECEDENCE : 0);
  int result = gnutls_priority_set (native, context->priorities);

  gnutls_session_set_ptr (native, &session->ref);
  gnutls_handshake_set_hook_function (native, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH, on_message);
  gnutls_handshake_set_max_packet_length (native, TL_QUIC_TLS_MAX_HANDSHAKE);
  if (result == 0)
    result
        = session->tls->is_server ? configure_server (native) : ngtcp2_crypto_gnutls_configure_client_session (native);
  if (result == 0)
    result = gnutls_credentials_set (native, GNUTLS_CRD_CERTIFICATE, context->credentials);
  if (result == 0)
    result = gnutls_alpn_set_protocols (native, &protocol, 1, flags);
  gnutls_alert_set_read_function (native, read_alert); /* after ngtcp2's, which it stands for */
  return result;
}

void *
tl_quic_tls_native_new (TlQuicTlsSession *session, GError **error)
{
  gnutls_session_t native = NULL;
  /* No tickets: a resumed handshake would not ask the verify function (PROTOCOL 1). */
  guint flags = GNUTLS_NO_TICKETS | GNUTLS_NO_AUTO_SEND_TICKET;
  int result = gnutls_init (&native, flags | (session->tls->is_server ? GNUTLS_SERVER : GNUTLS_CLIENT));

  if (result == 0)
    result = configure (native, session);
  if (!failed (MIN (result, 0), "cannot set up a TLS session", error))
    return native;
  if (native != NULL)
    gnutls_deinit (native);
  return NULL;
}

void
tl_quic_tls_native_free (void *native)
{
  gnutls_deinit (native);
}

const char *
tl_quic_tls_backend (void)
{
  return "gnutls";
}

const char *
tl_quic_tls_version (void)
{
  return gnutls_check_version (NULL);
}
