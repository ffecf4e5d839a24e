/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fuzz.h"
#include "identity/tl-certificate.h"

/* A request that is accepted carries a P-256 key and nothing larger than the limit. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EVP_PKEY) key = tl_csr_verify (data, size, &error);

  fuzz_assert_answer (key, error);
  if (key != NULL)
    {
      g_autofree char *fingerprint = tl_key_fingerprint (key);

      g_assert_true (tl_key_is_p256 (key) && size <= TL_CSR_MAX_DER);
      g_assert_cmpuint (strlen (fingerprint), ==, 64);
    }
  return 0;
}
