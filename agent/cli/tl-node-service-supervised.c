/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <glib/gi18n.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/tl-node-service-private.h"
#include "agent/node/tl-pid-file.h"
#include "agent/cli/tl-supervisor.h"
#include "agent/node/tl-reconnect.h"
#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-json.h"

#define SERVICE_FILE      "service.json"
#define SERVICE_VERSION   1
#define PID_FILE          "node.pid"
#define LOG_FILE          "node.log"
#define MAX_SERVICE_BYTES (16u * 1024u)
#define STOP_TIMEOUT_MS   20000 /* the supervisor kills the node after 15 s */
#define KILL_TIMEOUT_MS   5000

static char *
file_of (TlNodeService *service, const char *name)
{
  return g_build_filename (service->directory, name, NULL);
}

/* service.json says that `node start` may start it, and with which configuration. */
static gboolean
read_installed (TlNodeService *service, char **config, GError **error)
{
  g_autofree char *path = file_of (service, SERVICE_FILE);
  g_autoptr (GBytes) bytes = tl_file_read (path, MAX_SERVICE_BYTES, error);
  g_autoptr (GError) problem = NULL;
  tl_json_auto object = NULL;
  const char *text = NULL;

  if (bytes == NULL)
    return FALSE;
  object
      = tl_json_parse (g_bytes_get_data (bytes, NULL), (gssize)g_bytes_get_size (bytes), MAX_SERVICE_BYTES, &problem);
  if (object == NULL || !tl_json_get_string (object, "config", FALSE, &text, &problem))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, _ ("%s is damaged: %s; install the service again"), path,
                   problem->message);
      return FALSE;
    }
  *config = text != NULL && *text != '\0' ? g_strdup (text) : NULL;
  return TRUE;
}

static gboolean
look (TlNodeService *service, TlNodeServiceInfo *info, GError **error)
{
  g_autofree char *pid_file = file_of (service, PID_FILE);
  g_autofree char *log = file_of (service, LOG_FILE);
  g_autofree char *config = NULL;
  gint64 pid = 0;
  int holder;

  (void)error;
  holder = tl_pid_file_open_holder (pid_file, &pid, NULL);
  *info = (TlNodeServiceInfo){ .installed = read_installed (service, &config, NULL),
                               .running = holder >= 0,
                               .pid = pid,
                               .name = g_strdup (pid_file),
                               .state = g_strdup (holder >= 0 ? "running" : "stopped"),
                               .log = g_strdup (log) };
  if (holder >= 0)
    close (holder);
  return TRUE;
}

static gboolean
install (TlNodeService *service, GError **error)
{
  g_autofree char *path = file_of (service, SERVICE_FILE);
  g_autofree char *config = NULL;
  g_autofree char *text = NULL;
  tl_json_auto object = NULL;

  if (read_installed (service, &config, NULL) && g_strcmp0 (config, service->config) == 0)
    return TRUE;
  tl_node_service_add_step (service, "write %s", path);
  if (service->dry_run)
    return TRUE;
  object
      = json_pack ("{s:i, s:s}", "version", SERVICE_VERSION, "config", service->config != NULL ? service->config : "");
  if (object == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, _ ("--config is not UTF-8"));
      return FALSE;
    }
  text = tl_json_to_pretty_string (object);
  return tl_file_write_atomic (path, text, strlen (text), 0600, error);
}

static gboolean
start (TlNodeService *service, GError **error)
{
  g_autofree char *pid_file = file_of (service, PID_FILE);
  g_autofree char *log = file_of (service, LOG_FILE);
  g_autofree char *node_dir = g_path_get_dirname (service->directory);
  g_autofree char *config = NULL;
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  TlSupervisorOptions options
      = { .pid_file = pid_file, .log_file = log, .restart_max_ms = TL_RECONNECT_DEFAULT_MAX_MS };
  gint64 pid = 0;
  int holder;

  if (!service->dry_run && !read_installed (service, &config, error))
    {
      if (error != NULL && tl_error_is_not_found (*error))
        {
          g_clear_error (error);
          g_set_error_literal (
              error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
              _ ("the node service is not installed; install it with: twinlatch node install --start"));
        }
      return FALSE;
    }
  holder = tl_pid_file_open_holder (pid_file, &pid, NULL);
  if (holder >= 0)
    {
      close (holder);
      return TRUE;
    }
  tl_node_service_add_step (service, "start %s node run in the background, supervised", service->program);
  if (service->dry_run)
    return TRUE;
  g_ptr_array_add (argv, service->program);
  g_ptr_array_add (argv, (char *)"node");
  g_ptr_array_add (argv, (char *)"run");
  g_ptr_array_add (argv, (char *)"--gateway");
  g_ptr_array_add (argv, service->gateway_id);
  g_ptr_array_add (argv, (char *)"--state-dir");
  g_ptr_array_add (argv, node_dir);
  if (service->system)
    g_ptr_array_add (argv, (char *)"--system");
  if (config != NULL)
    {
      g_ptr_array_add (argv, (char *)"--config");
      g_ptr_array_add (argv, config);
    }
  g_ptr_array_add (argv, NULL);
  options.argv = (const char *const *)argv->pdata;
  return tl_supervisor_start (&options, &pid, error);
}

static gboolean
stop (TlNodeService *service, GError **error)
{
  g_autofree char *pid_file = file_of (service, PID_FILE);
  gint64 pid;
  gboolean ok;
  int holder = tl_pid_file_open_holder (pid_file, &pid, NULL);

  if (holder < 0)
    return TRUE;
  tl_node_service_add_step (service, "stop pid %" G_GINT64_FORMAT, pid);
  ok = service->dry_run || tl_pid_file_signal (holder, SIGTERM, error);
  if (ok && !service->dry_run && !tl_pid_file_wait_end (holder, STOP_TIMEOUT_MS))
    {
      tl_node_service_add_step (service, "kill pid %" G_GINT64_FORMAT ", which did not end", pid);
      ok = tl_pid_file_signal (holder, SIGKILL, error);
      if (ok && !tl_pid_file_wait_end (holder, KILL_TIMEOUT_MS))
        {
          g_set_error (error, TL_ERROR, TL_ERROR_TIMED_OUT, _ ("pid %d does not end, not even killed"), (int)pid);
          ok = FALSE;
        }
    }
  close (holder);
  return ok;
}

static gboolean
restart (TlNodeService *service, GError **error)
{
  g_autofree char *config = NULL;

  if (!read_installed (service, &config, NULL))
    return start (service, error); /* says that it is not installed */
  return stop (service, error) && start (service, error);
}

static gboolean
uninstall (TlNodeService *service, GError **error)
{
  g_autofree char *path = file_of (service, SERVICE_FILE);

  if (!stop (service, error))
    return FALSE;
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return TRUE;
  tl_node_service_add_step (service, "remove %s", path);
  return service->dry_run || tl_file_remove (path, error);
}

const TlNodeServiceClass tl_node_service_supervised = {
  .look = look,
  .install = install,
  .uninstall = uninstall,
  .start = start,
  .stop = stop,
  .restart = restart,
};
