/* SPDX-License-Identifier: Apache-2.0 */
#include <glib-unix.h>
#include <glib/gi18n.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-node-scope.h"
#include "agent/cli/tl-pair-flow.h"
#include "agent/cli/tl-prompt.h"
#include "agent/cli/tl-verb.h"
#include "agent/node/tl-node-runtime.h"
#include "base/tl-error.h"
#include "base/tl-log.h"

#define STOP_GRACE_MS 5000

typedef struct
{
  TlCli *cli;
  const TlNodeMarker *marker;
  TlNodeRuntime *runtime;
  GMainLoop *loop;
  gboolean prints_ready;
  gboolean was_connected;
  gboolean stopping;
  GError *ended; /* it stopped without being asked: why */
} Run;

static void
print_ready (Run *run)
{
  json_t *object = json_pack ("{s:b, s:i}", "ready", TRUE, "pid", (int)getpid ());

  json_object_set_new (object, "gateway_id", tl_json_text (run->marker->gateway_id));
  json_object_set_new (object, "device_id", tl_json_text (run->marker->device_id));
  tl_cli_print_json (run->cli, object);
}

static void
on_state (TlNodeRuntime *runtime, TlNodeRunState state, const char *detail, gpointer user_data)
{
  Run *run = user_data;
  const char *name = tl_node_run_state_to_string (state);

  (void)runtime;
  sd_notifyf (0, "STATUS=%s%s%s", name, detail != NULL ? ": " : "", detail != NULL ? detail : "");
  if (state == TL_NODE_STOPPED && !run->stopping)
    {
      run->ended = g_error_new (TL_ERROR, TL_ERROR_IN_USE, _ ("the node stopped: %s"), detail);
      g_main_loop_quit (run->loop);
      return;
    }
  if (state != TL_NODE_CONNECTED || run->was_connected)
    return;
  run->was_connected = TRUE;
  if (run->prints_ready)
    print_ready (run);
}

static void
on_stopped (gpointer data, gpointer user_data)
{
  Run *run = user_data;

  (void)data;
  g_main_loop_quit (run->loop);
}

static gboolean
on_signal (gpointer user_data)
{
  Run *run = user_data;

  if (run->stopping) /* asked twice: whoever asks does not want to wait */
    {
      g_main_loop_quit (run->loop);
      return G_SOURCE_CONTINUE;
    }
  run->stopping = TRUE;
  sd_notify (0, "STOPPING=1");
  tl_node_runtime_stop (run->runtime, STOP_GRACE_MS, on_stopped, run);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_watchdog (gpointer user_data)
{
  (void)user_data;
  sd_notify (0, "WATCHDOG=1");
  return G_SOURCE_CONTINUE;
}

/* From the main loop: a loop that hangs stops telling, and systemd starts the node anew. 0: no watchdog. */
static guint
feed_watchdog (void)
{
  guint64 watchdog_us = 0;

  if (sd_watchdog_enabled (0, &watchdog_us) <= 0 || watchdog_us < 3000)
    return 0;
  return g_timeout_add ((guint)(watchdog_us / 3000), on_watchdog, NULL);
}

static gboolean
work (TlCli *cli, TlNodeState *state, TlNodeConfig *config, gboolean prints_ready, GError **error)
{
  Run run = { .cli = cli, .marker = tl_node_state_marker (state), .prints_ready = prints_ready };
  g_autoptr (TlNodeRuntime) runtime = tl_node_runtime_new (state, config, error);
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  guint sigint, sigterm, watchdog;

  if (runtime == NULL)
    return FALSE;
  run.runtime = runtime;
  run.loop = loop;
  tl_node_runtime_set_state_func (runtime, on_state, &run);
  if (!tl_node_runtime_start (runtime, error))
    return FALSE;
  sigint = g_unix_signal_add (SIGINT, on_signal, &run);
  sigterm = g_unix_signal_add (SIGTERM, on_signal, &run);
  watchdog = feed_watchdog ();
  /* Working, not connected: the gateway may be away for days, and who starts us should not wait for it. */
  sd_notify (0, "READY=1");
  g_main_loop_run (loop);
  g_source_remove (sigint);
  g_source_remove (sigterm);
  if (watchdog > 0)
    g_source_remove (watchdog);
  if (run.ended == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&run.ended));
  return FALSE;
}

static gboolean
add_roots (TlNodeConfig *config, const char *const *roots, GError **error)
{
  for (; *roots != NULL; roots++)
    {
      const char *equals = strchr (*roots, '=');
      g_autofree char *name = equals != NULL ? g_strndup (*roots, (gsize)(equals - *roots)) : NULL;

      if (name == NULL)
        {
          g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE, _ ("--root must be NAME=PATH, such as docs=/srv/docs"));
          return FALSE;
        }
      if (!tl_node_config_add_root (config, name, equals + 1, error))
        return FALSE;
    }
  return TRUE;
}

static TlNodeConfig *
load_config (TlCli *cli, TlArgs *args, GError **error)
{
  const char *path = tl_args_text (args, "config");
  const char *transport = tl_args_text (args, "transport");
  g_autoptr (TlNodeConfig) config = path == NULL && tl_args_flag (args, "system") ? tl_node_config_load_system (error)
                                                                                  : tl_node_config_load (path, error);
  TlLogLevel level = TL_LOG_INFO;

  if (config == NULL)
    {
      tl_cli_set_exit_code (cli, TL_EXIT_CONFIG);
      return NULL;
    }
  if (!add_roots (config, tl_args_list (args, "root"), error))
    return NULL;
  if (transport != NULL && !tl_node_config_set_transport (config, transport, error))
    return NULL;
  tl_log_level_parse (tl_config_get_string (config->config, "node", "log-level"), &level);
  tl_log_init ("twinlatch", level);
  return g_steal_pointer (&config);
}

/* The pairing to work with; makes one when there is none and a code can be had. */
static TlNodeState *
open_or_pair (TlCli *cli, TlArgs *args, TlNodeConfig *config, GError **error)
{
  g_autoptr (GPtrArray) gateways = tl_node_state_list (tl_cli_state_dir (cli), error);
  TlPairFlowOptions options = {
    .gateway = tl_args_text (args, "gateway"),
    .from = tl_args_text (args, "from"),
    .name = tl_config_get_string (config->config, "node", "name"),
    .kind = TL_CLIENT_NODE,
    .yes = tl_args_flag (args, "yes"),
    .system = tl_args_flag (args, "system"),
  };
  TlNodeState *state;

  if (gateways == NULL)
    return NULL;
  if (gateways->len > 0)
    return tl_node_state_open (tl_cli_state_dir (cli), options.gateway, error);
  if (options.from == NULL && !tl_prompt_available ())
    {
      g_set_error_literal (
          error, TL_ERROR, TL_ERROR_NOT_PAIRED,
          _ ("this computer is not paired with any gateway; run twinlatch node pair first, or give --from"));
      return NULL;
    }
  state = tl_pair_flow_run (cli, &options, error);
  if (state != NULL)
    tl_pair_flow_print_paired (cli, state, &options);
  return state;
}

static gboolean
run_verb (TlCli *cli, TlArgs *args, GError **error)
{
  g_autoptr (TlNodeConfig) config = NULL;
  g_autoptr (TlNodeState) state = NULL;

  tl_secret_harden_process ();
  if (!tl_node_scope_enter (cli, tl_args_flag (args, "system"), error))
    return FALSE;
  config = load_config (cli, args, error);
  if (config == NULL)
    return FALSE;
  state = open_or_pair (cli, args, config, error);
  if (state == NULL)
    return FALSE;
  tl_cli_drop_loop (cli); /* of pairing: a node has gRPC only while it needs it */
  return work (cli, state, config, tl_args_flag (args, "print-ready"), error);
}

static const TlOption options[] = {
  { "gateway", TL_OPTION_TEXT, "NAME", N_ ("which paired gateway, by name or id; or the address to pair with by PIN") },
  { "config", TL_OPTION_TEXT, "FILE", N_ ("configuration, see twinlatch-node.conf(5)") },
  { "root", TL_OPTION_LIST, "NAME=PATH", N_ ("a directory that fs.list and fs.read may read; may be repeated") },
  { "transport", TL_OPTION_TEXT, "NAME", N_ ("auto, quic or grpc, instead of what the configuration says") },
  { "from", TL_OPTION_TEXT, "FILE",
    N_ ("pair first with the PIN or link in a file (- is standard input), when not paired") },
  { "yes", TL_OPTION_FLAG, NULL, N_ ("when pairing, connect to what a link names without asking") },
  { "system", TL_OPTION_FLAG, NULL,
    N_ ("as the node of the whole computer: /var/lib/twinlatch-node, /etc/twinlatch/node.conf") },
  { "print-ready", TL_OPTION_FLAG, NULL, N_ ("print one line of JSON when connected for the first time") },
  { NULL },
};

const TlVerb tl_verb_node_run = {
  .path = "node run",
  .arguments = "",
  .summary = N_ ("work as a node: run what operators ask for"),
  .details = N_ ("Runs until SIGTERM or SIGINT and reconnects by itself. Pairs first when this computer is not paired "
                 "and a terminal or\n"
                 "--from gives a code. Logs to the journal or standard error; tells systemd when it works and, with a "
                 "watchdog, that it\n"
                 "still does."),
  .options = options,
  .refuses_codes = TRUE,
  .run = run_verb,
};
