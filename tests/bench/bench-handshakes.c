/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#define BLOCKS           5
#define SEQUENTIAL       200
#define SEQUENTIAL_QUICK 50
#define PARALLEL         400
#define PARALLEL_QUICK   100
#define IN_FLIGHT        4
#define WARM_UP          5

typedef struct
{
  Bench *bench;
  BenchDevice *device;
  TlRpcIdentity *identity;
} Subject;

typedef struct
{
  BenchTimes *connections;
  BenchTlsTimes memory;
  double server_seconds;
} Times;

/* A connection with a certificate on either side, made, used for one call and closed. */
static void
start_connection (BenchOperation *operation, guint index, gpointer user_data)
{
  Subject *subject = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (TlRpcClient) client = bench_device_client (subject->device, subject->identity, subject->bench->loop,
                                                        subject->bench->daemon->address, &error);

  if (client == NULL)
    bench_operation_finish (operation, error);
  else
    bench_start_check (operation, index, client);
}

static gboolean
run_blocks (Subject *subject, guint count, guint in_flight, Times *times, GError **error)
{
  Bench *bench = subject->bench;
  double before = 0, after = 0;

  for (guint block = 0; block < BLOCKS; block++)
    {
      if (!bench_tls_run (bench->tls, count / BLOCKS, &times->memory, error)
          || !bench_process_cpu (bench->daemon->process, &before, error)
          || !bench_load_run (count / BLOCKS, in_flight, start_connection, subject, times->connections, error)
          || !bench_process_cpu (bench->daemon->process, &after, error))
        return FALSE;
      times->server_seconds += after - before;
    }
  return TRUE;
}

static void
report_rate (Bench *bench, const char *name, const Times *times)
{
  const BenchRow row = { .bench = name,
                         .value = bench_times_rate (times->connections),
                         .unit = "1/s",
                         .reference = times->memory.count / times->memory.seconds,
                         .budget = NAN,
                         .against = "both sides by OpenSSL in memory, one thread" };

  bench_report_add (bench->report, &row);
}

static void
report_server (Bench *bench, const Times *times)
{
  const BenchRow row = { .bench = "handshake_server_cpu",
                         .value = times->server_seconds / times->connections->samples->len * 1e3,
                         .unit = "ms",
                         .reference = times->memory.server_seconds / times->memory.count * 1e3,
                         .budget = NAN,
                         .against = "the server's side by OpenSSL in memory" };

  bench_report_add (bench->report, &row);
}

gboolean
bench_handshakes (Bench *bench, GError **error)
{
  g_autoptr (BenchTimes) one = bench_times_new (), several = bench_times_new ();
  Times sequential = { .connections = one }, parallel = { .connections = several };
  Subject subject = { .bench = bench, .device = g_ptr_array_index (bench->devices, 0) };
  g_autoptr (TlRpcIdentity) identity = bench_device_rpc_identity (subject.device, error);

  if (identity == NULL)
    return FALSE;
  subject.identity = identity;
  if (!bench_load_run (WARM_UP, 1, start_connection, &subject, NULL, error)
      || !run_blocks (&subject, bench->quick ? SEQUENTIAL_QUICK : SEQUENTIAL, 1, &sequential, error)
      || !run_blocks (&subject, bench->quick ? PARALLEL_QUICK : PARALLEL, IN_FLIGHT, &parallel, error))
    return FALSE;
  report_rate (bench, "mutual_handshakes", &sequential);
  report_rate (bench, "mutual_handshakes_4_in_flight", &parallel);
  report_server (bench, &sequential);
  return TRUE;
}
