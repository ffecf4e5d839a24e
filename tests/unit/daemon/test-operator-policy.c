/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-operator-policy.h"

#include <string.h>

#include "base/tl-error.h"

/* PROTOCOL 4, P: the whole table, every combination of what the policy looks at. */

enum
{
  NO,
  YES,
  ANY,
};

/* All that is allowed over the network; what fits no row is not. */
static const struct
{
  TlOperatorAction action;
  guint operators_role; /* TlOperatorTarget.role is operator */
  guint automatic, is_own;
  guint concerns_operator; /* highest_role is operator */
} allowed[] = {
  { TL_OPERATOR_CANCEL_REQUEST, ANY, ANY, ANY, ANY },
  { TL_OPERATOR_EXECUTE, ANY, ANY, ANY, ANY },
  { TL_OPERATOR_MINT, NO, NO, ANY, ANY },
  { TL_OPERATOR_CANCEL_CODE, NO, NO, YES, ANY },
  { TL_OPERATOR_DECIDE, NO, ANY, ANY, NO },
  { TL_OPERATOR_REVOKE, NO, ANY, NO, ANY },
};

static gboolean
fits (guint wanted, gboolean value)
{
  return wanted == ANY || (wanted == YES) == (value != FALSE);
}

static gboolean
is_allowed (TlOperatorAction action, const TlOperatorTarget *target)
{
  for (guint i = 0; i < G_N_ELEMENTS (allowed); i++)
    {
      if (allowed[i].action == action && fits (allowed[i].operators_role, target->role == TL_ROLE_OPERATOR)
          && fits (allowed[i].automatic, target->automatic) && fits (allowed[i].is_own, target->is_own)
          && fits (allowed[i].concerns_operator, target->highest_role == TL_ROLE_OPERATOR))
        return TRUE;
    }
  return FALSE;
}

static TlOperatorTarget
target_of (guint bits)
{
  return (TlOperatorTarget){ .role = (bits & 1) != 0 ? TL_ROLE_OPERATOR : TL_ROLE_NODE,
                             .automatic = (bits & 2) != 0,
                             .is_own = (bits & 4) != 0,
                             .highest_role = (bits & 8) != 0 ? TL_ROLE_OPERATOR : TL_ROLE_NODE };
}

static void
test_table (void)
{
  const TlOperatorCaller remote = { .is_active_operator = TRUE };
  guint n_allowed = 0;

  for (guint action = 0; action < TL_OPERATOR_N_ACTIONS; action++)
    for (guint bits = 0; bits < 16; bits++)
      {
        TlOperatorTarget target = target_of (bits);
        g_autoptr (GError) error = NULL;
        gboolean answer = tl_operator_policy_check (&remote, (TlOperatorAction)action, &target, &error);

        g_test_message ("action %u, role %d, automatic %d, own %d, highest %d", action, target.role, target.automatic,
                        target.is_own, target.highest_role);
        g_assert_cmpint (answer, ==, is_allowed ((TlOperatorAction)action, &target));
        n_allowed += answer != FALSE;
        if (answer)
          {
            g_assert_no_error (error);
            continue;
          }
        g_assert_error (error, TL_ERROR, TL_ERROR_LOCAL_ONLY);
        g_assert_nonnull (strstr (error->message, "only at the gateway itself"));
      }
  g_assert_cmpuint (n_allowed, ==, 16 + 16 + 4 + 2 + 4 + 4);
}

/* At the gateway everything; a device that is no operator, or none any more, nothing. */
static void
test_callers (void)
{
  const TlOperatorCaller local = { .local = TRUE };
  const TlOperatorCaller nobody = { 0 };

  for (guint action = 0; action <= TL_OPERATOR_N_ACTIONS; action++)
    for (guint bits = 0; bits < 16; bits++)
      {
        TlOperatorTarget target = target_of (bits);
        g_autoptr (GError) error = NULL;

        g_assert_true (tl_operator_policy_check (&local, (TlOperatorAction)action, &target, &error));
        g_assert_no_error (error);
        g_assert_false (tl_operator_policy_check (&nobody, (TlOperatorAction)action, &target, &error));
        g_assert_error (error, TL_ERROR, TL_ERROR_NOT_OPERATOR);
      }
}

/* What nobody thought of is refused. */
static void
test_unknown_action (void)
{
  const TlOperatorCaller remote = { .is_active_operator = TRUE };
  const TlOperatorTarget target = { .role = TL_ROLE_NODE };
  g_autoptr (GError) error = NULL;

  g_assert_false (tl_operator_policy_check (&remote, TL_OPERATOR_N_ACTIONS, &target, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_LOCAL_ONLY);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/daemon/operator-policy/table", test_table);
  g_test_add_func ("/daemon/operator-policy/callers", test_callers);
  g_test_add_func ("/daemon/operator-policy/unknown-action", test_unknown_action);
  return g_test_run ();
}
