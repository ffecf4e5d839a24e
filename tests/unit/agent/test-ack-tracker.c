/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-ack-tracker.h"

static void
test_order (void)
{
  g_autoptr (TlAckTracker) tracker = tl_ack_tracker_new (4, "four");

  g_assert_cmpint (tl_ack_tracker_received (tracker, 5, "five"), ==, TL_ACK_NEW);
  g_assert_cmpint (tl_ack_tracker_received (tracker, 6, "six"), ==, TL_ACK_NEW);
  g_assert_cmpint (tl_ack_tracker_received (tracker, 7, "seven"), ==, TL_ACK_NEW);
  g_assert_false (tl_ack_tracker_done (tracker, 6));
  g_assert_cmpuint (tl_ack_tracker_seq (tracker), ==, 4);
  g_assert_cmpstr (tl_ack_tracker_event_id (tracker), ==, "four");
  g_assert_true (tl_ack_tracker_done (tracker, 5));
  g_assert_cmpuint (tl_ack_tracker_seq (tracker), ==, 6);
  g_assert_cmpstr (tl_ack_tracker_event_id (tracker), ==, "six");
  g_assert_false (tl_ack_tracker_done (tracker, 5)); /* twice */
  g_assert_true (tl_ack_tracker_done (tracker, 7));
  g_assert_cmpstr (tl_ack_tracker_event_id (tracker), ==, "seven");
}

static void
test_known_and_holes (void)
{
  g_autoptr (TlAckTracker) tracker = tl_ack_tracker_new (0, "");

  g_assert_cmpint (tl_ack_tracker_received (tracker, 1, "a"), ==, TL_ACK_NEW);
  g_assert_cmpint (tl_ack_tracker_received (tracker, 1, "a"), ==, TL_ACK_KNOWN);
  g_assert_cmpint (tl_ack_tracker_received (tracker, 3, "c"), ==, TL_ACK_OUT_OF_ORDER);
  tl_ack_tracker_gap (tracker, 3);
  g_assert_cmpint (tl_ack_tracker_received (tracker, 3, "c"), ==, TL_ACK_NEW);
  /* What was received before the gap is still to be done first. */
  g_assert_false (tl_ack_tracker_done (tracker, 3));
  g_assert_true (tl_ack_tracker_done (tracker, 1));
  g_assert_cmpuint (tl_ack_tracker_seq (tracker), ==, 3);
}

static void
test_rewind_and_reset (void)
{
  g_autoptr (TlAckTracker) tracker = tl_ack_tracker_new (0, "");

  tl_ack_tracker_received (tracker, 1, "a");
  tl_ack_tracker_received (tracker, 2, "b");
  tl_ack_tracker_done (tracker, 1);
  tl_ack_tracker_rewind (tracker);
  g_assert_cmpint (tl_ack_tracker_received (tracker, 2, "b"), ==, TL_ACK_NEW);
  tl_ack_tracker_reset (tracker);
  g_assert_cmpuint (tl_ack_tracker_seq (tracker), ==, 0);
  g_assert_cmpstr (tl_ack_tracker_event_id (tracker), ==, "");
  g_assert_false (tl_ack_tracker_done (tracker, 2)); /* of the log before */
  g_assert_cmpint (tl_ack_tracker_received (tracker, 1, "new a"), ==, TL_ACK_NEW);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ack-tracker/order", test_order);
  g_test_add_func ("/ack-tracker/known-and-holes", test_known_and_holes);
  g_test_add_func ("/ack-tracker/rewind-and-reset", test_rewind_and_reset);
  return g_test_run ();
}
