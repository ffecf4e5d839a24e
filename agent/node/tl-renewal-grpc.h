/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-renewal-transport.h"
#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/*
 * Renewal over gRPC, on a connection of its own: with the device's certificate RenewCertificate, without one
 * RenewWithIdentity. The gateway is verified as always. Thread: main context.
 */
typedef struct
{
  TlRpcLoop *loop;            /* borrowed, as everything here, as long as the transport lives */
  TlDeviceIdentity *identity; /* bundle, key and leaf, as they are when a renewal begins */
  TlClock *clock;             /* NULL = system */
} TlRenewalGrpc;

TlRenewalTransport *tl_renewal_transport_new_grpc (const TlRenewalGrpc *parts);

G_END_DECLS
