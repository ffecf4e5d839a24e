/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-gateway.h"

G_BEGIN_DECLS

/*
 * AdminService (PROTOCOL 4) for callers on the local socket, where the peer's uid is the actor, and for operators'
 * devices
 * ("device:<id>"), which may do less: tl-operator-policy.h. Every List* is paged. Thread: main.
 */
#define TL_ADMIN_DEFAULT_PAGE 100
#define TL_ADMIN_MAX_PAGE     500

void tl_admin_service_register (TlGateway *gateway, TlRpcServer *server);

G_END_DECLS
