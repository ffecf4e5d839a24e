/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/resource.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "bench-dispatch.h"
#include "twinlatch/v1/admin.pb-c.h"

#define BLOCKS           20
#define SEQUENTIAL       2000
#define SEQUENTIAL_QUICK 300
#define CONCURRENT       6000
#define CONCURRENT_QUICK 1000
#define WARM_UP          200
#define WARM_UP_QUICK    50
#define IN_FLIGHT        64
#define DEADLINE_MS      30000
/* DESIGN, Budgets */
#define MOST_QUIC_US 500.0
#define LEAST_RATE   4000.0
#define LEAST_RATIO  0.25

typedef Twinlatch__V1__ExecuteCapabilityResponse Answer;

/* Each with the processor's time of all that took part: node, gateway and operator, or gateway and caller. */
typedef struct
{
  BenchTimes *dispatches, *checks;
  double dispatch_cpu, check_cpu;
} Times;

/* ---- one dispatch */

typedef struct
{
  BenchOperation *operation;
  TlRpcStream *stream;
  int state;
  char *message;
} Dispatch;

static void
on_state (TlRpcStream *stream, const ProtobufCMessage *message, gpointer user_data)
{
  Dispatch *dispatch = user_data;
  const Answer *answer = (const Answer *)message;

  dispatch->state = answer->state;
  if (answer->state < TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_SUCCEEDED)
    return;
  bench_operation_stop_clock (dispatch->operation);
  dispatch->message = g_strdup (answer->error);
}

static void
on_closed (TlRpcStream *stream, const GError *error, gpointer user_data)
{
  Dispatch *dispatch = user_data;
  g_autoptr (GError) failed = NULL;

  if (error == NULL && dispatch->state != TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_SUCCEEDED)
    failed = g_error_new (TL_ERROR, TL_ERROR_CAPABILITY_FAILED, "echo ended in state %d: %s", dispatch->state,
                          dispatch->message != NULL ? dispatch->message : "no final state");
  bench_operation_finish (dispatch->operation, error != NULL ? error : failed);
  tl_rpc_stream_unref (dispatch->stream);
  g_free (dispatch->message);
  g_free (dispatch);
}

void
bench_start_dispatch (BenchOperation *operation, guint index, gpointer user_data)
{
  static const TlRpcStreamHandlers handlers = { on_state, on_closed };
  BenchSubject *subject = user_data;
  Twinlatch__V1__ExecuteCapabilityRequest request = TWINLATCH__V1__EXECUTE_CAPABILITY_REQUEST__INIT;
  Dispatch *dispatch = g_new0 (Dispatch, 1);

  request.device = (char *)subject->device_id;
  request.capability = (char *)"echo";
  request.input = subject->input;
  dispatch->operation = operation;
  dispatch->stream = tl_rpc_client_stream (subject->operator, "/twinlatch.v1.AdminService/ExecuteCapability",
                                           &request.base, &twinlatch__v1__execute_capability_response__descriptor,
                                           DEADLINE_MS, &handlers, dispatch);
}

/* ---- blocks of them */

/* Seconds so far, of the three processes. */
static gboolean
measure_cpu (const BenchSubject *subject, double *seconds, GError **error)
{
  struct rusage own;
  double node = 0, gateway = 0;

  if (!bench_process_cpu (subject->node, &node, error) || !bench_process_cpu (subject->gateway, &gateway, error))
    return FALSE;
  getrusage (RUSAGE_SELF, &own);
  *seconds = node + gateway + (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec)
             + (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
  return TRUE;
}

static gboolean
run_blocks (BenchSubject *subject, guint count, guint in_flight, Times *times, GError **error)
{
  double began = 0, between = 0, ended = 0;

  for (guint block = 0; block < BLOCKS; block++)
    {
      if (!measure_cpu (subject, &began, error)
          || !bench_load_run (count / BLOCKS, in_flight, bench_start_dispatch, subject, times->dispatches, error)
          || !measure_cpu (subject, &between, error)
          || !bench_load_run (count / BLOCKS, in_flight, bench_start_check, subject->device, times->checks, error)
          || !measure_cpu (subject, &ended, error))
        return FALSE;
      times->dispatch_cpu += between - began;
      times->check_cpu += ended - between;
    }
  return TRUE;
}

static void
report_latency (Bench *bench, const char *name, Times *times, double fraction, double budget)
{
  const BenchRow row = { .bench = name,
                         .value = bench_percentile (times->dispatches->samples, fraction),
                         .unit = "us",
                         .reference = bench_percentile (times->checks->samples, fraction),
                         .budget = budget,
                         .against = "a bare unary call to the gateway over mutual TLS" };

  bench_report_add (bench->report, &row);
}

static void
report_rate (Bench *bench, const Times *times)
{
  const BenchRow row = { .bench = "dispatches_64_in_flight",
                         .value = bench_times_rate (times->dispatches),
                         .unit = "1/s",
                         .reference = bench_times_rate (times->checks),
                         .budget = MAX (LEAST_RATE, LEAST_RATIO * bench_times_rate (times->checks)),
                         .at_least = TRUE,
                         .against = "bare unary calls over mutual TLS, 64 in flight" };

  bench_report_add (bench->report, &row);
}

/* What a machine that does other things as well cannot blur. */
static void
report_cpu (Bench *bench, const Times *times)
{
  const BenchRow row = { .bench = "dispatch_cpu_64_in_flight",
                         .value = times->dispatch_cpu / times->dispatches->samples->len * 1e6,
                         .unit = "us",
                         .reference = times->check_cpu / times->checks->samples->len * 1e6,
                         .budget = NAN,
                         .against = "bare unary calls over mutual TLS, both sides" };

  bench_report_add (bench->report, &row);
}

static gboolean
measure_quic (Bench *bench, BenchSubject *subject, GError **error)
{
  g_autoptr (BenchTimes) dispatches = bench_times_new (), checks = bench_times_new ();
  Times times = { .dispatches = dispatches, .checks = checks };

  if (!bench_load_run (bench->quick ? WARM_UP_QUICK : WARM_UP, 1, bench_start_dispatch, subject, NULL, error)
      || !run_blocks (subject, bench->quick ? SEQUENTIAL_QUICK : SEQUENTIAL, 1, &times, error))
    return FALSE;
  report_latency (bench, "quic_dispatch_p50", &times, 0.5, MOST_QUIC_US);
  report_latency (bench, "quic_dispatch_p99", &times, 0.99, NAN);
  return TRUE;
}

static gboolean
measure (Bench *bench, BenchSubject *subject, GError **error)
{
  g_autoptr (BenchTimes) dispatches = bench_times_new (), checks = bench_times_new ();
  g_autoptr (BenchTimes) many_dispatches = bench_times_new (), many_checks = bench_times_new ();
  Times sequential = { .dispatches = dispatches, .checks = checks };
  Times concurrent = { .dispatches = many_dispatches, .checks = many_checks };
  guint warm_up = bench->quick ? WARM_UP_QUICK : WARM_UP;

  if (!bench_load_run (warm_up, 1, bench_start_dispatch, subject, NULL, error)
      || !bench_load_run (warm_up, 1, bench_start_check, subject->device, NULL, error)
      || !run_blocks (subject, bench->quick ? SEQUENTIAL_QUICK : SEQUENTIAL, 1, &sequential, error)
      || !run_blocks (subject, bench->quick ? CONCURRENT_QUICK : CONCURRENT, IN_FLIGHT, &concurrent, error))
    return FALSE;
  report_latency (bench, "dispatch_p50", &sequential, 0.5, NAN); /* DESIGN's budget is for QUIC nodes */
  report_latency (bench, "dispatch_p99", &sequential, 0.99, NAN);
  report_rate (bench, &concurrent);
  report_cpu (bench, &concurrent);
  return TRUE;
}

/* A process of its own, as in life. */
BenchProcess *
bench_start_node (Bench *bench, const char *name, const char *node_dir, const char *transport, GError **error)
{
  const char *const argv[]
      = { bench->twinlatch, "node", "run", "--state-dir", node_dir, "--transport", transport, "--print-ready", NULL };
  tl_json_auto ready = NULL;

  return bench_process_start (bench->directory, name, argv, &ready, error);
}

void
bench_subject_init (BenchSubject *subject, BenchDaemon *daemon, BenchProcess *node, BenchDevice *device)
{
  *subject = (BenchSubject){ .operator= daemon->admin,
                             .node = node,
                             .gateway = daemon->process,
                             .device_id = tl_device_identity_device_id (device->identity) };
  memset (subject->input, 'x', BENCH_INPUT_LENGTH);
  subject->input[0] = subject->input[BENCH_INPUT_LENGTH - 1] = '"';
}

static gboolean
measure_over (Bench *bench, const char *transport, TlRpcClient *client, GError **error)
{
  BenchDevice *device = g_ptr_array_index (bench->devices, 0);
  g_autofree char *name = g_strconcat ("node-", transport, NULL);
  g_autoptr (BenchProcess) process = bench_start_node (bench, name, device->node_dir, transport, error);
  BenchSubject subject;

  if (process == NULL)
    return FALSE;
  bench_subject_init (&subject, bench->daemon, process, device);
  subject.device = client;
  return g_str_equal (transport, "quic") ? measure_quic (bench, &subject, error) : measure (bench, &subject, error);
}

gboolean
bench_dispatch (Bench *bench, GError **error)
{
  BenchDevice *caller = g_ptr_array_index (bench->devices, 1);
  g_autoptr (TlRpcIdentity) identity = bench_device_rpc_identity (caller, error);
  g_autoptr (TlRpcClient) client = NULL;

  if (identity == NULL)
    return FALSE;
  client = bench_device_client (caller, identity, bench->loop, bench->daemon->address, error);
  return client != NULL && measure_over (bench, "grpc", client, error) && measure_over (bench, "quic", client, error);
}
