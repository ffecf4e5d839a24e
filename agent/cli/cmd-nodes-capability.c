/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

static void
print_switch (TlCli *cli, const Twinlatch__V1__SetNodeCapabilityRequest *request, const TlSwitchAnswer *answer)
{
  g_autofree char *capability = tl_text_escape (request->capability);
  g_autofree char *name = tl_text_escape (answer->node != NULL ? answer->node->name : request->device);

  if (answer->already)
    tl_cli_print (cli, request->enabled ? _ ("%s was on already at %s.\n") : _ ("%s was off already at %s.\n"),
                  capability, name);
  else
    tl_cli_print (cli, request->enabled ? _ ("%s is on at %s.\n") : _ ("%s is off at %s.\n"), capability, name);
  if (answer->requests_cancelled > 0)
    tl_cli_print (cli, _ ("Cancelled %u requests that waited for the node.\n"), answer->requests_cancelled);
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__SetNodeCapabilityRequest request = TWINLATCH__V1__SET_NODE_CAPABILITY_REQUEST__INIT;
  const char *word = tl_args_argument (args, 2);
  g_autoptr (TlSwitchAnswer) answer = NULL;

  if (!g_str_equal (word, "on") && !g_str_equal (word, "off"))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("say on or off, not '%s'"), word);
      return FALSE;
    }
  request.device = (char *)tl_args_argument (args, 0);
  request.capability = (char *)tl_args_argument (args, 1);
  request.enabled = g_str_equal (word, "on");
  answer = (TlSwitchAnswer *)tl_admin_call (cli, "SetNodeCapability", &request.base,
                                            &twinlatch__v1__set_node_capability_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_message (&answer->base));
  else
    print_switch (cli, &request, answer);
  return TRUE;
}

const TlVerb tl_verb_nodes_capability = {
  .path = "nodes capability",
  .arguments = "NODE CAPABILITY on|off",
  .min_arguments = 3,
  .max_arguments = 3,
  .summary = N_ ("let the gateway refuse a capability of a node, or allow it again"),
  .details = N_ ("What is off is refused as soon as somebody asks for it, whatever the node announces, until it is "
                 "switched on again; requests that\n"
                 "wait for the node are cancelled, one that runs goes on."),
  .run = run,
};
