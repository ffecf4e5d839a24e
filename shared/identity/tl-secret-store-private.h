/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "identity/tl-secret-store.h"

G_BEGIN_DECLS

/*
 * A back end of TlSecretStore: blocking functions, called one at a time and in the order of the requests, on a thread
 * of the store's own. Names and sizes are checked before. A back end's struct starts with a TlSecretStore.
 */
typedef struct
{
  TlSecret *(*lookup) (TlSecretStore *store, const char *name, GError **error);
  gboolean (*save) (TlSecretStore *store, const char *name, TlSecret *value, GError **error);
  gboolean (*remove) (TlSecretStore *store, const char *name, GError **error);
  void (*finalize) (TlSecretStore *store); /* frees the back end's struct as well */
} TlSecretStoreBackend;

struct _TlSecretStore
{
  const TlSecretStoreBackend *backend;
  gboolean encrypted;
  gatomicrefcount references;
  pthread_mutex_t lock; /* pending, working */
  GQueue pending;       /* GTask */
  gboolean working;     /* a thread empties `pending` */
};

void tl_secret_store_init (TlSecretStore *store, const TlSecretStoreBackend *backend, gboolean encrypted);

G_END_DECLS
