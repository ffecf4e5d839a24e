/* SPDX-License-Identifier: Apache-2.0 */
#include "bench-quic.h"

#include "base/tl-json.h"
#include "bench-store.h"

#define DEVICES       10000
#define DEVICES_QUICK 220

static void
quic_clear (BenchQuic *quic)
{
  g_clear_pointer (&quic->daemon, bench_daemon_stop);
  g_clear_pointer (&quic->bare, bench_process_stop);
  g_clear_pointer (&quic->bare_tls, bench_bare_tls_free);
  bench_crowd_clear (&quic->crowd);
  g_free (quic->directory);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (BenchQuic, quic_clear)

static guint16
port_of (json_t *ready, const char *name)
{
  return (guint16)json_integer_value (json_object_get (ready, name));
}

/* A new process each time. */
static gboolean
start_bare (BenchQuic *quic, GError **error)
{
  const char *const argv[] = { quic->bench->self, "--bare-quic-server", quic->bench->directory, NULL };
  tl_json_auto ready = NULL;

  g_clear_pointer (&quic->bare, bench_process_stop);
  quic->bare = bench_process_start (quic->bench->directory, "bare-quic-server", argv, &ready, error);
  if (quic->bare == NULL)
    return FALSE;
  quic->bare_port = port_of (ready, "quic");
  quic->bare_chain_port = port_of (ready, "quic_chain");
  quic->datagram_port = port_of (ready, "udp");
  return TRUE;
}

static gboolean
make_bare (BenchQuic *quic, GError **error)
{
  Bench *bench = quic->bench;
  g_autoptr (BenchDevice) device = bench_pki_new_device (bench->pki, error);
  g_autoptr (TlSecret) key = device != NULL ? tl_device_identity_key_pem (device->identity, error) : NULL;
  g_autofree char *chain = NULL;

  if (key == NULL || !bench_pki_write_server (bench->pki, bench->directory, error))
    return FALSE;
  chain = tl_device_identity_chain_pem (device->identity);
  quic->bare_tls = bench_bare_tls_new (FALSE, chain, key, NULL, error);
  return quic->bare_tls != NULL && start_bare (quic, error);
}

gboolean
bench_quic_start_gateway (BenchQuic *quic, guint16 port, GError **error)
{
  g_clear_pointer (&quic->daemon, bench_daemon_stop);
  quic->daemon = bench_daemon_start (quic->program, quic->directory, port, quic->bench->loop, error);
  return quic->daemon != NULL;
}

static gboolean
make_gateway (BenchQuic *quic, GError **error)
{
  Bench *bench = quic->bench;
  BenchDevice *device = g_ptr_array_index (bench->devices, 0);

  g_clear_pointer (&bench->daemon, bench_daemon_stop);
  quic->directory = g_build_filename (bench->directory, "quic", NULL);
  return bench_store_copy_gateway (bench->directory, quic->directory, error)
         && bench_crowd_plant (&quic->crowd, quic->directory, tl_device_identity_device_id (device->identity),
                               bench->quick ? DEVICES_QUICK : DEVICES, error)
         && bench_quic_start_gateway (quic, 0, error);
}

gboolean
bench_quic (Bench *bench, const char *program, GError **error)
{
  g_auto (BenchQuic) quic = { .bench = bench, .program = program };

  return make_bare (&quic, error) && make_gateway (&quic, error) && bench_quic_requests (&quic, error)
         && bench_quic_handshakes (&quic, error) && start_bare (&quic, error)
         && bench_quic_start_gateway (&quic, 0, error) && bench_quic_memory (&quic, error)
         && bench_quic_restart (&quic, error) && bench_quic_start_gateway (&quic, 0, error)
         && bench_quic_flood (&quic, error);
}
