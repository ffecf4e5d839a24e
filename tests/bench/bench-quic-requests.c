/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "bench-quic-client.h"
#include "bench-quic.h"

/*
 * Requests of 200 bytes, each on a stream of its own, over one connection that is there: `node.health` over shared/quic
 * to the gateway, the same number of bytes to the bare echo, and a datagram of that size. All of them run on one
 * processor: with two, the scheduler decides from block to block whether a sleeping processor has to be woken for each
 * packet, and that (14 or 70 us for the same echo on the virtual machine this was written on) hides all else.
 */
#define BLOCKS           20
#define SEQUENTIAL       10000
#define SEQUENTIAL_QUICK 2000
#define PARALLEL         200000
#define PARALLEL_QUICK   20000
#define IN_FLIGHT        32
#define WARM_UP          1000
#define ON_STREAM        204 /* bytes: a frame of 200 */
/* DESIGN, Budgets */
#define MOST_RATIO  1.5
#define LEAST_RATIO 0.5

typedef struct
{
  BenchQuic *quic;
  BenchQuicClient *client;
  BenchBareEndpoint *bare_endpoint;
  BenchBareConnection *bare;
  int datagrams;
  guint8 data[ON_STREAM];
} Requests;

typedef struct
{
  BenchTimes *gateway, *bare, *raw;
} Times;

static void
requests_clear (Requests *requests)
{
  g_clear_pointer (&requests->client, bench_quic_client_free);
  g_clear_pointer (&requests->bare_endpoint, bench_bare_endpoint_free);
  if (requests->datagrams >= 0)
    close (requests->datagrams);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Requests, requests_clear)

/* ---- the three ways */

static gboolean
open_datagrams (Requests *requests, GError **error)
{
  const struct sockaddr_in remote = { .sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl (INADDR_LOOPBACK),
                                      .sin_port = htons (requests->quic->datagram_port) };

  requests->datagrams = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (requests->datagrams >= 0 && connect (requests->datagrams, (const struct sockaddr *)&remote, sizeof remote) == 0)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_IO, "datagrams: %s", g_strerror (errno));
  return FALSE;
}

static gboolean
exchange_datagrams (Requests *requests, guint count, BenchTimes *times, GError **error)
{
  guint8 answer[ON_STREAM];

  for (guint i = 0; i < count; i++)
    {
      double began = bench_now (), taken;

      if (send (requests->datagrams, requests->data, sizeof requests->data, 0) < 0
          || recv (requests->datagrams, answer, sizeof answer, 0) < 0)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_IO, "datagrams: %s", g_strerror (errno));
          return FALSE;
        }
      taken = (bench_now () - began) * 1e6;
      g_array_append_val (times->samples, taken);
    }
  return TRUE;
}

static void
start_bare_connection (BenchOperation *operation, guint index, gpointer user_data)
{
  Requests *requests = user_data;

  requests->bare = bench_bare_connect (requests->bare_endpoint, requests->quic->bare_tls, operation);
}

static void
start_bare_request (BenchOperation *operation, guint index, gpointer user_data)
{
  Requests *requests = user_data;

  bench_bare_connection_request (requests->bare, requests->data, sizeof requests->data, operation);
}

static gboolean
connect_all (Requests *requests, GError **error)
{
  BenchQuic *quic = requests->quic;

  requests->client = bench_quic_client_new (&quic->crowd, 0, quic->daemon->address, error);
  if (requests->client == NULL
      || (requests->bare_endpoint = bench_bare_endpoint_new_client (quic->bare_port, error)) == NULL)
    return FALSE;
  return open_datagrams (requests, error)
         && bench_load_run (1, 1, bench_quic_client_start_connection, requests->client, NULL, error)
         && bench_load_run (1, 1, start_bare_connection, requests, NULL, error)
         && bench_load_run (WARM_UP, IN_FLIGHT, bench_quic_client_start_request, requests->client, NULL, error)
         && bench_load_run (WARM_UP, IN_FLIGHT, start_bare_request, requests, NULL, error);
}

/* ---- blocks of them */

/* The first is not always the same. */
static gboolean
run_blocks (Requests *requests, guint count, guint in_flight, Times *times, GError **error)
{
  for (guint block = 0; block < 2 * BLOCKS; block++)
    {
      gboolean is_gateway = (block & 1) == (block >> 1 & 1);
      BenchStartFunc start = is_gateway ? bench_quic_client_start_request : start_bare_request;
      gpointer subject = is_gateway ? (gpointer)requests->client : requests;

      if (!bench_load_run (count / BLOCKS, in_flight, start, subject, is_gateway ? times->gateway : times->bare, error)
          || (times->raw != NULL && is_gateway && !exchange_datagrams (requests, count / BLOCKS, times->raw, error)))
        return FALSE;
    }
  return TRUE;
}

static void
report_latency (Bench *bench, const Times *times, double fraction, const char *name, const char *bare_name)
{
  const double bare = bench_percentile (times->bare->samples, fraction);
  const BenchRow gateway = { .bench = name,
                             .value = bench_percentile (times->gateway->samples, fraction),
                             .unit = "us",
                             .reference = bare,
                             .budget = fraction == 0.5 ? MOST_RATIO * bare : (double)NAN,
                             .against = "the bare echo, as many bytes on a new stream" };
  const BenchRow reference = { .bench = bare_name,
                               .value = bare,
                               .unit = "us",
                               .reference = bench_percentile (times->raw->samples, fraction),
                               .budget = NAN,
                               .against = "a datagram there and back" };

  bench_report_add (bench->report, &gateway);
  bench_report_add (bench->report, &reference);
}

static void
report_rate (Bench *bench, const Times *times)
{
  const BenchRow row = { .bench = "quic_requests_32_streams",
                         .value = bench_times_rate (times->gateway),
                         .unit = "1/s",
                         .reference = bench_times_rate (times->bare),
                         .budget = LEAST_RATIO * bench_times_rate (times->bare),
                         .at_least = TRUE,
                         .against = "the bare echo, 32 streams of one connection" };

  bench_report_add (bench->report, &row);
}

static gboolean
pin_all (BenchQuic *quic, int processor, GError **error)
{
  return bench_process_pin (NULL, processor, error) && bench_process_pin (quic->bare, processor, error)
         && bench_process_pin (quic->daemon->process, processor, error);
}

gboolean
bench_quic_requests (BenchQuic *quic, GError **error)
{
  Bench *bench = quic->bench;
  g_autoptr (BenchTimes) gateway = bench_times_new (), bare = bench_times_new (), raw = bench_times_new ();
  g_autoptr (BenchTimes) many_gateway = bench_times_new (), many_bare = bench_times_new ();
  Times one = { gateway, bare, raw }, many = { many_gateway, many_bare, NULL };
  g_auto (Requests) requests = { .quic = quic, .datagrams = -1 };

  if (!connect_all (&requests, error) || !pin_all (quic, bench_last_processor (), error)
      || !run_blocks (&requests, bench->quick ? SEQUENTIAL_QUICK : SEQUENTIAL, 1, &one, error)
      || !run_blocks (&requests, bench->quick ? PARALLEL_QUICK : PARALLEL, IN_FLIGHT, &many, error)
      || !pin_all (quic, BENCH_PROCESSOR_ANY, error))
    return FALSE;
  report_latency (bench, &one, 0.5, "quic_request_p50", "quic_bare_request_p50");
  report_latency (bench, &one, 0.99, "quic_request_p99", "quic_bare_request_p99");
  report_rate (bench, &many);
  return TRUE;
}
