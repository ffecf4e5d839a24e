/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "daemon/tl-admin-private.h"
#include "daemon/tl-dispatcher.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-quic-runtime.h"
#include "daemon/tl-runtime-snapshot.h"
#include "daemon/tl-wire.h"
#include "tl-config-build.h"

typedef struct
{
  TlAdminWait *wait;
  TlStoreStatus store;
  guint32 pin_failures;
} StatusWait;

static void
fill_quic (Twinlatch__V1__GetStatusResponse *answer, TlGateway *gateway, const TlQuicEndpointStats *stats)
{
  answer->n_quic_listeners = gateway->quic_listeners != NULL ? g_strv_length (gateway->quic_listeners) : 0;
  answer->quic_listeners = gateway->quic_listeners;
  answer->quic_connections = stats->connections;
  answer->quic_half_open = stats->half_open;
  answer->quic_accepted = stats->accepted;
  answer->quic_refused = stats->refused;
  answer->quic_retries = stats->retries;
  answer->quic_bad_tokens = stats->bad_tokens;
  answer->quic_garbage = stats->garbage;
  answer->quic_resets = stats->resets;
  answer->quic_migrations = stats->migrations;
  answer->quic_over_limit = stats->over_limit;
  answer->quic_versions = stats->versions;
}

static void
reply (StatusWait *status, const TlQuicEndpointStats *quic)
{
  TlGateway *gateway = status->wait->gateway;
  Twinlatch__V1__GetStatusResponse answer = TWINLATCH__V1__GET_STATUS_RESPONSE__INIT;
  TlCertificateAuthority *ca = tl_gateway_identity_ca (gateway->identity);
  g_autofree char *quic_tls = g_strconcat (tl_quic_tls_backend (), " ", tl_quic_tls_version (), NULL);
  guint32 pin_failures = status->pin_failures;
  TlStoreCheck check = { 0 };
  TlRuntimeSnapshotStatus snapshot;

  tl_store_get_check (gateway->store, &check);
  tl_runtime_snapshot_get_status (gateway->snapshot, &snapshot);
  answer.gateway_id = (char *)tl_gateway_identity_id (gateway->identity);
  answer.gateway_name = gateway->config->name;
  answer.version = (char *)TL_VERSION;
  answer.started_at_unix_ms = gateway->started_ms;
  answer.server_time_unix_ms = tl_clock_wall_ms (gateway->clock);
  answer.n_listeners = g_strv_length (gateway->listeners);
  answer.listeners = gateway->listeners;
  answer.n_advertised = g_strv_length (gateway->advertised);
  answer.advertised = gateway->advertised;
  answer.devices_active = status->store.devices_active;
  answer.nodes_connected = tl_node_registry_count_connected (gateway->registry);
  answer.pairing_requests_pending = status->store.pairings_pending;
  answer.codes_live = status->store.codes_live;
  answer.strangers_connected = tl_rpc_server_stranger_count (gateway->server);
  answer.requests_open = tl_dispatcher_open_count (gateway->dispatcher);
  answer.store_writable = tl_store_is_writable (gateway->store);
  answer.store_bytes = status->store.bytes;
  answer.ca_generation = tl_certificate_authority_generation (ca);
  answer.ca_not_after_unix_ms = tl_certificate_not_after_ms (tl_certificate_authority_certificate (ca));
  answer.server_leaf_not_after_unix_ms = tl_gateway_identity_leaf_not_after (gateway->identity);
  answer.secrets_encrypted = tl_secret_store_is_encrypted (gateway->secrets);
  answer.pin_exchanges_slowed = pin_failures >= TL_STORE_PIN_FAILURES_MAX;
  answer.pin_failures_last_hour = pin_failures;
  answer.server_leaf_renews_at_unix_ms = tl_gateway_identity_leaf_renews_at (gateway->identity);
  answer.device_certificate_lifetime_ms = gateway->config->device_lifetime_ms;
  answer.renewal_grace_ms = gateway->config->renewal_grace_ms;
  answer.store_check = (char *)tl_store_check_verdict_to_string (check.verdict);
  answer.store_checked_at_unix_ms = check.finished_at;
  answer.store_checked_pages = check.pages;
  if (!tl_admin_is_remote (status->wait->call)) /* what the machine looks like inside is not for the network */
    {
      answer.state_dir = gateway->state_dir;
      answer.pid = (guint32)getpid ();
      answer.snapshot_error = tl_wire_string (snapshot.error);
      answer.store_problem = tl_wire_string (check.problem);
    }
  answer.journal_rows = status->store.journal_rows;
  answer.journal_oldest_unix_ms = status->store.journal_oldest;
  answer.journal_head_seq = status->store.journal_head.seq;
  answer.journal_head_hash = tl_wire_bytes (status->store.journal_head.hash, TL_JOURNAL_HASH_LENGTH);
  answer.journal_retention_ms = gateway->config->journal_retention_ms;
  answer.journal_rows_max = gateway->config->journal_rows;
  tl_admin_fill_admission (gateway, &status->store, &answer);
  answer.wal_bytes = status->store.wal_bytes;
  answer.requests_kept = (guint64)status->store.requests_kept;
  answer.events_kept = (guint64)status->store.events_kept;
  answer.certificates_kept = (guint64)status->store.certificates_kept;
  answer.nodes_not_paired = status->store.known_nodes;
  answer.snapshot_bytes = snapshot.bytes;
  answer.snapshot_written_unix_ms = snapshot.written_at;
  fill_quic (&answer, gateway, quic);
  answer.quic_tls = quic_tls;
  tl_rpc_call_reply (status->wait->call, &answer.base);
  g_free (snapshot.error);
  tl_store_check_clear (&check);
}

static void
status_wait_free (StatusWait *status)
{
  tl_admin_wait_free (status->wait);
  g_free (status);
}

static void
on_quic (const TlQuicEndpointStats *stats, gpointer user_data)
{
  StatusWait *status = user_data;

  reply (status, stats);
  status_wait_free (status);
}

static void
on_failures (const GError *error, gpointer result, gpointer user_data)
{
  StatusWait *status = user_data;

  if (error != NULL)
    {
      tl_rpc_call_finish (status->wait->call, error);
      status_wait_free (status);
      return;
    }
  status->pin_failures = *(guint32 *)result;
  tl_quic_runtime_report (status->wait->gateway->quic, on_quic, status);
}

static void
on_store_status (const GError *error, gpointer result, gpointer user_data)
{
  StatusWait *status = user_data;
  TlGateway *gateway = status->wait->gateway;

  if (error != NULL)
    {
      tl_rpc_call_finish (status->wait->call, error);
      status_wait_free (status);
      return;
    }
  status->store = *(TlStoreStatus *)result;
  tl_store_count_pin_failures (gateway->store, tl_clock_wall_ms (gateway->clock), on_failures, status);
}

void
tl_admin_on_status (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  StatusWait *status = g_new0 (StatusWait, 1);

  status->wait = tl_admin_wait_new (gateway, call);
  tl_store_get_status (gateway->store, tl_clock_wall_ms (gateway->clock), on_store_status, status);
}

void
tl_admin_on_ca_bundle (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  guint n = tl_trust_bundle_size (tl_gateway_identity_bundle (gateway->identity));
  g_autofree Twinlatch__V1__CaCertificate *cas = g_new0 (Twinlatch__V1__CaCertificate, n);
  g_autofree Twinlatch__V1__CaCertificate **pointers = g_new0 (Twinlatch__V1__CaCertificate *, n);
  g_autoptr (GPtrArray) owned = tl_gateway_fill_cas (gateway, cas);
  Twinlatch__V1__GetCaBundleResponse answer = TWINLATCH__V1__GET_CA_BUNDLE_RESPONSE__INIT;

  for (guint i = 0; i < n; i++)
    pointers[i] = &cas[i];
  answer.gateway_id = (char *)tl_gateway_identity_id (gateway->identity);
  answer.n_certificates = n;
  answer.certificates = pointers;
  tl_rpc_call_reply (call, &answer.base);
}
