/* SPDX-License-Identifier: Apache-2.0 */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "rpc/tl-rpc.h"
#include "twinlatch/v1/admin.pb-c.h"

/*
 * The operator's verbs against a gateway that is played here: the program talks to an AdminService on a local socket,
 * served by this process.
 */
#define N_DEVICES 5
#define PAGE      2
#define SERVICE   "/twinlatch.v1.AdminService/"

typedef struct
{
  char *folder;
  char *socket;
  TlRpcLoop *loop;
  TlRpcServer *server;
  guint list_calls;
  char *revoked;      /* device of the last RevokeDevice */
  char *decided_code; /* digits of the last DecidePairing */
  char *input;        /* of the last ExecuteCapability */
  gint64 timeout_ms;
  gboolean exec_hangs; /* ExecuteCapability stops after the first state */
  gboolean exec_cancelled;
  TlRpcCall *waiting;
} Gateway;

typedef struct
{
  int exit_code;
  char *out;
  char *err;
  gboolean done;
} Outcome;

static void
outcome_clear (Outcome *outcome)
{
  g_free (outcome->out);
  g_free (outcome->err);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Outcome, outcome_clear)

static void
on_list_devices (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Gateway *gateway = user_data;
  const Twinlatch__V1__ListDevicesRequest *request = (const Twinlatch__V1__ListDevicesRequest *)message;
  Twinlatch__V1__ListDevicesResponse answer = TWINLATCH__V1__LIST_DEVICES_RESPONSE__INIT;
  Twinlatch__V1__Device devices[PAGE] = { TWINLATCH__V1__DEVICE__INIT, TWINLATCH__V1__DEVICE__INIT };
  Twinlatch__V1__Device *pointers[PAGE] = { &devices[0], &devices[1] };
  guint first = (guint)g_ascii_strtoull (request->page->page_token, NULL, 10);
  g_autofree char *token = g_strdup_printf ("%u", first + PAGE);
  g_autofree char *first_id = g_strdup_printf ("01DEVICE%u", first);
  g_autofree char *second_id = g_strdup_printf ("01DEVICE%u", first + 1);

  gateway->list_calls++;
  for (guint i = 0; i < PAGE; i++)
    {
      devices[i].name = (char *)"lap\033[31mtop\nforged";
      devices[i].state = TWINLATCH__V1__DEVICE_STATE__DEVICE_STATE_ACTIVE;
    }
  devices[0].device_id = first_id;
  devices[1].device_id = second_id;
  answer.n_devices = MIN (PAGE, N_DEVICES - first);
  answer.devices = pointers;
  if (first + PAGE < N_DEVICES)
    answer.next_page_token = token;
  tl_rpc_call_reply (call, &answer.base);
}

static void
on_list_nodes (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Twinlatch__V1__ListNodesResponse answer = TWINLATCH__V1__LIST_NODES_RESPONSE__INIT;

  (void)message;
  (void)user_data;
  answer.next_page_token = (char *)"again"; /* for ever */
  tl_rpc_call_reply (call, &answer.base);
}

static void
on_revoke (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Gateway *gateway = user_data;
  Twinlatch__V1__RevokeDeviceResponse answer = TWINLATCH__V1__REVOKE_DEVICE_RESPONSE__INIT;

  g_free (gateway->revoked);
  gateway->revoked = g_strdup (((const Twinlatch__V1__RevokeDeviceRequest *)message)->device);
  answer.already = TRUE;
  tl_rpc_call_reply (call, &answer.base);
}

static void
on_get_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  (void)message;
  (void)user_data;
  g_set_error_literal (&error, TL_ERROR, TL_ERROR_AMBIGUOUS, "two devices are called \"laptop\"; give an id");
  tl_rpc_call_finish (call, error);
}

static void
on_decide (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Gateway *gateway = user_data;
  Twinlatch__V1__PairingRequest request = TWINLATCH__V1__PAIRING_REQUEST__INIT;
  Twinlatch__V1__DecidePairingResponse answer = TWINLATCH__V1__DECIDE_PAIRING_RESPONSE__INIT;

  g_free (gateway->decided_code);
  gateway->decided_code = g_strdup (((const Twinlatch__V1__DecidePairingRequest *)message)->code);
  request.device_name = (char *)"laptop";
  answer.request = &request;
  tl_rpc_call_reply (call, &answer.base);
}

static void
on_mint (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__MintNodePairingCodeRequest *request = (const Twinlatch__V1__MintNodePairingCodeRequest *)message;
  Twinlatch__V1__PairingCode code = TWINLATCH__V1__PAIRING_CODE__INIT;
  Twinlatch__V1__MintNodePairingCodeResponse answer = TWINLATCH__V1__MINT_NODE_PAIRING_CODE_RESPONSE__INIT;

  (void)user_data;
  code.method = request->method;
  code.code_id = (char *)"01CODE";
  answer.code = &code;
  answer.secret = (char *)(request->method == TWINLATCH__V1__CODE_METHOD__CODE_METHOD_PIN ? "7-1234-5678"
                                                                                          : "twinlatch:pair?v=1&t=X");
  tl_rpc_call_reply (call, &answer.base);
}

static void
send_state (TlRpcCall *call, Twinlatch__V1__RequestState state, const char *output, const char *error,
            const char *reason)
{
  Twinlatch__V1__ExecuteCapabilityResponse answer = TWINLATCH__V1__EXECUTE_CAPABILITY_RESPONSE__INIT;

  answer.request_id = (char *)"01REQUEST";
  answer.device_id = (char *)"01DEVICE";
  answer.state = state;
  answer.output = (char *)output;
  answer.error = (char *)error;
  answer.error_reason = (char *)reason;
  tl_rpc_call_send (call, &answer.base);
}

static void
on_execute (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Gateway *gateway = user_data;
  const Twinlatch__V1__ExecuteCapabilityRequest *request = (const Twinlatch__V1__ExecuteCapabilityRequest *)message;

  g_free (gateway->input);
  gateway->input = g_strdup (request->input);
  gateway->timeout_ms = request->timeout_ms;
  send_state (call, TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_QUEUED, "", "", "");
  if (gateway->exec_hangs)
    {
      gateway->waiting = tl_rpc_call_ref (call);
      return;
    }
  if (g_str_equal (request->capability, "fail"))
    send_state (call, TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_FAILED, "", "no such file", "not_found");
  else if (g_str_equal (request->capability, "deny"))
    send_state (call, TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_DENIED, "", "policy says no", "capability_denied");
  else if (g_str_equal (request->capability, "slow"))
    send_state (call, TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_TIMED_OUT, "", "", "timed_out");
  else if (!g_str_equal (request->capability, "vanish"))
    send_state (call, TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_SUCCEEDED,
                "{\"encoding\":\"base64\",\"data\":\"AAE=\"}", "", "");
  tl_rpc_call_finish (call, NULL);
}

static void
on_execute_cancelled (TlRpcCall *call, gpointer user_data)
{
  Gateway *gateway = user_data;

  (void)call;
  gateway->exec_cancelled = TRUE;
}

static void
on_watch (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Gateway *gateway = user_data;
  Twinlatch__V1__PairingRequest request = TWINLATCH__V1__PAIRING_REQUEST__INIT;

  (void)message;
  request.request_id = (char *)"01REQUEST";
  request.state = TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_PENDING_APPROVAL;
  tl_rpc_call_send (call, &request.base);
  gateway->waiting = tl_rpc_call_ref (call);
}

/* A gap, two events, and the stream is over. */
static void
on_watch_events (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Gateway *gateway = user_data;
  const Twinlatch__V1__WatchEventsRequest *request = (const Twinlatch__V1__WatchEventsRequest *)message;
  Twinlatch__V1__WatchEventsResponse answer = TWINLATCH__V1__WATCH_EVENTS_RESPONSE__INIT;
  Twinlatch__V1__GatewayEvent events[2] = { TWINLATCH__V1__GATEWAY_EVENT__INIT, TWINLATCH__V1__GATEWAY_EVENT__INIT };
  Twinlatch__V1__GatewayEvent *pointers[2] = { &events[0], &events[1] };

  g_free (gateway->input);
  gateway->input = g_strdup_printf ("from %" G_GUINT64_FORMAT " now %d follow %d", request->from, request->from_now,
                                    request->follow);
  for (guint i = 0; i < 2; i++)
    {
      events[i].seq = 7 + i;
      events[i].kind = (char *)"code.minted";
      events[i].actor = (char *)"uid:0\nforged";
      events[i].detail = (char *)(i == 0 ? "{\"a\":1}" : "{}");
    }
  answer.events = pointers;
  answer.n_events = 2;
  answer.oldest = 7;
  answer.position = 8;
  tl_rpc_call_send (call, &answer.base);
  tl_rpc_call_finish (call, NULL);
}

static const TlRpcMethod methods[] = {
  { SERVICE "ListDevices", TL_RPC_UNARY, TL_RPC_AUTH_LOCAL, &twinlatch__v1__list_devices_request__descriptor,
    &twinlatch__v1__list_devices_response__descriptor, 4096, on_list_devices },
  { SERVICE "ListNodes", TL_RPC_UNARY, TL_RPC_AUTH_LOCAL, &twinlatch__v1__list_nodes_request__descriptor,
    &twinlatch__v1__list_nodes_response__descriptor, 4096, on_list_nodes },
  { SERVICE "RevokeDevice", TL_RPC_UNARY, TL_RPC_AUTH_LOCAL, &twinlatch__v1__revoke_device_request__descriptor,
    &twinlatch__v1__revoke_device_response__descriptor, 4096, on_revoke },
  { SERVICE "GetDevice", TL_RPC_UNARY, TL_RPC_AUTH_LOCAL, &twinlatch__v1__get_device_request__descriptor,
    &twinlatch__v1__get_device_response__descriptor, 4096, on_get_device },
  { SERVICE "DecidePairing", TL_RPC_UNARY, TL_RPC_AUTH_LOCAL, &twinlatch__v1__decide_pairing_request__descriptor,
    &twinlatch__v1__decide_pairing_response__descriptor, 4096, on_decide },
  { SERVICE "MintNodePairingCode", TL_RPC_UNARY, TL_RPC_AUTH_LOCAL,
    &twinlatch__v1__mint_node_pairing_code_request__descriptor,
    &twinlatch__v1__mint_node_pairing_code_response__descriptor, 4096, on_mint },
  { SERVICE "ExecuteCapability", TL_RPC_SERVER_STREAM, TL_RPC_AUTH_LOCAL,
    &twinlatch__v1__execute_capability_request__descriptor, &twinlatch__v1__execute_capability_response__descriptor,
    65536, on_execute, NULL, on_execute_cancelled },
  { SERVICE "WatchPairingRequests", TL_RPC_SERVER_STREAM, TL_RPC_AUTH_LOCAL,
    &twinlatch__v1__watch_pairing_requests_request__descriptor, &twinlatch__v1__pairing_request__descriptor, 4096,
    on_watch, NULL, on_execute_cancelled },
  { SERVICE "WatchEvents", TL_RPC_SERVER_STREAM, TL_RPC_AUTH_LOCAL, &twinlatch__v1__watch_events_request__descriptor,
    &twinlatch__v1__watch_events_response__descriptor, 4096, on_watch_events },
};

static void
set_up (Gateway *gateway, gconstpointer data)
{
  const TlRpcServerOptions options = { 0 };
  g_autoptr (GError) error = NULL;

  (void)data;
  gateway->folder = g_dir_make_tmp ("twinlatch-operator-XXXXXX", NULL);
  gateway->socket = g_build_filename (gateway->folder, "admin.sock", NULL);
  gateway->loop = tl_rpc_loop_new (NULL);
  gateway->server = tl_rpc_server_new (gateway->loop, &options);
  tl_rpc_server_add_methods (gateway->server, methods, G_N_ELEMENTS (methods), gateway);
  g_assert_true (tl_rpc_server_listen_local (gateway->server, gateway->socket, 0600, NULL, &error));
  g_assert_true (tl_rpc_server_start (gateway->server, &error));
  g_assert_no_error (error);
}

static void
on_shut_down (gpointer data, gpointer user_data)
{
  (void)data;
  *(gboolean *)user_data = TRUE;
}

static void
tear_down (Gateway *gateway, gconstpointer data)
{
  gboolean down = FALSE;

  (void)data;
  g_clear_pointer (&gateway->waiting, tl_rpc_call_unref);
  tl_rpc_server_shutdown (gateway->server, 0, on_shut_down, &down);
  while (!down)
    g_main_context_iteration (NULL, TRUE);
  tl_rpc_server_unref (gateway->server);
  tl_rpc_loop_unref (gateway->loop);
  g_remove (gateway->socket);
  g_assert_cmpint (g_rmdir (gateway->folder), ==, 0);
  g_free (gateway->socket);
  g_free (gateway->folder);
  g_free (gateway->revoked);
  g_free (gateway->decided_code);
  g_free (gateway->input);
}

static void
in_child (gpointer data)
{
  (void)data;
  setsid (); /* no terminal, even when the tests have one */
}

static void
on_communicated (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Outcome *outcome = user_data;
  g_autoptr (GError) error = NULL;

  g_subprocess_communicate_utf8_finish (G_SUBPROCESS (source), result, &outcome->out, &outcome->err, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_if_exited (G_SUBPROCESS (source)));
  outcome->exit_code = g_subprocess_get_exit_status (G_SUBPROCESS (source));
  outcome->done = TRUE;
}

/* interrupts: SIGINT once the gateway holds a call. */
static Outcome
run_until (Gateway *gateway, const char *line, gboolean interrupts)
{
  g_autofree char *full = g_strconcat (TL_TEST_TWINLATCH " --socket ", gateway->socket, " ", line, NULL);
  g_autoptr (GSubprocessLauncher) launcher
      = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) argv = NULL;
  Outcome outcome = { 0 };

  g_assert_true (g_shell_parse_argv (full, NULL, &argv, NULL));
  g_subprocess_launcher_set_child_setup (launcher, in_child, NULL, NULL);
  g_subprocess_launcher_setenv (launcher, "LC_ALL", "C.UTF-8", TRUE);
  process = g_subprocess_launcher_spawnv (launcher, (const char *const *)argv, &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8_async (process, NULL, NULL, on_communicated, &outcome);
  while (!outcome.done)
    {
      g_main_context_iteration (NULL, TRUE);
      if (interrupts && gateway->waiting != NULL)
        {
          g_subprocess_send_signal (process, SIGINT);
          interrupts = FALSE;
        }
    }
  g_test_message ("%s: %d\n%s%s", line, outcome.exit_code, outcome.out, outcome.err);
  return outcome;
}

static Outcome
run (Gateway *gateway, const char *line)
{
  return run_until (gateway, line, FALSE);
}

static void
test_all_pages (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) outcome = run (gateway, "devices list --json");
  tl_json_auto object = tl_json_parse (outcome.out, -1, 0, NULL);
  json_t *items = json_object_get (object, "items");

  (void)data;
  g_assert_cmpint (outcome.exit_code, ==, 0);
  g_assert_cmpuint (gateway->list_calls, ==, 3);
  g_assert_cmpuint (json_array_size (items), ==, N_DEVICES);
  g_assert_cmpstr (json_string_value (json_object_get (json_array_get (items, 4), "device_id")), ==, "01DEVICE4");
  g_assert_cmpstr (json_string_value (json_object_get (json_array_get (items, 0), "state")), ==, "active");
}

static void
test_foreign_names (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) outcome = run (gateway, "devices list");

  (void)data;
  g_assert_null (strchr (outcome.out, '\033'));
  g_assert_nonnull (strstr (outcome.out, "lap\\u{1b}[31mtop\\u{a}forged"));
  g_assert_true (g_str_has_prefix (outcome.out, "DEVICE     NAME"));
}

static void
test_endless_list (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) outcome = run (gateway, "nodes list");

  (void)data;
  g_assert_cmpint (outcome.exit_code, ==, TL_EXIT_FAILURE);
  g_assert_nonnull (strstr (outcome.err, "same page"));
}

static void
test_gateway_error (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) people = run (gateway, "devices show laptop");
  g_auto (Outcome) json = run (gateway, "devices show laptop --json");
  tl_json_auto object = tl_json_parse (json.err, -1, 0, NULL);
  json_t *error = json_object_get (object, "error");

  (void)data;
  g_assert_cmpint (people.exit_code, ==, TL_EXIT_NOT_FOUND);
  g_assert_cmpstr (people.err, ==, "twinlatch: two devices are called \"laptop\"; give an id\n");
  g_assert_cmpint (json.exit_code, ==, TL_EXIT_NOT_FOUND);
  g_assert_cmpstr (json.out, ==, "");
  g_assert_cmpstr (json_string_value (json_object_get (error, "reason")), ==, "ambiguous");
}

static void
test_revoke (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) refused = run (gateway, "devices revoke laptop");
  g_auto (Outcome) done = { 0 };

  (void)data;
  g_assert_cmpint (refused.exit_code, ==, TL_EXIT_USAGE);
  g_assert_null (gateway->revoked);
  done = run (gateway, "devices revoke laptop --yes");
  g_assert_cmpint (done.exit_code, ==, 0); /* revoked already: success */
  g_assert_cmpstr (gateway->revoked, ==, "laptop");
}

static void
test_approve (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) outcome = run (gateway, "pairing approve 01K --code '042 917'");

  (void)data;
  g_assert_cmpint (outcome.exit_code, ==, 0);
  g_assert_cmpstr (gateway->decided_code, ==, "042917");
  g_assert_cmpstr (outcome.out, ==, "Approved laptop.\n");
}

static void
test_mint (Gateway *gateway, gconstpointer data)
{
  g_autofree char *file = g_build_filename (gateway->folder, "code", NULL);
  g_autofree char *line = g_strconcat ("pairing mint --out ", file, NULL);
  g_auto (Outcome) printed = run (gateway, "pairing mint --json");
  g_auto (Outcome) drawn = run (gateway, "pairing mint --qr");
  g_auto (Outcome) written = run (gateway, line);
  g_autofree char *text = NULL;
  GStatBuf info;

  (void)data;
  g_assert_nonnull (strstr (printed.out, "\"secret\":\"7-1234-5678\""));
  g_assert_nonnull (strstr (drawn.out, "\xe2\x96\x88\xe2\x96\x80")); /* plain blocks: not a terminal */
  g_assert_null (strchr (drawn.out, '\033'));
  g_assert_nonnull (strstr (drawn.out, "twinlatch:pair?"));
  g_assert_cmpint (written.exit_code, ==, 0);
  g_assert_null (strstr (written.out, "1234"));
  g_assert_true (g_file_get_contents (file, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "7-1234-5678\n");
  g_assert_cmpint (g_stat (file, &info), ==, 0);
  g_assert_cmpint (info.st_mode & 07777, ==, 0600);
  g_assert_cmpint (g_remove (file), ==, 0);
}

static void
test_exec (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) people = run (gateway, "exec d echo '{ \"a\": 1 }' --timeout 7s");
  g_auto (Outcome) json = run (gateway, "exec d echo --json");

  (void)data;
  g_assert_cmpint (people.exit_code, ==, 0);
  g_assert_cmpstr (people.out, ==, "{\n  \"encoding\": \"base64\",\n  \"data\": \"AAE=\"\n}\n");
  g_assert_cmpstr (people.err, ==, "");
  g_assert_cmpstr (json.out, ==,
                   "{\"request_id\":\"01REQUEST\",\"device_id\":\"01DEVICE\",\"state\":\"succeeded\","
                   "\"output\":{\"encoding\":\"base64\",\"data\":\"AAE=\"},\"error\":null,\"reason\":null}\n");
  g_assert_cmpstr (gateway->input, ==, "{}");
}

static void
test_exec_arguments (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) outcome = run (gateway, "exec d echo '{ \"a\": 1 }' --timeout 7s");

  (void)data;
  g_assert_cmpint (outcome.exit_code, ==, 0);
  g_assert_cmpstr (gateway->input, ==, "{ \"a\": 1 }"); /* its bytes are hashed: verbatim */
  g_assert_cmpint (gateway->timeout_ms, ==, 7000);
}

static void
test_exec_failures (Gateway *gateway, gconstpointer data)
{
  const struct
  {
    const char *capability;
    int exit_code;
    const char *part;
  } rows[] = {
    { "fail", TL_EXIT_CAPABILITY, "no such file" },
    { "deny", TL_EXIT_DENIED, "policy says no" },
    { "slow", TL_EXIT_UNREACHABLE, "did not end in time" },
    { "vanish", TL_EXIT_UNREACHABLE, "before the request was over" },
  };

  (void)data;
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *line = g_strconcat ("exec d ", rows[i].capability, NULL);
      g_auto (Outcome) outcome = run (gateway, line);

      g_assert_cmpint (outcome.exit_code, ==, rows[i].exit_code);
      g_assert_cmpstr (outcome.out, ==, "");
      g_assert_nonnull (strstr (outcome.err, rows[i].part));
    }
}

static void
test_exec_failure_json (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) outcome = run (gateway, "exec d fail --json");

  (void)data;
  g_assert_cmpint (outcome.exit_code, ==, TL_EXIT_CAPABILITY);
  g_assert_cmpstr (outcome.err, ==, "");
  g_assert_cmpstr (outcome.out, ==,
                   "{\"request_id\":\"01REQUEST\",\"device_id\":\"01DEVICE\",\"state\":\"failed\",\"output\":null,"
                   "\"error\":\"no such file\",\"reason\":\"not_found\"}\n");
}

static void
test_exec_interrupted (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) outcome = { 0 };

  (void)data;
  gateway->exec_hangs = TRUE;
  outcome = run_until (gateway, "exec d echo", TRUE);
  g_assert_cmpint (outcome.exit_code, ==, TL_EXIT_FAILURE);
  g_assert_nonnull (strstr (outcome.err, "stopped"));
  while (!gateway->exec_cancelled) /* the stream ended cleanly, not by a broken connection */
    g_main_context_iteration (NULL, TRUE);
}

static void
test_watch (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) outcome = run_until (gateway, "pairing watch --json", TRUE);

  (void)data;
  g_assert_cmpint (outcome.exit_code, ==, 0); /* Ctrl-C is how watching ends */
  g_assert_cmpstr (outcome.err, ==, "");
}

static void
test_watch_deadline (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) outcome = run (gateway, "pairing watch --json --timeout 1s");
  g_auto (GStrv) lines = g_strsplit (outcome.out, "\n", -1);
  tl_json_auto object = tl_json_parse (lines[0], -1, 0, NULL);

  (void)data;
  g_assert_cmpint (outcome.exit_code, ==, TL_EXIT_UNREACHABLE);
  g_assert_nonnull (strstr (outcome.err, "--timeout"));
  g_assert_cmpuint (g_strv_length (lines), ==, 2); /* one object, one line */
  g_assert_cmpstr (json_string_value (json_object_get (object, "state")), ==, "pending_approval");
}

static void
test_events (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) json = run (gateway, "events --json --from 3");

  (void)data;
  g_assert_cmpint (json.exit_code, ==, 0);
  g_assert_cmpstr (gateway->input, ==, "from 3 now 0 follow 0");
  g_assert_cmpstr (json.out, ==,
                   "{\"gap\":true,\"oldest\":7}\n"
                   "{\"seq\":7,\"time_unix_ms\":0,\"kind\":\"code.minted\",\"actor\":\"uid:0\\nforged\","
                   "\"subject\":\"\",\"detail\":{\"a\":1}}\n"
                   "{\"seq\":8,\"time_unix_ms\":0,\"kind\":\"code.minted\",\"actor\":\"uid:0\\nforged\","
                   "\"subject\":\"\",\"detail\":{}}\n");
}

/* The end of what is followed is an error, and says where to go on. */
static void
test_events_end (Gateway *gateway, gconstpointer data)
{
  g_auto (Outcome) followed = run (gateway, "events --follow");
  g_auto (Outcome) neither = run (gateway, "events");

  (void)data;
  g_assert_cmpint (followed.exit_code, ==, TL_EXIT_UNREACHABLE);
  g_assert_cmpstr (gateway->input, ==, "from 0 now 1 follow 1");
  g_assert_nonnull (strstr (followed.err, "before event 7"));
  g_assert_nonnull (strstr (followed.err, "go on with --from 8"));
  g_assert_nonnull (strstr (followed.out, "  code.minted  uid:0\\u{a}forged  -  {\"a\":1}\n8  "));
  g_assert_cmpint (neither.exit_code, ==, TL_EXIT_USAGE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/cli/operator/" name, Gateway, NULL, set_up, func, tear_down)
  ADD ("all-pages", test_all_pages);
  ADD ("foreign-names", test_foreign_names);
  ADD ("endless-list", test_endless_list);
  ADD ("gateway-error", test_gateway_error);
  ADD ("revoke", test_revoke);
  ADD ("approve", test_approve);
  ADD ("mint", test_mint);
  ADD ("exec", test_exec);
  ADD ("exec-arguments", test_exec_arguments);
  ADD ("exec-failures", test_exec_failures);
  ADD ("exec-failure-json", test_exec_failure_json);
  ADD ("exec-interrupted", test_exec_interrupted);
  ADD ("watch", test_watch);
  ADD ("watch-deadline", test_watch_deadline);
  ADD ("events", test_events);
  ADD ("events-end", test_events_end);
#undef ADD
  return g_test_run ();
}
