/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-clock.h"
#include "identity/tl-admitted-set.h"
#include "identity/tl-trust-bundle.h"
#include "quic/tl-quic-tls.h"

G_BEGIN_DECLS

/*
 * Who is let in by QUIC's handshakes (PROTOCOL 1, P admission).
 *
 * TlQuicVerifier, the gateway's: chain, EKU and name of the leaf are verified once and remembered by fingerprint (at
 * most TL_QUIC_VERIFIER_MAX, the one not seen for longest goes first); validity and the admitted set are looked at
 * every time. Revoked, suspended, forgotten, superseded: alert 44; expired or not yet valid: 45; another CA: 48; wrong
 * name or use: 42. Thread: any (short lock).
 */
#define TL_QUIC_VERIFIER_MAX 16384

typedef struct _TlQuicVerifier TlQuicVerifier;

/* Something was refused; strings borrowed. device_id: NULL unless our own CA says so. reason: stable word, static
 * ("not_admitted", "superseded", "expired", "wrong_ca", "misfit", "malformed", "internal"). On the endpoint's thread.
 */
typedef void (*TlQuicRefusedFunc) (const char *fingerprint, const char *device_id, const char *address,
                                   const char *reason, gpointer user_data);

TlQuicVerifier *tl_quic_verifier_new (TlAdmittedSet *admitted, TlTrustBundle *bundle, TlClock *clock,
                                      TlQuicRefusedFunc refused, gpointer user_data);
TlQuicVerifier *tl_quic_verifier_ref (TlQuicVerifier *verifier);
void tl_quic_verifier_unref (TlQuicVerifier *verifier);
/* Another set of CAs: what was remembered goes. */
void tl_quic_verifier_set_bundle (TlQuicVerifier *verifier, TlTrustBundle *bundle);
/* A TlQuicVerifyFunc; user_data is the verifier. */
guint8 tl_quic_verifier_verify (const TlQuicPeerCertificate *peer, gpointer verifier);
/* Full verifications made, remembered ones used: for tests and `status`. */
void tl_quic_verifier_get_counts (TlQuicVerifier *verifier, guint64 *full, guint64 *remembered);

/*
 * TlQuicTrust, the device's: the gateway's leaf chains to the bundle, is valid, has EKU serverAuth and the gateway-id
 * name; and, with a pin, is exactly that certificate. Thread: owner's.
 */
typedef struct _TlQuicTrust TlQuicTrust;

/* pin: hex SHA-256 of the leaf or of its SubjectPublicKeyInfo, NULL: none. */
TlQuicTrust *tl_quic_trust_new (TlTrustBundle *bundle, const char *pin, TlClock *clock);
void tl_quic_trust_free (TlQuicTrust *trust);
guint8 tl_quic_trust_verify (const TlQuicPeerCertificate *peer, gpointer trust);
/* Why the last handshake was refused by us, in words for people; FALSE: it was not. */
gboolean tl_quic_trust_get_refusal (TlQuicTrust *trust, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicVerifier, tl_quic_verifier_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicTrust, tl_quic_trust_free)

G_END_DECLS
