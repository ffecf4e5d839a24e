/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/evp.h>

#include "base/tl-random.h"
#include "base/tl-secret.h"

G_BEGIN_DECLS

/*
 * Keys over EVP: X25519 for the pairing's ephemeral exchange, Ed25519 for device identities, P-256 for TLS. Thread:
 * any; objects are immutable. OpenSSL 3 calls only, nothing deprecated.
 */
#define TL_X25519_LENGTH            32
#define TL_ED25519_PUBLIC_LENGTH    32
#define TL_ED25519_SIGNATURE_LENGTH 64

/* RFC 7748. private_key: 32 random bytes from `random`. */
gboolean tl_x25519_generate (TlRandom *random, TlSecret **private_key, guint8 public_key[TL_X25519_LENGTH],
                             GError **error);
/* An all-zero result (small-order peer) is TL_ERROR_PROTOCOL (PROTOCOL 3.3); peer must be 32 bytes. */
TlSecret *tl_x25519_derive (const TlSecret *private_key, const guint8 *peer, gsize peer_length, GError **error);

/* RFC 8032. The private key is the 32-byte seed. */
gboolean tl_ed25519_generate (TlRandom *random, TlSecret **seed, guint8 public_key[TL_ED25519_PUBLIC_LENGTH],
                              GError **error);
gboolean tl_ed25519_public (const TlSecret *seed, guint8 public_key[TL_ED25519_PUBLIC_LENGTH], GError **error);
gboolean tl_ed25519_sign (const TlSecret *seed, const void *message, gsize length,
                          guint8 signature[TL_ED25519_SIGNATURE_LENGTH], GError **error);
/* The same with a key that is kept: making one derives the public key anew, which costs as much as the signature. The
 * EVP_PKEY holds the seed; EVP_PKEY_free() wipes it. */
EVP_PKEY *tl_ed25519_key (const TlSecret *seed, GError **error);
gboolean tl_ed25519_sign_with (EVP_PKEY *key, const void *message, gsize length,
                               guint8 signature[TL_ED25519_SIGNATURE_LENGTH], GError **error);
/* FALSE for wrong lengths, small-order public keys (under which anything verifies) and bad signatures alike. */
gboolean tl_ed25519_verify (const guint8 *public_key, gsize public_length, const void *message, gsize length,
                            const guint8 *signature, gsize signature_length);

/* P-256 private keys as EVP_PKEY (free with EVP_PKEY_free). */
EVP_PKEY *tl_p256_generate (GError **error);
/* PKCS#8 DER, unencrypted, in a secret. */
TlSecret *tl_p256_to_der (EVP_PKEY *key, GError **error);
EVP_PKEY *tl_p256_from_der (const TlSecret *der, GError **error);
/* PKCS#8 PEM in a secret, for gRPC. */
TlSecret *tl_p256_to_pem (EVP_PKEY *key, GError **error);
/* TRUE when the key (public is enough) is EC on prime256v1. */
gboolean tl_key_is_p256 (EVP_PKEY *key);
/* Hex SHA-256 of the SubjectPublicKeyInfo DER: which key a request or leaf carries. */
char *tl_key_fingerprint (EVP_PKEY *key);

/* AES-256-GCM with a random 12-byte nonce in front: nonce || ciphertext || tag(16). key: 32 bytes. */
GBytes *tl_aead_seal (const TlSecret *key, TlRandom *random, const void *aad, gsize aad_length, const void *plain,
                      gsize plain_length);
/* TL_ERROR_CORRUPT when the tag does not verify or the input is too short. */
TlSecret *tl_aead_open (const TlSecret *key, const void *aad, gsize aad_length, GBytes *sealed, GError **error);

/* "what: OpenSSL's reason" from the error queue, which is cleared. */
void tl_error_set_openssl (GError **error, int code, const char *what);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (EVP_PKEY, EVP_PKEY_free)

G_END_DECLS
