/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-clock.h"

#include "base/tl-error.h"

static void
test_virtual (void)
{
  g_autoptr (TlClock) clock = tl_clock_new_virtual (1000);
  gint64 start = tl_clock_monotonic_us (clock);

  g_assert_cmpint (tl_clock_wall_ms (clock), ==, 1000);
  tl_clock_advance (clock, 250);
  g_assert_cmpint (tl_clock_wall_ms (clock), ==, 1250);
  g_assert_cmpint (tl_clock_monotonic_us (clock) - start, ==, 250000);
}

static void
test_system (void)
{
  gint64 before = g_get_real_time () / 1000;
  gint64 monotonic = tl_clock_monotonic_us (tl_clock_system ());

  g_assert_cmpint (tl_clock_wall_ms (tl_clock_system ()), >=, before);
  g_assert_cmpint (tl_clock_monotonic_us (tl_clock_system ()), >=, monotonic);
  tl_clock_free (tl_clock_system ()); /* harmless */
  g_assert_cmpint (tl_clock_wall_ms (tl_clock_system ()), >=, before);
}

static void
assert_time (gint64 ms, const char *expected)
{
  g_autofree char *text = tl_time_to_string (ms);

  g_assert_cmpstr (text, ==, expected);
}

static void
test_time_to_string (void)
{
  assert_time (0, "1970-01-01T00:00:00.000Z");
  assert_time (1795255200000, "2026-11-21T10:00:00.000Z");
  assert_time (1795255200007, "2026-11-21T10:00:00.007Z");
  assert_time (-1, "1969-12-31T23:59:59.999Z");
  assert_time (G_MAXINT64, "-");
}

static void
test_duration_parse (void)
{
  static const struct
  {
    const char *text;
    gint64 ms;
  } good[] = {
    { "90", 90000 },     { "90s", 90000 }, { "10m", 600000 }, { "2h", 7200000 },
    { "7d", 604800000 }, { "0", 0 },       { "007s", 7000 },
  };
  static const char *const bad[] = { "",
                                     "s",
                                     "-1",
                                     "+1",
                                     " 1",
                                     "1 ",
                                     "1 s",
                                     "1ms",
                                     "1w",
                                     "1S",
                                     "1.5h",
                                     "1h30m",
                                     "0x10",
                                     "99999999999999999999",
                                     "9223372036854775807d",
                                     "1\n" };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autoptr (GError) error = NULL;
      gint64 ms = -1;

      g_assert_true (tl_duration_parse (good[i].text, &ms, &error));
      g_assert_no_error (error);
      g_assert_cmpint (ms, ==, good[i].ms);
    }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      gint64 ms = -1;

      g_assert_false (tl_duration_parse (bad[i], &ms, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      g_assert_cmpint (ms, ==, -1);
    }
  g_assert_false (tl_duration_parse (NULL, &(gint64){ 0 }, NULL));
}

static void
assert_duration (gint64 ms, const char *expected)
{
  g_autofree char *text = tl_duration_to_string (ms);

  g_assert_cmpstr (text, ==, expected);
}

static void
test_duration_to_string (void)
{
  assert_duration (600000, "10 min");
  assert_duration (7200000, "2 h");
  assert_duration (604800000, "7 d");
  assert_duration (45000, "45 s");
  assert_duration (90000, "1 min 30 s");
  assert_duration (250, "250 ms");
  assert_duration (0, "0 s");
  assert_duration (-5, "0 s");
  assert_duration ((gint64)25 * 3600 * 1000, "1 d 1 h");
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/clock/virtual", test_virtual);
  g_test_add_func ("/base/clock/system", test_system);
  g_test_add_func ("/base/clock/time-to-string", test_time_to_string);
  g_test_add_func ("/base/clock/duration-parse", test_duration_parse);
  g_test_add_func ("/base/clock/duration-to-string", test_duration_to_string);
  return g_test_run ();
}
