/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-node-service.h"
#include "agent/cli/tl-verb.h"

G_BEGIN_DECLS

/*
 * What the verbs `node install|uninstall|start|stop|restart` have in common: options in, outcome out. Thread: main.
 */

/* Of the verb's own options, those it has: --system, --gateway, --config, --dry-run. */
TlNodeService *tl_node_service_verb_open (TlCli *cli, TlArgs *args, gboolean without_pairing, GError **error);
/* {"service", "scope", "name", "installed", "running", "pid", "state", "log", "steps", "already", "dry_run"}, or lines
 * for people. */
gboolean tl_node_service_verb_print (TlCli *cli, TlArgs *args, TlNodeService *service, GError **error);

/* Rows that the verbs share. */
#define TL_NODE_SERVICE_OPTION_SYSTEM                                                                                  \
  {                                                                                                                    \
    "system", TL_OPTION_FLAG, NULL, N_ ("the node of the whole computer, not of this user; needs root")                \
  }
#define TL_NODE_SERVICE_OPTION_GATEWAY                                                                                 \
  {                                                                                                                    \
    "gateway", TL_OPTION_TEXT, "NAME", N_ ("which paired gateway, by name or id; a service of its own each")           \
  }

G_END_DECLS
