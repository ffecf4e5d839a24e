/* SPDX-License-Identifier: Apache-2.0 */

/* renewal-gateway CONFIG STATE_DIR SOCKET STEP: a gateway as twinlatchd runs it, that dies when a renewal reaches STEP.
 */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/tl-file.h"
#include "daemon/tl-gateway.h"
#include "daemon/tl-renewal-service.h"

static void
on_step (TlRenewalDeskStep step, gpointer user_data)
{
  if (strcmp (tl_renewal_desk_step_to_string (step), user_data) == 0)
    kill (getpid (), SIGKILL);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autofree char *socket_dir = NULL;
  TlGatewayOptions options = { .user = TRUE };
  TlGateway *gateway;

  g_assert_cmpint (argc, ==, 5);
  options.config = tl_daemon_config_load (argv[1], TRUE, &error);
  g_assert_no_error (error);
  options.state_dir = argv[2];
  options.admin_socket = argv[3];
  socket_dir = g_path_get_dirname (argv[3]);
  tl_dir_ensure (socket_dir, 0700, &error);
  g_assert_no_error (error);
  gateway = tl_gateway_open (&options, &error);
  g_assert_no_error (error);
  tl_renewal_desk_set_observer (tl_renewal_service_desk (gateway->renewal), on_step, argv[4]);
  printf ("{\"ready\":true,\"gateway_id\":\"%s\",\"admin_socket\":\"%s\"}\n",
          tl_gateway_identity_id (gateway->identity), argv[3]);
  fflush (stdout);
  g_main_loop_run (loop);
  return 0;
}
