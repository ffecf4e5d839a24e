/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "rpc/tl-rpc-core.h"
#include "rpc/tl-rpc-denials.h"
#include "rpc/tl-rpc-local.h"
#include "rpc/tl-rpc-peers.h"

G_BEGIN_DECLS

/* Between tl-rpc-server.c (life, listeners) and tl-rpc-gate.c (arriving calls). */

typedef struct
{
  const TlRpcMethod *method;
  gpointer user_data;
} MethodEntry;

struct _TlRpcServer
{
  gatomicrefcount users; /* the owner's references */
  gatomicrefcount refs;  /* the memory: owner, calls, cores */
  gint open;             /* atomic */
  gint live_calls;       /* atomic: objects whose end was not told yet */
  TlRpcLoop *loop;
  TlRpcServerOptions options;
  TlAdmittedSet *admitted;
  TlClock *clock;
  TlRpcPeers *peers;
  TlRpcDenials *denials;
  GHashTable *methods; /* path -> MethodEntry, fixed after start */
  GPtrArray *identities;

  TlRpcCore *tls;          /* main context, like all below */
  GHashTable *local_users; /* uid -> TlRpcCore */
  TlRpcLocal *local;
  GSource *walk;
  GSource *grace;
  guint cores; /* not stopped */
  gboolean stopped;
  gboolean started;
  gboolean shutting_down;
  gboolean cancelled;
  GFunc done;
  gpointer done_data;
};

/* rpc thread; takes over grpc. */
void tl_rpc_server_on_call (TlRpcCore *core, grpc_call *grpc, const char *path, gpointer owner);

G_END_DECLS
