/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Addresses as people and mDNS give them ("host:port", literals) into one gRPC target that keeps their order. Names go
 * through GResolver, not gRPC's c-ares, which knows no `.local`.
 */

/* *target is set when all are literals, NULL when names have to be resolved. INVALID_ARGUMENT names a malformed one. */
gboolean tl_rpc_resolve_literals (const char *const *addresses, char **target, GError **error);
/* Names that do not resolve are left out; UNAVAILABLE when nothing is left. */
void tl_rpc_resolve_async (const char *const *addresses, GCancellable *cancellable, GAsyncReadyCallback callback,
                           gpointer user_data);
char *tl_rpc_resolve_finish (GAsyncResult *result, GError **error);

G_END_DECLS
