/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "pairing/tl-pairing-messages.h"

G_BEGIN_DECLS

/*
 * TlGatewaySession: the gateway's half of one pairing (PROTOCOL 3.2, 3.3): a state machine without sockets, clock or
 * store. It enforces the order: shares are released only after the caller said that the attempt was committed (P, 3.2),
 * a request comes out only after confirm_p, commitment, signature and MAC verified. Any failure and any call out of
 * order kills it (an out-of-order message is PROTOCOL, an out-of-order call of the owner FAILED_PRECONDITION, a late
 * one EXPIRED); VERIFIED is final, later calls are refused and change nothing. Thread: owner's.
 */
#define TL_GATEWAY_SESSION_EXCHANGE_MS (60 * 1000)
#define TL_GATEWAY_SESSION_COMPLETE_MS (5 * 60 * 1000)

typedef enum
{
  TL_GATEWAY_SESSION_OPEN,      /* offer made, waits for share_p; 60 s */
  TL_GATEWAY_SESSION_COUNTING,  /* share_p is here, the attempt is being committed; 60 s for that */
  TL_GATEWAY_SESSION_EXCHANGED, /* share_v and confirm_v are out; 5 min */
  TL_GATEWAY_SESSION_VERIFIED,  /* confirm_p and everything else verified; the request is the store's now */
  TL_GATEWAY_SESSION_DEAD,      /* refused, failed or expired */
} TlGatewaySessionState;

const char *tl_gateway_session_state_to_string (TlGatewaySessionState state);

typedef struct _TlGatewaySession TlGatewaySession;

/* start: as received; the caller has found the live code. Picks the version (TL_ERROR_UNSUPPORTED when none fits),
 * draws challenge and ephemeral key. Malformed members: INVALID_ARGUMENT naming which; a selector of the other method:
 * CODE_INVALID; an ephemeral key of small order: PROTOCOL. verifier is copied; random must outlive the session. */
TlGatewaySession *tl_gateway_session_new (const TlPairingStart *start, TlPairingMethod method,
                                          const TlPairingVerifier *verifier, const char *session_id,
                                          const char *gateway_id, GBytes *ca_certificate, gint64 now_ms,
                                          TlRandom *random, GError **error);
void tl_gateway_session_free (TlGatewaySession *session);

TlGatewaySessionState tl_gateway_session_state (TlGatewaySession *session);
TlPairingMethod tl_gateway_session_method (TlGatewaySession *session);
const char *tl_gateway_session_id (TlGatewaySession *session);
const char *tl_gateway_session_device_id (TlGatewaySession *session);
TlClientKind tl_gateway_session_client_kind (TlGatewaySession *session);
/* Borrowed, as long as the session. */
const TlPairingOffer *tl_gateway_session_offer (TlGatewaySession *session);
/* When the current state ends, wall-clock ms (G_MAXINT64 in final states); the owner calls tl_gateway_session_expire()
 * then. */
gint64 tl_gateway_session_deadline (TlGatewaySession *session);
void tl_gateway_session_expire (TlGatewaySession *session);

/* OPEN -> COUNTING: only looks at length and state; nothing about the code is computed yet. */
gboolean tl_gateway_session_begin_exchange (TlGatewaySession *session, const guint8 *share_p, gsize length,
                                            gint64 now_ms, GError **error);
/* COUNTING -> EXCHANGED, after the attempt was committed durably. A bad share kills the session (the attempt stays
 * counted). */
gboolean tl_gateway_session_finish_exchange (TlGatewaySession *session, gint64 now_ms,
                                             guint8 share_v[TL_SPAKE2PLUS_SHARE_LENGTH],
                                             guint8 confirm_v[TL_SPAKE2PLUS_CONFIRM_LENGTH], GError **error);
/* COUNTING -> DEAD: the store said no (spent, expired, slowed down). */
void tl_gateway_session_refuse_exchange (TlGatewaySession *session);
/* EXCHANGED -> VERIFIED. Checks in order: deadline, confirm_p (WRONG_CODE), MAC, commitment, identity signature, name
 * and platform (INVALID_ARGUMENT). *confirmed (may be NULL) says that confirm_p was right even when something after it
 * failed. The CSR is the caller's to check (identity layer). Outputs on success only. */
gboolean tl_gateway_session_complete (TlGatewaySession *session, const TlPairingComplete *message, gint64 now_ms,
                                      gboolean *confirmed, TlPairingKeys **keys, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlGatewaySession, tl_gateway_session_free)

G_END_DECLS
