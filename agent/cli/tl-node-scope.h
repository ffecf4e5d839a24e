/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-cli.h"

G_BEGIN_DECLS

/*
 * Whose node a verb is about: the calling user's, or with --system that of the computer, which has a user and a state
 * folder of its own (/var/lib/twinlatch-node). Thread: main, before anything else runs.
 */
#define TL_NODE_USER "twinlatch-node"

/* For verbs that work with the state: with system, root becomes TL_NODE_USER for the rest of the process, so that root
 * follows no path below a folder that another user can change; the folder is made when it is missing. Errors:
 * PERMISSION_DENIED (neither root nor that user), FAILED_PRECONDITION (no such user). Without system: nothing. */
gboolean tl_node_scope_enter (TlCli *cli, gboolean system, GError **error);
/* For verbs that only look, and for root's part in installing: where the state is. */
void tl_node_scope_look (TlCli *cli, gboolean system);
/* --from FILE may be readable for root only: with system it is opened now, as standard input, and *from becomes "-". */
gboolean tl_node_scope_open_from (gboolean system, const char **from, GError **error);

G_END_DECLS
