/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-node-program.h"

G_BEGIN_DECLS

/*
 * Configuration of a headless node: <config dir>/node.conf (man twinlatch-node.conf(5)):
 *   [node]    name=  log-level=  reconnect-max=  (duration)  transport=auto|quic|grpc  server-pin=  (hex)
 *   [root NAME]  path=  (absolute)          : roots of fs.*; nothing outside is readable; none by default
 *   [program NAME]  command=  arguments=  timeout=  directory=  description=  : what process.run may run
 *   [policy]  default=deny|allow  and capability rows through [policy CAPABILITY] mode=allow|deny
 */
#define TL_CAPABILITY_PROCESS_RUN "process.run" /* never allowed by the default */

typedef struct
{
  char *name; /* [root NAME] */
  char *path; /* absolute, existing directory when the node starts */
} TlNodeRoot;

typedef enum
{
  TL_NODE_TRANSPORT_AUTO, /* QUIC, and gRPC when that does not get through */
  TL_NODE_TRANSPORT_QUIC,
  TL_NODE_TRANSPORT_GRPC,
} TlNodeTransport;

typedef struct
{
  TlConfig *config;
  TlNodeTransport transport;
  char *server_pin;        /* hex SHA-256, lower case, of the gateway's leaf or its public key; NULL: none */
  GPtrArray *roots;        /* TlNodeRoot */
  GPtrArray *programs;     /* TlNodeProgram */
  GHashTable *policy;      /* capability -> GINT_TO_POINTER (TRUE = allow, FALSE = deny) */
  gboolean policy_default; /* allow for what has no row; TRUE for built-in capabilities unless default=deny */
} TlNodeConfig;

/* path NULL: <user config dir>/node.conf when it exists. */
TlNodeConfig *tl_node_config_load (const char *path, GError **error);
/* The node of the computer: /etc/twinlatch/node.conf when it exists. */
TlNodeConfig *tl_node_config_load_system (GError **error);
void tl_node_config_free (TlNodeConfig *config);
/* --transport on the command line. INVALID_ARGUMENT. */
gboolean tl_node_config_set_transport (TlNodeConfig *config, const char *text, GError **error);
/* --root NAME=PATH on the command line. */
gboolean tl_node_config_add_root (TlNodeConfig *config, const char *name, const char *path, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeConfig, tl_node_config_free)

G_END_DECLS
