/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-json.h"
#include "fuzz.h"

/* The input in a block of its own size: a byte read behind it is one that the sanitizer sees. */
static json_t *
parse (const char *text, gsize length)
{
  g_autoptr (GError) error = NULL;
  json_t *value = tl_json_parse (text, (gssize)length, 0, &error);

  fuzz_assert_answer (value, error);
  return value;
}

static void
assert_reads_again (const json_t *value, char *text)
{
  g_autofree char *owned = text;
  tl_json_auto again = parse (owned, strlen (owned));

  g_assert_true (again != NULL && json_equal (value, again));
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  tl_json_auto value = parse ((const char *)data, size);
  const char *text;
  gint64 number;
  gboolean flag;

  if (value == NULL)
    return 0;
  assert_reads_again (value, tl_json_to_string (value));
  assert_reads_again (value, tl_json_to_pretty_string (value));
  if (tl_json_get_string (value, "s", TRUE, &text, NULL))
    g_assert_true (g_utf8_validate (text, -1, NULL));
  if (tl_json_get_int (value, "i", TRUE, -5, 5, 0, &number, NULL))
    g_assert_true (number >= -5 && number <= 5);
  (void)tl_json_get_bool (value, "b", TRUE, &flag, NULL);
  return 0;
}
