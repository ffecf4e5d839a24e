/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-node-rpc.h"
#include "agent/node/tl-renewal-transport.h"

G_BEGIN_DECLS

/*
 * Renewal over gRPC, on a connection of its own: with the device's certificate RenewCertificate, without one
 * RenewWithIdentity. The gateway is verified as always. rpc is copied. Thread: main context.
 */
TlRenewalTransport *tl_renewal_transport_new_grpc (const TlNodeRpc *rpc);

G_END_DECLS
