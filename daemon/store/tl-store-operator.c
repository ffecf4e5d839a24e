/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>

/* The actor of a call with its rights as they are in this transaction (PROTOCOL 4, P). */

#define DEVICE_ACTOR "device:"

/* Only devices come over the network; uids are on the local socket, "gateway" is this program. */
static gboolean
read_caller (TlDatabase *db, const char *actor, TlOperatorCaller *caller, GError **error)
{
  gint64 rights = 0;

  caller->local = actor == NULL || !g_str_has_prefix (actor, DEVICE_ACTOR);
  if (caller->local)
    return TRUE;
  if (!tl_database_integer (db, &rights, error,
                            "SELECT count (*) FROM devices WHERE device_id = ? AND state = " SQL_DEVICE_ACTIVE
                            " AND role = " SQL_ROLE_OPERATOR,
                            tl_text (actor + strlen (DEVICE_ACTOR))))
    return FALSE;
  caller->is_active_operator = rights > 0;
  return TRUE;
}

gboolean
tl_store_authorise (TlDatabase *db, const char *actor, TlOperatorAction action, const TlOperatorTarget *target,
                    GError **error)
{
  TlOperatorCaller caller = { 0 };

  return read_caller (db, actor, &caller, error) && tl_operator_policy_check (&caller, action, target, error);
}

gboolean
tl_store_authorise_decision (TlDatabase *db, const char *actor, const TlPairingRecord *request, GError **error)
{
  TlOperatorTarget target = { .role = request->role };
  gint64 operators;

  /* Whatever their state: a revoked operator is an operator's business too. */
  if (!tl_database_integer (db, &operators, error,
                            "SELECT count (*) FROM devices WHERE role = " SQL_ROLE_OPERATOR " AND (device_id IN (?, ?)"
                            " OR (identity_public = ? AND state <> " SQL_DEVICE_REMOVED "))",
                            tl_text (request->device_id), tl_text (request->replaces_device_id),
                            tl_blob (request->identity_public, sizeof request->identity_public)))
    return FALSE;
  target.highest_role = operators > 0 ? TL_ROLE_OPERATOR : TL_ROLE_NODE;
  return tl_store_authorise (db, actor, TL_OPERATOR_DECIDE, &target, error);
}

gboolean
tl_store_authorise_cancel (TlDatabase *db, const char *actor, const TlCodeRecord *code, GError **error)
{
  TlOperatorTarget target
      = { .role = code->role, .automatic = code->auto_approve, .is_own = g_strcmp0 (code->minted_by, actor) == 0 };

  return tl_store_authorise (db, actor, TL_OPERATOR_CANCEL_CODE, &target, error);
}

gboolean
tl_store_authorise_revocation (TlDatabase *db, const char *actor, const TlDeviceRecord *device, GError **error)
{
  TlOperatorTarget target = { .role = device->role };

  if (actor != NULL && g_str_has_prefix (actor, DEVICE_ACTOR)
      && g_str_equal (actor + strlen (DEVICE_ACTOR), device->device_id))
    return TRUE; /* NodeService.Unpair: every device may give itself up */
  return tl_store_authorise (db, actor, TL_OPERATOR_REVOKE, &target, error);
}
