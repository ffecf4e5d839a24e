/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-gateway.h"

G_BEGIN_DECLS

/*
 * NodeService over gRPC (PROTOCOL 4): for admitted devices; a device id in a message must be the certificate's. State
 * is the registry's and the dispatcher's. Thread: main.
 */
#define TL_NODE_MAX_EVENT_DATA (64u * 1024u)
#define TL_NODE_MAX_RESULTS    64 /* in one message */

void tl_node_service_register (TlGateway *gateway, TlRpcServer *server);

G_END_DECLS
