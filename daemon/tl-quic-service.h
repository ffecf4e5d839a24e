/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-gateway.h"

G_BEGIN_DECLS

/*
 * What the gateway does with requests over QUIC (PROTOCOL 5): node.stream_events, ack_events, submit_result, event. The
 * QUIC counterpart of tl-node-service. Thread: main.
 */

/* Makes gateway->quic and binds: listen-quic=, or the hosts and ports of gateway->listeners. Nothing when it is
 * switched off. */
gboolean tl_quic_service_open (TlGateway *gateway, GError **error);
/* From now on connections are accepted. */
void tl_quic_service_start (TlGateway *gateway);

G_END_DECLS
