/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-runtime-private.h"

#include <string.h>

#include "agent/node/tl-node-status.h"
#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "tl-fake-gateway.h"

#define DAY_MS (G_GINT64_CONSTANT (86400) * 1000)

static int runs;

static json_t *
once (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  (void)call, (void)input, (void)data, (void)error;
  g_atomic_int_inc (&runs);
  return json_true ();
}

static const TlCapability once_capability
    = { .name = "test.once", .description = "Counts.", .input_schema = "{}", .func = once };

typedef struct
{
  char *directory;
  TlFakeGateway *gateway;
  TlDeviceIdentity *identity;
  TlNodeState *state;
  TlNodeConfig *config;
  TlNetworkMonitor *network;
  TlSuspendMonitor *suspend;
  TlNodeRuntime *runtime;

  TlNodeRunState run_state;
  char *detail;
  guint n_connected;
  guint n_connecting;
  guint n_refused;
  gboolean stopped; /* state */
  gboolean stop_done;
} Fixture;

static void
on_state (TlNodeRuntime *runtime, TlNodeRunState state, const char *detail, gpointer user_data)
{
  Fixture *f = user_data;

  (void)runtime;
  f->run_state = state;
  g_free (f->detail);
  f->detail = g_strdup (detail);
  f->n_connected += state == TL_NODE_CONNECTED;
  f->n_connecting += state == TL_NODE_CONNECTING;
  f->n_refused += state == TL_NODE_REFUSED;
  f->stopped = state == TL_NODE_STOPPED;
}

static TlNodeRuntime *
new_runtime (Fixture *f, GError **error)
{
  TlNodeRuntimeParts parts
      = { .network = f->network, .suspend = f->suspend, .capabilities = &once_capability, .n_capabilities = 1 };

  return tl_node_runtime_new_with_parts (f->gateway->loop, f->state, f->config, &parts, error);
}

static void
start_runtime (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  f->runtime = new_runtime (f, &error);
  g_assert_no_error (error);
  tl_node_runtime_set_state_func (f->runtime, on_state, f);
  tl_node_runtime_start (f->runtime, &error);
  g_assert_no_error (error);
}

static void
set_up_lifetime (Fixture *f, const char *conf, gint64 lifetime_ms)
{
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;

  runs = 0;
  f->directory = tl_fixture_directory ();
  f->gateway = tl_fake_gateway_new ();
  tl_fake_gateway_start (f->gateway);
  f->identity = tl_fixture_identity (f->gateway->ca, lifetime_ms);
  tl_fake_gateway_admit (f->gateway, f->identity);
  f->state = tl_fixture_state (f->directory, f->identity, f->gateway->address);
  path = g_build_filename (f->directory, "node.conf", NULL);
  tl_fixture_write (f->directory, "node.conf", conf);
  f->config = tl_node_config_load (path, &error);
  g_assert_no_error (error);
  f->network = tl_network_monitor_new_test (TRUE);
  f->suspend = tl_suspend_monitor_new_test ();
}

static void
set_up (Fixture *f, gconstpointer data)
{
  set_up_lifetime (f, data != NULL ? data : "[node]\nreconnect-max=1s\n", DAY_MS);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_node_runtime_free (f->runtime);
  tl_network_monitor_free (f->network);
  tl_suspend_monitor_free (f->suspend);
  tl_node_config_free (f->config);
  tl_node_state_free (f->state);
  tl_device_identity_free (f->identity);
  tl_fake_gateway_free (f->gateway);
  tl_fixture_remove (f->directory);
  g_free (f->directory);
  g_free (f->detail);
}

static void
on_stop_done (gpointer data, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_true (data == f->runtime);
  f->stop_done = TRUE;
}

static void
stop_runtime (Fixture *f)
{
  f->stop_done = FALSE;
  tl_node_runtime_stop (f->runtime, 5000, on_stop_done, f);
  tl_fixture_wait (&f->stop_done, "the end of the node");
  g_assert_cmpint (f->run_state, ==, TL_NODE_STOPPED);
  g_clear_pointer (&f->runtime, tl_node_runtime_free);
}

static void
connect_runtime (Fixture *f)
{
  guint before = f->n_connected;

  start_runtime (f);
  tl_fixture_wait_count (&f->n_connected, before + 1, "the connection");
}

static void
wait_ack (Fixture *f, guint64 seq)
{
  while (f->gateway->ack_seq < seq)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (f->gateway->ack_seq, ==, seq);
}

static char *
new_id (void)
{
  return tl_ulid_new (g_get_real_time () / 1000, tl_random_system ());
}

static const Twinlatch__V1__SubmitCapabilityResultRequest *
wait_result (Fixture *f, guint n)
{
  tl_fixture_wait_count (&f->gateway->n_results, n, "a result at the gateway");
  return f->gateway->results->pdata[n - 1];
}

static gboolean
has_node_event (Fixture *f, const char *prefix)
{
  for (guint i = 0; i < f->gateway->node_events->len; i++)
    if (g_str_has_prefix (f->gateway->node_events->pdata[i], prefix))
      return TRUE;
  return FALSE;
}

static void
assert_signed (Fixture *f, const Twinlatch__V1__SubmitCapabilityResultRequest *result, const char *capability)
{
  TlReceiptSubject subject
      = { TL_FIXTURE_GATEWAY, tl_device_identity_device_id (f->identity), result->request_id, capability };
  const guint8 *public_key = tl_device_identity_public (f->identity);
  TlReceipt receipt = { .allowed = g_str_equal (result->receipt->decision, "allowed"),
                        .by = result->receipt->by,
                        .time_ms = result->receipt->time_unix_ms,
                        .requested_by = result->receipt->requested_by,
                        .expires_at_ms = result->receipt->expires_at_unix_ms };
  TlResultSubject signed_one = { .request_id = result->request_id };

  g_assert_cmpstr (result->receipt->alg, ==, "ed25519");
  memcpy (receipt.input_sha256, result->receipt->input_sha256.data, 32);
  receipt.is_signed = result->receipt->signature.len != 0;
  if (receipt.is_signed)
    {
      g_assert_cmpuint (result->receipt->signature.len, ==, 64);
      memcpy (receipt.signature, result->receipt->signature.data, 64);
      g_assert_true (tl_receipt_verify (&receipt, &subject, public_key));
    }
  tl_receipt_hash (&receipt, &subject, signed_one.receipt_hash);
  g_assert_cmpuint (result->output_sha256.len, ==, 32);
  memcpy (signed_one.output_sha256, result->output_sha256.data, 32);
  g_assert_true (tl_result_verify (&signed_one, result->result_proof.data, result->result_proof.len, public_key,
                                   result->result_signature.data, NULL));
}

static void
test_register (Fixture *f, gconstpointer data)
{
  g_autoptr (TlNodeStatus) status = NULL;
  g_autoptr (GError) error = NULL;
  gboolean found = FALSE;

  (void)data;
  connect_runtime (f);
  g_assert_cmpuint (f->gateway->n_registered, ==, 1);
  g_assert_cmpuint (f->gateway->resume_seq, ==, 0);
  g_assert_true (tl_ulid_is_valid (f->gateway->instance_id));
  for (guint i = 0; i < f->gateway->announced->len; i++)
    {
      g_assert_cmpstr (f->gateway->announced->pdata[i], !=, "fs.read 1 1"); /* no roots: not available */
      found = found || g_str_equal (f->gateway->announced->pdata[i], "echo 1 1");
    }
  g_assert_true (found);
  while (!has_node_event (f, "node.started {\"version\":"))
    g_main_context_iteration (NULL, TRUE);
  /* The address that works stays first, the advertised one is learnt. */
  g_assert_cmpstr (tl_node_state_marker (f->state)->addresses[0], ==, f->gateway->address);
  g_assert_cmpstr (tl_node_state_marker (f->state)->addresses[1], ==, "192.0.2.77:7444");
  status = tl_node_status_read (tl_node_state_directory (f->state), &error);
  g_assert_no_error (error);
  g_assert_cmpstr (status->state, ==, "connected");
  g_assert_true (tl_node_status_is_alive (status));
}

static void
test_dispatch (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();
  const Twinlatch__V1__SubmitCapabilityResultRequest *result;

  (void)data;
  connect_runtime (f);
  tl_fake_gateway_dispatch (f->gateway, 1, id, "echo", "{\"hello\":[1]}");
  result = wait_result (f, 1);
  g_assert_true (result->success);
  g_assert_cmpstr (result->request_id, ==, id);
  g_assert_cmpstr (result->device_id, ==, tl_device_identity_device_id (f->identity));
  g_assert_cmpstr (result->output, ==, "{\"hello\":[1]}");
  g_assert_cmpint (result->state, ==, TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_SUCCEEDED);
  assert_signed (f, result, "echo");
  wait_ack (f, 1);
  g_assert_cmpstr (f->gateway->ack_id, ==, "event-1");
}

/* A gateway that understands it gets what ends together in one message, and each result verifies by itself. */
static void
test_together (Fixture *f, gconstpointer data)
{
  char *ids[5];

  (void)data;
  f->gateway->takes_results = TRUE;
  connect_runtime (f);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    ids[i] = new_id ();
  f->gateway->refuse_results = 1; /* that one comes again */
  tl_fake_gateway_dispatch_many (f->gateway, 1, ids, G_N_ELEMENTS (ids), "echo", "[7]");
  wait_result (f, G_N_ELEMENTS (ids));
  g_assert_cmpuint (f->gateway->n_messages, ==, 2);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      const Twinlatch__V1__SubmitCapabilityResultRequest *result = f->gateway->results->pdata[i];

      g_assert_cmpstr (result->output, ==, "[7]");
      g_assert_cmpuint (result->receipt->signature.len, ==, 0);
      g_assert_cmpuint (result->result_proof.len > 0, ==, i < G_N_ELEMENTS (ids) - 1);
      assert_signed (f, result, "echo");
    }
  wait_ack (f, G_N_ELEMENTS (ids));
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    g_free (ids[i]);
}

/* A result above what the stream takes goes by a call of its own. */
static void
test_large_result (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();
  g_autofree char *text = g_strnfill (5000, 'x');
  g_autofree char *input = g_strdup_printf ("\"%s\"", text);

  (void)data;
  f->gateway->takes_results = TRUE;
  connect_runtime (f);
  tl_fake_gateway_dispatch (f->gateway, 1, id, "echo", input);
  g_assert_cmpstr (wait_result (f, 1)->output, ==, input);
  g_assert_cmpuint (f->gateway->n_messages, ==, 0);
  wait_ack (f, 1);
}

static void
test_denied (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();
  const Twinlatch__V1__SubmitCapabilityResultRequest *result;

  (void)data;
  connect_runtime (f);
  tl_fake_gateway_dispatch (f->gateway, 1, id, "test.once", "{}");
  result = wait_result (f, 1);
  g_assert_false (result->success);
  g_assert_cmpint (result->state, ==, TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_DENIED);
  g_assert_cmpstr (result->error_reason, ==, "capability_denied");
  g_assert_cmpstr (result->receipt->decision, ==, "denied");
  g_assert_cmpstr (result->receipt->by, ==, "policy");
  assert_signed (f, result, "test.once");
  g_assert_cmpint (runs, ==, 0);
}

/* Cumulative and in order, whatever order the requests end in; events of no interest do not hold anything up. */
static void
test_ack_order (Fixture *f, gconstpointer data)
{
  char *ids[40];

  (void)data;
  connect_runtime (f);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      ids[i] = new_id ();
      if (i % 4 == 3)
        tl_fake_gateway_send_event (f->gateway, i + 1, "policy.update", "{}", FALSE);
      else
        tl_fake_gateway_dispatch (f->gateway, i + 1, ids[i], i % 2 == 0 ? "system.info" : "test.once", "{}");
    }
  wait_ack (f, G_N_ELEMENTS (ids)); /* on_stream() asserts that they only go up */
  g_assert_cmpuint (f->gateway->n_results, ==, 30);
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 10);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    g_free (ids[i]);
}

static void
test_reconnect (Fixture *f, gconstpointer data)
{
  g_autofree char *first = new_id ();
  g_autofree char *second = new_id ();
  g_autofree char *instance = NULL;

  (void)data;
  connect_runtime (f);
  tl_fake_gateway_dispatch (f->gateway, 1, first, "echo", "{}");
  wait_ack (f, 1);
  instance = g_strdup (f->gateway->instance_id);
  tl_fake_gateway_stop (f->gateway);
  tl_fixture_wait_count (&f->n_connecting, 2, "the loss of the connection");
  tl_fake_gateway_start (f->gateway);
  tl_network_monitor_test_set (f->network, FALSE);
  tl_network_monitor_test_set (f->network, TRUE); /* at once, without the back-off */
  tl_fixture_wait_count (&f->n_connected, 2, "the connection again");
  g_assert_cmpuint (f->gateway->resume_seq, ==, 1);
  g_assert_cmpstr (f->gateway->resume_id, ==, "event-1");
  g_assert_cmpstr (f->gateway->instance_id, ==, instance);
  tl_fake_gateway_dispatch (f->gateway, 2, second, "echo", "{}");
  wait_result (f, 2);
  wait_ack (f, 2);
  g_assert_cmpuint (f->n_refused, ==, 0);
}

/* The stream breaks while a result is on its way: it arrives later, and the event that comes again does not run again.
 */
static void
test_result_survives_link (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();

  (void)data;
  connect_runtime (f);
  f->gateway->refuse_results = 1;
  tl_fake_gateway_dispatch (f->gateway, 1, id, "test.once", "{}");
  wait_ack (f, 1);
  while (f->gateway->refuse_results > 0)
    g_main_context_iteration (NULL, TRUE);
  tl_fake_gateway_end_stream (f->gateway, TL_ERROR_UNAVAILABLE, "restarting");
  tl_fixture_wait_count (&f->n_connected, 2, "the connection again");
  g_assert_cmpstr (wait_result (f, 1)->request_id, ==, id);
  tl_fake_gateway_dispatch (f->gateway, 2, id, "test.once", "{}");
  wait_ack (f, 2);
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 1);
  g_assert_cmpuint (f->gateway->n_results, ==, 1);
}

/* The next process goes on where this one stopped. */
static void
test_restart (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();
  g_autofree char *instance = NULL;

  (void)data;
  connect_runtime (f);
  tl_fake_gateway_dispatch (f->gateway, 1, id, "test.once", "{}");
  wait_result (f, 1);
  instance = g_strdup (f->gateway->instance_id);
  stop_runtime (f);
  g_assert_cmpuint (f->gateway->n_ended, ==, 1);
  g_assert_true (has_node_event (f, "node.stopping {}"));
  connect_runtime (f);
  g_assert_cmpuint (f->gateway->resume_seq, ==, 1);
  g_assert_cmpstr (f->gateway->instance_id, !=, instance);
  tl_fake_gateway_dispatch (f->gateway, 2, id, "test.once", "{}");
  wait_ack (f, 2);
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 1);
}

static void
test_superseded (Fixture *f, gconstpointer data)
{
  guint streams;

  (void)data;
  connect_runtime (f);
  streams = f->gateway->n_streams;
  tl_fake_gateway_end_stream (f->gateway, TL_ERROR_IN_USE, "superseded by a newer stream");
  tl_fixture_wait (&f->stopped, "the end");
  g_assert_nonnull (strstr (f->detail, "superseded"));
  tl_network_monitor_test_set (f->network, FALSE);
  tl_network_monitor_test_set (f->network, TRUE);
  tl_suspend_monitor_test_set (f->suspend, FALSE);
  tl_fixture_settle ();
  g_assert_cmpuint (f->gateway->n_streams, ==, streams);
  stop_runtime (f);
}

static void
test_reset (Fixture *f, gconstpointer data)
{
  g_autofree char *old = new_id ();
  g_autofree char *new = new_id ();
  g_autofree char *event_id = NULL;
  guint64 seq;

  (void)data;
  connect_runtime (f);
  tl_fake_gateway_dispatch (f->gateway, 1, old, "test.once", "{}");
  wait_result (f, 1);
  wait_ack (f, 1);
  f->gateway->reset_to = 2;
  f->gateway->ack_seq = 0; /* another log */
  tl_fake_gateway_end_stream (f->gateway, TL_ERROR_UNAVAILABLE, "restored from a backup");
  tl_fixture_wait_count (&f->n_connected, 2, "the connection again");
  g_assert_true (tl_node_state_get_cursor (f->state, &seq, &event_id, NULL));
  g_assert_cmpuint (seq, ==, 0);
  tl_fake_gateway_dispatch (f->gateway, 1, old, "test.once", "{}"); /* known by its request id */
  tl_fake_gateway_dispatch (f->gateway, 2, new, "test.once", "{}");
  wait_ack (f, 2);
  g_assert_cmpstr (wait_result (f, 2)->request_id, ==, new);
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 2);
}

static void
test_gap (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();

  (void)data;
  f->gateway->gap_to = 50;
  connect_runtime (f);
  tl_fake_gateway_dispatch (f->gateway, 50, id, "echo", "{}");
  wait_result (f, 1);
  wait_ack (f, 50);
  g_assert_cmpuint (f->n_connecting, ==, 1);
}

/* A hole that nobody announced: the node does not go past it. */
static void
test_hole (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();

  (void)data;
  connect_runtime (f);
  tl_fake_gateway_dispatch (f->gateway, 3, id, "test.once", "{}");
  tl_fixture_wait_count (&f->n_connected, 2, "a new connection");
  g_assert_cmpuint (f->gateway->resume_seq, ==, 0);
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 0);
}

static void
test_oversize (Fixture *f, gconstpointer data)
{
  Twinlatch__V1__Event event = TWINLATCH__V1__EVENT__INIT;
  g_autofree char *big = new_id ();
  g_autofree char *next = new_id ();
  g_autofree char *text = tl_fake_gateway_dispatch_data (big, "echo", "{\"big\":true}");

  (void)data;
  event.seq = 1;
  event.id = (char *)"event-1";
  event.type = (char *)"capability.dispatch";
  event.data = text;
  f->gateway->stored = &event;
  connect_runtime (f);
  tl_fake_gateway_send_event (f->gateway, 1, "capability.dispatch", "", TRUE);
  tl_fake_gateway_dispatch (f->gateway, 2, next, "echo", "{}");
  wait_ack (f, 2);
  g_assert_cmpuint (f->gateway->n_fetched, ==, 1);
  g_assert_cmpuint (f->gateway->n_results, ==, 2);
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();
  g_autofree char *text = g_strdup_printf ("{\"request_id\":\"%s\"}", id);

  (void)data;
  connect_runtime (f);
  tl_fake_gateway_send_event (f->gateway, 1, "capability.cancel", text, FALSE); /* of nothing */
  wait_ack (f, 1);
  g_assert_cmpuint (f->gateway->n_results, ==, 0);
}

/* Revoked: the gateway is there, the certificate is not admitted. The identity stays. */
static void
test_refused (Fixture *f, gconstpointer data)
{
  g_autofree char *fingerprint = tl_certificate_fingerprint (tl_device_identity_certificate (f->identity));
  g_autoptr (TlDeviceIdentity) kept = NULL;
  g_autoptr (GError) error = NULL;

  (void)data;
  connect_runtime (f);
  tl_admitted_set_remove (f->gateway->admitted, fingerprint);
  tl_rpc_server_drop_fingerprint (f->gateway->server, fingerprint, NULL, NULL);
  while (f->n_refused == 0)
    g_main_context_iteration (NULL, TRUE);
  kept = tl_node_state_load_identity (f->state, &error);
  g_assert_no_error (error);
  /* Admitted again: a hint is enough. */
  tl_fake_gateway_admit (f->gateway, f->identity);
  tl_network_monitor_test_set (f->network, FALSE);
  tl_network_monitor_test_set (f->network, TRUE);
  tl_fixture_wait_count (&f->n_connected, 2, "the connection again");
}

static void
test_suspend (Fixture *f, gconstpointer data)
{
  (void)data;
  connect_runtime (f);
  tl_suspend_monitor_test_set (f->suspend, TRUE);
  g_assert_cmpint (f->run_state, ==, TL_NODE_CONNECTED);
  tl_suspend_monitor_test_set (f->suspend, FALSE);
  g_assert_cmpint (f->run_state, ==, TL_NODE_CONNECTING);
  tl_fixture_wait_count (&f->n_connected, 2, "the connection again");
}

static void
test_stop_without_gateway (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_fake_gateway_stop (f->gateway);
  start_runtime (f);
  tl_fixture_settle ();
  stop_runtime (f);
}

static void
test_one_process (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  (void)data;
  start_runtime (f);
  g_assert_null (new_runtime (f, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IN_USE);
}

static void
test_policy_slip (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  (void)data;
  g_assert_null (new_runtime (f, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr (error->message, "node.conf:2"));
  g_assert_nonnull (strstr (error->message, "fs.raed"));
}

#define ADD(name, func, conf) g_test_add ("/node-runtime/" name, Fixture, conf, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("register", test_register, NULL);
  ADD ("dispatch", test_dispatch, NULL);
  ADD ("together", test_together, NULL);
  ADD ("large-result", test_large_result, NULL);
  ADD ("denied", test_denied, "[policy test.once]\nmode=deny\n");
  ADD ("ack-order", test_ack_order, NULL);
  ADD ("reconnect", test_reconnect, NULL);
  ADD ("result-survives-link", test_result_survives_link, NULL);
  ADD ("restart", test_restart, NULL);
  ADD ("superseded", test_superseded, NULL);
  ADD ("reset", test_reset, NULL);
  ADD ("gap", test_gap, NULL);
  ADD ("hole", test_hole, NULL);
  ADD ("oversize", test_oversize, NULL);
  ADD ("cancel", test_cancel, NULL);
  ADD ("refused", test_refused, NULL);
  ADD ("suspend", test_suspend, NULL);
  ADD ("stop-without-gateway", test_stop_without_gateway, NULL);
  ADD ("one-process", test_one_process, NULL);
  ADD ("policy-slip", test_policy_slip, "[policy fs.raed]\nmode=deny\n");
  return g_test_run ();
}
