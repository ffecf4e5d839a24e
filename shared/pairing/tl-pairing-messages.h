/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "pairing/tl-pairing-code.h"

G_BEGIN_DECLS

/*
 * The messages of PROTOCOL 3.2 as plain values, without protobuf and without sockets, and the keys that authenticate
 * them. Pointers in messages are borrowed. How each field enters Context and MACs is written down in
 * tl-pairing-messages.c and in data/doc/protocol.md; both sides use the functions here, so there is one place.
 */
#define TL_PAIRING_VERSION            1
#define TL_PAIRING_VERSIONS_MAX       8
#define TL_PAIRING_NONCE_LENGTH       32
#define TL_PAIRING_WATCH_NONCE_LENGTH 16
#define TL_PAIRING_MAC_LENGTH         32
#define TL_PAIRING_REASON_MAX         240

typedef enum
{
  TL_CLIENT_NODE,
  TL_CLIENT_DESKTOP,
  TL_CLIENT_CLI,
} TlClientKind;

const char *tl_client_kind_to_string (TlClientKind kind); /* "node", "desktop", "cli" */

/* PROTOCOL 3.2. */
typedef enum
{
  TL_PAIRING_STATE_PENDING_APPROVAL,
  TL_PAIRING_STATE_APPROVED,
  TL_PAIRING_STATE_REJECTED,
  TL_PAIRING_STATE_EXPIRED,
  TL_PAIRING_STATE_COMPLETED,
} TlPairingState;

const char *tl_pairing_state_to_string (TlPairingState state); /* "pending_approval", ... */

/* 1: device -> gateway */
typedef struct
{
  guint32 versions[TL_PAIRING_VERSIONS_MAX];
  guint n_versions;
  guint32 slot;        /* PIN; 0 when code_id is used */
  const char *code_id; /* LINK; NULL when slot is used */
  TlClientKind client_kind;
  const char *device_id;
  guint8 device_ephemeral[32];
  guint8 device_commitment[32];
  guint8 server_certificate_sha256[32];
} TlPairingStart;

/* 1: gateway -> device */
typedef struct
{
  guint32 version;
  const char *session_id;
  const char *gateway_id;
  guint8 challenge[32];
  guint8 gateway_ephemeral[32];
  GBytes *ca_certificate; /* DER */
  guint8 salt[TL_PAIRING_SALT_LENGTH];
  TlPairingKdf kdf;
  gint64 expires_at_ms;
} TlPairingOffer;

/* 3: device -> gateway */
typedef struct
{
  const char *session_id;
  guint8 confirm_p[32];
  guint8 identity_public[32];
  guint8 device_nonce[TL_PAIRING_NONCE_LENGTH];
  GBytes *csr_der;
  const char *device_name;
  const char *platform;
  const char *replaces_device_id; /* may be NULL or "" */
  guint8 identity_signature[64];
  guint8 mac[TL_PAIRING_MAC_LENGTH];
} TlPairingComplete;

/* 3: gateway -> device */
typedef struct
{
  const char *request_id;
  TlPairingState state;
  gint64 expires_at_ms;
  guint8 mac[TL_PAIRING_MAC_LENGTH];
} TlPairingCompleteAnswer;

/* 4: gateway -> device */
typedef struct
{
  TlPairingState state;
  const char *reason;
  GBytes *certificate_der;  /* COMPLETED, else NULL */
  GBytes *const *ca_bundle; /* n_ca_bundle of them */
  guint n_ca_bundle;
  const char *const *addresses; /* NULL-terminated or NULL */
  const char *policy;
  const char *gateway_name;
  guint32 ca_generation;
  guint32 role; /* wire number of twinlatch.v1.Role */
  guint8 mac[TL_PAIRING_MAC_LENGTH];
} TlPairingWatchAnswer;

/* device_commitment = H(`commit`, device_nonce, identity_public) */
void tl_pairing_commitment (const guint8 device_nonce[TL_PAIRING_NONCE_LENGTH], const guint8 identity_public[32],
                            guint8 commitment[32]);
/* SPAKE2+ Context (PROTOCOL 3.3). */
GBytes *tl_pairing_context (const TlPairingStart *start, const TlPairingOffer *offer);

/*
 * TlPairingKeys: what a confirmed exchange leaves: key_device, key_gateway, key_display, transcript_hash. The gateway
 * keeps it, sealed, with the request until the certificate's first use or 24 h. The comparison code cannot be read out
 * of it by design of this interface: the gateway can only check digits (P, 3.3). Thread: any (immutable).
 */
typedef struct _TlPairingKeys TlPairingKeys;

#define TL_PAIRING_KEYS_LENGTH 128

/* shared: K_shared; x: X25519 result. */
TlPairingKeys *tl_pairing_keys_new (const TlSecret *shared, const TlSecret *x, const guint8 challenge[32],
                                    const char *session_id, const guint8 transcript_hash[32]);
TlSecret *tl_pairing_keys_serialise (TlPairingKeys *keys); /* TL_PAIRING_KEYS_LENGTH bytes */
TlPairingKeys *tl_pairing_keys_parse (const TlSecret *value, GError **error);
TlPairingKeys *tl_pairing_keys_ref (TlPairingKeys *keys);
void tl_pairing_keys_unref (TlPairingKeys *keys);

/* The bytes that identity_signature signs and (under key_device) mac authenticates. */
GBytes *tl_pairing_complete_input (TlPairingKeys *keys, const TlPairingComplete *message);
void tl_pairing_keys_mac_complete (TlPairingKeys *keys, TlPairingComplete *message);
gboolean tl_pairing_keys_check_complete (TlPairingKeys *keys, const TlPairingComplete *message);
/* Answers of the gateway: MAC(key_gateway, purpose, nonce, all fields). The nonce is device_nonce for Complete, the
 * request's nonce for Watch. */
void tl_pairing_keys_mac_complete_answer (TlPairingKeys *keys, const guint8 device_nonce[TL_PAIRING_NONCE_LENGTH],
                                          TlPairingCompleteAnswer *answer);
gboolean tl_pairing_keys_check_complete_answer (TlPairingKeys *keys, const guint8 device_nonce[TL_PAIRING_NONCE_LENGTH],
                                                const TlPairingCompleteAnswer *answer);
void tl_pairing_keys_mac_watch (TlPairingKeys *keys, const char *session_id,
                                const guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH], guint8 mac[TL_PAIRING_MAC_LENGTH]);
gboolean tl_pairing_keys_check_watch (TlPairingKeys *keys, const char *session_id,
                                      const guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH],
                                      const guint8 mac[TL_PAIRING_MAC_LENGTH]);
void tl_pairing_keys_mac_watch_answer (TlPairingKeys *keys, const guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH],
                                       TlPairingWatchAnswer *answer);
gboolean tl_pairing_keys_check_watch_answer (TlPairingKeys *keys, const guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH],
                                             const TlPairingWatchAnswer *answer);
/* Six digits typed by the approver (blanks and dashes do not count) are those the device shows. Constant time. */
gboolean tl_pairing_keys_check_comparison (TlPairingKeys *keys, const guint8 device_nonce[TL_PAIRING_NONCE_LENGTH],
                                           const char *digits);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlPairingKeys, tl_pairing_keys_unref)

G_END_DECLS
