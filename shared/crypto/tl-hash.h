/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-secret.h"

G_BEGIN_DECLS

/*
 * The input of every hash, MAC, signature and KDF info of the protocol (PROTOCOL 0):
 * lp("twinlatch/1 <purpose>") || lp(field) || lp(field) ..., lp(x) = 8-byte little-endian length, then x.
 * A TlTranscript collects it; it is wiped when freed, so secrets may be fields. Thread: owner's.
 */
#define TL_SHA256_LENGTH 32

typedef struct _TlTranscript TlTranscript;

/* purpose "commit" gives the first field "twinlatch/1 commit". */
TlTranscript *tl_transcript_new (const char *purpose);
/* No leading purpose: plain lp() fields, for SPAKE2+'s own TT and KDF input. */
TlTranscript *tl_transcript_new_bare (void);
void tl_transcript_free (TlTranscript *transcript);
void tl_transcript_add (TlTranscript *transcript, const void *data, gsize length);
void tl_transcript_add_bytes (TlTranscript *transcript, GBytes *bytes);     /* NULL = empty field */
void tl_transcript_add_string (TlTranscript *transcript, const char *text); /* NULL = empty field */
void tl_transcript_add_u64 (TlTranscript *transcript, guint64 value);       /* 8-byte little-endian, as a field */
/* Borrowed until the next add. */
const guint8 *tl_transcript_data (TlTranscript *transcript, gsize *length);

void tl_transcript_hash (TlTranscript *transcript, guint8 digest[TL_SHA256_LENGTH]);
void tl_transcript_mac (TlTranscript *transcript, const TlSecret *key, guint8 mac[TL_SHA256_LENGTH]);
/* Constant-time check of a received MAC; FALSE for a wrong length too. */
gboolean tl_transcript_check_mac (TlTranscript *transcript, const TlSecret *key, const void *mac, gsize length);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlTranscript, tl_transcript_free)

/* Plain primitives over EVP. They abort only where OpenSSL cannot fail but for lack of memory. */
void tl_sha256 (const void *data, gsize length, guint8 digest[TL_SHA256_LENGTH]);
void tl_hmac_sha256 (const void *key, gsize key_length, const void *data, gsize length, guint8 mac[TL_SHA256_LENGTH]);
/* RFC 5869; salt NULL = 32 zero bytes; out_length <= 255 * 32. */
TlSecret *tl_hkdf_sha256 (const void *salt, gsize salt_length, const void *ikm, gsize ikm_length, const void *info,
                          gsize info_length, gsize out_length);
/* RFC 7914; refuses (INVALID_ARGUMENT) n that is not a power of two in 2..131072, r != 8 or p != 1. Blocks about 150 ms
 * at 32768: not on the daemon's main thread. */
TlSecret *tl_scrypt (const void *password, gsize password_length, const void *salt, gsize salt_length, guint64 n,
                     guint32 r, guint32 p, gsize out_length, GError **error);

/* Lower-case hex, g_free(). */
char *tl_hex_encode (const void *data, gsize length);
/* Exactly 2 * length hex digits, any case. */
gboolean tl_hex_decode (const char *text, guint8 *data, gsize length);
/* Hex SHA-256: identity fingerprints (of the 32-byte Ed25519 public key) and certificate fingerprints (of the DER). */
char *tl_fingerprint (const void *data, gsize length);
/* base64url without padding (RFC 4648 section 5). */
char *tl_base64url_encode (const void *data, gsize length);
gboolean tl_base64url_decode (const char *text, guint8 *data, gsize length);

G_END_DECLS
