/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-certificate.h"

#include <pthread.h>

struct _TlNodeCertificate
{
  gatomicrefcount refs;
  pthread_mutex_t lock;
  char *fingerprint; /* under the lock, like the end */
  gint64 not_after_ms;
};

TlNodeCertificate *
tl_node_certificate_new (void)
{
  TlNodeCertificate *certificate = g_new0 (TlNodeCertificate, 1);

  g_atomic_ref_count_init (&certificate->refs);
  pthread_mutex_init (&certificate->lock, NULL);
  certificate->fingerprint = g_strdup ("");
  return certificate;
}

TlNodeCertificate *
tl_node_certificate_ref (TlNodeCertificate *certificate)
{
  g_atomic_ref_count_inc (&certificate->refs);
  return certificate;
}

void
tl_node_certificate_unref (TlNodeCertificate *certificate)
{
  if (certificate == NULL || !g_atomic_ref_count_dec (&certificate->refs))
    return;
  pthread_mutex_destroy (&certificate->lock);
  g_free (certificate->fingerprint);
  g_free (certificate);
}

void
tl_node_certificate_set (TlNodeCertificate *certificate, const char *fingerprint, gint64 not_after_ms)
{
  pthread_mutex_lock (&certificate->lock);
  g_free (certificate->fingerprint);
  certificate->fingerprint = g_strdup (fingerprint);
  certificate->not_after_ms = not_after_ms;
  pthread_mutex_unlock (&certificate->lock);
}

void
tl_node_certificate_follow (TlNodeCertificate *certificate, TlDeviceIdentity *identity)
{
  X509 *leaf = tl_device_identity_certificate (identity);
  g_autofree char *fingerprint = tl_certificate_fingerprint (leaf);

  tl_node_certificate_set (certificate, fingerprint, tl_certificate_not_after_ms (leaf));
}

char *
tl_node_certificate_get (TlNodeCertificate *certificate, gint64 *not_after_ms)
{
  char *fingerprint;

  pthread_mutex_lock (&certificate->lock);
  fingerprint = g_strdup (certificate->fingerprint);
  *not_after_ms = certificate->not_after_ms;
  pthread_mutex_unlock (&certificate->lock);
  return fingerprint;
}
