/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/resource.h>

#include "base/tl-ulid.h"
#include "daemon/tl-dispatcher-private.h"
#include "daemon/tl-node-registry.h"

#define DEVICE "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define NOW_MS G_GINT64_CONSTANT (1790000000000)

/* A gateway of which only the parts exist that the dispatcher touches; requests come from the store, as after a
 * restart. */
typedef struct
{
  char *directory;
  TlGateway gateway;
  TlDispatcher *dispatcher;
  char *request_id;
} Fixture;

static void
limit_files (rlim_t bytes)
{
  struct rlimit limit;

  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  TlCapabilityRecord record = { .device_id = (char *)DEVICE,
                                .capability = (char *)"echo",
                                .input = (char *)"{}",
                                .state = TL_REQUEST_QUEUED,
                                .requested_by = (char *)"uid:0",
                                .max_payload_bytes = 65536,
                                .timeout_ms = 30000,
                                .created_at = NOW_MS,
                                .updated_at = NOW_MS,
                                .expires_at = NOW_MS + 60000 };

  f->directory = g_dir_make_tmp ("tl-test-XXXXXX", NULL);
  f->gateway.clock = tl_clock_new_virtual (NOW_MS);
  f->gateway.random = tl_random_new_test (9);
  f->gateway.store = tl_store_open (f->directory, NULL, NULL);
  g_assert_nonnull (f->gateway.store);
  f->gateway.registry = tl_node_registry_new (&f->gateway);
  f->dispatcher = f->gateway.dispatcher = tl_dispatcher_new (&f->gateway);
  f->request_id = record.request_id = tl_ulid_new (NOW_MS, f->gateway.random);
  tl_store_add_request (f->gateway.store, &record, f->request_id, "{}", NOW_MS, NULL, NULL);
  tl_store_flush (f->gateway.store);
  g_assert_true (tl_dispatcher_load (f->dispatcher, NULL));
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autofree char *command = g_strdup_printf ("rm -rf '%s'", f->directory);

  tl_store_close (f->gateway.store);
  tl_dispatcher_free (f->dispatcher);
  tl_node_registry_free (f->gateway.registry);
  tl_clock_free (f->gateway.clock);
  tl_random_free (f->gateway.random);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  g_free (f->request_id);
  g_free (f->directory);
}

static TlRequestState
memory_state (Fixture *f)
{
  TlOpenRequest *request = g_hash_table_lookup (f->dispatcher->open, f->request_id);

  return request != NULL ? request->record->state : TL_REQUEST_SUCCEEDED;
}

static void
on_request (const GError *error, gpointer result, gpointer user_data)
{
  g_assert_no_error (error);
  *(TlRequestState *)user_data = ((const TlCapabilityRecord *)result)->state;
}

static TlRequestState
stored_state (Fixture *f)
{
  TlRequestState state = TL_REQUEST_EXPIRED;

  tl_store_get_request (f->gateway.store, f->request_id, on_request, &state);
  tl_store_flush (f->gateway.store);
  return state;
}

static void
on_range (const GError *error, gpointer result, gpointer user_data)
{
  const TlEventRange *range = result;
  guint *cancels = user_data;

  g_assert_no_error (error);
  for (guint i = 0; i < range->events->len; i++)
    if (g_str_equal (((TlEventRecord *)g_ptr_array_index (range->events, i))->type, "capability.cancel"))
      *cancels += 1;
}

static void
on_count (const GError *error, gpointer result, gpointer user_data)
{
  g_assert_no_error (error);
  *(guint *)user_data = ((const TlEventRange *)result)->events->len;
}

static guint
count_events (Fixture *f)
{
  guint events = 0;

  tl_store_read_events (f->gateway.store, DEVICE, 0, "", 1000, on_count, &events);
  tl_store_flush (f->gateway.store);
  return events;
}

static guint
count_cancels (Fixture *f)
{
  guint cancels = 0;

  tl_store_read_events (f->gateway.store, DEVICE, 0, "", 1000, on_range, &cancels);
  tl_store_flush (f->gateway.store);
  return cancels;
}

static void
send_event (Fixture *f)
{
  TlEventRecord event = { .seq = 1, .id = f->request_id, .type = (char *)"capability.dispatch", .data = (char *)"{}" };

  tl_dispatcher_event_sent (f->dispatcher, DEVICE, &event);
}

static void
node_says (Fixture *f, const char *device_id, const char *type)
{
  g_autofree char *data = g_strdup_printf ("{\"request_id\":\"%s\"}", f->request_id);

  tl_dispatcher_node_event (f->dispatcher, device_id, type, data);
}

static void
tick (Fixture *f, gint64 advance_ms)
{
  tl_clock_advance (f->gateway.clock, advance_ms);
  tl_dispatcher_tick (f->dispatcher, tl_clock_wall_ms (f->gateway.clock));
  tl_store_flush (f->gateway.store);
  tl_store_flush (f->gateway.store);
}

static void
test_runs (Fixture *f, gconstpointer data)
{
  send_event (f);
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_DISPATCHED);
  node_says (f, DEVICE, "capability.accepted");
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_RUNNING);
  while (stored_state (f) == TL_REQUEST_QUEUED) /* TL_DISPATCH_SETTLE_MS */
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_RUNNING);
}

static void
on_record (const GError *error, gpointer result, gpointer user_data)
{
  g_assert_no_error (error);
  *(TlCapabilityRecord **)user_data = tl_capability_record_copy (result);
}

/* A quick request is written twice: when it is there, and when it ended. */
static void
test_quick (Fixture *f, gconstpointer data)
{
  g_autoptr (TlCapabilityRecord) record = NULL;
  TlRequestOutcome outcome = { .output = "1" };

  send_event (f);
  node_says (f, DEVICE, "capability.accepted");
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_QUEUED);
  tl_clock_advance (f->gateway.clock, 7);
  g_assert_true (tl_dispatcher_move (f->dispatcher, g_hash_table_lookup (f->dispatcher->open, f->request_id),
                                     TL_REQUEST_SUCCEEDED, &outcome, NULL, NULL));
  tl_store_flush (f->gateway.store);
  g_assert_cmpuint (tl_dispatcher_open_count (f->dispatcher), ==, 0);
  g_assert_cmpuint (f->dispatcher->unsettled.length, ==, 0);
  tl_store_get_request (f->gateway.store, f->request_id, on_record, &record);
  tl_store_flush (f->gateway.store);
  g_assert_cmpint (record->state, ==, TL_REQUEST_SUCCEEDED);
  g_assert_cmpint (record->dispatched_at, ==, NOW_MS);
  g_assert_cmpint (record->completed_at, ==, NOW_MS + 7);
}

/* The store says that it was dispatched before it drops the event. */
static void
test_acknowledging (Fixture *f, gconstpointer data)
{
  send_event (f);
  tl_dispatcher_acknowledging (f->dispatcher, "01ARZ3NDEKTSV4RRFFQ69G5FAW", 1);
  tl_dispatcher_acknowledging (f->dispatcher, DEVICE, 0);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_QUEUED);
  tl_dispatcher_acknowledging (f->dispatcher, DEVICE, 1);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_DISPATCHED);
}

/* The move to DISPATCHED was lost: the node's word that it runs is taken all the same. */
static void
test_accepted_while_queued (Fixture *f, gconstpointer data)
{
  node_says (f, DEVICE, "capability.accepted");
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_RUNNING);
  tl_dispatcher_settle (f->dispatcher, NULL);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_RUNNING);
}

/* Only the device that was asked moves its request. */
static void
test_other_device (Fixture *f, gconstpointer data)
{
  send_event (f);
  node_says (f, "01ARZ3NDEKTSV4RRFFQ69G5FAW", "capability.accepted");
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_DISPATCHED);
}

static void
test_expires_unsent (Fixture *f, gconstpointer data)
{
  tick (f, 59999);
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_QUEUED);
  tick (f, 1);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_EXPIRED);
  g_assert_cmpuint (count_cancels (f), ==, 1); /* what was the dispatch */
  g_assert_cmpuint (count_events (f), ==, 1);
  g_assert_cmpuint (tl_dispatcher_open_count (f->dispatcher), ==, 0);
}

/* The timeout counts from `running` (PROTOCOL 4.2), and the device is told once. */
static void
test_times_out (Fixture *f, gconstpointer data)
{
  tick (f, 50000);
  send_event (f);
  node_says (f, DEVICE, "capability.accepted");
  tick (f, 30000 + TL_DISPATCH_GRACE_MS - 1);
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_RUNNING);
  tick (f, 1);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_TIMED_OUT);
  tick (f, 1000);
  g_assert_cmpuint (count_cancels (f), ==, 2); /* told, and the dispatch that it never acknowledged is withdrawn */
  g_assert_cmpuint (count_events (f), ==, 2);
}

/* Consent has a time of its own. */
static void
test_consent (Fixture *f, gconstpointer data)
{
  send_event (f);
  node_says (f, DEVICE, "capability.awaiting_consent");
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_AWAITING_CONSENT);
  tick (f, TL_DISPATCH_CONSENT_MS + TL_DISPATCH_GRACE_MS - 1);
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_AWAITING_CONSENT);
  tick (f, 1);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_TIMED_OUT);
}

/* Two moves in a batch that the disk refuses: memory goes back to what is stored, and the request can still end. */
static void
test_failed_batch (Fixture *f, gconstpointer data)
{
  signal (SIGXFSZ, SIG_IGN);
  limit_files (8192);
  send_event (f);
  node_says (f, DEVICE, "capability.awaiting_consent");
  node_says (f, DEVICE, "capability.accepted");
  tl_dispatcher_settle (f->dispatcher, NULL);
  tl_store_flush (f->gateway.store);
  limit_files (RLIM_INFINITY);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_QUEUED);
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_QUEUED);
  send_event (f);
  node_says (f, DEVICE, "capability.accepted");
  tl_dispatcher_settle (f->dispatcher, NULL);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_RUNNING);
}

/* A final state that could not be stored is not announced, floods no log, and is tried again. */
static void
test_failed_end (Fixture *f, gconstpointer data)
{
  send_event (f);
  node_says (f, DEVICE, "capability.accepted");
  tl_dispatcher_settle (f->dispatcher, NULL);
  tl_store_flush (f->gateway.store);
  limit_files (8192);
  for (guint i = 0; i < 5; i++)
    tick (f, 60000);
  limit_files (RLIM_INFINITY);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_RUNNING);
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_RUNNING);
  tick (f, 1);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_TIMED_OUT);
  g_assert_cmpuint (count_cancels (f), ==, 2);
}

static void
reload (Fixture *f)
{
  tl_store_flush (f->gateway.store);
  tl_dispatcher_free (f->dispatcher);
  f->dispatcher = f->gateway.dispatcher = tl_dispatcher_new (&f->gateway);
  g_assert_true (tl_dispatcher_load (f->dispatcher, NULL));
}

/* A capability that was switched off takes what waits with it; another's stays. */
static void
test_cancel_queued (Fixture *f, gconstpointer data)
{
  g_assert_cmpuint (tl_dispatcher_cancel_queued (f->dispatcher, DEVICE, "other", "uid:1"), ==, 0);
  g_assert_cmpuint (tl_dispatcher_cancel_queued (f->dispatcher, DEVICE, "echo", "uid:1"), ==, 1);
  g_assert_cmpuint (tl_dispatcher_cancel_queued (f->dispatcher, DEVICE, "echo", "uid:1"), ==, 0);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_CANCELLED);
  g_assert_cmpuint (count_cancels (f), ==, 1);
  g_assert_cmpuint (count_events (f), ==, 1);
  g_assert_cmpuint (tl_dispatcher_open_count (f->dispatcher), ==, 0);
}

/* P: whoever is no operator any more when it is committed has ended nothing, and the request goes on as if unasked. */
static void
test_cancel_demoted (Fixture *f, gconstpointer data)
{
  g_assert_cmpuint (tl_dispatcher_cancel_queued (f->dispatcher, DEVICE, "echo", "device:" DEVICE), ==, 1);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_QUEUED);
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_QUEUED);
  g_assert_cmpuint (count_cancels (f), ==, 0);
  send_event (f);
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_DISPATCHED);
  node_says (f, DEVICE, "capability.accepted");
  tick (f, TL_DISPATCH_CANCEL_MS);
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_RUNNING);
}

/* The gateway was killed after the operator's word was committed: it still counts. */
static void
test_cancel_survives (Fixture *f, gconstpointer data)
{
  tl_store_cancel_request (f->gateway.store, f->request_id, "uid:1", "", NULL, NULL, NOW_MS, NULL, NULL);
  reload (f);
  tick (f, 0);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_CANCELLED);
}

/* The device is asked first, and has a while to say how it ended; its word that it runs changes nothing of that. */
static void
test_cancel_grace (Fixture *f, gconstpointer data)
{
  g_autofree char *event_id = tl_ulid_new (NOW_MS, f->gateway.random);

  send_event (f);
  tl_dispatcher_settle (f->dispatcher, NULL);
  tl_store_cancel_request (f->gateway.store, f->request_id, "uid:1", "", event_id, "{}", NOW_MS, NULL, NULL);
  reload (f);
  node_says (f, DEVICE, "capability.accepted");
  tick (f, TL_DISPATCH_CANCEL_MS - 1);
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_RUNNING);
  tick (f, 1);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_CANCELLED);
}

/* Deadlines of the last run go on: consent has its own time also then. */
static void
test_reloaded_deadlines (Fixture *f, gconstpointer data)
{
  send_event (f);
  node_says (f, DEVICE, "capability.awaiting_consent");
  tl_clock_advance (f->gateway.clock, 59999);
  reload (f);
  tick (f, 1);
  g_assert_cmpint (memory_state (f), ==, TL_REQUEST_AWAITING_CONSENT); /* expires_at is not its end */
  tick (f, TL_DISPATCH_GRACE_MS);
  g_assert_cmpint (stored_state (f), ==, TL_REQUEST_TIMED_OUT);
}

/* It ended while its dispatch was on the way out: the device is told to stop. */
static void
test_sent_after_end (Fixture *f, gconstpointer data)
{
  g_assert_cmpuint (tl_dispatcher_cancel_queued (f->dispatcher, DEVICE, "echo", "uid:1"), ==, 1);
  send_event (f);
  g_assert_cmpuint (count_cancels (f), ==, 2);
}

#define ADD(name, func) g_test_add ("/dispatcher/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("4.2-runs", test_runs);
  ADD ("4.2-quick", test_quick);
  ADD ("4.1-acknowledging", test_acknowledging);
  ADD ("4.2-accepted-while-queued", test_accepted_while_queued);
  ADD ("4.2-other-device", test_other_device);
  ADD ("4.2-expires-unsent", test_expires_unsent);
  ADD ("4.2-times-out", test_times_out);
  ADD ("4.2-consent", test_consent);
  ADD ("4.2-cancel-queued", test_cancel_queued);
  ADD ("4-P-cancel-demoted", test_cancel_demoted);
  ADD ("4.2-cancel-survives", test_cancel_survives);
  ADD ("4.2-cancel-grace", test_cancel_grace);
  ADD ("4.2-reloaded-deadlines", test_reloaded_deadlines);
  ADD ("4.2-sent-after-end", test_sent_after_end);
  ADD ("failed-batch", test_failed_batch);
  ADD ("failed-end", test_failed_end);
  return g_test_run ();
}
