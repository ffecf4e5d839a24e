/* SPDX-License-Identifier: Apache-2.0 */
#include "renewal-world.h"

#include <string.h>

/* The unwinder of the sanitizer build makes an allocation cost a hundred times as much. */
#ifdef __SANITIZE_ADDRESS__
#define SEEDS      10
#define SEEDS_FULL 100
#else
#define SEEDS      200
#define SEEDS_FULL 2000
#endif

#define LIFE_DAYS 60

/* ---- 60 days ---- */

static gint64
between (World *world, gint64 low_ms, gint64 high_ms)
{
  return low_ms + (gint64)tl_random_below (world->random, (guint32)((high_ms - low_ms) / 1000) + 1) * 1000;
}

/* Awake: looks every quarter of an hour or so, as a connected node does; sometimes either side's process ends. */
static void
work (World *world, gint64 end_ms)
{
  while (tl_clock_wall_ms (world->clock) < end_ms)
    {
      tl_gateway_identity_maintain (world->gateway);
      if (tl_random_below (world->random, 50) == 0)
        world_restart_device (world);
      if (tl_random_below (world->random, 50) == 0)
        world_restart_gateway (world);
      tl_renewal_check (world->renewal, FALSE);
      if (tl_random_below (world->random, 100) == 0)
        world_restart_device (world); /* with the request on its way */
      world_settle (world);
      /* A connection is made again when the certificate changed or ended; several attempts, because some are lost. */
      g_assert_true (world_connect (world, 200));
      world_advance (world, between (world, 10 * MINUTE_MS, 40 * MINUTE_MS));
    }
}

/* The server leaf is good at any time the gateway is there: it is replaced while it runs. */
static void
maintain_leaf (World *world)
{
  /* More than once: a replacement that was under way when the clock moved on is of the time before. */
  do
    {
      tl_gateway_identity_maintain (world->gateway);
      g_main_context_iteration (NULL, FALSE);
    }
  while (tl_clock_wall_ms (world->clock) >= tl_gateway_identity_leaf_renews_at (world->gateway));
  g_assert_cmpint (tl_gateway_identity_leaf_not_after (world->gateway), >, tl_clock_wall_ms (world->clock));
}

static void
sleep_some (World *world)
{
  gboolean long_one = tl_random_below (world->random, 4) == 0;

  world_advance (world, long_one ? between (world, DAY_MS, 25 * DAY_MS) : between (world, HOUR_MS, DAY_MS));
  maintain_leaf (world);
  tl_renewal_check (world->renewal, TRUE); /* resume */
  world_settle (world);
}

static void
assert_one_certificate (World *world)
{
  g_autoptr (TlDeviceRecord) device = world_device (world);
  g_autofree char *mine = tl_certificate_fingerprint (tl_device_identity_certificate (world->identity));
  guint good = 0;

  for (guint i = 0; i < device->certificates->len; i++)
    {
      const TlCertificateRecord *certificate = device->certificates->pdata[i];

      if (certificate->revoked || certificate->not_after <= tl_clock_wall_ms (world->clock))
        continue;
      good++;
      g_assert_true (certificate->used);
      g_assert_cmpstr (certificate->fingerprint, ==, mine);
    }
  g_assert_cmpuint (good, ==, 1);
}

static void
live (guint64 seed)
{
  static const gint64 errors_ms[] = { 0, 0, 0, 3 * DAY_MS, -3 * DAY_MS, -20 * 365 * DAY_MS };
  World *world = world_new (seed, errors_ms[seed % G_N_ELEMENTS (errors_ms)]);
  gint64 end_ms = STORE_NOW + LIFE_DAYS * DAY_MS;
  guint lives = 0;

  world->loss_percent = 15;
  while (tl_clock_wall_ms (world->clock) < end_ms)
    {
      work (world, tl_clock_wall_ms (world->clock) + between (world, HOUR_MS, 6 * HOUR_MS));
      sleep_some (world);
      tl_store_expire (world->store.store, tl_clock_wall_ms (world->clock), NULL, NULL);
      lives++;
    }
  world->loss_percent = 0;
  g_assert_true (world_connect (world, 5));
  assert_one_certificate (world);
  g_assert_cmpuint (world->n_renewed, >, 2);
  g_test_message ("seed %" G_GUINT64_FORMAT ": %u times awake, %u renewals, %u by identity, %u losses", seed, lives,
                  world->n_renewed, world->n_by_identity, world->n_lost);
  world_free (world);
}

static void
test_sixty_days (void)
{
  guint seeds = g_strcmp0 (g_getenv ("TL_TEST_FULL"), "1") == 0 ? SEEDS_FULL : SEEDS;

  for (guint64 seed = 1; seed <= seeds; seed++)
    live (seed);
}

/* ---- the end of the grace, or the test above would show nothing ---- */

static void
test_grace (void)
{
  for (guint late = 0; late < 2; late++)
    {
      World *world = world_new (7, 0);
      gint64 end_ms = tl_certificate_not_after_ms (tl_device_identity_certificate (world->identity));
      gint64 grace_end_ms = tl_renewal_desk_grace_end (world->desk, end_ms);
      g_autoptr (TlDeviceIdentity) kept = NULL;

      g_assert_true (world_connect (world, 1));
      world_advance (world, grace_end_ms - STORE_NOW - (late ? 0 : 1000));
      g_assert_cmpint (world_connect (world, 10), ==, !late);
      if (late)
        {
          g_assert_error (world->failure, TL_ERROR, TL_ERROR_EXPIRED);
          g_assert_nonnull (strstr (world->failure->message, "pair again"));
        }
      else
        g_assert_cmpuint (world->n_by_identity, ==, 1);
      /* Nothing was forgotten, whatever the gateway said. */
      kept = tl_node_state_load_identity (world->state, NULL);
      g_assert_nonnull (kept);
      world_free (world);
    }
}

/* ---- the rest ---- */

static void
test_revoked (void)
{
  World *world = world_new (8, 0);
  Answer answer = ANSWER (NULL);
  g_autoptr (TlDeviceIdentity) kept = NULL;

  g_assert_true (world_connect (world, 1));
  tl_store_change_device (world->store.store, TL_ADMISSION_REVOKE, tl_device_identity_device_id (world->identity),
                          TL_ROLE_NODE, "uid:0", NULL, FALSE, tl_clock_wall_ms (world->clock), answer_callback,
                          &answer);
  assert_ok (&world->store, &answer);
  tl_admitted_set_remove_device (world->admitted, tl_device_identity_device_id (world->identity));
  g_assert_false (world_connect (world, 6));
  g_assert_error (world->failure, TL_ERROR, TL_ERROR_REVOKED);
  kept = tl_node_state_load_identity (world->state, NULL);
  g_assert_nonnull (kept);
  world_free (world);
}

/* The gateway came back with a copy of its store from before the renewal: it knows nothing of the leaf that is used. */
static void
test_forgotten_leaf (void)
{
  World *world = world_new (9, 0);

  g_assert_true (world_connect (world, 1));
  tl_renewal_ask (world->renewal);
  world_settle (world);
  g_assert_true (world_connect (world, 1));
  g_assert_cmpuint (world->n_renewed, ==, 1);
  tl_admitted_set_remove_device (world->admitted, tl_device_identity_device_id (world->identity));
  g_assert_true (world_connect (world, 3));
  g_assert_cmpuint (world->n_by_identity, ==, 1);
  assert_one_certificate (world);
  world_free (world);
}

/* A leaf that was stored and never used: asleep until it ended. */
static void
test_unused_leaf (void)
{
  World *world = world_new (10, 0);

  g_assert_true (world_connect (world, 1));
  tl_renewal_ask (world->renewal);
  world_settle (world);
  g_assert_cmpint (tl_renewal_step (world->renewal), ==, TL_RENEWAL_LEAF_STORED);
  world_restart_device (world);
  g_assert_cmpint (tl_renewal_step (world->renewal), ==, TL_RENEWAL_LEAF_STORED);
  world_advance (world, 3 * DAY_MS);
  world_restart_device (world);
  world_settle (world);
  g_assert_true (world_connect (world, 2));
  assert_one_certificate (world);
  world_restart_device (world);
  g_assert_cmpint (tl_renewal_step (world->renewal), ==, TL_RENEWAL_IDLE);
  g_assert_true (world_connect (world, 1));
  world_free (world);
}

/* A key that the gateway refuses is not asked for again and again. */
static void
test_refused_key (void)
{
  World *world = world_new (11, 0);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) value = NULL;
  g_autoptr (TlDeviceIdentity) next = NULL;

  g_assert_true (world_connect (world, 1));
  /* The slot holds the key that is in use: no gateway takes that. */
  value = tl_device_identity_serialise (world->identity, NULL);
  {
    const char *text = (const char *)tl_secret_data (value);
    const char *cut = strstr (text, ",\"bundle\"");
    g_autofree char *start = g_strndup (text, (gsize)(strstr (text, ",\"certificate\"") - text));
    g_autofree char *whole = g_strconcat (start, ",\"certificate\":null,\"bundle\":[]}", NULL);
    g_autoptr (TlSecret) made = tl_secret_new_copy (whole, strlen (whole));

    g_assert_nonnull (cut);
    next = tl_device_identity_parse (made, &error);
    g_assert_no_error (error);
  }
  g_assert_true (tl_node_state_store_next (world->state, next, NULL));
  world_restart_device (world);
  world_settle (world);
  g_assert_error (world->failure, TL_ERROR, TL_ERROR_PERMISSION_DENIED);
  tl_renewal_ask (world->renewal);
  world_settle (world);
  g_assert_cmpuint (world->n_renewed, ==, 1);
  g_assert_true (world_connect (world, 1));
  assert_one_certificate (world);
  world_free (world);
}

/* What is left of a renewal of another pairing, or of nothing that can be read, is dropped. */
static void
test_foreign_slot (void)
{
  World *world = world_new (12, 0);
  g_autoptr (TlDeviceIdentity) other = tl_device_identity_new (STORE_NOW, world->random, NULL);
  g_autoptr (TlDeviceIdentity) left = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (tl_node_state_store_next (world->state, other, NULL));
  world_restart_device (world);
  left = tl_node_state_load_next (world->state, &error);
  g_assert_null (left);
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  g_assert_true (world_connect (world, 1));
  world_free (world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/renewal/grace", test_grace);
  g_test_add_func ("/renewal/revoked", test_revoked);
  g_test_add_func ("/renewal/forgotten-leaf", test_forgotten_leaf);
  g_test_add_func ("/renewal/unused-leaf", test_unused_leaf);
  g_test_add_func ("/renewal/refused-key", test_refused_key);
  g_test_add_func ("/renewal/foreign-slot", test_foreign_slot);
  g_test_add_func ("/renewal/sixty-days", test_sixty_days);
  return g_test_run ();
}
