/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "bench-quic.h"

/*
 * What an idle connection adds to the server, each of another device: with 2 000 of them, and then with as many as the
 * gateway takes. Both servers are new, so that no memory is there that something else has left.
 */
#define CONNECTIONS       2000
#define CONNECTIONS_QUICK 200
#define CONNECTIONS_ALL   10000
#define IN_FLIGHT         8
#define WARM_UP           20 /* what is made once for all is there before the first look */
#define MOST_KIB          (60000.0 / 1024)

typedef struct
{
  BenchQuic *quic;
  BenchProcess *server;
  BenchBareEndpoint *endpoint;
  BenchBareTls *tls;      /* NULL: each connection has its own */
  GPtrArray *connections; /* BenchBareConnection */
  GPtrArray *own_tls;     /* BenchBareTls */
  BenchMemory before;
} Crowd;

typedef struct
{
  double kib;  /* a connection */
  double rate; /* connections a second */
} Figures;

static void
crowd_clear (Crowd *crowd)
{
  g_clear_pointer (&crowd->endpoint, bench_bare_endpoint_free);
  g_clear_pointer (&crowd->connections, g_ptr_array_unref);
  g_clear_pointer (&crowd->own_tls, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Crowd, crowd_clear)

static void
start_connection (BenchOperation *operation, guint index, gpointer user_data)
{
  Crowd *crowd = user_data;
  BenchBareTls *tls = crowd->tls;
  g_autoptr (GError) error = NULL;

  if (tls == NULL && (tls = bench_crowd_tls (&crowd->quic->crowd, crowd->own_tls->len, &error)) != NULL)
    g_ptr_array_add (crowd->own_tls, tls);
  if (tls != NULL)
    g_ptr_array_add (crowd->connections, bench_bare_connect (crowd->endpoint, tls, operation));
  else
    bench_operation_finish (operation, error);
}

static gboolean
crowd_init (Crowd *crowd, guint16 port, GError **error)
{
  crowd->connections = g_ptr_array_new ();
  crowd->own_tls = g_ptr_array_new_with_free_func ((GDestroyNotify)bench_bare_tls_free);
  crowd->endpoint = bench_bare_endpoint_new_client (port, error);
  return crowd->endpoint != NULL && bench_load_run (WARM_UP, IN_FLIGHT, start_connection, crowd, NULL, error)
         && bench_process_memory (crowd->server, &crowd->before, error);
}

/* Until there are so many. */
static gboolean
grow (Crowd *crowd, guint count, Figures *figures, GError **error)
{
  const guint more = count - crowd->connections->len;
  const double began = bench_now ();
  BenchMemory after = { 0 };

  if (!bench_load_run (more, IN_FLIGHT, start_connection, crowd, NULL, error))
    return FALSE;
  figures->rate = more / (bench_now () - began);
  for (guint i = 0; i < crowd->connections->len; i++)
    if (!bench_bare_connection_is_open (g_ptr_array_index (crowd->connections, i)))
      {
        g_set_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE, "connection %u of %u did not stay", i, count);
        return FALSE;
      }
  if (!bench_process_memory (crowd->server, &after, error))
    return FALSE;
  figures->kib = (after.rss_kib - crowd->before.rss_kib) / (count - WARM_UP);
  return TRUE;
}

static gboolean
measure (Crowd *gateway, Crowd *bare, guint count, double budget, const char *memory_name, const char *rate_name,
         GError **error)
{
  BenchReport *report = gateway->quic->bench->report;
  g_autofree char *against = g_strdup_printf ("the bare server (%u idle connections)", count);
  Figures ours = { 0 }, theirs = { 0 };
  BenchRow memory = { .bench = memory_name, .unit = "KiB", .budget = budget, .against = against };
  BenchRow rate = { .bench = rate_name, .unit = "1/s", .budget = NAN, .against = "the bare server takes so many" };

  if (!grow (gateway, count, &ours, error) || !grow (bare, count, &theirs, error))
    return FALSE;
  memory.value = ours.kib;
  memory.reference = theirs.kib;
  bench_report_add (report, &memory);
  if (rate_name == NULL)
    return TRUE;
  rate.value = ours.rate;
  rate.reference = theirs.rate;
  bench_report_add (report, &rate);
  return TRUE;
}

gboolean
bench_quic_memory (BenchQuic *quic, GError **error)
{
  g_auto (Crowd) gateway = { .quic = quic, .server = quic->daemon->process };
  g_auto (Crowd) bare = { .quic = quic, .server = quic->bare, .tls = quic->bare_tls };

  if (!crowd_init (&gateway, bench_daemon_port (quic->daemon), error) || !crowd_init (&bare, quic->bare_port, error))
    return FALSE;
  if (quic->bench->quick)
    return measure (&gateway, &bare, CONNECTIONS_QUICK, MOST_KIB, "quic_memory_per_connection", NULL, error);
  return measure (&gateway, &bare, CONNECTIONS, MOST_KIB, "quic_memory_per_connection", NULL, error)
         && measure (&gateway, &bare, CONNECTIONS_ALL, NAN, "quic_memory_with_10000", "quic_accepted_until_10000",
                     error);
}
