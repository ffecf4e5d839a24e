/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-random.h"
#include "base/tl-secret.h"
#include "crypto/tl-spake2plus.h"

G_BEGIN_DECLS

/*
 * Pairing codes (PROTOCOL 3.1): the PIN `S-DDDD-DDDD` and the link's token, and what each side derives from them. The
 * gateway keeps a TlPairingVerifier, never the code. Thread: any.
 */
#define TL_PAIRING_SLOT_MAX     999
#define TL_PAIRING_PIN_DIGITS   8
#define TL_PAIRING_TOKEN_LENGTH 16 /* random bytes; 26 base32 characters */
#define TL_PAIRING_SALT_LENGTH  16
#define TL_PAIRING_SCRYPT_N     32768
#define TL_PAIRING_SCRYPT_N_MIN 16384 /* what a device accepts */
#define TL_PAIRING_SCRYPT_N_MAX 131072

typedef enum
{
  TL_PAIRING_PIN,  /* selector: slot; KDF scrypt */
  TL_PAIRING_LINK, /* selector: code id; KDF hkdf-sha256 */
} TlPairingMethod;

/* KDF name and parameters as they go over the wire and into Context. */
typedef struct
{
  const char *name; /* "scrypt" | "hkdf-sha256", static */
  guint32 n, r, p;  /* 0 0 0 for hkdf-sha256 */
} TlPairingKdf;

/* What the gateway may use for a method, and (device) whether an offered one is acceptable for it: scrypt with N
 * 16384..131072 a power of two, r 8, p 1 if and only if PIN; hkdf-sha256 0 0 0 if and only if LINK. */
TlPairingKdf tl_pairing_kdf_for (TlPairingMethod method);
/* On success *kdf has static strings. TL_ERROR_PROTOCOL otherwise. */
gboolean tl_pairing_kdf_check (TlPairingMethod method, const char *name, guint32 n, guint32 r, guint32 p,
                               TlPairingKdf *kdf, GError **error);

/* Eight random digits (rejection sampling) as ASCII. */
TlSecret *tl_pairing_pin_generate (TlRandom *random);
/* "S-DDDD-DDDD" for showing to the person; the caller wipes it (tl_wipe_string). */
char *tl_pairing_pin_format (guint slot, const TlSecret *digits);
/* Digits count, dashes and blanks do not; the secret is the last eight digits, before them the slot 1..999.
 * INVALID_ARGUMENT says which part is wrong and never repeats the digits. */
gboolean tl_pairing_pin_parse (const char *text, guint *slot, TlSecret **digits, GError **error);

/* 128 random bits as 26 characters Crockford base32. */
TlSecret *tl_pairing_token_generate (TlRandom *random);
/* Canonical form (upper case, I and L = 1, O = 0) of a typed or scanned token; INVALID_ARGUMENT otherwise. */
TlSecret *tl_pairing_token_parse (const char *text, GError **error);

/* w0, w1 from the canonical secret (digits or token): PROTOCOL 3.3, first item. scrypt blocks about 150 ms. */
gboolean tl_pairing_derive (const TlSecret *secret, const TlPairingKdf *kdf, const guint8 salt[TL_PAIRING_SALT_LENGTH],
                            const char *gateway_id, TlSecret **w0, TlSecret **w1, GError **error);

/* What the gateway stores. */
typedef struct
{
  TlPairingKdf kdf;
  guint8 salt[TL_PAIRING_SALT_LENGTH];
  TlSecret *w0;                             /* 32 */
  guint8 point[TL_SPAKE2PLUS_POINT_LENGTH]; /* L */
} TlPairingVerifier;

/* Blocks for scrypt: a worker thread's job in the daemon. */
TlPairingVerifier *tl_pairing_verifier_new (TlPairingMethod method, const TlSecret *secret, const char *gateway_id,
                                            TlRandom *random, GError **error);
void tl_pairing_verifier_free (TlPairingVerifier *verifier);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlPairingVerifier, tl_pairing_verifier_free)

G_END_DECLS
