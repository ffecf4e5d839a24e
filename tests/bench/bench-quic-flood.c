/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "bench-quic.h"

/*
 * Round trips of connected nodes while strangers send Initials from thousands of addresses
 * (tests/helpers/quic-flood.c). In blocks that alternate the same generator aims at the gateway and at a socket that
 * drops what it gets, so that what the generator itself takes of the machine is in both. Afterwards, what the gateway
 * still holds of it.
 */
#define BLOCKS        20
#define BLOCKS_QUICK  4
#define BLOCK_S       0.5  /* ten seconds of flood in all */
#define LEAD_S        "60" /* the generator is ended with its block */
#define RATE          "10000"
#define NODES         8
#define SLICE         50 /* requests between two looks at the clock */
#define WARM_UP       500
#define MOST_RATIO    2.0
#define SETTLE_S      6.0 /* a handshake has 5 */
#define MOST_MORE_KIB 4096.0

static const char health[] = "{\"protocol_version\":1,\"method\":\"node.health\"}";

typedef struct
{
  BenchQuic *quic;
  char *generator;
  BenchProcess *sink;
  guint16 gateway_port, sink_port;
  BenchBareEndpoint *endpoint;
  GPtrArray *tls;         /* BenchBareTls, a node */
  GPtrArray *connections; /* BenchBareConnection, borrowed, a node */
  guint8 request[sizeof health + 3];
  guint next;
} Flood;

static void
flood_clear (Flood *flood)
{
  g_clear_pointer (&flood->endpoint, bench_bare_endpoint_free);
  g_clear_pointer (&flood->connections, g_ptr_array_unref);
  g_clear_pointer (&flood->tls, g_ptr_array_unref);
  g_clear_pointer (&flood->sink, bench_process_stop);
  g_free (flood->generator);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Flood, flood_clear)

/* ---- nodes */

/* A BenchStartFunc. */
static void
start_connection (BenchOperation *operation, guint index, gpointer user_data)
{
  Flood *flood = user_data;

  g_ptr_array_add (flood->connections,
                   bench_bare_connect (flood->endpoint, g_ptr_array_index (flood->tls, index), operation));
}

/* A BenchStartFunc: the nodes take turns. */
static void
start_request (BenchOperation *operation, guint index, gpointer user_data)
{
  Flood *flood = user_data;
  BenchBareConnection *connection = g_ptr_array_index (flood->connections, flood->next++ % flood->connections->len);

  bench_bare_connection_request (connection, flood->request, sizeof health + 3, operation);
}

static gboolean
connect_nodes (Flood *flood, GError **error)
{
  const guint32 length = GUINT32_TO_BE ((guint32)sizeof health - 1);

  memcpy (flood->request, &length, sizeof length);
  memcpy (flood->request + sizeof length, health, sizeof health - 1);
  flood->endpoint = bench_bare_endpoint_new_client (flood->gateway_port, error);
  if (flood->endpoint == NULL)
    return FALSE;
  for (guint i = 0; i < NODES; i++)
    {
      BenchBareTls *tls = bench_crowd_tls (&flood->quic->crowd, i, error);

      if (tls == NULL)
        return FALSE;
      g_ptr_array_add (flood->tls, tls);
    }
  return bench_load_run (NODES, 1, start_connection, flood, NULL, error)
         && bench_load_run (WARM_UP, 1, start_request, flood, NULL, error);
}

/* ---- strangers */

static gboolean
start_sink (Flood *flood, GError **error)
{
  const char *const argv[] = { flood->generator, "--sink", NULL };
  tl_json_auto ready = NULL;

  flood->sink = bench_process_start (flood->quic->directory, "sink", argv, &ready, error);
  if (flood->sink == NULL)
    return FALSE;
  flood->sink_port = (guint16)json_integer_value (json_object_get (ready, "port"));
  return TRUE;
}

static BenchProcess *
start_flood (Flood *flood, guint16 port, GError **error)
{
  g_autofree char *number = g_strdup_printf ("%u", port);
  const char *const argv[] = { flood->generator, "--port", number, "--rate", RATE, "--seconds", LEAD_S, NULL };
  tl_json_auto ready = NULL;

  return bench_process_start (flood->quic->directory, "flood", argv, &ready, error);
}

/* The p99 of the block. What the row says is the median of blocks: what else the machine does comes in bursts. */
static gboolean
run_block (Flood *flood, guint16 port, GArray *p99s, GError **error)
{
  g_autoptr (BenchTimes) times = bench_times_new ();
  g_autoptr (BenchProcess) strangers = start_flood (flood, port, error);
  double end = bench_now () + BLOCK_S, p99;

  if (strangers == NULL)
    return FALSE;
  while (bench_now () < end)
    if (!bench_load_run (SLICE, 1, start_request, flood, times, error))
      return FALSE;
  p99 = bench_percentile (times->samples, 0.99);
  g_array_append_val (p99s, p99);
  return TRUE;
}

/* ---- rows */

static gboolean
on_settled (gpointer user_data)
{
  *(gboolean *)user_data = TRUE;
  return G_SOURCE_REMOVE;
}

/* What strangers began has run out by then. */
static gboolean
measure_memory (Flood *flood, const BenchMemory *before, GError **error)
{
  gboolean settled = FALSE;
  BenchMemory after;
  BenchRow row = { .bench = "quic_flood_memory",
                   .unit = "KiB",
                   .reference = before->anonymous_kib,
                   .budget = before->anonymous_kib + MOST_MORE_KIB,
                   .against = "the gateway's own memory before the flood" };

  g_timeout_add ((guint)(SETTLE_S * 1000), on_settled, &settled);
  while (!settled)
    g_main_context_iteration (NULL, TRUE);
  if (!bench_process_memory (flood->quic->daemon->process, &after, error))
    return FALSE;
  row.value = after.anonymous_kib;
  bench_report_add (flood->quic->bench->report, &row);
  return TRUE;
}

static gboolean
measure (Flood *flood, GError **error)
{
  g_autoptr (GArray) flooded = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (GArray) reference = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (GArray) warm_up = g_array_new (FALSE, FALSE, sizeof (double));
  guint blocks = flood->quic->bench->quick ? BLOCKS_QUICK : BLOCKS;
  BenchRow row
      = { .bench = "quic_flood_p99", .unit = "us", .against = "the same flood aimed at nobody; medians of blocks" };
  BenchMemory before;

  if (!start_sink (flood, error) || !connect_nodes (flood, error)
      || !run_block (flood, flood->gateway_port, warm_up, error)
      || !bench_process_memory (flood->quic->daemon->process, &before, error))
    return FALSE;
  for (guint i = 0; i < blocks; i++)
    if (!run_block (flood, flood->sink_port, reference, error)
        || !run_block (flood, flood->gateway_port, flooded, error))
      return FALSE;
  row.value = bench_percentile (flooded, 0.5);
  row.reference = bench_percentile (reference, 0.5);
  row.budget = MOST_RATIO * row.reference;
  bench_report_add (flood->quic->bench->report, &row);
  return measure_memory (flood, &before, error);
}

gboolean
bench_quic_flood (BenchQuic *quic, GError **error)
{
  g_auto (Flood) flood = { .quic = quic };
  g_autofree char *folder = g_path_get_dirname (quic->bench->self);

  flood.generator = g_build_filename (folder, "..", "helpers", "quic-flood", NULL);
  flood.gateway_port = bench_daemon_port (quic->daemon);
  flood.connections = g_ptr_array_new ();
  flood.tls = g_ptr_array_new_with_free_func ((GDestroyNotify)bench_bare_tls_free);
  return measure (&flood, error);
}
