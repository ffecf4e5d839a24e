/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-error.h"
#include "pairing/tl-device-session.h"
#include "pairing/tl-gateway-session.h"

/* Both sides of one pairing, with fixed randomness and in virtual time: each step is one call, so that a test can stop
 * between any two and do something wrong. */
#define GATEWAY_ID   "01JD0000000000000000GATEWA"
#define DEVICE_ID    "01JD0000000000000000DEV1CE"
#define SESSION_ID   "01JD0000000000000000SESS10"
#define CODE_ID      "01JD0000000000000000C0DE00"
#define REQUEST_ID   "01JD0000000000000000REQEST"
#define OTHER_ID     "01JD0000000000000000BEF0RE"
#define PIN_DIGITS   "01234567"
#define PIN_SLOT     7
#define TOKEN        "0123456789ABCDEFGHJKMNPQRW"
#define NOW          G_GINT64_CONSTANT (1763719200000)
#define GATEWAY_SEED 11
#define DEVICE_SEED  12

typedef struct
{
  TlPairingMethod method;
  TlRandom *gateway_random;
  TlRandom *device_random;
  TlPairingVerifier *verifier; /* borrowed from fixture_verifier() */
  GBytes *ca;
  GBytes *csr;
  TlSecret *identity_seed;
  guint8 leaf_sha256[32];
  TlDeviceSession *device;
  TlGatewaySession *gateway;
  TlPairingStart start;
  guint8 share_p[TL_SPAKE2PLUS_SHARE_LENGTH];
  guint8 share_v[TL_SPAKE2PLUS_SHARE_LENGTH];
  guint8 confirm_v[TL_SPAKE2PLUS_CONFIRM_LENGTH];
  TlPairingComplete complete;
  TlPairingKeys *keys; /* the gateway's */
  TlPairingCompleteAnswer complete_answer;
  guint8 watch_nonce[TL_PAIRING_WATCH_NONCE_LENGTH];
  guint8 watch_mac[TL_PAIRING_MAC_LENGTH];
} Pair;

/* Made once a method and process: scrypt is slow. */
TlPairingVerifier *fixture_verifier (TlPairingMethod method);
TlSecret *fixture_secret (TlPairingMethod method);
TlPairingLink *fixture_link (void);
/* A device with the fixture's identity; sign_data is identity_seed. */
TlPairingDevice fixture_device (Pair *pair);
gboolean fixture_sign (const void *message, gsize length, guint8 signature[64], gpointer identity_seed, GError **error);

/* The device session is READY. */
void pair_init (Pair *pair, TlPairingMethod method);
void pair_clear (Pair *pair);
void pair_start (Pair *pair);    /* device STARTED, gateway OPEN */
void pair_offer (Pair *pair);    /* device SHARED */
void pair_exchange (Pair *pair); /* gateway EXCHANGED */
void pair_confirm (Pair *pair);  /* device CONFIRMED */
void pair_complete (Pair *pair); /* gateway VERIFIED, keys */
void pair_request (Pair *pair);  /* device REQUESTED */
void pair_watch (Pair *pair);    /* nonce and MAC drawn */
/* All steps up to and including the named one. */
void pair_run (Pair *pair, TlPairingMethod method, void (*last) (Pair *pair));

/* A whole answer for `completed`, with its MAC for pair->watch_nonce. Static storage but for the MAC. */
TlPairingWatchAnswer pair_watch_answer (Pair *pair, TlPairingState state);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Pair, pair_clear)

#define assert_tl_error(error, code) g_assert_error (error, TL_ERROR, (int)(code))
