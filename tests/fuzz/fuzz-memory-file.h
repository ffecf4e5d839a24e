/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include "base/tl-error.h"
#include "base/tl-file.h"

/*
 * One file in memory in place of the disk, for parsers that are reached through a path: include this, then the .c under
 * test. Reads give the input (or what was written since), whatever the path.
 */
static GBytes *fuzz_file;

static inline void
fuzz_file_set (const void *data, gsize length)
{
  g_clear_pointer (&fuzz_file, g_bytes_unref);
  fuzz_file = g_bytes_new (data, length);
}

static inline GBytes *
fuzz_file_read (const char *path, gsize max_bytes, GError **error)
{
  if (g_bytes_get_size (fuzz_file) <= max_bytes)
    return g_bytes_ref (fuzz_file);
  g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, "%s is too large", path);
  return NULL;
}

static inline gboolean
fuzz_file_write (const char *path, const void *data, gsize length, mode_t mode, GError **error)
{
  fuzz_file_set (data, length);
  return TRUE;
}

#define tl_file_read         fuzz_file_read
#define tl_file_write_atomic fuzz_file_write
