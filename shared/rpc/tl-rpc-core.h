/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "rpc/tl-rpc-call-private.h"
#include "rpc/tl-rpc-private.h"

G_BEGIN_DECLS

/*
 * TlRpcCore: one grpc_server. A TlRpcServer has one for TLS and one for each local uid: gRPC names a connection made
 * from a descriptor "fd:N" only, and N may be reused while a call of the closed connection still waits to be handled,
 * so the uid has to come from the object the call arrived at. Thread: main context; calls arrive on the rpc thread.
 */
typedef struct _TlRpcCore TlRpcCore;

typedef struct
{
  gboolean local;
  uid_t uid;
  /* rpc thread; takes over call. */
  void (*on_call) (TlRpcCore *core, grpc_call *call, const char *path, gpointer owner);
  /* Main context, once, last, after tl_rpc_core_shutdown(). */
  void (*on_stopped) (TlRpcCore *core, gpointer owner);
  gpointer owner;
} TlRpcCoreSetup;

TlRpcCore *tl_rpc_core_new (TlRpcLoop *loop, const grpc_channel_args *args, const TlRpcCoreSetup *setup);
/* After on_stopped. */
void tl_rpc_core_free (TlRpcCore *core);
const TlRpcCoreSetup *tl_rpc_core_setup (TlRpcCore *core);
/* 0 on failure. Before start. */
int tl_rpc_core_add_port (TlRpcCore *core, const char *address, grpc_server_credentials *credentials);
void tl_rpc_core_start (TlRpcCore *core);
/* A connected local socket; takes over fd. */
void tl_rpc_core_add_connection (TlRpcCore *core, int fd);
void tl_rpc_core_shutdown (TlRpcCore *core);
/* After tl_rpc_core_shutdown(): does not wait for calls any longer. */
void tl_rpc_core_cancel_all (TlRpcCore *core);

G_END_DECLS
