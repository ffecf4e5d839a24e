/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "pairing/tl-pairing-link.h"
#include "pairing/tl-pairing-messages.h"

G_BEGIN_DECLS

/*
 * TlDeviceSession: the device's half (PROTOCOL 3.2, 3.3): a state machine without sockets or clock. Trusts nothing that
 * the gateway says before confirm_v verified, and no answer after it without its MAC. Any failure and any call out of
 * order kills it; DONE is final, later calls are refused and change nothing. random must outlive the session. Thread:
 * owner's.
 */
typedef enum
{
  TL_DEVICE_SESSION_UNCONFIRMED, /* from a link: nothing may connect until the person confirmed (P, 3.1) */
  TL_DEVICE_SESSION_READY,       /* may connect and start */
  TL_DEVICE_SESSION_STARTED,     /* StartPairing made, waits for the offer */
  TL_DEVICE_SESSION_SHARED,      /* share_p made, waits for share_v and confirm_v */
  TL_DEVICE_SESSION_CONFIRMED,   /* confirm_v verified: this is the gateway that knows the code; CompletePairing made */
  TL_DEVICE_SESSION_REQUESTED,   /* the request exists; waits for the decision */
  TL_DEVICE_SESSION_DONE,        /* a final state was authenticated */
  TL_DEVICE_SESSION_DEAD,
} TlDeviceSessionState;

const char *tl_device_session_state_to_string (TlDeviceSessionState state);

/* Signs with the device's identity key. */
typedef gboolean (*TlPairingSignFunc) (const void *message, gsize length, guint8 signature[64], gpointer user_data,
                                       GError **error);

/* Who is pairing; borrowed during tl_device_session_new_*() only, except sign/sign_data. */
typedef struct
{
  const char *device_id;
  guint8 identity_public[32];
  GBytes *csr_der;
  const char *device_name;
  const char *platform;
  const char *replaces_device_id; /* NULL */
  TlClientKind client_kind;
  TlPairingSignFunc sign;
  gpointer sign_data;
} TlPairingDevice;

typedef struct _TlDeviceSession TlDeviceSession;

/* READY. digits as from tl_pairing_pin_parse(). */
TlDeviceSession *tl_device_session_new_pin (const TlPairingDevice *device, guint slot, TlSecret *digits,
                                            TlRandom *random, GError **error);
/* UNCONFIRMED. The link is copied. */
TlDeviceSession *tl_device_session_new_link (const TlPairingDevice *device, const TlPairingLink *link, TlRandom *random,
                                             GError **error);
void tl_device_session_free (TlDeviceSession *session);

TlDeviceSessionState tl_device_session_state (TlDeviceSession *session);
/* UNCONFIRMED -> READY: the person said so. Later: already so, TRUE. */
gboolean tl_device_session_confirm_connect (TlDeviceSession *session, GError **error);

/* READY -> STARTED. server_certificate_sha256: of the leaf seen on this connection. Pointers in *start are the
 * session's. */
gboolean tl_device_session_start (TlDeviceSession *session, const guint8 server_certificate_sha256[32],
                                  TlPairingStart *start, GError **error);
/* STARTED -> SHARED. Checks version, session and gateway ids, KDF rule, with a link `g` and `f` (WRONG_CA). Blocks for
 * scrypt. */
gboolean tl_device_session_handle_offer (TlDeviceSession *session, const TlPairingOffer *offer,
                                         guint8 share_p[TL_SPAKE2PLUS_SHARE_LENGTH], GError **error);
/* SHARED -> CONFIRMED. WRONG_CODE when confirm_v does not fit: the PIN is wrong, or somebody is in the middle. Pointers
 * in *complete are the session's; repeating CompletePairing sends the same. */
gboolean tl_device_session_handle_exchange (TlDeviceSession *session, const guint8 *share_v, gsize share_length,
                                            const guint8 *confirm_v, gsize confirm_length, TlPairingComplete *complete,
                                            GError **error);
/* From CONFIRMED on (else NULL): who it is that was authenticated. Borrowed. */
const char *tl_device_session_gateway_id (TlDeviceSession *session);
GBytes *tl_device_session_ca_certificate (TlDeviceSession *session);
const char *tl_device_session_id (TlDeviceSession *session);
/* Six digits to show ("042 917" is the caller's formatting); from CONFIRMED on, else NULL. g_free(). */
char *tl_device_session_comparison_code (TlDeviceSession *session);

/* CONFIRMED -> REQUESTED. PROTOCOL when the MAC does not verify. */
gboolean tl_device_session_handle_complete (TlDeviceSession *session, const TlPairingCompleteAnswer *answer,
                                            GError **error);
const char *tl_device_session_request_id (TlDeviceSession *session); /* NULL before REQUESTED */
/* REQUESTED: a fresh nonce and MAC for each WatchPairing. */
gboolean tl_device_session_watch (TlDeviceSession *session, guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH],
                                  guint8 mac[TL_PAIRING_MAC_LENGTH], GError **error);
/* Verifies the MAC under the last nonce, then that the state does not take back an earlier one and that certificate and
 * CAs are there exactly when COMPLETED. A final state moves to DONE. */
gboolean tl_device_session_handle_watch (TlDeviceSession *session, const TlPairingWatchAnswer *answer, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlDeviceSession, tl_device_session_free)

G_END_DECLS
