/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-text.h"

static void
assert_escaped (const char *text, const char *expected)
{
  g_autofree char *escaped = tl_text_escape (text);

  g_assert_cmpstr (escaped, ==, expected);
}

static void
test_escape (void)
{
  assert_escaped ("plain \xc3\xa9 \xe6\xbc\xa2", "plain \xc3\xa9 \xe6\xbc\xa2");
  assert_escaped ("\033[31mred", "\\u{1b}[31mred");
  assert_escaped ("a\nb\tc\r", "a\\u{a}b\\u{9}c\\u{d}");
  assert_escaped ("\xc2\x9b"
                  "2J",
                  "\\u{9b}2J"); /* C1: CSI in one character */
  assert_escaped ("a\xe2\x80\xae"
                  "b",
                  "a\\u{202e}b"); /* right-to-left override */
  assert_escaped ("\xe2\x80\xa8", "\\u{2028}");
  assert_escaped ("bad \xff byte", "bad \xef\xbf\xbd byte");
  assert_escaped (NULL, "");
}

static void
test_escape_lines (void)
{
  g_autofree char *text = tl_text_escape_lines ("{\n\t\"a\": \"\033\"\r\n}");

  g_assert_cmpstr (text, ==, "{\n\t\"a\": \"\\u{1b}\"\\u{d}\n}");
}

static void
test_width (void)
{
  g_assert_cmpuint (tl_text_width (""), ==, 0);
  g_assert_cmpuint (tl_text_width ("abc"), ==, 3);
  g_assert_cmpuint (tl_text_width ("\xc3\xa9"), ==, 1);
  g_assert_cmpuint (tl_text_width ("e\xcc\x81"), ==, 1);                /* combining accent */
  g_assert_cmpuint (tl_text_width ("\xe6\xbc\xa2\xe5\xad\x97"), ==, 4); /* two wide characters */
}

static void
test_digits (void)
{
  g_autofree char *six = tl_text_group_digits ("042917");
  g_autofree char *other = tl_text_group_digits ("0429");

  g_assert_cmpstr (six, ==, "042 917");
  g_assert_cmpstr (other, ==, "0429");
}

static void
assert_time (gint64 wall_ms, gint64 now_ms, const char *expected)
{
  g_autofree char *text = tl_text_time (wall_ms, now_ms);

  g_assert_cmpstr (text, ==, expected);
}

static void
test_time (void)
{
  const gint64 now = G_GINT64_CONSTANT (1795254000000); /* 2026-11-21 09:40:00 UTC */

  assert_time (0, now, "-");
  assert_time (now + 540000, now, "in 9 min (09:49:00)");
  assert_time (now + 599000, now, "in 10 min (09:49:59)");
  assert_time (now - 30000, now, "30 s ago (09:39:30)");
  assert_time (now - 3 * 86400000, now, "3 d ago (2026-11-18 09:40:00)");
  assert_time (now + 5 * 3600000, now, "in 5 h (14:40:00)");
  assert_time (now + 20 * 3600000, now, "in 20 h (2026-11-22 05:40:00)");
  assert_time (G_MAXINT64, now, "9223372036854775807 ms");
}

int
main (int argc, char **argv)
{
  g_setenv ("TZ", "UTC", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cli/text/escape", test_escape);
  g_test_add_func ("/cli/text/escape-lines", test_escape_lines);
  g_test_add_func ("/cli/text/width", test_width);
  g_test_add_func ("/cli/text/digits", test_digits);
  g_test_add_func ("/cli/text/time", test_time);
  return g_test_run ();
}
