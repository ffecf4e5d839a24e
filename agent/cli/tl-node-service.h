/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-args.h"
#include "agent/cli/tl-cli.h"
#include "agent/node/tl-node-state.h"

G_BEGIN_DECLS

/*
 * TlNodeService: the node as something that runs by itself. Where systemd runs, a unit: of the system's manager with
 * --system, of the user's otherwise; without a manager a supervised background process (tl-supervisor.h). A verb that
 * finds what it should bring about succeeds. Thread: main, blocking.
 */
typedef enum
{
  TL_NODE_SERVICE_SYSTEMD,
  TL_NODE_SERVICE_SUPERVISED,
} TlNodeServiceKind;

typedef struct _TlNodeService TlNodeService;

/* What there is. Strings are never NULL. */
typedef struct
{
  gboolean installed; /* starts by itself: the unit is enabled; supervised: `node start` may start it */
  gboolean running;   /* the unit is active, the supervisor lives */
  gint64 pid;         /* main process of the unit, supervisor; 0 */
  char *name;         /* unit, or pid file */
  char *state;        /* systemd's ActiveState/SubState; "running" or "stopped" */
  char *log;          /* how to read its log */
} TlNodeServiceInfo;

void tl_node_service_info_clear (TlNodeServiceInfo *info);

typedef struct
{
  gboolean system;
  gboolean dry_run;         /* say what would be done, in steps, and do nothing */
  const char *gateway;      /* --gateway: id, prefix or name; NULL: the only one */
  const char *config;       /* --config, NULL */
  const char *state_dir;    /* --state-dir as given, NULL */
  gboolean without_pairing; /* the pairing may be gone: uninstall, stop */
} TlNodeServiceOptions;

/* Looks which manager there is and which pairing is meant: NOT_PAIRED, AMBIGUOUS, PERMISSION_DENIED (--system by
 * somebody who may not). Without systemd and with --system root becomes the node's user (tl-node-scope.h). */
TlNodeService *tl_node_service_new (TlCli *cli, const TlNodeServiceOptions *options, GError **error);
void tl_node_service_free (TlNodeService *service);

TlNodeServiceKind tl_node_service_kind (TlNodeService *service);
const char *tl_node_service_kind_to_string (TlNodeServiceKind kind);
gboolean tl_node_service_look (TlNodeService *service, TlNodeServiceInfo *info, GError **error);
/* What was done (or would be), one line a step; none: it was already so. Borrowed. */
const char *const *tl_node_service_steps (TlNodeService *service);

gboolean tl_node_service_install (TlNodeService *service, GError **error);
gboolean tl_node_service_uninstall (TlNodeService *service, GError **error); /* stops it; the pairing stays */
gboolean tl_node_service_start (TlNodeService *service, GError **error);     /* FAILED_PRECONDITION: not installed */
gboolean tl_node_service_stop (TlNodeService *service, GError **error);
gboolean tl_node_service_restart (TlNodeService *service, GError **error); /* a stopped one starts */

/* For `node status`: the service of that pairing, whichever; FALSE when there is none. */
gboolean tl_node_service_find (TlCli *cli, gboolean system, const char *gateway_id, TlNodeServiceKind *kind,
                               TlNodeServiceInfo *info);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeService, tl_node_service_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TlNodeServiceInfo, tl_node_service_info_clear)

G_END_DECLS
