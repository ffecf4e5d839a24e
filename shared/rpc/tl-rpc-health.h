/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "rpc/tl-rpc-server.h"

G_BEGIN_DECLS

/*
 * TlRpcHealth: grpc.health.v1.Health. Check is for anyone, Watch for devices and local operators. Serves until told
 * otherwise
 * ("SERVING only while the store accepts writes", PROTOCOL 4). Thread: main context.
 */
typedef struct _TlRpcHealth TlRpcHealth;

TlRpcHealth *tl_rpc_health_new (void);
/* After the server was let go or its shutdown is done. */
void tl_rpc_health_free (TlRpcHealth *health);
void tl_rpc_health_set_serving (TlRpcHealth *health, gboolean serving);
/* Before the server's start. */
void tl_rpc_health_register (TlRpcHealth *health, TlRpcServer *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRpcHealth, tl_rpc_health_free)

G_END_DECLS
