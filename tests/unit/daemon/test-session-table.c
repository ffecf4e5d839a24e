/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-ulid.h"
#include "crypto/tl-keys.h"
#include "daemon/tl-session-table.h"

#define GATEWAY "01ARZ3NDEKTSV4RRFFQ69G5FAV"

static TlRandom *randomness;
static TlPairingVerifier *verifier;

static TlOpenSession *
open_session (const char *source, gint64 now)
{
  TlOpenSession *entry = g_new0 (TlOpenSession, 1);
  g_autofree char *session_id = tl_ulid_new (now, randomness);
  g_autofree char *device_id = tl_ulid_new (now, randomness);
  g_autoptr (GBytes) ca = g_bytes_new_static ("ca", 2);
  g_autoptr (TlSecret) key = NULL;
  TlPairingStart start = { .versions = { 1 }, .n_versions = 1, .code_id = GATEWAY, .device_id = device_id };

  g_assert_true (tl_x25519_generate (randomness, &key, start.device_ephemeral, NULL));
  memset (start.device_commitment, 1, sizeof start.device_commitment);
  entry->session
      = tl_gateway_session_new (&start, TL_PAIRING_LINK, verifier, session_id, GATEWAY, ca, now, randomness, NULL);
  g_assert_nonnull (entry->session);
  entry->source = g_strdup (source);
  return entry;
}

static void
exchange (TlOpenSession *entry, gint64 now)
{
  guint8 share[TL_SPAKE2PLUS_SHARE_LENGTH] = { 4 };

  g_assert_true (tl_gateway_session_begin_exchange (entry->session, share, sizeof share, now, NULL));
}

static void
test_per_source (void)
{
  g_autoptr (TlSessionTable) table = tl_session_table_new (256, 8);
  g_autofree char *first = NULL;

  for (guint i = 0; i < 9; i++)
    {
      TlOpenSession *entry = open_session ("a", 1000 + i);
      g_assert_true (tl_session_table_make_room (table, "a"));
      if (i == 0)
        first = g_strdup (tl_gateway_session_id (entry->session));
      tl_session_table_add (table, entry);
    }
  g_assert_cmpuint (tl_session_table_size (table), ==, 8);
  g_assert_null (tl_session_table_lookup (table, first)); /* the oldest made room */
}

/* Sessions that exchanged are never evicted: a flood cannot throw out somebody who typed the right code. */
static void
test_exchanged_stay (void)
{
  g_autoptr (TlSessionTable) table = tl_session_table_new (256, 8);

  for (guint i = 0; i < 8; i++)
    {
      TlOpenSession *entry = open_session ("a", 1000);
      exchange (entry, 1000);
      tl_session_table_add (table, entry);
    }
  g_assert_false (tl_session_table_make_room (table, "a"));
  g_assert_true (tl_session_table_make_room (table, "b"));
  g_assert_cmpuint (tl_session_table_size (table), ==, 8);
}

static void
test_overall (void)
{
  g_autoptr (TlSessionTable) table = tl_session_table_new (10, 8);

  for (guint i = 0; i < 10; i++)
    {
      g_autofree char *source = g_strdup_printf ("%u", i);
      g_assert_true (tl_session_table_make_room (table, source));
      tl_session_table_add (table, open_session (source, 1000 + i));
    }
  g_assert_true (tl_session_table_make_room (table, "new"));
  g_assert_cmpuint (tl_session_table_size (table), ==, 9);
}

static void
test_busy_stay (void)
{
  g_autoptr (TlSessionTable) table = tl_session_table_new (1, 1);
  TlOpenSession *entry = open_session ("a", 1000);

  entry->busy = TRUE;
  tl_session_table_add (table, entry);
  g_assert_false (tl_session_table_make_room (table, "a"));
  g_assert_cmpuint (tl_session_table_expire (table, G_MAXINT64), ==, 0);
  entry->busy = FALSE;
  g_assert_cmpuint (tl_session_table_expire (table, G_MAXINT64), ==, 1);
}

static void
test_expire (void)
{
  g_autoptr (TlSessionTable) table = tl_session_table_new (256, 8);

  tl_session_table_add (table, open_session ("a", 1000));
  tl_session_table_add (table, open_session ("a", 5000));
  g_assert_cmpuint (tl_session_table_expire (table, 1000 + TL_GATEWAY_SESSION_EXCHANGE_MS - 1), ==, 0);
  g_assert_cmpuint (tl_session_table_expire (table, 1000 + TL_GATEWAY_SESSION_EXCHANGE_MS), ==, 1);
  g_assert_cmpuint (tl_session_table_size (table), ==, 1);
}

int
main (int argc, char **argv)
{
  g_autoptr (TlSecret) token = NULL;
  int rc;

  g_test_init (&argc, &argv, NULL);
  randomness = tl_random_new_test (7);
  token = tl_pairing_token_generate (randomness);
  verifier = tl_pairing_verifier_new (TL_PAIRING_LINK, token, GATEWAY, randomness, NULL);
  g_test_add_func ("/session-table/3.4-per-source", test_per_source);
  g_test_add_func ("/session-table/3.4-exchanged-stay", test_exchanged_stay);
  g_test_add_func ("/session-table/3.4-overall", test_overall);
  g_test_add_func ("/session-table/busy-stay", test_busy_stay);
  g_test_add_func ("/session-table/expire", test_expire);
  rc = g_test_run ();
  tl_pairing_verifier_free (verifier);
  tl_random_free (randomness);
  return rc;
}
