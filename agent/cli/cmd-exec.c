/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-exec-output.h"
#include "agent/cli/tl-request-follow.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"
#include "twinlatch/v1/admin.pb-c.h"

#define MIN_TIMEOUT_MS 1000
#define MAX_TIMEOUT_MS 3600000 /* PROTOCOL 4.2 */
#define MAX_EXPIRY_MS  (G_GINT64_CONSTANT (7) * 86400 * 1000)
#define MAX_OUTPUT     (4 * 1024 * 1024)

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__ExecuteCapabilityRequest request = TWINLATCH__V1__EXECUTE_CAPABILITY_REQUEST__INIT;
  g_autofree char *input = tl_exec_input (tl_args_argument (args, 2), error);

  if (input == NULL)
    return FALSE;
  request.device = (char *)tl_args_argument (args, 0);
  request.capability = (char *)tl_args_argument (args, 1);
  request.input = input;
  request.timeout_ms = tl_args_number (args, "timeout", 0);
  request.expires_in_ms = tl_args_number (args, "expires", 0);
  request.max_payload_bytes = (guint32)tl_args_number (args, "max-output", 0);
  request.no_wait = tl_args_flag (args, "no-wait");
  return tl_request_follow (cli, "ExecuteCapability", &request.base,
                            (tl_args_flag (args, "raw") ? TL_FOLLOW_RAW : 0)
                                | (tl_args_flag (args, "detach") ? TL_FOLLOW_DETACH : 0),
                            error);
}

static const TlOption options[] = {
  { "timeout", TL_OPTION_DURATION, "D", N_ ("how long it may run on the device: 1s to 1h (default 30s)"),
    MIN_TIMEOUT_MS, MAX_TIMEOUT_MS },
  { "expires", TL_OPTION_DURATION, "D", N_ ("how long it waits for the device: 1s to 7d (default 5m)"), MIN_TIMEOUT_MS,
    MAX_EXPIRY_MS },
  { "no-wait", TL_OPTION_FLAG, NULL, N_ ("fail at once when the device is not connected, do not queue") },
  { "detach", TL_OPTION_FLAG, NULL, N_ ("print the request's id as soon as the gateway has it, do not wait") },
  { "max-output", TL_OPTION_INTEGER, "BYTES", N_ ("limit of input and output (default 65536, at most 4194304)"), 1,
    MAX_OUTPUT },
  { "raw", TL_OPTION_FLAG, NULL, N_ ("print a file's bytes or a string as they are, not JSON") },
  { NULL },
};

const TlVerb tl_verb_exec = {
  .path = "exec",
  .arguments = "DEVICE CAPABILITY [JSON|-]",
  .min_arguments = 2,
  .max_arguments = 3,
  .summary = N_ ("run a capability on a device and print its output"),
  .details
  = N_ ("The input is JSON, {} when left out, - reads it from standard input. It is checked before anything is sent. A "
        "device\n"
        "that is not connected gets the request when it comes back, within --expires, unless --no-wait is given.\n"
        "Ctrl-C stops waiting; the request goes on. 'requests show ID --follow' waits again, 'requests cancel ID' ends "
        "it."),
  .options = options,
  .run = run,
};
