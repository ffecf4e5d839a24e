/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-operator-policy.h"

#include "base/tl-error.h"

/* Why not, over the network; NULL: it is allowed. */
static const char *
find_objection (TlOperatorAction action, const TlOperatorTarget *target)
{
  switch (action)
    {
    case TL_OPERATOR_EXECUTE:
    case TL_OPERATOR_CANCEL_REQUEST:
      return NULL;
    case TL_OPERATOR_MINT:
      if (target->role != TL_ROLE_NODE)
        return "codes for operators are minted";
      return target->automatic ? "codes that need no approval are minted" : NULL;
    case TL_OPERATOR_CANCEL_CODE:
      if (target->role != TL_ROLE_NODE || target->automatic || !target->is_own)
        return "codes that this operator did not mint are cancelled";
      return NULL;
    case TL_OPERATOR_DECIDE:
      if (target->role != TL_ROLE_NODE)
        return "requests of operators are decided";
      return target->highest_role != TL_ROLE_NODE ? "requests that concern an operator's device are decided" : NULL;
    case TL_OPERATOR_REVOKE:
      if (target->is_own)
        return "an operator's own device is revoked";
      return target->role != TL_ROLE_NODE ? "operators are revoked" : NULL;
    case TL_OPERATOR_ADMINISTER:
      return "devices are changed otherwise than by revoking them";
    case TL_OPERATOR_N_ACTIONS:
      break;
    }
  return "this is done";
}

gboolean
tl_operator_policy_check (const TlOperatorCaller *caller, TlOperatorAction action, const TlOperatorTarget *target,
                          GError **error)
{
  const char *objection;

  if (caller->local)
    return TRUE;
  if (!caller->is_active_operator)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_NOT_OPERATOR, "this device is no operator");
      return FALSE;
    }
  objection = find_objection (action, target);
  if (objection == NULL)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_LOCAL_ONLY, "%s only at the gateway itself, not over the network", objection);
  return FALSE;
}
