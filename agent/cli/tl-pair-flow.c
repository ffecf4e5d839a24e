/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-pair-flow.h"

#include <glib-unix.h>
#include <glib/gi18n.h>

#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-prompt.h"
#include "agent/cli/tl-text.h"
#include "agent/node/tl-pairing-client.h"
#include "base/tl-error.h"
#include "pairing/tl-pairing-code.h"
#include "tl-config-build.h"

typedef struct
{
  TlCli *cli;
  GMainLoop *loop;
  TlPairingClient *client;
  TlNodeState *state;
  GError *error;
  gboolean done;
} Flow;

static void
on_comparison (TlPairingClient *client, const char *digits, gpointer user_data)
{
  Flow *flow = user_data;
  g_autofree char *grouped = tl_text_group_digits (digits);

  (void)client;
  if (tl_cli_is_json (flow->cli))
    {
      tl_cli_print_json (flow->cli, json_pack ("{s:s, s:s}", "event", "comparison", "digits", digits));
      return;
    }
  tl_cli_print (
      flow->cli,
      _ ("\n    %s\n\nRead these six digits to the person who approves devices on the gateway. They type them\n"
         "with: twinlatch pairing approve\n"),
      grouped);
}

static void
on_waiting (TlPairingClient *client, const char *request_id, gint64 expires_at_ms, gpointer user_data)
{
  Flow *flow = user_data;
  g_autofree char *until = NULL;

  (void)client;
  if (tl_cli_is_json (flow->cli))
    {
      tl_cli_print_json (flow->cli, json_pack ("{s:s, s:s, s:I}", "event", "waiting", "request_id", request_id,
                                               "expires_at_unix_ms", (json_int_t)expires_at_ms));
      return;
    }
  until = tl_cli_time (flow->cli, expires_at_ms);
  tl_cli_print (flow->cli, _ ("Request %s waits for approval; it ends %s. Ctrl-C cancels.\n"), request_id, until);
}

static void
on_done (TlPairingClient *client, TlNodeState *state, const GError *error, gpointer user_data)
{
  Flow *flow = user_data;

  (void)client;
  flow->done = TRUE;
  flow->state = state;
  if (error != NULL)
    flow->error = g_error_copy (error);
  g_main_loop_quit (flow->loop);
}

static gboolean
on_signal (gpointer user_data)
{
  Flow *flow = user_data;

  tl_pairing_client_cancel (flow->client); /* on_done quits the loop */
  return G_SOURCE_CONTINUE;
}

static TlNodeState *
run_client (TlCli *cli, const TlPairingClientOptions *options, GError **error)
{
  static const TlPairingClientHandlers handlers = { on_comparison, on_waiting, on_done };
  Flow flow = { .cli = cli };
  guint sigint, sigterm;

  flow.loop = g_main_loop_new (NULL, FALSE);
  sigint = g_unix_signal_add (SIGINT, on_signal, &flow);
  sigterm = g_unix_signal_add (SIGTERM, on_signal, &flow);
  flow.client = tl_pairing_client_new (tl_cli_loop (cli), options, &handlers, &flow, error);
  if (flow.client != NULL && !flow.done)
    g_main_loop_run (flow.loop);
  g_source_remove (sigint);
  g_source_remove (sigterm);
  tl_pairing_client_free (flow.client);
  g_main_loop_unref (flow.loop);

  if (flow.error != NULL)
    g_propagate_error (error, flow.error);
  return flow.state;
}

/* Known already? Found out before anybody approves anything. */
static gboolean
check_not_paired (TlCli *cli, const char *gateway_id, GError **error)
{
  g_autoptr (TlNodeState) state = tl_node_state_open (tl_cli_state_dir (cli), gateway_id, NULL);

  if (state == NULL)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_ALREADY_EXISTS,
               _ ("this computer is paired with gateway %s already; give --replace to pair anew"), gateway_id);
  return FALSE;
}

static gboolean
confirm_link (TlCli *cli, const TlPairingLink *link, gboolean yes, GError **error)
{
  g_autofree char *addresses = g_strjoinv (", ", (char **)tl_pairing_link_addresses (link));
  const char *name = tl_pairing_link_name (link);
  g_autoptr (TlTable) table = tl_table_new_pairs ();
  g_autofree char *text = NULL;

  tl_table_add_pair (table, _ ("  Gateway"), name);
  tl_table_add_pair (table, _ ("  Id"), tl_pairing_link_gateway_id (link));
  tl_table_add_pair (table, _ ("  Addresses"), addresses);
  text = tl_table_render (table, FALSE);
  tl_cli_note (cli, _ ("This link says (UNVERIFIED, anybody can write this into a link):\n%s"), text);
  return tl_prompt_require (yes, _ ("Connect?"), error);
}

static TlNodeState *
pair_by_link (TlCli *cli, const TlPairFlowOptions *options, const char *text, GError **error)
{
  g_autoptr (TlPairingLink) link = tl_pairing_link_parse (text, error);
  TlPairingClientOptions client_options = { 0 };

  if (link == NULL)
    return NULL;
  if (options->gateway != NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE,
                           _ ("a link holds the gateway's addresses; leave --gateway out, it goes with a PIN"));
      return NULL;
    }
  if (!options->replace && !check_not_paired (cli, tl_pairing_link_gateway_id (link), error))
    return NULL;
  if (!confirm_link (cli, link, options->yes, error))
    return NULL;

  client_options.link = link;
  client_options.node_dir = tl_cli_state_dir (cli);
  client_options.device_name = options->name;
  client_options.client_kind = options->kind;
  client_options.replace = options->replace;
  return run_client (cli, &client_options, error);
}

static char *
ask_address (GError **error)
{
  g_autoptr (TlSecret) line = tl_prompt_line (_ ("Address of the gateway (HOST or HOST:PORT): "), error);
  g_autofree char *text = NULL;

  if (line == NULL)
    {
      g_prefix_error (error, _ ("a PIN needs --gateway HOST[:PORT]: "));
      return NULL;
    }
  text = g_strndup ((const char *)tl_secret_data (line), tl_secret_length (line));
  return tl_address_normalise (g_strstrip (text), TL_DEFAULT_PORT, error);
}

static TlNodeState *
pair_by_pin (TlCli *cli, const TlPairFlowOptions *options, const char *text, GError **error)
{
  g_autoptr (TlSecret) digits = NULL;
  g_autofree char *address = NULL;
  TlPairingClientOptions client_options = { 0 };
  guint slot = 0;

  if (!tl_pairing_pin_parse (text, &slot, &digits, error))
    return NULL;
  address = options->gateway != NULL ? tl_address_normalise (options->gateway, TL_DEFAULT_PORT, error)
                                     : ask_address (error);
  if (address == NULL)
    return NULL;

  client_options.address = address;
  client_options.slot = slot;
  client_options.pin_digits = digits;
  client_options.node_dir = tl_cli_state_dir (cli);
  client_options.device_name = options->name;
  client_options.client_kind = options->kind;
  client_options.replace = options->replace;
  tl_cli_note (cli, _ ("Connecting to %s ...\n"), address);
  return run_client (cli, &client_options, error);
}

static TlSecret *
get_code (const TlPairFlowOptions *options, GError **error)
{
  TlSecret *code;

  if (options->from != NULL)
    return tl_prompt_read_code (options->from, error);
  if (!tl_prompt_available ())
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE,
                           _ ("there is no terminal to ask for the PIN or link; give it with --from FILE or --from -"));
      return NULL;
    }
  code = tl_prompt_line (_ ("PIN or link: "), error);
  return code;
}

TlNodeState *
tl_pair_flow_run (TlCli *cli, const TlPairFlowOptions *options, GError **error)
{
  g_autoptr (TlSecret) code = NULL;
  const char *text;

  if (options->name != NULL && !tl_pairing_name_check ("--name", options->name, error))
    return NULL;
  code = get_code (options, error);
  if (code == NULL)
    return NULL;
  text = (const char *)tl_secret_data (code);
  return tl_pairing_link_is_link (text) ? pair_by_link (cli, options, text, error)
                                        : pair_by_pin (cli, options, text, error);
}

void
tl_pair_flow_print_paired (TlCli *cli, TlNodeState *state, const TlPairFlowOptions *options)
{
  const TlNodeMarker *marker = tl_node_state_marker (state);
  g_autofree char *name = tl_text_escape (marker->gateway_name);
  g_autofree char *device_name = tl_text_escape (marker->device_name);

  if (tl_cli_is_json (cli))
    {
      json_t *object = json_pack ("{s:s}", "event", "paired");

      json_object_set_new (object, "gateway_id", tl_json_text (marker->gateway_id));
      json_object_set_new (object, "gateway_name", tl_json_text (marker->gateway_name));
      json_object_set_new (object, "device_id", tl_json_text (marker->device_id));
      json_object_set_new (object, "device_name", tl_json_text (marker->device_name));
      json_object_set_new (object, "fingerprint", tl_json_text (marker->fingerprint));
      tl_cli_print_json (cli, object);
      return;
    }
  tl_cli_print (cli, _ ("Paired with %s (%s) as %s (%s).\n"), name, marker->gateway_id, device_name, marker->device_id);
  if (options->kind == TL_CLIENT_CLI)
    tl_cli_print (cli, _ ("If it was paired as an operator, try: twinlatch status --gateway %s\n"), marker->gateway_id);
  else
    tl_cli_print (cli, _ ("Make it a service with: twinlatch node install %s--start\n"),
                  options->system ? "--system " : "");
}
