/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Where things live. System mode: /etc/twinlatch, /var/lib/twinlatch, /run/twinlatch. User mode: XDG directories
 * ($XDG_CONFIG_HOME|~/.config, $XDG_STATE_HOME|~/.local/state, $XDG_RUNTIME_DIR) + "twinlatch". Thread: any.
 * Every function returns a new string (g_free).
 */
char *tl_paths_config_dir (gboolean user);
char *tl_paths_state_dir (gboolean user);    /* gateway's state root; user: <state home>/twinlatch/gateway */
char *tl_paths_runtime_dir (gboolean user);  /* user without XDG_RUNTIME_DIR: <state home>/twinlatch/run */
char *tl_paths_admin_socket (gboolean user); /* user: <runtime>/admin.sock */
char *tl_paths_node_dir (void);              /* <state home>/twinlatch/node: one folder a gateway below it */
char *tl_paths_system_node_dir (void);       /* the same for the node of the computer: /var/lib/twinlatch-node */
/* The admin socket a client should use: $TWINLATCH_ADMIN_SOCKET, else the user's when it exists, else the system's. */
char *tl_paths_find_admin_socket (void);

G_END_DECLS
