/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-config.h"
#include "fuzz.h"

static const TlConfigKey table[] = {
  { "gateway", "name", TL_CONFIG_STRING, .help = "a name" },
  { "gateway", "listen", TL_CONFIG_STRING_LIST, .fallback = "0.0.0.0:7444", .help = "addresses" },
  { "gateway", "log-level", TL_CONFIG_CHOICE, .fallback = "info", .choices = "error|warning|info", .help = "level" },
  { "gateway", "lifetime", TL_CONFIG_DURATION, .fallback = "24h", .min = 1000, .max = 86400000, .help = "time" },
  { "limits", "sessions", TL_CONFIG_INTEGER, .fallback = "256", .min = 1, .max = 100000, .help = "sessions" },
  { "limits", "strict", TL_CONFIG_BOOLEAN, .fallback = "yes", .help = "strict" },
  { "root *", "path", TL_CONFIG_STRING, .help = "path" },
  { NULL },
};

static void
look_at (TlConfig *config)
{
  g_auto (GStrv) roots = tl_config_list_groups (config, "root *");
  const char *const *listen = tl_config_get_strings (config, "gateway", "listen");
  gint64 lifetime = tl_config_get_integer (config, "gateway", "lifetime");
  gint64 sessions = tl_config_get_integer (config, "limits", "sessions");
  const char *level = tl_config_get_string (config, "gateway", "log-level");
  const char *where = tl_config_where (config, "gateway", "name");

  g_assert_nonnull (listen);
  for (guint i = 0; listen[i] != NULL; i++)
    g_assert_cmpint (listen[i][0], !=, '\0');
  g_assert_true (lifetime >= 1000 && lifetime <= 86400000);
  g_assert_true (sessions >= 1 && sessions <= 100000);
  g_assert_true (g_str_equal (level, "error") || g_str_equal (level, "warning") || g_str_equal (level, "info"));
  (void)tl_config_get_boolean (config, "limits", "strict");
  /* A line is known exactly for what the file sets. */
  g_assert_true ((where != NULL) == (tl_config_get_string (config, "gateway", "name") != NULL));
  for (guint i = 0; roots[i] != NULL; i++)
    {
      g_assert_true (g_str_has_prefix (roots[i], "root "));
      (void)tl_config_get_string (config, roots[i], "path");
    }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *)data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlConfig) config = tl_config_load_from_data ("fuzz.conf", text, table, &error);

  fuzz_assert_answer (config, error);
  if (config != NULL)
    look_at (config);
  else
    g_assert_true (g_str_has_prefix (error->message, "fuzz.conf:"));
  return 0;
}
