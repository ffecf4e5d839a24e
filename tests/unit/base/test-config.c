/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-config.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/tl-error.h"

static const TlConfigKey table[] = {
  { "gateway", "name", TL_CONFIG_STRING, .fallback = "here", .help = "name" },
  { "gateway", "advertise", TL_CONFIG_STRING_LIST, .fallback = "a, b" },
  { "gateway", "port", TL_CONFIG_INTEGER, .fallback = "7444", .min = 1, .max = 65535 },
  { "gateway", "quic", TL_CONFIG_BOOLEAN, .fallback = "yes" },
  { "pairing", "ttl", TL_CONFIG_DURATION, .fallback = "10m", .min = 30000, .max = 86400000 },
  { "pairing", "approval", TL_CONFIG_CHOICE, .fallback = "manual", .choices = "manual|automatic" },
  { "root *", "path", TL_CONFIG_STRING },
  { "root *", "mode", TL_CONFIG_CHOICE, .fallback = "read", .choices = "read|write" },
  { NULL },
};

static void
test_defaults (void)
{
  g_autoptr (TlConfig) config = tl_config_load (NULL, FALSE, table, NULL);
  const char *const *list;

  g_assert_nonnull (config);
  list = tl_config_get_strings (config, "gateway", "advertise");
  g_assert_cmpstr (tl_config_get_string (config, "gateway", "name"), ==, "here");
  g_assert_cmpuint (g_strv_length ((char **)list), ==, 2);
  g_assert_cmpstr (list[1], ==, "b");
  g_assert_cmpint (tl_config_get_integer (config, "gateway", "port"), ==, 7444);
  g_assert_true (tl_config_get_boolean (config, "gateway", "quic"));
  g_assert_cmpint (tl_config_get_integer (config, "pairing", "ttl"), ==, 600000);
  g_assert_null (tl_config_get_string (config, "root documents", "path"));
  g_assert_cmpstr (tl_config_get_string (config, "root documents", "mode"), ==, "read");
  g_assert_null (tl_config_where (config, "gateway", "name"));
}

static void
test_values (void)
{
  static const char text[] = "# comment\r\n"
                             "; another\n"
                             "\n"
                             " [gateway] \n"
                             "name =  a=b # not a comment \n"
                             "advertise=one ; two,three\n"
                             "port=1\n"
                             "quic=off\n"
                             "[pairing]\n"
                             "ttl=30s\n"
                             "approval=automatic\n"
                             "[root documents]\n"
                             "path=/srv/\xc3\xa4\n"
                             "[root music]\n"
                             "mode=write\n"
                             "[root documents]\n"
                             "mode=write";
  g_autoptr (GError) error = NULL;
  g_autoptr (TlConfig) config = tl_config_load_from_data ("x.conf", text, table, &error);
  g_auto (GStrv) groups = NULL;
  const char *const *list;

  g_assert_no_error (error);
  list = tl_config_get_strings (config, "gateway", "advertise");
  groups = tl_config_list_groups (config, "root *");
  g_assert_cmpstr (tl_config_get_string (config, "gateway", "name"), ==, "a=b # not a comment");
  g_assert_cmpuint (g_strv_length ((char **)list), ==, 3);
  g_assert_cmpstr (list[0], ==, "one");
  g_assert_cmpstr (list[1], ==, "two");
  g_assert_cmpint (tl_config_get_integer (config, "gateway", "port"), ==, 1);
  g_assert_false (tl_config_get_boolean (config, "gateway", "quic"));
  g_assert_cmpint (tl_config_get_integer (config, "pairing", "ttl"), ==, 30000);
  g_assert_cmpuint (g_strv_length (groups), ==, 2);
  g_assert_cmpstr (groups[0], ==, "root documents");
  g_assert_cmpstr (groups[1], ==, "root music");
  g_assert_cmpstr (tl_config_get_string (config, "root documents", "path"), ==, "/srv/\xc3\xa4");
  g_assert_cmpstr (tl_config_get_string (config, "root documents", "mode"), ==, "write");
  g_assert_null (tl_config_get_string (config, "root music", "path"));
  g_assert_cmpstr (tl_config_where (config, "root documents", "mode"), ==, "x.conf:17");
  g_assert_null (tl_config_where (config, "root music", "path"));
}

static void
test_empty_list (void)
{
  g_autoptr (TlConfig) config = tl_config_load_from_data ("x.conf", "[gateway]\nadvertise=\n", table, NULL);

  g_assert_nonnull (config);
  g_assert_null (tl_config_get_strings (config, "gateway", "advertise")[0]);
}

static void
test_refused (void)
{
  static const struct
  {
    const char *text;
    const char *message; /* its start */
  } cases[] = {
    { "[gateway]\ncolour=red\n", "x.conf:2: unknown key 'colour' in [gateway]; known: name, advertise, port, quic" },
    { "[gateways]\n", "x.conf:1: unknown group [gateways]; known: gateway, pairing, root *" },
    { "[root ]\n", "x.conf:1: unknown group [root]" },
    { "[]\n", "x.conf:1: malformed group line" },
    { "[gateway\n", "x.conf:1: malformed group line" },
    { "[gateway] x\n", "x.conf:1: malformed group line" },
    { "[gateway][pairing]\n", "x.conf:1: malformed group line" },
    { "name=x\n", "x.conf:1: 'name' stands before" },
    { "[gateway]\nname\n", "x.conf:2: malformed line" },
    { "[gateway]\n=x\n", "x.conf:2: malformed line" },
    { "[gateway]\nname=a\n\nname=a\n", "x.conf:4: 'name' in [gateway] was set in line 2 already" },
    { "[gateway]\nname=a\n[pairing]\n[gateway]\nname=b\n", "x.conf:5: 'name' in [gateway] was set in line 2 already" },
    { "[gateway]\nport=0\n", "x.conf:2: port in [gateway]: '0' is not a whole number from 1 to 65535" },
    { "[gateway]\nport=65536\n", "x.conf:2: port" },
    { "[gateway]\nport=12x\n", "x.conf:2: port" },
    { "[gateway]\nport=\n", "x.conf:2: port" },
    { "[gateway]\nquic=1\n", "x.conf:2: quic in [gateway]: '1' is neither true nor false" },
    { "[gateway]\nadvertise=a,,b\n", "x.conf:2: advertise" },
    { "[gateway]\nadvertise=a,\n", "x.conf:2: advertise" },
    { "[pairing]\nttl=29s\n", "x.conf:2: ttl in [pairing]: '29s' is outside of 30 s to 1 d" },
    { "[pairing]\nttl=2d\n", "x.conf:2: ttl" },
    { "[pairing]\nttl=soon\n", "x.conf:2: ttl" },
    { "[pairing]\napproval=never\n", "x.conf:2: approval in [pairing]: 'never' is none of manual|automatic" },
    { "[pairing]\napproval=\n", "x.conf:2: approval" },
    { "[gateway]\nname=\xff\n", "x.conf:2: not UTF-8" },
    { "[gateway]\nname=a\x1b[31m\n", "x.conf:2: control character" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (tl_config_load_from_data ("x.conf", cases[i].text, table, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      if (!g_str_has_prefix (error->message, cases[i].message))
        g_error ("got '%s', expected '%s'", error->message, cases[i].message);
    }
}

static void
test_file (void)
{
  g_autofree char *folder = g_dir_make_tmp ("tl-config-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "x.conf", NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *large = g_strnfill (256 * 1024 + 1, '\n');
  TlConfig *config;

  config = tl_config_load (path, FALSE, table, &error);
  g_assert_null (config);
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  config = tl_config_load (path, TRUE, table, &error);
  g_assert_no_error (error);
  g_clear_pointer (&config, tl_config_free);

  g_assert_true (g_file_set_contents (path, "[gateway]\nname=file\n", -1, NULL));
  config = tl_config_load (path, FALSE, table, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (tl_config_get_string (config, "gateway", "name"), ==, "file");
  g_clear_pointer (&config, tl_config_free);

  g_assert_true (g_file_set_contents (path, "[gateway]\nname=a\0b\n", 19, NULL));
  g_assert_null (tl_config_load (path, FALSE, table, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr (error->message, "x.conf:2: NUL byte"));
  g_clear_error (&error);

  g_assert_true (g_file_set_contents (path, large, 256 * 1024 + 1, NULL));
  g_assert_null (tl_config_load (path, TRUE, table, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED);
  g_unlink (path);
  g_rmdir (folder);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/config/defaults", test_defaults);
  g_test_add_func ("/base/config/values", test_values);
  g_test_add_func ("/base/config/empty-list", test_empty_list);
  g_test_add_func ("/base/config/refused", test_refused);
  g_test_add_func ("/base/config/file", test_file);
  return g_test_run ();
}
