/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "base/tl-json.h"
#include "crypto/tl-hash.h"
#include "daemon/tl-journal-private.h"
#include "tl-config-build.h"

/* What a start puts on record. */

#define META_CONFIGURATION "journal_configuration"
#define MAX_NAMED_KEYS     64 /* in one row */

static gboolean
write_created (TlJournalService *self, GError **error)
{
  TlGateway *gateway = self->gateway;
  const char *gateway_id = tl_gateway_identity_id (gateway->identity);
  GBytes *ca = tl_certificate_authority_der (tl_gateway_identity_ca (gateway->identity));
  g_autofree char *fingerprint = tl_fingerprint (g_bytes_get_data (ca, NULL), g_bytes_get_size (ca));
  tl_json_auto detail
      = json_pack ("{s:s, s:i}", "ca", fingerprint, "ca_generation",
                   (int)tl_certificate_authority_generation (tl_gateway_identity_ca (gateway->identity)));
  g_autofree char *text = tl_json_to_string (detail);

  return tl_store_journal_setting (gateway->store, TL_JOURNAL_GATEWAY_CREATED, gateway_id, text, "journal_created",
                                   gateway_id, tl_clock_wall_ms (gateway->clock), error);
}

/* {"gateway.listen": digest of the value, ...}: tells which keys changed, and no value. */
static json_t *
digest_configuration (const TlDaemonConfig *config)
{
  json_t *digests = json_object ();

  for (const TlConfigKey *key = tl_daemon_config_table (); key->group != NULL; key++)
    {
      g_autofree char *name = g_strconcat (key->group, ".", key->key, NULL);
      const char *value = tl_config_get_string (config->config, key->group, key->key);
      g_autofree char *digest = tl_fingerprint (value, value != NULL ? strlen (value) : 0);

      json_object_set_new (digests, name, json_string (digest));
    }
  return digests;
}

/* Names of members that differ, also of those that only one has. */
static json_t *
changed_keys (json_t *before, json_t *now)
{
  json_t *names = json_array ();
  const char *name;
  json_t *value;

  json_object_foreach (now, name, value)
  {
    if (!json_equal (value, json_object_get (before, name)) && json_array_size (names) < MAX_NAMED_KEYS)
      json_array_append_new (names, json_string (name));
  }
  json_object_foreach (before, name, value)
  {
    if (json_object_get (now, name) == NULL && json_array_size (names) < MAX_NAMED_KEYS)
      json_array_append_new (names, json_string (name));
  }
  return names;
}

static gboolean
write_configuration (TlJournalService *self, gboolean first, GError **error)
{
  TlGateway *gateway = self->gateway;
  g_autoptr (GError) local = NULL;
  g_autofree char *stored = tl_store_get_meta (gateway->store, META_CONFIGURATION, &local);
  tl_json_auto before = stored != NULL ? tl_json_parse (stored, -1, 0, NULL) : NULL;
  tl_json_auto now = digest_configuration (gateway->config);
  tl_json_auto names = changed_keys (before, now);
  tl_json_auto detail = NULL;
  g_autofree char *text = NULL;
  g_autofree char *value = NULL;

  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (!first && json_array_size (names) == 0)
    return TRUE;
  detail = first ? json_pack ("{s:b}", "first", TRUE) : json_pack ("{s:O}", "keys", names);
  text = tl_json_to_string (detail);
  value = tl_json_to_string (now);
  return tl_store_journal_setting (gateway->store, TL_JOURNAL_CONFIG_CHANGED, NULL, text, META_CONFIGURATION, value,
                                   tl_clock_wall_ms (gateway->clock), error);
}

static gboolean
write_started (TlJournalService *self, GError **error)
{
  TlGateway *gateway = self->gateway;
  tl_json_auto detail = json_pack ("{s:s, s:i}", "version", TL_VERSION, "pid", (int)getpid ());
  g_autofree char *text = tl_json_to_string (detail);
  g_autofree char *when = g_strdup_printf ("%" G_GINT64_FORMAT, gateway->started_ms);

  return tl_store_journal_setting (gateway->store, TL_JOURNAL_GATEWAY_STARTED,
                                   tl_gateway_identity_id (gateway->identity), text, "journal_started", when,
                                   gateway->started_ms, error);
}

gboolean
tl_journal_service_started (TlJournalService *self, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *created = tl_store_get_meta (self->gateway->store, "journal_created", &local);

  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  return (created != NULL || write_created (self, error)) && write_configuration (self, created == NULL, error)
         && write_started (self, error);
}
