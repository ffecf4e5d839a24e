/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-capability-builtin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "tl-config-build.h"

#define MAX_PROC_BYTES (4u * 1024u * 1024u)
#define MAX_DISKS      64

typedef struct
{
  TlNodeFacts facts; /* strings are ours */
  TlFsRoots *roots;
} System;

/* ---- system.info ----------------------------------------------------------------------------------------------- */

/* A small file of /proc, whose size says nothing; NULL when it is not there. g_free() */
static char *
read_proc (const char *path)
{
  char *text = NULL;
  gsize length;

  if (!g_file_get_contents (path, &text, &length, NULL) || length > MAX_PROC_BYTES)
    g_clear_pointer (&text, g_free);
  return text;
}

/* Value behind the first line that begins with one of the keys and a colon. g_free() */
static char *
find_field (const char *text, const char *const *keys)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (guint k = 0; keys[k] != NULL; k++)
    for (guint i = 0; lines[i] != NULL; i++)
      {
        const char *colon = strchr (lines[i], ':');

        if (colon != NULL && g_str_has_prefix (lines[i], keys[k])
            && strspn (lines[i] + strlen (keys[k]), " \t") == (gsize)(colon - lines[i]) - strlen (keys[k]))
          return g_strstrip (g_strdup (colon + 1));
      }
  return NULL;
}

static void
set_text (json_t *object, const char *member, const char *text)
{
  g_autofree char *valid = text != NULL ? g_utf8_make_valid (text, -1) : NULL;

  if (valid != NULL)
    json_object_set_new (object, member, json_string (valid));
}

static json_t *
describe_os (void)
{
  json_t *os = json_object ();
  g_autofree char *name = g_get_os_info (G_OS_INFO_KEY_PRETTY_NAME);
  g_autofree char *id = g_get_os_info (G_OS_INFO_KEY_ID);
  g_autofree char *version = g_get_os_info (G_OS_INFO_KEY_VERSION_ID);

  set_text (os, "name", name);
  set_text (os, "id", id);
  set_text (os, "version", version);
  return os;
}

static json_t *
describe_cpu (const char *machine)
{
  static const char *const keys[] = { "model name", "Model", "Hardware", "cpu model", NULL };
  g_autofree char *text = read_proc ("/proc/cpuinfo");
  g_autofree char *model = text != NULL ? find_field (text, keys) : NULL;
  json_t *cpu = json_object ();

  set_text (cpu, "model", model != NULL ? model : machine);
  json_object_set_new (cpu, "count", json_integer (sysconf (_SC_NPROCESSORS_ONLN)));
  return cpu;
}

static void
set_kilobytes (json_t *object, const char *member, const char *text, const char *key)
{
  const char *const keys[] = { key, NULL };
  g_autofree char *value = find_field (text, keys);

  if (value != NULL)
    json_object_set_new (object, member, json_integer ((json_int_t)(g_ascii_strtoull (value, NULL, 10) * 1024)));
}

static json_t *
describe_memory (void)
{
  g_autofree char *text = read_proc ("/proc/meminfo");
  json_t *memory = json_object ();

  if (text == NULL)
    return memory;
  set_kilobytes (memory, "total_bytes", text, "MemTotal");
  set_kilobytes (memory, "available_bytes", text, "MemAvailable");
  set_kilobytes (memory, "swap_total_bytes", text, "SwapTotal");
  set_kilobytes (memory, "swap_free_bytes", text, "SwapFree");
  return memory;
}

/* File systems that live on a device: those the kernel does not mark "nodev", and two that it does although they are.
 */
static gboolean
is_disk_type (const char *type, const char *filesystems)
{
  g_autofree char *line = g_strdup_printf ("\n\t%s\n", type);

  return strstr (filesystems, line) != NULL || g_str_equal (type, "btrfs") || g_str_equal (type, "zfs");
}

/* The octal escapes of /proc/self/mountinfo. */
static char *
unescape_mount (const char *text)
{
  GString *plain = g_string_new (NULL);

  for (; *text != '\0'; text++)
    if (text[0] == '\\' && strspn (text + 1, "01234567") >= 3)
      {
        char digits[4] = { text[1], text[2], text[3], '\0' };

        g_string_append_c (plain, (char)strtoul (digits, NULL, 8));
        text += 3;
      }
    else
      g_string_append_c (plain, *text);
  return g_string_free (plain, FALSE);
}

static void
add_disk (json_t *disks, const char *mount_point, const char *type)
{
  struct statvfs info;
  json_t *disk;

  if (statvfs (mount_point, &info) < 0 || info.f_blocks == 0)
    return;
  disk = json_object ();
  set_text (disk, "mount", mount_point);
  set_text (disk, "type", type);
  json_object_set_new (disk, "total_bytes", json_integer ((json_int_t)(info.f_blocks * info.f_frsize)));
  json_object_set_new (disk, "free_bytes", json_integer ((json_int_t)(info.f_bavail * info.f_frsize)));
  json_object_set_new (disk, "read_only", json_boolean ((info.f_flag & ST_RDONLY) != 0));
  json_array_append_new (disks, disk);
}

/* One entry a device, at its first mount point; "/" always. */
static json_t *
describe_disks (void)
{
  g_autofree char *mounts = read_proc ("/proc/self/mountinfo");
  g_autofree char *filesystems = read_proc ("/proc/filesystems");
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *haystack = NULL;
  g_auto (GStrv) lines = NULL;
  json_t *disks = json_array ();
  gboolean has_root = FALSE;

  if (mounts == NULL || filesystems == NULL)
    return disks;
  haystack = g_strconcat ("\n", filesystems, NULL);
  lines = g_strsplit (mounts, "\n", -1);
  for (guint i = 0; lines[i] != NULL && json_array_size (disks) < MAX_DISKS; i++)
    {
      /* id parent major:minor root mount-point options ... - type source options (proc(5)) */
      g_auto (GStrv) fields = g_strsplit (lines[i], " ", 6);
      const char *tail = strstr (lines[i], " - ");
      g_autofree char *type = tail != NULL ? g_strndup (tail + 3, strcspn (tail + 3, " ")) : NULL;
      g_autofree char *mount_point = NULL;

      if (type == NULL || g_strv_length (fields) < 6)
        continue;
      mount_point = unescape_mount (fields[4]);
      if ((g_str_equal (mount_point, "/") || is_disk_type (type, haystack))
          && g_hash_table_add (seen, g_strdup (fields[2])))
        add_disk (disks, mount_point, type);
      has_root = has_root || g_str_equal (mount_point, "/");
    }
  /* In a chroot the root directory is no mount point of its own; people want to know its size all the same. */
  if (!has_root)
    add_disk (disks, "/", "");
  return disks;
}

static json_t *
describe_load (void)
{
  double load[3];
  json_t *list = json_array ();

  if (getloadavg (load, 3) == 3)
    for (guint i = 0; i < 3; i++)
      json_array_append_new (list, json_real (load[i]));
  return list;
}

static json_t *
system_info (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  g_autofree char *uptime = read_proc ("/proc/uptime");
  struct utsname names;
  json_t *kernel, *output;

  (void)call, (void)input, (void)data;
  if (uname (&names) < 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INTERNAL, "uname failed");
      return NULL;
    }
  kernel = json_object ();
  set_text (kernel, "name", names.sysname);
  set_text (kernel, "release", names.release);
  set_text (kernel, "machine", names.machine);
  output = json_object ();
  set_text (output, "host", names.nodename);
  json_object_set_new (output, "os", describe_os ());
  json_object_set_new (output, "kernel", kernel);
  json_object_set_new (output, "cpu", describe_cpu (names.machine));
  json_object_set_new (output, "memory", describe_memory ());
  json_object_set_new (output, "disks", describe_disks ());
  if (uptime != NULL)
    json_object_set_new (output, "uptime_seconds", json_integer ((json_int_t)g_ascii_strtoull (uptime, NULL, 10)));
  json_object_set_new (output, "load", describe_load ());
  return output;
}

/* ---- system.health, system.identity ---------------------------------------------------------------------------- */

static json_t *
system_health (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  System *system = data;
  const TlNodeFacts *facts = &system->facts;
  gint64 now_ms = tl_clock_wall_ms (facts->clock);
  json_t *roots = tl_fs_roots_describe (system->roots);
  gint64 not_after_ms = 0;
  g_autofree char *fingerprint = tl_node_certificate_get (facts->certificate, &not_after_ms);
  gboolean ok = not_after_ms > now_ms;

  (void)call, (void)input, (void)error;
  for (gsize i = 0; i < json_array_size (roots); i++)
    ok = ok && json_is_true (json_object_get (json_array_get (roots, i), "ok"));
  return json_pack ("{s:b, s:s, s:I, s:I, s:i, s:I, s:o}", "ok", ok, "version", TL_VERSION, "time_unix_ms",
                    (json_int_t)now_ms, "uptime_seconds",
                    (json_int_t)((tl_clock_monotonic_us (facts->clock) - facts->started_us) / G_USEC_PER_SEC),
                    "requests_running", g_atomic_int_get (facts->running), "certificate_not_after_unix_ms",
                    (json_int_t)not_after_ms, "roots", roots);
}

static json_t *
system_identity (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  const TlNodeFacts *facts = &((System *)data)->facts;
  gint64 not_after_ms = 0;
  g_autofree char *fingerprint = tl_node_certificate_get (facts->certificate, &not_after_ms);

  (void)call, (void)input, (void)error;
  return json_pack ("{s:s, s:s, s:s, s:s, s:I}", "gateway_id", facts->gateway_id, "device_id", facts->device_id,
                    "identity_fingerprint", facts->identity_fingerprint, "certificate_fingerprint", fingerprint,
                    "certificate_not_after_unix_ms", (json_int_t)not_after_ms);
}

static const TlCapability system_capabilities[] = {
  {
      .name = "system.info",
      .description = "Operating system, kernel, processor, memory, disks, uptime and load of this computer.",
      .input_schema = "{\"type\":\"object\"}",
      .idempotent = TRUE,
      .func = system_info,
  },
  {
      .name = "system.health",
      .description = "State of the node itself: uptime, running requests, certificate's end, roots.",
      .input_schema = "{\"type\":\"object\"}",
      .idempotent = TRUE,
      .func = system_health,
  },
  {
      .name = "system.identity",
      .description = "Ids and fingerprints of this device and its gateway; no secrets.",
      .input_schema = "{\"type\":\"object\"}",
      .idempotent = TRUE,
      .func = system_identity,
  },
};

static System *
system_new (const TlNodeFacts *facts, TlFsRoots *roots)
{
  System *system = g_new0 (System, 1);

  system->facts = *facts;
  system->facts.gateway_id = g_strdup (facts->gateway_id);
  system->facts.device_id = g_strdup (facts->device_id);
  system->facts.identity_fingerprint = g_strdup (facts->identity_fingerprint);
  tl_node_certificate_ref (facts->certificate);
  system->roots = tl_fs_roots_ref (roots);
  return system;
}

static void
system_free (gpointer data)
{
  System *system = data;

  g_free ((char *)system->facts.gateway_id);
  g_free ((char *)system->facts.device_id);
  g_free ((char *)system->facts.identity_fingerprint);
  tl_node_certificate_unref (system->facts.certificate);
  tl_fs_roots_unref (system->roots);
  g_free (system);
}

void
tl_capability_add_system (TlCapabilitySet *set, const TlNodeFacts *facts, TlFsRoots *roots)
{
  for (guint i = 0; i < G_N_ELEMENTS (system_capabilities); i++)
    tl_capability_set_add (set, &system_capabilities[i], system_new (facts, roots), system_free, NULL);
}
