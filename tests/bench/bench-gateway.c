/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-log.h"

#define NODES        204 /* four of them come before the first look at the memory */
#define NODES_QUICK  54
#define NODES_FEW    4 /* for what needs a node and a caller only */
#define NOISE        400
#define NOISE_QUICK  150
#define NOISE_WRITES 50
#define MAX_FILES    8192 /* a client has about six descriptors */
/* Far above what it takes; ends what hangs. */
#define LIMIT_S       900
#define LIMIT_QUICK_S 200

typedef struct
{
  gboolean json, quick;
  char *daemon, *twinlatch, *directory, *bare_server, *bare_quic_server, *only;
} Options;

static void
clear_options (Options *options)
{
  g_free (options->daemon);
  g_free (options->twinlatch);
  g_free (options->directory);
  g_free (options->bare_server);
  g_free (options->bare_quic_server);
  g_free (options->only);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, clear_options)

gboolean
bench_wants (const Bench *bench, const char *name)
{
  return bench->only == NULL || g_str_equal (bench->only, name);
}

guint
bench_node_count (const Bench *bench)
{
  if (!bench_wants (bench, "pairing") && !bench_wants (bench, "memory") && !bench_wants (bench, "revoke"))
    return NODES_FEW;
  return bench->quick ? NODES_QUICK : NODES;
}

static gboolean
parse_options (int *argc, char ***argv, Options *options, GError **error)
{
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &options->json, "An object a line", NULL },
    { "quick", 0, 0, G_OPTION_ARG_NONE, &options->quick, "Small counts", NULL },
    { "twinlatchd", 0, 0, G_OPTION_ARG_FILENAME, &options->daemon, "The daemon to measure", "FILE" },
    { "twinlatch", 0, 0, G_OPTION_ARG_FILENAME, &options->twinlatch, "The node to measure", "FILE" },
    { "directory", 0, 0, G_OPTION_ARG_FILENAME, &options->directory, "Empty folder to work in", "DIR" },
    { "only", 0, 0, G_OPTION_ARG_STRING, &options->only, "This benchmark alone", "NAME" },
    { "bare-server", 0, 0, G_OPTION_ARG_FILENAME, &options->bare_server, "Be the reference server", "DIR" },
    { "bare-quic-server", 0, 0, G_OPTION_ARG_FILENAME, &options->bare_quic_server, "Be that of QUIC", "DIR" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (options->bare_server != NULL || options->bare_quic_server != NULL
      || (options->daemon != NULL && options->twinlatch != NULL && options->directory != NULL))
    return TRUE;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE,
                       "started by tests/bench/run.sh, which gives the programs' paths");
  return FALSE;
}

static void
raise_file_limit (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= MAX_FILES)
    return;
  limit.rlim_cur = MIN (limit.rlim_max, MAX_FILES);
  setrlimit (RLIMIT_NOFILE, &limit);
}

/* The same work first and last: how much faster or slower the machine became meanwhile. */
typedef struct
{
  double handshakes; /* a second */
  double write_us;   /* a small durable file, p50: pairing waits for about ten of them */
} Noise;

static gboolean
measure_writes (Bench *bench, double *microseconds, GError **error)
{
  g_autofree char *path = g_build_filename (bench->directory, "noise", NULL);
  g_autoptr (GArray) samples = g_array_new (FALSE, FALSE, sizeof (double));

  while (samples->len < NOISE_WRITES)
    {
      double began = bench_now (), taken;

      if (!tl_file_write_atomic (path, "noise", 5, 0600, error))
        return FALSE;
      taken = (bench_now () - began) * 1e6;
      g_array_append_val (samples, taken);
    }
  *microseconds = bench_percentile (samples, 0.5);
  return TRUE;
}

static gboolean
measure_noise (Bench *bench, Noise *noise, GError **error)
{
  BenchTlsTimes times = { 0 };

  if (!bench_tls_run (bench->tls, bench->quick ? NOISE_QUICK : NOISE, &times, error)
      || !measure_writes (bench, &noise->write_us, error))
    return FALSE;
  noise->handshakes = times.count / times.seconds;
  return TRUE;
}

static void
report_noise (Bench *bench, const Noise *first, const Noise *last)
{
  BenchRow cpu = { .bench = "noise",
                   .value = last->handshakes,
                   .unit = "1/s",
                   .reference = first->handshakes,
                   .budget = NAN,
                   .against = "the same TLS handshakes before all else" };
  BenchRow disk = { .bench = "noise_disk",
                    .value = last->write_us,
                    .unit = "us",
                    .reference = first->write_us,
                    .budget = NAN,
                    .against = "the same small durable file before all else, p50" };

  bench_report_add (bench->report, &cpu);
  bench_report_add (bench->report, &disk);
}

static gboolean
restart_daemon (Bench *bench, const Options *options, GError **error)
{
  g_clear_pointer (&bench->daemon, bench_daemon_stop);
  bench->daemon = bench_daemon_start (options->daemon, bench->directory, 0, bench->loop, error);
  return bench->daemon != NULL;
}

static gboolean
run_all (Bench *bench, const Options *options, GError **error)
{
  Noise first, last;

  if ((bench->pki = bench_pki_new (error)) == NULL || (bench->tls = bench_tls_new (bench->pki, error)) == NULL
      || !measure_noise (bench, &first, error) /* warms up */
      || !measure_noise (bench, &first, error))
    return FALSE;
  if (!restart_daemon (bench, options, error) || !bench_pairing (bench, error)
      || (bench_wants (bench, "handshakes") && !bench_handshakes (bench, error))
      || (bench_wants (bench, "dispatch") && !bench_dispatch (bench, error))
      || (bench_wants (bench, "quic") && !bench_quic (bench, options->daemon, error))
      || (bench_wants (bench, "memory") && (!restart_daemon (bench, options, error) || !bench_memory (bench, error)))
      || (bench_wants (bench, "history") && !bench_history (bench, options->daemon, error))
      || (bench_wants (bench, "revoke") && (!restart_daemon (bench, options, error) || !bench_revoke (bench, error)))
      || !measure_noise (bench, &last, error))
    return FALSE;
  report_noise (bench, &first, &last);
  return TRUE;
}

static int
run (const Options *options, const char *self)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (BenchReport) report = bench_report_new (options->json);
  g_autoptr (GPtrArray) devices = g_ptr_array_new_with_free_func ((GDestroyNotify)bench_device_free);
  Bench bench = { .quick = options->quick,
                  .only = options->only,
                  .directory = options->directory,
                  .self = self,
                  .twinlatch = options->twinlatch,
                  .report = report,
                  .devices = devices };
  gboolean done;

  bench.loop = tl_rpc_loop_new (NULL);
  done = run_all (&bench, options, &error);
  g_clear_pointer (&bench.daemon, bench_daemon_stop);
  g_clear_pointer (&bench.tls, bench_tls_free);
  g_clear_pointer (&bench.pki, bench_pki_free);
  tl_rpc_loop_unref (bench.loop);
  if (!done)
    {
      g_printerr ("bench: %s\n", error->message);
      return 2;
    }
  return bench_report_is_ok (report) ? 0 : 1;
}

int
main (int argc, char **argv)
{
  g_auto (Options) options = { 0 };
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autoptr (GError) error = NULL;

  if (!parse_options (&argc, &argv, &options, &error))
    {
      g_printerr ("bench: %s\n", error->message);
      return 2;
    }
  raise_file_limit ();
  tl_log_init ("bench-gateway", TL_LOG_ERROR);
  if (options.bare_server != NULL)
    return bench_bare_server_main (options.bare_server);
  if (options.bare_quic_server != NULL)
    return bench_bare_quic_server_main (options.bare_quic_server);
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  alarm (options.quick ? LIMIT_QUICK_S : LIMIT_S);
  return run (&options, self);
}
