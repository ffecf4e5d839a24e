/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-json-summary.h"

#include <string.h>

static void
test_shows (void)
{
  static const char *const cases[][2] = {
    { "{}", "{}" },
    { "[1, -2.5, true, null, \"a\"]", "[1,-2.5,true,null,\"a\"]" },
    { "{\"root\":\"docs\",\"path\":\"caf\303\251/\\u0001\\\"x\"}",
      "{\"root\":\"docs\",\"path\":\"caf\303\251/\\u0001\\\"x\"}" },
    { "\"plain\"", "\"plain\"" },
    { "not json", "" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *summary = tl_json_summary_of_text (cases[i][0]);

      g_assert_cmpstr (summary, ==, cases[i][1]);
    }
}

/* S3CRET never shows, whatever it hides under. */
static void
test_redacts (void)
{
  static const char *const cases[][2] = {
    { "{\"token\":\"S3CRET\",\"a\":1}", "{\"token\":***,\"a\":1}" },
    { "{\"accessToken\":{\"x\":\"S3CRET\"}}", "{\"accessToken\":***}" },
    { "{\"user_password\":[\"S3CRET\"]}", "{\"user_password\":***}" },
    { "{\"API-Key\":\"S3CRET\"}", "{\"API-Key\":***}" },
    { "{\"apiKey\":\"S3CRET\"}", "{\"apiKey\":***}" },
    { "{\"key\":\"S3CRET\"}", "{\"key\":***}" },
    { "{\"PIN\":12345}", "{\"PIN\":***}" },
    { "{\"Authorization\":\"S3CRET\"}", "{\"Authorization\":***}" },
    { "{\"headers\":[{\"Set-Cookie\":\"S3CRET\"}]}", "{\"headers\":[{\"Set-Cookie\":***}]}" },
    { "{\"client_secret\":\"S3CRET\"}", "{\"client_secret\":***}" },
    { "{\"stdin\":\"S3CRET\"}", "{\"stdin\":***}" },
    { "{\"arguments\":[\"--password\",\"S3CRET\",\"-v\"]}", "{\"arguments\":[\"--password\",***,\"-v\"]}" },
    { "[\"--api-key=S3CRET\",\"TOKEN=S3CRET\",\"x=y\"]", "[\"--api-key=***\",\"TOKEN=***\",\"x=y\"]" },
    { "[\"Authorization: S3CRET\",\"Bearer S3CRET\",\"-----BEGIN PRIVATE KEY-----S3CRET\"]",
      "[\"Authorization:***\",\"***\",\"***\"]" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *summary = tl_json_summary_of_text (cases[i][0]);

      g_assert_cmpstr (summary, ==, cases[i][1]);
    }
}

/* Names that only look a little like it. */
static void
test_keeps (void)
{
  static const char *const names[] = { "keyboard", "monkey", "path", "spin", "author", "compass", "opinion" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_false (tl_json_name_is_secret (names[i], strlen (names[i])));
}

static void
test_long_strings (void)
{
  g_autofree char *long_string = g_strnfill (1000, 'x');
  g_autofree char *text = g_strdup_printf ("{\"a\":\"%s\",\"b\":1}", long_string);
  g_autofree char *summary = tl_json_summary_of_text (text);
  g_autofree char *fits = tl_json_summary_of_text ("\"123456789012345678901234567890123456789012345678\"");

  g_assert_cmpstr (summary, ==, "{\"a\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"(1000 bytes),\"b\":1}");
  g_assert_cmpuint (strlen (fits), ==, 50);
}

/* At most 240 bytes, whole characters, whatever comes. */
static void
test_limit (void)
{
  for (guint n = 0; n < 300; n++)
    {
      g_autoptr (GString) text = g_string_new ("[");
      g_autofree char *summary = NULL;

      for (guint i = 0; i < n; i++)
        g_string_append (text, i > 0 ? ",\"\303\251\360\237\230\200\"" : "\"\303\251\"");
      g_string_append_c (text, ']');
      summary = tl_json_summary_of_text (text->str);
      g_assert_cmpuint (strlen (summary), <=, TL_JSON_SUMMARY_MAX);
      g_assert_true (g_utf8_validate (summary, -1, NULL));
      g_assert_true (g_str_has_suffix (summary, n <= 27 ? "]" : "..."));
    }
}

/* A value of megabytes costs what a small one does: the rest is not looked at. */
static void
test_bounded_work (void)
{
  tl_json_auto value = json_array ();
  gint64 start;

  for (guint i = 0; i < 200000; i++)
    json_array_append_new (value, json_string ("0123456789"));
  start = g_get_monotonic_time ();
  for (guint i = 0; i < 100; i++)
    {
      g_autofree char *summary = tl_json_summary (value);

      g_assert_cmpuint (strlen (summary), ==, TL_JSON_SUMMARY_MAX);
    }
  g_assert_cmpint (g_get_monotonic_time () - start, <, 2 * G_USEC_PER_SEC); /* the whole would take minutes */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json-summary/shows", test_shows);
  g_test_add_func ("/json-summary/redacts", test_redacts);
  g_test_add_func ("/json-summary/keeps", test_keeps);
  g_test_add_func ("/json-summary/long-strings", test_long_strings);
  g_test_add_func ("/json-summary/limit", test_limit);
  g_test_add_func ("/json-summary/bounded-work", test_bounded_work);
  return g_test_run ();
}
