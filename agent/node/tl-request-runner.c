/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-request-runner.h"

#include <string.h>

#include "agent/node/tl-request.h"
#include "agent/node/tl-worker-pool.h"
#include "base/tl-error.h"
#include "base/tl-log.h"

#define PRUNE_INTERVAL_MS (3600 * 1000)

struct _TlRequestRunner
{
  TlRequestRunnerOptions with;
  const TlRequestRunnerHost *host;
  gpointer user_data;
  GMainContext *context;
  TlWorkerPool *pool;
  GHashTable *requests; /* id -> TlRequest */
  GQueue waiting;       /* TlRequest of the table, in order */
  guint active;         /* slots taken: deciding, running, or timed out and still on its thread */
  guint submitting;
  gboolean link_up;
  gboolean stopping;
  gboolean pumping;
  GSource *retry;
  GSource *hand_in;   /* results are ready */
  GQueue unannounced; /* TlRequest that run, oldest first; through their own links */
  GSource *announce;
  gint64 pruned_ms;
};

/* What a worker gets. It belongs to the thread while it runs, to the main context before and after. */
typedef struct
{
  char *request_id;
  const TlCapabilityEntry *entry;
  TlCapabilityCall *call;
  char *input;
  char *output;
  GError *error;
} Job;

static void pump (TlRequestRunner *runner);
static void submit_all (TlRequestRunner *runner);

static void
job_free (gpointer data)
{
  Job *job = data;

  g_free (job->request_id);
  g_free (job->input);
  g_free (job->output);
  g_clear_error (&job->error);
  tl_capability_call_unref (job->call);
  g_free (job);
}

static void
job_work (gpointer data)
{
  Job *job = data;

  job->output = tl_capability_execute (job->entry, job->call, job->input, &job->error);
}

static TlReceiptSubject
subject_of (TlRequestRunner *runner, const TlRequest *request)
{
  return (TlReceiptSubject){ .gateway_id = runner->with.gateway_id,
                             .device_id = tl_device_identity_device_id (runner->with.identity),
                             .request_id = request->id,
                             .capability = request->capability };
}

/* The one place that changes a request's state. */
static void
enter_state (TlRequestRunner *runner, TlRequest *request, TlRequestState state)
{
  if (request->state == TL_REQUEST_RUNNING)
    g_atomic_int_add (runner->with.running, -1);
  if (state == TL_REQUEST_RUNNING)
    g_atomic_int_add (runner->with.running, 1);
  request->state = state;
  tl_log (TL_LOG_DEBUG, "request", "request_id", request->id, "capability", request->capability, "state",
          tl_request_state_to_string (state), NULL);
}

static void
events_done (TlRequestRunner *runner, TlRequest *request)
{
  for (guint i = 0; i < request->seqs->len; i++)
    runner->host->event_done (g_array_index (request->seqs, guint64, i), runner->user_data);
  g_array_set_size (request->seqs, 0);
}

static void
check_idle (TlRequestRunner *runner)
{
  GHashTableIter iter;
  gpointer value;

  if (!runner->stopping)
    return;
  g_hash_table_iter_init (&iter, runner->requests);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((TlRequest *)value)->state != TL_REQUEST_ENDED || runner->link_up)
      return;
  runner->host->idle (runner->user_data);
}

static void
need_not_announce (TlRequestRunner *runner, TlRequest *request)
{
  if (request->unannounced.data == NULL)
    return;
  g_queue_unlink (&runner->unannounced, &request->unannounced);
  request->unannounced.data = NULL;
}

static void
send_accepted (TlRequestRunner *runner, TlRequest *request)
{
  tl_json_auto object = json_pack ("{s:s}", "request_id", request->id);
  g_autofree char *data = tl_json_to_string (object);

  need_not_announce (runner, request);
  runner->host->send_event ("capability.accepted", data, runner->user_data);
}

/* ---- handing in ------------------------------------------------------------------------------------------------ */

static gboolean
on_retry (gpointer data)
{
  TlRequestRunner *runner = data;

  g_clear_pointer (&runner->retry, g_source_unref);
  submit_all (runner);
  return G_SOURCE_REMOVE;
}

static void
retry_later (TlRequestRunner *runner)
{
  if (runner->retry != NULL)
    return;
  runner->retry = g_timeout_source_new (TL_RUNNER_RETRY_MS);
  g_source_set_callback (runner->retry, on_retry, runner, NULL);
  g_source_attach (runner->retry, runner->context);
}

/* The results that can be handed in now, at most n of them. One that is on disk only and cannot be read stays there. */
static GPtrArray *
take_ready (TlRequestRunner *runner, guint n)
{
  GPtrArray *ready = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, runner->requests);
  while (ready->len < n && g_hash_table_iter_next (&iter, NULL, &value))
    {
      TlRequest *request = value;
      g_autoptr (GError) error = NULL;

      if (request->state != TL_REQUEST_ENDED || request->submitting)
        continue;
      if (request->result == NULL)
        request->result = tl_request_journal_load_result (runner->with.journal, request->id, &error);
      if (request->result != NULL)
        g_ptr_array_add (ready, request);
      else
        tl_log_error (TL_LOG_WARNING, "a result cannot be handed in", error);
    }
  return ready;
}

static void
hand_in (TlRequestRunner *runner)
{
  g_autoptr (GPtrArray) ready = take_ready (runner, TL_RUNNER_MAX_SUBMITTING - runner->submitting);
  g_autofree TlSubmission *submissions = g_new0 (TlSubmission, ready->len);
  g_autofree TlReceiptSubject *subjects = g_new0 (TlReceiptSubject, ready->len);
  g_autoptr (GError) error = NULL;

  if (ready->len == 0)
    return;
  for (guint i = 0; i < ready->len; i++)
    {
      TlRequest *request = ready->pdata[i];

      subjects[i] = subject_of (runner, request);
      submissions[i].request_id = request->id;
      submissions[i].result = request->result;
      submissions[i].receipt = request->receipt;
    }
  if (!tl_submissions_sign (submissions, subjects, ready->len, runner->with.identity, &error))
    {
      tl_log_error (TL_LOG_WARNING, "results cannot be handed in", error);
      return;
    }
  for (guint i = 0; i < ready->len; i++)
    ((TlRequest *)ready->pdata[i])->submitting = TRUE;
  runner->submitting += ready->len;
  runner->host->submit (submissions, ready->len, runner->user_data);
}

static gboolean
on_hand_in (gpointer data)
{
  TlRequestRunner *runner = data;

  g_clear_pointer (&runner->hand_in, g_source_unref);
  if (runner->link_up)
    hand_in (runner);
  return G_SOURCE_REMOVE;
}

/* Not at once: what else ends in this turn goes with it. */
static void
submit_all (TlRequestRunner *runner)
{
  if (!runner->link_up || runner->hand_in != NULL || runner->submitting >= TL_RUNNER_MAX_SUBMITTING)
    return;
  runner->hand_in = g_idle_source_new ();
  g_source_set_priority (runner->hand_in, G_PRIORITY_DEFAULT);
  g_source_set_callback (runner->hand_in, on_hand_in, runner, NULL);
  g_source_attach (runner->hand_in, runner->context);
}

static void
forget_result (TlRequestRunner *runner, TlRequest *request)
{
  const TlRequestRecord *record = tl_request_journal_lookup (runner->with.journal, request->id);
  gint64 now_ms = tl_clock_wall_ms (runner->with.clock);
  g_autoptr (GError) error = NULL;

  if (record != NULL && record->state == TL_RECORD_FINISHED
      && !tl_request_journal_accept (runner->with.journal, request->id, &error))
    tl_log_error (TL_LOG_WARNING, "a result that was handed in stays in the journal", error);
  if (now_ms - runner->pruned_ms >= PRUNE_INTERVAL_MS)
    {
      tl_request_journal_prune (runner->with.journal, now_ms);
      runner->pruned_ms = now_ms;
    }
  events_done (runner, request);
  g_hash_table_remove (runner->requests, request->id);
}

void
tl_request_runner_submitted (TlRequestRunner *runner, const char *request_id, const GError *error)
{
  TlRequest *request = g_hash_table_lookup (runner->requests, request_id);

  if (request == NULL || !request->submitting)
    return;
  request->submitting = FALSE;
  runner->submitting--;
  if (error == NULL)
    forget_result (runner, request);
  else if (tl_error_is (error, TL_ERROR_INVALID_ARGUMENT) || tl_error_is (error, TL_ERROR_PERMISSION_DENIED))
    {
      /* It would be refused for ever. */
      tl_log_error (TL_LOG_WARNING, "the gateway does not take a result; it is dropped", error);
      forget_result (runner, request);
    }
  else
    {
      tl_log_error (TL_LOG_INFO, "a result will be handed in again", error);
      retry_later (runner);
      check_idle (runner);
      return;
    }
  submit_all (runner);
  check_idle (runner);
}

void
tl_request_runner_forget_events (TlRequestRunner *runner)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, runner->requests);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    g_array_set_size (((TlRequest *)value)->seqs, 0);
}

/* The gateway may not have heard of it, or have forgotten it with its last moments: a request that runs must not end by
 * the time that it had to start. */
static void
tell_running (TlRequestRunner *runner)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, runner->requests);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((TlRequest *)value)->state == TL_REQUEST_RUNNING)
      send_accepted (runner, value);
}

void
tl_request_runner_link_up (TlRequestRunner *runner)
{
  runner->link_up = TRUE;
  tell_running (runner);
  submit_all (runner);
}

void
tl_request_runner_link_down (TlRequestRunner *runner)
{
  GHashTableIter iter;
  gpointer value;

  runner->link_up = FALSE;
  runner->submitting = 0;
  g_hash_table_iter_init (&iter, runner->requests);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    ((TlRequest *)value)->submitting = FALSE;
  check_idle (runner);
}

/* ---- running --------------------------------------------------------------------------------------------------- */

/* A request that ends before anybody was asked has a receipt too: this device did not let it run. */
static void
ensure_receipt (TlRequestRunner *runner, TlRequest *request, gboolean allowed, const char *by)
{
  if (request->receipt == NULL)
    request->receipt = tl_receipt_new (allowed, by, request->input, request->requested_by, request->expires_at_ms,
                                       tl_clock_wall_ms (runner->with.clock));
}

/* Takes the result. */
static void
finish (TlRequestRunner *runner, TlRequest *request, TlRequestResult *result)
{
  g_autoptr (GError) error = NULL;

  tl_request_clear_timer (request);
  if (request->call != NULL)
    tl_capability_call_cancel (request->call);
  g_clear_pointer (&request->call, tl_capability_call_unref);
  need_not_announce (runner, request);
  enter_state (runner, request, TL_REQUEST_ENDED);
  request->result = result;
  tl_log (TL_LOG_INFO, "request ended", "request_id", request->id, "capability", request->capability, "result",
          tl_result_state_to_string (result->state), "reason",
          *result->error_reason != '\0' ? result->error_reason : NULL, NULL);
  /* Without the record the result is still handed in from memory; only a crash before that reports it as interrupted.
   */
  if (request->recorded && !tl_request_journal_finish (runner->with.journal, request->id, result, &error))
    tl_log_error (TL_LOG_WARNING, "a result cannot be kept", error);
  ensure_receipt (runner, request, FALSE, "policy");
  submit_all (runner);
}

static void
finish_error (TlRequestRunner *runner, TlRequest *request, const GError *error)
{
  finish (runner, request, tl_request_result_new_error (error));
}

static void
finish_code (TlRequestRunner *runner, TlRequest *request, TlErrorCode code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, code, message);

  finish_error (runner, request, error);
}

static void
on_job_done (gpointer data, gpointer user_data)
{
  TlRequestRunner *runner = user_data;
  Job *job = data;
  TlRequest *request = g_hash_table_lookup (runner->requests, job->request_id);

  runner->active--;
  /* Timed out or cancelled in between: the result was decided without the worker. */
  if (request != NULL && request->call == job->call)
    finish (runner, request,
            job->output != NULL ? tl_request_result_new_success (job->output)
                                : tl_request_result_new_error (job->error));
  job_free (job);
  pump (runner);
  check_idle (runner);
}

static gboolean
on_timeout (gpointer data)
{
  TlRequest *request = data;
  TlRequestRunner *runner = request->runner;
  g_autofree char *limit = tl_duration_to_string (request->timeout_ms);
  g_autofree char *message = g_strdup_printf ("%s did not end within %s", request->capability, limit);

  finish_code (runner, request, TL_ERROR_TIMED_OUT, message);
  check_idle (runner);
  return G_SOURCE_REMOVE;
}

static gboolean
on_announce (gpointer data)
{
  TlRequestRunner *runner = data;
  gint64 before = g_get_monotonic_time () - (gint64)TL_RUNNER_ACCEPTED_MS * 1000;
  TlRequest *request;

  while ((request = g_queue_peek_head (&runner->unannounced)) != NULL && request->began_us <= before)
    send_accepted (runner, request);
  if (request != NULL)
    return G_SOURCE_CONTINUE;
  g_clear_pointer (&runner->announce, g_source_unref);
  return G_SOURCE_REMOVE;
}

static void
announce_later (TlRequestRunner *runner, TlRequest *request)
{
  request->began_us = g_get_monotonic_time ();
  request->unannounced.data = request;
  g_queue_push_tail_link (&runner->unannounced, &request->unannounced);
  if (runner->announce != NULL)
    return;
  runner->announce = g_timeout_source_new (TL_RUNNER_ACCEPTED_MS);
  g_source_set_callback (runner->announce, on_announce, runner, NULL);
  g_source_attach (runner->announce, runner->context);
}

/* What only computes needs no thread, no timer and no word that it runs. */
static void
run_here (TlRequestRunner *runner, TlRequest *request)
{
  g_autoptr (TlCapabilityCall) call = tl_capability_call_new (request->max_payload);
  g_autoptr (GError) error = NULL;
  char *output;

  enter_state (runner, request, TL_REQUEST_RUNNING);
  output = tl_capability_execute (request->entry, call, request->input, &error);
  runner->active--;
  finish (runner, request,
          output != NULL ? tl_request_result_new_success (output) : tl_request_result_new_error (error));
  g_free (output);
}

static void
run (TlRequestRunner *runner, TlRequest *request)
{
  gint64 limit_ms = request->entry->capability->timeout_ms;
  Job *job = g_new0 (Job, 1);

  if (limit_ms > 0)
    request->timeout_ms = MIN (request->timeout_ms, limit_ms);
  enter_state (runner, request, TL_REQUEST_RUNNING);
  announce_later (runner, request);
  request->call = tl_capability_call_new (request->max_payload);
  request->timer = g_timeout_source_new ((guint)request->timeout_ms);
  g_source_set_callback (request->timer, on_timeout, request, NULL);
  g_source_attach (request->timer, runner->context);
  job->request_id = g_strdup (request->id);
  job->entry = request->entry;
  job->call = tl_capability_call_ref (request->call);
  job->input = g_strdup (request->input);
  if (tl_worker_pool_run (runner->pool, job))
    return;
  job_free (job);
  runner->active--;
  finish_code (runner, request, TL_ERROR_RESOURCE_EXHAUSTED, "this computer cannot start another thread");
}

static gboolean
has_expired (TlRequestRunner *runner, const TlRequest *request)
{
  return tl_clock_wall_ms (runner->with.clock) >= request->expires_at_ms;
}

/* Allowed: the record first, then the run (PROTOCOL 4.1, P). */
static void
begin (TlRequestRunner *runner, TlRequest *request)
{
  g_autoptr (GError) error = NULL;

  if (has_expired (runner, request))
    {
      runner->active--;
      finish_code (runner, request, TL_ERROR_EXPIRED, "the request expired before it could run");
      return;
    }
  if (!request->entry->capability->idempotent)
    {
      TlReceiptSubject subject = subject_of (runner, request);

      if (!tl_receipt_sign (request->receipt, &subject, runner->with.identity, &error)
          || !tl_request_journal_start (runner->with.journal, request->id, request->capability, request->receipt,
                                        &error))
        {
          runner->active--;
          finish_error (runner, request, error);
          return;
        }
      request->recorded = TRUE;
      events_done (runner, request);
    }
  if (request->entry->capability->immediate)
    run_here (runner, request);
  else
    run (runner, request);
}

static void
on_decision (const TlPolicyDecision *decision, gpointer user_data)
{
  TlRequest *request = user_data;
  TlRequestRunner *runner = request->runner;

  ensure_receipt (runner, request, decision->allowed, decision->by);
  if (!decision->allowed)
    {
      runner->active--;
      finish_code (runner, request, TL_ERROR_CAPABILITY_DENIED, decision->message);
    }
  else
    begin (runner, request);
  pump (runner);
  check_idle (runner);
}

static void
decide (TlRequestRunner *runner, TlRequest *request)
{
  TlPolicyRequest asked = { .request_id = request->id,
                            .capability = request->capability,
                            .input = request->input,
                            .requested_by = request->requested_by };

  if (has_expired (runner, request))
    {
      finish_code (runner, request, TL_ERROR_EXPIRED, "the request expired before it could run");
      return;
    }
  runner->active++;
  enter_state (runner, request, TL_REQUEST_DECIDING);
  tl_policy_decide (runner->with.policy, &asked, on_decision, request);
}

static void
pump (TlRequestRunner *runner)
{
  if (runner->pumping) /* a decision at once comes back here */
    return;
  runner->pumping = TRUE;
  while (!runner->stopping && runner->active < TL_RUNNER_MAX_RUNNING && !g_queue_is_empty (&runner->waiting))
    decide (runner, g_queue_pop_head (&runner->waiting));
  runner->pumping = FALSE;
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

static void
dispatch_again (TlRequestRunner *runner, TlRequest *request, guint64 seq)
{
  tl_request_add_seq (request, seq);
  if (request->recorded)
    events_done (runner, request);
  submit_all (runner);
}

static void
accept_new (TlRequestRunner *runner, TlRequest *request)
{
  g_autofree char *message = NULL;

  request->entry = tl_capability_set_lookup (runner->with.capabilities, request->capability);
  if (has_expired (runner, request))
    finish_code (runner, request, TL_ERROR_EXPIRED, "the request expired before it arrived");
  else if (request->entry == NULL)
    {
      message = g_strdup_printf ("this node has no capability %s", request->capability);
      finish_code (runner, request, TL_ERROR_CAPABILITY_UNKNOWN, message);
    }
  else if (!request->entry->available)
    {
      message = g_strdup_printf ("%s is not available: %s", request->capability, request->entry->unavailable_reason);
      finish_code (runner, request, TL_ERROR_FAILED_PRECONDITION, message);
    }
  else if (g_queue_get_length (&runner->waiting) >= TL_RUNNER_MAX_WAITING)
    finish_code (runner, request, TL_ERROR_RESOURCE_EXHAUSTED, "too many requests wait on this node");
  else
    {
      g_queue_push_tail (&runner->waiting, request);
      pump (runner);
    }
}

void
tl_request_runner_dispatch (TlRequestRunner *runner, guint64 seq, const char *data)
{
  g_autoptr (TlRequest) request = NULL;
  g_autoptr (GError) error = NULL;
  gboolean valid = tl_request_parse (data, &request, &error);
  TlRequest *known;

  if (request == NULL)
    {
      tl_log_error (TL_LOG_WARNING, "a dispatch event makes no sense", error);
      runner->host->event_done (seq, runner->user_data);
      return;
    }
  known = g_hash_table_lookup (runner->requests, request->id);
  if (known != NULL)
    {
      dispatch_again (runner, known, seq);
      return;
    }
  if (tl_request_journal_lookup (runner->with.journal, request->id) != NULL)
    {
      tl_log (TL_LOG_INFO, "a request that was begun before does not run again", "request_id", request->id, NULL);
      runner->host->event_done (seq, runner->user_data);
      return;
    }
  if (runner->stopping) /* not acknowledged: it comes again */
    return;
  known = g_steal_pointer (&request);
  known->runner = runner;
  tl_request_add_seq (known, seq);
  g_hash_table_insert (runner->requests, known->id, known);
  if (valid)
    accept_new (runner, known);
  else
    finish_error (runner, known, error);
}

void
tl_request_runner_cancel (TlRequestRunner *runner, const char *data)
{
  g_autofree char *id = tl_request_parse_id (data);
  TlRequest *request = id != NULL ? g_hash_table_lookup (runner->requests, id) : NULL;

  if (request == NULL || request->state == TL_REQUEST_ENDED)
    return;
  if (request->state == TL_REQUEST_WAITING)
    g_queue_remove (&runner->waiting, request);
  if (request->state == TL_REQUEST_DECIDING)
    {
      tl_policy_forget (runner->with.policy, request->id);
      runner->active--;
    }
  finish_code (runner, request, TL_ERROR_CANCELLED, "the request was cancelled");
  pump (runner);
  check_idle (runner);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

TlRequestRunner *
tl_request_runner_new (const TlRequestRunnerOptions *options, const TlRequestRunnerHost *host, gpointer user_data)
{
  TlRequestRunner *runner = g_new0 (TlRequestRunner, 1);
  g_autoptr (GPtrArray) kept = tl_request_journal_finished (options->journal);

  runner->with = *options;
  runner->host = host;
  runner->user_data = user_data;
  runner->context = g_main_context_ref_thread_default ();
  runner->pool = tl_worker_pool_new (TL_RUNNER_MAX_RUNNING, runner->context, job_work, on_job_done, runner, job_free);
  runner->requests = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify)tl_request_free);
  runner->pruned_ms = tl_clock_wall_ms (options->clock);
  g_queue_init (&runner->waiting);
  for (guint i = 0; i < kept->len; i++)
    {
      const TlRequestRecord *record = tl_request_journal_lookup (options->journal, kept->pdata[i]);
      TlRequest *request = tl_request_new_recorded (record->request_id, record->capability, record->receipt);

      request->runner = runner;
      g_hash_table_insert (runner->requests, request->id, request);
    }
  return runner;
}

static void
clear_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
forget_decisions (TlRequestRunner *runner)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, runner->requests);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((TlRequest *)value)->state == TL_REQUEST_DECIDING)
      tl_policy_forget (runner->with.policy, ((TlRequest *)value)->id);
}

void
tl_request_runner_free (TlRequestRunner *runner)
{
  if (runner == NULL)
    return;
  forget_decisions (runner);
  clear_source (&runner->retry);
  clear_source (&runner->hand_in);
  clear_source (&runner->announce);
  g_queue_clear (&runner->waiting);
  g_hash_table_unref (runner->requests); /* cancels what runs */
  tl_worker_pool_free (runner->pool);
  g_main_context_unref (runner->context);
  g_free (runner);
}

void
tl_request_runner_stop (TlRequestRunner *runner)
{
  TlRequest *request;

  runner->stopping = TRUE;
  while ((request = g_queue_pop_head (&runner->waiting)) != NULL) /* not acknowledged: they come again */
    g_hash_table_remove (runner->requests, request->id);
  check_idle (runner);
}
