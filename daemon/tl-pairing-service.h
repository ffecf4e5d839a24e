/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-gateway.h"
#include "twinlatch/v1/admin.pb-c.h"

G_BEGIN_DECLS

/*
 * TlPairingService: PairingService for strangers (PROTOCOL 3.2) and the operators' half of it: minting, deciding,
 * watching. The protocol's order and checks are TlGatewaySession's; durable counting is the store's; here they meet the
 * network. Thread: main.
 */
#define TL_PAIRING_MAX_BODY         (16 * 1024) /* PROTOCOL 3.4 */
#define TL_PAIRING_APPROVAL_MS      (10 * 60 * 1000)
#define TL_PAIRING_DEFAULT_TTL_MS   (10 * 60 * 1000)
#define TL_PAIRING_MIN_TTL_MS       (30 * 1000)
#define TL_PAIRING_MAX_TTL_MS       (24 * 3600 * 1000)
#define TL_PAIRING_DEFAULT_ATTEMPTS 3
#define TL_PAIRING_MAX_ATTEMPTS     10

TlPairingService *tl_pairing_service_new (TlGateway *gateway);
void tl_pairing_service_free (TlPairingService *service);
void tl_pairing_service_register (TlPairingService *service, TlRpcServer *server);
/* About once a second: sessions, codes and requests that ran out. */
void tl_pairing_service_tick (TlPairingService *service, gint64 now_ms);

/* AdminService: each answers the call. */
void tl_pairing_service_mint (TlPairingService *service, TlRpcCall *call,
                              const Twinlatch__V1__MintNodePairingCodeRequest *request);
void tl_pairing_service_decide (TlPairingService *service, TlRpcCall *call,
                                const Twinlatch__V1__DecidePairingRequest *request);
/* Server stream: every pending request, then each change until the caller goes. */
void tl_pairing_service_watch (TlPairingService *service, TlRpcCall *call);
/* The store ended these requests (TlPairingRecord) with the operator behind them. */
void tl_pairing_service_ended (TlPairingService *service, const GPtrArray *requests);
/* The gateway stops: devices and operators that wait are told to come again. */
void tl_pairing_service_close_all (TlPairingService *service);
/* Iterates the main context until no worker thread is left. */
void tl_pairing_service_wait_idle (TlPairingService *service);
/* The operator's stream ended. */
void tl_pairing_service_unwatch (TlPairingService *service, TlRpcCall *call);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlPairingService, tl_pairing_service_free)

G_END_DECLS
