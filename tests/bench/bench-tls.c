/* SPDX-License-Identifier: Apache-2.0 */
#include "bench-tls.h"

#include <openssl/ssl.h>

#include "base/tl-error.h"
#include "bench-report.h"

#define MAX_TURNS 16 /* a handshake takes three */

struct _BenchTls
{
  SSL_CTX *server, *client;
};

static SSL_CTX *
make_context (const SSL_METHOD *method, BenchPki *pki, X509 *leaf, EVP_PKEY *key, GError **error)
{
  SSL_CTX *context = SSL_CTX_new (method);
  X509 *ca = tl_certificate_authority_certificate (pki->ca);

  if (context == NULL || SSL_CTX_set_min_proto_version (context, TLS1_3_VERSION) != 1
      || SSL_CTX_set1_groups_list (context, "P-256") != 1 || SSL_CTX_use_certificate (context, leaf) != 1
      || SSL_CTX_use_PrivateKey (context, key) != 1 || X509_STORE_add_cert (SSL_CTX_get_cert_store (context), ca) != 1)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "TLS in memory");
      SSL_CTX_free (context);
      return NULL;
    }
  SSL_CTX_set_verify (context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  SSL_CTX_set_session_cache_mode (context, SSL_SESS_CACHE_OFF);
  return context;
}

static SSL_CTX *
make_client (BenchPki *pki, GError **error)
{
  g_autoptr (BenchDevice) device = bench_pki_new_device (pki, error);
  g_autoptr (TlSecret) pem = device != NULL ? tl_device_identity_key_pem (device->identity, error) : NULL;
  g_autoptr (EVP_PKEY) key = NULL;
  BIO *bio;

  if (pem == NULL)
    return NULL;
  bio = BIO_new_mem_buf (tl_secret_data (pem), (int)tl_secret_length (pem));
  key = PEM_read_bio_PrivateKey (bio, NULL, NULL, NULL);
  BIO_free (bio);
  return make_context (TLS_client_method (), pki, tl_device_identity_certificate (device->identity), key, error);
}

BenchTls *
bench_tls_new (BenchPki *pki, GError **error)
{
  g_autoptr (BenchTls) tls = g_new0 (BenchTls, 1);

  tls->server = make_context (TLS_server_method (), pki, pki->server_leaf, pki->server_key, error);
  if (tls->server == NULL || (tls->client = make_client (pki, error)) == NULL)
    return NULL;
  return g_steal_pointer (&tls);
}

void
bench_tls_free (BenchTls *tls)
{
  if (tls == NULL)
    return;
  SSL_CTX_free (tls->server);
  SSL_CTX_free (tls->client);
  g_free (tls);
}

static gboolean
is_waiting (SSL *ssl, int result)
{
  return result == 1 || SSL_get_error (ssl, result) == SSL_ERROR_WANT_READ;
}

static gboolean
shake_hands (SSL *server, SSL *client, double *server_seconds)
{
  for (guint turn = 0; turn < MAX_TURNS; turn++)
    {
      int client_result = SSL_do_handshake (client);
      double began = bench_now ();
      int server_result = SSL_do_handshake (server);

      *server_seconds += bench_now () - began;
      if (!is_waiting (client, client_result) || !is_waiting (server, server_result))
        return FALSE;
      if (client_result == 1 && server_result == 1)
        return TRUE;
    }
  return FALSE;
}

static gboolean
run_one (BenchTls *tls, BenchTlsTimes *times)
{
  SSL *server = SSL_new (tls->server), *client = SSL_new (tls->client);
  BIO *server_end = NULL, *client_end = NULL;
  gboolean done = FALSE;

  if (server != NULL && client != NULL && BIO_new_bio_pair (&server_end, 0, &client_end, 0) == 1)
    {
      SSL_set_bio (server, server_end, server_end);
      SSL_set_bio (client, client_end, client_end);
      SSL_set_accept_state (server);
      SSL_set_connect_state (client);
      done = shake_hands (server, client, &times->server_seconds);
    }
  SSL_free (server);
  SSL_free (client);
  return done;
}

gboolean
bench_tls_run (BenchTls *tls, guint count, BenchTlsTimes *times, GError **error)
{
  double began = bench_now ();

  for (guint i = 0; i < count; i++)
    if (!run_one (tls, times))
      {
        tl_error_set_openssl (error, TL_ERROR_INTERNAL, "TLS handshake in memory");
        return FALSE;
      }
  times->count += count;
  times->seconds += bench_now () - began;
  return TRUE;
}
