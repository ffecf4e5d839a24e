/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-node-process.h"
#include "agent/cli/tl-node-scope.h"
#include "agent/cli/tl-node-service.h"
#include "agent/cli/tl-prompt.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"
#include "agent/node/tl-node-state.h"
#include "base/tl-error.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  g_autoptr (TlNodeState) state = NULL;
  const TlNodeMarker *marker;
  g_autofree char *gateway_id = NULL;
  g_autofree char *device_id = NULL;
  g_autofree char *name = NULL;
  g_autofree char *question = NULL;
  g_autoptr (TlNodeStatus) process = NULL;
  g_auto (TlNodeServiceInfo) service = { 0 };
  TlNodeServiceKind kind;

  if (!tl_node_scope_enter (cli, tl_args_flag (args, "system"), error))
    return FALSE;
  state = tl_node_state_open (tl_cli_state_dir (cli), tl_args_argument (args, 0), error);
  if (state == NULL)
    return FALSE;
  marker = tl_node_state_marker (state);
  process = tl_node_process_find (tl_node_state_directory (state));
  if (process != NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IN_USE, _ ("a node process (pid %d) uses this pairing; stop it first"),
                   (int)process->pid);
      return FALSE;
    }
  if (tl_node_service_find (cli, tl_args_flag (args, "system"), marker->gateway_id, &kind, &service) && service.running)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IN_USE,
                   _ ("the node service (%s) uses this pairing; stop it first with twinlatch node uninstall"),
                   service.name);
      return FALSE;
    }
  gateway_id = g_strdup (marker->gateway_id);
  device_id = g_strdup (marker->device_id);
  name = tl_text_escape (marker->gateway_name);
  question = g_strdup_printf (_ ("Forget gateway %s (%s)? Its keys on this computer are deleted."), name, gateway_id);
  if (!tl_prompt_require (tl_args_flag (args, "yes"), question, error) || !tl_node_state_forget (state, error))
    return FALSE;

  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, json_pack ("{s:s, s:s}", "forgotten", gateway_id, "device_id", device_id));
  else
    tl_cli_print (cli,
                  _ ("Forgot gateway %s. It still lists this device; an operator removes it with:\n"
                     "twinlatch devices revoke %s\n"),
                  gateway_id, device_id);
  return TRUE;
}

static const TlOption options[] = {
  { "yes", TL_OPTION_FLAG, NULL, N_ ("do not ask") },
  { "system", TL_OPTION_FLAG, NULL, N_ ("a pairing of the whole computer; needs root") },
  { NULL },
};

const TlVerb tl_verb_node_forget = {
  .path = "node forget",
  .arguments = "[GATEWAY]",
  .max_arguments = 1,
  .summary = N_ ("delete this computer's pairing with a gateway"),
  .details = N_ ("GATEWAY is an id, a unique prefix of one or a unique name; it may be left out when there is only "
                 "one. Works without\n"
                 "network; the gateway keeps listing the device until an operator revokes it."),
  .options = options,
  .run = run,
};
