/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/cli/tl-exec-output.h"
#include "base/tl-error.h"

static void
test_input_is_verbatim (void)
{
  g_autofree char *absent = tl_exec_input (NULL, NULL);
  g_autofree char *spaced = tl_exec_input ("{ \"b\" : 1.0 , \"a\":2 }", NULL);
  g_autofree char *scalar = tl_exec_input ("7", NULL);

  g_assert_cmpstr (absent, ==, "{}");
  g_assert_cmpstr (spaced, ==, "{ \"b\" : 1.0 , \"a\":2 }"); /* its bytes are hashed */
  g_assert_cmpstr (scalar, ==, "7");
}

static void
test_input_errors (void)
{
  const struct
  {
    const char *text;
    const char *place;
  } rows[] = {
    { "{", "line 1" },
    { "{\n  \"a\": nope\n}", "line 2, column" },
    { "{\"a\":1,\"a\":2}", "line 1" },
    { "", "line 1" },
    { "{} x", "line 1" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *input = tl_exec_input (rows[i].text, &error);

      g_assert_null (input);
      g_assert_cmpint (tl_error_to_exit_code (error), ==, TL_EXIT_USAGE);
      if (g_strstr_len (error->message, -1, rows[i].place) == NULL)
        g_error ("'%s' is not in: %s", rows[i].place, error->message);
    }
}

static void
assert_raw (const char *output, const void *expected, gsize length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = tl_exec_raw_output (output, &error);

  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), expected, length);
}

static void
test_raw (void)
{
  g_autoptr (GError) error = NULL;

  assert_raw ("{\"encoding\":\"utf-8\",\"data\":\"a\\n\\u00e9\"}", "a\n\xc3\xa9", 4);
  assert_raw ("{\"encoding\":\"base64\",\"data\":\"AP/+Cg==\"}", "\x00\xff\xfe\x0a", 4);
  assert_raw ("{\"encoding\":\"base64\",\"data\":\"\"}", "", 0);
  assert_raw ("\"text\"", "text", 4);
  assert_raw ("{\"a\": 1}", "{\"a\": 1}", strlen ("{\"a\": 1}"));
  g_assert_null (tl_exec_raw_output ("{\"encoding\":\"rot13\",\"data\":\"x\"}", &error));
  g_assert_true (tl_error_is (error, TL_ERROR_UNSUPPORTED));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cli/exec-output/input-is-verbatim", test_input_is_verbatim);
  g_test_add_func ("/cli/exec-output/input-errors", test_input_errors);
  g_test_add_func ("/cli/exec-output/raw", test_raw);
  return g_test_run ();
}
