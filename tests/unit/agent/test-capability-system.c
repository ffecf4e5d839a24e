/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-capability-builtin.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "tl-node-fixture.h"

static int running = 3;

static json_t *
call (TlClock *clock, gint64 certificate_end_ms, TlNodeConfig *config, const char *name)
{
  g_autoptr (TlNodeCertificate) certificate = tl_node_certificate_new ();
  TlNodeFacts facts = { .gateway_id = TL_FIXTURE_GATEWAY,
                        .device_id = TL_FIXTURE_OTHER_GATEWAY,
                        .identity_fingerprint = "aa",
                        .certificate = certificate,
                        .started_us = tl_clock_monotonic_us (clock) - 90 * G_USEC_PER_SEC,
                        .clock = clock,
                        .running = &running };
  g_autoptr (TlCapabilitySet) set = tl_capability_set_new ();
  g_autoptr (TlCapabilityCall) request = tl_capability_call_new (65536);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlFsRoots) roots = tl_fs_roots_new (config, &error);
  g_autofree char *output = NULL;
  json_t *parsed;

  g_assert_no_error (error);
  tl_capability_add_system (set, &facts, roots);
  tl_node_certificate_set (certificate, "bb", certificate_end_ms); /* a renewal changes it later */
  output = tl_capability_execute (tl_capability_set_lookup (set, name), request, "", &error);
  g_assert_no_error (error);
  parsed = tl_json_parse (output, -1, 0, &error);
  g_assert_no_error (error);
  return parsed;
}

static TlNodeConfig *
config_with_root (const char *path)
{
  g_autofree char *directory = tl_fixture_directory ();
  g_autofree char *conf = g_build_filename (directory, "node.conf", NULL);
  g_autoptr (GError) error = NULL;
  TlNodeConfig *config;

  tl_fixture_write (directory, "node.conf", "");
  config = tl_node_config_load (conf, &error);
  g_assert_no_error (error);
  if (path != NULL)
    tl_node_config_add_root (config, "docs", path, &error);
  tl_fixture_remove (directory);
  return config;
}

static void
assert_disk (const json_t *disks)
{
  struct statvfs info;
  gsize i;
  const json_t *disk;

  g_assert_cmpint (statvfs ("/", &info), ==, 0);
  json_array_foreach (disks, i, disk)
  {
    json_int_t total = json_integer_value (json_object_get (disk, "total_bytes"));

    g_assert_cmpint (total, >, 0);
    g_assert_cmpint (json_integer_value (json_object_get (disk, "free_bytes")), <=, total);
    g_assert_cmpstr (json_string_value (json_object_get (disk, "type")), !=, "proc");
    g_assert_cmpstr (json_string_value (json_object_get (disk, "type")), !=, "sysfs");
    if (g_strcmp0 (json_string_value (json_object_get (disk, "mount")), "/") == 0)
      {
        g_assert_cmpint (total, ==, (json_int_t)(info.f_blocks * info.f_frsize));
        return;
      }
  }
  g_assert_not_reached ();
}

/* Against what the system itself says, by other ways. */
static void
test_info (void)
{
  g_autoptr (TlNodeConfig) config = config_with_root (NULL);
  tl_json_auto output = call (tl_clock_system (), 1, config, "system.info");
  const json_t *memory = json_object_get (output, "memory");
  const json_t *cpu = json_object_get (output, "cpu");
  const json_t *kernel = json_object_get (output, "kernel");
  g_autofree char *uptime = NULL;
  struct utsname names;

  uname (&names);
  g_assert_cmpstr (json_string_value (json_object_get (output, "host")), ==, names.nodename);
  g_assert_cmpstr (json_string_value (json_object_get (kernel, "release")), ==, names.release);
  g_assert_cmpint (json_integer_value (json_object_get (cpu, "count")), ==, sysconf (_SC_NPROCESSORS_ONLN));
  g_assert_cmpuint (strlen (json_string_value (json_object_get (cpu, "model"))), >, 0);
  g_assert_cmpint (json_integer_value (json_object_get (memory, "total_bytes")), ==,
                   (json_int_t)sysconf (_SC_PHYS_PAGES) * sysconf (_SC_PAGESIZE));
  g_assert_cmpint (json_integer_value (json_object_get (memory, "available_bytes")), <=,
                   json_integer_value (json_object_get (memory, "total_bytes")));
  g_assert_cmpint (json_integer_value (json_object_get (memory, "available_bytes")), >, 0);
  g_assert_cmpuint (json_array_size (json_object_get (output, "load")), ==, 3);
  g_assert_true (g_file_get_contents ("/proc/uptime", &uptime, NULL, NULL));
  g_assert_cmpint (ABS (json_integer_value (json_object_get (output, "uptime_seconds"))
                        - g_ascii_strtoll (uptime, NULL, 10)),
                   <=, 2);
  g_assert_cmpstr (json_string_value (json_object_get (json_object_get (output, "os"), "id")), !=, NULL);
  assert_disk (json_object_get (output, "disks"));
}

static void
test_health (void)
{
  TlClock *clock = tl_clock_new_virtual (1000000);
  g_autofree char *directory = tl_fixture_directory ();
  g_autoptr (TlNodeConfig) config = config_with_root (directory);
  tl_json_auto good = call (clock, 1000001, config, "system.health");
  tl_json_auto ended = call (clock, 1000000, config, "system.health");

  g_assert_true (json_is_true (json_object_get (good, "ok")));
  g_assert_cmpint (json_integer_value (json_object_get (good, "requests_running")), ==, 3);
  g_assert_cmpint (json_integer_value (json_object_get (good, "uptime_seconds")), ==, 90);
  g_assert_cmpint (json_integer_value (json_object_get (good, "certificate_not_after_unix_ms")), ==, 1000001);
  g_assert_cmpuint (json_array_size (json_object_get (good, "roots")), ==, 1);
  g_assert_true (json_is_false (json_object_get (ended, "ok")));
  tl_fixture_remove (directory);
  tl_clock_free (clock);
}

static void
test_identity (void)
{
  g_autoptr (TlNodeConfig) config = config_with_root (NULL);
  tl_json_auto output = call (tl_clock_system (), 77, config, "system.identity");

  g_assert_cmpuint (json_object_size (output), ==, 5); /* nothing slips in unseen */
  g_assert_cmpstr (json_string_value (json_object_get (output, "gateway_id")), ==, TL_FIXTURE_GATEWAY);
  g_assert_cmpstr (json_string_value (json_object_get (output, "identity_fingerprint")), ==, "aa");
  g_assert_cmpstr (json_string_value (json_object_get (output, "certificate_fingerprint")), ==, "bb");
  g_assert_cmpint (json_integer_value (json_object_get (output, "certificate_not_after_unix_ms")), ==, 77);
}

static void
test_echo (void)
{
  static const char *const inputs[] = { "{\"a\":[1,2,{\"b\":null}]}", "[1]", "\"text\"", "null", "3.5" };
  g_autoptr (TlCapabilitySet) set = tl_capability_set_new ();

  tl_capability_add_echo (set);
  for (guint i = 0; i < G_N_ELEMENTS (inputs); i++)
    {
      g_autoptr (TlCapabilityCall) request = tl_capability_call_new (100);
      g_autoptr (GError) error = NULL;
      g_autofree char *output = tl_capability_execute (tl_capability_set_get (set, 0), request, inputs[i], &error);

      g_assert_no_error (error);
      g_assert_cmpstr (output, ==, inputs[i]);
    }
  {
    g_autoptr (TlCapabilityCall) request = tl_capability_call_new (5);
    g_autoptr (GError) error = NULL;

    g_assert_null (tl_capability_execute (tl_capability_set_get (set, 0), request, "\"too long\"", &error));
    g_assert_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED);
    g_assert_nonnull (strstr (error->message, "allows 5"));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/capability-system/info", test_info);
  g_test_add_func ("/capability-system/health", test_health);
  g_test_add_func ("/capability-system/identity", test_identity);
  g_test_add_func ("/capability-system/echo", test_echo);
  return g_test_run ();
}
