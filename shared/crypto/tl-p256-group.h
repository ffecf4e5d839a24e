/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/bn.h>
#include <openssl/ec.h>

#include "base/tl-random.h"
#include "base/tl-secret.h"

G_BEGIN_DECLS

/*
 * TlP256Group: the arithmetic SPAKE2+ needs on P-256, over EC_POINT. Scalars are 32 bytes big-endian in secrets; every
 * multiplication is by one scalar, OpenSSL's constant-time path. Internal to crypto/. Thread: owner's.
 */
#define TL_P256_SCALAR_LENGTH 32
#define TL_P256_POINT_LENGTH  65 /* SEC1 uncompressed */

typedef struct _TlP256Group TlP256Group;

TlP256Group *tl_p256_group_new (GError **error);
void tl_p256_group_free (TlP256Group *group);

/* bytes mod n as a 32-byte scalar; TL_ERROR_INTERNAL when that is zero. */
TlSecret *tl_p256_group_reduce (TlP256Group *group, const guint8 *bytes, gsize length, GError **error);
/* Uniform in [1, n-1]. */
TlSecret *tl_p256_group_draw_scalar (TlP256Group *group, TlRandom *random);
/* 32 bytes in [1, n-1]. */
gboolean tl_p256_group_is_scalar (TlP256Group *group, const guint8 *bytes, gsize length);

/* New points; free with EC_POINT_clear_free(). NULL: a library failure, or for sums the identity (TL_ERROR_INTERNAL).
 */
EC_POINT *tl_p256_group_multiply_base (TlP256Group *group, const TlSecret *scalar, GError **error);
EC_POINT *tl_p256_group_multiply (TlP256Group *group, const TlSecret *scalar, const EC_POINT *point, GError **error);
EC_POINT *tl_p256_group_add (TlP256Group *group, const EC_POINT *a, const EC_POINT *b, GError **error);
/* a - b; the identity is TL_ERROR_PROTOCOL: only a peer's share can lead there. */
EC_POINT *tl_p256_group_subtract (TlP256Group *group, const EC_POINT *a, const EC_POINT *b, GError **error);

/* Exactly 65 bytes, first 0x04, coordinates reduced, on the curve (with cofactor 1: in the group, not the identity). */
EC_POINT *tl_p256_group_decode (TlP256Group *group, const guint8 *bytes, gsize length, GError **error);
gboolean tl_p256_group_encode (TlP256Group *group, const EC_POINT *point, guint8 bytes[TL_P256_POINT_LENGTH],
                               GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlP256Group, tl_p256_group_free)

/* EC_POINT's only typedef, so the cleanup is declared here for crypto/. */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EC_POINT, EC_POINT_clear_free)

G_END_DECLS
