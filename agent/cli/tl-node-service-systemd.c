/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/cli/tl-cli-resources.h"
#include "agent/cli/tl-node-service-private.h"
#include "base/tl-error.h"
#include "base/tl-file.h"

#define UNIT           "twinlatch-node"
#define SYSTEM_UNITS   "/etc/systemd/system"
#define RESOURCE       "/org/twinlatch/systemd/twinlatch-node-%s.service.in"
#define MAX_UNIT_BYTES (64u * 1024u)
/* First line of units that we wrote, and may therefore change and remove. */
#define MARK "# Written by `twinlatch node install`; taken away by `twinlatch node uninstall`.\n"

/* What `systemctl show` says; strings are never NULL. */
typedef struct
{
  char *load, *file, *active, *sub, *program, *fragment;
  gint64 pid;
} Unit;

static void
unit_clear (Unit *unit)
{
  g_free (unit->load);
  g_free (unit->file);
  g_free (unit->active);
  g_free (unit->sub);
  g_free (unit->program);
  g_free (unit->fragment);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Unit, unit_clear)

gboolean
tl_node_service_has_systemd (gboolean system)
{
  const char *runtime = g_getenv ("XDG_RUNTIME_DIR");
  g_autofree char *usual = g_strdup_printf ("/run/user/%u", (guint)geteuid ());
  g_autofree char *manager = NULL;

  if (sd_booted () <= 0)
    return FALSE;
  if (system)
    return TRUE;
  manager = g_build_filename (runtime != NULL ? runtime : usual, "systemd", "private", NULL);
  if (access (manager, F_OK) != 0)
    return FALSE;
  if (runtime == NULL) /* su, cron: systemctl --user finds the manager by it */
    g_setenv ("XDG_RUNTIME_DIR", usual, TRUE);
  return TRUE;
}

char *
tl_node_service_unit_name (const char *gateway_id)
{
  return gateway_id != NULL ? g_strdup_printf (UNIT "@%s.service", gateway_id) : g_strdup (UNIT ".service");
}

char *
tl_node_service_unit_quote (const char *text)
{
  GString *quoted = g_string_new ("\"");

  for (const char *c = text; *c != '\0'; c++)
    {
      if (*c == '"' || *c == '\\')
        g_string_append_c (quoted, '\\');
      if (*c == '%' || *c == '$') /* specifiers and variables */
        g_string_append_c (quoted, *c);
      g_string_append_c (quoted, *c);
    }
  g_string_append_c (quoted, '"');
  return g_string_free (quoted, FALSE);
}

static char *
unit_of (TlNodeService *service)
{
  return tl_node_service_unit_name (service->named ? service->gateway_id : NULL);
}

/* The arguments behind "systemctl" end with NULL. output may be NULL; g_free(). */
static gboolean
systemctl (TlNodeService *service, char **output, GError **error, ...)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) problem = NULL;
  g_autofree char *errors = NULL;
  g_autofree char *command = NULL;
  const char *argument;
  va_list list;
  int status;

  g_ptr_array_add (argv, (char *)"systemctl");
  g_ptr_array_add (argv, (char *)(service->system ? "--system" : "--user"));
  va_start (list, error);
  while ((argument = va_arg (list, const char *)) != NULL)
    g_ptr_array_add (argv, (char *)argument);
  va_end (list);
  g_ptr_array_add (argv, NULL);

  if (!g_spawn_sync (NULL, (char **)argv->pdata, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDIN_FROM_DEV_NULL, NULL, NULL,
                     output, &errors, &status, &problem))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE, _ ("cannot run systemctl: %s"), problem->message);
      return FALSE;
    }
  if (g_spawn_check_wait_status (status, NULL))
    return TRUE;
  command = g_strjoinv (" ", (char **)argv->pdata);
  g_strdelimit (g_strstrip (errors), "\n", ' ');
  g_set_error (error, TL_ERROR, TL_ERROR_IO, _ ("%s failed: %s"), command,
               *errors != '\0' ? errors : _ ("it says nothing; see journalctl -e"));
  return FALSE;
}

/* Value of "NAME=VALUE\n"; g_free(). */
static char *
property (const char *text, const char *name)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  gsize length = strlen (name);

  for (guint i = 0; lines[i] != NULL; i++)
    if (g_str_has_prefix (lines[i], name) && lines[i][length] == '=')
      return g_strdup (lines[i] + length + 1);
  return g_strdup ("");
}

/* The program in "{ path=/usr/bin/twinlatch ; argv[]=... }"; g_free(). */
static char *
exec_path (const char *value)
{
  const char *start = strstr (value, "path=");
  const char *end = start != NULL ? strstr (start, " ;") : NULL;

  return end != NULL ? g_strndup (start + 5, (gsize)(end - start) - 5) : g_strdup ("");
}

static gboolean
show (TlNodeService *service, const char *name, Unit *unit, GError **error)
{
  g_autofree char *text = NULL;
  g_autofree char *exec = NULL;
  g_autofree char *pid = NULL;

  if (!systemctl (service, &text, error, "show", name, "--property",
                  "LoadState,UnitFileState,ActiveState,SubState,MainPID,ExecStart,FragmentPath", NULL))
    return FALSE;
  exec = property (text, "ExecStart");
  pid = property (text, "MainPID");
  *unit = (Unit){ .load = property (text, "LoadState"),
                  .file = property (text, "UnitFileState"),
                  .active = property (text, "ActiveState"),
                  .sub = property (text, "SubState"),
                  .program = exec_path (exec),
                  .fragment = property (text, "FragmentPath"),
                  .pid = g_ascii_strtoll (pid, NULL, 10) };
  return TRUE;
}

static gboolean
is_enabled (const Unit *unit)
{
  return g_str_has_prefix (unit->file, "enabled");
}

/* Starting counts: the unit is on its way. */
static gboolean
is_active (const Unit *unit)
{
  return g_str_equal (unit->active, "active") || g_str_equal (unit->active, "reloading")
         || g_str_equal (unit->active, "activating");
}

static gboolean
look (TlNodeService *service, TlNodeServiceInfo *info, GError **error)
{
  g_autofree char *name = unit_of (service);
  g_auto (Unit) unit = { 0 };

  if (!show (service, name, &unit, error))
    return FALSE;
  *info
      = (TlNodeServiceInfo){ .installed = is_enabled (&unit),
                             .running = is_active (&unit),
                             .pid = unit.pid,
                             .name = g_strdup (name),
                             .state = g_strdup_printf ("%s/%s", unit.active, unit.sub),
                             .log = g_strdup_printf ("journalctl %s%s", service->system ? "-u " : "--user -u ", name) };
  return TRUE;
}

/* ---- unit files ------------------------------------------------------------------------------------------------ */

/* Where we would write the unit; g_free(). */
static char *
own_path (TlNodeService *service, const char *name)
{
  if (service->system)
    return g_build_filename (SYSTEM_UNITS, name, NULL);
  return g_build_filename (g_get_user_config_dir (), "systemd", "user", name, NULL);
}

static gboolean
is_own (const char *path)
{
  g_autoptr (GBytes) bytes = tl_file_read (path, MAX_UNIT_BYTES, NULL);

  return bytes != NULL && g_bytes_get_size (bytes) > strlen (MARK)
         && memcmp (g_bytes_get_data (bytes, NULL), MARK, strlen (MARK)) == 0;
}

static void
append_option (GString *arguments, const char *option, const char *value)
{
  g_autofree char *quoted = NULL;

  if (value == NULL)
    return;
  quoted = tl_node_service_unit_quote (value);
  g_string_append_printf (arguments, " --%s %s", option, quoted);
}

/* The packaged text with this program and these options; g_free(). */
static char *
unit_text (TlNodeService *service)
{
  g_autofree char *path = g_strdup_printf (RESOURCE, service->system ? "system" : "user");
  g_autoptr (GBytes) bytes = g_resource_lookup_data (tl_cli_get_resource (), path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
  g_autofree char *program = tl_node_service_unit_quote (service->program);
  g_autoptr (GString) arguments = g_string_new (NULL);
  GString *text;

  g_assert (bytes != NULL);
  text = g_string_new (MARK);
  g_string_append_len (text, g_bytes_get_data (bytes, NULL), (gssize)g_bytes_get_size (bytes));
  append_option (arguments, "gateway", service->gateway_id);
  append_option (arguments, "state-dir", service->state_dir);
  append_option (arguments, "config", service->config);
  g_string_replace (text, "@program@", program, 0);
  g_string_replace (text, "@arguments@", arguments->str, 0);
  return g_string_free (text, FALSE);
}

/* A unit that came with a package and starts this program will do, unless something of ours has to go into it. */
static gboolean
packaged_will_do (TlNodeService *service, const Unit *unit)
{
  return g_str_equal (unit->load, "loaded") && !is_own (unit->fragment) && service->state_dir == NULL
         && service->config == NULL && g_str_equal (unit->program, service->program);
}

/* *changed: systemd has to read it anew. */
static gboolean
write_unit (TlNodeService *service, const char *name, gboolean *changed, GError **error)
{
  g_autofree char *path = own_path (service, name);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *text = unit_text (service);
  g_autoptr (GBytes) before = tl_file_read (path, MAX_UNIT_BYTES, NULL);

  *changed = before == NULL || g_bytes_get_size (before) != strlen (text)
             || memcmp (g_bytes_get_data (before, NULL), text, strlen (text)) != 0;
  if (!*changed)
    return TRUE;
  if (before != NULL && !is_own (path))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_ALREADY_EXISTS,
                   _ ("%s is somebody's own unit and is left alone; remove it, or enable it with systemctl"), path);
      return FALSE;
    }
  tl_node_service_add_step (service, "write %s", path);
  if (service->dry_run)
    return TRUE;
  if (g_mkdir_with_parents (folder, 0755) != 0)
    {
      tl_error_set_errno (error, errno, _ ("cannot make %s"), folder);
      return FALSE;
    }
  return tl_file_write_atomic (path, text, strlen (text), 0644, error);
}

static gboolean
reload (TlNodeService *service, GError **error)
{
  tl_node_service_add_step (service, "systemctl daemon-reload");
  return service->dry_run || systemctl (service, NULL, error, "daemon-reload", NULL);
}

/* ---- verbs ----------------------------------------------------------------------------------------------------- */

static gboolean
run_step (TlNodeService *service, const char *verb, const char *name, GError **error)
{
  tl_node_service_add_step (service, "systemctl %s%s %s", service->system ? "" : "--user ", verb, name);
  return service->dry_run || systemctl (service, NULL, error, verb, name, NULL);
}

static gboolean
install (TlNodeService *service, GError **error)
{
  g_autofree char *name = unit_of (service);
  g_auto (Unit) unit = { 0 };
  gboolean changed = FALSE;

  if (!show (service, name, &unit, error))
    return FALSE;
  if (!packaged_will_do (service, &unit) && !write_unit (service, name, &changed, error))
    return FALSE;
  if (changed && !reload (service, error))
    return FALSE;
  if (!is_enabled (&unit) && !run_step (service, "enable", name, error))
    return FALSE;
  return !changed || !is_active (&unit) || run_step (service, "restart", name, error);
}

static gboolean
check_installed (const Unit *unit, const char *name, GError **error)
{
  if (is_enabled (unit))
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
               _ ("the node service (%s) is not installed; install it with: twinlatch node install --start"), name);
  return FALSE;
}

static gboolean
start (TlNodeService *service, GError **error)
{
  g_autofree char *name = unit_of (service);
  g_auto (Unit) unit = { 0 };

  if (!show (service, name, &unit, error) || (!service->dry_run && !check_installed (&unit, name, error)))
    return FALSE;
  return is_active (&unit) || run_step (service, "start", name, error);
}

static gboolean
stop (TlNodeService *service, GError **error)
{
  g_autofree char *name = unit_of (service);
  g_auto (Unit) unit = { 0 };

  if (!show (service, name, &unit, error))
    return FALSE;
  return !is_active (&unit) || run_step (service, "stop", name, error);
}

static gboolean
restart (TlNodeService *service, GError **error)
{
  g_autofree char *name = unit_of (service);
  g_auto (Unit) unit = { 0 };

  return show (service, name, &unit, error) && check_installed (&unit, name, error)
         && run_step (service, "restart", name, error);
}

static gboolean
uninstall (TlNodeService *service, GError **error)
{
  g_autofree char *name = unit_of (service);
  g_autofree char *path = own_path (service, name);
  g_auto (Unit) unit = { 0 };

  if (!show (service, name, &unit, error) || (is_active (&unit) && !run_step (service, "stop", name, error))
      || (is_enabled (&unit) && !run_step (service, "disable", name, error)))
    return FALSE;
  if (g_str_equal (unit.active, "failed") && !run_step (service, "reset-failed", name, error))
    return FALSE;
  if (!is_own (path))
    return TRUE;
  tl_node_service_add_step (service, "remove %s", path);
  return service->dry_run || (tl_file_remove (path, error) && reload (service, error));
}

const TlNodeServiceClass tl_node_service_systemd = {
  .look = look,
  .install = install,
  .uninstall = uninstall,
  .start = start,
  .stop = stop,
  .restart = restart,
};
