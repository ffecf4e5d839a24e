/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-gateway.h"
#include "daemon/tl-renewal-desk.h"

G_BEGIN_DECLS

/*
 * Renewal over gRPC (PROTOCOL 4.3): PairingService.GetChallenge and RenewWithIdentity for anyone within limits,
 * NodeService.RenewCertificate for admitted devices. Thread: main.
 */
TlRenewalService *tl_renewal_service_new (TlGateway *gateway);
void tl_renewal_service_free (TlRenewalService *service);
void tl_renewal_service_register (TlRenewalService *service, TlRpcServer *server);
TlRenewalDesk *tl_renewal_service_desk (TlRenewalService *service);

G_END_DECLS
