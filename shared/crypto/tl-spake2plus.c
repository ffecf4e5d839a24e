/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tl-spake2plus.h"

#include <string.h>

#include "base/tl-error.h"
#include "crypto/tl-hash.h"
#include "crypto/tl-p256-group.h"

#define HALF_LENGTH (TL_SPAKE2PLUS_KDF_LENGTH / 2)
#define KEY_LENGTH  32

typedef enum
{
  STATE_NEW,       /* nothing sent or received */
  STATE_SHARED,    /* prover: shareP is out, shareV and confirmV are awaited */
  STATE_RESPONDED, /* verifier: shareV and confirmV are out, confirmP is awaited */
  STATE_CONFIRMED, /* the peer's confirmation was right: keys may be taken */
  STATE_DEAD,      /* something failed or came out of order: nothing works any more */
} State;

struct _TlSpake2plus
{
  gboolean is_prover;
  State state;
  TlP256Group *group;
  TlRandom *random;
  TlSecret *w0;
  TlSecret *w1; /* prover */
  EC_POINT *l;  /* verifier */
  GBytes *context;
  char *id_prover;
  char *id_verifier;
  TlSecret *scalar; /* x or y */
  guint8 share_p[TL_SPAKE2PLUS_SHARE_LENGTH];
  guint8 expected_confirm_p[TL_SPAKE2PLUS_CONFIRM_LENGTH]; /* verifier */
  guint8 transcript_hash[TL_SHA256_LENGTH];
  TlSecret *shared_key;
  GHashTable *test_values; /* name -> GBytes; only with a test scalar */
};

/* What both sides compute from Z and V. */
typedef struct
{
  guint8 confirm_p[TL_SPAKE2PLUS_CONFIRM_LENGTH];
  guint8 confirm_v[TL_SPAKE2PLUS_CONFIRM_LENGTH];
} Confirmations;

/* RFC 9383 section 4, P-256 (the same M and N as RFC 9382). */
static const guint8 point_m[TL_P256_POINT_LENGTH] = {
  0x04, 0x88, 0x6e, 0x2f, 0x97, 0xac, 0xe4, 0x6e, 0x55, 0xba, 0x9d, 0xd7, 0x24, 0x25, 0x79, 0xf2, 0x99,
  0x3b, 0x64, 0xe1, 0x6e, 0xf3, 0xdc, 0xab, 0x95, 0xaf, 0xd4, 0x97, 0x33, 0x3d, 0x8f, 0xa1, 0x2f, 0x5f,
  0xf3, 0x55, 0x16, 0x3e, 0x43, 0xce, 0x22, 0x4e, 0x0b, 0x0e, 0x65, 0xff, 0x02, 0xac, 0x8e, 0x5c, 0x7b,
  0xe0, 0x94, 0x19, 0xc7, 0x85, 0xe0, 0xca, 0x54, 0x7d, 0x55, 0xa1, 0x2e, 0x2d, 0x20,
};
static const guint8 point_n[TL_P256_POINT_LENGTH] = {
  0x04, 0xd8, 0xbb, 0xd6, 0xc6, 0x39, 0xc6, 0x29, 0x37, 0xb0, 0x4d, 0x99, 0x7f, 0x38, 0xc3, 0x77, 0x07,
  0x19, 0xc6, 0x29, 0xd7, 0x01, 0x4d, 0x49, 0xa2, 0x4b, 0x4f, 0x98, 0xba, 0xa1, 0x29, 0x2b, 0x49, 0x07,
  0xd6, 0x0a, 0xa6, 0xbf, 0xad, 0xe4, 0x50, 0x08, 0xa6, 0x36, 0x33, 0x7f, 0x51, 0x68, 0xc6, 0x4d, 0x9b,
  0xd3, 0x60, 0x34, 0x80, 0x8c, 0xd5, 0x64, 0x49, 0x0b, 0x1e, 0x65, 0x6e, 0xdb, 0xe7,
};

gboolean
tl_spake2plus_derive_scalars (const TlSecret *kdf_output, TlSecret **w0, TlSecret **w1, GError **error)
{
  g_autoptr (TlP256Group) group = tl_p256_group_new (error);
  g_autoptr (TlSecret) first = NULL;
  g_autoptr (TlSecret) second = NULL;

  if (group == NULL)
    return FALSE;
  if (tl_secret_length (kdf_output) != TL_SPAKE2PLUS_KDF_LENGTH)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "the KDF output for SPAKE2+ is not 80 bytes long");
      return FALSE;
    }
  first = tl_p256_group_reduce (group, tl_secret_data (kdf_output), HALF_LENGTH, error);
  if (first == NULL)
    return FALSE;
  second = tl_p256_group_reduce (group, tl_secret_data (kdf_output) + HALF_LENGTH, HALF_LENGTH, error);
  if (second == NULL)
    return FALSE;

  *w0 = g_steal_pointer (&first);
  *w1 = g_steal_pointer (&second);
  return TRUE;
}

static gboolean
check_scalar (TlP256Group *group, const TlSecret *scalar, GError **error)
{
  if (tl_p256_group_is_scalar (group, tl_secret_data (scalar), tl_secret_length (scalar)))
    return TRUE;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "w0 or w1 of SPAKE2+ is out of range");
  return FALSE;
}

gboolean
tl_spake2plus_derive_point (const TlSecret *w1, guint8 point[TL_SPAKE2PLUS_POINT_LENGTH], GError **error)
{
  g_autoptr (TlP256Group) group = tl_p256_group_new (error);
  g_autoptr (EC_POINT) l = NULL;
  guint8 bytes[TL_P256_POINT_LENGTH];

  if (group == NULL || !check_scalar (group, w1, error))
    return FALSE;
  l = tl_p256_group_multiply_base (group, w1, error);
  if (l == NULL || !tl_p256_group_encode (group, l, bytes, error))
    return FALSE;
  memcpy (point, bytes, sizeof bytes);
  return TRUE;
}

static TlSpake2plus *
spake_new (const TlSecret *w0, GBytes *context, const char *id_prover, const char *id_verifier, TlRandom *random,
           GError **error)
{
  g_autoptr (TlSpake2plus) spake = g_new0 (TlSpake2plus, 1);

  g_assert (id_prover != NULL && id_verifier != NULL);

  spake->state = STATE_NEW;
  spake->group = tl_p256_group_new (error);
  if (spake->group == NULL || !check_scalar (spake->group, w0, error))
    return NULL;
  spake->random = random;
  spake->w0 = tl_secret_slice (w0, 0, TL_SPAKE2PLUS_SCALAR_LENGTH);
  spake->context = context != NULL ? g_bytes_ref (context) : g_bytes_new (NULL, 0);
  spake->id_prover = g_strdup (id_prover);
  spake->id_verifier = g_strdup (id_verifier);
  return g_steal_pointer (&spake);
}

TlSpake2plus *
tl_spake2plus_new_prover (const TlSecret *w0, const TlSecret *w1, GBytes *context, const char *id_prover,
                          const char *id_verifier, TlRandom *random, GError **error)
{
  g_autoptr (TlSpake2plus) spake = spake_new (w0, context, id_prover, id_verifier, random, error);

  if (spake == NULL || !check_scalar (spake->group, w1, error))
    return NULL;
  spake->is_prover = TRUE;
  spake->w1 = tl_secret_slice (w1, 0, TL_SPAKE2PLUS_SCALAR_LENGTH);
  return g_steal_pointer (&spake);
}

TlSpake2plus *
tl_spake2plus_new_verifier (const TlSecret *w0, const guint8 point[TL_SPAKE2PLUS_POINT_LENGTH], GBytes *context,
                            const char *id_prover, const char *id_verifier, TlRandom *random, GError **error)
{
  g_autoptr (TlSpake2plus) spake = spake_new (w0, context, id_prover, id_verifier, random, error);

  if (spake == NULL)
    return NULL;
  spake->l = tl_p256_group_decode (spake->group, point, TL_SPAKE2PLUS_POINT_LENGTH, NULL);
  if (spake->l == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "L of SPAKE2+ is not a point of P-256");
      return NULL;
    }
  return g_steal_pointer (&spake);
}

static void
forget_secrets (TlSpake2plus *spake)
{
  g_clear_pointer (&spake->w0, tl_secret_unref);
  g_clear_pointer (&spake->w1, tl_secret_unref);
  g_clear_pointer (&spake->scalar, tl_secret_unref);
  g_clear_pointer (&spake->l, EC_POINT_clear_free);
  tl_wipe (spake->expected_confirm_p, sizeof spake->expected_confirm_p);
}

void
tl_spake2plus_free (TlSpake2plus *spake)
{
  if (spake == NULL)
    return;
  forget_secrets (spake);
  g_clear_pointer (&spake->shared_key, tl_secret_unref);
  g_clear_pointer (&spake->group, tl_p256_group_free);
  g_clear_pointer (&spake->context, g_bytes_unref);
  g_clear_pointer (&spake->test_values, g_hash_table_unref);
  g_free (spake->id_prover);
  g_free (spake->id_verifier);
  tl_wipe (spake, sizeof *spake);
  g_free (spake);
}

static void
enter_state (TlSpake2plus *spake, State state)
{
  if (state == STATE_DEAD)
    {
      g_clear_pointer (&spake->shared_key, tl_secret_unref);
      tl_wipe (spake->transcript_hash, sizeof spake->transcript_hash);
    }
  if (state == STATE_DEAD || state == STATE_CONFIRMED)
    forget_secrets (spake);
  spake->state = state;
}

/* The object is of the right role and state for this call; if not, it dies. */
static gboolean
expect_state (TlSpake2plus *spake, gboolean is_prover, State state, GError **error)
{
  if (spake->is_prover == is_prover && spake->state == state)
    return TRUE;
  enter_state (spake, STATE_DEAD);
  g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, "SPAKE2+ step out of order or after a failure: pair again");
  return FALSE;
}

static gboolean
die (TlSpake2plus *spake)
{
  enter_state (spake, STATE_DEAD);
  return FALSE;
}

static void
keep_for_test (TlSpake2plus *spake, const char *name, const void *data, gsize length)
{
  if (spake->test_values != NULL)
    g_hash_table_insert (spake->test_values, g_strdup (name), g_bytes_new (data, length));
}

/* w0 * M or w0 * N. */
static EC_POINT *
blinding (TlSpake2plus *spake, const guint8 constant[TL_P256_POINT_LENGTH], GError **error)
{
  g_autoptr (EC_POINT) point = tl_p256_group_decode (spake->group, constant, TL_P256_POINT_LENGTH, error);

  return point != NULL ? tl_p256_group_multiply (spake->group, spake->w0, point, error) : NULL;
}

/* scalar * P + w0 * (M or N), with a fresh scalar. */
static gboolean
make_share (TlSpake2plus *spake, const guint8 constant[TL_P256_POINT_LENGTH], guint8 share[TL_P256_POINT_LENGTH],
            GError **error)
{
  g_autoptr (EC_POINT) own_part = NULL;
  g_autoptr (EC_POINT) blind = NULL;
  g_autoptr (EC_POINT) sum = NULL;

  if (spake->scalar == NULL)
    spake->scalar = tl_p256_group_draw_scalar (spake->group, spake->random);
  own_part = tl_p256_group_multiply_base (spake->group, spake->scalar, error);
  if (own_part == NULL)
    return FALSE;
  blind = blinding (spake, constant, error);
  if (blind == NULL)
    return FALSE;
  sum = tl_p256_group_add (spake->group, own_part, blind, error);
  return sum != NULL && tl_p256_group_encode (spake->group, sum, share, error);
}

/* The peer's share without its blinding; refuses what RFC 9383 section 3.3 tells to refuse. */
static EC_POINT *
unblind (TlSpake2plus *spake, const guint8 *share, gsize length, const guint8 constant[TL_P256_POINT_LENGTH],
         GError **error)
{
  g_autoptr (EC_POINT) point = tl_p256_group_decode (spake->group, share, length, error);
  g_autoptr (EC_POINT) blind = NULL;

  if (point == NULL)
    return NULL;
  blind = blinding (spake, constant, error);
  return blind != NULL ? tl_p256_group_subtract (spake->group, point, blind, error) : NULL;
}

/* RFC 9383 section 3.3: TT. Every length is there, also of empty fields. */
static TlTranscript *
make_transcript (TlSpake2plus *spake, const guint8 *share_v, const EC_POINT *z, const EC_POINT *v, GError **error)
{
  g_autoptr (TlTranscript) tt = tl_transcript_new_bare ();
  g_autoptr (TlSecret) points = tl_secret_new ((gsize)2 * TL_P256_POINT_LENGTH);
  guint8 *z_bytes = tl_secret_data_mut (points);
  guint8 *v_bytes = z_bytes + TL_P256_POINT_LENGTH;

  if (!tl_p256_group_encode (spake->group, z, z_bytes, error)
      || !tl_p256_group_encode (spake->group, v, v_bytes, error))
    return NULL;
  keep_for_test (spake, "Z", z_bytes, TL_P256_POINT_LENGTH);
  keep_for_test (spake, "V", v_bytes, TL_P256_POINT_LENGTH);

  tl_transcript_add_bytes (tt, spake->context);
  tl_transcript_add_string (tt, spake->id_prover);
  tl_transcript_add_string (tt, spake->id_verifier);
  tl_transcript_add (tt, point_m, sizeof point_m);
  tl_transcript_add (tt, point_n, sizeof point_n);
  tl_transcript_add (tt, spake->share_p, sizeof spake->share_p);
  tl_transcript_add (tt, share_v, TL_SPAKE2PLUS_SHARE_LENGTH);
  tl_transcript_add (tt, z_bytes, TL_P256_POINT_LENGTH);
  tl_transcript_add (tt, v_bytes, TL_P256_POINT_LENGTH);
  tl_transcript_add (tt, tl_secret_data (spake->w0), TL_SPAKE2PLUS_SCALAR_LENGTH);
  return g_steal_pointer (&tt);
}

static TlSecret *
expand (const guint8 k_main[TL_SHA256_LENGTH], const char *label, gsize length)
{
  return tl_hkdf_sha256 (NULL, 0, k_main, TL_SHA256_LENGTH, label, strlen (label), length);
}

/* RFC 9383 section 3.4: K_main, confirmation keys and MACs (each over the share the *other* side received), K_shared.
 */
static void
schedule_keys (TlSpake2plus *spake, TlTranscript *tt, const guint8 *share_v, Confirmations *confirmations)
{
  g_autoptr (TlTranscript) outer = tl_transcript_new ("transcript");
  g_autoptr (TlSecret) confirm_keys = NULL;
  guint8 k_main[TL_SHA256_LENGTH];
  const guint8 *keys;
  gsize length;
  const guint8 *tt_data = tl_transcript_data (tt, &length);

  tl_transcript_add (outer, tt_data, length);
  tl_transcript_hash (outer, spake->transcript_hash);

  tl_transcript_hash (tt, k_main);
  confirm_keys = expand (k_main, "ConfirmationKeys", (gsize)2 * KEY_LENGTH);
  g_clear_pointer (&spake->shared_key, tl_secret_unref);
  spake->shared_key = expand (k_main, "SharedKey", KEY_LENGTH);
  keys = tl_secret_data (confirm_keys);
  tl_hmac_sha256 (keys, KEY_LENGTH, share_v, TL_SPAKE2PLUS_SHARE_LENGTH, confirmations->confirm_p);
  tl_hmac_sha256 (keys + KEY_LENGTH, KEY_LENGTH, spake->share_p, sizeof spake->share_p, confirmations->confirm_v);

  keep_for_test (spake, "TT", tt_data, length);
  keep_for_test (spake, "K_main", k_main, sizeof k_main);
  keep_for_test (spake, "K_confirmP", keys, KEY_LENGTH);
  keep_for_test (spake, "K_confirmV", keys + KEY_LENGTH, KEY_LENGTH);
  keep_for_test (spake, "confirmP", confirmations->confirm_p, sizeof confirmations->confirm_p);
  keep_for_test (spake, "confirmV", confirmations->confirm_v, sizeof confirmations->confirm_v);
  keep_for_test (spake, "K_shared", tl_secret_data (spake->shared_key), KEY_LENGTH);
  tl_wipe (k_main, sizeof k_main);
}

/*
 * From the unblinded share of the peer to the confirmations. Z = scalar * unblinded; V = w1 * unblinded for the prover,
 * y * L for the verifier (the cofactor of P-256 is 1).
 */
static gboolean
derive (TlSpake2plus *spake, const EC_POINT *unblinded, const guint8 *share_v, Confirmations *confirmations,
        GError **error)
{
  g_autoptr (EC_POINT) z = tl_p256_group_multiply (spake->group, spake->scalar, unblinded, error);
  g_autoptr (EC_POINT) v = NULL;
  g_autoptr (TlTranscript) tt = NULL;

  if (z == NULL)
    return FALSE;
  v = spake->is_prover ? tl_p256_group_multiply (spake->group, spake->w1, unblinded, error)
                       : tl_p256_group_multiply (spake->group, spake->scalar, spake->l, error);
  if (v == NULL)
    return FALSE;
  tt = make_transcript (spake, share_v, z, v, error);
  if (tt == NULL)
    return FALSE;
  schedule_keys (spake, tt, share_v, confirmations);
  return TRUE;
}

gboolean
tl_spake2plus_share (TlSpake2plus *spake, guint8 share[TL_SPAKE2PLUS_SHARE_LENGTH], GError **error)
{
  if (!expect_state (spake, TRUE, STATE_NEW, error))
    return FALSE;
  if (!make_share (spake, point_m, spake->share_p, error))
    return die (spake);

  memcpy (share, spake->share_p, sizeof spake->share_p);
  enter_state (spake, STATE_SHARED);
  return TRUE;
}

gboolean
tl_spake2plus_respond (TlSpake2plus *spake, const guint8 *share_p, gsize length,
                       guint8 share_v[TL_SPAKE2PLUS_SHARE_LENGTH], guint8 confirm_v[TL_SPAKE2PLUS_CONFIRM_LENGTH],
                       GError **error)
{
  g_autoptr (EC_POINT) unblinded = NULL;
  guint8 own_share[TL_SPAKE2PLUS_SHARE_LENGTH];
  Confirmations confirmations;

  if (!expect_state (spake, FALSE, STATE_NEW, error))
    return FALSE;
  unblinded = unblind (spake, share_p, length, point_m, error);
  if (unblinded == NULL)
    return die (spake);
  memcpy (spake->share_p, share_p, sizeof spake->share_p);
  if (!make_share (spake, point_n, own_share, error) || !derive (spake, unblinded, own_share, &confirmations, error))
    return die (spake);

  memcpy (share_v, own_share, sizeof own_share);
  memcpy (confirm_v, confirmations.confirm_v, sizeof confirmations.confirm_v);
  memcpy (spake->expected_confirm_p, confirmations.confirm_p, sizeof confirmations.confirm_p);
  tl_wipe (&confirmations, sizeof confirmations);
  enter_state (spake, STATE_RESPONDED);
  return TRUE;
}

static gboolean
check_confirmation (const guint8 expected[TL_SPAKE2PLUS_CONFIRM_LENGTH], const guint8 *received, gsize length,
                    GError **error)
{
  if (received != NULL && length == TL_SPAKE2PLUS_CONFIRM_LENGTH && tl_memory_equal (expected, received, length))
    return TRUE;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_WRONG_CODE, "the code does not fit: check it, or ask for a new one");
  return FALSE;
}

gboolean
tl_spake2plus_confirm (TlSpake2plus *spake, const guint8 *share_v, gsize share_length, const guint8 *confirm_v,
                       gsize confirm_length, guint8 confirm_p[TL_SPAKE2PLUS_CONFIRM_LENGTH], GError **error)
{
  g_autoptr (EC_POINT) unblinded = NULL;
  Confirmations confirmations;
  gboolean fits;

  if (!expect_state (spake, TRUE, STATE_SHARED, error))
    return FALSE;
  unblinded = unblind (spake, share_v, share_length, point_n, error);
  if (unblinded == NULL || !derive (spake, unblinded, share_v, &confirmations, error))
    return die (spake);

  fits = check_confirmation (confirmations.confirm_v, confirm_v, confirm_length, error);
  if (fits)
    memcpy (confirm_p, confirmations.confirm_p, sizeof confirmations.confirm_p);
  tl_wipe (&confirmations, sizeof confirmations);
  enter_state (spake, fits ? STATE_CONFIRMED : STATE_DEAD);
  return fits;
}

gboolean
tl_spake2plus_verify (TlSpake2plus *spake, const guint8 *confirm_p, gsize length, GError **error)
{
  if (!expect_state (spake, FALSE, STATE_RESPONDED, error))
    return FALSE;
  if (!check_confirmation (spake->expected_confirm_p, confirm_p, length, error))
    return die (spake);
  enter_state (spake, STATE_CONFIRMED);
  return TRUE;
}

TlSecret *
tl_spake2plus_shared_key (TlSpake2plus *spake, GError **error)
{
  if (!expect_state (spake, spake->is_prover, STATE_CONFIRMED, error))
    return NULL;
  return tl_secret_ref (spake->shared_key);
}

gboolean
tl_spake2plus_transcript_hash (TlSpake2plus *spake, guint8 hash[TL_SHA256_LENGTH], GError **error)
{
  if (!expect_state (spake, spake->is_prover, STATE_CONFIRMED, error))
    return FALSE;
  memcpy (hash, spake->transcript_hash, sizeof spake->transcript_hash);
  return TRUE;
}

void
tl_spake2plus_set_scalar_for_test (TlSpake2plus *spake, const guint8 scalar[TL_SPAKE2PLUS_SCALAR_LENGTH])
{
  g_assert (spake->state == STATE_NEW && tl_p256_group_is_scalar (spake->group, scalar, TL_SPAKE2PLUS_SCALAR_LENGTH));

  g_clear_pointer (&spake->scalar, tl_secret_unref);
  spake->scalar = tl_secret_new_copy (scalar, TL_SPAKE2PLUS_SCALAR_LENGTH);
  if (spake->test_values == NULL)
    spake->test_values = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
}

GBytes *
tl_spake2plus_value_for_test (TlSpake2plus *spake, const char *name)
{
  GBytes *value = spake->test_values != NULL ? g_hash_table_lookup (spake->test_values, name) : NULL;

  return value != NULL ? g_bytes_ref (value) : NULL;
}
