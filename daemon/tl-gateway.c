/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-gateway.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-json.h"
#include "base/tl-log.h"
#include "crypto/tl-hash.h"
#include "daemon/store/tl-journal.h"
#include "daemon/store/tl-inventory-records.h"
#include "daemon/tl-admin-service.h"
#include "daemon/tl-dispatcher.h"
#include "daemon/tl-journal-service.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-node-service.h"
#include "daemon/tl-pairing-service.h"
#include "daemon/tl-quic-runtime.h"
#include "daemon/tl-quic-service.h"
#include "daemon/tl-renewal-service.h"
#include "daemon/tl-runtime-snapshot.h"
#include "daemon/tl-wire.h"
#include "identity/tl-state-lock.h"
#include "pairing/tl-pairing-link.h"

#define TICK_MS       500
#define STATE_LOCK_MS 5000
#define PROBE_TICKS   20 /* health looks at the disk every 10 s; every tick while it is broken */

static void gateway_free (TlGateway *self);
static void end_superseded (TlGateway *self, gint64 now_us);
static void superseded_free (gpointer superseded);

/* ---- start ---- */

static gboolean
open_state (TlGateway *self, const TlGatewayOptions *options, GError **error)
{
  g_autofree char *secrets_dir = g_build_filename (options->state_dir, "secrets", NULL);
  g_autoptr (TlStateLock) lock = NULL;

  if (!tl_dir_ensure (options->state_dir, 0700, error))
    return FALSE;
  self->store = tl_store_open_with (options->state_dir, options->store_flags, NULL, error);
  if (self->store == NULL
      || !tl_runtime_import (self->store, options->state_dir, self->started_ms, self->random, error))
    return FALSE;
  self->secrets = tl_secret_store_new_file (secrets_dir, options->secrets_key, error);
  if (self->secrets == NULL)
    return FALSE;
  /* CA, leaf and sealing key may be made here: not beside another program that changes this identity. */
  lock = tl_state_lock_acquire (options->state_dir, STATE_LOCK_MS, error);
  if (lock == NULL)
    return FALSE;
  self->identity
      = tl_gateway_identity_open (self->store, self->secrets, (const char *const *)options->config->server_names,
                                  self->clock, self->random, error);
  return self->identity != NULL;
}

/* gRPC takes 0.0.0.0 and [::] alike for "every address of both families": the second wildcard of a port is served by
 * the first, and binding it would fail. */
static gboolean
is_covered (char *const *listen, guint index)
{
  const char *colon = strrchr (listen[index], ':');
  static const char *const wildcards[] = { "0.0.0.0:", "[::]:" };
  gboolean wildcard = FALSE, before = FALSE;

  if (g_str_equal (colon, ":0")) /* each a port of its own */
    return FALSE;
  for (guint w = 0; w < G_N_ELEMENTS (wildcards); w++)
    {
      wildcard |= g_str_has_prefix (listen[index], wildcards[w]);
      for (guint i = 0; i < index; i++)
        before |= g_str_has_prefix (listen[i], wildcards[w]) && g_str_equal (strrchr (listen[i], ':'), colon);
    }
  return wildcard && before;
}

static gboolean
listen_all (TlGateway *self, const TlGatewayOptions *options, GError **error)
{
  g_autoptr (GPtrArray) bound = g_ptr_array_new_with_free_func (g_free);
  char *const *listen = options->config->listen;

  for (guint i = 0; listen[i] != NULL; i++)
    {
      guint16 port = 0;
      const char *colon = strrchr (listen[i], ':');
      if (is_covered (listen, i))
        {
          g_ptr_array_add (bound, g_strdup (listen[i]));
          continue;
        }
      if (!tl_rpc_server_listen_tls (self->server, listen[i], tl_gateway_identity_rpc (self->identity), &port, error))
        return FALSE;
      g_ptr_array_add (bound, g_strdup_printf ("%.*s:%u", (int)(colon - listen[i]), listen[i], port));
    }
  g_ptr_array_add (bound, NULL);
  self->listeners = (char **)g_ptr_array_free (g_steal_pointer (&bound), FALSE);
  return tl_rpc_server_listen_local (self->server, options->admin_socket, options->user ? 0600 : 0660,
                                     options->user ? NULL : options->config->admin_group, error);
}

/* What links carry: what is configured; else where we listen, with wildcards replaced by this machine's addresses. */
static char **
advertised_addresses (TlGateway *self, const TlDaemonConfig *config)
{
  g_autoptr (GPtrArray) out = g_ptr_array_new_with_free_func (g_free);

  if (config->advertise[0] != NULL)
    return g_strdupv (config->advertise);
  for (guint i = 0; self->listeners[i] != NULL && out->len < TL_PAIRING_LINK_ADDRESSES_MAX; i++)
    {
      const char *text = self->listeners[i];
      if (g_str_has_prefix (text, "0.0.0.0:") || g_str_has_prefix (text, "[::]:"))
        {
          guint16 port = (guint16)g_ascii_strtoull (strrchr (text, ':') + 1, NULL, 10);
          g_auto (GStrv) guessed = tl_daemon_config_guess_addresses (port, TL_PAIRING_LINK_ADDRESSES_MAX);
          for (guint j = 0; guessed[j] != NULL && out->len < TL_PAIRING_LINK_ADDRESSES_MAX; j++)
            if (!g_ptr_array_find_with_equal_func (out, guessed[j], g_str_equal, NULL))
              g_ptr_array_add (out, g_strdup (guessed[j]));
        }
      else
        g_ptr_array_add (out, g_strdup (text));
    }
  g_ptr_array_add (out, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&out), FALSE);
}

static void
on_denied (const TlRpcDenial *denial, gpointer user_data)
{
  tl_journal_service_rpc_denied (((TlGateway *)user_data)->journal, denial);
}

static void
make_server (TlGateway *self, const TlDaemonConfig *config)
{
  TlRpcServerOptions options = {
    .admitted = self->admitted,
    .clock = self->clock,
    .max_strangers = config->limits.strangers,
    .max_strangers_per_source = config->limits.strangers_per_source,
    .stranger_lifetime_ms = config->limits.stranger_lifetime_ms,
    .handshake_timeout_ms = config->limits.handshake_timeout_ms,
    .denied = on_denied,
    .denied_data = self,
  };

  self->journal = tl_journal_service_new (self);
  self->server = tl_rpc_server_new (self->loop, &options);
  self->health = tl_rpc_health_new ();
  self->pairing = tl_pairing_service_new (self);
  self->registry = tl_node_registry_new (self);
  self->dispatcher = tl_dispatcher_new (self);
  self->renewal = tl_renewal_service_new (self);
  tl_rpc_health_register (self->health, self->server);
  tl_pairing_service_register (self->pairing, self->server);
  tl_node_service_register (self, self->server);
  tl_renewal_service_register (self->renewal, self->server);
  tl_admin_service_register (self, self->server);
}

/* ---- now and then ---- */

/* PROTOCOL 4: SERVING only while the store accepts writes; and while nothing of it is known to be damaged. */
static void
update_health (TlGateway *self)
{
  TlStoreCheck check = { 0 };
  gboolean damaged;

  tl_store_get_check (self->store, &check);
  damaged = check.verdict == TL_STORE_CHECK_DAMAGED;
  if (damaged && !self->damage_journalled)
    {
      tl_json_auto detail = json_pack ("{s:s}", "problem", check.problem);
      g_autofree char *text = tl_json_to_string (detail);

      self->damage_journalled = TRUE;
      tl_log (TL_LOG_ERROR, "the store is damaged; health says NOT_SERVING", "problem", check.problem, NULL);
      tl_store_journal (self->store, TL_JOURNAL_STORE_DAMAGED, NULL, NULL, text, tl_clock_wall_ms (self->clock), NULL,
                        NULL);
    }
  tl_store_check_clear (&check);
  tl_rpc_health_set_serving (self->health, tl_store_is_writable (self->store) && !damaged);
}

static void
on_probed (const GError *error, gpointer result, gpointer user_data)
{
  TlGateway *self = user_data;

  self->probing = FALSE;
  if (self->tick_source != 0) /* not while it closes */
    update_health (self);
}

static void
keep_snapshot (TlGateway *self)
{
  guint64 generation = tl_store_generation (self->store);

  if (generation == self->snapshot_generation)
    return;
  self->snapshot_generation = generation;
  tl_runtime_snapshot_request (self->snapshot);
}

static gboolean
on_tick (gpointer user_data)
{
  TlGateway *self = user_data;
  gint64 now = tl_clock_wall_ms (self->clock);
  gboolean writable = tl_store_is_writable (self->store);

  tl_pairing_service_tick (self->pairing, now);
  tl_dispatcher_tick (self->dispatcher, now);
  end_superseded (self, tl_clock_monotonic_us (self->clock));
  update_health (self);
  tl_journal_service_tick (self->journal, now);
  keep_snapshot (self);
  if (self->ticks++ % PROBE_TICKS == 0 || !writable)
    {
      if (!self->probing)
        {
          self->probing = TRUE;
          tl_store_probe (self->store, now, on_probed, self);
        }
      tl_gateway_identity_maintain (self->identity);
    }
  return G_SOURCE_CONTINUE;
}

TlGateway *
tl_gateway_open (const TlGatewayOptions *options, GError **error)
{
  TlGateway *self = g_new0 (TlGateway, 1);

  self->clock = tl_clock_system ();
  self->random = tl_random_system ();
  self->state_dir = g_strdup (options->state_dir);
  self->admitted = tl_admitted_set_new ();
  self->seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->config = options->config;
  self->started_ms = tl_clock_wall_ms (self->clock);
  if (!open_state (self, options, error) || !tl_gateway_open_admission (self, error))
    {
      gateway_free (self);
      return NULL;
    }
  self->loop = tl_rpc_loop_new (NULL);
  make_server (self, options->config);
  if (!listen_all (self, options, error) || !tl_quic_service_open (self, error)
      || !tl_journal_service_started (self->journal, error) || !tl_node_registry_load (self->registry, error)
      || !tl_dispatcher_load (self->dispatcher, error) || !tl_rpc_server_start (self->server, error))
    {
      gateway_free (self);
      return NULL;
    }
  tl_quic_service_start (self);
  self->advertised = advertised_addresses (self, options->config);
  tl_rpc_health_set_serving (self->health, TRUE);
  self->snapshot = tl_runtime_snapshot_new (self->state_dir, tl_gateway_identity_id (self->identity), self->clock);
  self->tick_source = g_timeout_add (TICK_MS, on_tick, self);
  return self;
}

/* ---- stop ---- */

static void
gateway_free (TlGateway *self)
{
  g_clear_handle_id (&self->tick_source, g_source_remove);
  if (self->quic != NULL)
    tl_quic_runtime_stop (self->quic);
  /* Callbacks come while it closes and may submit more, which it refuses by itself: the pointer has to stay until then.
   */
  if (self->store != NULL)
    {
      if (self->journal != NULL)
        tl_journal_service_close_all (self->journal);
      tl_store_close (self->store);
      self->store = NULL;
    }
  g_clear_pointer (&self->server, tl_rpc_server_unref);
  g_clear_pointer (&self->pairing, tl_pairing_service_free);
  g_clear_pointer (&self->renewal, tl_renewal_service_free);
  g_clear_pointer (&self->dispatcher, tl_dispatcher_free);
  g_clear_pointer (&self->registry, tl_node_registry_free);
  g_clear_pointer (&self->quic, tl_quic_runtime_free);
  g_clear_pointer (&self->health, tl_rpc_health_free);
  g_clear_pointer (&self->loop, tl_rpc_loop_unref);
  g_clear_pointer (&self->journal, tl_journal_service_free);
  g_clear_pointer (&self->identity, tl_gateway_identity_free);
  g_clear_pointer (&self->secrets, tl_secret_store_unref);
  g_clear_pointer (&self->admitted, tl_admitted_set_unref);
  g_clear_pointer (&self->admission, tl_store_admission_free);
  g_clear_pointer (&self->seen, g_hash_table_unref);
  g_queue_clear_full (&self->superseded, superseded_free);
  g_strfreev (self->listeners);
  g_strfreev (self->quic_listeners);
  g_strfreev (self->advertised);
  g_free (self->state_dir);
  g_free (self);
}

static void
on_server_down (gpointer data, gpointer user_data)
{
  *(gboolean *)user_data = TRUE;
}

void
tl_gateway_close (TlGateway *self, guint grace_ms)
{
  gboolean down = FALSE;

  g_clear_handle_id (&self->tick_source, g_source_remove);
  tl_rpc_health_set_serving (self->health, FALSE);
  if (self->quic != NULL) /* nodes hear 0x100 at once, and then nothing of what else ends here */
    tl_quic_runtime_stop (self->quic);
  /* Streams would last for the whole grace; what is left to end by itself is unary. Requests under way stay open in the
   * store and are answered after the next start. */
  tl_node_registry_close_all (self->registry);
  tl_pairing_service_close_all (self->pairing);
  tl_dispatcher_close_all (self->dispatcher);
  tl_journal_service_close_all (self->journal);
  tl_rpc_server_shutdown (self->server, grace_ms, on_server_down, &down);
  while (!down)
    g_main_context_iteration (NULL, TRUE);
  tl_pairing_service_wait_idle (self->pairing);
  tl_store_flush (self->store);
  g_clear_pointer (&self->snapshot, tl_runtime_snapshot_free);
  gateway_free (self);
}

/* ---- certificates ---- */

void
tl_gateway_end_certificates (TlGateway *self, const GPtrArray *fingerprints)
{
  for (guint i = 0; i < fingerprints->len; i++)
    {
      tl_admitted_set_remove (self->admitted, g_ptr_array_index (fingerprints, i));
      if (self->quic != NULL)
        tl_quic_runtime_cut_certificate (self->quic, g_ptr_array_index (fingerprints, i),
                                         TL_QUIC_CLOSE_CERTIFICATE_SUPERSEDED, "a newer certificate is in use");
      tl_rpc_server_drop_fingerprint (self->server, g_ptr_array_index (fingerprints, i), NULL, NULL);
      g_hash_table_remove (self->seen, g_ptr_array_index (fingerprints, i));
    }
}

/* A leaf that was renewed. */
typedef struct
{
  gint64 end_us;
  GPtrArray *fingerprints;
} Superseded;

static void
superseded_free (gpointer data)
{
  Superseded *superseded = data;

  g_ptr_array_unref (superseded->fingerprints);
  g_free (superseded);
}

static void
supersede (TlGateway *self, GPtrArray *fingerprints)
{
  gint64 now = tl_clock_wall_ms (self->clock);
  Superseded *superseded = g_new0 (Superseded, 1);

  for (guint i = 0; i < fingerprints->len; i++)
    tl_admitted_set_supersede (self->admitted, g_ptr_array_index (fingerprints, i), now + TL_GATEWAY_SUPERSEDED_MS);
  superseded->end_us = tl_clock_monotonic_us (self->clock) + TL_GATEWAY_SUPERSEDED_MS * G_GINT64_CONSTANT (1000);
  superseded->fingerprints = g_ptr_array_ref (fingerprints);
  g_queue_push_tail (&self->superseded, superseded);
}

static void
end_superseded (TlGateway *self, gint64 now_us)
{
  Superseded *oldest;

  while ((oldest = g_queue_peek_head (&self->superseded)) != NULL && oldest->end_us <= now_us)
    {
      g_queue_pop_head (&self->superseded);
      tl_gateway_end_certificates (self, oldest->fingerprints);
      superseded_free (oldest);
    }
}

typedef struct
{
  TlGateway *gateway;
  char *fingerprint;
} SeenWait;

static void
on_certificate_used (const GError *error, gpointer result, gpointer user_data)
{
  SeenWait *wait = user_data;

  if (error != NULL)
    {
      tl_log_error (TL_LOG_WARNING, "recording the use of a certificate", error);
      g_hash_table_remove (wait->gateway->seen, wait->fingerprint); /* the next call tries again */
    }
  else
    {
      const TlCertificateUse *use = result;
      TlRenewalDesk *desk = tl_renewal_service_desk (wait->gateway->renewal);

      tl_renewal_desk_reached (desk, TL_DESK_USED);
      if (use->renewal)
        supersede (wait->gateway, use->ended);
      else
        tl_gateway_end_certificates (wait->gateway, use->ended);
      tl_renewal_desk_reached (desk, TL_DESK_SUPERSEDED);
    }
  g_free (wait->fingerprint);
  g_free (wait);
}

void
tl_gateway_certificate_seen (TlGateway *self, const char *fingerprint)
{
  SeenWait *wait;

  /* Remembered for this run; the store knows it for ever. */
  if (!g_hash_table_add (self->seen, g_strdup (fingerprint)))
    return;
  wait = g_new0 (SeenWait, 1);
  wait->gateway = self;
  wait->fingerprint = g_strdup (fingerprint);
  tl_store_certificate_used (self->store, fingerprint, tl_clock_wall_ms (self->clock), on_certificate_used, wait);
}

GPtrArray *
tl_gateway_fill_cas (TlGateway *self, Twinlatch__V1__CaCertificate *messages)
{
  TlTrustBundle *bundle = tl_gateway_identity_bundle (self->identity);
  GPtrArray *owned = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < tl_trust_bundle_size (bundle); i++)
    {
      X509 *certificate = tl_trust_bundle_get (bundle, i);
      g_autoptr (GBytes) der = tl_certificate_to_der (certificate);
      gsize length = 0;
      char *fingerprint = tl_certificate_fingerprint (certificate);
      guint8 *copy = g_memdup2 (g_bytes_get_data (der, &length), g_bytes_get_size (der));

      g_ptr_array_add (owned, fingerprint);
      g_ptr_array_add (owned, copy);
      twinlatch__v1__ca_certificate__init (&messages[i]);
      messages[i].generation = tl_trust_bundle_generation (bundle, i);
      messages[i].certificate_der = tl_wire_bytes (copy, length);
      messages[i].not_after_unix_ms = tl_certificate_not_after_ms (certificate);
      messages[i].fingerprint = fingerprint;
      messages[i].signs_now = i == 0;
    }
  return owned;
}
