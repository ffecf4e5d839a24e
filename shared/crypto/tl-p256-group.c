/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tl-p256-group.h"

#include <openssl/err.h>
#include <openssl/obj_mac.h>

#include "base/tl-error.h"
#include "crypto/tl-keys.h"

struct _TlP256Group
{
  EC_GROUP *group;
  BN_CTX *context; /* secure heap where there is one */
};

TlP256Group *
tl_p256_group_new (GError **error)
{
  g_autoptr (TlP256Group) group = g_new0 (TlP256Group, 1);

  group->group = EC_GROUP_new_by_curve_name (NID_X9_62_prime256v1);
  group->context = BN_CTX_secure_new ();
  if (group->group == NULL || group->context == NULL)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot set P-256 up");
      return NULL;
    }
  return g_steal_pointer (&group);
}

void
tl_p256_group_free (TlP256Group *group)
{
  if (group == NULL)
    return;
  EC_GROUP_free (group->group);
  BN_CTX_free (group->context);
  g_free (group);
}

static BIGNUM *
secret_number (const guint8 *bytes, gsize length)
{
  BIGNUM *number = BN_secure_new ();

  if (number != NULL)
    {
      BN_set_flags (number, BN_FLG_CONSTTIME);
      if (BN_bin2bn (bytes, (int)length, number) == NULL)
        g_clear_pointer (&number, BN_clear_free);
    }
  if (number == NULL)
    g_error ("out of memory for a number");
  return number;
}

TlSecret *
tl_p256_group_reduce (TlP256Group *group, const guint8 *bytes, gsize length, GError **error)
{
  BIGNUM *number = secret_number (bytes, length);
  BIGNUM *reduced = BN_secure_new ();
  TlSecret *scalar = NULL;
  gboolean ok;

  ok = reduced != NULL && BN_nnmod (reduced, number, EC_GROUP_get0_order (group->group), group->context) == 1
       && !BN_is_zero (reduced);
  if (ok)
    {
      scalar = tl_secret_new (TL_P256_SCALAR_LENGTH);
      if (BN_bn2binpad (reduced, tl_secret_data_mut (scalar), TL_P256_SCALAR_LENGTH) != TL_P256_SCALAR_LENGTH)
        g_clear_pointer (&scalar, tl_secret_unref);
    }
  BN_clear_free (number);
  BN_clear_free (reduced);
  if (scalar == NULL)
    tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot derive a scalar");
  return scalar;
}

gboolean
tl_p256_group_is_scalar (TlP256Group *group, const guint8 *bytes, gsize length)
{
  BIGNUM *number;
  gboolean ok;

  if (length != TL_P256_SCALAR_LENGTH)
    return FALSE;
  number = secret_number (bytes, length);
  ok = !BN_is_zero (number) && BN_cmp (number, EC_GROUP_get0_order (group->group)) < 0;
  BN_clear_free (number);
  return ok;
}

TlSecret *
tl_p256_group_draw_scalar (TlP256Group *group, TlRandom *random)
{
  TlSecret *scalar = tl_secret_new (TL_P256_SCALAR_LENGTH);

  /* Drawing again keeps it uniform; what is thrown away tells nothing about what is kept. */
  do
    tl_random_bytes (random, tl_secret_data_mut (scalar), TL_P256_SCALAR_LENGTH);
  while (!tl_p256_group_is_scalar (group, tl_secret_data (scalar), TL_P256_SCALAR_LENGTH));
  return scalar;
}

/* point NULL: the generator. */
static EC_POINT *
multiply (TlP256Group *group, const TlSecret *scalar, const EC_POINT *point, GError **error)
{
  g_autoptr (EC_POINT) product = EC_POINT_new (group->group);
  BIGNUM *number = secret_number (tl_secret_data (scalar), tl_secret_length (scalar));
  gboolean ok;

  ok = product != NULL
       && EC_POINT_mul (group->group, product, point == NULL ? number : NULL, point, point != NULL ? number : NULL,
                        group->context)
              == 1
       && EC_POINT_is_at_infinity (group->group, product) == 0;
  BN_clear_free (number);
  if (!ok)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot multiply on P-256");
      return NULL;
    }
  return g_steal_pointer (&product);
}

EC_POINT *
tl_p256_group_multiply_base (TlP256Group *group, const TlSecret *scalar, GError **error)
{
  return multiply (group, scalar, NULL, error);
}

EC_POINT *
tl_p256_group_multiply (TlP256Group *group, const TlSecret *scalar, const EC_POINT *point, GError **error)
{
  g_assert (point != NULL);

  return multiply (group, scalar, point, error);
}

EC_POINT *
tl_p256_group_add (TlP256Group *group, const EC_POINT *a, const EC_POINT *b, GError **error)
{
  g_autoptr (EC_POINT) sum = EC_POINT_new (group->group);

  if (sum == NULL || EC_POINT_add (group->group, sum, a, b, group->context) != 1
      || EC_POINT_is_at_infinity (group->group, sum) != 0)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot add on P-256");
      return NULL;
    }
  return g_steal_pointer (&sum);
}

EC_POINT *
tl_p256_group_subtract (TlP256Group *group, const EC_POINT *a, const EC_POINT *b, GError **error)
{
  g_autoptr (EC_POINT) difference = EC_POINT_dup (b, group->group);

  if (difference == NULL || EC_POINT_invert (group->group, difference, group->context) != 1
      || EC_POINT_add (group->group, difference, a, difference, group->context) != 1)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot subtract on P-256");
      return NULL;
    }
  if (EC_POINT_is_at_infinity (group->group, difference) != 0)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, "the peer's SPAKE2+ share leads to the identity");
      return NULL;
    }
  return g_steal_pointer (&difference);
}

EC_POINT *
tl_p256_group_decode (TlP256Group *group, const guint8 *bytes, gsize length, GError **error)
{
  g_autoptr (EC_POINT) point = NULL;

  /* EC_POINT_oct2point() would take the compressed and hybrid forms and the identity as well. */
  if (bytes != NULL && length == TL_P256_POINT_LENGTH && bytes[0] == POINT_CONVERSION_UNCOMPRESSED)
    point = EC_POINT_new (group->group);
  if (point == NULL || EC_POINT_oct2point (group->group, point, bytes, length, group->context) != 1
      || EC_POINT_is_on_curve (group->group, point, group->context) != 1
      || EC_POINT_is_at_infinity (group->group, point) != 0)
    {
      ERR_clear_error ();
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, "the SPAKE2+ share is not a point of P-256");
      return NULL;
    }
  return g_steal_pointer (&point);
}

gboolean
tl_p256_group_encode (TlP256Group *group, const EC_POINT *point, guint8 bytes[TL_P256_POINT_LENGTH], GError **error)
{
  if (EC_POINT_point2oct (group->group, point, POINT_CONVERSION_UNCOMPRESSED, bytes, TL_P256_POINT_LENGTH,
                          group->context)
      != TL_P256_POINT_LENGTH)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot encode a point of P-256");
      return FALSE;
    }
  return TRUE;
}
