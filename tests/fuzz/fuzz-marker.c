/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz-memory-file.h"
#include "fuzz.h"

#include "agent/node/tl-node-marker.c"

#define DIRECTORY "/nowhere/01JD0000000000000000GATEWA"

/* Any gateway.json: what is read can be written, and is then read as the same. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (TlNodeMarker) marker = NULL;
  g_autoptr (TlNodeMarker) again = NULL;
  g_autoptr (GError) error = NULL;

  fuzz_file_set (data, size);
  marker = tl_node_marker_load (DIRECTORY, &error);
  fuzz_assert_answer (marker, error);
  if (marker != NULL)
    {
      tl_node_marker_save (marker, DIRECTORY, &error);
      g_assert_no_error (error);
      again = tl_node_marker_load (DIRECTORY, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (again->gateway_id, ==, marker->gateway_id);
      g_assert_cmpstr (again->gateway_name, ==, marker->gateway_name);
      g_assert_cmpstr (again->device_id, ==, marker->device_id);
      g_assert_cmpstr (again->device_name, ==, marker->device_name);
      g_assert_cmpstr (again->fingerprint, ==, marker->fingerprint);
      g_assert_true (g_strv_equal (again->addresses, marker->addresses));
      g_assert_cmpint (again->paired_at_ms, ==, marker->paired_at_ms);
      g_assert_cmpuint (again->ca_generation, ==, marker->ca_generation);
    }
  else
    g_assert_true (tl_error_is (error, TL_ERROR_CORRUPT) || tl_error_is (error, TL_ERROR_NEWER_VERSION)
                   || tl_error_is (error, TL_ERROR_RESOURCE_EXHAUSTED));
  g_clear_pointer (&fuzz_file, g_bytes_unref);
  return 0;
}
