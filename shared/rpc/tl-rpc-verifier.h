/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-clock.h"
#include "identity/tl-admitted-set.h"
#include "identity/tl-trust-bundle.h"
#include "rpc/tl-rpc-denials.h"

G_BEGIN_DECLS

/*
 * Our half of certificate verification, run by gRPC in every handshake on its own threads: after the chain was checked
 * (full handshakes) and before HTTP/2.
 */

/* Server: no certificate passes as a stranger; a certificate has to be in the admitted set now, with the right use and
 * name (PROTOCOL 1, P admission). What it refuses goes to `denials`. Released with
 * grpc_tls_certificate_verifier_release(). */
grpc_tls_certificate_verifier *tl_rpc_verifier_new_server (TlAdmittedSet *admitted, const char *gateway_id,
                                                           TlClock *clock, TlRpcDenials *denials);

/* TlRpcTrust: what a client believes about its gateway; shared by client and verifier. Thread: any. */
typedef struct _TlRpcTrust TlRpcTrust;

TlRpcTrust *tl_rpc_trust_new (gboolean first_contact, const guint8 *ca_sha256, TlTrustBundle *bundle, TlClock *clock);
TlRpcTrust *tl_rpc_trust_ref (TlRpcTrust *trust);
void tl_rpc_trust_unref (TlRpcTrust *trust);
/* Before the first handshake. pin: hex SHA-256 of the leaf or its public key; what is not one fits nothing. */
void tl_rpc_trust_set_pin (TlRpcTrust *trust, const char *pin);
void tl_rpc_trust_set_bundle (TlRpcTrust *trust, TlTrustBundle *bundle);
/* A new round of connection attempts: forgets what the last one saw. */
void tl_rpc_trust_reset (TlRpcTrust *trust);
/* TRUE when the last handshake of this round ended with our refusal; *error tells why. */
gboolean tl_rpc_trust_get_refusal (TlRpcTrust *trust, GError **error);
/* TRUE when a handshake of this round passed our checks. */
gboolean tl_rpc_trust_was_accepted (TlRpcTrust *trust);
grpc_tls_certificate_verifier *tl_rpc_verifier_new_client (TlRpcTrust *trust);

G_END_DECLS
