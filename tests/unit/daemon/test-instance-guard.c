/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-instance-guard.h"

#define A "01ARZ3NDEKTSV4RRFFQ69G5FAA"
#define B "01ARZ3NDEKTSV4RRFFQ69G5FAB"
#define C "01ARZ3NDEKTSV4RRFFQ69G5FAC"

static void
expect (TlInstanceGuard *guard, const char *instance_id, TlInstanceVerdict verdict, const char *current)
{
  g_assert_cmpint (tl_instance_guard_enter (guard, instance_id), ==, verdict);
  g_assert_cmpstr (tl_instance_guard_current (guard), ==, current);
}

static void
test_same (void)
{
  g_autoptr (TlInstanceGuard) guard = tl_instance_guard_new ();

  g_assert_null (tl_instance_guard_current (guard));
  expect (guard, A, TL_INSTANCE_FIRST, A);
  for (guint i = 0; i < 100; i++) /* reconnects, moves to another transport and back */
    expect (guard, A, TL_INSTANCE_SAME, A);
  expect (guard, B, TL_INSTANCE_SUPERSEDES, B);
  expect (guard, B, TL_INSTANCE_SAME, B);
}

static void
test_cloned (void)
{
  g_autoptr (TlInstanceGuard) guard = tl_instance_guard_new ();

  expect (guard, A, TL_INSTANCE_FIRST, A);
  expect (guard, B, TL_INSTANCE_SUPERSEDES, B);
  expect (guard, A, TL_INSTANCE_CLONED, B);
  expect (guard, A, TL_INSTANCE_CLONED, B); /* until somebody decides */
  expect (guard, C, TL_INSTANCE_SUPERSEDES, C);
  expect (guard, B, TL_INSTANCE_CLONED, C);
  expect (guard, A, TL_INSTANCE_CLONED, C);
}

static void
test_forget (void)
{
  g_autoptr (TlInstanceGuard) guard = tl_instance_guard_new ();

  expect (guard, A, TL_INSTANCE_FIRST, A);
  expect (guard, B, TL_INSTANCE_SUPERSEDES, B);
  tl_instance_guard_forget (guard);
  g_assert_null (tl_instance_guard_current (guard));
  expect (guard, A, TL_INSTANCE_FIRST, A);
}

static void
test_bounded (void)
{
  g_autoptr (TlInstanceGuard) guard = tl_instance_guard_new ();

  expect (guard, A, TL_INSTANCE_FIRST, A);
  for (guint i = 0; i < TL_INSTANCE_GUARD_MAX; i++)
    {
      g_autofree char *id = g_strdup_printf ("01ARZ3NDEKTSV4RRFFQ69G5F%02u", i);
      expect (guard, id, TL_INSTANCE_SUPERSEDES, id);
    }
  g_assert_cmpint (tl_instance_guard_enter (guard, A), ==, TL_INSTANCE_CLONED); /* the oldest that is remembered */
  expect (guard, B, TL_INSTANCE_SUPERSEDES, B);
  expect (guard, A, TL_INSTANCE_SUPERSEDES, A); /* forgotten: one more than the limit came after it */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/instance-guard/same", test_same);
  g_test_add_func ("/instance-guard/cloned", test_cloned);
  g_test_add_func ("/instance-guard/forget", test_forget);
  g_test_add_func ("/instance-guard/bounded", test_bounded);
  return g_test_run ();
}
