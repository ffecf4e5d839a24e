/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-pairing-client.h"
#include "bench.h"

typedef struct
{
  BenchTimes *pairings;
  GArray *crypto; /* double, microseconds */
} Samples;

typedef struct
{
  TlNodeState *state;
  GError *error;
  double ended; /* 0: under way */
} Pairing;

static void
on_done (TlPairingClient *client, TlNodeState *state, const GError *error, gpointer user_data)
{
  Pairing *pairing = user_data;

  pairing->ended = bench_now ();
  pairing->state = state;
  if (error != NULL)
    pairing->error = g_error_copy (error);
}

static void
on_comparison (TlPairingClient *client, const char *digits, gpointer user_data)
{
}

static void
on_waiting (TlPairingClient *client, const char *request_id, gint64 expires_at_ms, gpointer user_data)
{
}

/* From the first packet to an identity on disk; the link was minted before. */
static TlNodeState *
pair (Bench *bench, const TlPairingLink *link, const char *node_dir, double *microseconds, GError **error)
{
  static const TlPairingClientHandlers handlers = { on_comparison, on_waiting, on_done };
  TlPairingClientOptions options = { .link = link, .node_dir = node_dir, .client_kind = TL_CLIENT_NODE };
  Pairing pairing = { 0 };
  double began = bench_now ();
  g_autoptr (TlPairingClient) client = tl_pairing_client_new (bench->loop, &options, &handlers, &pairing, error);

  if (client == NULL)
    return NULL;
  while (pairing.ended == 0)
    g_main_context_iteration (NULL, TRUE);
  if (pairing.error != NULL)
    {
      g_propagate_error (error, pairing.error);
      return NULL;
    }
  *microseconds = (pairing.ended - began) * 1e6;
  return pairing.state;
}

static gboolean
pair_next (Bench *bench, Samples *samples, GError **error)
{
  g_autofree char *node_dir = g_strdup_printf ("%s/node-%u", bench->directory, bench->devices->len);
  g_autoptr (TlSecret) text = bench_daemon_mint_link (bench->daemon, error);
  g_autoptr (TlPairingLink) link = NULL;
  g_autoptr (TlNodeState) state = NULL;
  TlDeviceIdentity *identity;
  double microseconds = 0, began;

  if (text == NULL)
    return FALSE;
  link = tl_pairing_link_parse ((const char *)tl_secret_data (text), error);
  if (link == NULL)
    return FALSE;
  state = pair (bench, link, node_dir, &microseconds, error);
  if (state == NULL)
    return FALSE;
  g_array_append_val (samples->pairings->samples, microseconds);
  identity = tl_node_state_load_identity (state, error);
  if (identity == NULL)
    return FALSE;
  g_ptr_array_add (bench->devices, bench_device_new (identity, node_dir));

  began = bench_now ();
  if (!bench_pki_pairing_crypto (bench->pki, error))
    return FALSE;
  microseconds = (bench_now () - began) * 1e6;
  g_array_append_val (samples->crypto, microseconds);
  return TRUE;
}

static void
report (Bench *bench, Samples *samples)
{
  const BenchRow middle = { .bench = "pairing_p50",
                            .value = bench_percentile (samples->pairings->samples, 0.5) / 1e3,
                            .unit = "ms",
                            .reference = bench_percentile (samples->crypto, 0.5) / 1e3,
                            .budget = NAN,
                            .against = "the same keys, SPAKE2+ and certificate in one process, p50" };
  const BenchRow slow = { .bench = "pairing_p99",
                          .value = bench_percentile (samples->pairings->samples, 0.99) / 1e3,
                          .unit = "ms",
                          .reference = bench_percentile (samples->crypto, 0.99) / 1e3,
                          .budget = NAN,
                          .against = "the same, p99" };

  bench_report_add (bench->report, &middle);
  bench_report_add (bench->report, &slow);
}

gboolean
bench_pairing (Bench *bench, GError **error)
{
  g_autoptr (BenchTimes) pairings = bench_times_new ();
  g_autoptr (GArray) crypto = g_array_new (FALSE, FALSE, sizeof (double));
  Samples samples = { pairings, crypto };

  while (bench->devices->len < bench_node_count (bench))
    if (!pair_next (bench, &samples, error))
      return FALSE;
  if (bench_wants (bench, "pairing"))
    report (bench, &samples);
  return TRUE;
}
