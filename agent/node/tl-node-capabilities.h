/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-capability-builtin.h"

G_BEGIN_DECLS

/* What a node announces: the built-in capabilities and the caller's own, checked against the policy in node.conf: a
 * rule for a capability that does not exist is a slip of the pen that would leave another one unprotected
 * (INVALID_ARGUMENT, naming file and line). Owner: the caller. */
TlCapabilitySet *tl_node_capabilities_new (const TlNodeConfig *config, const TlNodeFacts *facts, TlFsRoots *roots,
                                           const TlCapability *more, guint n_more, gpointer more_data, GError **error);

G_END_DECLS
