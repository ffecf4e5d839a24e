/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>
#include <unistd.h>

#include "agent/cli/tl-doctor.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-node-scope.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"
#include "base/tl-paths.h"

typedef void (*Check) (TlDoctor *doctor);

static const Check gateway_checks[] = {
  tl_doctor_gateway_daemon,       tl_doctor_gateway_clock, tl_doctor_gateway_permissions, tl_doctor_gateway_keys,
  tl_doctor_gateway_certificates, tl_doctor_gateway_store, tl_doctor_gateway_space,       tl_doctor_gateway_ports,
  tl_doctor_gateway_reach,        tl_doctor_gateway_group, tl_doctor_gateway_process,
};

static const Check node_checks[] = {
  tl_doctor_node_permissions, tl_doctor_node_keys,    tl_doctor_node_certificate,
  tl_doctor_node_space,       tl_doctor_node_process, tl_doctor_node_reach,
};

/* ---- gateway --------------------------------------------------------------------------------------------------- */

/* What the daemon says goes; else the user's place when something is there, else the system's. */
static void
find_gateway (TlDoctor *doctor, TlArgs *args)
{
  TlDoctorGateway *gateway = &doctor->gateway;
  const char *chosen = tl_args_flag (args, "daemon") ? tl_args_text (args, "state-dir") : NULL;
  Twinlatch__V1__GetStatusRequest request = TWINLATCH__V1__GET_STATUS_REQUEST__INIT;
  g_autofree char *users = tl_paths_state_dir (TRUE);
  g_autofree char *directory = NULL;

  gateway->status
      = (TlStatusAnswer *)tl_admin_call (doctor->cli, "GetStatus", &request.base,
                                         &twinlatch__v1__get_status_response__descriptor, &gateway->problem);
  gateway->members = gateway->status != NULL ? tl_json_from_message (&gateway->status->base) : json_object ();
  if (gateway->status != NULL)
    gateway->state_dir = g_strdup (gateway->status->state_dir);
  else if (chosen != NULL)
    gateway->state_dir = g_canonicalize_filename (chosen, NULL);
  else if (g_file_test (users, G_FILE_TEST_IS_DIR))
    gateway->state_dir = g_strdup (users);
  else
    gateway->state_dir = tl_paths_state_dir (FALSE);

  directory = tl_paths_state_dir (FALSE);
  gateway->user = !g_str_equal (gateway->state_dir, directory);
  g_free (directory);
  directory = tl_paths_config_dir (gateway->user);
  gateway->config = tl_args_text (args, "config") != NULL ? g_strdup (tl_args_text (args, "config"))
                                                          : g_build_filename (directory, "twinlatchd.conf", NULL);
}

static void
look_at_gateway (TlDoctor *doctor)
{
  for (guint i = 0; i < G_N_ELEMENTS (gateway_checks); i++)
    gateway_checks[i](doctor);
}

/* Somebody set up a gateway here, be it up or down. */
static gboolean
is_gateway_here (TlDoctor *doctor)
{
  return doctor->gateway.status != NULL || tl_error_is (doctor->gateway.problem, TL_ERROR_PERMISSION_DENIED)
         || g_file_test (doctor->gateway.state_dir, G_FILE_TEST_IS_DIR);
}

/* ---- node ------------------------------------------------------------------------------------------------------ */

static void
look_at_pairing (TlDoctor *doctor, TlNodeState *state)
{
  TlDoctorNode *node = &doctor->node;
  g_autofree char *name = NULL;

  g_clear_pointer (&node->state, tl_node_state_free);
  g_clear_pointer (&node->identity, tl_device_identity_free);
  g_clear_error (&node->problem);
  node->state = state;
  node->marker = tl_node_state_marker (state);
  node->identity = tl_node_state_load_identity (state, &node->problem);
  name = tl_text_escape (node->marker->gateway_name);
  tl_doctor_add (doctor, "node.pairing", TL_DOCTOR_OK, NULL, _ ("with %s (%s) as device %s"), name,
                 node->marker->gateway_id, node->marker->device_id);
  for (guint i = 0; i < G_N_ELEMENTS (node_checks); i++)
    node_checks[i](doctor);
}

/* Root without pairings of its own, on a computer that has one, means that one. */
static gboolean
is_about_system_node (TlDoctor *doctor, TlArgs *args)
{
  g_autofree char *folder = tl_paths_system_node_dir ();
  g_autoptr (GPtrArray) own = NULL;

  if (tl_args_flag (args, "system"))
    return TRUE;
  if (geteuid () != 0 || tl_cli_state_dir (doctor->cli) != NULL || !g_file_test (folder, G_FILE_TEST_IS_DIR))
    return FALSE;
  own = tl_node_state_list (NULL, NULL);
  return own == NULL || own->len == 0;
}

static gboolean
look_at_nodes (TlDoctor *doctor, TlArgs *args, GError **error)
{
  const char *gateway = tl_args_text (args, "gateway");
  g_autoptr (GPtrArray) ids = NULL;

  if (!tl_node_scope_enter (doctor->cli, is_about_system_node (doctor, args), error))
    return FALSE;
  if (gateway != NULL)
    {
      TlNodeState *state = tl_node_state_open (tl_cli_state_dir (doctor->cli), gateway, error);

      if (state == NULL)
        return FALSE;
      look_at_pairing (doctor, state);
      return TRUE;
    }
  ids = tl_node_state_list (tl_cli_state_dir (doctor->cli), error);
  for (guint i = 0; ids != NULL && i < ids->len; i++)
    {
      TlNodeState *state = tl_node_state_open (tl_cli_state_dir (doctor->cli), ids->pdata[i], error);

      if (state == NULL)
        return FALSE;
      look_at_pairing (doctor, state);
    }
  return ids != NULL;
}

/* ---- verb ------------------------------------------------------------------------------------------------------ */

static void
print_json (TlDoctor *doctor)
{
  json_t *items = json_array ();

  for (guint i = 0; i < doctor->rows->len; i++)
    {
      const TlDoctorRow *row = doctor->rows->pdata[i];
      json_t *item = json_pack ("{s:s, s:s}", "name", row->name, "verdict", tl_doctor_verdict_to_string (row->verdict));

      json_object_set_new (item, "found", tl_json_text (row->found));
      json_object_set_new (item, "fix", row->fix != NULL ? tl_json_text (row->fix) : json_null ());
      json_array_append_new (items, item);
    }
  tl_cli_print_json (doctor->cli,
                     json_pack ("{s:b, s:i, s:i, s:i, s:o}", "ok", tl_doctor_count (doctor, TL_DOCTOR_FAILED) == 0,
                                "failed", (int)tl_doctor_count (doctor, TL_DOCTOR_FAILED), "warnings",
                                (int)tl_doctor_count (doctor, TL_DOCTOR_WARNING), "skipped",
                                (int)tl_doctor_count (doctor, TL_DOCTOR_SKIPPED), "items", items));
}

static void
print_lines (TlDoctor *doctor)
{
  for (guint i = 0; i < doctor->rows->len; i++)
    {
      const TlDoctorRow *row = doctor->rows->pdata[i];
      g_autofree char *found = tl_text_escape (row->found);

      tl_cli_print (doctor->cli, "%-8s %-24s %s\n", tl_doctor_verdict_to_string (row->verdict), row->name, found);
      if (row->fix != NULL)
        tl_cli_print (doctor->cli, "%-33s -> %s\n", "", row->fix);
    }
  tl_cli_print (doctor->cli, _ ("\n%u failed, %u warnings, %u not looked at\n"),
                tl_doctor_count (doctor, TL_DOCTOR_FAILED), tl_doctor_count (doctor, TL_DOCTOR_WARNING),
                tl_doctor_count (doctor, TL_DOCTOR_SKIPPED));
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  g_autoptr (TlDoctor) doctor = tl_doctor_new (cli, tl_cli_now_ms (cli));
  gboolean only_daemon = tl_args_flag (args, "daemon");

  if (only_daemon && (tl_args_text (args, "gateway") != NULL || tl_args_flag (args, "system")))
    {
      g_set_error_literal (
          error, TL_ERROR, TL_ERROR_USAGE,
          _ ("--daemon is about the gateway on this computer; --gateway and --system are about its node"));
      return FALSE;
    }
  g_unsetenv ("TWINLATCH_GATEWAY"); /* which gateway operators work with: this is about the one on this computer */
  if (tl_args_text (args, "gateway") == NULL)
    {
      find_gateway (doctor, args);
      if (only_daemon || is_gateway_here (doctor))
        look_at_gateway (doctor);
    }
  if (!only_daemon && !look_at_nodes (doctor, args, error))
    return FALSE;
  if (doctor->rows->len == 0)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_NOT_PAIRED,
                           _ ("there is nothing to look at: no gateway on this computer, and no pairing of this user"));
      return FALSE;
    }
  if (tl_cli_is_json (cli))
    print_json (doctor);
  else
    print_lines (doctor);
  if (tl_doctor_count (doctor, TL_DOCTOR_FAILED) > 0)
    tl_cli_set_exit_code (cli, TL_EXIT_FAILURE);
  return TRUE;
}

static const TlOption options[] = {
  { "gateway", TL_OPTION_TEXT, "NAME", N_ ("only the pairing with that gateway, by name or id") },
  { "daemon", TL_OPTION_FLAG, NULL, N_ ("only the gateway on this computer; --state-dir is then its state") },
  { "system", TL_OPTION_FLAG, NULL, N_ ("the node of the whole computer; needs root") },
  { "config", TL_OPTION_TEXT, "FILE", N_ ("configuration of the gateway, when it is not in its place") },
  { NULL },
};

const TlVerb tl_verb_doctor = {
  .path = "doctor",
  .arguments = "",
  .summary = N_ ("look for what is wrong here, and say how to mend it"),
  .details = N_ ("Looks at the gateway on this computer and at its pairings: clock, permissions, keys, certificates, "
                 "store, ports,\n"
                 "whether the gateway can be reached. Changes nothing; works when twinlatchd is down. Exit status 1 "
                 "when something\n"
                 "failed. As root it sees everything."),
  .options = options,
  .run = run,
};
