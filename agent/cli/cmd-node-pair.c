/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-node-scope.h"
#include "agent/cli/tl-pair-flow.h"
#include "agent/cli/tl-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  gboolean system = tl_args_flag (args, "system");
  TlPairFlowOptions options = {
    .gateway = tl_args_text (args, "gateway"),
    .from = tl_args_text (args, "from"),
    .name = tl_args_text (args, "name"),
    .kind = g_strcmp0 (tl_args_text (args, "kind"), "cli") == 0 ? TL_CLIENT_CLI : TL_CLIENT_NODE,
    .replace = tl_args_flag (args, "replace"),
    .yes = tl_args_flag (args, "yes"),
    .system = system,
  };
  g_autoptr (TlNodeState) state = NULL;

  tl_secret_harden_process ();
  if (!tl_node_scope_open_from (system, &options.from, error) || !tl_node_scope_enter (cli, system, error))
    return FALSE;
  state = tl_pair_flow_run (cli, &options, error);
  if (state == NULL)
    return FALSE;
  tl_pair_flow_print_paired (cli, state, &options);
  return TRUE;
}

static const TlOption options[] = {
  { "gateway", TL_OPTION_TEXT, "HOST[:PORT]", N_ ("where the gateway is (with a PIN; a link knows)") },
  { "from", TL_OPTION_TEXT, "FILE", N_ ("read the PIN or link from a file, - is standard input") },
  { "name", TL_OPTION_TEXT, "NAME", N_ ("name of this device (default: the host name)") },
  { "kind", TL_OPTION_CHOICE, "node|cli", N_ ("what it is to the gateway: a node (default), or only a command line") },
  { "replace", TL_OPTION_FLAG, NULL, N_ ("pair anew with a gateway this computer knows") },
  { "yes", TL_OPTION_FLAG, NULL, N_ ("connect to what a link names without asking") },
  { "system", TL_OPTION_FLAG, NULL, N_ ("for the node of the whole computer (node install --system); needs root") },
  { NULL },
};

const TlVerb tl_verb_node_pair = {
  .path = "node pair",
  .arguments = "",
  .summary = N_ ("pair this computer with a gateway by PIN or link"),
  .details
  = N_ ("Asks for the PIN or link on the terminal, or reads it with --from. A code is never an argument: arguments can "
        "be\n"
        "read by every user of the computer. A link is shown and confirmed before anything connects. Then six digits\n"
        "are shown: read them to the person who approves devices on the gateway.\n"
        "An operator who works over the network pairs the same way, with a code minted at the gateway with --role "
        "operator;\n"
        "--kind cli says that no node will run here."),
  .options = options,
  .refuses_codes = TRUE,
  .run = run,
};
