/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-state.h"

#include <string.h>
#include <sys/stat.h>

#include "base/tl-error.h"
#include "tl-node-fixture.h"

#define DAY_MS (G_GINT64_CONSTANT (86400) * 1000)

typedef struct
{
  char *directory;
  TlCertificateAuthority *ca;
  TlDeviceIdentity *identity;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  (void)data;
  f->directory = tl_fixture_directory ();
  f->ca = tl_fixture_ca (TL_FIXTURE_GATEWAY);
  f->identity = tl_fixture_identity (f->ca, DAY_MS);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_device_identity_free (f->identity);
  tl_certificate_authority_unref (f->ca);
  tl_fixture_remove (f->directory);
  g_free (f->directory);
}

static TlNodeState *
open_state (Fixture *f, const char *gateway, int expected)
{
  g_autoptr (GError) error = NULL;
  TlNodeState *state = tl_node_state_open (f->directory, gateway, &error);

  if (expected < 0)
    g_assert_no_error (error);
  else
    g_assert_error (error, TL_ERROR, expected);
  return state;
}

static char *
gateway_path (Fixture *f, const char *name)
{
  return g_build_filename (f->directory, TL_FIXTURE_GATEWAY, name, NULL);
}

static void
test_create_and_open (Fixture *f, gconstpointer data)
{
  g_autoptr (TlNodeState) created = tl_fixture_state (f->directory, f->identity, "192.0.2.1:7444");
  g_autoptr (TlNodeState) opened = open_state (f, NULL, -1);
  const TlNodeMarker *marker = tl_node_state_marker (opened);
  g_autofree char *fingerprint = tl_device_identity_fingerprint (f->identity);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlDeviceIdentity) loaded = tl_node_state_load_identity (opened, &error);
  g_autofree char *text = tl_fixture_read (tl_node_state_directory (opened), "gateway.json");
  struct stat info;

  (void)data;
  g_assert_no_error (error);
  g_assert_cmpstr (marker->gateway_id, ==, TL_FIXTURE_GATEWAY);
  g_assert_cmpstr (marker->gateway_name, ==, "Test gateway");
  g_assert_cmpstr (marker->device_name, ==, "test device");
  g_assert_cmpstr (marker->device_id, ==, tl_device_identity_device_id (f->identity));
  g_assert_cmpstr (marker->fingerprint, ==, fingerprint);
  g_assert_cmpstr (marker->addresses[0], ==, "192.0.2.1:7444");
  g_assert_cmpuint (marker->ca_generation, ==, 1);
  g_assert_cmpstr (tl_device_identity_device_id (loaded), ==, marker->device_id);
  g_assert_null (strstr (text, "PRIVATE"));
  g_assert_cmpint (stat (tl_node_state_directory (opened), &info), ==, 0);
  g_assert_cmpuint (info.st_mode & 0777, ==, 0700);
}

static void
test_lookup (Fixture *f, gconstpointer data)
{
  g_autoptr (TlCertificateAuthority) other_ca = tl_fixture_ca (TL_FIXTURE_OTHER_GATEWAY);
  g_autoptr (TlDeviceIdentity) other = tl_fixture_identity (other_ca, DAY_MS);
  g_autoptr (TlNodeState) first = NULL;
  g_autoptr (TlNodeState) second = NULL;
  g_autoptr (TlNodeState) found = NULL;
  g_autoptr (GPtrArray) ids = tl_node_state_list (f->directory, NULL);

  (void)data;
  g_assert_cmpuint (ids->len, ==, 0);
  g_assert_null (open_state (f, NULL, TL_ERROR_NOT_PAIRED));
  first = tl_fixture_state (f->directory, f->identity, "a:1");
  second = tl_fixture_state (f->directory, other, "b:1");
  g_assert_null (open_state (f, NULL, TL_ERROR_AMBIGUOUS));
  g_assert_null (open_state (f, "01j", TL_ERROR_AMBIGUOUS));
  g_assert_null (open_state (f, "Test gateway", TL_ERROR_AMBIGUOUS));
  g_assert_null (open_state (f, "elsewhere", TL_ERROR_NOT_PAIRED));
  found = open_state (f, TL_FIXTURE_OTHER_GATEWAY, -1);
  g_assert_cmpstr (tl_node_state_marker (found)->gateway_id, ==, TL_FIXTURE_OTHER_GATEWAY);
  g_clear_pointer (&ids, g_ptr_array_unref);
  ids = tl_node_state_list (f->directory, NULL);
  g_assert_cmpuint (ids->len, ==, 2);
  g_assert_cmpstr (ids->pdata[0], ==, TL_FIXTURE_GATEWAY);
  g_assert_cmpstr (ids->pdata[1], ==, TL_FIXTURE_OTHER_GATEWAY);
}

/* The marker is there, the secret is not: lost or locked, and never a reason to make a new identity. */
static void
test_lost_secret (Fixture *f, gconstpointer data)
{
  g_autoptr (TlNodeState) state = tl_fixture_state (f->directory, f->identity, "a:1");
  g_autofree char *secrets = gateway_path (f, "secrets");
  g_autoptr (GError) error = NULL;

  (void)data;
  tl_fixture_remove (secrets);
  g_assert_null (tl_node_state_load_identity (state, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, TL_FIXTURE_GATEWAY));
  g_assert_nonnull (strstr (error->message, "repair"));
  g_assert_false (g_file_test (secrets, G_FILE_TEST_EXISTS));
}

static void
test_mangled_marker (Fixture *f, gconstpointer data)
{
  static const char *const broken[] = { "", "{", "[]", "{\"version\": 1}", "{\"version\": \"1\"}" };
  g_autoptr (TlNodeState) state = tl_fixture_state (f->directory, f->identity, "a:1");
  g_autofree char *path = gateway_path (f, "gateway.json");

  (void)data;
  for (guint i = 0; i < G_N_ELEMENTS (broken); i++)
    {
      const char *addresses[] = { "a:1", NULL };
      g_autoptr (GPtrArray) ids = NULL;
      g_autoptr (GError) error = NULL;
      g_autofree char *text = NULL;

      tl_fixture_write (tl_node_state_directory (state), "gateway.json", broken[i]);
      g_assert_null (tl_node_state_open (f->directory, NULL, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
      g_assert_nonnull (strstr (error->message, path));
      g_clear_error (&error);
      ids = tl_node_state_list (f->directory, &error);
      g_assert_null (ids);
      g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
      g_clear_error (&error);
      g_assert_null (tl_node_state_create (f->directory, f->identity, "", "d", addresses, 1, FALSE, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_ALREADY_EXISTS);
      text = tl_fixture_read (tl_node_state_directory (state), "gateway.json");
      g_assert_cmpstr (text, ==, broken[i]);
    }
}

/* Every byte of the marker and of the cursor: noticed, or of no consequence. */
static void
test_flipped_bytes (Fixture *f, gconstpointer data)
{
  g_autoptr (TlNodeState) state = tl_fixture_state (f->directory, f->identity, "a:1");
  const char *directory = tl_node_state_directory (state);
  g_autofree char *marker = tl_fixture_read (directory, "gateway.json");
  g_autofree char *cursor = NULL;

  (void)data;
  g_assert_nonnull (strstr (marker, "\"sum\""));
  for (char *at = marker; *at != '\0'; at++)
    {
      g_autoptr (TlNodeState) again = NULL;

      *at ^= 1;
      tl_fixture_write (directory, "gateway.json", marker);
      again = tl_node_state_open (f->directory, NULL, NULL);
      *at ^= 1;
      if (again == NULL)
        continue;
      g_assert_cmpstr (tl_node_state_marker (again)->fingerprint, ==, tl_node_state_marker (state)->fingerprint);
      g_assert_cmpstr (tl_node_state_marker (again)->device_id, ==, tl_node_state_marker (state)->device_id);
      g_assert_cmpstr (tl_node_state_marker (again)->addresses[0], ==, "a:1");
      g_assert_cmpint (tl_node_state_marker (again)->paired_at_ms, ==, tl_node_state_marker (state)->paired_at_ms);
    }
  tl_fixture_write (directory, "gateway.json", marker);

  g_assert_true (tl_node_state_set_cursor (state, 1234, "01ABCDEFGH0000000000000001", NULL));
  cursor = tl_fixture_read (directory, "cursor.json");
  for (char *at = cursor; *at != '\0'; at++)
    {
      g_autofree char *event_id = NULL;
      guint64 seq = 0;

      *at ^= 1;
      tl_fixture_write (directory, "cursor.json", cursor);
      *at ^= 1;
      if (!tl_node_state_get_cursor (state, &seq, &event_id, NULL))
        continue;
      g_assert_cmpuint (seq, ==, 1234);
      g_assert_cmpstr (event_id, ==, "01ABCDEFGH0000000000000001");
    }
}

static void
test_newer_marker (Fixture *f, gconstpointer data)
{
  g_autoptr (TlNodeState) state = tl_fixture_state (f->directory, f->identity, "a:1");

  (void)data;
  tl_fixture_write (tl_node_state_directory (state), "gateway.json", "{\"version\": 2}");
  g_assert_null (open_state (f, NULL, TL_ERROR_NEWER_VERSION));
}

static void
test_replace (Fixture *f, gconstpointer data)
{
  const char *addresses[] = { "b:2", NULL };
  g_autoptr (TlNodeState) state = tl_fixture_state (f->directory, f->identity, "a:1");
  g_autoptr (TlDeviceIdentity) next = tl_fixture_identity (f->ca, DAY_MS);
  g_autoptr (TlNodeState) replaced = NULL;
  g_autoptr (TlDeviceIdentity) loaded = NULL;
  g_autoptr (GError) error = NULL;

  (void)data;
  g_assert_null (tl_node_state_create (f->directory, next, "", "d", addresses, 1, FALSE, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_ALREADY_EXISTS);
  g_clear_error (&error);
  loaded = tl_node_state_load_identity (state, &error);
  g_assert_cmpstr (tl_device_identity_device_id (loaded), ==, tl_device_identity_device_id (f->identity));
  g_clear_pointer (&loaded, tl_device_identity_free);

  tl_node_state_set_cursor (state, 9, "x", &error);
  replaced = tl_node_state_create (f->directory, next, "", "d", addresses, 1, TRUE, &error);
  g_assert_no_error (error);
  loaded = tl_node_state_load_identity (replaced, &error);
  g_assert_cmpstr (tl_device_identity_device_id (loaded), ==, tl_device_identity_device_id (next));
}

/* Power went after the new secret was stored and before the marker followed. */
static void
test_interrupted_replace (Fixture *f, gconstpointer data)
{
  g_autoptr (TlNodeState) state = tl_fixture_state (f->directory, f->identity, "a:1");
  g_autoptr (TlDeviceIdentity) next = tl_fixture_identity (f->ca, DAY_MS);
  g_autoptr (TlDeviceIdentity) loaded = NULL;
  g_autoptr (TlNodeState) again = NULL;
  g_autoptr (GError) error = NULL;

  (void)data;
  g_assert_true (tl_node_state_store_identity (state, next, &error));
  again = open_state (f, NULL, -1);
  loaded = tl_node_state_load_identity (again, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (tl_node_state_marker (again)->device_id, ==, tl_device_identity_device_id (next));
  g_clear_pointer (&again, tl_node_state_free);
  again = open_state (f, NULL, -1);
  g_assert_cmpstr (tl_node_state_marker (again)->device_id, ==, tl_device_identity_device_id (next));
  g_assert_cmpstr (tl_node_state_marker (again)->addresses[0], ==, "a:1");
}

static void
test_cursor_and_addresses (Fixture *f, gconstpointer data)
{
  const char *addresses[] = { "a:1", "b:2", NULL };
  g_autoptr (TlNodeState) state = tl_fixture_state (f->directory, f->identity, "a:1");
  g_autoptr (TlNodeState) again = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *event_id = NULL;
  guint64 seq;

  (void)data;
  g_assert_true (tl_node_state_get_cursor (state, &seq, &event_id, &error));
  g_assert_cmpuint (seq, ==, 0);
  g_assert_cmpstr (event_id, ==, "");
  g_clear_pointer (&event_id, g_free);
  g_assert_true (tl_node_state_set_cursor (state, 12345, "01J0000000000000000000000A", &error));
  g_assert_true (tl_node_state_set_addresses (state, addresses, &error));
  again = open_state (f, NULL, -1);
  g_assert_cmpstr (tl_node_state_marker (again)->addresses[1], ==, "b:2");
  g_assert_true (tl_node_state_get_cursor (again, &seq, &event_id, &error));
  g_assert_cmpuint (seq, ==, 12345);
  g_assert_cmpstr (event_id, ==, "01J0000000000000000000000A");
}

static void
test_forget (Fixture *f, gconstpointer data)
{
  g_autoptr (TlNodeState) state = tl_fixture_state (f->directory, f->identity, "a:1");
  g_autofree char *folder = g_build_filename (f->directory, TL_FIXTURE_GATEWAY, NULL);
  g_autoptr (GError) error = NULL;

  (void)data;
  g_assert_true (tl_node_state_forget (state, &error));
  g_assert_no_error (error);
  g_assert_false (g_file_test (folder, G_FILE_TEST_EXISTS));
  g_assert_null (open_state (f, NULL, TL_ERROR_NOT_PAIRED));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/node-state/create-and-open", Fixture, NULL, set_up, test_create_and_open, tear_down);
  g_test_add ("/node-state/lookup", Fixture, NULL, set_up, test_lookup, tear_down);
  g_test_add ("/node-state/lost-secret", Fixture, NULL, set_up, test_lost_secret, tear_down);
  g_test_add ("/node-state/mangled-marker", Fixture, NULL, set_up, test_mangled_marker, tear_down);
  g_test_add ("/node-state/flipped-bytes", Fixture, NULL, set_up, test_flipped_bytes, tear_down);
  g_test_add ("/node-state/newer-marker", Fixture, NULL, set_up, test_newer_marker, tear_down);
  g_test_add ("/node-state/replace", Fixture, NULL, set_up, test_replace, tear_down);
  g_test_add ("/node-state/interrupted-replace", Fixture, NULL, set_up, test_interrupted_replace, tear_down);
  g_test_add ("/node-state/cursor-and-addresses", Fixture, NULL, set_up, test_cursor_and_addresses, tear_down);
  g_test_add ("/node-state/forget", Fixture, NULL, set_up, test_forget, tear_down);
  return g_test_run ();
}
