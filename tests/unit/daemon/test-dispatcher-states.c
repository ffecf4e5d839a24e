/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-capability-name.h"
#include "daemon/tl-dispatcher.h"

#define S(state) (1u << TL_REQUEST_##state)
#define FINAL    (S (SUCCEEDED) | S (FAILED) | S (DENIED) | S (TIMED_OUT) | S (CANCELLED))

/* PROTOCOL 4.2, as a table of its own. */
static const guint allowed[] = {
  [TL_REQUEST_QUEUED] = S (DISPATCHED) | S (EXPIRED) | S (CANCELLED) | S (FAILED),
  [TL_REQUEST_DISPATCHED] = S (AWAITING_CONSENT) | S (RUNNING) | FINAL | S (EXPIRED),
  [TL_REQUEST_AWAITING_CONSENT] = S (RUNNING) | FINAL | S (EXPIRED),
  [TL_REQUEST_RUNNING] = FINAL,
  [TL_REQUEST_EXPIRED] = 0,
};

static void
test_moves (void)
{
  for (int from = TL_REQUEST_QUEUED; from <= TL_REQUEST_EXPIRED; from++)
    for (int to = TL_REQUEST_QUEUED; to <= TL_REQUEST_EXPIRED; to++)
      g_assert_cmpint (tl_request_state_may_move (from, to), ==, (allowed[from] >> to) & 1u);
}

static void
test_names (void)
{
  static const char *const good[] = { "echo", "fs.read", "a", "a1_b.c_2", "desktop.open_url" };
  static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "A", "1a", "a-b", "a b", "a/b", "a.1", "a._", "é" };
  g_autofree char *longest = g_strnfill (TL_CAPABILITY_NAME_MAX, 'a');
  g_autofree char *longer = g_strnfill (TL_CAPABILITY_NAME_MAX + 1, 'a');

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (tl_capability_name_is_valid (good[i]));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (tl_capability_name_is_valid (bad[i]));
  g_assert_true (tl_capability_name_is_valid (longest));
  g_assert_false (tl_capability_name_is_valid (longer));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/dispatcher/4.2-moves", test_moves);
  g_test_add_func ("/dispatcher/4.2-names", test_names);
  return g_test_run ();
}
