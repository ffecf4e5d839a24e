/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlLogFile: what a background process prints, bounded: a full file becomes PATH.1 (the one before goes), so that both
 * together hold at most twice the limit. Mode 0600. Blocking; thread: owner's.
 */
typedef struct _TlLogFile TlLogFile;

TlLogFile *tl_log_file_open (const char *path, gsize limit, GError **error);
void tl_log_file_close (TlLogFile *log);
/* What cannot be written (a full disk) is lost: a log must not stop what it tells about. */
void tl_log_file_write (TlLogFile *log, const void *data, gsize length);
/* One line with the time in front, of the supervisor's own. */
void tl_log_file_print (TlLogFile *log, const char *format, ...) G_GNUC_PRINTF (2, 3);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlLogFile, tl_log_file_close)

G_END_DECLS
