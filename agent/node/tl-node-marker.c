/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-marker.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-json-sum.h"
#include "base/tl-ulid.h"

#define MAX_MARKER_BYTES  (64u * 1024u)
#define MAX_ADDRESS_BYTES 300

TlNodeMarker *
tl_node_marker_copy (const TlNodeMarker *marker)
{
  TlNodeMarker *copy = g_new0 (TlNodeMarker, 1);

  copy->gateway_id = g_strdup (marker->gateway_id);
  copy->gateway_name = g_strdup (marker->gateway_name != NULL ? marker->gateway_name : "");
  copy->device_id = g_strdup (marker->device_id);
  copy->device_name = g_strdup (marker->device_name != NULL ? marker->device_name : "");
  copy->fingerprint = g_strdup (marker->fingerprint);
  copy->addresses = (const char *const *)g_strdupv ((char **)marker->addresses);
  copy->paired_at_ms = marker->paired_at_ms;
  copy->ca_generation = marker->ca_generation;
  return copy;
}

void
tl_node_marker_free (TlNodeMarker *marker)
{
  if (marker == NULL)
    return;
  g_free ((char *)marker->gateway_id);
  g_free ((char *)marker->gateway_name);
  g_free ((char *)marker->device_id);
  g_free ((char *)marker->device_name);
  g_free ((char *)marker->fingerprint);
  g_strfreev ((char **)marker->addresses);
  g_free (marker);
}

/* At most TL_NODE_ADDRESSES_MAX; the list belongs to the caller. */
static gboolean
parse_addresses (const json_t *object, char ***addresses, GError **error)
{
  const json_t *list = json_object_get (object, "addresses");
  g_autoptr (GPtrArray) strings = g_ptr_array_new_with_free_func (g_free);

  if (!json_is_array (list) || json_array_size (list) == 0 || json_array_size (list) > TL_NODE_ADDRESSES_MAX)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "member \"addresses\" has to list 1 to %d addresses",
                   TL_NODE_ADDRESSES_MAX);
      return FALSE;
    }
  for (gsize i = 0; i < json_array_size (list); i++)
    {
      const char *text = json_string_value (json_array_get (list, i));

      if (text == NULL || *text == '\0' || strlen (text) > MAX_ADDRESS_BYTES)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                       "member \"addresses\" holds something else than addresses");
          return FALSE;
        }
      g_ptr_array_add (strings, g_strdup (text));
    }
  g_ptr_array_add (strings, NULL);
  *addresses = (char **)g_ptr_array_free (g_steal_pointer (&strings), FALSE);
  return TRUE;
}

static TlNodeMarker *
parse (const char *data, gsize length, GError **error)
{
  tl_json_auto object = tl_json_parse (data, (gssize)length, MAX_MARKER_BYTES, error);
  g_auto (GStrv) addresses = NULL;
  TlNodeMarker marker = { 0 };
  gint64 version, generation;

  if (object == NULL || !tl_json_get_int (object, "version", TRUE, 1, G_MAXINT32, 0, &version, error))
    return NULL;
  if (version > TL_NODE_MARKER_VERSION)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NEWER_VERSION,
                   "written by a newer Twinlatch (version %d, this one knows %d): use that one", (int)version,
                   TL_NODE_MARKER_VERSION);
      return NULL;
    }
  if (!tl_json_check_sum (object, error) || !tl_json_get_string (object, "gateway_id", TRUE, &marker.gateway_id, error)
      || !tl_json_get_string (object, "gateway_name", FALSE, &marker.gateway_name, error)
      || !tl_json_get_string (object, "device_id", TRUE, &marker.device_id, error)
      || !tl_json_get_string (object, "device_name", FALSE, &marker.device_name, error)
      || !tl_json_get_string (object, "fingerprint", TRUE, &marker.fingerprint, error)
      || !tl_json_get_int (object, "paired_at", TRUE, 0, TL_JSON_MAX_INTEGER - 1, 0, &marker.paired_at_ms, error)
      || !tl_json_get_int (object, "ca_generation", TRUE, 0, G_MAXINT32, 0, &generation, error)
      || !parse_addresses (object, &addresses, error))
    return NULL;
  if (!tl_ulid_is_valid (marker.gateway_id) || !tl_ulid_is_valid (marker.device_id))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "gateway id or device id is not an id");
      return NULL;
    }
  marker.ca_generation = (guint)generation;
  marker.addresses = (const char *const *)addresses;
  return tl_node_marker_copy (&marker);
}

TlNodeMarker *
tl_node_marker_load (const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, TL_NODE_MARKER_FILE, NULL);
  g_autofree char *folder = g_path_get_basename (directory);
  g_autoptr (GBytes) bytes = tl_file_read (path, MAX_MARKER_BYTES, error);
  g_autoptr (GError) problem = NULL;
  g_autoptr (TlNodeMarker) marker = NULL;

  if (bytes == NULL)
    return NULL;
  marker = parse (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &problem);
  if (marker == NULL && tl_error_is (problem, TL_ERROR_NEWER_VERSION))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NEWER_VERSION, "%s was %s", path, problem->message);
      return NULL;
    }
  if (marker == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s is damaged: %s; restore it or pair again with --replace",
                   path, problem->message);
      return NULL;
    }
  if (!g_str_equal (marker->gateway_id, folder))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s is damaged: it names gateway %s, not that of its folder",
                   path, marker->gateway_id);
      return NULL;
    }
  return g_steal_pointer (&marker);
}

gboolean
tl_node_marker_save (const TlNodeMarker *marker, const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, TL_NODE_MARKER_FILE, NULL);
  tl_json_auto addresses = json_array ();
  tl_json_auto object = NULL;
  g_autofree char *text = NULL;

  for (guint i = 0; marker->addresses[i] != NULL; i++)
    json_array_append_new (addresses, json_string (marker->addresses[i]));
  object = json_pack ("{s:i, s:s, s:s, s:s, s:s, s:s, s:O, s:I, s:i}", "version", TL_NODE_MARKER_VERSION, "gateway_id",
                      marker->gateway_id, "gateway_name", marker->gateway_name, "device_id", marker->device_id,
                      "device_name", marker->device_name, "fingerprint", marker->fingerprint, "addresses", addresses,
                      "paired_at", (json_int_t)marker->paired_at_ms, "ca_generation", (int)marker->ca_generation);
  if (object == NULL || !tl_json_add_sum (object))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INTERNAL, "cannot write %s: a name is not UTF-8", path);
      return FALSE;
    }
  text = tl_json_to_pretty_string (object);
  return tl_file_write_atomic (path, text, strlen (text), 0600, error);
}
