/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-json-sum.h"

#include <string.h>

#include "base/tl-error.h"

static json_t *
sample (void)
{
  return json_pack ("{s:i, s:s, s:[i, s], s:{s:n}}", "version", 1, "name", "Gr\u00fc\u00dfe", "list", 7, "x", "inner",
                    "nothing");
}

static void
test_round (void)
{
  tl_json_auto object = sample ();
  g_autofree char *pretty = NULL;
  g_autofree char *compact = NULL;
  tl_json_auto again = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (tl_json_check_sum (object, &error)); /* a file of before */
  g_assert_true (tl_json_add_sum (object));
  g_assert_true (tl_json_add_sum (object)); /* replaces it */
  g_assert_true (tl_json_check_sum (object, &error));
  pretty = tl_json_to_pretty_string (object);
  again = tl_json_parse (pretty, -1, 0, &error);
  g_assert_true (tl_json_check_sum (again, &error));
  json_object_set_new (again, "later", json_true ()); /* unknown members count too */
  g_assert_false (tl_json_check_sum (again, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
}

/* Every byte of the text: refused, or the same members. */
static void
test_every_byte (void)
{
  tl_json_auto object = sample ();
  tl_json_auto plain = sample ();
  g_autofree char *text = NULL;

  g_assert_true (tl_json_add_sum (object));
  text = tl_json_to_string (object);
  for (gsize i = 0; text[i] != '\0'; i++)
    for (guint bit = 0; bit < 8; bit++)
      {
        tl_json_auto changed = NULL;
        const char *key;
        json_t *value;

        text[i] = (char)(text[i] ^ (1 << bit));
        changed = tl_json_parse (text, strlen (text) < i ? (gssize)i + 1 : -1, 0, NULL);
        text[i] = (char)(text[i] ^ (1 << bit));
        if (changed == NULL || !tl_json_check_sum (changed, NULL))
          continue;
        /* Only the name of the sum itself may have changed: then it protects nothing, and nothing else changed. */
        g_assert_cmpuint (json_object_size (changed), ==, json_object_size (plain) + 1);
        json_object_foreach (plain, key, value) g_assert_true (json_equal (value, json_object_get (changed, key)));
      }
}

static void
test_no_object (void)
{
  tl_json_auto list = json_array ();

  g_assert_false (tl_json_add_sum (list));
  g_assert_true (tl_json_check_sum (list, NULL));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json-sum/round", test_round);
  g_test_add_func ("/json-sum/every-byte", test_every_byte);
  g_test_add_func ("/json-sum/no-object", test_no_object);
  return g_test_run ();
}
