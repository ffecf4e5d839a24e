/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-lasting-secret.h"

#include "base/tl-error.h"

TlSecret *
tl_lasting_secret_load (TlSecretStore *secrets, const char *name, TlRandom *random, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (TlSecret) secret = tl_secret_store_lookup_sync (secrets, name, &local);

  if (secret == NULL && !tl_error_is_not_found (local))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
  if (secret == NULL)
    {
      secret = tl_secret_new (TL_LASTING_SECRET_LENGTH);
      tl_random_bytes (random, tl_secret_data_mut (secret), TL_LASTING_SECRET_LENGTH);
      if (!tl_secret_store_store_sync (secrets, name, secret, error))
        return NULL;
    }
  if (tl_secret_length (secret) != TL_LASTING_SECRET_LENGTH)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "secret '%s' has the wrong size; restore it from a backup", name);
      return NULL;
    }
  return g_steal_pointer (&secret);
}
