/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-capability-builtin.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/node/tl-fs-root.h"
#include "base/tl-error.h"
#include "tl-node-fixture.h"

#define PAYLOAD 65536

typedef struct
{
  char *path;
  TlNodeConfig *config;
  TlFsRoots *roots;
  TlCapabilitySet *set;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  (void)data;
  f->path = tl_fixture_directory ();
  tl_fixture_write (f->path, "node.conf", "");
  {
    g_autofree char *conf = g_build_filename (f->path, "node.conf", NULL);

    f->config = tl_node_config_load (conf, &error);
  }
  g_assert_no_error (error);
  tl_node_config_add_root (f->config, "docs", f->path, &error);
  f->roots = tl_fs_roots_new (f->config, &error);
  g_assert_no_error (error);
  f->set = tl_capability_set_new ();
  tl_capability_add_fs (f->set, f->roots);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_capability_set_free (f->set);
  tl_fs_roots_unref (f->roots);
  tl_node_config_free (f->config);
  tl_fixture_remove (f->path);
  g_free (f->path);
}

/* code < 0: succeeds. */
static json_t *
call_with (Fixture *f, gsize payload, const char *name, const char *input, int code)
{
  g_autoptr (TlCapabilityCall) call = tl_capability_call_new (payload);
  g_autoptr (GError) error = NULL;
  g_autofree char *output = tl_capability_execute (tl_capability_set_lookup (f->set, name), call, input, &error);
  json_t *parsed;

  if (code >= 0)
    {
      g_assert_error (error, TL_ERROR, code);
      return NULL;
    }
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (output), <=, payload);
  parsed = tl_json_parse (output, -1, 0, &error);
  g_assert_no_error (error);
  return parsed;
}

static json_t *
call (Fixture *f, const char *name, const char *input, int code)
{
  return call_with (f, PAYLOAD, name, input, code);
}

static const char *
text_of (const json_t *object, const char *member)
{
  const char *text = json_string_value (json_object_get (object, member));

  g_assert_nonnull (text);
  return text;
}

static gint64
number_of (const json_t *object, const char *member)
{
  g_assert_true (json_is_integer (json_object_get (object, member)));
  return json_integer_value (json_object_get (object, member));
}

static void
test_read_ranges (Fixture *f, gconstpointer data)
{
  tl_json_auto all = NULL;
  tl_json_auto middle = NULL;
  tl_json_auto tail = NULL;
  tl_json_auto behind = NULL;
  tl_json_auto none = NULL;

  (void)data;
  tl_fixture_write (f->path, "a.txt", "0123456789");
  all = call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"a.txt\"}", -1);
  g_assert_cmpstr (text_of (all, "data"), ==, "0123456789");
  g_assert_cmpstr (text_of (all, "encoding"), ==, "utf-8");
  g_assert_cmpint (number_of (all, "size"), ==, 10);
  g_assert_true (json_is_true (json_object_get (all, "eof")));
  middle = call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"a.txt\",\"offset\":3,\"length\":4}", -1);
  g_assert_cmpstr (text_of (middle, "data"), ==, "3456");
  g_assert_cmpint (number_of (middle, "length"), ==, 4);
  g_assert_true (json_is_false (json_object_get (middle, "eof")));
  tail = call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"a.txt\",\"offset\":8,\"length\":100}", -1);
  g_assert_cmpstr (text_of (tail, "data"), ==, "89");
  g_assert_true (json_is_true (json_object_get (tail, "eof")));
  behind = call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"a.txt\",\"offset\":4000000000}", -1);
  g_assert_cmpstr (text_of (behind, "data"), ==, "");
  g_assert_true (json_is_true (json_object_get (behind, "eof")));
  none = call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"a.txt\",\"length\":0}", -1);
  g_assert_cmpstr (text_of (none, "data"), ==, "");
  g_assert_true (json_is_false (json_object_get (none, "eof")));
}

static void
test_read_binary (Fixture *f, gconstpointer data)
{
  static const guint8 bytes[] = { 0x00, 0xff, 'a', 0x80 };
  g_autofree char *path = g_build_filename (f->path, "b.bin", NULL);
  tl_json_auto output = NULL;
  g_autofree guint8 *decoded = NULL;
  gsize length;

  (void)data;
  g_assert_true (g_file_set_contents (path, (const char *)bytes, sizeof bytes, NULL));
  output = call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"b.bin\"}", -1);
  g_assert_cmpstr (text_of (output, "encoding"), ==, "base64");
  decoded = g_base64_decode (text_of (output, "data"), &length);
  g_assert_cmpmem (decoded, length, bytes, sizeof bytes);
}

/* Whatever is in the file, the answer fits, and the limit is said when it cannot. */
static void
test_read_limits (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->path, "big", NULL);
  g_autofree char *bytes = g_malloc (100000);
  g_autoptr (TlCapabilityCall) small = tl_capability_call_new (1000);
  g_autoptr (GError) error = NULL;
  tl_json_auto output = NULL;
  const char fills[] = { 'x', '\1', (char)0xfe, '"' };

  (void)data;
  for (guint i = 0; i < G_N_ELEMENTS (fills); i++)
    {
      tl_json_auto answer = NULL;

      memset (bytes, fills[i], 100000);
      g_assert_true (g_file_set_contents (path, bytes, 100000, NULL));
      answer = call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"big\"}", -1);
      g_assert_cmpint (number_of (answer, "length"), >, PAYLOAD / 2);
      g_assert_true (json_is_false (json_object_get (answer, "eof")));
      json_decref (call_with (f, 1000, "fs.read", "{\"root\":\"docs\",\"path\":\"big\"}", -1));
    }
  call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"big\",\"length\":65536}", TL_ERROR_RESOURCE_EXHAUSTED);
  call_with (f, 100, "fs.read", "{\"root\":\"docs\",\"path\":\"big\"}", TL_ERROR_RESOURCE_EXHAUSTED);
  g_assert_null (tl_capability_execute (tl_capability_set_lookup (f->set, "fs.read"), small,
                                        "{\"root\":\"docs\",\"path\":\"big\",\"length\":99999}", &error));
  g_assert_nonnull (strstr (error->message, "1000"));
  output = call_with (f, 4096, "fs.read", "{\"root\":\"docs\",\"path\":\"big\",\"offset\":99999}", -1);
  g_assert_cmpstr (text_of (output, "data"), ==, "\"");
}

static void
test_bad_input (Fixture *f, gconstpointer data)
{
  (void)data;
  call (f, "fs.read", "[]", TL_ERROR_INVALID_ARGUMENT);
  call (f, "fs.read", "{", TL_ERROR_INVALID_ARGUMENT);
  call (f, "fs.read", "", TL_ERROR_INVALID_ARGUMENT);
  call (f, "fs.read", "{\"root\":7,\"path\":\"a\"}", TL_ERROR_INVALID_ARGUMENT);
  call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"a\",\"offset\":-1}", TL_ERROR_INVALID_ARGUMENT);
  call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"a\",\"length\":\"x\"}", TL_ERROR_INVALID_ARGUMENT);
  call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"node.conf\\u0000\"}", TL_ERROR_INVALID_ARGUMENT);
  call (f, "fs.read", "{\"root\":\"other\",\"path\":\"a\"}", TL_ERROR_NOT_FOUND);
  call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"missing\"}", TL_ERROR_NOT_FOUND);
  call (f, "fs.read", "{\"root\":\"docs\",\"path\":\"../x\"}", TL_ERROR_PERMISSION_DENIED);
  call (f, "fs.list", "{\"root\":\"docs\",\"limit\":1001}", TL_ERROR_INVALID_ARGUMENT);
}

static void
test_list (Fixture *f, gconstpointer data)
{
  g_autofree char *odd = g_build_filename (f->path, "odd\xff\xfename", NULL);
  g_autofree char *fifo = g_build_filename (f->path, "pipe", NULL);
  tl_json_auto output = NULL;
  const json_t *entries, *entry;

  (void)data;
  tl_fixture_write (f->path, "b.txt", "bb");
  tl_fixture_write (f->path, "a.txt", "a");
  g_assert_true (g_file_set_contents (odd, "", 0, NULL));
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  output = call (f, "fs.list", "{\"root\":\"docs\"}", -1);
  entries = json_object_get (output, "entries");
  g_assert_cmpuint (json_array_size (entries), ==, 5);
  g_assert_true (json_is_false (json_object_get (output, "truncated")));
  entry = json_array_get (entries, 0);
  g_assert_cmpstr (text_of (entry, "name"), ==, "a.txt");
  g_assert_cmpstr (text_of (entry, "type"), ==, "file");
  g_assert_cmpint (number_of (entry, "size"), ==, 1);
  g_assert_null (json_object_get (entry, "name_escaped"));
  g_assert_cmpint (ABS (number_of (entry, "mtime_unix_ms") - g_get_real_time () / 1000), <, 60000);
  entry = json_array_get (entries, 3);
  g_assert_cmpstr (text_of (entry, "name"), ==, "odd\\xff\\xfename");
  g_assert_true (json_is_true (json_object_get (entry, "name_escaped")));
  g_assert_cmpstr (text_of (json_array_get (entries, 4), "type"), ==, "fifo");
}

static void
test_list_limits (Fixture *f, gconstpointer data)
{
  tl_json_auto full = NULL;
  tl_json_auto limited = NULL;
  tl_json_auto small = NULL;

  (void)data;
  for (guint i = 0; i < 1100; i++)
    {
      g_autofree char *name = g_strdup_printf ("f%04u", i);

      tl_fixture_write (f->path, name, "");
    }
  full = call_with (f, 1 << 20, "fs.list", "{\"root\":\"docs\"}", -1);
  g_assert_cmpuint (json_array_size (json_object_get (full, "entries")), ==, 1000);
  g_assert_true (json_is_true (json_object_get (full, "truncated")));
  g_assert_cmpint (number_of (full, "total"), ==, 1101);
  limited = call (f, "fs.list", "{\"root\":\"docs\",\"limit\":7}", -1);
  g_assert_cmpuint (json_array_size (json_object_get (limited, "entries")), ==, 7);
  g_assert_true (json_is_true (json_object_get (limited, "truncated")));
  small = call_with (f, 2000, "fs.list", "{\"root\":\"docs\"}", -1); /* fits the payload by being cut */
  g_assert_cmpuint (json_array_size (json_object_get (small, "entries")), >, 5);
  g_assert_true (json_is_true (json_object_get (small, "truncated")));
}

static void
test_stat (Fixture *f, gconstpointer data)
{
  tl_json_auto file = NULL;
  tl_json_auto root = NULL;

  (void)data;
  tl_fixture_write (f->path, "a.txt", "four");
  file = call (f, "fs.stat", "{\"root\":\"docs\",\"path\":\"a.txt\"}", -1);
  g_assert_cmpstr (text_of (file, "type"), ==, "file");
  g_assert_cmpint (number_of (file, "size"), ==, 4);
  root = call (f, "fs.stat", "{\"root\":\"docs\"}", -1);
  g_assert_cmpstr (text_of (root, "type"), ==, "directory");
}

static void
test_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (TlCapabilityCall) cancelled = tl_capability_call_new (PAYLOAD);
  g_autoptr (GError) error = NULL;

  (void)data;
  tl_capability_call_cancel (cancelled);
  g_assert_null (
      tl_capability_execute (tl_capability_set_lookup (f->set, "fs.list"), cancelled, "{\"root\":\"docs\"}", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_CANCELLED);
}

static void
test_no_roots (void)
{
  g_autofree char *directory = tl_fixture_directory ();
  g_autofree char *conf = g_build_filename (directory, "node.conf", NULL);
  g_autoptr (TlCapabilitySet) set = tl_capability_set_new ();
  g_autoptr (TlNodeConfig) config = NULL;
  g_autoptr (TlFsRoots) roots = NULL;
  g_autoptr (GError) error = NULL;

  tl_fixture_write (directory, "node.conf", "");
  config = tl_node_config_load (conf, &error);
  roots = tl_fs_roots_new (config, &error);
  g_assert_no_error (error);
  tl_capability_add_fs (set, roots);
  g_assert_false (tl_capability_set_lookup (set, "fs.read")->available);
  tl_node_config_add_root (config, "gone", "/nonexistent", &error);
  g_assert_null (tl_fs_roots_new (config, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  tl_fixture_remove (directory);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (!tl_fs_root_is_supported ())
    return 77;
  g_test_add ("/capability-fs/read-ranges", Fixture, NULL, set_up, test_read_ranges, tear_down);
  g_test_add ("/capability-fs/read-binary", Fixture, NULL, set_up, test_read_binary, tear_down);
  g_test_add ("/capability-fs/read-limits", Fixture, NULL, set_up, test_read_limits, tear_down);
  g_test_add ("/capability-fs/bad-input", Fixture, NULL, set_up, test_bad_input, tear_down);
  g_test_add ("/capability-fs/list", Fixture, NULL, set_up, test_list, tear_down);
  g_test_add ("/capability-fs/list-limits", Fixture, NULL, set_up, test_list_limits, tear_down);
  g_test_add ("/capability-fs/stat", Fixture, NULL, set_up, test_stat, tear_down);
  g_test_add ("/capability-fs/cancelled", Fixture, NULL, set_up, test_cancelled, tear_down);
  g_test_add_func ("/capability-fs/no-roots", test_no_roots);
  return g_test_run ();
}
