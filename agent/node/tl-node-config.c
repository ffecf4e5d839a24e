/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-config.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-paths.h"

#define ROOT_GROUP          "root "
#define POLICY_GROUP        "policy "
#define MAX_ROOT_NAME       32
#define MAX_ROOTS           64
#define MAX_CAPABILITY_NAME 64 /* PROTOCOL 4.2 */
#define PIN_DIGITS          64

static const TlConfigKey key_table[] = {
  { "node", "name", TL_CONFIG_STRING, .help = "name given to the gateway when pairing (default: the host name)" },
  { "node", "log-level", TL_CONFIG_CHOICE, .fallback = "info", .choices = "error|warning|notice|info|debug",
    .help = "what is logged" },
  { "node", "reconnect-max", TL_CONFIG_DURATION, .fallback = "60s", .min = 1000, .max = 3600 * 1000,
    .help = "longest wait between two attempts to reach the gateway (1s..1h)" },
  { "node", "transport", TL_CONFIG_CHOICE, .fallback = "auto", .choices = "auto|quic|grpc",
    .help = "how the gateway is reached: QUIC (UDP), gRPC (TCP), or whichever gets through" },
  { "node", "server-pin", TL_CONFIG_STRING,
    .help = "SHA-256 (hex) of the gateway's certificate or its public key: no other is accepted" },
  { "root *", "path", TL_CONFIG_STRING, .help = "absolute path of a directory that fs.* may read" },
  TL_NODE_PROGRAM_KEYS,
  { "policy", "default", TL_CONFIG_CHOICE, .fallback = "allow", .choices = "allow|deny",
    .help = "what happens to capabilities without a [policy CAPABILITY] of their own" },
  { "policy *", "mode", TL_CONFIG_CHOICE, .choices = "allow|deny", .help = "whether this capability may run" },
  { NULL },
};

static void
root_free (gpointer data)
{
  TlNodeRoot *root = data;

  g_free (root->name);
  g_free (root->path);
  g_free (root);
}

static gboolean
root_name_is_valid (const char *name)
{
  gsize length = strlen (name);

  if (length == 0 || length > MAX_ROOT_NAME || name[0] == '-')
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum (name[i]) && name[i] != '-' && name[i] != '_')
      return FALSE;
  return TRUE;
}

/* PROTOCOL 4.2: [a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)* */
static gboolean
capability_name_is_valid (const char *name)
{
  gboolean at_start = TRUE;

  if (strlen (name) > MAX_CAPABILITY_NAME)
    return FALSE;
  for (const char *c = name; *c != '\0'; c++)
    {
      if (at_start ? !g_ascii_islower (*c) : !(g_ascii_islower (*c) || g_ascii_isdigit (*c) || *c == '_' || *c == '.'))
        return FALSE;
      at_start = *c == '.';
    }
  return !at_start;
}

gboolean
tl_node_config_add_root (TlNodeConfig *config, const char *name, const char *path, GError **error)
{
  TlNodeRoot *root;

  if (!root_name_is_valid (name))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "root name \"%s\" is not acceptable: 1 to %d letters, digits, '-' or '_'", name, MAX_ROOT_NAME);
      return FALSE;
    }
  if (path == NULL || !g_path_is_absolute (path))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "root %s needs an absolute path, not \"%s\"", name,
                   path == NULL ? "" : path);
      return FALSE;
    }
  for (guint i = 0; i < config->roots->len; i++)
    {
      root = config->roots->pdata[i];
      if (g_str_equal (root->name, name))
        {
          g_set_error (error, TL_ERROR, TL_ERROR_ALREADY_EXISTS, "root %s is given twice (%s and %s)", name, root->path,
                       path);
          return FALSE;
        }
    }
  if (config->roots->len >= MAX_ROOTS)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, "more than %d roots", MAX_ROOTS);
      return FALSE;
    }

  root = g_new0 (TlNodeRoot, 1);
  root->name = g_strdup (name);
  root->path = g_canonicalize_filename (path, "/");
  g_ptr_array_add (config->roots, root);
  return TRUE;
}

static gboolean
load_roots (TlNodeConfig *config, const char *file, GError **error)
{
  g_auto (GStrv) groups = tl_config_list_groups (config->config, ROOT_GROUP "*");

  for (guint i = 0; groups[i] != NULL; i++)
    {
      g_autofree char *name = g_strstrip (g_strdup (groups[i] + strlen (ROOT_GROUP)));
      const char *where = tl_config_where (config->config, groups[i], "path");
      const char *path = tl_config_get_string (config->config, groups[i], "path");

      if (path == NULL)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s: [%s] has no path=", file, groups[i]);
          return FALSE;
        }
      if (!tl_node_config_add_root (config, name, path, error))
        {
          g_prefix_error (error, "%s: ", where != NULL ? where : file);
          return FALSE;
        }
    }
  return TRUE;
}

static gboolean
load_policy (TlNodeConfig *config, const char *file, GError **error)
{
  g_auto (GStrv) groups = tl_config_list_groups (config->config, POLICY_GROUP "*");

  config->policy_default = g_str_equal (tl_config_get_string (config->config, "policy", "default"), "allow");
  for (guint i = 0; groups[i] != NULL; i++)
    {
      g_autofree char *name = g_strstrip (g_strdup (groups[i] + strlen (POLICY_GROUP)));
      const char *where = tl_config_where (config->config, groups[i], "mode");
      const char *mode = tl_config_get_string (config->config, groups[i], "mode");

      if (!capability_name_is_valid (name))
        {
          g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s: [%s]: \"%s\" is not a capability name",
                       where != NULL ? where : file, groups[i], name);
          return FALSE;
        }
      if (mode == NULL)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s: [%s] has no mode=", file, groups[i]);
          return FALSE;
        }
      g_hash_table_insert (config->policy, g_steal_pointer (&name), GINT_TO_POINTER (g_str_equal (mode, "allow")));
    }
  return TRUE;
}

gboolean
tl_node_config_set_transport (TlNodeConfig *config, const char *text, GError **error)
{
  static const char *const names[]
      = { [TL_NODE_TRANSPORT_AUTO] = "auto", [TL_NODE_TRANSPORT_QUIC] = "quic", [TL_NODE_TRANSPORT_GRPC] = "grpc" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (text, names[i]))
      {
        config->transport = (TlNodeTransport)i;
        return TRUE;
      }
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "transport must be auto, quic or grpc, not \"%s\"", text);
  return FALSE;
}

/* As tools print fingerprints: upper or lower case, with or without colons. */
static gboolean
load_pin (TlNodeConfig *config, const char *file, GError **error)
{
  const char *where = tl_config_where (config->config, "node", "server-pin");
  const char *text = tl_config_get_string (config->config, "node", "server-pin");
  g_autofree char *lower = text != NULL ? g_ascii_strdown (text, -1) : NULL;
  g_autoptr (GString) pin = g_string_new (NULL);

  if (text == NULL)
    return TRUE;
  for (const char *c = lower; *c != '\0'; c++)
    if (*c != ':')
      g_string_append_c (pin, *c);
  if (pin->len == PIN_DIGITS && strspn (pin->str, "0123456789abcdef") == PIN_DIGITS)
    {
      config->server_pin = g_strdup (pin->str);
      return TRUE;
    }
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
               "%s: server-pin must be a SHA-256 in hex (%d digits), not \"%s\"", where != NULL ? where : file,
               PIN_DIGITS, text);
  return FALSE;
}

static TlNodeConfig *
load (const char *file, gboolean optional, GError **error)
{
  g_autoptr (TlNodeConfig) config = g_new0 (TlNodeConfig, 1);

  config->roots = g_ptr_array_new_with_free_func (root_free);
  config->programs = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_node_program_free);
  config->policy = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  config->config = tl_config_load (file, optional, key_table, error);
  if (config->config == NULL
      || !tl_node_config_set_transport (config, tl_config_get_string (config->config, "node", "transport"), error)
      || !load_pin (config, file, error) || !load_roots (config, file, error)
      || !tl_node_programs_load (config->config, file, config->programs, error) || !load_policy (config, file, error))
    return NULL;
  return g_steal_pointer (&config);
}

static TlNodeConfig *
load_default (gboolean user, GError **error)
{
  g_autofree char *directory = tl_paths_config_dir (user);
  g_autofree char *file = g_build_filename (directory, "node.conf", NULL);

  return load (file, TRUE, error);
}

TlNodeConfig *
tl_node_config_load (const char *path, GError **error)
{
  return path != NULL ? load (path, FALSE, error) : load_default (TRUE, error);
}

TlNodeConfig *
tl_node_config_load_system (GError **error)
{
  return load_default (FALSE, error);
}

void
tl_node_config_free (TlNodeConfig *config)
{
  if (config == NULL)
    return;
  g_clear_pointer (&config->config, tl_config_free);
  g_free (config->server_pin);
  g_clear_pointer (&config->roots, g_ptr_array_unref);
  g_clear_pointer (&config->programs, g_ptr_array_unref);
  g_clear_pointer (&config->policy, g_hash_table_unref);
  g_free (config);
}
