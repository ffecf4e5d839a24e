/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-state.h"
#include "bench-dispatch.h"
#include "bench-store.h"

/*
 * A gateway with a long history beside one without, both at work in the same run. The history is written straight into
 * SQLite, between two starts: copies of a request that was really dispatched, with short texts; copies of a device that
 * was really paired. The journal gets no rows for them.
 */
#define REQUESTS       1000000
#define REQUESTS_QUICK 20000
#define DEVICES        10000
#define DEVICES_QUICK  500
#define BLOCKS         20
#define DISPATCHES     2000
#define FEWER          200 /* quick */
#define WARM_UP        100
#define MOST_RATIO     1.2
#define MOST_START_S   2.0

/* ---- the history */

static const BenchColumn request_columns[] = {
  { "request_id", "printf ('01J%023d', n)" },
  { "input", "'{}'" },
  { "output", "'{\"n\":' || n || '}'" },
  { "receipt", "zeroblob (120)" },
  { "created_at", "r.created_at - (1000001 - n) * 1700" }, /* 20 days: below what is kept */
  { "updated_at", "r.updated_at - (1000001 - n) * 1700" },
  { "dispatched_at", "r.dispatched_at - (1000001 - n) * 1700" },
  { "completed_at", "r.completed_at - (1000001 - n) * 1700" },
  { "expires_at", "r.expires_at - (1000001 - n) * 1700" },
  { NULL },
};
static const BenchColumn device_columns[] = {
  { "device_id", "printf ('01J%023d', n)" },
  { "name", "'device ' || n" },
  { "identity_public", "randomblob (32)" },
  { NULL },
};
static const BenchColumn certificate_columns[] = {
  { "fingerprint", "lower (hex (randomblob (32)))" },
  { "device_id", "printf ('01J%023d', n)" },
  { "serial", "lower (hex (randomblob (16)))" },
  { "tls_key_fingerprint", "lower (hex (randomblob (32)))" },
  { NULL },
};
static const BenchColumn node_columns[] = {
  { "device_id", "printf ('01J%023d', n)" },
  { NULL },
};

static gboolean
write_history (Bench *bench, const char *directory, const char *device_id, GError **error)
{
  guint requests = bench->quick ? REQUESTS_QUICK : REQUESTS, devices = bench->quick ? DEVICES_QUICK : DEVICES;
  g_autofree char *of_device = g_strdup_printf ("device_id = '%s'", device_id);
  g_autofree char *finished = g_strdup_printf ("device_id = '%s' AND state = 4", device_id);
  sqlite3 *db = bench_store_open (directory, error);
  gboolean done;

  if (db == NULL)
    return FALSE;
  done = bench_store_multiply (db, "requests", finished, request_columns, requests, error)
         && bench_store_multiply (db, "devices", of_device, device_columns, devices - bench->devices->len, error)
         && bench_store_multiply (db, "certificates", of_device, certificate_columns, devices - bench->devices->len,
                                  error)
         && bench_store_multiply (db, "nodes", of_device, node_columns, devices - bench->devices->len, error)
         && bench_store_commit (db, error);
  sqlite3_close (db);
  return done;
}

/* ---- two gateways */

typedef struct
{
  char *directory; /* holds gateway/ and node/ */
  BenchDaemon *daemon;
  BenchProcess *node;
  BenchSubject subject;
  double start_s; /* from exec to the line that says ready */
} Side;

static void
side_clear (Side *side)
{
  g_clear_pointer (&side->node, bench_process_stop);
  g_clear_pointer (&side->daemon, bench_daemon_stop);
  g_free (side->directory);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Side, side_clear)

static gboolean
side_init (Side *side, Bench *bench, const char *name, GError **error)
{
  BenchDevice *device = g_ptr_array_index (bench->devices, 0);
  g_autofree char *node_copy = NULL;

  side->directory = g_build_filename (bench->directory, name, NULL);
  node_copy = g_build_filename (side->directory, "node", NULL);
  return bench_store_copy_gateway (bench->directory, side->directory, error)
         && bench_copy_tree (device->node_dir, node_copy, error);
}

/* The port is another one at each start. */
static gboolean
point_node (const char *node_dir, const char *address, GError **error)
{
  const char *const addresses[] = { address, NULL };
  g_autoptr (TlNodeState) state = tl_node_state_open (node_dir, NULL, error);

  return state != NULL && tl_node_state_set_addresses (state, addresses, error);
}

static gboolean
side_start (Side *side, Bench *bench, const char *program, GError **error)
{
  BenchDevice *device = g_ptr_array_index (bench->devices, 0);
  g_autofree char *node_dir = g_build_filename (side->directory, "node", NULL);
  g_autofree char *name = g_path_get_basename (side->directory);
  double began = bench_now ();

  side->daemon = bench_daemon_start (program, side->directory, 0, bench->loop, error);
  side->start_s = bench_now () - began;
  if (side->daemon == NULL || !point_node (node_dir, side->daemon->address, error))
    return FALSE;
  side->node = bench_start_node (bench, name, node_dir, "auto", error);
  if (side->node == NULL)
    return FALSE;
  bench_subject_init (&side->subject, side->daemon, side->node, device);
  return bench_load_run (WARM_UP, 1, bench_start_dispatch, &side->subject, NULL, error);
}

/* ---- rows */

static void
report (Bench *bench, const Side *full, const Side *empty, BenchTimes *with, BenchTimes *without)
{
  double without_p50 = bench_percentile (without->samples, 0.5);
  const BenchRow latency = { .bench = "dispatch_p50_with_history",
                             .value = bench_percentile (with->samples, 0.5),
                             .unit = "us",
                             .reference = without_p50,
                             .budget = MOST_RATIO * without_p50,
                             .against = bench->quick ? "the same without (history: 20 000 requests)"
                                                     : "the same without (history: 1 000 000 requests)" };
  const BenchRow start = { .bench = "start_with_history",
                           .value = full->start_s,
                           .unit = "s",
                           .reference = empty->start_s,
                           .budget = MOST_START_S,
                           .against = bench->quick ? "the same without (20 000 requests, 500 devices)"
                                                   : "the same without (1 000 000 requests, 10 000 devices)" };

  bench_report_add (bench->report, &latency);
  bench_report_add (bench->report, &start);
}

/* A request to copy, and a registration: whatever ran before. */
static gboolean
run_some (Bench *bench, GError **error)
{
  BenchDevice *device = g_ptr_array_index (bench->devices, 0);
  g_autoptr (BenchProcess) node = NULL;
  BenchSubject subject;

  if (!point_node (device->node_dir, bench->daemon->address, error))
    return FALSE;
  node = bench_start_node (bench, "node", device->node_dir, "auto", error);
  if (node == NULL)
    return FALSE;
  bench_subject_init (&subject, bench->daemon, node, device);
  return bench_load_run (WARM_UP, 1, bench_start_dispatch, &subject, NULL, error);
}

gboolean
bench_history (Bench *bench, const char *program, GError **error)
{
  BenchDevice *device = g_ptr_array_index (bench->devices, 0);
  g_autoptr (BenchTimes) with = bench_times_new (), without = bench_times_new ();
  g_auto (Side) full = { 0 };
  g_auto (Side) empty = { 0 };
  guint count = bench->quick ? FEWER : DISPATCHES;

  if (!run_some (bench, error))
    return FALSE;
  g_clear_pointer (&bench->daemon, bench_daemon_stop);
  if (!side_init (&full, bench, "full", error) || !side_init (&empty, bench, "empty", error))
    return FALSE;
  if (!write_history (bench, full.directory, tl_device_identity_device_id (device->identity), error)
      || !side_start (&empty, bench, program, error) || !side_start (&full, bench, program, error))
    return FALSE;
  for (guint block = 0; block < 2 * BLOCKS; block++)
    {
      gboolean is_full = (block & 1) == (block >> 1 & 1); /* neither is always the first of the two */

      if (!bench_load_run (count / BLOCKS, 1, bench_start_dispatch, is_full ? &full.subject : &empty.subject,
                           is_full ? with : without, error))
        return FALSE;
    }
  report (bench, &full, &empty, with, without);
  return TRUE;
}
