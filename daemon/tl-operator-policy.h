/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/tl-admitted-set.h"

G_BEGIN_DECLS

/*
 * What an operator may do over the network (PROTOCOL 4, P): list, watch, execute, cancel, mint codes with role node and
 * manual approval, decide requests and revoke devices with role node. Everything else is for the local socket only, and
 * anything that touches operators above all: a stolen laptop must not be able to make, keep or remove an operator.
 *
 * This is the one place that says so. Methods that are local whatever they are called with do not get here: the method
 * table (tl-admin-service.c) refuses them before a message is parsed. The rest asks here inside the store's transaction
 * that does it (tl-store-operator.c), so that a revocation or a change of role is ordered before or after it, never in
 * between. Pure; thread: any.
 */
typedef enum
{
  TL_OPERATOR_EXECUTE,        /* run a capability on any device */
  TL_OPERATOR_CANCEL_REQUEST, /* end a capability request, whoever asked for it */
  TL_OPERATOR_MINT,           /* make a pairing code */
  TL_OPERATOR_CANCEL_CODE,    /* cancel one */
  TL_OPERATOR_DECIDE,         /* approve or reject a pairing request, or guess its digits */
  TL_OPERATOR_REVOKE,         /* cut a device off */
  TL_OPERATOR_ADMINISTER,     /* any other change of a device: suspend, remove, clear, role, name, ... */
  TL_OPERATOR_N_ACTIONS,
} TlOperatorAction;

/* Who asks. */
typedef struct
{
  gboolean local;              /* over the admin socket */
  gboolean is_active_operator; /* else: the device is active and has role operator at this moment */
} TlOperatorCaller;

/* What it is done to. Members that an action does not name are not looked at. */
typedef struct
{
  TlRole role;         /* MINT, CANCEL_CODE, DECIDE: that the code gives. REVOKE: the device's */
  gboolean automatic;  /* MINT, CANCEL_CODE: without approval */
  gboolean is_own;     /* CANCEL_CODE: the caller minted it. REVOKE: it is the caller */
  TlRole highest_role; /* DECIDE: of the devices known under the request's id, its key or the id it replaces */
} TlOperatorTarget;

/* FALSE: NOT_OPERATOR (the caller is none, or none any more) or LOCAL_ONLY. */
gboolean tl_operator_policy_check (const TlOperatorCaller *caller, TlOperatorAction action,
                                   const TlOperatorTarget *target, GError **error);

G_END_DECLS
