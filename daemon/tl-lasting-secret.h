/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-random.h"
#include "identity/tl-secret-store.h"

G_BEGIN_DECLS

#define TL_LASTING_SECRET_LENGTH 32

/* 32 random bytes in the secret store that are made on the first start and stay. Blocks. CORRUPT: it has another size.
 * Thread: main, at start. */
TlSecret *tl_lasting_secret_load (TlSecretStore *secrets, const char *name, TlRandom *random, GError **error);

G_END_DECLS
