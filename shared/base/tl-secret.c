/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_SECRET_BYTES ((gsize)1024 * 1024)

/* Each secret has pages of its own: locking, dumping and forking are decided by page, and a secret that shared one with
 * ordinary memory would drag that along (or be unlocked by its neighbour). Secrets are few. */
struct _TlSecret
{
  atomic_int refs;
  gsize length;
  gsize mapped;
  guint8 *data;
};

static gsize
round_to_pages (gsize length)
{
  gsize page = (gsize)sysconf (_SC_PAGESIZE);

  return (length + page - 1) / page * page;
}

TlSecret *
tl_secret_new (gsize length)
{
  TlSecret *secret;
  gsize mapped = round_to_pages (length + 1);
  void *data;

  g_assert (length <= MAX_SECRET_BYTES);

  data = mmap (NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED)
    g_error ("out of memory for a secret of %" G_GSIZE_FORMAT " bytes", length);

  /* Best effort: RLIMIT_MEMLOCK or an old kernel may refuse, and the secret is needed all the same. */
  (void)mlock (data, mapped);
  (void)madvise (data, mapped, MADV_DONTDUMP);
  (void)madvise (data, mapped, MADV_WIPEONFORK);

  secret = g_new0 (TlSecret, 1);
  atomic_init (&secret->refs, 1);
  secret->length = length;
  secret->mapped = mapped;
  secret->data = data;
  return secret;
}

TlSecret *
tl_secret_new_copy (const void *data, gsize length)
{
  TlSecret *secret = tl_secret_new (length);

  if (length > 0)
    memcpy (secret->data, data, length);
  return secret;
}

TlSecret *
tl_secret_ref (TlSecret *secret)
{
  atomic_fetch_add_explicit (&secret->refs, 1, memory_order_relaxed);
  return secret;
}

void
tl_secret_unref (TlSecret *secret)
{
  if (secret == NULL || atomic_fetch_sub_explicit (&secret->refs, 1, memory_order_acq_rel) > 1)
    return;

  tl_wipe (secret->data, secret->length);
  munmap (secret->data, secret->mapped);
  g_free (secret);
}

gsize
tl_secret_length (const TlSecret *secret)
{
  return secret->length;
}

const guint8 *
tl_secret_data (const TlSecret *secret)
{
  return secret->data;
}

guint8 *
tl_secret_data_mut (TlSecret *secret)
{
  return secret->data;
}

gboolean
tl_secret_equal (const TlSecret *a, const TlSecret *b)
{
  return a->length == b->length && tl_memory_equal (a->data, b->data, a->length);
}

gboolean
tl_memory_equal (const void *a, const void *b, gsize length)
{
  return length == 0 || CRYPTO_memcmp (a, b, length) == 0;
}

TlSecret *
tl_secret_slice (const TlSecret *secret, gsize offset, gsize length)
{
  g_assert (offset <= secret->length && length <= secret->length - offset);

  return tl_secret_new_copy (secret->data + offset, length);
}

void
tl_wipe (void *data, gsize length)
{
  if (length > 0)
    OPENSSL_cleanse (data, length);
}

void
tl_wipe_string (char *text)
{
  if (text == NULL)
    return;
  tl_wipe (text, strlen (text));
  g_free (text);
}

void
tl_secret_harden_process (void)
{
  const struct rlimit none = { 0, 0 };

  if (prctl (PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    g_warning ("cannot make the process undumpable: %s", g_strerror (errno));
  if (setrlimit (RLIMIT_CORE, &none) != 0)
    g_warning ("cannot switch core dumps off: %s", g_strerror (errno));
}
