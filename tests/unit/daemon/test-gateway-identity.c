/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "crypto/tl-hash.h"
#include "daemon/tl-gateway-identity.h"

#define DAY_MS (G_GINT64_CONSTANT (86400) * 1000)
#define NOW_MS G_GINT64_CONSTANT (1790000000000)

typedef struct
{
  char *directory;
  TlStore *store;
  TlSecretStore *secrets;
  TlClock *clock;
  TlRandom *random;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->directory = g_dir_make_tmp ("tl-test-XXXXXX", NULL);
  f->store = tl_store_open (f->directory, NULL, NULL);
  f->secrets = tl_secret_store_new_memory ();
  f->clock = tl_clock_new_virtual (NOW_MS);
  f->random = tl_random_new_test (3);
  g_assert_nonnull (f->store);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autofree char *command = g_strdup_printf ("rm -rf '%s'", f->directory);

  tl_store_close (f->store);
  tl_secret_store_unref (f->secrets);
  tl_clock_free (f->clock);
  tl_random_free (f->random);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  g_free (f->directory);
}

static TlGatewayIdentity *
open_identity (Fixture *f, const char *const *names, GError **error)
{
  static const char *const none[] = { NULL };
  return tl_gateway_identity_open (f->store, f->secrets, names != NULL ? names : none, f->clock, f->random, error);
}

/* SHA-256 of the leaf that is in the secret store. */
static void
stored_leaf (Fixture *f, guint8 digest[TL_SHA256_LENGTH])
{
  g_autoptr (TlSecret) stored = tl_secret_store_lookup_sync (f->secrets, "server-leaf", NULL);
  const char *pem = strstr ((const char *)tl_secret_data (stored), "-----BEGIN CERTIFICATE-----");
  g_autoptr (GBytes) der = tl_certificate_pem_to_der (pem, strlen (pem));

  tl_sha256 (g_bytes_get_data (der, NULL), g_bytes_get_size (der), digest);
}

static void
test_stays (Fixture *f, gconstpointer data)
{
  g_autofree char *id = NULL;
  guint8 before[TL_SHA256_LENGTH], after[TL_SHA256_LENGTH];

  {
    g_autoptr (TlGatewayIdentity) identity = open_identity (f, NULL, NULL);
    g_assert_nonnull (identity);
    id = g_strdup (tl_gateway_identity_id (identity));
    stored_leaf (f, before);
    g_assert_true (tl_gateway_identity_serves (identity, before));
  }
  {
    g_autoptr (TlGatewayIdentity) identity = open_identity (f, NULL, NULL);
    g_assert_nonnull (identity);
    g_assert_cmpstr (tl_gateway_identity_id (identity), ==, id);
    stored_leaf (f, after);
    g_assert_cmpmem (before, sizeof before, after, sizeof after); /* pairing goes on over a restart */
  }
}

/* A CA whose key is gone is never replaced by a new one. */
static void
test_lost_key (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  tl_gateway_identity_free (open_identity (f, NULL, NULL));
  g_assert_true (tl_secret_store_delete_sync (f->secrets, "ca-key-g1", NULL));
  g_assert_null (open_identity (f, NULL, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
  g_assert_nonnull (strstr (error->message, "ca-key-g1"));
  g_assert_null (tl_secret_store_lookup_sync (f->secrets, "ca-key-g1", NULL));
}

static void
test_new_names (Fixture *f, gconstpointer data)
{
  static const char *const names[] = { "gw.example.org", NULL };
  guint8 before[TL_SHA256_LENGTH], after[TL_SHA256_LENGTH];

  tl_gateway_identity_free (open_identity (f, NULL, NULL));
  stored_leaf (f, before);
  tl_gateway_identity_free (open_identity (f, names, NULL));
  stored_leaf (f, after);
  g_assert_cmpint (memcmp (before, after, sizeof before), !=, 0);
}

/* Replaced at two thirds; the one before is still accepted as a channel binding (PROTOCOL 3.3), the one before that
 * not. */
static void
test_rotation (Fixture *f, gconstpointer data)
{
  g_autoptr (TlGatewayIdentity) identity = open_identity (f, NULL, NULL);
  guint8 leaves[3][TL_SHA256_LENGTH];

  stored_leaf (f, leaves[0]);
  tl_clock_advance (f->clock, 4 * DAY_MS);
  tl_gateway_identity_maintain (identity);
  stored_leaf (f, leaves[1]);
  g_assert_cmpmem (leaves[0], TL_SHA256_LENGTH, leaves[1], TL_SHA256_LENGTH);
  for (guint i = 1; i < 3; i++)
    {
      gint64 end = tl_gateway_identity_leaf_not_after (identity);
      tl_clock_advance (f->clock, 5 * DAY_MS);
      tl_gateway_identity_maintain (identity);
      while (tl_gateway_identity_leaf_not_after (identity) == end)
        g_main_context_iteration (NULL, TRUE);
      stored_leaf (f, leaves[i]);
      g_assert_true (tl_gateway_identity_serves (identity, leaves[i]));
      g_assert_true (tl_gateway_identity_serves (identity, leaves[i - 1]));
    }
  g_assert_false (tl_gateway_identity_serves (identity, leaves[0]));
  tl_clock_advance (f->clock, 10 * 60 * 1000);
  g_assert_false (tl_gateway_identity_serves (identity, leaves[1]));
}

static void
test_seal (Fixture *f, gconstpointer data)
{
  static const guint8 zero[32];
  g_autoptr (TlGatewayIdentity) identity = open_identity (f, NULL, NULL);
  g_autoptr (TlSecret) shared = tl_secret_new (32);
  g_autoptr (TlPairingKeys) keys = tl_pairing_keys_new (shared, shared, zero, "session", zero);
  g_autoptr (GBytes) sealed = tl_gateway_identity_seal (identity, "A", keys);
  g_autoptr (TlPairingKeys) again = tl_gateway_identity_unseal (identity, "A", sealed, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (again);
  g_assert_null (tl_gateway_identity_unseal (identity, "B", sealed, &error)); /* bound to its request */
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
}

#define ADD(name, func) g_test_add ("/gateway-identity/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("stays", test_stays);
  ADD ("lost-key", test_lost_key);
  ADD ("new-names", test_new_names);
  ADD ("1-rotation", test_rotation);
  ADD ("seal", test_seal);
  return g_test_run ();
}
