/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-json.h"

#include <string.h>

#include "base/tl-error.h"

static void
assert_refused (const char *text, gssize length, int code, const char *fragment)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_json_parse (text, length, 0, &error));
  g_assert_error (error, TL_ERROR, code);
  if (fragment != NULL && strstr (error->message, fragment) == NULL)
    g_error ("'%s' lacks '%s'", error->message, fragment);
}

static void
assert_accepted (const char *text)
{
  g_autoptr (GError) error = NULL;
  tl_json_auto value = tl_json_parse (text, -1, 0, &error);

  g_assert_no_error (error);
  g_assert_nonnull (value);
}

static char *
nested (guint depth)
{
  g_autofree char *open = g_strnfill (depth, '[');
  g_autofree char *close = g_strnfill (depth, ']');

  return g_strconcat (open, close, NULL);
}

static void
test_round_trip (void)
{
  g_autoptr (GError) error = NULL;
  tl_json_auto value = tl_json_parse ("{ \"z\" : 1, \"a\" : [true, null, \"\\u00e4\"] , \"r\": 1.5}", -1, 0, &error);
  g_autofree char *compact = NULL;
  g_autofree char *pretty = NULL;

  g_assert_no_error (error);
  compact = tl_json_to_string (value);
  pretty = tl_json_to_pretty_string (value);
  g_assert_cmpstr (compact, ==, "{\"z\":1,\"a\":[true,null,\"\xc3\xa4\"],\"r\":1.5}");
  g_assert_nonnull (strstr (pretty, "\n  \"z\": 1"));
  assert_accepted ("5");
  assert_accepted ("\"text\"");
  assert_accepted ("null");
}

static void
test_malformed (void)
{
  assert_refused ("", -1, TL_ERROR_INVALID_ARGUMENT, "line 1");
  assert_refused ("{\"a\": 1,\n \"b\" 2}", -1, TL_ERROR_INVALID_ARGUMENT, "line 2, column ");
  assert_refused ("{} {}", -1, TL_ERROR_INVALID_ARGUMENT, NULL);
  assert_refused ("[1,]", -1, TL_ERROR_INVALID_ARGUMENT, NULL);
  assert_refused ("{\"a\":1,\"a\":2}", -1, TL_ERROR_INVALID_ARGUMENT, "duplicate");
  assert_refused ("{\"a\":{\"b\":1,\"b\":1}}", -1, TL_ERROR_INVALID_ARGUMENT, "duplicate");
  assert_refused ("\"\xff\"", -1, TL_ERROR_INVALID_ARGUMENT, NULL);
  assert_refused ("\"\\u0000\"", -1, TL_ERROR_INVALID_ARGUMENT, NULL);
  assert_refused ("[1]\0", 4, TL_ERROR_INVALID_ARGUMENT, "NUL");
  assert_refused ("\"a\0b\"", 5, TL_ERROR_INVALID_ARGUMENT, NULL);
  assert_refused ("{\"i\":9007199254740992\0}", 23, TL_ERROR_INVALID_ARGUMENT, NULL);
  assert_refused ("{\"i\":1.5\0}", 10, TL_ERROR_INVALID_ARGUMENT, "NUL");
  assert_refused (NULL, 0, TL_ERROR_INVALID_ARGUMENT, "line 1");
  assert_refused ("\"open", -1, TL_ERROR_INVALID_ARGUMENT, NULL);
  assert_refused ("\"open\\", -1, TL_ERROR_INVALID_ARGUMENT, NULL);
  assert_refused ("]]", -1, TL_ERROR_INVALID_ARGUMENT, NULL);
}

/* An error message must not carry the input on: that may be a secret or a terminal sequence. */
static void
test_quiet (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_json_parse ("{\"pin\": hunter2}", -1, 0, &error));
  g_assert_null (strstr (error->message, "hunter2"));
}

static void
test_depth (void)
{
  g_autofree char *deepest = nested (TL_JSON_MAX_DEPTH);
  g_autofree char *too_deep = nested (TL_JSON_MAX_DEPTH + 1);
  g_autofree char *brackets = g_strnfill (100, '[');
  g_autofree char *in_string = g_strdup_printf ("\"\\\"%s\"", brackets);

  assert_accepted (deepest);
  assert_refused (too_deep, -1, TL_ERROR_INVALID_ARGUMENT, "deeply");
  assert_accepted (in_string);
  assert_accepted (
      "[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]");
}

static void
test_integers (void)
{
  assert_accepted ("9007199254740991");
  assert_accepted ("-9007199254740991");
  assert_accepted ("[1e3, 0.5, 9007199254740993.0, \"99999999999999999999\"]");
  assert_refused ("9007199254740992", -1, TL_ERROR_INVALID_ARGUMENT, "out of range");
  assert_refused ("[1,\n-9007199254740992]", -1, TL_ERROR_INVALID_ARGUMENT, "line 2, column 1: ");
  assert_refused ("9223372036854775808", -1, TL_ERROR_INVALID_ARGUMENT, "out of range");
  assert_refused ("123456789012345678901234567890", -1, TL_ERROR_INVALID_ARGUMENT, "out of range");
  assert_refused ("1e999", -1, TL_ERROR_INVALID_ARGUMENT, NULL);
}

static void
test_size (void)
{
  g_autoptr (GError) error = NULL;
  tl_json_auto fits = tl_json_parse ("[1,2]", -1, 5, &error);
  g_autofree char *blanks = g_strnfill ((gsize)TL_JSON_DEFAULT_MAX_BYTES + 1, ' ');

  g_assert_no_error (error);
  g_assert_nonnull (fits);
  g_assert_null (tl_json_parse ("[1,22]", -1, 5, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED);
  assert_refused (blanks, -1, TL_ERROR_RESOURCE_EXHAUSTED, NULL);
}

static void
test_members (void)
{
  tl_json_auto object = tl_json_parse ("{\"s\":\"x\",\"i\":7,\"b\":true,\"n\":null,\"r\":1.5}", -1, 0, NULL);
  const char *text = "untouched";
  gint64 number = -1;
  gboolean flag = FALSE;

  g_assert_true (tl_json_get_string (object, "s", TRUE, &text, NULL));
  g_assert_cmpstr (text, ==, "x");
  g_assert_true (tl_json_get_string (object, "absent", FALSE, &text, NULL));
  g_assert_null (text);
  g_assert_true (tl_json_get_int (object, "i", TRUE, 0, 7, 0, &number, NULL));
  g_assert_cmpint (number, ==, 7);
  g_assert_true (tl_json_get_int (object, "n", FALSE, 0, 7, 5, &number, NULL));
  g_assert_cmpint (number, ==, 5);
  g_assert_true (tl_json_get_bool (object, "b", FALSE, &flag, NULL));
  g_assert_true (flag);
  g_assert_true (tl_json_get_bool (object, "absent", TRUE, &flag, NULL));
  g_assert_true (flag);
}

static void
assert_names (GError **error, const char *member)
{
  g_assert_error (*error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr ((*error)->message, member));
  g_clear_error (error);
}

static void
test_members_refused (void)
{
  tl_json_auto object = tl_json_parse ("{\"s\":\"x\",\"i\":7,\"n\":null,\"r\":1.5}", -1, 0, NULL);
  g_autoptr (GError) error = NULL;
  const char *text = "untouched";
  gint64 number = -1;
  gboolean flag = FALSE;

  g_assert_false (tl_json_get_string (object, "n", TRUE, &text, &error));
  assert_names (&error, "'n'");
  g_assert_false (tl_json_get_string (object, "i", FALSE, &text, &error));
  assert_names (&error, "'i'");
  g_assert_false (tl_json_get_int (object, "i", TRUE, 0, 6, 0, &number, &error));
  assert_names (&error, "'i'");
  g_assert_false (tl_json_get_int (object, "i", TRUE, 8, 9, 0, &number, &error));
  assert_names (&error, "'i'");
  g_assert_false (tl_json_get_int (object, "r", TRUE, 0, 6, 0, &number, &error));
  assert_names (&error, "'r'");
  g_assert_false (tl_json_get_int (object, "gone", TRUE, 0, 6, 0, &number, &error));
  assert_names (&error, "'gone'");
  g_assert_false (tl_json_get_bool (object, "s", TRUE, &flag, &error));
  assert_names (&error, "'s'");
  g_assert_false (tl_json_get_bool (json_object_get (object, "s"), "x", TRUE, &flag, &error));
  assert_names (&error, "'x'");
  g_assert_cmpstr (text, ==, "untouched");
  g_assert_cmpint (number, ==, -1);
  g_assert_false (flag);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/json/round-trip", test_round_trip);
  g_test_add_func ("/base/json/malformed", test_malformed);
  g_test_add_func ("/base/json/quiet", test_quiet);
  g_test_add_func ("/base/json/depth", test_depth);
  g_test_add_func ("/base/json/integers", test_integers);
  g_test_add_func ("/base/json/size", test_size);
  g_test_add_func ("/base/json/members", test_members);
  g_test_add_func ("/base/json/members-refused", test_members_refused);
  return g_test_run ();
}
