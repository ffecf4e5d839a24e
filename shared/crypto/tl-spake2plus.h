/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-random.h"
#include "base/tl-secret.h"

G_BEGIN_DECLS

/*
 * SPAKE2+ (RFC 9383), suite P256-SHA256-HKDF-SHA256-HMAC-SHA256 (PROTOCOL 3.3). The device is the prover, the gateway
 * the verifier. One object, one run: a repeated or out-of-order call, or any failed check, kills it (every later call
 * fails with TL_ERROR_PROTOCOL). Keys are released only after the peer's confirmation was verified. Thread: owner's.
 */
#define TL_SPAKE2PLUS_SHARE_LENGTH   65 /* SEC1 uncompressed */
#define TL_SPAKE2PLUS_CONFIRM_LENGTH 32
#define TL_SPAKE2PLUS_SCALAR_LENGTH  32 /* w0, w1, big-endian */
#define TL_SPAKE2PLUS_POINT_LENGTH   65 /* L */
#define TL_SPAKE2PLUS_KDF_LENGTH     80 /* w0s || w1s */
#define TL_SPAKE2PLUS_SUITE          "SPAKE2+-P256-SHA256-HKDF-SHA256-HMAC-SHA256"

/* 80 KDF bytes to w0, w1 (each half mod n; zero is TL_ERROR_INTERNAL). */
gboolean tl_spake2plus_derive_scalars (const TlSecret *kdf_output, TlSecret **w0, TlSecret **w1, GError **error);
/* L = w1 * P, the verifier's record. */
gboolean tl_spake2plus_derive_point (const TlSecret *w1, guint8 point[TL_SPAKE2PLUS_POINT_LENGTH], GError **error);

typedef struct _TlSpake2plus TlSpake2plus;

/* context: application bytes; ids may be empty but not NULL. All copied. */
TlSpake2plus *tl_spake2plus_new_prover (const TlSecret *w0, const TlSecret *w1, GBytes *context, const char *id_prover,
                                        const char *id_verifier, TlRandom *random, GError **error);
TlSpake2plus *tl_spake2plus_new_verifier (const TlSecret *w0, const guint8 point[TL_SPAKE2PLUS_POINT_LENGTH],
                                          GBytes *context, const char *id_prover, const char *id_verifier,
                                          TlRandom *random, GError **error);
void tl_spake2plus_free (TlSpake2plus *spake);

/* Prover, first: shareP. */
gboolean tl_spake2plus_share (TlSpake2plus *spake, guint8 share[TL_SPAKE2PLUS_SHARE_LENGTH], GError **error);
/* Verifier: takes shareP (RFC 9383 section 3.3 checks: exactly 65 bytes, first 0x04, reduced, on the curve, result not
 * the identity), gives shareV and confirmV. TL_ERROR_PROTOCOL for a bad share; outputs written on success only. */
gboolean tl_spake2plus_respond (TlSpake2plus *spake, const guint8 *share_p, gsize length,
                                guint8 share_v[TL_SPAKE2PLUS_SHARE_LENGTH],
                                guint8 confirm_v[TL_SPAKE2PLUS_CONFIRM_LENGTH], GError **error);
/* Prover: checks shareV and confirmV *before* confirmP exists. TL_ERROR_WRONG_CODE when confirmV does not fit. */
gboolean tl_spake2plus_confirm (TlSpake2plus *spake, const guint8 *share_v, gsize share_length, const guint8 *confirm_v,
                                gsize confirm_length, guint8 confirm_p[TL_SPAKE2PLUS_CONFIRM_LENGTH], GError **error);
/* Verifier, last. TL_ERROR_WRONG_CODE when it does not fit. */
gboolean tl_spake2plus_verify (TlSpake2plus *spake, const guint8 *confirm_p, gsize length, GError **error);

/* After success of confirm (prover) or verify (verifier) only; else NULL and TL_ERROR_PROTOCOL. */
TlSecret *tl_spake2plus_shared_key (TlSpake2plus *spake, GError **error);
/* transcript_hash of PROTOCOL 3.3: SHA-256 of lp("twinlatch/1 transcript") || lp(TT). Not plain SHA-256(TT): that is
 * K_main, which must stay secret. Same condition as above. */
gboolean tl_spake2plus_transcript_hash (TlSpake2plus *spake, guint8 hash[32], GError **error);

/* Tests only (vectors): fixes x or y instead of drawing it; 32 bytes big-endian in [1, n-1]. */
void tl_spake2plus_set_scalar_for_test (TlSpake2plus *spake, const guint8 scalar[32]);
/* Tests only: the values named as in RFC 9383 ("Z", "V", "TT", "K_main", "K_confirmP", "K_confirmV", "confirmP",
 * "confirmV", "K_shared"), NULL when not reached. The object keeps them only when built with a test scalar. */
GBytes *tl_spake2plus_value_for_test (TlSpake2plus *spake, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlSpake2plus, tl_spake2plus_free)

G_END_DECLS
