/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "identity/tl-certificate.h"
#include "rpc/tl-rpc-private.h"

#define REFRESH_SECONDS  1
#define MAX_CERTIFICATES 16 /* in a chain or a set of roots */

/*
 * The watcher opens /proc/self/fd/N again each second. Key and chain are one memfd named twice, so that dup3() replaces
 * both at once; the number N stays ours for as long as the object lives, and so must whoever uses the provider keep the
 * object.
 */
struct _TlRpcIdentity
{
  gatomicrefcount refs;
  pthread_mutex_t lock; /* one replacement at a time */
  int leaf_fd;
  int roots_fd;
  char *gateway_id; /* named by a server leaf; NULL for a device's */
  grpc_tls_certificate_provider *provider;
};

static gboolean
check_certificates (const char *pem, const char *what, GError **error)
{
  g_autoptr (X509) first = tl_certificate_from_pem (pem, -1, error);
  BIO *bio;
  X509 *certificate;
  guint n = 0;

  if (first == NULL)
    {
      g_prefix_error (error, "%s: ", what);
      return FALSE;
    }
  bio = BIO_new_mem_buf (pem, -1);
  while (n <= MAX_CERTIFICATES && (certificate = PEM_read_bio_X509 (bio, NULL, NULL, NULL)) != NULL)
    {
      X509_free (certificate);
      n++;
    }
  BIO_free (bio);
  ERR_clear_error ();
  if (n == 0 || n > MAX_CERTIFICATES)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s: from 1 to %d certificates are expected", what,
                   MAX_CERTIFICATES);
      return FALSE;
    }
  return TRUE;
}

static gboolean
check_key (const char *chain_pem, const TlSecret *key_pem, GError **error)
{
  g_autoptr (X509) leaf = tl_certificate_from_pem (chain_pem, -1, error);
  g_autoptr (EVP_PKEY) key = NULL;
  BIO *bio;
  gboolean fits;

  if (leaf == NULL)
    return FALSE;
  bio = BIO_new_mem_buf (tl_secret_data (key_pem), (int)tl_secret_length (key_pem));
  key = PEM_read_bio_PrivateKey (bio, NULL, NULL, NULL);
  BIO_free (bio);
  fits = key != NULL && X509_check_private_key (leaf, key) == 1;
  ERR_clear_error ();
  if (!fits)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s",
                 key == NULL ? "the private key is not a PEM key" : "the private key does not fit the certificate");
  return fits;
}

static gboolean
write_all (int fd, const void *data, gsize length, GError **error)
{
  const guint8 *at = data;

  while (length > 0)
    {
      gssize written = write (fd, at, length);

      if (written < 0 && errno == EINTR)
        continue;
      if (written <= 0)
        {
          tl_error_set_errno (error, errno, "cannot write to memory");
          return FALSE;
        }
      at += written;
      length -= (gsize)written;
    }
  return TRUE;
}

/* A sealed memfd with first (may be NULL) and then second. -1 on error. */
static int
memory_file (const char *name, const TlSecret *first, const char *second, GError **error)
{
  int fd = memfd_create (name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot make a memory file");
      return -1;
    }
  if ((first != NULL
       && (!write_all (fd, tl_secret_data (first), tl_secret_length (first), error) || !write_all (fd, "\n", 1, error)))
      || !write_all (fd, second, strlen (second), error))
    {
      close (fd);
      return -1;
    }
  if (fcntl (fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    {
      tl_error_set_errno (error, errno, "cannot seal a memory file");
      close (fd);
      return -1;
    }
  return fd;
}

static gboolean
make_files (const char *chain_pem, const TlSecret *key_pem, const char *roots_pem, int *leaf_fd, int *roots_fd,
            GError **error)
{
  int leaf;
  int roots;

  if (!check_certificates (chain_pem, "certificate chain", error) || !check_certificates (roots_pem, "roots", error)
      || !check_key (chain_pem, key_pem, error))
    return FALSE;
  leaf = memory_file ("tl-rpc-leaf", key_pem, chain_pem, error);
  if (leaf < 0)
    return FALSE;
  roots = memory_file ("tl-rpc-roots", NULL, roots_pem, error);
  if (roots < 0)
    {
      close (leaf);
      return FALSE;
    }
  *leaf_fd = leaf;
  *roots_fd = roots;
  return TRUE;
}

TlRpcIdentity *
tl_rpc_identity_new (const char *chain_pem, const TlSecret *key_pem, const char *roots_pem, GError **error)
{
  g_autofree char *leaf_path = NULL;
  g_autofree char *roots_path = NULL;
  g_autoptr (X509) leaf = NULL;
  TlRpcIdentity *identity;
  int leaf_fd;
  int roots_fd;

  if (!make_files (chain_pem, key_pem, roots_pem, &leaf_fd, &roots_fd, error))
    return NULL;

  grpc_init ();
  identity = g_new0 (TlRpcIdentity, 1);
  g_atomic_ref_count_init (&identity->refs);
  pthread_mutex_init (&identity->lock, NULL);
  identity->leaf_fd = leaf_fd;
  identity->roots_fd = roots_fd;
  leaf = tl_certificate_from_pem (chain_pem, -1, NULL); /* make_files() parsed it */
  identity->gateway_id = tl_certificate_get_gateway_id (leaf);
  leaf_path = g_strdup_printf ("/proc/self/fd/%d", leaf_fd);
  roots_path = g_strdup_printf ("/proc/self/fd/%d", roots_fd);
  identity->provider
      = grpc_tls_certificate_provider_file_watcher_create (leaf_path, leaf_path, roots_path, REFRESH_SECONDS);
  return identity;
}

gboolean
tl_rpc_identity_replace (TlRpcIdentity *identity, const char *chain_pem, const TlSecret *key_pem, const char *roots_pem,
                         GError **error)
{
  int leaf_fd;
  int roots_fd;

  if (!make_files (chain_pem, key_pem, roots_pem, &leaf_fd, &roots_fd, error))
    return FALSE;
  pthread_mutex_lock (&identity->lock);
  /* Cannot fail: both numbers are open and the old ones are ours. Roots first: a new CA is trusted before it is shown.
   */
  dup3 (roots_fd, identity->roots_fd, O_CLOEXEC);
  dup3 (leaf_fd, identity->leaf_fd, O_CLOEXEC);
  pthread_mutex_unlock (&identity->lock);
  close (roots_fd);
  close (leaf_fd);
  return TRUE;
}

TlRpcIdentity *
tl_rpc_identity_ref (TlRpcIdentity *identity)
{
  g_atomic_ref_count_inc (&identity->refs);
  return identity;
}

void
tl_rpc_identity_unref (TlRpcIdentity *identity)
{
  if (identity == NULL || !g_atomic_ref_count_dec (&identity->refs))
    return;
  grpc_tls_certificate_provider_release (identity->provider);
  close (identity->leaf_fd);
  close (identity->roots_fd);
  g_free (identity->gateway_id);
  pthread_mutex_destroy (&identity->lock);
  grpc_shutdown_blocking ();
  g_free (identity);
}

const char *
tl_rpc_identity_gateway_id (TlRpcIdentity *identity)
{
  return identity->gateway_id;
}

grpc_tls_certificate_provider *
tl_rpc_identity_provider (TlRpcIdentity *identity)
{
  return identity->provider;
}

GBytes *
tl_rpc_call_peer_certificate (grpc_call *call)
{
  grpc_auth_context *context = grpc_call_auth_context (call);
  grpc_auth_property_iterator iterator;
  const grpc_auth_property *property;
  GBytes *der = NULL;

  if (context == NULL)
    return NULL;
  iterator = grpc_auth_context_find_properties_by_name (context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
  property = grpc_auth_property_iterator_next (&iterator);
  /* Base64 only: PEM_read_bio_X509 per call cut 12-24 k calls/s to 2.3-4 k. */
  if (property != NULL)
    der = tl_certificate_pem_to_der (property->value, property->value_length);
  grpc_auth_context_release (context);
  return der;
}
