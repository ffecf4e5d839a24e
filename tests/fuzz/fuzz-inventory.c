/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "daemon/tl-inventory.h"
#include "fuzz.h"

#define NOW     G_GINT64_CONSTANT (1800000000000)
#define GATEWAY "01JD0000000000000000000GTW"

/* Any node-runtime.v1.json: what is taken can be written, and what is written is taken again with as many of each. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlInventory) inventory = tl_inventory_parse ((const char *)data, size, NOW, random, &error);
  g_autoptr (TlInventory) again = NULL;
  g_autofree char *text = NULL;
  gsize length;

  fuzz_assert_answer (inventory, error);
  if (inventory == NULL)
    {
      g_assert_true (tl_error_is (error, TL_ERROR_INVALID_ARGUMENT)
                     || tl_error_is (error, TL_ERROR_RESOURCE_EXHAUSTED));
      return 0;
    }
  text = tl_inventory_to_text (inventory, GATEWAY, NOW, &length);
  again = tl_inventory_parse (text, length, NOW, random, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (again->nodes->len, ==, inventory->nodes->len);
  g_assert_cmpuint (again->pairings->len, ==, inventory->pairings->len);
  g_assert_cmpuint (again->requests->len, ==, inventory->requests->len);
  return 0;
}
