/* SPDX-License-Identifier: Apache-2.0 */

/* renewal-node NODE_DIR STEP: a node as `twinlatch node run` runs it, that dies when a renewal reaches STEP. */

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/tl-node-runtime-private.h"

static void
on_step (TlRenewalStep step, gpointer user_data)
{
  if (strcmp (tl_renewal_step_to_string (step), user_data) == 0)
    kill (getpid (), SIGKILL);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlRpcLoop) rpc = tl_rpc_loop_new (NULL);
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (TlNodeState) state = NULL;
  g_autoptr (TlNodeConfig) config = NULL;
  g_autoptr (TlNodeRuntime) runtime = NULL;
  TlNodeRuntimeParts parts = { .renewal_observer = on_step };

  g_assert_cmpint (argc, ==, 3);
  parts.renewal_observer_data = argv[2];
  state = tl_node_state_open (argv[1], NULL, &error);
  g_assert_no_error (error);
  config = tl_node_config_load (NULL, &error);
  g_assert_no_error (error);
  runtime = tl_node_runtime_new_with_parts (rpc, state, config, &parts, &error);
  g_assert_no_error (error);
  tl_node_runtime_start (runtime, &error);
  g_assert_no_error (error);
  g_main_loop_run (loop);
  return 0;
}
