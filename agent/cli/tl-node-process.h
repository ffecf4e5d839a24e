/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-node-status.h"

G_BEGIN_DECLS

/* What the node process that works for a gateway says of itself; NULL when none does. A status left behind by a process
 * that died is not believed, not even when another program has its pid now (after a reboot). directory: of the
 * gateway's state. Thread: any. */
TlNodeStatus *tl_node_process_find (const char *directory);

G_END_DECLS
