/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-node-service.h"

G_BEGIN_DECLS

/* The two back ends of TlNodeService. Every function is about the one pairing in `service`. */
typedef struct
{
  gboolean (*look) (TlNodeService *service, TlNodeServiceInfo *info, GError **error);
  gboolean (*install) (TlNodeService *service, GError **error);
  gboolean (*uninstall) (TlNodeService *service, GError **error);
  gboolean (*start) (TlNodeService *service, GError **error);
  gboolean (*stop) (TlNodeService *service, GError **error);
  gboolean (*restart) (TlNodeService *service, GError **error);
} TlNodeServiceClass;

struct _TlNodeService
{
  const TlNodeServiceClass *klass;
  TlNodeServiceKind kind;
  gboolean system;
  gboolean dry_run;
  gboolean named;   /* the gateway was named: a unit instance of its own */
  char *gateway_id; /* NULL: the pairing is gone (uninstall, stop) */
  char *directory;  /* of the pairing's state; NULL with it */
  char *config;     /* absolute, NULL */
  char *state_dir;  /* absolute, only when it was given; NULL */
  char *program;    /* this one */
  GPtrArray *steps; /* char*, NULL-terminated */
};

extern const TlNodeServiceClass tl_node_service_systemd;
extern const TlNodeServiceClass tl_node_service_supervised;

/* A manager to talk to is there. */
gboolean tl_node_service_has_systemd (gboolean system);
/* "twinlatch-node.service", or with an id the instance; g_free(). */
char *tl_node_service_unit_name (const char *gateway_id);
/* An argument of ExecStart=, quoted as systemd.service(5) wants it; g_free(). */
char *tl_node_service_unit_quote (const char *text);
void tl_node_service_add_step (TlNodeService *service, const char *format, ...) G_GNUC_PRINTF (2, 3);

G_END_DECLS
