/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-request-runner.h"

#include <pthread.h>
#include <string.h>

#include "agent/node/tl-capability-builtin.h"
#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "tl-node-fixture.h"

#define HOUR_MS  (G_GINT64_CONSTANT (3600) * 1000)
#define START_MS G_GINT64_CONSTANT (1800000000000)

/* ---- capabilities of the test ---------------------------------------------------------------------------------- */

static int runs; /* of every test.* capability */
static pthread_mutex_t gate_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static int gate_open;
static int inside; /* how many wait at the gate */

static void
set_gate (int open)
{
  pthread_mutex_lock (&gate_mutex);
  gate_open = open;
  pthread_cond_broadcast (&gate_changed);
  pthread_mutex_unlock (&gate_mutex);
}

static int
count_inside (void)
{
  int n;

  pthread_mutex_lock (&gate_mutex);
  n = inside;
  pthread_mutex_unlock (&gate_mutex);
  return n;
}

static json_t *
once (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  (void)call, (void)input, (void)data, (void)error;
  g_atomic_int_inc (&runs);
  return json_pack ("{s:b}", "done", TRUE);
}

/* Does not look at the call: a driver that hangs. */
static json_t *
wait_at_gate (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  (void)call, (void)data, (void)error;
  g_atomic_int_inc (&runs);
  pthread_mutex_lock (&gate_mutex);
  inside++;
  while (!gate_open)
    pthread_cond_wait (&gate_changed, &gate_mutex);
  inside--;
  pthread_mutex_unlock (&gate_mutex);
  return json_incref ((json_t *)input);
}

static json_t *
fail (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  (void)call, (void)input, (void)data;
  g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "there is no such thing");
  return NULL;
}

static const TlCapability once_capability
    = { .name = "test.once", .description = "", .input_schema = "{}", .func = once };
static const TlCapability gate_capability
    = { .name = "test.gate", .description = "", .input_schema = "{}", .idempotent = TRUE, .func = wait_at_gate };
static const TlCapability gate_once_capability
    = { .name = "test.gate_once", .description = "", .input_schema = "{}", .func = wait_at_gate };
static const TlCapability fail_capability
    = { .name = "test.fail", .description = "", .input_schema = "{}", .idempotent = TRUE, .func = fail };

/* ---- fixture --------------------------------------------------------------------------------------------------- */

typedef struct
{
  char *request_id;
  TlResultState state;
  char *output;
  char *reason;
  gboolean allowed;
} Submitted;

typedef struct
{
  char *directory;
  TlCertificateAuthority *ca;
  TlDeviceIdentity *identity;
  TlNodeConfig *config;
  TlPolicy *policy;
  TlCapabilitySet *set;
  TlClock *clock;
  TlRequestJournal *journal;
  TlRequestRunner *runner;
  int running;
  gboolean link_up;

  guint n_submitted;
  GArray *handed_in;    /* guint: how many together */
  GPtrArray *submitted; /* Submitted */
  GArray *done;         /* guint64 */
  guint n_accepted;
  guint n_idle;
  char *input;      /* of the last dispatch, to verify receipts */
  char *capability; /* the same */
} Fixture;

static void
submitted_free (gpointer data)
{
  Submitted *submitted = data;

  g_free (submitted->request_id);
  g_free (submitted->output);
  g_free (submitted->reason);
  g_free (submitted);
}

static void
host_send_event (const char *type, const char *data, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_cmpstr (type, ==, "capability.accepted");
  g_assert_nonnull (strstr (data, "request_id"));
  f->n_accepted++;
}

static void
assert_signatures (Fixture *f, const TlSubmission *submission)
{
  TlReceiptSubject subject
      = { TL_FIXTURE_GATEWAY, tl_device_identity_device_id (f->identity), submission->request_id, f->capability };
  const guint8 *public_key = tl_device_identity_public (f->identity);
  guint8 digest[TL_SHA256_LENGTH];
  TlResultSubject result = { .request_id = submission->request_id };

  /* A recorded one has a signature of its own; the result's covers all. */
  g_assert_true (submission->receipt->is_signed
                 || tl_request_journal_lookup (f->journal, submission->request_id) == NULL);
  g_assert_true (submission->receipt->is_signed == tl_receipt_verify (submission->receipt, &subject, public_key));
  tl_sha256 (f->input, strlen (f->input), digest);
  g_assert_cmpmem (submission->receipt->input_sha256, 32, digest, 32);
  g_assert_cmpstr (submission->receipt->requested_by, ==, "uid:0");
  tl_sha256 (submission->result->output, strlen (submission->result->output), digest);
  g_assert_cmpmem (submission->output_sha256, 32, digest, 32);
  memcpy (result.output_sha256, digest, 32);
  tl_receipt_hash (submission->receipt, &subject, result.receipt_hash);
  g_assert_true (tl_result_verify (&result, submission->proof.steps, submission->proof.length, public_key,
                                   submission->signature, NULL));
  subject.capability = "another";
  g_assert_false (tl_receipt_verify (submission->receipt, &subject, public_key));
  tl_receipt_hash (submission->receipt, &subject, result.receipt_hash);
  g_assert_false (tl_result_verify (&result, submission->proof.steps, submission->proof.length, public_key,
                                    submission->signature, NULL));
}

static void
host_submit_one (const TlSubmission *submission, Fixture *f)
{
  Submitted *copy = g_new0 (Submitted, 1);

  assert_signatures (f, submission);
  copy->request_id = g_strdup (submission->request_id);
  copy->state = submission->result->state;
  copy->output = g_strdup (submission->result->output);
  copy->reason = g_strdup (submission->result->error_reason);
  copy->allowed = submission->receipt->allowed;
  g_ptr_array_add (f->submitted, copy);
  f->n_submitted++;
}

static void
host_submit (const TlSubmission *submissions, guint n, gpointer user_data)
{
  Fixture *f = user_data;

  g_array_append_val (f->handed_in, n);
  for (guint i = 0; i < n; i++)
    host_submit_one (&submissions[i], f);
}

static void
host_event_done (guint64 seq, gpointer user_data)
{
  Fixture *f = user_data;

  g_array_append_val (f->done, seq);
}

static void
host_idle (gpointer user_data)
{
  ((Fixture *)user_data)->n_idle++;
}

static const TlRequestRunnerHost host = { host_send_event, host_submit, host_event_done, host_idle };

/* What a new process does. */
static void
open_runner (Fixture *f)
{
  TlRequestRunnerOptions options = { .gateway_id = TL_FIXTURE_GATEWAY,
                                     .identity = f->identity,
                                     .capabilities = f->set,
                                     .policy = f->policy,
                                     .clock = f->clock,
                                     .running = &f->running };
  g_autofree char *requests = g_build_filename (f->directory, "requests", NULL);
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&f->runner, tl_request_runner_free);
  g_clear_pointer (&f->journal, tl_request_journal_free);
  f->running = 0;
  f->journal = tl_request_journal_new (requests, tl_clock_wall_ms (f->clock), &error);
  g_assert_no_error (error);
  options.journal = f->journal;
  f->runner = tl_request_runner_new (&options, &host, f);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *conf = NULL;
  g_autoptr (GError) error = NULL;

  runs = 0;
  set_gate (FALSE);
  f->directory = tl_fixture_directory ();
  f->ca = tl_fixture_ca (TL_FIXTURE_GATEWAY);
  f->identity = tl_fixture_identity (f->ca, 24 * HOUR_MS);
  f->clock = tl_clock_new_virtual (START_MS);
  conf = g_build_filename (f->directory, "node.conf", NULL);
  tl_fixture_write (f->directory, "node.conf", data != NULL ? data : "");
  f->config = tl_node_config_load (conf, &error);
  g_assert_no_error (error);
  f->policy = tl_policy_new_config (f->config);
  f->set = tl_capability_set_new ();
  tl_capability_add_echo (f->set);
  tl_capability_set_add (f->set, &once_capability, NULL, NULL, NULL);
  tl_capability_set_add (f->set, &gate_capability, NULL, NULL, NULL);
  tl_capability_set_add (f->set, &gate_once_capability, NULL, NULL, NULL);
  tl_capability_set_add (f->set, &fail_capability, NULL, NULL, NULL);
  f->submitted = g_ptr_array_new_with_free_func (submitted_free);
  f->done = g_array_new (FALSE, FALSE, sizeof (guint64));
  f->handed_in = g_array_new (FALSE, FALSE, sizeof (guint));
  open_runner (f);
  tl_request_runner_link_up (f->runner);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  (void)data;
  set_gate (TRUE);
  tl_request_runner_free (f->runner);
  tl_request_journal_free (f->journal);
  tl_capability_set_free (f->set);
  tl_policy_free (f->policy);
  tl_node_config_free (f->config);
  tl_clock_free (f->clock);
  tl_device_identity_free (f->identity);
  tl_certificate_authority_unref (f->ca);
  g_ptr_array_unref (f->submitted);
  g_array_unref (f->done);
  g_array_unref (f->handed_in);
  tl_fixture_remove (f->directory);
  g_free (f->directory);
  g_free (f->input);
  g_free (f->capability);
}

static char *
new_id (void)
{
  return tl_ulid_new (START_MS, tl_random_system ());
}

static void
dispatch_full (Fixture *f, guint64 seq, const char *id, const char *capability, const char *input, gint64 expires_in_ms,
               gint64 timeout_ms)
{
  tl_json_auto object
      = json_pack ("{s:s, s:s, s:s, s:i, s:I, s:I, s:s}", "request_id", id, "capability", capability, "input", input,
                   "max_payload_bytes", 65536, "timeout_ms", (json_int_t)timeout_ms, "expires_at_unix_ms",
                   (json_int_t)(START_MS + expires_in_ms), "requested_by", "uid:0");
  g_autofree char *text = tl_json_to_string (object);

  g_free (f->input);
  g_free (f->capability);
  f->input = g_strdup (input);
  f->capability = g_strdup (capability);
  tl_request_runner_dispatch (f->runner, seq, text);
}

static void
dispatch (Fixture *f, guint64 seq, const char *id, const char *capability)
{
  dispatch_full (f, seq, id, capability, "{\"x\":1}", HOUR_MS, 30000);
}

static const Submitted *
wait_result (Fixture *f, guint n)
{
  tl_fixture_wait_count (&f->n_submitted, n, "a result");
  return f->submitted->pdata[n - 1];
}

static gboolean
is_done (Fixture *f, guint64 seq)
{
  for (guint i = 0; i < f->done->len; i++)
    if (g_array_index (f->done, guint64, i) == seq)
      return TRUE;
  return FALSE;
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static void
test_echo (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();
  const Submitted *result;

  (void)data;
  dispatch (f, 1, id, "echo");
  g_assert_false (is_done (f, 1)); /* idempotent: after a crash it comes again */
  result = wait_result (f, 1);
  g_assert_cmpstr (result->request_id, ==, id);
  g_assert_cmpint (result->state, ==, TL_RESULT_SUCCEEDED);
  g_assert_cmpstr (result->output, ==, "{\"x\":1}");
  g_assert_true (result->allowed);
  g_assert_cmpuint (f->n_accepted, ==, 0); /* over before there was anything to say */
  g_assert_cmpint (f->running, ==, 0);
  tl_request_runner_submitted (f->runner, id, NULL);
  g_assert_true (is_done (f, 1));
}

/* What lasts is announced, once. */
static void
test_accepted (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();

  (void)data;
  dispatch (f, 1, id, "test.gate");
  g_assert_cmpuint (f->n_accepted, ==, 0);
  tl_fixture_wait_count (&f->n_accepted, 1, "the word that it runs");
  set_gate (TRUE);
  wait_result (f, 1);
  g_assert_cmpuint (f->n_accepted, ==, 1);
}

/* Results of one turn have one signature; each verifies by itself (assert_signatures). */
static void
test_together (Fixture *f, gconstpointer data)
{
  char *ids[7];

  (void)data;
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      ids[i] = new_id ();
      dispatch (f, i + 1, ids[i], "echo");
    }
  wait_result (f, G_N_ELEMENTS (ids));
  g_assert_cmpuint (f->handed_in->len, ==, 1);
  g_assert_cmpuint (g_array_index (f->handed_in, guint, 0), ==, G_N_ELEMENTS (ids));
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    tl_request_runner_submitted (f->runner, ids[i], NULL);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      g_assert_true (is_done (f, i + 1));
      g_free (ids[i]);
    }
}

static void
test_recorded_before_run (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();

  (void)data;
  dispatch (f, 1, id, "test.gate_once");
  g_assert_cmpint (tl_request_journal_lookup (f->journal, id)->state, ==, TL_RECORD_STARTED);
  g_assert_true (is_done (f, 1)); /* durable: may be acknowledged while it runs */
  set_gate (TRUE);
  wait_result (f, 1);
  g_assert_cmpint (tl_request_journal_lookup (f->journal, id)->state, ==, TL_RECORD_FINISHED);
  tl_request_runner_submitted (f->runner, id, NULL);
  g_assert_cmpint (tl_request_journal_lookup (f->journal, id)->state, ==, TL_RECORD_ACCEPTED);
}

/* The same event in every state of its request: never a second run. */
static void
test_replayed (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();
  g_autoptr (GError) refused = g_error_new (TL_ERROR, TL_ERROR_UNAVAILABLE, "gone");

  (void)data;
  dispatch (f, 1, id, "test.once");
  dispatch (f, 2, id, "test.once");
  wait_result (f, 1);
  dispatch (f, 3, id, "test.once");
  tl_request_runner_submitted (f->runner, id, refused);
  dispatch (f, 4, id, "test.once"); /* the kept result goes again */
  wait_result (f, 2);
  g_assert_cmpuint (f->n_submitted, ==, 2);
  tl_request_runner_submitted (f->runner, id, NULL);
  dispatch (f, 5, id, "test.once");
  tl_fixture_settle ();
  open_runner (f);
  tl_request_runner_link_up (f->runner);
  dispatch (f, 6, id, "test.once");
  tl_fixture_settle ();
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 1);
  g_assert_cmpuint (f->n_submitted, ==, 2);
  for (guint64 seq = 1; seq <= 6; seq++)
    g_assert_true (is_done (f, seq));
}

/* The process dies while the request runs. */
static void
test_interrupted (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();
  const Submitted *result;

  (void)data;
  dispatch (f, 1, id, "test.once");
  /* Its end is never heard here: as if the power went. */
  g_clear_pointer (&f->runner, tl_request_runner_free);
  open_runner (f);
  tl_request_runner_link_up (f->runner);
  result = wait_result (f, 1);
  g_assert_cmpint (result->state, ==, TL_RESULT_FAILED);
  g_assert_cmpstr (result->reason, ==, "interrupted");
  g_assert_true (result->allowed);
  dispatch (f, 2, id, "test.once");
  tl_fixture_settle ();
  g_assert_cmpint (g_atomic_int_get (&runs), <=, 1);
  g_assert_cmpuint (f->n_submitted, ==, 1);
}

/* A gateway that was away hears again of what runs, and of nothing else. */
static void
test_running_is_told_again (Fixture *f, gconstpointer data)
{
  g_autofree char *running = new_id ();
  g_autofree char *ended = new_id ();

  (void)data;
  dispatch (f, 1, ended, "test.once");
  wait_result (f, 1);
  tl_request_runner_submitted (f->runner, ended, NULL);
  dispatch (f, 2, running, "test.gate");
  while (f->n_accepted == 0)
    g_main_context_iteration (NULL, TRUE);
  tl_request_runner_link_down (f->runner);
  g_assert_cmpuint (f->n_accepted, ==, 1);
  tl_request_runner_link_up (f->runner);
  g_assert_cmpuint (f->n_accepted, ==, 2);
  set_gate (TRUE);
  wait_result (f, 2);
}

/* The result is kept while there is no gateway, and survives the process. */
static void
test_kept (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();

  (void)data;
  tl_request_runner_link_down (f->runner);
  dispatch (f, 1, id, "test.once");
  while (tl_request_journal_lookup (f->journal, id)->state != TL_RECORD_FINISHED)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (f->n_submitted, ==, 0);
  open_runner (f);
  tl_request_runner_link_up (f->runner);
  g_assert_cmpstr (wait_result (f, 1)->output, ==, "{\"done\":true}");
  /* The link breaks before the answer: handed in again. */
  tl_request_runner_link_down (f->runner);
  tl_request_runner_link_up (f->runner);
  wait_result (f, 2);
  tl_request_runner_submitted (f->runner, id, NULL);
  tl_request_runner_link_down (f->runner);
  tl_request_runner_link_up (f->runner);
  tl_fixture_settle ();
  g_assert_cmpuint (f->n_submitted, ==, 2);
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 1);
}

static void
assert_failure (Fixture *f, guint n, TlResultState state, const char *reason)
{
  const Submitted *result = wait_result (f, n);

  g_assert_cmpint (result->state, ==, state);
  g_assert_cmpstr (result->reason, ==, reason);
  g_assert_cmpstr (result->output, ==, "");
}

static void
test_denied (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();
  g_autofree char *other = new_id ();

  (void)data;
  dispatch (f, 1, id, "test.once");
  assert_failure (f, 1, TL_RESULT_DENIED, "capability_denied");
  g_assert_false (((Submitted *)f->submitted->pdata[0])->allowed);
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 0);
  g_assert_null (tl_request_journal_lookup (f->journal, id));
  g_assert_cmpuint (f->n_accepted, ==, 0);
  dispatch (f, 2, other, "echo");
  g_assert_cmpint (wait_result (f, 2)->state, ==, TL_RESULT_SUCCEEDED);
}

static void
test_failures (Fixture *f, gconstpointer data)
{
  g_autofree char *a = new_id ();
  g_autofree char *b = new_id ();
  g_autofree char *c = new_id ();

  (void)data;
  dispatch (f, 1, a, "no.such_thing");
  assert_failure (f, 1, TL_RESULT_FAILED, "capability_unknown");
  dispatch (f, 2, b, "test.fail");
  assert_failure (f, 2, TL_RESULT_FAILED, "not_found");
  dispatch_full (f, 3, c, "echo", "{broken", HOUR_MS, 1000);
  assert_failure (f, 3, TL_RESULT_FAILED, "invalid_argument");
  tl_request_runner_dispatch (f->runner, 5, "{}"); /* nothing can be answered */
  tl_request_runner_dispatch (f->runner, 6, "nonsense");
  g_assert_true (is_done (f, 5));
  g_assert_true (is_done (f, 6));
}

static void
test_expired (Fixture *f, gconstpointer data)
{
  g_autofree char *late = new_id ();
  g_autofree char *in_time = new_id ();

  (void)data;
  dispatch_full (f, 1, late, "test.once", "{}", 0, 1000);
  assert_failure (f, 1, TL_RESULT_FAILED, "expired");
  dispatch_full (f, 2, in_time, "test.once", "{}", 1, 1000);
  g_assert_cmpint (wait_result (f, 2)->state, ==, TL_RESULT_SUCCEEDED);
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 1);
}

/* Eight at a time, the others in order; what expires while it waits does not start. */
static void
test_slots (Fixture *f, gconstpointer data)
{
  char *ids[12];

  (void)data;
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      ids[i] = new_id ();
      dispatch_full (f, i + 1, ids[i], "test.gate", "{}", i == 11 ? 1000 : HOUR_MS, 600000);
    }
  while (count_inside () < TL_RUNNER_MAX_RUNNING)
    g_main_context_iteration (NULL, FALSE);
  g_assert_cmpint (f->running, ==, TL_RUNNER_MAX_RUNNING);
  tl_fixture_wait_count (&f->n_accepted, TL_RUNNER_MAX_RUNNING, "the word that they run");
  tl_clock_advance (f->clock, 1000);
  set_gate (TRUE);
  tl_fixture_wait_count (&f->n_submitted, 12, "twelve results");
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 11);
  for (guint i = 0; i < 12; i++)
    {
      const Submitted *result = f->submitted->pdata[i];

      g_assert_cmpstr (result->reason, ==, g_str_equal (result->request_id, ids[11]) ? "expired" : "");
    }
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    g_free (ids[i]);
}

static void
test_timeout (Fixture *f, gconstpointer data)
{
  g_autofree char *id = new_id ();
  g_autofree char *next = new_id ();

  (void)data;
  dispatch_full (f, 1, id, "test.gate_once", "{}", HOUR_MS, 20);
  assert_failure (f, 1, TL_RESULT_TIMED_OUT, "timed_out");
  g_assert_cmpint (f->running, ==, 0);
  tl_request_runner_submitted (f->runner, id, NULL);
  set_gate (TRUE); /* it ends after all: nobody is told twice */
  dispatch (f, 2, next, "echo");
  wait_result (f, 2);
  tl_fixture_settle ();
  g_assert_cmpuint (f->n_submitted, ==, 2);
}

static void
cancel (Fixture *f, const char *id)
{
  g_autofree char *data = g_strdup_printf ("{\"request_id\":\"%s\"}", id);

  tl_request_runner_cancel (f->runner, data);
}

static void
test_cancel (Fixture *f, gconstpointer data)
{
  char *ids[10];

  (void)data;
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      ids[i] = new_id ();
      dispatch_full (f, i + 1, ids[i], "test.gate", "{}", HOUR_MS, 600000);
    }
  cancel (f, ids[9]); /* waits */
  assert_failure (f, 1, TL_RESULT_CANCELLED, "cancelled");
  cancel (f, ids[0]); /* runs */
  assert_failure (f, 2, TL_RESULT_CANCELLED, "cancelled");
  cancel (f, ids[0]);
  cancel (f, "01J00000000000000000000ZZZ");
  cancel (f, "x");
  g_assert_cmpuint (f->n_submitted, ==, 2);
  set_gate (TRUE);
  tl_fixture_wait_count (&f->n_submitted, 10, "the others");
  tl_fixture_settle ();
  g_assert_cmpuint (f->n_submitted, ==, 10);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    g_free (ids[i]);
}

/* `started` cannot be written: not run, and said so. */
static void
test_unwritable (Fixture *f, gconstpointer data)
{
  g_autofree char *requests = g_build_filename (f->directory, "requests", NULL);
  g_autofree char *moved = g_build_filename (f->directory, "moved", NULL);
  g_autofree char *id = new_id ();

  (void)data;
  g_assert_cmpint (rename (requests, moved), ==, 0);
  dispatch (f, 1, id, "test.once");
  g_assert_cmpint (wait_result (f, 1)->state, ==, TL_RESULT_FAILED);
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 0);
  g_assert_cmpint (rename (moved, requests), ==, 0);
}

static void
test_stop (Fixture *f, gconstpointer data)
{
  char *ids[9];

  (void)data;
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      ids[i] = new_id ();
      dispatch_full (f, i + 1, ids[i], "test.gate", "{}", HOUR_MS, 600000);
    }
  tl_request_runner_stop (f->runner);
  g_assert_cmpuint (f->n_idle, ==, 0);
  set_gate (TRUE);
  tl_fixture_wait_count (&f->n_submitted, 8, "those that ran");
  g_assert_cmpuint (f->n_idle, ==, 0); /* the gateway does not have them yet */
  for (guint i = 0; i < 8; i++)
    tl_request_runner_submitted (f->runner, ids[i], NULL);
  g_assert_cmpuint (f->n_idle, >=, 1);
  g_assert_cmpint (g_atomic_int_get (&runs), ==, 8);
  g_assert_false (is_done (f, 9)); /* comes again, to the next process */
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    g_free (ids[i]);
}

#define ADD(name, func, conf) g_test_add ("/request-runner/" name, Fixture, conf, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("echo", test_echo, NULL);
  ADD ("accepted", test_accepted, NULL);
  ADD ("together", test_together, NULL);
  ADD ("recorded-before-run", test_recorded_before_run, NULL);
  ADD ("replayed", test_replayed, NULL);
  ADD ("interrupted", test_interrupted, NULL);
  ADD ("running-is-told-again", test_running_is_told_again, NULL);
  ADD ("kept", test_kept, NULL);
  ADD ("denied", test_denied, "[policy test.once]\nmode=deny\n");
  ADD ("denied-by-default", test_denied, "[policy]\ndefault=deny\n[policy echo]\nmode=allow\n");
  ADD ("failures", test_failures, NULL);
  ADD ("expired", test_expired, NULL);
  ADD ("slots", test_slots, NULL);
  ADD ("timeout", test_timeout, NULL);
  ADD ("cancel", test_cancel, NULL);
  ADD ("unwritable", test_unwritable, NULL);
  ADD ("stop", test_stop, NULL);
  return g_test_run ();
}
