/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-node-service-verb.h"

#include <glib/gi18n.h>

#include "agent/cli/tl-json-out.h"

static gboolean
has_option (TlArgs *args, const char *name)
{
  for (const TlOption *option = tl_args_verb (args)->options; option != NULL && option->name != NULL; option++)
    if (g_str_equal (option->name, name))
      return TRUE;
  return FALSE;
}

static gboolean
is_dry_run (TlArgs *args)
{
  return has_option (args, "dry-run") && tl_args_flag (args, "dry-run");
}

TlNodeService *
tl_node_service_verb_open (TlCli *cli, TlArgs *args, gboolean without_pairing, GError **error)
{
  const TlNodeServiceOptions options = {
    .system = tl_args_flag (args, "system"),
    .dry_run = is_dry_run (args),
    .gateway = tl_args_text (args, "gateway"),
    .config = has_option (args, "config") ? tl_args_text (args, "config") : NULL,
    .state_dir = tl_args_text (args, "state-dir"),
    .without_pairing = without_pairing,
  };

  return tl_node_service_new (cli, &options, error);
}

static void
print_json (TlCli *cli, TlArgs *args, TlNodeService *service, const TlNodeServiceInfo *info)
{
  const char *const *steps = tl_node_service_steps (service);
  json_t *list = json_array ();
  json_t *object = json_object ();

  for (guint i = 0; steps[i] != NULL; i++)
    json_array_append_new (list, tl_json_text (steps[i]));
  json_object_set_new (object, "service",
                       json_string (tl_node_service_kind_to_string (tl_node_service_kind (service))));
  json_object_set_new (object, "scope", json_string (tl_args_flag (args, "system") ? "system" : "user"));
  json_object_set_new (object, "name", tl_json_text (info->name));
  json_object_set_new (object, "installed", json_boolean (info->installed));
  json_object_set_new (object, "running", json_boolean (info->running));
  json_object_set_new (object, "pid", info->pid > 0 ? json_integer (info->pid) : json_null ());
  json_object_set_new (object, "state", tl_json_text (info->state));
  json_object_set_new (object, "log", tl_json_text (info->log));
  json_object_set_new (object, "steps", list);
  json_object_set_new (object, "already", json_boolean (steps[0] == NULL));
  json_object_set_new (object, "dry_run", json_boolean (is_dry_run (args)));
  tl_cli_print_json (cli, object);
}

static void
print_lines (TlCli *cli, TlArgs *args, TlNodeService *service, const TlNodeServiceInfo *info)
{
  const char *const *steps = tl_node_service_steps (service);

  for (guint i = 0; steps[i] != NULL; i++)
    tl_cli_print (cli, is_dry_run (args) ? _ ("would: %s\n") : "%s\n", steps[i]);
  if (steps[0] == NULL)
    tl_cli_print (cli, _ ("It was so already.\n"));
  if (is_dry_run (args))
    return;
  tl_cli_print (cli, _ ("The node service (%s) is %s and %s. Its log: %s\n"), info->name,
                info->installed ? _ ("installed") : _ ("not installed"), info->running ? _ ("running") : _ ("stopped"),
                info->log);
}

/* A user's manager ends with the user's last session unless they linger; the node with it. */
static void
note_what_ends_it (TlCli *cli, TlArgs *args, TlNodeService *service)
{
  g_autofree char *lingers = g_build_filename ("/var/lib/systemd/linger", g_get_user_name (), NULL);

  if (!g_str_equal (tl_args_words (args), "node install") || is_dry_run (args))
    return;
  if (tl_node_service_kind (service) == TL_NODE_SERVICE_SUPERVISED)
    tl_cli_note (cli, _ ("No systemd manager is here: nothing starts the node when the computer starts. A line in "
                         "crontab does:\n@reboot twinlatch node start\n"));
  else if (!tl_args_flag (args, "system") && !g_file_test (lingers, G_FILE_TEST_EXISTS))
    tl_cli_note (cli, _ ("It runs while you are logged in; to let it run always: loginctl enable-linger\n"));
}

gboolean
tl_node_service_verb_print (TlCli *cli, TlArgs *args, TlNodeService *service, GError **error)
{
  g_auto (TlNodeServiceInfo) info = { 0 };

  if (!tl_node_service_look (service, &info, error))
    return FALSE;
  if (tl_cli_is_json (cli))
    print_json (cli, args, service, &info);
  else
    print_lines (cli, args, service, &info);
  note_what_ends_it (cli, args, service);
  return TRUE;
}
