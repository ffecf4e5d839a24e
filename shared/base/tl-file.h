/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/*
 * Files that hold state: atomic, durable, bounded. Blocking: never on the daemon's main thread while it serves
 * (start-up is fine). Thread: any. Errors: TL_ERROR (NOT_FOUND, READ_ONLY, PERMISSION_DENIED, RESOURCE_EXHAUSTED, IO).
 */

/* Temporary file in the same directory, mode, write, fsync, rename, fsync of the directory. */
gboolean tl_file_write_atomic (const char *path, const void *data, gsize length, mode_t mode, GError **error);
/* At most max_bytes or RESOURCE_EXHAUSTED; refuses anything but a regular file. */
GBytes *tl_file_read (const char *path, gsize max_bytes, GError **error);
/* mkdir -p with 0700 (or mode) for what is created; an existing last directory that others can write is refused. */
gboolean tl_dir_ensure (const char *path, mode_t mode, GError **error);
/* Unlinks and syncs the directory; a missing file is success. */
gboolean tl_file_remove (const char *path, GError **error);
/* Sets a TL_ERROR from errno with "message: strerror" (ENOENT NOT_FOUND, EROFS/ENOSPC READ_ONLY, EACCES/EPERM
 * PERMISSION_DENIED, EADDRINUSE IN_USE, else IO). */
void tl_error_set_errno (GError **error, int saved_errno, const char *format, ...) G_GNUC_PRINTF (3, 4);

G_END_DECLS
