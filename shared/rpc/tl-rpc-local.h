/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>
#include <sys/types.h>

G_BEGIN_DECLS

/*
 * TlRpcLocal: the listening Unix socket. Our own bind and accept, because gRPC's `unix:` listener hides the peer's uid
 * and lets a second daemon steal the path. Thread: the given main context.
 */
typedef struct _TlRpcLocal TlRpcLocal;

/* Takes over fd. */
typedef void (*TlRpcLocalFunc) (int fd, uid_t uid, pid_t pid, gpointer user_data);

/* Bound and ready; people get in after tl_rpc_local_start(). IN_USE when somebody answers on that path. */
TlRpcLocal *tl_rpc_local_new (const char *path, mode_t mode, const char *group, GError **error);
gboolean tl_rpc_local_start (TlRpcLocal *local, GMainContext *context, TlRpcLocalFunc func, gpointer user_data,
                             GError **error);
/* Stops and removes the path if it is still ours. */
void tl_rpc_local_free (TlRpcLocal *local);

G_END_DECLS
