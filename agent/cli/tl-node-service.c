/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-node-service.h"

#include <glib/gi18n.h>
#include <unistd.h>

#include "agent/cli/tl-node-scope.h"
#include "agent/cli/tl-node-service-private.h"
#include "base/tl-error.h"

const char *
tl_node_service_kind_to_string (TlNodeServiceKind kind)
{
  switch (kind)
    {
    case TL_NODE_SERVICE_SYSTEMD:
      return "systemd";
    case TL_NODE_SERVICE_SUPERVISED:
      return "supervised";
    }
  g_assert_not_reached ();
}

void
tl_node_service_info_clear (TlNodeServiceInfo *info)
{
  g_clear_pointer (&info->name, g_free);
  g_clear_pointer (&info->state, g_free);
  g_clear_pointer (&info->log, g_free);
}

void
tl_node_service_add_step (TlNodeService *service, const char *format, ...)
{
  va_list list;

  va_start (list, format);
  g_ptr_array_insert (service->steps, (int)service->steps->len - 1, g_strdup_vprintf (format, list));
  va_end (list);
}

static TlNodeService *
service_new (gboolean system)
{
  TlNodeService *service = g_new0 (TlNodeService, 1);

  service->system = system;
  service->kind = tl_node_service_has_systemd (system) ? TL_NODE_SERVICE_SYSTEMD : TL_NODE_SERVICE_SUPERVISED;
  service->klass = service->kind == TL_NODE_SERVICE_SYSTEMD ? &tl_node_service_systemd : &tl_node_service_supervised;
  service->program = g_file_read_link ("/proc/self/exe", NULL);
  service->steps = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (service->steps, NULL);
  return service;
}

void
tl_node_service_free (TlNodeService *service)
{
  if (service == NULL)
    return;
  g_free (service->gateway_id);
  g_free (service->directory);
  g_free (service->config);
  g_free (service->state_dir);
  g_free (service->program);
  g_ptr_array_unref (service->steps);
  g_free (service);
}

/* Root stays root where it writes units; without systemd everything happens as the node's user. */
static gboolean
enter (TlNodeService *service, TlCli *cli, GError **error)
{
  if (!service->system || service->kind == TL_NODE_SERVICE_SUPERVISED)
    return tl_node_scope_enter (cli, service->system, error);
  tl_node_scope_look (cli, TRUE);
  if (geteuid () == 0 || service->dry_run)
    return TRUE;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                       _ ("--system changes the services of the whole computer; try it with sudo"));
  return FALSE;
}

static gboolean
find_pairing (TlNodeService *service, TlCli *cli, const TlNodeServiceOptions *options, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autoptr (TlNodeState) state = tl_node_state_open (tl_cli_state_dir (cli), options->gateway, &problem);

  service->named = options->gateway != NULL;
  if (state != NULL)
    {
      service->gateway_id = g_strdup (tl_node_state_marker (state)->gateway_id);
      service->directory = g_strdup (tl_node_state_directory (state));
      return TRUE;
    }
  /* A unit without its pairing can still be stopped and taken away, when it is clear which one is meant. */
  if (options->without_pairing && service->kind == TL_NODE_SERVICE_SYSTEMD && options->gateway == NULL)
    return TRUE;
  if (tl_error_is (problem, TL_ERROR_NOT_PAIRED) && options->gateway == NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_NOT_PAIRED,
                 _ ("this computer is not paired with any gateway (%s); pair it first with: twinlatch node pair%s"),
                 tl_cli_state_dir (cli) != NULL ? tl_cli_state_dir (cli) : _ ("as this user"),
                 service->system ? " --system" : "");
  else
    g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

/* A line feed in a path would be a line of its own in a unit file. path NULL: nothing to do. */
static gboolean
take_path (const char *path, char **taken, GError **error)
{
  *taken = path != NULL ? g_canonicalize_filename (path, NULL) : NULL;
  for (const char *c = *taken; c != NULL && *c != '\0'; c++)
    {
      if (!g_ascii_iscntrl (*c))
        continue;
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           _ ("a path with control characters is not accepted"));
      return FALSE;
    }
  return TRUE;
}

TlNodeService *
tl_node_service_new (TlCli *cli, const TlNodeServiceOptions *options, GError **error)
{
  g_autoptr (TlNodeService) service = service_new (options->system);

  service->dry_run = options->dry_run;
  if (!take_path (options->config, &service->config, error)
      || !take_path (options->state_dir, &service->state_dir, error) || !enter (service, cli, error)
      || !find_pairing (service, cli, options, error))
    return NULL;
  return g_steal_pointer (&service);
}

TlNodeServiceKind
tl_node_service_kind (TlNodeService *service)
{
  return service->kind;
}

const char *const *
tl_node_service_steps (TlNodeService *service)
{
  return (const char *const *)service->steps->pdata;
}

gboolean
tl_node_service_look (TlNodeService *service, TlNodeServiceInfo *info, GError **error)
{
  return service->klass->look (service, info, error);
}

gboolean
tl_node_service_install (TlNodeService *service, GError **error)
{
  return service->klass->install (service, error);
}

gboolean
tl_node_service_uninstall (TlNodeService *service, GError **error)
{
  return service->klass->uninstall (service, error);
}

gboolean
tl_node_service_start (TlNodeService *service, GError **error)
{
  return service->klass->start (service, error);
}

gboolean
tl_node_service_stop (TlNodeService *service, GError **error)
{
  return service->klass->stop (service, error);
}

gboolean
tl_node_service_restart (TlNodeService *service, GError **error)
{
  return service->klass->restart (service, error);
}

gboolean
tl_node_service_find (TlCli *cli, gboolean system, const char *gateway_id, TlNodeServiceKind *kind,
                      TlNodeServiceInfo *info)
{
  g_autoptr (TlNodeState) state = tl_node_state_open (tl_cli_state_dir (cli), gateway_id, NULL);
  g_autoptr (TlNodeService) service = service_new (system);

  if (state == NULL)
    return FALSE;
  service->gateway_id = g_strdup (gateway_id);
  service->directory = g_strdup (tl_node_state_directory (state));
  /* Named first: that unit is this pairing's for sure; the plain one runs whichever pairing is the only one. */
  for (int named = 1; named >= 0; named--)
    {
      service->named = named;
      if (service->klass->look (service, info, NULL) && (info->installed || info->running))
        {
          *kind = service->kind;
          return TRUE;
        }
      tl_node_service_info_clear (info);
    }
  return FALSE;
}
