/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "identity/tl-secret-store-private.h"

typedef struct
{
  TlSecretStore base;
  GHashTable *values; /* name -> TlSecret; the store calls one at a time */
} MemoryStore;

static TlSecret *
memory_lookup (TlSecretStore *store, const char *name, GError **error)
{
  TlSecret *value = g_hash_table_lookup (((MemoryStore *)store)->values, name);

  if (value != NULL)
    return tl_secret_ref (value);
  g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "no secret named \"%s\"", name);
  return NULL;
}

static gboolean
memory_save (TlSecretStore *store, const char *name, TlSecret *value, GError **error)
{
  (void)error;
  g_hash_table_replace (((MemoryStore *)store)->values, g_strdup (name), tl_secret_ref (value));
  return TRUE;
}

static gboolean
memory_remove (TlSecretStore *store, const char *name, GError **error)
{
  (void)error;
  g_hash_table_remove (((MemoryStore *)store)->values, name);
  return TRUE;
}

static void
memory_finalize (TlSecretStore *store)
{
  g_hash_table_unref (((MemoryStore *)store)->values);
  g_free (store);
}

TlSecretStore *
tl_secret_store_new_memory (void)
{
  static const TlSecretStoreBackend backend = { memory_lookup, memory_save, memory_remove, memory_finalize };
  MemoryStore *memory = g_new0 (MemoryStore, 1);

  tl_secret_store_init (&memory->base, &backend, FALSE);
  memory->values = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)tl_secret_unref);
  return &memory->base;
}
