/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>

#include "base/tl-error.h"
#include "bench-quic.h"

/*
 * What one mutual handshake costs the server: the same client shakes hands with the gateway and with the bare server,
 * always with the same certificate, so that what the gateway remembers of it is warm.
 */
#define BLOCKS     10
#define COUNT      1000
#define FEWER      200 /* quick */
#define WARM_UP    20
#define MOST_RATIO 1.2

typedef struct
{
  BenchProcess *server;
  BenchBareTls *tls;
  BenchBareEndpoint *endpoint;
  BenchBareConnection *connection; /* the last one; closed before the next */
  double seconds;                  /* of the server */
} Side;

static void
side_clear (Side *side)
{
  g_clear_pointer (&side->endpoint, bench_bare_endpoint_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Side, side_clear)

static void
start_connection (BenchOperation *operation, guint index, gpointer user_data)
{
  Side *side = user_data;

  g_clear_pointer (&side->connection, bench_bare_connection_close);
  side->connection = bench_bare_connect (side->endpoint, side->tls, operation);
}

static gboolean
run_block (Side *side, guint count, GError **error)
{
  double before = 0, after = 0;

  if (!bench_process_cpu (side->server, &before, error)
      || !bench_load_run (count, 1, start_connection, side, NULL, error)
      || !bench_process_cpu (side->server, &after, error))
    return FALSE;
  side->seconds += after - before;
  return TRUE;
}

static gboolean
side_init (Side *side, BenchProcess *server, BenchBareTls *tls, guint16 port, GError **error)
{
  side->server = server;
  side->tls = tls;
  side->endpoint = bench_bare_endpoint_new_client (port, error);
  if (side->endpoint == NULL || !run_block (side, WARM_UP, error))
    return FALSE;
  side->seconds = 0;
  return TRUE;
}

/* ---- what there is no way around */

/* The server's arithmetic in one handshake, by OpenSSL: a signature made, two verified, a key exchange of X25519. */
static gboolean
run_arithmetic (BenchPki *pki, guint count, double *seconds, GError **error)
{
  static const guint8 message[128];
  guint8 signature[128], public_key[TL_X25519_LENGTH];
  double began = bench_now ();

  for (guint i = 0; i < count; i++)
    {
      gsize length = sizeof signature;
      EVP_MD_CTX *context = EVP_MD_CTX_new ();
      gboolean done = EVP_DigestSignInit (context, NULL, EVP_sha256 (), NULL, pki->server_key) == 1
                      && EVP_DigestSign (context, signature, &length, message, sizeof message) == 1;
      g_autoptr (TlSecret) private_key = NULL, shared = NULL;

      for (guint verification = 0; done && verification < 2; verification++)
        done = EVP_MD_CTX_reset (context) == 1
               && EVP_DigestVerifyInit (context, NULL, EVP_sha256 (), NULL, pki->server_key) == 1
               && EVP_DigestVerify (context, signature, length, message, sizeof message) == 1;
      EVP_MD_CTX_free (context);
      if (!done)
        {
          tl_error_set_openssl (error, TL_ERROR_INTERNAL, "signatures");
          return FALSE;
        }
      if (!tl_x25519_generate (tl_random_system (), &private_key, public_key, error)
          || (shared = tl_x25519_derive (private_key, public_key, sizeof public_key, error)) == NULL)
        return FALSE;
    }
  *seconds += bench_now () - began;
  return TRUE;
}

/* ---- rows */

static void
report (Bench *bench, const char *name, double value, double reference, double budget, const char *against)
{
  const BenchRow row
      = { .bench = name, .value = value, .unit = "ms", .reference = reference, .budget = budget, .against = against };

  bench_report_add (bench->report, &row);
}

gboolean
bench_quic_handshakes (BenchQuic *quic, GError **error)
{
  Bench *bench = quic->bench;
  g_autoptr (BenchBareTls) tls = bench_crowd_tls (&quic->crowd, 0, error);
  g_auto (Side) gateway = { 0 };
  g_auto (Side) bare = { 0 };
  g_auto (Side) chain = { 0 };
  const guint count = bench->quick ? FEWER : COUNT;
  const double each = 1e3 / count;
  double arithmetic = 0;

  if (tls == NULL || !side_init (&gateway, quic->daemon->process, tls, bench_daemon_port (quic->daemon), error)
      || !side_init (&bare, quic->bare, quic->bare_tls, quic->bare_port, error)
      || !side_init (&chain, quic->bare, quic->bare_tls, quic->bare_chain_port, error))
    return FALSE;
  for (guint block = 0; block < BLOCKS; block++)
    if (!run_block (&gateway, count / BLOCKS, error) || !run_block (&bare, count / BLOCKS, error)
        || !run_block (&chain, count / BLOCKS, error)
        || !run_arithmetic (bench->pki, count / BLOCKS, &arithmetic, error))
      return FALSE;
  report (bench, "quic_handshake_server_cpu", gateway.seconds * each, bare.seconds * each,
          MOST_RATIO * bare.seconds * each, "the bare server, which verifies the signature only");
  report (bench, "quic_bare_handshake_server_cpu", bare.seconds * each, arithmetic * each, NAN,
          "OpenSSL's sign, two verify, X25519 key and secret");
  report (bench, "quic_bare_handshake_chain_cpu", chain.seconds * each, bare.seconds * each, NAN,
          "the same without verifying the client's chain");
  return TRUE;
}
