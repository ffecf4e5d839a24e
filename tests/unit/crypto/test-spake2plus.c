/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tl-spake2plus.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "crypto/tl-hash.h"

/* The first vector is RFC 9383's; what the tests of behaviour use. */
static json_t *vectors;

static const char *
member (const json_t *object, const char *name)
{
  const char *text = json_string_value (json_object_get (object, name));

  if (text == NULL)
    g_error ("vector without %s", name);
  return text;
}

static GBytes *
bytes_of (const char *hex)
{
  gsize length = strlen (hex) / 2;
  guint8 *data = g_malloc (length + 1);

  g_assert_true (tl_hex_decode (hex, data, length));
  return g_bytes_new_take (data, length);
}

static TlSecret *
secret_of (const json_t *vector, const char *name)
{
  g_autoptr (GBytes) bytes = bytes_of (member (vector, name));

  return tl_secret_new_copy (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

static void
assert_hex (const void *data, gsize length, const char *expected)
{
  g_autofree char *text = tl_hex_encode (data, length);

  g_assert_cmpstr (text, ==, expected);
}

static void
assert_value (TlSpake2plus *spake, const json_t *vector, const char *name)
{
  g_autoptr (GBytes) value = tl_spake2plus_value_for_test (spake, name);

  if (value == NULL)
    g_error ("no value %s", name);
  assert_hex (g_bytes_get_data (value, NULL), g_bytes_get_size (value), member (vector, name));
}

static GBytes *
context_of (const json_t *vector)
{
  const char *text = member (vector, "context_utf8");

  return g_bytes_new (text, strlen (text));
}

static TlSpake2plus *
new_prover (const json_t *vector, const char *w0_hex, TlRandom *random)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) context = context_of (vector);
  g_autoptr (GBytes) w0_bytes = bytes_of (w0_hex != NULL ? w0_hex : member (vector, "w0"));
  g_autoptr (TlSecret) w0 = tl_secret_new_copy (g_bytes_get_data (w0_bytes, NULL), g_bytes_get_size (w0_bytes));
  g_autoptr (TlSecret) w1 = secret_of (vector, "w1");
  TlSpake2plus *spake = tl_spake2plus_new_prover (w0, w1, context, member (vector, "idProver_utf8"),
                                                  member (vector, "idVerifier_utf8"), random, &error);

  g_assert_no_error (error);
  if (random == NULL)
    {
      g_autoptr (GBytes) x = bytes_of (member (vector, "x"));

      tl_spake2plus_set_scalar_for_test (spake, g_bytes_get_data (x, NULL));
    }
  return spake;
}

static TlSpake2plus *
new_verifier (const json_t *vector, TlRandom *random)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) context = context_of (vector);
  g_autoptr (TlSecret) w0 = secret_of (vector, "w0");
  g_autoptr (GBytes) l = bytes_of (member (vector, "L"));
  TlSpake2plus *spake
      = tl_spake2plus_new_verifier (w0, g_bytes_get_data (l, NULL), context, member (vector, "idProver_utf8"),
                                    member (vector, "idVerifier_utf8"), random, &error);

  g_assert_no_error (error);
  if (random == NULL)
    {
      g_autoptr (GBytes) y = bytes_of (member (vector, "y"));

      tl_spake2plus_set_scalar_for_test (spake, g_bytes_get_data (y, NULL));
    }
  return spake;
}

static const json_t *
first_vector (void)
{
  return json_array_get (json_object_get (vectors, "vectors"), 0);
}

static void
check_point (const json_t *vector)
{
  g_autoptr (TlSecret) w1 = secret_of (vector, "w1");
  guint8 point[65];

  g_assert_true (tl_spake2plus_derive_point (w1, point, NULL));
  assert_hex (point, 65, member (vector, "L"));
}

/* transcript_hash of PROTOCOL 3.3, put together here byte by byte. */
static void
check_keys (TlSpake2plus *spake, const json_t *vector)
{
  static const char prefix[] = "\x16\0\0\0\0\0\0\0twinlatch/1 transcript";
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) key = tl_spake2plus_shared_key (spake, &error);
  g_autoptr (TlSecret) again = tl_spake2plus_shared_key (spake, &error);
  g_autoptr (GBytes) tt = bytes_of (member (vector, "TT"));
  g_autoptr (GByteArray) input = g_byte_array_new ();
  guint64 length = GUINT64_TO_LE (g_bytes_get_size (tt));
  guint8 expected[32];
  guint8 hash[32];

  g_assert_no_error (error);
  assert_hex (tl_secret_data (key), 32, member (vector, "K_shared"));
  g_assert_true (tl_secret_equal (key, again));
  g_byte_array_append (input, (const guint8 *)prefix, sizeof prefix - 1);
  g_byte_array_append (input, (const guint8 *)&length, 8);
  g_byte_array_append (input, g_bytes_get_data (tt, NULL), (guint)g_bytes_get_size (tt));
  tl_sha256 (input->data, input->len, expected);
  g_assert_true (tl_spake2plus_transcript_hash (spake, hash, &error));
  g_assert_cmpmem (hash, 32, expected, 32);
  tl_sha256 (g_bytes_get_data (tt, NULL), g_bytes_get_size (tt), expected);
  g_assert_true (memcmp (hash, expected, 32) != 0); /* K_main must stay secret */
}

static void
run_vector (const json_t *vector, gboolean whole)
{
  static const char *const group_names[] = { "Z", "V", "TT" };
  static const char *const key_names[] = { "K_main", "K_confirmP", "K_confirmV", "confirmP", "confirmV", "K_shared" };
  g_autoptr (TlSpake2plus) prover = new_prover (vector, NULL, NULL);
  g_autoptr (TlSpake2plus) verifier = new_verifier (vector, NULL);
  g_autoptr (GError) error = NULL;
  guint8 share_p[65];
  guint8 share_v[65];
  guint8 confirm_p[32];
  guint8 confirm_v[32];

  check_point (vector);
  g_assert_true (tl_spake2plus_share (prover, share_p, &error));
  assert_hex (share_p, 65, member (vector, "shareP"));
  g_assert_true (tl_spake2plus_respond (verifier, share_p, 65, share_v, confirm_v, &error));
  assert_hex (share_v, 65, member (vector, "shareV"));
  g_assert_true (tl_spake2plus_confirm (prover, share_v, 65, confirm_v, 32, confirm_p, &error));
  g_assert_true (tl_spake2plus_verify (verifier, confirm_p, 32, &error));
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (group_names); i++)
    {
      assert_value (prover, vector, group_names[i]);
      assert_value (verifier, vector, group_names[i]);
    }
  if (!whole) /* another suite's hashes follow */
    return;
  for (guint i = 0; i < G_N_ELEMENTS (key_names); i++)
    {
      assert_value (prover, vector, key_names[i]);
      assert_value (verifier, vector, key_names[i]);
    }
  assert_hex (confirm_p, 32, member (vector, "confirmP"));
  assert_hex (confirm_v, 32, member (vector, "confirmV"));
  check_keys (prover, vector);
  check_keys (verifier, vector);
}

static void
test_vectors (void)
{
  json_t *list = json_object_get (vectors, "vectors");
  size_t i;
  json_t *vector;

  g_assert_cmpuint (json_array_size (list), ==, 6);
  json_array_foreach (list, i, vector) run_vector (vector, TRUE);
}

static void
test_group_vectors (void)
{
  json_t *list = json_object_get (vectors, "group_only_vectors");
  size_t i;
  json_t *vector;

  g_assert_cmpuint (json_array_size (list), ==, 3);
  json_array_foreach (list, i, vector) run_vector (vector, FALSE);
}

/* From the password: lengths and names of spake2plus.md section 6, scrypt, reduction. */
static void
check_password (const json_t *vector)
{
  const json_t *parameters = json_object_get (vector, "scrypt");
  g_autoptr (TlTranscript) input = tl_transcript_new_bare ();
  g_autoptr (GBytes) expected_input = bytes_of (member (vector, "scrypt_password_input"));
  g_autoptr (GBytes) salt = bytes_of (member (parameters, "salt"));
  g_autoptr (TlSecret) kdf = NULL;
  g_autoptr (TlSecret) w0 = NULL;
  g_autoptr (TlSecret) w1 = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;
  const guint8 *data;

  tl_transcript_add_string (input, member (vector, "password_utf8"));
  tl_transcript_add_string (input, member (vector, "idProver_utf8"));
  tl_transcript_add_string (input, member (vector, "idVerifier_utf8"));
  data = tl_transcript_data (input, &length);
  g_assert_cmpmem (data, length, g_bytes_get_data (expected_input, NULL), g_bytes_get_size (expected_input));
  kdf = tl_scrypt (data, length, g_bytes_get_data (salt, NULL), g_bytes_get_size (salt),
                   (guint64)json_integer_value (json_object_get (parameters, "N")), 8, 1, TL_SPAKE2PLUS_KDF_LENGTH,
                   &error);
  g_assert_no_error (error);
  assert_hex (tl_secret_data (kdf), 80, member (vector, "w0s_w1s"));
  g_assert_true (tl_spake2plus_derive_scalars (kdf, &w0, &w1, &error));
  assert_hex (tl_secret_data (w0), 32, member (vector, "w0"));
  assert_hex (tl_secret_data (w1), 32, member (vector, "w1"));
}

static void
test_passwords (void)
{
  guint checked = 0;
  size_t i;
  json_t *vector;

  json_array_foreach (json_object_get (vectors, "vectors"), i, vector)
  {
    if (json_object_get (vector, "scrypt") == NULL)
      continue;
    check_password (vector);
    checked++;
  }
  g_assert_cmpuint (checked, ==, 3);
}

static void
test_scalars_refused (void)
{
  g_autoptr (TlSecret) zero = tl_secret_new (80);
  g_autoptr (TlSecret) short_output = tl_secret_new (79);
  g_autoptr (TlSecret) w0 = NULL;
  g_autoptr (TlSecret) w1 = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_false (tl_spake2plus_derive_scalars (zero, &w0, &w1, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INTERNAL);
  g_clear_error (&error);
  /* The second half alone zero, too; and n itself is zero after the reduction. */
  tl_secret_data_mut (zero)[0] = 1;
  g_assert_false (tl_spake2plus_derive_scalars (zero, &w0, &w1, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INTERNAL);
  g_clear_error (&error);
  tl_secret_data_mut (zero)[79] = 1;
  tl_secret_data_mut (zero)[0] = 0;
  g_assert_true (
      tl_hex_decode (member (json_object_get (vectors, "constants"), "n"), tl_secret_data_mut (zero) + 8, 32));
  g_assert_false (tl_spake2plus_derive_scalars (zero, &w0, &w1, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INTERNAL);
  g_clear_error (&error);
  g_assert_false (tl_spake2plus_derive_scalars (short_output, &w0, &w1, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_assert_null (w0);
  g_assert_null (w1);
}

static void
test_inputs_refused (void)
{
  const json_t *vector = first_vector ();
  const json_t *constants = json_object_get (vectors, "constants");
  g_autoptr (TlSecret) good = secret_of (vector, "w0");
  g_autoptr (TlSecret) zero = tl_secret_new (32);
  g_autoptr (TlSecret) order = secret_of (constants, "n");
  g_autoptr (TlSecret) short_scalar = tl_secret_new_copy ("x", 1);
  const TlSecret *const bad[] = { zero, order, short_scalar };
  guint8 point[65] = { 4 };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (tl_spake2plus_new_prover (bad[i], good, NULL, "p", "v", tl_random_system (), &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      g_clear_error (&error);
      g_assert_null (tl_spake2plus_new_prover (good, bad[i], NULL, "p", "v", tl_random_system (), &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      g_clear_error (&error);
      g_assert_false (tl_spake2plus_derive_point (bad[i], point, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      g_clear_error (&error);
      g_assert_null (tl_spake2plus_new_verifier (good, point, NULL, "p", "v", tl_random_system (), &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
    }
}

/* The object is dead: each call fails with PROTOCOL and writes nothing. */
static void
assert_dead (TlSpake2plus *spake)
{
  static const guint8 untouched[65] = { 0 };
  guint8 share[65] = { 0 };
  guint8 confirm[32] = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_false (tl_spake2plus_share (spake, share, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  g_clear_error (&error);
  g_assert_false (tl_spake2plus_respond (spake, share, 65, share, confirm, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  g_clear_error (&error);
  g_assert_false (tl_spake2plus_confirm (spake, share, 65, confirm, 32, confirm, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  g_clear_error (&error);
  g_assert_false (tl_spake2plus_verify (spake, confirm, 32, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  g_clear_error (&error);
  g_assert_null (tl_spake2plus_shared_key (spake, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  g_clear_error (&error);
  g_assert_false (tl_spake2plus_transcript_hash (spake, confirm, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  g_assert_cmpmem (share, 65, untouched, 65);
  g_assert_cmpmem (confirm, 32, untouched, 32);
}

static void
check_reject_by_verifier (const json_t *vector, GBytes *share)
{
  g_autoptr (TlSpake2plus) verifier = new_verifier (vector, NULL);
  static const guint8 untouched[65] = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *copy = g_memdup2 (g_bytes_get_data (share, NULL), g_bytes_get_size (share));
  guint8 share_v[65] = { 0 };
  guint8 confirm_v[32] = { 0 };

  g_assert_false (tl_spake2plus_respond (verifier, copy, g_bytes_get_size (share), share_v, confirm_v, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  g_assert_cmpmem (share_v, 65, untouched, 65);
  g_assert_cmpmem (confirm_v, 32, untouched, 32);
  assert_dead (verifier);
}

static void
check_reject_by_prover (const json_t *vector, GBytes *share)
{
  g_autoptr (TlSpake2plus) prover = new_prover (vector, NULL, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) confirm_v = bytes_of (member (vector, "confirmV"));
  g_autofree guint8 *copy = g_memdup2 (g_bytes_get_data (share, NULL), g_bytes_get_size (share));
  guint8 share_p[65];
  guint8 confirm_p[32];

  g_assert_true (tl_spake2plus_share (prover, share_p, NULL));
  g_assert_false (tl_spake2plus_confirm (prover, copy, g_bytes_get_size (share), g_bytes_get_data (confirm_v, NULL), 32,
                                         confirm_p, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  assert_dead (prover);
}

static void
test_rejects (void)
{
  json_t *list = json_object_get (vectors, "rejects");
  size_t i;
  json_t *row;

  g_assert_cmpuint (json_array_size (list), ==, 12);
  json_array_foreach (list, i, row)
  {
    g_autoptr (GBytes) share = bytes_of (member (row, "share"));
    gboolean by_prover = g_str_equal (member (row, "receiver"), "prover");
    gboolean needs_w0 = json_object_get (row, "w0") != NULL;

    if (needs_w0)
      g_assert_cmpstr (member (row, "w0"), ==, member (first_vector (), "w0"));
    if (by_prover)
      check_reject_by_prover (first_vector (), share);
    else
      check_reject_by_verifier (first_vector (), share);
    /* A malformed point is refused by either side. */
    if (!needs_w0)
      check_reject_by_prover (first_vector (), share);
  }
}

static void
test_wrong_password (void)
{
  const json_t *vector = first_vector ();
  const json_t *wrong = json_object_get (vectors, "wrong_password");
  g_autoptr (TlSpake2plus) prover = new_prover (vector, member (wrong, "prover_w0"), NULL);
  g_autoptr (TlSpake2plus) verifier = new_verifier (vector, NULL);
  g_autoptr (GBytes) prover_confirm = bytes_of (member (json_object_get (wrong, "prover_side"), "confirmP"));
  g_autoptr (GError) error = NULL;
  guint8 share_p[65];
  guint8 share_v[65];
  guint8 confirm_p[32] = { 0 };
  guint8 confirm_v[32];
  static const guint8 untouched[32] = { 0 };

  g_assert_true (tl_spake2plus_share (prover, share_p, NULL));
  assert_hex (share_p, 65, member (wrong, "shareP"));
  g_assert_true (tl_spake2plus_respond (verifier, share_p, 65, share_v, confirm_v, NULL));
  assert_hex (share_v, 65, member (wrong, "shareV"));
  assert_hex (confirm_v, 32, member (json_object_get (wrong, "verifier_side"), "confirmV"));
  g_assert_false (tl_spake2plus_confirm (prover, share_v, 65, confirm_v, 32, confirm_p, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_WRONG_CODE);
  g_clear_error (&error);
  g_assert_cmpmem (confirm_p, 32, untouched, 32);
  assert_value (prover, json_object_get (wrong, "prover_side"), "confirmP");
  assert_value (prover, json_object_get (wrong, "prover_side"), "confirmV");
  assert_value (verifier, json_object_get (wrong, "verifier_side"), "confirmP");
  assert_dead (prover);
  g_assert_false (tl_spake2plus_verify (verifier, g_bytes_get_data (prover_confirm, NULL), 32, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_WRONG_CODE);
  assert_dead (verifier);
}

typedef struct
{
  TlSpake2plus *prover;
  TlSpake2plus *verifier;
  guint8 share_p[65];
  guint8 share_v[65];
  guint8 confirm_p[32];
  guint8 confirm_v[32];
} Run;

/* Steps of a good run with fresh scalars: 1 share, 2 respond, 3 confirm, 4 verify. */
static void
run_until (Run *run, guint steps)
{
  run->prover = new_prover (first_vector (), NULL, tl_random_system ());
  run->verifier = new_verifier (first_vector (), tl_random_system ());
  if (steps >= 1)
    g_assert_true (tl_spake2plus_share (run->prover, run->share_p, NULL));
  if (steps >= 2)
    g_assert_true (tl_spake2plus_respond (run->verifier, run->share_p, 65, run->share_v, run->confirm_v, NULL));
  if (steps >= 3)
    g_assert_true (tl_spake2plus_confirm (run->prover, run->share_v, 65, run->confirm_v, 32, run->confirm_p, NULL));
  if (steps >= 4)
    g_assert_true (tl_spake2plus_verify (run->verifier, run->confirm_p, 32, NULL));
}

static void
run_clear (Run *run)
{
  g_clear_pointer (&run->prover, tl_spake2plus_free);
  g_clear_pointer (&run->verifier, tl_spake2plus_free);
}

static void
test_fresh (void)
{
  Run one;
  Run two;
  g_autoptr (TlSecret) by_prover = NULL;
  g_autoptr (TlSecret) by_verifier = NULL;
  g_autoptr (TlSecret) other = NULL;
  guint8 hash_p[32];
  guint8 hash_v[32];

  run_until (&one, 4);
  run_until (&two, 4);
  by_prover = tl_spake2plus_shared_key (one.prover, NULL);
  by_verifier = tl_spake2plus_shared_key (one.verifier, NULL);
  other = tl_spake2plus_shared_key (two.prover, NULL);
  g_assert_true (tl_secret_equal (by_prover, by_verifier));
  g_assert_false (tl_secret_equal (by_prover, other));
  g_assert_true (memcmp (one.share_p, two.share_p, 65) != 0);
  g_assert_true (memcmp (one.share_v, two.share_v, 65) != 0);
  g_assert_true (tl_spake2plus_transcript_hash (one.prover, hash_p, NULL));
  g_assert_true (tl_spake2plus_transcript_hash (one.verifier, hash_v, NULL));
  g_assert_cmpmem (hash_p, 32, hash_v, 32);
  g_assert_null (tl_spake2plus_value_for_test (one.prover, "K_main")); /* kept only with a test scalar */
  g_assert_null (tl_spake2plus_value_for_test (one.verifier, "Z"));
  run_clear (&one);
  run_clear (&two);
}

/* Keys asked for before the peer's confirmation was verified are not given, and the run is over. */
static void
test_early_keys (void)
{
  for (guint steps = 0; steps <= 3; steps++)
    {
      Run run;
      guint8 hash[32];
      g_autoptr (GError) error = NULL;

      run_until (&run, steps);
      if (steps < 3)
        {
          g_assert_null (tl_spake2plus_shared_key (run.prover, &error));
          g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
          g_clear_error (&error);
          assert_dead (run.prover);
        }
      g_assert_null (tl_spake2plus_shared_key (run.verifier, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
      g_assert_false (tl_spake2plus_transcript_hash (run.verifier, hash, NULL));
      assert_dead (run.verifier);
      run_clear (&run);
    }
}

static void
test_repeated (void)
{
  Run run;
  guint8 buffer[65];

  run_until (&run, 1);
  g_assert_false (tl_spake2plus_share (run.prover, buffer, NULL));
  assert_dead (run.prover);
  run_clear (&run);

  run_until (&run, 2);
  g_assert_false (tl_spake2plus_respond (run.verifier, run.share_p, 65, run.share_v, buffer, NULL));
  g_assert_false (tl_spake2plus_verify (run.verifier, run.confirm_p, 32, NULL));
  assert_dead (run.verifier);
  run_clear (&run);

  run_until (&run, 3);
  g_assert_false (tl_spake2plus_confirm (run.prover, run.share_v, 65, run.confirm_v, 32, buffer, NULL));
  assert_dead (run.prover); /* also the keys that were there */
  run_clear (&run);

  run_until (&run, 4);
  g_assert_false (tl_spake2plus_verify (run.verifier, run.confirm_p, 32, NULL));
  assert_dead (run.verifier);
  run_clear (&run);
}

static void
test_out_of_order (void)
{
  Run run;
  guint8 buffer[65];

  run_until (&run, 0);
  g_assert_false (tl_spake2plus_confirm (run.prover, run.share_v, 65, run.confirm_v, 32, buffer, NULL));
  assert_dead (run.prover);
  g_assert_false (tl_spake2plus_verify (run.verifier, run.confirm_p, 32, NULL));
  assert_dead (run.verifier);
  run_clear (&run);

  /* The other side's steps. */
  run_until (&run, 1);
  g_assert_false (tl_spake2plus_respond (run.prover, run.share_p, 65, buffer, run.confirm_v, NULL));
  assert_dead (run.prover);
  g_assert_false (tl_spake2plus_share (run.verifier, buffer, NULL));
  assert_dead (run.verifier);
  run_clear (&run);
}

static void
test_tampered (void)
{
  Run run;
  guint8 confirm[32];
  g_autoptr (GError) error = NULL;

  run_until (&run, 2);
  memcpy (confirm, run.confirm_v, 32);
  confirm[31] ^= 1;
  g_assert_false (tl_spake2plus_confirm (run.prover, run.share_v, 65, confirm, 32, run.confirm_p, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_WRONG_CODE);
  g_clear_error (&error);
  g_assert_false (tl_spake2plus_confirm (run.prover, run.share_v, 65, run.confirm_v, 32, run.confirm_p, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL); /* no second try, be it the right one */
  g_clear_error (&error);
  run_clear (&run);

  run_until (&run, 2);
  g_assert_false (tl_spake2plus_confirm (run.prover, run.share_v, 65, run.confirm_v, 31, run.confirm_p, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_WRONG_CODE);
  g_clear_error (&error);
  run_clear (&run);

  run_until (&run, 3);
  run.confirm_p[0] ^= 0x80;
  g_assert_false (tl_spake2plus_verify (run.verifier, run.confirm_p, 32, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_WRONG_CODE);
  g_clear_error (&error);
  run.confirm_p[0] ^= 0x80;
  g_assert_false (tl_spake2plus_verify (run.verifier, run.confirm_p, 32, &error)); /* no second try */
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  run_clear (&run);
}

/* After a bad share the good one comes too late. */
static void
test_bad_share_then_good (void)
{
  Run run;
  g_autoptr (GError) error = NULL;
  guint8 bad[65];

  run_until (&run, 1);
  memcpy (bad, run.share_p, 65);
  bad[64] ^= 1;
  g_assert_false (tl_spake2plus_respond (run.verifier, bad, 65, run.share_v, run.confirm_v, NULL));
  g_assert_false (tl_spake2plus_respond (run.verifier, run.share_p, 65, run.share_v, run.confirm_v, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  g_clear_error (&error);
  run_clear (&run);

  run_until (&run, 2);
  memcpy (bad, run.share_v, 65);
  bad[64] ^= 1;
  g_assert_false (tl_spake2plus_confirm (run.prover, bad, 65, run.confirm_v, 32, run.confirm_p, NULL));
  g_assert_false (tl_spake2plus_confirm (run.prover, run.share_v, 65, run.confirm_v, 32, run.confirm_p, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_PROTOCOL);
  run_clear (&run);
}

/* A reflected share and confirmation do not make a peer. */
static void
test_reflection (void)
{
  Run run;
  g_autoptr (GError) error = NULL;

  run_until (&run, 2);
  g_assert_false (tl_spake2plus_verify (run.verifier, run.confirm_v, 32, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_WRONG_CODE);
  run_clear (&run);
}

static void
load_vectors (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("TL_TEST_DATA"), "spake2plus-vectors.json", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;

  g_file_get_contents (path, &text, &length, &error);
  g_assert_no_error (error);
  vectors = tl_json_parse (text, (gssize)length, 0, &error);
  g_assert_no_error (error);
}

int
main (int argc, char *argv[])
{
  int result;

  g_test_init (&argc, &argv, NULL);
  load_vectors ();
  g_test_add_func ("/crypto/spake2plus/vectors", test_vectors);
  g_test_add_func ("/crypto/spake2plus/group-vectors", test_group_vectors);
  g_test_add_func ("/crypto/spake2plus/passwords", test_passwords);
  g_test_add_func ("/crypto/spake2plus/scalars-refused", test_scalars_refused);
  g_test_add_func ("/crypto/spake2plus/inputs-refused", test_inputs_refused);
  g_test_add_func ("/crypto/spake2plus/rejects", test_rejects);
  g_test_add_func ("/crypto/spake2plus/wrong-password", test_wrong_password);
  g_test_add_func ("/crypto/spake2plus/fresh", test_fresh);
  g_test_add_func ("/crypto/spake2plus/early-keys", test_early_keys);
  g_test_add_func ("/crypto/spake2plus/repeated", test_repeated);
  g_test_add_func ("/crypto/spake2plus/out-of-order", test_out_of_order);
  g_test_add_func ("/crypto/spake2plus/tampered", test_tampered);
  g_test_add_func ("/crypto/spake2plus/bad-share-then-good", test_bad_share_then_good);
  g_test_add_func ("/crypto/spake2plus/reflection", test_reflection);
  result = g_test_run ();
  json_decref (vectors);
  return result;
}
