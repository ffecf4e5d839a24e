/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-state.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/node/tl-node-marker.h"
#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-json-sum.h"
#include "base/tl-log.h"
#include "base/tl-paths.h"
#include "base/tl-ulid.h"
#include "identity/tl-state-lock.h"

#define SECRETS_FOLDER   "secrets"
#define CURSOR_FILE      "cursor.json"
#define IDENTITY_ITEM    "identity"
#define NEXT_ITEM        "identity-next"
#define MAX_CURSOR_BYTES 1024
#define LOCK_TIMEOUT_MS  5000

struct _TlNodeState
{
  char *directory;
  TlNodeMarker *marker;
  GPtrArray *retired; /* TlNodeMarker: strings that somebody may still hold */
};

static TlNodeState *
state_new (char *directory)
{
  TlNodeState *state = g_new0 (TlNodeState, 1);

  state->directory = directory;
  state->retired = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_node_marker_free);
  return state;
}

static char *
resolve_node_dir (const char *node_dir)
{
  return node_dir != NULL ? g_strdup (node_dir) : tl_paths_node_dir ();
}

static gint
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* Folders that look like a gateway's and hold a marker, readable or not: ids, sorted. A missing node_dir has none. */
static GPtrArray *
scan (const char *node_dir, GError **error)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) problem = NULL;
  g_autoptr (GDir) dir = g_dir_open (node_dir, 0, &problem);
  const char *name;

  if (dir == NULL && g_error_matches (problem, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    return g_steal_pointer (&ids);
  if (dir == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot look into %s: %s", node_dir, problem->message);
      return NULL;
    }
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *marker = g_build_filename (node_dir, name, TL_NODE_MARKER_FILE, NULL);

      if (tl_ulid_is_valid (name) && g_file_test (marker, G_FILE_TEST_EXISTS))
        g_ptr_array_add (ids, g_strdup (name));
    }
  g_ptr_array_sort (ids, compare_strings);
  return g_steal_pointer (&ids);
}

GPtrArray *
tl_node_state_list (const char *node_dir, GError **error)
{
  g_autofree char *base = resolve_node_dir (node_dir);
  g_autoptr (GPtrArray) ids = scan (base, error);
  g_autoptr (GPtrArray) readable = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) damage = NULL;

  if (ids == NULL)
    return NULL;
  for (guint i = 0; i < ids->len; i++)
    {
      g_autofree char *directory = g_build_filename (base, ids->pdata[i], NULL);
      g_autoptr (GError) problem = NULL;
      g_autoptr (TlNodeMarker) marker = tl_node_marker_load (directory, &problem);

      if (marker != NULL)
        g_ptr_array_add (readable, g_strdup (ids->pdata[i]));
      else if (damage == NULL)
        damage = g_steal_pointer (&problem);
    }
  if (readable->len == 0 && damage != NULL) /* "not paired" would be wrong advice */
    {
      g_propagate_error (error, g_steal_pointer (&damage));
      return NULL;
    }
  return g_steal_pointer (&readable);
}

static gboolean
fits (const char *base, const char *id, const char *gateway)
{
  g_autofree char *directory = NULL;
  g_autoptr (TlNodeMarker) marker = NULL;

  if (tl_ulid_has_prefix (id, gateway))
    return TRUE;
  directory = g_build_filename (base, id, NULL);
  marker = tl_node_marker_load (directory, NULL);
  return marker != NULL && g_str_equal (marker->gateway_name, gateway);
}

/* Nothing fits a name: a pairing whose marker cannot be read may have been meant. */
static void
set_not_paired (const char *base, const GPtrArray *ids, const char *gateway, GError **error)
{
  for (guint i = 0; i < ids->len; i++)
    {
      g_autofree char *directory = g_build_filename (base, ids->pdata[i], NULL);
      g_autoptr (GError) problem = NULL;
      g_autoptr (TlNodeMarker) marker = tl_node_marker_load (directory, &problem);

      if (marker != NULL)
        continue;
      g_propagate_prefixed_error (error, g_steal_pointer (&problem),
                                  "no pairing that can be read is called \"%s\", and one cannot be read: ", gateway);
      return;
    }
  g_set_error (error, TL_ERROR, TL_ERROR_NOT_PAIRED, "this computer is not paired with a gateway \"%s\"", gateway);
}

/* The id of the gateway that is meant; g_free(). */
static char *
choose (const char *base, const char *gateway, GError **error)
{
  g_autoptr (GPtrArray) ids = scan (base, error);
  const char *found = NULL;

  if (ids == NULL)
    return NULL;
  for (guint i = 0; i < ids->len; i++)
    {
      if (gateway != NULL && !fits (base, ids->pdata[i], gateway))
        continue;
      if (found != NULL)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_AMBIGUOUS,
                       gateway != NULL
                           ? "\"%s\" fits more than one gateway (%s and %s): give the whole id"
                           : "%sthis computer is paired with more than one gateway (%s, %s, ...): say which",
                       gateway != NULL ? gateway : "", found, (char *)ids->pdata[i]);
          return NULL;
        }
      found = ids->pdata[i];
    }
  if (found == NULL && gateway != NULL)
    set_not_paired (base, ids, gateway, error);
  else if (found == NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_NOT_PAIRED, "this computer is not paired with any gateway: pair it first");
  return g_strdup (found);
}

TlNodeState *
tl_node_state_open (const char *node_dir, const char *gateway, GError **error)
{
  g_autofree char *base = resolve_node_dir (node_dir);
  g_autofree char *id = choose (base, gateway, error);
  g_autoptr (TlNodeState) state = NULL;

  if (id == NULL)
    return NULL;
  state = state_new (g_build_filename (base, id, NULL));
  state->marker = tl_node_marker_load (state->directory, error);
  if (state->marker == NULL)
    return NULL;
  return g_steal_pointer (&state);
}

void
tl_node_state_free (TlNodeState *state)
{
  if (state == NULL)
    return;
  tl_node_marker_free (state->marker);
  g_ptr_array_unref (state->retired);
  g_free (state->directory);
  g_free (state);
}

const TlNodeMarker *
tl_node_state_marker (TlNodeState *state)
{
  return state->marker;
}

const char *
tl_node_state_directory (TlNodeState *state)
{
  return state->directory;
}

static TlSecretStore *
open_secrets (const char *directory, GError **error)
{
  g_autofree char *folder = g_build_filename (directory, SECRETS_FOLDER, NULL);

  return tl_secret_store_new_file (folder, NULL, error);
}

static gboolean
store_item (const char *directory, const char *item, TlDeviceIdentity *identity, GError **error)
{
  g_autoptr (TlSecretStore) store = open_secrets (directory, error);
  g_autoptr (TlSecret) value = NULL;

  if (store == NULL)
    return FALSE;
  value = tl_device_identity_serialise (identity, error);
  return value != NULL && tl_secret_store_store_sync (store, item, value, error);
}

static gboolean
drop_item (const char *directory, const char *item, GError **error)
{
  g_autoptr (TlSecretStore) store = open_secrets (directory, error);

  return store != NULL && tl_secret_store_delete_sync (store, item, error);
}

/* What the identity itself says; the rest of the marker is the caller's. Strings are borrowed or in *fingerprint. */
static void
fill_from_identity (TlNodeMarker *marker, TlDeviceIdentity *identity, char **fingerprint)
{
  TlTrustBundle *bundle = tl_device_identity_bundle (identity);

  *fingerprint = tl_device_identity_fingerprint (identity);
  marker->gateway_id = tl_trust_bundle_gateway_id (bundle);
  marker->device_id = tl_device_identity_device_id (identity);
  marker->fingerprint = *fingerprint;
  marker->ca_generation = tl_trust_bundle_generation (bundle, 0);
}

static gboolean
check_new (const char *directory, const char *gateway_id, gboolean replace, GError **error)
{
  g_autofree char *marker = g_build_filename (directory, TL_NODE_MARKER_FILE, NULL);

  if (replace || !g_file_test (marker, G_FILE_TEST_EXISTS))
    return TRUE;
  g_set_error (
      error, TL_ERROR, TL_ERROR_ALREADY_EXISTS,
      "this computer is paired with gateway %s already (%s): pair again with --replace to replace that pairing",
      gateway_id, marker);
  return FALSE;
}

TlNodeState *
tl_node_state_create (const char *node_dir, TlDeviceIdentity *identity, const char *gateway_name,
                      const char *device_name, const char *const *addresses, gint64 now_ms, gboolean replace,
                      GError **error)
{
  g_autofree char *base = resolve_node_dir (node_dir);
  g_autofree char *fingerprint = NULL;
  g_autofree char *cursor = NULL;
  g_autoptr (TlStateLock) lock = NULL;
  g_autoptr (TlNodeState) state = NULL;
  TlNodeMarker marker
      = { .gateway_name = gateway_name, .device_name = device_name, .addresses = addresses, .paired_at_ms = now_ms };

  if (!tl_device_identity_is_paired (identity) || addresses == NULL || addresses[0] == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "the pairing is not complete: %s",
                   addresses == NULL || addresses[0] == NULL ? "no address of the gateway" : "no certificate");
      return NULL;
    }
  fill_from_identity (&marker, identity, &fingerprint);
  state = state_new (g_build_filename (base, marker.gateway_id, NULL));
  cursor = g_build_filename (state->directory, CURSOR_FILE, NULL);
  if (!tl_dir_ensure (state->directory, 0700, error))
    return NULL;
  lock = tl_state_lock_acquire (state->directory, LOCK_TIMEOUT_MS, error);
  if (lock == NULL || !check_new (state->directory, marker.gateway_id, replace, error))
    return NULL;

  /* A renewal of the pairing before is nothing to this one. Then the identity: a marker without its secret would mean
   * "lost" for ever. One atomic rename replaces an old secret;
   * if the machine dies before the marker follows, load_identity() brings the marker up to date. */
  if (!drop_item (state->directory, NEXT_ITEM, error) || !store_item (state->directory, IDENTITY_ITEM, identity, error)
      || !tl_file_remove (cursor, error) || !tl_node_marker_save (&marker, state->directory, error))
    return NULL;
  state->marker = tl_node_marker_copy (&marker);
  return g_steal_pointer (&state);
}

static gboolean
replace_marker (TlNodeState *state, const TlNodeMarker *marker, GError **error)
{
  TlNodeMarker *copy;
  TlNodeMarker old = *state->marker;

  if (!tl_node_marker_save (marker, state->directory, error))
    return FALSE;
  copy = tl_node_marker_copy (marker);
  *state->marker = *copy;
  *copy = old;
  g_ptr_array_add (state->retired, copy);
  return TRUE;
}

/* The secret is newer than the marker: power went between the two (create with replace). */
static gboolean
follow_identity (TlNodeState *state, TlDeviceIdentity *identity, GError **error)
{
  TlNodeMarker marker = *state->marker;
  g_autofree char *fingerprint = NULL;
  g_autoptr (TlStateLock) lock = tl_state_lock_acquire (state->directory, LOCK_TIMEOUT_MS, error);

  if (lock == NULL)
    return FALSE;
  fill_from_identity (&marker, identity, &fingerprint);
  tl_log (TL_LOG_NOTICE, "the marker follows the identity that was stored last", "gateway_id", marker.gateway_id,
          "device_id", marker.device_id, NULL);
  return replace_marker (state, &marker, error);
}

static TlSecret *
lookup_identity (TlNodeState *state, GError **error)
{
  g_autofree char *folder = g_build_filename (state->directory, SECRETS_FOLDER, NULL);
  g_autoptr (TlSecretStore) store = NULL;
  g_autoptr (TlSecret) value = NULL;
  g_autoptr (GError) problem = NULL;

  /* Opening makes the folder; looking must not change anything. */
  if (!g_file_test (folder, G_FILE_TEST_EXISTS))
    g_set_error (&problem, TL_ERROR, TL_ERROR_NOT_FOUND, "%s does not exist", folder);
  else if ((store = tl_secret_store_new_file (folder, NULL, &problem)) != NULL)
    value = tl_secret_store_lookup_sync (store, IDENTITY_ITEM, &problem);
  if (value != NULL)
    return g_steal_pointer (&value);
  if (tl_error_is_not_found (problem))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND,
                   "this computer was paired with gateway %s, but its secret identity is gone (%s): restore it, or "
                   "repair the pairing",
                   state->marker->gateway_id, problem->message);
      return NULL;
    }
  g_propagate_error (error, g_steal_pointer (&problem));
  return NULL;
}

TlDeviceIdentity *
tl_node_state_load_identity (TlNodeState *state, GError **error)
{
  g_autoptr (TlSecret) value = lookup_identity (state, error);
  g_autoptr (TlDeviceIdentity) identity = NULL;
  g_autofree char *fingerprint = NULL;
  TlTrustBundle *bundle;

  if (value == NULL)
    return NULL;
  identity = tl_device_identity_parse (value, error);
  if (identity == NULL)
    return NULL;
  bundle = tl_device_identity_bundle (identity);
  if (!tl_device_identity_is_paired (identity) || bundle == NULL
      || !g_str_equal (tl_trust_bundle_gateway_id (bundle), state->marker->gateway_id))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT,
                   "the identity in %s/%s does not belong to gateway %s: restore it, or repair the pairing",
                   state->directory, SECRETS_FOLDER, state->marker->gateway_id);
      return NULL;
    }
  fingerprint = tl_device_identity_fingerprint (identity);
  if (!g_str_equal (fingerprint, state->marker->fingerprint) && !follow_identity (state, identity, error))
    return NULL;
  return g_steal_pointer (&identity);
}

gboolean
tl_node_state_store_identity (TlNodeState *state, TlDeviceIdentity *identity, GError **error)
{
  g_autoptr (TlStateLock) lock = tl_state_lock_acquire (state->directory, LOCK_TIMEOUT_MS, error);

  return lock != NULL && store_item (state->directory, IDENTITY_ITEM, identity, error);
}

TlDeviceIdentity *
tl_node_state_load_next (TlNodeState *state, GError **error)
{
  g_autoptr (TlSecretStore) store = open_secrets (state->directory, error);
  g_autoptr (TlSecret) value = store != NULL ? tl_secret_store_lookup_sync (store, NEXT_ITEM, error) : NULL;

  return value != NULL ? tl_device_identity_parse (value, error) : NULL;
}

gboolean
tl_node_state_store_next (TlNodeState *state, TlDeviceIdentity *next, GError **error)
{
  g_autoptr (TlStateLock) lock = tl_state_lock_acquire (state->directory, LOCK_TIMEOUT_MS, error);

  return lock != NULL && store_item (state->directory, NEXT_ITEM, next, error);
}

gboolean
tl_node_state_drop_next (TlNodeState *state, GError **error)
{
  g_autoptr (TlStateLock) lock = tl_state_lock_acquire (state->directory, LOCK_TIMEOUT_MS, error);

  return lock != NULL && drop_item (state->directory, NEXT_ITEM, error);
}

gboolean
tl_node_state_set_addresses (TlNodeState *state, const char *const *addresses, GError **error)
{
  TlNodeMarker marker = *state->marker;
  g_autoptr (TlStateLock) lock = NULL;

  if (addresses == NULL || addresses[0] == NULL || g_strv_length ((char **)addresses) > TL_NODE_ADDRESSES_MAX)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "a gateway has 1 to %d addresses",
                   TL_NODE_ADDRESSES_MAX);
      return FALSE;
    }
  if (g_strv_equal (addresses, marker.addresses))
    return TRUE;
  lock = tl_state_lock_acquire (state->directory, LOCK_TIMEOUT_MS, error);
  marker.addresses = addresses;
  return lock != NULL && replace_marker (state, &marker, error);
}

gboolean
tl_node_state_learn_addresses (TlNodeState *state, const char *const *advertised, GError **error)
{
  const char *const *known = state->marker->addresses;
  g_autoptr (GPtrArray) addresses = g_ptr_array_new_with_free_func (g_free);

  if (advertised == NULL || advertised[0] == NULL)
    return TRUE;
  for (guint i = 0; known[i] != NULL && addresses->len < TL_NODE_ADDRESSES_MAX; i++)
    if (i == 0 || g_strv_contains (advertised, known[i]))
      g_ptr_array_add (addresses, g_strdup (known[i]));
  for (guint i = 0; advertised[i] != NULL && addresses->len < TL_NODE_ADDRESSES_MAX; i++)
    if (!g_strv_contains (known, advertised[i]))
      g_ptr_array_add (addresses, g_strdup (advertised[i]));
  g_ptr_array_add (addresses, NULL);
  return tl_node_state_set_addresses (state, (const char *const *)addresses->pdata, error);
}

gboolean
tl_node_state_get_cursor (TlNodeState *state, guint64 *seq, char **event_id, GError **error)
{
  g_autofree char *path = g_build_filename (state->directory, CURSOR_FILE, NULL);
  g_autoptr (GError) problem = NULL;
  g_autoptr (GBytes) bytes = tl_file_read (path, MAX_CURSOR_BYTES, &problem);
  tl_json_auto object = NULL;
  const char *id = "";
  gint64 value = 0;

  if (bytes == NULL && !tl_error_is_not_found (problem))
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
  if (bytes != NULL)
    {
      object = tl_json_parse (g_bytes_get_data (bytes, NULL), (gssize)g_bytes_get_size (bytes), MAX_CURSOR_BYTES,
                              &problem);
      if (object == NULL || !tl_json_check_sum (object, &problem)
          || !tl_json_get_int (object, "seq", TRUE, 0, TL_JSON_MAX_INTEGER - 1, 0, &value, &problem)
          || !tl_json_get_string (object, "event_id", TRUE, &id, &problem))
        {
          g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s is damaged: %s", path, problem->message);
          return FALSE;
        }
    }
  *seq = (guint64)value;
  *event_id = g_strdup (id);
  return TRUE;
}

gboolean
tl_node_state_set_cursor (TlNodeState *state, guint64 seq, const char *event_id, GError **error)
{
  g_autofree char *path = g_build_filename (state->directory, CURSOR_FILE, NULL);
  tl_json_auto object = json_pack ("{s:I, s:s}", "seq", (json_int_t)seq, "event_id", event_id);
  g_autofree char *text = NULL;

  if (object == NULL || seq >= (guint64)TL_JSON_MAX_INTEGER || !tl_json_add_sum (object))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "event cursor %" G_GUINT64_FORMAT " cannot be stored",
                   seq);
      return FALSE;
    }
  text = tl_json_to_string (object);
  return tl_file_write_atomic (path, text, strlen (text), 0600, error);
}

static gboolean
remove_tree (const char *path, GError **error)
{
  struct stat info;

  if (lstat (path, &info) < 0)
    {
      if (errno == ENOENT)
        return TRUE;
      tl_error_set_errno (error, errno, "cannot look at %s", path);
      return FALSE;
    }
  if (S_ISDIR (info.st_mode))
    {
      g_autoptr (GError) problem = NULL;
      g_autoptr (GDir) dir = g_dir_open (path, 0, &problem);
      const char *name;

      if (dir == NULL)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot look into %s: %s", path, problem->message);
          return FALSE;
        }
      while ((name = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *child = g_build_filename (path, name, NULL);

          if (!remove_tree (child, error))
            return FALSE;
        }
    }
  if (remove (path) < 0)
    {
      tl_error_set_errno (error, errno, "cannot remove %s", path);
      return FALSE;
    }
  return TRUE;
}

gboolean
tl_node_state_forget (TlNodeState *state, GError **error)
{
  g_autofree char *secrets = g_build_filename (state->directory, SECRETS_FOLDER, NULL);
  g_autofree char *marker = g_build_filename (state->directory, TL_NODE_MARKER_FILE, NULL);
  g_autoptr (TlStateLock) lock = tl_state_lock_acquire (state->directory, LOCK_TIMEOUT_MS, error);

  /* Marker before secret: an interrupted forget must not look like a lost secret. */
  return lock != NULL && tl_file_remove (marker, error) && remove_tree (secrets, error)
         && remove_tree (state->directory, error);
}
